"""The dumps: which files an hour has, whether all are there, and are what they say they are.

The only module that talks to S3 through boto3. A local folder is read by the same rules.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from tidegate.common.durations import duration_text
from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hours import HOUR, hour_text
from tidegate.common.suggestions import hint
from tidegate.common.unreadable import UnreadableError
from tidegate.config.settings import S3Access
from tidegate.config.source import Format, Source
from tidegate.dumps.file_format import HEAD_BYTES, file_fault
from tidegate.dumps.hour_files import (
    DumpFile,
    HourFiles,
    HourNames,
    Repeated,
    is_hidden,
    is_visible,
)
from tidegate.dumps.repeated_files import left_out, same_bytes
from tidegate.dumps.unpack import unpacked
from tidegate.storage.local import LAND_AGAIN, LocalStore, replaced

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PaginatorConfigTypeDef

_CHUNK = 65_536
_MAX_MANIFEST = 1 << 26
_MAX_COUNT = 1 << 53
"""The largest whole number that every writer of JSON can write."""
_LOOKERS = 8
_PAGE = 1000
"""Files a page of a listing: the most that S3 gives."""


@dataclass(frozen=True)
class Completeness:
    """Whether a dump is complete, and why or why not, in words.

    Attributes:
        complete: whether it is.
        why: in words.
        quiet_in: what quiet is still needed, if it is known that nothing else is.
    """

    complete: bool
    why: str
    quiet_in: timedelta | None = None


@dataclass(frozen=True)
class Declared:
    """What a manifest says of a file, or of all files; None where it says nothing.

    Attributes:
        size: bytes, as stored.
        rows: lines, headers not counted.

    """

    size: int | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Manifest:
    """What a manifest declares.

    Attributes:
        files: by the names of the files.
        whole: of all files together.

    """

    files: Mapping[str, Declared]
    whole: Declared = Declared()


class ManifestError(TidegateError):
    """A manifest can't be understood."""


