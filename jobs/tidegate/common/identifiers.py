"""What sources and metrics may be called: names that need no quoting in SQL, paths or URLs."""

from __future__ import annotations

import re

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
