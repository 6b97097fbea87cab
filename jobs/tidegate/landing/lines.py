"""Read the lines of dump files with Spark, each with its file and its number."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from tidegate.dumps import DumpFile
    from tidegate.lake import Lake

MAX_LINE_BYTES = 1024 * 1024
"""A longer line is quarantined. To parse one takes some fifty times its length of the server's heap, and
a server that runs out of it ends, with everybody's work. Kafka's largest message is as long by default."""

MAX_RAW_CHARS = 64 * 1024
"""How much of a line over `MAX_LINE_BYTES` the quarantine keeps."""

# One file is one partition: with both at their most, Spark neither splits a file nor puts two into a
# partition. Then the number that monotonically_increasing_id() counts up within a partition (its
# lower 33 bits) is the line's, without a second pass over the input or a shuffle.
_WHOLE_FILES = {
    "spark.sql.files.maxPartitionBytes": str(1 << 40),
    "spark.sql.files.openCostInBytes": str(1 << 40),
}
_WITHIN_PARTITION = (1 << 33) - 1

# What java.net.URI leaves unquoted in a path; beyond ASCII, all but spaces and controls stay too.
_URI_PATH_SAFE = "/-_.!~'()*:@&=+$,;"


@dataclass(frozen=True)
class Input:
    """A file of a dump, and the hour that it belongs to."""

    hour: datetime
    file: DumpFile


@contextmanager
def whole_files(lake: Lake) -> Iterator[None]:
    """Make the session read one file a partition within the block, as line numbers need.

    Only there: elsewhere each of the many small files of the books would be a task of its own.
    """
    conf = lake.spark.conf
    before = {key: str(conf.get(key)) for key in _WHOLE_FILES}
    try:
        for key, value in _WHOLE_FILES.items():
            conf.set(key, value)
        yield
    finally:
        for key, value in before.items():
            conf.set(key, value)


def read_text(lake: Lake, inputs: Sequence[Input]) -> DataFrame:
    """Return `value` (the line), its `bytes`, `dump_hour`, `file` and `line` of text files, plain or gzip.

    What is too long is cut here, before anything else makes copies of it.

    Lines end at a line feed only. What is read has to be evaluated within `whole_files`.
    """
    from pyspark.sql import functions as F

    paths = [each.file.spark_path for each in inputs]
    reader = lake.spark.read.option("lineSep", "\n")
    if all("://" not in path for path in paths):
        # Hadoop's own choice for local files looks for a file of checksums beside each, and fails
        # where a name holds a colon, as times do.
        raw = "org.apache.hadoop.fs.RawLocalFileSystem"
        reader = reader.options(**{"fs.file.impl": raw, "fs.file.impl.disable.cache": "true"})
    return _named(
        lake,
        reader.text(paths).select(
            *_cut("value"),
            F.expr(f"(monotonically_increasing_id() & {_WITHIN_PARTITION}) + 1").alias("line"),
            F.expr("_metadata.file_path").alias("path"),
        ),
        inputs,
    )


def read_parquet(lake: Lake, inputs: Sequence[Input]) -> DataFrame:
    """Return the same of Parquet files: each row as a JSON object, its place in the file as line."""
    from pyspark.sql import functions as F

    paths = [each.file.spark_path for each in inputs]
    return _named(
        lake,
        lake.spark.read.option("mergeSchema", "true")
        .parquet(*paths)
        .select(
            *_cut("to_json(struct(*))"),
            F.expr("_metadata.row_index + 1").alias("line"),
            F.expr("_metadata.file_path").alias("path"),
        ),
        inputs,
    )


def _cut(line: str) -> list[Column]:
    """Return `value` and `bytes` of a line."""
    from pyspark.sql import functions as F

    short = f"if(octet_length({line}) > {MAX_LINE_BYTES}, left({line}, {MAX_RAW_CHARS}), {line})"
    return [F.expr(short).alias("value"), F.expr(f"octet_length({line})").alias("bytes")]


def _named(lake: Lake, lines: DataFrame, inputs: Sequence[Input]) -> DataFrame:
    from pyspark.sql import functions as F

    names = lake.frame(
        [
            {"path": uri_path(each.file.uri), "file": each.file.name, "dump_hour": each.hour}
            for each in inputs
        ],
        "path string, file string, dump_hour timestamp",
    )
    # Local paths come as file:/… or file:///…: the scheme says nothing more, so it goes.
    plain = lines.withColumn(
        "path",
        F.expr("if(startswith(path, 'file:'), concat('/', ltrim('/', substr(path, 6))), path)"),
    )
    # A line of a file that is not known would be lost in silence by an inner join.
    known = "coalesce(file, raise_error(concat('no file of the dump is spelled ', path)))"
    return plain.join(F.broadcast(names), "path", "left").select(
        "value", "bytes", "dump_hour", F.expr(known).alias("file"), "line"
    )


def uri_path(uri: str) -> str:
    """Return a path or URI as Spark's `_metadata.file_path` spells it, less the scheme `file:`."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        scheme, rest = "", uri
    quoted = "".join(
        c
        if ord(c) > 127 and unicodedata.category(c) not in ("Zs", "Zl", "Zp", "Cc")
        else quote(c, safe=_URI_PATH_SAFE)
        for c in rest
    )
    return quoted if scheme in ("", "file") else f"{scheme}://{quoted}"
