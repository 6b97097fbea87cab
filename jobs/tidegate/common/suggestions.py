"""The nearest right name to a wrong one, for errors that help."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` that `word` was most likely meant to be, or None if none is near.

    Case and the choice between `-` and `_` do not count.
    """
    names = list(known)
    folded = {_fold(name): name for name in reversed(names)}
    found = difflib.get_close_matches(_fold(word), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def hint(word: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?`, or the list of what is known where nothing is near."""
    names = list(known)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean '{near}'?"
    return f"known: {', '.join(names)}" if names else "none is known"


def _fold(name: str) -> str:
    return name.casefold().replace("-", "_")
