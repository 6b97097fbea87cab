"""DuckDB connections that can read the tables of a lake: extensions, credentials, and whether the lake answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tidegate.common.connection_errors import lost
from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hints import command
from tidegate.common.sql_quoting import literal
from tidegate.storage.s3 import S3Access

if TYPE_CHECKING:
    import duckdb

EXTENSIONS = ("delta", "httpfs")

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # To check the signature of an extension DuckDB hashes its 80 MB whenever a connection is opened. Those that are
    # loaded came as wheels, whose hashes are pinned; others can't be, once external access is off.
    "allow_unsigned_extensions": True,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "allow_unredacted_secrets": False,
    # No file of a lake is ever written again, so what was read of one holds. To ask S3 whether it does is a
    # request for each file and query: two thirds of the time of a look at a book of twenty files.
    "validate_external_file_cache": "NO_VALIDATION",
    # Else the name of any Python variable of the caller would be a table.
    "python_enable_replacements": False,
}


class EmptyLakeError(TidegateError):
    """Nothing was ever published in a lake, or there is none."""


def open_connection(lake: str, s3: S3Access) -> duckdb.DuckDBPyConnection:
    """Return a connection that can read Delta tables of a lake; it has no views yet.

    Raises:
        TidegateError: the lake can't be reached.
    """
    import duckdb

    base = duckdb_uri(lake)
    connection = duckdb.connect(":memory:", config=_CONFIG)
    try:
        # Globally, so that cursors of the connection have it too.
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        for name in EXTENSIONS:
            connection.execute(f"LOAD {literal(str(extension_file(name)))}")
        if base.startswith("s3://"):
            _set_secret(connection, base, s3)
            _knock(connection, base)
        else:
            _check_folder(base)
    except BaseException:
        connection.close()
        raise
    return connection


def extension_file(name: str) -> Path:
    """Return the file of a DuckDB extension that came as a wheel, of this DuckDB's version.

    Raises:
        TidegateError: the wheel is not installed or is one for another DuckDB.

    """
    import duckdb

    package = f"duckdb_extension_{name}"
    version = f"v{duckdb.__version__}"
    try:
        folder = Path(str(import_module(package).__file__)).parent / "extensions"
    except ImportError:
        folder = Path(package)
    found = folder / version / f"{name}.duckdb_extension"
    if found.is_file():
        return found
    there = sorted(path.name for path in folder.glob("v*")) if folder.is_dir() else []
    raise TidegateError(
        f"DuckDB's extension '{name}' is not installed for this DuckDB",
        where=str(found),
        expected=f"the wheel duckdb-extension-{name} of {duckdb.__version__}",
        got=f"one for {', '.join(there)}" if there else "none",
        todo="install the versions of requirements.lock",
    )


def _set_secret(connection: duckdb.DuckDBPyConnection, base: str, s3: S3Access) -> None:
    """Tell DuckDB how to reach the lake's bucket, for the lake and nothing else in it."""
    if not s3.access_key or not s3.secret_key:
        raise TidegateError(
            "no credentials for the lake's bucket",
            where=base,
            expected="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, of keys that may read the lake",
            got="none",
            todo="set them, or run beside the stack that the lake belongs to",
        )
    options = {
        "KEY_ID": literal(s3.access_key),
        "SECRET": literal(s3.secret_key),
        "REGION": literal(s3.region),
        "SCOPE": literal(base),
    }
    if s3.url is not None:
        endpoint = urlsplit(s3.url)
        options["ENDPOINT"] = literal(endpoint.netloc)
        options["URL_STYLE"] = "'path'"
        options["USE_SSL"] = "false" if endpoint.scheme == "http" else "true"
    listed = ", ".join(f"{key} {value}" for key, value in options.items())
    connection.execute(f"CREATE SECRET lake (TYPE s3, {listed})")


def _knock(connection: duckdb.DuckDBPyConnection, base: str) -> None:
    """Check that the bucket answers: the Delta reader would try ten times and then say little.

    Raises:
        TidegateError: it doesn't, or not to these keys.

    """
    import duckdb

    try:
        connection.execute(f"SELECT count(*) FROM glob({literal(base + '/_tidegate*')})")
    except duckdb.Error as error:
        told = _trimmed(str(error).partition("\nLINE ")[0].splitlines())
        kind = TryAgainError if lost(error) else TidegateError
        raise kind(
            "the lake's bucket can't be read",
            where=base,
            expected="a bucket that these keys may list and read",
            got=visible_text("; ".join(told[:2])),
            todo="check --lake, the endpoint (AWS_ENDPOINT_URL) and the keys (AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY)",
        ) from error


def _check_folder(base: str) -> None:
    """Check that a folder is there and has a name that DuckDB's Delta reader can take.

    Raises:
        TidegateError: it isn't, or hasn't.

    """
    if not Path(base).is_dir():
        raise empty_lake(base, "no lake there")
    if re.search(r"%[0-9A-Fa-f]{2}|\\", base):
        raise TidegateError(
            "the lake's path can't be read by DuckDB's Delta reader, which would decode it",
            where=base,
            expected="a path without backslashes and without % before two hexadecimal digits",
            todo="move the lake, or reach it by a symbolic link",
        )


def empty_lake(base: str, what: str) -> EmptyLakeError:
    """Return the error of a lake that has nothing to read."""
    return EmptyLakeError(
        what,
        where=base,
        expected="a lake with tables under warehouse/",
        todo="check --lake (or TIDEGATE_LAKE), or publish something first: "
        + command("run", "SOURCE", "--from", "HOUR", "--to", "HOUR"),
    )


def duckdb_uri(lake: str) -> str:
    """Return the lake's address as DuckDB wants it: its secrets and its Delta reader know `s3://`."""
    if lake.startswith("s3a://"):
        return "s3://" + lake.removeprefix("s3a://").rstrip("/")
    return lake.rstrip("/")


def visible_text(text: str) -> str:
    """Return a message of DuckDB for a terminal, without blank lines."""
    from tidegate.common.text_output import visible

    return "\n".join(visible(line) for line in _trimmed(text.splitlines()))


def _trimmed(lines: Iterable[str]) -> list[str]:
    return [line.rstrip() for line in lines if line.strip()]
