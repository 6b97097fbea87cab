"""A lost connection is told from what is wrong with files, expressions and rows."""

from __future__ import annotations

import pytest

from tidegate.common.connection_errors import lost

CONNECT = """\
(org.apache.spark.SparkException) [FAILED_READ_FILE.NO_HINT] Encountered error while reading file \
s3a://events/a.json.gz. SQLSTATE: KD001

JVM stacktrace:
org.apache.spark.SparkException
Caused by: software.amazon.awssdk.core.exception.SdkClientException: Unable to execute HTTP request: \
Connect to 127.0.0.1:8333 [/127.0.0.1] failed: Connection refused (SDK Attempt Count: 6)
Caused by: java.net.ConnectException: Connection refused"""
CUT = """\
(org.apache.spark.SparkException) [FAILED_READ_FILE.NO_HINT] Encountered error while reading file \
s3a://events/a.json.gz. SQLSTATE: KD001

JVM stacktrace:
org.apache.spark.SparkException
Caused by: java.io.EOFException: Unexpected end of input stream"""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (CONNECT, "S3"),
        ("(java.net.ConnectException) getFileStatus on s3a://tidegate/lake/p: refused", "S3"),
        (
            "IO Error: Could not connect to server error for HTTP GET to 'http://127.0.0.1:9/t'",
            "S3",
        ),
        (
            "IO Error: DeltaKernel ObjectStoreError (8): Error interacting with object store: Generic S3 "
            "error: Error performing GET http://127.0.0.1:9/x in 4.9s, after 10 retries, max_retries: 10, "
            "retry_timeout: 180s  - HTTP error: error sending request",
            "S3",
        ),
        ("HTTP Error: Request returned HTTP 503 for HTTP GET to 'http://127.0.0.1:9/t'", "S3"),
        (
            '<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails = "…',
            "the Spark server",
        ),
        (
            "[INVALID_HANDLE.SESSION_CHANGED] The handle 1 is invalid. The existing Spark server driver "
            "instance has restarted. Please reconnect. SQLSTATE: HY000",
            "the Spark server",
        ),
        (CUT, None),
        ("HTTP Error: Request returned HTTP 403 for HTTP GET to 'http://127.0.0.1:9/t'", None),
        ("[CAST_INVALID_INPUT] The value 'java.net.ConnectException' can't be cast to INT", None),
        ("Binder Error: Referenced column 'x' not found", None),
    ],
)
def test_an_error_tells_what_does_not_answer(text: str, what: str | None) -> None:
    assert lost(text) == what
    assert lost(RuntimeError(text)) == what
