"""Bytes become lines, each with its number, whatever pieces they come in."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import rows_of, source_of
from tidegate.landing import split as module
from tidegate.landing.limits import MAX_LINE_BYTES, MAX_RAW_BYTES
from tidegate.landing.split import LongLine, split


def lines_of(chunks: list[bytes], size: int = 64) -> dict[int, bytes | LongLine]:
    found: dict[int, bytes | LongLine] = {}
    for block in split(chunks, size):
        if isinstance(block, LongLine):
            assert block.number not in found
            found[block.number] = block
            continue
        start = 0
        for place, feed in enumerate(block.feeds.tolist()):
            assert block.first + place not in found
            found[block.first + place] = block.data[start:feed]
            start = feed + 1
        assert start == len(block.data)
    return found


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b"", b"\r", b"\xff", b"{}", b"\0", b"\n", b"\n\n", b"\xef\xbb\xbf", b"\xef", b"x" * 90]
        ),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.integers(1, 100))
def test_the_lines_of_any_bytes_come_out_byte_for_byte(pieces: list[bytes], size: int) -> None:
    body = b"".join(pieces)
    while body.startswith(b"\xef\xbb\xbf"):
        body = body[3:]
    expected = body.split(b"\n")
    expected = expected[:-1] if expected[-1] == b"" else expected
    assert lines_of(pieces, size) == dict(enumerate(expected, start=1))


@pytest.mark.parametrize("piece", [1_000, 70_000, 5_000_000])
@pytest.mark.parametrize("end", [b"", b"\n", b"\nlast", b"\nlast\n"])
def test_a_long_line_is_known_by_its_head_its_length_and_its_hash(piece: int, end: bytes) -> None:
    long = b"ab" * MAX_LINE_BYTES
    body = b"first\n\n" + long + end
    chunks = [body[at : at + piece] for at in range(0, len(body), piece)]
    found = lines_of(chunks, 1 << 16)
    if isinstance(found[3], LongLine):
        digest = hashlib.sha256(long).hexdigest()
        assert found.pop(3) == LongLine(3, long[:MAX_RAW_BYTES], len(long), digest)
    else:
        assert found.pop(3) == long
    rest = {1: b"first", 2: b"", **({4: b"last"} if b"last" in end else {})}
    assert found == rest


@pytest.mark.parametrize("piece", [1_000, 5_000_000])
def test_a_long_line_is_the_same_row_in_whatever_pieces_it_comes(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = b'{"id":"' + "é".encode() * MAX_LINE_BYTES + b'"}'
    monkeypatch.setattr("tidegate.dumps.unpack._PIECE", piece)
    rows = rows_of(source_of(), [long, long, b'{"id":"1","at":"2024-03-01T12:00:00Z"}'])
    digest = hashlib.sha256(long).hexdigest()
    head = long[:MAX_RAW_BYTES].decode(errors="ignore")
    assert [row["_reason"] for row in rows] == ["too_long", "too_long", None]
    for row in rows[:2]:
        assert (row["_raw"], row["_raw_bytes"]) == (head, None)
        assert row["_detail"] == (
            f"expected at most {MAX_LINE_BYTES} bytes, got {len(long)}; sha256 {digest}"
        )


def test_large_files_are_numbered_through() -> None:
    count = 300_000
    body = b"".join(b'{"id":"%d","at":"2024-03-01T12:00:00Z"}\n' % n for n in range(1, count + 1))
    assert len(body) > 2 * module.BLOCK_BYTES
    rows = rows_of(source_of(), body)
    assert [row["line"] for row in rows] == list(range(1, count + 1))
    assert all(row["event_id"] == str(row["line"]) for row in rows)
