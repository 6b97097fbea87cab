"""The pages as HTML: pure functions of what the books say.

Every value is made visible (control characters escaped), cut and escaped on its way out, whatever
the template does with it. A page needs nothing but itself: its style is in it, and it has no script.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Container
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tidegate import __version__
from tidegate.common.errors import TidegateError
from tidegate.common.hints import command, source_word
from tidegate.common.hours import hour_text, parse_hour
from tidegate.common.text_output import text as as_text
from tidegate.common.text_output import visible
from tidegate.query.freshness import minutes_text
from tidegate.query.status import Held
from tidegate.report import charts, explain, numbers
from tidegate.report.audits import Audit, Result
from tidegate.report.bad_lines import RAW, Quarantine
from tidegate.report.catalogue import Catalogue
from tidegate.report.hour import Hour
from tidegate.report.metrics import Metrics, MetricValues
from tidegate.report.names import (
    CATALOGUE,
    DERIVED,
    INDEX,
    METRICS,
    hour_page,
    metric_csv,
    metric_page,
    quarantine_page,
)
from tidegate.report.overview import Overview
from tidegate.report.plot import plot

_CUT = 1_000
STATES = {
    "published": ("P", "readable in warehouse/events"),
    "held": ("H", "failed a critical expectation"),
    "unreadable": ("U", "held: a file is cut or damaged"),
    "waiting": ("W", "landed, not published yet"),
    "missing": ("M", "never landed, but later hours"),
    "late": ("L", "not landed, an hour after its end"),
}
"""The states of an hour: the letter for it, and what it means."""


@dataclass(frozen=True)
class Reach:
    """Which pages there are to lead to.

    Attributes:
        root: the way from the page to the first one, such as `../../`.
        hours: the hours (source, hour) that have a page; None for all.
        paged: whether earlier weeks can be asked for.
        airflow: the way to Airflow's own pages; None where there is none.
    """

    root: str = ""
    hours: Container[tuple[str, datetime]] | None = None
    paged: bool = True
    airflow: str | None = None

    def run(self, run_id: str | None) -> str | None:
        """Return the link to a run, named as `DAG/RUN`; None for one that is not Airflow's."""
        if self.airflow is None or run_id is None:
            return None
        dag, slash, run = run_id.partition("/")
        return (
            f"{self.airflow}dags/{quote(dag, safe='')}/runs/{quote(run, safe='')}"
            if slash
            else None
        )

    def dag(self, name: str) -> str | None:
        """Return the link to a DAG."""
        return None if self.airflow is None else f"{self.airflow}dags/{quote(name, safe='')}"

    def hour(self, source: str, hour: datetime) -> str | None:
        """Return the link to an hour, or None where it has no page."""
        if self.hours is not None and (source, hour) not in self.hours:
            return None
        return self.root + hour_page(source, hour)

    def held(self, held: Held) -> str | None:
        """Return the link to what is held, or None where it has no page."""
        if held.table_name != "events":
            return self.root + DERIVED
        return self.hour(held.source, parse_hour(held.slice))

    def quarantine(self, source: str) -> str:
        """Return the link to a source's bad lines."""
        return self.root + quarantine_page(source)

    def metric(self, name: str) -> str:
        """Return the link to a metric."""
        return self.root + metric_page(name)

    def csv(self, name: str) -> str:
        """Return the link to a metric's rows."""
        return self.root + metric_csv(name)

    def day(self, day: datetime) -> str | None:
        """Return the link to the hours of a day, or None where earlier days can't be asked for."""
        return self.to(self.root + INDEX, day.date())

    def to(self, page: str, day: date | None) -> str | None:
        """Return the link to a page's days up to one; None where there are none, or no such page."""
        return f"{page}?to={day.isoformat()}" if self.paged and day is not None else None


@dataclass(frozen=True)
class Written:
    """When and of which lake a page was made."""

    at: datetime
    lake: str


def overview(found: Overview, written: Written, reach: Reach) -> str:
    """Return the first page."""
    return _render("overview.html", written, reach, found=found)


