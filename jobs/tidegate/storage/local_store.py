"""Dumps in a local folder: listed and opened by the same rules as those on S3.

Only regular files are opened, so nothing waits for a pipe that nobody writes to.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from tidegate.common.errors import TidegateError
from tidegate.common.unreadable import UnreadableError
from tidegate.storage.files import CHUNK, LAND_AGAIN, StoredFile, replaced

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


class LocalStore:
    """A local folder of dumps. Names are relative to it; see `store.Store`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def listing(self, prefix: str, *, deep: bool = False) -> list[StoredFile]:
        """Return what lies right in the prefix's folder and begins with it; with `deep`, below it too.

        Raises:
            UnreadableError: a folder can't be listed.
            TidegateError: there is no such root.
        """
        if not self._root.is_dir():
            raise TidegateError(
                "no such folder of dumps",
                where=str(self._root),
                expected="a folder that holds the dumps",
                todo="correct 'dumps' in the source file, or give the folder by --dumps",
            )
        folder, slash, begin = prefix.rpartition("/")
        found: list[StoredFile] = []
        waiting = [folder + slash]
        while waiting:
            inner = waiting.pop()
            for file in self._entries(inner, begin if inner == folder + slash else ""):
                is_folder = file.name.endswith("/")
                if deep and is_folder and file.fault == _NOT_UTF8:
                    raise UnreadableError(f"the folder {file.name} can't be listed: {_NOT_UTF8}")
                if deep and is_folder and file.fault is None:
                    waiting.append(file.name)
                else:
                    found.append(file)
        return found

    def walk(self, prefix: str, most: int) -> list[StoredFile]:
        """Return files whose names begin with the prefix, however deep, the first `most`; no ETags."""
        found: list[StoredFile] = []
        try:
            if prefix:
                return [self._file(self._root / prefix, prefix)]
            for folder, inner, names in os.walk(self._root, onerror=_raise):
                inner.sort()
                for name in sorted(names):
                    path = Path(folder) / name
                    if path.is_file():
                        found.append(self._file(path, path.relative_to(self._root).as_posix()))
                if len(found) >= most:
                    break
        except OSError as error:
            raise TidegateError(
                "a dump can't be read",
                where=str(self._root / prefix),
                expected="a folder or file that this user may read",
                got=error.strerror or str(error),
                todo="correct its rights, or name another place",
            ) from error
        return found[:most]

    def with_etags(self, files: list[StoredFile]) -> list[StoredFile]:
        """Return the files with their ETags; one that can't be read with its fault."""
        return [file if file.fault is not None else self._with_etag(file) for file in files]

    def clock(self) -> None:
        """Return None: a folder's files are dated by this machine, as far as anybody can tell."""

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return a part of a file; fewer bytes where it ends earlier.

        Raises:
            UnreadableError: it can't be read.
        """
        try:
            with _regular_file(self._root / name) as data:
                data.seek(start)
                return data.read(length)
        except OSError as error:
            raise unreadable(error) from error

    def stream(self, name: str) -> Generator[bytes, None, None]:
        """Yield a file's content piece by piece.

        Raises:
            UnreadableError: it can't be read.
        """
        try:
            with _regular_file(self._root / name) as data:
                while chunk := data.read(CHUNK):
                    yield chunk
        except OSError as error:
            raise unreadable(error) from error

    @contextmanager
    def open(self, file: StoredFile) -> Iterator[BinaryIO]:
        """Return a file as a stream within a block.

        Raises:
            UnreadableError: the file is gone or can't be read, or it is not the one that was listed.
        """
        path = self._root / file.name
        try:
            stream = _regular_file(path)
        except OSError as error:
            raise unreadable(error) from error
        with stream:
            try:
                yield stream
                now = path.stat()
            except OSError as error:
                raise unreadable(error) from error
            if (now.st_size, _modified(now)) != (file.size, file.modified):
                raise replaced()

    def _entries(self, folder: str, begin: str) -> Iterator[StoredFile]:
        """Yield what lies right in a folder, folders with a `/` at the end of their name."""
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    if entry.name.startswith(begin):
                        yield from self._entry(entry, folder)
        except (FileNotFoundError, NotADirectoryError):
            return  # moved or removed since it was listed: nothing of it is there
        except OSError as error:
            raise UnreadableError(
                f"the folder {shown(folder or '.')} can't be listed",
                expected="a folder that this user may list",
                got=error.strerror or str(error),
                todo="have its rights changed, then land the hour again",
            ) from error

    def _entry(self, entry: os.DirEntry[str], folder: str) -> Iterator[StoredFile]:
        name = folder + shown(entry.name)
        uri = shown(entry.path)
        fault = None if name == folder + entry.name else _NOT_UTF8
        try:
            itself = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return  # gone since
        except OSError as error:
            yield StoredFile(uri, name, 0, "", _EPOCH, _reason(error))
            return
        about = itself
        if entry.is_symlink():
            try:
                about = entry.stat()
            except OSError as error:
                fault = fault or _link_fault(error)
        if stat.S_ISDIR(about.st_mode):
            name += "/"
            if about is not itself:
                fault = "a link to a folder: such links are not followed"
        elif not stat.S_ISREG(about.st_mode) and fault is None:
            fault = f"expected a file, got {_kind(about)}"
        yield StoredFile(uri, name, about.st_size, "", _modified(about), fault)

    def _file(self, path: Path, name: str) -> StoredFile:
        about = path.stat()
        return StoredFile(str(path), name, about.st_size, "", _modified(about))

    def _with_etag(self, file: StoredFile) -> StoredFile:
        try:
            with _regular_file(self._root / file.name) as data:
                digest = hashlib.file_digest(data, lambda: hashlib.md5(usedforsecurity=False))
        except OSError as error:
            return replace(file, fault=_reason(error))
        return replace(file, etag=digest.hexdigest())


_EPOCH = datetime.fromtimestamp(0, UTC)
_NOT_UTF8 = "its name is not UTF-8"


def shown(name: str) -> str:
    """Return a name of the file system as text; bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def unreadable(error: OSError) -> UnreadableError:
    """Return the error of a file that can't be opened or read."""
    return UnreadableError(
        "the file can't be read",
        expected="a file that is there and that this user may read",
        got=error.strerror or str(error),
        todo=LAND_AGAIN,
    )


def _regular_file(path: Path) -> BufferedReader:
    """Open a regular file; opening a pipe would wait for who writes to it."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"expected a file, got {_kind(about)}")
    return os.fdopen(handle, "rb")


def _kind(about: os.stat_result) -> str:
    return next((word for is_it, word in _KINDS if is_it(about.st_mode)), "something else")


def _link_fault(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "a link that leads back to itself"
    if isinstance(error, FileNotFoundError):
        return "a link to a file that is not there"
    return _reason(error)


def _reason(error: OSError) -> str:
    return unreadable(error).reason


def _modified(about: os.stat_result) -> datetime:
    return datetime.fromtimestamp(about.st_mtime, UTC)


def _raise(error: OSError) -> None:
    raise error
