"""Times: each way to write one is its instant, or no time; none is another instant."""

from __future__ import annotations

import importlib.metadata
import io
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kernel import NOON, Row, batches, body_of, rows_of, source_of
from project import REPO
from tidegate.common.errors import SourceError
from tidegate.common.time_zones import zone_names
from tidegate.config.source import TimeRef
from tidegate.landing.instants import Instants, to_time
from tidegate.landing.time_formats import format_reader, iso_rewriting

Known = dict[str, str | None]


def read(texts: list[str], **how: Any) -> Instants:
    return to_time(pa.array(texts, pa.string()), TimeRef(path="at", **how))


def shown(instants: Instants) -> list[str | None]:
    times = [time.as_py() for time in instants.values]
    return [time and time.replace(tzinfo=None).isoformat(" ") for time in times]


def assert_read(known: Known, **how: Any) -> None:
    """Each text is read alone and among the others, so that no shortcut reads it in another way."""
    together = dict(zip(known, shown(read(list(known), **how)), strict=True))
    alone = {text: shown(read([text], **how))[0] for text in known}
    assert together == known
    assert alone == known


NOON_TEXT = "2024-03-01 12:00:00"
ISO: Known = {
    "2024-03-01T12:00:00Z": NOON_TEXT,
    "2024-03-01t12:00:00z": NOON_TEXT,
    "2024-03-01 12:00:00Z": NOON_TEXT,
    "2024-03-01 12:00:00 UTC": NOON_TEXT,
    "2024-03-01T12:00:00 GMT": NOON_TEXT,
    "2024-03-01T12:00:00": NOON_TEXT,
    "2024-03-01T12:00:00+00:00": NOON_TEXT,
    "2024-03-01T12:00:00-00:00": NOON_TEXT,
    "2024-03-01T13:30:00+01:30": NOON_TEXT,
    "2024-03-01T13:30:00+0130": NOON_TEXT,
    "2024-03-01T07:00:00-05": NOON_TEXT,
    "2024-03-02T06:00:00+18:00": NOON_TEXT,
    "2024-03-02T06:30:00+18:30": None,
    "2024-03-01T12:00:00+01:60": None,
    "2024-03-01T12:00:00+1": None,
    "2024-03-01T12:00Z": NOON_TEXT,
    "2024-03-01T12Z": NOON_TEXT,
    "2024-03-01T12": None,
    "2024-03-01T12:00:00.5Z": "2024-03-01 12:00:00.500000",
    "2024-03-01T12:00:00,5Z": "2024-03-01 12:00:00.500000",
    "2024-03-01T12:00:00.123456789Z": "2024-03-01 12:00:00.123456",
    "2024-03-01T12:00:00.9999999+00:00": "2024-03-01 12:00:00.999999",
    "2024-03-01T12:00:00.Z": None,
    "20240301T120000Z": NOON_TEXT,
    "20240301T130000+0100": NOON_TEXT,
    "20240301T1200Z": NOON_TEXT,
    "20240301T120000.25Z": "2024-03-01 12:00:00.250000",
    "20240301T120000": NOON_TEXT,
    "20240301120000": None,
    "2024-03-01T120000Z": None,
    "2024-03-01T12:00:60Z": None,
    "2024-03-01T23:59:60Z": None,
    "2016-12-31T23:59:60Z": "2017-01-01 00:00:00",
    "2016-12-31T23:59:60.5Z": "2017-01-01 00:00:00.500000",
    "1990-12-31T15:59:60-08:00": "1991-01-01 00:00:00",
    "2015-07-01T02:59:60+03:00": "2015-07-01 00:00:00",
    "2015-07-01T02:59:60+02:00": None,
    "2015-06-30T23:59:60": "2015-07-01 00:00:00",
    "2015-06-30T23:59:61Z": None,
    "20161231T235960Z": "2017-01-01 00:00:00",
    "2024-03-01T24:00:00Z": None,
    "2024-02-29T12:00:00Z": "2024-02-29 12:00:00",
    "2023-02-29T12:00:00Z": None,
    "2024-13-01T12:00:00Z": None,
    "0001-01-01T00:00:00Z": "0001-01-01 00:00:00",
    "0001-01-01T00:00:00+01:00": None,
    "0000-12-31T23:59:59Z": None,
    "9999-12-31T23:59:59.999999Z": "9999-12-31 23:59:59.999999",
    "9999-12-31T23:59:59-01:00": None,
    "10000-01-01T00:00:00Z": None,
    "-2024-03-01T12:00:00Z": None,
    "2024-W09-5T12:00:00Z": None,
    "2024-061T12:00:00Z": None,
    "2024-03-01": None,
    "2024-03-01T12:00:00+01:00[Europe/Berlin]": None,
    "\u0662024-03-01T12:00:00Z": None,
    " 2024-03-01T12:00:00Z\r": NOON_TEXT,
    "": None,
    "now": None,
}


