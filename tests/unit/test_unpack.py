"""Packed files are read whole or not at all, and never to more than a limit."""

from __future__ import annotations

import gzip
import io
import os
import tracemalloc

import cramjam
import pyarrow as pa
import pytest

from tidegate.common.unreadable import UnreadableError
from tidegate.config.source import Format
from tidegate.dumps import unpack as module
from tidegate.dumps.file_format import file_fault
from tidegate.dumps.unpack import SNAPPY_HEAD, unpacked

DATA = os.urandom(70_000) + b"event " * 50_000


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress(data))


def read(body: bytes, name: str) -> bytes:
    return b"".join(unpacked(io.BytesIO(body), name))


@pytest.mark.parametrize("name", ["a.json.sz", "a.SNAPPY"])
def test_framed_snappy_is_unpacked(name: str) -> None:
    assert read(snappy(DATA), name) == DATA
    assert read(SNAPPY_HEAD, name) == b""
    assert file_fault(name, 9, snappy(DATA)[:512], Format()) is None


class _Slow(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 1, 3))


def test_a_stream_may_give_less_than_it_is_asked_for() -> None:
    assert b"".join(unpacked(_Slow(snappy(DATA)), "a.sz")) == DATA


def test_frames_that_hold_nothing_and_files_one_behind_the_other_are_no_fault() -> None:
    padding = b"\xfe\x03\x00\x00\x00\x00\x00" + b"\x80\x01\x00\x00x"
    body = snappy(DATA)
    packed = body[:10] + padding + body[10:] + snappy(b"more") + padding
    assert read(packed, "a.sz") == DATA + b"more"


DAMAGED = {
    "a cut frame": snappy(DATA)[:-5],
    "a cut length": snappy(DATA) + b"\x00\x01",
    "another bit": snappy(DATA)[:5_000] + b"\x00" + snappy(DATA)[5_001:],
    "a frame of an unknown kind": snappy(DATA) + b"\x02\x01\x00\x00x",
    "another beginning within": snappy(DATA) + b"\xff\x01\x00\x00x",
    "raw Snappy": bytes(cramjam.snappy.compress_raw(DATA)),
    "nothing": b"",
    "plain text": b'{"a": 1}\n',
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_snappy_is_unreadable(what: str) -> None:
    with pytest.raises(UnreadableError) as error:
        read(DAMAGED[what], "a.sz")
    assert "Snappy" in error.value.what


def test_a_name_of_snappy_is_held_against_the_first_bytes() -> None:
    fault = file_fault("a.sz", 9, b'{"a": 1}\n', Format())
    assert fault is not None
    assert "expected framed Snappy" in fault
    plain = file_fault("a.json", 99, SNAPPY_HEAD + b"\x00", Format())
    assert plain is not None
    assert "got framed Snappy" in plain


@pytest.mark.parametrize("name", ["a.gz", "a.zst", "a.sz"])
def test_a_file_that_unpacks_to_more_than_the_limit_is_unreadable(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = {
        "a.gz": gzip.compress(DATA),
        "a.zst": bytes(cramjam.zstd.compress(DATA)),
        "a.sz": snappy(DATA),
    }[name]
    assert read(packed, name) == DATA
    monkeypatch.setattr(module, "MAX_BYTES", len(DATA) - 1)
    with pytest.raises(UnreadableError) as error:
        read(packed, name)
    assert error.value.reason == (
        f"the file unpacks to too much; expected at most {len(DATA) - 1:,} bytes; "
        f"got more from its first {len(packed):,} bytes"
    )


def test_a_file_that_unpacks_to_a_thousand_times_its_size_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="far more than its size"):
        read(gzip.compress(b"\0" * (64 << 20)), "a.gz")


def test_zeros_may_follow_a_gzip_file() -> None:
    assert read(gzip.compress(DATA) + bytes(512), "a.gz") == DATA
    with pytest.raises(UnreadableError):
        read(gzip.compress(DATA) + bytes(512) + b"x", "a.gz")


def test_damaged_files_leave_no_memory_behind() -> None:
    packed = pa.compress(DATA, "zstd", asbytes=True)
    tracemalloc.start()
    try:
        for _ in range(20):
            with pytest.raises(UnreadableError):
                read(packed[:-10], "a.json.zst")
        assert tracemalloc.get_traced_memory()[0] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.json.gz", "a.json.GZ", "a.JSON.Gz"])
def test_gzip_is_known_by_its_name_in_any_case(name: str) -> None:
    packed = gzip.compress(DATA)
    assert read(packed, name) == DATA
    assert file_fault(name, len(packed), packed[:512], Format()) is None
