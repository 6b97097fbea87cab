"""The ledger: what was published, from what, and what has not been consumed yet.

The truth is in the commits: each publication's Delta commit carries its whole record. The rows of
`ops/publications` are written after them, and repaired from them wherever a kill came between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tidegate.common.errors import TidegateError
from tidegate.lake import Lake, Row, Rows, Slices, literal, parse_time
from tidegate.lake.table_refs import At
from tidegate.tables import Table
from tidegate.tables.system_tables import LANDINGS, PUBLICATIONS

_ATTEMPTS = 20
_COMMITS = 4
"""How many of a table's last commits are looked at first; each costs a read of its file."""


@dataclass(frozen=True)
class SliceRecord:
    """A slice of a publication: rows put in, and candidate rows withheld as duplicates of other dumps."""

    slice: datetime
    rows: int
    landing_id: str | None = None
    duplicates: int = 0


@dataclass(frozen=True)
class Publication:
    """A publication, as its commit and its row in the ledger hold it. See `tables.books`."""

    publication_id: str
    table_name: str
    source: str
    sequence: int
    slices: tuple[SliceRecord, ...]
    rows: int
    event_hours: tuple[datetime, ...]
    inputs: tuple[str, ...]
    input_versions: dict[str, int]
    audit_ids: tuple[str, ...]
    configuration: str
    code_version: int
    suite: str
    run_id: str
    published_at: datetime
    renames: bool = False
    delta_version: int = -1

    def audit_of(self, slice_: datetime) -> str | None:
        """Return the id of the audit of a slice of events; ids come in the order of slices, then approvals."""
        for each, audit_id in zip(self.slices, self.audit_ids, strict=False):
            if each.slice == slice_:
                return audit_id
        return None

    def is_near(self, first: datetime, last: datetime) -> bool:
        """Return whether its slices reach into a range of times, both included."""
        times = [each.slice for each in self.slices]
        return bool(times) and max(times) >= first and min(times) <= last

    @property
    def row(self) -> Row:
        """The ledger's row."""
        times = [each.slice for each in self.slices]
        return {
            **asdict(self),
            "slice_min": min(times) if times else None,
            "slice_max": max(times) if times else None,
            "event_dates": sorted({hour.astimezone(UTC).date() for hour in self.event_hours}),
        }


def publication_of(row: Row) -> Publication:
    """Return the publication of a ledger row, or of a commit's record, as JSON gives it."""
    known = {
        name: row[name]
        for name in Publication.__dataclass_fields__
        if name in row and row[name] is not None
    }
    known["slices"] = tuple(
        SliceRecord(**{**each, "slice": parse_time(each["slice"])}) for each in row["slices"]
    )
    known["event_hours"] = tuple(parse_time(hour) for hour in row["event_hours"])
    known["inputs"] = tuple(row.get("inputs") or ())
    known["audit_ids"] = tuple(row.get("audit_ids") or ())
    known["input_versions"] = dict(row.get("input_versions") or {})
    known["published_at"] = parse_time(row["published_at"])
    return Publication(**known)


