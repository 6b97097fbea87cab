"""Ports on loopback: the one asked for, else the one of last time, else a free one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
from pathlib import Path

from tidegate.common.errors import TidegateError

# Below the range that systems take outgoing ports from: a port chosen there could be
# taken by any connection between choosing it and listening on it.
_LOWEST, _HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    """Say whether a server could listen on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ports:
    """The ports of one state folder; `<home>/ports.json` keeps them, so that addresses stay."""

    def __init__(self, home: Path) -> None:
        self._file = home / "ports.json"
        self._known: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            self._known = json.loads(self._file.read_text())
        self._taken: set[int] = set()

    def asked(self, name: str, who: str) -> int | None:
        """Return the port that `TIDEGATE_<NAME>_PORT` asks for, or None if it asks for none.

        Args:
            name: as in the variable, in small letters.
            who: what is to listen there, for messages.

        Raises:
            TidegateError: it is no port, or somebody else listens there.
        """
        variable = f"TIDEGATE_{name.upper()}_PORT"
        text = os.environ.get(variable)
        if not text:
            return None
        if not text.isdigit() or not 0 < int(text) < 65_536:
            raise TidegateError(
                "not a port",
                where=variable,
                expected="a number from 1 to 65535",
                got=repr(text),
            )
        port = int(text)
        if port in self._taken or not is_free(port):
            raise TidegateError(
                f"port {port} is in use, and {who} was to listen there",
                where=f"{variable}={port}",
                got=_owner(port),
                todo=f"stop that program, or unset {variable}: a free port is chosen then",
            )
        self._taken.add(port)
        return port

    def choose(self, name: str, who: str = "") -> int:
        """Return the port to listen on; see `asked` for its arguments and errors."""
        port = self.asked(name, who)
        if port is not None:
            return port
        port = self._known.get(name)
        while port is None or port in self._taken or not is_free(port):
            port = random.randint(_LOWEST, _HIGHEST)  # noqa: S311 (it is no secret)
        self._taken.add(port)
        self._known[name] = port
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._known))
        return port


def _owner(port: int) -> str:
    """Return who listens on a port, as far as this user may know."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for found in psutil.net_connections("tcp"):
            if found.status != psutil.CONN_LISTEN or not found.laddr or not found.pid:
                continue
            if found.laddr.port == port:
                return f"process {found.pid} ({psutil.Process(found.pid).name()}) listens there"
    return "another program listens there"
