"""A day of made-up dumps, or real dumps of some hours, and `tidegate run` on them in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import yaml

from tidegate.common.errors import TidegateError
from tidegate.common.hours import hour_range, hour_text
from tidegate.config.settings import EngineName, Settings
from tidegate.config.source import Source, load_source
from tidegate.dumps.dumps import Dumps
from tidegate.stack.seaweed import DUMPS_BUCKET
from tidegate.storage.s3 import Bucket, S3Access
from tidegate_bench.process import Ended, run_command
from tidegate_bench.traffic import DESCRIPTION, NAME, Traffic, hour_of

HOURS = 24
DUMPS = f"s3://{DUMPS_BUCKET}/bench"
"""Where dumps are on S3."""


@dataclass(frozen=True)
class Workload:
    """Dumps that `tidegate run` and scripts are given.

    Attributes:
        source: what describes them.
        first: dump hour.
        last: dump hour, inclusive.
        files: their data files, on this machine.
        size: bytes of lines of made-up dumps; of real ones, of their files.
        root: where the dumps are, in place of what the source's template begins with.
    """

    source: Source
    first: datetime
    last: datetime
    files: Sequence[Path]
    size: int
    root: str | None = None


def write_day(
    folder: Path, events: int, visitors: int, *, seed: int = 1, root: str | None = None
) -> Workload:
    """Write a day's dumps into `<folder>/dumps` and their source file into the folder.

    Args:
        folder: exists.
        events: of all dumps, about.
        visitors: how many different ones there are.
        seed: of all chance.
        root: URI of where the dumps will be read, if not there.
    """
    traffic = Traffic(events // HOURS, visitors, seed)
    written = [traffic.write(number, folder / "dumps") for number in range(HOURS)]
    source = describe_day(folder, root or f"{folder}/dumps")
    return Workload(
        load_source(source),
        hour_of(0),
        hour_of(HOURS - 1),
        [file for file, _ in written],
        sum(size for _, size in written),
    )


def real_dumps(
    settings: Settings, source: Source, first: datetime, last: datetime, folder: Path
) -> Workload:
    """Return the dumps of some hours of a source; what lies on S3 is copied into a folder, for scripts.

    Raises:
        TidegateError: there are none, or they can't be read.
    """
    dumps = Dumps(source, settings.s3, settings.dumps)
    found = dumps.files_by_hour(hour_range(first, last))
    files = [file for hour in sorted(found) for file in found[hour]]
    if not files:
        raise TidegateError(
            f"{source.source} has no files in these hours",
            where=dumps.template.root,
            expected=f"dumps from {hour_text(first)} to {hour_text(last)}",
            got="none",
            todo="look at the hours, and at what the source file says of dumps; --dumps names another place",
        )
    local = []
    for number, file in enumerate(files):
        path = Path(file.uri)
        if file.uri.startswith("s3a://"):
            path = folder / "copies" / f"{number:06d}-{Path(file.name).name}"
            path.parent.mkdir(exist_ok=True)
            dumps.download(file, path)
        local.append(path)
    size = sum(file.size for file in files)
    return Workload(source, first, last, local, size, settings.dumps)


def put_dumps(s3: S3Access, files: Iterable[Path]) -> None:
    """Upload dumps to `DUMPS`."""
    Bucket(DUMPS_BUCKET, s3).put_all({f"bench/{file.name}": file.read_bytes() for file in files})


def describe_day(folder: Path, dumps: str) -> Path:
    """Write into a folder a source file for dumps that lie below a URI or another folder; return it."""
    file = folder / f"{DESCRIPTION['source']}.yml"
    file.write_text(yaml.safe_dump({**DESCRIPTION, "dumps": f"{dumps}/{NAME}"}, sort_keys=False))
    return file


def run_day(
    settings: Settings,
    workload: Workload,
    lake: str,
    engine: EngineName,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a workload into a lake, by `tidegate run` in a new process.

    Args:
        settings: of the project.
        workload: what to run.
        lake: a folder or URI.
        engine: what computes its rows.
        environment: variables beside those of this process. Without `TIDEGATE_SPARK` among them a run on Spark
            starts a server of its own.

    Returns:
        Its cost; the output holds the published rows by table, as a JSON object.

    Raises:
        TidegateError: it did not end with status 0.
    """
    first, last = hour_text(workload.first), hour_text(workload.last)
    ended = run_command(
        [
            *(sys.executable, "-m", "tidegate", "run", str(workload.source.path)),
            *("--from", first, "--to", last, "--lake", lake, "--engine", engine, "--json"),
            *(("--dumps", workload.root) if workload.root else ()),
        ],
        environment={
            "TIDEGATE_PROJECT": str(settings.project),
            "TIDEGATE_HOME": str(settings.home),
            "TIDEGATE_SPARK": "",
            **(environment or {}),
        },
    )
    published = {each["table"]: each["rows"] for each in json.loads(ended.output)["published"]}
    return Ended(ended.seconds, ended.peak_bytes, json.dumps(published))
