"""Schema drift: which fields the events of each hour really have, against what the source file declares.

Counted from `properties`, which holds each line whole: nothing is read twice when dumps are landed, and
hours of the past can be asked as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from tidegate.common.hours import hour_text

if TYPE_CHECKING:
    import duckdb

    from tidegate.config.source import Source

VIEW = r"""
CREATE VIEW fields_by_hour AS
WITH shapes AS (
    SELECT source, dump_hour, json_structure(properties) AS shape, count(*) AS events
    FROM events GROUP BY ALL
), leaves AS (
    SELECT s.source, s.dump_hour, s.events,
           regexp_replace(substr(t.fullkey, 3), '\[\d+\]', '[]', 'g') AS path,
           CASE t.atom->>'$' WHEN 'VARCHAR' THEN 'string' WHEN 'BOOLEAN' THEN 'boolean'
                WHEN 'NULL' THEN 'null' WHEN 'JSON' THEN 'mixed' ELSE 'number' END AS type
    FROM shapes s, json_tree(s.shape) t
    WHERE t.type = 'VARCHAR'
)
SELECT source, dump_hour, path, type, sum(events)::BIGINT AS events FROM leaves GROUP BY ALL
"""
"""A row a source, dump hour, field and JSON type: the published events that have it. `[]` are the elements of an
array; names are joined by dots."""

Kind = Literal["undeclared", "absent", "appeared", "vanished", "types"]
KINDS: Mapping[Kind, str] = {
    "undeclared": "fields that the source file does not declare; they are in properties",
    "absent": "declared fields that no event has",
    "appeared": "fields that no event had at first",
    "vanished": "fields that no event has any more",
    "types": "fields whose values are of several types",
}
CHANCE = 1e-6
"""A field has appeared, or vanished, if so many events without it would be less likely than this by chance, given
how many have it otherwise."""


@dataclass(frozen=True)
class Seen:
    """A field of a source's events in an hour, as `fields_by_hour` has it."""

    hour: datetime
    path: str
    type: str
    events: int


@dataclass(frozen=True)
class Finding:
    """What is to be told of a field.

    Attributes:
        kind: what.
        path: the field.
        events: the events that have it, NULLs included.
        types: those that have it, by JSON type.
        first: the first hour that has it; None where none does.
        last: the last hour that has it.
    """

    kind: Kind
    path: str
    events: int
    types: Mapping[str, int]
    first: datetime | None
    last: datetime | None

    def describe(self) -> str:
        """Return it in words, but for its kind and path."""
        if self.first is None or self.last is None:
            return "in no event"
        types = ", ".join(
            f"{name} {count:,}" if len(self.types) > 1 else name
            for name, count in sorted(self.types.items(), key=lambda each: -each[1])
        )
        span = f"{hour_text(self.first)} to {hour_text(self.last)}"
        return f"{types}; {self.events:,} event{'' if self.events == 1 else 's'}, {span}"

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "kind": self.kind,
            "path": self.path,
            "events": self.events,
            "types": dict(self.types),
            "first_hour": hour_text(self.first) if self.first else None,
            "last_hour": hour_text(self.last) if self.last else None,
        }


@dataclass(frozen=True)
class Drift:
    """What is to be told of a source's fields in some hours.

    Attributes:
        source: whose.
        first: the first dump hour that was looked at.
        last: the last one.
        hours: how many of them have published events.
        events: those.
        declared: whether it is known what the source file declares.
        found: what is to be told.
    """

    source: str
    first: datetime
    last: datetime
    hours: int
    events: int
    declared: bool
    found: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "source": self.source,
            "from": hour_text(self.first),
            "to": hour_text(self.last),
            "hours": self.hours,
            "events": self.events,
            "findings": [each.as_json() for each in self.found],
        }


def spans(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[datetime, datetime]]:
    """Return of each source its first and last dump hour with published events."""
    rows = connection.execute(
        "SELECT source, min(dump_hour), max(dump_hour) FROM events GROUP BY source ORDER BY source"
    ).fetchall()
    return {source: (a.astimezone(UTC), b.astimezone(UTC)) for source, a, b in rows}