class Ledger:
    """The ledger of a lake, as it was when it was last refreshed.

    What is read may be out of date by the time something is published: the commit then loses its
    number to the faster one (see `publish`), and its maker refreshes and looks again.
    """

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._books: dict[str, _Book] = {}
        self._rows: dict[str, _Book] = {}
        """What was read of tables' rows, and not yet held against their commits."""
        self._late: _Late | None = None

    def apart(self) -> Ledger:
        """Return a ledger that knows what this one has read, for another thread."""
        other = Ledger(self.lake)
        other._books.update(self._books)
        other._late = self._late
        return other

    @contextmanager
    def rows_beside(self) -> Iterator[None]:
        """Within the block, rows of publications are written beside what goes on; at its end they are there.

        That holds for ledgers apart too. What was published is known from its commit meanwhile.
        """
        with ThreadPoolExecutor(max_workers=1) as pool:
            self._late = late = _Late(pool)
            try:
                yield
            finally:
                self._late = None
        for each in late.writing:
            each.result()

    def refresh(self) -> None:
        """Forget what was read, so that the next look is a fresh one."""
        self._books.clear()
        self._rows.clear()

    # -- reading --------------------------------------------------------------------------------

    def publications(
        self,
        table: Table,
        source: str | None = None,
        *,
        after_version: int = -1,
        upto_version: int | None = None,
        slices: tuple[datetime, datetime] | None = None,
    ) -> list[Publication]:
        """Return publications in the order of their commits.

        Args:
            table: the table published to.
            source: only this source's.
            after_version: only those whose commit came after this version of the table.
            upto_version: only those whose commit made this version or an earlier one.
            slices: only those with a slice in this range, both inclusive.
        """
        book = self._book(table)
        if after_version >= book.version:
            return []
        if after_version >= book.since:
            found: Iterable[Publication] = book.recent
        else:
            where = [_of(table), f"delta_version > {after_version}"]
            if upto_version is not None:
                where.append(f"delta_version <= {upto_version}")
            if source is not None:
                where.append(f"source = {literal(source)}")
            if slices is not None:
                first, last = map(literal, slices)
                where.append(f"slice_max >= {first} and slice_min <= {last}")
            rows = self.lake.book(PUBLICATIONS, " and ".join(where))
            # Of the recent ones a row may still be being written.
            found = [*map(publication_of, rows), *book.recent]
        # A row may be there twice, where two repaired it at once.
        unique = {
            each.publication_id: each
            for each in found
            if each.delta_version > after_version
            and (upto_version is None or each.delta_version <= upto_version)
            and source in (None, each.source)
            and (slices is None or each.is_near(*slices))
        }
        return sorted(unique.values(), key=lambda each: each.delta_version)

    def numbered(self, table: Table, source: str, sequence: int) -> Publication:
        """Return the publication of a source in a table that has this number.

        Raises:
            LookupError: there is none.
        """
        for each in self._book(table).recent:
            if (each.source, each.sequence) == (source, sequence):
                return each
        mine = f"{_of(table)} and source = {literal(source)} and sequence = {sequence}"
        for row in self.lake.book(PUBLICATIONS, mine):
            return publication_of(row)
        raise LookupError(f"publication {sequence} of {source} in {table.name}")

    def last(self, table: Table, source: str) -> Publication | None:
        """Return the latest publication of a source in a table, or None."""
        return self._book(table).last.get(source)

    def lasts(self, table: Table) -> Mapping[str, Publication]:
        """Return the latest publication of each source in a table."""
        return self._book(table).last

    def landings(
        self,
        source: str,
        hours: tuple[datetime, datetime] | None = None,
        configuration: str | None = None,
    ) -> dict[datetime, Row]:
        """Return the latest landing of each hour of a source: hour → row of `ops/landings`.

        Args:
            source: whose.
            hours: only this range, both inclusive.
            configuration: only landings by this one.
        """
        where = [f"source = {literal(source)}"]
        if hours is not None:
            where.append(f"dump_hour between {literal(hours[0])} and {literal(hours[1])}")
        if configuration is not None:
            where.append(f"configuration = {literal(configuration)}")
        latest: dict[datetime, Row] = {}
        for row in sorted(
            self.lake.book(LANDINGS, " and ".join(where)),
            key=lambda row: (parse_time(row["landed_at"]), row["landing_id"]),
        ):
            latest[parse_time(row["dump_hour"])] = row
        return latest

    def landings_by_id(self, ids: Iterable[str]) -> dict[str, Row]:
        """Return rows of `ops/landings` by landing id."""
        wanted = ", ".join(literal(each) for each in sorted(set(ids)))
        if not wanted:
            return {}
        found = self.lake.book(LANDINGS, f"landing_id in ({wanted})")
        return {row["landing_id"]: row for row in found}

    def latest(self, table: Table) -> int:
        """Return the latest version of a table."""
        return self._book(table).latest

    def same_rows(self, table: Table, source: str, version: int) -> int:
        """Return the newest version of a table at which a source's rows are as they were at a version.

        A source may be quiet for long, while others publish. What is read of it is read at the newest
        version that will do, since those of long ago are not kept (`steps.maintain`).
        """
        book = self._book(table)
        last = book.last.get(source)
        if last is None or last.delta_version <= version:
            return max(version, book.latest)
        following = self.publications(table, source, after_version=version)
        return following[0].delta_version - 1

    # -- writing --------------------------------------------------------------------------------

    def publish(
        self,
        table: Table,
        publication: Publication,
        query: str,
        columns: Mapping[str, str],
        slices: Slices,
        **of: Rows,
    ) -> bool:
        """Commit a publication and write its row; return whether it was ours that got its number.

        False means that another publication of this source to this table came in between: what was to be
        published has to be planned again.

        Args:
            table: where.
            publication: its record.
            query: of the rows, as `Lake.publish` takes it, with what it reads in `of`.
            columns: of the rows, with their types.
            slices: what is replaced.
            of: what the query reads, by name.
        """
        book = self._book(table)
        self.lake.publish(
            table,
            query,
            columns,
            slices,
            record={"tidegate": publication.row},
            app=_app(table, publication.source),
            number=publication.sequence,
            **of,
        )
        commits = self.lake.history(table, _COMMITS)
        records = [(version, _record(text)) for version, text in commits]
        mine = [
            version
            for version, record in records
            if record and record["publication_id"] == publication.publication_id
        ]
        if not mine:
            self.refresh()
            return self._is_recorded(table, publication)
        made = replace(publication, delta_version=mine[0])
        # The row may lose to another writer's: then it is repaired from the commit.
        if min(version for version, _ in commits) <= book.version + 1:
            new = [version for version, record in records if record and version > book.version]
            if self._late is not None and new == mine == [commits[0][0]]:
                self._books[table.name] = book.followed_by(made)
                self._late.add(made, self._append, table, book, records)
                return True
            self._append(table, book, records)
        self._books.pop(table.name, None)
        if self._late is not None:
            self._late.made.append(made)
        return True

    def _is_recorded(self, table: Table, publication: Publication) -> bool:
        """Return whether a publication's commit is among all of its table's; slow, rarely asked."""
        self._book(table)
        mine = f"{_of(table)} and publication_id = {literal(publication.publication_id)}"
        return bool(self.lake.book(PUBLICATIONS, mine))

    # -- repair ---------------------------------------------------------------------------------

    def _book(self, table: Table) -> _Book:
        """Return what was last read of a table's publications; missing rows are written first."""
        if table.name not in self._books:
            for _ in range(_ATTEMPTS):
                if table.name not in self._rows:  # that of all tables costs no more
                    self._rows = self._read()
                book = self._rows.pop(table.name, _Book())
                commits = self.lake.history(table, _COMMITS)
                latest = commits[0][0]
                book = replace(book, latest=latest)
                if latest <= book.version:
                    break
                if commits[-1][0] > book.version + 1:
                    commits = self.lake.history(table, latest - book.version)
                records = [(version, _record(text)) for version, text in commits]
                if not self._append(table, book, records):
                    break
            else:
                raise TidegateError(
                    "the ledger's rows can't be written",
                    where=self.lake.path(PUBLICATIONS),
                    expected="to be the only writer, or to win within a few tries",
                    got=f"{_ATTEMPTS} tries that others were faster at",
                    todo="look for another program that writes this lake",
                )
            self._books[table.name] = book
        return self._followed(table)

    def _followed(self, table: Table) -> _Book:
        """Return what is known of a table's publications, with what other threads published since."""
        book = self._books[table.name]
        for made in self._late.made if self._late else ():
            if made.table_name == table.name and made.delta_version > book.version:
                if made.delta_version != book.latest + 1:  # others' came in between
                    del self._books[table.name]
                    return self._book(table)
                book = book.followed_by(made)
        self._books[table.name] = book
        return book

    def _append(self, table: Table, book: _Book, records: Sequence[tuple[int, Row | None]]) -> bool:
        """Write rows for the commits that `book` lacks; return whether there were any."""
        rows = [
            {**record, "delta_version": version}
            for version, record in sorted(records, key=lambda each: each[0])
            if record is not None and version > book.version
        ]
        if rows:
            self.lake.append_next(PUBLICATIONS, rows, f"ledger/{table.name}", book.written + 1)
        return bool(rows)

    def _read(self) -> dict[str, _Book]:
        """Read by table the last publications, and how far the rows reach."""
        by_table: dict[str, list[Row]] = {}
        for row in self.lake.look(_LAST, book=At(PUBLICATIONS)):
            by_table.setdefault(row["table_name"], []).append(row)
        out = {}
        for name, rows in by_table.items():
            found = sorted(map(publication_of, rows), key=lambda each: each.sequence)
            reach = rows[0]["reach"]
            out[name] = _Book(
                version=reach,
                written=rows[0]["written"],
                last={each.source: each for each in found},
                recent=tuple(each for each in found if each.delta_version > reach - _RECENT),
                since=reach - _RECENT,
            )
        return out


