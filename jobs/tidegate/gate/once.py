"""Once: aggregates that are asked of one slice after another are counted once, by slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Whole:
    """The rows of all slices, and the column that says which one a row is of."""

    rows: DataFrame
    column: str


class Once:
    """Lets an engine of Great Expectations count once, by slice, what is asked of one slice after another.

    An engine asks Spark for all aggregates of a batch in one query. Those of the first slice are asked
    of all slices, grouped by them; for the others the answers are there.
    """

    def __init__(self, engine: Any, whole: Whole) -> None:
        self._engine, self._whole = engine, whole
        self._alone = engine.resolve_metric_bundle
        self._answers: dict[tuple[Any, ...], dict[Any, Any]] = {}
        self._slice: Any = None
        engine.resolve_metric_bundle = self._resolve

    def turn_to(self, slice_: Any) -> None:
        """Say of which slice the next questions are."""
        self._slice = slice_

    def _resolve(self, metric_fn_bundle: Iterable[Any]) -> dict[Any, Any]:
        by_domain: dict[tuple[Any, ...], list[Any]] = {}
        for each in metric_fn_bundle:
            by_domain.setdefault(_without_batch(each.compute_domain_kwargs or {}), []).append(each)
        found: dict[Any, Any] = {}
        for domain, questions in by_domain.items():
            questions.sort(key=_question)  # they come in another order for each slice
            asked = (domain, *map(_question, questions))
            if asked not in self._answers:
                self._answers[asked] = self._by_slice(questions)
            answer = self._answers[asked].get(self._slice)
            if answer is None:  # of a slice without such rows there is no group
                found.update(self._alone(metric_fn_bundle=questions))
            else:
                ids = (each.metric_configuration.id for each in questions)
                found.update(zip(ids, answer, strict=True))
        return found

    def _by_slice(self, questions: Sequence[Any]) -> dict[Any, Sequence[Any]]:
        from great_expectations.execution_engine.sparkdf_batch_data import SparkDFBatchData
        from great_expectations.util import convert_to_json_serializable
        from pyspark.errors import PySparkException
        from pyspark.sql import functions as F

        kwargs = questions[0].compute_domain_kwargs or {}
        batches, own = self._engine.batch_manager.batch_data_cache, kwargs["batch_id"]
        # The engine applies a domain's conditions itself: to the rows of all slices this once.
        kept = batches[own]
        batches[own] = SparkDFBatchData(self._engine, self._whole.rows)
        try:
            rows = self._engine.get_domain_records(domain_kwargs=kwargs)
        finally:
            batches[own] = kept
        key = F.unix_seconds(self._whole.column).alias("slice")
        try:
            counted = rows.groupBy(key).agg(*(each.metric_fn for each in questions)).collect()
        except PySparkException:
            # Some slice's rows can't be computed. Each is asked alone then, and fails or not by itself.
            return {}
        return {
            datetime.fromtimestamp(row[0], UTC): [
                convert_to_json_serializable(data=value) for value in row[1:]
            ]
            for row in counted
        }


def _question(asked: Any) -> tuple[Any, ...]:
    metric = asked.metric_configuration
    return (
        metric.metric_name,
        _without_batch(metric.metric_domain_kwargs),
        str(metric.metric_value_kwargs_id),
    )


def _without_batch(kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted((k, repr(v)) for k, v in kwargs.items() if k != "batch_id"))
