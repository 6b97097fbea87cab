"""Java's AOT cache: made once, by a server that was worth it, and never half."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.engine.aot_cache import MAKING_S, WORTH_S, AotCache, find_cache
from tidegate.engine.dependencies import java


def a_java(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\n')
    return program


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    file = tmp_path / "a.jar"
    file.write_bytes(b"1")
    return file


def test_a_java_that_can_make_one_is_asked_to_until_there_is_one(tmp_path: Path, jar: Path) -> None:
    program = a_java(tmp_path / "java", "25.0.2")
    first = find_cache(program, [jar], tmp_path, tmp_path / "work")
    assert first.options[0] == f"-XX:AOTCacheOutput={tmp_path / 'work' / 'spark.aot'}"
    first.file.write_bytes(b"cache")
    then = find_cache(program, [jar], tmp_path, tmp_path / "work")
    assert then.options[0] == f"-XX:AOTCache={first.file}"
    assert then.patience(8.0) == 8.0


def test_an_older_java_is_left_alone(tmp_path: Path, jar: Path) -> None:
    program = a_java(tmp_path / "java", "21.0.9")
    assert find_cache(program, [jar], tmp_path, tmp_path).options == []


def test_another_java_or_another_jar_has_another_cache(tmp_path: Path, jar: Path) -> None:
    one, other = a_java(tmp_path / "1", "25.0.2"), a_java(tmp_path / "2", "25.0.3")
    before = find_cache(one, [jar], tmp_path, tmp_path).file
    assert find_cache(other, [jar], tmp_path, tmp_path).file != before
    jar.write_bytes(b"22")
    assert find_cache(one, [jar], tmp_path, tmp_path).file != before


def test_only_a_server_that_lived_for_a_while_is_waited_for(tmp_path: Path) -> None:
    young = AotCache(tmp_path / "spark-1.aot", tmp_path / "made")
    assert not young.is_due
    assert young.patience(8.0) == 0.0
    old = AotCache(tmp_path / "spark-1.aot", tmp_path / "made", young._begun - WORTH_S)
    assert old.is_due
    assert old.patience(8.0) == MAKING_S
    old.file.write_bytes(b"another server was faster")
    assert old.patience(8.0) == 0.0


def test_a_whole_cache_is_kept_in_the_place_of_older_ones_and_a_cut_one_is_not(
    tmp_path: Path,
) -> None:
    kept, log = tmp_path / "jars", tmp_path / "log"
    kept.mkdir()
    (kept / "spark-0.aot").write_bytes(b"of another Java")
    made = tmp_path / "made"
    made.write_bytes(b"classes")
    cache = AotCache(kept / "spark-1.aot", made)
    log.write_text("Reading AOTConfiguration\n")
    cache.keep(log)
    assert [file.name for file in kept.iterdir()] == ["spark-0.aot"]
    log.write_text("AOTCache creation is complete: made 7 bytes\n")
    cache.keep(log)
    assert [file.name for file in kept.iterdir()] == ["spark-1.aot"]
    assert cache.file.read_bytes() == b"classes"


def test_the_java_that_is_brought_can_make_one(tmp_path: Path, jar: Path) -> None:
    assert find_cache(java(), [jar], tmp_path, tmp_path).made is not None
