"""Verify: what is published is what the dumps give, row for row.

The dumps are read again and everything is computed from nothing by the pure functions of `tables`: what
publishes and derives step by step has no part in it. Nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from tidegate.common.errors import TidegateError
from tidegate.common.hints import command, source_word
from tidegate.common.hours import hour_text, hours_text
from tidegate.common.sql_quoting import quoted
from tidegate.dumps.dumps import Dumps, fingerprint
from tidegate.lake import Rows, Staged, literal, parse_time, slices_where
from tidegate.lake.ledger import published_landings
from tidegate.lake.reader import fill_in
from tidegate.lake.table_refs import At
from tidegate.landing.columns import event_columns
from tidegate.pipeline.context.effective_config import in_force, is_outdated, outdated_text
from tidegate.pipeline.context.erasures import erased_from
from tidegate.pipeline.derive.pending import lagging
from tidegate.pipeline.ingest.land import Dump, land_into
from tidegate.tables import (
    WAREHOUSE,
    Table,
    events,
    session_aliases,
    sessions,
)
from tidegate.tables.types import duckdb_type

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.lake.actions import Commit
    from tidegate.pipeline.context.run_context import Work

SHOWN = 12
"""Differences of a table that are shown; all are counted."""
_EVENT_KEY = "coalesce(source_session_id, user_key, event_id)"
_SESSION_KEY = "coalesce(source_session_id, user_key)"
_HASHES = 1 << 32
"""How many values the first eight hexadecimal digits of a hash have."""
Kind = Literal["changed", "missing", "extra"]


@dataclass(frozen=True)
class Difference:
    """A row that is not what the dumps give.

    Attributes:
        table: where.
        source: whose.
        slice: its slice.
        key: what identifies the row.
        kind: changed; missing (the dumps give it, the table has it not); extra (the other way).
        columns: what differs: column → (published, given by the dumps); of a changed row only.
        cause: what explains it, as far as the ledger knows.
    """

    table: str
    source: str
    slice: datetime
    key: str
    kind: Kind
    columns: Mapping[str, tuple[Any, Any]]
    cause: str | None

    def describe(self) -> str:
        """Return it in a line or two."""
        text = f"{self.table} {self.source} {hour_text(self.slice)} {self.key}: {self.kind}"
        for name, (published, given) in self.columns.items():
            text += f"\n    {name}: published {_short(published)}, the dumps give {_short(given)}"
        return text


@dataclass(frozen=True)
class Compared:
    """One table of one source: rows that the dumps give, rows that differ, some of those."""

    table: str
    source: str
    rows: int
    differing: int
    shown: tuple[Difference, ...]


@dataclass(frozen=True)
class Verified:
    """What a verification came to.

    Attributes:
        compared: by source and table.
        open: what could not be compared, and why.
    """

    compared: tuple[Compared, ...]
    open: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether everything was compared, and nothing differs."""
        return not self.open and not any(each.differing for each in self.compared)


@dataclass(frozen=True)
class Scope:
    """What is compared.

    Attributes:
        first: slices from this hour on; all if None.
        last: up to this hour, inclusive.
        sample: the share of users whose events and sessions are compared; 1 for all. Aggregates are
            compared for all users only.
    """

    first: datetime | None = None
    last: datetime | None = None
    sample: float = 1.0

    def takes(self, hour: datetime) -> bool:
        """Return whether a slice is compared."""
        return (self.first is None or hour >= self.first) and (
            self.last is None or hour <= self.last
        )

    def where(self, table: Table) -> str:
        """Return the predicate of the slices compared."""
        column = f"CAST({table.slice_time} AS TIMESTAMPTZ)"
        first, last = self.first, self.last
        if table.slice_time == "date" and first is not None:
            first = first.replace(hour=0)
        parts = [
            f"{column} >= {literal(first)}" if first is not None else "",
            f"{column} <= {literal(last)}" if last is not None else "",
        ]
        return " and ".join(part for part in parts if part) or "true"

    def users(self, key: str) -> str:
        """Return the predicate of the users compared, by what ties their rows together."""
        if self.sample >= 1:
            return "true"
        return f"left(sha256({key}), 8) < '{int(self.sample * _HASHES):08x}'"


