"""What a file is by its first bytes, against what its name and its source say; pure."""

from __future__ import annotations

import zlib

from tidegate.config.source import Format

HEAD_BYTES = 512
"""How many bytes of a file's beginning are looked at."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PAR1", "Parquet"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\xff\x06\x00\x00sNaPpY", "framed Snappy"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Obj\x01", "Avro"),
    (b"ORC", "ORC"),
)
_PACKED: tuple[tuple[tuple[str, ...], str, str], ...] = (
    ((".zst", ".zstd"), "Zstandard", "28 b5 2f fd"),
    ((".sz", ".snappy"), "framed Snappy", "ff 06 00 00 73 4e"),
)
_UNSUPPORTED = {
    ".bz2": "bzip2",
    ".zip": "zip",
    ".xz": "xz",
    ".lz4": "LZ4",
    ".lzo": "LZO",
    ".br": "Brotli",
    ".7z": "7-Zip",
    ".deflate": "deflate",
    ".tgz": "tar",
    ".tar": "tar",
    ".tar.gz": "tar",
}


def kind_of(head: bytes) -> str | None:
    """Return the binary format that a file's first bytes announce, or None."""
    for magic, kind in _MAGIC:
        if head.startswith(magic) and _sure(kind, head):
            return kind
    return None


def file_fault(name: str, size: int, head: bytes, form: Format, tail: bytes = b"") -> str | None:
    """Return in what a file is not what its name and its source say, or None.

    Args:
        name: the file's name.
        size: its size in bytes. An empty plain file is an empty dump; an empty gzip file is an
            upload cut short.
        head: its first bytes, at most `HEAD_BYTES`.
        form: how the source says that its files are written.
        tail: the last four bytes; looked at for Parquet only.

    """
    for suffix, packed in _UNSUPPORTED.items():
        if name.lower().endswith(suffix):
            return _fault(
                name, f"{packed} files can't be read", "a plain, .gz, .zst or .sz file", suffix
            )
    if form.type == "parquet":
        return _parquet_fault(name, size, head, tail)
    if name.lower().endswith(".gz"):
        return _gzip_fault(name, size, head, form)
    for suffixes, packed, begin in _PACKED:
        if name.lower().endswith(suffixes):
            if size and kind_of(head) == packed:
                return None
            expected = f"{packed} (bytes {begin} at its beginning)"
            return _fault(name, "the file is not what its name says", expected, describe(head))
    if form.type == "avro":
        return _avro_fault(name, head)
    kind = kind_of(head)
    if kind is not None:
        return _fault(name, "the file is not what its name says", f"plain {form.type} text", kind)
    return None


def _avro_fault(name: str, head: bytes) -> str | None:
    if kind_of(head) == "Avro":
        return None
    expected = "Avro (Obj and a byte 1 at its beginning)"
    return _fault(name, "the file is not what its source says", expected, describe(head))


def _gzip_fault(name: str, size: int, head: bytes, form: Format) -> str | None:
    expected = "gzip (bytes 1f 8b at its beginning)"
    if size == 0:
        return _fault(
            name, "the upload was cut short", expected, "no byte at all (an empty gzip file has 20)"
        )
    if kind_of(head) != "gzip":
        return _fault(name, "the file is not what its name says", expected, describe(head))
    try:
        inner = zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error as error:
        return _fault(name, "the gzip file is damaged at its beginning", expected, str(error))
    if form.type == "avro":
        return _avro_fault(name, inner) if inner else None
    kind = kind_of(inner)
    if kind is not None:
        return _fault(name, "the gzip file does not hold text", "lines of text within", kind)
    return None


def _parquet_fault(name: str, size: int, head: bytes, tail: bytes) -> str | None:
    expected = "Parquet (PAR1 at its beginning and end)"
    if kind_of(head) != "Parquet":
        return _fault(name, "the file is not what its source says", expected, describe(head))
    if size < 12 or tail != b"PAR1":
        return _fault(name, "the upload was cut short", expected, f"it ends with {_hex(tail)}")
    return None


def describe(head: bytes) -> str:
    """Return in words what bytes are; their content is not shown, since it may be private."""
    if not head:
        return "an empty file"
    kind = kind_of(head)
    if kind is not None:
        return kind
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A character cut at the end of what was read is no sign of binary data.
        if error.start < len(head) - 3:
            return f"unknown binary data ({_hex(head[:4])})"
    return "plain text" if b"\x00" not in head else f"unknown binary data ({_hex(head[:4])})"


def _sure(kind: str, head: bytes) -> bool:
    """Return whether a signature of letters is more than the beginning of a text."""
    if kind == "bzip2":
        return head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")
    if kind in ("Parquet", "ORC"):
        mark = 4 if kind == "Parquet" else 3
        return len(head) <= mark or any(b < 9 or 13 < b < 32 or b > 126 for b in head[mark:32])
    return True


def _hex(data: bytes) -> str:
    return "bytes " + data.hex(" ") if data else "nothing"


def _fault(name: str, what: str, expected: str, got: str) -> str:
    return f"{name}: {what}: expected {expected}, got {got}"
