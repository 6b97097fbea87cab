"""The error of a file that can't be read whole: its hour is held, and the other hours go on."""

from __future__ import annotations


class UnreadableError(Exception):
    """A file of a dump can't be read whole, so none of its rows may be used.

    Args:
        what: what is wrong with the file, one sentence without a full stop.
        expected: what would have been right.
        got: what is there instead.
        todo: what to do next.
        line: the physical line at which the fault is, from 1.
    """

    def __init__(
        self,
        what: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        todo: str | None = None,
        line: int | None = None,
    ) -> None:
        self.what = what
        self.expected = expected
        self.got = got
        self.todo = todo
        self.line = line
        super().__init__(what, expected, got, todo, line)

    def __str__(self) -> str:
        return self.reason

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments are lost by the default, and executors send this error to the driver.
        return _unreadable, (self.what, self.expected, self.got, self.todo, self.line)

    @property
    def reason(self) -> str:
        """The whole reason in one line: what, where, expected, got."""
        where = f"line {self.line}: " if self.line is not None else ""
        expected = f"; expected {self.expected}" if self.expected is not None else ""
        got = f"; got {self.got}" if self.got is not None else ""
        return f"{where}{self.what}{expected}{got}"


def _unreadable(
    what: str, expected: str | None, got: str | None, todo: str | None, line: int | None
) -> UnreadableError:
    return UnreadableError(what, expected=expected, got=got, todo=todo, line=line)
