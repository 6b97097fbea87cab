"""Land: dumps become candidates under staging, bad lines go to quarantine, and all is counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from tidegate.common.errors import TidegateError
from tidegate.common.hints import command, source_word
from tidegate.common.hours import hour_text, hours_text
from tidegate.common.text_output import visible
from tidegate.dumps.dumps import Dumps, fingerprint
from tidegate.dumps.hour_files import HourFiles
from tidegate.dumps.manifest import Manifest, ManifestError
from tidegate.lake import Row, Slices, literal, parse_time, slices_where
from tidegate.lake.table_refs import Parts
from tidegate.landing.columns import event_columns, staged_columns
from tidegate.landing.counts import declared
from tidegate.landing.kernel import AMBIGUOUS_TIMES, CUT_TIMES, NONEXISTENT_TIMES, STAND_INS, Rules
from tidegate.landing.staging import DumpResult, DumpTask, TaskFile
from tidegate.pipeline.context.effective_config import in_force, may_be_taken_up, refuse_outdated
from tidegate.pipeline.context.erasures import erased_from, outdated
from tidegate.pipeline.ingest import producer_numbers as numbers
from tidegate.storage.files import StoredFile
from tidegate.tables import events
from tidegate.tables.system_tables import LANDINGS, NUMBERS, QUARANTINE

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work
    from tidegate.privacy.erased import Erased

_FAULTS = 20
"""Files that can't be read of which a landing gives the reasons."""

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
        examples: of a line for each of those reasons: where it is, what was expected and what is there; none for
            sources with personal data, which such a text may show.
        error: what made it unreadable or missing.
        absent: declared fields and columns that no event of the dump had a value for.
        there: the files of the hour: what was not read, and what is there twice.
        notes: what else was counted, such as times that were cut; see `landing.kernel.NOTES`.
    """

    hour: datetime
    outcome: Outcome
    landing_id: str | None = None
    lines: int = 0
    events: int = 0
    duplicates: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    absent: tuple[str, ...] = ()
    there: HourFiles | None = None
    notes: dict[str, int] = field(default_factory=dict)

    def describe(self) -> str:
        """Return it in one line."""
        examples = [
            f"{reason}, for example {visible(text)}"
            for reason, text in sorted(self.examples.items())
        ]
        return "; ".join([self._outcome(), *self.file_notes(), *examples])

    def file_notes(self) -> list[str]:
        """Return in words which files were not read, and which are there twice."""
        return self.there.notes() if self.there is not None else []

    def _outcome(self) -> str:
        head = f"{hour_text(self.hour)} {self.outcome}"
        if self.outcome in ("unreadable", "missing"):
            return f"{head}: {visible(str(self.error))}"
        bad = sum(self.quarantined.values())
        text = f"{head}: {self.lines:,} lines = {self.events:,} events"
        text += f" + {self.duplicates:,} duplicates + {bad:,} quarantined"
        if self.quarantined:
            text += (
                " (" + ", ".join(f"{n:,} {r}" for r, n in sorted(self.quarantined.items())) + ")"
            )
        if self.absent:
            text += f"; no event has a value for {', '.join(self.absent)}"
        if self.notes:
            text += "; " + ", ".join(f"{n:,} {_NOTES[note]}" for note, n in self.notes.items())
        return text


UNDECLARED = "undeclared_files"
"""Note of a landing: files that were read and that the hour's manifest does not name."""
_NOTES = {
    CUT_TIMES: "times cut to microseconds",
    AMBIGUOUS_TIMES: "ambiguous local times",
    NONEXISTENT_TIMES: "local times that do not exist",
    STAND_INS: "events with a text that is no user",
    UNDECLARED: "files that the manifest does not name",
}


@dataclass(frozen=True)
class Dump:
    """The files of an hour that are read, their fingerprint, and what a manifest declares of them.

    `there` is what else the hour's folder has.
    """

    hour: datetime
    files: tuple[StoredFile, ...]
    fingerprint: str
    manifest: Manifest | None = None
    there: HourFiles | None = None


