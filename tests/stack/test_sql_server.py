"""The SQL server for BI tools: who gets in, what is seen, and what is refused."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest
from sql_lake import MEANING, SqlLake, schema
from sql_server import SqlServer, ask, sql_server
from test_stack_processes import check_secrets, kill_and_wait, one, processes

from s3server import s3_client
from tidegate.config.settings import SqlLimits
from tidegate.processes.child import end_marked
from tidegate.processes.private_files import ANALYST, load_sql_secrets
from tidegate.stack.run import HOME_MARK, running_stack
from tidegate.stack.sql import HOST
from tidegate.storage.s3 import S3Access

ROWS = 1000
LISTED = 2
SHOWN = ["completeness_by_day", "completeness_by_hour", "events", "freshness", "sessions"]
"""What a schema of a release has: tables, and views that stand beside them."""


@dataclass
class Server(SqlServer):
    """A running server, and the lake it reads."""

    lake: SqlLake
    home: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server on a lake made by hand, in which there are three releases."""
    home = tmp_path_factory.mktemp("sql")
    lake = SqlLake(home / "lake", tmp_path_factory.mktemp("whole"))
    for _ in range(3):
        lake.release()
    with sql_server(home, lake.root, SqlLimits(rows=ROWS, memory="1g", releases=LISTED)) as made:
        yield Server(made.port, made.password, lake, home)


@pytest.fixture(scope="module")
def cursor(server: Server) -> Iterator[Any]:
    """Give a cursor that many tests share."""
    with contextlib.closing(server.connect()) as connection:
        yield connection.cursor()


def refusal(cursor: Any, statement: str) -> str:
    """Return the message that a statement fails with."""
    with pytest.raises(import_module("pyhive.exc").Error) as told:
        ask(cursor, statement)
    said = told.value.args[0]
    return str(said if isinstance(said, str) else said.status.errorMessage)


def test_pyhive_and_impyla_log_in_and_join_tables(server: Server) -> None:
    join = (
        "SELECT event_id, session_id, worth FROM events JOIN sessions USING (user_key) ORDER BY 1"
    )
    rows = [("e0", "s0", 0.5), ("e1", "s1", 0.5), ("e2", "s2", 0.5)]
    for connection in (server.connect(), server.connect_impala()):
        with contextlib.closing(connection):
            assert ask(connection.cursor(), join) == rows


def test_nobody_else_gets_in(server: Server) -> None:
    failed = import_module("thrift.transport.TTransport").TTransportException
    attempts: list[dict[str, Any]] = [
        {"password": "wrong"},
        {"password": ""},
        {"password": server.password + " "},
        {"username": "root"},
        {"username": ""},
        {"password": None, "auth": "NONE"},
        {"password": None, "auth": "NOSASL"},
        {"auth": "LDAP", "username": ANALYST.upper()},
    ]
    for attempt in attempts:
        with pytest.raises(failed):
            server.connect(**attempt)
    with pytest.raises(failed):
        server.connect_impala("wrong")


def test_it_listens_on_loopback_only(server: Server) -> None:
    addresses = {
        next(iter(found.laddr))
        for found in psutil.net_connections("tcp")
        if found.status == psutil.CONN_LISTEN and server.port in tuple(found.laddr)
    }
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert addresses


