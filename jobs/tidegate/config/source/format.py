"""How the files of a source are written: the key `format` of a source file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tidegate.common.suggestions import hint
from tidegate.config.source.base import Model, shown
from tidegate.config.source.paths import split_path

ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-16": "utf-16",
    "utf16": "utf-16",
    "utf-16le": "utf-16le",
    "utf-16be": "utf-16be",
    "iso-8859-1": "iso-8859-1",
    "latin-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
}
"""Names of encodings that a source file may give, and the one name that each is known by."""

ACCESS_LOG = (
    "vhost",
    "host",
    "ident",
    "user",
    "time",
    "request",
    "method",
    "path",
    "protocol",
    "status",
    "bytes",
    "referer",
    "agent",
    "rest",
)
"""The columns of access logs."""
NO_VALUE = ("",)
"""What stands for no value, where a source file does not say."""
_MAX_SKIP = 10_000
_NEXT_LINE = "\x85"


class Format(Model):
    r"""How a file is written.

    Attributes:
        type: json is JSON objects, in any layout; csv is delimited text; access_log is what Apache and nginx write.
        records: json only: the path of the list that holds the records, in each object of a file.
        delimiter: csv only: one character.
        header: csv only: True if the first line names the columns, False if they have no names
            (they are then _c0, _c1, …), or the names themselves where the files don't have them.
        quote: csv only: one character, or None where quotes are plain text.
        escape: csv only: one character, such as a backslash, that makes the next one plain text: a quote or
            itself within quotes; a quote, a delimiter, a line break or itself outside. Before others it
            is plain text. None where there is none. A doubled quote is a quote in any case.
        null: csv only: texts that stand for no value, quoted or not. They replace the default, which is
            the empty text, and in an extended log `-` too.
        comment: csv only: how a line begins that is no record, or None where every line is one.
        skip: csv only: number of lines before the header, or before the first record, that are no records.
        encoding: csv only: of files without a byte order mark, one of `ENCODINGS`. A mark decides.

    """

    type: Literal["json", "csv", "parquet", "avro", "access_log"] = "json"
    records: str | None = None
    delimiter: str = ","
    header: bool | tuple[str, ...] = True
    quote: str | None = '"'
    escape: str | None = None
    null: tuple[str, ...] = NO_VALUE
    comment: str | None = None
    skip: Annotated[int, Field(ge=0, le=_MAX_SKIP)] = 0
    encoding: str = "utf-8"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"type": data}
        if isinstance(data, dict):
            # YAML reads the key `null` as no value unless it stands in quotes.
            return {("null" if key is None else key): value for key, value in data.items()}
        if isinstance(data, Format):
            return data
        raise ValueError(
            f"expected json, csv, parquet, avro, access_log or {{type: csv, …}}, got {shown(data)}"
        )

    @field_validator("records")
    @classmethod
    def _is_path(cls, path: str | None) -> str | None:
        if path is not None:
            split_path(path)
        return path

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, text: str) -> str:
        if text == r"\t":
            raise ValueError(
                r'expected one character, got a backslash and a t; write "\t" in double quotes'
            )
        if len(text) != 1 or text in "\r\n":
            raise ValueError(f"expected exactly one character, got {text!r}")
        return text

    @field_validator("quote", "escape")
    @classmethod
    def _character_or_none(cls, text: str | None) -> str | None:
        if text is not None and (len(text) != 1 or text in "\r\n"):
            raise ValueError(f"expected exactly one character or null, got {text!r}")
        return text

    @field_validator("header", mode="before")
    @classmethod
    def _header(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        if not isinstance(value, list | tuple):
            raise ValueError(f"expected true, false or a list of names, got {shown(value)}")
        names = tuple(value)
        if not names or not all(isinstance(n, str) and n for n in names):
            raise ValueError(f"expected a list of names, none empty, got {shown(value)}")
        twice = sorted({n for n in names if [m.lower() for m in names].count(n.lower()) > 1})
        if twice:
            raise ValueError(f"names are given twice: {', '.join(twice)}")
        return names

    @field_validator("null", mode="before")
    @classmethod
    def _null(cls, value: Any) -> Any:
        texts = (value,) if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
            raise ValueError(
                "expected a list of texts that stand for no value, such as ['', 'NULL', '\\N'], each in "
                f"single quotes, got {shown(value)}"
            )
        if _NEXT_LINE in texts:
            raise ValueError(
                "got U+0085, which YAML makes of \"\\N\" in double quotes; write '\\N' in single quotes"
            )
        return tuple(dict.fromkeys(texts))

    @field_validator("comment")
    @classmethod
    def _comment(cls, text: str | None) -> str | None:
        if text is not None and (not text or "\n" in text or "\r" in text):
            raise ValueError(f"expected how such a line begins, such as '#', got {text!r}")
        return text

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, text: str) -> str:
        known = ENCODINGS.get(text.strip().lower().replace("_", "-"))
        if known is None:
            names = list(dict.fromkeys(ENCODINGS.values()))
            raise ValueError(f"unknown encoding {text!r}; {hint(text, names)}")
        return known

    @model_validator(mode="after")
    def _agrees(self) -> Format:
        given = self.model_fields_set - {"type"}
        if self.type != "json" and "records" in given:
            raise ValueError(f"only json takes records; this is {self.type}")
        extra = sorted(given - {"records"})
        if self.type != "csv" and extra:
            raise ValueError(f"only csv takes {', '.join(extra)}; this is {self.type}")
        if self.type == "csv" and self.delimiter == self.quote:
            raise ValueError(f"delimiter and quote are the same: {self.quote!r}")
        if self.escape is not None and self.escape == self.delimiter:
            raise ValueError(f"delimiter and escape are the same: {self.escape!r}")
        if self.escape is not None and self.escape == self.quote:
            raise ValueError(
                f"escape: a doubled quote is read as one quote already; leave out escape: {self.escape!r}"
            )
        if self.comment is not None and self.comment[0] in (self.delimiter, self.quote):
            raise ValueError(
                f"comment: {self.comment!r} begins like a record, with the delimiter or the quote"
            )
        return self

    @property
    def is_flat(self) -> bool:
        """Whether a record has columns of text, and no objects."""
        return self.type in ("csv", "access_log")

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of all columns, where no file has to be read to know them."""
        if self.type == "access_log":
            return ACCESS_LOG
        return self.header if isinstance(self.header, tuple) else None

    @property
    def may_be_extended_log(self) -> bool:
        """Whether a file's first line decides if `-` is a value."""
        return self.type == "csv" and self.delimiter in "\t " and self.null == NO_VALUE

    @property
    def path(self) -> tuple[str, ...] | None:
        """The names of `records`, or None where each object of a file is a record."""
        return split_path(self.records) if self.records is not None else None

    def definition(self) -> dict[str, Any]:
        """Return what decides rows, as JSON.

        Options that came later are left out at their defaults: what the format of an existing source
        is known by must not change.
        """
        if self.type != "csv":
            return {"type": self.type, **({"records": self.records} if self.records else {})}
        options = self.model_dump(mode="json")
        default = Format().model_dump(mode="json")
        later = ("records", "escape", "null", "comment", "skip", "encoding")
        return {k: v for k, v in options.items() if k not in later or v != default[k]}
