"""A file of a folder or a bucket, as a listing has it, and the errors of one that can't be read as it was listed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tidegate.common.errors import TidegateError
from tidegate.common.unreadable import UnreadableError

CHUNK = 65_536
"""Bytes that a stream returns at a time."""
LAND_AGAIN = "land the hour again: it takes the files that are there then"


@dataclass(frozen=True)
class StoredFile:
    """One file below a root.

    Attributes:
        uri: `s3a://…` or an absolute local path, unescaped.
        name: the path relative to the root: the same on S3 and in a local copy.
        size: bytes.
        etag: S3's ETag without quotes; of a local file the MD5 of its content in hex, which is what
            S3 gives a file that was uploaded in one part: a copy of such a file counts as the same
            file.
        modified: when it was last written; aware, UTC.
        fault: why it can't be read, where that is known without opening it.
    """

    uri: str
    name: str
    size: int
    etag: str
    modified: datetime
    fault: str | None = None


def replaced() -> UnreadableError:
    """Return the error of a file that is another one than was listed."""
    return UnreadableError(
        "the file was replaced while it was read",
        expected="the file that was listed",
        got="another one",
        todo=LAND_AGAIN,
    )


def gone() -> UnreadableError:
    """Return the error of a file that was removed after it was listed."""
    return UnreadableError("the file is gone", expected="the file that was listed", todo=LAND_AGAIN)


def file_error(error: UnreadableError, file: StoredFile) -> TidegateError:
    """Return the error of a file that has to be read, where no hour can be held for it."""
    return TidegateError(
        error.what, where=file.uri, expected=error.expected, got=error.got, todo=error.todo
    )
