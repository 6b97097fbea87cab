"""`pii` in a source file: what it may say, and what would go around it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidegate.common.errors import SourceError
from tidegate.config import fingerprint as configuration
from tidegate.config.fingerprint import changes, definition, fingerprint
from tidegate.config.settings import Settings
from tidegate.config.source import Source, parse_source
from tidegate.config.source.sql import reads_raw_line
from tidegate.orchestration.check import check
from tidegate.tables import events, hourly_activity, sessions

LEAST: dict[str, Any] = {
    "source": "shop",
    "since": "2015-01-01T00",
    "dumps": "s3://b/{dump_hour:%Y-%m-%d}/{dump_hour:%H}/*.gz",
    "fields": {"event_time": "t"},
}
USERS: dict[str, Any] = {
    "fields": {"event_id": "id", "event_time": "t", "user_id": "user.id"},
    "columns": {
        "mail": {"path": "user.email", "type": "string"},
        "age": {"path": "user.age", "type": "int"},
    },
}


def source(**keys: Any) -> Source:
    return parse_source({**LEAST, **keys}, Path("shop.yml"))


def faults(**keys: Any) -> list[str]:
    with pytest.raises(SourceError) as caught:
        source(**keys)
    return caught.value.faults


def test_what_is_done_with_a_path_is_said_of_it_or_of_what_it_lies_within() -> None:
    pii = {"user": "hash", "ip": "keep", "`a.b`.c": "drop"}
    found = source(fields=USERS["fields"], pii=pii)
    assert found.hashes
    assert found.pii_action(("user",)) == "hash"
    assert found.pii_action(("user", "id")) == "hash"
    assert found.pii_action(("user2",)) is None
    assert found.pii_action(("a.b", "c", "d")) == "drop"
    assert found.pii_action(("a", "b", "c")) is None
    # What is dropped is not read, unless a field names it; a folder of what is read is no value.
    assert found.wanted() == {"id", "t", "user.id", "ip"}


def test_without_pii_what_is_read_is_what_is_referred_to() -> None:
    plain = source(**USERS)
    assert plain.wanted() == plain.references()
    assert not plain.hashes
    assert plain.pii_action(("user", "id")) is None


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"pii": {"user.id": "hsh"}},
            "pii.user.id: expected hash, drop, keep, got 'hsh'; did you mean 'hash'?",
        ),
        ({"pii": {"user.id": True}}, "pii.user.id: expected hash, drop, keep, got True"),
        ({"pii": {"user.id": None}}, "pii.user.id: expected hash, drop, keep, got nothing"),
        ({"pii": {"user..id": "hash"}}, "pii: expected a path of names with dots between"),
        ({"pii": {7: "hash"}}, "pii.7"),
        ({"pii": {}}, "pii: expected paths and what is done with each"),
        ({"pii": None}, "pii: expected keys and values, got nothing"),
        ({"pii": ["user.id"]}, "pii: expected keys and values, got ['user.id']"),
        ({"pi": {"user.id": "hash"}}, "unknown key 'pi'; did you mean 'pii'?"),
        ({"pii_key": "00"}, "unknown key 'pii_key'; did you mean 'pii'?"),
        (
            {"columns": {"u": {"path": "user", "type": "string"}}, "pii": {"user.email": "drop"}},
            "columns.u: reads 'user' as a whole, and pii.user.email (drop) within it; read the paths within "
            "'user' that are wanted, or name 'user' itself in pii",
        ),
        (
            {"columns": {"u": {"sql": "length(user)", "type": "int"}}, "pii": {"user.a.b": "hash"}},
            "columns.u: reads 'user' as a whole, and pii.user.a.b (hash) within it",
        ),
        (
            {"columns": {"n": {"sql": "length(raw)", "type": "int"}}, "pii": {"ip": "keep"}},
            "columns.n: reads the whole line (raw), and with it what 'pii' is to keep out",
        ),
        (
            {"columns": {"n": {"sql": '"raw"', "type": "string"}}, "pii": {"ip": "drop"}},
            "columns.n: reads the whole line (raw)",
        ),
        (
            {**USERS, "pii": {"user.age": "hash"}},
            "columns.age: its type is int, but pii says hash of 'user.age', and a hash is text; let its type "
            "be string, or drop or keep it",
        ),
        ({**USERS, "pii": {"user": "hash"}}, "columns.age: its type is int, but pii says hash"),
        ({"pii": {"t": "hash"}}, "fields.event_time: pii says hash of what it reads, but every"),
        ({"pii": {"t": "drop"}}, "fields.event_time: pii says drop of what it reads, but every"),
        (
            {"fields": {"event_time": {"sql": "coalesce(t, x.y)"}}, "pii": {"x": "hash"}},
            "fields.event_time: pii says hash of what it reads",
        ),
        ({**USERS, "pii": {"id": "drop"}}, "fields.event_id: pii says drop of what it reads"),
        (
            {"sequence": {"producer": "host", "number": "seq"}, "pii": {"seq": "hash"}},
            "sequence.number: pii says hash of what it reads, but it has to be a number; keep it",
        ),
        (
            {"sequence": {"producer": "host", "number": "seq"}, "pii": {"host": "drop"}},
            "sequence.producer: pii says drop of what it reads, but without it nothing is numbered",
        ),
        (
            {"pii": {"user": "drop", "user.id": "hash"}},
            "pii.user.id: it lies within 'user', which pii names too, with all below it",
        ),
        (
            {**USERS, "pii": {"user": "keep"}},
            "pii.user: keep is for a value, and fields.user_id uses 'user' as a folder of 'user.id'",
        ),
        ({"pii": {"ip": "hash", "`ip`": "drop"}}, "pii.`ip`: the path is given twice"),
        (
            {**USERS, "pii": {"User.email": "drop"}},
            "pii.User.email: 'User' and 'user' differ in case only",
        ),
        (
            {"format": "csv", "pii": {"user.id": "hash"}},
            "pii.user.id: 'user.id' is a nested path, but the columns of csv are flat",
        ),
        (
            {"format": {"type": "csv", "header": ["t", "email"]}, "pii": {"emial": "drop"}},
            "pii.emial: no column 'emial' in format.header; did you mean 'email'?",
        ),
    ],
)
def test_what_pii_can_not_say_is_told_with_the_key_and_what_is_right(
    keys: dict[str, Any], told: str
) -> None:
    found = faults(**keys)
    assert [fault for fault in found if told in fault], found
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "keys",
    [
        {**USERS, "pii": {"id": "hash", "user.id": "hash", "user.email": "hash"}},
        {**USERS, "pii": {"user.age": "drop", "t": "keep"}},
        {**USERS, "pii": {"user": "drop"}},
        {"columns": {"n": {"sql": "length(ip)", "type": "int"}}, "pii": {"ip": "hash"}},
        {"columns": {"raw": {"path": "raw", "type": "string"}}, "pii": {"raw": "hash"}},
        {"format": "csv", "pii": {"`a.b`": "hash"}},
        {
            "fields": {"event_time": "t", "event_id": {"sql": "coalesce(a, b)"}},
            "pii": {"a": "drop"},
        },
    ],
)
def test_what_pii_can_say(keys: dict[str, Any]) -> None:
    assert source(**keys).pii == keys["pii"]


def test_whether_an_expression_reads_the_line_is_seen_through_quotes_and_members() -> None:
    assert reads_raw_line("json_extract_string(raw, '$.a')")
    assert reads_raw_line('"raw"')
    assert reads_raw_line("raw.x")
    assert not reads_raw_line("user.raw || 'raw'")
    assert not reads_raw_line("a['raw']")


# -- the configuration ----------------------------------------------------------------------------


def test_sources_without_pii_have_the_fingerprints_that_they_had_before_there_was_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the file says must not make tables stale that were made then; the code of today may."""
    old = replace(events.TABLE, version=1)
    monkeypatch.setattr(configuration.events, "TABLE", old)
    of_sessions = replace(sessions.TABLE, version=1)
    monkeypatch.setattr(configuration.sessions, "TABLE", of_sessions)
    told = {
        "format": {"type": "csv", "delimiter": ";"},
        "fields": {
            "event_time": {"path": "at", "unit": "epoch_ms"},
            "event_id": "id",
            "user_id": "user",
        },
        "columns": {
            "ms": {"path": "ms", "type": "int"},
            "up": {"sql": "upper(kind)", "type": "string"},
        },
        "accept": {"late": "1d"},
    }
    assert fingerprint(source(), old) == "c6954ebbbda1711a"
    assert fingerprint(source(**told), old) == "3554f3c5b49f9578"
    assert fingerprint(source(), of_sessions) == "6149b63f6b5f9910"
    assert "pii" not in source().definition()


