"""Buttons of task instances in Airflow's UI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from tidegate.orchestration.tasks import dump_hour
from tidegate.report.names import PREFIX, ROUTE, hour_page

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class HourLink(BaseOperatorLink):
    """Leads from a run of `land_<source>` to the page of its hour.

    A task writes the link when it ends, red or green, since only then is there something to see.
    """

    name = "Audits of the hour"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address of the page, in the frame of the UI.

        Args:
            operator: the task.
            ti_key: its instance as it runs.
        """
        source = operator.dag_id.removeprefix("land_")
        page = hour_page(source, dump_hour(dict(ti_key.get_template_context())))
        base = _base()
        # The frame's address ends in the path that is shown in it, with what Airflow itself is below.
        return f"{base}/plugin/{ROUTE}{urlsplit(base).path}{PREFIX}/{page}"


class ApproveLink(BaseOperatorLink):
    """Leads from a held task to the DAG by whose form the hour is published knowingly."""

    name = "Approve"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's form
        """Return the address of the DAG."""
        return f"{_base()}/dags/approve"


def _base() -> str:
    return str(conf.get("api", "base_url", fallback="/")).rstrip("/")
