"""Tidegate: hourly event dumps in, audited Delta tables out."""

__version__ = "0.1.0"
