"""The key of hashed personal data: found in the environment or the state folder, never anywhere else.

The lake knows it by its fingerprint only.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.common.errors import TidegateError
from tidegate.common.hints import command, source_word

if TYPE_CHECKING:
    from tidegate.config.source import Source

VARIABLE = "TIDEGATE_PII_KEY"
LEAST_BYTES = 32
_LABEL = b"tidegate: the fingerprint of a key of personal data"
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
MAKE = "python3 -c 'import secrets; print(secrets.token_hex(32))'"
"""A command that prints a new key."""


@dataclass(frozen=True)
class PiiKey:
    """A secret that values are hashed by (HMAC-SHA-256, RFC 2104). It does not show itself.

    Attributes:
        secret: the key.
    """

    secret: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """16 hex digits by which the books know the key; nothing can be hashed by them."""
        return hmac.new(self.secret, _LABEL, hashlib.sha256).hexdigest()[:16]


def key_file(home: Path) -> Path:
    """Return where a state folder keeps its key."""
    return home / "pii.key"


def find_key(home: Path) -> PiiKey | None:
    """Return the key of `TIDEGATE_PII_KEY`, else of the state folder; None where there is none.

    Raises:
        TidegateError: what is there is no key, or others can read its file.
    """
    told = os.environ.get(VARIABLE)
    if told:
        return _parse(told, VARIABLE)
    file = key_file(home)
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TidegateError(
            "the key of hashed personal data can't be read",
            where=str(file),
            got=error.strerror,
            todo=f"run as the user who made it, or set {VARIABLE}",
        ) from error
    if mode & 0o077:
        raise TidegateError(
            "others can read the key of hashed personal data",
            where=str(file),
            expected="mode 0600",
            got=f"mode {mode:04o}",
            todo=f"chmod 600 {file}",
        )
    return _parse(text, str(file))


def make_key(home: Path) -> PiiKey:
    """Make a state folder's key at random, and return it; of several who do so at once, one's is taken.

    Raises:
        TidegateError: it can't be written, or as `find_key`.
    """
    try:
        _write_first(key_file(home))
    except OSError as error:
        raise TidegateError(
            "a key for hashed personal data can't be written",
            where=str(key_file(home)),
            expected="a folder that this user may write",
            got=error.strerror,
            todo=f"mend its rights, or set {VARIABLE} to the output of: {MAKE}",
        ) from error
    made = find_key(home)
    assert made is not None
    return made


def _write_first(file: Path) -> None:
    """Write a new key, whole and for its owner only, unless there is one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_hex(LEAST_BYTES) + "\n")
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):  # somebody was faster: theirs is read below
            os.link(scratch, file)
    finally:
        scratch.unlink(missing_ok=True)


def with_known_key(source: Source, home: Path) -> Source:
    """Return a source that knows its key's fingerprint where there is a key here; none is made."""
    if source.pii_key is not None or not source.hashes:
        return source
    key = find_key(home)
    return source if key is None else source.keyed(key.fingerprint)


def lost_key_error(home: Path, fingerprint: str) -> TidegateError:
    """Return the error of a lake whose values were hashed by a key that is not here."""
    return TidegateError(
        "the key that personal data of this lake, or ids of erased persons, were hashed by is not here",
        where=f"{VARIABLE}, {key_file(home)}",
        expected=f"the key with the fingerprint {fingerprint}",
        got="none",
        todo=f"bring the file pii.key from the machine that made it (mode 0600), or set {VARIABLE}. If it "
        f"is lost, set a new one ({MAKE}) and rebuild all by it: {command('rebuild')}; where persons were "
        "erased, nothing is landed without it",
    )


def other_key_error(source: Source, key: PiiKey) -> TidegateError:
    """Return the error of a source whose events were hashed by another key than the one that is here."""
    return TidegateError(
        f"the events of {source.source} were hashed by another key than the one that is here",
        where=VARIABLE if os.environ.get(VARIABLE) else "pii.key in the state folder",
        expected=f"the key with the fingerprint {source.pii_key}",
        got=f"one with the fingerprint {key.fingerprint}",
        todo="bring the other key back; or hash all anew by the one that is here, from the dumps: "
        + command("rebuild", "events", source_word(source.source)),
    )


def _parse(text: str, where: str) -> PiiKey:
    """Return the key that a text says. Its faults are told without any of it."""
    told = text.strip()
    if not _HEX.fullmatch(told):
        got = "an odd number of hex digits" if re.fullmatch("[0-9a-fA-F]+", told) else "other text"
    elif len(told) < 2 * LEAST_BYTES:
        got = f"{len(told)} hex digits"
    else:
        return PiiKey(bytes.fromhex(told))
    raise TidegateError(
        "no key for hashed personal data",
        where=where,
        expected=f"at least {2 * LEAST_BYTES} hex digits ({LEAST_BYTES} bytes)",
        got=got if told else "nothing",
        todo=f"bring the right one; a new one comes from: {MAKE}",
    )