class Dumps:
    """The dumps of one source.

    Args:
        source: the source; its template says which files belong to an hour.
        s3: how S3 is reached; not used for local dumps.
        root: replaces the root of the template (`--dumps`): a URI or a local folder.

    """

    def __init__(self, source: Source, s3: S3Access, root: str | None = None) -> None:
        self.source = source
        self.template = source.dumps if root is None else source.dumps.with_root(root)
        self._store = _open_store(self.template.root, s3)

    def files(self, hour: datetime) -> list[DumpFile]:
        """Return the files of an hour's dump; see `hour_files`."""
        return list(self.hour_files(hour).read)

    def hour_files(self, hour: datetime) -> HourFiles:
        """Return the files of an hour's dump, by name, and what else is there; none where the hour has none.

        Markers, manifests, hidden (`_`, `.`) and unfinished (`.tmp`, `.part`, …) files are no data. A
        file that can't be read has its fault. So has the hour's folder, in place of its files, where
        that can't be listed. Where the source reads repeated files once, the others are left out.

        Raises:
            TidegateError: the bucket or folder can't be listed.

        """
        return self._with_etags(hour, self._hour_files(hour, self._listing(self._prefix(hour))))

    def files_by_hour(self, hours: Iterable[datetime]) -> dict[datetime, list[DumpFile]]:
        """Return the files of each hour's dump; see `hour_files`.

        Hours whose files lie under one prefix are listed together, however many keys there are.

        Raises:
            TidegateError: the bucket or folder can't be listed.

        """
        listed = sorted(set(hours))
        prefixes = sorted({self._prefix(hour) for hour in listed})
        with ThreadPoolExecutor(max_workers=_LOOKERS) as pool:
            found = dict(zip(prefixes, pool.map(self._listing, prefixes), strict=True))
        return {
            hour: list(
                self._with_etags(hour, self._hour_files(hour, found[self._prefix(hour)])).read
            )
            for hour in listed
        }

    def with_repeated(self, files: HourFiles) -> HourFiles:
        """Return files with those that have the same bytes as another one, where they are read all the same.

        Raises:
            TidegateError: the storage can't be reached.
        """
        if not files.repeats_are_read:
            return files
        groups = same_bytes(files.read, self._store.open)
        repeated = [Repeated(each.name, group[0].name) for group in groups for each in group[1:]]
        return replace(files, repeated=tuple(sorted(repeated, key=lambda each: each.name)))

    def what_is_there(self, most: int = 3) -> str:
        """Return in words what lies below the template's root: the first names, or why they can't be listed."""
        try:
            names = [file.name for file in self._store.walk("", most + 1)]
        except TidegateError as error:
            return f"{self.template.root} can't be listed: {error.got}"
        more = ", …" if len(names) > most else ""
        return f"{self.template.root} has {', '.join(names[:most]) or 'no files'}{more}"

    def completeness(self, hour: datetime, now: datetime) -> Completeness:
        """Return whether an hour's dump is complete, by the way that its source names.

        Args:
            hour: the dump hour.
            now: the time by this machine's clock; for the quiet time, which counts from the newest file
                and not before the hour has ended. Where S3 tells its own time, that one counts, since
                it is what S3 dates files by.

        Raises:
            TidegateError: the bucket or folder can't be read.

        """
        listed = self._hour_files(hour, self._listing(self._prefix(hour)))
        files = list(listed.read)
        ways = self.source.complete
        if ways.marker is not None:
            return self._by_marker(hour, listed)
        if ways.manifest is not None:
            return self._by_manifest(hour, listed)
        if not files:
            return Completeness(False, self._none(hour, listed))
        # Nobody vouches for these: what holds a place for a file that is still to come looks the same.
        hollow = [file.name for file in files if not file.size and file.fault is None]
        if hollow:
            more = f" and {len(hollow) - 1} more" if len(hollow) > 1 else ""
            return Completeness(
                False, f"{hollow[0]}{more} of {_count(files)}: not a byte in it yet"
            )
        if ways.files is not None:
            if len(files) > ways.files and self.source.repeated_files == "once":
                files = list(self._with_etags(hour, listed).read)
            faults = "".join(f"; {file.name}: {file.fault}" for file in files if file.fault)
            what = f"{len(files)} of {ways.files} files{faults}"
            if len(files) > ways.files:
                return Completeness(False, f"{what}: more than the source says")
            return Completeness(len(files) == ways.files, what)
        assert ways.after is not None
        now = self._store.clock() or now
        newest = max(file.modified for file in files)
        since = max(newest, hour + HOUR)
        quiet = max(now - since, now - now)
        reason = (
            f"the newest of {_count(files)} is of {newest:%Y-%m-%dT%H:%M:%SZ}"
            if since == newest
            else f"{_count(files)}, none newer than the end of the hour"
        )
        what = f"{reason}; quiet for {duration_text(quiet)}, {duration_text(ways.after)} needed"
        return Completeness(quiet >= ways.after, what, max(since + ways.after - now, now - now))

    def fault(self, file: DumpFile, form: Format | None = None) -> str | None:
        """Return why a file can't be read or in what it is not what its name says, or None.

        It is a look at the beginning only.

        Args:
            file: the file.
            form: how its files are written; the source's format unless given.

        Raises:
            TidegateError: the storage can't be reached.

        """
        if file.fault is not None:
            return f"{file.name}: {file.fault}"
        kind = form or self.source.format
        head = tail = b""
        try:
            if file.size:
                head = self._store.read(file.name, 0, _CHUNK)
            if kind.type == "parquet" and file.size >= 4:
                tail = self._store.read(file.name, file.size - 4, 4)
        except UnreadableError as error:
            return f"{file.name}: {error.reason}"
        return file_fault(file.name, file.size, head[:HEAD_BYTES], kind, tail)

    def download(self, file: DumpFile, to: Path) -> None:
        """Copy a data file, as it is stored, into a local one.

        Raises:
            TidegateError: it can't be read.
        """
        try:
            with closing(self._store.stream(file.name)) as chunks, to.open("wb") as copy:
                copy.writelines(chunks)
        except UnreadableError as error:
            raise _file_error(error, file) from error

    def opener(self, files: Iterable[DumpFile]) -> Opener:
        """Return what opens data files as streams, by name: each is the one that was listed, or an error."""
        return Opener(self._store, {file.name: file for file in files})

    def faults(self, files: Iterable[DumpFile]) -> dict[str, str]:
        """Return the faults of those files that have one, by name; see `fault`."""
        listed = list(files)
        with ThreadPoolExecutor(max_workers=_LOOKERS) as pool:
            found = pool.map(self.fault, listed)
            return {
                file.name: fault
                for file, fault in zip(listed, found, strict=True)
                if fault is not None
            }

    def manifest(self, hour: datetime) -> Manifest | None:
        """Return what the manifest of an hour declares of files, named as `files` names them.

        None where the source has no manifests, or there is none yet.

        Raises:
            ManifestError: it can't be understood.
            TidegateError: it can't be read.

        """
        if self.source.complete.manifest is None:
            return None
        name = self._named(hour)
        if not self._exists(name):
            return None
        try:
            found = read_manifest(self._store.read(name, 0, _MAX_MANIFEST))
        except (ValueError, UnreadableError) as error:
            raise ManifestError(
                f"the manifest {name} can't be read: {error}",
                where=self.template.root + name,
                todo="upload it again; it is read when the hour is",
            ) from error
        names = self._names(hour)
        return replace(
            found,
            files={
                names.folder + file: declared
                for file, declared in found.files.items()
                if not names.is_excluded(names.folder + file)
            },
        )

    def _named(self, hour: datetime) -> str:
        """Return the name of an hour's marker or manifest."""
        named = self.source.complete.named()
        assert named is not None, "asked only of sources that have one"
        return self.template.folder(hour) + named.render(hour)

    def _names(self, hour: datetime) -> HourNames:
        """Return which names are those of an hour's dump."""
        return HourNames(
            self.template.relative(hour),
            self._named(hour) if self.source.complete.named() is not None else None,
            self.source.exclude,
            self.template.prefix_names_hour,
        )

    def _listing(self, prefix: str) -> list[DumpFile] | UnreadableError:
        """Return what is listed below a prefix, or why its folder can't be listed."""
        try:
            return self._store.listing(prefix, deep=self.template.is_deep)
        except UnreadableError as error:
            return error

    def _prefix(self, hour: datetime) -> str:
        """Return what the names of an hour's files begin with, as far as that is known."""
        return self.template.relative(hour).partition("*")[0]

    def _hour_files(
        self, hour: datetime, listed: Iterable[DumpFile] | UnreadableError
    ) -> HourFiles:
        """Return those of listed files that are an hour's dump, and what else is there; no ETags."""
        names = self._names(hour)
        if not isinstance(listed, UnreadableError):
            return names.sorted_out(listed)
        start = datetime.fromtimestamp(0, UTC)
        uri, name = self.template.root + names.folder, names.folder.rstrip("/") or "."
        return HourFiles((DumpFile(uri, name, 0, "", start, listed.reason),), names.folder)

    def _with_etags(self, hour: datetime, files: HourFiles) -> HourFiles:
        """Return files with their ETags, and each that is repeated once where the source says so."""
        files = replace(files, read=tuple(self._store.with_etags(list(files.read))))
        if self.source.repeated_files == "all":
            return files
        groups = same_bytes(files.read, self._store.open)
        declared = self._declared(hour) if groups else frozenset()
        repeated = sorted(left_out(groups, declared), key=lambda each: each.name)
        names = {each.name for each in repeated}
        read = tuple(file for file in files.read if file.name not in names)
        return replace(files, read=read, repeated=tuple(repeated), repeats_are_read=False)

    def _declared(self, hour: datetime) -> frozenset[str]:
        """Return the files that an hour's manifest names; none where it can't be understood."""
        try:
            manifest = self.manifest(hour)
        except ManifestError:
            return frozenset()  # that holds the hour
        return frozenset(manifest.files) if manifest is not None else frozenset()

    def _by_marker(self, hour: datetime, listed: HourFiles) -> Completeness:
        name = self._named(hour)
        files = list(listed.read)
        if not self._exists(name):
            return Completeness(False, f"no marker {self.template.root}{name} yet, {_count(files)}")
        if not files:
            return Completeness(
                False, f"the marker {name} is there, but {self._none(hour, listed)}"
            )
        return Completeness(True, f"the marker {name} is there, {_count(files)}")

    def _by_manifest(self, hour: datetime, listed: HourFiles) -> Completeness:
        name = self._named(hour)
        files = list(listed.read)
        try:
            manifest = self.manifest(hour)
        except ManifestError as error:
            return Completeness(False, error.what)
        if manifest is None:
            return Completeness(
                False, f"no manifest {self.template.root}{name} yet, {_count(files)}"
            )
        if not files:
            return Completeness(
                False, f"the manifest {name} is there, but {self._none(hour, listed)}"
            )
        if self.source.repeated_files == "once" and any(
            file.name not in manifest.files for file in files
        ):
            files = list(self._with_etags(hour, listed).read)
        there = {file.name: file.size for file in files}
        wanted = {entry: declared.size for entry, declared in manifest.files.items()}
        unread = {each.name: each.reason for each in listed.unread}
        wrong = [
            f"{entry} is not read: {unread[entry]}" if entry in unread else f"{entry} is missing"
            for entry in wanted
            if entry not in there
        ]
        wrong += [
            f"{entry} has {there[entry]} bytes, not {size}"
            for entry, size in wanted.items()
            if entry in there and size is not None and there[entry] != size
        ]
        wrong += [f"{entry} is not in it" for entry in there if entry not in wanted]
        whole, size = sum(there.values()), manifest.whole.size
        if not wrong and size is not None and whole != size:
            wrong = [f"{whole} bytes in {_count(files)}, not {size}"]
        if wrong:
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            return Completeness(False, f"by the manifest {name}: {'; '.join(wrong[:5])}{more}")
        return Completeness(True, f"{_count(files)}, as the manifest {name} says")

    def _exists(self, name: str) -> bool:
        return any(file.name == name for file in self._store.listing(name))

    def _none(self, hour: datetime, listed: HourFiles) -> str:
        none = f"there is no file {self.template.pattern(hour)} for {hour_text(hour)}"
        return "; ".join([none, *listed.notes()])


