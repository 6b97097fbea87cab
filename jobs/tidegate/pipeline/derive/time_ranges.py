"""Stretches of time, and the predicates over them: literals, so that files are skipped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tidegate.lake import literal
from tidegate.lake.table_refs import Within

Stretch = tuple[datetime, datetime]
"""A start and an end."""


def fold(stretches: Iterable[Stretch], apart: timedelta = timedelta(0)) -> list[Stretch]:
    """Return stretches in order, those that lie at most `apart` from each other folded into one."""
    folded: list[Stretch] = []
    for lo, hi in sorted(stretches):
        if folded and lo - folded[-1][1] <= apart:
            folded[-1] = (folded[-1][0], max(hi, folded[-1][1]))
        else:
            folded.append((lo, hi))
    return folded


def within(column: str, ranges: Sequence[Stretch]) -> str:
    """Return the predicate of rows whose time lies in the ranges, ends excluded."""
    return _any(f"({column} >= {literal(lo)} and {column} < {literal(hi)})" for lo, hi in ranges)


def sessions_within(stretches: Sequence[Stretch], margin: timedelta) -> Within:
    """Return what asks for the sessions that reach within `margin` of the stretches."""
    wide = tuple((lo - margin, hi + margin) for lo, hi in stretches)
    return Within("session_start", "session_end", wide)


def sessions_near(stretches: Sequence[Stretch], margin: timedelta) -> str:
    """Return the predicate of sessions that reach within `margin` of the stretches."""
    return _any(
        f"(session_end >= {literal(lo - margin)} and session_start <= {literal(hi + margin)})"
        for lo, hi in stretches
    )


def _any(predicates: Iterable[str]) -> str:
    return " or ".join(predicates) or "false"
