"""Errors of boto3 as errors that say what to do. They never hold the secret key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidegate.common.errors import TidegateError, TryAgainError
from tidegate.common.hints import command

if TYPE_CHECKING:
    from tidegate.storage.s3 import S3Access

_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_UNKNOWN_KEY = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken")
_NO_KEY = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}
_UNREACHABLE = {
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    "ProxyConnectionError",
    "SSLError",
    "HTTPClientError",
}
_BUSY = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout")
_OF_THE_BUCKET = ("NoSuchBucket", *_UNKNOWN_KEY, "RequestTimeTooSkewed", "SlowDown")


def error_code(error: Exception) -> str:
    """Return the code of S3's response, such as `NoSuchKey`; empty where there was no response."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def is_about_one_object(error: Exception) -> bool:
    """Return whether an error concerns one object only, for example one that is gone or archived."""
    status = _status(error) or 0
    is_cut = type(error).__name__ == "IncompleteReadError"
    return is_cut or (
        400 <= status < 500 and status != 429 and error_code(error) not in _OF_THE_BUCKET
    )


def s3_error(error: Exception, s3: S3Access, bucket: str, action: str, where: str) -> TidegateError:
    """Return an error of boto3 as one that says what to do.

    Args:
        error: what boto3 raised.
        s3: how S3 was to be reached.
        bucket: the bucket.
        action: what failed, such as `list`, `read` or `write`.
        where: the URI of the object or prefix.
    """
    at = f"{where}, at {s3.endpoint or 'AWS S3'}"
    key = f"access key {s3.access_key}" if s3.access_key else "the credentials that boto3 found"
    code, status = error_code(error), _status(error)
    kinds = {base.__name__ for base in type(error).__mro__}
    if code == "NoSuchBucket":
        return TidegateError(
            f"no such bucket '{bucket}'",
            where=at,
            expected="the bucket that 'dumps' in the source file names",
            got=code,
            todo="make the bucket, correct 'dumps', or check AWS_ENDPOINT_URL (is it the right server?)",
        )
    if code in _UNKNOWN_KEY or code == "AccessDenied" or status == 403:
        return _refused(code, status, at, key, action)
    if kinds & _NO_KEY:
        return TidegateError(
            "no S3 credentials",
            where=at,
            expected="credentials in the environment or another place that boto3 reads",
            got=str(error),
            todo=_KEYS,
        )
    if kinds & _UNREACHABLE:
        return TryAgainError(
            "the S3 endpoint can't be reached",
            where=at,
            expected="an S3 server that answers",
            got=str(error),
            todo=f"start the server ({command('status')}), or correct AWS_ENDPOINT_URL",
        )
    if code in _BUSY or (status is not None and status >= 500):
        return TryAgainError(
            f"S3 could not {action} just now",
            where=at,
            expected="an S3 server that is ready",
            got=f"{code or status}: {error}",
            todo=f"run it again; if the error stays, check the server ({command('status')})",
        )
    return TidegateError(
        f"S3 could not {action}",
        where=at,
        got=f"{code + ': ' if code else ''}{error}",
        todo="correct 'dumps' in the source file, AWS_REGION or AWS_ENDPOINT_URL, and run again",
    )


def _refused(code: str, status: int | None, at: str, key: str, action: str) -> TidegateError:
    """Return the error of a key that is unknown or has too few rights."""
    if code in _UNKNOWN_KEY:
        return TidegateError(
            "wrong S3 credentials",
            where=at,
            expected="credentials that this server knows",
            got=f"{code}, with {key}",
            todo=f"{_KEYS} to a pair of this server's",
        )
    return TidegateError(
        f"S3 refuses to {action}",
        where=at,
        expected="the rights s3:ListBucket and s3:GetObject on the bucket",
        got=f"{code or status}, with {key}",
        todo=f"grant them to this key, or {_KEYS} to another",
    )


def _status(error: Exception) -> int | None:
    status = _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def _response(error: Exception) -> dict[str, Any]:
    """Return S3's response; of errors of the connection, whose attribute is None, an empty one."""
    return getattr(error, "response", None) or {}
