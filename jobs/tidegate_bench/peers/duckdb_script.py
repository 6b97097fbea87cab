"""Parse, deduplicate, sessionize, aggregate and write Parquet: a straightforward DuckDB script."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from tidegate_bench.peers.asked import Asked, answer

# Line by line: read_json with ignore_errors drops a good line that follows a broken one now and then
# (DuckDB 1.5.5: 8 of 235,611).
_EVENTS = """
CREATE TABLE events AS
SELECT {values}, coalesce(user_id, anonymous_id) AS user_key, line AS properties, filename AS file
FROM (
    SELECT line, filename, CASE WHEN json_valid(line) THEN json_transform(line, $fields) END AS e
    FROM read_csv($dumps, columns = {{'line': 'VARCHAR'}}, delim = chr(1), quote = '', escape = '',
        header = false, auto_detect = false, filename = true)
)
WHERE event_id IS NOT NULL AND event_time IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY filename) = 1
"""
_SESSIONS = """
CREATE TABLE sessions AS
WITH ordered AS (
    SELECT *, lag(event_time) OVER w AS before FROM events WHERE user_key IS NOT NULL
    WINDOW w AS (PARTITION BY user_key ORDER BY event_time, event_id)
), runs AS (
    SELECT *, sum(CASE WHEN before IS NULL OR event_time - before > to_seconds({gap_s}) THEN 1 ELSE 0 END)
        OVER (PARTITION BY user_key ORDER BY event_time, event_id) AS run
    FROM ordered
)
SELECT user_key, min(event_time) AS session_start, max(event_time) AS session_end,
       count(*) AS event_count, arg_min(event_id, (event_time, event_id)) AS first_event_id,
       epoch(max(event_time) - min(event_time)) AS duration_s
FROM runs GROUP BY user_key, run
"""
_HOURS = """
CREATE TABLE hourly_activity AS
SELECT date_trunc('hour', event_time) AS hour, event_type, count(*) AS events,
       count(DISTINCT user_key) AS users
FROM events GROUP BY ALL
"""
_DAYS = """
CREATE TABLE daily_activity AS
SELECT * FROM (
    SELECT event_time::DATE AS date, count(*) AS events, count(DISTINCT user_key) AS users
    FROM events GROUP BY ALL
) LEFT JOIN (
    SELECT session_start::DATE AS date, count(*) AS sessions, avg(duration_s) AS mean_duration_s,
           median(duration_s) AS median_duration_s, avg((event_count = 1)::INT) AS bounce_rate
    FROM sessions GROUP BY ALL
) USING (date)
"""
_TABLES = ("events", "sessions", "hourly_activity", "daily_activity")


def main() -> None:
    """Do the work that standard input asks for."""
    asked = Asked.read()
    values = [f"{_value(each.names, each.type)} AS {_name(each.column)}" for each in asked.fields]
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute(
        _EVENTS.format(values=", ".join(values)),
        {"dumps": asked.dumps, "fields": json.dumps(asked.nested({"string": "VARCHAR"}))},
    )
    connection.execute(_SESSIONS.format(gap_s=asked.gap_s))
    connection.execute(_HOURS)
    connection.execute(_DAYS)
    out = Path(asked.out)
    out.mkdir(parents=True, exist_ok=True)
    counts = {}
    for table in _TABLES:
        connection.execute(f"COPY {table} TO '{out}/{table}.parquet' (FORMAT parquet)")
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row is not None
        counts[table] = row[0]
    answer(counts)


def _value(names: tuple[str, ...], type_: str) -> str:
    if not names:
        return f"NULL::{'VARCHAR' if type_ == 'string' else type_}"
    return ".".join(["e", *map(_name, names)])


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


if __name__ == "__main__":
    main()
