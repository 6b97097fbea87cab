"""Run the command line in a process that can be killed between two writes of the lake.

`python killed.py N ARGUMENT…` kills itself after its N-th write, never with 0. What it writes is counted on
its standard output, a line a write, so that its parent knows when work has begun.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

from tidegate.cli import main
from tidegate.lake import Lake

WRITES = ("stage", "append", "append_next", "replace", "add_columns")


def _counted(name: str, counter: Any, limit: int) -> None:
    plain = getattr(Lake, name)

    def write(self: Lake, *arguments: Any, **named: Any) -> Any:
        done = plain(self, *arguments, **named)
        number = next(counter)
        sys.stdout.write(f"{number} {name}\n")
        sys.stdout.flush()
        if number == limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(Lake, name, write)


if __name__ == "__main__":
    numbers = itertools.count(1)
    for each in WRITES:
        _counted(each, numbers, int(sys.argv[1]))
    sys.argv = ["tidegate", *sys.argv[2:]]
    main()