def verify(
    work: Work, sources: Sequence[Source], scope: Scope | None = None, *, alone: bool = False
) -> Verified:
    """Compare what is published of some sources with what their dumps give.

    Args:
        work: where.
        sources: whose tables.
        scope: which slices and users; all by default.
        alone: whether other sources' rows are none of its business; else a row of a source that is
            not among `sources` is told.

    Raises:
        TidegateError: the dumps can't be listed.
    """
    work.ledger.refresh()
    compared: list[Compared] = []
    unsettled = [] if alone else _unknown(work, {source.source for source in sources})
    for source in sources:
        found = _Verification(work, in_force(work, source, tell=True), scope or Scope())
        compared += found.run()
        unsettled += found.open
    return Verified(tuple(compared), tuple(unsettled))


def _unknown(work: Work, known: Set[str]) -> list[str]:
    """Return of which sources there are rows but no source files."""
    listed = ", ".join(map(literal, sorted(known))) or "''"
    return [
        f"warehouse/{table.name} has rows of {row['source']!r}, which has no source file"
        for table in WAREHOUSE
        for row in work.lake.book(
            table, f"coalesce(source NOT IN ({listed}), true)", ("DISTINCT source",)
        )
    ]


class _Verification:
    """The verification of one source."""

    def __init__(self, work: Work, source: Source, scope: Scope) -> None:
        from tidegate.pipeline.context.run_context import new_id

        self.work = work
        self.source = source
        self.scope = scope
        self.open: list[str] = []
        self._foreign: dict[str, str | None] = {}
        self._place = work.lake.staging("verify", source.source, new_id())
        self._dumps = Dumps(source, work.settings.s3, work.settings.dumps)
        self._published = published_landings(work.ledger.publications(events.TABLE, source.source))

    def run(self) -> list[Compared]:
        """Compare all tables."""
        if not self._published:
            return []
        self.open += [
            outdated_text(self.work, self.source, table)
            for table in WAREHOUSE
            if is_outdated(self.work, self.source, table)
        ]
        wanted = [hour for hour in sorted(self._published) if self.scope.takes(hour)]
        whole = self._whole_dumps(wanted)
        hours = [each.hour for each in whole if self.scope.takes(each.hour)]
        self.work.tell(f"reading the dumps of {self.source.source} {hours_text(hours)} again")
        try:
            return self._compare_all(whole, hours)
        finally:
            self.work.lake.discard(self._place)

    def _compare_all(self, whole: Sequence[Dump], hours: Sequence[datetime]) -> list[Compared]:
        given = self._events(whole, hours)
        published = self._of(events.TABLE)
        # What lies outside the range, or can't be read again, is taken as it is published.
        taken = _in(sorted(self._published.keys() - set(hours)))
        users = self.scope.users(_EVENT_KEY)
        out = [
            self._compare(
                events.TABLE,
                (given, users),
                (published, f"coalesce(not ({taken}), true) AND {users}"),
            )
        ]
        if self._is_behind():
            return out
        columns = ", ".join(event_columns(self.source))
        every = self._build(
            "every",
            f"SELECT {columns} FROM {{given}} UNION ALL "
            f"SELECT {columns} FROM {{published}} WHERE {self._mine} AND {taken}",
            event_columns(self.source),
            given=given,
            published=published,
        )
        rules = sessions.Rules(gap=self.source.sessions.gap, max=self.source.sessions.max)
        built = self._build(
            "sessions",
            fill_in(
                sessions.sessionize(rules), {"events": f"(SELECT * FROM {{every}} WHERE {users})"}
            ),
            sessions.TABLE.types,
            every=every,
        )
        there = (self._of(sessions.TABLE), self.scope.users(_SESSION_KEY))
        out.append(self._compare(sessions.TABLE, (built, "true"), there))
        if self.scope.sample >= 1:
            inputs = {events.TABLE.name: every, sessions.TABLE.name: built}
            for table in WAREHOUSE:
                if table.aggregate is None:
                    continue
                read = {part.table: inputs[part.table] for part in table.aggregate.inputs}
                rows = self._build(table.name, table.aggregate.query, table.types, **read)
                out.append(self._compare(table, (rows, "true"), (self._of(table), "true")))
            aliases = self._aliases(every, built)
            there = (self._of(session_aliases.TABLE), "true")
            out.append(self._compare(session_aliases.TABLE, (aliases, "true"), there))
        return out

    def _aliases(self, every: Staged, built: Staged) -> Staged:
        """Return the aliases that there should be.

        Which ids were ever published no dump can tell: that is taken from the table, as it was before
        another program wrote to it. Where they lead is computed.
        """
        table = session_aliases.TABLE
        of: dict[str, At | Staged] = {"now": self._of(table), "every": every, "built": built}
        # By name: a version without files has its columns in another order.
        columns = ", ".join(table.column_names)
        known = f"SELECT {columns} FROM {{now}} WHERE {self._mine}"
        foreign = foreign_commits(self.work, table)
        if foreign:
            first = min(commit.version for commit in foreign)
            since = self.work.ledger.publications(
                table, self.source.source, after_version=first - 1
            )
            slices = sorted({each.slice for made in since for each in made.slices})
            again = slices_where(table, self.source.source, slices) if slices else "false"
            of["before"] = At(table, first - 1, source=self.source.source)
            known = (
                f"{known} AND {again} UNION ALL "
                f"SELECT {columns} FROM {{before}} WHERE {self._mine} AND NOT ({again})"
            )
        lost = f"(SELECT {', '.join(session_aliases.ABOUT)} FROM {{built}} WHERE false)"
        were = (
            "(SELECT session_id, CAST(NULL AS VARCHAR) AS event_id, CAST(NULL AS BIGINT) AS t "
            "FROM {built} WHERE false)"
        )
        led_to = (
            "(SELECT DISTINCT e.session_id AS session_id "
            f"FROM (SELECT unnest(events) AS e FROM ({known}) k) u)"
        )
        texts = {
            "lost": lost,
            "were": were,
            "known": f"(SELECT * FROM ({known}) k WHERE session_id NOT IN (SELECT session_id FROM {{built}}))",
            "replaced": led_to,
            "moved": "({})".format(
                fill_in(session_aliases.members(), {"events": "{every}", "sessions": "{built}"})
            ),
        }
        query = fill_in(session_aliases.build(self.source.duplicates.within), texts)
        return self._build(table.name, query, table.types, **of)

    @property
    def _mine(self) -> str:
        return f"source = {literal(self.source.source)}"

    def _of(self, table: Table) -> At:
        return self.work.at(table, self.source.source)

    def _build(self, name: str, query: str, columns: Mapping[str, str], **of: Rows) -> Staged:
        place = self.work.lake.own(f"{self._place}/{name}")
        return self.work.lake.build(query, place, columns, **of)

    def _whole_dumps(self, wanted: Sequence[datetime]) -> list[Dump]:
        """Return the dumps to read again: of the hours wanted, and of those that decide duplicates."""
        if not wanted:
            return []
        reach = wanted[0] - self.source.duplicates.within
        near = {
            hour: str(record.landing_id)
            for hour, (record, _) in sorted(self._published.items())
            if reach <= hour <= wanted[-1]
        }
        landings = self.work.ledger.landings_by_id(near.values())
        found = []
        for hour, landing_id in near.items():
            files = tuple(self._dumps.files(hour))
            dump = Dump(hour, files, fingerprint(files))
            why = self._unusable(dump, landings.get(landing_id))
            if why is None:
                found.append(dump)
            else:
                self.open.append(f"{self.source.source} {hour_text(hour)}: {why}")
        return found

    def _unusable(self, dump: Dump, landing: Mapping[str, Any] | None) -> str | None:
        """Return why what was published of an hour can't be made again from its dump, if it can't."""
        if landing is None:
            return "the ledger names a landing that ops/landings does not have"
        if not dump.files and landing["files"]:
            return "its files are gone: what is published was made of " + ", ".join(
                each["name"] for each in landing["files"]
            )
        if landing["configuration"] != self.work.fingerprint(self.source, events.TABLE):
            again = command("rebuild", "events", source_word(self.source.source))
            return f"it was landed by another configuration: {again}"
        if dump.fingerprint != landing["fingerprint"]:
            name, hour = self.source.source, dump.hour
            latest = self.work.ledger.landings(name, (hour, hour), landing["configuration"]).get(
                hour
            )
            if latest is not None and latest["landing_id"] != landing["landing_id"]:
                return f"a newer landing of it is held: {command('held')}"
            return "its files have changed since it was landed: land it again"
        return None

    def _events(self, whole: Sequence[Dump], hours: Sequence[datetime]) -> Staged:
        """Return the events that the dumps give for some hours."""
        columns = event_columns(self.source)
        erased = erased_from(self.work, self.source.source)
        lines = land_into(
            self.work,
            self.source,
            self._dumps,
            whole,
            erased,
            self.work.lake.own(f"{self._place}/lines"),
        )
        query = f"SELECT {', '.join(f'e.{name}' for name in columns)} FROM {{lines}} e"
        of: dict[str, Any] = {"lines": lines}
        if self.source.fields.event_id is not None:
            place = {"dump_hour": "timestamp", "file": "string", "line": "bigint"}
            ids = {"dump_hour": "timestamp", "event_id": "string"}
            of["repeats"] = self._build(
                "repeats", fill_in(events.REPEATS, {"staged": "{lines}"}), place, lines=lines
            )
            withheld = events.withheld(
                self.source.duplicates.within, "SELECT dump_hour, event_id FROM {lines}"
            )
            of["withheld"] = self._build("withheld", withheld, ids, lines=lines)
            query += (
                " ANTI JOIN {repeats} r ON e.dump_hour = r.dump_hour AND e.file = r.file AND e.line = r.line"
                " ANTI JOIN {withheld} w ON e.dump_hour = w.dump_hour AND e.event_id = w.event_id"
            )
        return self._build("events", f"{query} WHERE {_in(hours, 'e.')}", columns, **of)

    def _is_behind(self) -> bool:
        """Return whether derived tables have not consumed all that is published; say so if they have not."""
        name = self.source.source
        late = [
            table for of in (events.TABLE, sessions.TABLE) for table in lagging(self.work, name, of)
        ]
        if late:
            self.open.append(
                f"{name}: {', '.join(dict.fromkeys(late))} lag behind what is published: "
                f"run {command('derive')}, or see {command('held')}"
            )
        return bool(late)

    # -- comparing ------------------------------------------------------------------------------

    def _compare(
        self, table: Table, given: tuple[Staged, str], published: tuple[At, str]
    ) -> Compared:
        """Compare rows as sets with repetitions, all columns, whatever their order.

        Args:
            table: the table.
            given: what the dumps give, and the predicate of the rows compared.
            published: the same of what is published.
        """
        self.work.tell(f"comparing {table.name} of {self.source.source}")
        there = self.work.lake.columns(table)
        where = self.scope.where(table)
        # Columns that a source has not got are absent from what the dumps give.
        values = {
            name: f"CAST({quoted(name) if name in given[0].columns else 'NULL'} "
            f"AS {duckdb_type(kind)}) AS {quoted(name)}"
            for name, kind in there.items()
        }
        compared, rows = _compared(there)
        expected = (
            f"SELECT {compared} FROM (SELECT {', '.join(values.values())} FROM {{given}} "
            f"WHERE ({where}) AND {given[1]}) typed"
        )
        found = (
            f"SELECT {compared} FROM {{published}} "
            f"WHERE {self._mine} AND ({where}) AND {published[1]}"
        )
        key = ", ".join(f"{name} := {name}" for name in table.key)
        unequal = self._build(
            f"{table.name}-unequal",
            f"""
            WITH given AS ({expected}), published AS ({found}),
            differing AS (
                SELECT *, true AS is_given FROM (SELECT * FROM given EXCEPT ALL SELECT * FROM published) g
                UNION ALL
                SELECT *, false AS is_given FROM (SELECT * FROM published EXCEPT ALL SELECT * FROM given) p
            )
            SELECT CAST({table.slice_time} AS TIMESTAMPTZ) AS slice,
                CAST(to_json(struct_pack({key})) AS VARCHAR) AS key,
                max(CASE WHEN is_given THEN CAST(to_json(struct_pack({rows})) AS VARCHAR) END) AS given,
                max(CASE WHEN NOT is_given THEN CAST(to_json(struct_pack({rows})) AS VARCHAR) END) AS published
            FROM differing GROUP BY 1, 2""",
            {"slice": "timestamp", "key": "string", "given": "string", "published": "string"},
            given=given[0],
            published=published[0],
        )
        [counted] = self.work.lake.look(
            "SELECT (SELECT count(*) FROM {unequal}) AS differing, "
            f"(SELECT count(*) FROM {{given}} WHERE ({where}) AND {given[1]}) AS n",
            unequal=unequal,
            given=given[0],
        )
        shown = self.work.lake.look(
            f"SELECT * FROM {{unequal}} ORDER BY slice, key LIMIT {SHOWN}", unequal=unequal
        )
        return Compared(
            table.name,
            self.source.source,
            counted["n"],
            counted["differing"],
            tuple(self._difference(table, row) for row in shown),
        )

    def _difference(self, table: Table, row: Mapping[str, Any]) -> Difference:
        given = json.loads(row["given"]) if row["given"] else {}
        published = json.loads(row["published"]) if row["published"] else {}
        kind: Kind = "changed" if given and published else "missing" if given else "extra"
        key = json.loads(row["key"])
        return Difference(
            table=table.name,
            source=self.source.source,
            slice=parse_time(row["slice"]),
            key=", ".join(f"{n}={v}" for n, v in key.items() if n not in ("source", *table.slice)),
            kind=kind,
            columns={
                name: (published.get(name), given.get(name))
                for name in sorted({*given, *published})
                if published.get(name) != given.get(name)
            }
            if kind == "changed"
            else {},
            cause=self._cause(table),
        )

    def _cause(self, table: Table) -> str | None:
        """Return which commits of a table were not made by Tidegate, if there are any."""
        if table.name not in self._foreign:
            self._foreign[table.name] = _foreign_text(self.work, table)
        return self._foreign[table.name]


