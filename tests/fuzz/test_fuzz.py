"""Generated files: no crash, no hang, bounded memory, and of each record what was meant.

`TIDEGATE_FUZZ_SEED` and `TIDEGATE_FUZZ_COUNT` replace the seed and the number of files.
`python -m fuzz.run SEED NUMBER 1`, with `tests` and `jobs` in `PYTHONPATH`, runs one file again.
"""

from __future__ import annotations

import json
import os

import pytest

from fuzz.watch import failures

SEED = int(os.environ.get("TIDEGATE_FUZZ_SEED", "20240301"))
COUNT = int(os.environ.get("TIDEGATE_FUZZ_COUNT", "2500"))
ALL = 100_000


def check(seed: int, first: int, count: int) -> None:
    print(f"TIDEGATE_FUZZ_SEED={seed}, files {first} to {first + count - 1}")  # noqa: T201
    found = failures(seed, first, count)
    shown = "\n\n".join(json.dumps(report, indent=2, ensure_ascii=False) for report in found)
    assert not found, f"seed {seed}: {len(found)} files fail\n{shown}"


def test_files_become_what_was_meant_by_them() -> None:
    check(SEED, 0, COUNT)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_a_hundred_thousand_files_become_what_was_meant_by_them(part: int) -> None:
    check(SEED, COUNT + part * ALL // 10, ALL // 10)
