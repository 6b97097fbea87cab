"""Sample files that no source describes yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tidegate.common.errors import TidegateError
from tidegate.common.suggestions import hint
from tidegate.common.unreadable import UnreadableError
from tidegate.config.source import Format
from tidegate.dumps.file_format import HEAD_BYTES, file_fault
from tidegate.dumps.hour_files import is_hidden, is_visible
from tidegate.dumps.unpack import unpacked
from tidegate.storage.files import StoredFile, file_error
from tidegate.storage.s3 import S3Access, is_s3, split_uri
from tidegate.storage.store import open_store


class Samples:
    """Files that no source describes yet: one file, or all below a folder or a prefix.

    Args:
        place: a local file or folder, or `s3://bucket/…`.
        s3: how S3 is reached; not used for local files.
        most: files to list at most.

    Attributes:
        files: data files, with names relative to `root`, in order.
        beside: markers, manifests and what else is hidden, in the folders of those files.
        root: the folder that names are relative to.

    Raises:
        TidegateError: there is nothing, or it can't be listed.
    """

    def __init__(self, place: str, s3: S3Access, most: int) -> None:
        if is_s3(place):
            bucket, key = split_uri(place)
            self.root, inner = f"s3a://{bucket}/", key
        else:
            path = Path(place.removeprefix("file://")).expanduser().resolve()
            if not path.is_dir() and not path.is_file():
                raise _no_sample(path)
            folder = path if path.is_dir() else path.parent
            self.root, inner = f"{folder}/", "" if path.is_dir() else path.name
        self._store = open_store(self.root, s3)
        listed = sorted(self._store.walk(inner, most), key=lambda file: file.name)
        if any(file.name == inner for file in listed):
            listed = [file for file in listed if file.name == inner]
            folder_name = inner.rpartition("/")[0]
            near = self._store.listing(folder_name + "/" if folder_name else "")
        else:
            whole = inner.rstrip("/") + "/" if inner else ""
            listed = near = [file for file in listed if file.name.startswith(whole)]
        self.files = [file for file in listed if is_visible(file.name)]
        self.beside = [file for file in near if is_hidden(file.name)]

    def stream(self, file: StoredFile) -> Iterator[bytes]:
        """Yield what a file holds, unpacked where its name says so, a bounded piece at a time.

        Raises:
            UnreadableError: it is cut short, damaged, or not what its name says.
            TidegateError: the file can't be read.
        """
        with self._store.open(file) as stream:
            yield from unpacked(stream, file.name)

    def read(self, file: StoredFile, start: int, length: int) -> bytes:
        """Return a part of a file as it is stored; fewer bytes where it ends earlier."""
        try:
            return self._store.read(file.name, start, length) if length else b""
        except UnreadableError as error:
            raise file_error(error, file) from error

    def fault(self, file: StoredFile, form: Format) -> str | None:
        """Return in what a file is not what its name says, or None: a look at both its ends only."""
        tail = self.read(file, max(file.size - 4, 0), 4) if file.size else b""
        head = self.read(file, 0, HEAD_BYTES) if file.size else b""
        return file_fault(file.name, file.size, head, form, tail)


def _no_sample(path: Path) -> TidegateError:
    there = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    return TidegateError(
        "no such file or folder",
        where=str(path),
        expected="a file or folder of samples, or s3://bucket/prefix",
        got=f"nothing there; {hint(path.name, there[:20])}",
        todo="give the path of a dump, or of a folder of dumps",
    )