_RECENT = 8
"""How many versions of a table are read with the last one: what an hour's steps ask for."""
_LAST = f"""
    WITH book AS (SELECT * FROM {{book}}),
    newest AS (
        SELECT table_name, source, max(sequence) AS newest FROM book GROUP BY table_name, source
    ),
    whole AS (
        SELECT table_name, max(delta_version) AS reach, count(DISTINCT publication_id) AS written
        FROM book GROUP BY table_name
    )
    SELECT b.*, w.reach, w.written
    FROM book b
    JOIN newest n ON b.table_name = n.table_name AND b.source = n.source
    JOIN whole w ON b.table_name = w.table_name
    WHERE b.sequence = n.newest OR b.delta_version > w.reach - {_RECENT}"""
"""The last publication of each source to each table and the recent ones, and how far a table's rows reach."""


@dataclass(frozen=True)
class _Book:
    """How far the rows of a table's publications reach.

    Attributes:
        version: the table's version of the last publication that has a row.
        written: number of rows.
        last: the last publication of each source.
        latest: the table's latest version.
        recent: the publications after version `since`, whether their rows are written or not.
        since: see `recent`.
    """

    version: int = -1
    written: int = 0
    last: Mapping[str, Publication] = field(default_factory=dict)
    latest: int = -1
    recent: tuple[Publication, ...] = ()
    since: int = -1

    def followed_by(self, made: Publication) -> _Book:
        """Return it with a publication that is the table's latest version, and its row."""
        return replace(
            self,
            version=made.delta_version,
            written=self.written + 1,
            last={**self.last, made.source: made},
            latest=made.delta_version,
            recent=(*self.recent, made),
        )


