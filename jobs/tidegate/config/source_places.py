"""Where source files lie that the user named by their paths: kept in the state folder, a small file a source.

Commands that are printed later, in another process, name the source by that path.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tidegate.common.identifiers import NAME

_FOLDER = "source-files"


def remember_file(home: Path, name: str, path: Path) -> None:
    """Write down which file describes a source."""
    folder = home / _FOLDER
    place = folder / name
    text = str(path.resolve())
    if NAME.fullmatch(name) and not (place.is_file() and place.read_text() == text):
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f".{name}.{os.getpid()}"
        scratch.write_text(text)
        scratch.replace(place)


def remembered_files(home: Path, sources: Path) -> Mapping[str, str]:
    """Return the files that were named by path and still exist, by the name of their source.

    Args:
        home: the state folder.
        sources: the project's folder of source files; a source with a file in it needs no path.
    """
    folder = home / _FOLDER
    if not folder.is_dir():
        return {}
    paths = {
        place.name: place.read_text()
        for place in sorted(folder.iterdir())
        if NAME.fullmatch(place.name)
    }
    return {
        name: path
        for name, path in paths.items()
        if Path(path).is_file() and not (sources / f"{name}.yml").exists()
    }
