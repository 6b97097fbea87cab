"""Templates: which files belong to an hour, and no file to two hours."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate.config.source.overlap import may_share_files
from tidegate.config.source.path_template import (
    DIRECTIVES,
    HourText,
    TemplateError,
    parse_hour_text,
    parse_template,
)

HOUR = datetime(2015, 3, 4, 5, tzinfo=UTC)
HERE = Path("/project/dags/sources")


@pytest.mark.parametrize(
    ("text", "root", "relative"),
    [
        (
            "s3://events/github/{dump_hour:%Y-%m-%d}-{dump_hour:%-H}.json.gz",
            "s3://events/github/",
            "2015-03-04-5.json.gz",
        ),
        ("s3a://b/{dump_hour:%Y/%m/%d/%H}/*.gz", "s3a://b/", "2015/03/04/05/*.gz"),
        ("s3://b/x/hour-{dump_hour:%Y%m%d%H}/", "s3://b/x/", "hour-2015030405/"),
        ("dumps/{dump_hour:%Y%j%H}", "/project/dags/sources/dumps/", "201506305"),
        ("../d/{dump_hour:%y%m%d%H}", "/project/dags/d/", "15030405"),
        ("{dump_hour:%s}.json", "/project/dags/sources/", "1425445200.json"),
        ("/var/d/{dump_hour:%Y-%-m-%-d-%-H}.csv", "/var/d/", "2015-3-4-5.csv"),
        ("file:///var/d/{dump_hour:%Y%-j-%H}", "/var/d/", "201563-05"),
        ("/d/{dump_hour:%Y-%m-%dT%H}-{dump_hour_end:%H}.csv", "/d/", "2015-03-04T05-06.csv"),
        (
            "s3://b/events_{dump_hour:%Y%m%d%H}_{dump_hour_end:%Y%m%d%H}.gz",
            "s3://b/",
            "events_2015030405_2015030406.gz",
        ),
    ],
)
def test_a_template_is_a_root_and_a_path_below_it(text: str, root: str, relative: str) -> None:
    template = parse_template(text, HERE)
    assert template.root == root
    assert template.relative(HOUR) == relative
    assert template.pattern(HOUR) == root + relative


def test_every_documented_directive_is_rendered() -> None:
    texts = {d: parse_hour_text(f"{{dump_hour:{d}}}").render(HOUR) for d in DIRECTIVES}
    portable = [d for d in DIRECTIVES if "-" not in d and d != "%s"]
    assert {d: texts[d] for d in portable} == {d: HOUR.strftime(d) for d in portable}
    unpadded = {d: texts[d].lstrip("0") for d in ("%m", "%d", "%j", "%H")}
    assert {f"%-{d[1]}": text for d, text in unpadded.items()} == {
        d: text for d, text in texts.items() if "-" in d
    }
    assert texts["%s"] == str(int(HOUR.timestamp()))


def test_an_hour_of_another_zone_is_rendered_in_utc() -> None:
    there = datetime(2015, 3, 4, 1, tzinfo=timezone(timedelta(hours=-4)))
    assert parse_hour_text("{dump_hour:%d %H}").render(there) == "04 05"


def test_the_end_of_an_hour_is_the_start_of_the_next() -> None:
    last = datetime(2015, 12, 31, 23, tzinfo=UTC)
    text = parse_hour_text("{dump_hour:%Y-%m-%dT%H}_{dump_hour_end:%Y-%m-%dT%H}")
    assert text.render(last) == "2015-12-31T23_2016-01-01T00"


@given(
    st.lists(st.sampled_from(["dump_hour", "dump_hour_end"]), min_size=4, max_size=4),
    st.integers(0, 365 * 24 - 1),
    st.sampled_from([1, 23, 24, 25, 720, 744, 8760]),
)
def test_hours_are_told_apart_by_parts_of_their_start_and_their_end(
    names: list[str], at: int, later: int
) -> None:
    forms = zip(names, ("%Y", "%m", "%d", "%H"), strict=True)
    text = parse_hour_text("-".join(f"{{{name}:{form}}}" for name, form in forms))
    assert text.names_hour()
    hour = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(hours=at)
    assert text.render(hour) != text.render(hour + timedelta(hours=later))


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("{dump_hour:%Y/%m/%d/%H}/", "{dump_hour:%Y/%m/%d/%H}/clicks/*.gz", True),
        ("{dump_hour:%Y/%m/%d/%H}/", "{dump_hour:%Y/%m/%d/%H}/clicks/", True),
        ("{dump_hour:%Y/%m/%d/%H}/*.gz", "{dump_hour:%Y/%m/%d/%H}/clicks/*.gz", False),
        ("{dump_hour:%Y/%m/%d/%H}/", "{dump_hour:%Y/%m/%d/%H}*.gz", False),
        ("{dump_hour:%Y/%m/%d/%H}/a/", "{dump_hour:%Y/%m/%d/%H}/b/", False),
        ("{dump_hour:%Y/%m/%d/%H}/a*.gz", "{dump_hour:%Y/%m/%d/%H}/*b.gz", True),
    ],
)
def test_a_folder_shares_files_with_what_lies_below_it(one: str, other: str, share: bool) -> None:
    first, second = (parse_template(f"s3://b/{text}", HERE) for text in (one, other))
    assert may_share_files(first, second) is share
    assert may_share_files(second, first) is share


def test_another_root_keeps_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = parse_template("s3://events/github/x-{dump_hour:%Y-%m-%d-%H}.json", HERE)
    for uri, root in (
        (str(tmp_path), f"{tmp_path}/"),
        (f"file://{tmp_path}/", f"{tmp_path}/"),
        ("s3://other", "s3://other/"),
    ):
        moved = template.with_root(uri)
        assert moved.root == root
        assert moved.relative(HOUR) == template.relative(HOUR)
    monkeypatch.chdir(tmp_path)
    assert template.with_root("d").root == f"{tmp_path}/d/"


def test_the_folder_of_an_hour_is_known() -> None:
    own = parse_template("s3://b/{dump_hour:%Y-%m-%d/%H}/*.gz", HERE)
    assert (own.folder(HOUR), own.folder_names_hour) == ("2015-03-04/05/", True)
    shared = parse_template("s3://b/{dump_hour:%Y-%m-%d/%H}.gz", HERE)
    assert (shared.folder(HOUR), shared.folder_names_hour) == ("2015-03-04/", False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s3://b/x.json", "names the same files for 2015-01-01T00 and 2015-01-01T01"),
        ("s3://b/{dump_hour:%Y-%m-%d}.json", "the template has no hour"),
        ("s3://b/{dump_hour:%Y-%m-%H}.json", "the template has no day"),
        ("s3://b/{dump_hour:%Y-%d-%H}.json", "the template has no month"),
        ("s3://b/{dump_hour:%m-%d-%H}.json", "the template has no year"),
        ("s3://b/{dump_hour:%Y-%-m%-d-%H}", "such as 2015-01-11T00 and 2015-11-01T00"),
        ("s3://b/{dump_hour:%Y-%m-%d-%-H}*.gz", "does not tell hours apart"),
        ("s3://b/*{dump_hour:%Y%m%d%H}*.gz", "does not tell hours apart"),
        ("s3://b/{dump_hour}.json", "has no format"),
        ("s3://b/{dump_hour:}.json", "has no format"),
        ("s3://b/{ dump_hour:%s}.json", "without spaces"),
        ("s3://b/{dump_huor:%s}.json", "did you mean 'dump_hour'?"),
        ("s3://b/{dump_hour_ends:%s}.json", "did you mean 'dump_hour_end'?"),
        ("s3://b/{dump_hour_end:%s }-{ dump_hour_end:%H}", "'{dump_hour_end:%H}'"),
        ("s3://b/{dump_hour_end:%Y-%m-%d}.json", "the template has no hour"),
        ("s3://b/{dump_hour:%F-%H}.json", "unknown directive '%F'"),
        ("s3://b/{dump_hour:%s%}.json", "unknown directive '%'"),
        ("s3://b/{dump_hour:%s", "without its other half"),
        ("s3://b/{{dump_hour:%s}}", "without its other half"),
        ("s3://{dump_hour:%s}/a", "the bucket must be named"),
        ("s3://b/*/{dump_hour:%s}/a", "last part only"),
        ("s3://b/{dump_hour:%s}/*/a", "last part only"),
        ("s3://b/{dump_hour:%s}/**", "'**' is not known"),
        ("s3://b/{dump_hour:%s}/_*.gz", "never data"),
        ("gs://b/{dump_hour:%s}", "unknown scheme 'gs://'"),
        ("  ", "it is empty"),
    ],
)
def test_a_wrong_template_is_told(text: str, told: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(text, HERE)
    assert told in str(caught.value)


def test_all_faults_of_a_template_are_told_at_once() -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template("gs://b/{hour:%H}/{dump_hour:%Q}", HERE)
    assert len(caught.value.faults) == 3


_CLOSE = st.sampled_from([1, 2, 11, 12])
_HOURS = st.builds(
    lambda years, month, day, hour: datetime(2000 + years, month, day, hour, tzinfo=UTC),
    st.sampled_from([1, 2, 10, 11, 12, 20, 21, 22]),
    _CLOSE,
    st.sampled_from([1, 2, 11, 12, 21, 22]),
    st.sampled_from([0, 1, 2, 10, 11, 12, 20, 21, 22]),
)
"""Hours whose digits are easily mistaken for each other's."""


