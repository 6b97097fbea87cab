"""What analysts can query beside the published tables: views, each with what it and its columns mean."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.common.sql_quoting import literal, quoted
from tidegate.query import hour_status as completeness
from tidegate.tables import OPS, WAREHOUSE

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class View:
    """A view: what one row is, what its columns mean, and the tables and views that it is made from."""

    name: str
    meaning: str
    columns: Mapping[str, str]
    built_from: tuple[str, ...] = ()
    schema: str = "main"

    @property
    def comment(self) -> str:
        """What it means, as a sentence."""
        return f"One row is {self.meaning}."


_HOUR = {"source": "name of the source", "dump_hour": "UTC hour of the dump"}
VIEWS: tuple[View, ...] = (
    View(
        "completeness_by_hour",
        "an hour of a source, from its first to its last: whether the tables of this release have it",
        {
            **_HOUR,
            "dump_date": "UTC date of the dump hour",
            "state": "published, held, unreadable, waiting (landed, not published) or missing",
            "rows": "events that are published of it",
            "is_latest": "whether those are of its latest landing; older ones are shown while that is held",
            "why": "what holds it",
        },
        ("events",),
    ),
    View(
        "completeness_by_day",
        "a day of a source's dumps",
        {
            "source": "name of the source",
            "dump_date": "UTC date of the dumps",
            "is_partial": "whether not all of its 24 hours are published",
            "hours_published": "hours that are",
            "hours_held": "hours that are held or unreadable",
            "hours_waiting": "hours that are landed and not published yet",
            "hours_missing": "hours that were never landed",
            "hours_outside": "hours before the source's first or after its last",
            "rows": "events that are published of it",
        },
        ("completeness_by_hour",),
    ),
    View(
        "freshness",
        "a source: how far its published events reach",
        {
            "source": "name of the source",
            "newest_hour": "the newest dump hour that is published",
            "whole_to": "the dump hour up to which, from the first one on, none is missing",
            "published_at": "when events of it were published last, UTC",
            "released_at": "when this release was made, UTC",
            "age_s": "seconds from the end of the newest hour until now",
        },
        ("completeness_by_hour",),
    ),
    View(
        "fields_by_hour",
        "a field that events of a dump hour have, and a JSON type of its values",
        {
            **_HOUR,
            "path": "names joined by dots; [] are the elements of an array",
            "type": "string, number, boolean, null, or mixed (several within an array)",
            "events": "published events that have it with this type",
        },
        ("events",),
    ),
    View(
        "hours",
        "an hour of a source that was landed, as the books know it now",
        {
            **_HOUR,
            "state": "published, held, unreadable or waiting",
            "why": "what holds it",
            "since": "since when it is in this state, UTC",
            "landing_id": "the landing that stands for it",
            "landed_at": "when that was, UTC",
            "published_landing_id": "the landing that is published",
            "publication_id": "by which publication",
            "delta_version": "the version of events that this made",
            "rows": "its rows",
        },
        (),
        "ops",
    ),
    View(
        "sequences",
        "an hour and a producer of numbered events that it, or the 24 hours before it, heard of",
        {
            **_HOUR,
            "producer": "who numbers the events",
            "received": "lines with a number; 0 of a producer that was silent",
            "expected": "numbers above the highest before, up to the hour's own highest; NULL: not known",
            "lost": "of those, numbers that no hour has",
            "awaited": "of those, what hours may have of which nothing is known yet",
            "late": "numbers that another hour had missed",
            "repeated": "lines with a number that came before",
            "first": "the lowest number received; NULL of a producer that was silent",
            "last": "the highest number received",
            "previous_hour": "in which the producer was heard of before",
            "published": "whether the hour is; else it is held",
            "landing_id": "the landing that stands for the hour",
        },
        (),
        "ops",
    ),
)
"""In the order in which they are made."""


_SPARK_TYPES = {
    "source": "string",
    "dump_hour": "timestamp",
    "dump_date": "date",
    "state": "string",
    "why": "string",
    "rows": "long",
    "is_latest": "boolean",
    "is_partial": "boolean",
    "hours_published": "long",
    "hours_held": "long",
    "hours_waiting": "long",
    "hours_missing": "long",
    "hours_outside": "long",
    "newest_hour": "timestamp",
    "whole_to": "timestamp",
    "published_at": "timestamp",
    "released_at": "timestamp",
    "age_s": "double",
    "since": "timestamp",
    "landing_id": "string",
    "landed_at": "timestamp",
    "published_landing_id": "string",
    "publication_id": "string",
    "delta_version": "long",
}


def spark_views() -> dict[str, str]:
    """Return the views that the SQL server has too, as it is told them.

    Returns:
        `<schema>.<name>` -> JSON of `meaning`, `columns` (Spark's JSON of a struct) and `text`, in which `{version}`
        stands for the version of `events` and `{release}` for the id of the release. Those of `main` are in each
        release.
    """
    found = {}
    texts = completeness.texts(completeness.SPARK, "{version}", "'{release}'")
    for view in VIEWS:
        if view.name not in texts:
            continue
        fields = [
            {"name": n, "type": _SPARK_TYPES[n], "nullable": True, "metadata": {"comment": told}}
            for n, told in view.columns.items()
        ]
        found[f"{view.schema}.{view.name}"] = json.dumps(
            {
                "meaning": view.comment,
                "columns": {"type": "struct", "fields": fields},
                "text": texts[view.name],
            }
        )
    return found


def describe(connection: duckdb.DuckDBPyConnection) -> None:
    """Write down in a connection what its tables, views and columns mean, for whoever asks `duckdb_columns()`."""
    present: dict[tuple[str, str], set[str]] = {}
    for schema, name, column in connection.execute(
        "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal"
    ).fetchall():
        present.setdefault((schema, name), set()).add(column)
    statements = []
    for (schema, name), meaning, columns in _meanings():
        if (schema, name) not in present:
            continue
        view = f"{quoted(schema)}.{quoted(name)}"
        statements.append(f"COMMENT ON VIEW {view} IS {literal(meaning)}")
        statements += [
            f"COMMENT ON COLUMN {view}.{quoted(column)} IS {literal(told)}"
            for column, told in columns.items()
            if column in present[schema, name]
        ]
    connection.execute(";".join(statements))


def _meanings() -> Iterable[tuple[tuple[str, str], str, Mapping[str, str]]]:
    for table in (*WAREHOUSE, *OPS):
        schema = "main" if table in WAREHOUSE else table.area
        columns = {column.name: column.meaning for column in table.columns}
        yield (schema, table.name), f"One row is {table.meaning}.", columns
    for view in VIEWS:
        yield (view.schema, view.name), view.comment, view.columns
