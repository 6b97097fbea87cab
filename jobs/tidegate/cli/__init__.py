"""The command line: `tidegate …`. Each module holds the commands of one concern."""

from __future__ import annotations

from tidegate.cli.app import main

__all__ = ["main"]
