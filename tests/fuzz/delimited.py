"""Records of delimited text, in random dialects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from corpus.chance import Chance
from fuzz.chances import weighted
from fuzz.dialects import Dialect, known_options, random_dialect
from fuzz.model import NOTHING, Expected, Path, Value, Written, quarantined
from fuzz.records import outcome, secret, secrets
from fuzz.sources import Spec, random_source
from fuzz.texts import text
from fuzz.times import event_time
from fuzz.values import of_text, value

_TRIES = 6
_NO_UTF8 = "\udcff"
"""A byte that is no UTF-8, once it is encoded with `surrogateescape`."""


@dataclass(frozen=True)
class Table:
    """How the records of a file are written.

    Attributes:
        spec: the source.
        dialect: of the file.
        columns: what each is called, in their order; a path for those that are used, a text for others.
        faults: how often a record can't be told apart into its columns.
    """

    spec: Spec
    dialect: Dialect
    columns: tuple[Path | str, ...]
    faults: float

    def head(self, chance: Chance) -> str:
        """Return what stands before the records."""
        lines = [text(chance).replace("\n", " ") + "\n" for _ in range(self.dialect.skip)]
        lines = [
            line if self.dialect.is_text(line) and line[0] != "#" else "skipped\n" for line in lines
        ]
        if self.dialect.header is True:
            names = [name if isinstance(name, str) else name[0] for name in self.columns]
            fields = self._fields(chance, names)
            assert fields is not None, "names can be written in each dialect"
            lines.append(self.dialect.delimiter.join(fields) + self.dialect.end)
        return "".join(lines)

    def record(self, chance: Chance, number: int, *, is_first: bool) -> Written:
        """Return a record, or a comment.

        Args:
            chance: that decides.
            number: of the record.
            is_first: whether it is the first one of the file, by which the columns may be counted.
        """
        for _ in range(_TRIES):
            cells = [self._cell(chance, column, number) for column in self.columns]
            texts = [self._null(chance) if cell.text is None else cell.text for cell in cells]
            fields = self._fields(chance, texts)
            if fields is not None:
                break
        else:
            cells = [self._empty(column) for column in self.columns]
            texts = ["" for _ in self.columns]
            fields = self._fields(chance, texts) or []
        may_fail = not (is_first and self.dialect.header is False)
        line = self.dialect.delimiter.join(fields)
        if may_fail and chance.happens(self.faults):
            return self._faulty(chance, fields)
        return self._written(line, self._expected(line, cells, texts), secrets(cells))

    def _written(
        self, line: str, expected: Expected | None, hidden: tuple[str, ...] = ()
    ) -> Written:
        whole = line + self.dialect.end
        return Written(
            whole.encode("utf-8", "surrogateescape"), expected, whole.count("\n"), hidden
        )

    def _expected(self, line: str, cells: list[Value], texts: list[str]) -> Expected:
        raw = line.encode() + self.dialect.end[:-1].encode()
        kept = raw if not self.spec.pii else None
        if not raw.strip(b" \t\r"):
            return quarantined("blank_line", raw=kept)
        by_path = {
            column: cell
            for column, cell in zip(self.columns, cells, strict=True)
            if not isinstance(column, str)
        }
        expected = outcome(self.spec, by_path)
        if self.spec.pii:
            return expected
        members = {
            name: words
            for name, words in zip(self._names(), texts, strict=True)
            if words not in self.dialect.null
        }
        return replace(expected, raw=raw, members=members)

    def _names(self) -> list[str]:
        """Return what columns are called in `properties`."""
        if self.dialect.header is False:
            return [f"_c{at}" for at in range(len(self.columns))]
        names: list[str] = []
        for at, column in enumerate(self.columns):
            name = column if isinstance(column, str) else column[0]
            names.append(name if name and name not in names else f"_c{at}")
        return names

    def _cell(self, chance: Chance, column: Path | str, number: int) -> Value:
        if isinstance(column, str):
            words = text(chance, 0.3)
            cell = Value(words, words)
        else:
            kind = self.spec.kinds()[column]
            if kind == "event_time":
                spec = self.spec
                cell = event_time(chance, spec.unit, spec.late, spec.future, spec.clock)
            else:
                cell = value(chance, kind, number, is_json=False)
                cell = secret(chance, self.spec, column, cell, number)
        if cell.text is None and not self.dialect.null:
            return self._empty(column)
        if cell.text is not None and (
            cell.text in self.dialect.null or not self.dialect.is_text(cell.text)
        ):
            return NOTHING if self.dialect.null else self._empty(column)
        return cell

    def _empty(self, column: Path | str) -> Value:
        if "" in self.dialect.null:
            return NOTHING
        return of_text("", "string" if isinstance(column, str) else self.spec.kinds()[column])

    def _null(self, chance: Chance) -> str:
        return chance.choice(self.dialect.null)

    def _fields(self, chance: Chance, texts: list[str]) -> list[str] | None:
        fields = []
        for at, words in enumerate(texts):
            field = self.dialect.field(chance, words, is_first=not at, is_last=at == len(texts) - 1)
            if field is None:
                return None
            fields.append(field)
        return fields

    def _faulty(self, chance: Chance, fields: list[str]) -> Written:
        """Return a record that can't be told apart into its columns, or that is a comment."""
        dialect = self.dialect
        kinds = [(4, "wrong_columns"), (1, "blank_line")]
        if dialect.quote is not None:
            kinds.append((2, "bad_quotes"))
        if dialect.encoding == "utf-8":
            kinds.append((2, "not_utf8"))
        if dialect.comment is not None:
            kinds.append((3, "comment"))
        kind = weighted(chance, kinds)
        plain = ["x"] * len(fields)
        if kind == "wrong_columns":
            count = chance.choice((len(fields) + 1, len(fields) + 5, len(fields) - 1))
            line = dialect.delimiter.join(["x"] * max(count, 1))
            if max(count, 1) == len(fields):
                line += dialect.delimiter + "x"
        elif kind == "blank_line":
            line = chance.choice(("", "", " ", "\t", "  "))
            if dialect.delimiter in line:
                line = ""
        elif kind == "bad_quotes":
            quote = dialect.quote or ""
            plain[0] = chance.choice((f"{quote}a{quote}b", f"{quote}{quote}x", f"{quote}a{quote} "))
            if dialect.delimiter == " ":
                plain[0] = f"{quote}a{quote}b"
            line = dialect.delimiter.join(plain)
        elif kind == "not_utf8":
            line = dialect.delimiter.join([_NO_UTF8 + "y", *plain[1:]])
        else:
            line = f"{dialect.comment}{text(chance, 0.2)}".replace("\n", "").replace("\r", "")
            if not dialect.is_text(line):
                line = dialect.comment or ""
            return self._written(line, None)
        raw = (line + dialect.end[:-1]).encode("utf-8", "surrogateescape")
        return self._written(line, quarantined(kind, raw=None if self.spec.pii else raw))


