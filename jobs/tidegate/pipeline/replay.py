"""Replay: quarantined lines become events, once their source file is mended.

First they are tried: read again, from quarantine, by the file as it is now. Then they are landed from their
dumps, as if they had never been quarantined. A file that is not in force takes effect for all hours at once,
by a rebuild of events; where it is, or nothing is published yet, just the hours of those lines are landed.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from tidegate.common.errors import EXIT_FAULT, EXIT_HELD, TidegateError
from tidegate.common.hints import command, source_word
from tidegate.common.hours import hour_text, hours_text
from tidegate.common.text_output import visible
from tidegate.lake import Row, literal, parse_time, slices_where
from tidegate.lake.ledger import Publication, published_landings
from tidegate.pipeline.context.effective_config import in_force
from tidegate.pipeline.derive.derive import Derived, derive
from tidegate.pipeline.derive.pending import lagging
from tidegate.pipeline.ingest.land import Landed, rules_of
from tidegate.pipeline.publish.audit import Audit
from tidegate.pipeline.rebuild import rebuild
from tidegate.pipeline.release.release import Release, release
from tidegate.pipeline.run import run
from tidegate.privacy.erased import REASON
from tidegate.tables import events
from tidegate.tables.system_tables import LANDINGS, QUARANTINE

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

_TOP = 3
_LANDING = ("landing_id", "dump_hour", "configuration", "quarantined_by_reason", "landed_at")

Becomes = Literal["fits", "stays", "untried"]


@dataclass(frozen=True)
class Outcome:
    """What the file as it is now makes of quarantined lines of an hour.

    Attributes:
        hour: the dump hour.
        reason: why they are in quarantine.
        lines: how many.
        becomes: fits (an event, or a duplicate of one); stays; untried (only the landing can tell).
        now: the reason that they stay for.
        detail: of one of them, what is expected and what is there.
    """

    hour: datetime
    reason: str
    lines: int
    becomes: Becomes
    now: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Trial:
    """What would become of the quarantined lines of a source. Nothing is changed by it.

    Attributes:
        source: as its file is now.
        outcomes: by hour, reason and what becomes of them.
        rebuilds: whether the file is not in force, so that events would be rebuilt, all hours of it.
        again: else the hours that would be landed: those of lines that may fit, and those that a replay
            before has landed and was kept from bringing to analysts.
    """

    source: Source
    outcomes: tuple[Outcome, ...]
    rebuilds: bool
    again: tuple[datetime, ...]

    def count(self, becomes: Becomes) -> int:
        """Return how many lines become that."""
        return sum(each.lines for each in self.outcomes if each.becomes == becomes)

    @property
    def lines(self) -> int:
        """How many were asked about."""
        return sum(each.lines for each in self.outcomes)

    @property
    def is_idle(self) -> bool:
        """Whether a replay would bring nothing back."""
        if self.rebuilds:
            return not (self.count("fits") or self.count("untried"))
        return not self.again

    def stays(self) -> list[str]:
        """Return why lines stay, most first, each with how many and an example."""
        found: Counter[str] = Counter()
        details: dict[str, str] = {}
        for each in self.outcomes:
            if each.now is not None:
                found[each.now] += each.lines
                details.setdefault(each.now, each.detail or "")
        return [f"{n:,} {now} ({visible(details[now])})" for now, n in found.most_common()]

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            "lines": self.lines,
            "fits": self.count("fits"),
            "stays": self.count("stays"),
            "untried": self.count("untried"),
            "outcomes": [{**vars(each), "hour": hour_text(each.hour)} for each in self.outcomes],
            "rebuilds": self.rebuilds,
            "hours": [hour_text(hour) for hour in self.again],
        }


@dataclass(frozen=True)
class Replayed:
    """What a replay came to.

    Attributes:
        publication: of events; None where the gate held all of it.
        held: audits of candidates that were not published.
        landed: what became of the hours landed, unless events were rebuilt.
        derived: what followed.
        release: what analysts see now.
        left: lines in quarantine now, by reason, of the hours asked about.
    """

    publication: Publication | None
    held: tuple[Audit, ...]
    landed: tuple[Landed, ...]
    derived: Derived
    release: Release
    left: Mapping[str, int]

    @property
    def exit_status(self) -> int:
        """0 done; 1 hours without files, or tables that other code made; 3 something is held."""
        outcomes = {each.outcome for each in self.landed}
        if self.held or "unreadable" in outcomes:
            return EXIT_HELD
        return EXIT_FAULT if "missing" in outcomes or self.derived.outdated else 0

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts."""
        made = (*([self.publication] if self.publication else []), *self.derived.publications)
        return {
            "published": [
                {
                    "table": each.table_name,
                    "publication_id": each.publication_id,
                    "slices": len(each.slices),
                    "rows": each.rows,
                }
                for each in made
            ],
            "held": [each.describe() for each in self.held],
            "release": self.release.release_id,
            "left": dict(self.left),
        }


