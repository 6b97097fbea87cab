"""The files below a table's folder, on a local disk or on S3: read, opened and written.

delta-rs has such calls too, but they keep all other threads of the process waiting for S3.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from tidegate.lake.storage import storage_error
from tidegate.storage.s3 import Bucket, S3Access, split_uri

_IN_MEMORY_BYTES = 4 * 2**20
"""A file for S3 below this size never reaches the disk, and is sent by one request."""


class TableFiles(Protocol):
    """The files below a folder."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a small file.

        Raises:
            FileNotFoundError: there is no such file.
            TidegateError: the storage fails.
        """

    def open(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Yield a file to read from, at any position.

        Raises:
            FileNotFoundError: there is no such file.
            TidegateError: the storage fails.
        """

    def create(self, path: str) -> IO[bytes]:
        """Return a new file to write into; `store` finishes it."""

    def store(self, path: str, file: IO[bytes]) -> int:
        """Finish a file that `create` returned, and return its size in bytes.

        Raises:
            TidegateError: the storage fails.
        """


def table_files(folder: str, s3: S3Access) -> TableFiles:
    """Return the files below a folder: an absolute path, or `s3://bucket/prefix`."""
    if folder.startswith("s3://"):
        bucket, prefix = split_uri(folder)
        return _S3Files(Bucket(bucket, s3), f"{prefix}/" if prefix else "")
    return _LocalFiles(Path(folder))


@dataclass(frozen=True)
class _LocalFiles:
    folder: Path

    def read(self, path: str) -> bytes:
        with self._reported(path):
            return (self.folder / path).read_bytes()

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        with self._reported(path):
            file = (self.folder / path).open("rb")
        with file:
            yield file

    def create(self, path: str) -> IO[bytes]:
        with self._reported(path):
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            return (self.folder / path).open("xb")

    def store(self, path: str, file: IO[bytes]) -> int:
        with self._reported(path), file:
            return file.seek(0, 2)

    @contextmanager
    def _reported(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            where = str(self.folder / path)
            raise storage_error(
                error, "a file of a table cannot be read or written", where
            ) from error


@dataclass(frozen=True)
class _S3Files:
    bucket: Bucket
    prefix: str

    def read(self, path: str) -> bytes:
        stream = self.bucket.get(self.prefix + path)
        with self._errors("read", path):
            return stream.read()

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        # A copy: readers of Parquet jump, and each jump would be a request.
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as copy:
            stream = self.bucket.get(self.prefix + path)
            with self._errors("read", path):
                shutil.copyfileobj(stream, copy, 2**20)
            copy.seek(0)
            yield copy

    def create(self, path: str) -> IO[bytes]:  # noqa: ARG002 (its name is needed at the end only)
        return tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)

    def store(self, path: str, file: IO[bytes]) -> int:
        key = self.prefix + path
        with self._errors("write", path), file:
            size = file.seek(0, 2)
            file.seek(0)
            if size < _IN_MEMORY_BYTES:
                self.bucket.put(key, file.read())
            else:
                self.bucket.upload(key, file)
            return size

    @contextmanager
    def _errors(self, action: str, path: str) -> Iterator[None]:
        key = self.prefix + path
        try:
            with self.bucket.errors(action, key):
                yield
        except FileNotFoundError:
            raise
        except OSError as error:  # of the copy on the local disk
            where = f"s3://{self.bucket.name}/{key}"
            raise storage_error(
                error, "a file of a table cannot be read or written", where
            ) from error
