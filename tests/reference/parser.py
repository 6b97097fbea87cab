"""One line and a source: its outcome, the reason and the values.

The order of decisions: length, bytes, blank, form, values on used paths that can't be kept, id, time, the accept
window, columns. What JSON is, what an id is and what a time is, `json_text`, `_Fields` and `times` say.

It does not evaluate SQL expressions, and treats no personal data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from reference.json_text import Node, NotJsonError, parse, quoted, written
from reference.times import MICROSECOND, time_of
from reference.values import time_text, value_of
from tidegate.config.source import FieldRef, Source, split_path

MAX_LINE_BYTES = 1024 * 1024
NOBODY = (
    "null",
    "undefined",
    "None",
    "[object Object]",
    "\\N",
    "00000000-0000-0000-0000-000000000000",
)
"""Texts that stand for no user, where a source does not say which."""
TWICE = "a name on a used path is there twice"
SURROGATE = "a text has a lone surrogate"
OBJECT = "an object or a list stands in place of an id or a type"
_SPACE = " \t\r"
_MARK = "\ufeff"
_MAX_PRODUCER = 256
_MAX_NUMBER = 2**63 - 2


@dataclass(frozen=True)
class Decision:
    """What becomes of a line.

    Attributes:
        outcome: event or quarantined.
        reason: why it is quarantined.
        values: of an event: those of its columns, in the text form of the corpus. Of a source with a sequence
            also `_producer` and `_number`, of any line that was read whole.
        detail: what is wrong, where the reason leaves that open.
    """

    outcome: str
    reason: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True)
class Place:
    """Where a line is from."""

    dump_hour: datetime
    file: str
    line: int


class _Quarantined(Exception):  # noqa: N818  (a decision, not an error)
    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail


def decide_json(data: bytes, source: Source, place: Place) -> Decision:
    """Return what becomes of a line of JSON.

    Args:
        data: the line without its line feed.
        source: how it is read.
        place: where it is from; byte order marks before the first line of a file do not count.
    """
    text = ""
    fields: _Fields | None = None
    values: dict[str, Any] = {}
    try:
        text = _text_of(data, place)
        fields = _JsonFields(_object(text), source)
        values = _event(fields, source, place)
    except _Quarantined as problem:
        numbered = _numbered(fields, source) if fields is not None else {}
        return Decision("quarantined", problem.reason, numbered, problem.detail)
    return Decision(
        "event", None, {**values, "properties": text.strip(_SPACE), **_numbered(fields, source)}
    )


def decide_record(
    cells: Mapping[str, str | None], source: Source, place: Place, nulls: tuple[str, ...] = ("",)
) -> Decision:
    """Return what becomes of a record of delimited text, without `properties`.

    Args:
        cells: text by the name of its column, each without its quotes.
        source: how it is read.
        place: where it is from.
        nulls: texts that stand for no value.
    """
    known = {name: None if text in nulls else text for name, text in cells.items()}
    fields = _CellFields(known)
    try:
        values = _event(fields, source, place)
    except _Quarantined as problem:
        numbered = _numbered(fields, source)
        return Decision("quarantined", problem.reason, numbered, problem.detail)
    return Decision("event", None, {**values, **_numbered(fields, source)})


def _text_of(data: bytes, place: Place) -> str:
    if len(data) > MAX_LINE_BYTES:
        raise _Quarantined("too_long")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _Quarantined("not_utf8") from None
    if place.line == 1:
        text = text.lstrip(_MARK)
    if not text.strip(_SPACE):
        raise _Quarantined("blank_line")
    return text


def _object(text: str) -> Node:
    try:
        node = parse(text)
    except NotJsonError:
        raise _Quarantined("not_json") from None
    if node.kind != "object":
        raise _Quarantined("not_object")
    return node


# -- fields ----------------------------------------------------------------------------------------


class _Fields:
    """The texts of a line by their paths."""

    def text(self, ref: FieldRef | None) -> str | None:
        """Return the text of a path, None where there is no value.

        Raises:
            ValueError: it is an expression.
        """
        if ref is None:
            return None
        if ref.sql is not None:
            raise ValueError(f"the reference evaluates no SQL: {ref.sql}")
        texts = [self._at(split_path(path)) for path in ref.parts()]
        return texts[0] if len(texts) == 1 else _joined(texts)

    def _at(self, names: tuple[str, ...]) -> str | None:
        raise NotImplementedError


def _joined(texts: list[str | None]) -> str | None:
    """Return texts with spaces between them, None where none is there."""
    return None if texts == [None] * len(texts) else " ".join(text or "" for text in texts)


class _CellFields(_Fields):
    def __init__(self, cells: Mapping[str, str | None]) -> None:
        self._cells = cells

    def _at(self, names: tuple[str, ...]) -> str | None:
        return self._cells.get(names[0])


class _JsonFields(_Fields):
    """The fields of an object.

    A number is its token. A name that is there twice on a used path, a text that UTF-8 can't hold, and an object
    or a list in place of an id, a type, a time or a user can't be kept.
    """

    def __init__(self, node: Node, source: Source) -> None:
        self._texts: dict[tuple[str, ...], str | None] = {}
        for path in sorted(source.references()):
            names = split_path(path)
            value = _find(node, names)
            if value is not None and value.kind in ("object", "list") and _is_scalar(path, source):
                raise _Quarantined("bad_value", OBJECT)
            self._texts[names] = None if value is None else _text(value)

    def _at(self, names: tuple[str, ...]) -> str | None:
        return self._texts[names]


def _is_scalar(path: str, source: Source) -> bool:
    fields = source.fields
    refs: list[FieldRef | None] = [
        fields.event_id,
        fields.event_type,
        fields.user_id,
        fields.anonymous_id,
        source.sessions.id,
    ]
    return path in {ref.path for ref in refs if ref is not None}


def _find(node: Node, names: tuple[str, ...]) -> Node | None:
    """Return the value at a path; None where there is none, or null."""
    for name in names:
        values = [value for key, value in node.members if key == name]
        if len(values) > 1:
            raise _Quarantined("bad_value", TWICE)
        if not values:
            return None
        node = values[0]
    return None if node.kind == "null" else node


def _text(node: Node) -> str:
    text = node.text if node.kind in ("text", "number") else written(node)
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise _Quarantined("bad_value", SURROGATE)
    return text


# -- values ----------------------------------------------------------------------------------------


def _event(fields: _Fields, source: Source, place: Place) -> dict[str, Any]:
    wanted = source.fields
    event_id = _id(fields, wanted.event_id)
    if wanted.event_id is None:
        event_id = computed_id(source.source, place)
    if event_id is None:
        raise _Quarantined("missing_event_id")
    at = _time(fields, source, place.dump_hour)
    user, device = (
        _person(_id(fields, ref), source) for ref in (wanted.user_id, wanted.anonymous_id)
    )
    values: dict[str, Any] = {
        "source": source.source,
        "dump_hour": time_text(place.dump_hour),
        "dump_date": f"{place.dump_hour.astimezone(UTC):%Y-%m-%d}",
        "event_id": event_id,
        "event_time": time_text(at),
        "event_type": fields.text(wanted.event_type),
        "user_id": user,
        "anonymous_id": device,
        "user_key": user if user is not None else device,
        "user_key_kind": "user"
        if user is not None
        else "anonymous"
        if device is not None
        else None,
        "source_session_id": _id(fields, source.sessions.id),
    }
    for name, column in source.columns.items():
        text = fields.text(column)
        if text is not None and column.type == "timestamp":
            value = time_of(text, column)
            values[name] = value and time_text(value)
        else:
            values[name] = None if text is None else value_of(text, column.type)
        if text is not None and values[name] is None:
            raise _Quarantined("bad_value", f"column {name}")
    return values


def _time(fields: _Fields, source: Source, dump_hour: datetime) -> datetime:
    wanted = source.fields.event_time
    text = dump_hour.isoformat() if wanted.is_dump_hour else fields.text(wanted)
    if text is None or not text.strip(" "):
        raise _Quarantined("missing_event_time")
    at = time_of(text, wanted)
    if at is None:
        raise _Quarantined("bad_event_time")
    # Spans are compared, not times: some spans reach beyond the years that a time can have.
    if dump_hour - at > source.accept.late:
        raise _Quarantined("too_late")
    if at - dump_hour > source.accept.future + timedelta(hours=1):
        raise _Quarantined("too_early")
    return at


def _id(fields: _Fields, ref: FieldRef | None) -> str | None:
    """Return an id by its exact text; an empty one is none."""
    return fields.text(ref) or None


def _person(text: str | None, source: Source) -> str | None:
    nobody = getattr(source, "nobody", None)
    return None if text in (NOBODY if nobody is None else nobody) else text


def computed_id(source: str, place: Place) -> str:
    """Return the id of an event of a source without ids: 32 hex digits."""
    hour = f"{place.dump_hour.astimezone(UTC):%Y-%m-%d %H}"
    about = ",".join(map(quoted, (source, hour, place.file, str(place.line))))
    return hashlib.sha256(f"[{about}]".encode()).hexdigest()[:32]


def _numbered(fields: _Fields | None, source: Source) -> dict[str, Any]:
    if source.sequence is None or fields is None:
        return {}
    producer = _id(fields, source.sequence.producer)
    text = fields.text(source.sequence.number)
    number = None if text is None else value_of(text, "bigint")
    is_known = producer is not None and len(producer) <= _MAX_PRODUCER
    if not is_known or number is None or not 0 <= number <= _MAX_NUMBER:
        return {"_producer": None, "_number": None}
    return {"_producer": producer, "_number": number}


def session_id(
    source: str, user_key: str, first_id: str, first_time: datetime, kind: str = "user"
) -> str:
    """Return the id of a session by its first event: 32 hex digits."""
    micros = (first_time - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND
    whose = (user_key,) if kind == "user" else (kind, user_key)
    about = ",".join(map(quoted, (source, *whose, first_id, str(micros))))
    return hashlib.sha256(f"[{about}]".encode()).hexdigest()[:32]
