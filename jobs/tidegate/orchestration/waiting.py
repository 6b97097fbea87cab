"""The task `wait`: it waits in Airflow's triggerer, from its first moment to its last.

An hour that waits, and one that need not, cost no worker; the hours of a source share one watch.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.triggers.base import (
    BaseEventTrigger,
    StartTriggerArgs,
    TaskFailedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)

from tidegate.common.errors import TidegateError
from tidegate.common.hours import floor_hour, hour_text
from tidegate.orchestration.watch import Look, Seen, Watch, look_at

PATIENCE = timedelta(minutes=10)
"""Of nothing but errors, also for an hour that is late already: an S3 that is away for less is survived."""
_DUMP_HOUR = "{{ logical_date.isoformat() if logical_date is defined and logical_date else '' }}"
_WATCHES: dict[str, Watch] = {}
"""Of this triggerer, by source."""


class WaitForDump(BaseOperator):
    """Waits until the dump of the run's hour is complete, in the way that its source file names.

    Args:
        source: name of the source.
    """

    template_fields = ("hour",)
    start_from_trigger = True

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.hour = _DUMP_HOUR
        # No timeout of Airflow's: the trigger knows when the hour is late, and says so.
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{DumpTrigger.__module__}.{DumpTrigger.__qualname__}",
            trigger_kwargs={"source": source, "hour": self.hour},
            next_method="execute_complete",
        )

    def execute(self, context: Any) -> NoReturn:  # noqa: ARG002 (Airflow calls it so)
        """Begin to wait; for a run without a triggerer that starts tasks."""
        self.defer(trigger=DumpTrigger(self.source, self.hour), method_name="execute_complete")

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """Do nothing: the trigger ends the task."""


class DumpTrigger(BaseEventTrigger):
    """Waits until the dump of one hour of a source is complete, or late.

    Args:
        source: name of the source.
        hour: the dump hour, ISO 8601 with a zone.
    """

    def __init__(self, source: str, hour: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source = source
        self.hour = hour

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return how Airflow makes this trigger again."""
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return name, {"source": self.source, "hour": self.hour}

    def shared_stream_key(self) -> tuple[str, str]:
        """Return what the triggers of one source have in common, and no other has."""
        return (DumpTrigger.__module__, self.source)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncGenerator[Seen, None]:
        """Yield what is seen of the hours of a source that are waited for."""
        async with aclosing(_watch(str(kwargs["source"])).seen()) as stream:
            async for seen in stream:
                yield seen

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Seen]
    ) -> AsyncIterator[TriggerEvent]:
        """Yield the end of the task, once this hour's dump is complete or late."""
        if not self.hour:
            self.log.error(
                "this run has no logical date, so nobody knows which dump hour it is; start it with one"
            )
            yield TaskFailedEvent()
            return
        hour = floor_hour(datetime.fromisoformat(self.hour))
        watch = _watch(self.source)
        watch.add(hour)
        try:
            told, since = "", datetime.now(UTC)
            async for seen in shared_stream:
                if hour not in seen:
                    continue
                now, look = datetime.now(UTC), seen[hour]
                if not isinstance(look.found, TidegateError):
                    since = now
                text = _text(look)
                if text != told:
                    told = text
                    self.log.info("%s %s: %s", self.source, hour_text(hour), text)
                if not isinstance(look.found, TidegateError) and look.found.complete:
                    yield TaskSuccessEvent()
                    return
                if look.is_over(now) and (
                    not isinstance(look.found, TidegateError) or now - since >= PATIENCE
                ):
                    self.log.error("%s", late(self.source, hour, look).describe())
                    yield TaskFailedEvent()
                    return
        finally:
            watch.remove(hour)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the end of the task, for a triggerer that shares no streams."""
        async with aclosing(self.open_shared_stream({"source": self.source})) as stream:
            async for event in self.filter_shared_stream(stream):
                yield event


def late(source: str, hour: datetime, look: Look) -> TidegateError:
    """Return the error that tells that an hour is waited for no longer."""
    return TidegateError(
        f"late: {source} {hour_text(hour)} was not complete by {look.late_from:%Y-%m-%dT%H:%M}Z",
        expected="a complete dump, within the time that `complete` in the source file gives it",
        got=_text(look),
        todo="have the dump uploaded: `reconcile` lands it then, or clear this task to land it at once",
    )


def _text(look: Look) -> str:
    if isinstance(look.found, TidegateError):
        return look.found.describe()
    return look.found.why


def _watch(source: str) -> Watch:
    return _WATCHES.setdefault(source, Watch(partial(look_at, source)))