class Opener:
    """Opens data files as streams.

    Args:
        store: where they are.
        files: by name, as they were listed.
    """

    def __init__(self, store: _Store, files: Mapping[str, DumpFile]) -> None:
        self._store = store
        self._files = files

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Return a file as a stream within a block.

        Raises:
            UnreadableError: the file is gone or can't be read, or it is not the one that was listed.
            TidegateError: the storage can't be reached.
        """
        return self._store.open(self._files[name])


class Samples:
    """Files that no source describes yet: one file, or all below a folder or a prefix.

    Args:
        place: a local file or folder, or `s3://bucket/…`.
        s3: how S3 is reached; not used for local files.
        most: files to list at most.

    Attributes:
        files: data files, with names relative to `root`, in order.
        beside: markers, manifests and what else is hidden, in the folders of those files.
        root: the folder that names are relative to.

    Raises:
        TidegateError: there is nothing, or it can't be listed.
    """

    def __init__(self, place: str, s3: S3Access, most: int) -> None:
        if place.startswith(("s3://", "s3a://")):
            bucket, _, key = place.split("://", 1)[1].partition("/")
            self.root, inner = f"s3a://{bucket}/", key
        else:
            path = Path(place.removeprefix("file://")).expanduser().resolve()
            if not path.is_dir() and not path.is_file():
                raise _no_sample(path)
            folder = path if path.is_dir() else path.parent
            self.root, inner = f"{folder}/", "" if path.is_dir() else path.name
        self._store = _open_store(self.root, s3)
        listed = sorted(self._store.walk(inner, most), key=lambda file: file.name)
        if any(file.name == inner for file in listed):
            listed = [file for file in listed if file.name == inner]
            folder_name = inner.rpartition("/")[0]
            near = self._store.listing(folder_name + "/" if folder_name else "")
        else:
            whole = inner.rstrip("/") + "/" if inner else ""
            listed = near = [file for file in listed if file.name.startswith(whole)]
        self.files = [file for file in listed if is_visible(file.name)]
        self.beside = [file for file in near if is_hidden(file.name)]

    def stream(self, file: DumpFile) -> Iterator[bytes]:
        """Yield what a file holds, unpacked where its name says so, a bounded piece at a time.

        Raises:
            UnreadableError: it is cut short, damaged, or not what its name says.
            TidegateError: the file can't be read.
        """
        with self._store.open(file) as stream:
            yield from unpacked(stream, file.name)

    def read(self, file: DumpFile, start: int, length: int) -> bytes:
        """Return a part of a file as it is stored; fewer bytes where it ends earlier."""
        try:
            return self._store.read(file.name, start, length) if length else b""
        except UnreadableError as error:
            raise _file_error(error, file) from error

    def fault(self, file: DumpFile, form: Format) -> str | None:
        """Return in what a file is not what its name says, or None: a look at both its ends only."""
        tail = self.read(file, max(file.size - 4, 0), 4) if file.size else b""
        head = self.read(file, 0, HEAD_BYTES) if file.size else b""
        return file_fault(file.name, file.size, head, form, tail)


def _file_error(error: UnreadableError, file: DumpFile) -> TidegateError:
    return TidegateError(
        error.what, where=file.uri, expected=error.expected, got=error.got, todo=error.todo
    )


def _no_sample(path: Path) -> TidegateError:
    there = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    return TidegateError(
        "no such file or folder",
        where=str(path),
        expected="a file or folder of samples, or s3://bucket/prefix",
        got=f"nothing there; {hint(path.name, there[:20])}",
        todo="give the path of a dump, or of a folder of dumps",
    )


def upload(s3: S3Access, bucket: str, bodies: Mapping[str, bytes]) -> None:
    """Write objects to a bucket, some at a time.

    Args:
        s3: how S3 is reached.
        bucket: its name, or `s3://…`.
        bodies: the objects by key.

    Raises:
        TidegateError: the bucket can't be written.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    name = bucket.removeprefix("s3://").rstrip("/")
    client = s3_client(s3)

    def put(key: str) -> None:
        kind = guess_type(key)[0] or "application/octet-stream"
        client.put_object(Bucket=name, Key=key, Body=bodies[key], ContentType=kind)

    try:
        with ThreadPoolExecutor(max_workers=_LOOKERS) as pool:
            list(pool.map(put, bodies))
    except (BotoCoreError, ClientError) as error:
        raise s3_error(error, s3, name, "write", f"s3://{name}") from error


