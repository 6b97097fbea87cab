"""A day of made-up dumps, and `tidegate run` on it in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from tidegate.bench.process import Ended, run_command
from tidegate.bench.traffic import DESCRIPTION, NAME, Traffic, hour_of
from tidegate.dumps import upload
from tidegate.hours import hour_text
from tidegate.settings import S3Access, Settings
from tidegate.stack.seaweed import DUMPS_BUCKET

HOURS = 24
DUMPS = f"s3://{DUMPS_BUCKET}/bench"
"""Where dumps are on S3."""


def write_day(folder: Path, events: int, visitors: int) -> tuple[list[Path], int]:
    """Write a day's dumps into `<folder>/dumps`; return their files and how many bytes of lines they have."""
    traffic = Traffic(events // HOURS, visitors)
    written = [traffic.write(number, folder / "dumps") for number in range(HOURS)]
    return [file for file, _ in written], sum(size for _, size in written)


def put_dumps(s3: S3Access, files: Iterable[Path]) -> None:
    """Upload dumps to `DUMPS`."""
    upload(s3, DUMPS_BUCKET, {f"bench/{file.name}": file.read_bytes() for file in files})


def describe_day(folder: Path, dumps: str) -> Path:
    """Write into a folder a source file for dumps that lie below a URI or another folder; return it."""
    file = folder / f"{DESCRIPTION['source']}.yml"
    file.write_text(yaml.safe_dump({**DESCRIPTION, "dumps": f"{dumps}/{NAME}"}, sort_keys=False))
    return file


def run_day(
    settings: Settings, source: Path, lake: str, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run the day into a lake.

    Args:
        settings: of the project.
        source: the source file.
        lake: a folder or URI.
        environment: variables beside those of this process; without `TIDEGATE_SPARK` among them the run
            starts a server of its own.

    Returns:
        Its cost; the output holds the published rows by table, as a JSON object.

    Raises:
        TidegateError: it did not end with status 0.
    """
    first, last = hour_text(hour_of(0)), hour_text(hour_of(HOURS - 1))
    ended = run_command(
        [
            *(sys.executable, "-m", "tidegate", "run", str(source)),
            *("--from", first, "--to", last, "--lake", lake, "--json"),
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