def test_rfc_3339_and_iso_8601_are_read() -> None:
    assert_read(ISO)


def test_times_that_lose_digits_are_counted_in_every_form() -> None:
    cut = {
        "2024-03-01T12:00:00.1234567Z": True,
        "2024-03-01T12:00:00.1234567": True,
        "20240301T120000.1234567": True,
        "20240301T120000,00000001+01": True,
        "2024-03-01T12:00:00.1234560000Z": False,
        "2024-03-01T12:00:00.123456Z": False,
    }
    for texts in (list(cut), *([text] for text in cut)):
        found = read(texts).cut
        assert [bool(found is not None and found[n]) for n in range(len(texts))] == [
            cut[text] for text in texts
        ]


EPOCHS: dict[str, dict[str, tuple[str | None, bool]]] = {
    "epoch_s": {
        "1709294400": (NOON_TEXT, False),
        "1709294400.1234567": ("2024-03-01 12:00:00.123456", True),
        "1709294400.1234560": ("2024-03-01 12:00:00.123456", False),
        "1.7092944e9": (NOON_TEXT, False),
        "1e-70": ("1970-01-01 00:00:00", True),
        "-0.0000001": ("1970-01-01 00:00:00", True),
        "1e300": (None, False),
        "99999999999999999999": (None, False),
    },
    "epoch_ms": {
        "1709294400000.001": ("2024-03-01 12:00:00.000001", False),
        "1709294400000.0019": ("2024-03-01 12:00:00.000001", True),
    },
    "epoch_us": {"1709294400000000.5": (NOON_TEXT, True)},
}


@pytest.mark.parametrize("unit", EPOCHS)
def test_digits_of_numbers_beyond_microseconds_are_cut_and_counted(unit: str) -> None:
    texts = list(EPOCHS[unit])
    found = read(texts, unit=unit)
    assert found.cut is not None
    pairs = zip(shown(found), found.cut.tolist(), strict=True)
    assert [(at, cut and at is not None) for at, cut in pairs] == list(EPOCHS[unit].values())


# -- formats of the user's own -----------------------------------------------------------------------