def test_a_connection_sees_one_whole_release_while_another_is_published(server: Server) -> None:
    count = (
        "SELECT (SELECT count(*) FROM {0}events), (SELECT count(*) FROM {0}sessions), "
        "(SELECT count(*) FROM events e JOIN sessions s USING (user_key))"
    )
    with contextlib.closing(server.connect()) as before:
        old = before.cursor()
        assert ask(old, count.format("")) == [(3, 3, 3)]
        server.lake.publish("events")
        with contextlib.closing(server.connect()) as between:  # published, and not released yet
            assert ask(between.cursor(), count.format("")) == [(3, 3, 3)]
        server.lake.publish("sessions")
        server.lake.publish("releases")
        for name in ("", "latest.", "default.", "spark_catalog.latest."):
            assert ask(old, count.format(name)) == [(3, 3, 3)]
        with contextlib.closing(server.connect()) as after:
            new = after.cursor()
            for name in ("", "latest.", "default.", f"{schema(4)}."):
                assert ask(new, count.format(name)) == [(4, 4, 4)]
            # A release by its name is the same for everybody; the schema in use is a connection's own.
            assert ask(new, f"SELECT count(*) FROM {schema(3)}.events") == [(3,)]
            ask(new, f"USE {schema(3)}")
            assert ask(new, count.format("")) == [(3, 3, 3)]
            ask(new, "USE default")
            assert ask(new, count.format("")) == [(4, 4, 4)]
            assert ask(old, f"SELECT count(*) FROM {schema(4)}.events") == [(4,)]
            # Schemas that a tool lists by default: the newest releases; others are there by their names.
            listed = [row[0] for row in ask(new, "SHOW SCHEMAS")]
            assert listed == ["default", "latest", "ops", schema(4), schema(3)]
            assert ask(new, f"SELECT count(*) FROM {schema(1)}.events") == [(1,)]
            assert "release " in str(ask(new, "DESCRIBE SCHEMA latest"))
        server.lake.keep_from(1)
        with contextlib.closing(server.connect()) as after:
            new = after.cursor()
            assert "cannot be found" in refusal(new, f"SELECT count(*) FROM {schema(1)}.events")
            assert ask(new, f"SELECT count(*) FROM {schema(2)}.events") == [(2,)]
        assert ask(old, count.format("")) == [(3, 3, 3)]


@pytest.mark.slow
def test_many_connections_at_once_keep_their_releases(server: Server) -> None:
    """Threads of the server serve one connection after another: none takes over another's release."""
    with contextlib.ExitStack() as stack:
        cursors = []
        for _ in range(4):
            connection = stack.enter_context(contextlib.closing(server.connect()))
            cursors.append(connection.cursor())
        pinned = [ask(each, "SET spark.tidegate.release")[0][1] for each in cursors]
        server.lake.release()
        late = stack.enter_context(contextlib.closing(server.connect())).cursor()
        assert ask(late, "SET spark.tidegate.release")[0][1] not in pinned

        def counted(each: Any) -> list[int]:
            return [ask(each, "SELECT count(*) FROM latest.events")[0][0] for _ in range(3)]

        with ThreadPoolExecutor(max_workers=5) as pool:
            counts = list(pool.map(counted, [*cursors, late]))
        first = counts[0][0]
        assert counts == [[first] * 3] * 4 + [[first + 1] * 3]


def test_tools_see_tables_columns_and_their_meanings(server: Server, cursor: Any) -> None:
    told = {row[0]: row[1:] for row in ask(cursor, "DESCRIBE TABLE EXTENDED events")}
    assert told["event_id"] == ("string", "id of the event")
    assert told["event_time"][0] == "timestamp"
    assert told["Comment"][0] == MEANING
    with contextlib.closing(server.connect_impala()) as connection:
        other = connection.cursor()
        other.get_databases()
        assert [row[0] for row in other.fetchall()][:3] == ["default", "latest", "ops"]
        other.get_tables(database_name="latest")
        found = {row[2]: row[:5] for row in other.fetchall()}
        assert found["events"] == ("", "latest", "events", "VIEW", MEANING)
        assert list(found) == SHOWN
    types = import_module("TCLIService.ttypes")
    connection = server.connect()
    with contextlib.closing(connection):
        request = types.TGetColumnsReq(
            sessionHandle=connection.sessionHandle, schemaName="latest", tableName="events"
        )
        answer = connection.client.GetColumns(request)
        fetched = connection.client.FetchResults(
            types.TFetchResultsReq(answer.operationHandle, types.TFetchOrientation.FETCH_NEXT, 100)
        )
        columns = fetched.results.columns
        assert columns[3].stringVal.values == ["event_id", "user_key", "event_time", "worth"]
        assert columns[11].stringVal.values[0] == "id of the event"
        # Drivers ask by patterns; a release that is not listed is found by its name in these too.
        request = types.TGetTablesReq(sessionHandle=connection.sessionHandle, schemaName=schema(2))
        answer = connection.client.GetTables(request)
        fetched = connection.client.FetchResults(
            types.TFetchResultsReq(answer.operationHandle, types.TFetchOrientation.FETCH_NEXT, 100)
        )
        assert fetched.results.columns[2].stringVal.values == SHOWN


