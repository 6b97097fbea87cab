"""Files of a local folder that can't be read: each is a fault of its own, and nothing waits or fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.common.unreadable import UnreadableError
from tidegate.storage.files import StoredFile
from tidegate.storage.local_store import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "good.json").write_bytes(b"{}\n")
    return LocalStore(tmp_path)


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _loop(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "dangling": (_dangling, "a link to a file that is not there"),
    "loop": (_loop, "a link that leads back to itself"),
    "pipe": (os.mkfifo, "expected a file, got a pipe"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_listed_with_its_fault(
    store: LocalStore, tmp_path: Path, kind: str
) -> None:
    make, fault = KINDS[kind]
    make(tmp_path / "h" / "bad.json")
    found = {file.name: file for file in store.with_etags(store.listing("h/"))}
    assert found["h/bad.json"].fault == fault
    assert found["h/good.json"].fault is None


def test_a_name_that_is_not_utf8_is_a_fault_and_shown_as_text(
    store: LocalStore, tmp_path: Path
) -> None:
    (tmp_path / "h" / os.fsdecode(b"caf\xe9.json")).write_bytes(b"{}\n")
    [bad] = [file for file in store.listing("h/") if file.fault]
    assert (bad.name, bad.fault) == ("h/caf\\xe9.json", "its name is not UTF-8")
    assert bad.uri.encode().endswith(b"caf\\xe9.json")


def test_a_folder_whose_name_is_not_utf8_is_never_left_out_in_silence(
    store: LocalStore, tmp_path: Path
) -> None:
    (tmp_path / "h" / os.fsdecode(b"caf\xe9")).mkdir()
    assert "h/caf\\xe9/" in [file.name for file in store.listing("h/")]
    with pytest.raises(UnreadableError, match="its name is not UTF-8"):
        store.listing("h/", deep=True)


def test_links_to_folders_are_told_and_not_followed(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "h" / "up").symlink_to(tmp_path / "h", target_is_directory=True)
    [link] = [file for file in store.listing("h/", deep=True) if file.name == "h/up/"]
    assert link.fault == "a link to a folder: such links are not followed"


def test_a_link_to_a_file_is_read(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "h" / "link.json").symlink_to(tmp_path / "h" / "good.json")
    [link] = [file for file in store.listing("h/") if file.name == "h/link.json"]
    assert (link.fault, link.size) == (None, 3)


def test_a_file_that_this_user_may_not_read_has_a_fault(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    listed = store.listing("h/")
    monkeypatch.setattr("tidegate.storage.local_store.os.open", refuse)
    [file] = store.with_etags(listed)
    assert file.fault is not None
    assert file.fault.endswith("got Permission denied")


def test_a_folder_that_this_user_may_not_list_is_unreadable(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tidegate.storage.local_store.os.scandir", refuse)
    with pytest.raises(UnreadableError, match=r"the folder h/ can't be listed.*Permission denied"):
        store.listing("h/")


def test_a_file_that_goes_while_it_is_looked_at_is_unreadable(
    store: LocalStore, tmp_path: Path
) -> None:
    [file] = store.listing("h/")
    with pytest.raises(UnreadableError, match="can't be read"), store.open(file) as stream:
        (tmp_path / "h" / "good.json").unlink()
        stream.read()
    [gone] = store.with_etags([file])
    assert "No such file" in str(gone.fault)
    with pytest.raises(UnreadableError), store.open(file):
        pass


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.json")
    store = LocalStore(tmp_path)
    file = StoredFile("", "p.json", 3, "", datetime.now(UTC))
    with pytest.raises(UnreadableError, match="got a pipe"):
        store.read("p.json", 0, 3)
    with pytest.raises(UnreadableError, match="got a pipe"), store.open(file):
        pass


def test_a_file_in_the_place_of_the_hours_folder_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "h").write_bytes(b"")
    assert LocalStore(tmp_path).listing("h/") == []
    assert LocalStore(tmp_path).listing("g/", deep=True) == []
