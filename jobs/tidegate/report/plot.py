"""A number over time as inline SVG, drawn here: no script, no style attribute, nothing to load."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from markupsafe import Markup, escape

from tidegate.common.hours import HOUR, hour_text
from tidegate.report.audits import History
from tidegate.report.numbers import short

_WIDTH = 560
_HEIGHT = 160
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 16, 12, 24
_SMALL_WIDTH, _SMALL_HEIGHT = 160, 28
_LARGEST = 1e300  # beyond it, differences are no numbers
_TICKS = 3
_LABELS = 6
_HALF_LABEL = 14
_STEPS = (1, 2, 2.5, 5, 10)
_SPAN = timedelta(hours=24)


def plot(title: str, history: History, hour: datetime, *, small: bool = False) -> Markup | None:
    """Return a number's history as an SVG element; None where it has no number at all.

    The line breaks where hours are missing. The same hour of other days has dots, since days are
    compared by it; the hour itself has a ring. Both axes have nought, or the first hour.

    Args:
        title: what the number is, for those who listen.
        history: the number by hour.
        hour: the hour that is looked at.
        small: without axes, to stand in a line of text.
    """
    points = [(at, value) for at, value in history.points if abs(value) < _LARGEST]
    if not points:
        return None
    width, height = (_SMALL_WIDTH, _SMALL_HEIGHT) if small else (_WIDTH, _HEIGHT)
    left, right, top, bottom = (4, 4, 4, 4) if small else (_LEFT, _RIGHT, _TOP, _BOTTOM)
    limits = [
        each
        for each in (history.least, history.most)
        if each is not None and math.isfinite(each) and abs(each) < _LARGEST
    ]
    # A limit far from every number would press the line flat: it is told in words only.
    reach = 4 * max(abs(value) for _, value in points)
    near = [each for each in limits if abs(each) <= reach] if reach else []
    values = [0.0, *(value for _, value in points), *near]
    ticks = ticks_around(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    begin, end = points[0][0], max(points[-1][0], points[0][0] + _SPAN)

    def x(at: datetime) -> int:
        return round(left + (at - begin) / (end - begin) * (width - left - right))

    def y(value: float) -> int:
        return round(top + (high - value) / (high - low) * (height - top - bottom))

    parts = [
        f'<svg class="plot{" small" if small else ""}" viewBox="0 0 {width} {height}" role="img" '
        f'width="{width}" height="{height}">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(_told(points, history, hour))}</desc>",
    ]
    if small:
        parts.append(f'<path class="axis" d="M{left},{y(0)}H{width - right}"/>')
    else:
        parts += _axes(ticks, _days(begin, end), x, y, width - right, height)
    parts += [
        f'<path class="limit" d="M{left},{y(each)}H{width - right}"/>'
        for each in near
        if low <= each <= high
    ]
    parts.append(f'<path class="line" d="{_line([(at, x(at), y(v)) for at, v in points])}"/>')
    for at, value in points:
        if at == hour:
            parts.append(f'<circle class="here" cx="{x(at)}" cy="{y(value)}" r="{4 - small}"/>')
        elif not small and (at - hour) % (24 * HOUR) == timedelta():
            parts.append(f'<circle class="same" cx="{x(at)}" cy="{y(value)}" r="2.5"/>')
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - numbers, and text escaped above


def _axes(
    ticks: Sequence[float],
    days: Sequence[tuple[datetime, str]],
    x: Callable[[datetime], int],
    y: Callable[[float], int],
    right: int,
    height: int,
) -> list[str]:
    parts = []
    for tick in ticks:
        kind = "axis" if tick == 0 else "rule"
        parts.append(f'<path class="{kind}" d="M{_LEFT},{y(tick)}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(tick) + 4}" class="end">{short(tick)}</text>')
    for at, label in days:
        place, kind = (x(at), "mid") if x(at) < right - _HALF_LABEL else (right + _RIGHT, "end")
        parts.append(f'<text x="{place}" y="{height - 6}" class="{kind}">{label}</text>')
    return parts


def _line(points: Sequence[tuple[datetime, int, int]]) -> str:
    """Return the path of a line that breaks at gaps; a lone point is a dot (a stroke of no length)."""
    commands = []
    before: datetime | None = None
    for at, across, down in points:
        joined = before is not None and at - before <= HOUR
        commands.append(f"{'L' if joined else 'M'}{across},{down}" + ("" if joined else "h0"))
        before = at
    return "".join(commands)


def ticks_around(low: float, high: float) -> list[float]:
    """Return round numbers around a range that has nought in it; at least two."""
    if high - low < 1 / _LARGEST:
        return [0.0, 1.0]
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in _STEPS if power * each >= rough * (1 - 1e-9))
    return [n * step for n in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _days(begin: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """Return where the axis of time has labels: hours of one or two days, else days."""
    hours = (end - begin) / HOUR
    step = next(each for each in (3, 6, 12, 24, 48, 96, 168, 10_000_000) if hours / each <= _LABELS)
    midnight = begin.replace(hour=0)
    at = midnight + math.ceil((begin - midnight) / (step * HOUR)) * step * HOUR
    found: list[tuple[datetime, str]] = []
    while at <= end and len(found) <= _LABELS:
        found.append((at, f"{at:%H}:00" if step < 24 and at.hour else f"{at:%b} {at.day}"))
        at += step * HOUR
    return found


def _told(points: Sequence[tuple[datetime, float]], history: History, hour: datetime) -> str:
    values = [value for _, value in points]
    told = (
        f"{len(points)} hours from {hour_text(points[0][0])} to {hour_text(points[-1][0])}, "
        f"from {short(min(values))} to {short(max(values))}"
    )
    here = dict(points).get(hour)
    if here is not None:
        told += f"; this hour {short(here)}"
    if history.least is not None:
        told += f"; at least {short(history.least)}"
    if history.most is not None:
        told += f"; at most {short(history.most)}"
    gaps = sum(later - earlier > HOUR for (earlier, _), (later, _) in pairwise(points))
    return told + (f"; {gaps} gaps" if gaps else "")
