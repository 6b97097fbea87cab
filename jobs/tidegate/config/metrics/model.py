"""Model: what a metric is, and which keys each kind of metric has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

INTERVALS = ("hour", "day", "week", "month")
BY = ("user", "session")
TABLES = ("events", "sessions")
"""The tables whose rows metrics count."""
UTC = "UTC"
DAYS = (1, 7, 28)
"""Over how many days active users count: of a day, a week, a month of four weeks."""
PERIODS = 12
"""How many periods after its first one a cohort is followed."""

COMMON = ("metric", "kind", "description", "owner")
_ROWS = ("source", "where", "interval", "time_zone", "group_by")
_AGGREGATE = ("table", *_ROWS)
KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "count": _AGGREGATE,
        "unique": (*_AGGREGATE, "value"),
        "sum": (*_AGGREGATE, "value"),
        "mean": (*_AGGREGATE, "value"),
        "median": (*_AGGREGATE, "value"),
        "percentiles": (*_AGGREGATE, "value", "percentiles"),
        "new_users": _ROWS,
        "active_users": ("source", "days", "group_by"),
        "retention": (*_ROWS, "returns", "periods"),
        "funnel": (*_ROWS, "steps", "by", "window"),
        "ratio": ("numerator", "denominator"),
    }
)
"""The keys of each kind, beside those of `COMMON`."""
REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sum": ("value",),
        "mean": ("value",),
        "median": ("value",),
        "percentiles": ("value", "percentiles"),
        "funnel": ("steps", "window"),
        "ratio": ("numerator", "denominator"),
    }
)
KINDS = tuple(KEYS)
AGGREGATES = tuple(kind for kind, keys in KEYS.items() if "table" in keys)
VALUED = ("count", "unique", "sum", "mean", "median", "new_users", "ratio")
"""Kinds that give one `value` a period: what a ratio can be made of."""
ZERO_OF_NOTHING = ("count", "unique", "sum", "new_users")
"""Kinds whose value of no rows is 0, and not unknown."""


@dataclass(frozen=True)
class Step:
    """A step of a funnel: its name and the condition of events that are it, in DuckDB's SQL."""

    name: str
    where: str


@dataclass(frozen=True)
class Metric:
    """A metric, as its file defines it. Keys that its kind has not are at their defaults.

    Attributes:
        name: of the metric and of its view.
        kind: one of `KINDS`.
        description: what it tells, in words.
        owner: who answers for it.
        table: whose rows are counted, one of `TABLES`.
        sources: whose rows; empty for all sources.
        where: only these rows; a condition in DuckDB's SQL.
        interval: of a period, one of `INTERVALS`.
        time_zone: IANA name of the zone in which periods begin.
        group_by: columns; one row a period and combination of their values.
        value: expression over a row's columns.
        percentiles: 0 to 100.
        days: over how many days users are active, three numbers.
        returns: of retention, which events are a return; None for all.
        periods: of retention, how many periods a cohort is followed.
        steps: of a funnel, in order.
        by: of a funnel, one of `BY`: whose steps they are.
        window: of a funnel, the longest time from the first step to the last.
        numerator: of a ratio, the name of a metric.
        denominator: likewise.
        columns: name → DuckDB type of the columns named that only some sources have.
    """

    name: str
    kind: str
    description: str
    owner: str
    table: str = "events"
    sources: tuple[str, ...] = ()
    where: str | None = None
    interval: str = "day"
    time_zone: str = UTC
    group_by: tuple[str, ...] = ()
    value: str | None = None
    percentiles: tuple[float, ...] = ()
    days: tuple[int, ...] = DAYS
    returns: str | None = None
    periods: int = PERIODS
    steps: tuple[Step, ...] = ()
    by: str = "user"
    window: timedelta | None = None
    numerator: str | None = None
    denominator: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def made_of(self) -> tuple[str, ...]:
        """The metrics that it is computed from."""
        return tuple(name for name in (self.numerator, self.denominator) if name is not None)

    @property
    def reads(self) -> str | None:
        """The published table that it reads; None if it only reads other metrics."""
        if self.kind == "ratio":
            return None
        return "daily_activity" if self.kind == "active_users" else self.table

    @property
    def conditions(self) -> Mapping[str, str]:
        """Its conditions: where in the file → text."""
        found = {"where": self.where, "returns": self.returns}
        told = {key: text for key, text in found.items() if text is not None}
        return {**told, **{f"steps.{at}": s.where for at, s in enumerate(self.steps, start=1)}}

    def definition(self) -> dict[str, Any]:
        """Return it in the words of its file, defaults spelt out, so that these may change."""
        from tidegate.common.durations import duration_text

        every = {
            "table": self.table,
            "source": list(self.sources),
            "where": self.where,
            "interval": self.interval,
            "time_zone": self.time_zone,
            "group_by": list(self.group_by),
            "value": self.value,
            "percentiles": list(self.percentiles),
            "days": list(self.days),
            "returns": self.returns,
            "periods": self.periods,
            "steps": [{"name": step.name, "where": step.where} for step in self.steps],
            "by": self.by,
            "window": None if self.window is None else duration_text(self.window),
            "numerator": self.numerator,
            "denominator": self.denominator,
        }
        mine = {key: every[key] for key in KEYS[self.kind] if every[key] not in (None, [])}
        told = {"columns": dict(self.columns)} if self.columns else {}
        return {
            "metric": self.name,
            "kind": self.kind,
            "description": self.description,
            "owner": self.owner,
            **mine,
            **told,
        }

    def output(self) -> tuple[str, ...]:
        """Return the columns of its view beside those that it is grouped by, in order."""
        own: tuple[str, ...]
        if self.kind == "funnel":
            own = ("step", "step_name", "entered", "share_of_first", "share_of_previous")
        elif self.kind == "retention":
            return ("cohort_start", "cohort_local", "periods_later", "users", "returned", "share")
        elif self.kind == "active_users":
            names = ("dau", "wau", "mau")
            own = tuple(each for n in names for each in (n, f"{n}_standard_error"))
        elif self.kind == "percentiles":
            own = tuple(map(percentile_name, self.percentiles))
        elif self.kind == "ratio":
            own = ("numerator", "denominator", "value")
        else:
            own = ("value",)
        return ("period_start", "period_local", *own)


def percentile_name(percentile: float) -> str:
    """Return the column of a percentile: `p50`, `p99_9`."""
    return "p" + f"{percentile:g}".replace(".", "_")
