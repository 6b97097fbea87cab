"""The task `wait`: it waits in Airflow's triggerer, from its first moment to its last.

An hour that waits, and one that need not, cost no worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.triggers.base import (
    BaseTrigger,
    StartTriggerArgs,
    TaskFailedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)

from tidegate.errors import TidegateError
from tidegate.hours import floor_hour, hour_text
from tidegate.settings import load_settings

if TYPE_CHECKING:
    from tidegate.dumps import Completeness

LATE = timedelta(hours=24)
"""How long an hour is waited for."""
_POLL_S = 60.0
_SOON_S = 0.2
_FAULTS_S = 600.0
"""Seconds of nothing but errors after which waiting is given up; an S3 that is away for less is survived."""
_DUMP_HOUR = "{{ (data_interval_start or logical_date).isoformat() }}"


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
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{DumpTrigger.__module__}.{DumpTrigger.__qualname__}",
            trigger_kwargs={"source": source, "hour": self.hour},
            next_method="execute_complete",
            timeout=LATE,
        )

    def execute(self, context: Any) -> NoReturn:  # noqa: ARG002 (Airflow calls it so)
        """Begin to wait; for a run without a triggerer that starts tasks."""
        self.defer(
            trigger=DumpTrigger(self.source, self.hour),
            method_name="execute_complete",
            timeout=LATE,
        )

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """Do nothing: the trigger ends the task."""


class DumpTrigger(BaseTrigger):
    """Looks at one hour of one source until its dump is complete.

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

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the end of the task."""
        hour = floor_hour(datetime.fromisoformat(self.hour).astimezone(UTC))
        told, faulty = "", 0.0
        while True:
            pause = _POLL_S
            try:
                found = await asyncio.to_thread(look, self.source, hour)
            except TidegateError as error:
                if faulty >= _FAULTS_S:
                    self.log.error("%s", error.describe())
                    yield TaskFailedEvent()
                    return
                self.log.warning("%s", error.describe())
                faulty += _POLL_S
            else:
                faulty = 0.0
                if found.why != told:
                    told = found.why
                    self.log.info("%s %s: %s", self.source, hour_text(hour), told)
                if found.complete:
                    yield TaskSuccessEvent()
                    return
                if found.quiet_in is not None:
                    pause = min(_POLL_S, found.quiet_in.total_seconds() + _SOON_S)
            await asyncio.sleep(pause)


def look(source: str, hour: datetime) -> Completeness:
    """Return whether an hour's dump is complete.

    Raises:
        TidegateError: there is no such source, or its dumps can't be listed.
    """
    from tidegate.dumps import Dumps
    from tidegate.source import find_source

    settings = load_settings()
    chosen = find_source(source, settings.sources)
    return Dumps(chosen, settings.s3, settings.dumps).completeness(hour, datetime.now(UTC))
