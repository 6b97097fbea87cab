"""An HTTP proxy before a real S3 server that loses answers: what it was sent is stored, and the answer is not true.

A write of a log entry whose answer is lost is the fault that matters: the writer must neither write twice nor take its
own commit for another writer's.
"""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tidegate.storage.s3 import S3Access

ENTRY = re.compile(r"/_delta_log/\d{20}\.json$")
CODES = {500: "InternalError", 409: "ConditionalRequestConflict", 412: "PreconditionFailed"}
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@dataclass
class Faults:
    """What the proxy does to writes of log entries.

    Attributes:
        kind: `500`, `409` or `412` (stores, and answers so), `cut` (stores, and closes the connection), `slow` (stores,
            and answers when the client has given up), `late` (closes the connection, and stores when the next request
            of this kind comes), `lost` (stores nothing, and answers 500).
        times: for how many requests.
        then_down: after the last one nothing is answered any more.
        down: whether nothing is answered now.
        unconditional: whether the server seems to ignore If-None-Match.
        listings: the queries of all listings of logs.
    """

    kind: str = "500"
    times: int = 0
    then_down: bool = False
    down: bool = False
    unconditional: bool = False
    seen: int = 0
    listings: list[dict[str, str]] = field(default_factory=list)
    kept: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    given_up: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> str | None:
        """Return the fault of a write of a log entry, if it has one."""
        with self.lock:
            self.seen += 1
            if self.times == 0:
                return None
            self.times -= 1
            if self.times == 0:
                self.down = self.then_down
            return self.kind


@contextmanager
def s3_proxy(s3: S3Access) -> Iterator[tuple[S3Access, Faults]]:
    """Run a proxy before a server; give how to reach it, and its faults."""
    faults = Faults()
    assert s3.endpoint is not None
    handler = type("Handler", (_Handler,), {"faults": faults, "upstream": urlsplit(s3.endpoint)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield replace(s3, endpoint=f"http://127.0.0.1:{server.server_address[1]}"), faults
    finally:
        faults.given_up.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    faults: Faults
    upstream: Any
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        request = (self.path, headers, body)
        if self.faults.down:
            return self._cut()
        query = dict(parse_qsl(self.path.partition("?")[2]))
        if query.get("prefix", "").endswith("/_delta_log/"):
            self.faults.listings.append(query)
        is_entry = self.command == "PUT" and ENTRY.search(self.path.partition("?")[0])
        fault = self.faults.take() if is_entry else None
        if is_entry:
            for path, kept_headers, kept_body in self.faults.kept:
                self._forward(path, kept_headers, kept_body)
            self.faults.kept.clear()
        if fault == "late":
            self.faults.kept.append(request)
            return self._cut()
        if fault == "lost":
            return self._answer(500, [], _error_text(500))
        status, answer_headers, answer = self._forward(*request)
        if self.faults.unconditional and status == 412:
            return self._answer(200, [], b"")
        if fault is None:
            return self._answer(status, answer_headers, answer)
        if fault == "slow":
            self.faults.given_up.wait(60)
        if fault in ("cut", "slow"):
            return self._cut()
        return self._answer(int(fault), [], _error_text(int(fault)))

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle  # noqa: N815 (names of the library)

    def _forward(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port)
        try:
            # The signature is over the host that the client knows: the header stays as it is.
            connection.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = next((v for k, v in headers if k.lower() == "content-length"), str(len(body)))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def _error_text(status: int) -> bytes:
    return f"<Error><Code>{CODES[status]}</Code><Message>made up</Message></Error>".encode()
