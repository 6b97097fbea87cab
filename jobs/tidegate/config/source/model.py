"""What a source file says, as frozen models that forbid unknown keys.

The models only hold what is well-formed in itself; what must agree between keys is checked by
`check.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tidegate.common.durations import duration_text, parse_duration
from tidegate.common.errors import TidegateError
from tidegate.common.hours import parse_hour
from tidegate.common.identifiers import NAME
from tidegate.config.source.base import Model, shown
from tidegate.config.source.format import Format
from tidegate.config.source.path_template import HourText, Template, parse_hour_text, parse_template
from tidegate.config.source.paths import join_path, split_path
from tidegate.config.source.refs import Column, FieldRef, TimeRef

RESERVED_COLUMNS = frozenset(
    [
        "source",
        "dump_hour",
        "dump_date",
        "event_id",
        "event_time",
        "event_type",
        "user_id",
        "anonymous_id",
        "user_key",
        "user_key_kind",
        "source_session_id",
        "properties",
        "file",
        "line",
    ]
)
"""The columns that warehouse/events has for every source."""

PiiAction = Literal["hash", "drop", "keep"]
"""What is done with a personal value: a keyed hash takes its place, nothing does, or it stays."""


def _duration(value: object) -> timedelta:
    return parse_duration(value)


def _duration_or_zero(value: object) -> timedelta:
    return parse_duration(value, zero=True)


_AS_WRITTEN = PlainSerializer(duration_text, when_used="json")
Duration = Annotated[timedelta, BeforeValidator(_duration), _AS_WRITTEN]
DurationOrZero = Annotated[timedelta, BeforeValidator(_duration_or_zero), _AS_WRITTEN]


class Fields(Model):
    """Which part of a line is what of an event. Without `event_id`, ids are computed."""

    event_id: FieldRef | None = None
    event_time: TimeRef
    event_type: FieldRef | None = None
    user_id: FieldRef | None = None
    anonymous_id: FieldRef | None = None


class Complete(Model):
    """When a dump is complete: exactly one way. And how long after its hour it may be so.

    Names are relative to the hour's folder and may hold placeholders. What is not complete `within` that
    time of the hour's end is late: it is waited for no longer.
    """

    marker: str | None = None
    manifest: str | None = None
    files: Annotated[int, Field(ge=1)] | None = None
    after: Duration | None = None
    within: Duration = timedelta(hours=24)

    @field_validator("marker", "manifest")
    @classmethod
    def _name(cls, text: str | None) -> str | None:
        if text is not None:
            parse_hour_text(text)
            if not text.strip() or text.endswith("/") or "*" in text:
                raise ValueError(f"expected the name of one file, got {text!r}")
            if text.startswith("/") or "://" in text or ".." in text.split("/"):
                raise ValueError(f"expected a name below the hour's folder, got {text!r}")
        return text

    @model_validator(mode="after")
    def _one_of(self) -> Complete:
        ways = ("marker", "manifest", "files", "after")
        given = [way for way in ways if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected exactly one of {', '.join(ways)}, got {' and '.join(given) or 'none'}"
            )
        if self.after is not None and self.after >= self.within:
            raise ValueError(
                f"within: expected more than the quiet time of {duration_text(self.after)}, got "
                f"{duration_text(self.within)}: every hour would be late"
            )
        return self

    def named(self) -> HourText | None:
        """Return the name of the marker or manifest, or None where completeness needs none."""
        name = self.marker if self.marker is not None else self.manifest
        return parse_hour_text(name) if name is not None else None


COMPLETE = Complete(after=timedelta(minutes=10))
"""When a dump is complete, where a source file does not say."""


class Sessions(Model):
    """How events become sessions; `id` is the source's own session id, where it brings one."""

    gap: Duration = timedelta(minutes=30)
    max: Duration = timedelta(hours=24)
    id: FieldRef | None = None


class Duplicates(Model):
    """How many hours back a dump may hold the same event id, and so make this one a duplicate."""

    within: Duration = timedelta(hours=24)

    @field_validator("within")
    @classmethod
    def _whole_hours(cls, within: timedelta) -> timedelta:
        if within % timedelta(hours=1):
            raise ValueError(f"expected whole hours, such as 24h, got {within}")
        return within


