"""Trace: from a published row to its slice, publication, audits, landings and files. Without a JVM.

All of it is what the books say, as of the release that the connection is pinned to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError
from tidegate.common.hints import command
from tidegate.common.hours import hour_text, parse_hour
from tidegate.common.suggestions import hint
from tidegate.common.text_output import clipped, plain, visible
from tidegate.query.connect import pinned, tables
from tidegate.query.hour_status import STANDING
from tidegate.tables import WAREHOUSE, Table, events, sessions
from tidegate.tables.session_aliases import TABLE as ALIASES

if TYPE_CHECKING:
    import duckdb

Row = Mapping[str, Any]


def _further(table: Table) -> tuple[str, ...]:
    """Return the columns of an aggregate's key beside its source and slice."""
    return tuple(name for name in table.key if name not in table.slice)


KEYS: Mapping[str, str] = {
    "events": "[SOURCE] EVENT_ID [DUMP_HOUR]",
    "sessions": "SESSION_ID",
    "session_aliases": "SESSION_ID",
    **{
        table.name: " ".join(
            ["SOURCE", table.slice_time.upper(), *(f"[{name.upper()}]" for name in _further(table))]
        )
        for table in WAREHOUSE
        if table.aggregate is not None
    },
}
"""How a row of each table is named."""

_COUNTED = {
    "sessions": "event_count",
    **{table.name: table.aggregate.inputs[0].counted_by for table in WAREHOUSE if table.aggregate},
}
"""The column of a derived table that counts the events of a row."""
_FEW = 5
_WIDTH = 100


class KeyUsageError(ValueError):
    """A key has too few or too many parts."""


@dataclass(frozen=True)
class DumpHour:
    """A dump that feeds the row.

    Attributes:
        hour: of the dump.
        events: of the row, by the file that they came in; empty where that is not counted.
        publication: in force for the hour: its row, or None.
        landing: that was published: its row, or None.
    """

    hour: datetime
    events: Mapping[str, int]
    publication: Row | None
    landing: Row | None