def replace_files(
    s3: S3Access, target: str, bodies: Mapping[str, bytes], ours: Callable[[str], bool]
) -> None:
    """Write files to a folder or a bucket, then remove older files of ours that are not among them.

    Args:
        s3: how S3 is reached; not used for a folder.
        target: a folder, or `s3://bucket/prefix`.
        bodies: the files by their names below the target.
        ours: whether a file of that name below the target may be removed.

    Raises:
        TidegateError: the target can't be written.
    """
    if target.startswith(("s3://", "s3a://")):
        _replace_objects(s3, target, bodies, ours)
        return
    root = Path(target).expanduser()
    try:
        for name, body in bodies.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        for path in root.rglob("*"):
            name = path.relative_to(root).as_posix()
            if name not in bodies and path.is_file() and ours(name):
                path.unlink()
    except OSError as error:
        raise TidegateError(
            "the folder can't be written",
            where=str(root),
            got=error.strerror or str(error),
            todo="mend its rights, or name another folder",
        ) from error


def _replace_objects(
    s3: S3Access, target: str, bodies: Mapping[str, bytes], ours: Callable[[str], bool]
) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, inner = target.split("://", 1)[1].partition("/")
    prefix = f"{inner.rstrip('/')}/" if inner else ""
    upload(s3, bucket, {prefix + name: body for name, body in bodies.items()})
    client = s3_client(s3)
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        for key in keys:
            name = key.removeprefix(prefix)
            if name not in bodies and ours(name):
                client.delete_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError) as error:
        raise s3_error(error, s3, bucket, "write", target) from error


