"""Where landed rows are stored: a folder of this machine, or a prefix of the lake's bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.config.settings import S3Access

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
        if not self._root.startswith("s3a://"):
            return Path(self._root) / folder
        return _Prefix(f"{self._root}/{folder}", self._s3)


class _Prefix:
    """A prefix of a bucket."""

    def __init__(self, uri: str, s3: S3Access) -> None:
        self._uri = uri
        self._s3 = s3

    def put(self, path: str, local_file: Path) -> None:
        """Upload a file, in parts where it is large.

        Raises:
            TidegateError: S3 refuses it, or does not answer.
        """
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError

        from tidegate.dumps.dumps import s3_client, s3_error

        bucket, _, prefix = self._uri.removeprefix("s3a://").partition("/")
        try:
            s3_client(self._s3).upload_file(str(local_file), bucket, f"{prefix}/{path}")
        except (BotoCoreError, ClientError, S3UploadFailedError) as error:
            raise s3_error(error, self._s3, bucket, "write", f"{self._uri}/{path}") from error