@dataclass(frozen=True)
class Trace:
    """Where a row comes from.

    Attributes:
        table: its table.
        release: the release it was read at; None: there is none yet.
        version: of the table, at that release; None: the latest.
        rows: the row; several where the key names all event types of an hour.
        source: whose it is.
        slice: which slice it belongs to.
        publication: that is in force for the slice.
        audits: expectations that the publication was audited by, those that were not met first.
        inputs: publications that it was built from.
        dumps: the dump hours that feed the row.
        notes: what else there is to know.
    """

    table: Table
    release: str | None
    version: int | None
    rows: Sequence[Row]
    source: str
    slice: datetime
    publication: Row | None
    audits: Sequence[Row]
    inputs: Sequence[Row]
    dumps: Sequence[DumpHour]
    notes: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts, whole."""
        return {
            "table": self.table.name,
            "release": self.release,
            "version": self.version,
            "rows": plain(list(self.rows)),
            "source": self.source,
            "slice": plain(self.slice),
            "publication": plain(self.publication),
            "audits": plain(list(self.audits)),
            "inputs": plain(list(self.inputs)),
            "dumps": [
                {
                    "dump_hour": plain(each.hour),
                    "events_by_file": dict(each.events),
                    "publication": plain(each.publication),
                    "landing": plain(each.landing),
                }
                for each in self.dumps
            ],
            "notes": list(self.notes),
        }


def trace(connection: duckdb.DuckDBPyConnection, table: str, key: Sequence[str]) -> Trace:
    """Return where a row comes from.

    Args:
        connection: of `query.connect`: its release is the one that is looked at.
        table: name of a published table.
        key: of the row, as `KEYS` says.

    Raises:
        KeyUsageError: the key has too few or too many parts.
        TidegateError: there is no such table or row; the message says what there is instead.
    """
    found = {each.name: each for each in WAREHOUSE}.get(table)
    if found is None:
        raise TidegateError(
            f"no published table {table!r} whose rows can be traced",
            expected=f"one of {', '.join(KEYS)}",
            got=f"{table!r}; {hint(table, KEYS)}",
            todo=f"such as: {command('trace', 'sessions', KEYS['sessions'])}",
        )
    look = _Look(connection)
    rows = _FINDERS[table](look, tuple(key))
    row = rows[0]
    source, at = str(row["source"]), _utc(row[found.slice_time])
    publication = look.publication(found, source, at)
    dumps = _dumps(look, found, rows)
    return Trace(
        found,
        look.release,
        look.versions.get(table),
        rows,
        source,
        at,
        publication,
        look.audits(found, publication, at),
        look.inputs(found, publication),
        dumps,
        _notes(look, found, rows, publication, dumps),
    )


class _Look:
    """What the books and the tables of a connection's release say."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.release = pinned(connection)
        self.versions: dict[str, int] = {}
        self.behind: list[str] = []
        if self.release is not None:
            [told] = self.rows(
                "SELECT map_entries(versions) AS versions, behind FROM ops.releases "
                "WHERE release_id = ? LIMIT 1",
                self.release,
            )
            self.versions = {each["key"]: each["value"] for each in told["versions"]}
            self.behind = list(told["behind"] or [])

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Return the rows of a query, times in UTC.

        Raises:
            TidegateError: the release has not got what the query is of.
        """
        import duckdb

        try:
            result = self.connection.execute(query, list(values))
        except duckdb.CatalogException as error:
            raise TidegateError(
                "the lake has not got what is needed to trace",
                where=self.shown,
                expected=f"its tables and books; there is {', '.join(tables(self.connection))}",
                got=visible(str(error).splitlines()[0]),
                todo="check --lake and --release",
            ) from error
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    @property
    def shown(self) -> str:
        """What is looked at, in words."""
        return f"release {self.release}" if self.release else "the tables as they are now"

    def publication(self, table: Table, source: str, at: datetime) -> Row | None:
        """Return the publication in force for a slice; of its slices only the one."""
        found = self._publications(table, source, [at])
        return found.get(at)

    def _publications(
        self, table: Table, source: str, times: Sequence[datetime]
    ) -> dict[datetime, Row]:
        """Return the publication in force for each slice that has one."""
        found = self.rows(
            """
            WITH wanted AS (
                SELECT * REPLACE (unnest(slices) AS slices) FROM ops.publications
                WHERE table_name = $1 AND source = $2 AND delta_version <= $3
                  AND slice_max >= $4 AND slice_min <= $5
            )
            SELECT publication_id, table_name, source, sequence, delta_version, published_at, run_id,
                   rows AS rows_in_all, slices.slice AS slice, slices.rows AS rows,
                   slices.duplicates AS withheld, slices.landing_id AS landing_id,
                   audit_ids, inputs, configuration, code_version, suite
            FROM wanted
            QUALIFY row_number() OVER (PARTITION BY slices.slice ORDER BY sequence DESC) = 1
            """,
            table.name,
            source,
            self.versions.get(table.name, 2**62),
            min(times),
            max(times),
        )
        return {_utc(row["slice"]): row for row in found}

    def audits(self, table: Table, publication: Row | None, at: datetime) -> list[Row]:
        """Return the expectations that let a publication's slice pass, those not met first."""
        if publication is None or not publication["audit_ids"]:
            return []
        # One publication of events brings an audit a slice; of derived tables one in all.
        mine = "AND list_contains(slices, $2)" if table is events.TABLE else "AND $2 IS NOT NULL"
        found = self.rows(
            f"""
            SELECT audit_id, audited_at, expectation, severity, status, success, observed, expected,
                   why, approved_by, run_id
            FROM ops.audits WHERE list_contains($1, audit_id) {mine}
            """,
            publication["audit_ids"],
            at,
        )
        return sorted(found, key=_urgency)

    def inputs(self, table: Table, publication: Row | None) -> list[Row]:
        """Return the publications that a derived one was built from."""
        if publication is None or table is events.TABLE or not publication["inputs"]:
            return []
        return list(
            self.rows(
                """
                SELECT publication_id, table_name, source, sequence, delta_version, published_at,
                       run_id, rows, slice_min, slice_max, len(slices) AS slices
                FROM ops.publications WHERE list_contains($1, publication_id)
                QUALIFY row_number() OVER (PARTITION BY publication_id ORDER BY sequence) = 1
                ORDER BY published_at, publication_id
                """,
                publication["inputs"],
            )
        )

    def dumps(self, source: str, counts: Mapping[datetime, Mapping[str, int]]) -> list[DumpHour]:
        """Return the dumps of some hours, with what of them is published."""
        if not counts:
            return []
        standing = self._publications(events.TABLE, source, sorted(counts))
        ids = [each["landing_id"] for hour, each in standing.items() if hour in counts]
        landings = {
            row["landing_id"]: row
            for row in self.rows(
                """
                SELECT landing_id, dump_hour, status, files, bytes, lines, events, duplicates,
                       quarantined, quarantined_by_reason, configuration, run_id, landed_at
                FROM ops.landings WHERE list_contains($1, landing_id)
                """,
                ids,
            )
        }
        return [
            DumpHour(
                hour,
                counts[hour],
                standing.get(hour),
                landings.get(standing[hour]["landing_id"]) if hour in standing else None,
            )
            for hour in sorted(counts)
        ]

    def known(self, table: str) -> list[str]:
        """Return the sources that a table has rows of, by name."""
        found = self.rows(f"SELECT DISTINCT source FROM {table} ORDER BY 1")
        return [row["source"] for row in found]


