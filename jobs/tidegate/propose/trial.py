"""A proposal tried: its own samples landed by it, before it is said to be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from tidegate.common.hours import hour_text
from tidegate.common.text_output import clipped
from tidegate.common.unreadable import UnreadableError
from tidegate.config.source import Source
from tidegate.dumps.hour_files import HourNames
from tidegate.dumps.samples import Samples
from tidegate.landing.kernel import InputFile, Rules, parse_file
from tidegate.landing.staging import landing_connection
from tidegate.propose.read import EnoughError, Sampled, opened
from tidegate.storage.files import StoredFile

_MOST_LOST = 0.05
"""Share of records that may be quarantined: every dump has some that are broken."""
_FEW = 2
"""Records that may be quarantined in any case, if they are less than half: a share of few says little."""

if TYPE_CHECKING:
    import duckdb


@dataclass
class Trial:
    """What became of the samples.

    Attributes:
        records: how many were read.
        events: how many of them are events.
        duplicates: how many repeat an event.
        quarantined: how many are neither, by reason.
        details: the first detail of each reason.
        unreadable: why files can't be read whole.
        untaken: files that the template does not take.
        is_located: whether the names of the files tell their hours.
        hours: the dump hours of the files that were landed.
    """

    records: int = 0
    events: int = 0
    duplicates: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    untaken: list[str] = field(default_factory=list)
    hours: set[datetime] = field(default_factory=set)
    is_located: bool = True

    @property
    def outcome(self) -> str:
        """What became of the samples, in words."""
        reasons = ", ".join(f"{name} {count:,}" for name, count in self.quarantined.most_common())
        hours = sorted(self.hours)
        span = hour_text(hours[0]) if hours else "none"
        if len(hours) > 1:
            span = f"{len(hours):,}, {span} to {hour_text(hours[-1])}"
        return (
            f"{self.records:,} records = {self.events:,} events + {self.duplicates:,} duplicates + "
            f"{sum(self.quarantined.values()):,} quarantined{f' ({reasons})' if reasons else ''}; "
            f"hours: {span}"
        )

    @property
    def faults(self) -> list[str]:
        """Why the proposal does not land its samples; none where it does."""
        faults = []
        lost = sum(self.quarantined.values())
        if lost > _MOST_LOST * self.records and (lost > _FEW or 2 * lost >= self.records):
            reason, count = self.quarantined.most_common(1)[0]
            faults.append(
                f"{lost:,} of {self.records:,} records would be quarantined, {count:,} as {reason}: "
                f"{clipped(self.details[reason], 160)}"
            )
        faults += [f"a file can't be read: {why}" for why in self.unreadable[:3]]
        if not self.is_located:
            faults.append("the names of the samples tell no hour, so 'dumps' finds none of them")
        elif self.untaken:
            faults.append(
                f"'dumps' does not take {len(self.untaken):,} of the samples, such as {self.untaken[0]}"
            )
        return faults


def land_samples(
    source: Source, sampled: Sampled, hours: Mapping[str, datetime], *, is_located: bool = True
) -> Trial:
    """Return what becomes of samples by a source.

    As many records of each file are landed as were read of it, or somewhat more.

    Args:
        source: as it is proposed.
        sampled: its samples.
        hours: the dump hour of each file that was read, by URI.
        is_located: whether the names of the files tell these hours.
    """
    trial = Trial(is_located=is_located)
    rules = Rules(source)
    seen: dict[str, datetime] = {}
    files = sorted(sampled.read, key=lambda pair: (hours[pair[1].uri], pair[1].name))
    with closing(landing_connection()) as connection:
        for samples, file in files:
            hour = hours[file.uri]
            if not _takes(source, file, hour):
                trial.untaken.append(file.uri)
            trial.hours.add(hour)
            left = sampled.most
            try:
                for batch in _landed(samples, file, hour, rules, connection):
                    _count(batch, hour, trial, seen, source)
                    left -= len(batch)
                    if left <= 0:
                        break
            except UnreadableError as error:
                trial.unreadable.append(f"{file.name}: {error.reason}")
            except EnoughError:
                continue
    return trial


def _takes(source: Source, file: StoredFile, hour: datetime) -> bool:
    root, uri = (text.replace("s3a://", "s3://", 1) for text in (source.dumps.root, file.uri))
    if not uri.startswith(root):
        return False
    names = HourNames(source.dumps.relative(hour), exclude=source.exclude)
    return bool(names.sorted_out([replace(file, name=uri.removeprefix(root))]).read)


def _landed(
    samples: Samples,
    file: StoredFile,
    hour: datetime,
    rules: Rules,
    connection: duckdb.DuckDBPyConnection,
) -> Iterator[pa.RecordBatch]:
    stream = opened(samples, file, rules.source.format)
    yield from parse_file(stream, InputFile(hour, file.name), rules, connection)


def _count(
    batch: pa.RecordBatch,
    hour: datetime,
    trial: Trial,
    seen: dict[str, datetime],
    source: Source,
) -> None:
    """Add a batch to what is known; an event is a duplicate where its id was there within the time."""
    columns = (batch.column(name).to_pylist() for name in ("event_id", "_reason", "_detail"))
    for event_id, reason, detail in zip(*columns, strict=True):
        trial.records += 1
        if reason is not None:
            trial.quarantined[reason] += 1
            trial.details.setdefault(reason, str(detail))
            continue
        before = seen.get(event_id)
        seen[event_id] = hour
        if before is not None and hour - before <= source.duplicates.within:
            trial.duplicates += 1
        else:
            trial.events += 1
