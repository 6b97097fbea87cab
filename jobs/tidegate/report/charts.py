"""Charts of metrics as inline SVG, drawn here: no script, no style attribute, nothing to load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from tidegate.common.text_output import visible
from tidegate.report.metrics import MetricValues, Series
from tidegate.report.numbers import SECONDS, SHARE, in_unit, percent, short
from tidegate.report.periods import Period
from tidegate.report.plot import ticks_around

_WIDTH, _HEIGHT = 600, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 14, 40
_BASE = _HEIGHT - _BOTTOM
_LARGEST = 1e300
_LABELS = 6
_WIDEST = 64.0
COLOURS = 6
"""Series that a chart has colours for; the rest are one series, or are left out."""
_DOTS = 40
_STEP_HEIGHT, _STEP_LEFT = 34, 150


@dataclass(frozen=True)
class Chart:
    """A chart: its picture, and the names of its series in the order of their colours.

    Attributes:
        svg: the picture.
        legend: names of the series; empty for one without a name.
        left_out: how many series have no place in it.
    """

    svg: Markup
    legend: tuple[str, ...] = ()
    left_out: int = 0


@dataclass(frozen=True)
class Cell:
    """A cell of a heat map: its text, and its shade from 0 to 9."""

    text: str
    shade: int


@dataclass(frozen=True)
class Cohort:
    """A row of a heat map: a cohort, how many users it has, and the share that came back later."""

    start: datetime
    users: int
    cells: tuple[Cell | None, ...]


def chart(found: MetricValues) -> Chart | None:
    """Return the chart of a metric; None for one without numbers, and for retention, which is a table."""
    if found.fault is not None or not found.rows or found.kind == "retention":
        return None
    if found.kind == "funnel":
        return _funnel(found)
    return _over_time(found)


def heat_map(found: MetricValues) -> tuple[Cohort, ...]:
    """Return retention by cohort, oldest first, all groups together."""
    users: dict[datetime, dict[int, list[int]]] = {}
    for row in found.rows:
        cell = users.setdefault(row["cohort_local"], {}).setdefault(row["periods_later"], [0, 0])
        cell[0] += row["users"]
        cell[1] += row["returned"]
    longest = max((later for cohort in users.values() for later in cohort), default=-1)
    return tuple(
        Cohort(
            start,
            cohort[0][0] if 0 in cohort else 0,
            tuple(_cell(cohort.get(later)) for later in range(longest + 1)),
        )
        for start, cohort in sorted(users.items())
    )


def _cell(counts: Sequence[int] | None) -> Cell | None:
    if counts is None or not counts[0]:
        return None
    share = counts[1] / counts[0]
    return Cell(percent(share), min(9, int(share * 10)))


def _over_time(found: MetricValues) -> Chart | None:
    series = [
        Series(each.name, {at: value for at, value in each.values.items() if abs(value) < _LARGEST})
        for each in found.series()
    ]
    series = [each for each in series if each.values]
    if not series or not found.periods:
        return None
    shown, left_out = _fitted(series, additive=found.is_additive)
    is_bars = found.is_additive or (len(shown) == 1 and found.kind == "unique")
    is_bars = is_bars and all(v >= 0 for each in shown for v in each.values.values())
    tops = [
        sum(each.values.get(p.start, 0.0) for each in shown)
        if is_bars
        else max((each.values[p.start] for each in shown if p.start in each.values), default=0.0)
        for p in found.periods
    ]
    low = min(0.0, *(v for each in shown for v in each.values.values()))
    ticks = ticks_around(low, max(0.0, *tops))
    drawing = _Drawing(found, shown, ticks)
    parts = [*drawing.frame(), *(drawing.bars() if is_bars else drawing.lines()), *drawing.marks()]
    legend = tuple(each.name for each in shown) if len(shown) > 1 or shown[0].name else ()
    return Chart(_svg(found, "".join(parts), _HEIGHT), legend, left_out)


def _fitted(series: Sequence[Series], *, additive: bool) -> tuple[list[Series], int]:
    """Return as many series as there are colours, and how many are left out."""
    if len(series) <= COLOURS:
        return list(series), 0
    if not additive:
        return list(series[:COLOURS]), len(series) - COLOURS
    rest: dict[datetime, float] = {}
    for each in series[COLOURS - 1 :]:
        for at, value in each.values.items():
            rest[at] = rest.get(at, 0.0) + value
    others = Series(f"{len(series) - COLOURS + 1} others", rest)
    return [*series[: COLOURS - 1], others], 0


class _Drawing:
    """A chart of numbers over time.

    Args:
        found: the metric.
        series: what is drawn.
        ticks: of the axis of numbers.
    """

    def __init__(
        self, found: MetricValues, series: Sequence[Series], ticks: Sequence[float]
    ) -> None:
        self._found = found
        self._periods = found.periods
        self._series = series
        self._ticks = ticks
        self._slot = (_WIDTH - _LEFT - _RIGHT) / len(found.periods)

    def frame(self) -> list[str]:
        """Return the axes, and a hatched band behind each partial period."""
        right = _WIDTH - _RIGHT
        tell: Callable[[float], str] = {SHARE: percent, SECONDS: _short_seconds}.get(
            self._found.unit or "", short
        )
        parts = [
            f'<rect class="partial" x="{self._left(at)}" y="{_TOP}" width="{max(1.0, self._slot):.1f}" '
            f'height="{_BASE - _TOP}" fill="url(#hatch-{escape(self._found.name)})"/>'
            for at, period in enumerate(self._periods)
            if period.is_partial
        ]
        for tick in self._ticks:
            kind = "axis" if tick == 0 else "rule"
            y = self._y(tick)
            parts.append(f'<path class="{kind}" d="M{_LEFT},{y}H{right}"/>')
            parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" class="end">{tell(tick)}</text>')
        step = -(-len(self._periods) // _LABELS)
        hourly = self._found.metric is not None and self._found.metric.interval == "hour"
        for at in range(0, len(self._periods), step):
            local = self._periods[at].local
            same_day = at >= step and self._periods[at - step].local.date() == local.date()
            label = f"{local:%H}:00" if hourly and same_day else f"{local:%b} {local.day}"
            x = min(max(self._middle(at), _LEFT), right - 24)
            parts.append(f'<text x="{x}" y="{_HEIGHT - 6}" class="mid">{label}</text>')
        return parts

    def bars(self) -> list[str]:
        """Return a bar a period, of its series one above the other."""
        parts = []
        width = min(_WIDEST, max(1.0, self._slot * 0.72))
        for at, period in enumerate(self._periods):
            base = 0.0
            drawn = []
            for colour, each in enumerate(self._series):
                value = each.values.get(period.start, 0.0)
                top, bottom = self._y(base + value), self._y(base)
                base += value
                if value:
                    drawn.append(
                        f'<rect class="s{colour}" x="{self._middle(at) - width / 2:.1f}" y="{top}" '
                        f'width="{width:.1f}" height="{max(1, bottom - top)}"/>'
                    )
            if period.is_partial and drawn:
                top = self._y(base)
                drawn.append(
                    f'<rect x="{self._middle(at) - width / 2:.1f}" y="{top}" width="{width:.1f}" '
                    f'height="{max(1, _BASE - top)}" fill="url(#over-{escape(self._found.name)})"/>'
                )
            parts.append(f"<g><title>{self._told(period)}</title>{''.join(drawn)}</g>")
        return parts

    def lines(self) -> list[str]:
        """Return a line a series, which breaks where a period has no number."""
        parts = []
        for colour, each in reversed(list(enumerate(self._series))):
            commands = []
            joined = False
            for at, period in enumerate(self._periods):
                value = each.values.get(period.start)
                if value is not None:
                    place = f"{self._middle(at)},{self._y(value)}"
                    commands.append(f"L{place}" if joined else f"M{place}h0")
                joined = value is not None
            parts.append(f'<path class="line t{colour}" d="{"".join(commands)}"/>')
            if len(self._periods) <= _DOTS:
                parts += [
                    f'<circle class="s{colour}" cx="{self._middle(at)}" cy="{self._y(each.values[p.start])}" '
                    f'r="2.6"><title>{self._told(p)}</title></circle>'
                    for at, p in enumerate(self._periods)
                    if p.start in each.values
                ]
        return parts

    def marks(self) -> list[str]:
        """Return a triangle below periods with held hours, and a diamond below corrected ones."""
        parts = []
        for at, period in enumerate(self._periods):
            x = self._middle(at)
            if period.held:
                shape = f"M{x - 4},{_BASE + 12}h8l-4,-7z"
                count = f"{len(period.held)} hour{'' if len(period.held) == 1 else 's'} held"
                parts.append(f'<path class="heldmark" d="{shape}"><title>{count}</title></path>')
            if period.corrections:
                shape = f"M{x},{_BASE + 13}l4,4l-4,4l-4,-4z"
                told = escape(visible("; ".join(period.corrections)))
                parts.append(f'<path class="corrected" d="{shape}"><title>{told}</title></path>')
        return parts

    def _told(self, period: Period) -> Markup:
        """Return a period and its numbers in words."""
        values = [
            f"{each.name} {in_unit(each.values[period.start], self._found.unit)}".strip()
            for each in self._series
            if period.start in each.values
        ]
        part = (
            f" (partial: {period.published:,} of {period.hours:,} hours)"
            if period.is_partial
            else ""
        )
        return escape(visible(f"{period.local:%Y-%m-%d %H:%M}{part}: {', '.join(values)}"))

    def _left(self, at: int) -> float:
        return round(_LEFT + at * self._slot, 1)

    def _middle(self, at: int) -> float:
        return round(_LEFT + (at + 0.5) * self._slot, 1)

    def _y(self, value: float) -> int:
        low, high = self._ticks[0], self._ticks[-1]
        return round(_TOP + (high - value) / (high - low) * (_BASE - _TOP))


def _funnel(found: MetricValues) -> Chart:
    """Return the steps of a funnel as bars: who entered them in all periods shown, all groups together."""
    entered: dict[int, int] = {}
    names: dict[int, str] = {}
    for row in found.rows:
        entered[row["step"]] = entered.get(row["step"], 0) + row["entered"]
        names[row["step"]] = row["step_name"]
    most = max([*entered.values(), 1])
    first = entered[min(entered)] or 1
    parts = []
    room = _WIDTH - _STEP_LEFT - 120
    for at, step in enumerate(sorted(entered)):
        y = _TOP + at * _STEP_HEIGHT
        width = round(entered[step] / most * room, 1)
        told = f"{entered[step]:,}, {percent(entered[step] / first)}"
        name = names[step] if len(names[step]) <= 20 else names[step][:19] + "…"
        parts.append(
            f'<text x="{_STEP_LEFT - 10}" y="{y + 16}" class="end name">{escape(visible(name))}</text>'
            f'<rect class="s0" x="{_STEP_LEFT}" y="{y}" width="{max(1, width)}" height="24"/>'
            f'<text x="{_STEP_LEFT + max(1, width) + 8}" y="{y + 16}" class="name">{told}</text>'
        )
    return Chart(_svg(found, "".join(parts), _TOP * 2 + len(entered) * _STEP_HEIGHT))


def _svg(found: MetricValues, inner: str, height: int) -> Markup:
    """Return an SVG element with a name and a description for those who listen."""
    name = escape(found.name)
    hatch = "M-2,2l4,-4M0,8l8,-8M6,10l4,-4"
    patterns = "".join(
        f'<pattern id="{kind}-{name}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<path class="{kind}" d="{hatch}"/></pattern>'
        for kind in ("hatch", "over")
    )
    return Markup(  # noqa: S704 - numbers, and text escaped above
        f'<svg class="plot chart" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="t-{name} d-{name}"><title id="t-{name}">{name}</title>'
        f'<desc id="d-{name}">{escape(_described(found))}</desc><defs>{patterns}</defs>{inner}</svg>'
    )


def _short_seconds(value: float) -> str:
    for limit, letter in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}s"


def _described(found: MetricValues) -> str:
    if found.kind == "funnel" or not found.periods:
        return "The table of its values has all numbers."
    first, last = found.periods[0].local, found.periods[-1].local
    partial = sum(period.is_partial for period in found.periods)
    held = sum(bool(period.held) for period in found.periods)
    corrected = sum(bool(period.corrections) for period in found.periods)
    counts: Mapping[str, int] = {
        "partial": partial,
        "with held hours": held,
        "corrected": corrected,
    }
    told = [f"{count} {name}" for name, count in counts.items() if count]
    return visible(
        f"{len(found.periods)} periods from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
        + (f", of which {', '.join(told)}" if told else "")
        + ". The table of its values has all numbers."
    )
