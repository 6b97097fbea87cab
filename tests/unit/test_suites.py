"""Suites as data: every fault of a file at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from project import REPO
from tidegate.common.errors import TidegateError
from tidegate.config.suites import FACTS, load_suite, name_faults, read_suite, tables_of
from tidegate.tables import WAREHOUSE

GOOD = """table: events
owner: us
expectations:
  - type: expect_column_values_to_not_be_null
    args: {column: event_id}
    severity: critical
    why: >
      An event without an id
      can't be told from its copies.
"""


def load(folder: Path, text: str) -> str:
    """Return what is wrong with a suite, or nothing."""
    (folder / "events.yml").write_text(text)
    try:
        load_suite(folder, "events")
    except TidegateError as error:
        return str(error)
    return ""


def test_a_suite_is_read_with_its_reasons_on_one_line(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD) == ""
    suite = load_suite(tmp_path, "events")
    [entry] = suite.entries
    assert (suite.owner, entry.severity, entry.of) == ("us", "critical", "rows")
    assert entry.why == "An event without an id can't be told from its copies."
    assert entry.name == "expect_column_values_to_not_be_null(event_id)"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("severity: critical", "severity: fatal"),
            "severity: expected one of critical, warning, info; got 'fatal'",
        ),
        (
            ("    severity: critical\n", ""),
            "severity: expected one of critical, warning, info; got None",
        ),
        (
            (
                "    why: >\n      An event without an id\n      can't be told from its copies.\n",
                "",
            ),
            "why: expected the reason",
        ),
        (("why: >", "why: ' '\n    wy: >"), "unknown key 'wy'; did you mean 'why'?"),
        (("args: {column: event_id}", "args: [event_id]"), "args: expected a mapping"),
        (
            ("- type: expect_column_values_to_not_be_null", "- typ: x"),
            "unknown key 'typ'; did you mean 'type'?",
        ),
        (("owner: us", "owner: 7"), "owner: expected a name"),
        (("owner: us\n", ""), "owner: expected a name"),
        (
            ("table: events", "table: sessions"),
            "expected 'events', as the file is named; got 'sessions'",
        ),
        (
            ("expectations:", "expectation:"),
            "unknown key 'expectation'; did you mean 'expectations'?",
        ),
        ((GOOD, "table: events\nowner: us\nexpectations: []\n"), "at least one entry"),
        ((GOOD, "table: events\nowner: us\nexpectations: [x]\n"), "expected a mapping with type"),
        ((GOOD, "[]"), "expected a mapping with the keys"),
        ((GOOD, ""), "expected a mapping with the keys"),
        ((GOOD, "a: [\n"), "the suite is not YAML"),
        # The last one would win, and a critical rule be a warning without a word.
        (
            ("severity: critical", "severity: critical\n    severity: info"),
            "key 'severity' is given twice, in lines 6 and 7",
        ),
        (("why: >", "of: row\n    why: >"), "of: expected one of rows, facts; got 'row'"),
    ],
)
def test_a_fault_is_told_with_what_was_expected(
    change: tuple[str, str], told: str, tmp_path: Path
) -> None:
    text = GOOD.replace(*change)
    assert text != GOOD
    found = load(tmp_path, text)
    assert told in found
    assert str(tmp_path / "events.yml") in found


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("owner: us", "owner:").replace("critical", "x").replace("args:", "arg:")
    assert "3 faults" in load(tmp_path, text)


def test_a_table_without_a_suite_is_an_error_that_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match="events has no suite") as told:
        load_suite(tmp_path, "events")
    assert told.value.where == str(tmp_path / "events.yml")


def test_columns_that_the_table_or_the_facts_have_not_are_told(tmp_path: Path) -> None:
    more = """  - type: expect_column_values_to_be_between
    of: facts
    args: {column: quarantined_shar, max_value: 1}
    severity: info
    why: A test.
  - type: expect_compound_columns_to_be_unique
    args: {column_list: [source, event_idd]}
    severity: info
    why: A test.
"""
    assert load(tmp_path, GOOD + more) == ""
    found = name_faults(load_suite(tmp_path, "events"), ["source", "event_id"])
    assert found == [
        "expect_column_values_to_be_between(quarantined_shar): no column 'quarantined_shar' in the facts of events; "
        "did you mean 'quarantined_share'?",
        "expect_compound_columns_to_be_unique(source, event_idd): no column 'event_idd' in the rows of events; "
        "did you mean 'event_id'?",
    ]


def test_the_fingerprint_tells_suites_apart_by_what_they_ask_and_not_by_their_reasons(
    tmp_path: Path,
) -> None:
    load(tmp_path, GOOD)
    one = load_suite(tmp_path, "events")
    load(tmp_path, GOOD.replace("copies", "sisters"))
    assert load_suite(tmp_path, "events").fingerprint == one.fingerprint
    load(tmp_path, GOOD.replace("critical", "warning"))
    assert load_suite(tmp_path, "events").fingerprint != one.fingerprint


@pytest.mark.parametrize("table", [table.name for table in WAREHOUSE])
def test_the_repos_own_suites_balance_their_table(table: str) -> None:
    suite = load_suite(REPO / "expectations", table)
    assert "unaccounted" in FACTS[table]
    assert any(
        e.of == "facts" and e.columns == ["unaccounted"] and e.severity == "critical"
        for e in suite.entries
    )


MORE = (
    GOOD
    + """  - type: unexpected_rows_expectation
    name: no event before its user
    args:
      unexpected_rows_query: >
        SELECT b.* FROM {batch} b JOIN sessions s USING (source, user_key)
        WHERE b.event_time < s.session_start
    severity: warning
    why: A test.
  - type: expect_column_values_to_be_between
    of: facts
    args: {column: rows, min_value: {usual: rows, times: 0.5}}
    severity: warning
    why: A test.
  - type: expect_column_values_to_not_be_null
    args: {column: user_id}
    where: event_type = 'buy' AND user_key IS NOT NULL
    sources: shop
    severity: info
    why: A test.
