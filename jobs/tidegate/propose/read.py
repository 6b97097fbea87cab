"""Samples read: which files, of what format, and the first records of each, by what lands them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from tidegate.common.errors import TidegateError
from tidegate.common.text_output import clipped
from tidegate.common.unreadable import UnreadableError
from tidegate.config.source import Format, parse_source
from tidegate.dumps.manifest import read_manifest
from tidegate.dumps.samples import Samples
from tidegate.landing.formats import reader_of
from tidegate.landing.plan import Plan
from tidegate.landing.records import Records
from tidegate.propose.formats import Head, guess_format
from tidegate.propose.text import guess_nulls
from tidegate.storage.files import StoredFile
from tidegate.storage.s3 import S3Access

MOST_FILES = 10_000
"""Files that are listed of a sample."""
MOST_READ = 48
"""Files that are read, spread over those that are listed."""
MOST_BYTES = 64 << 20
"""Bytes that are read of all files together, as they are stored, about."""
_MOST_OF_ONE = 16 << 20
"""Bytes that are read of one file, as it is stored."""
_HEAD = 256 << 10
"""Bytes by which the format is guessed."""
_FEWEST = 4
_MANIFEST = 1 << 20
_SIDE_FILE = re.compile(r"\.(?:keys|headers)(?:\.[a-z]{1,8}){1,2}$")
"""What Kafka Connect writes beside the values: their keys and headers."""
_MOST_DIGITS = 400


@dataclass
class Record:
    """A record that could be read.

    Attributes:
        uri: of its file.
        values: what it holds, by name; text of delimited files; what has no value is not there.
        identity: equal for records that are equal.
    """

    uri: str
    values: dict[str, Any]
    identity: int


@dataclass
class Sampled:
    """What was read.

    Attributes:
        form: the format.
        files: all that were listed.
        beside: markers, manifests and other hidden files next to them.
        exclude: patterns of names of files that hold no events.
        read: the files that were read.
        most: how many records were read of each, at most.
        records: their first records.
        lines: how many that was, with those that can't be read.
        broken: how many of them are not the format's, and where the first is.
        whole: whether nothing was left unread.
        notes: what a human has to know of it.
        undecided: what could not be decided, and what to do next.
    """

    form: Format
    files: list[StoredFile]
    beside: list[StoredFile]
    exclude: tuple[str, ...]
    read: list[tuple[Samples, StoredFile]]
    most: int
    records: list[Record] = field(default_factory=list)
    lines: int = 0
    broken: int = 0
    first_broken: str = ""
    whole: bool = True
    notes: list[str] = field(default_factory=list)
    undecided: list[tuple[str, str]] = field(default_factory=list)


def read_samples(places: Sequence[str], s3: S3Access, lines: int) -> Sampled:
    """Return the first records of samples.

    Args:
        places: files, folders and `s3://` URIs.
        s3: how S3 is reached.
        lines: to read of all files together, at most.

    Raises:
        TidegateError: there is nothing to read, or it is nothing that can be landed.
    """
    listed, beside, exclude, notes = _listed(places, s3)
    chosen = _spread(listed)
    heads, readable, faults = _heads(chosen)
    notes += [f"not read: {fault}" for fault in faults[:5]]
    if len(faults) > 5:
        notes.append(f"not read: and {len(faults) - 5} files more")
    guess = guess_format(heads)
    most = -(-lines // len(readable))
    sampled = Sampled(guess.form, [file for _, file in listed], beside, exclude, readable, most)
    sampled.notes, sampled.undecided = notes, list(guess.undecided)
    _read(sampled)
    if not guess.has_nulls:
        nulls = guess_nulls(record.values for record in sampled.records)
        if nulls != ("",):
            sampled.form = sampled.form.model_copy(update={"null": nulls})
            _read(sampled)
    sampled.whole = sampled.whole and len(readable) == len(listed)
    _refuse_broken(sampled)
    return sampled


def _listed(
    places: Sequence[str], s3: S3Access
) -> tuple[list[tuple[Samples, StoredFile]], list[StoredFile], tuple[str, ...], list[str]]:
    """Return files of events, what lies beside them, patterns of other files, and what to know of it."""
    files: dict[str, tuple[Samples, StoredFile]] = {}
    beside: dict[str, tuple[Samples, StoredFile]] = {}
    notes = []
    for place in places:
        samples = Samples(place, s3, MOST_FILES)
        files.update({file.uri: (samples, file) for file in samples.files})
        beside.update({file.uri: (samples, file) for file in samples.beside})
    if len(files) >= MOST_FILES:
        notes.append(f"only the first {MOST_FILES:,} files of a sample were listed")
    sides = {uri: match[0] for uri in files if (match := _SIDE_FILE.search(uri))}
    if len(sides) == len(files):
        sides = {}
    manifests = {
        uri: pair
        for uri, pair in files.items()
        if len(files) > 1 and uri not in sides and _is_manifest(pair[1])
    }
    listed = [pair for uri, pair in files.items() if uri not in manifests and uri not in sides]
    usable, unusable = _usable({**beside, **manifests})
    if not listed:
        raise TidegateError(
            "no sample to read",
            where=", ".join(places),
            expected="files of events: JSON, delimited text, logs, Parquet or Avro; plain, .gz, .zst or .sz",
            got="hidden files, markers or manifests only" if usable or unusable else "no file",
            todo="give a file of a dump, or a folder of dumps",
        )
    exclude = tuple(dict.fromkeys(f"*{suffix}" for suffix in sides.values()))
    return listed, usable, exclude, [*notes, *unusable]


def _is_manifest(file: StoredFile) -> bool:
    return "manifest" in PurePosixPath(file.name).name.casefold()


def _usable(beside: dict[str, tuple[Samples, StoredFile]]) -> tuple[list[StoredFile], list[str]]:
    """Return what lies beside data without manifests that can't be used, and why they can't."""
    wrong: dict[str, str] = {}
    tried: set[str] = set()
    for samples, file in beside.values():
        name = PurePosixPath(file.name).name
        if not _is_manifest(file) or name in tried:
            continue
        tried.add(name)
        try:
            read_manifest(samples.read(file, 0, _MANIFEST))
        except ValueError as error:
            wrong[name] = clipped(str(error), 120)
    kept = [file for _, file in beside.values() if PurePosixPath(file.name).name not in wrong]
    return kept, [f"{name} is no manifest that can be used: {why}" for name, why in wrong.items()]


def _spread(files: list[tuple[Samples, StoredFile]]) -> list[tuple[Samples, StoredFile]]:
    """Return files from all over the list; the fewer, the larger they are."""
    usual = sorted(file.size for _, file in files)[len(files) // 2]
    most = min(MOST_READ, max(_FEWEST, MOST_BYTES // max(min(usual, _MOST_OF_ONE), 1)))
    if len(files) <= most:
        return files
    step = (len(files) - 1) / (most - 1)
    return [files[round(at * step)] for at in range(most)]


def _heads(
    files: Sequence[tuple[Samples, StoredFile]],
) -> tuple[list[Head], list[tuple[Samples, StoredFile]], list[str]]:
    """Return the beginnings of files, those files, and why the others can't be read.

    Raises:
        TidegateError: none of them can be read.
    """
    heads: list[Head] = []
    readable: list[tuple[Samples, StoredFile]] = []
    faults: list[str] = []
    for samples, file in files:
        first = samples.read(file, 0, 4) if file.size else b""
        binary = {b"PAR1": "parquet", b"Obj\x01": "avro"}.get(first, "json")
        if file.name.endswith(".parquet"):
            binary = "parquet"
        fault = samples.fault(file, Format.model_validate(binary))
        if fault is None:
            try:
                head = _head(samples, file) if binary == "json" else Head(file.uri, first, False)
            except UnreadableError as error:
                fault = f"{file.name}: {error.reason}"
        if fault is not None:
            faults.append(fault)
            continue
        heads.append(head)
        readable.append((samples, file))
    if not heads:
        raise TidegateError(
            "no sample can be read",
            where=", ".join(file.uri for _, file in files[:3]),
            expected="JSON, delimited text or logs, plain, .gz, .zst or .sz; Parquet; Avro",
            got="; ".join(clipped(fault, 200) for fault in faults[:3]),
            todo="give other samples, or have these written again",
        )
    return heads, readable, faults


def _head(samples: Samples, file: StoredFile) -> Head:
    pieces: list[bytes] = []
    size = 0
    for piece in samples.stream(file):
        pieces.append(piece)
        size += len(piece)
        if size > _HEAD:
            return Head(file.uri, b"".join(pieces)[:_HEAD], is_whole=False)
    return Head(file.uri, b"".join(pieces), is_whole=True)


# -- records ---------------------------------------------------------------------------------------


def opened(samples: Samples, file: StoredFile, form: Format) -> BinaryIO:
    """Return a sample as a stream that ends with `EnoughError` where too much is read of it."""
    if form.type == "parquet":
        return io.BufferedReader(_File(samples, file), 1 << 16)
    return io.BufferedReader(_Begin(samples, file), 1 << 20)


class EnoughError(Exception):
    """As much of a file was read as is read of a sample."""


class _File(io.RawIOBase):
    """A sample as a file that can be read at any place, as Parquet needs it."""

    def __init__(self, samples: Samples, file: StoredFile) -> None:
        self._samples, self._file, self._at = samples, file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        left = min(max(self._file.size - self._at, 0), len(buffer))
        data = self._samples.read(self._file, self._at, left)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Begin(_File):
    """A sample that is read from its beginning, and not much of it."""

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        if self._at >= _MOST_OF_ONE:
            raise EnoughError
        return super().readinto(buffer)


def _read(sampled: Sampled) -> None:
    """Read the first records of the files in the format that was guessed."""
    sampled.records, sampled.lines, sampled.broken, sampled.first_broken = [], 0, 0, ""
    sampled.whole = True
    faults: list[str] = []
    for samples, file in list(sampled.read):
        before = sampled.lines
        try:
            for records in _records(samples, file, sampled.form):
                _keep(records, file, sampled, before + sampled.most)
                if sampled.lines >= before + sampled.most:
                    sampled.whole = False
                    break
        except UnreadableError as error:
            faults.append(f"{file.name}: {error.reason}")
            sampled.read.remove((samples, file))
        except EnoughError:
            sampled.whole = False
            if sampled.lines == before:
                faults.append(
                    f"{file.name}: its first record is longer than {_MOST_OF_ONE:,} bytes"
                )
    if faults and not sampled.records:
        raise TidegateError(
            "no sample can be read",
            where=", ".join(file.uri for file in sampled.files[:3]),
            expected=f"files that can be read to their end as {sampled.form.type}",
            got="; ".join(clipped(fault, 200) for fault in faults[:3]),
            todo="give other samples, or have these written again",
        )
    sampled.notes += [
        note for fault in faults[:5] if (note := f"not read: {fault}") not in sampled.notes
    ]


def _records(samples: Samples, file: StoredFile, form: Format) -> Iterator[Records]:
    """Yield all records of a file, each whole in its `body`."""
    nothing = parse_source(
        {
            "source": "sample",
            "since": "2000-01-01T00",
            "dumps": "{dump_hour:%Y-%m-%d-%H}",
            "format": form,
            "fields": {"event_time": {"sql": "cast(null as timestamptz)"}},
        },
        Path("sample.yml"),
    )
    yield from reader_of(Plan(nothing), None).records(opened(samples, file, form), file.name)


def _keep(records: Records, file: StoredFile, sampled: Sampled, most: int) -> None:
    columns = [records.line, records.body, records.reason, records.detail]
    rows = zip(
        *(
            column.to_pylist() if column is not None else [None] * len(records)
            for column in columns
        ),
        strict=True,
    )
    for at, (line, body, reason, detail) in enumerate(rows):
        if sampled.lines >= most:
            return
        if records.skipped is not None and records.skipped[at]:
            continue
        sampled.lines += 1
        if reason is not None and body is None:
            sampled.broken += 1
            if not sampled.first_broken:
                sampled.first_broken = f"{file.uri}, line {line}: {reason}: {detail}"
            continue
        try:
            values = json.loads(body, parse_int=_whole)
        except RecursionError:
            continue  # it lands; what is so deep is proposed for nothing
        sampled.records.append(Record(file.uri, values, hash(body)))


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) < _MOST_DIGITS else digits


def _refuse_broken(sampled: Sampled) -> None:
    """Raise where most records are not the format's."""
    if sampled.records and sampled.broken <= len(sampled.records):
        return
    if not sampled.lines:
        raise TidegateError(
            "the samples have no line but a header",
            where=sampled.files[0].uri,
            expected="lines with events below it",
            todo="give other samples",
        )
    raise TidegateError(
        f"most lines of the samples are not {sampled.form.type}",
        where=sampled.first_broken,
        expected="JSON objects"
        if sampled.form.type == "json"
        else "lines with as many columns as the first",
        got=f"{sampled.broken} of {sampled.lines} lines that can't be read",
        todo="give samples that are whole, or have them written in a format that dags/sources/README.md lists",
    )
