"""Errors that a stranger can act on: what, where, expected, got, and what to do next."""

from __future__ import annotations

EXIT_FAULT = 1
"""Exit status: a fault in the input or the configuration, named."""
EXIT_HELD = 3
"""Exit status: the gate held something."""


class TidegateError(Exception):
    """A fault in the input, the configuration or the surroundings, told so that it can be mended.

    Args:
        what: what went wrong, one sentence without a full stop.
        where: the file, key, table or slice it happened in.
        expected: what would have been right.
        got: what was there instead.
        todo: what to do next.
    """

    exit_status = EXIT_FAULT

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        todo: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.got = got
        self.todo = todo
        super().__init__(self.describe())

    def describe(self) -> str:
        """Return the whole message, one line for each thing that is known."""
        parts = [self.what]
        for label, value in (
            ("where", self.where),
            ("expected", self.expected),
            ("got", self.got),
            ("next", self.todo),
        ):
            if value is not None:
                parts.append(f"  {label + ':':<10} {value}")
        return "\n".join(parts)


class HeldError(TidegateError):
    """Slices were held: by the gate, or because their files could not be read whole."""

    exit_status = EXIT_HELD


class TryAgainError(TidegateError):
    """It may work when it is tried again, and nobody has to mend anything for that.

    A connection was lost, or others were faster. Airflow tries its task again, and no other fault's.
    """


class FaultsError(TidegateError):
    """A file is wrong. `faults` holds every fault found, one line each.

    Args:
        path: the file.
        faults: what is wrong with it.
        what: it is, such as `the suite`.
    """

    def __init__(self, path: str, faults: list[str], what: str) -> None:
        self.faults = faults
        super().__init__(
            f"{len(faults)} fault{'s' if len(faults) != 1 else ''} in {what}",
            where=path,
            got="; ".join(faults),
            todo="mend the file, then run: tidegate check",
        )


class SourceError(FaultsError):
    """A source file is wrong."""

    def __init__(self, path: str, faults: list[str]) -> None:
        super().__init__(path, faults, "the source file")
