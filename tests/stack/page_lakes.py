"""Lakes whose pages are hard to draw: long names, attacks, and the demo's own data."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from typer.testing import CliRunner

from handmade_books import HOUR, Books
from project import REPO
from tidegate.cli.app import app as commands
from tidegate.common.errors import EXIT_HELD
from tidegate.config.settings import Settings
from tidegate.report.names import hour_page, metric_page, quarantine_page
from tidegate_demo import traffic
from tidegate_demo.rhythm import LAST_HOUR

LAST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 5 * HOUR
LONG = "expect_column_values_to_be_between(" + "a_very_long_name_of_a_column_" * 6 + ")"
REASONS = {
    "not_json": 1,
    "too_late": 2,
    "too_early": 3,
    "not_utf8": 40_000_000,
    "bad_value": 5,
    "blank_line": 6,
    "bad_event_time": 7,
    "missing_event_id": 8,
    "missing_event_time": 9,
    "a_reason_with_a_name_that_is_much_longer_than_any_other": 1_234_567,
}
HOSTILE = (
    '<script>alert(1)</script>"><img src=x onerror=alert(1)></style></svg>'
    "\u202egnp.exe\u2066 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea "
    + "w"
    * 300
)
HOSTILE_SOURCE = "source_" + "with_a_long_name_" * 3


def long_lake(root: Path) -> Settings:
    """Write a lake of five weeks with a held hour, long names, long lines and ten reasons."""
    books = Books(root)
    for n in range(35 * 24, -1, -1):
        hour = LAST - n * HOUR
        status = "failed" if n == 0 else "met"
        landing = books.land("shop", hour, quarantined_by_reason=REASONS, lines=10**9)
        results = [
            {"expectation": LONG, "severity": "critical", "status": status, "metric": n % 24},
            {"expectation": "expect_b", "metric": 0.01 * (n % 7), "expected": "x" * 300},
        ]
        books.audit("shop", hour, results)
        if n:
            books.publish("shop", hour, landing)
    lines = [{"reason": each, "raw": "x" * 5_000, "detail": "y" * 400} for each in REASONS]
    books.bad_lines("shop", LAST, lines)
    more = {"table_name": "sessions", "slices": [LAST, LAST]}
    books.audit("shop", LAST, [{"status": "failed", "severity": "critical"}], **more)
    return books.write()


def hostile_lake(root: Path) -> Settings:
    """Write a lake in which every text from outside is an attack, from right to left, or very long."""
    books = Books(root)
    for n in range(30):
        books.publish(HOSTILE_SOURCE, LAST - n * HOUR, books.land(HOSTILE_SOURCE, LAST - n * HOUR))
    books.land(
        HOSTILE_SOURCE,
        LAST,
        error=HOSTILE,
        files=[{"name": HOSTILE, "size": 10**15, "lines": 10**15}],
        quarantined_by_reason={f"{HOSTILE[:90]}{n}": 10**12 for n in range(10)},
        absent=[HOSTILE],
        run_id=HOSTILE,
        lines=10**15,
        landed_at=LAST + 2 * HOUR,
    )
    results = [
        {
            "expectation": f"{severity} {HOSTILE}",
            "severity": severity,
            "status": status,
            "observed": HOSTILE,
            "expected": HOSTILE,
            "why": HOSTILE,
            "approved_by": HOSTILE,
            "run_id": HOSTILE,
            "metric": 1e15,
            "facts": json.dumps({HOSTILE[:200]: HOSTILE}),
        }
        for severity, status in (("critical", "failed"), ("warning", "approved"), ("info", "met"))
    ]
    late = {"audited_at": LAST + 3 * HOUR}
    books.audit(HOSTILE_SOURCE, LAST, results, **late)
    books.audit(HOSTILE_SOURCE, LAST, results, table_name="sessions", **late)
    line = {"file": HOSTILE, "detail": HOSTILE, "raw": HOSTILE}
    books.bad_lines(
        HOSTILE_SOURCE, LAST, [{"reason": f"{HOSTILE[:90]}{n}", **line} for n in range(10)]
    )
    return books.write()


def demo_lake(root: Path) -> Settings:
    """Load the last day of the demo's dumps with the DuckDB engine, into a lake of the project's sources."""
    settings = Settings(REPO, root / "home", str(root / "lake"))
    first = LAST_HOUR - timedelta(hours=23)
    for each in traffic.dumps(scale=0.05):
        file = root / "dumps" / each.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(each.body)
    environment = {"TIDEGATE_PROJECT": str(REPO), "TIDEGATE_HOME": str(settings.home)}
    for source in traffic.SOURCES:
        hours = ("--from", f"{first:%Y-%m-%dT%H}", "--to", f"{LAST_HOUR:%Y-%m-%dT%H}")
        dumps = (root / "dumps" / source).as_uri()
        where = ("--dumps", dumps, "--lake", settings.lake, "--engine", "duckdb")
        done = CliRunner().invoke(commands, ["run", source, *hours, *where], env=environment)
        assert done.exit_code in (0, EXIT_HELD), done.output  # an hour is cut, as planted
    return settings


LAKES = {"long": long_lake, "hostile": hostile_lake, "demo": demo_lake}


def pages_of(name: str) -> dict[str, str]:
    """Return the pages of one of `LAKES`, by what they show."""
    source, hour = {
        "long": ("shop", LAST),
        "hostile": (HOSTILE_SOURCE, LAST),
        "demo": traffic.CUT,
    }[name]
    return {
        "hours": "index.html",
        "hour": hour_page(source, hour),
        "quarantine": quarantine_page("shop" if name == "demo" else source),
        "derived": "derived.html",
        "catalogue": "catalogue.html",
        "metrics": "metrics.html",
        **({"metric": metric_page("revenue")} if name == "demo" else {}),
    }
