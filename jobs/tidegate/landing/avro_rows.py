"""Avro to rows: a pure function of the bytes of a file. What a value becomes is in `avro_schema` and `columnar`."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import cramjam
import fastavro
import pyarrow as pa
from fastavro.schema import SchemaParseException, UnknownType

from tidegate.common.unreadable import UnreadableError
from tidegate.config.source.paths import join_path, split_path
from tidegate.landing.avro_schema import Part, read_schema
from tidegate.landing.columnar import Rows, rows_of

MAGIC = b"Obj\x01"
BATCH_BYTES = 1024 * 1024
"""Bytes of records that are made one batch. Each may become a hundred times as many while it is read."""
_MAX_ROWS = 32_768
_SOME = 1_000
"""Records of a large block that are read together."""
MAX_BLOCK = 32 * 1024 * 1024
"""Bytes that a block may have, unpacked. Writers end one after some KiB, few after some MiB."""
_MAX_HEADER = 8 * 1024 * 1024
_SYNC = 16
_AGAIN = "upload the file again"


def read_rows(chunks: Iterable[bytes], wanted: frozenset[str], *, private: bool) -> Iterator[Rows]:
    """Yield the rows of an Avro file.

    Args:
        chunks: the content of the file.
        wanted: dotted paths of the values that are used; a path leads into records, and into maps by their keys.
        private: whether the file holds personal data: no `body` is made, and no message shows a value of it.

    Raises:
        UnreadableError: the file can't be read whole.
    """
    file = _Input(chunks)
    part, unpack, sync = _header(file)
    paths = {path: split_path(path) for path in sorted(wanted)}
    _check_paths(part, paths.values())
    names = {names[0] for names in paths.values()}
    fields = [one for one in part.arrow if not private or one.name in names]
    schema = pa.schema(fields)
    records_of = _decoder(part)
    records: list[dict[str, Any]] = []
    line, size = 1, 0
    for number, (count, data) in enumerate(_blocks(file, unpack, sync), start=1):
        for some in records_of(count, data, number):
            share = len(data) * len(some) // count
            if records and (size + share > BATCH_BYTES or len(records) + len(some) > _MAX_ROWS):
                yield _rows(records, schema, line, paths, private=private)
                line, size, records = line + len(records), 0, []
            records += some
            size += share
    if records:
        yield _rows(records, schema, line, paths, private=private)


def _rows(
    records: list[dict[str, Any]],
    schema: pa.Schema,
    line: int,
    paths: Mapping[str, tuple[str, ...]],
    *,
    private: bool,
) -> Rows:
    if not len(schema):  # nothing of it is wanted, but each is a record
        schema = pa.schema([pa.field("", pa.null())])
    try:
        batch = pa.RecordBatch.from_pylist(records, schema)
        return rows_of(batch, line, paths, private=private)
    except (pa.ArrowException, OverflowError, ValueError) as error:
        shown = "" if private else f": {str(error)[:200]}"
        raise UnreadableError(
            "values of the Avro file do not fit its schema",
            expected="values that its types can hold",
            got=f"others in records {line:,} to {line + len(records) - 1:,}{shown}",
            todo=_AGAIN,
        ) from error


def _check_paths(part: Part, paths: Iterable[tuple[str, ...]]) -> None:
    """Refuse a path that leads into values of several types."""
    for names in paths:
        at: Part | None = part
        for depth, name in enumerate(names):
            if at is not None and at.is_mixed:
                raise UnreadableError(
                    f"'{join_path(names)}' leads into a value that may be of several types",
                    expected=f"a record at '{join_path(names[:depth])}'",
                    got="a union of several types, which is read as text",
                    todo=f"read '{join_path(names[:depth])}' and take what is wanted by an SQL expression",
                )
            at = at.members.get(name) if at is not None else None


def _decoder(part: Part) -> Callable[[int, bytes, int], Iterator[list[dict[str, Any]]]]:
    """Return what yields the records of a block in parts, given their number, its bytes and its own number."""
    try:
        alone = fastavro.parse_schema(part.avro)
        listed = fastavro.parse_schema({"type": "array", "items": part.avro})
    except (SchemaParseException, UnknownType, ValueError, RecursionError) as error:
        raise _damaged(f"its schema is no schema of Avro: {str(error)[:200]}") from error
    convert = part.convert

    def converted(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return records if convert is None else [convert(record) for record in records]

    def read(count: int, data: bytes) -> Iterator[list[dict[str, Any]]]:
        if len(data) > BATCH_BYTES:
            stream = io.BytesIO(data)
            for first in range(0, count, _SOME):
                size = min(_SOME, count - first)
                some: Any = [fastavro.schemaless_reader(stream, alone, None) for _ in range(size)]
                yield converted(some)
        else:
            # A block is written as a list is, but for the number of items before and the end behind: one call
            # costs a tenth of one for each record.
            stream = io.BytesIO(_varint(count) + data + b"\0")
            found: Any = fastavro.schemaless_reader(stream, listed, None)
            if len(found) != count:
                raise ValueError("it has more records")
            yield converted(found)
        if stream.read(1):
            raise ValueError("bytes are left behind its records")

    def records(count: int, data: bytes, number: int) -> Iterator[list[dict[str, Any]]]:
        if count > len(data) or (data and not count):
            raise _damaged(f"block {number:,} has {count:,} records in {len(data):,} bytes")
        if not count:
            return
        try:
            yield from read(count, data)
        except (EOFError, ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
            raise _damaged(
                f"block {number:,} can't be read by the schema as {count:,} records"
            ) from error

    return records


def _varint(count: int) -> bytes:
    value, out = count << 1, bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


# -- the container -----------------------------------------------------------------------------------


class _Input:
    """Chunks as a stream that is read in exact pieces."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""
        self._at = 0
        self.count = 0

    def start(self, size: int) -> bytes:
        """Return the next bytes: so many, or those that are left."""
        pieces: list[bytes] = []
        while size:
            if self._at == len(self._held):
                self._held, self._at = next(self._chunks, b""), 0
                if not self._held:
                    break
                continue
            piece = self._held[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            pieces.append(piece)
        data = b"".join(pieces)
        self.count += len(data)
        return data

    def whole(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            UnreadableError: so many are not left.
        """
        data = self.start(size)
        if len(data) < size:
            raise UnreadableError(
                "the Avro file is cut short",
                expected="a file that ends with a whole block",
                got=f"its end after {self.count:,} bytes, within one",
                todo=_AGAIN,
            )
        return data

    def number(self, first: bytes = b"") -> int:
        """Return the next whole number; `first` is its first byte where that was read."""
        value = shift = 0
        while shift < 70:
            byte = (first or self.whole(1))[0]
            first = b""
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7
        raise _damaged("a number has too many bytes")


def _header(file: _Input) -> tuple[Part, Callable[[bytes], bytes], bytes]:
    """Return the record of a file's schema, what unpacks its blocks, and the mark behind each."""
    magic = file.start(len(MAGIC))
    if magic != MAGIC:
        raise UnreadableError(
            "the file is not an Avro file",
            expected="Obj and a byte 1 at its beginning",
            got=f"it begins with the bytes {magic.hex(' ')}" if magic else "an empty file",
            todo=_AGAIN,
        )
    known: dict[bytes, bytes] = {}
    while count := file.number():
        if count < 0:
            file.number()  # bytes of this part
        for _ in range(abs(count)):
            name = _header_bytes(file)
            known[name] = _header_bytes(file)
    codec = known.get(b"avro.codec", b"null").decode(errors="replace")
    if codec not in _CODECS:
        raise UnreadableError(
            f"the Avro file is compressed by {codec[:40]!r}, which can't be read",
            expected=", ".join(_CODECS),
            todo="write the file with another compression",
        )
    return read_schema(known.get(b"avro.schema", b"")), _CODECS[codec], file.whole(_SYNC)


def _header_bytes(file: _Input) -> bytes:
    size = file.number()
    if not 0 <= size <= _MAX_HEADER - file.count:
        raise _damaged("its header is too long")
    return file.whole(size)


def _blocks(
    file: _Input, unpack: Callable[[bytes], bytes], sync: bytes
) -> Iterator[tuple[int, bytes]]:
    """Yield the number of records of each block and its bytes, unpacked."""
    number = 0
    while first := file.start(1):
        number += 1
        count, size = file.number(first), file.number()
        if count < 0 or not 0 <= size <= MAX_BLOCK:
            raise _damaged(
                f"block {number:,} has {count:,} records in {size:,} bytes, "
                f"where at most {MAX_BLOCK:,} are read"
            )
        packed = file.whole(size)
        if file.whole(_SYNC) != sync:
            raise _damaged(f"the mark behind block {number:,} is another one")
        try:
            data = unpack(packed)
        except (
            zlib.error,
            lzma.LZMAError,
            cramjam.DecompressionError,
            OSError,
            ValueError,
            EOFError,
        ) as error:
            raise _damaged(f"block {number:,} can't be unpacked: {str(error)[:100]}") from error
        yield count, data


def _damaged(got: str) -> UnreadableError:
    return UnreadableError(
        "the Avro file is damaged", expected="whole blocks", got=got, todo=_AGAIN
    )


def _bounded(unpack: Callable[[bytes, int], bytes], data: bytes) -> bytes:
    out = unpack(data, MAX_BLOCK + 1)
    if len(out) > MAX_BLOCK:
        raise ValueError(f"it has more than {MAX_BLOCK:,} bytes")
    return out


def _deflate(data: bytes) -> bytes:
    unzip = zlib.decompressobj(wbits=-15)
    out = _bounded(unzip.decompress, data)
    if not unzip.eof:
        raise EOFError("it is cut short")
    return out


def _snappy(data: bytes) -> bytes:
    packed, checksum = data[:-4], data[-4:]
    if cramjam.snappy.decompress_raw_len(packed) > MAX_BLOCK:
        raise ValueError(f"it has more than {MAX_BLOCK:,} bytes")
    out = bytes(cramjam.snappy.decompress_raw(packed))
    if zlib.crc32(out).to_bytes(4, "big") != checksum:
        raise ValueError("its checksum is another one")
    return out


def _zstandard(data: bytes) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as unpack:
        return _bounded(lambda _, most: unpack.read_buffer(most).to_pybytes(), data)


def _bzip2(data: bytes) -> bytes:
    unzip = bz2.BZ2Decompressor()
    out = _bounded(unzip.decompress, data)
    if not unzip.eof:
        raise EOFError("it is cut short")
    return out


def _xz(data: bytes) -> bytes:
    unzip = lzma.LZMADecompressor(memlimit=256 << 20)
    out = _bounded(unzip.decompress, data)
    if not unzip.eof:
        raise EOFError("it is cut short")
    return out


_CODECS: Mapping[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": _deflate,
    "snappy": _snappy,
    "zstandard": _zstandard,
    "bzip2": _bzip2,
    "xz": _xz,
}
