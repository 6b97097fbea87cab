"""An hour whose dump is gone, landed again from its own candidate, without the persons erased since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.dumps import DumpFile
from tidegate.lake import Row, parse_time
from tidegate.landing.erased import ID_COLUMNS, MARK, PRODUCER_MARK, REASON, Erased, marked
from tidegate.landing.parse import event_columns, staged_schema
from tidegate.ledger import published_landings
from tidegate.steps.erasures import erased_from
from tidegate.steps.land import Dump, Landed, account, candidate_folder
from tidegate.tables import events

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from tidegate.source import Source
    from tidegate.steps.work import Work

_PLACE = ("source", "dump_hour", "dump_date", "file", "line")
"""Columns that every line keeps."""


def land_without_dump(work: Work, source: Source, missing: Landed) -> Landed:
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
    from tidegate.steps.work import new_id

    dump_name, _, old = landing["landing_id"].partition(".")
    hour = parse_time(landing["dump_hour"])
    files = tuple(
        DumpFile(each["uri"], each["name"], each["size"], each["etag"], hour)
        for each in landing["files"]
    )
    token = new_id()
    place = work.lake.staging(*candidate_folder(source.source, token))
    known = work.lake.staged(
        work.lake.staging(*candidate_folder(source.source, old), f"_dump={dump_name}"),
        base=work.lake.staging(*candidate_folder(source.source, old)),
        schema=f"{staged_schema(source)}, _dump string",
    )
    work.lake.stage(_thinned(known, source, erased), place, ["_dump", "_outcome"])
    dump = Dump(hour, files, landing["fingerprint"])
    [landed] = account(work, source, [dump], token, place, erased)
    return landed


def _thinned(lines: DataFrame, source: Source, erased: Erased) -> DataFrame:
    """Return staged lines without the values of those of erased persons."""
    from pyspark.sql import functions as F

    rows = marked(lines, erased, ID_COLUMNS)
    if source.sequence is not None:
        rows = marked(rows, erased, ["_producer"], PRODUCER_MARK)
    values: list[Column] = [
        F.col(f"`{name}`")
        if name in _PLACE
        else F.expr(f"if(`{MARK}`, null, `{name}`)").alias(name)
        for name in event_columns(source)
    ]
    producer = []
    if source.sequence is not None:
        producer = [
            F.expr(f"if(`{PRODUCER_MARK}`, null, {name})").alias(name)
            for name in ("_producer", "_number")
        ]
    return rows.select(
        *values,
        F.expr(f"if(`{MARK}`, 'quarantined', _outcome)").alias("_outcome"),
        F.expr(f"if(`{MARK}`, '{REASON}', _reason)").alias("_reason"),
        F.lit(None).cast("string").alias("_detail"),
        F.lit(None).cast("string").alias("_raw"),
        F.lit(None).cast("binary").alias("_raw_bytes"),
        *producer,
        "_dump",
    )
