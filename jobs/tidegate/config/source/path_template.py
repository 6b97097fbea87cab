"""Templates of dumps: which files belong to an hour, as `s3://b/{dump_hour:%Y-%m-%d-%H}/*.gz`.

A template is a folder (its root) and, relative to it, a path with placeholders. File names are
relative to the root, so that a copy of the dumps elsewhere has the same names and gives the same
computed ids. The root is therefore a folder: in `s3://b/x/hour-{…}` it is `s3://b/x/`, and `hour-`
belongs to the relative part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from tidegate.common.hours import HOUR, hour_text
from tidegate.common.suggestions import hint
from tidegate.storage.s3 import is_s3

DIRECTIVES: dict[str, str] = {
    "%Y": "year, four digits",
    "%y": "year, two digits",
    "%m": "month, 01 to 12",
    "%-m": "month, 1 to 12",
    "%d": "day, 01 to 31",
    "%-d": "day, 1 to 31",
    "%j": "day of the year, 001 to 366",
    "%-j": "day of the year, 1 to 366",
    "%H": "hour, 00 to 23",
    "%-H": "hour, 0 to 23",
    "%s": "seconds since 1970",
}
"""The directives of a placeholder.

They are rendered here and not by strftime, whose `%-H` is not portable.
"""

_RENDER: dict[str, Callable[[datetime], str]] = {
    "%Y": lambda t: f"{t.year:04d}",
    "%y": lambda t: f"{t.year % 100:02d}",
    "%m": lambda t: f"{t.month:02d}",
    "%-m": lambda t: str(t.month),
    "%d": lambda t: f"{t.day:02d}",
    "%-d": lambda t: str(t.day),
    "%j": lambda t: f"{t.timetuple().tm_yday:03d}",
    "%-j": lambda t: str(t.timetuple().tm_yday),
    "%H": lambda t: f"{t.hour:02d}",
    "%-H": lambda t: str(t.hour),
    "%s": lambda t: str(int(t.timestamp())),
}
_TELLS = {
    "%Y": {"year"},
    "%y": {"year"},
    "%m": {"month"},
    "%-m": {"month"},
    "%d": {"day"},
    "%-d": {"day"},
    "%j": {"day of year"},
    "%-j": {"day of year"},
    "%H": {"hour"},
    "%-H": {"hour"},
    "%s": {"year", "month", "day", "hour"},
}
_VARYING = frozenset(["%-m", "%-d", "%-j", "%-H", "%s"])
"""Directives whose text is not always as long."""

PLACEHOLDERS = ("dump_hour", "dump_hour_end")
"""What a placeholder may name: the hour's start, or its end, which is the next hour's start."""
_END = "end:"
"""What directives of the hour's end begin with, as parts of a text."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_DIRECTIVE = re.compile(r"%-?.")
_SCHEMES = ("s3://", "s3a://", "file://")


