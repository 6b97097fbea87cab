"""Release: the versions of all published tables that belong together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.common.hints import command
from tidegate.lake import Row, parse_time
from tidegate.pipeline.context.attempts import until_first
from tidegate.pipeline.release.corrections import corrections
from tidegate.query.releases import rolled_back_text
from tidegate.tables import WAREHOUSE, events
from tidegate.tables.system_tables import CORRECTIONS, RELEASES

if TYPE_CHECKING:
    from tidegate.lake.ledger import Publication
    from tidegate.pipeline.context.run_context import Work
    from tidegate.pipeline.derive.derive import Derived


_COMMITS = 4
"""How many commits are looked at for the last release: others, such as a compaction, may have come after
it. Only its row can be missing: the next release begins by writing it."""


@dataclass(frozen=True)
class Release:
    """Versions pinned together, and the sources whose derived tables lag behind.

    `metric_faults` says what is wrong with metric files: of their metrics, the last good definitions are in force.
    """

    release_id: str
    sequence: int
    versions: dict[str, int]
    publications: tuple[str, ...]
    behind: tuple[str, ...]
    is_new: bool = True
    metric_faults: tuple[str, ...] = ()


def release(work: Work, derived: Derived, *, resume: bool = False) -> Release:
    """Pin the versions that a derive run brought together, and tell what it changes after the fact.

    Events are pinned at the version that the run consumed, not at what came since. The definitions of
    metrics that are in force go with it. Where nothing changed since the last release, that one is returned.
    And so it is after a rollback, until somebody resumes.

    Args:
        work: where.
        derived: what was derived.
        resume: whether a rollback is over.

    The commit to `ops/corrections` is what makes a release: it carries the release's row, and its number
    goes to the first that asks for it. The row itself is written after it, and repaired from it.

    Raises:
        TryAgainError: other runs made releases first, again and again.
    """

    def attempt() -> Release | None:
        last = repaired(work)
        metrics, faults = _metrics(work, last)
        if last is not None and last.get("rolled_back_to") and not resume:
            work.tell(f"no new release: {describe_rollback(last)}")
            return _release_of(last, faults, is_new=False)
        made = _next(work, derived, last, metrics)
        if made is None:
            assert last is not None, "the first release is always new"
            return _release_of(last, faults, is_new=False)
        before = last["versions"] if last else None
        rows = corrections(work, before, made["versions"]) if before else []
        if not commit(work, made, rows):
            return None
        work.tell(f"release {made['release_id']}" + _told(rows))
        return _release_of(made, faults)

    return until_first("releases", attempt)


def commit(work: Work, made: Row, rows: Sequence[Row]) -> bool:
    """Make a release; return whether no other one was faster.

    Args:
        work: where.
        made: its row.
        rows: of `ops/corrections`, but for the release.
    """
    told = {"release_id": made["release_id"], "sequence": made["sequence"]}
    work.lake.append_next(
        CORRECTIONS,
        [{**row, **told} for row in rows],
        "release",
        made["sequence"],
        record={"tidegate": made},
    )
    found = repaired(work)
    return found is not None and found["release_id"] == made["release_id"]


def describe_rollback(row: Row) -> str:
    """Return in words what a release is that rolled back to an earlier one."""
    at = parse_time(row["released_at"])
    told = rolled_back_text(row["rolled_back_to"], row["rolled_back_by"], at, row["reason"])
    resume = command("release", "--resume")
    return f"{told}; what was published since is not shown until: {resume}"


def _next(work: Work, derived: Derived, last: Row | None, metrics: Mapping[str, str]) -> Row | None:
    """Return the row of the next release; None where nothing changed since the last one."""
    from tidegate.pipeline.context.run_context import new_id, now

    work.ledger.refresh()
    versions = {table.name: work.lake.version(table) for table in WAREHOUSE}
    if derived.version >= 0:
        # Where another run was faster, the other tables are of what that one took.
        shown = last["versions"][events.TABLE.name] if last else -1
        versions[events.TABLE.name] = max(derived.version, shown)
    behind = sorted(derived.behind)
    if (
        last is not None
        and last["versions"] == versions
        and (last["behind"] or []) == behind
        and _metrics_of(last) == metrics
    ):
        return None
    since = last["versions"] if last else {}
    return {
        "release_id": new_id(),
        "sequence": last["sequence"] + 1 if last else 1,
        "released_at": now(),
        "versions": versions,
        "publications": [
            each.publication_id
            for table in WAREHOUSE
            for each in work.ledger.publications(
                table,
                after_version=since.get(table.name, -1),
                upto_version=versions[table.name],
            )
        ],
        "behind": behind,
        "configurations": _configurations(work, versions),
        "run_id": work.run_id,
        "metrics": dict(metrics),
    }


def _metrics(work: Work, last: Row | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the definitions in force, and what is wrong with files, which is told."""
    from tidegate.config.metrics.in_force import in_force
    from tidegate.config.source import readable_sources

    settings = work.settings

    def own() -> dict[str, dict[str, str]]:
        sources = readable_sources(settings.sources)[0] if settings.sources.is_dir() else []
        return {s.source: {name: c.type for name, c in s.columns.items()} for s in sources}

    metrics, faults = in_force(
        settings.metrics, _metrics_of(last), own, lambda: work.lake.columns(events.TABLE)
    )
    found = tuple(f"{settings.metrics}/{fault}" for fault in faults)
    for fault in found:
        work.tell(f"metric left as it was: {fault}")
    return metrics, found


def _metrics_of(row: Row | None) -> dict[str, str]:
    """Return the definitions of a release; an older version's has none."""
    return dict((row or {}).get("metrics") or {})


def repaired(work: Work) -> Row | None:
    """Return the row of the last release, written first if a kill prevented it; None if there is none."""
    newest = work.lake.book(RELEASES, select=["max(sequence) AS n"])[0]["n"] or 0
    for _, text in work.lake.history(CORRECTIONS, _COMMITS):
        made = _record(text)
        if made is not None:
            if made["sequence"] > newest:
                work.lake.append_next(RELEASES, [made], "release", made["sequence"])
                newest = made["sequence"]
            break
    rows = work.lake.book(RELEASES, f"sequence = {newest}")
    return rows[0] if rows else None


def _told(rows: list[Row]) -> str:
    after_the_fact = sum(row["cause"] != "new" for row in rows)
    return f", which corrects {after_the_fact:,} published numbers" if after_the_fact else ""


def _record(text: str | None) -> Row | None:
    """Return the release that a commit made, if it made one."""
    found = json.loads(text).get("tidegate") if text else None
    return found if isinstance(found, dict) else None


def _release_of(row: Row, faults: tuple[str, ...], *, is_new: bool = True) -> Release:
    return Release(
        row["release_id"],
        row["sequence"],
        row["versions"],
        tuple(row["publications"]),
        tuple(row["behind"] or ()),
        is_new,
        faults,
    )


def _configurations(work: Work, versions: Mapping[str, int]) -> list[Row]:
    """Return by table and source what the rows of some versions were made by."""
    found = []
    for table in WAREHOUSE:
        newest: dict[str, Publication] = dict(work.ledger.lasts(table))
        pinned = versions[table.name]
        if any(each.delta_version > pinned for each in newest.values()):
            upto = work.ledger.publications(table, upto_version=pinned)
            newest = {each.source: each for each in upto}
        found += [
            {
                "table_name": table.name,
                "source": source,
                "configuration": each.configuration,
                "code_version": each.code_version,
                "suite": each.suite,
            }
            for source, each in sorted(newest.items())
        ]
    return found
