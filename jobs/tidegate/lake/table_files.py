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
from typing import IO, TYPE_CHECKING, Protocol

from tidegate.config.settings import S3Access
from tidegate.lake.storage import storage_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_IN_MEMORY_BYTES = 4 * 2**20
"""A file for S3 below this size never reaches the disk, and is sent by one request."""
_NOT_FOUND = ("NoSuchKey", "404", "NotFound")


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
        bucket, _, prefix = folder.removeprefix("s3://").partition("/")
        return _S3Files(bucket, f"{prefix}/" if prefix else "", s3)
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
    bucket: str
    prefix: str
    s3: S3Access

    def read(self, path: str) -> bytes:
        with self._reported("read", path):
            return self._get(path).read()

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        # A copy: readers of Parquet jump, and each jump would be a request.
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as copy:
            with self._reported("read", path):
                shutil.copyfileobj(self._get(path), copy, 2**20)
            copy.seek(0)
            yield copy

    def create(self, path: str) -> IO[bytes]:  # noqa: ARG002 (its name is needed at the end only)
        return tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)

    def store(self, path: str, file: IO[bytes]) -> int:
        key = self.prefix + path
        with self._reported("write", path), file:
            size = file.seek(0, 2)
            file.seek(0)
            if size < _IN_MEMORY_BYTES:
                self._client.put_object(Bucket=self.bucket, Key=key, Body=file.read())
            else:
                self._client.upload_fileobj(file, self.bucket, key)
            return size

    @property
    def _client(self) -> S3Client:
        from tidegate.dumps.dumps import s3_client

        return s3_client(self.s3)

    def _get(self, path: str) -> IO[bytes]:
        answer = self._client.get_object(Bucket=self.bucket, Key=self.prefix + path)
        return answer["Body"]  # type: ignore[return-value]  # it reads like a file

    @contextmanager
    def _reported(self, doing: str, path: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        from tidegate.dumps.dumps import s3_error

        where = f"s3://{self.bucket}/{self.prefix}{path}"
        try:
            yield
        except (BotoCoreError, Boto3Error, ClientError) as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code")
            if code in _NOT_FOUND:
                raise FileNotFoundError(where) from error
            raise s3_error(error, self.s3, self.bucket, doing, where) from error
        except OSError as error:  # of the copy on the local disk
            raise storage_error(
                error, "a file of a table cannot be read or written", where
            ) from error
