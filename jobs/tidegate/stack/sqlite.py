"""How the embedded Airflow opens its SQLite database; `airflow.cfg` names this by its path."""

CONNECT_ARGS = {"timeout": 60}
"""Seconds to wait for another process's lock (5 by default, too few on a busy machine)."""