WRITES = """
CREATE TABLE t (a INT)
CREATE TABLE t AS SELECT 1 AS a
CREATE OR REPLACE TABLE events USING delta AS SELECT 1 AS a
CREATE VIEW v AS SELECT 1
CREATE TEMPORARY VIEW v AS SELECT 1
CREATE TEMPORARY VIEW v USING csv OPTIONS (path '/etc/passwd')
CREATE SCHEMA d
CREATE FUNCTION f AS 'java.lang.String'
CREATE TEMPORARY FUNCTION f() RETURNS INT RETURN 1
DECLARE x INT DEFAULT 5
INSERT INTO events SELECT * FROM events
INSERT OVERWRITE DIRECTORY '{out}' USING csv SELECT 1
INSERT OVERWRITE LOCAL DIRECTORY '{out}' SELECT 1
FROM events INSERT INTO events SELECT *
DELETE FROM events
UPDATE events SET worth = 1
MERGE INTO events t USING events s ON t.event_id = s.event_id WHEN MATCHED THEN DELETE
TRUNCATE TABLE events
DROP TABLE events
DROP VIEW events
DROP SCHEMA latest CASCADE
ALTER TABLE events ADD COLUMNS (x INT)
ALTER VIEW events AS SELECT 1
COMMENT ON TABLE events IS 'x'
OPTIMIZE events
OPTIMIZE '{lake}/warehouse/events'
VACUUM '{lake}/warehouse/events'
RESTORE TABLE delta.`{lake}/warehouse/events` TO VERSION AS OF 0
CONVERT TO DELTA parquet.`{lake}/staging/events`
LOAD DATA INPATH '/etc/passwd' INTO TABLE events
ANALYZE TABLE events COMPUTE STATISTICS
CACHE TABLE events
CACHE TABLE x AS SELECT 1
CLEAR CACHE
REFRESH TABLE events
ADD JAR /tmp/x.jar
ADD FILE /etc/passwd
LIST FILES
EXECUTE IMMEDIATE 'CREATE TABLE t (a INT)'
BEGIN SELECT 1; END
CALL system.x()
SET spark.sql.variable.substitute=true
SET spark.sql.runSQLOnFiles=true
SET spark.sql.thriftServer.queryTimeout=0
SET spark.tidegate.release=x
SET spark.hadoop.fs.s3a.access.key=x
SET fs.s3a.endpoint=http://127.0.0.1
SET `spark.sql.variable.substitute`=true
SET spark.sql.catalog.evil=org.apache.spark.sql.execution.datasources.v2.jdbc.JDBCTableCatalog
SET VAR x = 1
RESET
RESET spark.tidegate.release
SET CATALOG evil
USE evil.x
"""
READS = """
SELECT * FROM csv.`/etc/passwd`
SELECT nope FROM csv.`/etc/passwd`
SELECT * FROM text.`file:///etc/passwd`
SELECT * FROM binaryFile.`/etc/passwd`
SELECT * FROM parquet.`{lake}/staging/events`
SELECT * FROM delta.`{lake}/staging/events`
SELECT * FROM delta.`{lake}/warehouse/events`
SELECT * FROM delta.`file:{lake}/warehouse/events` VERSION AS OF 0
SELECT * FROM delta.`{lake}/warehouse/../staging/events`
SELECT * FROM spark_catalog.text.`/etc/passwd`
SELECT * FROM IDENTIFIER('text.`/etc/passwd`')
SELECT IDENTIFIER('reflect')('java.lang.System', 'getProperties')
WITH x AS (SELECT * FROM text.`/etc/passwd`) SELECT * FROM x
SELECT (SELECT count(*) FROM text.`/etc/passwd`)
SELECT * FROM events WHERE event_id IN (SELECT value FROM text.`/etc/passwd`)
SELECT * FROM events WHERE EXISTS (SELECT 1 FROM text.`/etc/passwd`)
SELECT * FROM events ORDER BY (SELECT max(value) FROM text.`/etc/passwd`)
SELECT * FROM events JOIN LATERAL (SELECT * FROM text.`/etc/passwd`)
SELECT sum(worth) OVER (ORDER BY (SELECT 1 FROM text.`/etc/passwd`)) FROM events
FROM events |> SELECT event_id |> UNION ALL (SELECT value FROM text.`/etc/passwd`)
TABLE text.`/etc/passwd`
FROM text.`/etc/passwd`
EXPLAIN SELECT * FROM text.`/etc/passwd`
EXPLAIN CREATE TABLE t AS SELECT 1
DESCRIBE QUERY SELECT * FROM text.`/etc/passwd`
DESCRIBE TABLE csv.`/etc/passwd`
DESCRIBE HISTORY delta.`{lake}/warehouse/events`
DESCRIBE DETAIL '{lake}/staging/events'
SHOW COLUMNS IN text.`/etc/passwd`
SHOW CREATE TABLE events
SELECT * FROM events WITH (`versionAsOf` = '0')
SELECT * FROM events VERSION AS OF 0
SELECT * FROM STREAM events
SELECT * FROM table_changes('events', 0)
SELECT * FROM table_changes_by_path('{lake}/staging/events', 0)
SELECT java_method('java.lang.System', 'getenv', 'HOME')
SELECT reflect('java.lang.System', 'getProperties')
SELECT try_reflect('java.lang.System', 'getProperties')
SELECT `reflect`('java.lang.System', 'getProperties')
SELECT builtin.reflect('java.lang.System', 'getProperties')
SELECT system.builtin.reflect('java.lang.System', 'getProperties')
SELECT transform(array(1), x -> reflect('java.lang.System', 'getProperties'))
SELECT from_protobuf(CAST('a' AS BINARY), 'x', '/etc/passwd')
SELECT TRANSFORM(event_id) USING 'cat /etc/passwd' AS (a STRING) FROM events
FROM events MAP event_id USING 'cat' AS a
SELECT * FROM events LATERAL VIEW java_method('a', 'b') t AS x
EXECUTE IMMEDIATE 'SELECT * FROM text.`/etc/passwd`'
"""


