"""Where dumps are, guessed from the names of some: a template, and the hour of each name. Pure."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from tidegate.common.errors import TidegateError
from tidegate.config.source.path_template import TemplateError, parse_template

_DATES = (
    # 2026-05-01, 2026/05/01, 2026/5/1, year=2026/month=05/day=01
    re.compile(
        r"(?<!\d)(?P<Y>(?:19|20)\d\d)(?P<s1>[-_./]|/(?:month|mm|m)[=_-]?)(?P<m>\d{1,2})"
        r"(?P<s2>[-_./]|/(?:day|dd|d)[=_-]?)(?P<d>\d{1,2})(?!\d)",
        re.IGNORECASE,
    ),
    # 20260501
    re.compile(r"(?<!\d)(?P<Y>(?:19|20)\d\d)(?P<s1>)(?P<m>[01]\d)(?P<s2>)(?P<d>[0-3]\d)"),
    # u_ex260501, as IIS names its logs
    re.compile(r"(?<=u_ex)(?P<Y>\d\d)(?P<s1>)(?P<m>[01]\d)(?P<s2>)(?P<d>[0-3]\d)"),
)
_HOURS = (
    # T10, T1000, T100000, -10, _100000, 10 right behind
    re.compile(
        r"(?P<gap>[T _.-]|)(?P<H>[01]\d|2[0-3]|\d(?!\d))"
        r"(?=(?:(?<=T\d\d)[0-5]\d|(?:[0-5]\d){2}(?:\d{3})?)?(?!\d))",
        re.IGNORECASE,
    ),
    # /10, /hour=10
    re.compile(
        r"(?P<gap>/|[/_-](?:hour|hr|hh|h)[=_-]?)(?P<H>[01]\d|2[0-3]|\d)(?!\d)", re.IGNORECASE
    ),
    # /events-10.json
    re.compile(
        r"(?P<gap>[/_-](?!part|shard|chunk|file|seq)[a-z_]{1,24}[-_.=])(?P<H>[01]\d|2[0-3]|\d)(?!\d)",
        re.IGNORECASE,
    ),
)
_LAST = 100
_EPOCH = re.compile(r"(?<!\d)(?P<s>1\d{9})(?!\d)")
_PLAIN = re.compile(r"[-_.:T /]?")
_BEGIN = re.compile(r"(?:[A-Za-z_]*[A-Za-z][-_.=])*")
_NUMBER = re.compile(r"\d+")
_COUNTER = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=part)|(?<=shard)|(?<=chunk)|(?<=file))\d+")
"""A number that files of one hour count by, also where each hour of the samples has one file only."""
_SUFFIX = re.compile(r"(?:\.[A-Za-z][A-Za-z0-9]{0,9}){1,3}$")


@dataclass(frozen=True)
class Named:
    """What names say.

    Attributes:
        template: of the dumps, valid as it is.
        hours: the hour of each name that it explains; none where the template is made up.
        others: names that it does not explain.
        notes: what a human has to know of it.
        remark: what to know of the template, if anything.
        is_guessed: whether it comes from the names.
    """

    template: str
    hours: Mapping[str, datetime]
    others: tuple[str, ...]
    notes: tuple[str, ...]
    remark: str
    is_guessed: bool


@dataclass(frozen=True)
class _Reading:
    """One way to read a name: literals and directives in turn, the literals one more."""

    literals: tuple[str, ...]
    directives: tuple[str, ...]
    values: tuple[str, ...]
    rank: int

    @property
    def hour(self) -> datetime | None:
        found = {
            name[-1]: int(value) for name, value in zip(self.directives, self.values, strict=True)
        }
        try:
            if "s" in found:
                whole = datetime.fromtimestamp(found["s"], UTC)
                return whole if not found["s"] % 3600 else None
            year = found["Y"] if "Y" in found else 2000 + found["y"]
            return datetime(year, found["m"], found["d"], found["H"], tzinfo=UTC)
        except ValueError:
            return None

    @property
    def order(self) -> tuple[bool, int]:
        """By what one of several readings is taken: an hour's own folder says it best."""
        at, _ = self.cut
        return at < len(self.literals) - 1, self.rank

    @property
    def cut(self) -> tuple[int, int]:
        """Which literals lie in the last part of the path: the first of them, and where in it."""
        for at in range(len(self.literals) - 1, -1, -1):
            if "/" in self.literals[at]:
                return at, self.literals[at].rindex("/") + 1
        return 0, 0

    @property
    def form(self) -> tuple[object, ...]:
        """What names that one template may explain have in common."""
        at, begin = self.cut
        last = len(self.literals) - 1
        fixed = [
            text[:begin] if i == at else ("" if i == last else text)
            for i, text in enumerate(self.literals)
        ]
        # The last part may begin and end in what differs.
        return (*fixed, *self.directives, self.rank >= _LAST)

    @property
    def head(self) -> str:
        """What the last part of the path begins with, before a directive in it."""
        at, begin = self.cut
        return self.literals[at][begin:] if at < len(self.literals) - 1 else ""

    @property
    def tail(self) -> str:
        """What it ends with, or all of it where it has no directive."""
        at, begin = self.cut
        last = len(self.literals) - 1
        return self.literals[last][begin:] if at == last else self.literals[last]


