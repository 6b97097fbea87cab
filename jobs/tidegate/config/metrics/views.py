"""Views: metrics in a DuckDB connection, as `metrics.<name>`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidegate.common.sql_quoting import literal, quoted
from tidegate.config.metrics.model import Metric
from tidegate.config.metrics.placeholder_views import set_aside
from tidegate.config.metrics.sketches import register
from tidegate.config.metrics.sql import SCHEMA, compile_metric

if TYPE_CHECKING:
    import duckdb

READ = ("events", "sessions", "daily_activity")
"""The published tables that metrics read."""


def make_views(
    connection: duckdb.DuckDBPyConnection,
    metrics: Mapping[str, Metric],
    broken: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Make the views of some metrics in a connection that has those of the published tables.

    A metric that can't be computed from these tables gets a view all the same: a query of it says why, and the others
    are there.

    Args:
        connection: where; its schema `metrics` is made.
        metrics: by name.
        broken: names of metrics whose definition can't be read -> why.

    Returns:
        Those that can't be computed: name -> why.
    """
    import duckdb

    connection.execute(f"CREATE SCHEMA {SCHEMA}")
    faults = dict(broken or {})
    if not metrics and not faults:
        return {}
    register(connection)
    with set_aside(connection, "main", READ) as columns:
        for name in ordered(metrics):
            metric = metrics[name]
            view = f"{SCHEMA}.{quoted(name)}"
            missing = _missing(metric, columns, metrics)
            try:
                if missing is not None:
                    faults[name] = missing
                    continue
                query = compile_metric(metric, columns.get(metric.reads or "", {}), metrics)
                connection.execute(f"CREATE VIEW {view} AS {query}")
                connection.execute(f"COMMENT ON VIEW {view} IS {literal(metric.description)}")
            except duckdb.Error as error:
                faults[name] = str(error).partition("\n")[0]
        for name, why in faults.items():
            connection.execute(broken_view(name, why))
    return faults


def broken_view(name: str, why: str) -> str:
    """Return the statement that makes the view of a metric that can't be computed: to query it is an error."""
    told = literal(f"metric {name} can't be computed from these tables: {why}")
    # As a filter: what is only selected, a query that does not need it would leave out.
    return (
        f"CREATE VIEW {SCHEMA}.{quoted(name)} AS SELECT NULL::TIMESTAMPTZ AS period_start, "
        f"NULL::DOUBLE AS value WHERE error({told})::BOOLEAN"
    )


def ordered(metrics: Mapping[str, Metric]) -> list[str]:
    """Return the names of metrics, each after those that it is made of; those of a cycle are at the end."""
    done: list[str] = []
    left = sorted(metrics)
    while left:
        ready = [
            name
            for name in left
            if all(each in done or each not in metrics for each in metrics[name].made_of)
        ]
        if not ready:
            return done + left
        done += ready
        left = [name for name in left if name not in ready]
    return done


def _missing(
    metric: Metric, columns: Mapping[str, Mapping[str, str]], metrics: Mapping[str, Metric]
) -> str | None:
    """Return why a metric can't be computed, if what it is made of is not there."""
    if metric.reads is not None and metric.reads not in columns:
        return f"there is no table {metric.reads}"
    gone = [name for name in metric.made_of if name not in metrics]
    return f"there is no metric {', '.join(gone)}" if gone else None
