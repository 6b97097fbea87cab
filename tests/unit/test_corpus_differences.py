"""The kernel makes of the corpus what the parser on Spark made of it, but for differences that are known and right.

`tests/corpus/differences.md` says which one is right for each kind of difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import corpus
from corpus.kernel_rows import rows_of
from tidegate.config.source import TimeRef
from tidegate.config.source.model import NOBODY
from tidegate.landing.exact import decimal
from tidegate.landing.instants import to_time
from tidegate.landing.json_layout import is_lines

IDS = {"event_id", "user_id", "anonymous_id", "user_key", "source_session_id", "_producer"}
KINDS_OF_TEXT = {*IDS, "event_type", "s", "deep", "dotted", "letter", "nested", "both", "leaf"}
DOCUMENT = Path(corpus.__file__).parent / "differences.md"


@dataclass(frozen=True)
class Difference:
    """A record that became something else.

    Attributes:
        line: its bytes; empty for Parquet.
        columns: those that differ, outcome, reason and detail among them.
        before: what the parser on Spark made of it; None where that has no such record.
        now: what the kernel makes of it; None where that has none.
        is_hashed: whether the source hashes, so that values do not show what they are made of.
        form: format of the source.
        unread: why the file could not be read now.
        is_of_lines: whether the file is one of lines.
    """

    line: bytes
    columns: frozenset[str]
    before: Mapping[str, Any] | None
    now: Mapping[str, Any] | None
    is_hashed: bool
    form: str
    unread: str | None
    is_of_lines: bool

    @property
    def text(self) -> str:
        return self.line.decode(errors="replace")

    def was(self, name: str) -> Any:
        return self.before[name] if self.before is not None else None

    def is_now(self, name: str) -> Any:
        return self.now[name] if self.now is not None else None

    @property
    def outcomes(self) -> tuple[Any, Any]:
        """The reasons, `event` where there is none."""
        return self.was("_reason") or "event", self.is_now("_reason") or "event"


# -- kinds of differences; each says whether it explains a difference alone ---------------------------


def _detail(difference: Difference, pattern: str) -> bool:
    return re.search(pattern, str(difference.is_now("_detail"))) is not None


def equal_names(d: Difference) -> bool:
    return d.is_now("_reason") == "bad_value" and _detail(d, r"got the name .* twice$")


def lone_surrogates(d: Difference) -> bool:
    return d.is_now("_reason") == "bad_value" and _detail(d, "got a lone surrogate$")


def ids_that_are_objects(d: Difference) -> bool:
    pattern = "expected a text or a number, got (an object; name a path within it|a list|an object or a list)$"
    return d.is_now("_reason") == "bad_value" and _detail(d, pattern)


def _members(d: Difference) -> Mapping[str, Any] | None:
    try:
        found = json.loads(d.text.strip("\ufeff \t\r"), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def valid_json_of_any_depth_and_length(d: Difference) -> bool:
    if d.form != "json" or d.was("_reason") != "not_json" or d.is_now("_reason") == "not_json":
        return False
    return (
        re.search(r"[\[{]{400}|(\{\"[a-z]\":){400}|[0-9.]{900}|(\[\{.{0,9}){300}", d.text)
        is not None
    )


def spaces_are_part_of_ids(d: Difference) -> bool:
    if d.outcomes == ("event", "event") and str(d.is_now("user_id")).strip(" ") == "":
        return d.columns == {"user_id", "user_key"}
    if d.outcomes[0] != "missing_event_id" or d.outcomes[1] == "missing_event_id":
        return False
    return d.outcomes[1] != "event" or str(d.is_now("event_id")).strip(" ") == ""


def placeholders_are_no_users(d: Difference) -> bool:
    ids = d.columns & {"user_id", "anonymous_id"}
    if d.outcomes[0] != d.outcomes[1] or not ids or any(d.was(name) not in NOBODY for name in ids):
        return False
    rest = d.columns - ids - {"user_key"}
    return all(_alike(d.was(name), d.is_now(name), name) for name in rest)


def control_characters_are_text(d: Difference) -> bool:
    """Spark took NUL for the quote of a format without quotes, and any number of carriage returns for one."""
    return d.form == "csv" and (b"\0" in d.line or d.line.endswith(b"\r\r"))


def values_are_as_they_were_written(d: Difference) -> bool:
    """Return whether each value differs in how a number, an object or an id is written only."""
    if d.outcomes[0] != d.outcomes[1] or "_number" in d.columns:
        return False
    return all(_alike(d.was(name), d.is_now(name), name) for name in d.columns)


def _alike(one: Any, other: Any, name: str) -> bool:
    if one is None or other is None:
        return name in IDS and (one or other).strip(" ") == ""
    if name in IDS and str(other).strip(" ") == one:
        return True
    if name == "_detail":
        head, _, one = str(one).rpartition(", got ")
        head_now, _, other = str(other).rpartition(", got ")
        if head != head_now:
            return False
        if len(one) == 100 or len(other) == 100:  # both are cut
            return one[:1] == other[:1] or _is_long_number(one, other)
    if _same_number(one, other):
        return True
    try:
        return _loaded(one) == _loaded(other)
    except ValueError:
        return False


def _is_long_number(one: str, other: str) -> bool:
    return one[:1].isdigit() == other[:1].isdigit() or one.startswith('"')


def _same_number(one: Any, other: Any) -> bool:
    try:
        return float(str(one).strip('"')) == float(str(other))
    except ValueError:
        return False


def _loaded(text: Any) -> Any:
    infinite = {float("inf"): "Infinity", float("-inf"): "-Infinity"}

    def number(digits: str) -> Any:
        return infinite.get(float(digits), float(digits))

    return json.loads(text, parse_float=number, parse_int=number)


def minus_nought_is_no_boolean(d: Difference) -> bool:
    return _detail(d, "expected boolean, got -0") and d.outcomes == ("event", "bad_value")


def whole_numbers_may_have_a_point(d: Difference) -> bool:
    match = re.fullmatch(r"column \w+: expected (?:int|bigint), got (.*)", str(d.was("_detail")))
    if match is None or d.was("_reason") != "bad_value" or d.is_now("_detail") == d.was("_detail"):
        return False
    try:
        number = Decimal(match[1].strip())
    except InvalidOperation:
        return False
    return number.is_finite() and number == number.to_integral_value()


def numbers_of_events_may_have_a_point(d: Difference) -> bool:
    return (
        d.outcomes == ("event", "event")
        and d.columns <= {"_producer", "_number"}
        and (d.was("_number") is None and isinstance(d.is_now("_number"), int))
    )


def decimals_keep_every_digit(d: Difference) -> bool:
    pattern = r"column (\w+): expected decimal\((\d+),(\d+)\), got (.*)"
    match = re.fullmatch(pattern, str(d.is_now("_detail")), re.DOTALL)
    if match is None or d.outcomes != ("event", "bad_value"):
        return False
    return decimal(match[4], int(match[2]), int(match[3])) is None


def decimals_are_read_by_their_digits(d: Difference) -> bool:
    match = re.match(r"column (\w+): expected decimal", str(d.was("_detail")))
    if match is None or d.outcomes != ("bad_value", "event"):
        return False
    return d.is_now(match[1]) is not None


def doubles_are_read_by_their_digits(d: Difference) -> bool:
    if d.outcomes == ("bad_value", "event"):
        return re.match(r"column [xy]: expected (double|float)", str(d.was("_detail"))) is not None
    return (
        d.outcomes == ("event", "event")
        and d.columns <= {"x", "y"}
        and all(_same_number(d.was(name), d.is_now(name)) for name in d.columns)
    )


def digits_are_those_of_ascii(d: Difference) -> bool:
    return not d.text.isascii() and d.outcomes[0] == "event" and d.outcomes[1] in (
        "bad_value", "bad_event_time",
    )  # fmt: skip


def _is_time(text: str) -> bool:
    return bool(to_time(pa.array([text]), TimeRef(path="at")).values[0].is_valid)


def more_times_are_valid(d: Difference) -> bool:
    match = re.search(r"(?:as iso|expected timestamp), got (.*)", str(d.was("_detail")), re.DOTALL)
    return match is not None and _is_time(match[1])


def years_are_1_to_9999(d: Difference) -> bool:
    match = re.search(
        r"expected (?:a time as ISO 8601|timestamp|date).*?, got (.*)",
        str(d.is_now("_detail")),
        re.DOTALL,
    )
    if match is None:
        return _detail(d, "in the years 1 to 9999")
    return not _is_time(match[1]) and re.search(r"0000|0001|9999", match[1]) is not None


def numbers_as_times_keep_their_digits(d: Difference) -> bool:
    kinds = {"too_late", "too_early", "bad_event_time"}
    if d.outcomes == ("event", "event") and d.columns == {"event_time"}:
        return re.search(r"\d[.]\d|[eE]", d.text) is not None
    return kinds >= set(d.outcomes) and re.search(r"\d{9}|[eE]", d.text) is not None


def a_long_line_has_its_hash(d: Difference) -> bool:
    return d.columns <= {"_detail", "_raw", "_raw_bytes"} and _detail(d, "; sha256 [0-9a-f]{64}$")


def heads_are_64_kib(d: Difference) -> bool:
    return d.outcomes == ("too_long", "too_long") and d.columns <= {"_raw", "_raw_bytes"}


def records_are_those_of_rfc_4180(d: Difference) -> bool:
    if d.form != "csv":
        return False
    if d.unread is not None or d.is_now("_reason") == "bad_quotes":
        return True
    if _detail(d, r"^expected \d+ columns?, got \d+$"):
        return d.outcomes[0] in ("wrong_columns", "blank_line")
    # A quoted line break joins physical lines.
    values = [d.is_now("properties"), d.is_now("_raw"), *(d.is_now(name) for name in d.columns)]
    return (
        d.before is None or d.now is None or any("\n" in str(v) or "\\n" in str(v) for v in values)
    )


def a_file_of_json_may_have_another_layout(d: Difference) -> bool:
    return not d.is_of_lines and (d.before is None or d.was("_reason") == "not_json")


def values_of_parquet_have_types(d: Difference) -> bool:
    return d.form == "parquet"


def kept_fields_are_as_they_were(d: Difference) -> bool:
    """JSON of what is kept differs in numbers, spaces, or values that are not hashed by a trimmed text."""
    return (
        d.is_hashed
        and d.columns <= {"properties", "_raw", *IDS, "_number", "_detail"}
        and (d.outcomes[0] == d.outcomes[1])
    )


def erased_persons_are_known_by_a_trimmed_id_too(d: Difference) -> bool:
    return "erased" in d.outcomes and d.outcomes[0] == d.outcomes[1]


EXPLANATIONS: tuple[Callable[[Difference], bool], ...] = (
    equal_names,
    lone_surrogates,
    ids_that_are_objects,
    valid_json_of_any_depth_and_length,
    values_are_as_they_were_written,
    minus_nought_is_no_boolean,
    whole_numbers_may_have_a_point,
    numbers_of_events_may_have_a_point,
    decimals_keep_every_digit,
    decimals_are_read_by_their_digits,
    doubles_are_read_by_their_digits,
    digits_are_those_of_ascii,
    more_times_are_valid,
    years_are_1_to_9999,
    numbers_as_times_keep_their_digits,
    a_long_line_has_its_hash,
    heads_are_64_kib,
    spaces_are_part_of_ids,
    placeholders_are_no_users,
    control_characters_are_text,
    records_are_those_of_rfc_4180,
    a_file_of_json_may_have_another_layout,
    values_of_parquet_have_types,
    kept_fields_are_as_they_were,
    erased_persons_are_known_by_a_trimmed_id_too,
)


def differences(name: str) -> list[tuple[Any, Difference]]:
    """Return in what the kernel and the parser on Spark differ for a group, by place."""
    group = corpus.group(name)
    rows, unread = rows_of(group)
    before = {(row.file, row.line): row for row in corpus.today(name)}
    lines = {(line.file, line.number): line.data for line in group.lines()} if group.is_text else {}
    declared = group.source.get("format", "json")
    form = declared["type"] if isinstance(declared, Mapping) else declared
    found = []
    for place in sorted({*rows, *before}):
        old, new = before.get(place), rows.get(place)
        if old is not None and old.outcome == "header":
            continue
        columns = set()
        if old is not None and new is not None:
            values = {
                **old.values,
                "_outcome": old.outcome,
                "_reason": old.reason,
                "_detail": old.detail,
            }
            # How a fault is worded may change; that it is one, and of which reason, may not.
            columns = {c for c in values if c != "_detail" and values[c] != new.get(c)}
        elif old is not None:
            values = {
                **old.values,
                "_outcome": old.outcome,
                "_reason": old.reason,
                "_detail": old.detail,
            }
        if columns or old is None or new is None:
            found.append(
                (
                    place,
                    Difference(
                        lines.get(place, b""),
                        frozenset(columns),
                        values if old is not None else None,
                        new,
                        bool(group.source.get("pii")),
                        str(form),
                        unread.get(place[0]),
                        form != "json" or is_lines(group.files[place[0]]),
                    ),
                )
            )
    return found


@pytest.mark.parametrize("name", corpus.groups())
def test_each_difference_is_of_a_known_kind(name: str) -> None:
    unexplained = [
        f"{place} {d.line[:200]!r} {d.outcomes}\n    "
        + "\n    ".join(
            f"{c}: {str(d.was(c))[:200]} | {str(d.is_now(c))[:200]}" for c in sorted(d.columns)
        )
        for place, d in differences(name)
        if not any(explains(d) for explains in EXPLANATIONS)
    ]
    assert not unexplained, f"{len(unexplained)} differences:\n" + "\n".join(unexplained[:20])


def test_each_kind_is_in_the_document() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for explains in EXPLANATIONS:
        assert f"`{explains.__name__}`" in text
