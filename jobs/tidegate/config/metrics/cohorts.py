"""New users and retention: what follows from the first event of each user.

A user is a `user_key` of one kind, whatever source its events came by. The first of a user's events that fit the
metric's sources and `where`, by (event_time, event_id, source), says when it was first seen and which group it
belongs to.

Retention: a cohort is the users first seen in one day or week (`interval`). A user has returned n periods later if
one of its events that fit `returns` lies in that day or week of the calendar; n = 0 is the cohort's own.
A cohort is followed up to the last period that has events, which may not be over yet, and for at most `periods`.
"""

from __future__ import annotations

from tidegate.config.metrics.sql import Rows, result
from tidegate.config.user_sql import read_expression
from tidegate.tables.events import USER

_DAYS = {"day": 1, "week": 7}


def new_users(rows: Rows) -> str:
    """Return the query: `value` is the number of users first seen in a period."""
    grouped = ["_start", "_local", *rows.groups]
    listed = ", ".join(grouped)
    ctes = [
        *_first(rows, {}),
        f"_new AS (SELECT {listed}, count(*) AS value FROM _first GROUP BY {listed})",
    ]
    columns = ["_start AS period_start", "_local AS period_local", *rows.named_groups(), "value"]
    return result(", ".join(ctes), columns, "_new", ["_start", *rows.groups])


def retention(rows: Rows) -> str:
    """Return the query: a row a cohort, group and number of periods later.

    Columns: `cohort_start`, `cohort_local`, groups, `periods_later` (from 0), `users` (of the cohort), `returned` and
    `share` (0 to 1).
    """
    metric = rows.metric
    returns = read_expression(metric.returns).sql if metric.returns is not None else "true"
    days = _DAYS[metric.interval]
    cohort = ["_start", "_local", *rows.groups]
    later = f"date_diff('day', {{}}, {{}}) // {days}"
    ctes = [
        *_first(rows, {"_returns": f"coalesce({returns}, false)"}),
        f"_cohorts AS (SELECT {', '.join(cohort)}, count(*) AS users FROM _first GROUP BY {', '.join(cohort)})",
        "_active AS (SELECT DISTINCT _user, _local FROM _timed WHERE _returns)",
        f"_returned AS (SELECT {', '.join(f'f.{each}' for each in cohort)}, "
        f"{later.format('f._local', 'a._local')} AS _n, count(*) AS returned "
        "FROM _first f JOIN _active a ON f._user = a._user GROUP BY ALL)",
        "_last AS (SELECT max(_local) AS _last FROM _timed)",
        f"_followed AS (SELECT _cohorts.*, unnest(range(0, least({metric.periods}, "
        f"{later.format('_local', '_last')}) + 1)) AS _n FROM _cohorts CROSS JOIN _last)",
    ]
    same = ["c._start = r._start", "c._n = r._n", *rows.same_groups("c", "r")]
    columns = [
        "c._start AS cohort_start",
        "c._local AS cohort_local",
        *rows.named_groups("c"),
        "c._n AS periods_later",
        "users",
        "coalesce(returned, 0) AS returned",
        "coalesce(returned, 0) / users AS share",
    ]
    source = f"_followed c LEFT JOIN _returned r ON {' AND '.join(same)}"
    order = ["c._start", *(f"c.{group}" for group in rows.groups), "c._n"]
    return result(", ".join(ctes), columns, source, order)


def _first(rows: Rows, select: dict[str, str]) -> list[str]:
    """Return the CTEs up to `_first`: of each user the first event."""
    every = {"_user": USER, "_id": "event_id", "_source": "source", **select}
    return [
        rows.timed(every, ["user_key IS NOT NULL"]),
        "_first AS (SELECT * FROM _timed QUALIFY row_number() OVER "
        "(PARTITION BY _user ORDER BY _at, _id, _source) = 1)",
    ]