FORMATS: dict[str, Known] = {
    "%d/%b/%Y:%H:%M:%S %z": {
        "01/Mar/2024:13:00:00 +0100": NOON_TEXT,
        "1/mar/2024:13:00:00 +01:00": NOON_TEXT,
        "01/MAR/2024:12:00:00   Z": NOON_TEXT,
        "01/Mar/2024:13:00:00": None,
        "01/Mär/2024:13:00:00 +0100": None,
        "01/\u017fep/2024:13:00:00 +0100": None,
        "\u0660\u0661/Mar/2024:13:00:00 +0100": None,
        "01/Mar/2024:13:00:00 +0100 x": None,
        "x 01/Mar/2024:13:00:00 +0100": None,
        "31/Feb/2024:13:00:00 +0100": None,
        "01/Mar/2024:24:00:00 +0000": None,
        "01/Mar/2024:13:60:00 +0000": None,
        "30/Jun/2015:23:59:60 +0000": "2015-07-01 00:00:00",
        "30/Jun/2015:23:59:60 +0100": None,
    },
    "%Y%m%d%H%M%S": {
        "20240301120000": NOON_TEXT,
        "2024030112000": None,
        "202403011200000": None,
        " 20240301120000 ": NOON_TEXT,
    },
    "%m/%d/%Y %I:%M %p": {
        "3/1/2024 12:00 PM": NOON_TEXT,
        "03/01/2024 12:00 pm": NOON_TEXT,
        "3/1/2024 12:00 AM": "2024-03-01 00:00:00",
        "3/1/2024 1:05 PM": "2024-03-01 13:05:00",
        "3/1/2024 13:00 PM": None,
        "3/1/2024 0:00 AM": None,
        "3/1/2024 12:00": None,
        "13/1/2024 12:00 PM": None,
    },
    "%A, %d %B %Y %R UTC": {
        "Friday, 01 March 2024 12:00 UTC": NOON_TEXT,
        "FRIDAY, 1 march 2024 12:00 UTC": NOON_TEXT,
        "Monday, 01 March 2024 12:00 UTC": None,
        "Friday, 01 Mar 2024 12:00 UTC": None,
    },
    "%a %b %e %T %Y": {
        "Fri Mar  1 12:00:00 2024": NOON_TEXT,
        "Fri Mar 1 12:00:00 2024": NOON_TEXT,
        "Sun Mar 10 12:00:00 2024": "2024-03-10 12:00:00",
        "Sat Mar  1 12:00:00 2024": None,
    },
    "%Y.%j": {"2024.061": "2024-03-01 00:00:00", "2024.366": "2024-12-31 00:00:00", "2023.366": None, "2024.000": None},
    "%y-%m-%d": {"24-03-01": "2024-03-01 00:00:00", "69-01-01": "1969-01-01 00:00:00", "68-1-1": "2068-01-01 00:00:00"},
    "%F %T.%f": {
        "2024-03-01 12:00:00.5": "2024-03-01 12:00:00.500000",
        "2024-03-01 12:00:00.1234567": "2024-03-01 12:00:00.123456",
        "2024-03-01 12:00:00.": None,
    },
    "%Y%m%dT%H%M%S%L%z": {
        "20240301T120000123Z": "2024-03-01 12:00:00.123000",
        "20240301T120000123-0030": "2024-03-01 12:30:00.123000",
        "20240301T120000123-0060": None,
        "20240301T12000012Z": None,
    },
    "%s.%f": {"1709294400.25": "2024-03-01 12:00:00.250000", "99999999999999999.1": None, "-5.1": None},
    "100%% %Y-%-m-%-d": {"100% 2024-3-1": "2024-03-01 00:00:00", "100%% 2024-3-1": None},
    "%F %H": {"2024-03-01 12": NOON_TEXT, "2024-03-01": None, "0000-03-01 12": None, "2024-03-01\t12": NOON_TEXT},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_reads_its_times_and_nothing_else(form: str) -> None:
    assert_read(FORMATS[form], format=form)


@pytest.mark.parametrize(
    "form",
    ["%d/%b/%Y:%H:%M:%S %z", "%d %B %Y", "%B %d, %Y %H:%M", "%d-%b-%Y %H:%M:%S.%f", "%Y-%m-%d"],
)
def test_usual_times_of_a_format_are_read_at_once_and_as_one_by_one(form: str) -> None:
    rewriting = iso_rewriting(form)
    assert rewriting is not None
    start = datetime(2024, 1, 1, 23, 59, 58, tzinfo=UTC)
    usual = [(start + timedelta(days=days, seconds=days)).strftime(form) for days in range(366)]
    assert all(re.match(rewriting.pattern, text) for text in usual)
    odd = [usual[70].upper(), usual[80].lower(), usual[0][:-1], f" {usual[1]}", ""]
    odd += [text.replace("29", "31").replace("Jan", "Jux") for text in usual[::7]]
    times = to_time(pa.array(usual + odd), TimeRef(path="t", format=form)).values
    one_by_one = [format_reader(form)(text) for text in usual + odd]
    expected = [one.micros if one is not None else None for one in one_by_one]
    assert times.cast(pa.int64()).to_pylist() == expected
    assert None not in expected[: len(usual)]


def test_digits_beyond_microseconds_are_counted_in_a_format_too() -> None:
    found = read(["2024-03-01 12:00:00.1234567", "2024-03-01 12:00:00.1"], format="%F %T.%f")
    assert found.cut is not None
    assert found.cut.tolist() == [True, False]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"format": "%Y-%m-%d %Q"}, "unknown directive %Q in '%Y-%m-%d %Q' (known: %Y %y %m"),
        ({"format": "%Y-%m-%d %Z"}, "a name such as CET is no zone: write it as plain text"),
        ({"format": "%Y-%m-%d %"}, "unknown directive %"),
        ({"format": "%H:%M:%S"}, "with year, month and day, got '%H:%M:%S' without the year"),
        ({"format": "%Y %m"}, "without the day"),
        ({"format": ""}, "without the year"),
        ({"format": "%Y-%m-%d %M"}, "%M needs the hour"),
        ({"format": "%Y-%m-%d %H:%M.%f"}, "%f needs the second"),
        ({"format": "%Y-%m-%d %I"}, "%I and %p need each other"),
        ({"format": "%Y-%m-%d %H %p"}, "%I and %p need each other"),
        ({"format": "%Y-%m-%d %b"}, "%m and %b both give the month"),
        ({"format": "%Y-%m-%j"}, "%j and %m both give the day"),
        ({"format": "%s %Y"}, "%s says it all, but %Y is beside it"),
        ({"format": "%F %T.%f%y"}, "both give the year"),
        ({"format": "%H:%M:%S.%f%Y%m%d"}, "where %f ends and %Y begins is unclear"),
        ({"format": "%F %T %z", "zone": "Europe/Berlin"}, "zone is for times without an offset, but format has %z"),
        ({"unit": "epoch_s", "format": "%F"}, "unit epoch_s is for one number, which takes no format"),
        ({"unit": "epoch_s", "zone": "UTC"}, "unit epoch_s is for one number, which takes no zone"),
        ({"zone": "Europe/Berln"}, "got 'Europe/Berln'; did you mean 'Europe/Berlin'?"),
        ({"zone": "europe/berlin"}, "did you mean 'Europe/Berlin'?"),
        ({"zone": "../../etc/passwd"}, "expected a time zone such as Europe/Berlin"),
        ({"paths": ["a"]}, "expected exactly one of path, paths and sql, got paths and another"),
    ],
)  # fmt: skip
def test_a_time_that_can_not_be_read_is_a_fault_of_the_source_file(
    how: dict[str, Any], told: str
) -> None:
    for keys in (
        {"fields": {"event_time": {"path": "at", **how}}},
        {"columns": {"t": {"path": "at", "type": "timestamp", **how}}},
    ):
        with pytest.raises(SourceError) as raised:
            source_of(**keys)
        assert any(told in fault for fault in raised.value.faults), raised.value.faults


