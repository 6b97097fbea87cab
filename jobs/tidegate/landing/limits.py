"""How long a record may be, and how much of a longer one is kept."""

from __future__ import annotations

MAX_LINE_BYTES = 1024 * 1024
"""Bytes of a line or record. A longer one is quarantined: Kafka's largest message is as long by default."""

MAX_RAW_BYTES = 64 * 1024
"""Bytes that the quarantine keeps of a record over `MAX_LINE_BYTES`."""
