"""Scene `query`: analysts' queries on published tables, beside DuckDB on plain Parquet of the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError
from tidegate.config.settings import Settings
from tidegate.query.connect import connect, run
from tidegate_bench.history import fill
from tidegate_bench.lab import lab
from tidegate_bench.report import Mark, Outcome, Row
from tidegate_bench.traffic import FIRST, Traffic

if TYPE_CHECKING:
    import duckdb

MOST = 1.3
"""Times the seconds on plain Parquet that the ten queries may take together."""
QUERIES = {
    "events by day": "SELECT event_time::DATE AS day, count(*) FROM events GROUP BY ALL ORDER BY ALL",
    "one hour": f"SELECT event_type, count(*) FROM events WHERE event_time >= '{FIRST:%Y-%m-%d} 07:00:00+00' "
    f"AND event_time < '{FIRST:%Y-%m-%d} 08:00:00+00' GROUP BY ALL ORDER BY ALL",
    "users by page": "SELECT page, count(DISTINCT user_key) FROM events GROUP BY ALL ORDER BY ALL",
    "sales by product": "SELECT product_id, count(*), sum(price) FROM events "
    "WHERE event_type = 'purchase' GROUP BY ALL ORDER BY 3 DESC, 1 LIMIT 20",
    "funnel": "SELECT count(DISTINCT user_key) FILTER (event_type = 'product_view'), "
    "count(DISTINCT user_key) FILTER (event_type = 'add_to_cart'), "
    "count(DISTINCT user_key) FILTER (event_type = 'purchase') FROM events",
    "a user's history": "SELECT event_time, event_type, page FROM events "
    "WHERE user_key = 'a0000001' ORDER BY event_time, event_id",
    "a field of the line": "SELECT properties ->> '$.product.category' AS category, count(*) "
    "FROM events WHERE event_type = 'add_to_cart' GROUP BY ALL ORDER BY ALL",
    "length of sessions": "SELECT session_start::DATE AS day, median(duration_s), "
    "avg(is_bounce::INT), quantile_cont(event_count, 0.9) FROM sessions GROUP BY ALL ORDER BY ALL",
    "sessions that buy": "SELECT s.first_event_type, count(DISTINCT s.session_id) FROM sessions s "
    "JOIN events e ON e.user_key = s.user_key "
    "AND e.event_time BETWEEN s.session_start AND s.session_end "
    "WHERE e.event_type = 'purchase' GROUP BY ALL ORDER BY ALL",
    "busiest hours": "SELECT hour, sum(events) AS n FROM hourly_activity "
    "GROUP BY ALL ORDER BY n DESC, hour LIMIT 10",
}
"""What analysts ask, by a name."""


def query(
    settings: Settings,
    tell: Callable[[str], None],
    *,
    hours: int,
    events: int,
    runs: int,
    block: int,
) -> Outcome:
    """Measure ten queries on published tables and on plain Parquet, in turn, in one process.

    The plain files are what an analyst would have by `COPY … TO … (FORMAT parquet)`: one a table.

    Args:
        settings: of the project, and the engine that publishes the tables.
        tell: is given a line of progress at a time.
        hours: published before.
        events: of an hour, about.
        runs: of each query; one more goes before them to warm up.
        block: hours that are published together.

    Raises:
        TidegateError: the two give other rows.
    """
    with lab(settings) as own:
        fill(own, Traffic(events, 4 * events), 0, hours, block, tell)
        begun = time.monotonic()
        published = connect(own.settings)
        connected_s = time.monotonic() - begun
        with published, _plain(published, own.dumps.parent / "plain") as plain:
            rows = [_measure(name, text, published, plain, runs) for name, text in QUERIES.items()]
        tell(f"connecting to the published tables takes {connected_s:.2f} s")
    ours, theirs = (sum(float(row[of] or 0) for row in rows) for of in ("published_s", "parquet_s"))
    rows.append(_row("all", ours, theirs))
    return Outcome(
        "query",
        "a query in an open connection, medians",
        {
            "engine": settings.engine,
            "hours": hours,
            "events": events,
            "runs": runs,
            "connecting_s": connected_s,
        },
        rows,
        [Mark.ratio("seconds of all queries to those on plain Parquet", MOST, ours, theirs)],
    )


def _plain(published: duckdb.DuckDBPyConnection, folder: Path) -> duckdb.DuckDBPyConnection:
    """Write each table into a Parquet file; return a connection with views of these."""
    import duckdb

    folder.mkdir()
    plain = duckdb.connect()
    plain.execute("SET TimeZone = 'UTC'")
    for table in ("events", "sessions", "hourly_activity"):
        file = folder / f"{table}.parquet"
        # The connection to published tables writes nothing; rows go over as Arrow has them.
        rows = published.execute(f"SELECT * FROM {table}").to_arrow_table()
        plain.register("rows", rows)
        plain.execute(f"COPY rows TO '{file}' (FORMAT parquet)")
        plain.unregister("rows")
        plain.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{file}')")
    return plain


def _measure(
    name: str,
    text: str,
    published: duckdb.DuckDBPyConnection,
    plain: duckdb.DuckDBPyConnection,
    runs: int,
) -> Row:
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(runs + 1):
        own_rows = _timed(lambda: run(published, text), ours)
        their_rows = _timed(lambda: plain.execute(text), theirs)
        if own_rows != their_rows:
            raise TidegateError(
                f"the query {name!r} gives other rows on published tables",
                expected=str(their_rows[:3]),
                got=str(own_rows[:3]),
            )
    return _row(name, median(ours[1:]), median(theirs[1:]))


def _timed(
    ask: Callable[[], duckdb.DuckDBPyConnection], seconds: list[float]
) -> Sequence[tuple[Any, ...]]:
    begun = time.monotonic()
    rows = ask().fetchall()
    seconds.append(time.monotonic() - begun)
    return rows


def _row(name: str, ours: float, theirs: float) -> Row:
    return {"query": name, "published_s": ours, "parquet_s": theirs, "ratio": ours / theirs}
