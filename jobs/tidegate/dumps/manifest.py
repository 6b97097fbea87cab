"""What a manifest declares of the files of an hour."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.common.errors import TidegateError

MAX_MANIFEST_BYTES = 1 << 26
_MAX_COUNT = 1 << 53
"""The largest whole number that every writer of JSON can write."""


@dataclass(frozen=True)
class Declared:
    """What a manifest says of a file, or of all files; None where it says nothing.

    Attributes:
        size: bytes, as stored.
        rows: lines, headers not counted.

    """

    size: int | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Manifest:
    """What a manifest declares.

    Attributes:
        files: by the names of the files.
        whole: of all files together.

    """

    files: Mapping[str, Declared]
    whole: Declared = Declared()


class ManifestError(TidegateError):
    """A manifest can't be understood."""


_MANIFEST = (
    'expected a list of names or {"files": [{"name": …, "size": …, "rows": …}]}, with whole numbers '
    "of at least 0"
)


def read_manifest(data: bytes) -> Manifest:
    """Return what a manifest declares, files by the names that it gives them.

    A manifest is a JSON list, or `{"files": […]}`, of names or of `{"name": …, "size": …, "rows": …}`,
    where `size` and `rows` may also stand beside `files`, of all together; or what Redshift's UNLOAD
    writes: `{"entries": [{"url": …, "meta": {"content_length": …, "record_count": …}}], "meta": …}`.

    Raises:
        ValueError: it is none.

    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    whole = found if isinstance(found, dict) else {"files": found}
    entries = whole["entries"] if "entries" in whole else whole.get("files")
    if not isinstance(entries, list):
        raise ValueError(f"{_MANIFEST}, got {json.dumps(whole)[:80]}")
    files: dict[str, Declared] = {}
    for entry in entries:
        name = entry.get("name", entry.get("url")) if isinstance(entry, dict) else entry
        if not isinstance(name, str):
            raise ValueError(f"{_MANIFEST}, got {json.dumps(entry)[:80]}")
        if isinstance(entry, dict) and "name" not in entry:
            name = name.rpartition("/")[2]
        declared = _declared(entry) if isinstance(entry, dict) else Declared()
        if files.setdefault(name, declared) != declared:
            raise ValueError(f"it says two things of one file, {json.dumps(name)[:80]}")
    for counts in ([each.size for each in files.values()], [each.rows for each in files.values()]):
        if sum(count or 0 for count in counts) > _MAX_COUNT:
            raise ValueError(f"expected at most {_MAX_COUNT} bytes and rows in all, got more")
    return Manifest(files, _declared(whole))


def _declared(said: Mapping[str, object]) -> Declared:
    """Return the counts of a manifest's entry, or of the whole of it.

    Raises:
        ValueError: they are none.

    """
    meta = said.get("meta")
    redshift = meta if isinstance(meta, dict) else {}
    counts = []
    for key, other in (("size", "content_length"), ("rows", "record_count")):
        count = said.get(key, redshift.get(other))
        if count is not None and not (type(count) is int and 0 <= count <= _MAX_COUNT):
            raise ValueError(f"{_MANIFEST}, got {key} {json.dumps(count)[:80]}")
        counts.append(count)
    return Declared(*counts)
