"""One writing server a lake: the second is refused, what a dead one left is taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3server import s3_client, s3_server
from tidegate.engine import connect, session
from tidegate.errors import TidegateError
from tidegate.settings import S3Access, Settings
from tidegate.writer import CLAIM, claim

HOLDER = """
import sys
from pathlib import Path
from tidegate.settings import S3Access, Settings
from tidegate.writer import claim
lake, endpoint, access, secret, *others = sys.argv[1:]
s3 = S3Access(endpoint or None, access or None, secret or None)
with claim(Settings(Path("."), Path("."), lake, s3=s3), "sc://holder:1") as held:
    for pid in others:
        held.include(int(pid))
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    with s3_server(tmp_path_factory.mktemp("s3")) as access:
        yield access


@pytest.fixture(params=["file", "object"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "file":
        return Settings(tmp_path, tmp_path, str(tmp_path / "lake"))
    access: S3Access = request.getfixturevalue("s3")
    return Settings(tmp_path, tmp_path, f"s3a://lake/{tmp_path.name}", s3=access)


def hold(settings: Settings, *others: int) -> subprocess.Popen[str]:
    """Start another process that holds the lake, and names others that write it too."""
    s3 = settings.s3
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER,
            settings.lake,
            s3.endpoint or "",
            s3.access_key or "",
            s3.secret_key or "",
            *map(str, others),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_claim_is_refused_and_names_the_first(lake: Settings) -> None:
    process = hold(lake)
    try:
        with (
            pytest.raises(TidegateError, match="another process writes this lake") as told,
            claim(lake),
        ):
            pass
        assert told.value.got is not None
        assert f"process {process.pid} on " in told.value.got
        assert "sc://holder:1" in told.value.got
        assert told.value.todo is not None
        assert "TIDEGATE_SPARK" in told.value.todo
        assert f"{lake.lake}/{CLAIM}" in told.value.todo
    finally:
        process.kill()
        process.wait()


def test_the_claim_of_a_killed_process_is_taken_over(lake: Settings) -> None:
    process = hold(lake)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with claim(lake), pytest.raises(TidegateError, match=f"process {os.getpid()} on"), claim(lake):
        pass


def test_the_server_of_a_killed_command_is_waited_for(
    lake: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    try:
        process = hold(lake, server.pid)
        process.kill()
        process.wait()
        with (
            monkeypatch.context() as patched,
            pytest.raises(TidegateError, match=f"process {process.pid} on"),
        ):
            patched.setattr("tidegate.writer._ENDING_S", 0.0)
            with claim(lake):
                pass
    finally:
        server.communicate("")
    with claim(lake):
        pass


def test_a_claim_ends_with_its_block_also_by_an_error(lake: Settings) -> None:
    with pytest.raises(ZeroDivisionError), claim(lake):
        raise ZeroDivisionError
    with claim(lake):
        pass


def test_a_claim_on_another_host_is_never_taken_over(s3: S3Access, tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, "s3a://lake/elsewhere", s3=s3)
    holder = {
        "host": "elsewhere",
        "pid": 2**22 - 1,
        "started": 0.0,
        "since": "then",
        "server": None,
    }
    s3_client(s3).put_object(
        Bucket="lake", Key=f"elsewhere/{CLAIM}", Body=json.dumps(holder).encode()
    )
    with pytest.raises(TidegateError, match="on elsewhere since then"), claim(settings):
        pass


def test_a_process_that_got_a_dead_ones_number_is_not_taken_for_it(
    s3: S3Access, tmp_path: Path
) -> None:
    import socket

    settings = Settings(tmp_path, tmp_path, "s3a://lake/reused", s3=s3)
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "started": 1.0, "since": "then"}
    s3_client(s3).put_object(Bucket="lake", Key=f"reused/{CLAIM}", Body=json.dumps(holder).encode())
    with claim(settings):
        pass


def test_a_lake_without_a_bucket_or_with_wrong_keys_is_told_so(
    s3: S3Access, tmp_path: Path
) -> None:
    with (
        pytest.raises(TidegateError, match="no such bucket 'nowhere'"),
        claim(Settings(tmp_path, tmp_path, "s3a://nowhere/x", s3=s3)),
    ):
        pass
    wrong = S3Access(s3.endpoint, "testkey", "wrong")
    with (
        pytest.raises(TidegateError, match="wrong S3 credentials") as told,
        claim(Settings(tmp_path, tmp_path, "s3a://lake/x", s3=wrong)),
    ):
        pass
    assert "wrong" not in str(told.value.got)


def test_a_lake_that_cannot_be_claimed_needs_a_server_that_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(TidegateError, match="needs a Spark server that is named"),
        claim(Settings(tmp_path, tmp_path, "hdfs://host/lake")),
    ):
        pass


def test_a_session_of_a_lake_that_is_held_starts_no_server(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path / "home", str(tmp_path / "lake"))
    with (
        claim(settings),
        pytest.raises(TidegateError, match="another process writes this lake"),
        session(settings),
    ):
        pass
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "url", ["sc://localhost:1", "sc://localhost:1/;token=secret", "sc://no.such.host.invalid:15002"]
)
def test_no_spark_server_at_an_address_is_told_without_the_token(url: str) -> None:
    with pytest.raises(TidegateError, match="no Spark server answers") as told:
        connect(url)
    assert "secret" not in str(told.value)
    assert url.partition("/;")[0] in str(told.value)
    assert told.value.todo is not None