@pytest.mark.parametrize("statements", [WRITES, READS], ids=["writes", "reads"])
def test_what_is_no_query_of_published_tables_is_refused(
    server: Server, cursor: Any, statements: str, tmp_path: Path
) -> None:
    before = sorted(path for path in server.lake.root.rglob("*") if path.is_file())
    for line in statements.strip().format(lake=server.lake.root, out=tmp_path / "out").splitlines():
        assert "RefusedException: refused: " in refusal(cursor, line), line
    assert sorted(path for path in server.lake.root.rglob("*") if path.is_file()) == before
    assert not (tmp_path / "out").exists()
    assert "PARSE_SYNTAX_ERROR" in refusal(cursor, "SELECT 1; DROP TABLE events")


QUERIES = """
WITH x AS (SELECT * FROM events) SELECT count(*) FROM x WHERE event_id IN (SELECT event_id FROM events)
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t
FROM events |> WHERE worth > 0 |> AGGREGATE count(*) GROUP BY user_key
SELECT a, grouping(a), count(*) FROM VALUES (1), (2) AS t(a) GROUP BY CUBE (a) HAVING count(*) > 0 LIMIT 2 OFFSET 1
SELECT user_key, row_number() OVER (PARTITION BY user_key ORDER BY event_time) FROM events
SELECT user_key FROM events QUALIFY row_number() OVER (PARTITION BY user_key ORDER BY event_time) = 1
SELECT * FROM events PIVOT (count(*) FOR user_key IN ('u0'))
SELECT * FROM (SELECT 1 AS a, 2 AS b) UNPIVOT (v FOR k IN (a, b))
SELECT event_id, x FROM events LATERAL VIEW explode(array(1, 2)) t AS x
SELECT * FROM events e, LATERAL (SELECT e.worth + 1)
SELECT /*+ BROADCAST(e) */ count(DISTINCT user_key) FILTER (WHERE worth > 0) FROM events e
SELECT session_window.start, count(*) FROM events GROUP BY session_window(event_time, '30 minutes')
(SELECT 1) UNION (SELECT 2) EXCEPT (SELECT 3) INTERSECT (SELECT 1)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY worth), approx_count_distinct(user_key) FROM events
SELECT from_json('{"a": 1}', 'a INT').a, regexp_extract('ab', '(a)'), date_trunc('hour', event_time) FROM events
SELECT * EXCEPT (worth) FROM events
SELECT * FROM events NATURAL JOIN sessions
TABLE events
SELECT * FROM ops.releases
SELECT current_database(), current_user(), version()
SHOW SCHEMAS
SHOW TABLES IN latest LIKE 'ev*'
SHOW VIEWS
SHOW COLUMNS IN events
SHOW FUNCTIONS
SHOW CATALOGS
DESCRIBE events event_id
DESCRIBE FUNCTION abs
DESCRIBE SCHEMA default
EXPLAIN SELECT * FROM events
SET
SET -v
SET TIME ZONE 'Europe/Berlin'
SET spark.sql.ansi.enabled=false
"""


