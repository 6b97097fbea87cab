"""The corpus is what the parser on Spark was given, and each of its lines is in the fixture once."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter

import pytest

import corpus
from corpus.fuzz import fuzz_lines
from corpus.times import SPELLINGS
from corpus.values import IDS, TEXTS
from tidegate.config.source import parse_source

OUTCOMES = {"event", "quarantined", "header"}
HIDDEN_MARK = ("2024-03-01-12-is a mark.json", 1)
"""A file of nothing but a byte order mark: Spark finds no line in it."""


@pytest.mark.parametrize("name", corpus.groups())
def test_every_line_of_a_group_is_in_its_fixture_once(name: str) -> None:
    rows = corpus.today(name)
    places = Counter((row.file, row.line) for row in rows)
    assert max(places.values()) == 1
    assert {row.outcome for row in rows} <= OUTCOMES
    assert all((row.reason is not None) == (row.outcome == "quarantined") for row in rows)
    group = corpus.group(name)
    unread = {file.file for file in corpus.unread(name)}
    assert unread <= set(group.files)
    if group.is_text:
        lines = {(line.file, line.number) for line in corpus.lines(name)}
        assert set(places) == {line for line in lines if line[0] not in unread} - {HIDDEN_MARK}
    else:
        assert {file for file, _ in places} <= set(group.files) - unread


@pytest.mark.parametrize("name", corpus.groups())
def test_every_source_definition_is_right(name: str) -> None:
    group = corpus.group(name)
    source = parse_source(dict(group.source), corpus.TODAY / "source.yml")
    assert source.hashes <= (group.pii_key is not None)
    columns = set(corpus.today(name)[0].values)
    assert set(source.columns) <= columns
    assert {"event_id", "event_time", "user_key", "properties", "_raw", "_raw_bytes"} <= columns


def test_a_changed_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "times_epoch_s"
    group = corpus.group(name)
    file, data = next(iter(group.files.items()))
    monkeypatch.setitem(group.__dict__, "files", {file: data + b"{}\n"})
    with pytest.raises(ValueError, match="files differ"):
        corpus.today(name)


def test_the_corpus_has_what_it_promises() -> None:
    assert len(set(SPELLINGS)) >= 120
    assert len(set(TEXTS)) >= 60
    assert len(set(IDS)) >= 60
    rows = corpus.today("json_fuzz")
    outcomes = Counter(row.outcome for row in rows)
    assert len(rows) == 20_001
    assert 0.35 < outcomes["event"] / len(rows) < 0.65


def test_the_same_seed_gives_the_same_lines_and_another_seed_others() -> None:
    first, again, other = (list(fuzz_lines(seed, 200)) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert not any(b"\n" in line for line in itertools.chain(first, other))


def test_values_that_repeat_the_line_are_filled_in() -> None:
    texts = {(line.file, line.number): line.data for line in corpus.lines("json_forms")}
    for row in corpus.today("json_forms"):
        data = texts[row.file, row.line]
        if row.outcome == "event":
            assert row.values["properties"] == data.decode().strip(" \t\r")
        elif row.reason == "not_utf8":
            assert row.values["_raw_bytes"] == data.hex()
        else:
            assert row.values["_raw"] == data.decode()


def test_ids_of_sessions_are_a_hash_of_a_json_array() -> None:
    rows = json.loads((corpus.TODAY / "session_ids.json").read_text(encoding="utf-8"))
    for row in rows:
        about = [row["source"], row["user_key"], row["first_event_id"], str(row["first_event_us"])]
        text = json.dumps(about, ensure_ascii=False, separators=(",", ":"))
        # Spark writes the digits of an escape as capitals.
        text = re.sub(r"\\u00[01][0-9a-f]", lambda found: "\\u" + found[0][2:].upper(), text)
        assert row["session_id"] == hashlib.sha256(text.encode()).hexdigest()[:32], row
    assert len({row["session_id"] for row in rows}) == len(rows)