def try_lines(
    work: Work, source: Source, first: datetime | None = None, last: datetime | None = None
) -> Trial:
    """Read the quarantined lines of a source again, by its file as it is now; change nothing.

    Args:
        work: where.
        source: as its file is now.
        first: only dump hours from this one on.
        last: only dump hours up to this one.

    Raises:
        TidegateError: an expression of the source file fails, or the table has a column of the file with
            another type.
    """
    work.ledger.refresh()
    own = {name: column.type for name, column in source.columns.items()}
    work.lake.missing_columns(events.TABLE, own)
    landings = _landings(work, source, first, last)
    mine = work.fingerprint(source, events.TABLE)
    made = work.ledger.last(events.TABLE, source.source)
    stand = standing(landings, made.configuration if made else None)
    bad = {hour: row for hour, row in stand.items() if row["quarantined_by_reason"]}
    outcomes = _outcomes(bad, _read_again(work, source, bad, mine))
    rebuilds = made is not None and made.configuration != mine
    again = {
        each.hour
        for each in outcomes
        if each.becomes != "stays" and bad[each.hour]["configuration"] != mine
    }
    if not rebuilds:
        again |= _unfinished(work, source, landings, stand, mine)
    return Trial(source, tuple(outcomes), rebuilds, () if rebuilds else tuple(sorted(again)))


def replay(work: Work, trial: Trial) -> Replayed:
    """Land the lines of a trial in their own hours, publish them, and bring all tables up to that.

    Raises:
        TidegateError: none of the lines fits, or a dump is gone that published rows were made of.
    """
    if trial.is_idle:
        raise _idle_error(trial)
    source = trial.source
    landed: tuple[Landed, ...] = ()
    if trial.rebuilds:
        rebuilt = rebuild(work, events.TABLE, source)
        publication, audits = rebuilt.publication, rebuilt.held
        derived = derive(work, [source])
        made = release(work, derived)
    else:
        ran = run(work, source, trial.again)
        landed, publication, audits = ran.landed, ran.published.publication, ran.published.held
        derived, made = ran.derived, ran.release
    return Replayed(
        publication, (*audits, *derived.held), landed, derived, made, _left(work, trial)
    )


# -- what stands in quarantine ----------------------------------------------------------------------


def standing(landings: Iterable[Row], configuration: str | None) -> dict[datetime, Row]:
    """Return the landing that stands for each hour: the latest by a configuration, else the latest.

    Args:
        landings: rows of `ops/landings` of one source.
        configuration: the one in force; None where nothing is published.
    """
    ordered = sorted(
        landings,
        key=lambda row: (
            row["configuration"] == configuration,
            parse_time(row["landed_at"]),
            row["landing_id"],
        ),
    )
    return {parse_time(row["dump_hour"]): row for row in ordered}


