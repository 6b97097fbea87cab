"""What belongs together: the tables of one release, as analysts join them."""

from __future__ import annotations

import duckdb

_JOINED = """
WITH counted AS (
    SELECT source, date_trunc('hour', event_time) AS hour, event_type, count(*) AS events,
           count(DISTINCT user_key) AS users
    FROM events GROUP BY ALL
), by_hour AS (
    SELECT source, hour, event_type, events, users FROM hourly_activity
), of_sessions AS (
    SELECT source, user_key, count(*) AS events FROM events WHERE user_key IS NOT NULL GROUP BY ALL
), in_sessions AS (
    SELECT source, user_key, sum(event_count) AS events FROM sessions GROUP BY ALL
), by_day AS (
    SELECT source, date, events, users, sessions FROM daily_activity
), days AS (
    SELECT source, event_time::DATE AS date, count(*) AS events, count(DISTINCT user_key) AS users
    FROM events GROUP BY ALL
), starts AS (
    SELECT source, start_date AS date, count(*) AS sessions FROM sessions GROUP BY ALL
), whole_days AS (
    SELECT source, date, events, users, coalesce(sessions, 0) AS sessions
    FROM days LEFT JOIN starts USING (source, date)
)
SELECT 'hourly_activity' AS of, count(*) FROM (
    (FROM counted EXCEPT FROM by_hour) UNION ALL (FROM by_hour EXCEPT FROM counted))
UNION ALL SELECT 'sessions', count(*) FROM (
    (FROM of_sessions EXCEPT FROM in_sessions) UNION ALL (FROM in_sessions EXCEPT FROM of_sessions))
UNION ALL SELECT 'daily_activity', count(*) FROM (
    (FROM whole_days EXCEPT FROM by_day) UNION ALL (FROM by_day EXCEPT FROM whole_days))
"""


def assert_together(connection: duckdb.DuckDBPyConnection) -> int:
    """Check that sessions, hours and days are those of the events beside them; return how many events there are."""
    wrong = {name: rows for name, rows in connection.execute(_JOINED).fetchall() if rows}
    assert not wrong, f"rows that do not follow from the events beside them: {wrong}"
    row = connection.execute("SELECT count(*) FROM events").fetchone()
    assert row is not None
    return int(row[0])
