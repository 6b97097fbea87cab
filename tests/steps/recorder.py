"""Notifiers of tests: one that keeps what it was told in a file, one that fails."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from airflow.sdk import BaseNotifier


class Recorder(BaseNotifier):
    """Appends what it is told to the file that `TIDEGATE_TEST_TOLD` names."""

    template_fields = ("subject", "text")

    def __init__(self, subject: str, text: str) -> None:
        super().__init__()
        self.subject, self.text = subject, text

    def notify(self, context: Any) -> None:
        told = {"subject": self.subject, "text": self.text, "try": context["dag_run"].run_id}
        with Path(os.environ["TIDEGATE_TEST_TOLD"]).open("a") as file:
            file.write(json.dumps(told) + "\n")


class Mute(BaseNotifier):
    """Fails."""

    def notify(self, context: Any) -> None:
        raise ConnectionError(f"no route to {context['tidegate']['kind']}")
