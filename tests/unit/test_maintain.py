"""What maintenance may take: the rules, on lists of files and rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from project import NOON
from s3server import s3_client, s3_server
from tidegate.common.errors import TidegateError
from tidegate.lake import Row
from tidegate.pipeline.maintain import PARTS, Freed, Maintained, check_parts
from tidegate.pipeline.maintain import candidates as staging
from tidegate.pipeline.maintain.compact import crowded_partitions
from tidegate.pipeline.maintain.model import IN_WORK, MANY
from tidegate.pipeline.maintain.promise import Need, oldest_needed, promised
from tidegate.pipeline.maintain.vacuum import superfluous, unreferenced
from tidegate.storage.lake_files import LakeFile, LakeFiles, open_files
from tidegate.storage.s3 import S3Access
from tidegate.tables import daily_activity, events

DAY = timedelta(days=1)
NOW = NOON + 100 * DAY
OLD = NOW - IN_WORK
YOUNG = OLD + timedelta(seconds=1)


def file(name: str, modified: datetime = OLD) -> LakeFile:
    return LakeFile(name, 10, modified)


def log(
    *commits: int, checkpoints: tuple[int, ...] = (), modified: datetime = OLD
) -> list[LakeFile]:
    names = [f"{n:020d}.json" for n in commits] + [f"{n:020d}.crc" for n in commits]
    names += [f"{n:020d}.checkpoint.parquet" for n in checkpoints]
    return [file(name, modified) for name in (*names, "_last_checkpoint")]


def release(sequence: int, days_ago: float, **versions: int) -> Row:
    return {
        "release_id": f"r{sequence}",
        "sequence": sequence,
        "released_at": (NOW - days_ago * DAY).isoformat(),
        "versions": versions,
    }


def test_young_releases_are_promised_and_the_newest_however_old() -> None:
    old = [release(1, 90, events=1), release(2, 60, events=5)]
    assert promised(old, NOW, 30 * DAY, {}) == old[1:]
    young = [*old, release(3, 30, events=7), release(4, 1, events=9)]
    assert promised(young, NOW, 30 * DAY, {}) == young[2:]
    assert promised([], NOW, 30 * DAY, {}) == []


def test_a_longer_promise_does_not_bring_back_what_was_given_up() -> None:
    releases = [release(1, 20, events=1), release(2, 10, events=5), release(3, 1, events=9)]
    assert promised(releases, NOW, 30 * DAY, {"warehouse/events": 5}) == releases[1:]


def test_the_oldest_need_decides_and_so_do_queries_that_may_have_begun() -> None:
    commits = log(0, 1, 2, 3)
    assert oldest_needed(commits, [], NOW, 0).version == 3
    assert oldest_needed(commits, [Need("events", 1, "r"), Need("events", 2, "s")], NOW, 0) == (
        Need("events", 1, "r")
    )
    begun = [*log(0, 1), *log(2, 3, modified=YOUNG)]
    assert oldest_needed(begun, [], NOW, 0).version == 1
    assert oldest_needed(log(4, 5, modified=YOUNG), [], NOW, 0).version == 4
    assert oldest_needed(commits, [Need("events", 1, "r")], NOW, 2).version == 2


def test_a_log_goes_up_to_the_newest_checkpoint_that_the_oldest_version_is_read_from() -> None:
    commits = log(0, 1, 2, 3, 4, 5, checkpoints=(2, 4))
    gone = {each.name[19:] for each in superfluous(commits, 5, NOW)}
    assert gone == {
        *(f"{n}.{kind}" for n in (0, 1, 2, 3) for kind in ("json", "crc")),
        "2.checkpoint.parquet",
    }
    assert {each.name[19:20] for each in superfluous(commits, 3, NOW)} == {"0", "1"}
    assert superfluous(commits, 1, NOW) == []
    assert superfluous(log(0, 1, 2), 2, NOW) == []
    assert superfluous(log(0, 1, 2, checkpoints=(2,), modified=YOUNG), 2, NOW) == []


def test_a_data_file_goes_only_if_no_version_has_it_and_no_write_may_be_at_it() -> None:
    listed = [
        file("source=web/dump_date=2024-03-01/a.parquet"),
        file("source=web/dump_date=2024-03-01/b.parquet"),
        file("source=web/dump_date=2024-03-01/c.parquet", YOUNG),
        file("_delta_log/00000000000000000002.checkpoint.parquet"),
        file("_SUCCESS"),
    ]
    assert unreferenced(listed, {"a.parquet"}, NOW) == [listed[1]]


def test_partitions_of_many_files_are_compacted_unless_something_is_published_of_them() -> None:
    def files(day: str, n: int) -> list[str]:
        return [f"source=web/dump_date={day}/{at}.parquet" for at in range(n)]

    listed = [
        *files("2024-03-01", MANY + 1),
        *files("2024-03-02", MANY),
        *files("2024-03-03", MANY + 2),
    ]
    assert crowded_partitions(events.TABLE, listed, {("web", "2024-03-03")}) == {
        ("web", "2024-03-01"): MANY + 1
    }
    whole = [f"source=web/{n}.parquet" for n in range(MANY + 1)]
    assert crowded_partitions(daily_activity.TABLE, whole, {("web", "2024-03-03")}) == {
        ("web",): MANY + 1
    }


def places(*files: LakeFile) -> dict[str, set[str]]:
    found = staging.superfluous(staging.by_place(files), {"20240301T12.b", "20240301T13.c"}, NOW)
    return {
        kind: {f"{p.name.removeprefix('_token=')}/{p.dump}" for p in gone}
        for kind, gone in found.items()
    }


def test_a_candidate_goes_unless_its_landing_is_needed_or_it_may_be_in_work() -> None:
    def landed(token: str, inner: str, modified: datetime = OLD) -> LakeFile:
        return file(f"events/web/_token={token}/{inner}/f.parquet", modified)

    assert places(
        landed("a", "_dump=20240301T12"),
        landed("a", "_repeats"),
        landed("b", "_dump=20240301T12"),
        landed("b", "_dump=20240301T11"),
        landed("b", "_repeats"),
        landed("c", "_dump=20240301T13"),
        landed("d", "_dump=20240301T13"),
        landed("d", "_repeats", YOUNG),
        file("events/web/else/f.parquet"),
    ) == {"events": {"a/20240301T12", "a/None", "b/20240301T11"}}


def test_of_derived_candidates_the_last_one_stays() -> None:
    assert places(
        file("sessions/web/20240301T120000-a/f.parquet"),
        file("sessions/web/20240301T130000-a/new/f.parquet"),
        file("sessions/app/20240301T110000-a/f.parquet"),
        file("withheld/web/20240301T120000-a/f.parquet"),
        file("withheld/web/20240301T130000-a/f.parquet", YOUNG),
    ) == {"sessions": {"20240301T120000-a/None"}, "withheld": {"20240301T120000-a/None"}}


def test_latest_landings_are_needed_unless_their_configuration_was_given_up_long_ago() -> None:
    def row(
        name: str, hour: int, configuration: str, days_ago: float, status: str = "landed"
    ) -> Row:
        return {
            "landing_id": name,
            "source": "web",
            "dump_hour": f"2024-03-01T{hour:02d}:00:00Z",
            "status": status,
            "configuration": configuration,
            "landed_at": (NOW - days_ago * DAY).isoformat(),
        }

    rows = [
        row("replaced", 1, "now", 50),
        row("latest", 1, "now", 40),
        row("unreadable", 2, "now", 40, "unreadable"),
        row("given up", 1, "then", 50),
        row("tried", 1, "next", 8),
    ]
    assert staging.latest_landings(rows, {"web": "now"}, NOW) == {"latest", "tried"}
    assert staging.latest_landings(rows, {}, NOW) == {"latest", "given up", "tried"}


def test_what_was_freed_is_told_by_part_and_in_all() -> None:
    freed = (
        Freed("compact", "warehouse/events", 5, 100, "1 partition (web/2024-03-01)"),
        Freed("vacuum", "warehouse/events", 1, 1_234_567, "1 file"),
        Freed("candidates", "staging/events", 2, 800, "2 candidates"),
    )
    lines = Maintained(freed, dry_run=False).describe().splitlines()
    assert lines[1] == "vacuum warehouse/events: 1 files, 1.2 MB: 1 file"
    assert lines[-1] == "3 files, 1.2 MB freed"
    assert Maintained((), dry_run=True).describe() == "0 files, 0 B would be freed"


def test_a_part_that_there_is_not_is_refused() -> None:
    assert check_parts(PARTS) == PARTS
    with pytest.raises(TidegateError, match="no such part") as error:
        check_parts(["vacum"])
    assert "vacuum" in error.value.describe()


def removed(files: LakeFiles) -> None:
    """Check what a folder of a lake lists and removes, whatever it lies on."""
    listed = files.below("staging")
    assert [(each.name, each.size) for each in listed] == [
        ("events/a/f", 3),
        ("events/b/f", 3),
        ("events/b/g", 3),
    ]
    assert all(each.modified.tzinfo for each in listed)
    assert files.below("none") == []
    files.remove("staging", ["events/b/g", "events/a/f", "events/a/gone"], tidy=True)
    assert [each.name for each in files.below("staging")] == ["events/b/f"]


def test_files_of_a_local_lake_are_listed_and_removed(tmp_path: Path) -> None:
    for name in ("a/f", "a/.f.crc", "b/f", "b/g"):
        path = tmp_path / "lake/staging/events" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("abc")
    files = open_files(str(tmp_path / "lake"), S3Access())
    assert files is not None
    removed(files)
    assert not (tmp_path / "lake/staging/events/a").exists()


def test_files_of_a_lake_on_s3_are_listed_and_removed(tmp_path: Path) -> None:
    with s3_server(tmp_path) as s3:
        client = s3_client(s3)
        for name in ("a/f", "b/f", "b/g"):
            client.put_object(Bucket="lake", Key=f"x/staging/events/{name}", Body=b"abc")
        client.put_object(Bucket="lake", Key="x/staging2/f", Body=b"abc")
        files = open_files("s3a://lake/x", s3)
        assert files is not None
        removed(files)
        assert client.head_object(Bucket="lake", Key="x/staging2/f")


def test_other_stores_have_no_files_to_remove() -> None:
    assert open_files("abfss://lake@host/x", S3Access()) is None
