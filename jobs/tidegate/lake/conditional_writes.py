"""A test of an S3 store before a lake on it is written: whether it refuses a second object under one key."""

from __future__ import annotations

from uuid import uuid4

from tidegate.common.errors import TidegateError
from tidegate.storage.s3 import Bucket, S3Access, split_uri


def check_conditional_writes(lake: str, s3: S3Access) -> None:
    """Refuse a store that lets two writers create one object: they would lose each other's commits.

    The object of the test is deleted; where the process is killed in between, maintenance of staging deletes it.

    Args:
        lake: URI of the lake.
        s3: how S3 is reached.

    Raises:
        TidegateError: the store does so, or can't be written.
        TryAgainError: it does not answer.
    """
    name, prefix = split_uri(lake)
    bucket = Bucket(name, s3)
    key = f"{prefix.rstrip('/')}/staging/probe/s3/{uuid4().hex}/object".lstrip("/")
    try:
        bucket.create(key, b"1")
        is_refused = not bucket.create(key, b"2")
    finally:
        bucket.delete(key)
    if not is_refused:
        raise TidegateError(
            "this S3 server lets two writers create one object",
            where=f"s3://{name}/{key}, at {s3.endpoint or 'AWS S3'}",
            expected="an S3 server that refuses the second PUT with If-None-Match: two processes could lose each "
            "other's commits without it",
            got="two PUTs that both succeeded",
            todo="use a newer version of the S3 server, or a lake in a local folder",
        )