_ORDER = ("failed", "approved", "warming up", "met")
_SEVERITIES = ("critical", "warning", "info")


def _urgency(audit: Row) -> tuple[int, int, str]:
    status, severity = audit["status"], audit["severity"]
    return (
        _ORDER.index(status) if status in _ORDER else 0,
        _SEVERITIES.index(severity) if severity in _SEVERITIES else 0,
        audit["expectation"],
    )


# -- the row ---------------------------------------------------------------------------------------


def _usage(table: str, key: Sequence[str]) -> KeyUsageError:
    return KeyUsageError(f"a row of {table} is named by {KEYS[table]}, got {len(key)} words")


def _event(look: _Look, key: tuple[str, ...]) -> list[Row]:
    if not 1 <= len(key) <= 3:
        raise _usage("events", key)
    source = key[0] if len(key) > 1 else None
    event_id = key[1] if len(key) > 1 else key[0]
    hour = parse_hour(key[2]) if len(key) == 3 else None
    found = look.rows(
        "SELECT * FROM events WHERE event_id = $1 AND source = coalesce($2, source) "
        "AND dump_hour = coalesce($3::TIMESTAMPTZ, dump_hour) ORDER BY source, dump_hour",
        event_id,
        source,
        hour,
    )
    if not found:
        raise _no_event(look, source, event_id, hour)
    if len(found) > 1:
        places = [f"{row['source']} {event_id} {hour_text(row['dump_hour'])}" for row in found]
        raise TidegateError(
            f"{len(found)} events have the id {event_id!r}",
            expected="the key of one of them",
            got="; ".join(clipped(each, _WIDTH) for each in places[:_FEW]),
            todo="name it: "
            + command(
                "trace", "events", found[0]["source"], event_id, hour_text(found[0]["dump_hour"])
            ),
        )
    return list(found)


