"""Random sources: which values a record has, of which types, and what is done with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as File
from typing import Any

from corpus.chance import Chance
from fuzz.chances import between, some, weighted
from fuzz.clocks import Clock, random_clock
from fuzz.model import Path
from fuzz.texts import NOBODY
from tidegate.config.source import join_path, parse_source
from tidegate.landing.kernel import Rules
from tidegate.privacy.key import PiiKey

KEY = PiiKey(b"a key of the fuzz suite, 32 bytes")
KINDS = ("string", "int", "bigint", "double", "float", "boolean", "date", "timestamp")
DECIMALS = (
    "decimal(1,0)",
    "decimal(6,2)",
    "decimal(38,0)",
    "decimal(38,20)",
    "decimal(38,38)",
    "decimal(18,3)",
)
UNITS = ("iso", "iso", "iso", "epoch_s", "epoch_ms", "epoch_us")
_NAMES = (
    "a",
    "b",
    "k.l",
    "Name",
    "x y",
    "é",
    "n",
    "ts",
    "a-b",
    "_z",
    "$v",
    "q'r",
    "1",
    "select",
    "@t",
    "a:b",
    "日",
)
DEFAULT_NOBODY = ("null", "undefined", "None", "[object Object]", "\\N", NOBODY)


@dataclass(frozen=True)
class Spec:
    """A source, as it was meant.

    Attributes:
        form: the format, with its options.
        fields: the paths of an event's fields, by name; those that the source has.
        columns: the path and type of each column.
        computed: columns that an expression makes of another column's text: name → that column, form.
        unit: how times are written.
        clock: how they are written, where that is a form of the source's own.
        late: hours before the dump hour that a time may be.
        future: hours behind it.
        nobody: texts that stand for no person.
        pii: what is done with personal values, by path.
    """

    form: Mapping[str, Any]
    fields: Mapping[str, Path]
    columns: Mapping[str, tuple[Path, str]]
    computed: Mapping[str, tuple[str, str]]
    unit: str
    late: int
    future: int
    nobody: tuple[str, ...]
    pii: Mapping[Path, str]
    clock: Clock | None = None

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the source file says."""
        fields: dict[str, Any] = {name: join_path(path) for name, path in self.fields.items()}
        if self.form["type"] != "access_log":  # whose time has one form
            fields["event_time"] = {"path": fields["event_time"], "unit": self.unit}
        if self.clock is not None:
            options = {"format": self.clock.format, "zone": self.clock.zone}
            fields["event_time"] |= {name: value for name, value in options.items() if value}
        columns = {
            name: {"path": join_path(path), "type": kind}
            for name, (path, kind) in self.columns.items()
        }
        for name, (of, form) in self.computed.items():
            columns[name] = {"sql": _sql(self.columns[of][0], form), "type": "string"}
        data: dict[str, Any] = {
            "source": "fuzz",
            "since": "2024-01-01T00",
            "dumps": "dumps/{dump_hour:%Y-%m-%d-%H}-*",
            "format": dict(self.form),
            "accept": {"late": _hours(self.late), "future": _hours(self.future)},
        }
        if "source_session_id" in fields:
            data["sessions"] = {"id": fields.pop("source_session_id")}
        if self.nobody != DEFAULT_NOBODY:
            data["nobody"] = list(self.nobody)
        if self.pii:
            data["pii"] = {join_path(path): what for path, what in self.pii.items()}
        return {**data, "fields": fields, "columns": columns}

    @cached_property
    def rules(self) -> Rules:
        """How the kernel is told to read the source."""
        source = parse_source(dict(self.data), File("fuzz.yml"))
        if not source.hashes:
            return Rules(source)
        return Rules(source.keyed(KEY.fingerprint), KEY)

    def kinds(self) -> dict[Path, str]:
        """Return what the values of each path are made for: a field of an event, `event_time`, or a type."""
        of_columns = dict(self.columns.values())
        return {**of_columns, **{path: name for name, path in self.fields.items()}}

    def action(self, path: Path) -> str | None:
        """Return what is done with the value of a path: of itself, or of what it lies within."""
        return next((what for of, what in self.pii.items() if path[: len(of)] == of), None)


