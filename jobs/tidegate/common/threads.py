"""Threads to which work is given faster than they do it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class BoundedThreads:
    """Threads that start with the first piece of work; few pieces wait for them, since each takes memory.

    Args:
        threads: how many.
        most: pieces that are under way at once, with those that wait.
    """

    def __init__(self, threads: int, most: int) -> None:
        self._threads = threads
        self._most = most
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: deque[Future[None]] = deque()

    def run(self, work: Callable[[], None]) -> Future[None]:
        """Start a piece of work once there is room; an error of an earlier one is raised here."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads)
        while len(self._under_way) >= self._most:
            self._under_way.popleft().result()
        future = self._pool.submit(work)
        self._under_way.append(future)
        return future

    def finish(self) -> None:
        """Wait until all is done, and end the threads; the first error is raised."""
        try:
            while self._under_way:
                self._under_way.popleft().result()
        finally:
            self.stop()

    def stop(self) -> None:
        """End the threads, without what has not begun."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
