"""How delimited text is written: dialects, and values in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corpus.chance import Chance
from fuzz.chances import weighted

ENCODINGS = {
    "utf-8": "utf-8",
    "utf-16": "utf-16",
    "utf-16le": "utf-16le",
    "utf-16be": "utf-16be",
    "latin-1": "latin-1",
}
ENCODINGS["windows-1252"] = "cp1252"
"""Encodings as source files name them, and as Python does."""


@dataclass(frozen=True)
class Dialect:
    """How a file is written; see `tidegate.config.source.format.Format`."""

    delimiter: str
    quote: str | None
    escape: str | None
    null: tuple[str, ...]
    comment: str | None
    skip: int
    encoding: str
    header: Any
    end: str

    def options(self) -> dict[str, Any]:
        """Return the format as a source file has it; some defaults are left out."""
        out: dict[str, Any] = {"type": "csv", "header": self.header, "null": list(self.null)}
        out |= {"delimiter": self.delimiter, "quote": self.quote}
        for name in ("escape", "comment", "skip"):
            if getattr(self, name):
                out[name] = getattr(self, name)
        if self.encoding != "utf-8":
            out["encoding"] = self.encoding
        return out

    def is_text(self, text: str) -> bool:
        """Return whether the encoding has the characters of a text."""
        try:
            text.encode(ENCODINGS[self.encoding])
        except UnicodeEncodeError:
            return False
        return True

    def field(self, chance: Chance, text: str, *, is_first: bool, is_last: bool) -> str | None:
        """Return how a text is written as a field; None where the dialect can't say it.

        Args:
            chance: that decides where there are several ways.
            text: of the field.
            is_first: whether a record begins with it.
            is_last: whether a record ends with it.
        """
        bare = self._bare(chance, text, is_first=is_first, is_last=is_last)
        if self.quote is None:
            return bare
        if bare is not None and chance.happens(0.8):
            return bare
        return self._quoted(chance, text)

    def _bare(self, chance: Chance, text: str, *, is_first: bool, is_last: bool) -> str | None:
        if self.quote is not None and text.startswith(self.quote) and self.escape is None:
            return None
        # A file whose first line begins with a directive of W3C logs would be one.
        if is_first and text.startswith(("#", self.comment or "#")):
            return None
        if is_last and text.endswith("\r"):
            return None
        if self.escape is None:
            return None if self.delimiter in text or "\n" in text else text
        marks = [self.delimiter, "\n", *([self.quote] if self.quote is not None else [])]
        return self._escaped(chance, text, dict.fromkeys(marks))

    def _quoted(self, chance: Chance, text: str) -> str:
        assert self.quote is not None
        doubled = self.quote if self.escape is None or chance.happens(0.5) else None
        return self.quote + self._escaped(chance, text, {self.quote: doubled}) + self.quote

    def _escaped(self, chance: Chance, text: str, marks: Mapping[str, str | None]) -> str:
        """Return a text with a character before each mark: the one that is given, or the escape.

        Where an escape is text because of what follows it, it may stay as it is.
        """
        out = ""
        for at, char in enumerate(text):
            after = text[at + 1 : at + 2]
            if char in marks:
                out += f"{marks[char] or self.escape}{char}"
            elif char == self.escape:
                is_text = after and after not in marks and after not in (self.escape, "\r")
                out += char if is_text and chance.happens(0.5) else char * 2
            else:
                out += char
        return out


def random_dialect(chance: Chance) -> Dialect:
    """Return a dialect, mostly one that is in use. Its header is decided later."""
    delimiter = weighted(
        chance,
        [(10, ","), (4, "\t"), (3, ";"), (2, "|"), (1, "\x01"), (1, "¦"), (1, " "), (1, ":")],
    )
    encoding = weighted(chance, [(14, "utf-8"), *((1, name) for name in list(ENCODINGS)[1:])])
    if encoding != "utf-8" and delimiter == "¦" and encoding.startswith("utf") is False:
        delimiter = ";"
    quote = weighted(chance, [(12, '"'), (3, None), (1, "'"), (1, "`")])
    escape = weighted(chance, [(8, None), (3, "\\"), (1, "^")])
    null = weighted(
        chance, [(6, ("",)), (2, ("", "NULL")), (2, ("\\N",)), (1, ("", "-", "null")), (1, ())]
    )
    comment = weighted(chance, [(10, None), (2, "#"), (1, "//")])
    skip = weighted(chance, [(12, 0), (1, 1), (1, 3)])
    end = "\r\n" if chance.happens(0.25) else "\n"
    return Dialect(delimiter, quote, escape, null, comment, skip, encoding, True, end)


def known_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options without those at their default, as people leave them out."""
    default = {"delimiter": ",", "quote": '"', "null": [""], "header": True}
    return {name: value for name, value in options.items() if default.get(name, ...) != value}