def _no_event(
    look: _Look, source: str | None, event_id: str, hour: datetime | None
) -> TidegateError:
    """Return what is known of an event that is not published, or not there."""
    what = f"no event {event_id!r}" + (f" of {source}" if source else "")
    others = look.rows(
        "SELECT source, dump_hour FROM events WHERE event_id = ? ORDER BY source = ? DESC, 1, 2 "
        f"LIMIT {_FEW}",
        event_id,
        source,
    )
    if others and others[0]["source"] == source:
        kept = ", ".join(hour_text(row["dump_hour"]) for row in others if row["source"] == source)
        asked = hour_text(hour) if hour is not None else ""
        return TidegateError(
            f"{what} is published from the dump of {asked}",
            expected=f"the dump hour that it is published from: {kept}",
            got=f"{asked}: if that dump has it too, it was withheld there as a duplicate",
            todo=command("trace", "events", others[0]["source"], event_id),
        )
    if others:
        names = ", ".join(row["source"] for row in others)
        return TidegateError(
            what,
            expected=f"the source that has it: {names}",
            todo=command("trace", "events", others[0]["source"], event_id),
        )
    # Of a source all of whose lines are bad there is no event.
    _check_source(look, "ops.landings", source)
    bad = look.rows(
        f"""
        SELECT q.source, q.dump_hour, q.file, q.line, q.reason, q.detail
        FROM ops.quarantine q JOIN ({STANDING.format(where="true")}) l USING (landing_id)
        WHERE contains(q.raw, $1) AND regexp_matches(q.raw, $3)
          AND q.source = coalesce($2, q.source)
        ORDER BY q.dump_hour, q.file, q.line LIMIT {_FEW}
        """,
        event_id,
        source,
        rf"(^|[^\w-]){re.escape(event_id)}($|[^\w-])",
    )
    if bad:
        row = bad[0]
        more = f" (and {len(bad) - 1} lines more)" if len(bad) > 1 else ""
        return TidegateError(
            f"{what} is published: a line with that text is in quarantine",
            where=f"{row['source']} {hour_text(row['dump_hour'])}, {row['file']}, line "
            f"{row['line']}{more}",
            got=clipped(f"{row['reason']}: {row['detail']}", _WIDTH),
            todo=command("quarantine", "--source", row["source"]),
        )
    held = look.rows(
        "SELECT source, dump_hour, state FROM ops.hours WHERE state <> 'published' "
        f"AND source = coalesce($1, source) ORDER BY 1, 2 LIMIT {_FEW}",
        source,
    )
    waits = ", ".join(
        f"{row['source']} {hour_text(row['dump_hour'])} is {row['state']}" for row in held
    )
    return TidegateError(
        what,
        where=look.shown,
        expected="the id of a published event",
        got=f"nothing in quarantine either{'; ' + waits if waits else ''}",
        todo=command("held")
        if held
        else "see the newest: "
        + command("sql", "SELECT event_id FROM events ORDER BY event_time DESC LIMIT 20")
        + "; a source without ids has computed ones",
    )


def _session(look: _Look, key: tuple[str, ...]) -> list[Row]:
    if len(key) != 1:
        raise _usage("sessions", key)
    found = look.rows("SELECT * FROM sessions WHERE session_id = ?", key[0])
    if found:
        return list(found)
    aliases = look.rows("SELECT * FROM session_aliases WHERE session_id = ?", key[0])
    if aliases:
        live = aliases[0]["live_session_id"]
        raise TidegateError(
            f"the session {key[0]!r} is no more: its events changed",
            where=look.shown,
            expected=f"the session that has its events now: {live}"
            if live
            else "nothing: all of its events are gone",
            todo=command("trace", "sessions", live)
            if live
            else command("trace", "session_aliases", key[0]),
        )
    users = look.rows(
        "SELECT session_id, session_start FROM sessions WHERE user_key = $1 OR first_event_id = $1 "
        "OR last_event_id = $1 OR source_session_id = $1 ORDER BY session_start DESC LIMIT 5",
        key[0],
    )
    if users:
        raise TidegateError(
            f"{key[0]!r} is no session_id, but a user, an event or a source's own id",
            where=look.shown,
            expected="one of its sessions: " + ", ".join(row["session_id"] for row in users),
            todo=command("trace", "sessions", users[0]["session_id"]),
        )
    raise _no_id(look, sessions.TABLE, key[0])