# -- zones -------------------------------------------------------------------------------------------

ZONES: dict[str, Known] = {
    "Europe/Berlin": {
        "2024-03-31T01:59:59.999999": "2024-03-31 00:59:59.999999",
        "2024-03-31T02:00:00": None,
        "2024-03-31 02:59:59,9": None,
        "2024-03-31T03:00:00": "2024-03-31 01:00:00",
        "2024-10-27T01:59:59": "2024-10-26 23:59:59",
        "2024-10-27T02:00:00": "2024-10-27 00:00:00",
        "20241027T025959": "2024-10-27 00:59:59",
        "2024-10-27T03:00:00": "2024-10-27 02:00:00",
        "2024-10-27T02:30:00+01:00": "2024-10-27 01:30:00",
        "2024-03-31T02:30:00Z": "2024-03-31 02:30:00",
        "2017-01-01T00:59:60": "2017-01-01 00:00:00",
        "2016-12-31T23:59:60": None,
        "1893-03-31T23:59:59": "1893-03-31 23:06:31",
        "1893-04-01T00:00:00": None,
        "1893-04-01T00:06:31": None,
        "1893-04-01T00:06:32": "1893-03-31 23:06:32",
        "0001-01-01T00:00:00": None,
        "9999-12-31T23:59:59": "9999-12-31 22:59:59",
        "0000-12-31T23:59:59": None,
    },
    "America/New_York": {
        "2024-03-10T01:59:59": "2024-03-10 06:59:59",
        "2024-03-10T02:00:00": None,
        "2024-03-10T03:00:00": "2024-03-10 07:00:00",
        "2024-11-03T01:00:00": "2024-11-03 05:00:00",
        "2024-11-03T01:59:59": "2024-11-03 05:59:59",
        "2024-11-03T02:00:00": "2024-11-03 07:00:00",
        "9999-12-31T23:59:59": None,
        "2050-07-01T12:00:00": "2050-07-01 16:00:00",
    },
    "Asia/Kolkata": {"2024-03-01T17:30:00": NOON_TEXT, "2024-03-31T02:30:00": "2024-03-30 21:00:00"},
    "Australia/Lord_Howe": {
        "2024-04-07T01:29:59": "2024-04-06 14:29:59",
        "2024-04-07T01:30:00": "2024-04-06 14:30:00",
        "2024-04-07T01:59:59": "2024-04-06 14:59:59",
        "2024-04-07T02:00:00": "2024-04-06 15:30:00",
        "2024-10-06T01:59:59": "2024-10-05 15:29:59",
        "2024-10-06T02:00:00": None,
        "2024-10-06T02:29:59": None,
        "2024-10-06T02:30:00": "2024-10-05 15:30:00",
    },
    "Pacific/Apia": {
        "2011-12-29T23:59:59": "2011-12-30 09:59:59",
        "2011-12-30T00:00:00": None,
        "2011-12-30T12:00:00": None,
        "2011-12-30T23:59:59": None,
        "2011-12-31T00:00:00": "2011-12-30 10:00:00",
    },
    "Europe/Dublin": {"2024-10-27T01:30:00": "2024-10-27 00:30:00", "2024-03-31T01:30:00": None},
    "UTC": {"2024-03-01T12:00:00": NOON_TEXT},
}  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
def test_local_times_are_the_first_instant_that_the_clocks_show(zone: str) -> None:
    assert_read(ZONES[zone], zone=zone)