def random_source(chance: Chance, form: Mapping[str, Any], *, is_flat: bool) -> Spec:
    """Return a source.

    Args:
        chance: that decides.
        form: the format, with its options.
        is_flat: whether a path has one name only.
    """
    paths = _Paths(chance, is_flat=is_flat)
    fields = {"event_time": paths.new()}
    for name, share in (
        ("event_id", 0.85),
        ("event_type", 0.7),
        ("user_id", 0.85),
        ("anonymous_id", 0.6),
    ):
        if chance.happens(share):
            fields[name] = paths.new()
    if chance.happens(0.2):
        fields["source_session_id"] = paths.new()
    wanted = some(chance, [*KINDS, *DECIMALS, "string", "int"])[: between(chance, 0, 8)]
    columns = {f"c{at}": (paths.new(), kind) for at, kind in enumerate(wanted)}
    unit = chance.choice(UNITS)
    late, future = (3 * 24, 1) if chance.happens(0.7) else (999_999 * 24, 999_999 * 24)
    nobody = DEFAULT_NOBODY if chance.happens(0.7) else ("anonymous", "0", " x ")
    pii = _pii(chance, fields, columns) if chance.happens(0.2) else {}
    computed = {}
    texts = [name for name, (path, kind) in columns.items() if kind == "string" and path not in pii]
    if texts and not pii and chance.happens(0.4):
        computed = {"made": (chance.choice(texts), chance.choice(("mark", "coalesce", "fails")))}
    # A time of Parquet without a zone would be local time, too.
    is_own = unit == "iso" and form["type"] != "parquet" and chance.happens(0.4)
    clock = random_clock(chance) if is_own else None
    return Spec(form, fields, columns, computed, unit, late, future, nobody, pii, clock)


def _hours(count: int) -> str:
    return f"{count}h" if count % 24 else f"{count // 24}d"


def _sql(path: Path, form: str) -> str:
    name = ".".join('"' + part.replace('"', '""') + '"' for part in path)
    forms = {
        "mark": f"{name} || '!'",
        "coalesce": f"coalesce({name}, 'none')",
        "fails": f"CASE WHEN {name} = 'view' THEN CAST(CAST({name} AS INTEGER) AS VARCHAR) ELSE {name} END",
    }
    return forms[form]


def _pii(
    chance: Chance, fields: Mapping[str, Path], columns: Mapping[str, tuple[Path, str]]
) -> dict[Path, str]:
    may = {
        path: ("hash", "drop", "keep")
        for name, path in fields.items()
        if name not in ("event_time", "event_id")
    }
    if "event_id" in fields:
        may[fields["event_id"]] = ("hash", "hash", "keep")
    for path, kind in columns.values():
        may[path] = ("hash", "drop", "keep") if kind == "string" else ("drop", "keep", "keep")
    chosen = some(chance, list(may), 1) if may else []
    return {path: chance.choice(may[path]) for path in chosen}


class _Paths:
    """Paths of which none leads through another, and none differs from another in case only."""

    def __init__(self, chance: Chance, *, is_flat: bool) -> None:
        self._chance = chance
        self._is_flat = is_flat
        self._count = 0
        self._folders: list[Path] = [(), ("user",), ("deep", "er", "still"), ("dot.ted",)]

    def new(self) -> Path:
        """Return a path that is not used yet."""
        self._count += 1
        name = self._chance.choice(_NAMES) + str(self._count)
        if self._is_flat:
            return (name,)
        folder = weighted(self._chance, [(8, 0), (2, 1), (1, 2), (1, 3)])
        return (*self._folders[folder], name)
