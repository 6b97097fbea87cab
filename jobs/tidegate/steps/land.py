"""Land: dumps become candidates under staging, bad lines go to quarantine, and all is counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from tidegate import engine
from tidegate.dumps import DumpFile, Dumps, HeaderError, Manifest, ManifestError, fingerprint
from tidegate.errors import TidegateError
from tidegate.hours import hour_text, hours_text
from tidegate.lake import Row, literal, slices_where
from tidegate.landing import numbers
from tidegate.landing.lines import Input, read_parquet, read_text, whole_files
from tidegate.landing.parse import parse, staged_schema
from tidegate.lost import lost
from tidegate.steps.erasures import erased_from, outdated
from tidegate.steps.in_force import in_force, may_be_taken_up, refuse_outdated
from tidegate.tables import events
from tidegate.tables.books import LANDINGS, NUMBERS, QUARANTINE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tidegate.landing.erased import Erased
    from tidegate.source import Source
    from tidegate.steps.work import Work

_BYTES_A_ROW = 50
"""About what an event takes in a compressed file."""
_MANY_LINES = 50_000
"""From here on generated code pays: much is computed of each line, and of a single file on a single core."""

Outcome = Literal["landed", "unchanged", "unreadable", "missing"]


@dataclass(frozen=True)
class Landed:
    """What became of an hour that was to be landed.

    Attributes:
        hour: the dump hour.
        outcome: landed; unchanged (the same files were landed before); unreadable (a file could
            not be read whole: the hour is held); missing (no files).
        landing_id: the landing whose candidate stands for the hour now; None where it is missing.
        lines: lines read.
        events: candidate events.
        duplicates: lines that repeat an id of an earlier line of the dump.
        quarantined: lines by the reason for which they could not become events.
        error: what made it unreadable or missing.
        absent: declared fields and columns that no event of the dump had a value for.
    """

    hour: datetime
    outcome: Outcome
    landing_id: str | None = None
    lines: int = 0
    events: int = 0
    duplicates: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    absent: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return it in one line."""
        head = f"{hour_text(self.hour)} {self.outcome}"
        if self.outcome in ("unreadable", "missing"):
            return f"{head}: {self.error}"
        bad = sum(self.quarantined.values())
        text = f"{head}: {self.lines:,} lines = {self.events:,} events"
        text += f" + {self.duplicates:,} duplicates + {bad:,} quarantined"
        if self.quarantined:
            text += (
                " (" + ", ".join(f"{n:,} {r}" for r, n in sorted(self.quarantined.items())) + ")"
            )
        if self.absent:
            text += f"; no event has a value for {', '.join(self.absent)}"
        return text


@dataclass(frozen=True)
class Dump:
    """The files of an hour, their fingerprint, and what a manifest declares of them."""

    hour: datetime
    files: tuple[DumpFile, ...]
    fingerprint: str
    manifest: Manifest | None = None


def land(
    work: Work, source: Source, hours: Sequence[datetime], *, anew: bool = False
) -> list[Landed]:
    """Land the dumps of some hours, in one Spark job where all of them can be read.

    Args:
        work: where.
        source: whose dumps.
        hours: the dump hours; none before the source's `since`.
        anew: whether also those whose files were landed before.

    Returns:
        What became of each hour, in order.

    Raises:
        TidegateError: the dumps can't be listed, an expression of the source file fails, or other code
            made what is published.
    """
    refuse_outdated(work, source)
    rules = in_force(work, source, tell=True)
    landed = land_as(work, rules, hours, anew=anew)
    if rules.dumps.inner.text == source.dumps.inner.text:
        return landed
    return [_looked_for_elsewhere(each, source) for each in landed]


def _looked_for_elsewhere(landed: Landed, source: Source) -> Landed:
    """Return a landing that, if it found no files, says that the source file names others by now."""
    if landed.outcome != "missing":
        return landed
    wait = f"{source.path.name} names {source.dumps.inner.text} by now, which takes effect by: "
    todo = f"tidegate rebuild events {source.source}"
    return replace(landed, error=f"{landed.error}; {wait}{todo}")


