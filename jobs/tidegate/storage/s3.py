"""A bucket of S3: the only place that uses boto3.

Whatever boto3 raises becomes an error that says what to do, and that never holds the secret key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from mimetypes import guess_type
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tidegate.storage.s3_errors import error_code, s3_error

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PaginatorConfigTypeDef

THREADS = 8
"""Requests that one step sends at the same time."""
_PAGE = 1000
"""Objects on a page of a listing: the most that S3 returns."""
_MISSING = ("NoSuchKey", "404", "NotFound")
_EXISTS = (409, 412)


@dataclass(frozen=True)
class S3Access:
    """How to reach S3. With `endpoint` None it is AWS itself and boto3's own chain of credentials."""

    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    region: str = "us-east-1"

    @property
    def url(self) -> str | None:
        """The endpoint with its scheme, which is HTTPS where it names none; None for AWS itself."""
        if self.endpoint is None or "://" in self.endpoint:
            return self.endpoint
        return f"https://{self.endpoint}"


@dataclass(frozen=True)
class S3Object:
    """An object of a listing.

    Attributes:
        key: its key.
        size: bytes.
        etag: its ETag without quotes.
        modified: when it was written; aware, UTC.
    """

    key: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Listing:
    """The objects below a prefix.

    Attributes:
        objects: in the order of their keys.
        folders: prefixes of further objects, where a delimiter was given.
        listed_at: the server's time; None if the response has none.
    """

    objects: list[S3Object]
    folders: list[str]
    listed_at: datetime | None


class Bucket:
    """A bucket. It can be pickled; each process has its own client.

    Args:
        name: its name.
        s3: how S3 is reached.
        is_probe: whether requests fail after one attempt of a few seconds.
    """

    def __init__(self, name: str, s3: S3Access, *, is_probe: bool = False) -> None:
        self.name = name
        self.s3 = s3
        self._is_probe = is_probe

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "client"}

    @cached_property
    def client(self) -> S3Client:
        """The client; requests through it belong into `errors`."""
        return s3_client(self.s3, is_probe=self._is_probe)

    @contextmanager
    def errors(self, action: str, key: str = "") -> Iterator[None]:
        """Translate the errors of requests within a block.

        Args:
            action: what is done, such as `list`, `read` or `write`.
            key: the object or prefix.

        Raises:
            FileNotFoundError: there is no such object.
            TidegateError: S3 refuses the request, or can't be reached.
        """
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"s3://{self.name}/{key}"
        try:
            yield
        # boto3 raises a ValueError for an endpoint that is no URL.
        except (BotoCoreError, Boto3Error, ClientError, ValueError) as error:
            if error_code(error) in _MISSING:
                raise FileNotFoundError(where) from error
            raise s3_error(error, self.s3, self.name, action, where) from error

    def list(self, prefix: str, delimiter: str = "", most: int | None = None) -> Listing:
        """Return the objects whose keys begin with a prefix.

        Args:
            prefix: of the keys.
            delimiter: keys that have it after the prefix are returned as folders.
            most: objects and folders to return at most.

        Raises:
            TidegateError: the bucket can't be listed.
        """
        found = Listing([], [], None)
        config: PaginatorConfigTypeDef = {"PageSize": _PAGE}
        if most is not None:
            config["MaxItems"] = most
        with self.errors("list", prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix, Delimiter=delimiter, PaginationConfig=config
            )
            for page in pages:
                date = page["ResponseMetadata"]["HTTPHeaders"].get("date")
                found.folders.extend(folder["Prefix"] for folder in page.get("CommonPrefixes", []))
                found.objects.extend(
                    S3Object(
                        item["Key"],
                        item["Size"],
                        item["ETag"].strip('"'),
                        item["LastModified"].astimezone(UTC),
                    )
                    for item in page.get("Contents", [])
                )
                found = Listing(
                    found.objects, found.folders, parsedate_to_datetime(date) if date else None
                )
        return found

    def get(self, key: str, *, span: str | None = None, etag: str | None = None) -> StreamingBody:
        """Return an object as a stream; reading from it belongs into `errors`.

        Args:
            key: its key.
            span: the only bytes wanted, such as `bytes=0-99`.
            etag: the only ETag wanted, without quotes.

        Raises:
            FileNotFoundError: there is no such object.
            TidegateError: it can't be read, or has another ETag.
        """
        wanted: dict[str, Any] = {}
        if span is not None:
            wanted["Range"] = span
        if etag is not None:
            wanted["IfMatch"] = f'"{etag}"'
        with self.errors("read", key):
            return self.client.get_object(Bucket=self.name, Key=key, **wanted)["Body"]

    def put(self, key: str, body: bytes) -> None:
        """Write an object.

        Raises:
            TidegateError: it can't be written.
        """
        with self.errors("write", key):
            kind = guess_type(key)[0] or "application/octet-stream"
            self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=kind)

    def create(self, key: str, body: bytes) -> bool:
        """Write an object if there is none of its key, and return whether it was written.

        Raises:
            TidegateError: it can't be written.
        """
        from botocore.exceptions import ClientError

        with self.errors("write", key):
            try:
                self.client.put_object(Bucket=self.name, Key=key, Body=body, IfNoneMatch="*")
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in _EXISTS:
                    return False
                raise
        return True

    def put_all(self, bodies: Mapping[str, bytes]) -> None:
        """Write objects by key, some at the same time.

        Raises:
            TidegateError: one can't be written.
        """
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            list(pool.map(lambda key: self.put(key, bodies[key]), bodies))

    def upload(self, key: str, file: Path | IO[bytes]) -> None:
        """Write a file as an object, in parts where it is large.

        Raises:
            TidegateError: it can't be written.
        """
        with self.errors("write", key):
            if isinstance(file, Path):
                self.client.upload_file(str(file), self.name, key)
            else:
                self.client.upload_fileobj(file, self.name, key)

    def delete(self, key: str) -> None:
        """Delete an object. An object that is gone already is no error.

        Raises:
            TidegateError: it can't be deleted.
        """
        with self.errors("delete", key):
            self.client.delete_object(Bucket=self.name, Key=key)


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key` or `s3a://bucket/key`."""
    bucket, _, key = uri.split("://", 1)[1].partition("/")
    return bucket, key


def is_s3(uri: str) -> bool:
    """Return whether an address is one on S3."""
    return uri.startswith(("s3://", "s3a://"))


@lru_cache(maxsize=8)
def s3_client(s3: S3Access, *, is_probe: bool = False) -> S3Client:
    """Return the client for a way to reach S3; making one takes longer than a request."""
    import boto3
    from botocore.config import Config

    host = urlsplit(s3.endpoint).hostname if s3.endpoint else None
    config = Config(
        connect_timeout=2 if is_probe else 5,
        read_timeout=5 if is_probe else 60,
        retries={"mode": "standard", "total_max_attempts": 1 if is_probe else 3},
        max_pool_connections=2 * THREADS,
        # Servers of one's own rarely have a host name a bucket, and may not know the newest
        # checksums.
        s3={"addressing_style": "path" if s3.endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # An HTTP proxy of the environment can't reach this machine's own loopback.
        proxies={} if host in ("127.0.0.1", "localhost", "::1") else None,
    )
    session = boto3.session.Session(
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
    )
    return session.client("s3", endpoint_url=s3.endpoint, config=config)
