"""A root below which files are listed, read and written: a folder, or a prefix of a bucket."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from tidegate.common.errors import TidegateError
from tidegate.storage.files import StoredFile
from tidegate.storage.local_store import LocalStore
from tidegate.storage.s3 import Bucket, S3Access, is_s3, split_uri
from tidegate.storage.s3_store import S3Store


class Store(Protocol):
    """A folder, or a prefix of a bucket. Names of files are relative to it."""

    def listing(self, prefix: str, *, deep: bool = False) -> list[StoredFile]:
        """Return what lies right in the prefix's folder and begins with it; ETags may be empty.

        That is files, and folders with a `/` at the end of their names; with `deep` all files below instead.

        Raises:
            UnreadableError: a folder can't be listed.
            TidegateError: there is no such root, or it can't be reached.
        """

    def walk(self, prefix: str, most: int) -> list[StoredFile]:
        """Return files whose names begin with the prefix, however deep, the first `most`; no ETags."""

    def with_etags(self, files: list[StoredFile]) -> list[StoredFile]:
        """Return the files with their ETags; a file that can't be read with its fault."""

    def clock(self) -> datetime | None:
        """Return the time of the last listing by the clock that dates files; None if it is unknown."""

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return a part of a file; fewer bytes where it ends earlier.

        Raises:
            UnreadableError: it can't be read.
        """

    def stream(self, name: str) -> Generator[bytes, None, None]:
        """Yield a file's content piece by piece.

        Raises:
            UnreadableError: it can't be read.
        """

    def open(self, file: StoredFile) -> AbstractContextManager[BinaryIO]:
        """Return a file as a stream within a block.

        Raises:
            UnreadableError: the file is gone or can't be read, or it is not the one that was listed.
        """


def open_store(root: str, s3: S3Access) -> Store:
    """Return the store below a root: `s3://…`, or a local folder.

    Args:
        root: the root; S3 prefixes end with `/`.
        s3: how S3 is reached.
    """
    if is_s3(root):
        bucket, prefix = split_uri(root)
        return S3Store(Bucket(bucket, s3), prefix)
    return LocalStore(Path(root))


def replace_files(
    s3: S3Access, target: str, bodies: Mapping[str, bytes], is_ours: Callable[[str], bool]
) -> None:
    """Write files to a folder or a bucket, then remove older files of ours that are not among them.

    Args:
        s3: how S3 is reached; not used for a folder.
        target: a folder, or `s3://bucket/prefix`.
        bodies: the files by their names below the target.
        is_ours: whether a file of that name below the target may be removed.

    Raises:
        TidegateError: the target can't be written.
    """
    if is_s3(target):
        _replace_objects(s3, target, bodies, is_ours)
        return
    root = Path(target).expanduser()
    try:
        for name, body in bodies.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        for path in root.rglob("*"):
            name = path.relative_to(root).as_posix()
            if name not in bodies and path.is_file() and is_ours(name):
                path.unlink()
    except OSError as error:
        raise TidegateError(
            "the folder can't be written",
            where=str(root),
            got=error.strerror or str(error),
            todo="correct its rights, or name another folder",
        ) from error


def _replace_objects(
    s3: S3Access, target: str, bodies: Mapping[str, bytes], is_ours: Callable[[str], bool]
) -> None:
    name, inner = split_uri(target)
    prefix = f"{inner.rstrip('/')}/" if inner else ""
    bucket = Bucket(name, s3)
    bucket.put_all({prefix + name: body for name, body in bodies.items()})
    for item in bucket.list(prefix).objects:
        name = item.key.removeprefix(prefix)
        if name not in bodies and is_ours(name):
            bucket.delete(item.key)
