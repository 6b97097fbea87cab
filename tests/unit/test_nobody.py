"""Texts that stand for no user are no user: two visitors who have one are not the same visitor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kernel import batches, body_of, rows_of, source_of
from tidegate.common.errors import SourceError
from tidegate.config.source.model import NOBODY
from tidegate.landing.counts import Counts
from tidegate.privacy.key import PiiKey

KEY = PiiKey(b"a key of this test's own, 32 long")


def line(user: Any, anon: Any = None) -> str:
    event = {"id": "1", "at": "2024-03-01T12:00:00Z", "user": user, "anon": anon}
    return json.dumps(event)


@pytest.mark.parametrize("is_hashed", [False, True])
@pytest.mark.parametrize("text", NOBODY)
def test_a_text_that_stands_for_nobody_is_no_user(text: str, is_hashed: bool) -> None:
    keys: dict[str, Any] = {"pii": {"user": "hash"}} if is_hashed else {}
    rows = rows_of(source_of(columns={}, **keys), [line(text, "d1"), line("u", text)], key=KEY)
    assert (rows[0]["user_id"], rows[0]["anonymous_id"], rows[0]["user_key"]) == (None, "d1", "d1")
    assert rows[1]["anonymous_id"] is None
    assert rows[1]["user_key"] == rows[1]["user_id"] is not None
    if not is_hashed:
        assert json.loads(rows[0]["properties"])["user"] == text


@pytest.mark.parametrize("text", ["Null", "null ", "0", "NaN", "none", "nullable", "00000000"])
def test_other_texts_are_users(text: str) -> None:
    [row] = rows_of(source_of(columns={}), [line(text)])
    assert row["user_key"] == text


def test_a_list_replaces_the_default() -> None:
    source = source_of(columns={}, nobody=["guest"])
    rows = rows_of(source, [line("guest"), line("null")])
    assert [row["user_key"] for row in rows] == [None, "null"]
    assert rows_of(source_of(columns={}, nobody=[]), [line("null")])[0]["user_key"] == "null"


def test_events_with_such_texts_are_counted() -> None:
    source = source_of(columns={})
    counts = Counts(source)
    counts.begin("f")
    lines = [line("null"), line("u", "undefined"), line("u"), line("null", "null"), "broken"]
    for batch in batches(source, body_of(lines)):
        counts.add("f", batch)
    assert counts.files()["f"].notes["stand_ins"] == 3


@pytest.mark.parametrize("wrong", ["null", [None], [0], [""], {"a": 1}])
def test_entries_that_are_no_texts_are_errors(wrong: Any) -> None:
    with pytest.raises(SourceError, match="nobody: expected"):
        source_of(nobody=wrong)


def test_only_a_list_of_its_own_is_part_of_a_sources_definition() -> None:
    plain, own = source_of(), source_of(nobody=["guest"])
    assert "nobody" not in plain.definition()
    assert own.definition()["nobody"] == ["guest"]
    assert plain.defined_as(own.definition()).nobody == ("guest",)
    assert own.defined_as(plain.definition()).nobody == NOBODY


def test_a_user_and_a_visitor_of_one_name_are_told_apart_by_the_kind() -> None:
    lines = [line("42"), line("null", "42"), line("")]
    rows = rows_of(source_of(columns={}), lines)
    assert [row["user_key_kind"] for row in rows] == ["user", "anonymous", None]