def fingerprint(files: Iterable[DumpFile]) -> str:
    """Return the SHA-256 in hex of the names, sizes and ETags of files, whatever their order."""
    listed = sorted((file.name, file.size, file.etag) for file in files)
    return hashlib.sha256(json.dumps(listed, ensure_ascii=False).encode()).hexdigest()


_MANIFEST = (
    'expected a list of names or {"files": [{"name": …, "size": …, "rows": …}]}, with whole numbers '
    "of at least 0"
)


def read_manifest(data: bytes) -> Manifest:
    """Return what a manifest declares, files by the names that it gives them.

    A manifest is a JSON list, or `{"files": […]}`, of names or of `{"name": …, "size": …, "rows": …}`,
    where `size` and `rows` may also stand beside `files`, of all together; or what Redshift's UNLOAD
    writes: `{"entries": [{"url": …, "meta": {"content_length": …, "record_count": …}}], "meta": …}`.

    Raises:
        ValueError: it is none.

    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    whole = found if isinstance(found, dict) else {"files": found}
    entries = whole["entries"] if "entries" in whole else whole.get("files")
    if not isinstance(entries, list):
        raise ValueError(f"{_MANIFEST}, got {json.dumps(whole)[:80]}")
    files: dict[str, Declared] = {}
    for entry in entries:
        name = entry.get("name", entry.get("url")) if isinstance(entry, dict) else entry
        if not isinstance(name, str):
            raise ValueError(f"{_MANIFEST}, got {json.dumps(entry)[:80]}")
        if isinstance(entry, dict) and "name" not in entry:
            name = name.rpartition("/")[2]
        declared = _declared(entry) if isinstance(entry, dict) else Declared()
        if files.setdefault(name, declared) != declared:
            raise ValueError(f"it says two things of one file, {json.dumps(name)[:80]}")
    for counts in ([each.size for each in files.values()], [each.rows for each in files.values()]):
        if sum(count or 0 for count in counts) > _MAX_COUNT:
            raise ValueError(f"expected at most {_MAX_COUNT} bytes and rows in all, got more")
    return Manifest(files, _declared(whole))


def _declared(said: Mapping[str, object]) -> Declared:
    """Return the counts of a manifest's entry, or of the whole of it.

    Raises:
        ValueError: they are none.

    """
    meta = said.get("meta")
    redshift = meta if isinstance(meta, dict) else {}
    counts = []
    for key, other in (("size", "content_length"), ("rows", "record_count")):
        count = said.get(key, redshift.get(other))
        if count is not None and not (type(count) is int and 0 <= count <= _MAX_COUNT):
            raise ValueError(f"{_MANIFEST}, got {key} {json.dumps(count)[:80]}")
        counts.append(count)
    return Declared(*counts)


def _count(files: list[DumpFile]) -> str:
    return f"{len(files)} file{'' if len(files) == 1 else 's'}"


class _Store(Protocol):
    """A folder of dumps, on S3 or on disk. Names are relative to it."""

    def listing(self, prefix: str, *, deep: bool = False) -> list[DumpFile]:
        """Return what lies right in the prefix's folder and begins with it; ETags may be empty.

        That is files, and folders with a `/` at the end of their names; with `deep` all files below instead.

        Raises:
            UnreadableError: a folder can't be listed.
        """

    def walk(self, prefix: str, most: int) -> list[DumpFile]:
        """Return files whose names begin with the prefix, however deep, the first `most`; no ETags."""

    def with_etags(self, files: list[DumpFile]) -> list[DumpFile]:
        """Return the files with their ETags; a file that can't be read with its fault."""

    def clock(self) -> datetime | None:
        """Return the time of the last listing by the clock that dates files; None if it told none."""

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return a part of a file; fewer bytes where it ends earlier.

        Raises:
            UnreadableError: it can't be read.
        """

    def stream(self, name: str) -> Generator[bytes, None, None]:
        """Yield a file's content piece by piece."""

    def open(self, file: DumpFile) -> AbstractContextManager[BinaryIO]:
        """Return a file as a stream within a block; see `Opener.open`."""


