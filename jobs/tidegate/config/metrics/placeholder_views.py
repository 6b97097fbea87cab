"""Stand-ins: views over published tables and books are made without opening these.

DuckDB reads a view's query when the view is made, and for that opens the tables: over S3, some hundredths of a second
for each table and view. So views are made over empty ones of the same columns, in the real ones' place for that
moment; each query reads them again, from the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tidegate.common.sql_quoting import literal, quoted

if TYPE_CHECKING:
    import duckdb

_ASIDE = "_published_"


@contextmanager
def set_aside(
    connection: duckdb.DuckDBPyConnection, schema: str, names: Sequence[str]
) -> Iterator[dict[str, dict[str, str]]]:
    """Have empty views in the place of some.

    Args:
        connection: where.
        schema: of the views.
        names: of those of them that may be there.

    Yields:
        The columns of those that are: view -> name -> DuckDB type.
    """
    # What views remember of themselves. DESCRIBE and PRAGMA table_info would open the tables.
    rows = connection.execute(
        f"SELECT table_name, column_name, data_type FROM duckdb_columns() "
        f"WHERE database_name = current_database() AND schema_name = {literal(schema)} "
        f"AND table_name IN ({', '.join(map(literal, names))}) ORDER BY column_index"
    ).fetchall()
    columns: dict[str, dict[str, str]] = {}
    for view, name, kind in rows:
        columns.setdefault(str(view), {})[str(name)] = str(kind)
    for view, types in columns.items():
        connection.execute(
            f"ALTER VIEW {schema}.{quoted(view)} RENAME TO {quoted(_ASIDE + view)}; "
            f"CREATE VIEW {schema}.{quoted(view)} AS {empty(types)}"
        )
    try:
        yield columns
    finally:
        for view in columns:
            connection.execute(
                f"DROP VIEW {schema}.{quoted(view)}; "
                f"ALTER VIEW {schema}.{quoted(_ASIDE + view)} RENAME TO {quoted(view)}"
            )


def empty(types: Mapping[str, str]) -> str:
    """Return a query of no rows with some columns: name -> DuckDB type."""
    listed = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in types.items())
    return f"SELECT {listed} WHERE false"