def _alias(look: _Look, key: tuple[str, ...]) -> list[Row]:
    if len(key) != 1:
        raise _usage("session_aliases", key)
    found = look.rows("SELECT * FROM session_aliases WHERE session_id = ?", key[0])
    if found:
        return list(found)
    if look.rows("SELECT 1 FROM sessions WHERE session_id = ?", key[0]):
        raise TidegateError(
            f"the session {key[0]!r} is no alias: it is alive",
            where=look.shown,
            todo=command("trace", "sessions", key[0]),
        )
    raise _no_id(look, ALIASES, key[0])


def _no_id(look: _Look, table: Table, session_id: str) -> TidegateError:
    """Return the error of a session id that is nowhere, with ids that begin as it does."""
    near = look.rows(
        f"SELECT session_id FROM {table.name} WHERE starts_with(session_id, ?) ORDER BY 1 LIMIT {_FEW}",
        session_id[:8],
    )
    return TidegateError(
        f"no session {session_id!r}",
        where=look.shown,
        expected="one that begins alike: " + ", ".join(row["session_id"] for row in near)
        if near
        else f"a session_id of {table.name}",
        todo=command("sql", f"SELECT session_id FROM {table.name} WHERE user_key = '…'"),
    )


def _aggregate(look: _Look, table: Table, key: tuple[str, ...]) -> list[Row]:
    """Return the rows of a slice of an aggregate; those of one further value of the key, if it is given."""
    further = _further(table)
    if not 2 <= len(key) <= 2 + len(further):
        raise _usage(table.name, key)
    slice_ = _parse_slice(table, key[1])
    order = ", ".join([f"{_COUNTED[table.name]} DESC", *further])
    found = look.rows(
        f"SELECT * FROM {table.name} WHERE source = ? AND {table.slice_time} = ? ORDER BY {order}",
        key[0],
        slice_,
    )
    shown = hour_text(slice_) if isinstance(slice_, datetime) else str(slice_)
    if not found:
        raise _no_activity(look, table, key[0], table.slice_time, shown)
    rows: list[Row] = list(found)
    for name, value in zip(further, key[2:], strict=False):
        values = [str(row[name] or "") for row in rows]
        rows = [row for row in rows if str(row[name] or "") == value]
        if not rows:
            raise TidegateError(
                f"no row with {name} {value!r} in that slice",
                where=f"{table.name} {key[0]} {shown}, {look.shown}",
                expected=", ".join(clipped(each, 40) for each in values[: 2 * _FEW]),
                got=f"{value!r}; {hint(value, values)}",
            )
    return rows


def _parse_slice(table: Table, text: str) -> datetime | date:
    """Return the hour or the date that a text names.

    Raises:
        TidegateError: it names none.
    """
    if table.types[table.slice_time] != "date":
        return parse_hour(text)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise TidegateError(
            "not a date", expected="an ISO 8601 date, such as 2026-05-01", got=repr(text)
        ) from error


def _no_activity(look: _Look, table: Table, source: str, column: str, asked: str) -> TidegateError:
    _check_source(look, table.name, source)
    [ends] = look.rows(
        f"SELECT min({column}) AS first, max({column}) AS last FROM {table.name} WHERE source = ?",
        source,
    )
    first, last = (
        hour_text(each) if isinstance(each, datetime) else str(each)
        for each in (ends["first"], ends["last"])
    )
    states = look.rows(
        "SELECT dump_hour, state FROM completeness_by_hour WHERE source = ? AND state <> 'published' "
        f"AND starts_with(strftime(dump_hour, '%Y-%m-%dT%H'), ?) ORDER BY 1 LIMIT {_FEW}",
        source,
        asked,
    )
    told = ", ".join(f"{hour_text(row['dump_hour'])} is {row['state']}" for row in states)
    return TidegateError(
        f"{table.name} has no row of {source} for {asked}: no published event happened then",
        where=look.shown,
        expected=f"from {first} to {last}",
        got=f"of its dumps, {told}" if told else None,
        todo=command("held") if told else command("sql", f"SELECT {column} FROM {table.name}"),
    )