@pytest.mark.parametrize("zone", ZONES)
def test_local_times_in_a_format_are_the_same(zone: str) -> None:
    plain = {text: at for text, at in ZONES[zone].items() if len(text) == 19 and ":60" not in text}
    assert_read({t.replace("T", " "): at for t, at in plain.items()}, zone=zone, format="%F %T")


def test_ambiguous_and_skipped_times_are_told_apart() -> None:
    texts = ["2024-10-27T02:30:00", "2024-03-31T02:30:00", "2024-10-27T02:30:00Z", "x"]
    found = read(texts, zone="Europe/Berlin")
    assert found.ambiguous is not None
    assert found.nonexistent is not None
    assert found.ambiguous.tolist() == [True, False, False, False]
    assert found.nonexistent.tolist() == [False, True, False, False]


def test_zones_are_those_of_the_pinned_package() -> None:
    assert {"Europe/Berlin", "Pacific/Apia", "UTC"} <= zone_names()
    assert "localtime" not in zone_names()
    lock = (REPO / "requirements.lock").read_text()
    assert f"tzdata=={importlib.metadata.version('tzdata')} " in lock


# -- what becomes of lines ---------------------------------------------------------------------------

WIDE = {"late": "36500d", "future": "36500d"}


def rows(event_time: Any, lines: list[Any], **keys: Any) -> list[Row]:
    source = source_of(fields={"event_time": event_time}, **{"columns": {}, "accept": WIDE, **keys})
    return rows_of(source, [json.dumps(line) for line in lines])