_OWN = ("CREATE TABLE", "ADD COLUMN", "SET TBLPROPERTIES", "CHANGE COLUMN", "OPTIMIZE", "VACUUM")


def foreign_commits(work: Work, table: Table) -> list[Commit]:
    """Return the commits to a table that have no record of a publication, newest first."""
    return [
        commit
        for commit in work.lake.commits(table)
        if '"tidegate"' not in (commit.user_metadata or "")
        and not any(commit.operation.startswith(own) for own in _OWN)
    ]


def _compared(columns: Mapping[str, str]) -> tuple[str, str]:
    """Return as SQL the columns of rows that are compared, and the members of a struct that shows such a row.

    Maps have no order, and Spark has no set operations on them: their sorted entries are compared.

    Args:
        columns: of the table, with their types.
    """
    compared, shown = [], []
    for column, kind in columns.items():
        name = quoted(column)
        is_map = kind.startswith("map<")
        compared.append(f"list_sort(map_entries({name})) AS {name}" if is_map else name)
        shown.append(f"{name} := " + (f"map_from_entries({name})" if is_map else name))
    return ", ".join(compared), ", ".join(shown)


def _foreign_text(work: Work, table: Table) -> str | None:
    """Return in words what the commits were that Tidegate did not make."""
    foreign = [
        f"version {commit.version} ({commit.operation}, {commit.timestamp:%Y-%m-%dT%H:%M:%SZ})"
        for commit in foreign_commits(work, table)
    ]
    if not foreign:
        return None
    return f"not made by Tidegate: {', '.join(foreign[:3])} of {table.area}/{table.name}"


def _in(hours: Sequence[datetime], of: str = "") -> str:
    if not hours:
        return "false"
    return f"{of}dump_hour IN ({', '.join(map(literal, hours))})"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"


def parse_sample(text: str) -> float:
    """Return a share such as `0.1` or `1/10`.

    Raises:
        TidegateError: it is not above 0 and at most 1.
    """
    above, _, below = text.partition("/")
    try:
        share = float(above) / float(below or "1")
    except (ValueError, ZeroDivisionError):
        share = 0.0
    if not 0 < share <= 1:
        raise TidegateError(
            "not a share of users", expected="such as 0.1 or 1/10", got=repr(text), todo="mend it"
        )
    return share
