"""The claim on a lake: who may write it together, who is refused, and what a dead holder leaves."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3proxy import s3_proxy
from s3server import s3_client, s3_server
from tidegate.common.errors import TidegateError
from tidegate.config.settings import Settings
from tidegate.engine.session import connect, session
from tidegate.lake import holders
from tidegate.lake.claim import Mode, claim
from tidegate.storage.s3 import S3Access

REFUSED = "another process writes this lake"
NO_SERVER = ""
HOLDER = """
import sys
from pathlib import Path
from tidegate.lake.claim import claim
from tidegate.config.settings import Settings
lake, mode, server, *others = sys.argv[1:]
with claim(Settings(Path("."), Path("."), lake), mode, server or None) as held:
    for pid in others:
        held.include(int(pid))
    print("held", flush=True)
    sys.stdin.read()
"""
RACER = """
import sys
from pathlib import Path
from tidegate.common.errors import TidegateError
from tidegate.lake.claim import claim
from tidegate.config.settings import Settings
lake, mode, log = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(12):
    try:
        with claim(Settings(Path("."), Path("."), lake), mode):
            with open(log, "a") as file:
                file.write(f"{mode} in\\n")
                file.flush()
                for _ in range(3000): pass
                file.write(f"{mode} out\\n")
    except TidegateError as error:
        assert "another process" in str(error), error
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    with s3_server(tmp_path_factory.mktemp("s3")) as access:
        yield access


@pytest.fixture
def lake(tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path, str(tmp_path / "lake"))


@pytest.fixture
def lake_on_s3(s3: S3Access, tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path, f"s3a://lake/{tmp_path.name}", s3=s3)