def test_what_is_personal_and_the_key_decide_events_and_nothing_else() -> None:
    def made(pii: dict[str, str], key: str | None = "k1") -> Source:
        found = source(pii=pii)
        return found if key is None else found.keyed(key)

    several = [
        source(),
        made({"user": "hash"}),
        made({"user": "hash"}, "k2"),
        made({"user": "drop"}, None),
        made({"user": "keep"}, None),
        made({"user": "hash", "ip": "drop"}),
    ]
    assert len({fingerprint(each, events.TABLE) for each in several}) == len(several)
    for table in (sessions.TABLE, hourly_activity.TABLE):
        assert len({fingerprint(each, table) for each in several}) == 1
    # Only what is hashed depends on the key.
    assert fingerprint(made({"user": "drop"}), events.TABLE) == fingerprint(
        several[3], events.TABLE
    )
    assert fingerprint(made({"ip": "drop", "user": "hash"}), events.TABLE) == fingerprint(
        several[5], events.TABLE
    )
    before, after = (definition(each, events.TABLE) for each in several[1:3])
    assert changes(before, after) == ["pii_key"]
    assert changes(before, definition(several[5], events.TABLE)) == ["pii.ip"]


def test_a_source_that_hashes_by_a_key_that_is_not_known_has_no_fingerprint() -> None:
    with pytest.raises(ValueError, match="a key that is not known"):
        fingerprint(source(pii={"user": "hash"}), events.TABLE)
    assert fingerprint(source(pii={"user": "hash"}), sessions.TABLE)


