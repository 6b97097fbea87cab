"""Samples read: which files, of what format, and the first lines of each as records."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from tidegate.dumps import Samples, read_manifest
from tidegate.errors import TidegateError
from tidegate.hour_files import DumpFile
from tidegate.landing.decoding import is_utf8
from tidegate.landing.errors import UnreadableError
from tidegate.peek import HEAD_BYTES, describe
from tidegate.propose.text import Dialect, guess_dialect, json_record, split_line
from tidegate.rendering import clipped
from tidegate.settings import S3Access
from tidegate.source import Format

MOST_FILES = 10_000
"""Files that are listed of a sample."""
MOST_READ = 48
"""Files that are looked into, spread over those that are listed."""
MOST_BYTES = 64 << 20
"""Bytes that are read of all files together, unpacked."""
_LONGEST = 1 << 20
"""Bytes of a line: a longer one is quarantined when it is landed."""
_SHOWN = 60
_PARQUET = Format(type="parquet")
_TEXT = Format(type="json")


@dataclass
class Record:
    """A line, or a row, that could be read.

    Attributes:
        uri: of its file.
        values: what it holds, by name; text of delimited files, None where there is none.
        identity: equal for lines that are equal.
    """

    uri: str
    values: dict[str, Any]
    identity: int


@dataclass
class Sampled:
    """What was read.

    Attributes:
        kind: json, csv or parquet.
        files: all that were listed.
        beside: markers, manifests and other hidden files next to them.
        read: how many files were looked into.
        records: their first lines.
        lines: how many lines that was, blank and broken ones among them, headers not.
        broken: how many of them are none of the format's, and where the first is.
        whole: whether nothing was left unread.
        dialect: of delimited text.
        notes: what a human has to know of it.
    """

    kind: str
    files: list[DumpFile]
    beside: list[DumpFile]
    read: int = 0
    records: list[Record] = field(default_factory=list)
    lines: int = 0
    broken: int = 0
    first_broken: str = ""
    whole: bool = True
    dialect: Dialect | None = None
    notes: list[str] = field(default_factory=list)

    def spoil(self, where: str) -> None:
        """Count a broken line."""
        self.broken += 1
        self.first_broken = self.first_broken or where


@dataclass
class _Head:
    """The beginning of a file."""

    file: DumpFile
    kind: str
    lines: list[bytes] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def read_samples(places: Sequence[str], s3: S3Access, lines: int) -> Sampled:
    """Return the first lines of samples.

    Args:
        places: files, folders and `s3://` URIs.
        s3: how S3 is reached.
        lines: to read of all files together, at most.

    Raises:
        TidegateError: there is nothing to read, or it is nothing that can be landed.
    """
    files: dict[str, tuple[Samples, DumpFile]] = {}
    beside: dict[str, tuple[Samples, DumpFile]] = {}
    for place in places:
        found = Samples(place, s3, MOST_FILES)
        files.update({file.uri: (found, file) for file in found.files})
        beside.update({file.uri: (found, file) for file in found.beside})
    manifests = {
        uri: each for uri, each in files.items() if len(files) > 1 and _is_manifest(each[1])
    }
    listed = {uri: each for uri, each in files.items() if uri not in manifests}
    beside, told = _understood({**beside, **manifests})
    if not listed:
        raise TidegateError(
            "no sample to read",
            where=", ".join(places),
            expected="files of events (.json, .jsonl, .csv, .tsv, .parquet; plain or .gz)",
            got="hidden files, markers or manifests only" if beside else "no file",
            todo="give a file of a dump, or a folder of dumps",
        )
    heads, notes, whole = _heads(_spread(list(listed.values())), lines)
    if len(files) >= MOST_FILES:
        notes.append(f"only the first {MOST_FILES:,} files of a sample were listed")
    kind = _one_kind(heads)
    sampled = Sampled(
        kind,
        [file for _, file in listed.values()],
        [file for _, file in beside.values()],
        len(heads),
        whole=whole and len(listed) <= MOST_READ,
        notes=[*told, *notes],
    )
    {"json": _json, "csv": _csv, "parquet": _parquet}[kind](heads, sampled)
    _refuse_broken(sampled, heads)
    return sampled


def _is_manifest(file: DumpFile) -> bool:
    return "manifest" in PurePosixPath(file.name).name.casefold()


def _understood(
    beside: dict[str, tuple[Samples, DumpFile]],
) -> tuple[dict[str, tuple[Samples, DumpFile]], list[str]]:
    """Return what lies beside data without manifests that say nothing to Tidegate, and why they don't."""
    wrong: dict[str, str] = {}
    tried: set[str] = set()
    for samples, file in beside.values():
        name = PurePosixPath(file.name).name
        if not _is_manifest(file) or name in tried:
            continue
        tried.add(name)
        try:
            read_manifest(samples.read(file, 0, _LONGEST))
        except ValueError as error:
            wrong[name] = clipped(str(error), 120)
    kept = {
        uri: each for uri, each in beside.items() if PurePosixPath(each[1].name).name not in wrong
    }
    return kept, [f"{name} is no manifest that can be used: {why}" for name, why in wrong.items()]