def guess_names(uris: Sequence[str], folder: Path, *, unpadded: bool = False) -> Named:
    """Return what the names of dumps say of where an hour's files are.

    Args:
        uris: whole paths or URIs; the same schema for all.
        folder: of the source file: a template below it is relative to it.
        unpadded: whether an hour of two digits is to be taken for one without leading zeros, where
            none of the names tells.

    Raises:
        TidegateError: no template can name the files, as they are called or lie apart.
    """
    groups: dict[tuple[object, ...], dict[str, _Reading]] = {}
    for uri in uris:
        for reading in _readings(uri):
            groups.setdefault(reading.form, {}).setdefault(uri, reading)
    ordered = sorted(
        groups.values(),
        key=lambda group: (-len(group), min(each.order for each in group.values())),
    )
    for group in ordered:
        text, remark = _template(list(group.values()), unpadded)
        if _is_right(text, folder):
            hours = {uri: each.hour for uri, each in group.items() if each.hour is not None}
            others = tuple(uri for uri in uris if uri not in hours)
            notes = (
                f"{len(others)} of {len(uris)} files are named otherwise, such as {others[0]}"
                for _ in others[:1]
            )
            return Named(_relative(text, folder), hours, others, tuple(notes), remark, True)
    return _made_up(uris, folder)


def _readings(uri: str) -> Iterator[_Reading]:
    """Yield the ways to read an hour in a name, the last date in it first."""
    for rank, (date, hour) in enumerate((d, h) for h in _HOURS for d in _DATES):
        matches = [(found, hour.match(uri, found.end())) for found in date.finditer(uri)]
        dated = [(found, after) for found, after in matches if after is not None]
        for found, after in _ordered(uri, dated):
            names = ("Y", "m", "d")
            reading = _Reading(
                (
                    uri[: found.start("Y")],
                    found["s1"],
                    found["s2"],
                    after["gap"],
                    uri[after.end("H") :],
                ),
                ("Y" if len(found["Y"]) == 4 else "y", "m", "d", "H"),
                (*(found[name] for name in names), after["H"]),
                rank,
            )
            if reading.hour is not None:
                widened = _widened(reading)
                yield widened
                yield from _of_folder(widened)
    for found in _EPOCH.finditer(uri):
        reading = _Reading((uri[: found.start()], uri[found.end() :]), ("s",), (found["s"],), 9)
        if reading.hour is not None:
            yield reading


def _of_folder(reading: _Reading) -> Iterator[_Reading]:
    """Yield a reading that takes all below the hour's folder, for files that lie at several depths of it."""
    below = reading.literals[-1]
    if below.count("/"):
        *above, _ = reading.literals
        folder = below[: below.index("/") + 1]
        yield replace(reading, literals=(*above, folder), rank=reading.rank + _LAST)


