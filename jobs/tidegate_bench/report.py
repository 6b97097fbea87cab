"""What scenes find, as text for people and JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from tidegate.common.errors import TidegateError

Row = Mapping[str, str | int | float | None]


@dataclass(frozen=True)
class Mark:
    """A limit that a scene sets itself.

    Attributes:
        what: is limited.
        most: the limit.
        got: what it came to.
        seconds: the two durations that it is the ratio of, where it is one of durations.
    """

    what: str
    most: float
    got: float
    seconds: tuple[float, float] | None = None

    @classmethod
    def ratio(cls, what: str, most: float, seconds: float, to_seconds: float) -> Mark:
        """Return the limit of a duration in terms of another one."""
        return cls(what, most, seconds / to_seconds, (seconds, to_seconds))

    @property
    def is_kept(self) -> bool:
        """Whether it is within the limit."""
        return self.got <= self.most

    def describe(self) -> str:
        """Return it in one line."""
        verdict = "kept" if self.is_kept else "NOT KEPT"
        of = ""
        if self.seconds is not None:
            of = f" ({_text(float(self.seconds[0]))} s to {_text(float(self.seconds[1]))} s)"
        return f"{self.what}: {self.got:.2f}{of}, at most {self.most:g}: {verdict}"


@dataclass(frozen=True)
class Outcome:
    """What a scene found.

    Attributes:
        scene: its name.
        about: one sentence: what a row is.
        given: what it was asked for: sizes, runs.
        rows: what was measured; the names of numbers say their unit.
        marks: its limits.
        timeline: where the seconds of one run went, if the scene looks at that.
    """

    scene: str
    about: str
    given: Mapping[str, Any]
    rows: Sequence[Row]
    marks: Sequence[Mark]
    timeline: Sequence[Row] = ()

    def as_json(self) -> dict[str, object]:
        """Return it for programs."""
        marks = [{**asdict(each), "is_kept": each.is_kept} for each in self.marks]
        return {**asdict(self), "marks": marks}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Outcome:
        """Return what `as_json` told.

        Raises:
            TidegateError: it is something else.
        """
        try:
            marks = [_mark(mark) for mark in told["marks"]]
            own = {field.name: told[field.name] for field in fields(cls) if field.name != "marks"}
        except (KeyError, TypeError) as error:
            raise TidegateError(
                "not what tidegate bench found",
                expected="the output of tidegate bench SCENE --json",
                got=f"no {error}" if isinstance(error, KeyError) else str(error),
            ) from error
        return cls(**own, marks=marks)

    def markdown(self) -> Iterator[str]:
        """Yield its rows as a table in Markdown."""
        names = list(self.rows[0])
        yield "| " + " | ".join(names) + " |"
        yield "|" + "---|" * len(names)
        for row in self.rows:
            yield "| " + " | ".join(_text(row[name]) for name in names) + " |"

    def lines(self) -> Iterator[str]:
        """Yield it for people."""
        given = ", ".join(f"{name} {_text(value)}" for name, value in self.given.items())
        yield f"{self.scene}: {self.about}"
        yield f"  ({given})"
        yield from _table(self.rows)
        if self.timeline:
            yield "  where the seconds of the middle one went:"
            yield from _table(self.timeline)
        for mark in self.marks:
            yield f"  {mark.describe()}"


def _mark(values: Mapping[str, Any]) -> Mark:
    # Results from before ratios had their seconds are still drawn.
    seconds = values.get("seconds")
    pair = None if seconds is None else (float(seconds[0]), float(seconds[1]))
    return Mark(values["what"], values["most"], values["got"], pair)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    names = list(rows[0])
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(names))]
    for row in cells:
        yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def machine() -> dict[str, object]:
    """Return what was measured on, as far as it matters."""
    import psutil

    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if value < 1 else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(_text(each) for each in value)
    return "-" if value is None else str(value)
