"""Where landed rows are stored: a folder of this machine, or a prefix of the lake's bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.storage.s3 import Bucket, S3Access, is_s3, split_uri

if TYPE_CHECKING:
    from tidegate.landing.staging import Target


class StagingStore:
    """Folders of a lake that landed rows go to. It can be pickled.

    Args:
        root: URI or absolute path of the lake.
        s3: how S3 is reached.
    """

    def __init__(self, root: str, s3: S3Access) -> None:
        self._root = root
        self._s3 = s3

    def target(self, folder: str) -> Path | Target:
        """Return where files of a folder go.

        Args:
            folder: below the lake, or an absolute path of this machine.
        """
        if folder.startswith("/"):
            return Path(folder)
        if not is_s3(self._root):
            return Path(self._root) / folder
        return _Prefix(f"{self._root}/{folder}", self._s3)


class _Prefix:
    """A prefix of a bucket."""

    def __init__(self, uri: str, s3: S3Access) -> None:
        bucket, self._prefix = split_uri(uri)
        self._bucket = Bucket(bucket, s3)

    def put(self, path: str, local_file: Path) -> None:
        """Upload a file, in parts where it is large.

        Raises:
            TidegateError: S3 refuses it, or does not answer.
        """
        self._bucket.upload(f"{self._prefix}/{path}", local_file)
