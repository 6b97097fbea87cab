"""The claim on a lake: which processes may write it at the same time.

On S3 all may: each commit, of delta-rs and of a Spark server, is conditional there, which is tested first. So are those
of delta-rs in a local folder, but not Spark's: two drivers can lose each other's commits while both report success. So
a Spark server holds a lake in a folder alone, with the commands that use it.

A holder announces itself first, and looks at the others then. Of two that come at once each sees the other, or one
does: never do both hold the lake, and where both step back, they try again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from uuid import uuid4

from tidegate.common.errors import TidegateError
from tidegate.config.settings import Settings
from tidegate.lake.conditional_writes import check_conditional_writes
from tidegate.lake.holders import Holder, LocalHolders, process_of, this_process
from tidegate.storage.s3 import is_s3

Mode = Literal["shared", "exclusive"]

_ATTEMPTS = 4
_PAUSE_S = 0.2


class Claim:
    """A lake that is held.

    Args:
        holders: of the lake.
        mode: how it is held.
        server: address of the Spark server that writes it, without its token, if others may use it.
    """

    def __init__(self, holders: LocalHolders, mode: Mode, server: str | None) -> None:
        self._holders = holders
        self._name = f"{uuid4()}.json"
        self._holder: Holder = {**this_process(), "mode": mode, "server": server, "others": []}

    def include(self, pid: int) -> None:
        """Name another process that writes the lake too: the claim holds until it has ended as well."""
        self._holder["others"].append(process_of(pid))
        self.announce()

    def conflict(self) -> tuple[str, Holder] | None:
        """Return the place and the content of a living holder's file that excludes this claim."""
        for place, other in self._holders.others(self._name):
            if not _may_share(self._holder, other):
                return place, other
        return None

    def announce(self) -> None:
        """Show the claim to others."""
        self._holders.announce(self._name, json.dumps(self._holder))

    def withdraw(self) -> None:
        """End the claim."""
        self._holders.withdraw(self._name)


@contextmanager
def claim(settings: Settings, mode: Mode, server: str | None = None) -> Iterator[Claim | None]:
    """Hold a lake for the length of the block.

    A holder that was killed is taken over at once, when its server has ended too. A lake on S3 needs no claim, since
    every commit there is conditional: None.

    Args:
        settings: whose lake.
        mode: `shared` for writers whose commits are conditional; `exclusive` for a Spark server.
        server: address of the Spark server that writes the lake, without its token, if others may use it. Holders of
            one such server hold the lake together.

    Raises:
        TidegateError: another process holds the lake in a way that excludes this one, or its store lacks conditional
            writes.
        TryAgainError: S3 does not answer.
    """
    if is_s3(settings.lake):
        check_conditional_writes(settings.lake, settings.s3)
        yield None
        return
    held = Claim(_holders(settings, mode), mode, server)
    _enter(held, settings.lake)
    try:
        yield held
    finally:
        held.withdraw()


def _holders(settings: Settings, mode: Mode) -> LocalHolders:
    if "://" not in settings.lake:
        return LocalHolders(Path(settings.lake))
    raise TidegateError(
        f"the {'DuckDB' if mode == 'shared' else 'Spark'} engine cannot write this lake",
        where=settings.lake,
        expected="a lake on S3 (s3://bucket/prefix) or in a local folder",
        todo="move the lake to S3 or to a local folder",
    )


def _enter(held: Claim, lake: str) -> None:
    """Announce a claim, and see whether others exclude it."""
    for left in reversed(range(_ATTEMPTS)):
        held.announce()
        try:
            conflict = held.conflict()
        except BaseException:
            held.withdraw()
            raise
        if conflict is None:
            return
        held.withdraw()
        if left == 0:
            raise _refusal(lake, *conflict)
        # The other one may have come at the same time, and stepped back too.
        time.sleep(random.uniform(0, _PAUSE_S))  # noqa: S311 (nothing secret)


def _may_share(one: Holder, other: Holder) -> bool:
    if one["mode"] != other.get("mode", "exclusive"):
        return False
    return one["mode"] == "shared" or (
        one["server"] is not None and one["server"] == other.get("server")
    )


def _refusal(lake: str, place: str, holder: Holder) -> TidegateError:
    server = holder.get("server")
    if server:
        todo = "use its server: set TIDEGATE_SPARK to its address with its token"
    else:
        todo = "wait until it ends, then run this again"
    shares = holder.get("mode") == "shared"
    return TidegateError(
        "another process writes this lake",
        where=lake,
        expected="a lake that no Spark server writes, or only processes that use one Spark server",
        got=f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
        + (", with the DuckDB engine" if shares else "")
        + (f", server {server}" if server else ""),
        todo=f"{todo}; if that process is gone for good, remove {place}",
    )
