"""Records of JSON, one object a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from corpus.chance import Chance
from fuzz.chances import weighted
from fuzz.json_text import Members, Token, pretty, tree, written
from fuzz.model import Expected, Path, Value, Written, quarantined
from fuzz.records import outcome, secret, secrets
from fuzz.sources import Spec
from fuzz.texts import long_text, text
from fuzz.times import event_time
from fuzz.values import BARE, value

MAX_LINE = 1024 * 1024
"""Bytes of the longest line that is read."""
_NO_JSON: tuple[Callable[[str], str], ...] = (
    lambda line: line[:-1] + ",}",
    lambda line: line[:-1],
    lambda line: line + "x",
    lambda line: line + "}",
    lambda line: "{" + line,
    lambda line: line.replace('"', "'", 2),
    lambda line: '{"z":NaN,' + line[1:],
    lambda line: '{"z":-Infinity,' + line[1:],
    lambda line: '{"z":01,' + line[1:],
    lambda line: '{"z":1.,' + line[1:],
    lambda line: '{"z":"\x01",' + line[1:],
    lambda line: '{"z":"\\x",' + line[1:],
    lambda line: '{"z":"\\u12",' + line[1:],
    lambda line: "/**/" + line,
    lambda line: line[:1] + "\ufeff" + line[1:],
    lambda line: "\x0b" + line,
    lambda line: '"' + line,
    lambda line: line.replace("{", "garbage", 1),
    lambda line: line + "\x00",
)
"""What makes of a line text that is not JSON."""
_NO_OBJECT = ("5", '"x"', "null", "true", "-1.5e3", '"{}"')
_NO_UTF8 = (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf", b"\x80")


@dataclass(frozen=True)
class Lines:
    """How the lines of a file are written.

    Attributes:
        spec: the source.
        end: of a line.
        is_loose: whether there is white space and the like.
        is_pretty: whether each takes several lines.
        is_element: whether it stands in an array, or behind another one: what is no JSON is then another fault.
        faults: how often a line is no JSON object.
    """

    spec: Spec
    end: str
    is_loose: bool
    faults: float
    is_pretty: bool = False
    is_element: bool = False

    def record(self, chance: Chance, number: int, *, size: int = 0) -> Written:
        """Return a line.

        Args:
            chance: that decides.
            number: of the record.
            size: of a long line, in bytes; 0 for any.
        """
        cells = self._cells(chance, number)
        members, faults = self._members(chance, cells)
        line = written(members, chance if self.is_loose else None)
        if self.is_pretty:
            expected = self._expected(line, cells, faults)
            plain = replace(expected, raw=None, properties=None)
            return Written(pretty(members).encode() + b"\n", plain, secrets=secrets(cells.values()))
        if self.is_loose and chance.happens(0.2):
            line = chance.choice((" ", "\t", "\r")) + line + chance.choice(("", " ", "\t"))
        hidden = secrets(cells.values())
        if size:
            pad = size - len(line.encode()) - len(',"zz":""') - len(self.end) + 1
            place = line.rindex("}")
            line = f'{line[:place]},"zz":"{long_text(chance, max(pad, 0))}"{line[place:]}'
            too_long = len((line + self.end).encode()) - 1 > MAX_LINE
            expected = quarantined("too_long") if too_long else self._expected(line, cells, faults)
            return Written((line + self.end).encode(), expected, secrets=hidden)
        if chance.happens(self.faults):
            return replace(self._faulty(chance, line.strip(" \t\r")), secrets=hidden)
        return Written(
            (line + self.end).encode(), self._expected(line, cells, faults), secrets=hidden
        )

    def _expected(self, line: str, cells: dict[Path, Value], faults: set[str]) -> Expected:
        raw = (line + self.end[:-1]).encode() if not self.spec.pii else None
        expected = quarantined(*faults) if faults else outcome(self.spec, cells)
        if self.spec.pii:
            return expected
        if self.is_element:
            line = line.strip(" \t\r")
            return replace(expected, raw=line.encode(), properties=line)
        return replace(expected, raw=raw, properties=(line + self.end[:-1]).strip(" \t\r"))

    def _faulty(self, chance: Chance, line: str) -> Written:
        kinds = [(6, "not_json"), (2, "not_object"), (2, "blank_line"), (3, "not_utf8")]
        kind = weighted(chance, kinds if not self.is_element else kinds[3:])
        if kind == "not_utf8":
            data = line.encode()
            at = data.index(b'"') + 1 if b'"' in data else 1
            raw = data[:at] + chance.choice(_NO_UTF8) + data[at:]
            raw += self.end[:-1].encode() if not self.is_element else b""
        else:
            texts = {
                "not_json": chance.choice(_NO_JSON)(line),
                "not_object": chance.choice(_NO_OBJECT),
                "blank_line": chance.choice(("", " ", "\t", "  \r")),
            }
            raw = (texts[kind] + self.end[:-1]).encode()
        kept = raw if not self.spec.pii else None
        return Written(raw + b"\n", quarantined(kind, raw=kept))

    def _cells(self, chance: Chance, number: int) -> dict[Path, Value]:
        spec = self.spec
        cells: dict[Path, Value] = {}
        for path, kind in spec.kinds().items():
            if chance.happens(0.04) and kind not in ("event_id", "event_time"):
                continue
            if kind == "event_time":
                cell = event_time(chance, spec.unit, spec.late, spec.future, spec.clock)
                if (
                    spec.unit != "iso"
                    and cell.text
                    and BARE.fullmatch(cell.text)
                    and chance.happens(0.8)
                ):
                    cell = replace(cell, json=cell.text)
            else:
                cell = value(chance, kind, number, is_json=True)
                cell = secret(chance, spec, path, cell, number)
            cells[path] = cell
        folders = sorted({path[:1] for path in cells if len(path) > 1})
        if folders and chance.happens(0.01):  # what is no object has nothing below it
            gone = chance.choice(folders)
            cells = {path: cell for path, cell in cells.items() if path[:1] != gone}
            cells[gone] = Value(
                None, None, chance.choice(("5", '"x"', "null", "[]", "true", '[{"id":1}]'))
            )
        return cells

    def _members(self, chance: Chance, cells: dict[Path, Value]) -> tuple[Members, set[str]]:
        """Return the members of a record, and why it can't be kept as it is written."""
        root: dict[str, Any] = {}
        for path, cell in cells.items():
            place = root
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = cell
        faults: set[str] = set()
        members = self._object(chance, root, faults)
        used = {path[0] for path in self.spec.kinds()}
        for _ in range(chance.below(4)):
            name = text(chance)
            if name not in root and name not in used:
                members.append((name, self._extra(chance)))
        return (chance.shuffled(members) if self.is_loose else members), faults

    def _object(self, chance: Chance, folder: dict[str, Any], faults: set[str]) -> Members:
        members: Members = []
        for name, inner in folder.items():
            if isinstance(inner, dict):
                written_inner: Any = self._object(chance, inner, faults)
            else:
                written_inner = Token(inner.json) if inner.json is not None else inner.text
            members.append((name, written_inner))
            if chance.happens(0.002):
                faults.add("bad_value")
                members.append((name, chance.choice(members)[1]))
        return members

    def _extra(self, chance: Chance) -> Any:
        if chance.happens(0.01):
            depth = chance.choice((50, 500, 2000))
            return Token("[" * depth + "]" * depth)
        if chance.happens(0.05):
            return chance.choice(("\ud800", "a\udfff"))
        if chance.happens(0.05):
            return [("same", "1"), ("same", Token("2"))]
        return tree(chance, 2)


def random_lines(chance: Chance, spec: Spec) -> Lines:
    """Return how the lines of a file are written."""
    end = "\r\n" if chance.happens(0.15) else "\n"
    return Lines(spec, end, chance.happens(0.5), chance.choice((0.0, 0.02, 0.02, 0.1)))
