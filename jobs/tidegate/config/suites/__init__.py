"""Suites as data: `expectations/<table>.yml`, one a table.

An entry names a Great Expectations type, its arguments, how severe a failure is and why it is
asked. An argument may be a `usual` value, which follows from published hours (`usual.Usual`). Great
Expectations drops an entry that it does not understand; a gate must not, so entries are checked here,
all at once.
"""

from __future__ import annotations

from tidegate.config.suites.facts import FACTS
from tidegate.config.suites.load import load_suite, read_suite
from tidegate.config.suites.model import QUERY, Entry, Severity, Subject, Suite
from tidegate.config.suites.names import name_faults, tables_of
from tidegate.config.suites.usual import OBSERVED, Usual

__all__ = [
    "FACTS",
    "OBSERVED",
    "QUERY",
    "Entry",
    "Severity",
    "Subject",
    "Suite",
    "Usual",
    "load_suite",
    "name_faults",
    "read_suite",
    "tables_of",
]
