"""An hour whose dump is gone, landed again from its own candidate, without the persons erased since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.common.sql_quoting import quoted
from tidegate.lake import Row, literal, parse_time
from tidegate.lake.ledger import published_landings
from tidegate.lake.table_refs import Parts
from tidegate.landing.columns import event_columns, staged_columns
from tidegate.landing.counts import FileCount, Group, declared
from tidegate.landing.parquet_files import StagedFile
from tidegate.landing.staging import DumpResult
from tidegate.pipeline.context.effective_config import in_force
from tidegate.pipeline.context.erasures import erased_from
from tidegate.pipeline.ingest.land import Dump, Landed, account, candidate_folder, land
from tidegate.privacy.erased import ID_COLUMNS, REASON, Erased
from tidegate.storage.files import StoredFile
from tidegate.tables import events

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

_PLACE = ("source", "dump_hour", "dump_date", "file", "line")
"""Columns that every line keeps."""
_IN_FOLDERS = ("_dump", "_outcome")
"""Columns that stand in the names of folders."""


def land_again(
    work: Work, source: Source, hours: Sequence[datetime], *, anew: bool = False
) -> list[Landed]:
    """Land hours again; one whose dump is gone is landed from its own candidate, without the persons erased since.

    Args:
        work: where; its ledger has to be fresh.
        source: whose, as its file says.
        hours: the dump hours.
        anew: as for `land`.
    """
    effective = in_force(work, source)
    results = []
    for landed in land(work, source, hours, anew=anew):
        is_gone = landed.outcome == "missing"
        result = _land_without_dump(work, effective, landed) if is_gone else landed
        work.tell(result.describe())
        results.append(result)
    return results


def _land_without_dump(work: Work, source: Source, missing: Landed) -> Landed:
    """Land an hour whose dump is gone from its own candidate; where there is none, it stays missing.

    Args:
        work: where; its ledger has to be fresh.
        source: whose, as it is in force.
        missing: what came of landing it.
    """
    hour = missing.hour
    mine = work.fingerprint(source, events.TABLE)
    latest = work.ledger.landings(source.source, (hour, hour), mine).get(hour)
    if latest is None or latest["status"] != "landed":
        near = work.ledger.publications(events.TABLE, source.source, slices=(hour, hour))
        record = published_landings(near).get(hour)
        ids = [str(record[0].landing_id)] if record else []
        latest = next(iter(work.ledger.landings_by_id(ids).values()), None)
    erased = erased_from(work, source.source)
    if latest is None or erased is None or latest["configuration"] != mine:
        return missing
    work.tell(f"{missing.describe()}; it is landed from its candidate")
    return _land_thinned(work, source, latest, erased)


def _land_thinned(work: Work, source: Source, landing: Row, erased: Erased) -> Landed:
    """Land an hour from the candidate of an earlier landing; lines of erased persons become quarantined ones.

    Of lines that were in quarantine already the text goes: nobody can tell any more whose they are.

    Args:
        work: where.
        source: whose, as it is in force.
        landing: the row of a landing in `ops/landings` whose candidate is there.
        erased: those persons.
    """
    from tidegate.pipeline.context.run_context import new_id

    dump_name, _, old = landing["landing_id"].partition(".")
    hour = parse_time(landing["dump_hour"])
    files = tuple(
        StoredFile(each["uri"], each["name"], each["size"], each["etag"], hour)
        for each in landing["files"]
    )
    token = new_id()
    place = work.lake.staging(*candidate_folder(source.source, token))
    base = work.lake.staging(*candidate_folder(source.source, old))
    columns = {**staged_columns(source), "_dump": "string"}
    known = Parts((f"{base}/_dump={dump_name}/*",), base, columns)
    thinned = _thinned(work, source, known, erased)
    parts = []
    for outcome in ("event", "quarantined"):
        folder = f"{place}/_dump={dump_name}/_outcome={outcome}"
        kept = {name: kind for name, kind in columns.items() if name not in _IN_FOLDERS}
        query = f"SELECT * FROM ({thinned}) t WHERE _outcome = {literal(outcome)}"
        name = work.lake.reader.write(query, work.lake.places({"lines": known}), kept, folder)
        [counted] = work.lake.look("SELECT count(*) AS n FROM {part}", part=folder)
        parts.append(StagedFile(f"_dump={dump_name}/_outcome={outcome}/{name}", counted["n"], 0))
    result = DumpResult(hour, tuple(parts), _counts(work, source, known, thinned))
    dump = Dump(hour, files, landing["fingerprint"])
    [landed] = account(work, source, [dump], token, place, {hour: result}, erased)
    return landed


def _thinned(work: Work, source: Source, known: Parts, erased: Erased) -> str:
    """Return the query of staged `lines` without the values of those of erased persons."""
    numbered = source.sequence is not None
    named = [*ID_COLUMNS, *(["_producer"] if numbered else [])]
    ids = " UNION ".join(f"SELECT {name} AS id FROM {{lines}}" for name in named)
    listed = [row["id"] for row in work.lake.look(ids, lines=known) if row["id"] is not None]
    gone = ", ".join(map(literal, sorted(erased.among(listed)))) or "NULL"
    is_gone = " OR ".join(f"coalesce({name} IN ({gone}), false)" for name in ID_COLUMNS)
    values = [
        name
        if name in _PLACE
        else f"CASE WHEN is_gone THEN NULL ELSE {quoted(name)} END AS {quoted(name)}"
        for name in event_columns(source)
    ]
    if numbered:
        by_other = f"coalesce(_producer IN ({gone}), false)"
        values += [
            f"CASE WHEN {by_other} THEN NULL ELSE {name} END AS {name}"
            for name in ("_producer", "_number")
        ]
    return f"""
        SELECT {", ".join(values)}, CASE WHEN is_gone THEN 'quarantined' ELSE _outcome END AS _outcome,
            CASE WHEN is_gone THEN {literal(REASON)} ELSE _reason END AS _reason,
            CAST(NULL AS VARCHAR) AS _detail, CAST(NULL AS VARCHAR) AS _raw, CAST(NULL AS BLOB) AS _raw_bytes,
            _dump
        FROM (SELECT *, {is_gone} AS is_gone FROM {{lines}}) l"""


def _counts(work: Work, source: Source, known: Parts, thinned: str) -> tuple[FileCount, ...]:
    """Return how many lines of each file came to what."""
    present = ", ".join(f"{quoted(name)} := count({quoted(name)})" for name in declared(source))
    unnumbered = "count(*) FILTER (WHERE _number IS NULL)" if source.sequence is not None else "0"
    rows = work.lake.look(
        f"SELECT file, _outcome, _reason, count(*) AS n, max(line) AS last, {unnumbered} AS unnumbered, "
        f"struct_pack({present}) AS present "
        f"FROM ({thinned}) t GROUP BY file, _outcome, _reason",
        lines=known,
    )
    groups: dict[str, list[Group]] = defaultdict(list)
    for row in rows:
        groups[row["file"]].append(
            Group(
                row["_outcome"],
                row["_reason"],
                row["n"],
                row["last"],
                dict(row["present"]),
                row["unnumbered"],
            )
        )
    return tuple(FileCount(name, tuple(found)) for name, found in groups.items())
