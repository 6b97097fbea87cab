"""Rebuild: a table is built anew by the configuration of today, apart, and swapped in by one publication.

Readers keep what is there until then, and hourly runs go on by the configuration in force. Where one of
them publishes meanwhile, the rebuild takes that in and tries again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.common.errors import TidegateError
from tidegate.common.hints import command, source_word
from tidegate.common.hours import hour_text
from tidegate.lake.ledger import Publication, published_landings
from tidegate.pipeline.context.attempts import until_first
from tidegate.pipeline.context.effective_config import in_force
from tidegate.pipeline.derive.pending import pending_of
from tidegate.pipeline.derive.update import build_and_publish
from tidegate.pipeline.ingest.land import Landed, land_as
from tidegate.pipeline.publish.audit import Audit, audit_plan
from tidegate.pipeline.publish.plan import make_plan
from tidegate.pipeline.publish.publish import event_hours_of, publish_events, publish_plan
from tidegate.tables import BY_NAME, REBUILDABLE, Table, events, session_aliases, sessions

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work

_SHOWN = 5


@dataclass(frozen=True)
class Rebuilt:
    """What became of one table of one source.

    Attributes:
        table: its name.
        source: whose rows.
        publication: what was swapped in; None where the gate held it, or nothing is published.
        audits: all audits; what is held may have older rows meanwhile.
    """

    table: str
    source: str
    publication: Publication | None
    audits: tuple[Audit, ...]

    @property
    def held(self) -> tuple[Audit, ...]:
        """Audits that speak against it."""
        return tuple(each for each in self.audits if each.held)


def rebuild(
    work: Work, table: Table, source: Source, between: tuple[datetime, datetime] | None = None
) -> Rebuilt:
    """Build one table of a source anew by its file as it is now; all of it, or nothing.

    Args:
        work: where.
        table: what to build.
        source: whose rows.
        between: only what the published dumps of these hours, the first to the last, bear on; by the
            configuration that the table has.

    Raises:
        TidegateError: a dump that published rows were made of is gone or can't be read, the table has
            no build of its own, others were faster too often, or a part would be of another
            configuration than the rest.
    """
    work.ledger.refresh()
    if between is not None:
        _refuse_patchwork(work, table, source)
    if table is events.TABLE:
        return _rebuild_events(work, source, between)
    if table not in REBUILDABLE:
        raise TidegateError(
            f"{table.name} can't be built anew",
            expected=f"one of {', '.join(each.name for each in REBUILDABLE)}",
            todo=f"it tells what became of published ids, and follows {sessions.TABLE.name} by itself"
            if table is session_aliases.TABLE
            else None,
        )

    def attempt() -> Rebuilt | None:
        made = work.ledger.last(events.TABLE, source.source)
        if made is None:
            return Rebuilt(table.name, source.source, None, ())
        work.tell(f"rebuilding {table.name} of {source.source}")
        # Its own rules are those of the file; what events it is built from is another table's matter.
        rules = source if table is sessions.TABLE else in_force(work, source)
        version = _version(work, table, made)
        pending = pending_of(work, table, rules, version, whole=between is None, again=between)
        if not pending.whole and not pending.publications:
            return Rebuilt(table.name, source.source, None, ())
        updated = build_and_publish(work, table, pending)
        if updated is None:
            return None
        publication = updated.publications[0] if updated.publications else None
        return Rebuilt(table.name, source.source, publication, updated.audits)

    return until_first(f"{table.name} of {source.source}", attempt)


def _version(work: Work, table: Table, made: Publication) -> int:
    """Return the version of events to build a table from: not beyond the tables that are published before it."""
    earlier = table.aggregate.after if table.aggregate is not None else ()
    versions = [
        last.input_versions[events.TABLE.name]
        for name in earlier
        if (last := work.ledger.last(BY_NAME[name], made.source)) is not None
    ]
    return min([made.delta_version, *versions])


def _refuse_patchwork(work: Work, table: Table, source: Source) -> None:
    """Raise if a part of a table built anew would be made otherwise than the rest of it."""
    last = work.ledger.last(table, source.source)
    if last is None or (
        last.configuration == work.fingerprint(source, table) and last.code_version == table.version
    ):
        return
    raise TidegateError(
        f"{table.name} of {source.source} is not what its file and the code would make of it now",
        where=str(source.path),
        expected="a table of one configuration",
        got="some of its hours to be built anew, by another one",
        todo="rebuild all of it: " + command("rebuild", table.name, source_word(source.source)),
    )


def _rebuild_events(
    work: Work, source: Source, between: tuple[datetime, datetime] | None
) -> Rebuilt:
    audits: dict[str, Audit] = {}
    # What the table can't hold is told before anything is landed.
    own = {name: column.type for name, column in source.columns.items()}
    work.lake.missing_columns(events.TABLE, own)

    def attempt() -> Rebuilt | None:
        published = _published(work, source)
        if between is not None:
            published = [hour for hour in published if between[0] <= hour <= between[1]]
        if not published:
            return Rebuilt(events.TABLE.name, source.source, None, ())
        work.tell(f"landing {len(published)} hours of {source.source} again")
        _whole_or_nothing(source, land_as(work, source, published, whole=True))
        plan = make_plan(work, source, published, whole=True)
        found = audit_plan(work, plan)
        audits.update({audit.audit_id: audit for audit in found})
        if any(audit.held for audit in found):
            return Rebuilt(events.TABLE.name, source.source, None, tuple(audits.values()))
        publication = publish_plan(work, plan, found, event_hours_of(work, plan))
        if publication is None:
            return None
        if between is None:
            audits.update(_publish_others(work, source))
        return Rebuilt(events.TABLE.name, source.source, publication, tuple(audits.values()))

    return until_first(f"events of {source.source}", attempt)


def _published(work: Work, source: Source) -> list[datetime]:
    """Return the hours of which something is published."""
    return sorted(published_landings(work.ledger.publications(events.TABLE, source.source)))


def _whole_or_nothing(source: Source, landed: Sequence[Landed]) -> None:
    lost = [each for each in landed if each.outcome in ("missing", "unreadable")]
    if lost:
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        raise TidegateError(
            f"{len(lost)} published hours of {source.source} can't be landed anew",
            where=str(source.path),
            expected="every dump that published rows were made of",
            got="; ".join(f"{hour_text(e.hour)}: {e.error}" for e in lost[:_SHOWN]) + more,
            todo="bring the files back, or undo the change of the source file; nothing was changed",
        )


def _publish_others(work: Work, source: Source) -> dict[str, Audit]:
    """Land and publish what was held before; what is held again holds only itself."""
    work.ledger.refresh()
    mine = work.fingerprint(source, events.TABLE)
    landed = work.ledger.landings(source.source)
    waiting = sorted(
        hour
        for hour, row in landed.items()
        if row["configuration"] != mine and hour >= source.since
    )
    if not waiting:
        return {}
    found = land_as(work, source, waiting)
    for each in found:
        work.tell(each.describe())
    done = publish_events(work, source, [each.hour for each in found if each.landing_id])
    return {each.audit_id: each for each in done.audits}