@dataclass(frozen=True)
class _Late:
    """What was published, by whatever thread, while rows are written beside what goes on.

    Attributes:
        pool: one thread, so that rows are written in the order of their commits.
        writing: what it writes.
        made: the publications.
    """

    pool: ThreadPoolExecutor
    writing: list[Future[bool]] = field(default_factory=list)
    made: list[Publication] = field(default_factory=list)

    def add(self, made: Publication, write: Callable[..., bool], *args: Any) -> None:
        """Have the row of a publication written."""
        self.made.append(made)
        self.writing.append(self.pool.submit(write, *args))


def published_landings(
    publications: Iterable[Publication],
) -> dict[datetime, tuple[SliceRecord, Publication]]:
    """Return what is published of each slice: slice → its record in the newest publication."""
    state: dict[datetime, tuple[SliceRecord, Publication]] = {}
    for publication in sorted(publications, key=lambda each: each.sequence):
        for each in publication.slices:
            state[each.slice] = (each, publication)
    return state


def sources_in(publications: Sequence[Publication]) -> list[str]:
    """Return the sources of publications, in alphabetical order."""
    return sorted({each.source for each in publications})


def _of(table: Table) -> str:
    return f"table_name = {literal(table.name)}"


def _app(table: Table, source: str) -> str:
    return f"publish/{table.name}/{source}"


def _record(text: str | None) -> Row | None:
    if not text or '"tidegate"' not in text:
        return None
    found = json.loads(text).get("tidegate")
    return found if isinstance(found, dict) else None