def start(code: str, settings: Settings, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, settings.lake, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def held_elsewhere(
    settings: Settings, mode: Mode = "exclusive", server: str = "sc://holder:1", *others: int
) -> Iterator[subprocess.Popen[str]]:
    """Have another process hold the lake, and name others that write it too."""
    process = start(HOLDER, settings, mode, server, *map(str, others))
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def left_behind(settings: Settings) -> list[str]:
    """Return the files of holders that are in a lake."""
    if settings.lake.startswith("s3a://"):
        prefix = f"{settings.lake.removeprefix('s3a://lake/')}/"
        answer = s3_client(settings.s3).list_objects_v2(Bucket="lake", Prefix=prefix)
        return [entry["Key"] for entry in answer.get("Contents", [])]
    return [str(path) for path in Path(settings.lake).glob("**/*")]


@pytest.mark.parametrize(
    ("first", "second"),
    [("exclusive", "exclusive"), ("exclusive", "shared"), ("shared", "exclusive")],
)
def test_a_claim_that_excludes_the_first_is_refused_and_names_it(
    lake: Settings, first: Mode, second: Mode
) -> None:
    server = "sc://holder:1" if first == "exclusive" else NO_SERVER
    with (
        held_elsewhere(lake, first, server) as process,
        pytest.raises(TidegateError, match=REFUSED) as refused,
        claim(lake, second),
    ):
        pass
    assert refused.value.got is not None
    assert f"process {process.pid} on " in refused.value.got
    assert refused.value.todo is not None
    if first == "exclusive":
        assert "sc://holder:1" in refused.value.got
        assert "TIDEGATE_SPARK" in refused.value.todo
    else:
        assert "with the DuckDB engine" in refused.value.got
    assert f"{lake.lake}/_writer/" in refused.value.todo


def test_any_number_of_shared_claims_hold_a_lake_together(lake: Settings) -> None:
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(held_elsewhere(lake, "shared", NO_SERVER))
        for _ in range(3):
            held.enter_context(claim(lake, "shared"))
        with pytest.raises(TidegateError, match=REFUSED), claim(lake, "exclusive"):
            pass
    with claim(lake, "exclusive"):
        pass


def test_commands_that_name_one_server_hold_a_lake_together(lake: Settings) -> None:
    with (
        held_elsewhere(lake, "exclusive", "sc://one:15002"),
        claim(lake, "exclusive", "sc://one:15002"),
    ):
        for server in ("sc://two:15002", None):
            with (
                pytest.raises(TidegateError, match=REFUSED),
                claim(lake, "exclusive", server),
            ):
                pass


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_the_claim_of_a_killed_process_is_taken_over(lake: Settings, mode: Mode) -> None:
    with held_elsewhere(lake, mode) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with (
            claim(lake, "exclusive"),
            pytest.raises(TidegateError, match=f"process {os.getpid()} on"),
            claim(lake, "exclusive"),
        ):
            pass
    assert left_behind(lake) == []


def test_the_server_of_a_killed_command_is_waited_for(
    lake: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    try:
        with held_elsewhere(lake, "exclusive", NO_SERVER, server.pid) as process:
            process.kill()
            process.wait()
        with (
            monkeypatch.context() as patched,
            pytest.raises(TidegateError, match=f"process {process.pid} on"),
        ):
            patched.setattr(holders, "_ENDING_S", 0.0)
            with claim(lake, "shared"):
                pass
    finally:
        server.communicate("")
    with claim(lake, "shared"):
        pass


def test_a_claim_ends_with_its_block_also_by_an_error_and_leaves_nothing(lake: Settings) -> None:
    for mode in ("exclusive", "shared"):
        with pytest.raises(ZeroDivisionError), claim(lake, mode):
            assert left_behind(lake) != []
            raise ZeroDivisionError
        assert left_behind(lake) == []


def test_a_refused_claim_leaves_nothing_but_the_holders_own(lake: Settings) -> None:
    with claim(lake, "exclusive"):
        before = left_behind(lake)
        with pytest.raises(TidegateError, match=REFUSED), claim(lake, "shared"):
            pass
        assert left_behind(lake) == before


def test_claims_that_come_at_once_never_exclude_each_other_and_both_hold(
    lake: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    racers = [start(RACER, lake, mode, str(log)) for mode in ("exclusive", "shared", "exclusive")]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate()
        assert racer.returncode == 0
    holding = {"exclusive": 0, "shared": 0}
    for line in log.read_text().splitlines():
        mode, step = line.split()
        holding[mode] += 1 if step == "in" else -1
        assert holding["exclusive"] == 0 or holding == {"exclusive": 1, "shared": 0}
    assert "exclusive in" in log.read_text()
    assert left_behind(lake) == []


# -- lakes on S3 --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_a_lake_on_s3_is_written_by_all_without_a_claim(lake_on_s3: Settings, mode: Mode) -> None:
    with claim(lake_on_s3, "exclusive") as spark, claim(lake_on_s3, mode, "sc://two:1") as second:
        assert (spark, second) == (None, None)
        assert left_behind(lake_on_s3) == []


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_a_store_that_lets_two_writers_create_one_object_is_refused(
    lake_on_s3: Settings, mode: Mode
) -> None:
    with s3_proxy(lake_on_s3.s3) as (through, faults):
        faults.unconditional = True
        behind = replace(lake_on_s3, s3=through)
        with (
            pytest.raises(TidegateError, match="lets two writers create one object") as refused,
            claim(behind, mode),
        ):
            pass
        assert refused.value.todo is not None
        assert "a lake in a local folder" in refused.value.todo
    assert left_behind(lake_on_s3) == []


class _Conf:
    def __init__(self, found: str | None) -> None:
        self._found = found

    def get(self, name: str, default: str | None) -> str | None:
        assert name == "spark.delta.logStore.s3a.impl"
        return self._found or default


class _Session:
    def __init__(self, found: str | None) -> None:
        self.conf = _Conf(found)
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


@pytest.mark.parametrize("found", [None, "io.delta.storage.S3SingleDriverLogStore"])
def test_a_spark_server_that_commits_to_s3_unconditionally_is_refused(
    lake_on_s3: Settings, monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    opened = _Session(found)
    monkeypatch.setattr("tidegate.engine.session._reachable", lambda _: None)
    monkeypatch.setattr("tidegate.engine.session.connect", lambda _: opened)
    settings = replace(lake_on_s3, spark="sc://one:1/;token=secret")
    with pytest.raises(TidegateError, match="would lose commits") as refused, session(settings):
        pass
    assert "tidegate.ConditionalLogStore" in str(refused.value.expected)
    assert "secret" not in str(refused.value)
    assert opened.is_stopped
    folder = replace(settings, lake=str(settings.home / "lake"))
    with session(folder):  # there, one server alone writes
        pass


# -- lakes and sessions -------------------------------------------------------------------------


def test_a_lake_without_a_bucket_or_with_wrong_keys_is_reported(
    s3: S3Access, tmp_path: Path
) -> None:
    for mode in ("exclusive", "shared"):
        with (
            pytest.raises(TidegateError, match="no such bucket 'nowhere'"),
            claim(Settings(tmp_path, tmp_path, "s3a://nowhere/x", s3=s3), mode),
        ):
            pass
    wrong = S3Access(s3.endpoint, "testkey", "wrong")
    with (
        pytest.raises(TidegateError, match="wrong S3 credentials") as refused,
        claim(Settings(tmp_path, tmp_path, "s3a://lake/x", s3=wrong), "exclusive"),
    ):
        pass
    assert "wrong" not in str(refused.value.got)


@pytest.mark.parametrize(
    ("mode", "text"),
    [("exclusive", "Spark engine cannot write"), ("shared", "DuckDB engine cannot write")],
)
def test_a_lake_of_another_kind_is_refused(tmp_path: Path, mode: Mode, text: str) -> None:
    with (
        pytest.raises(TidegateError, match=text),
        claim(Settings(tmp_path, tmp_path, "hdfs://host/lake"), mode),
    ):
        pass


@pytest.mark.parametrize("error", [FileExistsError, FileNotFoundError])
def test_a_folder_that_another_holder_takes_away_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    settings = Settings(tmp_path, tmp_path, str(tmp_path / "lake"))
    failed: list[Path] = []
    mkdir = Path.mkdir

    def fail_once(path: Path, *args: Any, **keys: Any) -> None:
        if path.name == "_writer" and not failed:
            failed.append(path)
            raise error
        mkdir(path, *args, **keys)

    monkeypatch.setattr(Path, "mkdir", fail_once)
    with claim(settings, "shared"):
        assert failed
    assert left_behind(settings) == []


def test_a_claim_that_a_full_disk_does_not_take_is_told_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(tmp_path, tmp_path, str(tmp_path / "lake"))

    def pwrite(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.pwrite", pwrite)
    with (
        pytest.raises(TidegateError, match="the lake cannot be claimed") as caught,
        claim(settings, "shared"),
    ):
        pass
    assert caught.value.expected == "room on the disk"
    assert list((tmp_path / "lake" / "_writer").iterdir()) == []


@pytest.mark.parametrize("spark", [None, "sc://localhost:1/;token=secret"])
def test_a_session_of_a_lake_that_is_held_uses_no_server(
    tmp_path: Path, spark: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.engine.session._reachable", lambda _: None)
    settings = Settings(tmp_path, tmp_path / "home", str(tmp_path / "lake"), spark=spark)
    with (
        claim(settings, "shared"),
        pytest.raises(TidegateError, match=REFUSED),
        session(settings),
    ):
        pass
    assert not (tmp_path / "home").exists()


def test_a_server_that_is_named_holds_the_lake_without_its_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        tmp_path, tmp_path, str(tmp_path / "lake"), spark="sc://one:1/;token=secret"
    )
    texts: list[str] = []

    def read_claim(_: str) -> None:
        texts.extend(path.read_text() for path in (tmp_path / "lake" / "_writer").iterdir())
        raise TidegateError("stopped here")

    monkeypatch.setattr("tidegate.engine.session._reachable", lambda _: None)
    monkeypatch.setattr("tidegate.engine.session.connect", read_claim)
    with pytest.raises(TidegateError, match="stopped here"), session(settings):
        pass
    [text] = texts
    assert (json.loads(text)["server"], json.loads(text)["mode"]) == ("sc://one:1", "exclusive")
    assert "secret" not in text
    assert left_behind(settings) == []


@pytest.mark.parametrize(
    "url", ["sc://localhost:1", "sc://localhost:1/;token=secret", "sc://no.such.host.invalid:15002"]
)
def test_no_spark_server_at_an_address_is_reported_without_the_token(url: str) -> None:
    with pytest.raises(TidegateError, match="no Spark server answers") as refused:
        connect(url)
    assert "secret" not in str(refused.value)
    assert url.partition("/;")[0] in str(refused.value)
    assert refused.value.todo is not None