def _spread(files: list[tuple[Samples, DumpFile]]) -> list[tuple[Samples, DumpFile]]:
    if len(files) <= MOST_READ:
        return files
    step = (len(files) - 1) / (MOST_READ - 1)
    return [files[round(at * step)] for at in range(MOST_READ)]


def _heads(
    files: Sequence[tuple[Samples, DumpFile]], lines: int
) -> tuple[list[_Head], list[str], bool]:
    """Return the beginnings of files, what to know of those that can't be read, whether all was read."""
    heads: list[_Head] = []
    notes: list[str] = []
    faults: list[str] = []
    left, room, whole = lines, MOST_BYTES, True
    for at, (samples, file) in enumerate(files):
        share = max(-(-left // (len(files) - at)), 1)
        first = samples.read(file, 0, HEAD_BYTES) if file.size else b""
        is_parquet = file.name.endswith(".parquet") or first.startswith(b"PAR1")
        form = _PARQUET if is_parquet else _TEXT
        fault = samples.fault(file, form) or _untold_binary(file, first)
        if fault is not None:
            faults.append(fault)
            continue
        head = _Head(file, form.type)
        if is_parquet:
            head.rows, ended = _rows(samples, file, share)
        else:
            bound = max(room // (len(files) - at), _LONGEST)
            ended, used, told = _text_lines(samples, file, share, bound, head.lines)
            room = max(room - used, 0)
            if not ended and not head.lines:
                faults.append(f"{file.name}: its first line is longer than {_LONGEST:,} bytes")
                continue
            if told:
                notes.append(told)
        if not ended:
            whole = False
        left = max(left - len(head.lines) - len(head.rows), 0)
        heads.append(head)
    if faults and not heads:
        raise TidegateError(
            "no sample can be read",
            where=", ".join(file.uri for _, file in files[:3]),
            expected="lines of JSON or delimited text, plain or .gz, or Parquet",
            got="; ".join(clipped(fault, 200) for fault in faults[:3]),
            todo="give other samples, or have these written again",
        )
    notes += [f"not read: {fault}" for fault in faults[:5]]
    if len(faults) > 5:
        notes.append(f"not read: and {len(faults) - 5} files more")
    return heads, notes, whole


def _untold_binary(file: DumpFile, head: bytes) -> str | None:
    if b"\x00" in head and not head.startswith(b"PAR1") and not file.name.endswith(".gz"):
        return f"{file.name}: expected text, got {describe(head)}"
    return None


def _text_lines(
    samples: Samples, file: DumpFile, most: int, bound: int, lines: list[bytes]
) -> tuple[bool, int, str | None]:
    """Append the first lines of a file; return whether that is all, the bytes read, what is wrong."""
    held, used = b"", 0
    try:
        for piece in samples.stream(file):
            used += len(piece)
            *ended, held = (held + piece).split(b"\n")
            lines += ended[: most - len(lines) + 1]
            if len(lines) > most or used > bound or len(held) > _LONGEST:
                del lines[most + 1 :]
                return False, used, None
    except UnreadableError as error:
        return True, used, f"{file.name}: {error.reason}; its first {len(lines)} lines were read"
    if held:
        lines.append(held)
    return True, used, None


class _File(io.RawIOBase):
    """A sample as a file that can be read at any place, as Parquet needs it."""

    def __init__(self, samples: Samples, file: DumpFile) -> None:
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

    def read(self, size: int = -1) -> bytes:
        left = max(self._file.size - self._at, 0)
        found = self._samples.read(self._file, self._at, left if size < 0 else min(size, left))
        self._at += len(found)
        return found


def _rows(samples: Samples, file: DumpFile, most: int) -> tuple[list[dict[str, Any]], bool]:
    """Return the first rows of a Parquet file, and whether they are all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    try:
        # A file object of Python's is closed with its reader.
        with pq.ParquetFile(pa.PythonFile(_File(samples, file), mode="r")) as parquet:
            for batch in parquet.iter_batches(batch_size=min(most, 1_000)):
                rows += batch.to_pylist()
                if len(rows) >= most:
                    break
            return rows[:most], parquet.metadata.num_rows <= most
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TidegateError(
            "a Parquet file can't be read",
            where=file.uri,
            got=clipped(str(error), 200),
            todo="have it written again, or give other samples",
        ) from error


def _one_kind(heads: Sequence[_Head]) -> str:
    """Return the format of all samples.

    Raises:
        TidegateError: they have several, or no line at all.
    """
    kinds: dict[str, list[str]] = {}
    for head in heads:
        if head.kind == "parquet":
            kinds.setdefault("parquet", []).append(head.file.uri)
            continue
        first = next((line for line in head.lines if line.strip()), None)
        if first is not None:
            kinds.setdefault(_text_kind(head, first), []).append(head.file.uri)
    if not kinds:
        raise TidegateError(
            "the samples have no line",
            where=", ".join(head.file.uri for head in heads[:3]),
            expected="files with events in them",
            got=f"{len(heads)} empty file{'s' if len(heads) > 1 else ''}",
            todo="give other samples",
        )
    if len(kinds) > 1:
        told = "; ".join(f"{kind}: {len(uris)}, such as {uris[0]}" for kind, uris in kinds.items())
        raise TidegateError(
            "the samples are of several formats",
            expected="samples of one source: all JSON, all delimited text, or all Parquet",
            got=told,
            todo="give those of one format; each is a source of its own",
        )
    return next(iter(kinds))


def _text_kind(head: _Head, first: bytes) -> str:
    clean = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    try:
        clean.decode()
    except UnicodeDecodeError as error:
        if all(not is_utf8(line) for line in head.lines[:20]):
            raise TidegateError(
                "a sample is not text",
                where=f"{head.file.uri}, line 1",
                expected="lines of UTF-8",
                got=describe(first),
                todo="give other samples, or have these written as UTF-8",
            ) from error
    if clean.startswith(b"{"):
        return "json"
    suffixes = {suffix.casefold() for suffix in PurePosixPath(head.file.name).suffixes}
    if clean.startswith(b"[") or suffixes & {".json", ".jsonl", ".ndjson"}:
        array = "; it looks like one JSON array" if clean.startswith(b"[") else ""
        raise TidegateError(
            "a sample is no JSON lines",
            where=f"{head.file.uri}, line {head.lines.index(first) + 1}",
            expected="one JSON object a line",
            got=repr(clipped(clean.decode(errors="replace"), _SHOWN)) + array,
            todo="have the events written one a line, or mend the file's name if it is csv",
        )
    return "csv"


def _numbered(head: _Head) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers."""
    for number, line in enumerate(head.lines, start=1):
        bare = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        yield number, bare.rstrip(b"\r")


def _json(heads: Iterable[_Head], found: Sampled) -> None:
    for head in heads:
        for number, line in _numbered(head):
            found.lines += 1
            try:
                values = json_record(line)
            except ValueError as error:
                found.spoil(f"{head.file.uri}, line {number}: {error}")
                continue
            found.records.append(Record(head.file.uri, values, hash(line)))


def _csv(heads: Sequence[_Head], found: Sampled) -> None:
    dialect = guess_dialect(
        [[line for _, line in _numbered(head)] for head in heads],
        is_tsv=all(".tsv" in head.file.name.casefold() for head in heads),
    )
    found.dialect = dialect
    for head in heads:
        names: Sequence[str] = dialect.names
        for number, line in _numbered(head):
            try:
                cells = split_line(line.decode(), dialect)
            except (UnicodeDecodeError, csv.Error) as error:
                found.lines += 1
                found.spoil(f"{head.file.uri}, line {number}: {error}")
                continue
            if dialect.header and number == 1:
                names = cells  # files of one source may have their columns in another order
                continue
            found.lines += 1
            if len(cells) != len(names):
                found.spoil(
                    f"{head.file.uri}, line {number}: expected {len(names)} columns, got {len(cells)}"
                )
                continue
            values = {name: cell or None for name, cell in zip(names, cells, strict=True) if name}
            found.records.append(Record(head.file.uri, values, hash(line)))


def _parquet(heads: Sequence[_Head], found: Sampled) -> None:
    from tidegate.rendering import plain

    for head in heads:
        for row in head.rows:
            found.lines += 1
            values = {name: plain(_without_decimals(value)) for name, value in row.items()}
            text = json.dumps(values, sort_keys=True)
            found.records.append(Record(head.file.uri, values, hash(text)))


def _without_decimals(value: object) -> object:
    """Return a value with its decimals as the numbers that landing reads them as."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _without_decimals(inner) for name, inner in value.items()}
    return value


def _refuse_broken(found: Sampled, heads: Sequence[_Head]) -> None:
    """Raise where most lines are none of the format's."""
    blank = Counter(line.strip() == b"" for head in heads for line in head.lines)[True]
    if found.records and found.broken - blank <= len(found.records):
        return
    if not found.lines:
        raise TidegateError(
            "the samples have no line but a header",
            where=heads[0].file.uri,
            expected="lines with events below it",
            todo="give other samples",
        )
    is_json = found.kind == "json"
    raise TidegateError(
        f"most lines of the samples are no {found.kind}",
        where=found.first_broken,
        expected="one JSON object a line"
        if is_json
        else "lines with as many columns as the header",
        got=f"{found.broken} of {found.lines} lines that can't be read",
        todo="give samples that are whole, or have the events written one a line",
    )