def test_a_definition_brings_back_what_was_personal_and_the_key() -> None:
    plain = source(**USERS)
    hashed = source(**USERS, pii={"user.id": "hash"}).keyed("k1")
    dropped = source(**USERS, pii={"user.email": "drop"})
    every = [plain, hashed, dropped]
    for now in every:
        for then in every:
            said = json.loads(json.dumps(definition(then, events.TABLE)))
            again = now.defined_as(said)
            assert (again.pii, again.pii_key) == (then.pii, then.pii_key)
            assert fingerprint(again, events.TABLE) == fingerprint(then, events.TABLE)
        rules = definition(source(sessions={"gap": "9m"}), sessions.TABLE)
        again = now.defined_as(rules)
        assert (again.pii, again.pii_key) == (now.pii, now.pii_key)


def test_a_sequence_that_needs_what_was_dropped_then_waits() -> None:
    now = source(sequence={"producer": "host", "number": "seq"})
    then = source(pii={"seq": "drop"})
    assert now.defined_as(definition(then, events.TABLE)).sequence is None
    assert now.defined_as(definition(now, events.TABLE)).sequence is not None


def test_check_tells_what_is_done_and_which_paths_nothing_reads(tmp_path: Path) -> None:
    folder = tmp_path / "dags" / "sources"
    folder.mkdir(parents=True)
    (tmp_path / "expectations").mkdir()
    told = {**LEAST, **USERS, "pii": {"user.id": "hash", "user.emial": "drop", "ip": "keep"}}
    (folder / "shop.yml").write_text(json.dumps(told))
    right, _ = check(Settings(tmp_path, tmp_path / "home", str(tmp_path / "lake")))
    assert right[0].endswith(
        "source shop; of personal data 1 hashed, 1 dropped, 1 kept; no field or column reads user.emial, ip"
    )
    assert not (tmp_path / "home").exists()
