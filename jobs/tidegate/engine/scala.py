"""Compile Scala of `infra` once, by the compiler among Spark's own jars."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tidegate.common.errors import TidegateError
from tidegate.engine.dependencies import java
from tidegate.processes.child import Child, spawn

BUILD_S = 300.0
"""Seconds a compilation may take (6 on an idle machine)."""


def sources_in(folder: Path, project: Path | None = None) -> Path:
    """Return a folder of Scala sources: the project's, else that of the checkout or of the installed wheel.

    Args:
        folder: relative to the project, such as `infra/sql`.
        project: the folder that holds `infra`; by default `TIDEGATE_PROJECT`.

    Raises:
        TidegateError: there is none.
    """
    checkout = Path(__file__).resolve().parents[3]
    named = project or Path(os.environ.get("TIDEGATE_PROJECT") or checkout)
    installed = Path(sys.prefix) / "share" / "tidegate"
    for found in (named / folder, checkout / folder, installed / folder):
        if any(found.glob("*.scala")):
            return found
    raise TidegateError(
        "sources that Spark needs are not here",
        where=str(named / folder),
        expected=f"the folder {folder} of a checkout of Tidegate",
        todo="run it in a checkout, or set TIDEGATE_PROJECT to one",
    )


def compiled(
    sources: Path,
    class_path: list[Path],
    jar: Path,
    log: Path,
    watch: Callable[[Child], None] | None = None,
) -> Path:
    """Compile a folder of Scala into a jar; it is put in its place whole, or not at all.

    Args:
        sources: the folder.
        class_path: Spark's jars, with the compiler.
        jar: where it is kept.
        log: the compiler's output.
        watch: is given the compiler.

    Raises:
        TidegateError: the sources can't be compiled.
    """
    scratch = jar.with_name(f"{jar.stem}.{os.getpid()}.jar")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    child = spawn(
        f"the compiler of {sources.name}",
        [
            java(),
            "-Xss4m",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            "scala.tools.nsc.Main",
            "-usejavacp",
            "-deprecation",
            "-d",
            scratch,
            *sorted(sources.glob("*.scala")),
        ],
        {**os.environ, "CLASSPATH": os.pathsep.join(map(str, class_path))},
        log,
    )
    try:
        if watch is not None:
            watch(child)
        deadline = time.monotonic() + BUILD_S
        while (status := child.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if status != 0:
            raise TidegateError(
                "Scala sources could not be compiled",
                where=str(sources),
                got=f"{child.ended()}; the compiler's last words:\n{child.log_tail()}",
                todo=f"read {log}",
            )
        scratch.replace(jar)
    finally:
        child.stop(0.0)
        scratch.unlink(missing_ok=True)
    return jar


def fingerprint(sources: list[Path], class_path: list[Path]) -> str:
    """Return what differs between builds of other sources, or against other jars."""
    said = hashlib.sha256()
    for source in sources:
        said.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    for name in sorted(jar.name for jar in class_path):
        said.update(name.encode() + b"\0")
    return said.hexdigest()[:16]
