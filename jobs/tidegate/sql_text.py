"""Names and texts as Spark SQL writes them."""

from __future__ import annotations


def quoted_name(name: str) -> str:
    """Return a column's name in backticks."""
    return "`" + name.replace("`", "``") + "`"


def quoted_text(value: str) -> str:
    """Return a text literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
