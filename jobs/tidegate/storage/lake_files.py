"""The files of a lake as files: which lie below a folder of it, and their removal.

What is in them is `lake`'s, and `query`'s. Nothing is removed here but what is named, file by file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from tidegate.common.errors import TidegateError
from tidegate.storage.s3 import THREADS, Bucket, S3Access, split_uri


@dataclass(frozen=True)
class LakeFile:
    """A file of a lake.

    Attributes:
        name: its path below the folder that was listed.
        size: bytes.
        modified: when it was written; aware, UTC.
    """

    name: str
    size: int
    modified: datetime

    @property
    def base(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]


class LakeFiles(Protocol):
    """A folder of a lake, on S3 or on disk."""

    def below(self, folder: str) -> list[LakeFile]:
        """Return all files below a folder, by name; none where there is no such folder."""

    def remove(self, folder: str, names: Iterable[str], *, tidy: bool = False) -> None:
        """Remove files below a folder, in the order of their names; one that is gone already is no fault.

        Args:
            folder: below the lake.
            names: of the files, below the folder.
            tidy: whether to remove the folders that become empty: only where nobody writes.
        """


def open_files(lake: str, s3: S3Access) -> LakeFiles | None:
    """Return the files of a lake; None where it is neither on S3 nor in a local folder.

    Args:
        lake: its address, as `settings.normalize_lake` gives it.
        s3: how S3 is reached.
    """
    if lake.startswith("s3a://"):
        bucket, prefix = split_uri(lake)
        return _S3Files(Bucket(bucket, s3), f"{prefix}/" if prefix else "")
    if "://" in lake:
        return None
    return _LocalFiles(Path(lake))


class _LocalFiles:
    def __init__(self, root: Path) -> None:
        self._root = root

    def below(self, folder: str) -> list[LakeFile]:
        base = self._root / folder
        found = []
        with self._errors("list", base):
            for path in base.rglob("*"):
                # The checksums that Hadoop puts beside its files go with them.
                if not path.name.endswith(".crc") or not path.name.startswith("."):
                    found += self._file(base, path)
        return sorted(found, key=lambda each: each.name)

    @staticmethod
    def _file(base: Path, path: Path) -> list[LakeFile]:
        try:
            if not path.is_file():
                return []
            stat = path.stat()
        except FileNotFoundError:  # a step that goes on has just removed what it made for itself
            return []
        modified = datetime.fromtimestamp(stat.st_mtime, UTC)
        return [LakeFile(path.relative_to(base).as_posix(), stat.st_size, modified)]

    def remove(self, folder: str, names: Iterable[str], *, tidy: bool = False) -> None:
        base = self._root / folder
        with self._errors("remove", base):
            for name in sorted(names):
                path = base / name
                path.unlink(missing_ok=True)
                path.with_name(f".{path.name}.crc").unlink(missing_ok=True)
                if tidy:
                    _remove_empty(path.parent, base)

    @contextmanager
    def _errors(self, doing: str, where: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TidegateError(
                f"the files of the lake can't be {'listed' if doing == 'list' else 'removed'}",
                where=str(error.filename or where),
                expected="a folder of the lake that this user may read and write",
                got=error.strerror or str(error),
                todo="correct its rights, then run it again; what was done stays done",
            ) from error


def _remove_empty(folder: Path, base: Path) -> None:
    """Remove a folder and those above it, up to `base`, as long as they are empty."""
    while folder != base and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


class _S3Files:
    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix

    def below(self, folder: str) -> list[LakeFile]:
        base = f"{self._prefix}{folder}/"
        return [
            LakeFile(item.key.removeprefix(base), item.size, item.modified)
            for item in self._bucket.list(base).objects
            if item.key != base
        ]

    def remove(self, folder: str, names: Iterable[str], *, tidy: bool = False) -> None:  # noqa: ARG002
        base = f"{self._prefix}{folder}/"  # which has no folders that could be empty
        # One by one: not every server that speaks S3 takes a list of them.
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            list(pool.map(lambda name: self._bucket.delete(base + name), sorted(names)))