def _landings(
    work: Work, source: Source, first: datetime | None, last: datetime | None
) -> list[Row]:
    """Return all landings of the hours asked about whose files could be read."""
    where = [f"source = {literal(source.source)}", "status = 'landed'"]
    if first is not None:
        where.append(f"dump_hour >= {literal(first)}")
    if last is not None:
        where.append(f"dump_hour <= {literal(last)}")
    return work.lake.book(LANDINGS, " and ".join(where), _LANDING)


def _unfinished(
    work: Work,
    source: Source,
    landings: Iterable[Row],
    stand: Mapping[datetime, Row],
    mine: str,
) -> set[datetime]:
    """Return the hours that a replay has landed, but that a kill or the gate kept from analysts."""
    publications = work.ledger.publications(events.TABLE, source.source)
    published = {
        hour: record.landing_id for hour, (record, _) in published_landings(publications).items()
    }
    lags = bool(lagging(work, source.source, events.TABLE))
    replayed = {
        parse_time(row["dump_hour"])
        for row in landings
        if row["configuration"] != mine and row["quarantined_by_reason"]
    }
    return {
        hour
        for hour in replayed
        if stand[hour]["configuration"] == mine
        and (lags or published.get(hour) != stand[hour]["landing_id"])
    }


def _left(work: Work, trial: Trial) -> dict[str, int]:
    """Return how many lines of the hours of a trial are in quarantine now, by reason."""
    asked = {each.hour for each in trial.outcomes} | set(trial.again)
    found: Counter[str] = Counter()
    work.ledger.refresh()
    made = work.ledger.last(events.TABLE, trial.source.source)
    landings = _landings(work, trial.source, min(asked), max(asked))
    for hour, row in standing(landings, made.configuration if made else None).items():
        if hour in asked:
            found.update(row["quarantined_by_reason"] or {})
    return dict(found)


# -- trying -----------------------------------------------------------------------------------------


def _read_again(work: Work, source: Source, bad: Mapping[datetime, Row], mine: str) -> list[Row]:
    """Return what the lines there become: `dump_hour`, `reason`, `now` (NULL for an event), `n`, `detail`."""
    if not bad:
        return []
    landed = f"{slices_where(QUARANTINE, source.source, list(bad))} AND {_landed_by(bad.values())}"
    # What this very file has quarantined stays, and so does what is too long: only its start is kept.
    settled = f"(reason IN ('too_long', {literal(REASON)}) OR " + (
        _landed_by(row for row in bad.values() if row["configuration"] == mine) + ")"
    )
    found: Counter[tuple[str, str, str | None]] = Counter()
    details: dict[tuple[str, str, str | None], str] = {}
    for row in work.lake.book(
        QUARANTINE,
        f"{landed} AND {settled} GROUP BY dump_hour, reason",
        ("dump_hour", "reason", "count(*) AS n", "min(detail) AS detail"),
    ):
        key = (row["dump_hour"], row["reason"], row["reason"])
        found[key] += row["n"]
        details[key] = row["detail"]
    if _stands_alone(source) and _stands_alone(in_force(work, source)):
        # Of lines that could not be read nothing is kept once a person was erased: only landing can tell.
        for hour, reason, now, detail in _parsed_again(
            work, source, f"{landed} AND NOT {settled} AND raw IS NOT NULL"
        ):
            key = (hour, reason, now)
            found[key] += 1
            if detail is not None:
                details[key] = min(detail, details.get(key, detail))
    return [
        {
            "dump_hour": hour,
            "reason": reason,
            "now": now,
            "n": n,
            "detail": details.get((hour, reason, now)),
        }
        for (hour, reason, now), n in found.items()
    ]


