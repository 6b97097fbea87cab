"""Verify: what is published is what the dumps give, row for row.

The dumps are read again and everything is computed from nothing by the pure functions of `tables`: what
publishes and derives step by step has no part in it. Nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from tidegate import engine
from tidegate.dumps import Dumps, fingerprint
from tidegate.errors import TidegateError
from tidegate.hours import hour_text, hours_text
from tidegate.lake import literal, parse_time, slices_where
from tidegate.landing.lines import whole_files
from tidegate.landing.parse import event_columns
from tidegate.ledger import published_landings
from tidegate.steps.derive import lagging
from tidegate.steps.erasures import erased_from
from tidegate.steps.in_force import in_force, is_outdated, outdated_text
from tidegate.steps.land import Dump, parsed
from tidegate.tables import (
    WAREHOUSE,
    Table,
    daily_activity,
    events,
    hourly_activity,
    session_aliases,
    sessions,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tidegate.source import Source
    from tidegate.steps.work import Work

SHOWN = 12
"""Differences of a table that are shown; all are counted."""
_BYTES_A_ROW = 100
_PARTS = 1_000_000
_EVENT_KEY = "coalesce(source_session_id, user_key, event_id)"
_SESSION_KEY = "coalesce(source_session_id, user_key)"
_MEMBERS = "array<struct<event_id:string,event_time:timestamp>>"
_JSON = {
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"
}  # by default the microseconds are cut
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
        column = f"cast(`{table.slice_time}` as timestamp)"
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
        return f"pmod(xxhash64({key}), {_PARTS}) < {int(self.sample * _PARTS)}"


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
        for row in work.lake.rows(
            work.lake.read(table)
            .where(f"coalesce(source not in ({listed}), true)")
            .select("source")
            .distinct()
        )
    ]


class _Verification:
    """The verification of one source."""

    def __init__(self, work: Work, source: Source, scope: Scope) -> None:
        self.work = work
        self.source = source
        self.scope = scope
        self.open: list[str] = []
        self._foreign: dict[str, str | None] = {}
        self._until = ExitStack()
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
        engine.fit(
            self.work.lake.spark,
            sum(f.size for each in whole for f in each.files) // _BYTES_A_ROW,
        )
        with self._until, whole_files(self.work.lake):
            return self._compare_all(whole, hours)

    def _keep(self, frame: DataFrame) -> DataFrame:
        """Have the server keep a DataFrame until the verification is over."""
        self._until.callback(frame.persist().unpersist)
        return frame

    def _compare_all(self, whole: Sequence[Dump], hours: Sequence[datetime]) -> list[Compared]:
        given = self._keep(self._events(whole, hours))
        published = self._of(events.TABLE)
        # What lies outside the range, or can't be read again, is taken as it is published.
        taken = _in(sorted(self._published.keys() - set(hours)))
        users = self.scope.users(_EVENT_KEY)
        out = [
            self._compare(
                events.TABLE,
                given.where(users),
                published.where(f"coalesce(not ({taken}), true)").where(users),
            )
        ]
        if self._is_behind():
            return out
        every = given.unionByName(published.select(*given.columns).where(taken))
        rules = sessions.Rules(gap=self.source.sessions.gap, max=self.source.sessions.max)
        built = self._keep(sessions.sessionize(every.where(users), rules))
        there = self._of(sessions.TABLE).where(self.scope.users(_SESSION_KEY))
        out.append(self._compare(sessions.TABLE, built, there))
        if self.scope.sample >= 1:
            for table, rows in (
                (hourly_activity.TABLE, hourly_activity.build(every)),
                (daily_activity.TABLE, daily_activity.build(every, built)),
            ):
                out.append(self._compare(table, rows, self._of(table)))
            known = self._of(session_aliases.TABLE)
            out.append(
                self._compare(session_aliases.TABLE, self._aliases(known, every, built), known)
            )
        return out

    def _aliases(self, known: DataFrame, every: DataFrame, built: DataFrame) -> DataFrame:
        """Return the aliases that there should be.

        Which ids were ever published no dump can tell: that is taken from the table, as it was before
        somebody else wrote to it. Where they lead is reckoned anew.
        """
        from pyspark.sql import functions as F

        table = session_aliases.TABLE
        foreign = foreign_commits(self.work, table)
        if foreign:
            first = min(row["version"] for row in foreign)
            since = self.work.ledger.publications(
                table, self.source.source, after_version=first - 1
            )
            slices = sorted({each.slice for made in since for each in made.slices})
            again = slices_where(table, self.source.source, slices) if slices else "false"
            before = self.work.lake.read(table, first - 1).where(
                f"source = {literal(self.source.source)}"
            )
            known = known.where(again).unionByName(before.where(f"not ({again})"))
        were_in = known.select(F.explode("events.session_id").alias("session_id")).distinct()
        return session_aliases.build(
            built.join(were_in, "session_id")
            .where("false")
            .withColumn("members", F.lit(None).cast(_MEMBERS)),
            known.join(built.select("session_id"), "session_id", "left_anti"),
            were_in,
            self.work.lake.query(
                session_aliases.members(), self._until, events=every, sessions=built
            ),
            self.source.duplicates.within,
        )

    def _of(self, table: Table) -> DataFrame:
        return self.work.lake.read(table).where(f"source = {literal(self.source.source)}")

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
            return "it was landed by another configuration: tidegate rebuild events"
        if dump.fingerprint != landing["fingerprint"]:
            name, hour = self.source.source, dump.hour
            latest = self.work.ledger.landings(name, (hour, hour), landing["configuration"]).get(
                hour
            )
            if latest is not None and latest["landing_id"] != landing["landing_id"]:
                return "a newer landing of it is held: tidegate held"
            return "its files have changed since it was landed: land it again"
        return None

    def _events(self, whole: Sequence[Dump], hours: Sequence[datetime]) -> DataFrame:
        """Return the events that the dumps give for some hours."""
        from pyspark.sql import functions as F

        from tidegate.steps.work import new_id

        columns = list(event_columns(self.source))
        erased = erased_from(self.work, self.source.source)
        lines = self._keep(
            parsed(self.work, self.source, self._dumps, whole, erased)
            .where("_outcome = 'event'")
            # The server knows what it keeps by its plan, and the same paths make the same plan: without
            # a mark of its own, this would be what an earlier verification read of them.
            .where(f"{literal(new_id())} is not null")
            .select(*columns)
        )
        if self.source.fields.event_id is None:
            return lines.where(_in(hours))
        place = ["dump_hour", "file", "line"]
        ids = lines.select("event_id", *place)
        lake = self.work.lake
        left_out = lake.query(events.withheld(self.source.duplicates.within), self._until, ids=ids)
        return (
            lines.where(_in(hours))
            .join(
                F.broadcast(lake.query(events.REPEATS, self._until, staged=ids)), place, "left_anti"
            )
            .join(left_out, ["dump_hour", "event_id"], "left_anti")
            .select(*columns)
        )

    def _is_behind(self) -> bool:
        """Return whether derived tables have not consumed all that is published; say so if they have not."""
        name = self.source.source
        late = [
            table for of in (events.TABLE, sessions.TABLE) for table in lagging(self.work, name, of)
        ]
        if late:
            self.open.append(
                f"{name}: {', '.join(dict.fromkeys(late))} lag behind what is published: "
                "run tidegate derive, or see tidegate held"
            )
        return bool(late)

    # -- comparing ------------------------------------------------------------------------------

    def _compare(self, table: Table, given: DataFrame, published: DataFrame) -> Compared:
        """Compare rows as sets with repetitions, all columns, whatever their order."""
        from pyspark.sql import functions as F

        self.work.tell(f"comparing {table.name} of {self.source.source}")
        names = sorted({*given.columns, *published.columns})
        where = self.scope.where(table)

        def rows(frame: DataFrame, sign: int) -> DataFrame:
            whole = F.struct(
                *((F.col(f"`{n}`") if n in frame.columns else F.lit(None)).alias(n) for n in names)
            )
            return frame.where(where).select(
                F.col(table.slice_time).cast("timestamp").alias("slice"),
                F.to_json(F.struct(*table.key), _JSON).alias("key"),
                # Columns that a source has not got are absent from both sides alike.
                F.to_json(whole, _JSON).alias("row"),
                F.lit(sign).alias("sign"),
            )

        both = rows(given, 1).unionByName(rows(published, -1))
        summed = self._keep(both.groupBy("slice", "key", "row").agg(F.sum("sign").alias("n")))
        unequal = (
            summed.where("n != 0")
            .groupBy("slice", "key")
            .agg(
                F.max(F.expr("if(n > 0, row, null)")).alias("given"),
                F.max(F.expr("if(n < 0, row, null)")).alias("published"),
            )
        )
        differing = unequal.count()
        shown = unequal.orderBy("slice", "key").limit(SHOWN) if differing else None
        return Compared(
            table.name,
            self.source.source,
            given.where(where).count(),
            differing,
            tuple(self._difference(table, row) for row in self._rows(shown)),
        )

    def _rows(self, frame: DataFrame | None) -> Iterable[Mapping[str, Any]]:
        return () if frame is None else self.work.lake.rows(frame)

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


_OWN = ("CREATE TABLE", "ADD COLUMNS", "SET TBLPROPERTIES", "CHANGE COLUMN", "OPTIMIZE", "VACUUM")


def foreign_commits(work: Work, table: Table) -> list[Mapping[str, Any]]:
    """Return the commits to a table that have no record of a publication, newest first."""
    history = work.lake.rows(
        work.lake.spark.sql(f"DESCRIBE HISTORY delta.`{work.lake.path(table)}`").selectExpr(
            "version", "timestamp", "operation", "userMetadata"
        )
    )
    return [
        row
        for row in history
        if '"tidegate"' not in (row["userMetadata"] or "")
        and not any(row["operation"].startswith(own) for own in _OWN)
    ]


def _foreign_text(work: Work, table: Table) -> str | None:
    """Return in words what the commits were that Tidegate did not make."""
    foreign = [
        f"version {row['version']} ({row['operation']}, {row['timestamp']})"
        for row in foreign_commits(work, table)
    ]
    if not foreign:
        return None
    return f"not made by Tidegate: {', '.join(foreign[:3])} of {table.area}/{table.name}"


def _in(hours: Sequence[datetime]) -> str:
    if not hours:
        return "false"
    return f"dump_hour in ({', '.join(literal(hour) for hour in hours)})"


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