def notes(source: Any, body: bytes) -> dict[str, int]:
    found: Counter[str] = Counter()
    for batch in batches(source, body):
        for name, count in (batch.schema.metadata or {}).items():
            found[name.decode()] += int(count)
    return dict(found)


def test_the_dump_hour_is_the_time_of_lines_without_one() -> None:
    [row] = rows("dump_hour", [{"dump_hour": "2001-01-01T00:00:00Z"}])
    assert row["event_time"] == NOON_TEXT
    [row] = rows("`dump_hour`", [{"dump_hour": "2001-01-01T00:00:00Z"}])
    assert row["event_time"] == "2001-01-01 00:00:00"
    [row] = rows({"path": "dump_hour"}, [{"dump_hour": "2001-01-01T00:00:00Z"}])
    assert row["event_time"] == "2001-01-01 00:00:00"


@pytest.mark.parametrize("count", [1, 3000])
@pytest.mark.parametrize("form", ["json", "csv", "bare csv", "parquet"])
def test_lines_without_any_field_that_is_used_are_counted(form: str, count: int) -> None:
    bodies = {
        "json": b'{"a":1}\n' * count,
        "csv": b"a,b\n" + b"1,2\n" * count,
        "bare csv": b"1,2\n" * count,
    }
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1] * count}), file)
    body = bodies.get(form, file.getvalue())
    formats: dict[str, Any] = {"bare csv": {"type": "csv", "header": ["a", "b"]}}
    source = source_of(
        fields={"event_time": "dump_hour"}, columns={}, format=formats.get(form, form)
    )
    found = rows_of(source, body)
    assert [row["event_time"] for row in found] == [NOON_TEXT] * count
    assert len({row["event_id"] for row in found}) == count


def test_lines_of_a_source_with_personal_data_have_the_dump_hour_too() -> None:
    source = source_of(fields={"event_time": "dump_hour"}, columns={}, pii={"ip": "drop"})
    [row] = rows_of(source, ['{"ip":"::1"}'])
    assert (row["event_time"], row["properties"]) == (NOON_TEXT, "{}")


def test_expressions_see_the_dump_hour_as_a_time() -> None:
    columns = {
        "hour": {"sql": "extract(hour FROM dump_hour)", "type": "int"},
        "day": {"sql": "CAST(DUMP_HOUR AS DATE)", "type": "date"},
        "name": {"path": "Dump_Hour", "type": "string"},
    }
    sql = "dump_hour + to_minutes(CAST(minute AS INT))"
    [row] = rows({"sql": sql}, [{"minute": 7, "Dump_Hour": "x"}], columns=columns)
    assert row["event_time"] == "2024-03-01 12:07:00"
    assert (row["hour"], row["day"], row["name"]) == (12, "2024-03-01", "x")


@pytest.mark.parametrize(
    ("parts", "at"),
    [
        ({"d": "2024-03-01", "t": "13:00:00"}, NOON_TEXT),
        ({"d": "2024-03-01", "t": "12:00:00Z"}, NOON_TEXT),
        ({"d": "2024-03-01"}, "bad_event_time"),
        ({"d": "2024-03-01", "t": ""}, "bad_event_time"),
        ({"t": "13:00:00"}, "bad_event_time"),
        ({"d": None, "t": None}, "missing_event_time"),
        ({"d": "", "t": " "}, "missing_event_time"),
        ({"d": {"y": 1}, "t": "13:00:00"}, "bad_event_time"),
    ],
)
def test_a_date_and_a_time_in_two_fields_are_one_time(parts: dict[str, Any], at: str) -> None:
    ref = {"paths": ["d", "t"], "zone": "Europe/Berlin"}
    [row] = rows(ref, [parts])
    assert (row["event_time"] or row["_reason"]) == at


