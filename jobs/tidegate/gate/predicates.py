"""Predicates: what is asked of a single value and has no SQL, in Python, as Great Expectations has it for pandas."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.engine.regexes import regex_fault

if TYPE_CHECKING:
    import duckdb

Predicate = Callable[[Any], bool]


def _json_parseable(_: Mapping[str, Any]) -> Predicate:
    def parses(value: str) -> bool:
        try:
            json.loads(value)
        except (ValueError, RecursionError):
            return False
        return True

    return parses


def _match_json_schema(values: Mapping[str, Any]) -> Predicate:
    import jsonschema  # type: ignore[import-untyped]

    schema = values["json_schema"]
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    validator = kind(schema)

    def matches(value: str) -> bool:
        return bool(validator.is_valid(json.loads(value)))

    return matches


def _match_strftime_format(values: Mapping[str, Any]) -> Predicate:
    form = values["strftime_format"]
    try:
        # Some formats, such as %D, can be written and not read.
        datetime.strptime(datetime.now(tz=UTC).strftime(form), form)  # noqa: DTZ007
    except ValueError as error:
        raise ValueError(f"Unable to use provided strftime_format: {error!s}") from error

    def matches(value: str) -> bool:
        try:
            datetime.strptime(value, form)  # noqa: DTZ007 - whether it can be read is all
        except ValueError:
            return False
        return True

    return matches


def _dateutil_parseable(_: Mapping[str, Any]) -> Predicate:
    from dateutil.parser import parse  # type: ignore[import-untyped]

    def parses(value: str) -> bool:
        try:
            parse(value)
        except (ValueError, OverflowError):
            return False
        return True

    return parses


PREDICATES: Mapping[str, Callable[[Mapping[str, Any]], Predicate]] = {
    "json_parseable": _json_parseable,
    "match_json_schema": _match_json_schema,
    "match_strftime_format": _match_strftime_format,
    "dateutil_parseable": _dateutil_parseable,
}
"""What makes a predicate of the parameters of a metric, by the name of the metric."""


def needs_python(connection: duckdb.DuckDBPyConnection, pattern: str) -> bool:
    """Return whether DuckDB refuses a regular expression that Python takes: one with lookaround, for instance.

    Raises:
        ValueError: Python refuses it too.
    """
    fault = regex_fault(connection, pattern)
    if fault is None:
        return False
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(fault) from error
    return True


def matches_regexes(patterns: Sequence[str], *, every: bool, none: bool) -> Predicate:
    """Return what says of a text whether it matches one, every or none of some regular expressions."""
    compiled = [re.compile(pattern, re.ASCII) for pattern in patterns]

    def matches(value: Any) -> bool:
        found = (each.search(str(value)) is not None for each in compiled)
        if none:
            return not any(found)
        return all(found) if every else any(found)

    return matches
