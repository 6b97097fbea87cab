"""The engine: what computes rows. Only its modules make a Spark session."""

from __future__ import annotations

from tidegate.engine.spark import LARGE_ROWS, connect, fit, scratch, session

__all__ = ["LARGE_ROWS", "connect", "fit", "scratch", "session"]
