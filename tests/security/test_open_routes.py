"""The list of open routes against what the installed Gradio offers and what the launched server answers."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

from studio.api.gate import NOT_OPEN
from studio.api.open_routes import OPEN
from tests.security.conftest import Served

LISTED = {(route.method, route.path) for route in OPEN}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def offered(served: Served) -> set[tuple[str, str]]:
    """Every route that the application has, ours and those that the installed Gradio brings along."""
    contexts = iter_route_contexts(served.page.page.app.routes)
    return {(method, context.path) for context in contexts for method in context.methods or ()}


def asked(served: Served, method: str, path: str, **headers: str) -> tuple[int, str, str]:
    """Status, type and beginning of the answer, to a path that no library has put right before."""
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=30)
    try:
        connection.request(method, path, headers={"Origin": served.url} | headers)
        answer = connection.getresponse()
        # Streams have no end, so no more is read than a refusal has.
        words = answer.read1(200).decode("latin-1")
        return answer.status, answer.headers.get("Content-Type", ""), words
    finally:
        connection.close()


def test_every_open_route_has_a_reason_and_stands_there_once() -> None:
    assert len(LISTED) == len(OPEN) and all(route.reason for route in OPEN)


def test_the_server_answers_what_is_listed_and_nothing_else(served: Served) -> None:
    routes = offered(served)
    assert len(routes) > 80, "the application's routes were not found"
    answered = set()
    for method, path in sorted(routes | LISTED):
        filled = re.sub(r"\{[^}]*\}", "a", path)
        # A head has no words, and is told by its length.
        status, kind, words = asked(served, method, filled)
        refused = status == 404 and kind.startswith("text/plain") and words == ("" if method == "HEAD" else NOT_OPEN)
        if not refused:
            answered.add((method, path))
    assert answered == LISTED
    for method, path in LISTED:
        assert any(m == method and compile_path(p)[0].match(path) for m, p in routes), f"there is no route {path}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/nothing", "/gradio_api/", "/gradio_api/a-new-one/x", "/studio/", "//", "/?x=1"])
def test_unknown_addresses_and_methods_are_refused(served: Served, method: str, path: str) -> None:
    status, kind, words = asked(served, method, path)
    if (method, path) in {("GET", "/?x=1"), ("HEAD", "/?x=1")}:
        assert status == 200
    else:
        assert (status, kind[:10]) == (404, "text/plain") and words in (NOT_OPEN, "")


FETCHED = (
    "https://example.com/",
    "HTTPS://example.com/",
    "hTTp://127.0.0.1:1/",
    "https:/example.com",
    "https:%2F%2Fexample.com",
    "%68ttps://example.com/",
    "%2568ttps://example.com/",
    "%2525%3638ttps://example.com/",
    "//example.com/x",
    "%5C%5Cexample.com%5Cshare",
    "https:%5C%5Cexample.com",
    "%09https://example.com/",
    "%20https://example.com/",
    "ftp://example.com/x",
    "file:///etc/hostname",
    "data:text/html,%3Cscript%3Ealert(1)%3C/script%3E",
    "javascript:alert(1)",
    "/etc/hostname",
    "../../etc/hostname",
)


@pytest.mark.parametrize("name", FETCHED)
@pytest.mark.parametrize("route", ["file=", "file%3D", "file%3d", "file/", "proxy=", "FILE="])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_address_is_fetched_and_no_path_is_read_for_anyone(
    served: Served, name: str, route: str, method: str
) -> None:
    for prefix in ("/gradio_api/", "/", "/gradio_api//", "/./gradio_api/", "/gradio_api/assets/../"):
        status, kind, words = asked(served, method, prefix + route + name)
        assert status == 404 and not kind.startswith("text/html"), (prefix, words)


def test_an_upload_is_not_served_back(served: Served, client: httpx.Client) -> None:
    page = b"<script>document.title = 'ran'</script>"
    ticket = client.post("/studio/upload", content=page).json()["ticket"]
    for path in (f"/studio/upload/{ticket}", f"/studio/{ticket}", f"/gradio_api/file={ticket}"):
        assert client.get(path).text == NOT_OPEN
    assert not list(served.uploads.rglob("*.html")), "it has no name on the disk"


def test_every_answer_has_a_fixed_type_and_may_run_nothing(served: Served, client: httpx.Client) -> None:
    session = served.studio.sessions.create_example("duck-on-the-beach")
    turn = session.view().turns[0]
    assert turn.picture
    fonts = "/static/fonts/IBMPlexSans/IBMPlexSans-Bold.woff2"
    kinds = {
        "/": "text/html",
        "/theme.css": "text/css",
        "/favicon.ico": "image/svg+xml",
        "/manifest.json": "application/manifest+json",
        fonts: "font/woff2",
        f"/studio/picture/{session.sid}/{turn.picture}.png": "image/png",
        f"/studio/export/{session.sid}/{turn.id}/layers.ora": "image/openraster",
        f"/studio/session/{session.sid}.palimpsest": "application/zip",
        "/studio/picture/a/b.png": "application/json",
        "/gradio_api/run/predict": "text/plain",
        "/nothing": "text/plain",
    }
    for path, kind in kinds.items():
        answer = client.get(path)
        assert answer.headers["content-type"].partition(";")[0] == kind, path
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["cross-origin-resource-policy"] == "same-origin", path
        policy = answer.headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'none'") and policy.startswith("default-src 'none'"), path
        assert ("sandbox" in policy) == (path != "/"), path
        assert "'unsafe-inline'" not in policy.partition("script-src")[2], path
    served.studio.sessions.trash(session.sid)