def land(
    work: Work, source: Source, hours: Sequence[datetime], *, anew: bool = False
) -> list[Landed]:
    """Land the dumps of some hours, together.

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
    todo = command("rebuild", "events", source_word(source.source))
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
        there = dumps.hour_files(hour)
        if not there.read:
            error = f"no files at {dumps.template.pattern(hour)}"
            if not any(each.outcome == "missing" for each in results.values()):
                error += f"; {dumps.what_is_there()}"
            results[hour] = Landed(hour, "missing", error=error, there=there)
            continue
        dump = Dump(hour, there.read, fingerprint(there.read), there=there)
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
        if told:
            results[dump.hour] = _unreadable(work, source, dump, _some(told))
        else:
            known_files = dumps.with_repeated(dump.there) if dump.there is not None else None
            batch.append(replace(dump, there=known_files))
    lost = [hour for hour in sorted(results) if results[hour].outcome in ("missing", "unreadable")]
    if whole and lost:
        return [results[hour] for hour in lost]
    if batch:
        work.tell(f"landing {source.source} {hours_text(d.hour for d in batch)}")
        for each in _land_batch(work, source, dumps, batch, erased, whole=whole):
            results[each.hour] = each
        lost = [hour for hour in sorted(results) if results[hour].outcome == "unreadable"]
        if whole and lost:
            return [results[hour] for hour in lost]
    return [results[hour] for hour in sorted(results)]


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
        there=dump.there,
        notes=row["notes"] or {},
    )


def _land_batch(
    work: Work,
    source: Source,
    dumps: Dumps,
    batch: Sequence[Dump],
    erased: Erased | None,
    *,
    whole: bool,
) -> Iterable[Landed]:
    """Land dumps together; each whose files can't be read whole holds only itself.

    With `whole`, none is recorded as landed where one can't be read.
    """
    from tidegate.pipeline.context.run_context import new_id

    token = new_id()
    place = work.lake.staging(*candidate_folder(source.source, token))
    with work.stage("read lines"):
        results = {each.hour: each for each in _land(work, source, dumps, batch, erased, place)}
    now_erased = erased_from(work, source.source)
    if now_erased != erased:  # a person was erased meanwhile
        return _land_batch(work, source, dumps, batch, now_erased, whole=whole)
    unreadable = [
        _unreadable(work, source, dump, str(results[dump.hour].error))
        for dump in batch
        if results[dump.hour].error is not None
    ]
    good = [dump for dump in batch if results[dump.hour].error is None]
    if not good or (whole and unreadable):
        return unreadable
    return [*unreadable, *account(work, source, good, token, place, results, erased)]


def _land(
    work: Work,
    source: Source,
    dumps: Dumps,
    batch: Sequence[Dump],
    erased: Erased | None,
    folder: str,
) -> list[DumpResult]:
    """Stage what becomes of every line of some dumps, below a folder of staging."""
    tasks = [
        DumpTask(dump.hour, tuple(TaskFile(file.name, file.size) for file in dump.files))
        for dump in batch
    ]
    files = dumps.opener(file for dump in batch for file in dump.files)
    return work.lake.engine.land(tasks, rules_of(work, source, erased), files, folder)


def rules_of(work: Work, source: Source, erased: Erased | None = None) -> Rules:
    """Return how lines of a source become events, with the key that its personal data are hashed by."""
    return Rules(source, work.key_of(source), erased)


def land_into(
    work: Work,
    source: Source,
    dumps: Dumps,
    batch: Sequence[Dump],
    erased: Erased | None,
    folder: str,
) -> Parts:
    """Stage the events of some dumps below a folder of staging, and record nothing of it.

    Raises:
        TidegateError: a file can't be read whole.
    """
    results = _land(work, source, dumps, batch, erased, folder)
    for each in results:
        if each.error is not None:
            raise TidegateError(
                "a dump that was landed can't be read any more",
                where=f"{source.source} {hour_text(each.hour)}",
                expected="files that can be read to their end",
                got=each.error,
                todo="bring the file back, or land the hour again",
            )
    lines = _parts(source, folder, results, "event")
    return replace(lines, columns={**event_columns(source), "_dump": "string"})


def account(
    work: Work,
    source: Source,
    batch: Sequence[Dump],
    token: str,
    place: str,
    results: Mapping[datetime, DumpResult],
    erased: Erased | None,
) -> list[Landed]:
    """Quarantine what is bad of some dumps, find repeated ids, and record the landings.

    Args:
        work: where.
        source: whose.
        batch: the dumps.
        token: that their landings' ids end in.
        place: where under staging their lines are.
        results: what became of the lines of each dump.
        erased: the persons that were left out.
    """
    _check_lines(source, batch, results)
    # S3 is waited for: what does not wait for one another goes side by side.
    with ThreadPoolExecutor(max_workers=1) as pool:
        quarantined = pool.submit(_quarantine, work, source, batch, token, place, results)
        with work.stage("find repeats"):
            repeated = _stage_repeats(work, source, results, place)
        with work.stage("quarantine"):
            quarantined.result()
    landed = []
    rows = []
    for dump in batch:
        landing_id = f"{_dump_text(dump.hour)}.{token}"
        result, row = _landing(
            work, source, dump, landing_id, results[dump.hour], repeated.get(dump.hour, 0)
        )
        landed.append(result)
        known = erased.number if erased is not None else None
        rows.append({**row, "run_id": work.run_of(dump.hour), "erasures": known})
    if source.sequence is not None:
        with work.stage("write numbers"):
            _write_numbers(work, source, batch, token, place, results)
    # The landings' rows come last: without them nothing refers to what was staged.
    with work.stage("record landings"):
        work.lake.append(LANDINGS, rows)
    return landed


def _parts(source: Source, place: str, results: Iterable[DumpResult], *outcomes: str) -> Parts:
    """Return the staged lines of some outcomes; of all of them without."""
    files = [
        file.path
        for each in results
        for file in each.files
        if not outcomes or file.outcome in outcomes
    ]
    columns = {**staged_columns(source), "_dump": "string"}
    return Parts(tuple(f"{place}/{file}" for file in files), place, columns)


# -- counting ---------------------------------------------------------------------------------------


def _check_lines(
    source: Source, batch: Sequence[Dump], results: Mapping[datetime, DumpResult]
) -> None:
    """Check that all lines of each file were staged.

    Raises:
        TidegateError: some were not.
    """
    for dump in batch:
        counts = results[dump.hour].counts
        staged = sum(file.rows for file in results[dump.hour].files)
        kept = sum(count.records for count in counts)
        numbered = kept
        if source.format.type in ("json", "access_log"):  # those whose records are lines
            last = (max((group.last for group in count.groups), default=0) for count in counts)
            numbered = sum(last)
        if staged != kept or numbered != kept:
            raise TidegateError(
                "lines were lost between the dump and the candidate",
                where=f"{source.source} {hour_text(dump.hour)}",
                expected=f"{numbered} lines, by the numbers of the last ones, and as many staged",
                got=f"{kept} counted, {staged} staged",
                todo="no landing was recorded; run the step again, and report this if it comes back",
            )


def _landing(
    work: Work,
    source: Source,
    dump: Dump,
    landing_id: str,
    outcome: DumpResult,
    repeated: int,
) -> tuple[Landed, Row]:
    """Return what became of a dump, and its row in `ops/landings`."""
    from tidegate.pipeline.context.run_context import now

    reasons: dict[str, int] = defaultdict(int)
    present: dict[str, int] = defaultdict(int)
    lines_of: dict[str, int] = {}
    notes: Counter[str] = Counter()
    examples: dict[str, str] = {}
    events_ = unnumbered = 0
    for count in outcome.counts:
        notes.update(count.notes)
        lines_of[count.name] = count.records
        for group in count.groups:
            unnumbered += group.unnumbered
            if group.outcome == "event":
                events_ += group.n
                for name, n in group.present.items():
                    present[name] += n
            else:
                reason = str(group.reason)
                reasons[reason] += group.n
                if not source.pii and group.detail is not None:
                    example = f"{count.name} line {group.first}: {group.detail}"
                    examples.setdefault(reason, example)
    lines = sum(lines_of.values())
    files = [
        {
            "name": file.name,
            "uri": file.uri,
            "size": file.size,
            "etag": file.etag,
            "lines": lines_of.get(file.name, 0),
        }
        for file in dump.files
    ]
    absent = tuple(name for name in declared(source) if events_ and not present[name])
    undeclared = _undeclared(dump)
    counted = dict(notes) | ({UNDECLARED: undeclared} if undeclared else {})
    result = Landed(
        dump.hour,
        "landed",
        landing_id=landing_id,
        lines=lines,
        events=events_ - repeated,
        duplicates=repeated,
        quarantined=dict(reasons),
        examples=examples,
        absent=absent,
        there=dump.there,
        notes=counted,
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
        **_by_manifest(dump, {file.name: lines_of.get(file.name, 0) for file in dump.files}),
        "unnumbered": unnumbered if source.sequence is not None else None,
        "notes": counted,
        "staged": [file.path for file in outcome.files if file.outcome == "event"],
        **(dump.there.as_row() if dump.there is not None else {}),
    }
    return result, row


def _undeclared(dump: Dump) -> int:
    """Return how many files of a dump its manifest does not name; 0 where it names none at all."""
    named = dump.manifest.files if dump.manifest is not None else {}
    return sum(file.name not in named for file in dump.files) if named else 0


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
    work: Work, source: Source, results: Mapping[datetime, DumpResult], place: str
) -> dict[datetime, int]:
    """Stage which lines repeat an id of their own dump; return how many each dump has."""
    if source.fields.event_id is None:  # ids made of file and line can't repeat
        return {}
    events_ = _parts(source, place, results.values(), "event")
    found = work.lake.select(events.REPEATS, f"{place}/{REPEATS}", REPEATS_COLUMNS, staged=events_)
    counts = work.lake.look(
        "SELECT dump_hour, count(*) AS n FROM {repeated} GROUP BY dump_hour", repeated=found
    )
    return {parse_time(row["dump_hour"]): row["n"] for row in counts}


def _quarantine(
    work: Work,
    source: Source,
    batch: Sequence[Dump],
    token: str,
    place: str,
    results: Mapping[datetime, DumpResult],
) -> None:
    """Replace the quarantine of the hours landed by the lines that could not become events now."""
    hours = [dump.hour for dump in batch]
    bad = _parts(source, place, [results[hour] for hour in hours], "quarantined")
    where = slices_where(QUARANTINE, source.source, hours)
    if not bad.places and not work.lake.book(QUARANTINE, where, ["count(*) AS n"])[0]["n"]:
        return
    work.lake.replace_rows(
        QUARANTINE,
        f"SELECT source, dump_hour, {_landing_id(token)} AS landing_id, file, line, _reason AS reason, "
        "_detail AS detail, _raw AS raw, _raw_bytes AS raw_bytes FROM {bad}",
        Slices.of(QUARANTINE, source.source, hours),
        bad=bad,
    )


def _write_numbers(
    work: Work,
    source: Source,
    batch: Sequence[Dump],
    token: str,
    place: str,
    results: Mapping[datetime, DumpResult],
) -> None:
    """Append which numbers of their producers the dumps brought."""
    lines = _parts(source, place, [results[dump.hour] for dump in batch])
    work.lake.append_query(
        NUMBERS,
        f"SELECT *, {_landing_id(token)} AS landing_id FROM ({numbers.received('{lines}')}) n",
        lines=lines,
    )


def _landing_id(token: str) -> str:
    """Return the SQL of the id of the landing of a staged line."""
    return f"_dump || {literal('.' + token)}"


# -- what can't be read -----------------------------------------------------------------------------


def _unreadable(work: Work, source: Source, dump: Dump, error: str) -> Landed:
    from tidegate.pipeline.context.run_context import new_id, now

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
                **(dump.there.as_row() if dump.there is not None else {}),
            }
        ],
    )
    return Landed(dump.hour, "unreadable", landing_id=landing_id, error=error, there=dump.there)


def _some(faults: Sequence[str]) -> str:
    """Return the first faults of a dump's files, and how many more there are."""
    more = len(faults) - _FAULTS
    return "; ".join(faults[:_FAULTS]) + (f"; and {more:,} more files" if more > 0 else "")


# -- where candidates lie ---------------------------------------------------------------------------

REPEATS = "_repeats"
REPEATS_COLUMNS = {"dump_hour": "timestamp", "file": "string", "line": "bigint"}


def candidate_folder(source: str, token: str) -> tuple[str, ...]:
    """Return the folder under staging of what one job landed."""
    return ("events", source, f"_token={token}")


def _dump_text(hour: datetime) -> str:
    return f"{hour:%Y%m%dT%H}"
