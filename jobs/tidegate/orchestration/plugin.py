"""What Airflow loads by the entry point `airflow.plugins`: the pages, and where its UI shows them.

Every part of Airflow loads it, each task too: so what serves the pages is imported when the first page
is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.plugins_manager import AirflowPlugin

from tidegate.report.names import PREFIX, ROUTE

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request (ASGI)."""
    from tidegate.orchestration.web import app

    await app(scope, receive, send)


class TidegatePlugin(AirflowPlugin):
    """The pages in Airflow."""

    name = "tidegate"
    fastapi_apps = [  # noqa: RUF012 - as Airflow declares it
        {"app": pages, "url_prefix": PREFIX, "name": "Tidegate's report"}
    ]
    external_views = [  # noqa: RUF012
        {
            "name": "Tidegate",
            # Relative: Airflow may itself be below a path.
            "href": f"{PREFIX.removeprefix('/')}/",
            "url_route": ROUTE,
            "destination": "nav",
            "nav_top_level": True,
        }
    ]