def test_digits_of_numbers_in_a_format_are_those_that_were_written() -> None:
    ref = {"paths": ["d", "t"], "format": "%Y%m%d %H.%M"}
    for line in ('{"d":20240301,"t":12.10}', '{"d":"20240301","t":"12.10"}'):
        source = source_of(fields={"event_time": ref}, columns={})
        assert [row["event_time"] for row in rows_of(source, [line] * 40)] == [
            "2024-03-01 12:10:00"
        ] * 40


def test_two_columns_of_delimited_text_are_one_time_and_both_are_needed() -> None:
    ref = {"paths": ["date", "time"], "format": "%d.%m.%Y %H:%M"}
    source = source_of(fields={"event_time": ref}, columns={}, format="csv")
    [row] = rows_of(source, "date,time\n1.3.2024,12:00\n")
    assert row["event_time"] == NOON_TEXT
    from tidegate.common.unreadable import UnreadableError

    with pytest.raises(UnreadableError, match="time"):
        rows_of(source, "date,tmie\n1.3.2024,12:00\n")


def test_columns_of_times_have_units_formats_and_zones_of_their_own() -> None:
    columns = {
        "a": {"path": "a", "type": "timestamp", "unit": "epoch_ms"},
        "b": {"path": "b", "type": "timestamp", "format": "%d/%b/%Y %H:%M"},
        "c": {"path": "c", "type": "timestamp", "zone": "Asia/Kolkata"},
        "d": {"paths": ["d", "b"], "type": "timestamp", "format": "%H%M %d/%b/%Y %R"},
    }
    columns["d"]["format"] = "%S %d/%b/%Y %H:%M"
    good = {"a": 1709294400000, "b": "01/Mar/2024 12:00", "c": "2024-03-01 17:30", "d": 0}
    lines = [
        {"t": 0, **good},
        {"t": 0},
        *({"t": 0, **good, name: bad} for name, bad in [("a", "x"), ("b", "1.3."), ("c", 5)]),
    ]
    found = rows({"path": "t", "unit": "epoch_s"}, lines, columns=columns)
    assert [found[0][name] for name in "abcd"] == [NOON_TEXT] * 4
    assert [found[1][name] for name in "abcd"] == [None] * 4
    assert [row["_detail"] for row in found[2:]] == [
        "column a: expected timestamp as epoch_ms, got x",
        "column b: expected timestamp as %d/%b/%Y %H:%M, got 1.3.",
        "column c: expected timestamp as ISO 8601 in Asia/Kolkata, got 5",
    ]


def test_only_timestamps_are_written_in_ways_of_their_own() -> None:
    for key, value in (("unit", "epoch_s"), ("format", "%F"), ("zone", "UTC"), ("paths", ["a"])):
        column = {"path": "a", "type": "date", key: value}
        if key == "paths":
            del column["path"]
        with pytest.raises(SourceError, match=f"only columns of type timestamp take {key}"):
            source_of(columns={"c": column})


def test_cut_ambiguous_and_skipped_times_are_counted() -> None:
    ref = {"path": "at", "zone": "Europe/Berlin"}
    columns = {"c": {"path": "c", "type": "timestamp", "zone": "America/New_York"}}
    source = source_of(fields={"event_time": ref}, columns=columns, accept=WIDE)
    lines = [
        {"at": "2024-10-27T02:30:00.1234567"},
        {"at": "2024-10-27T02:30:00", "c": "2024-11-03T01:30:00"},
        {"at": "2024-03-31T02:30:00"},
        {"at": "2024-10-27T12:30:00", "c": "2024-03-10T02:30:00"},
        {"at": "x", "c": "2024-11-03T01:30:00.1234567"},
    ] * 10
    body = body_of([json.dumps(line) for line in lines])
    assert notes(source, body) == {
        "cut_times": 10,
        "ambiguous_times": 30,
        "nonexistent_times": 20,
    }
    found = rows_of(source, body)
    assert found[2]["_detail"] == (
        "expected a time as ISO 8601 in Europe/Berlin, got 2024-03-31T02:30:00, which the clocks skip"
    )
    assert (found[2]["_reason"], found[3]["_reason"]) == ("bad_event_time", "bad_value")


