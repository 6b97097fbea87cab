"""Staged rows are audited and published."""
