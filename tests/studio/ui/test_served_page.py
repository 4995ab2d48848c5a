"""The page as it is served, asked by a plain HTTP client: our routes, and what a hostile client gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from pipelines.pictures import decode
from studio.app import Studio
from studio.errors import UserError
from studio.ui import uploads
from studio.ui.app import build_page, open_page


@pytest.fixture
def client(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    page = open_page(studio, replace(studio.settings, port=0))
    with httpx.Client(base_url=page.url) as client:
        yield client
    page.close()


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


def test_a_path_from_the_client_is_believed_only_inside_the_upload_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    inside, secret = tmp_path / "uploads" / "hash" / "a.png", tmp_path / "secret.png"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"picture")
    secret.write_bytes(b"secret")
    (inside.parent / "link.png").symlink_to(secret)
    hostile = [str(secret), str(inside.parent / "../../secret.png"), str(inside.parent / "link.png"), "/etc/hostname"]
    for path in [*hostile, str(inside.parent), "a\0b", None, 3, {"path": str(secret)}]:
        with pytest.raises(UserError):
            uploads.take(path)
    assert uploads.take(str(inside)) == b"picture" and not inside.exists(), "the upload is handed over, not copied"


def test_no_endpoint_is_open_to_other_programs(client: httpx.Client, studio: Studio) -> None:
    events = build_page(studio).config["dependencies"]
    assert events and {e["api_visibility"] for e in events if e["backend_fn"]} == {"private"}
    offered = client.get("/gradio_api/info").json()
    assert offered["named_endpoints"] == {} and offered["unnamed_endpoints"] == {}


def test_the_page_names_no_other_host(client: httpx.Client) -> None:
    config = client.get("/config").json()
    for key in ("css", "head", "stylesheets"):
        assert "https://" not in json.dumps(config.get(key) or ""), key