def hour(found: Hour, written: Written, reach: Reach) -> str:
    """Return the page of an hour of a source."""
    landing = found.landings[0] if found.landings else None
    at = hour_text(found.hour)
    return _render(
        "hour.html",
        written,
        reach,
        found=found,
        plots=_Plots(found),
        sentence=explain.sentence(found),
        again=command("run", source_word(found.source), "--from", at, "--to", at),
        approve=command("approve", f"{found.source}/{at}", "--reason", "…", source=found.source),
        remedy=lambda result: explain.remedy(result, landing),
    )


def quarantine(found: Quarantine, written: Written, reach: Reach) -> str:
    """Return the page of a source's bad lines."""
    return _render("quarantine.html", written, reach, found=found)


def derived(audits: tuple[Audit, ...], written: Written, reach: Reach) -> str:
    """Return the page of the audits of derived tables."""
    return _render("derived.html", written, reach, audits=audits)


def catalogue(found: Catalogue, written: Written, reach: Reach) -> str:
    """Return the page of all that can be queried."""
    known = {each.name for each in (*found.tables, *found.views, *found.metrics, *found.books)}
    return _render("catalogue.html", written, reach, found=found, known=known)


def metrics(found: Metrics, written: Written, reach: Reach) -> str:
    """Return the page of all metrics."""
    return _render(
        "metrics.html", written, reach, found=found, chart=charts.chart, heat=charts.heat_map
    )


def metric(found: Metrics, one: MetricValues, written: Written, reach: Reach) -> str:
    """Return the page of a metric."""
    values = {"found": found, "one": one, "chart": charts.chart, "heat": charts.heat_map}
    return _render("metric.html", written, reach, sql=_formatted(one.sql), **values)


def fault(status: int, error: TidegateError, reach: Reach) -> str:
    """Return a page that says what went wrong, with its HTTP status."""
    return _ENVIRONMENT.get_template("fault.html").render(status=status, error=error, reach=reach)


class _Plots:
    """The plots of an hour's page: large for what was not met, small for the rest."""

    def __init__(self, found: Hour) -> None:
        self._found = found

    def __call__(self, result: Result, *, small: bool) -> Markup | None:
        """Return the plot of a result's number, None where it has none."""
        history = self._found.histories.get(result.key)
        if history is None:
            return None
        return plot(_shown(result.expectation), history, self._found.hour, small=small)


def _render(template: str, written: Written, reach: Reach, **values: Any) -> str:
    return _ENVIRONMENT.get_template(template).render(written=written, reach=reach, **values)


def _formatted(query: str) -> str:
    """Return a query on several lines, as it is where that fails."""
    import sqlglot

    try:
        return sqlglot.transpile(query, read="duckdb", write="duckdb", pretty=True)[0]
    except sqlglot.errors.SqlglotError:
        return query


def _shown(value: object) -> str:
    """Return a value as what a reader sees of it."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return numbers.NONE
    shown = as_text(value) or ""
    return visible(shown) if len(shown) <= _CUT else visible(shown[:_CUT]) + "…"


def _environment() -> Environment:
    loader = PackageLoader("tidegate.report")
    made = Environment(
        loader=loader,
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, _, _ = loader.get_source(made, "report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    made.filters |= {
        "number": numbers.number,
        "size": numbers.size,
        "time": numbers.time,
        "percent": numbers.percent,
        "in_unit": numbers.in_unit,
        "hour": hour_text,
        "minutes": minutes_text,
    }
    made.globals |= {
        "style": Markup(style),  # noqa: S704 - our own file
        "policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'",
        "states": STATES,
        "raw_cut": RAW,
        "version": __version__,
        "index": INDEX,
        "derived": DERIVED,
        "catalogue": CATALOGUE,
        "metrics_page": METRICS,
    }
    return made


_ENVIRONMENT = _environment()
POLICY = str(_ENVIRONMENT.globals["policy"])
"""The Content-Security-Policy of every page: nothing but its own style."""
