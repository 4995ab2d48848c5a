"""A studio that strangers share, as it is launched: what each visitor sees of the others, may do, and waits for."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult
from typer.testing import CliRunner

from pipelines.catalog import CATALOG
from pipelines.contract import Quality
from pipelines.errors import BadParameter
from studio.app import build_studio
from studio.cli.main import app
from studio.cli.serve import hosting_from
from studio.settings import Hosting, Settings
from studio.ui.app import OpenPage, open_page
from studio.verbs.studio import open_studio
from tests.browser.conftest import free_port
from tests.security.conftest import Served, Visitor
from tests.studio.conftest import StandInEngine

EXAMPLE = "duck-on-the-beach"
TOKEN = "correct-horse-battery"
TURN = {"method": "sdedit", "quality": "draft", "background": "in a forest"}


@dataclass(frozen=True)
class Stranger:
    """One visitor, as a program and as a page; both come from one address through one proxy."""

    hosted: Served
    address: str

    def client(self, base: str = "") -> httpx.Client:
        url = self.hosted.url
        headers = {"x-forwarded-for": f"9.9.9.9, {self.address}", "authorization": f"Bearer {TOKEN}", "origin": url}
        return httpx.Client(base_url=f"{url}{base}", headers=headers, timeout=30)

    def api(self) -> httpx.Client:
        return self.client("/api/v1")

    def opens(self) -> str:
        with self.api() as api:
            sid: str = api.post("/sessions", json={"example": EXAMPLE}).json()["sid"]
            assert api.post(f"/sessions/{sid}/mask", json={"clicks": [{"x": 137, "y": 160}]}).status_code == 200
        return sid


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        uploads = tmp_path_factory.mktemp("uploads")
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        settings = Settings.hosted(
            host="127.0.0.1",
            port=0,
            data=tmp_path_factory.mktemp("data"),
            warm_up=False,
            device_process=False,
            token=TOKEN,
        )
        studio = build_studio(settings, StandInEngine())
        page: OpenPage = open_page(studio, settings)
        yield Served(studio, page, uploads)
        page.close()
        studio.close()


@pytest.fixture
def ada(hosted: Served) -> Stranger:
    return Stranger(hosted, "203.0.113.1")


@pytest.fixture
def bob(hosted: Served) -> Stranger:
    return Stranger(hosted, "203.0.113.2")


def finished(api: httpx.Client, job: str) -> dict[str, object]:
    end = time.monotonic() + 120
    while (view := api.get(f"/jobs/{job}").json())["state"] in ("queued", "running"):
        assert time.monotonic() < end, view
        time.sleep(0.02)
    return dict(view)


def test_programs_find_nothing_of_another_visitor(ada: Stranger, bob: Stranger) -> None:
    sid = ada.opens()
    with ada.api() as mine, bob.api() as others:
        view = mine.get(f"/sessions/{sid}").json()
        digest = view["turns"][0]["picture"]
        job = mine.post(f"/sessions/{sid}/turns", json=TURN).json()["id"]
        finished(mine, job)
        asked = [
            ("GET", f"/sessions/{sid}", None),
            ("PATCH", f"/sessions/{sid}", {"name": "mine now"}),
            ("DELETE", f"/sessions/{sid}", None),
            ("POST", f"/sessions/{sid}/restore", None),
            ("POST", f"/sessions/{sid}/copy", None),
            ("POST", f"/sessions/{sid}/mask", {"clicks": []}),
            ("POST", f"/sessions/{sid}/turns", TURN),
            ("POST", f"/sessions/{sid}/keep", {"candidate": 0}),
            ("POST", f"/sessions/{sid}/go", {"turn": "undo"}),
            ("GET", f"/sessions/{sid}/compare?first=0&second=0", None),
            ("GET", f"/sessions/{sid}/pictures/{digest}", None),
            ("GET", f"/sessions/{sid}/turns/0/png", None),
            ("GET", f"/sessions/{sid}/turns/0/palimpsest", None),
            ("GET", f"/jobs/{job}", None),
            ("GET", f"/jobs/{job}/events", None),
            ("DELETE", f"/jobs/{job}", None),
        ]
        for method, path, body in asked:
            foreign = others.request(method, path, json=body)
            unknown = others.request(method, path.replace(sid, "0" * 32).replace(job, "job-0"), json=body)
            assert (foreign.status_code, foreign.text) == (404, unknown.text), (method, path)
        assert mine.get(f"/sessions/{sid}").json()["name"] == view["name"], "and nothing of it was changed"
        assert mine.get(f"/sessions/{sid}/turns/0/png").status_code == 200
        for visitor in (mine, others):
            assert visitor.get("/sessions").status_code == 403


def test_pages_find_nothing_of_another_visitor(hosted: Served, ada: Stranger, bob: Stranger) -> None:
    sid = ada.opens()
    with ada.api() as api:
        api.patch(f"/sessions/{sid}", json={"name": "Adas secret"})
    asked = {"search": "", "trashed": False, "shown": 2000, "count": 1, "place": "gallery"}
    with ada.client() as mine, bob.client() as others:
        page, foreign = Visitor(hosted, mine), Visitor(hosted, others)
        digest = hosted.studio.store.cover(sid)
        for path in (
            f"/studio/picture/{sid}/{digest}.png",
            f"/studio/cover/{sid}/{digest}.jpg",
            f"/studio/export/{sid}/{hosted.studio.sessions.record(sid).tree.current}/recipe.png",
            f"/studio/session/{sid}.palimpsest",
        ):
            assert (mine.get(path).status_code, others.get(path).status_code) == (200, 404), path
        assert [s["sid"] for s in page.fires("gallery", "seek_sessions", own=[sid], **asked)["gallery"]["sessions"]]
        assert foreign.fires("gallery", "seek_sessions", own=[sid], **asked)["gallery"]["sessions"] == []
        for event, sent in (
            ("enter_session", {"sid": sid}),
            ("rename_session", {"sid": sid, "name": "mine now"}),
            ("duplicate_session", {"sid": sid}),
            ("trash_session", {"sid": sid}),
            ("bring_back_session", {"sid": sid}),
        ):
            said = foreign.fires("gallery", event, **sent)
            assert "notice" in said and "view" not in said, event
            assert said["notice"] == foreign.fires("gallery", event, **(sent | {"sid": "0" * 32}))["notice"], event
        boot = foreign.post(hosted.boot, [{"sid": sid}]).text
        assert "Adas secret" not in boot and r"\"view\": null" in boot


def test_assistants_find_nothing_of_another_visitor(ada: Stranger, bob: Stranger) -> None:
    """Whoever speaks first begins what answers all of them, so both speak first once."""

    async def asks(stranger: Stranger, tool: str, **said: object) -> CallToolResult:
        with stranger.client() as client:
            headers = dict(client.headers)
        headers = {name: headers[name] for name in ("x-forwarded-for", "authorization")}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(f"{stranger.hosted.url}/mcp", http_client=http)) as client,
        ):
            return await client.call_tool(tool, dict(said))

    async def goes() -> None:
        for mine, other in ((ada, bob), (bob, ada)):
            opened = await asks(mine, "open_picture", example=EXAMPLE)
            sid = (opened.structured_content or {})["session"]
            for tool, said in (("list_turns", {}), ("look", {}), ("export", {}), ("go", {"turn": 0})):
                assert not (await asks(mine, tool, session=sid, **said)).is_error, tool
                foreign = await asks(other, tool, session=sid, **said)
                unknown = await asks(other, tool, session="0" * 32, **said)
                assert foreign.is_error and foreign.content == unknown.content, tool

    asyncio.run(goes())


def test_the_page_says_that_it_forgets_and_offers_no_more_than_there_is(hosted: Served, ada: Stranger) -> None:
    with ada.client() as client:
        about = Visitor(hosted, client).post(hosted.boot, [None]).text
    assert "nobody uses for 24 hours is deleted" in about
    assert r"\"manages_models\": false" in about and r"\"lists_all\": false" in about
    offered = {getattr(b, "elem_id", None): getattr(b, "choices", None) for b in hosted.page.page.blocks.values()}
    assert [name for _, name in offered["quality"] or []] == ["draft", "standard"]
    assert [number for _, number in offered["candidates"] or []] == [1, 2]


def test_limits_are_refused_in_words_with_the_field_that_was_too_much(ada: Stranger) -> None:
    sid = ada.opens()
    with ada.api() as api:
        for more, expected in (({"quality": "exact"}, "one of draft, standard"), ({"candidates": 3}, "2 candidates")):
            answer = api.post(f"/sessions/{sid}/turns", json=TURN | more)
            assert answer.status_code == 422 and expected in answer.json()["expected"], answer.text
        assert api.get(f"/sessions/{sid}").json()["job"] is None


def test_one_turn_a_visitor_and_many_sessions_delay_nobody(hosted: Served, ada: Stranger, bob: Stranger) -> None:
    engine = hosted.studio.engine
    assert isinstance(engine, StandInEngine)
    many, one = [ada.opens() for _ in range(32)], bob.opens()
    engine.hold_at, before = (CATALOG["sdedit"].stages[0], 1), len(engine.requests)
    with ada.api() as mine, bob.api() as others:
        answers = [mine.post(f"/sessions/{sid}/turns", json=TURN | {"seed": 10}) for sid in many]
        assert [answer.status_code for answer in answers] == [202, *[429] * 31]
        refused = answers[1]
        assert int(refused.headers["retry-after"]) >= 1 and "one turn under way" in refused.json()["error"]
        job = others.post(f"/sessions/{one}/turns", json=TURN | {"seed": 20}).json()
        assert job["state"] == "queued" and job["ahead"] == 1, "one job of the other, and no more"
        engine.hold.set()
        assert finished(others, job["id"])["state"] == "done"
    assert [request.seed for request in engine.requests[before:]] == [10, 20]
    engine.hold_at = None
    engine.hold.clear()


def launch(folder: Path, port: int) -> subprocess.Popen[str]:
    """The real studio with the embedded model, in a process of its own."""
    command = [sys.executable, "launch.py", "serve", "--hosted", "--port", str(port), "--data", str(folder)]
    command += ["--no-browser", "--no-warm-up", "--limit", "stop_seconds=100", "--bucket", str(folder / "bucket")]
    environment = os.environ | {"PALIMPSEST_TOKEN": TOKEN}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


@pytest.mark.slow
def test_told_to_stop_during_a_turn_it_finishes_that_and_hands_back_what_waits(tmp_path: Path) -> None:
    port = free_port()
    server = launch(tmp_path, port)
    try:
        end = time.monotonic() + 120
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/studio/health").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() < end and server.poll() is None
            time.sleep(0.2)
        sids, jobs = [], []
        for address in ("203.0.113.1", "203.0.113.2"):
            headers = {"x-forwarded-for": address, "authorization": f"Bearer {TOKEN}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, timeout=120) as api:
                sid = api.post("/sessions", json={"example": EXAMPLE}).json()["sid"]
                api.post(f"/sessions/{sid}/mask", json={"clicks": [{"x": 137, "y": 160}]}).raise_for_status()
                job = api.post(f"/sessions/{sid}/turns", json=TURN).raise_for_status().json()["id"]
                while not jobs and api.get(f"/jobs/{job}").json()["step"] == 0:
                    assert time.monotonic() < end
                    time.sleep(0.1)
                sids, jobs = [*sids, sid], [*jobs, job]
        os.killpg(server.pid, signal.SIGTERM)  # as a supervisor does, the device's process too
        said, _ = server.communicate(timeout=120)
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.communicate()
    assert server.returncode == 0, said
    assert "the turn that runs is finished first" in said and "Traceback" not in said
    with open_studio(tmp_path) as studio:
        finished_, handed_back = (studio.session(sid).view() for sid in sids)
        assert len(finished_.staged) == 1, said
        kept = {path.name.partition("-")[0] for path in (tmp_path / "bucket").iterdir()}
        assert kept == set(sids), "and both are in the bucket"
        assert handed_back.staged == () and handed_back.job is not None
        assert handed_back.job.state == "interrupted" and "Press Run" in str(handed_back.job.error)


def test_limits_can_be_named_on_the_command_line() -> None:
    found = hosting_from(["job_seconds=60", "most_quality=draft", "data_room=5e8", "visitor_jobs=2"])
    assert found == Hosting(job_seconds=60, most_quality=Quality.DRAFT, data_room=500_000_000, visitor_jobs=2)
    for said, words in (
        ("jobs=3", "choose from visitor_jobs"),
        ("job_seconds=-1", "a number above 0; got -1"),
        ("job_seconds=true", "a number above 0; got True"),
        ("job_seconds", "--limit needs name=value, like job_seconds=60"),
        ("most_quality=best", "no quality called"),
    ):
        with pytest.raises(BadParameter, match=words):
            hosting_from([said])
    answer = CliRunner().invoke(app, ["serve", "--limit", "job_seconds=60"])
    assert answer.exit_code == 2 and "say --hosted" in answer.output
