"""Scenes `tiny` and `files`: what a run costs that has next to nothing to compute."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median

import yaml

from tidegate.config.settings import Settings
from tidegate.config.source import load_source
from tidegate_bench.day import Workload, run_day
from tidegate_bench.lab import scratch
from tidegate_bench.process import Ended
from tidegate_bench.report import Mark, Outcome
from tidegate_bench.traffic import DESCRIPTION, Traffic, hour_of

MOST_TINY_S = 7.0
"""Seconds that `tidegate run` may take for six lines, from the start of its process to its end."""
MOST_FILES_S = 15.0
"""Seconds that `tidegate run` may take for one hour of many files with one line each."""
_TINY = ((4,), (2,))
_NAME = "{dump_hour:%Y-%m-%d-%H}/*.json"


def tiny(settings: Settings, tell: Callable[[str], None], *, runs: int) -> Outcome:
    """Measure `tidegate run` on six lines of two hours in a local folder, each time into a new lake.

    Args:
        settings: of the project, and the engine.
        tell: is given a line of progress at a time.
        runs: how many.

    Raises:
        TidegateError: a run failed.
    """
    return _scene(settings, tell, "tiny", _TINY, MOST_TINY_S, runs)


def files(settings: Settings, tell: Callable[[str], None], *, files: int, runs: int) -> Outcome:
    """Measure `tidegate run` on one hour whose files have one line each, each time into a new lake.

    Args:
        settings: of the project, and the engine.
        tell: is given a line of progress at a time.
        files: of the hour.
        runs: how many.

    Raises:
        TidegateError: a run failed.
    """
    return _scene(settings, tell, "files", ((1,) * files,), MOST_FILES_S, runs)


def write_files(folder: Path, hours: Sequence[Sequence[int]]) -> Workload:
    """Write dumps of several files into `<folder>/dumps` and their source file into the folder.

    Args:
        folder: exists.
        hours: by dump hour the number of lines of each file.
    """
    written: list[Path] = []
    size = 0
    for number, counts in enumerate(hours):
        hour_folder = folder / "dumps" / f"{hour_of(number):%Y-%m-%d-%H}"
        hour_folder.mkdir(parents=True)
        # More lines than are needed: some of an hour arrive in the next one.
        lines = Traffic(2 * sum(counts) + 100, sum(counts) + 10).lines(number)
        for index, count in enumerate(counts):
            body = b"".join(line + b"\n" for line in islice(lines, count))
            file = hour_folder / f"{index:06d}.json"
            file.write_bytes(body)
            written.append(file)
            size += len(body)
    source = folder / f"{DESCRIPTION['source']}.yml"
    source.write_text(yaml.safe_dump({**DESCRIPTION, "dumps": f"{folder}/dumps/{_NAME}"}))
    return Workload(load_source(source), hour_of(0), hour_of(len(hours) - 1), written, size)


def _scene(
    settings: Settings,
    tell: Callable[[str], None],
    name: str,
    hours: Sequence[Sequence[int]],
    most_s: float,
    runs: int,
) -> Outcome:
    ended: list[Ended] = []
    with scratch(settings) as folder:
        load = write_files(folder, hours)
        for number in range(runs):
            ended.append(run_day(settings, load, f"{folder}/lake-{number}", settings.engine))
            tell(f"{ended[-1].seconds:.1f} s, {ended[-1].peak_bytes / 1e9:.2f} GB")
    seconds = [run.seconds for run in ended]
    row = {
        "hours": len(hours),
        "files": len(load.files),
        "published": json.loads(ended[0].output)["events"],
        "seconds": median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "peak_gb": median(run.peak_bytes for run in ended) / 1e9,
    }
    about = "`tidegate run` in a new process, into a new lake, medians"
    given = {"engine": settings.engine, "bytes": load.size, "runs": runs}
    return Outcome(name, about, given, [row], [Mark("seconds (median)", most_s, median(seconds))])