class TemplateError(ValueError):
    """A template is wrong; `faults` holds every reason, one line each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


@dataclass(frozen=True)
class HourText:
    """A text with placeholders of the hour in it.

    Attributes:
        text: as written.
        parts: what it is made of: directives of the hour's start (each beginning with `%`), of its
            end (each beginning with `end:%`), and texts (each beginning with `=`).

    """

    text: str
    parts: tuple[str, ...]

    def render(self, hour: datetime) -> str:
        """Return the text for an hour, in UTC."""
        utc = hour.astimezone(UTC)
        return "".join(_rendered(part, utc) for part in self.parts)

    def names_hour(self) -> bool:
        """Return whether no two hours have the same text, or match one name where it has `*`."""
        told = self._told()
        return {"year", "hour"} <= told and ({"month", "day"} <= told or "day of year" in told)

    def _told(self) -> set[str]:
        """Return what of the hour can be read back from the text.

        A run is a stretch of digits. With at most one directive of varying length in it, it can be
        taken apart again; with two it can't (`%-m%-d` of 1 November and of 11 January are both
        111). A run that touches a `*` has no known end, so it must be of fixed length. What stands
        between two `*` tells nothing.
        """
        told: set[str] = set()
        stars = sum(p.count("*") for p in self.parts if p[0] == "=")
        seen = 0
        run: list[str] = []
        open_start = False
        for atom in [*self._atoms(), ""]:
            if atom in _TELLS:
                run.append(atom)
            elif not atom.isdigit():
                varying = sum(d in _VARYING for d in run)
                touches = open_start or atom == "*"
                between = 0 < seen < stars
                if not between and varying <= (0 if touches else 1):
                    told |= {t for d in run for t in _TELLS[d]}
                run = []
                open_start = atom == "*"
                seen += atom == "*"
        return told

    def _atoms(self) -> Iterator[str]:
        for part in self.parts:
            if part[0] == "=":
                yield from part[1:]
            else:
                # From an hour's end its start is known, also where the two are named in parts.
                yield part.removeprefix(_END)


def _rendered(part: str, hour: datetime) -> str:
    if part[0] == "=":
        return part[1:]
    if part.startswith(_END):
        return _RENDER[part.removeprefix(_END)](hour + HOUR)
    return _RENDER[part](hour)


@dataclass(frozen=True)
class Template:
    """Which files belong to an hour.

    Attributes:
        text: the template as the source file has it.
        root: URI or absolute path of the folder that names are relative to; ends with `/`.
        inner: the part relative to the root.

    """

    text: str
    root: str
    inner: HourText

    def relative(self, hour: datetime) -> str:
        """Return the hour's path relative to the root.

        It is a file, a folder with all folders below it (`…/`), or a pattern with `*` in its last part.
        """
        return self.inner.render(hour)

    def folder(self, hour: datetime) -> str:
        """Return the hour's folder relative to the root, with its `/` at the end.

        "" is the root itself.
        """
        head, slash, _ = self.relative(hour).rpartition("/")
        return head + slash

    def pattern(self, hour: datetime) -> str:
        """Return the hour's whole URI or path, with `*` where the template has it."""
        return self.root + self.relative(hour)

    def with_root(self, uri: str) -> Template:
        """Return the same template below another root.

        A relative local path counts from the working directory.
        """
        return replace(self, root=normalize_root(uri, Path.cwd()))

    @property
    def is_deep(self) -> bool:
        """Whether the hour's path is a folder, whose folders are read too."""
        return self.inner.text.endswith("/")

    @cached_property
    def prefix_names_hour(self) -> bool:
        """Whether what begins like an hour's path, up to a `*`, belongs to that hour."""
        parts: list[str] = []
        for part in self.inner.parts:
            literal, star, _ = part.partition("*") if part[0] == "=" else (part, "", "")
            parts.append(literal)
            if star:
                break
        return HourText("", (*parts, "=*")).names_hour()

    @cached_property
    def folder_names_hour(self) -> bool:
        """Whether each hour has a folder of its own."""
        parts = list(self.inner.parts)
        while parts and "/" not in parts[-1]:
            parts.pop()
        return HourText("", tuple(parts)).names_hour()


def normalize_root(uri: str, folder: Path) -> str:
    """Return a root with one `/` at its end.

    A local one becomes an absolute path, a relative one is counted from `folder`.
    """
    if is_s3(uri):
        return uri.rstrip("/") + "/"
    if uri.startswith("file:"):
        uri = uri.removeprefix("file://").removeprefix("file:")
    path = (folder / Path(uri).expanduser()).resolve()
    return path.as_posix().rstrip("/") + "/"


def parse_template(text: str, folder: Path) -> Template:
    """Return the template that a text writes.

    Args:
        text: the template; without a scheme it is a local path, counted from `folder` where it is
            relative.
        folder: the folder of the source file.

    Raises:
        TemplateError: it is wrong; every fault at once.

    """
    faults = [*_scheme_faults(text), *_brace_faults(text)]
    before, brace, _ = text.partition("{")
    if not brace and not faults:
        faults.append(_no_hour(HourText(text, (f"={text}",))))
    if faults:
        raise TemplateError(faults)
    head, slash, _ = before.rpartition("/")
    root = head + slash
    inner = parse_hour_text(text[len(root) :])
    faults = _file_faults(inner)
    if root in _SCHEMES or root in ("s3:/", "s3a:/"):
        faults.append("the bucket must be named before the first placeholder")
    if "*" in root:
        faults.append("'*' may stand in the last part only, after the last '/'")
    if not inner.names_hour():
        faults.append(_no_hour(inner))
    if faults:
        raise TemplateError(faults)
    return Template(text=text, root=normalize_root(root, folder), inner=inner)


