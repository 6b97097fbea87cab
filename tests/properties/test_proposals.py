"""Whatever the events look like: the proposed source file loads, and names nothing that is not there."""

from __future__ import annotations

import gzip
import json
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.common.errors import TidegateError
from tidegate.config.source import Source, load_source
from tidegate.config.source.path_template import parse_template
from tidegate.propose.draft import propose
from tidegate.propose.read import read_samples
from tidegate.propose.trial import land_samples
from tidegate.storage.s3 import S3Access

TEN = datetime(2026, 5, 1, 10, tzinfo=UTC)

NAMES = st.one_of(
    st.sampled_from(
        ["id", "user", "user_id", "type", "ts", "Type", "host", "seq", "a.b", "on", "source"]
    ),
    st.text(st.characters(codec="utf-8"), min_size=0, max_size=8),
    st.text(string.ascii_letters + "_.`'\"\\ ", min_size=1, max_size=6),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.datetimes().map(datetime.isoformat),
    st.dates().map(str),
    st.uuids().map(str),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
EVENTS = st.lists(st.dictionaries(NAMES, VALUES, max_size=6), min_size=1, max_size=12)
PLACES = st.sampled_from(
    [
        "2026-05-01/10/part-1.json",
        "2026-05-01-10.json",
        "a b/x'y/20260501T10.jsonl",
        "événements/no date.json",
    ]
)


def there(source: Source, events: list[dict[str, Any]]) -> None:
    """Check that each path has a value that is no object in some event."""
    for key, ref in source.refs().items():
        found = []
        for event in events:
            value: Any = event
            for name in ref.names():
                value = value.get(name) if isinstance(value, dict) else None
            found.append(value)
        assert any(value is not None for value in found), key
        assert not any(isinstance(value, dict | list) for value in found), key


@settings(max_examples=50, deadline=None)
@given(events=EVENTS, place=PLACES)
def test_a_proposal_loads_and_names_only_what_is_there(
    events: list[dict[str, Any]], place: str
) -> None:
    timed = [
        {**event, "when_time": (TEN + timedelta(seconds=n)).isoformat()}
        for n, event in enumerate(events)
    ]
    with TemporaryDirectory() as name:
        root = Path(name).resolve()
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(event) for event in timed]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        sampled = read_samples([str(root)], S3Access(), 1_000)
        try:
            made = propose(sampled, root)
        except TidegateError as error:
            assert sampled.form.records is not None, error
            return
        file = root / "proposed.yml"
        file.write_text(made.text(""), encoding="utf-8")
        source = load_source(file)
        trial = land_samples(source, sampled, made.hours)
        if source.format.records is not None:  # one object may be an event, or hold events
            assert len(timed) == 1
            return
        assert trial.records == len(timed)
        assert trial.events + trial.duplicates + sum(trial.quarantined.values()) == len(timed)
        # What is read of the samples is what json reads: of a name given twice, the last.
        there(source, [json.loads(line) for line in lines])
        if made.is_located:
            hour = TEN
            assert source.dumps == parse_template(source.dumps.text, root)
            shown = source.dumps.pattern(hour)
            assert str(path).startswith(shown.partition("*")[0])


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.lists(
            st.text(string.printable.replace("\n", "").replace("\r", ""), max_size=6),
            min_size=2,
            max_size=2,
        ),
        min_size=2,
        max_size=10,
    ),
    delimiter=st.sampled_from(",;\t|"),
)
def test_a_proposal_for_delimited_text_loads(rows: list[list[str]], delimiter: str) -> None:
    import csv

    with TemporaryDirectory() as name:
        root = Path(name).resolve()
        with (root / "2026-05-01-10.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(
                out, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_MINIMAL
            )
            writer.writerow(["event_time", "first", "second"])
            for n, row in enumerate(rows):
                writer.writerow([(TEN + timedelta(seconds=n)).isoformat(), *row])
        made = propose(read_samples([str(root)], S3Access(), 1_000), root)
        file = root / "proposed.yml"
        file.write_text(made.text(""), encoding="utf-8")
        source = load_source(file)
        assert source.format.type == "csv"
        assert source.fields.event_time.path == "event_time"


BYTES = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from(
            [
                b'{"a": 1}', b"{", b"}", b"[", b"]", b"\n", b"\r\n", b",", b"\t", b'"', b"\\", b"#Fields: a b",
                b"#", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"1", b"2026-05-01T10:00:00Z", b"a,b",
                b'1.1.1.1 - - [01/May/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 1', b"\x1f\x8b", b"PAR1", b"Obj\x01",
                b'{"Records": [{"t": "2026-05-01T10:00:00Z"}', b"id", b"time", b" ", b"\xe4",
            ]
        ),
        max_size=12,
    ).map(b"".join),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    bodies=st.lists(BYTES, min_size=1, max_size=3),
    suffix=st.sampled_from(["", ".json", ".csv", ".tsv", ".gz", ".parquet", ".avro", ".zst"]),
    packed=st.booleans(),
)
def test_whatever_files_hold_they_are_proposed_for_or_refused_with_a_next_step(
    bodies: list[bytes], suffix: str, packed: bool
) -> None:
    with TemporaryDirectory() as name:
        root = Path(name).resolve()
        for at, body in enumerate(bodies):
            held = gzip.compress(body) if packed and suffix == ".gz" else body
            (root / f"2026-05-01T{10 + at}{suffix}").write_bytes(held)
        try:
            sampled = read_samples([str(root)], S3Access(), 1_000)
            made = propose(sampled, root)
        except TidegateError as error:
            assert error.todo
            return
        file = root / "proposed.yml"
        file.write_text(made.text("\n# x"), encoding="utf-8")
        trial = land_samples(load_source(file), sampled, made.hours)
        assert trial.events + trial.duplicates + sum(trial.quarantined.values()) == trial.records
