"""Java's AOT cache for the Spark server: classes loaded and methods profiled by an earlier server.

A server with a cache starts in less than half the time and spends a third less on its first hours (JEP
483, 514 and 515; Java 25 and newer). The first server that a command starts for itself leaves one when it
is stopped; that of a stack does not, since to write down a long life takes Java minutes. Java itself looks
whether a cache fits, and does without it where it does not.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.engine.dependencies import java_version

LEAST_JAVA = 25
"""The first Java that makes a cache in one step (JEP 514) with method profiles in it (JEP 515)."""
MAKING_S = 120.0
"""Seconds that Java may take to write a cache when its server is stopped."""
WORTH_S = 45.0
"""Seconds that a server has to have lived, so that there is something in its cache."""
MAKING = "keeping what Java has loaded, so that Spark starts faster from now on (once)"
"""What a person who waits for that is told."""
_MADE = "AOTCache creation is complete"


@dataclass
class AotCache:
    """The cache for one Java and class path.

    Attributes:
        file: where it is kept.
        made: where a server without one writes it first; None where there is one, or can't be.
    """

    file: Path
    made: Path | None
    _begun: float = field(default_factory=time.monotonic)

    @property
    def options(self) -> list[str]:
        """The options for `java`."""
        if self.made is not None:
            return [f"-XX:AOTCacheOutput={self.made}", "-Xlog:aot*=error,aot=info:stdout"]
        return [f"-XX:AOTCache={self.file}", "-Xlog:aot*=error"] if self.file.exists() else []

    @property
    def is_due(self) -> bool:
        """Whether the server, stopped now, is to leave a cache."""
        lived = time.monotonic() - self._begun
        return self.made is not None and lived >= WORTH_S and not self.file.exists()

    def patience(self, grace: float) -> float:
        """Return the seconds that the server is given to end where `grace` is usual."""
        if self.made is None:
            return grace
        # Java writes its cache at any end but a kill, and takes longer for it than to end.
        return MAKING_S if self.is_due else 0.0

    def keep(self, log: Path) -> None:
        """Keep what the server has written, if it was not interrupted in it."""
        if self.made is None or not self.made.is_file():
            return
        with contextlib.suppress(OSError):  # without a cache everything works as well
            if _MADE not in log.read_text(errors="replace"):
                return
            scratch = self.file.with_name(f"{self.file.name}.{os.getpid()}")
            shutil.move(self.made, scratch)
            for old in self.file.parent.glob("spark-*.aot"):
                old.unlink()
            scratch.replace(self.file)


def find_cache(java: Path, class_path: Sequence[Path], folder: Path, work: Path | None) -> AotCache:
    """Return the cache for a Java and a class path.

    Args:
        java: the program.
        class_path: files, in order.
        folder: where caches are kept.
        work: the server's own folder, if it is to make a cache where there is none.
    """
    said = hashlib.sha256(str(java.resolve()).encode())
    for file in (java.resolve().parent.parent / "release", *class_path):
        with contextlib.suppress(OSError):
            told = file.stat()
            said.update(f"\n{file} {told.st_size} {told.st_mtime_ns}".encode())
    kept = folder / f"spark-{said.hexdigest()[:16]}.aot"
    if work is None or kept.exists():
        return AotCache(kept, None)
    version = java_version(java.resolve().parent.parent) or 0
    return AotCache(kept, work / "spark.aot" if version >= LEAST_JAVA else None)
