"""The pages as a web application that Airflow's API server carries, closed to who is not logged in."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException as NoRouteError

from tidegate.common.errors import TidegateError
from tidegate.config.settings import load_settings
from tidegate.report import pages
from tidegate.report.addresses import (
    UnknownPageError,
    parse_day,
    parse_page_hour,
    parse_source,
)
from tidegate.report.metrics import Metrics, csv_of
from tidegate.report.pages import Reach, Written
from tidegate.report.reader import Reader, open_reader

_HEADERS = {
    "Content-Security-Policy": f"{pages.POLICY}; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",  # Airflow's UI shows the pages in a frame of its own
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOG = logging.getLogger(__name__)
# A query takes all cores and may take much memory: one page at a time. Who waits holds no thread,
# since Airflow's own API has just some.
_ALONE = CapacityLimiter(1)
# Metrics read whole tables, so they are kept until something is landed, audited, published or released.
_COMPUTED: dict[tuple[object, ...], Metrics] = {}

Next = Callable[[Request], Awaitable[Response]]

app = FastAPI(title="Tidegate", docs_url=None, redoc_url=None, openapi_url=None)


@app.middleware("http")
async def guard(request: Request, follow: Next) -> Response:
    """Answer only who is logged in to Airflow, whatever the route, and only with safe headers."""
    if not await _is_logged_in(request):
        error = TidegateError("log in to Airflow first", todo="open Airflow and log in there")
        answer: Response = _fault(request, 401, error)
    else:
        try:
            answer = await follow(request)
        except TidegateError as error:
            answer = _fault(request, 503, error)
        except Exception:
            _LOG.exception("a page failed")
            answer = _fault(request, 500, TidegateError("the page failed; Airflow's log has why"))
    answer.headers.update(_HEADERS)
    return answer


async def _is_logged_in(request: Request) -> bool:
    try:
        # Airflow's own way to learn who asks: the header's token, else the cookie's.
        await get_user(request, None, await bearer_scheme(request))
    except HTTPException:
        return False
    return True


@app.exception_handler(UnknownPageError)
async def unknown(request: Request, error: UnknownPageError) -> Response:
    """Answer 404 with a page."""
    return _fault(request, 404, error)


@app.exception_handler(NoRouteError)
async def no_route(request: Request, error: NoRouteError) -> Response:
    """Answer with a page where there is none, or where something else than reading was asked for."""
    return _fault(
        request, error.status_code, TidegateError(f"there is no such page: {error.detail}")
    )


@app.get("/")
@app.get("/index.html")
async def overview(to: str | None = None) -> Response:
    """Show the hours of all sources."""
    day = parse_day(to) if to is not None else None
    return await _page(
        lambda reader, written: pages.overview(reader.overview(written.at, day), written, _reach())
    )


@app.get("/hours/{source}/{hour}.html")
async def hour(source: str, hour: str) -> Response:
    """Show an hour of a source."""
    asked = parse_source(source), parse_page_hour(hour)
    return await _page(
        lambda reader, written: pages.hour(
            reader.hour(*asked, written.at), written, _reach("../../")
        )
    )


@app.get("/quarantine/{source}.html")
async def quarantine(source: str, to: str | None = None) -> Response:
    """Show the bad lines of a source."""
    name, day = parse_source(source), parse_day(to) if to is not None else None
    return await _page(
        lambda reader, written: pages.quarantine(
            reader.quarantine(name, day), written, _reach("../")
        )
    )


@app.get("/derived.html")
async def derived() -> Response:
    """Show the audits of derived tables."""
    return await _page(lambda reader, written: pages.derived(reader.derived(), written, _reach()))


@app.get("/catalogue.html")
async def catalogue() -> Response:
    """Show what can be queried, and what it means."""
    return await _page(
        lambda reader, written: pages.catalogue(reader.catalogue(), written, _reach())
    )


@app.get("/metrics.html")
async def metrics() -> Response:
    """Show every metric of the release as a chart."""
    return await _page(lambda reader, written: pages.metrics(_metrics(reader), written, _reach()))


@app.get("/metrics/{name}.html")
async def metric(name: str) -> Response:
    """Show a metric: its chart, values, definition, query and what it is made from."""

    def make(reader: Reader, written: Written) -> str:
        found = _metrics(reader)
        return pages.metric(found, found.named(name), written, _reach("../"))

    return await _page(make)


@app.get("/metrics/{name}.csv")
async def metric_csv(name: str) -> Response:
    """Send the rows of a metric as CSV."""
    answer = await _page(lambda reader, _: csv_of(_metrics(reader).named(name)))
    return Response(
        answer.body, media_type="text/csv", headers={"Content-Disposition": "attachment"}
    )


def _metrics(reader: Reader) -> Metrics:
    """Return the metrics of the release that a reader shows: they are computed once a state of the lake."""
    state = reader.state()
    if state not in _COMPUTED:
        made = reader.metrics()
        _COMPUTED.clear()
        _COMPUTED[state] = made
    return _COMPUTED[state]


def _reach(root: str = "") -> Reach:
    """Return which pages lead where, from a page to the first one; Airflow's own are above that."""
    return Reach(root=root, airflow=f"{root}../")


async def _page(make: Callable[[Reader, Written], str]) -> Response:
    def work() -> str:
        settings = load_settings()
        with open_reader(settings) as reader:
            return make(reader, Written(datetime.now(UTC), settings.lake))

    return HTMLResponse(await to_thread.run_sync(work, limiter=_ALONE))


def _fault(request: Request, status: int, error: TidegateError) -> Response:
    # The path has the prefix under which the application is mounted.
    below = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    root = "../" * (below.count("/") - 1)
    return HTMLResponse(pages.fault(status, error, Reach(root=root)), status)
