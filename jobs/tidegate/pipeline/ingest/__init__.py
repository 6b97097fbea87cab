"""Dumps become staged rows."""