"""
)
COLUMNS = ["source", "event_id", "event_type", "user_id", "user_key", "event_time"]


def test_conditions_queries_usual_values_and_sources_are_ordinary_parts_of_an_entry(
    tmp_path: Path,
) -> None:
    assert load(tmp_path, MORE) == ""
    suite = load_suite(tmp_path, "events")
    assert name_faults(suite, COLUMNS) == []
    _, query, usual, where = suite.entries
    assert query.name == "no event before its user"
    assert tables_of(query) == {"sessions"}
    assert usual.usual["min_value"].times == 0.5
    assert where.name.endswith("(user_id) where event_type = 'buy' AND user_key IS NOT NULL")
    assert [len(suite.entries_for(source)) for source in ("shop", "app")] == [4, 3]
    load(tmp_path, MORE.replace("times: 0.5", "times: 0.6"))
    assert load_suite(tmp_path, "events").fingerprint != suite.fingerprint


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("event_type =", "event_typ =", "no column 'event_typ' in the rows of events; did you"),
        ("'buy' AND", "'buy' AND AND", "where: not an SQL expression"),
        (
            "'buy' AND",
            '"buy" AND',
            "no column 'buy' in the rows of events; texts stand between single quotes",
        ),
        (
            "'buy' AND",
            "date_format(event_time, 'y') AND",
            "where: date_format() is a function of Spark",
        ),
        (
            "'buy' AND",
            "'buy' AND event_time < now() AND",
            "where: now() is not allowed: the answer would depend on the clock",
        ),
        ("b.event_time <", "to_date(b.event_time) <", "write CAST(x AS DATE)"),
        ("JOIN sessions", "JOIN read_parquet('x')", "read_parquet() is not allowed after FROM"),
        ("JOIN sessions", "JOIN session", "no published table 'session'; did you mean 'sessions'?"),
        ("JOIN sessions", "JOIN staging.sessions", "no published table 'staging.sessions'"),
        ("FROM {batch} b", "FROM events b", "expected {batch}, which stands for"),
        ("SELECT b.*", "SELEC b.*", "unexpected_rows_query: "),
        ("SELECT b.* FROM", "DELETE FROM", "unexpected_rows_query: "),
    ],
)
def test_names_in_conditions_and_queries_are_checked(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    assert load(tmp_path, MORE.replace(old, new)) == ""
    found = name_faults(load_suite(tmp_path, "events"), COLUMNS)
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("usual: rows", "usual: row", "min_value: usual: no fact 'row'; did you mean 'rows'?"),
        (", min_value: {usual", ", mostly: {usual", "may stand for min_value or max_value"),
        ("where: event", "of: facts\n    where: event", "a condition is for `of: rows`"),
        (
            "where: event_type = 'buy' AND user_key IS NOT NULL",
            "where: 7",
            "where: expected a text",
        ),
        ("sources: shop", "sources: {}", "sources: expected names of sources"),
        ("{column: user_id}", "{column: user_id, row_condition: x}", "written as `where`"),
        (
            "name: no event before its user",
            "name: expect_column_values_to_be_between(rows)",
            "two warning expectations are called expect_column_values_to_be_between(rows)",
        ),
    ],
)
def test_faults_of_those_parts_are_told(old: str, new: str, told: str, tmp_path: Path) -> None:
    text = MORE.replace(old, new)
    assert text != MORE
    assert told in load(tmp_path, text)


def test_usual_values_are_for_the_table_that_is_audited_by_the_hour(tmp_path: Path) -> None:
    text = MORE.replace("table: events", "table: sessions")
    (tmp_path / "sessions.yml").write_text(text)
    with pytest.raises(TidegateError, match="only events are audited by the hour"):
        load_suite(tmp_path, "sessions")


def test_a_suite_of_any_file_name_says_itself_which_table_it_is_of(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(GOOD)
    assert read_suite(tmp_path / "mine.yml").table == "events"
    (tmp_path / "mine.yml").write_text(GOOD.replace("table: events", "table: event"))
    with pytest.raises(TidegateError, match="no published table 'event'; did you mean 'events'"):
        read_suite(tmp_path / "mine.yml")
    (tmp_path / "mine.yml").write_bytes(b"table: \xff")
    with pytest.raises(TidegateError, match="not UTF-8"):
        read_suite(tmp_path / "mine.yml")
