"""What ends by itself is started again, but not for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.processes.child import rotate
from tidegate.stack.restarts import (
    MOST,
    WITHIN_S,
    Restart,
    pause,
    read_restarts,
    restarts_file,
    write_restarts,
)


def test_the_first_death_is_mended_at_once_and_each_further_one_later() -> None:
    deaths = [float(n) for n in range(MOST)]
    pauses = [pause(deaths[: n + 1]) for n in range(MOST)]
    assert pauses == [0.0, 4.0, 8.0, 16.0, 30.0]


def test_what_dies_too_often_in_a_short_time_is_not_started_again() -> None:
    assert pause([0.0, 1.0, 2.0, 3.0, 4.0, WITHIN_S - 1]) is None
    assert pause([0.0, 1.0, 2.0, 3.0, 4.0, WITHIN_S]) is not None


def test_a_death_long_after_the_others_is_like_the_first() -> None:
    assert pause([0.0, 1.0, 2.0, 3.0, 4.0, 4.0 + WITHIN_S]) == 0.0


@given(st.lists(st.floats(0.1, 400.0), min_size=20, max_size=60))
def test_no_more_restarts_fit_into_any_ten_minutes(gaps: list[float]) -> None:
    deaths, restarted, now = list[float](), list[float](), 0.0
    for gap in gaps:
        now += gap
        deaths.append(now)
        wait = pause(deaths)
        if wait is None:
            break
        assert 0.0 <= wait <= 30.0
        restarted.append(now)
    for first in restarted:
        assert len([each for each in restarted if first <= each < first + WITHIN_S]) <= MOST


def restart(back_s: float | None = None) -> Restart:
    words = "\n".join(f"line {n}" for n in range(9))
    return Restart(
        "the S3 server",
        "2026-05-01T10:00:00Z",
        "exit status 137 (signal 9)",
        words,
        "x.log.1",
        back_s,
    )


def test_restarts_are_kept_for_status_and_for_their_owner_only(tmp_path: Path) -> None:
    assert read_restarts(tmp_path) == []
    write_restarts(tmp_path, [restart(), restart(7.4)])
    assert read_restarts(tmp_path) == [restart(), restart(7.4)]
    assert restarts_file(tmp_path).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("back_s", "says"), [(None, "does not answer yet"), (7.4, "back in 7 s")])
def test_a_restart_tells_which_part_when_why_and_its_last_words(
    back_s: float | None, says: str
) -> None:
    first, *words = restart(back_s).describe()
    assert first == (
        "restarted the S3 server at 2026-05-01T10:00:00Z: exit status 137 (signal 9); "
        f"{says}; log x.log.1"
    )
    assert words == [f"  | line {n}" for n in range(4, 9)]


def test_logs_of_deaths_are_kept_the_newest_first(tmp_path: Path) -> None:
    log = tmp_path / "s3.log"
    for n in range(9):
        log.write_text(str(n))
        assert rotate(log) == tmp_path / "s3.log.1"
        assert not log.exists()
    kept = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert kept == {f"s3.log.{n}": str(9 - n) for n in range(1, 7)}


def test_where_no_log_was_written_the_kept_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "s3.log.1").write_text("before")
    assert rotate(tmp_path / "s3.log").read_text() == "before"
