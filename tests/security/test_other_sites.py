"""What another site can do to a studio on the same machine, with plain requests and in a real browser.

The other site is a server on another port of the loopback address. Gradio fetches no addresses of the machine itself,
so that check is taken out where the other site stands for one on the internet.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Browser, Page

from studio.ui.app import open_page
from tests.security.conftest import Served

# Gradio shows what it fetched where the address ends like a picture's, and says of it what the other site says.
STEAL = """<!doctype html><title>other site</title><script>
fetch('/loot?where=' + location.origin); document.title = 'ran on ' + location.origin;
</script>other site's page"""


@dataclass
class OtherSite:
    """A site of somebody else's: its address, and what it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def other() -> Iterator[OtherSite]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(STEAL.encode() if self.path == "/steal.png" else b"<!doctype html><title>empty</title>")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    site = OtherSite(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def their_page(browser: Browser, other: OtherSite) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(other.url)
    yield page
    context.close()


# -------------------------------------------------------------------------------------------- what a request says


@pytest.mark.parametrize(
    ("headers", "answered"),
    [
        ({"origin": "{own}"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "{own}", "sec-fetch-site": "same-origin"}, True),
        ({}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "http://localhost:{port}"}, False),
        ({"origin": "http://127.0.0.1"}, False),
        ({"origin": "http://127.0.0.1:1"}, False),
        ({"origin": "http://127.0.0.1:99999"}, False),
        ({"origin": "http://127.0.0.1:{port}.evil.example"}, False),
        ({"origin": "http://evil.example@127.0.0.1:1"}, False),
        ({"origin": "file://"}, False),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, False),
    ],
)
def test_what_changes_something_must_come_from_the_studios_own_page(
    served: Served, headers: dict[str, str], answered: bool
) -> None:
    port = str(httpx.URL(served.url).port)
    sent = {name: value.format(own=served.url, port=port) for name, value in headers.items()}
    waiting = len(served.page.uploads)
    statuses = {
        httpx.post(f"{served.url}/gradio_api/run/predict", headers=sent, json={}).status_code,
        httpx.post(f"{served.url}/gradio_api/queue/join", headers=sent, json={}).status_code,
        httpx.post(f"{served.url}/studio/upload", headers=sent, content=b"abc").status_code,
    }
    assert (403 not in statuses) if answered else (statuses == {403})
    assert len(served.page.uploads) == waiting + answered


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_a_link_to_the_studio_may_be_followed_but_not_read_from_elsewhere(
    served: Served, headers: dict[str, str], status: int
) -> None:
    for path in ("/", "/studio/health", "/studio/example/duck-on-the-beach.png"):
        answer = httpx.get(served.url + path, headers=headers)
        assert answer.status_code == status, path
        assert "access-control-allow-origin" not in answer.headers or status == 403


def test_a_proxys_name_is_the_studios_own(served: Served) -> None:
    settings = replace(served.studio.settings, allowed_hosts=("Studio.example",))
    page = open_page(served.studio, settings)
    post = f"{page.url}/gradio_api/run/predict"
    try:
        for origin, host, refused in (
            ("https://studio.example", "127.0.0.1:7860", False),
            ("https://studio.example", "studio.example", False),
            ("https://studio.example:8443", "studio.example:8443", False),
            ("https://studio.example:8443", "127.0.0.1:7860", True),
            ("https://evil.example", "studio.example", True),
        ):
            answer = httpx.post(post, headers={"origin": origin, "host": host}, json={})
            assert (answer.status_code == 403) == refused, (origin, host)
    finally:
        page.close()


# ------------------------------------------------------------------------------------------------ in a real browser


@pytest.mark.browser
def test_no_page_of_another_site_runs_as_the_studio(
    served: Served, browser: Browser, other: OtherSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safehttpx.is_public_ip", lambda ip: True)
    context = browser.new_context()
    page = context.new_page()
    page.goto(other.url)
    for address in (f"{other.url}/steal.png", f"HTTP{other.url[4:]}/steal.png", f"%68{other.url[1:]}/steal.png"):
        page.goto(f"{served.url}/gradio_api/file={address}")
        page.wait_for_timeout(300)
        assert "ran" not in page.title() and "other site's page" not in page.content()
    assert other.asked.count("/steal.png") == 0, "the studio fetched it"
    assert not any(path.startswith("/loot") for path in other.asked)
    context.close()


@pytest.mark.browser
def test_another_site_can_neither_read_nor_change_anything(served: Served, their_page: Page) -> None:
    session = served.studio.sessions.create_example("duck-on-the-beach")
    picture = f"{served.url}/studio/picture/{session.sid}/{session.view().turns[0].picture}.png"
    before, waiting, files = session.view().rev, len(served.page.uploads), set(served.uploads.rglob("*"))
    tried = their_page.evaluate(
        """async ([studio, picture]) => {
          const say = async (path, how) => {
            try { const r = await fetch(studio + path, how); return r.type === 'opaque' ? 'opaque' : r.status }
            catch (error) { return 'failed' }
          };
          const form = new FormData(), image = new Image();
          form.append('files', new Blob(['abc']), 'a.png');
          const shown = await new Promise((done) => {
            image.onload = () => done('shown'); image.onerror = () => done('failed'); image.src = picture;
          });
          const json = {method: 'POST', body: '{}', headers: {'Content-Type': 'application/json'}};
          const blind = {method: 'POST', mode: 'no-cors', body: form};
          return [shown, await say('/'), await say('/studio/health'), await say('/gradio_api/run/predict', json),
            await say('/studio/upload', blind),
            await say('/gradio_api/upload', blind), await say('/gradio_api/process_recording', blind)];
        }""",
        [served.url, picture],
    )
    assert all(one in ("failed", "opaque", 403) for one in tried), tried
    assert tried[0] == "failed" and set(served.uploads.rglob("*")) == files
    assert session.view().rev == before and len(served.page.uploads) == waiting
    served.studio.sessions.trash(session.sid)


@pytest.mark.browser
def test_the_page_is_framed_only_by_a_site_that_was_named(served: Served, their_page: Page, other: OtherSite) -> None:
    named = open_page(served.studio, replace(served.studio.settings, frames=(other.url,)))
    try:
        for url, shown in ((served.url, False), (named.url, True)):
            their_page.evaluate(
                "url => new Promise(done => { const f = document.createElement('iframe'); f.onload = done; f.src = url;"
                " document.body.replaceChildren(f) })",
                url,
            )
            frame = their_page.frames[-1]
            assert (frame.url.rstrip("/") == url) == shown, frame.url
            if shown:
                frame.wait_for_selector("#studio[data-session]")
    finally:
        named.close()


@pytest.mark.browser
def test_a_script_that_was_slipped_into_the_page_does_not_run(served: Served, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.url)
    page.wait_for_selector("#studio[data-session]")
    page.evaluate(
        """() => { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.ran = 1"><a id=out></a>');
        const s = document.createElement('script'); s.textContent = 'window.ran = 2'; document.body.append(s) }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") is None
    context.close()