def random_table(chance: Chance) -> Table:
    """Return a source of delimited text, and how its files are written."""
    dialect = random_dialect(chance)
    shape = weighted(chance, [(8, "header"), (3, "listed"), (2, "none")])
    spec = random_source(chance, {"type": "csv"}, is_flat=True)
    used: list[Path | str] = list(spec.kinds())
    extras: list[Path | str] = [f"extra{at}" for at in range(chance.below(4))]
    if shape == "header" and extras and chance.happens(0.3):
        extras += [extras[0], ""] if len(extras) > 1 else [""]
    columns = chance.shuffled(used + extras)
    if len(columns) == 1:
        columns.append("other")
    if shape == "listed":
        header = [column if isinstance(column, str) else column[0] for column in columns]
        dialect = replace(dialect, header=header)
    elif shape == "none":
        # A first record of nothing but spaces says not how many columns there are.
        delimiter = dialect.delimiter if dialect.delimiter.strip() else ","
        dialect = replace(dialect, header=False, delimiter=delimiter)
        renamed: dict[Path, Path] = {
            column: (f"_c{at}",) for at, column in enumerate(columns) if not isinstance(column, str)
        }
        spec = _renamed(spec, renamed)
        columns = [column if isinstance(column, str) else renamed[column] for column in columns]
    names = [column if isinstance(column, str) else column[0] for column in columns]
    if (
        not all(map(dialect.is_text, names))
        or dialect.delimiter in "".join(names)
        or dialect.quote == "'"
    ):
        dialect = replace(dialect, encoding="utf-8", quote='"')
    spec = replace(spec, form=known_options(dialect.options()))
    return Table(spec, dialect, tuple(columns), chance.choice((0.0, 0.0, 0.03, 0.15)))


def _renamed(spec: Spec, names: Mapping[Path, Path]) -> Spec:
    """Return a source that reads columns by other names."""
    fields = {name: names[path] for name, path in spec.fields.items()}
    columns = {name: (names[path], kind) for name, (path, kind) in spec.columns.items()}
    pii = {names[path]: what for path, what in spec.pii.items()}
    return replace(spec, fields=fields, columns=columns, pii=pii)
