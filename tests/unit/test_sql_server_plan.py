"""The SQL server's plan: what it is told, by what keys, and where from."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli.stack import describe, up
from tidegate.common.errors import TidegateError
from tidegate.config.settings import SqlLimits, load_sql_limits
from tidegate.config.stack_state import StackState, write_state
from tidegate.engine.scala import fingerprint
from tidegate.processes.child import Child
from tidegate.processes.private_files import load_sql_secrets, sql_password_file
from tidegate.stack.seaweed import Reader, identities
from tidegate.stack.sql import (
    HOST,
    SqlPlan,
    build_sql_server,
    clean_environment,
    properties,
    sql_conf,
    sql_sources,
)
from tidegate.storage.s3 import S3Access

NAMES = ("ROWS", "TIMEOUT", "MEMORY", "RELEASES")


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in NAMES:
        monkeypatch.delenv(f"TIDEGATE_SQL_{name}", raising=False)
    return monkeypatch


def plan(home: Path, lake: str = "s3a://tidegate/lake") -> SqlPlan:
    endpoint = "http://127.0.0.1:9" if lake.startswith("s3a://") else None
    return SqlPlan(home, home, lake, 1, load_sql_secrets(home), SqlLimits(), endpoint)


def test_limits_come_from_the_environment(no_variables: pytest.MonkeyPatch) -> None:
    assert load_sql_limits() == SqlLimits(1_000_000, timedelta(minutes=10), "2g", 5)
    for name, text in zip(NAMES, ("500", "90s", "512m", "3"), strict=True):
        no_variables.setenv(f"TIDEGATE_SQL_{name}", text)
    assert load_sql_limits() == SqlLimits(500, timedelta(seconds=90), "512m", 3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("ROWS", text) for text in ("0", "-1", "1e6", "many", "1_000", "9" * 19)),
        *(("TIMEOUT", text) for text in ("0s", "600", "long")),
        *(("MEMORY", text) for text in ("2", "0g", "2g -XX:+Evil", "2 g", "2gb")),
        *(("RELEASES", text) for text in ("0", "1.5")),
    ],
)
def test_a_limit_that_is_none_is_named(
    no_variables: pytest.MonkeyPatch, name: str, text: str
) -> None:
    no_variables.setenv(f"TIDEGATE_SQL_{name}", text)
    with pytest.raises(TidegateError) as told:
        load_sql_limits()
    assert told.value.where == f"TIDEGATE_SQL_{name}"
    assert told.value.got == text


def test_secrets_stay_and_are_their_owners_only(tmp_path: Path) -> None:
    made = load_sql_secrets(tmp_path)
    assert load_sql_secrets(tmp_path) == made
    assert sql_password_file(tmp_path).read_text() == made.password + "\n"
    assert len({made.password, made.s3_access_key, made.s3_secret_key}) == 3
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    sql_password_file(tmp_path).unlink()
    other = load_sql_secrets(tmp_path)
    assert other.password != made.password
    assert other.s3_secret_key == made.s3_secret_key


def test_sparks_own_settings_hold_no_secret(tmp_path: Path) -> None:
    """Those that begin with `spark.` and `hive.` are what sessions may show."""
    found = plan(tmp_path)
    told = sql_conf(found, tmp_path)
    shown = str({key: value for key, value in told.items() if key.startswith(("spark.", "hive."))})
    for secret in (
        found.secrets.password,
        found.secrets.s3_access_key,
        found.secrets.s3_secret_key,
    ):
        assert secret in told.values()
        assert secret not in shown
    assert told["spark.sql.runSQLOnFiles"] == told["spark.sql.variable.substitute"] == "false"
    assert {told["hive.server2.thrift.bind.host"], told["spark.driver.host"]} == {HOST}
    assert {told["timeout_s"], told["spark.sql.thriftServer.queryTimeout"]} == {"600"}
    assert not any("s3a" in key for key in sql_conf(plan(tmp_path, "/lake"), tmp_path))


@given(st.text())
def test_java_reads_what_was_written(value: str) -> None:
    """Of the rules of Java's properties those that values need are kept to: one line, no end eaten."""
    text = properties({"key": value, "next": "1"})
    lines = text.split("\n")
    assert lines[-2:] == ["next=1", ""]
    assert "\r" not in text
    assert len(lines) == 3
    assert _read(lines[0]) == value