class Accept(Model):
    """How far an event's time may lie before (`late`) or after (`future`) its dump hour."""

    late: DurationOrZero = timedelta(days=3)
    future: DurationOrZero = timedelta(hours=1)


class Sequence(Model):
    """How producers number their events, each its own 1, 2, 3, …: what is missing was lost."""

    producer: FieldRef
    number: FieldRef


def _parse_since(value: object) -> datetime:
    form = "an hour in UTC, such as 2015-01-01T00"
    if isinstance(value, datetime | date):
        text = value.isoformat()
    elif isinstance(value, str):
        text = value
    else:
        raise ValueError(f"expected {form}, got {shown(value)}")
    try:
        return parse_hour(text)
    except TidegateError as error:
        raise ValueError(f"{error.what}; expected {form}, got {text!r}") from error


def _parse_dumps(value: object, info: ValidationInfo) -> Template:
    if isinstance(value, Template):
        return value
    if not isinstance(value, str):
        tip = "; a text that begins with '{' needs quotes" if isinstance(value, dict) else ""
        raise ValueError(f"expected a template of dumps, got {shown(value)}{tip}")
    path = (info.context or {}).get("path")
    return parse_template(value, Path(path).resolve().parent if path is not None else Path.cwd())


NOBODY = (
    "null",
    "undefined",
    "None",
    "[object Object]",
    "\\N",
    "00000000-0000-0000-0000-000000000000",
)
"""Texts that producers write for no user, where a source file does not say."""


_UNLESS_DEFAULT = ("exclude", "repeated_files", "nobody", "pii", "pii_key")
"""Keys that a definition has only where they are not the default."""


