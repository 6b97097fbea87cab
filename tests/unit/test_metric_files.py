"""Metric files: what is wrong with one is told, all at once, and stops no release."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from metric_lake import metric
from project import REPO
from tidegate.common.errors import FaultsError
from tidegate.config.metrics import (
    KEYS,
    KINDS,
    canonical,
    from_canonical,
    load_metrics,
    metric_faults,
    parse_metric,
    readable_metrics,
)
from tidegate.config.metrics.in_force import in_force
from tidegate.config.metrics.model import COMMON
from tidegate.config.settings import Settings
from tidegate.config.user_sql.expressions import ExpressionError, read_expression
from tidegate.orchestration.check import check

OWN = {"shop": {"price": "decimal(10,2)", "device": "string"}, "app": {"ms": "int"}}


def faults(**keys: Any) -> list[str]:
    """Return what is wrong with a file of these keys, beside those that every metric has."""
    said = {"metric": "m", "kind": "count", "description": "A test.", "owner": "tests", **keys}
    with pytest.raises(FaultsError) as caught:
        parse_metric({k: v for k, v in said.items() if v is not None}, Path("m.yml"))
    return caught.value.faults


def wrong(kind: str, **keys: Any) -> list[str]:
    """Return what is wrong with a metric that could be read."""
    made = metric(kind, **keys)
    return metric_faults({made.name: made}, OWN).get(made.name, [])


# -- a file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"intervall": "day"}, "unknown key 'intervall' of count; did you mean 'interval'?"),
        ({"in\x1b[31mterval": "day"}, r"unknown key 'in\x1b[31mterval' of count"),
        ({"window": "1h"}, "unknown key 'window' of count; it is a key of funnel"),
        ({"kind": "cuont"}, "kind: expected one of count, unique"),
        ({"kind": "cuont"}, "did you mean 'count'?"),
        ({"kind": None}, "kind is missing"),
        ({"owner": None}, "owner is missing: who answers for it"),
        ({"description": " "}, "description: expected a text, got ' '"),
        ({"metric": "A b"}, "metric: expected small letters"),
        ({"metric": 'x"; DROP SCHEMA metrics; --'}, "metric: expected small letters"),
        ({"interval": "minute"}, "interval: expected one of hour, day, week, month, got 'minute'"),
        ({"interval": ["day"]}, "interval: expected one of"),
        ({"kind": "retention", "interval": "month"}, "interval: expected one of day, week"),
        ({"time_zone": "Europe/Berlinn"}, "got 'Europe/Berlinn'; did you mean 'Europe/Berlin'?"),
        ({"time_zone": "localtime"}, "time_zone: expected an IANA time zone"),
        ({"time_zone": ["UTC"]}, "time_zone: expected an IANA time zone"),
        ({"time_zone": "'; DROP"}, "time_zone: expected an IANA time zone"),
        ({"table": "session"}, "did you mean 'sessions'?"),
        ({"source": ["a", "a"]}, "source: expected the name of a source"),
        ({"source": "A'b"}, "source: expected the name of a source"),
        ({"group_by": ["a", "A"]}, "group_by: expected different columns"),
        ({"group_by": [1]}, "group_by: expected a column, or a list of columns, got [1]"),
        (
            {"group_by": "Value"},
            "group_by: 'Value' is what a column of the metric itself is called",
        ),
        ({"kind": "sum"}, "value is missing: a metric of kind sum needs it"),
        ({"kind": "sum", "value": 5}, "value: expected a text, got 5"),
        ({"kind": "percentiles", "value": "ms", "percentiles": [101]}, "numbers from 0 to 100"),
        ({"kind": "percentiles", "value": "ms", "percentiles": [5, 5.0]}, "different numbers"),
        ({"kind": "percentiles", "value": "ms", "percentiles": []}, "a list of numbers"),
        ({"kind": "active_users", "days": [7, 1, 28]}, "three rising numbers of days"),
        ({"kind": "active_users", "days": [True, 7, 28]}, "three rising numbers of days"),
        ({"kind": "active_users", "group_by": "device"}, "group_by: expected source, the only one"),
        ({"kind": "retention", "periods": 0}, "periods: expected a whole number from 1 to 400"),
        ({"kind": "funnel", "window": "0s"}, "window: expected a duration"),
        ({"kind": "funnel", "window": "-1h"}, "window: expected a duration"),
        ({"kind": "funnel", "window": 30}, "without a unit"),
        ({"kind": "funnel", "window": "1h"}, "steps is missing"),
        ({"kind": "funnel", "steps": ["a = 1"]}, "steps: expected a list of 2 to 20 conditions"),
        ({"kind": "funnel", "steps": ["a = 1", "a = 1"]}, "two steps are called 'a = 1'"),
        ({"kind": "funnel", "steps": ["a = 1", {"name": "b"}]}, "steps.2.where is missing"),
        ({"kind": "funnel", "steps": ["a = 1", {"wher": "b"}]}, "did you mean 'where'?"),
        ({"kind": "funnel", "steps": ["a = 1", 3]}, "steps.2: expected a condition"),
        ({"kind": "funnel", "by": "users"}, "by: expected one of user, session"),
        ({"kind": "ratio", "numerator": "a"}, "denominator is missing"),
        (
            {"kind": "ratio", "numerator": "A", "denominator": "b"},
            "numerator: expected small letters",
        ),
        ({3: 4}, "unknown key 3 of count; keys are text"),
    ],
)
def test_a_fault_names_the_key_and_what_was_expected(keys: dict[Any, Any], told: str) -> None:
    said = {str(key): value for key, value in keys.items()} if 3 not in keys else None
    if said is None:
        with pytest.raises(FaultsError) as caught:
            parse_metric(
                {"metric": "m", "kind": "count", "description": "d", "owner": "o", 3: 4},  # type: ignore[dict-item]
                Path("m.yml"),
            )
        found = caught.value.faults
    else:
        found = faults(**said)
    assert any(told in each for each in found), found


def test_every_fault_of_a_file_is_told_at_once() -> None:
    found = faults(
        kind="funnel", intervall="day", time_zone="Nowhere", window="0s", steps="a", owner=None
    )
    assert len(found) == 5


@settings_of(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted({key for keys in (COMMON, *KEYS.values()) for key in keys})),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=5)
            | st.sampled_from(KINDS),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=2)
            ),
            max_leaves=4,
        ),
    )
)
def test_whatever_a_file_holds_it_is_a_metric_or_told(data: dict[str, Any]) -> None:
    try:
        parse_metric(data, Path("m.yml"))
    except FaultsError as error:
        assert error.faults


# -- expressions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the SQL expression is empty"),
        ("ms = (SELECT 1)", "a subquery is not allowed"),
        ("ms IN (SELECT ms FROM events)", "a subquery is not allowed"),
        ("EXISTS (FROM events)", "a subquery is not allowed"),
        ("sum(ms) > 1", "sum() is not allowed"),
        ("row_number() OVER () = 1", "a window function is not allowed"),
        ("*", "'*' is not allowed"),
        ("COLUMNS('.*')", "'*' is not allowed"),
        ("ms = ?", "a parameter is not allowed"),
        ("ms = $x", "a parameter is not allowed"),
        ("list_filter(x, y -> y > 1)", "list_filter() is not allowed"),
        ("getenv('HOME') = 'x'", "getenv() is not allowed"),
        ("getvariable('x') = 'x'", "getvariable() is not allowed"),
        ("random() > 0.5", "random() is not allowed"),
        ("now() > event_time", "now() is not allowed"),
        ("lowr(a) = 'x'", "did you mean 'lower'?"),
        ("lower(DISTINCT a) = 'x'", "takes neither FILTER, DISTINCT nor ORDER BY"),
        ("other.lower(a) = 'x'", "lower() is not allowed"),
        ("events.ms = 1", "expected a column of the table, got 'events.ms'"),
        ("a = 'x' COLLATE NOCASE", "a collation is not allowed"),
        ("CAST(a AS STRUCT(b INTEGER)) = 1", "a cast to STRUCT is not allowed"),
        ("#1", "positional_reference is not allowed"),
        ("ms AS x", "expected one SQL expression"),
        ("ms, price", "expected one SQL expression"),
        ("ms FROM events", "expected one SQL expression"),
        ("ms LIMIT 1", "expected one SQL expression"),
        ("DISTINCT ms", "expected one SQL expression"),
        ("ms UNION SELECT 1", "expected one SQL expression"),
        ("1; DROP VIEW events", "not an SQL expression"),
        ("1; SELECT 2", "expected one SQL expression"),
        ("true) UNION ALL SELECT (1", "not an SQL expression"),
        ("true) OR (true", "not an SQL expression"),
        ("a = 'x", "not an SQL expression"),
        ("a /* x", "not an SQL expression"),
        ("ALL a", "not an SQL expression"),
    ],
)
def test_an_expression_that_reaches_beyond_its_row_is_refused(text: str, told: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(told)):
        read_expression(text)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("event_type = 'buy' AND ms > 10", ("event_type", "ms")),
        ("\"we\"\"ird\" = 'it''s' -- and why", ('we"ird',)),
        ("a IN ('x', 'y') OR NOT b BETWEEN 1 AND 2 OR c IS NULL", ("a", "b", "c")),
        ("CASE WHEN a THEN b ELSE -c END > try_cast(d AS DECIMAL(10,2))", ("a", "b", "c", "d")),
        ("properties ->> '$.page' ILIKE '/sale%'", ("properties",)),
        (
            "events_by_type['buy'] > 0 AND coalesce(nullif(a, ''), 'x') != 'y'",
            ("events_by_type", "a"),
        ),
        (
            "event_time >= '2026-03-01' AND event_time < TIMESTAMP '2026-04-01' + INTERVAL 1 DAY",
            ("event_time",),
        ),
        ("price * quantity // 2 % 3", ("price", "quantity")),
        ("extract(hour FROM event_time) < 6", ("event_time",)),
    ],
)
def test_an_expression_over_a_row_is_taken_with_the_columns_that_it_names(
    text: str, columns: tuple[str, ...]
) -> None:
    assert read_expression(text).columns == columns


# -- names and types -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "keys", "told"),
    [
        ("count", {"source": "shap"}, "source: no source 'shap'; did you mean 'shop'?"),
        (
            "count",
            {"where": "prise > 1"},
            "where: no column 'prise' in events; did you mean 'price'?",
        ),
        ("count", {"where": 'event_type = "buy"'}, "a text stands in 'single quotes'"),
        ("count", {"where": "current_date > '2026-01-01'"}, "no column 'current_date'"),
        (
            "count",
            {"source": "app", "group_by": "device"},
            "group_by: no column 'device' in events of app",
        ),
        ("count", {"table": "sessions", "where": "price > 1"}, "no column 'price' in sessions"),
        ("sum", {"value": "price * qantity"}, "value: no column 'qantity' in events"),
        ("retention", {"returns": "event_typ = 'x'"}, "returns: no column 'event_typ'"),
        ("funnel", {"window": "1h", "steps": ["ms > 1", "sm > 1"]}, "steps.2: no column 'sm'"),
        ("count", {"where": "price"}, "where: expected a condition, got 'price', which is"),
        ("count", {"where": "lower(price) = 'x' AND price->>'$.x' = 1"}, "where: Binder Error"),
        ("sum", {"value": "event_type"}, "Binder Error"),
    ],
)
def test_names_and_types_that_do_not_fit_the_tables_are_told(
    kind: str, keys: dict[str, Any], told: str
) -> None:
    found = wrong(kind, **keys)
    assert len(found) == 1 and told in found[0], found


def test_what_fits_the_tables_is_right_whatever_the_case_of_its_letters() -> None:
    assert (
        wrong("sum", source="shop", value="PRICE", where="Event_Type = 'x' AND ms IS NULL OR true")
        == ["where: no column 'ms' in events of shop; did you mean 'line'?"]
        or wrong("sum", source="shop", value="PRICE", where="Event_Type = 'x'") == []
    )
    assert wrong("sum", source="shop", value="PRICE", where="Event_Type = 'x'") == []
    assert wrong("mean", table="sessions", value="is_bounce") == []
    assert wrong("mean", table="sessions", value="events_by_type['buy'] > 0") == []


def test_what_a_ratio_is_made_of_has_to_be_there_and_alike() -> None:
    def told(*others: Any, **keys: Any) -> list[str]:
        made = metric("ratio", "r", **{"numerator": "a", "denominator": "b", **keys})
        return metric_faults({each.name: each for each in (*others, made)}, OWN).get("r", [])

    a, b = metric("count", "a"), metric("unique", "b")
    assert told(a, b) == []
    assert told(a, metric("unique", "c")) == ["denominator: no metric 'b'; known: a, c, r"]
    [why] = told(a, metric("funnel", "b", window="1h", steps=["true", "false"]))
    assert "'b' is of kind funnel" in why
    other = metric("unique", "b", interval="week", time_zone="Europe/Berlin", group_by="source")
    assert [each.split(":")[0] for each in told(a, other)] == ["interval", "time_zone", "group_by"]
    [cycle] = told(a, metric("ratio", "b", numerator="a", denominator="r"))
    assert cycle == "a metric can't be made of itself: r -> b -> r"
    assert told(a, numerator="r", denominator="a") == ["a metric can't be made of itself: r -> r"]
    # The fault of a part is told once, where it is.
    assert told(metric("count", "a", where="nothing = 1"), b) == []


# -- a folder --------------------------------------------------------------------------------------

RIGHT = "metric: {name}\nkind: count\ndescription: A test.\nowner: tests\n"


def test_files_that_are_wrong_leave_the_others_and_two_of_one_name_are_both_left(
    tmp_path: Path,
) -> None:
    assert load_metrics(tmp_path / "none") == {}
    for file, name in (("a", "a"), ("b", "same"), ("c", "same")):
        (tmp_path / f"{file}.yml").write_text(RIGHT.format(name=name))
    (tmp_path / "d.yaml").write_text("metric: d\nkind: count\nkind: sum\n")
    (tmp_path / "e.yml").write_text("- no mapping")
    (tmp_path / "f.yml").write_bytes(b"\xff")
    (tmp_path / "g.yml").write_text(RIGHT.format(name="named_otherwise") + "intervall: day\n")
    (tmp_path / ".h.yml").write_text("a: [")
    (tmp_path / "notes.txt").write_text("a: [")
    read = readable_metrics(tmp_path)
    assert list(read.metrics) == ["a"]
    assert list(read.faults) == ["d", "e", "f", "named_otherwise", "same"]
    assert read.faults["same"] == ("c.yml: metric 'same' is described by b.yml too",)
    assert "g.yml: unknown key 'intervall' of count" in read.faults["named_otherwise"][0]
    with pytest.raises(FaultsError, match="5 faults in the metrics"):
        load_metrics(tmp_path)


def test_a_definition_comes_back_from_a_release_as_it_was() -> None:
    made = [
        metric("sum", "a", value="price", source=["shop", "app"], where="x = 'ü'", group_by=["y"]),
        metric("percentiles", "b", value="ms", percentiles=[50, 99.9], interval="month"),
        metric(
            "funnel",
            "c",
            steps=["a = 1", {"name": "Z", "where": "b"}],
            window="1h30m",
            by="session",
        ),
        metric("retention", "d", interval="week", periods=3, returns="a"),
        metric("active_users", "e", days=[1, 7, 30], group_by="source"),
        metric("ratio", "f", numerator="a", denominator="b"),
        metric("new_users", "g", time_zone="Asia/Kathmandu"),
    ]
    for each in made:
        assert from_canonical(canonical(each)) == each
        assert list(json.loads(canonical(each))) == sorted(json.loads(canonical(each)))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"metric":"m","kind":"from_the_future","description":"d","owner":"o"}',
        '{"metric":"m","kind":"count","description":"d","owner":"o","where":"true) OR (true"}',
        '{"metric":"m","kind":"count","description":"d","owner":"o","columns":{"a":"INT) FROM x --"}}',
        '{"metric":"m","kind":"count","description":"d","owner":"o","columns":[]}',
    ],
)
def test_a_definition_that_nobody_can_read_is_refused(text: str) -> None:
    with pytest.raises(FaultsError):
        from_canonical(text)


# -- what is in force ------------------------------------------------------------------------------


def release(
    folder: Path, last: dict[str, str], lake: dict[str, str] | None = None
) -> tuple[dict[str, str], list[str]]:
    return in_force(folder, last, lambda: OWN, lambda: lake or {})


def test_a_broken_file_leaves_the_last_good_definition_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(RIGHT.format(name="a"))
    (tmp_path / "b.yml").write_text(RIGHT.format(name="b") + "where: price > 1\n")
    first, told = release(tmp_path, {})
    assert list(first) == ["a", "b"] and told == []
    assert json.loads(first["b"])["columns"] == {"price": "DECIMAL(10,2)"}
    assert release(tmp_path, first) == (first, [])
    # One can't be read; one names a column that there is not; one is new and wrong.
    (tmp_path / "a.yml").write_text(RIGHT.format(name="a") + "intervall: day\n")
    (tmp_path / "b.yml").write_text(RIGHT.format(name="b") + "where: prise > 1\n")
    (tmp_path / "c.yml").write_text(RIGHT.format(name="c") + "interval: never\n")
    second, told = release(tmp_path, first)
    assert second == first
    assert [each.split(":")[0] for each in told] == ["a.yml", "c.yml", "b.yml"]
    # Mended, changed, gone.
    (tmp_path / "a.yml").write_text(RIGHT.format(name="a") + "interval: week\n")
    (tmp_path / "b.yml").unlink()
    (tmp_path / "c.yml").unlink()
    third, told = release(tmp_path, second)
    assert list(third) == ["a"] and third["a"] != first["a"] and told == []


def test_a_ratio_of_a_broken_metric_goes_on_with_its_last_good_definition(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(RIGHT.format(name="a"))
    ratio = RIGHT.format(name="r").replace("count", "ratio") + "numerator: a\ndenominator: a\n"
    (tmp_path / "r.yml").write_text(ratio)
    first, _ = release(tmp_path, {})
    (tmp_path / "a.yml").write_text("a: [")
    assert release(tmp_path, first)[0] == first
    assert release(tmp_path, {**first, "a": '{"kind":"newer"}'})[0]["r"] == first["r"]
    made, told = release(tmp_path, {})
    assert made == {} and "no metric 'a'" in told[1]


def test_columns_of_sources_that_lie_elsewhere_are_known_once_they_are_published(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.yml").write_text(RIGHT.format(name="a") + "source: tour\nwhere: slow_ms > 1\n")
    assert "no column 'slow_ms'" in release(tmp_path, {})[1][0]
    made, told = release(tmp_path, {}, {"slow_ms": "int"})
    assert told == [] and json.loads(made["a"])["columns"] == {"slow_ms": "INTEGER"}


# -- tidegate check --------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    shutil.copytree(REPO / "expectations", tmp_path / "expectations")
    for folder in ("sources", "metrics"):
        shutil.copytree(REPO / "dags" / folder, tmp_path / "dags" / folder)
    return Settings(tmp_path, tmp_path / "home", str(tmp_path / "lake"))


def test_the_metrics_of_the_repo_are_right_and_of_every_sort(settings: Settings) -> None:
    right, wrong = check(settings)
    assert wrong == []
    files = list(settings.metrics.glob("*.yml"))
    assert sum("metric " in each for each in right) == len(files) >= 10
    kinds = {each.kind for each in load_metrics(settings.metrics).values()}
    assert {"sum", "funnel", "retention", "active_users", "new_users", "median", "ratio"} <= kinds


def test_check_tells_the_faults_of_all_metric_files_with_their_files(settings: Settings) -> None:
    def edit(name: str, old: str, new: str) -> None:
        path = settings.metrics / f"{name}.yml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    edit("revenue", "Europe/Berlin", "Europe/Berlinn")
    edit("purchase_funnel", "window: 24h", "window: 0h")
    edit("visitors", "source: shop", "source: shp")
    edit("session_length", "duration_s", "duration")
    edit("buyer_share", "denominator: visitors", "denominator: buyer_share")
    edit("new_users", "interval:", "intervall:")
    _, wrong = check(settings)
    for file, told in (
        ("revenue", "time_zone"),
        ("purchase_funnel", "above zero"),
        ("visitors", "no source 'shp'; did you mean 'shop'?"),
        ("session_length", "did you mean 'duration_s'?"),
        ("buyer_share", "can't be made of itself"),
        ("new_users", "did you mean 'interval'?"),
    ):
        assert any(f"{file}.yml: " in each and told in each for each in wrong), (told, wrong)
    assert len(wrong) == 6


def test_a_broken_source_file_calls_no_metric_wrong_for_it(settings: Settings) -> None:
    (settings.sources / "shop.yml").write_text("source: [")
    _, wrong = check(settings)
    assert all("shop.yml" in each or "no column" in each for each in wrong), wrong
