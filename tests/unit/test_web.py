"""The report in Airflow's API server: closed, read only, and never a trace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from httpx import Response

from handmade_books import HOUR, Books
from tidegate.orchestration import web
from tidegate.orchestration.plugin import TidegatePlugin, pages
from tidegate.report.names import PREFIX

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
HOUR_LANDED = NOW - timedelta(days=3)
HOUR_PATH = f"hours/shop/{HOUR_LANDED:%Y-%m-%dT%H}.html"
GOOD = {"Authorization": "Bearer good"}


async def know(request: Request, _: Any, bearer: Any) -> str:
    """Answer for Airflow: it knows one token, in a header or in a cookie."""
    token = bearer.credentials if bearer else request.cookies.get("_token")
    if token is None:
        raise HTTPException(401, "Not authenticated")
    if token != "good":
        raise HTTPException(403, "Invalid JWT token")
    return "ann"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    books = Books(tmp_path_factory.mktemp("web"))
    landing = books.land("shop", HOUR_LANDED)
    books.audit("shop", HOUR_LANDED, [{"metric": 1.0}])
    books.publish("shop", HOUR_LANDED, landing)
    books.land("shop", HOUR_LANDED + 2 * HOUR)
    books.release(HOUR_LANDED + 3 * HOUR, 0)
    buyers = {"metric": "buyers", "kind": "unique", "description": "Buyers.", "owner": "shop"}
    books.rows["releases"][-1]["metrics"] = [("buyers", json.dumps(buyers))]
    books.write()
    return books.root


@pytest.fixture
def client(lake: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("TIDEGATE_PROJECT", str(lake))
    monkeypatch.setenv("TIDEGATE_HOME", str(lake / "home"))
    monkeypatch.setenv("TIDEGATE_LAKE", str(lake / "lake"))
    monkeypatch.setattr(web, "get_user", know)
    outer = FastAPI()
    outer.mount(PREFIX, pages)
    with TestClient(outer, raise_server_exceptions=False) as made:
        yield made


def get(client: TestClient, path: str, **more: Any) -> Response:
    return client.get(f"{PREFIX}/{path}", headers=GOOD, **more)


def paths() -> list[str]:
    """Return a path of every route, and one that there is not."""
    found = [route.path for route in web.app.routes if isinstance(route, APIRoute)]
    assert len(found) == len(web.app.routes) >= 5  # no documentation, no other kind of route
    filled = [
        each.replace("{source}.", "shop.").replace("{source}", "shop").replace("{name}", "buyers")
        for each in found
    ]
    return [
        *(each.replace("{hour}", f"{HOUR_LANDED:%Y-%m-%dT%H}").lstrip("/") for each in filled),
        "no/such/page",
    ]


@pytest.mark.parametrize("path", paths())
def test_whoever_is_not_logged_in_gets_nothing(client: TestClient, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer bad"},
        {"Authorization": "Basic Z29vZDpnb29k"},
        {"Cookie": "_token=bad"},
        {"Authorization": "Bearer bad", "Cookie": "_token=good"},
    ):
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            answer = client.request(method, f"{PREFIX}/{path}", headers=headers)
            assert answer.status_code == 401, (method, headers)
            assert "shop" not in answer.text
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", paths()[:-1])
def test_whoever_is_logged_in_gets_the_page_and_it_is_safe(client: TestClient, path: str) -> None:
    for headers in (GOOD, {"Cookie": "_token=good"}):
        answer = client.get(f"{PREFIX}/{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        kind = "csv" if path.endswith(".csv") else "html"
        assert answer.headers["content-type"] == f"text/{kind}; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert policy.endswith("frame-ancestors 'self'")
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", paths()[:-1])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_pages_are_only_read(client: TestClient, path: str, method: str) -> None:
    assert client.request(method, f"{PREFIX}/{path}", headers=GOOD).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "no/such/page",
        "hours/nobody/2026-03-02T00.html",
        "hours/shop/1999-01-01T00.html",
        "hours/shop/yesterday.html",
        "hours/shop/2026-13-02T00.html",
        "hours/shop/2026-03-02T00:30.html",
        "hours/shop/9999-12-31T23.html",
        "hours/Shop'--/2026-03-02T00.html",
        "hours/%3Cscript%3E/2026-03-02T00.html",
        "hours/%2e%2e/2026-03-02T00.html",
        "quarantine/nobody.html",
        "quarantine/..%2f..%2fetc.html",
        "index.html?to=never",
        "index.html?to=0001-01-01",
        "index.html?to=9999-12-31",
        "quarantine/shop.html?to=2026-02-30",
        "openapi.json",
        "docs",
    ],
)
def test_what_is_not_there_is_a_page_and_no_trace(client: TestClient, path: str) -> None:
    answer = get(client, path)
    assert answer.status_code == 404
    assert "<h1>" in answer.text
    assert "Traceback" not in answer.text
    assert "<script" not in answer.text


def test_pages_of_faults_lead_back(client: TestClient) -> None:
    for path in ("nothing", "hours/shop/x.html"):
        [link] = set(re.findall(r'class="mark" href="([^"]*)"', get(client, path).text))
        assert str(client.base_url.join(f"{PREFIX}/{path}").join(link)).endswith(
            f"{PREFIX}/index.html"
        )


def test_links_of_pages_lead_to_pages(client: TestClient) -> None:
    for path in (
        "index.html",
        HOUR_PATH,
        "quarantine/shop.html",
        "derived.html",
        "metrics.html",
        "metrics/buyers.html",
    ):
        links = re.findall(r'href="([^"#]+)"', get(client, path).text)
        assert links
        for link in set(links):
            target = client.base_url.join(f"{PREFIX}/{path}").join(link)
            if not target.path.startswith(PREFIX):  # Airflow's own page of a run or a DAG
                assert target.path.startswith("/dags/")
                continue
            assert client.get(target, headers=GOOD).status_code == 200, (path, link)


def test_other_weeks_can_be_asked_for(client: TestClient) -> None:
    day = HOUR_LANDED.date() - timedelta(days=30)
    answer = get(client, "index.html", params={"to": day.isoformat()})
    assert answer.status_code == 200
    assert "Nothing in these days." in answer.text
    assert "later" in answer.text


def test_a_lake_that_is_not_there_yet_is_a_friendly_page(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_LAKE", str(tmp_path / "none"))
    answer = get(client, "")
    assert answer.status_code == 503
    assert "no lake there" in answer.text


def test_an_unforeseen_error_is_a_page_without_its_text(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(web, "load_settings", fail)
    answer = get(client, "")
    assert answer.status_code == 500
    assert "a secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_user_that_airflow_can_t_tell_of_gets_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("the database is gone")

    monkeypatch.setattr(web, "get_user", fail)
    answer = get(client, HOUR_PATH)
    assert answer.status_code == 500
    assert "shop" not in answer.text


def test_the_plugin_is_one_that_airflow_takes() -> None:
    from airflow.plugins_manager import is_valid_plugin

    assert is_valid_plugin(TidegatePlugin)
    [view] = TidegatePlugin.external_views
    assert f"/{view['href']}" == f"{PREFIX}/"
    [mounted] = TidegatePlugin.fastapi_apps
    assert mounted["url_prefix"] == PREFIX


def test_the_plugin_is_an_entry_point() -> None:
    import tomllib

    from project import REPO

    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["airflow.plugins"] == {
        "tidegate": f"{TidegatePlugin.__module__}:{TidegatePlugin.__name__}"
    }


def test_pages_asked_for_at_once_are_all_answered(client: TestClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get(client, HOUR_PATH).status_code, range(8)))
    assert answers == [200] * 8
