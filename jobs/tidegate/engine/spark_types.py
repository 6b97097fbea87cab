"""Types of Spark, which suites name by their classes."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def spark_types() -> ModuleType:
    """Return the module of Spark's types."""
    from pyspark.sql import types

    return types


def type_of_class(name: str) -> Any:
    """Return a type of a class, such as `LongType`; lists and maps hold items of any type."""
    types = spark_types()
    item = types.NullType()
    if name == "ArrayType":
        return types.ArrayType(item)
    if name == "MapType":
        return types.MapType(item, item)
    return getattr(types, name)()
