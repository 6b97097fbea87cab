"""The books of a lake made by hand: a few rows a table, without Spark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from handmade_delta import write_delta
from tidegate.config.settings import Settings
from tidegate.tables import OPS, WAREHOUSE, Table
from tidegate.tables.events import TABLE as EVENTS

Row = Mapping[str, Any]
HOUR = timedelta(hours=1)
_SIMPLE = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "binary": pa.binary(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


class Books:
    """Rows of the books, to be written as a lake.

    Args:
        root: a folder of its own.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: dict[str, list[Row]] = {table.name: [] for table in OPS}
        self.shown: dict[str, list[Row]] = {table.name: [] for table in WAREHOUSE}
        """Rows of the published tables, at every version."""
        self._published = 0
        self._audited = 0

    def land(self, source: str, hour: datetime, **more: Any) -> str:
        """Land an hour 70 minutes after its begin; return the id of the landing."""
        landing = f"l-{source}-{hour:%Y%m%d%H}-{len(self.rows['landings'])}"
        lines = more.get("lines", 100)
        bad = more.get("quarantined_by_reason", {})
        row = {
            "landing_id": landing,
            "source": source,
            "dump_hour": hour,
            "status": "landed",
            "files": [
                {"name": f"{hour:%H}.json", "uri": "", "size": 9000, "etag": "", "lines": lines}
            ],
            "bytes": 9000,
            "lines": lines,
            "events": lines - sum(bad.values()),
            "duplicates": 0,
            "quarantined": sum(bad.values()),
            "configuration": "c",
            "run_id": f"land_{source}/scheduled",
            "landed_at": hour + timedelta(minutes=70),
            **more,
            "quarantined_by_reason": list(bad.items()),
        }
        self.rows["landings"].append(row)
        return landing

    def audit(self, source: str, hour: datetime, results: Iterable[Row], **more: Any) -> None:
        """Write an audit of a slice; results are met unless they say otherwise."""
        self._audited += 1
        for result in results:
            status = result.get("status", "met")
            self.rows["audits"].append(
                {
                    "audit_id": f"a{self._audited:05d}",
                    "table_name": "events",
                    "source": source,
                    "slices": [hour],
                    "expectation": "expect_x",
                    "severity": "warning",
                    "success": status not in ("failed", "approved"),
                    "observed": "0 of 100 rows",
                    "expected": "x",
                    "why": "Because.",
                    "run_id": f"land_{source}/scheduled",
                    "audited_at": hour + timedelta(minutes=71),
                    "status": status,
                    **more,
                    **result,
                }
            )

    def publish(
        self, source: str, hour: datetime, landing: str, rows: int = 100, version: int = 0
    ) -> None:
        """Publish the landing of an hour, by a commit that makes a version of events."""
        self._published += 1
        self.rows["publications"].append(
            {
                "publication_id": f"p{self._published:05d}",
                "table_name": "events",
                "source": source,
                "sequence": self._published,
                "delta_version": version,
                "slices": [{"slice": hour, "landing_id": landing, "rows": rows, "duplicates": 0}],
                "slice_min": hour,
                "slice_max": hour,
                "rows": rows,
                "configuration": "c",
                "code_version": 1,
                "run_id": f"land_{source}/scheduled",
                "published_at": hour + timedelta(minutes=72),
            }
        )

    def release(self, at: datetime, version: int) -> None:
        """Release a version of events."""
        number = len(self.rows["releases"]) + 1
        versions = [(table.name, 0) for table in WAREHOUSE if table is not EVENTS]
        self.rows["releases"].append(
            {
                "release_id": f"r{number:05d}",
                "sequence": number,
                "released_at": at,
                "versions": [(EVENTS.name, version), *versions],
            }
        )

    def bad_lines(self, source: str, hour: datetime, lines: Sequence[Row]) -> None:
        """Quarantine lines."""
        for number, line in enumerate(lines, start=1):
            self.rows["quarantine"].append(
                {"source": source, "dump_hour": hour, "file": "f", "line": number, **line}
            )

    def write(self, without: Mapping[str, Sequence[str]] | None = None) -> Settings:
        """Write the lake; return the settings of a project without sources.

        Args:
            without: columns that a table lacks, as in older lakes.
        """
        lake = self.root / "lake"
        last = max((each["delta_version"] for each in self.rows["publications"]), default=0)
        for table in WAREHOUSE:
            versions = last + 1 if table is EVENTS else 1
            shown = _arrow(table, self.shown[table.name], ())
            write_delta(lake / "warehouse" / table.name, *[shown] * versions)
        for table in OPS:
            missing = (without or {}).get(table.name, ())
            write_delta(lake / "ops" / table.name, _arrow(table, self.rows[table.name], missing))
        (self.root / "dags" / "sources").mkdir(parents=True, exist_ok=True)
        return Settings(self.root, self.root / "home", str(lake))


def _arrow(table: Table, rows: Sequence[Row], missing: Sequence[str]) -> pa.Table:
    columns = [each for each in table.columns if each.name not in missing]
    schema = pa.schema([(each.name, _type(each.type)) for each in columns])
    made = [{each.name: row.get(each.name) for each in columns} for row in rows]
    return pa.Table.from_pylist(made, schema=schema)


def _type(text: str) -> Any:
    """Return a Spark type as Arrow's."""
    found = re.fullmatch(r"(array|map|struct)<(.*)>", text)
    if not found:
        return _SIMPLE[text] if text in _SIMPLE else pa.decimal128(38, 9)
    inner = found[2]
    if found[1] == "array":
        return pa.list_(_type(inner))
    parts = re.split(r",(?![^<]*>)", inner)
    if found[1] == "map":
        return pa.map_(*map(_type, parts))
    return pa.struct([(name, _type(kind)) for name, kind in (p.split(":", 1) for p in parts)])
