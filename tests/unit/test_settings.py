"""Settings: options over the environment over a running stack over defaults."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from tidegate.common.errors import TidegateError
from tidegate.config.settings import find_project, load_settings, normalize_lake
from tidegate.config.stack_state import StackState, write_state
from tidegate.storage.s3 import S3Access

STACK_S3 = S3Access("http://127.0.0.1:1", "stackkey", "stacksecret")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("TIDEGATE_", "AWS_")):
            monkeypatch.delenv(name)
    (tmp_path / "dags" / "sources").mkdir(parents=True)
    (tmp_path / "expectations").mkdir()
    return tmp_path


@pytest.fixture
def stack(root: Path) -> StackState:
    state = StackState(
        os.getpid(), "s3a://lake/x", "s3a://events", "sc://localhost:1/;token=t", STACK_S3
    )
    (root / ".tidegate").mkdir()
    write_state(root / ".tidegate", state)
    return state


def test_without_anything_the_lake_is_a_local_folder_and_spark_is_to_be_started(root: Path) -> None:
    settings = load_settings(project=root)
    assert settings.lake == str(root / ".tidegate" / "lake")
    assert settings.spark is None
    assert settings.dumps is None
    assert settings.s3 == S3Access()
    assert (settings.sources, settings.expectations) == (
        root / "dags/sources",
        root / "expectations",
    )


def test_a_running_stack_gives_lake_server_and_s3(root: Path, stack: StackState) -> None:
    settings = load_settings(project=root)
    assert (settings.lake, settings.spark, settings.s3) == (stack.lake, stack.spark, STACK_S3)


def test_a_stack_whose_process_is_gone_counts_as_none(root: Path, stack: StackState) -> None:
    with_dead = StackState(2**22 - 1, stack.lake, stack.dumps, stack.spark, stack.s3)
    write_state(root / ".tidegate", with_dead)
    assert load_settings(project=root).spark is None


def test_another_lake_than_the_stacks_does_not_get_the_stacks_server(
    root: Path, stack: StackState
) -> None:
    settings = load_settings(project=root, lake=str(root / "mine"))
    assert settings.spark is None
    assert settings.lake != stack.lake


def test_the_stacks_lake_by_its_other_spelling_gets_the_stacks_server(
    root: Path, stack: StackState
) -> None:
    assert load_settings(project=root, lake="s3://lake/x/").spark == stack.spark


def test_the_environment_wins_over_the_stack(
    root: Path, stack: StackState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_LAKE", str(root / "env"))
    monkeypatch.setenv("TIDEGATE_SPARK", "sc://env:1")
    monkeypatch.setenv("TIDEGATE_DUMPS", "s3://env")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://env")
    settings = load_settings(project=root)
    assert settings.lake == str(root / "env")
    assert settings.spark == "sc://env:1" != stack.spark
    assert settings.dumps == "s3://env"
    assert settings.s3.endpoint == "http://env"
    assert settings.s3.access_key is None


def test_options_win_over_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAKE", "SPARK", "DUMPS"):
        monkeypatch.setenv(f"TIDEGATE_{name}", "sc://env:1")
    settings = load_settings(
        project=root, lake="s3://b/p/", spark="sc://option:1", dumps="s3://option"
    )
    assert (settings.lake, settings.spark, settings.dumps) == (
        "s3a://b/p",
        "sc://option:1",
        "s3://option",
    )


def test_the_state_folder_can_be_elsewhere(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(root / "state"))
    assert load_settings(project=root).lake == str(root / "state" / "lake")


def test_the_project_is_the_nearest_folder_above(root: Path) -> None:
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    assert find_project(deep) == root


def test_a_named_project_wins(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(root))
    assert find_project(Path("/")) == root


def test_lakes_are_told_in_one_spelling(tmp_path: Path) -> None:
    assert normalize_lake("s3n://b/x/") == "s3a://b/x"
    assert normalize_lake(f"file://{tmp_path}/x") == str(tmp_path / "x")
    assert normalize_lake("hdfs://h/x/") == "hdfs://h/x"


def test_secrets_are_not_in_the_text_of_settings_errors(root: Path, stack: StackState) -> None:
    from tidegate.engine.session import session

    settings = load_settings(project=root, spark="sc://localhost:1/;token=verysecret")
    with pytest.raises(TidegateError) as told, session(settings):
        pass
    assert "verysecret" not in str(told.value)
    assert "sc://localhost:1" in str(told.value)
    assert str(stack.s3.secret_key) not in str(told.value)


def test_what_is_kept_and_when_a_day_is_quiet_are_durations_of_a_least_length(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load_settings(project=root)
    assert (found.keep_releases, found.compact_after) == (timedelta(days=30), timedelta(days=3))
    monkeypatch.setenv("TIDEGATE_KEEP_RELEASES", "90d")
    monkeypatch.setenv("TIDEGATE_COMPACT_AFTER", "1d12h")
    found = load_settings(project=root)
    assert (found.keep_releases, found.compact_after) == (timedelta(days=90), timedelta(hours=36))
    for text, told in (("1d", "too short"), ("30", "is no duration")):
        monkeypatch.setenv("TIDEGATE_KEEP_RELEASES", text)
        with pytest.raises(TidegateError, match=told) as error:
            load_settings(project=root)
        assert "at least 2d" in error.value.describe()
