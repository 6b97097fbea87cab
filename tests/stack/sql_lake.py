"""A small lake made by hand for the SQL server: published tables, releases, something in staging."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from handmade_delta import write_delta

MEANING = "One row is an event."
BEGAN = datetime(2026, 5, 1, tzinfo=UTC)


def release_id(number: int) -> str:
    """Return the id of the release that is numbered so, from 1."""
    return f"{BEGAN + timedelta(hours=number):%Y%m%dT%H%M%S}-0000000{number}"


def schema(number: int) -> str:
    """Return the schema of that release."""
    return f"release_{release_id(number).lower().replace('-', '_')}"


class SqlLake:
    """Release n has n events and n sessions of one user each; both are at version n - 1.

    Args:
        root: an empty folder.
        scratch: a folder for whole tables, of which commits are brought one by one.
        most: releases that there will be at most.
    """

    def __init__(self, root: Path, scratch: Path, most: int = 6) -> None:
        self.root = root
        self._scratch = scratch
        self._published = 0
        write_delta(scratch / "warehouse/events", *(self._events(n) for n in range(1, most + 1)))
        write_delta(
            scratch / "warehouse/sessions", *(self._sessions(n) for n in range(1, most + 1))
        )
        write_delta(scratch / "ops/releases", *(self._releases(n) for n in range(1, most + 1)))
        write_delta(root / "staging/events", pa.table({"event_id": ["unaudited"]}))
        self._describe(scratch / "warehouse/events")

    def publish(self, table: str) -> None:
        """Bring the next version of a table."""
        place = f"ops/{table}" if table == "releases" else f"warehouse/{table}"
        there = self.root / place
        (there / "_delta_log").mkdir(parents=True, exist_ok=True)
        number = len(list((there / "_delta_log").glob("*.json")))
        for name in (f"part-{number}.parquet", f"_delta_log/{number:020d}.json"):
            shutil.copy(self._scratch / place / name, there / name)

    def release(self) -> None:
        """Publish both tables and a release of them."""
        for table in ("events", "sessions", "releases"):
            self.publish(table)
        self._published += 1

    def keep_from(self, version: int) -> None:
        """Say that versions of events before this one are not kept any more."""
        rows: dict[str, Any] = {
            "place": ["warehouse/events"],
            "kept_from": pa.array([version], pa.int64()),
        }
        write_delta(self.root / "ops/maintenance", pa.table(rows))

    @staticmethod
    def _events(count: int) -> pa.Table:
        return pa.table(
            {
                "event_id": [f"e{at}" for at in range(count)],
                "user_key": [f"u{at}" for at in range(count)],
                "event_time": pa.array([BEGAN] * count, pa.timestamp("us", "UTC")),
                "worth": pa.array([0.5] * count, pa.float64()),
            }
        )

    @staticmethod
    def _sessions(count: int) -> pa.Table:
        return pa.table(
            {
                "session_id": [f"s{at}" for at in range(count)],
                "user_key": [f"u{at}" for at in range(count)],
            }
        )

    @staticmethod
    def _releases(count: int) -> pa.Table:
        numbers = range(1, count + 1)
        versions = [[("events", n - 1), ("sessions", n - 1)] for n in numbers]
        return pa.table(
            {
                "release_id": [release_id(n) for n in numbers],
                "sequence": pa.array(list(numbers), pa.int64()),
                "versions": pa.array(versions, pa.map_(pa.string(), pa.int64())),
            }
        )

    @staticmethod
    def _describe(folder: Path) -> None:
        """Give the table and a column their meanings."""
        commit = folder / "_delta_log" / f"{0:020d}.json"
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        told = next(each["metaData"] for each in actions if "metaData" in each)
        told["description"] = MEANING
        fields = json.loads(told["schemaString"])
        fields["fields"][0]["metadata"] = {"comment": "id of the event"}
        told["schemaString"] = json.dumps(fields)
        commit.write_text("".join(json.dumps(each) + "\n" for each in actions))
