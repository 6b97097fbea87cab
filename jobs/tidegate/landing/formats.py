"""Files of each format to records, by the reader of the format."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.config.source import FieldRef, join_path, split_path
from tidegate.dumps.unpack import unpacked
from tidegate.landing import personal
from tidegate.landing.access_log import AccessLog
from tidegate.landing.body import json_text, objects_of
from tidegate.landing.columnar import Rows
from tidegate.landing.delimited import read_records
from tidegate.landing.json_lines import JsonLines
from tidegate.landing.json_values import json_values
from tidegate.landing.parquet_rows import read_rows
from tidegate.landing.plan import Names, Plan, Tree, path_text
from tidegate.landing.records import Mask, Records

_IN_MEMORY = 16 * 1024 * 1024
"""Bytes of a file that is not seekable before its copy goes to the disk."""


class Reader(Protocol):
    """Reads the records of one file."""

    def records(self, stream: BinaryIO, name: str) -> Iterator[Records]:
        """Yield all records of a file.

        Args:
            stream: the file as it is stored.
            name: of the file.

        Raises:
            UnreadableError: it can't be read whole.
        """

    def again(self, records: Records, which: Mask) -> Records | None:
        """Return some of the records, read with every value as it was written; None if all are so."""


def reader_of(plan: Plan, treat: personal.Treatment | None) -> Reader:
    """Return the reader of a source's files.

    Args:
        plan: what is wanted of a record.
        treat: what becomes of personal values, for a source with any.
    """
    kind = plan.source.format.type
    if kind == "csv":
        return _Delimited(plan, treat)
    if kind == "access_log":
        return _AccessLog(plan, treat)
    if kind == "parquet":
        return _Parquet(plan, treat)
    return _Avro(plan, treat) if kind == "avro" else _Json(plan, treat)


class _Json:
    def __init__(self, plan: Plan, treat: personal.Treatment | None) -> None:
        self._lines = JsonLines(plan, treat)

    def records(self, stream: BinaryIO, name: str) -> Iterator[Records]:
        return self._lines.records(unpacked(stream, name))

    def again(self, records: Records, which: Mask) -> Records | None:
        if all(pa.types.is_string(column.type) for column in records.columns.values()):
            return None
        return self._lines.again(records, which)


class _Delimited:
    def __init__(self, plan: Plan, treat: personal.Treatment | None) -> None:
        self._plan = plan
        self._treat = treat

    def records(self, stream: BinaryIO, name: str) -> Iterator[Records]:
        source = self._plan.source
        refs = [source.fields.event_time, source.fields.event_id]
        needed = [group for ref in refs if ref is not None for group in _needed(ref)]
        parts = read_records(
            unpacked(stream, name),
            source.format,
            frozenset(names[0] for names in self._plan.paths),
            needed=needed,
            private=self._treat is not None,
        )
        for part in parts:
            columns = {
                names: part.columns.get(names[0], pa.nulls(len(part), pa.string()))
                for names in self._plan.paths
            }
            yield _private(
                Records(
                    line=part.line,
                    raw=part.raw,
                    length=part.length,
                    columns=columns,
                    body=part.body,
                    reason=part.fault,
                    detail=part.detail,
                ),
                self._plan,
                self._treat,
            )

    def again(self, records: Records, which: Mask) -> None:  # noqa: ARG002 # all is text as it was
        return None


class _AccessLog:
    def __init__(self, plan: Plan, treat: personal.Treatment | None) -> None:
        self._log = AccessLog(plan.paths, private=treat is not None)
        self._plan = plan
        self._treat = treat

    def records(self, stream: BinaryIO, name: str) -> Iterator[Records]:
        for records in self._log.records(unpacked(stream, name)):
            yield _private(records, self._plan, self._treat)

    def again(self, records: Records, which: Mask) -> None:  # noqa: ARG002 # all is text as it was
        return None


def _needed(ref: FieldRef) -> list[frozenset[str]]:
    """Return groups of columns: a value needs one of each. What an expression does without the others is unknown."""
    columns = frozenset(split_path(path)[0] for path in ref.references())
    if ref.sql is not None:
        return [columns] if columns else []
    return [frozenset([column]) for column in columns]


class _Columnar:
    def __init__(self, plan: Plan, treat: personal.Treatment | None) -> None:
        self._plan = plan
        self._treat = treat
        self._wanted = frozenset(join_path(names) for names in plan.paths)

    def records(self, stream: BinaryIO, name: str) -> Iterator[Records]:
        for rows in self._rows(stream, name):
            yield _private(self._records(rows), self._plan, self._treat)

    def _rows(self, stream: BinaryIO, name: str) -> Iterator[Rows]:
        raise NotImplementedError

    def again(self, records: Records, which: Mask) -> None:  # noqa: ARG002 # types are what they were
        return None

    def _records(self, rows: Rows) -> Records:
        columns = {split_path(path): column for path, column in rows.columns.items()}
        nested = frozenset(split_path(path) for path in rows.nested)
        reason, detail = self._nested_ids(rows, columns, nested)
        return Records(
            line=rows.line,
            raw=rows.body,
            length=rows.length,
            columns=columns,
            body=rows.body,
            reason=reason,
            detail=detail,
            nested=nested,
            cut=rows.cut_times,
        )

    def _nested_ids(
        self, rows: Rows, columns: Mapping[Names, pa.Array], nested: frozenset[Names]
    ) -> tuple[pa.Array, pa.Array]:
        """Return the faults of rows, with those that have an object or a list for an id."""
        reason, detail = rows.fault, rows.detail
        for names in sorted(nested & set(self._plan.scalars)):
            text = f"{path_text(names)}: expected a text or a number, got an object or a list"
            where = pc.and_(columns[names].is_valid(), reason.is_null())
            reason = pc.if_else(where, "bad_value", reason)
            detail = pc.if_else(where, text, detail)
        return reason, detail


class _Parquet(_Columnar):
    def _rows(self, stream: BinaryIO, name: str) -> Iterator[Rows]:  # noqa: ARG002 # of every reader
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
            file: BinaryIO = stream
            if not stream.seekable():
                shutil.copyfileobj(stream, copy, 1 << 20)
                file = copy  # type: ignore[assignment] # a file in all that matters
            yield from read_rows(file, self._wanted, private=self._treat is not None)


class _Avro(_Columnar):
    def _rows(self, stream: BinaryIO, name: str) -> Iterator[Rows]:
        from tidegate.landing import avro_rows  # few sources need its packages

        private = self._treat is not None
        yield from avro_rows.read_rows(unpacked(stream, name), self._wanted, private=private)


def _private(records: Records, plan: Plan, treat: personal.Treatment | None) -> Records:
    """Return records with their personal data treated, and a body that holds what is left and nothing else."""
    if treat is None:
        return records
    columns = personal.treated(records.columns, treat, plan.source)

    def member(names: Names, tree: Tree) -> pa.Array:
        if tree:
            value = inside(tree, names)
            value = pc.if_else(pc.equal(value, "{}"), pa.scalar(None, pa.string()), value)
        elif names in records.nested and plan.source.pii_action(names) not in ("hash", "drop"):
            value = columns[names]  # JSON already
        else:
            value = json_values(columns[names]).cast(pa.string())
        return pc.binary_join_element_wise(f",{json_text(names[-1])}:", value, "")

    def inside(tree: Tree, above: Names) -> pa.Array:
        return objects_of([member((*above, name), below) for name, below in tree.items()])

    body = inside(plan.tree, ())
    if records.reason is not None:
        whole = pa.array(records.is_whole)
        body = pc.if_else(whole, body, pa.scalar(None, pa.string()))
    return Records(
        line=records.line,
        raw=pa.nulls(len(records), pa.string()),
        length=records.length,
        columns=columns,
        body=body,
        reason=records.reason,
        detail=records.detail,
        nested=records.nested,
        cut=records.cut,
    )
