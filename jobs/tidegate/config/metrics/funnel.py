"""Funnels: how far users, or sessions, get through steps in order.

- An event that is the first step begins an *attempt*. Its next step is the earliest later event that is the second
  one, and so on. Later is by (event_time, event_id), strictly: one event is never two steps of an attempt.
- An attempt's steps lie at most `window` after its first one; exactly `window` is within.
- An attempt belongs to the period of its first step, and to the group of its first step's event.
- A user (`by: user`: a `user_key` of one kind, whatever source its events came by) or session counts once a period and
  group, by the attempt that got furthest: it has entered each step up to there.
- `by: session`: all steps in one session of `sessions`, as the release has it. Events without a user are in none.

The earliest next step is the best one: whatever a later one could still reach, it can too. So an attempt has one way.
"""

from __future__ import annotations

from tidegate.common.sql_quoting import literal
from tidegate.config.metrics.sql import Rows, micros, result
from tidegate.config.user_sql import read_expression
from tidegate.tables.events import USER
from tidegate.tables.sessions import KEY

_OVER = 2**63 - 1


def funnel(rows: Rows) -> str:
    """Return the query: a row a period, group and step, with how many entered it.

    Columns: `period_start`, `period_local`, groups, `step` (from 1), `step_name`, `entered`, `share_of_first` and
    `share_of_previous` (0 to 1; NULL at the first step and where nobody entered the one before).
    """
    metric = rows.metric
    assert metric.window is not None, "a funnel has a window"
    window = micros(metric.window)
    steps = [read_expression(step.where).sql for step in metric.steps]
    flags = {f"_s{at}": f"coalesce({step}, false)" for at, step in enumerate(steps, start=1)}
    select = {"_id": "event_id", "_source": "source", "_user": USER, **flags}
    if metric.by == "session":
        select["_key"] = KEY
    ctes = [
        rows.timed(select, ["user_key IS NOT NULL", f"({' OR '.join(flags.values())})"]),
        _entities(metric.by),
        "_numbered AS (SELECT *, row_number() OVER (PARTITION BY _entity ORDER BY _at, _id, _source) AS _n "
        "FROM _entities)",
        f"_a1 AS (SELECT _entity, _start, _local, {_listed(rows)}_at AS _t0, _n, 1 AS _reached "
        "FROM _numbered WHERE _s1)",
    ]
    for at in range(2, len(steps) + 1):
        ctes += [
            f"_e{at} AS (SELECT _entity, _n, _at FROM _numbered WHERE _s{at})",
            # An attempt that is over stands after every event. (At NULL, DuckDB 1.5's ASOF JOIN finds a match.)
            f"_a{at} AS (SELECT a._entity, a._start, a._local, {_listed(rows, 'a.')}a._t0, "
            f"CASE WHEN e._at - a._t0 <= {window} THEN e._n ELSE {_OVER} END AS _n, "
            f"CASE WHEN e._at - a._t0 <= {window} THEN {at} ELSE a._reached END AS _reached "
            f"FROM _a{at - 1} a ASOF LEFT JOIN _e{at} e ON a._entity = e._entity AND a._n < e._n)",
        ]
    grouped = ", ".join(["_start", "_local", *rows.groups])
    names = ", ".join(f"({at}, {literal(s.name)})" for at, s in enumerate(metric.steps, start=1))
    over = f"OVER (PARTITION BY {', '.join(['_start', *rows.groups])} ORDER BY step)"
    ctes += [
        f"_furthest AS (SELECT {grouped}, _entity, max(_reached) AS _reached "
        f"FROM _a{len(steps)} GROUP BY {grouped}, _entity)",
        f"_entered AS (SELECT {grouped}, step, step_name, count(*) FILTER (_reached >= step) AS entered "
        f"FROM _furthest CROSS JOIN (VALUES {names}) _steps (step, step_name) "
        f"GROUP BY {grouped}, step, step_name)",
    ]
    columns = [
        "_start AS period_start",
        "_local AS period_local",
        *rows.named_groups(),
        "step",
        "step_name",
        "entered",
        f"entered / first_value(entered) {over} AS share_of_first",
        f"entered / nullif(lag(entered) {over}, 0) AS share_of_previous",
    ]
    return result(", ".join(ctes), columns, "_entered", ["_start", *rows.groups, "step"])


def _entities(by: str) -> str:
    """Return the CTE that tells whose each event is."""
    if by == "user":
        return "_entities AS (SELECT *, _user AS _entity FROM _timed)"
    # Sessions of a key are disjoint: an event can only lie in the last one that began before it.
    return (
        f"_sessions AS (SELECT source, {KEY} AS key, epoch_us(session_start) AS starts, "
        "epoch_us(session_end) AS ends, session_id FROM main.sessions), "
        "_entities AS (SELECT t.*, s.session_id AS _entity FROM _timed t ASOF JOIN _sessions s "
        "ON t._source = s.source AND t._key = s.key AND t._at >= s.starts WHERE t._at <= s.ends)"
    )


def _listed(rows: Rows, prefix: str = "") -> str:
    return "".join(f"{prefix}{group}, " for group in rows.groups)