@st.composite
def _templates(draw: st.DrawFn) -> list[str]:
    """Draw the parts of a template that has all four in some form and order.

    With or without marks between.
    """
    forms = [("%Y", "%y"), ("%m", "%-m"), ("%d", "%-d"), ("%H", "%-H")]
    parts = []
    for form in draw(st.permutations(forms)):
        parts.append(draw(st.sampled_from(["", "", "-", "1", "a1", "*"])))
        parts.append(draw(st.sampled_from(form)))
    parts.append(draw(st.sampled_from(["", "-", "*", "1*"])))
    return [part for part in parts if part]


def _text(parts: list[str]) -> HourText:
    return parse_hour_text("".join(f"{{dump_hour:{p}}}" if "%" in p else p for p in parts))


@given(
    _templates(),
    _HOURS,
    _HOURS,
    st.lists(st.text("0123456789-a", max_size=6), min_size=9, max_size=9),
)
def test_no_file_belongs_to_two_hours(
    parts: list[str], hour: datetime, other: datetime, fillings: list[str]
) -> None:
    text = _text(parts)
    assume(hour != other and text.names_hour())
    filled = text.render(hour)
    for filling in fillings[: parts.count("*")]:
        filled = filled.replace("*", filling, 1)
    shape = ".*".join(re.escape(piece) for piece in text.render(other).split("*"))
    assert re.fullmatch(shape, filled) is None


@given(
    st.permutations(["%Y", "%m", "%d", "%H"]),
    st.sampled_from(["", "-", "/", "T"]),
    st.booleans(),
)
def test_any_order_of_all_four_parts_names_the_hour(
    parts: list[str], between: str, unpadded: bool
) -> None:
    forms = [p if not unpadded or p == "%Y" else f"%-{p[1]}" for p in parts]
    template = between.join(f"{{dump_hour:{form}}}" for form in forms)
    assert parse_hour_text(template).names_hour() is (between != "" or not unpadded)
