"""Tests of looks at small tables: each sees what is committed by then."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from handmade_delta import forget_before, write_delta
from tidegate.query import Books
from tidegate.settings import S3Access

TABLE = "ops/numbers"


def numbers(*values: int) -> list[pa.Table]:
    return [pa.table({"n": [value]}) for value in values]


def shown(books: Books) -> int:
    (row,) = books.rows(TABLE, "true")
    return int(row["n"])


@pytest.mark.parametrize("more", [1, 2, 8, 9, 10, 11, 95, 130])
def test_a_look_sees_what_was_committed_since_the_last(tmp_path: Path, more: int) -> None:
    write_delta(tmp_path / TABLE, *numbers(0))
    books = Books(str(tmp_path), S3Access())
    assert shown(books) == 0
    write_delta(tmp_path / TABLE, *numbers(*range(1, more + 1)))
    assert shown(books) == more
    write_delta(tmp_path / TABLE, *numbers(more + 1))
    assert shown(books) == more + 1


@pytest.mark.parametrize("known", [0, 5, 9, 98])
def test_a_look_sees_what_was_committed_though_old_commits_went(tmp_path: Path, known: int) -> None:
    write_delta(tmp_path / TABLE, *numbers(*range(known + 1)))
    books = Books(str(tmp_path), S3Access())
    assert shown(books) == known
    write_delta(tmp_path / TABLE, *numbers(*range(known + 1, known + 4)))
    forget_before(tmp_path / TABLE, known + 2)
    assert shown(books) == known + 3
