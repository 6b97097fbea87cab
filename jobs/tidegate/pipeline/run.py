"""Run: land to release without Airflow, by the same functions that the DAGs call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate import gate
from tidegate.common.errors import EXIT_FAULT, EXIT_HELD
from tidegate.common.hours import hour_text
from tidegate.pipeline.derive.derive import Derived, derive
from tidegate.pipeline.ingest.land import Landed, land
from tidegate.pipeline.publish.audit import Audit
from tidegate.pipeline.publish.publish import Published, publish_events
from tidegate.pipeline.release.release import Release, release

if TYPE_CHECKING:
    from tidegate.config.source import Source
    from tidegate.pipeline.context.run_context import Work


@dataclass(frozen=True)
class Ran:
    """What a run came to, step by step."""

    landed: tuple[Landed, ...]
    published: Published
    derived: Derived
    release: Release

    @property
    def held(self) -> tuple[Audit, ...]:
        """Audits of candidates that were not published."""
        return (*self.published.held, *self.derived.held)

    @property
    def exit_status(self) -> int:
        """0 done; 1 hours without files, or tables that other code made; 3 something is held."""
        unreadable = any(each.outcome == "unreadable" for each in self.landed)
        if self.held or unreadable:
            return EXIT_HELD
        missing = any(each.outcome == "missing" for each in self.landed)
        return EXIT_FAULT if missing or self.derived.outdated else 0

    def as_json(self) -> dict[str, object]:
        """Return it for scripts."""
        publication = self.published.publication
        return {
            "landed": [
                {
                    "hour": hour_text(each.hour),
                    "outcome": each.outcome,
                    "landing_id": each.landing_id,
                    "lines": each.lines,
                    "events": each.events,
                    "duplicates": each.duplicates,
                    "quarantined": each.quarantined,
                    "absent": each.absent,
                    "error": each.error,
                    **(each.there.as_row() if each.there is not None else {}),
                }
                for each in self.landed
            ],
            "published": [
                {
                    "table": each.table_name,
                    "source": each.source,
                    "publication_id": each.publication_id,
                    "slices": len(each.slices),
                    "rows": each.rows,
                }
                for each in (*([publication] if publication else []), *self.derived.publications)
            ],
            "held": [each.describe() for each in self.held],
            "release": {
                "release_id": self.release.release_id,
                "versions": self.release.versions,
                "behind": self.release.behind,
            },
        }


def run(
    work: Work, source: Source, hours: Sequence[datetime], sources: Sequence[Source] = ()
) -> Ran:
    """Land, audit, publish, derive and release some hours of a source.

    A bad hour holds itself only: the others are published, and what is derived follows them.

    Args:
        work: where.
        source: whose hours.
        hours: the dump hours.
        sources: other sources of the lake, whose derived tables are brought up to date too.
    """
    gate.preload()  # beside the landing
    landed = tuple(land(work, source, hours))
    for each in landed:
        work.tell(each.describe())
    published = publish_events(work, source, [each.hour for each in landed if each.landing_id])
    everyone = {each.source: each for each in (*sources, source)}
    derived = derive(work, list(everyone.values()))
    return Ran(landed, published, derived, release(work, derived))