def land_as(
    work: Work,
    source: Source,
    hours: Sequence[datetime],
    *,
    whole: bool = False,
    anew: bool = False,
) -> list[Landed]:
    """Land hours by just this source, whether or not it is in force; else as `land`.

    With `whole`, none is landed where one is missing or unreadable; only those are returned.
    """
    early = [hour for hour in hours if hour < source.since]
    if early:
        raise TidegateError(
            f"{source.source} does not reach back that far",
            where=str(source.path),
            expected=f"hours from {hour_text(source.since)}, the source's since",
            got=hours_text(early),
            todo="ask for later hours, or set an earlier since in the source file",
        )
    dumps = Dumps(source, work.settings.s3, work.settings.dumps)
    results: dict[datetime, Landed] = {}
    fresh: list[Dump] = []
    with work.stage("look up landings"):
        before = work.ledger.landings(
            source.source, (min(hours), max(hours)), work.fingerprint(source, events.TABLE)
        )
        erased = erased_from(work, source.source)
        unaware = outdated(work, source, before.values())
    for hour in sorted(set(hours)):
        files = dumps.files(hour)
        if not files:
            results[hour] = Landed(
                hour, "missing", error=f"no files at {dumps.template.pattern(hour)}"
            )
            continue
        dump = Dump(hour, tuple(files), fingerprint(files))
        try:
            dump = replace(dump, manifest=dumps.manifest(hour))
        except ManifestError as error:
            results[hour] = _unreadable(work, source, dump, error.what)
            continue
        known = before.get(hour)
        is_there = (
            known is not None
            and not anew
            and known["landing_id"] not in unaware
            and may_be_taken_up(work, source, known)
        )
        same = _same(source, known, dump) if is_there else None
        if same is not None:
            results[hour] = same
        else:
            fresh.append(dump)

    batch: list[Dump] = []
    for dump in fresh:
        told = [fault for fault in dumps.faults(list(dump.files)).values() if fault]
        if not told and source.format.type == "csv":
            told = _header_faults(dumps, dump)
        if told:
            results[dump.hour] = _unreadable(work, source, dump, "; ".join(told))
        else:
            batch.append(dump)
    lost = [hour for hour in sorted(results) if results[hour].outcome in ("missing", "unreadable")]
    if whole and lost:
        return [results[hour] for hour in lost]
    if batch:
        work.tell(f"landing {source.source} {hours_text(d.hour for d in batch)}")
        for each in _land_batch(work, source, dumps, batch, erased):
            results[each.hour] = each
    return [results[hour] for hour in sorted(results)]


def _header_faults(dumps: Dumps, dump: Dump) -> list[str]:
    """Return what is wrong with the headers of a dump: they hold it alone, not the whole run."""
    told = []
    for file in dump.files:
        try:
            dumps.header(file)
        except HeaderError as error:
            told.append(f"{file.name}: {error.what}: expected {error.expected}, got {error.got}")
    return told


def _same(source: Source, row: Row | None, dump: Dump) -> Landed | None:
    """Return the hour's latest landing by this configuration if it was of the same files."""
    if row is None or row["status"] != "landed" or row["fingerprint"] != dump.fingerprint:
        return None
    # A mended manifest sets free what the wrong one held.
    off = _by_manifest(dump, {each["name"]: each["lines"] for each in row["files"]})
    if any((row[name] or 0) != (off[name] or 0) for name in ("bytes_off", "lines_off")):
        return None
    if source.sequence is not None and row["unnumbered"] is None:
        return None
    return Landed(
        dump.hour,
        "unchanged",
        landing_id=row["landing_id"],
        lines=row["lines"],
        events=row["events"],
        duplicates=row["duplicates"],
        quarantined=row["quarantined_by_reason"] or {},
        absent=tuple(row["absent"] or ()),
    )