def _ordered(
    uri: str, dated: Sequence[tuple[re.Match[str], re.Match[str]]]
) -> Sequence[tuple[re.Match[str], re.Match[str]]]:
    """Return the dates of a name, the last one first; of a start and an end the start is first."""
    last_first = dated[::-1]
    if len(dated) > 1 and "/" not in uri[dated[-2][0].start() :]:
        begin, end = (
            [int(found[name]) for name in ("Y", "m", "d")] + [int(after["H"])]
            for found, after in dated[-2:]
        )
        if begin < end:
            return [dated[-2], dated[-1], *last_first[2:]]
    return last_first


def _widened(reading: _Reading) -> _Reading:
    """Return a reading that has the date also where the folders repeat it."""
    at, begin = reading.cut
    if at > 0:
        return reading
    folders, rest = reading.literals[0][:begin], reading.literals[0][begin:]
    day = tuple(map(int, reading.values[:3]))
    for date in _DATES:
        for found in date.finditer(folders):
            if tuple(int(found[name]) for name in ("Y", "m", "d")) == day:
                return _Reading(
                    (
                        folders[: found.start()],
                        found["s1"],
                        found["s2"],
                        folders[found.end() :] + rest,
                        *reading.literals[1:],
                    ),
                    ("Y", "m", "d", *reading.directives),
                    (found["Y"], found["m"], found["d"], *reading.values),
                    reading.rank,
                )
    return reading


def _template(group: Sequence[_Reading], unpadded: bool) -> tuple[str, str]:
    """Return the template that explains readings of one form, and what to know of it."""
    remark = ""
    directives = []
    first = group[0]
    for at, name in enumerate(first.directives):
        values = [each.values[at] for each in group]
        short = any(len(value) == 1 for value in values)
        unknown = len(values[0]) == 2 and not short and not any(v[0] == "0" for v in values)
        is_iso = name == "H" and first.literals[at].endswith("T")
        if name == "H" and unknown and not is_iso:
            short = unpadded
            remark = f"{'%H' if short else '%-H'} if 9 is written {'09' if short else '9'}"
        directives.append(f"%-{name}" if short else f"%{name}")
    heads = [each.head for each in group]
    head = _common(heads)
    tails = [each.tail for each in group]
    tail = _common(tails, _COUNTER, is_whole=first.cut[0] == len(first.literals) - 1)
    if directives[-1] == "%-H" and tail.startswith("*"):
        # Where an hour of one or two digits ends has to be seen.
        tail = _sign(tails) + tail
    if "*" in head and "*" in tail and len(set(heads)) == 1:
        head = heads[0]  # what stands between two `*` tells nothing
    at, begin = first.cut
    literals = list(first.literals)
    last = len(literals) - 1
    if at == last:
        literals[last] = literals[last][:begin] + tail
    else:
        literals[at] = literals[at][:begin] + head
        literals[last] = tail
    return _joined(literals, directives), remark


def _joined(literals: Sequence[str], directives: Sequence[str]) -> str:
    """Return a template's text; what of a date stands close together shares a placeholder."""
    head, *between, tail = literals
    groups = [directives[0]]
    gaps: list[str] = []
    gaps_of_date: list[str] = []
    for directive, gap in zip(directives[1:], between, strict=True):
        is_hour = directive in ("%H", "%-H")
        is_close = gap in ("T", "", gaps_of_date[-1]) if is_hour else directive != "%Y"
        gaps_of_date.append(gap)
        if _PLAIN.fullmatch(gap) and is_close and directive != "%-H":
            groups[-1] += gap + directive
        else:
            gaps.append(gap)
            groups.append(directive)
    placed = [f"{{dump_hour:{group}}}" for group in groups]
    return head + "".join(map("".join, zip(placed, [*gaps, tail], strict=True)))


