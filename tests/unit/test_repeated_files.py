"""Files with the same bytes: found by reading only those that may be equal."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO

from hypothesis import given
from hypothesis import strategies as st

from tidegate.common.unreadable import UnreadableError
from tidegate.dumps.repeated_files import left_out, same_bytes
from tidegate.storage.files import StoredFile

NOW = datetime(2024, 3, 1, tzinfo=UTC)


class Stored:
    """Files by name, and how many bytes were read of each."""

    def __init__(self, bodies: Mapping[str, bytes]) -> None:
        self.bodies = bodies
        self.read: Counter[str] = Counter()

    @contextmanager
    def open(self, file: StoredFile) -> Iterator[BinaryIO]:
        if file.name not in self.bodies:
            raise UnreadableError("the file is gone")
        stream = io.BytesIO(self.bodies[file.name])
        yield stream
        self.read[file.name] += stream.tell()

    def files(self, parts: int = 1) -> list[StoredFile]:
        return [
            StoredFile("", name, len(body), _etag(body, parts), NOW)
            for name, body in self.bodies.items()
        ]


def _etag(body: bytes, parts: int) -> str:
    whole = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return whole if parts == 1 else f"{whole}-{parts}"


def _names(groups: list[list[StoredFile]]) -> list[list[str]]:
    return [[file.name for file in group] for group in groups]


@given(
    st.dictionaries(
        st.text("abcd", min_size=1, max_size=3),
        st.sampled_from([b"", b"1", b"2", b"11", b"x" * 70_000, b"x" * 69_999 + b"y"]),
    ),
    st.booleans(),
)
def test_groups_are_all_files_of_equal_bytes_but_empty_ones(
    bodies: dict[str, bytes], in_parts: bool
) -> None:
    stored = Stored(bodies)
    found = same_bytes(stored.files(2 if in_parts else 1), stored.open)
    expected: dict[bytes, list[str]] = {}
    for name in sorted(bodies):
        if bodies[name]:
            expected.setdefault(bodies[name], []).append(name)
    assert _names(found) == [names for names in expected.values() if len(names) > 1]


def test_files_that_differ_in_size_or_etag_are_not_read() -> None:
    stored = Stored({"a": b"1", "b": b"2", "c": b"33"})
    assert same_bytes(stored.files(), stored.open) == []
    assert not stored.read


def test_of_files_that_begin_otherwise_only_the_beginning_is_read() -> None:
    stored = Stored({"a": b"1" * 1_000_000, "b": b"2" * 1_000_000})
    assert same_bytes(stored.files(parts=2), stored.open) == []
    assert set(stored.read.values()) == {65_536}


def test_the_same_upload_in_one_part_and_in_several_is_found() -> None:
    body = b"1" * 100_000
    stored = Stored({"a": body, "b": body})
    one, other = stored.files()
    parts = StoredFile("", "b", len(body), _etag(body, 3), NOW)
    assert _names(same_bytes([one, parts], stored.open)) == [["a", "b"]]
    assert _names(same_bytes([one, other], stored.open)) == [["a", "b"]]


def test_a_file_that_can_not_be_read_is_no_repeated_one() -> None:
    stored = Stored({"a": b"1", "b": b"1"})
    files = [*stored.files(), StoredFile("", "gone", 1, _etag(b"1", 1), NOW)]
    assert _names(same_bytes(files, stored.open)) == [["a", "b"]]


@given(st.sets(st.sampled_from("abcdef")))
def test_of_each_group_something_is_read_and_whatever_is_declared(declared: set[str]) -> None:
    groups = [
        [StoredFile("", name, 1, "e", NOW) for name in names]
        for names in ("abc", "de", "f" * 1 + "g")
    ]
    skipped = {each.name for each in left_out(groups, declared)}
    assert not skipped & declared
    for group in groups:
        kept = [file.name for file in group if file.name not in skipped]
        assert kept == ([f.name for f in group if f.name in declared] or [group[0].name])
