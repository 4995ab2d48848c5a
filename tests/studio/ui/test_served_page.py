"""The page as it is served, asked by a plain HTTP client: our routes, and what a hostile client gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import gradio.networking
import httpx
import pytest

from pipelines.pictures import decode
from studio.api.uploads import Uploads
from studio.app import Studio, build_studio
from studio.settings import Settings, default_hosts
from studio.ui.app import build_page, open_page


@pytest.fixture
def client(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    page = open_page(studio, replace(studio.settings, port=0))
    with httpx.Client(base_url=page.url, headers={"origin": page.url}) as client:
        yield client
    page.close()


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A studio that a proxy offers as studio.example."""
    settings = Settings(data=tmp_path_factory.mktemp("data"), port=0, allowed_hosts=("Studio.example",), warm_up=False)
    studio = build_studio(settings)
    page = open_page(studio, settings)
    with httpx.Client(base_url=page.url) as client:
        yield client
    page.close()
    studio.close()


def test_pictures_are_images_and_nothing_else(client: httpx.Client, studio: Studio, upload: bytes) -> None:
    session = studio.sessions.create(upload, "a/../\u202ename")
    address = f"/studio/picture/{session.sid}/{session.view().turns[0].picture}.png"
    whole = client.get(address)
    assert whole.headers["content-type"] == "image/png" and whole.headers["x-content-type-options"] == "nosniff"
    assert (decode(whole.content).picture == decode(upload).picture).all()
    small = client.get(address, params={"side": 32})
    assert small.headers["content-type"] == "image/jpeg" and decode(small.content).picture.shape[1] == 32
    saved = client.get(address, params={"download": '../x"\r\ny.png'})
    assert saved.headers["content-disposition"] == "attachment; filename*=UTF-8''-x---y.png"


def test_what_is_not_a_sessions_own_is_not_found(client: httpx.Client, studio: Studio, upload: bytes) -> None:
    one, two = studio.sessions.create(upload, "one"), studio.sessions.create_example("duck-on-the-beach")
    mine, other = one.view().turns[0].picture, two.view().turns[0].picture
    for address in (
        f"/studio/picture/{one.sid}/{other}.png",
        f"/studio/picture/{'0' * 32}/{mine}.png",
        f"/studio/picture/{one.sid}/..%2f..%2fetc%2fpasswd.png",
        "/studio/example/..%2f..%2ficon.png",
        "/studio/example/nothing.png",
    ):
        assert client.get(address).status_code == 404, address
    assert client.get(f"/studio/preview/{one.sid}/3.jpg").status_code == 204, "no job, no preview"
    assert client.get("/studio/health").json() == {"status": "ok"}


def test_a_page_that_is_slow_to_answer_is_served_all_the_same(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradio.networking, "url_ok", lambda url: False)  # as on a machine that is busy with an edit
    page = open_page(studio, replace(studio.settings, port=0))
    assert httpx.get(f"{page.url}/studio/health").json() == {"status": "ok"}
    page.close()


def test_an_idle_queue_looks_for_work_less_often_than_gradio_has_it(studio: Studio) -> None:
    with gr.Blocks() as plain:
        plain.queue()
    ours, theirs = vars(build_page(studio, Uploads(1))._queue), vars(plain._queue)
    sleeps = {name for name in theirs if name.endswith("sleep_when_free")}
    assert sleeps == {"sleep_when_free", "progress_update_sleep_when_free"}
    assert all(ours[name] >= 0.05 > theirs[name] for name in sleeps)


def test_no_endpoint_is_open_to_other_programs(client: httpx.Client, studio: Studio) -> None:
    events = build_page(studio, Uploads(1)).config["dependencies"]
    assert events and {e["api_visibility"] for e in events if e["backend_fn"]} == {"private"}
    assert client.get("/gradio_api/info").status_code == 404
    assert 'gradio_api_info = {"named_endpoints":{},"unnamed_endpoints":{}}' in client.get("/").text


def test_the_page_names_no_other_host(client: httpx.Client) -> None:
    config, _ = json.JSONDecoder().raw_decode(client.get("/").text.partition("gradio_config = ")[2])
    for key in ("css", "head", "stylesheets"):
        assert "https://" not in json.dumps(config.get(key) or ""), key


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ("localhost", 200),
        ("LocalHost:9", 200),
        ("127.0.0.1:7860", 200),
        ("[::1]:7860", 200),
        ("studio.example", 200),
        ("evil.example", 403),
        ("evil.example:7860", 403),
        ("127.0.0.1.evil.example", 403),
        ("evil.example@localhost.evil.example", 403),
        ("192.168.0.7", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_a_request_that_names_another_host_is_refused(proxied: httpx.Client, named: str, status: int) -> None:
    for address in ("/", "/theme.css", "/studio/health"):
        answer = proxied.get(address, headers={"host": named})
        assert answer.status_code == status, address
        assert status == 200 or ("--allow-host" in answer.text and answer.headers["content-type"][:10] == "text/plain")
    posted = proxied.post("/gradio_api/queue/join", headers={"host": named, "origin": f"http://{named}"}, json={})
    assert (posted.status_code == 403) == (status == 403)


def test_names_may_also_come_from_the_environment() -> None:
    assert default_hosts({"PALIMPSEST_HOSTS": " a.example, b.example ,"}) == ("a.example", "b.example")
    assert default_hosts({}) == ()