@pytest.mark.slow
def test_queries_of_every_kind_run(server: Server) -> None:
    with contextlib.closing(server.connect()) as connection:
        cursor = connection.cursor()
        for line in QUERIES.strip().splitlines():
            ask(cursor, line)
        assert ask(cursor, "SELECT date_format(TIMESTAMP '2026-05-01T00:00:00Z', 'H')") == [("2",)]
    with contextlib.closing(server.connect()) as connection:  # such settings are a connection's own
        told = ask(connection.cursor(), "SELECT date_format(TIMESTAMP '2026-05-01T00:00:00Z', 'H')")
        assert told == [("0",)]


def test_no_secret_is_shown(server: Server, cursor: Any) -> None:
    shown = str(ask(cursor, "SET")) + str(ask(cursor, "SET -v"))
    assert server.password not in shown
    assert "redacted" in str(ask(cursor, "SET spark.authenticate.secret"))
    variables = (
        "${env:HOME} ${system:user.home} ${spark:spark.master} ${hiveconf:hive.server2.thrift.port}"
    )
    assert ask(cursor, f"SELECT '{variables}'") == [(variables,)]
    entity = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><b>&x;</b></a>'
    told = str(
        ask(cursor, f"SELECT xpath('{entity}', 'a/b/text()'), from_xml('{entity}', 'b STRING')")
    )
    assert "root:" not in told
    assert server.password not in (server.home / "logs" / "sql.log").read_text()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            assert server.password not in " ".join(process.cmdline())
            if "SqlServer" in " ".join(process.cmdline()):
                assert server.password not in str(process.environ())
    for file in server.home.rglob("*"):
        if file.is_file() and server.password.encode() in file.read_bytes():
            assert file.stat().st_mode & 0o077 == 0, file