def _parsed_again(
    work: Work, source: Source, where: str
) -> Iterator[tuple[str, str, str | None, str | None]]:
    """Yield of quarantined lines: hour, reason then, reason now (None for an event), and detail."""
    from tidegate.config.source import Format
    from tidegate.landing.kernel import InputFile, UnreadableError, parse_file

    rows = work.lake.book(
        QUARANTINE,
        where,
        ("dump_hour", "reason", "hex(coalesce(raw_bytes, encode(raw))) AS bytes"),
    )
    by_hour: dict[str, list[Row]] = {}
    for row in rows:
        by_hour.setdefault(row["dump_hour"], []).append(row)
    # What the first line of a file may begin with is no part of these, nor does any of them say how they lie in it.
    first = b"\n"
    if source.format.type == "json":
        first, source = b"null\n", source.model_copy(update={"format": Format()})
    with work.lake.reader.cursor() as own:
        for hour, lines in by_hour.items():
            data = [bytes.fromhex(line["bytes"]) for line in lines]
            starts = [2, *(2 + n for n in accumulate(text.count(b"\n") + 1 for text in data))]
            reasons = {start: line["reason"] for start, line in zip(starts, lines, strict=False)}
            stream = io.BytesIO(first + b"\n".join(data))
            # Not their file's own name: by that, what was unpacked once would be unpacked again.
            file = InputFile(parse_time(hour), "quarantined")
            try:
                batches = list(parse_file(stream, file, rules_of(work, source), own))
            except UnreadableError:
                continue  # records that are open to their end: only the landing can tell
            for batch in batches:
                columns = batch.select(["line", "_outcome", "_reason", "_detail"]).to_pylist()
                for line in columns:
                    if line["line"] in reasons:
                        now = None if line["_outcome"] == "event" else line["_reason"]
                        yield hour, reasons[line["line"]], now, line["_detail"]


def _stands_alone(source: Source) -> bool:
    """Return whether a line can be read without its file.

    What a column is may stand in another line, and what a value is in the file's own types. What is kept of a line is
    UTF-8, and of lines with personal data only a part was kept. Whether `-` is a value depends on the file's first
    line, which may be a directive of an extended log.
    """
    form = source.format
    if source.pii or form.type in ("parquet", "avro"):
        return False
    has_names = isinstance(form.header, tuple) and not form.skip and form.encoding == "utf-8"
    return form.type in ("json", "access_log") or (has_names and not form.may_be_extended_log)


def _landed_by(landings: Iterable[Row]) -> str:
    listed = ", ".join(literal(row["landing_id"]) for row in landings)
    return f"landing_id in ({listed})" if listed else "false"


def _outcomes(bad: Mapping[datetime, Row], found: Iterable[Row]) -> list[Outcome]:
    """Return what becomes of all lines that the landings counted, those that are not there included."""
    outcomes = []
    rest = {
        (hour, reason): n
        for hour, row in bad.items()
        for reason, n in row["quarantined_by_reason"].items()
    }
    for row in found:
        hour, now = parse_time(row["dump_hour"]), row["now"]
        becomes: Becomes = "fits" if now is None else "stays"
        outcomes.append(Outcome(hour, row["reason"], row["n"], becomes, now, row["detail"]))
        rest[hour, row["reason"]] -= row["n"]
    outcomes += [Outcome(hour, reason, n, "untried") for (hour, reason), n in rest.items() if n]
    return sorted(outcomes, key=lambda each: (each.hour, each.reason, each.becomes, each.now or ""))


def _idle_error(trial: Trial) -> TidegateError:
    source = trial.source
    stays = trial.stays()
    if trial.count("untried"):
        stays.append(f"{trial.count('untried'):,} that this file was tried on already")
    more = f"; and for {len(stays) - _TOP} more reasons" if len(stays) > _TOP else ""
    hours = [hour_text(each.hour) for each in trial.outcomes]
    again = command("run", source_word(source.source), "--from", min(hours), "--to", max(hours))
    return TidegateError(
        f"none of the {trial.lines:,} quarantined lines of {source.source} becomes an event",
        where=f"{source.path}, {hours_text(each.hour for each in trial.outcomes)}",
        expected="a source file by which lines fit",
        got="; ".join(stays[:_TOP]) + more,
        todo="fix the source file; where the lines themselves are wrong, have the dump uploaded again, "
        f"then: {again}",
    )
