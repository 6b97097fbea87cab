"""Write jobs/tidegate/engine/spark_jars.lock: the jars that Spark needs beside its own, with their sums.

Run it in the project's environment after a change of a root below or of the pinned pyspark:

    .venv/bin/python infra/spark/lock_jars.py

It resolves the roots' closure, leaves out what the pyspark wheel ships, and leaves out the AWS
SDK's bundle of 650 MB, of which S3A needs a few modules only: those are roots here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import tempfile
from pathlib import Path

from jgo.maven import MavenContext

ROOTS = (
    "io.delta:delta-spark_4.2_2.13:4.4.0",
    "org.apache.hadoop:hadoop-aws:3.5.0",  # the version of the Hadoop that pyspark ships
    "software.amazon.awssdk:s3:2.35.4",  # the SDK that hadoop-aws was built with
    "software.amazon.awssdk:s3-transfer-manager:2.35.4",
    "software.amazon.awssdk:sts:2.35.4",
)
LEFT_OUT = ("software.amazon.awssdk:bundle",)
LOCK = Path(__file__).resolve().parents[2] / "jobs" / "tidegate" / "engine" / "spark_jars.lock"
HEAD = """\
# The jars that Spark needs beside those in the pyspark wheel: coordinate and SHA-256, one a line.
# Written by infra/spark/lock_jars.py; read by tidegate/bring.py.
"""


def shipped() -> set[str]:
    """Return the artifact names of the jars in the pyspark wheel."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        sys.exit("lock_jars: pyspark is not installed here: run this with the project's .venv")
    jars = (Path(spec.origin).parent / "jars").glob("*.jar")
    return {re.sub(r"-[0-9][^/]*\.jar$", "", jar.name) for jar in jars}


def main() -> None:
    """Resolve the roots, download what is missing and write the lock."""
    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), timeout=120)
        without = [context.project(*name.split(":")) for name in LEFT_OUT]
        # The "!" keeps jgo from managing versions by the roots' own BOMs, which fails on these.
        roots = [context.create_dependency(f"{root}!", without) for root in ROOTS]
        _, closure = context.resolver.get_dependency_list(roots)
        have = shipped()
        artifacts = [root.artifact for root in roots]
        artifacts += [
            node.dep.artifact for node in closure if node.dep.artifact.artifactId not in have
        ]
        lines = set()
        for artifact in artifacts:
            name = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            lines.add(f"{name} {hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()}")
    LOCK.write_text(HEAD + "".join(f"{line}\n" for line in sorted(lines)))
    sys.stdout.write(f"{len(lines)} jars in {LOCK}\n")


if __name__ == "__main__":
    main()