def drift(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    span: tuple[datetime, datetime],
    declared: Collection[str] | None,
) -> Drift:
    """Look at the fields of a source's published events.

    Args:
        connection: of `tidegate.query.connect.connect`.
        source: whose.
        span: the first and the last dump hour.
        declared: the fields that its file reads; None where nobody knows.
    """
    where = "source = ? AND dump_hour BETWEEN ?::TIMESTAMPTZ AND ?::TIMESTAMPTZ"
    counted = connection.execute(
        f"SELECT dump_hour, count(*) FROM events WHERE {where} GROUP BY ALL", [source, *span]
    ).fetchall()
    rows = connection.execute(
        f"SELECT dump_hour, path, type, events FROM fields_by_hour WHERE {where}", [source, *span]
    ).fetchall()
    hours = {hour.astimezone(UTC): int(events) for hour, events in counted}
    seen = [Seen(hour.astimezone(UTC), *rest) for hour, *rest in rows]
    return Drift(
        source,
        *span,
        len(hours),
        sum(hours.values()),
        declared is not None,
        tuple(findings(seen, hours, declared)),
    )


def declared_paths(source: Source) -> frozenset[str]:
    """Return the fields that a source file reads, names joined by dots."""
    from tidegate.config.source import RAW_LINE, split_path

    paths = (split_path(path) for path in source.references())
    return frozenset(".".join(names) for names in paths if names != (RAW_LINE,))


def findings(
    seen: Iterable[Seen], hours: Mapping[datetime, int], declared: Collection[str] | None
) -> list[Finding]:
    """Return what is to be told, by kind and path.

    Args:
        seen: the fields of some hours.
        hours: the events of each of those hours.
        declared: the fields that the source file reads; None where nobody knows.
    """
    by_path: dict[str, list[Seen]] = {}
    for each in seen:
        by_path.setdefault(each.path, []).append(each)
    out = []
    for path, rows in by_path.items():
        out += [_finding(kind, path, rows) for kind in _kinds(path, rows, hours, declared)]
    for path in sorted(declared or ()):
        if hours and not any(_is_below(other, path) for other in by_path):
            out.append(Finding("absent", path, 0, {}, None, None))
    order = list(KINDS)
    return sorted(out, key=lambda each: (order.index(each.kind), each.path))


def _kinds(
    path: str,
    rows: Sequence[Seen],
    hours: Mapping[datetime, int],
    declared: Collection[str] | None,
) -> Iterable[Kind]:
    """Yield what is to be told of a field that some events have."""
    if declared is not None and not any(_is_below(path, each) for each in declared):
        yield "undeclared"
    having: Counter[datetime] = Counter()
    for each in rows:
        having[each.hour] += each.events
    first, last = min(having), max(having)
    if _is_no_chance(having, hours, [hour for hour in hours if hour < first]):
        yield "appeared"
    if _is_no_chance(having, hours, [hour for hour in hours if hour > last]):
        yield "vanished"
    if len({each.type for each in rows} - {"null"}) > 1:
        yield "types"


def _is_no_chance(
    having: Mapping[datetime, int], hours: Mapping[datetime, int], without: Sequence[datetime]
) -> bool:
    """Return whether a field is missing in some hours for a reason.

    Args:
        having: the events that have it, by hour.
        hours: all events, by hour.
        without: the hours at an end that do not have it.
    """
    if not without:
        return False
    others = sum(events for hour, events in hours.items() if hour not in without)
    share = min(1.0, sum(having.values()) / max(1, others))
    return bool((1.0 - share) ** sum(hours[hour] for hour in without) < CHANCE)


def _finding(kind: Kind, path: str, rows: Sequence[Seen]) -> Finding:
    types: Counter[str] = Counter()
    for each in rows:
        types[each.type] += each.events
    first, last = min(each.hour for each in rows), max(each.hour for each in rows)
    return Finding(kind, path, sum(types.values()), dict(types), first, last)


def _is_below(path: str, other: str) -> bool:
    """Return whether a field is another one, or a member or an element of it."""
    return path == other or path.startswith((f"{other}.", f"{other}["))
