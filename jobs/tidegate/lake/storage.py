"""Where the Delta tables of a lake are stored: their URIs, and how delta-rs reaches them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hints import command
from tidegate.storage.s3 import S3Access, is_s3

REQUEST_TIMEOUT_S = 60
"""Seconds that one request to S3 may take."""
RETRY_TIMEOUT_S = 30
"""Seconds within which delta-rs repeats a request that failed on the way."""
_RETRIES = 6
_NO_ROOM = ("No space left", "os error 28", "Disk quota", "XMinioStorageFull")


@dataclass(frozen=True)
class Storage:
    """The storage of one lake.

    Attributes:
        root: an absolute path, or `s3a://bucket/prefix`.
        s3: how S3 is reached.
    """

    root: str
    s3: S3Access

    @property
    def is_s3(self) -> bool:
        """Whether the lake is on S3."""
        return is_s3(self.root)

    @property
    def options(self) -> dict[str, str]:
        """What delta-rs has to know to reach the lake."""
        return storage_options(self.s3) if self.is_s3 else {}

    def uri(self, place: str) -> str:
        """Return the URI, or the path, of a place below the lake, as delta-rs takes it.

        Raises:
            TidegateError: the lake is neither on S3 nor in a local folder.
        """
        if not self.is_s3 and "://" in self.root:
            raise TidegateError(
                "delta-rs cannot write this lake",
                where=self.root,
                expected="a lake on S3 (s3://bucket/prefix) or in a local folder",
                got=f"an address that begins with {self.root.partition('://')[0]}://",
                todo="move the lake to S3 or to a local folder, or use --engine spark",
            )
        return f"{self.root.replace('s3a://', 's3://', 1)}/{place}"


def storage_options(s3: S3Access) -> dict[str, str]:
    """Return delta-rs's options for a way to reach S3.

    Without keys, delta-rs looks for credentials where the AWS SDK does.
    """
    options = {
        "AWS_REGION": s3.region,
        "timeout": f"{REQUEST_TIMEOUT_S}s",
        "connect_timeout": "5s",
        "max_retries": str(_RETRIES),
        "retry_timeout": f"{RETRY_TIMEOUT_S}s",
    }
    if s3.access_key is not None and s3.secret_key is not None:
        options["AWS_ACCESS_KEY_ID"] = s3.access_key
        options["AWS_SECRET_ACCESS_KEY"] = s3.secret_key
    if s3.url is not None:
        options["AWS_ENDPOINT_URL"] = s3.url
        options["AWS_ALLOW_HTTP"] = str(s3.url.startswith("http://")).lower()
    return options


def storage_error(error: Exception, doing: str, where: str) -> TidegateError:
    """Return an error of delta-rs or of its storage as one that says what to do.

    Args:
        error: what delta-rs raised.
        doing: what failed, such as `a table's log cannot be read`.
        where: the table.
    """
    text = short_text(error)
    if any(sign in str(error) for sign in _NO_ROOM):
        return TidegateError(
            doing,
            where=where,
            expected="room on the disk",
            got=text,
            todo="free some space, then run the step again",
        )
    if isinstance(error, PermissionError):
        return TidegateError(
            doing,
            where=where,
            expected="the right to read and write the lake",
            got=text,
            todo="check the credentials, or the owner of the folder",
        )
    return TryAgainError(
        doing,
        where=where,
        expected="S3, or the disk, to answer",
        got=text,
        todo=f"check that the storage runs ({command('status')}), then run the step again",
    )


def short_text(error: BaseException) -> str:
    """Return the message of an error of delta-rs in one line, without colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).replace("↳", "")
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return ": ".join(lines)[:500] or type(error).__name__
