"""Files below a prefix of a bucket: listed and opened by the same rules as those in a folder."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO

from tidegate.common.errors import TidegateError
from tidegate.common.unreadable import UnreadableError
from tidegate.storage.files import CHUNK, StoredFile, gone, replaced
from tidegate.storage.s3 import Bucket
from tidegate.storage.s3_errors import error_code, is_about_one_object

_NO_TIME = datetime.fromtimestamp(0, UTC)


class S3Store:
    """A prefix of a bucket. Names are relative to it; see `store.Store`."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._clock: datetime | None = None

    def listing(self, prefix: str, *, deep: bool = False) -> list[StoredFile]:
        """Return what lies right in the prefix's folder and begins with it; with `deep`, below it too.

        Raises:
            UnreadableError: S3 refuses this prefix.
            TidegateError: the bucket can't be listed.
        """
        return self._listed(prefix, "" if deep else "/", None)

    def walk(self, prefix: str, most: int) -> list[StoredFile]:
        """Return files whose names begin with the prefix, however deep, the first `most`."""
        return self._listed(prefix, "", most)

    def _listed(self, prefix: str, delimiter: str, most: int | None) -> list[StoredFile]:
        listing = self._bucket.list(self._prefix + prefix, delimiter, most)
        self._clock = listing.listed_at
        folders = [
            StoredFile(self._uri(key), self._name(key), 0, "", _NO_TIME) for key in listing.folders
        ]
        return folders + [
            StoredFile(
                self._uri(item.key), self._name(item.key), item.size, item.etag, item.modified
            )
            for item in listing.objects
        ]

    def with_etags(self, files: list[StoredFile]) -> list[StoredFile]:
        """Return the files: a listing has their ETags."""
        return files

    def clock(self) -> datetime | None:
        """Return the server's time of the last listing; None if its response had none."""
        return self._clock

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return a part of a file; fewer bytes where it ends earlier.

        Raises:
            UnreadableError: it can't be read.
        """
        with self._errors(name):
            span = f"bytes={start}-{start + length - 1}"
            with closing(self._bucket.get(self._prefix + name, span=span)) as body:
                return body.read()

    def stream(self, name: str) -> Generator[bytes, None, None]:
        """Yield a file's content piece by piece.

        Raises:
            UnreadableError: it can't be read.
        """
        with self._errors(name), closing(self._bucket.get(self._prefix + name)) as body:
            yield from body.iter_chunks(CHUNK)

    @contextmanager
    def open(self, file: StoredFile) -> Iterator[BinaryIO]:
        """Return a file as a stream within a block.

        Raises:
            UnreadableError: the file is gone or can't be read, or it is not the one that was listed.
        """
        with self._errors(file.name):
            body = self._bucket.get(self._prefix + file.name, etag=file.etag)
        with closing(body):
            stream = _Stream(body, lambda: self._errors(file.name))
            yield stream  # type: ignore[misc] # a file in all that is read of it

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Translate errors of reading: those about one file hold its hour, the others stop the step."""
        try:
            with self._bucket.errors("read", self._prefix + name):
                yield
        except FileNotFoundError as error:
            raise gone() from error
        except TidegateError as error:
            cause = error.__cause__
            if not isinstance(cause, Exception) or not is_about_one_object(cause):
                raise
            if error_code(cause) in ("PreconditionFailed", "412"):
                raise replaced() from cause
            raise UnreadableError(
                error.what, expected=error.expected, got=error.got, todo=error.todo
            ) from cause

    def _uri(self, key: str) -> str:
        return f"s3a://{self._bucket.name}/{key}"

    def _name(self, key: str) -> str:
        return key.removeprefix(self._prefix)


class _Stream:
    """A file on S3. Errors of reading are translated."""

    def __init__(self, body: Any, errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._body = body
        self._errors = errors

    def read(self, size: int = -1) -> bytes:
        with self._errors():
            data: bytes = self._body.read(None if size < 0 else size)
            return data

    def seekable(self) -> bool:
        return False
