"""The groups of the corpus, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus import delimited, json_forms, parquet_files, personal, times, values
from corpus.fuzz import fuzz_lines
from corpus.model import PREFIX, Group, SourceData, event, source_of, text_file
from corpus.sources import COLUMNS, FIELDS, NARROW, SEQUENCE, SESSION_ID, TYPED, WIDE

FUZZ_SEED = 1
FUZZ_COUNT = 20_000
_FOLDER = Path(__file__).parent
_FLAT = {**FIELDS, "user_id": "user"}
_ISO = '"2024-03-01T12:00:01Z"'


def _named(files: Mapping[str, bytes], suffix: str) -> dict[str, bytes]:
    return {f"{PREFIX}{name}{suffix}": data for name, data in files.items()}


def _json_file(lines: Sequence[str | bytes]) -> dict[str, bytes]:
    # The first line of a file is special, so none of the lines is the first.
    return _named({"lines": text_file(["{}", *lines])}, ".json")


def _json_source(**keys: Any) -> SourceData:
    return source_of(
        ".json",
        **{
            "fields": FIELDS,
            "columns": COLUMNS,
            "accept": NARROW,
            "sessions": SESSION_ID,
            "sequence": SEQUENCE,
            **keys,
        },
    )


def _json_groups() -> list[Group]:
    plain = _json_source()
    flat = _json_source(fields=_FLAT)
    expressions = {
        "letter": {"sql": "substr(s, 1, 1)", "type": "string"},
        "nested": {"sql": "coalesce(user.id, a.b.c)", "type": "string"},
        "both": {"sql": "concat_ws('-', id, s)", "type": "string"},
        "size": {"sql": "length(raw)", "type": "int"},
        "upper": {"sql": "upper(s)", "type": "string"},
        "number": {"sql": "try_cast(s as int)", "type": "int"},
    }
    return [
        Group(
            "json_forms",
            "What JSON is and what it is not: white space, numbers, texts, equal keys, bytes.",
            plain,
            lambda: _json_file(json_forms.form_lines()),
        ),
        Group(
            "json_deep",
            "Values of a depth of up to 10,000.",
            plain,
            lambda: _json_file(list(json_forms.deep_lines())),
        ),
        Group(
            "json_long",
            "Lines at the limit of length, long texts, many members.",
            plain,
            lambda: _json_file(list(json_forms.long_lines())),
        ),
        Group(
            "json_files",
            "Files that differ in how they begin and end.",
            plain,
            lambda: _named(json_forms.form_files(), ".json"),
        ),
        Group(
            "json_values",
            "Texts, numbers and other values for a column of every type.",
            plain,
            lambda: _json_file(values.value_lines()),
        ),
        Group(
            "json_ids",
            "Ids of every kind of value; the user is within an object.",
            plain,
            lambda: _json_file(values.id_lines()),
        ),
        Group(
            "json_flat_ids",
            "Ids of every kind of value; the user is a member at the top.",
            flat,
            lambda: _json_file(values.flat_id_lines()),
        ),
        Group(
            "json_without_ids",
            "A source without ids: they are computed from file and line.",
            _json_source(fields={"event_time": "at"}, columns={}),
            lambda: _named(
                {
                    name: text_file([event(""), event(""), "{}", event('"s":1')])
                    for name in (
                        'quote"',
                        "back\\slash",
                        "\x01",
                        "\u2028",
                        "é🌊",
                        "plain",
                        "a b%20c",
                    )
                },
                ".json",
            ),
        ),
        Group(
            "json_tests",
            "Lines that the tests of the project use.",
            plain,
            lambda: _json_file(harvested("json")),
        ),
        Group(
            "json_flat_tests",
            "The same lines; the user is a member at the top.",
            _json_source(
                fields=_FLAT,
                columns={"n": {"path": "n", "type": "int"}},
                accept={"late": "3d", "future": "9d"},
            ),
            lambda: _json_file(harvested("json")),
        ),
        Group(
            "json_expressions",
            "The same lines, with columns that are SQL expressions.",
            _json_source(columns=expressions),
            lambda: _json_file(harvested("json")),
        ),
        Group(
            "json_fuzz",
            f"{FUZZ_COUNT:,} generated lines of seed {FUZZ_SEED}, about half of them changed.",
            plain,
            lambda: _json_file(list(fuzz_lines(FUZZ_SEED, FUZZ_COUNT))),
        ),
    ]


def _time_groups() -> list[Group]:
    column = {"ts": {"path": "ts", "type": "timestamp"}}

    def source(unit: str) -> SourceData:
        fields = {"event_id": "id", "event_time": {"path": "at", "unit": unit}}
        return source_of(".json", fields=fields, accept=WIDE, columns=column)

    iso = times.SPELLINGS
    groups = [
        Group(
            "times_iso",
            "Spellings of times as the time of the event and as the value of a column.",
            source("iso"),
            lambda: _json_file([*times.time_lines(iso), *times.column_lines(iso, _ISO)]),
        )
    ]
    for unit in ("epoch_s", "epoch_ms", "epoch_us"):
        texts = times.epoch_texts(unit)
        groups.append(
            Group(
                f"times_{unit}",
                f"Spellings of numbers since 1970 as {unit}.",
                source(unit),
                lambda texts=texts: _json_file(times.time_lines(texts)),  # type: ignore[misc]
            )
        )
    return groups


def _csv_source(suffix: str = ".csv", **form: Any) -> SourceData:
    columns = {name: {"path": name, "type": kind} for name, kind in (("i", "int"), ("s", "string"))}
    fields = {"event_id": "id", "event_time": "at", "event_type": "type", "user_id": "user"}
    return source_of(suffix, format={"type": "csv", **form}, fields=fields, columns=columns)


def _csv_groups() -> list[Group]:
    names = list(delimited.HEADER)
    by_place = source_of(
        ".csv",
        format={"type": "csv", "header": False},
        fields={"event_id": "_c0", "event_time": "_c1", "event_type": "_c2", "user_id": "_c3"},
        columns={"s": {"path": "_c5", "type": "string"}},
    )
    return [
        Group(
            "csv_commas",
            "Commas, double quotes, a header.",
            _csv_source(),
            lambda: _named(delimited.headed_files(",", with_long=True), ".csv"),
        ),
        Group(
            "csv_semicolons",
            "Semicolons, double quotes, names in the source file.",
            _csv_source(delimiter=";", header=names),
            lambda: _named(delimited.unheaded_files(";"), ".csv"),
        ),
        Group(
            "csv_by_place",
            "Commas and no names.",
            by_place,
            lambda: _named(delimited.unheaded_files(","), ".csv"),
        ),
        Group(
            "csv_tabs",
            "Tabs, no quotes, a header.",
            _csv_source(".tsv", delimiter="\t", quote=None),
            lambda: _named(delimited.headed_files("\t"), ".tsv"),
        ),
        Group(
            "csv_pipes",
            "Pipes, single quotes, a header.",
            _csv_source(delimiter="|", quote="'"),
            lambda: _named(delimited.headed_files("|"), ".csv"),
        ),
        Group(
            "csv_wide_delimiter",
            "A delimiter beyond ASCII.",
            _csv_source(delimiter="§"),
            lambda: _named(delimited.headed_files("§"), ".csv"),
        ),
        Group(
            "csv_tests",
            "Lines of delimited text that the tests of the project use.",
            _csv_source(header=names),
            lambda: _named({"lines": text_file(harvested("csv"))}, ".csv"),
        ),
    ]


def _personal_groups() -> list[Group]:
    json_pii = source_of(".json", **personal.JSON_SOURCE, pii=personal.JSON_PII)
    csv_pii = source_of(".csv", **personal.CSV_SOURCE, pii=personal.CSV_PII)
    keep_all = source_of(".json", **personal.JSON_SOURCE)
    json_files = lambda: _json_file(personal.json_lines())  # noqa: E731
    csv_files = lambda: _named({"lines": text_file(personal.csv_lines())}, ".csv")  # noqa: E731
    key, erased = personal.KEY, personal.ERASED
    return [
        Group("pii_json", "Personal data in JSON.", json_pii, json_files, key),
        Group("pii_csv", "Personal data in delimited text.", csv_pii, csv_files, key),
        Group(
            "pii_json_erased",
            "The same, and persons were erased.",
            json_pii,
            json_files,
            key,
            erased,
        ),
        Group("pii_csv_erased", "The same in delimited text.", csv_pii, csv_files, key, erased),
        Group(
            "erased_json",
            "Persons were erased from a source without pii.",
            keep_all,
            json_files,
            key,
            erased,
        ),
    ]


def _parquet_groups() -> list[Group]:
    columns = {**TYPED, "deep": {"path": "a.b.c", "type": "string"}}
    fields = {**FIELDS, "anonymous_id": "anon"}
    source = source_of(".parquet", format="parquet", fields=fields, columns=columns, accept=WIDE)

    def files() -> dict[str, bytes]:
        found = sorted(parquet_files.FOLDER.glob("*.parquet"))
        return {f"{PREFIX}{file.name}": file.read_bytes() for file in found}

    return [
        Group("parquet", "Parquet files of every type; each file is read alone.", source, files)
    ]


def harvested(kind: str) -> list[str | bytes]:
    """Return the lines of the tests of the project that are json or csv."""
    text = (_FOLDER / f"harvested_{kind}.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.split("\n") if line]
    return [row["text"] if "text" in row else bytes.fromhex(row["hex"]) for row in rows]


GROUPS: Mapping[str, Group] = {
    group.name: group
    for group in [
        *_json_groups(),
        *_time_groups(),
        *_csv_groups(),
        *_personal_groups(),
        *_parquet_groups(),
    ]
}
