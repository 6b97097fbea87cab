"""Run the command line in a process that can be killed between two writes of the lake.

`python killed.py N ARGUMENT…` kills itself after its N-th write, never with 0. What it writes is counted on
its standard output, a line a write, so that its parent knows when work has begun.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tidegate.cli.app import main
from writes import intercept

if __name__ == "__main__":
    numbers = itertools.count(1)
    limit = int(sys.argv[1])

    def count(name: str) -> None:
        number = next(numbers)
        sys.stdout.write(f"{number} {name}\n")
        sys.stdout.flush()
        if number == limit:
            os.kill(os.getpid(), signal.SIGKILL)

    intercept(setattr, after=count)
    sys.argv = ["tidegate", *sys.argv[2:]]
    main()
