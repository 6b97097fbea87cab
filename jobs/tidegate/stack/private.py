"""Files that only their owner may read: the stack's keys and passwords."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

USER = "admin"
"""The one user of the embedded Airflow."""


def write_private(file: Path, text: str) -> None:
    """Write a file of mode 0600 whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(file.name + ".tmp")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    scratch.replace(file)


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
