"""The dumps door: the same rules on real S3 and on a local folder."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from s3server import free_ports, s3_client, s3_server
from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.unreadable import UnreadableError
from tidegate.config.source import Format, Source, parse_source
from tidegate.dumps.dumps import Dumps, fingerprint
from tidegate.dumps.manifest import Declared, Manifest, ManifestError, read_manifest
from tidegate.dumps.samples import Samples
from tidegate.storage.files import StoredFile
from tidegate.storage.s3 import S3Access

HOUR = datetime(2015, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2030, 1, 1, tzinfo=UTC)
FOLDERS = "{dump_hour:%Y-%m-%d}/{dump_hour:%H}"
HERE = f"{HOUR:%Y-%m-%d}/{HOUR:%H}"
LINE = b'{"id":1}\n'

Put = Callable[[str, bytes], None]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        yield s3


class Place:
    """Somewhere dumps lie: a root, and a way to put files below it."""

    def __init__(self, root: str, s3: S3Access, put: Put) -> None:
        self.root = root
        self.s3 = s3
        self.put = put

    def dumps(self, inner: str = f"{FOLDERS}/*.json.gz", **keys: Any) -> Dumps:
        return Dumps(_source(inner, **keys), self.s3, self.root)


def _source(inner: str, **keys: Any) -> Source:
    data = {
        "source": "s",
        "since": "2015-01-01T00",
        "dumps": f"s3://events/elsewhere/{inner}",
        "fields": {"event_time": "t"},
        **keys,
    }
    return parse_source(data, Path("s.yml"))


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":

        def put_file(name: str, data: bytes) -> None:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

        return Place(str(tmp_path), S3Access(), put_file)
    s3: S3Access = request.getfixturevalue("server")
    client = s3_client(s3)
    prefix = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]

    def put_object(name: str, data: bytes) -> None:
        client.put_object(Bucket="events", Key=f"{prefix}/{name}", Body=data)

    return Place(f"s3://events/{prefix}", s3, put_object)


def test_an_hours_files_come_by_name_with_size_and_etag(place: Place) -> None:
    content = gzip.compress(LINE)
    for name in ("b.json.gz", "a.json.gz", "other.csv", "x.json.gz.part"):
        place.put(f"{HERE}/{name}", content)
    place.put(f"{HOUR:%Y-%m-%d}/13/a.json.gz", content)
    files = place.dumps().files(HOUR)
    assert [f.name for f in files] == [f"{HERE}/a.json.gz", f"{HERE}/b.json.gz"]
    assert {f.size for f in files} == {len(content)}
    assert {f.etag for f in files} == {hashlib.md5(content, usedforsecurity=False).hexdigest()}
    assert all(f.modified.tzinfo is UTC for f in files)


def test_uris_are_what_spark_reads(place: Place) -> None:
    place.put(f"{HERE}/a.json.gz", gzip.compress(LINE))
    (file,) = place.dumps().files(HOUR)
    root = place.root.replace("s3://", "s3a://")
    assert file.uri == f"{root}/{HERE}/a.json.gz"


def test_samples_are_found_however_deep_and_read_unpacked(place: Place) -> None:
    for name in (f"{HERE}/b.json.gz", f"{HERE}/_SUCCESS", "deep/er/a.json", "deep/_hidden/c.json"):
        place.put(name, gzip.compress(LINE) if name.endswith(".gz") else LINE)
    every = Samples(place.root, place.s3, 100)
    names = [file.uri.rpartition("/")[2] for file in every.files]
    assert names == ["b.json.gz", "a.json"]
    assert [b"".join(every.stream(file)) for file in every.files] == [LINE, LINE]
    assert every.read(every.files[1], 2, 4) == LINE[2:6]
    assert len(Samples(place.root, place.s3, 1).files) <= 1
    one = Samples(f"{place.root}/{HERE}/b.json.gz", place.s3, 100)
    assert [file.uri for file in one.files] == [every.files[0].uri]
    assert [file.uri.rpartition("/")[2] for file in one.beside] == ["_SUCCESS"]
    folder = Samples(f"{place.root}/deep/", place.s3, 100)
    assert [file.uri for file in folder.files] == [every.files[1].uri]


def test_a_prefix_of_a_name_is_no_sample(place: Place) -> None:
    place.put("dumps-old/a.json", LINE)
    if place.root.startswith("s3://"):
        assert not Samples(f"{place.root}/dumps", place.s3, 100).files
    else:
        with pytest.raises(TidegateError, match="no such file or folder"):
            Samples(f"{place.root}/dumps", place.s3, 100)


def test_an_hour_without_files_has_none(place: Place) -> None:
    place.put("2015-01-01/13/a.json.gz", gzip.compress(LINE))
    assert place.dumps().files(HOUR) == []


def test_markers_manifests_hidden_and_unfinished_files_are_no_data(place: Place) -> None:
    names = [
        "_SUCCESS",
        "_temp",
        ".hidden",
        "a.tmp",
        "b.part",
        "c._COPYING_",
        "done",
        "data",
        "e e",
    ]
    for name in names:
        place.put(f"{HERE}/{name}", LINE)
    found = place.dumps(f"{FOLDERS}/", complete={"marker": "done"}).files(HOUR)
    assert [f.name for f in found] == [f"{HERE}/data", f"{HERE}/e e"]


def test_a_folder_template_takes_the_files_of_folders_below(place: Place) -> None:
    for name in (
        "a.json",
        "country=DE/b.json",
        "x/y/z/c.json",
        "x/_temporary/0/d.json",
        "x/_SUCCESS",
    ):
        place.put(f"{HERE}/{name}", LINE)
    found = place.dumps(f"{FOLDERS}/").hour_files(HOUR)
    assert [f.name.removeprefix(f"{HERE}/") for f in found.read] == [
        "a.json",
        "country=DE/b.json",
        "x/y/z/c.json",
    ]
    assert found.notes() == [
        "1 file was not read: x/_temporary/0/d.json (names that begin with '_' or '.' are no data)"
    ]


def test_what_is_there_and_not_read_is_told_with_its_reason(place: Place) -> None:
    names = (
        *("a.json", "b.csv", "c.json.tmp", "_d.json", "deep/e.json", "f.keys.json", "g.keys.json"),
        *("_SUCCESS", "_manifest", ".a.json.crc", "_committed_12", "h_$folder$"),
    )
    for name in names:
        place.put(f"{HERE}/{name}", LINE)
    dumps = place.dumps(
        f"{FOLDERS}/*.json", exclude="*.keys.json", complete={"manifest": "_manifest"}
    )
    found = dumps.hour_files(HOUR)
    assert [file.name for file in found.read] == [f"{HERE}/a.json"]
    assert {each.name.removeprefix(f"{HERE}/"): each.reason for each in found.unread} == {
        "_d.json": "names that begin with '_' or '.' are no data",
        "b.csv": "does not match *.json",
        "c.json.tmp": "unfinished by its name",
        "deep/": "a folder: only 'dumps' that end in '/' read the folders below",
        "f.keys.json": "excluded",
        "g.keys.json": "excluded",
    }
    [note] = found.notes()
    assert note.startswith("5 files and 1 folder were not read: _d.json (")
    assert note.endswith(" and 3 more")
    assert "excluded" not in note


def test_other_hours_of_a_folder_are_none_of_an_hours_business(place: Place) -> None:
    for name in ("a-2015-01-01-12.json", "a-2015-01-01-13.json", "_b-2015-01-01-12.json", "other"):
        place.put(name, LINE)
    found = place.dumps("*-{dump_hour:%Y-%m-%d-%H}.json").hour_files(HOUR)
    assert [file.name for file in found.read] == ["a-2015-01-01-12.json"]
    assert [each.name for each in found.unread] == ["_b-2015-01-01-12.json"]
    place.put("2015-01-01-12.csv", LINE)
    place.put("2015-01-01-12.json", LINE)
    place.put("2015-01-01-13.csv", LINE)
    found = place.dumps("{dump_hour:%Y-%m-%d-%H}*.json").hour_files(HOUR)
    assert [file.name for file in found.read] == ["2015-01-01-12.json"]
    assert [each.name for each in found.unread] == ["2015-01-01-12.csv"]


def test_what_is_not_read_is_named_up_to_a_hundred_and_counted_beyond(place: Place) -> None:
    for number in range(103):
        place.put(f"{HERE}/{number:03d}.csv", LINE)
    place.put(f"{HERE}/a.json", LINE)
    found = place.dumps(f"{FOLDERS}/*.json").hour_files(HOUR)
    assert (len(found.unread), found.unread_count) == (100, 103)
    assert found.notes() == [
        "103 files or folders were not read: 000.csv (does not match *.json), 001.csv (does not match *.json), "
        "002.csv (does not match *.json) and 100 more"
    ]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ("*.keys.json", ["a.json", "keys/b.json"]),
        ("keys/*", ["a.json", "c.keys.json"]),
        (["*.keys.json", "keys/*"], ["a.json"]),
        ("b.json", ["a.json", "c.keys.json"]),
        ("[a]*", ["a.json", "c.keys.json", "keys/b.json"]),
        ("?.json", ["a.json", "c.keys.json", "keys/b.json"]),
    ],
)
def test_files_are_excluded_by_their_name_or_their_path_below_the_hour(
    place: Place, exclude: object, left: list[str]
) -> None:
    for name in ("a.json", "keys/b.json", "c.keys.json"):
        place.put(f"{HERE}/{name}", LINE)
    found = place.dumps(f"{FOLDERS}/", exclude=exclude).files(HOUR)
    assert [file.name.removeprefix(f"{HERE}/") for file in found] == left


def test_completeness_counts_the_files_that_are_read(place: Place) -> None:
    for name in ("a.json", "a.keys.json", "b.csv", "sub/c.json"):
        place.put(f"{HERE}/{name}", LINE)
    keys = {"exclude": "*.keys.json"}
    assert (
        place.dumps(f"{FOLDERS}/*.json", complete={"files": 1}, **keys)
        .completeness(HOUR, LATER)
        .complete
    )
    assert (
        place.dumps(f"{FOLDERS}/", complete={"files": 3}, **keys).completeness(HOUR, LATER).complete
    )
    entries = ["a.json", "a.keys.json", "b.csv", "sub/c.json"]
    place.put(f"{HERE}/_manifest", json.dumps(entries).encode())
    dumps = place.dumps(f"{FOLDERS}/", complete={"manifest": "_manifest"}, **keys)
    assert dumps.completeness(HOUR, LATER).complete


def test_repeated_files_are_read_once_where_the_source_says_so(place: Place) -> None:
    bodies = {"a": b"1\n", "b": b"2\n", "c": b"1\n", "d": b"1\n", "e": b"", "f": b""}
    for name, body in bodies.items():
        place.put(f"{HERE}/{name}.json", body)
    every = place.dumps(f"{FOLDERS}/*.json")
    found = every.with_repeated(every.hour_files(HOUR))
    assert len(found.read) == 6
    assert found.notes() == [
        "2 files have the same bytes as another one, landed too ('repeated_files: once' lands them "
        "once): c.json (as a.json), d.json (as a.json)"
    ]
    once = place.dumps(f"{FOLDERS}/*.json", repeated_files="once")
    found = once.hour_files(HOUR)
    assert [file.name.removeprefix(f"{HERE}/")[0] for file in found.read] == list("abef")
    assert [each.same_as for each in found.repeated] == [f"{HERE}/a.json"] * 2
    assert found.notes() == [
        "2 files have the same bytes as another one, landed once: c.json (as a.json), d.json (as a.json)"
    ]
    assert once.with_repeated(found) == found
    assert once.files_by_hour([HOUR]) == {HOUR: list(found.read)}


def test_a_repeated_file_that_a_manifest_names_is_read(place: Place) -> None:
    for name in "abcd":
        place.put(f"{HERE}/{name}.json", LINE)
    place.put(f"{HERE}/_manifest", b'["b.json", "d.json"]')
    dumps = place.dumps(
        f"{FOLDERS}/*.json", repeated_files="once", complete={"manifest": "_manifest"}
    )
    found = dumps.hour_files(HOUR)
    assert [file.name.removeprefix(f"{HERE}/")[0] for file in found.read] == ["b", "d"]
    assert [each.same_as for each in found.repeated] == [f"{HERE}/b.json"] * 2
    assert dumps.completeness(HOUR, LATER).complete


def test_completeness_counts_a_repeated_file_once_where_it_is_read_once(place: Place) -> None:
    for name in "abc":
        place.put(
            f"{HERE}/{name}.json.gz", gzip.compress(LINE if name != "b" else LINE * 2, mtime=0)
        )
    assert "3 of 2 files" in _incomplete(place.dumps(complete={"files": 2}))
    dumps = place.dumps(complete={"files": 2}, repeated_files="once")
    assert dumps.completeness(HOUR, LATER).complete


def test_the_placeholder_object_of_a_folder_is_no_file(server: S3Access) -> None:
    client = s3_client(server)
    client.put_object(Bucket="events", Key=f"holder/{HERE}/", Body=b"")
    client.put_object(Bucket="events", Key=f"holder/{HERE}/a.json", Body=LINE)
    found = Dumps(_source(f"{FOLDERS}/"), server, "s3://events/holder").files(HOUR)
    assert [f.name for f in found] == [f"{HERE}/a.json"]


def test_a_template_of_one_file_takes_that_file_only(place: Place) -> None:
    inner = "{dump_hour:%Y-%m-%d}-{dump_hour:%-H}.json"
    for name in ("2015-01-01-1.json", "2015-01-01-12.json", "2015-01-01-1.json.bak"):
        place.put(name, LINE)
    dumps = place.dumps(inner)
    assert [f.name for f in dumps.files(HOUR)] == ["2015-01-01-12.json"]
    assert [f.name for f in dumps.files(HOUR.replace(hour=1))] == ["2015-01-01-1.json"]


@pytest.mark.parametrize(
    "name",
    [
        "with space.json",
        "a+b.json",
        "a%20b.json",
        "k=v.json",
        "größe-日本.json",
        "a[1]{2}.json",
        "a&b.json",
    ],
)
def test_unusual_names_are_listed_and_read(place: Place, name: str) -> None:
    place.put(f"{HERE}/{name}", b"a,b\n1,2\n")
    dumps = place.dumps(f"{FOLDERS}/", format="csv")
    (file,) = dumps.files(HOUR)
    assert file.name == f"{HERE}/{name}"
    with dumps.opener([file]).open(file.name) as stream:
        assert stream.read() == b"a,b\n1,2\n"


def test_files_beyond_one_page_of_s3_are_listed(
    server: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.storage.s3._PAGE", 3)
    client = s3_client(server)
    for number in range(8):
        client.put_object(Bucket="events", Key=f"many/{HERE}/{number}.json", Body=b"")
    found = Dumps(_source(f"{FOLDERS}/*.json"), server, "s3://events/many").files(HOUR)
    assert [f.name for f in found] == [f"{HERE}/{number}.json" for number in range(8)]


def test_a_marker_completes_an_hour_that_has_files(place: Place) -> None:
    dumps = place.dumps(complete={"marker": "_SUCCESS"})
    place.put(f"{HERE}/a.json.gz", gzip.compress(LINE))
    assert "no marker" in _incomplete(dumps)
    place.put(f"{HERE}/_SUCCESS", b"")
    assert dumps.completeness(HOUR, LATER).complete


def test_a_marker_without_files_completes_nothing(place: Place) -> None:
    place.put(f"{HERE}/_SUCCESS", b"")
    assert "there is no file" in _incomplete(place.dumps(complete={"marker": "_SUCCESS"}))


def test_a_marker_may_name_the_hour_where_hours_share_a_folder(place: Place) -> None:
    inner = "{dump_hour:%Y-%m-%d-%H}.json"
    dumps = place.dumps(inner, complete={"marker": "{dump_hour:%Y-%m-%d-%H}.done"})
    place.put("2015-01-01-12.json", LINE)
    place.put("2015-01-01-11.done", b"")
    assert "2015-01-01-12.done" in _incomplete(dumps)
    place.put("2015-01-01-12.done", b"")
    assert dumps.completeness(HOUR, LATER).complete


def test_a_manifest_completes_when_all_it_names_is_there_with_its_size(place: Place) -> None:
    dumps = place.dumps(f"{FOLDERS}/*.json", complete={"manifest": "manifest.json"})
    place.put(f"{HERE}/a.json", LINE)
    assert "no manifest" in _incomplete(dumps)
    entries = [{"name": "a.json", "size": len(LINE)}, {"name": "b.json", "size": 5}]
    place.put(f"{HERE}/manifest.json", json.dumps({"files": entries}).encode())
    assert "b.json is missing" in _incomplete(dumps)
    place.put(f"{HERE}/b.json", b"12")
    assert "b.json has 2 bytes, not 5" in _incomplete(dumps)
    place.put(f"{HERE}/b.json", b"12345")
    assert dumps.completeness(HOUR, LATER).complete
    assert [f.name for f in dumps.files(HOUR)] == [f"{HERE}/a.json", f"{HERE}/b.json"]
    place.put(f"{HERE}/c.json", b"1")
    assert "c.json is not in it" in _incomplete(dumps)


def test_a_file_that_a_manifest_names_and_that_is_not_read_is_told_apart_from_a_missing_one(
    place: Place,
) -> None:
    dumps = place.dumps(f"{FOLDERS}/*.json", complete={"manifest": "_manifest"})
    for name in ("a.json", "b.ndjson"):
        place.put(f"{HERE}/{name}", LINE)
    place.put(f"{HERE}/_manifest", b'["a.json", "b.ndjson", "c.json"]')
    why = _incomplete(dumps)
    assert "b.ndjson is not read: does not match *.json" in why
    assert "c.json is missing" in why


def test_who_waits_for_files_is_told_what_is_there_instead(place: Place) -> None:
    place.put(f"{HERE}/b.ndjson", LINE)
    for complete in ({"after": "1s"}, {"files": 1}):
        why = _incomplete(place.dumps(f"{FOLDERS}/*.json", complete=complete))
        assert why.endswith("1 file was not read: b.ndjson (does not match *.json)")


def test_a_broken_manifest_completes_nothing_and_says_so(place: Place) -> None:
    place.put(f"{HERE}/a.json.gz", gzip.compress(LINE))
    place.put(f"{HERE}/_manifest", b"[not json")
    assert "not JSON" in _incomplete(place.dumps(complete={"manifest": "_manifest"}))


@pytest.mark.parametrize(
    "data", [b'{"files": "a"}', b"3", b'[{"nme": "a"}]', b'[{"name":"a","size":"1"}]']
)
def test_a_manifest_of_another_shape_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected a list of names"):
        read_manifest(data)


def test_a_manifest_may_be_a_list_of_names() -> None:
    found = read_manifest(b'["a", {"name": "b", "size": 3}]')
    assert found == Manifest({"a": Declared(), "b": Declared(3)})


def test_a_manifest_may_count_bytes_and_rows_of_each_file_and_of_all() -> None:
    found = read_manifest(
        b'{"files": [{"name": "a", "rows": 2}, {"name": "b", "size": 3, "rows": 0}, "c"],'
        b' "rows": 9, "size": null, "made_by": "us"}'
    )
    files = {"a": Declared(None, 2), "b": Declared(3, 0), "c": Declared()}
    assert found == Manifest(files, Declared(None, 9))


def test_a_manifest_may_be_one_of_redshift() -> None:
    found = read_manifest(
        b'{"entries": [{"url": "s3://b/x/0000_part_00", "mandatory": true,'
        b' "meta": {"content_length": 7, "record_count": 2}}],'
        b' "schema": {}, "meta": {"content_length": 7, "record_count": 2}}'
    )
    assert found == Manifest({"0000_part_00": Declared(7, 2)}, Declared(7, 2))


@pytest.mark.parametrize("count", ["-1", '"3"', "1.5", "true", "NaN", "1e3", "9" * 30, "[]"])
@pytest.mark.parametrize(
    "form",
    [
        '[{"name": "a", "rows": COUNT}]',
        '{"files": ["a"], "size": COUNT}',
        '{"entries": [{"url": "a", "meta": {"content_length": COUNT}}]}',
    ],
)
def test_counts_of_a_manifest_are_whole_numbers(form: str, count: str) -> None:
    with pytest.raises(ValueError, match=r"with whole numbers of at least 0, got (size|rows) "):
        read_manifest(form.replace("COUNT", count).encode())


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ('["a", {"name": "a", "size": 1}]', "two things of one file"),
        (json.dumps([{"name": n, "rows": 1 << 53} for n in "ab"]), "in all, got more"),
        ("[" * 100_000, "not JSON"),
        (f"[{'9' * 5000}]", "not JSON"),
        ("\ud800", "not JSON"),
        ('{"entries": {"a": 1}}', r'got {"entries"'),
    ],
    ids=["twice", "too much", "deep", "long", "surrogate", "mapping"],
)
def test_a_manifest_that_says_nonsense_is_refused(data: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_manifest(data.encode("utf-8", "surrogatepass"))


def test_what_a_manifest_declares_is_named_as_the_files_are(place: Place) -> None:
    dumps = place.dumps(f"{FOLDERS}/*.json", complete={"manifest": "manifest.json"})
    assert dumps.manifest(HOUR) is None
    assert place.dumps(f"{FOLDERS}/*.json").manifest(HOUR) is None
    place.put(f"{HERE}/a.json", LINE)
    place.put(f"{HERE}/manifest.json", b'{"files": [{"name": "a.json", "rows": 1}], "size": 5}')
    found = dumps.manifest(HOUR)
    assert found == Manifest({f"{HERE}/a.json": Declared(None, 1)}, Declared(5))
    assert f"{len(LINE)} bytes in 1 file, not 5" in _incomplete(dumps)
    place.put(f"{HERE}/manifest.json", b'[{"name": "a.json", "rows": "1"}]')
    with pytest.raises(ManifestError, match=r"manifest\.json can't be read: expected a list"):
        dumps.manifest(HOUR)
    assert "got rows" in _incomplete(dumps)


def test_a_number_of_files_completes_at_that_number_exactly(place: Place) -> None:
    dumps = place.dumps(complete={"files": 2})
    for name, complete in (("a", False), ("b", True), ("c", False)):
        place.put(f"{HERE}/{name}.json.gz", gzip.compress(LINE))
        assert dumps.completeness(HOUR, LATER).complete is complete


def test_quiet_time_counts_from_the_newest_file(tmp_path: Path) -> None:
    folder = tmp_path / HERE
    folder.mkdir(parents=True)
    newest = HOUR + timedelta(hours=3)
    for name, time in (("a", newest - timedelta(hours=1)), ("b", newest)):
        (folder / f"{name}.json.gz").write_bytes(b"x")
        os.utime(folder / f"{name}.json.gz", (time.timestamp(), time.timestamp()))
    dumps = Dumps(
        _source(f"{FOLDERS}/*.json.gz", complete={"after": "10m"}), S3Access(), str(tmp_path)
    )
    told = dumps.completeness(HOUR, newest + timedelta(minutes=9, seconds=59))
    assert not told.complete
    assert told.why == (
        "the newest of 2 files is of 2015-01-01T15:00:00Z; quiet for 9m59s, 10m needed"
    )
    assert dumps.completeness(HOUR, newest + timedelta(minutes=10)).complete


@pytest.mark.parametrize("complete", [{"files": 2}, {"after": "10m"}])
def test_a_file_without_a_byte_holds_a_place_unless_somebody_vouches_for_it(
    place: Place, complete: dict[str, object]
) -> None:
    dumps = place.dumps(complete=complete)
    place.put(f"{HERE}/a.json.gz", gzip.compress(LINE))
    place.put(f"{HERE}/b.json.gz", b"")
    assert f"{HERE}/b.json.gz of 2 files: not a byte in it yet" in _incomplete(dumps)
    place.put(f"{HERE}/_SUCCESS", b"")
    assert place.dumps(complete={"marker": "_SUCCESS"}).completeness(HOUR, LATER).complete


def test_quiet_time_counts_by_the_clock_that_dates_the_files(server: S3Access) -> None:
    s3_client(server).put_object(Bucket="events", Key=f"clock/{HERE}/a.json.gz", Body=LINE)
    dumps = Dumps(_source(f"{FOLDERS}/*.json.gz"), server, "s3://events/clock")
    here = datetime.now(UTC)
    for wrong in (timedelta(0), timedelta(minutes=10), timedelta(days=-1)):
        told = dumps.completeness(HOUR, here + wrong)
        assert not told.complete
        assert told.quiet_in is not None
        assert timedelta(minutes=9) < told.quiet_in <= timedelta(minutes=10, seconds=2)


def test_quiet_time_does_not_begin_before_the_hour_has_ended(tmp_path: Path) -> None:
    file = tmp_path / HERE / "a.json.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    os.utime(file, (HOUR.timestamp(), HOUR.timestamp()))
    dumps = Dumps(_source(f"{FOLDERS}/*.json.gz"), S3Access(), str(tmp_path))
    assert not dumps.completeness(HOUR, HOUR + timedelta(minutes=69)).complete
    assert dumps.completeness(HOUR, HOUR + timedelta(minutes=70)).complete


def test_no_files_are_never_complete(place: Place) -> None:
    for complete in ({"after": "1s"}, {"files": 1}):
        why = _incomplete(place.dumps(complete=complete))
        assert "there is no file" in why
        assert "2015-01-01T12" in why


GOOD: dict[str, bytes] = {
    "a.json.gz": gzip.compress(LINE),
    "several-members.json.gz": gzip.compress(LINE) + gzip.compress(LINE),
    "empty-content.json.gz": gzip.compress(b""),
    "a.json": LINE,
    "empty.json": b"",
    "starts-like-bzip2.csv": b"BZh,other\n",
    "starts-like-parquet.csv": b"PAR1,other\n",
    "upper.GZ": gzip.compress(LINE),
    "long-line.json": b"x" * 16_000_000,
    "packed.json.zst": pa.compress(LINE, "zstd", asbytes=True),
    "long-lines.json.gz": gzip.compress(b"y" * 16_000_000 + b"\n" + b"y" * 16_000_000),
}
BAD: dict[str, tuple[bytes, str]] = {
    "plain.json.gz": (LINE, "expected gzip (bytes 1f 8b at its beginning), got plain text"),
    "plain.GZ": (LINE, "expected gzip"),
    "cut.json.gz": (b"", "the upload was cut short"),
    "zip.json.gz": (b"PK\x03\x04rest", "got zip"),
    "binary.json.gz": (b"\x00\x01\x02\x03" * 9, "got unknown binary data (bytes 00 01 02 03)"),
    "damaged.json.gz": (b"\x1f\x8b\x09\x00" * 9, "damaged"),
    "twice.json.gz": (gzip.compress(gzip.compress(LINE)), "does not hold text"),
    "gzip.json": (gzip.compress(LINE), "expected plain json text, got gzip"),
    "bzip2.json": (bz2.compress(LINE), "got bzip2"),
    "zstd.json": (b"\x28\xb5\x2f\xfdrest", "got Zstandard"),
    "parquet.json": (b"PAR1\x15\x04\x15", "got Parquet"),
    "a.json.zst": (LINE, "expected Zstandard (bytes 28 b5 2f fd at its beginning), got plain text"),
    "b.json.zst": (b"", "expected Zstandard"),
    "a.json.BZ2": (bz2.compress(LINE), "bzip2 files can't be read"),
    "a.tar.gz": (gzip.compress(LINE), "tar files can't be read"),
}


def test_files_that_are_not_what_their_name_says_are_told(place: Place) -> None:
    for name, data in {**GOOD, **{name: data for name, (data, _) in BAD.items()}}.items():
        place.put(f"{HERE}/{name}", data)
    dumps = place.dumps(f"{FOLDERS}/")
    files = dumps.files(HOUR)
    assert len(files) == len(GOOD) + len(BAD)
    faults = dumps.faults(files)
    assert sorted(faults) == sorted(f"{HERE}/{name}" for name in BAD)
    for name, (_, told) in BAD.items():
        assert told in faults[f"{HERE}/{name}"]


def test_parquet_is_known_by_both_ends(place: Place) -> None:
    parts = {
        "a.parquet": b"PAR1" + bytes(8) + b"PAR1",
        "b.parquet": b"PAR1" + bytes(20),
        "c.parquet": LINE,
    }
    for name, data in parts.items():
        place.put(f"{HERE}/{name}", data)
    dumps = place.dumps(f"{FOLDERS}/", format="parquet")
    told = [dumps.fault(file) for file in dumps.files(HOUR)]
    assert told[0] is None
    assert "cut short" in (told[1] or "")
    assert "got plain text" in (told[2] or "")
    assert dumps.fault(dumps.files(HOUR)[2], Format()) is None


def test_a_copy_of_an_s3_dump_has_the_same_fingerprint(server: S3Access, tmp_path: Path) -> None:
    client = s3_client(server)
    for name in ("a.json", "b.json"):
        client.put_object(Bucket="events", Key=f"copied/{HERE}/{name}", Body=name.encode())
        (tmp_path / HERE).mkdir(parents=True, exist_ok=True)
        (tmp_path / HERE / name).write_bytes(name.encode())
    source = _source(f"{FOLDERS}/*.json")
    there = Dumps(source, server, "s3a://events/copied/").files(HOUR)
    here = Dumps(source, S3Access(), str(tmp_path)).files(HOUR)
    assert len(there) == 2
    assert fingerprint(there) == fingerprint(reversed(here))


def test_a_scripts_dumps_are_local_files_in_the_order_of_their_hours_as_they_are_stored(
    place: Place, tmp_path: Path
) -> None:
    from tidegate.config.settings import Settings
    from tidegate_bench.day import real_dumps

    hours = [
        HOUR.replace(hour=9),
        HOUR.replace(hour=10),
    ]  # by name the first comes after the second
    bodies = {hour: gzip.compress(f"{hour}".encode()) for hour in hours}
    inner = "{dump_hour:%Y-%m-%d}-{dump_hour:%-H}.json.gz"
    for hour in hours:
        place.put(f"{hour:%Y-%m-%d}-{hour.hour}.json.gz", bodies[hour])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    settings = Settings(tmp_path, tmp_path, str(tmp_path), s3=place.s3, dumps=place.root)
    load = real_dumps(settings, _source(inner), hours[0], hours[1], scratch)
    assert [file.read_bytes() for file in load.files] == [bodies[hour] for hour in hours]
    assert load.size == sum(map(len, bodies.values()))
    assert load.root == place.root


def test_a_fingerprint_tells_names_sizes_and_contents_apart() -> None:
    file = StoredFile("/x", "x", 1, "e", HOUR)
    others = [replace(file, name="y"), replace(file, size=2), replace(file, etag="f")]
    prints = {fingerprint(files) for files in ([], [file], *([f] for f in others))}
    assert len(prints) == 5
    assert fingerprint([replace(file, uri="/y", modified=LATER)]) == fingerprint([file])


def test_a_bucket_that_is_not_there_is_named(server: S3Access) -> None:
    told = _refused(server, "s3://nosuch")
    assert "no such bucket 'nosuch'" in told
    assert str(server.endpoint) in told


def test_wrong_credentials_are_told_without_the_secret(server: S3Access) -> None:
    for wrong in (replace(server, secret_key="wrong-secret"), replace(server, access_key="nobody")):
        told = _refused(wrong, "s3://events/x")
        assert "wrong S3 credentials" in told
        assert f"access key {wrong.access_key}" in told
        assert str(wrong.secret_key) not in told


def test_an_endpoint_that_is_not_there_is_named() -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    told = _refused(S3Access(endpoint, "key", "hidden-secret"), "s3://events/x")
    assert "can't be reached" in told
    assert endpoint in told
    assert "hidden-secret" not in told


def test_missing_credentials_are_told(server: S3Access, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    assert "no S3 credentials" in _refused(S3Access(server.endpoint), "s3://events/x")


def test_a_file_that_went_away_is_a_fault_of_its_own(place: Place) -> None:
    dumps = place.dumps(f"{FOLDERS}/", format="csv")
    gone = StoredFile("", f"{HERE}/gone.csv", 5, "", HOUR)
    there = f"{HERE}/there.csv"
    place.put(there, b"a\n1\n")
    assert list(dumps.faults([gone, *dumps.files(HOUR)])) == [gone.name]
    assert "expected" in (dumps.fault(gone) or "")


def test_a_local_root_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TidegateError, match="no such folder of dumps"):
        Dumps(_source(f"{FOLDERS}/"), S3Access(), str(tmp_path / "nowhere")).files(HOUR)


def _incomplete(dumps: Dumps) -> str:
    told = dumps.completeness(HOUR, LATER)
    assert not told.complete
    return told.why


def _refused(s3: S3Access, root: str) -> str:
    with pytest.raises(TidegateError) as caught:
        Dumps(_source(f"{FOLDERS}/"), s3, root).files(HOUR)
    # Only what is not there now may be there when it is tried again.
    assert isinstance(caught.value, TryAgainError) == ("can't be reached" in str(caught.value))
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "is_fault"),
    [
        (403, "AccessDenied", True),
        (403, "InvalidObjectState", True),
        (404, "NoSuchKey", True),
        (403, "ExpiredToken", False),
        (503, "SlowDown", False),
        (500, "InternalError", False),
    ],
)
def test_what_s3_refuses_of_one_file_is_a_fault_of_that_file(
    monkeypatch: pytest.MonkeyPatch, *, status: int, code: str, is_fault: bool
) -> None:
    from botocore.exceptions import ClientError

    def get_object(**_: object) -> None:
        answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, "GetObject")  # type: ignore[arg-type]

    dumps = Dumps(_source(f"{FOLDERS}/*.json"), S3Access("http://127.0.0.1:1", "key", "secret"))
    client = SimpleNamespace(get_object=get_object)
    monkeypatch.setattr("tidegate.storage.s3.s3_client", lambda _, **__: client)
    file = StoredFile("", f"{HERE}/a.json", 5, "e", HOUR)
    if is_fault:
        assert code in (dumps.fault(file) or "") or "gone" in (dumps.fault(file) or "")
        with pytest.raises(UnreadableError), dumps.opener([file]).open(file.name):
            pass
    else:
        with pytest.raises(TidegateError):
            dumps.fault(file)
        with pytest.raises(TidegateError), dumps.opener([file]).open(file.name):
            pass
