"""Scene `late`: what one late event costs in a month of history."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.config.settings import Settings
from tidegate_bench.history import fill
from tidegate_bench.lab import Measured, costs, lab
from tidegate_bench.report import Mark, Outcome
from tidegate_bench.traffic import Traffic

MOST = 1.5
"""Times the seconds of an hour without late events that an hour with one may take."""


def late(
    settings: Settings,
    tell: Callable[[str], None],
    *,
    hours: int,
    events: int,
    runs: int,
    block: int,
) -> Outcome:
    """Measure hours with one late event and without any, in turn.

    Args:
        settings: of the project, and the engine.
        tell: is given a line of progress at a time.
        hours: published before.
        events: of an hour, about.
        runs: hours of each kind; one of each goes before them to warm up.
        block: hours that are published together to make the history.
    """
    traffic = Traffic(events, 2 * events, late=0.0)
    plain: list[Measured] = []
    with_one: list[Measured] = []
    with lab(settings, accept={"late": f"{hours}h", "future": "1h"}) as own:
        done = fill(own, traffic, 0, hours, block, tell)
        for n in range(runs + 1):
            plain.append(own.run(own.write(traffic, [done])))
            # Each from another day, of a visitor who was there then.
            belated = traffic.one_of(n * hours // (runs + 1) + 5)
            with_one.append(own.run(own.write(traffic, [done + 1], belated)))
            tell(f"{plain[-1].seconds:.1f} s without, {with_one[-1].seconds:.1f} s with one late")
            done += 2
    rows = [
        {"late_events": n, **costs(measured[1:])} for n, measured in enumerate((plain, with_one))
    ]
    return Outcome(
        "late",
        f"an hour's run in a history of {hours:,} hours, in a warm process",
        {"engine": settings.engine, "events": events, "runs": runs, "block": block},
        rows,
        [
            Mark.ratio(
                "seconds with one late event to those without",
                MOST,
                float(rows[1]["seconds"]),
                float(rows[0]["seconds"]),
            )
        ],
    )
