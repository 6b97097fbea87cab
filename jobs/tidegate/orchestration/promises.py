"""The task of the DAG `freshness`: whether sources keep what they promise, and who is told when they don't."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.common.hours import HOUR, hour_text
from tidegate.common.text_output import visible
from tidegate.config.settings import Settings, load_settings
from tidegate.orchestration import alerts
from tidegate.orchestration.tasks import events_hour, say, told

if TYPE_CHECKING:
    from tidegate.pipeline.publish.approve import HeldSlice
    from tidegate.query.freshness import Freshness, Stretch

Told = list[tuple["HeldSlice", str]]
"""Slices, each with what to say of it."""


def look(context: dict[str, Any]) -> None:
    """Say how each source that promises anything keeps it, and tell people what they do not know yet."""
    with told():
        look_at(load_settings(), datetime.now(UTC), context)


def look_at(settings: Settings, now: datetime, context: dict[str, Any]) -> None:
    """Do what `look` does, at some time.

    Args:
        settings: of the project and its lake.
        now: the time.
        context: of the task, as Airflow gives it.
    """
    found = _found(settings, now)
    for each in found:
        say(visible(f"{each.source}: {each.describe()}"))
    known = alerts.open_hours(settings, "late", {each.source for each in found})
    alerts.tell(settings, "late", late(found), context, say)
    alerts.tell(settings, "caught_up", caught_up(found, known), context, say)


def late(found: Sequence[Freshness]) -> Told:
    """Return what to tell of stretches of which anything is missing, each by its first hour."""
    return [
        (events_hour(each.source, stretch.first), each.describe_late(stretch))
        for each in found
        for stretch in each.late
    ]


def caught_up(found: Sequence[Freshness], known: Sequence[HeldSlice]) -> Told:
    """Return what to tell of stretches that people know of and that are over.

    One of which all hours are there goes on until an hour is there in time: where each is a little late,
    people would be told twice an hour.

    Args:
        found: how sources keep what they promise.
        known: the first hours of the stretches that people know of.
    """
    by_name = {each.source: each for each in found}
    return [
        (held, _caught_up(held, stretch))
        for held in known
        if held.source in by_name
        for stretch in [_stretch(by_name[held.source], held.hour)]
        if stretch is None or (stretch.over and not stretch.missing)
    ]


def _found(settings: Settings, now: datetime) -> list[Freshness]:
    from tidegate.config.source import readable_sources
    from tidegate.lake.connection import EmptyLakeError
    from tidegate.query.connect import connect
    from tidegate.query.freshness import freshness

    sources, faults = readable_sources(settings.sources)
    for fault in faults:  # dags/sources_with_faults.py shows them; what the others promise holds
        say(f"not looked at: {fault}")
    if not any(each.fresh for each in sources):
        say("no source file promises anything: none has the key `fresh`")
        return []
    try:
        with connect(settings) as connection:
            return freshness(connection, sources, now)
    except EmptyLakeError as error:
        say(f"nothing is late: {error.what}, {error.where}")
        return []


def _stretch(found: Freshness, hour: datetime | None) -> Stretch | None:
    """Return the stretch that an hour is of; None where a promise that has changed knows of none."""
    return next(
        (each for each in found.stretches if hour is not None and each.first <= hour <= each.last),
        None,
    )


def _caught_up(held: HeldSlice, stretch: Stretch | None) -> str:
    if stretch is None:
        return f"{held} is not late by what its source promises now"
    count = (stretch.last - stretch.first) // HOUR + 1
    span = hour_text(stretch.first)
    if count > 1:
        span += f"..{hour_text(stretch.last)} ({count:,} hours)"
    return f"{held.source}: {span} can be read, and what followed came in time"
