"""The files of some dumps, as the landing kernel opens them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from tidegate.dumps import DumpFile, Dumps, ReplacedError
from tidegate.landing.errors import UnreadableError


class DumpFiles:
    """Opens files by their names; it can be pickled, and used by several threads.

    Args:
        dumps: of the source.
        files: as they were listed.
    """

    def __init__(self, dumps: Dumps, files: Iterable[DumpFile]) -> None:
        self._dumps = dumps
        self._files = {file.name: file for file in files}
        self._seekable = dumps.source.format.type == "parquet"

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Yield a file as a stream; what was read of it counts once the block has ended without an error.

        Raises:
            UnreadableError: it is gone, or another one than was listed.
            TidegateError: it can't be read.
        """
        try:
            with self._dumps.open(self._files[name], seekable=self._seekable) as stream:
                yield stream
        except ReplacedError as error:
            raise UnreadableError(
                "the file was replaced or removed while it was read",
                expected="the file that was listed",
                todo="land the hour again",
            ) from error
