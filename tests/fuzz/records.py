"""What has to become of a record, by the rules of `landing/README.md`, from what was meant by its values."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from corpus.chance import Chance
from fuzz.model import BAD, HOUR, NOTHING, Expected, Path, Value, quarantined
from fuzz.sources import KEY, Spec
from fuzz.times import ONE_HOUR, micros_of
from fuzz.values import SCALARS

SECRET = "secret"
"""What personal values begin with that no row may show."""
Cells = Mapping[Path, Value]
"""Values by path. A path that is not in it has none."""


def hidden(text: str) -> str:
    """Return the keyed hash of a personal text; an empty one stays empty."""
    return hmac.new(KEY.secret, text.encode(), hashlib.sha256).hexdigest()[:32] if text else ""


def secret(chance: Chance, spec: Spec, path: Path, cell: Value, number: int) -> Value:
    """Return a personal value that is hashed or dropped: often one that is nowhere else in the file."""
    hides = spec.action(path) in ("hash", "drop") and spec.kinds()[path] in ("string", *SCALARS)
    if (
        not hides
        or not cell.text
        or cell.json is not None
        or cell.fault is not None
        or chance.happens(0.4)
    ):
        return cell
    text = f"{SECRET}{number}.{cell.text}"
    return Value(text, text)


def secrets(cells: Iterable[Value]) -> tuple[str, ...]:
    """Return the texts of values that no row may show."""
    return tuple(cell.text for cell in cells if cell.text and cell.text.startswith(SECRET))


def outcome(spec: Spec, cells: Cells) -> Expected:
    """Return what has to become of a record whose values could be told apart.

    Args:
        spec: its source.
        cells: its values.
    """
    faults = {value.fault for value in cells.values() if value.fault is not None}
    if faults:
        return quarantined(*faults)
    made = {
        name: _made(cells.get(spec.columns[of][0], NOTHING), form)
        for name, (of, form) in spec.computed.items()
    }
    if any(value.means is BAD for value in made.values()):
        return quarantined("bad_value")

    def field(name: str) -> str | None:
        path = spec.fields.get(name)
        return _treated(spec, path, cells.get(path, NOTHING).text) if path is not None else None

    if "event_id" in spec.fields and not field("event_id"):
        return quarantined("missing_event_id")
    at = cells.get(spec.fields["event_time"], NOTHING)
    reason = _time_reason(spec, at)
    if reason is not None:
        return quarantined(reason)
    columns: dict[str, Any] = {}
    for name, (path, kind) in spec.columns.items():
        columns[name] = _column(spec, path, kind, cells.get(path, NOTHING))
    columns |= {name: value.means for name, value in made.items()}
    if BAD in columns.values():
        return quarantined("bad_value")
    persons = {name: _person(spec, name, field(name)) for name in ("user_id", "anonymous_id")}
    user, device = (known for known, _ in persons.values())
    values = {
        "source": "fuzz",
        "dump_hour": micros_of(HOUR),
        "event_id": field("event_id"),
        "event_time": at.means,
        "event_type": field("event_type"),
        "user_id": user,
        "anonymous_id": device,
        "user_key": user if user is not None else device,
        "source_session_id": field("source_session_id") or None,
        **columns,
    }
    return Expected(
        values=values,
        cuts=sum(
            value.is_cut and spec.action(path) != "drop" for path, value in _timed(spec, cells)
        ),
        is_stand_in=any(stands for _, stands in persons.values()),
    )


def _timed(spec: Spec, cells: Cells) -> list[tuple[Path, Value]]:
    """Return the times of which lost digits are counted."""
    paths = [spec.fields["event_time"]]
    paths += [path for path, kind in spec.columns.values() if kind == "timestamp"]
    return [(path, cells.get(path, NOTHING)) for path in paths]


def _treated(spec: Spec, path: Path, text: str | None) -> str | None:
    action = spec.action(path)
    if action == "drop" or text is None:
        return None
    return hidden(text) if action == "hash" else text


def _time_reason(spec: Spec, at: Value) -> str | None:
    if at.text is None or not at.text.strip(" "):
        return "missing_event_time"
    if at.means is BAD:
        return "bad_event_time"
    assert isinstance(at.means, int)
    if at.means < micros_of(HOUR) - spec.late * ONE_HOUR:
        return "too_late"
    if at.means > micros_of(HOUR) + (1 + spec.future) * ONE_HOUR:
        return "too_early"
    return None


def _column(spec: Spec, path: Path, kind: str, value: Value) -> Any:
    if value.text is None or spec.action(path) == "drop":
        return None
    return _treated(spec, path, value.text) if kind == "string" else value.means


def _person(spec: Spec, name: str, text: str | None) -> tuple[str | None, bool]:
    """Return an id of a person, and whether what the record has stands for none."""
    path = spec.fields.get(name)
    if not text or path is None:
        return None, False
    stands = spec.nobody
    if spec.action(path) == "hash":
        stands = tuple(map(hidden, stands))
    return (None, True) if text in stands else (text, False)


def _made(value: Value, form: str) -> Value:
    """Return what an expression makes of a text."""
    text = value.text
    if form == "coalesce":
        text = "none" if text is None else text
    elif form == "fails":
        if text == "view":
            return Value(text, BAD)
    elif text is not None:
        text += "!"
    return Value(text, text)