def _land_batch(
    work: Work, source: Source, dumps: Dumps, batch: Sequence[Dump], erased: Erased | None
) -> Iterable[Landed]:
    """Land dumps together; where that fails for a file, one by one, so that each holds only itself."""
    from tidegate.steps.work import new_id

    token = new_id()
    size = sum(file.size for dump in batch for file in dump.files)
    engine.fit(work.lake.spark, size // _BYTES_A_ROW, much=_MANY_LINES)
    place = work.lake.staging(*candidate_folder(source.source, token))
    with work.stage("read lines"):
        cause = _stage(work, source, dumps, batch, place, erased)
    if cause is None:
        since = erased_from(work, source.source)
        if since != erased:  # somebody asked to be forgotten meanwhile
            return _land_batch(work, source, dumps, batch, since)
        return account(work, source, batch, token, place, erased)
    if len(batch) == 1:
        return [_unreadable(work, source, batch[0], cause)]
    return [each for dump in batch for each in _land_batch(work, source, dumps, [dump], erased)]


def _stage(
    work: Work,
    source: Source,
    dumps: Dumps,
    batch: Sequence[Dump],
    place: str,
    erased: Erased | None,
) -> str | None:
    """Stage what becomes of every line; return what could not be read, if something could not."""
    from pyspark.errors import PySparkException

    try:
        lines = parsed(work, source, dumps, batch, erased)
        with whole_files(work.lake):
            work.lake.stage(lines.withColumn("_dump", _dump_name()), place, ["_dump", "_outcome"])
    except PySparkException as error:
        cause = _unreadable_file(error)
        if cause is not None:
            return cause
        fault = expression_fault(source, error)
        if fault is not None:
            raise fault from error
        raise
    return None


def account(
    work: Work,
    source: Source,
    batch: Sequence[Dump],
    token: str,
    place: str,
    erased: Erased | None,
) -> list[Landed]:
    """Count what was staged of some dumps, quarantine what is bad, and write the landings down.

    Args:
        work: where.
        source: whose.
        batch: the dumps.
        token: that their landings' ids end in.
        place: where under staging what becomes of their lines is.
        erased: the persons that were left out.
    """
    staged = work.lake.staged(place, schema=f"{staged_schema(source)}, _dump string")
    # Spark plans on one core, and S3 is waited for: what does not wait for one another goes side by side.
    with ThreadPoolExecutor(max_workers=1) as pool:
        quarantined = pool.submit(_quarantine, work, source, batch, token, staged)
        with work.stage("count"):
            counted = _count(work, source, staged)
        _check_lines(source, batch, counted)
        with work.stage("find repeats"):
            repeated = _stage_repeats(work, source, counted, place)
        with work.stage("quarantine"):
            quarantined.result()
    landed = []
    rows = []
    for dump in batch:
        landing_id = f"{_dump_text(dump.hour)}.{token}"
        result, row = _book(work, source, dump, landing_id, counted, repeated.get(dump.hour, 0))
        landed.append(result)
        known = erased.number if erased is not None else None
        rows.append({**row, "run_id": work.run_of(dump.hour), "erasures": known})
    if source.sequence is not None:
        with work.stage("write numbers"):
            found = numbers.received(staged).withColumn("landing_id", _landing_id(token))
            # Else one task would put all of them in order.
            few = found.select(*NUMBERS.column_names).repartition(1)
            work.lake.append(NUMBERS, few)
    # The landings' rows come last: without them nothing refers to what was staged.
    with work.stage("write books"):
        work.lake.append(LANDINGS, rows)
    return landed


def parsed(
    work: Work, source: Source, dumps: Dumps, batch: Sequence[Dump], erased: Erased | None
) -> DataFrame:
    """Return what becomes of every line of some dumps: the columns of `staged_schema`.

    To be evaluated within `whole_files`.
    """
    inputs = [Input(dump.hour, file) for dump in batch for file in dump.files]
    if not inputs:
        return work.lake.frame([], staged_schema(source))
    key = work.key_of(source)
    if source.format.type == "parquet":
        return parse(read_parquet(work.lake, inputs), source, key=key, erased=erased)
    if source.format.type == "json":
        return parse(read_text(work.lake, inputs), source, key=key, erased=erased)
    parts = []
    for header, group in _by_header(source, dumps, inputs).items():
        if header:  # without a header there is no line either: the file is empty
            parts.append(parse(read_text(work.lake, group), source, header, key, erased))
    if not parts:
        return work.lake.frame([], staged_schema(source))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.unionByName(part)
    return whole


def _by_header(
    source: Source, dumps: Dumps, inputs: Sequence[Input]
) -> dict[tuple[str, ...], list[Input]]:
    """Group files by their header: names, not places, say what a column is."""
    if isinstance(source.format.header, tuple):
        return {source.format.header: list(inputs)}
    groups: dict[tuple[str, ...], list[Input]] = defaultdict(list)
    for each in inputs:
        groups[tuple(dumps.header(each.file))].append(each)
    return groups


# -- counting ---------------------------------------------------------------------------------------


def _count(work: Work, source: Source, staged: DataFrame) -> dict[tuple[str, str], list[Row]]:
    """Return counts by dump and file: (dump, file) → rows of outcome, reason, n, last line, values."""
    present = ", ".join(f"count(`{name}`) as `{name}`" for name in _declared(source))
    unnumbered = ["count_if(_number is null) as unnumbered"] if source.sequence else []
    grouped = work.lake.rows(
        staged.groupBy("_dump", "file", "_outcome", "_reason").agg(
            *_expressions(
                "count(1) as n", "max(line) as last", f"struct({present}) as present", *unnumbered
            )
        )
    )
    out: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in grouped:
        out[row["_dump"], row["file"]].append(row)
    return out


def _check_lines(
    source: Source, batch: Sequence[Dump], counted: dict[tuple[str, str], list[Row]]
) -> None:
    """Check that all lines of each file were staged.

    Raises:
        TidegateError: some were not.
    """
    if source.format.type == "parquet":
        return
    for dump in batch:
        for file in dump.files:
            groups = counted.get((_dump_text(dump.hour), file.name), [])
            read = sum(group["n"] for group in groups)
            last = max((group["last"] for group in groups), default=0)
            if read != last:
                raise TidegateError(
                    "lines were lost between the file and the candidate",
                    where=file.uri,
                    expected=f"{last} lines, by the number of the last one",
                    got=str(read),
                    todo="no landing was recorded; run the step again, and report this if it comes back",
                )


def _expressions(*texts: str) -> list[Any]:
    from pyspark.sql import functions as F

    return [F.expr(text) for text in texts]


def _declared(source: Source) -> list[str]:
    """Return the columns that the source file gives a field for, and leaves in it."""
    fields = source.fields
    named = {
        "event_id": fields.event_id,
        "event_time": fields.event_time,
        "event_type": fields.event_type,
        "user_id": fields.user_id,
        "anonymous_id": fields.anonymous_id,
        "source_session_id": source.sessions.id,
    }
    given = {name: ref for name, ref in named.items() if ref is not None} | source.columns
    return [name for name, ref in given.items() if source.pii_action(ref.names()) != "drop"]


def _book(
    work: Work,
    source: Source,
    dump: Dump,
    landing_id: str,
    counted: dict[tuple[str, str], list[Row]],
    repeated: int,
) -> tuple[Landed, Row]:
    """Return what became of a dump, and its row in `ops/landings`."""
    from tidegate.steps.work import now

    reasons: dict[str, int] = defaultdict(int)
    present: dict[str, int] = defaultdict(int)
    files = []
    lines = events_ = unnumbered = 0
    for file in dump.files:
        groups = counted.get((_dump_text(dump.hour), file.name), [])
        headers = sum(g["n"] for g in groups if g["_outcome"] == "header")
        read = sum(g["n"] for g in groups)
        for group in groups:
            if group["_outcome"] == "event":
                events_ += group["n"]
                for name, n in (group["present"] or {}).items():
                    present[name] += n
            elif group["_outcome"] == "quarantined":
                reasons[group["_reason"]] += group["n"]
        lines += read - headers
        if source.sequence is not None:
            unnumbered += sum(g["unnumbered"] for g in groups) - headers
        files.append(
            {
                "name": file.name,
                "uri": file.uri,
                "size": file.size,
                "etag": file.etag,
                "lines": read - headers,
            }
        )
    absent = tuple(name for name in _declared(source) if events_ and not present[name])
    result = Landed(
        dump.hour,
        "landed",
        landing_id=landing_id,
        lines=lines,
        events=events_ - repeated,
        duplicates=repeated,
        quarantined=dict(reasons),
        absent=absent,
    )
    row = {
        "landing_id": landing_id,
        "source": source.source,
        "dump_hour": dump.hour,
        "status": "landed",
        "files": files,
        "bytes": sum(file.size for file in dump.files),
        "lines": lines,
        "events": result.events,
        "duplicates": repeated,
        "quarantined": sum(reasons.values()),
        "quarantined_by_reason": dict(reasons),
        "absent": absent,
        "fingerprint": dump.fingerprint,
        "configuration": work.fingerprint(source, events.TABLE),
        "landed_at": now(),
        **_by_manifest(dump, {each["name"]: each["lines"] for each in files}),
        "unnumbered": unnumbered if source.sequence is not None else None,
    }
    return result, row


def _by_manifest(dump: Dump, lines: Mapping[str, int]) -> Row:
    """Return what a manifest declares of a dump, and by how much its files are off that.

    Args:
        dump: the dump.
        lines: read of each file.
    """
    manifest = dump.manifest or Manifest({})
    declared_bytes, bytes_off = _off(
        {name: each.size for name, each in manifest.files.items()},
        manifest.whole.size,
        {file.name: file.size for file in dump.files},
    )
    declared_lines, lines_off = _off(
        {name: each.rows for name, each in manifest.files.items()}, manifest.whole.rows, lines
    )
    return {
        "declared_bytes": declared_bytes,
        "declared_lines": declared_lines,
        "bytes_off": bytes_off,
        "lines_off": lines_off,
    }


def _off(
    files: Mapping[str, int | None], whole: int | None, found: Mapping[str, int]
) -> tuple[int | None, int | None]:
    """Return how much is declared in all and how much what was found is off; None for nothing declared.

    Too much in one file does not make up for too little in another.
    """
    each = {name: count for name, count in files.items() if count is not None}
    if not each and whole is None:
        return None, None
    off = sum(abs(found.get(name, 0) - count) for name, count in each.items())
    if whole is not None:
        off = max(off, abs(sum(found.values()) - whole))
    return sum(each.values()) if whole is None else whole, off


def _stage_repeats(
    work: Work, source: Source, counted: dict[tuple[str, str], list[Row]], place: str
) -> dict[datetime, int]:
    """Stage which lines repeat an id of their own dump; return how many each dump has."""
    from tidegate.lake import parse_time

    if source.fields.event_id is None:  # ids made of file and line can't repeat
        return {}
    repeated = f"{place}/{REPEATS}"
    bringing = {
        dump
        for (dump, _), groups in counted.items()
        if any(group["_outcome"] == "event" for group in groups)
    }
    if not bringing:
        work.lake.stage(work.lake.frame([], REPEATS_SCHEMA), repeated)
        return {}
    found = work.lake.select(
        events.REPEATS,
        f"{repeated}-found",
        REPEATS_SCHEMA,
        staged=[f"{place}/_dump={dump}/_outcome=event" for dump in sorted(bringing)],
    )
    work.lake.stage(found.rows.coalesce(1), repeated)
    counts = work.lake.look(
        "SELECT dump_hour, count(*) AS n FROM {repeated} GROUP BY dump_hour", repeated=found
    )
    return {parse_time(row["dump_hour"]): row["n"] for row in counts}


def _quarantine(
    work: Work, source: Source, batch: Sequence[Dump], token: str, staged: DataFrame
) -> None:
    """Replace the quarantine of the hours landed by the lines that could not become events now."""
    from pyspark.sql import functions as F

    where = slices_where(QUARANTINE, source.source, [dump.hour for dump in batch])
    bad = staged.where("_outcome = 'quarantined'")
    if bad.isEmpty() and not work.lake.book(QUARANTINE, where, ["source", "file", "line"]):
        return
    rows = bad.select(
        "source",
        "dump_hour",
        _landing_id(token).alias("landing_id"),
        "file",
        "line",
        *(F.col(f"_{name}").alias(name) for name in ("reason", "detail", "raw", "raw_bytes")),
    )
    work.lake.replace(QUARANTINE, rows.coalesce(1), where)


def _landing_id(token: str) -> Any:
    """Return the id of the landing of a staged line."""
    from pyspark.sql import functions as F

    return F.expr(f"concat(_dump, {literal('.' + token)})")


# -- what can't be read -----------------------------------------------------------------------------


def _unreadable(work: Work, source: Source, dump: Dump, error: str) -> Landed:
    from tidegate.steps.work import new_id, now

    landing_id = f"{_dump_text(dump.hour)}.{new_id()}"
    work.lake.append(
        LANDINGS,
        [
            {
                "landing_id": landing_id,
                "source": source.source,
                "dump_hour": dump.hour,
                "status": "unreadable",
                "error": error,
                "files": [
                    {"name": f.name, "uri": f.uri, "size": f.size, "etag": f.etag}
                    for f in dump.files
                ],
                "bytes": sum(file.size for file in dump.files),
                "fingerprint": dump.fingerprint,
                "configuration": work.fingerprint(source, events.TABLE),
                "run_id": work.run_of(dump.hour),
                "landed_at": now(),
            }
        ],
    )
    return Landed(dump.hour, "unreadable", landing_id=landing_id, error=error)


def _unreadable_file(error: Exception) -> str | None:
    """Return what Spark says of a file that it could not read whole, if that is what it complains of."""
    text = str(error)
    if lost(text):  # the file may be whole
        return None
    if "FAILED_READ_FILE" not in text and "FileNotFoundException" not in text:
        return None
    first = next((line for line in text.splitlines() if "FAILED_READ_FILE" in line), text)
    cause = next(
        (line.strip() for line in text.splitlines() if line.strip().startswith("Caused by:")), ""
    )
    told = first[first.find("[FAILED_READ_FILE") :].split(" SQLSTATE")[0]
    return (
        "expected files that can be read to their end, got: "
        f"{told.strip()[:400]} {cause.removeprefix('Caused by: ')[:200]}".strip()
    )


_EXPRESSION_FAULTS = (
    "[CAST_INVALID_INPUT]",
    "[CAST_OVERFLOW]",
    "[DIVIDE_BY_ZERO]",
    "[ARITHMETIC_OVERFLOW]",
    "[INVALID_ARRAY_INDEX",
    "[CANNOT_PARSE_",
    "[UNRESOLVED_",
    "[DATATYPE_MISMATCH",
    "[WRONG_NUM_ARGS",
    "[PARSE_SYNTAX_ERROR]",
    "[INVALID_",
)
"""What Spark says of an expression that it can't take, or that fails on a value."""


def expression_fault(source: Source, error: Exception) -> TidegateError | None:
    """Return the error of a source file whose expressions Spark complains of, None for other errors."""
    if lost(error) or not any(word in str(error) for word in _EXPRESSION_FAULTS):
        return None
    return TidegateError(
        "the dump can't be parsed as the source file says",
        where=str(source.path),
        expected="expressions that give NULL where a value does not fit, such as try_cast(…)",
        got=str(error).splitlines()[0][:500],
        todo="mend the expression that the message names, then land the hour again",
    )


# -- where candidates lie ---------------------------------------------------------------------------

REPEATS = "_repeats"
REPEATS_SCHEMA = "dump_hour timestamp, file string, line bigint"


def candidate_folder(source: str, token: str) -> tuple[str, ...]:
    """Return the folder under staging of what one job landed."""
    return ("events", source, f"_token={token}")


def _dump_text(hour: datetime) -> str:
    return f"{hour:%Y%m%dT%H}"


def _dump_name() -> Any:
    from pyspark.sql import functions as F

    return F.date_format("dump_hour", "yyyyMMdd'T'HH")
