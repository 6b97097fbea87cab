"""Commands that messages print as a next step. They are complete: copied into the same shell, they run.

The command line notes which lake, dumps and source file the user named (`note`). A command that is printed
later in the same process repeats them. Settings of the environment need no repetition.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace

TAKES_LAKE = frozenset(
    {
        *("run", "land", "audit", "publish", "derive", "release", "rollback"),
        *("verify", "rebuild", "maintain", "erase", "approve", "gate"),
        *("status", "held", "report", "quarantine", "drift", "sql", "metrics", "trace"),
    }
)
"""Commands with an option `--lake`."""
TAKES_DUMPS = frozenset({"land", "rebuild", "run", "verify"})
"""Commands with an option `--dumps`; `quarantine replay` has it too."""

_PLAIN = re.compile(r"[\w@%+=:,./…-]+")


@dataclass(frozen=True)
class Given:
    """What the user named on the command line.

    Attributes:
        lake: the value of `--lake`.
        dumps: the value of `--dumps`.
        sources: paths of source files, by the name of their source.
    """

    lake: str | None = None
    dumps: str | None = None
    sources: dict[str, str] = field(default_factory=dict)


_given = Given()


def forget() -> None:
    """Forget what was noted: a new command line begins."""
    global _given
    _given = Given()


def note(
    *, lake: str | None = None, dumps: str | None = None, source: tuple[str, str] | None = None
) -> None:
    """Note what the user named: a lake, dumps, or the name of a source and the path of its file."""
    global _given
    _given = replace(
        _given,
        lake=lake or _given.lake,
        dumps=dumps or _given.dumps,
        sources={**_given.sources, **({source[0]: source[1]} if source else {})},
    )


def command(*words: str, source: str | None = None) -> str:
    """Return a command as a user of a shell types it, with the options that the user gave.

    Args:
        words: the command's words after `tidegate`, unquoted.
        source: the source whose file `approve` needs, if it lies outside of the project's folder.
    """
    parts = [*words]
    if source is not None and source in _given.sources:
        parts += ["--source", _given.sources[source]]
    if _given.dumps and (words[0] in TAKES_DUMPS or words[:2] == ("quarantine", "replay")):
        parts += ["--dumps", _given.dumps]
    if _given.lake and words[0] in TAKES_LAKE:
        parts += ["--lake", _given.lake]
    return " ".join(["tidegate", *map(_quoted, parts)])


def source_word(name: str) -> str:
    """Return how a command names a source: by the path of its file if the user gave it so, else its name."""
    return _given.sources.get(name, name)


def _quoted(word: str) -> str:
    """Return a word as a shell takes it, in double quotes where these suffice."""
    if _PLAIN.fullmatch(word):
        return word
    return shlex.quote(word) if re.search(r'["$`\\!]', word) else f'"{word}"'
