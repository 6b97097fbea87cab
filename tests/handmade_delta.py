"""Small Delta tables made by hand: a Parquet file and a JSON log a version, without Spark.

Enough of the format for readers to accept: protocol 1/2, no statistics, no partitions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]


def write_delta(folder: Path, *versions: pa.Table) -> None:
    """Write versions of a table, from 0 or after those that are there, each with rows of its own."""
    log = folder / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(versions, start=len(list(log.glob("*.json")))):
        actions: list[dict[str, Any]] = []
        if number == 0:
            actions += [
                {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
                {"metaData": _meta_data(rows.schema)},
            ]
        else:
            gone = f"part-{number - 1}.parquet"
            actions.append({"remove": {"path": gone, "deletionTimestamp": 0, "dataChange": True}})
        path = f"part-{number}.parquet"
        pq.write_table(rows, folder / path)
        add = {
            "path": path,
            "partitionValues": {},
            "size": (folder / path).stat().st_size,
            "modificationTime": 0,
            "dataChange": True,
        }
        actions.append({"add": add})
        text = "".join(json.dumps(action) + "\n" for action in actions)
        (log / f"{number:020d}.json").write_text(text)


def write_files(folder: Path, *files: File) -> None:
    """Write version 0 of a table of several data files, partitioned by `source`."""
    log = folder / "_delta_log"
    log.mkdir(parents=True)
    about = _meta_data(files[0].rows.schema.insert(0, pa.field("source", pa.string())))
    actions: list[dict[str, Any]] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": {**about, "partitionColumns": ["source"]}},
    ]
    for file in files:
        path = folder / file.path
        path.parent.mkdir(exist_ok=True)
        pq.write_table(file.rows, path)
        add: dict[str, Any] = {
            "path": file.path,
            "partitionValues": {"source": file.source},
            "size": path.stat().st_size,
            "modificationTime": 0,
            "dataChange": True,
        }
        if file.least is not None:
            said = {"numRecords": len(file.rows), "minValues": file.least, "maxValues": file.most}
            add["stats"] = json.dumps(said)
        actions.append({"add": add})
    text = "".join(json.dumps(action) + "\n" for action in actions)
    (log / f"{0:020d}.json").write_text(text)


@dataclass(frozen=True)
class File:
    """A data file: its rows but for `source`, and by column the least and the greatest value that the log tells."""

    name: str
    source: str
    rows: pa.Table
    least: dict[str, Any] | None = None
    most: dict[str, Any] | None = None

    @property
    def path(self) -> str:
        """Where it lies below the table."""
        return f"source={self.source}/{self.name}.parquet"


def forget_before(folder: Path, version: int) -> None:
    """Write a checkpoint of a version of a table, and remove the commits before it."""
    log = folder / "_delta_log"
    first = (log / f"{0:020d}.json").read_text().splitlines()
    head = [json.loads(line) for line in first if "add" not in line]
    commit = (log / f"{version:020d}.json").read_text().splitlines()
    actions = head + [json.loads(line) for line in commit if "add" in line]
    pq.write_table(
        pa.Table.from_pylist(actions, schema=_CHECKPOINT),
        log / f"{version:020d}.checkpoint.parquet",
    )
    (log / "_last_checkpoint").write_text(json.dumps({"version": version, "size": len(actions)}))
    for number in range(version):
        (log / f"{number:020d}.json").unlink()


_TEXTS = pa.map_(pa.string(), pa.string())
_CHECKPOINT = pa.schema(
    {
        "protocol": pa.struct({"minReaderVersion": pa.int32(), "minWriterVersion": pa.int32()}),
        "metaData": pa.struct(
            {
                "id": pa.string(),
                "format": pa.struct({"provider": pa.string(), "options": _TEXTS}),
                "schemaString": pa.string(),
                "partitionColumns": pa.list_(pa.string()),
                "configuration": _TEXTS,
                "createdTime": pa.int64(),
            }
        ),
        "add": pa.struct(
            {
                "path": pa.string(),
                "partitionValues": _TEXTS,
                "size": pa.int64(),
                "modificationTime": pa.int64(),
                "dataChange": pa.bool_(),
            }
        ),
    }
)


def _meta_data(schema: pa.Schema) -> dict[str, Any]:
    return {
        "id": "0",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps(_struct(list(schema))),
        "partitionColumns": [],
        "configuration": {},
        "createdTime": 0,
    }


def _struct(fields: Sequence[pa.Field]) -> dict[str, Any]:
    return {
        "type": "struct",
        "fields": [
            {"name": f.name, "type": _type(f.type), "nullable": True, "metadata": {}}
            for f in fields
        ],
    }


def _type(kind: pa.DataType) -> Any:
    """Return an Arrow type as Delta's schema writes it."""
    if pa.types.is_map(kind):
        key, value = _type(kind.key_type), _type(kind.item_type)
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    if pa.types.is_list(kind):
        return {"type": "array", "elementType": _type(kind.value_type), "containsNull": True}
    if pa.types.is_struct(kind):
        return _struct([kind.field(at) for at in range(kind.num_fields)])
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    simple = {
        pa.string(): "string",
        pa.int32(): "integer",
        pa.int64(): "long",
        pa.float64(): "double",
        pa.bool_(): "boolean",
        pa.date32(): "date",
        pa.binary(): "binary",
    }
    return simple[kind]