class Source(Model):
    """One source, as its file describes it.

    Attributes:
        exclude: names of files to leave out; `*` is any text.
        repeated_files: whether of files with the same bytes all are landed, or one.
        nobody: exact texts that are no user and no visitor; the list of a source file replaces the default.
        may_be_empty: whether a dump without any line is usual, whatever the hour before had.
        fresh: how long after its end an hour is to be readable, released; None where nothing is promised.
        pii: what is done with personal data, by path; with any, nothing undeclared is kept.
        pii_key: fingerprint of the key that they are hashed by, once it is known; no key of the file.
        path: that file.

    """

    source: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    since: Annotated[datetime, BeforeValidator(_parse_since)]
    dumps: Annotated[Template, BeforeValidator(_parse_dumps)]
    exclude: tuple[str, ...] = ()
    repeated_files: Literal["all", "once"] = "all"
    format: Format = Format()
    complete: Complete = COMPLETE
    fresh: Duration | None = None
    may_be_empty: bool = False
    fields: Fields
    columns: dict[str, Column] = Field(default_factory=dict)
    sessions: Sessions = Sessions()
    duplicates: Duplicates = Duplicates()
    accept: Accept = Accept()
    sequence: Sequence | None = None
    nobody: tuple[str, ...] = NOBODY
    pii: dict[str, PiiAction] = Field(default_factory=dict)
    pii_key: str | None = None
    path: Path

    @field_validator("exclude", mode="before")
    @classmethod
    def _excluded(cls, value: Any) -> tuple[str, ...]:
        patterns = [value] if isinstance(value, str) else value
        if not isinstance(patterns, list | tuple):
            raise ValueError(
                f"expected a name such as '*.keys.json', or a list, got {shown(value)}"
            )
        for pattern in patterns:
            if not isinstance(pattern, str) or not pattern.strip():
                raise ValueError(f"expected names, none empty, got {shown(pattern)}")
            if pattern.startswith("/") or "://" in pattern or ".." in pattern.split("/"):
                raise ValueError(
                    f"expected a file's name, or its path below the hour's folder, got {pattern!r}"
                )
            if not pattern.strip("*"):
                raise ValueError(f"{pattern!r} would leave out every file")
        return tuple(patterns)

    @field_validator("nobody", mode="before")
    @classmethod
    def _nobody(cls, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"expected a list of texts, got {shown(value)}")
        wrong = [entry for entry in value if not isinstance(entry, str) or not entry]
        if wrong:
            raise ValueError(
                f"expected texts, none empty, got {shown(wrong[0])}; quote it if it is meant as text"
            )
        return tuple(value)

    @field_validator("pii")
    @classmethod
    def _pii_paths(cls, pii: dict[str, PiiAction]) -> dict[str, PiiAction]:
        if not pii:
            raise ValueError("expected paths and what is done with each, such as {user.id: hash}")
        for path in pii:
            split_path(path)
        return pii

    @property
    def hashes(self) -> bool:
        """Whether any personal value is hashed."""
        return "hash" in self.pii.values()

    def keyed(self, fingerprint: str) -> Source:
        """Return the source with the fingerprint of its key."""
        return self.model_copy(update={"pii_key": fingerprint})

    def pii_action(self, names: tuple[str, ...]) -> PiiAction | None:
        """Return what is done with the value of a path: said of itself, or of what it lies within."""
        for path, action in self.pii.items():
            of = split_path(path)
            if names[: len(of)] == of:
                return action
        return None

    def wanted(self) -> frozenset[str]:
        """Return every dotted path that is read from a line: what is referred to, and what `pii` leaves."""
        read = {split_path(path) for path in self.references()}
        left = {split_path(path) for path, action in self.pii.items() if action != "drop"}
        alone = {names for names in left if not any(r[: len(names)] == names for r in read)}
        return frozenset(join_path(names) for names in read | alone)

    def references(self) -> frozenset[str]:
        """Return every dotted path that anything of this source reads from a line."""
        return frozenset().union(*(ref.references() for ref in self.refs().values()))

    def refs(self) -> dict[str, FieldRef]:
        """Return every reference into the line by its key, such as `fields.event_id`."""
        found: dict[str, FieldRef | None] = {
            **{f"fields.{name}": getattr(self.fields, name) for name in Fields.model_fields},
            **{f"columns.{name}": column for name, column in self.columns.items()},
            "sessions.id": self.sessions.id,
        }
        if self.sequence is not None:
            found["sequence.producer"] = self.sequence.producer
            found["sequence.number"] = self.sequence.number
        return {key: ref for key, ref in found.items() if ref is not None}

    def definition(self) -> dict[str, Any]:
        """Return what of the file decides rows: JSON in its own words, which `defined_as` takes.

        `since`, `complete`, `fresh`, `sequence` and the root of `dumps` are not in it: moving the dumps
        changes no row, nor does a promise, and numbers are told of in a book.
        """
        said = self.model_dump(
            mode="json", include={"fields", "columns", "accept", "duplicates", "sessions"}
        )
        said["format"] = self.format.definition()
        said["names"] = self.dumps.inner.text
        # What a source without personal data is known by must not change for those who have none.
        if self.exclude:
            said["exclude"] = list(self.exclude)
        if self.repeated_files != "all":
            said["repeated_files"] = self.repeated_files
        if self.nobody != NOBODY:
            said["nobody"] = list(self.nobody)
        if self.pii:
            said["pii"] = dict(self.pii)
        if self.hashes and self.pii_key is not None:
            said["pii_key"] = self.pii_key
        return said

    def defined_as(self, definition: Mapping[str, Any]) -> Source:
        """Return the source with parts of its definition replaced, as `definition` gives them."""
        said = {key: value for key, value in definition.items() if key != "names"}
        if "sessions" in said:
            said["sessions"] = {**self.definition()["sessions"], **said["sessions"]}
        names = definition.get("names", self.dumps.inner.text)
        dumps = self.dumps
        if names != dumps.inner.text:
            dumps = replace(dumps, text=dumps.root + names, inner=parse_hour_text(names))
        kept = ("source", "since", "complete", "fresh", "may_be_empty", "sequence", "path")
        fixed = {name: getattr(self, name) for name in kept}
        mine = self.definition()
        if "names" in definition:  # of events: what it has not got, they have not
            mine = {key: value for key, value in mine.items() if key not in _UNLESS_DEFAULT}
        whole = {**mine, **said}
        del whole["names"]
        made = Source.model_validate({**fixed, **whole, "dumps": dumps})
        if made.sequence is not None and not made.is_readable():
            made = made.model_copy(update={"sequence": None})
        return made

    def is_readable(self) -> bool:
        """Return whether all references can be read from one line together.

        What is in force may use as a value what `sequence`, as it is now, takes for a folder.
        """
        from tidegate.config.source.check import pii_faults, reference_faults

        refs = self.refs()
        return not any(reference_faults(refs, self.format)) and not any(
            pii_faults(self.pii, refs, self.format)
        )
