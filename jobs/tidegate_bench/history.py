"""Scene `history`: what one more hour costs after 10, 100, 1,000 published hours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.config.settings import Settings
from tidegate_bench.lab import Lab, costs, lab
from tidegate_bench.report import Mark, Outcome, Row
from tidegate_bench.traffic import Traffic

MOST = 1.3
"""Times the seconds of the shortest history that the longest may take."""


def history(
    settings: Settings,
    tell: Callable[[str], None],
    *,
    lengths: Sequence[int],
    events: int,
    runs: int,
    block: int,
) -> Outcome:
    """Measure what an hour costs after histories of some lengths.

    Args:
        settings: of the project, and the engine.
        tell: is given a line of progress at a time.
        lengths: hours published before, ascending; all but the first are rounded up to whole days more.
        events: of an hour, about.
        runs: hours that are measured at each length; one more goes before them to warm up.
        block: hours that are published together to fill the history in between.
    """
    traffic = Traffic(events, 2 * events)  # some come back, some are new
    rows: list[Row] = []
    done = 0
    with lab(settings) as own:
        for asked in lengths:
            # The later in the day, the more of it is read: all are measured at the same hour of a day.
            length = asked + (lengths[0] - asked) % 24
            done = fill(own, traffic, done, length, block, tell)
            own.run(own.write(traffic, [done]))
            measured = [own.run(own.write(traffic, [done + 1 + n])) for n in range(runs)]
            rows.append({"published_hours": done, **costs(measured)})
            tell(f"after {done:,} hours one more takes {rows[-1]['seconds']:.1f} s")
            done += runs + 1
    last, first = (rows[at]["published_hours"] for at in (-1, 0))
    between = f"after {last:,} hours to those after {first:,}"
    marks = [Mark.ratio(f"seconds {between}", MOST, *_values(rows, "seconds"))]
    if "bytes_read" in rows[0]:
        bytes_read, bytes_read_first = _values(rows, "bytes_read")
        marks.append(Mark(f"bytes_read {between}", MOST, bytes_read / bytes_read_first))
    return Outcome(
        "history",
        "an hour's run, from complete dump to release, in a warm process",
        {"engine": settings.engine, "events": events, "runs": runs, "block": block},
        rows,
        marks,
    )


def _values(rows: Sequence[Row], name: str) -> tuple[float, float]:
    """Return what the last row has, and what the first one has."""
    return float(rows[-1][name] or 0), float(rows[0][name] or 1)


def fill(
    own: Lab, traffic: Traffic, done: int, length: int, block: int, tell: Callable[[str], None]
) -> int:
    """Publish hours, `block` at a time, until there are `length` of them; return how many there are."""
    while done < length:
        count = min(block, length - done)
        measured = own.run(own.write(traffic, range(done, done + count)))
        done += count
        tell(f"{done:,} hours published; the last {count} took {measured.seconds:.1f} s")
    return done