def parse_hour_text(text: str) -> HourText:
    """Return a text with placeholders `{dump_hour:…}`, taken apart.

    Raises:
        TemplateError: a placeholder is wrong; every fault at once.

    """
    faults = _brace_faults(text)
    if faults:
        raise TemplateError(faults)
    parts: list[str] = []
    end = 0
    for found in _PLACEHOLDER.finditer(text):
        parts += _literal(text[end : found.start()])
        name, _, form = found[1].partition(":")
        parts += _directives(form, _END if name == "dump_hour_end" else "")
        end = found.end()
    parts += _literal(text[end:])
    return HourText(text, tuple(parts))


def _literal(text: str) -> list[str]:
    return [f"={text}"] if text else []


def _directives(form: str, of: str) -> list[str]:
    parts: list[str] = []
    end = 0
    for found in _DIRECTIVE.finditer(form):
        parts += _literal(form[end : found.start()])
        parts.append(of + found[0])
        end = found.end()
    return parts + _literal(form[end:])


def _scheme_faults(text: str) -> list[str]:
    scheme, mark, _ = text.partition("://")
    if not text.strip():
        return ["it is empty"]
    if mark and scheme + mark not in _SCHEMES:
        return [f"unknown scheme '{scheme}://'; known: s3://, s3a://, file:// and plain paths"]
    return []


def _brace_faults(text: str) -> list[str]:
    faults = []
    for found in _PLACEHOLDER.finditer(text):
        name, _, form = found[1].partition(":")
        if name.strip() not in PLACEHOLDERS:
            faults.append(f"unknown placeholder '{{{name}}}'; {hint(name, PLACEHOLDERS)}")
            continue
        if name != name.strip():
            whole = f"{{{name.strip()}:{form.strip()}}}"
            faults.append(f"write the placeholder without spaces: '{whole}'")
        if "%" not in form:
            faults.append(
                f"placeholder '{found[0]}' has no format; write for instance {{dump_hour:%Y-%m-%d}}"
            )
        for directive in re.findall(r"%-?.?", form):
            if directive not in DIRECTIVES:
                faults.append(f"unknown directive '{directive}'; known: {' '.join(DIRECTIVES)}")
    if re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
        faults.append("a '{' or '}' without its other half")
    return faults


def _file_faults(inner: HourText) -> list[str]:
    # A placeholder may hold a "/" itself, and never begins with what is looked for here.
    folder, _, last = "".join(p[1:] if p[0] == "=" else "0" for p in inner.parts).rpartition("/")
    faults = []
    if "*" in folder:
        faults.append("'*' may stand in the last part only, after the last '/'")
    if "**" in last:
        faults.append("'**' is not known; one '*' stands for any text within a file's name")
    if last.startswith(("_", ".")):
        faults.append("names that begin with '_' or '.' are never data")
    return faults


def _no_hour(inner: HourText) -> str:
    base = datetime(2015, 1, 1, tzinfo=UTC)
    others = [base + timedelta(hours=h) for h in (1, 24, 31 * 24, 365 * 24)]
    missing = ("hour", "day", "month", "year")
    for name, other in zip(missing, others, strict=True):
        if inner.render(base) == inner.render(other):
            return (
                f"the template has no {name}: {inner.text!r} names the same files for "
                f"{hour_text(base)} "
                f"and {hour_text(other)}; it must name year, month, day and hour, "
                "such as {dump_hour:%Y-%m-%d}/{dump_hour:%H}"
            )
    twins = _twins(inner)
    example = f", such as {twins[0]} and {twins[1]}" if twins else ""
    return (
        f"the template does not tell hours apart: {inner.text!r} names the same files for "
        f"different hours{example}; "
        "use %m, %d, %H (of fixed length) or put a '-' between them and before a '*'"
    )


def _twins(inner: HourText) -> tuple[str, str] | None:
    seen: dict[str, datetime] = {}
    hour = datetime(2015, 1, 1, tzinfo=UTC)
    while hour.year == 2015:
        text = inner.render(hour)
        if text in seen:
            return hour_text(seen[text]), hour_text(hour)
        seen[text] = hour
        hour += HOUR
    return None