def _open_store(root: str, s3: S3Access) -> _Store:
    if root.startswith(("s3://", "s3a://")):
        bucket, _, prefix = root.split("://", 1)[1].partition("/")
        return _S3Store(bucket, prefix, s3)
    return LocalStore(Path(root))


class _S3Store:
    def __init__(self, bucket: str, prefix: str, s3: S3Access) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._s3 = s3
        self._clock: datetime | None = None

    @cached_property
    def _client(self) -> S3Client:
        return s3_client(self._s3)

    def __getstate__(self) -> dict[str, Any]:
        # A client can't be pickled, and another process has one of its own.
        return {name: value for name, value in self.__dict__.items() if name != "_client"}

    def listing(self, prefix: str, *, deep: bool = False) -> list[DumpFile]:
        return self._listed(prefix, "" if deep else "/", {"PageSize": _PAGE})

    def walk(self, prefix: str, most: int) -> list[DumpFile]:
        return self._listed(prefix, "", {"PageSize": _PAGE, "MaxItems": most})

    def _listed(
        self, prefix: str, delimiter: str, config: PaginatorConfigTypeDef
    ) -> list[DumpFile]:
        found = []
        with self._told("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket,
                Prefix=self._prefix + prefix,
                Delimiter=delimiter,
                PaginationConfig=config,
            )
            for page in pages:
                told = page["ResponseMetadata"]["HTTPHeaders"].get("date")
                self._clock = parsedate_to_datetime(told) if told else None
                for folder in page.get("CommonPrefixes", []):
                    uri = f"s3a://{self._bucket}/{folder['Prefix']}"
                    name = folder["Prefix"].removeprefix(self._prefix)
                    found.append(DumpFile(uri, name, 0, "", _NO_TIME))
                for item in page.get("Contents", []):
                    name = item["Key"].removeprefix(self._prefix)
                    found.append(
                        DumpFile(
                            uri=f"s3a://{self._bucket}/{item['Key']}",
                            name=name,
                            size=item["Size"],
                            etag=item["ETag"].strip('"'),
                            modified=item["LastModified"].astimezone(UTC),
                        )
                    )
        return found

    def with_etags(self, files: list[DumpFile]) -> list[DumpFile]:
        return files

    def clock(self) -> datetime | None:
        return self._clock

    def read(self, name: str, start: int, length: int) -> bytes:
        with self._told("read", name):
            part = f"bytes={start}-{start + length - 1}"
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._prefix + name, Range=part
            )
            with closing(answer["Body"]) as body:
                return body.read()

    def stream(self, name: str) -> Generator[bytes, None, None]:
        with self._told("read", name):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(_CHUNK)

    @contextmanager
    def open(self, file: DumpFile) -> Iterator[BinaryIO]:
        from botocore.exceptions import ClientError

        key = self._prefix + file.name
        with self._told("read", file.name):
            try:
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=key, IfMatch=f'"{file.etag}"'
                )
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))
                if code in ("PreconditionFailed", "412"):
                    raise replaced() from error
                if code in ("NoSuchKey", "404"):
                    raise UnreadableError(
                        "the file is gone", expected="the file that was listed", todo=LAND_AGAIN
                    ) from error
                raise
        with closing(answer["Body"]) as body:
            stream = _S3Stream(body, lambda: self._told("read", file.name))
            yield stream  # type: ignore[misc] # a file in all that is read of it

    @contextmanager
    def _told(self, doing: str, name: str) -> Iterator[None]:
        """Turn what boto3 raises into errors that a stranger can act on."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, ValueError) as error:
            where = f"s3://{self._bucket}/{self._prefix}{name}"
            told = s3_error(error, self._s3, self._bucket, doing, where)
            if doing == "read" and _is_of_object(error):
                raise UnreadableError(
                    told.what, expected=told.expected, got=told.got, todo=told.todo
                ) from error
            raise told from error


_NO_TIME = datetime.fromtimestamp(0, UTC)
_OF_THE_BUCKET = (
    "NoSuchBucket",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "RequestTimeTooSkewed",
    "SlowDown",
)


def _is_of_object(error: Exception) -> bool:
    """Return whether an error says something of one object only, such as that it is gone or archived."""
    answer = getattr(error, "response", {})
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
    code = str(answer.get("Error", {}).get("Code", ""))
    broke_off = type(error).__name__ == "IncompleteReadError"
    return broke_off or (400 <= status < 500 and status != 429 and code not in _OF_THE_BUCKET)


class _S3Stream:
    """A file on S3, whose errors say what to do."""

    def __init__(self, body: Any, guard: Callable[[], AbstractContextManager[None]]) -> None:
        self._body = body
        self._guard = guard

    def read(self, size: int = -1) -> bytes:
        with self._guard():
            data: bytes = self._body.read(None if size < 0 else size)
            return data

    def seekable(self) -> bool:
        return False


@lru_cache(maxsize=8)
def s3_client(s3: S3Access) -> S3Client:
    """Return the client for a way to reach S3; making one takes longer than a request."""
    import boto3
    from botocore.config import Config

    host = urlsplit(s3.endpoint).hostname if s3.endpoint else None
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=2 * _LOOKERS,
        # Servers of one's own rarely have a host name a bucket, and may not know the newest
        # checksums.
        s3={"addressing_style": "path" if s3.endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # An HTTP proxy of the surroundings can't reach this machine's own loopback.
        proxies={} if host in ("127.0.0.1", "localhost", "::1") else None,
    )
    session = boto3.session.Session(
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
    )
    return session.client("s3", endpoint_url=s3.endpoint, config=config)


_UNREACHABLE = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    "ProxyConnectionError",
    "SSLError",
    "HTTPClientError",
)


_BUSY = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout")


def s3_error(error: Exception, s3: S3Access, bucket: str, doing: str, where: str) -> TidegateError:
    """Return boto3's error as one that says what to do; it never holds the secret key.

    Args:
        error: what boto3 raised.
        s3: how S3 was to be reached.
        bucket: the bucket.
        doing: `list` or `read`.
        where: the URI that it was about.

    """
    answer = getattr(error, "response", {})
    code = str(answer.get("Error", {}).get("Code", ""))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    at = f"{where}, at {s3.endpoint or 'AWS S3'}"
    key = f"access key {s3.access_key}" if s3.access_key else "the credentials boto3 found"
    kinds = {base.__name__ for base in type(error).__mro__}
    keys = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if code == "NoSuchBucket":
        return TidegateError(
            f"no such bucket '{bucket}'",
            where=at,
            expected="the bucket that 'dumps' in the source file names",
            got=code,
            todo="make the bucket, mend 'dumps', or check AWS_ENDPOINT_URL (is it the right "
            "server?)",
        )
    if code in ("NoSuchKey", "404"):
        return TryAgainError(
            "a dump's file is gone",
            where=at,
            expected="the file that was there when its hour was listed",
            got=code,
            todo="run the hour again; it takes the files that are there then",
        )
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"):
        return TidegateError(
            "wrong S3 credentials",
            where=at,
            expected="credentials that this server knows",
            got=f"{code}, with {key}",
            todo=f"{keys} to a pair of this server's",
        )
    if code == "AccessDenied" or status == 403:
        return TidegateError(
            f"S3 refuses to {doing}",
            where=at,
            expected="the rights s3:ListBucket and s3:GetObject on the bucket",
            got=f"{code or status}, with {key}",
            todo=f"grant them to this key, or {keys} to another",
        )
    if kinds & {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}:
        return TidegateError(
            "no S3 credentials",
            where=at,
            expected="credentials in the environment or wherever boto3 looks for them",
            got=str(error),
            todo=keys,
        )
    if kinds & set(_UNREACHABLE):
        return TryAgainError(
            "the S3 endpoint can't be reached",
            where=at,
            expected="an S3 server that answers",
            got=str(error),
            todo="start the server (tidegate status), or mend AWS_ENDPOINT_URL",
        )
    if code in _BUSY or (status is not None and status >= 500):
        return TryAgainError(
            f"S3 could not {doing} just now",
            where=at,
            expected="an S3 server that is well",
            got=f"{code or status}: {error}",
            todo="run it again; if it stays so, look at the server (tidegate status)",
        )
    return TidegateError(
        f"S3 could not {doing}",
        where=at,
        got=f"{code + ': ' if code else ''}{error}",
        todo="mend 'dumps' in the source file, AWS_REGION or AWS_ENDPOINT_URL, and run again",
    )
