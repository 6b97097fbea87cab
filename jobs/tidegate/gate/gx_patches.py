"""What is done to Great Expectations beside calling it: how it is imported, and the private parts that are used.

Importing it costs 5 s of processor time, and half of that is for modules that no audit calls: Spark, SQLAlchemy and
boto3, for engines that are not used here and that it can be without, and altair and scipy, for one type. It is
imported here as if the former were not installed, and with the latter loaded by whoever needs them first.

All of it is known to hold for `VERSION`: a test fails on any other.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from tidegate.common.errors import TidegateError

VERSION = "1.24."
"""How the version begins that this is known to hold for."""
_ABSENT = frozenset(["pyspark", "sqlalchemy", "boto3", "botocore"])
"""Packages that Great Expectations imports where it can, and does without where not."""
_LAZY = frozenset(["altair", "scipy.stats"])
"""Modules that it imports for one type of expectation, or for its documents."""
_IMPORTING = threading.Lock()
_PRELOADS: list[threading.Thread] = []


class _Finder:
    """Hides and delays modules from one thread, while that imports Great Expectations."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if threading.get_ident() != self._thread:
            return None
        if name.partition(".")[0] in _ABSENT:
            raise ModuleNotFoundError(f"{name} is not for Great Expectations", name=name)
        if name not in _LAZY:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


@contextmanager
def _lean() -> Iterator[None]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def great_expectations() -> Any:
    """Import Great Expectations, if it is not there yet, without what audits do not need.

    It draws no progress bars and does not call home.

    Raises:
        TidegateError: another version is installed than the one that this is known to hold for.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with _IMPORTING:
        known = sys.modules.get("great_expectations")
        if known is None or not hasattr(known, "ExpectationSuite"):
            with _lean():
                known = importlib.import_module("great_expectations")
    if not known.__version__.startswith(VERSION):
        raise TidegateError(
            "this version of Great Expectations is unknown to the gate",
            where="the Python environment",
            expected=f"{VERSION}*",
            got=known.__version__,
            todo="install the versions of requirements.lock",
        )
    return known


def preload() -> threading.Thread:
    """Import Great Expectations in a thread of its own while other work goes on.

    It imports neither DuckDB nor delta-rs and starts no thread of theirs, so that a process may still fork
    afterwards. What goes wrong is left to the audit, which imports it again.

    Returns:
        The thread; who must not fork while it runs can join it.
    """
    with _IMPORTING:
        running = [thread for thread in _PRELOADS if thread.is_alive()]
        if running:
            return running[0]
        thread = threading.Thread(target=_import, name="preload of the gate", daemon=True)
        _PRELOADS[:] = [thread]
    thread.start()
    return thread


def _import() -> None:
    try:
        great_expectations()
    except (ImportError, TidegateError):
        return  # the audit reports it


@dataclass(frozen=True)
class Needs:
    """The metrics that an expectation needs.

    Attributes:
        metrics: by the names that it asks for them by: their configurations.
        result_format: how much it reports.
    """

    metrics: Mapping[str, Any]
    result_format: Any


def needs(expectation: Any, result_format: Mapping[str, Any]) -> Needs:
    """Return the metrics that an expectation needs to report so much."""
    with _configured_once():
        found = expectation.get_validation_dependencies(
            execution_engine=spark_engine(),
            runtime_configuration={"result_format": dict(result_format)},
        )
    return Needs(found.metric_configurations, found.result_format)


def decide(
    expectation: Any, needed: Needs, metrics: Mapping[str, Any]
) -> tuple[bool, Mapping[str, Any]]:
    """Have an expectation decide.

    `Expectation.metrics_validate` does this after it asked again for what is needed, which takes ten times as long
    as to decide.

    Args:
        expectation: the expectation.
        needed: what it needs.
        metrics: their values, by name.

    Returns:
        Whether it is met, and what it reports.
    """
    with _configured_once():
        report = expectation._validate(
            metrics=dict(metrics),
            runtime_configuration={"result_format": needed.result_format},
            execution_engine=spark_engine(),
        )
    if isinstance(report, Mapping):
        return bool(report["success"]), report.get("result") or {}
    return bool(report.success), report.result or {}


_CONFIGURED = threading.local()


@contextmanager
def _configured_once() -> Iterator[None]:
    """Let an expectation's `configuration` be made once: a property that each decision asks for some hundred times.

    Only this thread's calls, and only those meanwhile, see it.
    """
    great_expectations()
    _patch_configuration()
    _CONFIGURED.known = {}
    try:
        yield
    finally:
        del _CONFIGURED.known


def _patch_configuration() -> None:
    from great_expectations.expectations.expectation import Expectation

    with _IMPORTING:
        original = Expectation.configuration
        assert isinstance(original, property) and original.fget is not None
        if getattr(original.fget, "once", False):
            return
        make = original.fget

        def configuration(self: Any) -> Any:
            known = getattr(_CONFIGURED, "known", None)
            if known is None:
                return make(self)
            if id(self) not in known:
                known[id(self)] = self, make(self)  # kept, so that no other gets its id
            return known[id(self)][1]

        configuration.once = True
        Expectation.configuration = property(configuration)


_ENGINE: list[Any] = []


def spark_engine() -> Any:
    """Return an engine of Great Expectations that only says of which kind it is: expectations of types ask that.

    Types in suites are named as Spark names them, so that is what it claims to be. It computes nothing.
    """
    if not _ENGINE:
        great_expectations()
        from great_expectations.execution_engine.sparkdf_execution_engine import (
            SparkDFExecutionEngine,
        )

        _ENGINE.append(SparkDFExecutionEngine.__new__(SparkDFExecutionEngine))
    return _ENGINE[0]


def spark_type(name: str) -> Any:
    """Return a type of Spark, for expectations of types.

    Args:
        name: its class, such as `LongType`.
    """
    great_expectations()
    from tidegate.engine.spark_types import spark_types, type_of_class

    # Great Expectations was imported as if there were no Spark; of it these types alone are needed.
    compatibility = importlib.import_module("great_expectations.compatibility.pyspark")
    compatibility.types = spark_types()  # type: ignore[attr-defined]
    return type_of_class(name)
