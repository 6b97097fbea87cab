"""Errors of S3 say what to do, whether there was a response or not."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from tidegate.common.errors import TryAgainError
from tidegate.storage.s3 import Bucket, S3Access
from tidegate.storage.s3_errors import error_code, is_about_one_object

URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "error",
    [ConnectionClosedError(endpoint_url=URL), EndpointConnectionError(endpoint_url=URL)],
    ids=["closed", "refused"],
)
def test_a_connection_that_fails_is_an_error_to_try_again(error: Exception) -> None:
    bucket = Bucket("events", S3Access(URL, "key", "secret"))
    with pytest.raises(TryAgainError, match="can't be reached"), bucket.errors("read", "a.json"):
        raise error
    assert error_code(error) == ""
    assert not is_about_one_object(error)


def test_an_object_that_is_missing_is_no_fault_of_the_server() -> None:
    response = {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
    bucket = Bucket("events", S3Access(URL, "key", "secret"))
    with pytest.raises(FileNotFoundError), bucket.errors("read", "a.json"):
        raise ClientError(response, "GetObject")  # type: ignore[arg-type]