def test_a_client_can_set_nothing_by_opening_a_connection(server: Server) -> None:
    evil = {
        "set:system:tidegate.evil": "1",
        "set:hiveconf:spark.sql.variable.substitute": "true",
        "set:spark.sql.runSQLOnFiles": "true",
        "set:hivevar:x": "y",
        "spark.sql.thriftServer.queryTimeout": "0",
        "set:spark.tidegate.release": "x",
        "hive.server2.proxy.user": "root",
        "use:database": "latest",
    }
    with contextlib.closing(server.connect(configuration=evil)) as connection:
        cursor = connection.cursor()
        told = dict(row[:2] for row in ask(cursor, "SET"))
        assert told["spark.sql.variable.substitute"] == "false"
        assert told["spark.sql.runSQLOnFiles"] == "false"
        assert told["spark.sql.thriftServer.queryTimeout"] == "600"
        assert told["spark.tidegate.release"] != "x"
        assert "tidegate.evil" not in str(told)
        assert ask(cursor, "SELECT '${x}', current_user()") == [("${x}", ANALYST)]
    types = import_module("TCLIService.ttypes")
    connection = server.connect()
    with contextlib.closing(connection):
        request = types.TExecuteStatementReq(
            connection.sessionHandle,
            "SELECT * FROM text.`/etc/passwd`",
            {"spark.sql.runSQLOnFiles": "true"},
        )
        answer = connection.client.ExecuteStatement(request)
        assert "refused: " in answer.status.errorMessage
        unknown = types.TOpenSessionReq(
            client_protocol=types.TProtocolVersion.HIVE_CLI_SERVICE_PROTOCOL_V6,
            configuration={"use:database": "nope"},
        )
        answer = connection.client.OpenSession(unknown)
        assert answer.sessionHandle is None
        assert "nope" in answer.status.errorMessage


