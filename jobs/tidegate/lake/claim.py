"""The claim on a lake: which processes may write it at the same time.

Processes that write through delta-rs share a lake, since each of their commits is conditional. A Spark server's are
not: two drivers can lose each other's commits while both report success. So a Spark server holds a lake alone, with
the commands that use it.

A holder announces itself first, and looks at the others then. Of two that come at once each sees the other, or one
does: never do both hold the lake, and where both step back, they try again.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.config.settings import Settings
from tidegate.lake.holders import (
    EXPIRES_AFTER,
    Holder,
    Holders,
    LocalHolders,
    S3Holders,
    process_of,
    this_process,
)

Mode = Literal["shared", "exclusive"]

RENEW_S = 20.0
"""Seconds between two signs of life of a holder on S3."""
_ATTEMPTS = 4
_PAUSE_S = 0.2


class Claim:
    """A lake that is held.

    Args:
        holders: of the lake.
        mode: how it is held.
        server: address of the Spark server that writes it, without its token, if others may use it.
    """

    def __init__(self, holders: Holders, mode: Mode, server: str | None) -> None:
        self._holders = holders
        self._name = f"{uuid4()}.json"
        self._holder: Holder = {**this_process(), "mode": mode, "server": server, "others": []}
        self._lock = threading.Lock()
        self._renewed_at = _clock()

    def include(self, pid: int) -> None:
        """Name another process that writes the lake too: the claim holds until it has ended as well."""
        with self._lock:
            self._holder["others"].append(process_of(pid))
            self._holders.announce(self._name, json.dumps(self._holder))

    def check(self) -> None:
        """Refuse to go on where the claim may have expired, since another writer may hold the lake by now.

        Raises:
            TryAgainError: the claim was not renewed in time.
        """
        silent_s = _clock() - self._renewed_at
        if self._holders.needs_renewal and silent_s >= EXPIRES_AFTER.total_seconds():
            raise TryAgainError(
                "the claim on the lake expired",
                expected=f"a sign of life every {RENEW_S:.0f} s",
                got=f"none for {silent_s:.0f} s: this process was stopped, or S3 did not answer",
                todo="run the step again",
            )

    def conflict(self) -> tuple[str, Holder] | None:
        """Return the place and the content of a living holder's file that excludes this claim."""
        for place, other in self._holders.others(self._name):
            if not _may_share(self._holder, other):
                return place, other
        return None

    def announce(self) -> None:
        """Show the claim to others."""
        self._holders.announce(self._name, json.dumps(self._holder))
        self._renewed_at = _clock()

    def withdraw(self) -> None:
        """End the claim."""
        self._holders.withdraw(self._name)

    def renew_until(self, ended: threading.Event) -> None:
        """Renew the claim from time to time, until it ends or has expired."""
        while not ended.wait(RENEW_S):
            try:
                self.check()
            except TryAgainError:
                return  # who holds the lake reports it: it must not look alive again
            with self._lock:
                begun = _clock()
                try:
                    self._holders.renew(self._name, json.dumps(self._holder))
                except TidegateError:
                    continue  # the next one may succeed; if none does, the claim expires
                self._renewed_at = begun


@contextmanager
def claim(settings: Settings, mode: Mode, server: str | None = None) -> Iterator[Claim]:
    """Hold a lake for the length of the block.

    A holder that was killed is taken over: on this machine at once, once its server has ended; from another host when
    its claim has expired.

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
    holders = _holders(settings, mode)
    held = Claim(holders, mode, server)
    if mode == "shared" and isinstance(holders, S3Holders):
        holders.check_conditional_writes(str(uuid4()))
    _enter(held, settings.lake)
    ended = threading.Event()
    renewing = threading.Thread(target=held.renew_until, args=(ended,), daemon=True)
    if holders.needs_renewal:
        renewing.start()
    try:
        yield held
    finally:
        ended.set()
        if holders.needs_renewal:
            renewing.join()  # what it writes must not come after the end
        held.withdraw()


def _holders(settings: Settings, mode: Mode) -> LocalHolders | S3Holders:
    if settings.lake.startswith("s3a://"):
        bucket, _, prefix = settings.lake.removeprefix("s3a://").partition("/")
        return S3Holders(bucket, prefix, settings.s3)
    if "://" in settings.lake:
        expected = "a lake on S3 or in a local folder"
        if mode == "shared":
            raise TidegateError(
                "the DuckDB engine cannot write this lake",
                where=settings.lake,
                expected=expected,
                todo="use --engine spark, with TIDEGATE_SPARK=sc://… for the one server that writes this lake",
            )
        raise TidegateError(
            "this lake needs a Spark server that is named",
            where=settings.lake,
            expected=f"{expected}, or TIDEGATE_SPARK=sc://… for any other",
            todo="set TIDEGATE_SPARK to the one server that writes this lake",
        )
    return LocalHolders(Path(settings.lake))


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


def _clock() -> float:
    """Return seconds of a clock that goes on while the machine sleeps, where there is one."""
    number: Any = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(number)