def _read(line: str) -> str:
    """Read `key=value` as `java.util.Properties` does."""
    value = line.removeprefix("key=").lstrip(" \t\f")
    found, escaped = [], False
    for character in value:
        if escaped:
            found.append({"n": "\n", "r": "\r"}.get(character, character))
        elif character != "\\":
            found.append(character)
        escaped = character == "\\" and not escaped
    return "".join(found)


def test_the_servers_identity_reads_two_folders() -> None:
    admin = S3Access("http://127.0.0.1:9", "a", "b")
    told = json.loads(
        identities(admin, [Reader("sql", "c", "d", ["x/lake/warehouse", "x/lake/ops"])])
    )
    first, second = told["identities"]
    assert "Admin" in first["actions"]
    assert second["credentials"] == [{"accessKey": "c", "secretKey": "d"}]
    assert sorted(second["actions"]) == [
        "List:x/lake/ops/*",
        "List:x/lake/warehouse/*",
        "Read:x/lake/ops/*",
        "Read:x/lake/warehouse/*",
    ]


def test_its_environment_has_nobodys_keys() -> None:
    found = clean_environment(
        {
            "AWS_SECRET_ACCESS_KEY": "x",
            "HIVE_SERVER2_THRIFT_BIND_HOST": "elsewhere",
            "TIDEGATE_SPARK": "y",
        }
        | {"PATH": "/bin", "TIDEGATE_STACK": "/home"}
    )
    assert found == {"PATH": "/bin", "TIDEGATE_STACK": "/home"}


def test_other_sources_or_another_spark_are_another_build(tmp_path: Path) -> None:
    source = tmp_path / "A.scala"
    source.write_text("object A")
    builds = {
        fingerprint([source], [Path("spark-1.jar")]),
        fingerprint([source], [Path("spark-2.jar")]),
    }
    source.write_text("object A {}")
    builds.add(fingerprint([source], [Path("spark-1.jar")]))
    assert len(builds) == 3
    assert fingerprint([source], [Path("/a/x.jar")]) == fingerprint([source], [Path("/b/x.jar")])


def test_the_sources_are_the_projects_or_the_checkouts(tmp_path: Path) -> None:
    assert (sql_sources(tmp_path) / "Guard.scala").is_file()
    (tmp_path / "infra" / "sql").mkdir(parents=True)
    (tmp_path / "infra" / "sql" / "Own.scala").touch()
    assert sql_sources(tmp_path) == tmp_path / "infra" / "sql"


def test_sources_that_are_nowhere_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tidegate.engine.scala.__file__", str(tmp_path / "a" / "b" / "c" / "scala.py")
    )
    with pytest.raises(TidegateError, match="sources that Spark needs are not here"):
        sql_sources(tmp_path)


def test_what_the_compiler_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that fails leaves no jar."""
    script = tmp_path / "java"
    script.write_text("#!/bin/sh\necho 'A.scala:1: error: not found'\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr("tidegate.engine.scala.java", lambda: script)
    monkeypatch.setattr("tidegate.engine.dependencies.jars", lambda *_: [])
    monkeypatch.setenv("TIDEGATE_JARS", str(tmp_path / "jars"))
    (tmp_path / "jars").mkdir()
    watched: list[Child] = []
    with pytest.raises(TidegateError, match="could not be compiled") as told:
        build_sql_server(tmp_path, tmp_path, watched.append)
    assert "not found" in str(told.value.got)
    assert len(watched) == 1
    assert list((tmp_path / "jars").iterdir()) == []


def test_status_says_how_to_connect() -> None:
    state = StackState(
        1, "s3a://x/lake", "s3://x", "sc://y", S3Access(), sql="127.0.0.1:5", sql_password="/p"
    )
    assert describe(state)[-1] == (
        "SQL      jdbc:hive2://127.0.0.1:5/default  (user analyst, password in /p)"
    )
    without = StackState(1, "s3a://x/lake", "s3://x", "sc://y", S3Access())
    assert not any(line.startswith("SQL") for line in describe(without))


def test_a_stack_that_runs_without_it_has_to_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    write_state(tmp_path, StackState(os.getpid(), "s3a://x/lake", "s3://x", "sc://y", S3Access()))
    with pytest.raises(TidegateError, match="without a SQL server") as told:
        up(airflow=False, sql=True)
    assert "tidegate down" in told.value.describe()
    up(airflow=False, sql=False)
