"""Checks files one after the other: `python -m fuzz.run SEED FIRST COUNT`.

It prints a line of JSON for each file that fails, shrunk to a few records, and one at the end. The number of the
file at hand stands in the file that `--progress` names, so that whoever waits knows which one hangs or ends the
process.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from fuzz.bends import made
from fuzz.check import connection, faults
from fuzz.files import Draft, draft
from fuzz.model import Written

_MOST_TRIES = 400
_WARM = 300
"""Files after which memory should not grow."""


def shrunk(file: Draft, fails: Callable[[Draft], bool]) -> Draft:
    """Return the file with few records, with which it still fails."""
    # By the first record of a file without a header its columns are counted.
    kept, records = list(file.records[:1]), list(file.records[1:])
    size, tries = (len(records) + 1) // 2, 0
    while size and tries < _MOST_TRIES:
        at = 0
        while at < len(records) and tries < _MOST_TRIES:
            fewer: list[Written] = records[:at] + records[at + size :]
            tries += 1
            if fails(file.only(kept + fewer)):
                records = fewer
            else:
                at += size
        size //= 2
    return file.only(kept + records)


def main(arguments: list[str]) -> int:
    """Check files; return the number of those that failed, at most 99."""
    faulthandler.enable()
    parser = argparse.ArgumentParser()
    parser.add_argument("seed", type=int)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--progress", type=Path)
    parser.add_argument("--most", type=int, default=10, help="failures after which it ends")
    options = parser.parse_args(arguments)
    own = connection()
    failed, warm = 0, 0
    progress = os.open(options.progress, os.O_RDWR | os.O_CREAT) if options.progress else None
    for number in range(options.first, options.first + options.count):
        if progress is not None:
            os.pwrite(progress, f"{number:012}".encode(), 0)
        file = draft(options.seed, number)
        found = faults(file, made(file), own)
        if found:
            failed += 1
            small = shrunk(file, lambda one: bool(faults(one, made(one), own)))
            print(json.dumps(_report(small, faults(small, made(small), own) or found)), flush=True)  # noqa: T201
            if failed >= options.most:
                break
        if number - options.first == min(_WARM, options.count - 1):
            warm = _peak()
    print(json.dumps({"done": number + 1, "grown": _peak() - warm}), flush=True)  # noqa: T201
    return min(failed, 99)


def _peak() -> int:
    """Return the most memory that the process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _report(file: Draft, found: list[str]) -> dict[str, object]:
    one = made(file)
    return {
        "seed": file.seed,
        "number": file.number,
        "kind": file.kind,
        "bend": one.bend,
        "name": one.name,
        "faults": found[:5],
        "records": len(file.records),
        "source": file.spec.data,
        "content": repr(one.data[:1500]),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
