"""Whether an error is that of a lost connection, to the Spark server or to S3.

Then nobody's data are to blame: no file is unreadable for it and no check has failed, and the same may work
when it is tried again. Spark, Delta and DuckDB tell it by their messages only.
"""

from __future__ import annotations

import re
from typing import Literal

Lost = Literal["the Spark server", "S3"]

_SPARK = (
    # The client's connection.
    "StatusCode.UNAVAILABLE",
    "failed to connect to all addresses",
    "Cannot invoke RPC on closed channel",
    # Another server answers at the address of the one that had the session.
    "INVALID_HANDLE.SESSION_CHANGED",
    "INVALID_HANDLE.SESSION_NOT_FOUND",
    "[RESPONSE_ALREADY_RECEIVED]",
    "[NO_ACTIVE_SESSION]",
    # It still answers, and is about to end.
    "Cannot call methods on a stopped SparkContext",
    "SparkContext was shut down",
)
_JAVA = re.compile(
    # A class at the head of a message, or of a cause: what is quoted further on may be data.
    r"^(?:Caused by: |\()?(?:"
    r"java\.net\.(?:Connect|NoRouteToHost|Socket|SocketTimeout|UnknownHost)Exception"
    r"|org\.apache\.http\.(?:\w+\.)*(?:HttpHostConnect|ConnectTimeout|ConnectionClosed|NoHttpResponse)"
    r"Exception"
    r"|software\.amazon\.awssdk\.core\.exception\.ApiCall\w*TimeoutException"
    r"|software\.amazon\.awssdk\.core\.exception\.SdkClientException: Unable to execute HTTP request"
    r"|org\.apache\.hadoop\.fs\.s3a\.(?:AWSStatus500|AWSServiceThrottled|AWSNoResponse"
    r"|AWSApiCallTimeout)Exception"
    r")",
    re.MULTILINE,
)
_DUCKDB = re.compile(
    r"^(?:IO|HTTP) Error: .*(?:"
    r"(?:Could not connect to server|Could not resolve host\w*|Server returned nothing[^']*"
    r"|Failure when receiving data from the peer|Failed sending data to the peer"
    r"|Timeout was reached)(?: error)? for HTTP"
    r"|HTTP error: error sending request|Request returned HTTP 5\d\d"
    r"|non-2xx status code: 5\d\d)",
    re.MULTILINE,
)


def lost(error: BaseException | str) -> Lost | None:
    """Return what an error says does not answer; None where it says something else."""
    text = str(error)
    if any(sign in text for sign in _SPARK):
        return "the Spark server"
    return "S3" if _JAVA.search(text) or _DUCKDB.search(text) else None