def _common(
    texts: Sequence[str], numbers: re.Pattern[str] | None = None, *, is_whole: bool = False
) -> str:
    """Return a pattern of the same part of names: the part, or `*` between what they share.

    Args:
        texts: the part of each name.
        numbers: what differs from file to file, though it is the same in all of these.
        is_whole: whether it is all of a file's name, without an hour in it.
    """
    numbers = numbers if len(texts) > 1 else _NUMBER
    is_chance = numbers is not None and _is_chance(texts[0], numbers, is_whole=is_whole)
    if len(set(texts)) == 1 and not is_chance:
        return texts[0]
    suffix = _suffix(texts)
    begins = [_begin(text.removesuffix(suffix)) for text in texts]
    return f"{_begin(_shared(begins))}*{suffix}"


def _suffix(texts: Sequence[str]) -> str:
    """Return what all texts have behind dots at their ends, such as `.json.gz`."""
    ends = [found[0] if (found := _SUFFIX.search(text)) else "" for text in texts]
    shared = _shared([end[::-1] for end in ends])[::-1]
    return shared[shared.find(".") :] if "." in shared else ""


def _sign(texts: Sequence[str]) -> str:
    """Return the sign that texts begin with alike, if it is neither a digit nor a letter."""
    signs = {text[:1] for text in texts}
    sign = signs.pop() if len(signs) == 1 else ""
    return "" if sign.isalnum() else sign


def _shared(texts: Sequence[str]) -> str:
    """Return what texts begin with alike."""
    pairs = zip(min(texts), max(texts), strict=False)
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _begin(text: str) -> str:
    """Return the whole words, each with the sign behind it, that a text begins with.

    What names share by chance, such as the first digit of a number, is no part of them.
    """
    found = _BEGIN.match(text)
    return found[0] if found else ""


def _is_chance(text: str, numbers: re.Pattern[str], *, is_whole: bool) -> bool:
    """Return whether a text has a number in it that another file's will hardly have, too.

    Zeros behind an hour are its minutes.
    """
    found = numbers.findall(_SUFFIX.sub("", text))
    return any(is_whole or set(digits) != {"0"} for digits in found)


def _is_right(text: str, folder: Path) -> bool:
    try:
        parse_template(text, folder)
    except TemplateError:
        return False
    return True


def _relative(text: str, folder: Path) -> str:
    """Return a template relative to the folder that it lies below; of S3 as people write it."""
    if "://" in text:
        return text.replace("s3a://", "s3://", 1)
    below = f"{folder.resolve().as_posix().rstrip('/')}/"
    return text.removeprefix(below)


def _made_up(uris: Sequence[str], folder: Path) -> Named:
    """Return a template for names that tell no hour, so that the file can be checked."""
    dated = [uri for uri in uris if any(date.search(uri) for date in _DATES)]
    why = "have a date, but no hour" if dated else "tell no date and hour"
    schemes = {uri.rpartition("://")[0] for uri in uris}
    folders = {uri.rpartition("://")[2].rpartition("/")[0] or "/" for uri in uris}
    scheme = schemes.pop()
    root = "" if schemes else os.path.commonpath(folders).rstrip("/")
    has_place = not schemes and bool(root or not scheme)
    if scheme:
        root = f"{scheme}://{root}"
    text = f"{root}/{{dump_hour:%Y-%m-%d}}/{{dump_hour:%H}}/*{_suffix(uris)}"
    notes = (
        f"the names of the samples {why}, so this template is made up: write where an hour's "
        "files are",
    )
    if not has_place or not _is_right(text, folder):
        raise TidegateError(
            "no template can name the samples",
            where=uris[0],
            expected="samples of one bucket or below one folder, whose path has no '{', '}' or '*'",
            got=", ".join(sorted(folders)[:3]),
            todo="give samples of one source, or rename the folder",
        )
    return Named(_relative(text, folder), {}, tuple(uris), notes, "", False)