@pytest.mark.slow
def test_a_result_of_too_many_rows_is_an_error_and_not_a_cut(server: Server, cursor: Any) -> None:
    assert len(ask(cursor, f"SELECT * FROM range({ROWS})")) == ROWS
    told = refusal(cursor, f"SELECT * FROM range({ROWS + 1})")
    assert f"more than {ROWS} rows" in told
    assert "TIDEGATE_SQL_ROWS" in told
    cursor.execute("SELECT * FROM range(1000000000)")  # of which no part is held in memory either
    assert len(cursor.fetchmany(ROWS // 2)) == ROWS // 2
    descending = ask(cursor, f"SELECT id FROM range(0, {ROWS}, 1, 7) ORDER BY id DESC")
    assert [row[0] for row in descending] == list(range(ROWS - 1, -1, -1))
    with contextlib.closing(server.connect_impala()) as connection:
        other = connection.cursor()
        other.execute(f"SELECT * FROM range({ROWS + 1})")
        with pytest.raises(import_module("impala.error").HiveServer2Error, match="more than"):
            other.fetchall()


@pytest.mark.slow
def test_the_stacks_server_reads_by_keys_that_can_do_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    (project / "dags" / "sources").mkdir(parents=True)
    (project / "expectations").mkdir()
    lake = SqlLake(tmp_path / "lake", tmp_path / "whole")
    for _ in range(2):
        lake.release()
    monkeypatch.setenv("TIDEGATE_SQL_TIMEOUT", "20s")
    try:
        with running_stack(home, project=project, airflow=False, sql=True) as state:
            assert state.sql is not None
            port = int(state.sql.partition(":")[2])
            secrets = load_sql_secrets(home)
            stack = Server(port, secrets.password, lake, home)
            with contextlib.closing(stack.connect()) as connection:
                cursor = connection.cursor()
                assert ask(cursor, "SHOW TABLES") == []  # nothing has been released yet
                assert "cannot be found" in refusal(cursor, "SELECT * FROM events")
            owner = s3_client(state.s3)
            for file in lake.root.rglob("*"):
                if file.is_file():
                    key = f"lake/{file.relative_to(lake.root).as_posix()}"
                    owner.put_object(Bucket="tidegate", Key=key, Body=file.read_bytes())
            _check_keys(S3Access(state.s3.endpoint, secrets.s3_access_key, secrets.s3_secret_key))
            _check_queries(stack)
            kill_and_wait(home, "the SQL server", "SqlServer")
            _check_queries(stack)
            _check_secrets(home, [secrets.password, secrets.s3_secret_key])
            one(home, "SqlServer")
        assert processes(home) == []
        with socket.socket() as probe:
            assert probe.connect_ex((HOST, port)) != 0
    finally:
        end_marked(str(home), HOME_MARK)


def _check_queries(stack: Server) -> None:
    with contextlib.closing(stack.connect()) as connection:
        cursor = connection.cursor()
        assert ask(cursor, "SELECT count(*) FROM events JOIN sessions USING (user_key)") == [(2,)]
        assert ask(cursor, f"SELECT count(*) FROM {schema(1)}.events") == [(1,)]
        staging = "SELECT * FROM delta.`s3a://tidegate/lake/staging/events`"
        assert "refused: " in refusal(cursor, staging)
        begun = time.monotonic()
        endless = "SELECT count(*) FROM range(1000000000) a JOIN range(1000000000) b ON a.id % 7 < b.id % 3"
        assert "longer than 20 seconds" in refusal(cursor, endless)
        slow_rows = "SELECT id FROM range(0, 10000000000, 1, 2) WHERE sha2(string(id), 512) = 'a'"
        assert "longer than 20 seconds" in refusal(cursor, slow_rows)
        assert time.monotonic() - begun < 90
        assert ask(cursor, "SELECT 1") == [(1,)]


def _check_keys(keys: S3Access) -> None:
    """Check that keys read and list published tables and books, and do nothing else."""
    from botocore.exceptions import ClientError

    client = s3_client(keys)
    event = "lake/warehouse/events/part-0.parquet"
    log = "lake/ops/releases/_delta_log/"
    assert client.get_object(Bucket="tidegate", Key=event)["ContentLength"] > 0
    assert client.list_objects_v2(Bucket="tidegate", Prefix=log)["KeyCount"] == 2
    staged = "lake/staging/events/part-0.parquet"
    for attempt in (
        lambda: client.get_object(Bucket="tidegate", Key=staged),
        lambda: client.head_object(Bucket="tidegate", Key=staged),
        lambda: client.list_objects_v2(Bucket="tidegate", Prefix="lake/staging/"),
        lambda: client.list_objects_v2(Bucket="tidegate"),
        lambda: client.list_objects_v2(Bucket="events"),
        lambda: client.put_object(Bucket="tidegate", Key=event, Body=b""),
        lambda: client.put_object(Bucket="tidegate", Key="lake/warehouse/new", Body=b""),
        lambda: client.put_object(Bucket="tidegate", Key="lake/staging/new", Body=b""),
        lambda: client.delete_object(Bucket="tidegate", Key=event),
        lambda: client.copy_object(
            Bucket="tidegate", Key="lake/warehouse/new", CopySource=f"tidegate/{event}"
        ),
        lambda: client.create_bucket(Bucket="mine"),
    ):
        with pytest.raises(ClientError) as told:
            attempt()
        assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert client.get_object(Bucket="tidegate", Key=event)["ContentLength"] > 0


def _check_secrets(home: Path, secrets: list[str]) -> None:
    """No secret of the server's is on a command line, in its environment or in a log."""
    check_secrets(home, secrets)
    for process in processes(home):
        if "SqlServer" in " ".join(process.cmdline()):
            known = json.loads((home / "secrets.json").read_text())
            environment = str(process.environ())
            assert not any(secret in environment for secret in [*secrets, *known.values()])