def test_lines_that_are_read_twice_are_counted_once() -> None:
    ref = {"path": "at", "zone": "Europe/Berlin"}
    source = source_of(fields={"event_time": ref}, accept=WIDE)
    lines = [f'{{"n":{n},"at":"2024-03-31T02:30:00"}}' for n in range(50)]
    assert notes(source, body_of(lines)) == {"nonexistent_times": 50}


def test_times_of_a_parquet_file_without_a_zone_are_local() -> None:
    naive = [datetime(2024, 3, 1, 13), datetime(2024, 3, 31, 2, 30)]  # noqa: DTZ001
    for options in ({}, {"use_deprecated_int96_timestamps": True}):
        file = io.BytesIO()
        table = pa.table(
            {
                "at": pa.array(naive, pa.timestamp("us")),
                "utc": pa.array([NOON, datetime(2024, 3, 31, 2, 30, tzinfo=UTC)], pa.timestamp("ms", "UTC")),
            }
        )  # fmt: skip
        pq.write_table(table, file, **options)
        columns = {"utc": {"path": "utc", "type": "timestamp", "zone": "Europe/Berlin"}}
        source = source_of(
            fields={"event_time": {"path": "at", "zone": "Europe/Berlin"}},
            columns=columns if not options else {},
            format="parquet",
            accept=WIDE,
        )
        good, bad = rows_of(source, file.getvalue())
        assert good["event_time"] == NOON_TEXT
        assert good.get("utc") in (NOON_TEXT, None)
        assert bad["_reason"] == "bad_event_time"
        assert bad["_detail"].endswith("which the clocks skip")


# -- what a source is known by, and personal data ------------------------------------------------------


def test_a_source_without_the_new_keys_is_known_by_what_it_was() -> None:
    columns = {"t": {"path": "t", "type": "timestamp"}, "n": {"path": "n", "type": "int"}}
    known = source_of(columns=columns).definition()
    assert known["fields"]["event_time"] == {"path": "at", "sql": None, "unit": "iso"}
    assert known["columns"] == {
        "t": {"path": "t", "sql": None, "type": "timestamp"},
        "n": {"path": "n", "sql": None, "type": "int"},
    }


@pytest.mark.parametrize(
    "event_time",
    [
        "dump_hour",
        "`dump_hour`",
        {"path": "a", "format": "%d/%b/%Y:%T %z"},
        {"paths": ["a", "b"], "zone": "Europe/Berlin"},
    ],
)
def test_a_source_is_what_its_definition_says(event_time: Any) -> None:
    columns = {"t": {"path": "t", "type": "timestamp", "unit": "epoch_ms"}}
    source = source_of(fields={"event_time": event_time}, columns=columns)
    again = source_of().defined_as(json.loads(json.dumps(source.definition())))
    assert (again.fields, again.columns) == (source.fields, source.columns)
    assert source.definition() != source_of().definition()


def test_personal_data_is_not_made_into_a_time() -> None:
    paths = {"paths": ["d", "t"]}
    for action in ("hash", "drop"):
        for keys, told in (
            ({"fields": {"event_time": paths}}, "every event needs its time"),
            ({"columns": {"c": {**paths, "type": "timestamp"}}}, "a time needs all of its paths"),
        ):
            with pytest.raises(SourceError) as raised:
                source_of(pii={"t": action}, **keys)
            assert any(told in fault for fault in raised.value.faults)
