"""The dumps of a source: which files an hour has, whether all are there, and whether they are what they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from tidegate.common.errors import TidegateError
from tidegate.common.hours import HOUR, hour_text
from tidegate.common.unreadable import UnreadableError
from tidegate.config.source import Format, Source
from tidegate.dumps import completeness
from tidegate.dumps.completeness import Completeness, file_count
from tidegate.dumps.file_format import HEAD_BYTES, file_fault
from tidegate.dumps.hour_files import HourFiles, HourNames, Repeated
from tidegate.dumps.manifest import MAX_MANIFEST_BYTES, Manifest, ManifestError, read_manifest
from tidegate.dumps.repeated_files import left_out, same_bytes
from tidegate.storage.files import CHUNK, StoredFile, file_error
from tidegate.storage.s3 import THREADS, S3Access
from tidegate.storage.store import Store, open_store


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
        self._store = open_store(self.template.root, s3)

    def files(self, hour: datetime) -> list[StoredFile]:
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

    def files_by_hour(self, hours: Iterable[datetime]) -> dict[datetime, list[StoredFile]]:
        """Return the files of each hour's dump; see `hour_files`.

        Hours whose files lie under one prefix are listed together, however many keys there are.

        Raises:
            TidegateError: the bucket or folder can't be listed.

        """
        listed = sorted(set(hours))
        prefixes = sorted({self._prefix(hour) for hour in listed})
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
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
        rule = self.source.complete
        if rule.marker is not None:
            return self._by_marker(hour, listed)
        if rule.manifest is not None:
            return self._by_manifest(hour, listed)
        if not files:
            return Completeness(False, self._no_files(hour, listed))
        if unwritten := completeness.without_content(files):
            return unwritten
        if rule.files is not None:
            if len(files) > rule.files and self.source.repeated_files == "once":
                files = list(self._with_etags(hour, listed).read)
            return completeness.by_count(files, rule.files)
        assert rule.after is not None
        return completeness.by_quiet(files, hour + HOUR, self._store.clock() or now, rule.after)

    def fault(self, file: StoredFile, form: Format | None = None) -> str | None:
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
                head = self._store.read(file.name, 0, CHUNK)
            if kind.type == "parquet" and file.size >= 4:
                tail = self._store.read(file.name, file.size - 4, 4)
        except UnreadableError as error:
            return f"{file.name}: {error.reason}"
        return file_fault(file.name, file.size, head[:HEAD_BYTES], kind, tail)

    def download(self, file: StoredFile, to: Path) -> None:
        """Copy a data file, as it is stored, into a local one.

        Raises:
            TidegateError: it can't be read.
        """
        try:
            with closing(self._store.stream(file.name)) as chunks, to.open("wb") as copy:
                copy.writelines(chunks)
        except UnreadableError as error:
            raise file_error(error, file) from error

    def opener(self, files: Iterable[StoredFile]) -> Opener:
        """Return what opens data files as streams, by name: each is the one that was listed, or an error."""
        return Opener(self._store, {file.name: file for file in files})

    def faults(self, files: Iterable[StoredFile]) -> dict[str, str]:
        """Return the faults of those files that have one, by name; see `fault`."""
        listed = list(files)
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
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
            found = read_manifest(self._store.read(name, 0, MAX_MANIFEST_BYTES))
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

    def _listing(self, prefix: str) -> list[StoredFile] | UnreadableError:
        """Return what is listed below a prefix, or why its folder can't be listed."""
        try:
            return self._store.listing(prefix, deep=self.template.is_deep)
        except UnreadableError as error:
            return error

    def _prefix(self, hour: datetime) -> str:
        """Return what the names of an hour's files begin with, as far as that is known."""
        return self.template.relative(hour).partition("*")[0]

    def _hour_files(
        self, hour: datetime, listed: Iterable[StoredFile] | UnreadableError
    ) -> HourFiles:
        """Return those of listed files that are an hour's dump, and what else is there; no ETags."""
        names = self._names(hour)
        if not isinstance(listed, UnreadableError):
            return names.sorted_out(listed)
        start = datetime.fromtimestamp(0, UTC)
        uri, name = self.template.root + names.folder, names.folder.rstrip("/") or "."
        return HourFiles((StoredFile(uri, name, 0, "", start, listed.reason),), names.folder)

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
        if not self._exists(name):
            count = file_count(listed.read)
            return Completeness(False, f"no marker {self.template.root}{name} yet, {count}")
        if not listed.read:
            why = f"the marker {name} is there, but {self._no_files(hour, listed)}"
            return Completeness(False, why)
        return Completeness(True, f"the marker {name} is there, {file_count(listed.read)}")

    def _by_manifest(self, hour: datetime, listed: HourFiles) -> Completeness:
        name = self._named(hour)
        try:
            manifest = self.manifest(hour)
        except ManifestError as error:
            return Completeness(False, error.what)
        if manifest is None:
            count = file_count(listed.read)
            return Completeness(False, f"no manifest {self.template.root}{name} yet, {count}")
        if not listed.read:
            why = f"the manifest {name} is there, but {self._no_files(hour, listed)}"
            return Completeness(False, why)
        if self.source.repeated_files == "once" and any(
            file.name not in manifest.files for file in listed.read
        ):
            listed = self._with_etags(hour, listed)
        return completeness.by_manifest(name, manifest, listed)

    def _exists(self, name: str) -> bool:
        return any(file.name == name for file in self._store.listing(name))

    def _no_files(self, hour: datetime, listed: HourFiles) -> str:
        missing = f"there is no file {self.template.pattern(hour)} for {hour_text(hour)}"
        return "; ".join([missing, *listed.notes()])


class Opener:
    """Opens data files as streams.

    Args:
        store: where they are.
        files: by name, as they were listed.
    """

    def __init__(self, store: Store, files: Mapping[str, StoredFile]) -> None:
        self._store = store
        self._files = files

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Return a file as a stream within a block.

        Raises:
            UnreadableError: the file is gone or can't be read, or it is not the one that was listed.
            TidegateError: the storage can't be reached.
        """
        return self._store.open(self._files[name])


def fingerprint(files: Iterable[StoredFile]) -> str:
    """Return the SHA-256 in hex of the names, sizes and ETags of files, whatever their order."""
    listed = sorted((file.name, file.size, file.etag) for file in files)
    return hashlib.sha256(json.dumps(listed, ensure_ascii=False).encode()).hexdigest()
