"""Files and folders that only their owner may read: the stack's keys and passwords, and what passes."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

USER = "admin"
"""The one user of the embedded Airflow."""
ANALYST = "analyst"
"""The one user of the SQL server."""


def write_private(file: Path, text: str) -> None:
    """Write a file of mode 0600 whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(file.name + ".tmp")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    scratch.replace(file)


def own_folder(parent: Path, kind: str) -> Path:
    """Make a folder of this process's own; clear away those of its kind whose processes were killed."""
    for left in parent.glob(f"{kind}-*"):
        owner = left.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{kind}-{os.getpid()}-", dir=parent))


@dataclass(frozen=True)
class Secrets:
    """What the services of one state folder know each other by.

    Attributes:
        s3_access_key: the S3 server's only identity.
        s3_secret_key: its secret.
        password: of Airflow's user.
        jwt: signs the tokens of Airflow's API.
        fernet: encrypts the connections in Airflow's database.
        session: signs Airflow's cookies.
    """

    s3_access_key: str
    s3_secret_key: str
    password: str
    jwt: str
    fernet: str
    session: str


def load_secrets(home: Path) -> Secrets:
    """Return the secrets of a state folder; the first time, make them up."""
    file = home / "secrets.json"
    try:
        return Secrets(**json.loads(file.read_text()))
    except FileNotFoundError:
        made = Secrets(
            s3_access_key=secrets.token_hex(10),
            s3_secret_key=secrets.token_hex(20),
            password=secrets.token_urlsafe(12),
            jwt=secrets.token_hex(32),
            fernet=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            session=secrets.token_hex(32),
        )
        write_private(file, json.dumps(asdict(made)))
        return made


@dataclass(frozen=True)
class SqlSecrets:
    """What the SQL server of a state folder is reached by, and what it reaches the lake by.

    Attributes:
        password: of its user.
        s3_access_key: an identity of the S3 server's that may only read published tables and books.
        s3_secret_key: its secret.
    """

    password: str
    s3_access_key: str
    s3_secret_key: str


def sql_password_file(home: Path) -> Path:
    """Return the file that holds the password of the SQL server's user, and nothing else."""
    return home / "sql.password"


def load_sql_secrets(home: Path) -> SqlSecrets:
    """Return the SQL server's secrets; the first time, make them up.

    Whoever removes the file of the password gets a new one.
    """
    asked, keys = sql_password_file(home), home / "sql_keys.json"
    if not asked.exists():
        write_private(asked, secrets.token_urlsafe(12) + "\n")
    if not keys.exists():
        made = {"s3_access_key": secrets.token_hex(10), "s3_secret_key": secrets.token_hex(20)}
        write_private(keys, json.dumps(made))
    return SqlSecrets(password=asked.read_text().strip(), **json.loads(keys.read_text()))
