"""What an engine is: it computes rows by SQL, stages them and publishes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tidegate.lake.model import Compacted
    from tidegate.lake.reader import Place
    from tidegate.lake.slices import Slices
    from tidegate.landing.kernel import Rules
    from tidegate.landing.staging import DumpResult, DumpTask, Opener
    from tidegate.tables import Table


class Engine(Protocol):
    """What computes the rows of a lake. Queries are DuckDB SQL; `{name}` in them stands for a place.

    Attributes:
        name: `duckdb` or `spark`.
    """

    name: str

    def write(
        self, query: str, places: Mapping[str, Place], columns: Mapping[str, str], folder: str
    ) -> None:
        """Write the rows of a query into a folder as Parquet, in place of what is there.

        Args:
            query: the query.
            places: what it reads, by name.
            columns: of the rows, with their types as tables name them; each is cast to its type.
            folder: an absolute path of this machine, or a place below the lake.
        """

    def replace(
        self,
        table: Table,
        query: str,
        places: Mapping[str, Place],
        columns: Mapping[str, str],
        slices: Slices,
        record: Mapping[str, Any],
        app: str,
        number: int,
    ) -> None:
        """Replace exactly some slices of a table by the rows of a query, in one commit; see `Lake.publish`."""

    def add_columns(self, table: Table, wanted: Mapping[str, str]) -> None:
        """Add columns (name -> type) that a published table lacks."""

    def compact(self, table: Table, partitions: Mapping[str, Sequence[str]]) -> Compacted | None:
        """Put the small files of some partitions of a published table together; see `Lake.compact`."""

    def land(
        self, tasks: Sequence[DumpTask], rules: Rules, files: Opener, folder: str
    ) -> list[DumpResult]:
        """Land dumps by the kernel into a folder under staging.

        Args:
            tasks: the dumps.
            rules: how lines become events.
            files: opens their files.
            folder: below the lake.
        """
