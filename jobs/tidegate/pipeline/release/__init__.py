"""Versions of tables that belong together."""
