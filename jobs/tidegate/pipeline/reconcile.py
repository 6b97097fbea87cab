"""Reconcile: which hours' dumps are other than what was landed of them. It writes nothing.

Who uploads a file again, or late, tells nobody. So what is in the bucket is compared with the books, and hours
that differ are landed again, by ordinary runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from tidegate.common.hours import HOUR, floor_hour, hour_text

if TYPE_CHECKING:
    from tidegate.config.settings import Settings
    from tidegate.config.source import Source
    from tidegate.storage.files import StoredFile

Kind = Literal["came", "changed", "gone"]
DAYS = 7
"""How many days back dumps are compared, unless somebody says otherwise."""
_SHOWN = 3
_LANDED = """
SELECT epoch(dump_hour)::BIGINT AS hour, to_json(arg_max(files, (landed_at, landing_id))) AS files
FROM ops.landings WHERE source = $source AND dump_hour BETWEEN $first AND $last GROUP BY dump_hour
"""


@dataclass(frozen=True)
class Difference:
    """An hour whose dump is not what was landed of it.

    Attributes:
        source: name of the source.
        hour: the dump hour.
        kind: `came`: it was never landed and has files now; `changed`: it has other files than those that
            were landed; `gone`: it was landed and has no file any more.
        why: which files, in words.
    """

    source: str
    hour: datetime
    kind: Kind
    why: str

    @property
    def is_to_land(self) -> bool:
        """Whether landing the hour again would mend it; of files that are gone, what was made stays."""
        return self.kind != "gone"

    def describe(self) -> str:
        """Return it in one line."""
        return f"{self.source} {hour_text(self.hour)} {self.kind}: {self.why}"


def differences(
    settings: Settings, source: Source, now: datetime, days: int = DAYS
) -> list[Difference]:
    """Return the hours of a source whose dumps differ from what was landed, oldest first.

    Hours before the first one that was ever landed are left out: history is a backfill that somebody asks
    for. So is the hour that is still going on.

    Args:
        settings: where things are.
        source: whose dumps.
        now: the time; aware.
        days: how far back.

    Raises:
        TidegateError: the lake or the dumps can't be read.
    """
    import json

    from tidegate.dumps.dumps import Dumps
    from tidegate.lake.connection import EmptyLakeError
    from tidegate.query.connect import connect

    first = max(source.since, floor_hour(now - timedelta(days=days)))
    last = floor_hour(now) - HOUR
    if first > last:
        return []
    try:
        connection = connect(settings)
    except EmptyLakeError:
        return []  # nothing was landed yet
    with connection:
        row = connection.execute(
            "SELECT epoch(min(dump_hour))::BIGINT FROM ops.landings WHERE source = $source",
            {"source": source.source},
        ).fetchone()
        if row is None or row[0] is None:
            return []
        found = connection.execute(
            _LANDED, {"source": source.source, "first": first, "last": last}
        ).fetchall()
    landed = {datetime.fromtimestamp(at, now.tzinfo): json.loads(files) for at, files in found}
    first = max(first, datetime.fromtimestamp(row[0], now.tzinfo))
    hours = [first + n * HOUR for n in range((last - first) // HOUR + 1)]
    there = Dumps(source, settings.s3, settings.dumps).files_by_hour(hours)
    return compare(source.source, there, landed)


def compare(
    source: str,
    there: Mapping[datetime, Sequence[StoredFile]],
    landed: Mapping[datetime, Sequence[Mapping[str, Any]]],
) -> list[Difference]:
    """Return in which hours the files that are there are not those that were landed.

    Args:
        source: name of the source.
        there: the files of each hour that is compared.
        landed: of each hour that was landed: `name`, `size` and `etag` of its files.
    """
    return [
        Difference(source, hour, *told)
        for hour in sorted(there)
        if (told := _difference(there[hour], landed.get(hour))) is not None
    ]


def _difference(
    files: Sequence[StoredFile], landed: Sequence[Mapping[str, Any]] | None
) -> tuple[Kind, str] | None:
    if landed is None:
        return ("came", _names(file.name for file in files)) if files else None
    if not files:
        return "gone", f"{_names(str(each['name']) for each in landed)} can't be found any more"
    old = {str(each["name"]): (each["size"], each["etag"]) for each in landed}
    new = {file.name: (file.size, file.etag) for file in files}
    told = [
        f"{_names(names)} {what}"
        for names, what in (
            (sorted(new.keys() - old.keys()), "came"),
            (sorted(old.keys() - new.keys()), "went"),
            (sorted(n for n in new.keys() & old.keys() if new[n] != old[n]), "changed"),
        )
        if names
    ]
    return ("changed", "; ".join(told)) if told else None


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