def _check_source(look: _Look, table: str, source: str | None) -> None:
    """Raise unless a table has rows of a source."""
    if source is None:
        return
    known = look.known(table)
    if source not in known:
        raise TidegateError(
            f"{table} has no rows of a source {source!r}",
            where=look.shown,
            expected=f"one of {', '.join(known)}" if known else "nothing is published yet",
            got=f"{source!r}; {hint(source, known)}",
        )


def _finder(table: Table) -> Callable[[_Look, tuple[str, ...]], list[Row]]:
    return lambda look, key: _aggregate(look, table, key)


_FINDERS: Mapping[str, Callable[[_Look, tuple[str, ...]], list[Row]]] = {
    "events": _event,
    "sessions": _session,
    "session_aliases": _alias,
    **{table.name: _finder(table) for table in WAREHOUSE if table.aggregate is not None},
}


# -- what feeds it ---------------------------------------------------------------------------------


def _dumps(look: _Look, table: Table, rows: Sequence[Row]) -> list[DumpHour]:
    """Return the dumps that feed rows of one slice."""
    row = rows[0]
    source = str(row["source"])
    if table is events.TABLE:
        return look.dumps(source, {_utc(row["dump_hour"]): {str(row["file"]): 1}})
    if table is sessions.TABLE:
        own = row["source_session_id"] is not None
        who = "source_session_id" if own else "user_key"
        counts = _counts(
            look,
            f"{who} = $2 AND event_time BETWEEN $3 AND $4"
            + ("" if own else " AND source_session_id IS NULL AND user_key_kind = $5"),
            source,
            row[who],
            row["session_start"],
            row["session_end"],
            *([] if own else [row["user_key_kind"]]),
        )
        return look.dumps(
            source, {_utc(hour): counts.get(_utc(hour), {}) for hour in row["dump_hours"]}
        )
    if table.aggregate is not None:
        begin = _utc(row[table.slice_time])
        further = _further(table)
        narrowed = "".join(
            f" AND list_contains(${place}::VARCHAR[], coalesce({name}, ''))"
            for place, name in enumerate(further, start=4)
        )
        counts = _counts(
            look,
            f"event_time >= $2 AND event_time < $3{narrowed}",
            source,
            begin,
            begin + table.aggregate.grain,
            *([str(each[name] or "") for each in rows] for name in further),
        )
        return look.dumps(source, counts)
    return []


def _counts(look: _Look, where: str, *values: object) -> dict[datetime, dict[str, int]]:
    """Return how many published events of a source, so narrowed, came in which dump and file."""
    counts: dict[datetime, dict[str, int]] = {}
    for row in look.rows(
        f"SELECT dump_hour, file, count(*) AS n FROM events WHERE source = $1 AND {where} "
        "GROUP BY ALL ORDER BY ALL",
        *values,
    ):
        counts.setdefault(_utc(row["dump_hour"]), {})[row["file"]] = row["n"]
    return counts


def _notes(
    look: _Look,
    table: Table,
    rows: Sequence[Row],
    publication: Row | None,
    dumps: Sequence[DumpHour],
) -> list[str]:
    row = rows[0]
    notes = []
    if publication is None:
        notes.append(
            "no publication of the slice is in the books: a commit that Tidegate did not make?"
        )
    name = _COUNTED.get(table.name)
    if name is not None:
        said = sum(each[name] for each in rows)
        counted = sum(sum(each.events.values()) for each in dumps)
        if row["source"] in look.behind:
            notes.append(
                f"in this release the source's derived tables lag behind its events: the row says "
                f"{said:,} of them, there are {counted:,}"
            )
        elif said != counted:
            notes.append(
                f"the row says {said:,} events, in the table there are {counted:,}: "
                f"{command('verify', row['source'])}"
            )
    if table is ALIASES:
        live = row["live_session_id"]
        notes.append(
            f"its events are in another session now: {command('trace', 'sessions', live)}"
            if live
            else "all of its events are gone"
        )
    return notes


def _utc(value: datetime | date) -> datetime:
    """Return a slice's time; a date is its first hour."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)
