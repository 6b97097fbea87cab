"""Files of an hour with the bytes of another one: a producer that tries again stores them under a new name.

Only files that may be equal are read: those of one size, and of one ETag where it is the MD5 of a file stored in one
part. Of these the beginnings are compared first.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import BinaryIO, TypeVar

from tidegate.common.unreadable import UnreadableError
from tidegate.dumps.hour_files import Repeated
from tidegate.storage.files import StoredFile

Open = Callable[[StoredFile], AbstractContextManager[BinaryIO]]
Groups = list[list[StoredFile]]
K = TypeVar("K", bound=Hashable)

_READERS = 8
_CHUNK = 1 << 20
_HEAD = 65_536


def same_bytes(files: Iterable[StoredFile], open_file: Open) -> Groups:
    """Return the groups of files with the same bytes, each by name, in the order of their first ones.

    Empty files and files that can't be read are in none.

    Args:
        files: of one hour.
        open_file: opens one; it may raise `UnreadableError`.
    """
    groups = alike(files)
    if not groups:
        return []
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        groups = _split(groups, lambda file: _digest(file, open_file, _HEAD), pool)
        short = [group for group in groups if group[0].size <= _HEAD]
        long = [group for group in groups if group[0].size > _HEAD]
        long = _split(long, lambda file: _digest(file, open_file, None), pool)
    return sorted(
        (sorted(group, key=_name) for group in (*short, *long)), key=lambda group: group[0].name
    )


def left_out(groups: Groups, declared: Collection[str]) -> list[Repeated]:
    """Return the files to leave out so that the bytes of each group are read once.

    The first by name is read. A file that is declared is never left out; where there is one, it is read
    in place of the first.

    Args:
        groups: as `same_bytes` returns them.
        declared: names of files that a manifest names.
    """
    found = []
    for group in groups:
        kept = [file.name for file in group if file.name in declared] or [group[0].name]
        found += [Repeated(file.name, kept[0]) for file in group if file.name not in kept]
    return found


def alike(files: Iterable[StoredFile]) -> Groups:
    """Return the groups of files that may be equal, by what is known without reading them."""
    found: Groups = []
    for group in _grouped((file for file in files if file.size and not file.fault), _size):
        # The ETag of a file that was stored in several parts depends on the parts.
        if any("-" in file.etag or not file.etag for file in group):
            found.append(group)
        else:
            found += _grouped(group, _etag)
    return found


def _digest(file: StoredFile, open_file: Open, most: int | None) -> bytes | None:
    """Return the SHA-256 of a file, or of its first `most` bytes; None if it can't be read."""
    digest = hashlib.sha256()
    left = file.size if most is None else min(most, file.size)
    try:
        with open_file(file) as stream:
            while left > 0 and (chunk := stream.read(min(left, _CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
    except UnreadableError:
        return None  # landing the file says why
    return digest.digest() if not left else None


def _split(
    groups: Groups, digest: Callable[[StoredFile], bytes | None], pool: ThreadPoolExecutor
) -> Groups:
    listed = [file for group in groups for file in group]
    known = dict(zip(map(_name, listed), pool.map(digest, listed), strict=True))
    return [
        part
        for group in groups
        for part in _grouped(
            (file for file in group if known[file.name] is not None),
            lambda file: known[file.name],
        )
    ]


def _grouped(files: Iterable[StoredFile], key: Callable[[StoredFile], K]) -> Groups:
    """Return the groups of at least two files with one key."""
    groups: dict[K, list[StoredFile]] = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    return [group for group in groups.values() if len(group) > 1]


def _name(file: StoredFile) -> str:
    return file.name


def _size(file: StoredFile) -> int:
    return file.size


def _etag(file: StoredFile) -> str:
    return file.etag
