"""Where each page is, below the first one; in Airflow and as files alike."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from tidegate.common.hours import hour_text

PREFIX = "/tidegate"
"""Where Airflow's API server has the pages."""
ROUTE = "tidegate"
"""The name of the frame in Airflow's UI that shows them: `/plugin/<ROUTE>`."""
INDEX = "index.html"
DERIVED = "derived.html"
CATALOGUE = "catalogue.html"
METRICS = "metrics.html"


def hour_page(source: str, hour: datetime) -> str:
    """Return where the page of an hour of a source is."""
    return f"hours/{quote(source, safe='')}/{hour_text(hour)}.html"


def quarantine_page(source: str) -> str:
    """Return where the page of a source's bad lines is."""
    return f"quarantine/{quote(source, safe='')}.html"


def metric_page(name: str) -> str:
    """Return where the page of a metric is."""
    return f"metrics/{quote(name, safe='')}.html"


def metric_csv(name: str) -> str:
    """Return where the rows of a metric are as CSV."""
    return f"metrics/{quote(name, safe='')}.csv"


def table_page(name: str) -> str:
    """Return where the page of a table is."""
    return f"tables/{quote(name, safe='')}.html"
