"""Personal data of a line: hashed, dropped or kept before anything else sees its fields.

Keyed hashes are HMAC-SHA-256 in plain Spark SQL. The key comes as a row of a local relation, which plans
name by its columns only: a literal would be in every plan, and with it in the log of events, in Spark's UI
and in messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tidegate.pii_key import PiiKey
    from tidegate.source import Source

INNER = "~inner~"
OUTER = "~outer~"
"""Columns with the blocks that the two hashes of HMAC begin with."""
HASH_DIGITS = 32
"""Hex digits that are kept of a hash: 128 bits."""
WHOLE = "~json~"
"""Column with the whole line as a variant."""

Tree = Mapping[str, Any]


def with_key(lines: DataFrame, key: PiiKey) -> DataFrame:
    """Add the columns `INNER` and `OUTER` to every line."""
    from pyspark.sql import functions as F

    pads = lines.sparkSession.createDataFrame(
        [tuple(pad.hex() for pad in key.pads)], f"`{INNER}` string, `{OUTER}` string"
    )
    return lines.crossJoin(
        F.broadcast(pads.select(*(F.unhex(f"`{name}`").alias(name) for name in (INNER, OUTER))))
    )


def hmac_sql(text: str, inner: str = f"`{INNER}`", outer: str = f"`{OUTER}`") -> str:
    """Return the Spark SQL of HMAC-SHA-256 of a text's UTF-8 bytes, as 64 hex digits; NULL for NULL.

    Args:
        text: SQL of the text, or of bytes.
        inner: SQL of the key's inner block.
        outer: SQL of its outer block.
    """
    within = f"unhex(sha2(concat({inner}, cast({text} as binary)), 256))"
    return f"sha2(concat({outer}, {within}), 256)"


def hashed_sql(text: str) -> str:
    """Return the Spark SQL of what a text to be hashed becomes.

    Spaces around it don't count, as they don't for ids. Empty text stays empty, so that an empty id is still
    no id: hashed, all who have none would be one person.
    """
    bare = f"trim({text})"
    return f"if({bare} = '', '', left({hmac_sql(bare)}, {HASH_DIGITS}))"


def treated(source: Source, tree: Tree) -> str:
    """Return the Spark SQL of the struct `f` of a line's fields with its personal data treated.

    Args:
        source: what is to be done.
        tree: the names that `f` has, nested as its paths are.
    """

    def leaf(names: tuple[str, ...], place: str) -> str:
        action = source.pii_action(names)
        if action == "drop":
            return "cast(null as string)"
        return hashed_sql(place) if action == "hash" else place

    return _struct(tree, leaf)


def kept_json(source: Source, tree: Tree) -> str:
    """Return the Spark SQL of the JSON text of the fields of a treated struct `f`.

    What is not hashed is as it was in the line (`WHOLE`), numbers, lists and objects alike. Where the line has
    a name twice, or a name's spelling is none that a path may have, it is text.
    """
    from tidegate.sql_text import quoted_text

    def leaf(names: tuple[str, ...], place: str) -> str:
        text = f"cast({place} as variant)"
        if source.pii_action(names) in ("hash", "drop"):
            return text
        path = variant_path(names)
        if path is None:
            return text
        as_it_was = f"try_variant_get(`{WHOLE}`, {quoted_text(path)}, 'variant')"
        return f"coalesce({as_it_was}, {text})"

    return f"to_json({_struct(tree, leaf)})"


def variant_path(names: tuple[str, ...]) -> str | None:
    """Return a path as Spark's functions for variants take it; None where they have no words for it."""
    if any(c in name for name in names for c in "'\"\\`[]"):
        return None
    return "$" + "".join(f'["{name}"]' for name in names)


def _struct(tree: Tree, leaf: Any, above: tuple[str, ...] = ()) -> str:
    from tidegate.sql_text import quoted_name, quoted_text

    place = ".".join(["f", *(quoted_name(name) for name in above)])
    members = []
    for name, below in tree.items():
        names = (*above, name)
        value = (
            _struct(below, leaf, names) if below else leaf(names, f"{place}.{quoted_name(name)}")
        )
        members.append(f"{quoted_text(name)}, {value}")
    return f"if({place} is null, null, named_struct({', '.join(members)}))"
