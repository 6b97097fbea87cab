"""The key of hashed personal data: where it is found, that it is made once, and that it never shows."""

from __future__ import annotations

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tidegate.common.errors import TidegateError
from tidegate.config.source import Source, parse_source
from tidegate.engine.spark_server import spark_environment
from tidegate.privacy.key import (
    VARIABLE,
    PiiKey,
    find_key,
    key_file,
    lost_key_error,
    make_key,
    other_key_error,
    with_known_key,
)
from tidegate.storage.s3 import S3Access

SECRET = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def source(action: str = "hash") -> Source:
    return parse_source(
        {
            "source": "shop",
            "since": "2024-01-01T00",
            "dumps": "d/{dump_hour:%Y-%m-%d-%H}.json",
            "fields": {"event_time": "t", "user_id": "user"},
            "pii": {"user": action},
        },
        Path("shop.yml"),
    )


def test_a_key_does_not_show_itself() -> None:
    key = PiiKey(bytes.fromhex(SECRET))
    assert SECRET not in repr(key) + str(key)
    assert re.fullmatch("[0-9a-f]{16}", key.fingerprint)
    assert key.fingerprint not in SECRET
    assert key.fingerprint != PiiKey(bytes.fromhex(SECRET[::-1])).fingerprint


def test_a_key_is_made_once_for_its_owner_only_and_found_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert find_key(home) is None
    made = make_key(home)
    assert stat.S_IMODE(key_file(home).stat().st_mode) == 0o600
    assert len(made.secret) == 32
    assert find_key(home) == made == make_key(home)
    assert [file.name for file in home.iterdir()] == ["pii.key"]


def test_of_many_who_make_a_key_at_once_all_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: make_key(tmp_path), range(64)))
    assert len({key.secret for key in made}) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["pii.key"]


def test_the_variable_comes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_key(tmp_path)
    monkeypatch.setenv(VARIABLE, f" {SECRET.upper()}\n")
    assert find_key(tmp_path) == PiiKey(bytes.fromhex(SECRET))
    monkeypatch.setenv(VARIABLE, "")
    assert find_key(tmp_path) == made


@pytest.mark.parametrize(
    ("text", "got"),
    [
        (SECRET[:-2], "62 hex digits"),
        (SECRET + "0", "an odd number of hex digits"),
        (SECRET + "xy", "other text"),
        ("hunter2 is no key at all, however long it may well be; really", "other text"),
        ("é" * 70, "other text"),
    ],
)
def test_what_is_no_key_is_told_without_showing_it(
    text: str, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(TidegateError, match="no key for hashed personal data") as caught:
        find_key(tmp_path)
    assert (caught.value.where, caught.value.got) == (VARIABLE, got)
    assert text[:7] not in str(caught.value)
    monkeypatch.delenv(VARIABLE)
    key_file(tmp_path).write_text(text)
    key_file(tmp_path).chmod(0o600)
    with pytest.raises(TidegateError, match="no key for hashed personal data") as caught:
        find_key(tmp_path)
    assert caught.value.where == str(key_file(tmp_path))
    assert text[:7] not in str(caught.value)


def test_an_empty_file_is_no_key_and_is_not_written_over(tmp_path: Path) -> None:
    key_file(tmp_path).touch(0o600)
    for call in (find_key, make_key):
        with pytest.raises(TidegateError, match=r"got: +nothing"):
            call(tmp_path)
    assert key_file(tmp_path).read_bytes() == b""


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    make_key(tmp_path)
    key_file(tmp_path).chmod(0o640)
    with pytest.raises(TidegateError, match="others can read") as caught:
        find_key(tmp_path)
    assert caught.value.todo == f"chmod 600 {key_file(tmp_path)}"


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    key_file(tmp_path).mkdir()
    with pytest.raises(TidegateError, match="can't be read"):
        find_key(tmp_path)


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file")
    with pytest.raises(TidegateError, match="can't be written") as caught:
        make_key(home)
    assert VARIABLE in str(caught.value.todo)


def test_a_reader_knows_a_key_that_is_there_and_makes_none(tmp_path: Path) -> None:
    assert with_known_key(source(), tmp_path).pii_key is None
    assert not key_file(tmp_path).exists()
    made = make_key(tmp_path)
    known = with_known_key(source(), tmp_path)
    assert known.pii_key == made.fingerprint
    assert with_known_key(known.keyed("other"), tmp_path).pii_key == "other"
    assert with_known_key(source("drop"), tmp_path).pii_key is None


def test_errors_of_lost_and_other_keys_say_what_to_do(tmp_path: Path) -> None:
    lost = lost_key_error(tmp_path, "0123456789abcdef")
    assert lost.expected == "the key with the fingerprint 0123456789abcdef"
    assert "bring the file pii.key" in str(lost.todo)
    key = make_key(tmp_path)
    other = other_key_error(source().keyed("fedcba9876543210"), key)
    assert other.todo is not None
    assert other.todo.endswith("tidegate rebuild events shop")
    assert key.secret.hex() not in str(other)


def test_the_spark_server_is_not_given_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    assert SECRET not in str(spark_environment(S3Access(), Path("pyspark")))
