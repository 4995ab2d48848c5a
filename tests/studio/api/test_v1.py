"""The HTTP API as a program meets it: the tour, what is refused and how, and that the committed description is true."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.catalog import CATALOG
from pipelines.errors import BadParameter, BadRequest, ModelError
from pipelines.params import knobs
from pipelines.pictures import decode
from studio.api.openapi import DOCUMENT, text
from studio.api.v1 import told
from studio.errors import Busy, DeviceLost, StorageFull
from tests.studio.api.conftest import EXAMPLE, Served

DRAFT = {"method": "layered", "quality": "draft"}


def run(api: httpx.Client, sid: str, **said: Any) -> str:
    """Run a turn and wait for it by its events; the job's id."""
    begun = api.post(f"/sessions/{sid}/turns", json=DRAFT | said)
    assert begun.status_code == 202, begun.text
    job = begun.json()["id"]
    assert begun.headers["location"] == f"/api/v1/jobs/{job}"
    with api.stream("GET", f"/jobs/{job}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in events.iter_lines() if line]
    assert lines[-2] == "event: done", lines
    assert json.loads(lines[-1].removeprefix("data: "))["id"] == job
    return str(job)


def test_the_tour(api: httpx.Client, duck: bytes) -> None:
    """As the README walks through the page: open, click, say, run, keep, go on, change one's mind, keep and share."""
    ticket = api.post("/uploads", content=duck).json()["upload"]
    opened = api.post("/sessions", json={"upload": ticket, "name": "duck.png"})
    assert opened.status_code == 201 and opened.json()["name"] == "duck.png"
    one = f"/sessions/{opened.json()['sid']}"
    assert opened.headers["location"] == f"/api/v1{one}"
    sid = opened.json()["sid"]

    mask = api.post(f"{one}/mask", json={"clicks": [{"x": 137, "y": 160}, {"x": 9, "y": 9, "include": False}]}).json()
    assert mask["area"] > 0
    assert api.get(f"{one}/pictures/{mask['mask']}").headers["content-type"] == "image/png"

    job = run(api, sid, background="in a forest", candidates=2, seed=5)
    assert api.get(f"/jobs/{job}").json()["state"] == "done"
    staged = api.get(one).json()["staged"]
    assert [candidate["seed"] for candidate in staged] == [5, 6]
    kept = api.post(f"{one}/keep", json={"candidate": 1})
    assert kept.status_code == 201 and kept.json()["picture"] == staged[1]["picture"]
    first = kept.json()["id"]

    run(api, sid, subject="a blue duck", settings={"steps": 12, "tuned": "none"})
    second = api.post(f"{one}/keep", json={}).json()["id"]
    compared = api.get(f"{one}/compare", params={"first": "original", "second": second}).json()
    assert compared["second"] == second and compared["numbers"]["whole"]["share"] == 1

    swap = api.post(f"{one}/swap", json={"first": first, "second": second})
    assert swap.status_code == 202
    with api.stream("GET", f"/jobs/{swap.json()['id']}/events") as events:
        assert "event: done" in list(events.iter_lines())
    assert api.get(one).json()["swap"]["consistency"]["order"]
    assert len(api.post(f"{one}/adopt").json()["branches"]) == 2

    assert api.post(f"{one}/go", json={"turn": first}).json()["current"] == first
    assert api.post(f"{one}/go", json={"turn": "undo"}).json()["current"] != first
    assert api.post(f"{one}/branch", json={"name": "night", "turn": 1}).json()["branch"] == "night"
    shown = api.get(f"{one}/turns/{second}/png")
    assert decode(shown.content).picture.shape == (256, 256, 3)
    assert shown.headers["content-disposition"].startswith("attachment; ")
    whole = api.get(f"{one}/turns/current/palimpsest")
    ticket = api.post("/uploads", content=whole.content).json()["upload"]
    assert len(api.post("/sessions", json={"upload": ticket}).json()["turns"]) >= 3

    assert api.patch(one, json={"name": "blue duck"}).json()["name"] == "blue duck"
    copy = api.post(f"{one}/copy").json()["sid"]
    assert {copy, sid} <= {row["sid"] for row in api.get("/sessions").json()}
    assert api.delete(f"/sessions/{copy}").status_code == 204
    assert api.get(f"/sessions/{copy}").status_code == 404
    assert api.post(f"/sessions/{copy}/restore").json()["sid"] == copy


def test_masks_are_saved_used_and_forgotten(api: httpx.Client, sid: str) -> None:
    one = f"/sessions/{sid}"
    mask = api.post(f"{one}/mask", json={"clicks": [{"x": 137, "y": 160}]}).json()
    kept = api.post(f"{one}/masks", json={"name": "left / right"})
    assert kept.status_code == 201 and kept.json()["mask"] == mask["mask"]
    assert api.get(f"{one}/masks").json() == [kept.json()] == api.get(one).json()["masks"]
    assert api.get(f"{one}/pictures/{mask['mask']}").content.startswith(b"\x89PNG")
    api.post(f"{one}/mask", json={})
    assert api.post(f"{one}/masks", json={"name": "a"}).status_code == 422, "nothing is selected"
    assert api.post(f"{one}/masks/use", json={"name": "left / right"}).json()["mask"] == mask["mask"]
    assert api.post(f"{one}/masks/use", json={"name": "left / right", "how": "erase"}).json()["area"] == 0
    assert api.delete(f"{one}/masks/left%20%2F%20right").status_code == 204
    gone = api.post(f"{one}/masks/use", json={"name": "left / right"})
    assert gone.status_code == 404 and "there are: none" in gone.json()["error"]


def test_a_job_of_a_session_in_the_trash_is_not_followed(api: httpx.Client, sid: str) -> None:
    """Found by fuzzing: the answer had begun by the time that the session was looked for."""
    job = run(api, sid, background="in a forest")
    api.delete(f"/sessions/{sid}")
    followed = api.get(f"/jobs/{job}/events")
    assert followed.status_code == 404 and "there is no session" in followed.json()["error"]


def test_what_there_is_is_told(api: httpx.Client, served: Served) -> None:
    assert {row["name"] for row in api.get("/methods").json()} == set(CATALOG)
    assert {row["id"] for row in api.get("/examples").json()} >= {EXAMPLE}
    models = api.get("/models")
    assert "toybox" in models.text and str(served.studio.settings.model_folders[0]) not in models.text


def test_the_committed_description_is_what_the_source_says(api: httpx.Client) -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == text(), "run: python -m studio.api.openapi"
    assert api.get("/openapi.json").json() == json.loads(text())


def test_every_setting_is_described_as_the_form_and_the_command_line_have_it() -> None:
    schemas = json.loads(text())["components"]["schemas"]
    for method in CATALOG.values():
        name = method.params.__name__.removesuffix("Params")
        described = schemas[f"{name}Settings"]["properties"]
        assert set(described) == set(knobs(method.params))
        for field, (kind, _, spec) in knobs(method.params).items():
            kinds = described[field]["anyOf"][0]
            assert spec.help in json.dumps(described[field], ensure_ascii=False), field
            if spec.low is not None and kind in (int, float):
                assert (kinds["minimum"], kinds["maximum"]) == (spec.low, spec.high), field


@pytest.mark.parametrize(
    ("path", "sent", "status", "words"),
    [
        ("turns", {**DRAFT, "settings": {"steps": 0}}, 422, "settings.steps must be at least 1; got 0"),
        ("turns", {**DRAFT, "settings": {"steps": "12"}}, 422, 'settings.steps must be a whole number; got "12"'),
        ("turns", {**DRAFT, "settings": {"stepz": 1}}, 422, "settings.stepz must be left out: there is no such field"),
        ("turns", {**DRAFT, "quality": "best"}, 422, "quality must be one of 'draft', 'standard' or 'exact'"),
        ("turns", {"method": "magic"}, 422, "the request must be one with a method of 'layered', 'sdedit'"),
        ("turns", {"subject": "a dog"}, 422, "the request must be one with a method"),
        ("turns", {**DRAFT, "subject": 3}, 422, "subject must be a text; got 3"),
        ("turns", {**DRAFT, "subject": "x" * 1001}, 422, "subject must be a text of at most 1000 characters"),
        ("turns", {**DRAFT, "candidates": True}, 422, "candidates must be a whole number; got true"),
        ("turns", DRAFT, 422, "nothing was asked for"),
        ("turns", {**DRAFT, "subject": "a dog", "model": "none"}, 422, "none"),
        ("turns", {**DRAFT, "subject": "a dog", "subject_upload": "x"}, 422, "Choose it again"),
        ("turns", [], 422, "the request must be an object; got []"),
        ("mask", {"clicks": [{"x": 9999, "y": 1}]}, 422, "a click's x must be between 0 and 256; got 9999"),
        ("mask", {"clicks": [{"x": "1", "y": 1}]}, 422, "clicks.0.x"),
        ("mask", {"box": {"left": 9, "top": 9, "right": 1, "bottom": 1}}, 422, "right edge right of its left one"),
        ("go", {}, 422, "turn must be given"),
        ("go", {"turn": 99}, 404, "the branch has the turns 0 (the original) to 0; got 99"),
        ("keep", {"candidate": 5}, 409, "there are 0 finished candidates"),
        ("adopt", None, 409, "no other order has been computed"),
        ("swap", {"first": 0, "second": 0}, 409, "turn"),
        ("branch", {"name": "main"}, 422, "main"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    api: httpx.Client, sid: str, path: str, sent: Any, status: int, words: str
) -> None:
    answer = api.post(f"/sessions/{sid}/{path}", json=sent) if sent is not None else api.post(f"/sessions/{sid}/{path}")
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_field_expected_and_got_stand_apart(api: httpx.Client, sid: str) -> None:
    answer = api.post(f"/sessions/{sid}/turns", json=DRAFT | {"settings": {"guidance": 99}}).json()
    assert (answer["field"], answer["expected"], answer["got"]) == ("settings.guidance", "at most 50", "99")


def test_new_sessions_begin_with_one_thing(api: httpx.Client) -> None:
    assert api.post("/sessions", json={}).status_code == 422
    assert api.post("/sessions", json={"example": EXAMPLE, "upload": "x"}).status_code == 422
    assert api.post("/sessions", json={"example": "../../etc/hostname"}).status_code == 404
    for path in ("https://example.com/a.png", "file:///etc/hostname", "/etc/hostname"):
        answer = api.post("/sessions", json={"upload": path})
        assert answer.status_code == 422 and "did not arrive" in answer.json()["error"]
    ticket = api.post("/uploads", content=b"no picture").json()["upload"]
    assert api.post("/sessions", json={"upload": ticket}).status_code == 422
    assert api.post("/uploads", content=b"").status_code == 422


def test_foreign_and_unknown_ids_are_answered_alike(api: httpx.Client, sid: str) -> None:
    other = api.post("/sessions", json={"example": EXAMPLE}).json()
    api.delete(f"/sessions/{other['sid']}")
    foreign, unknown = (api.get(f"/sessions/{id}") for id in (other["sid"], "0" * 32))
    assert (foreign.status_code, foreign.text) == (unknown.status_code, unknown.text) == (404, unknown.text)
    mine = api.get(f"/sessions/{sid}").json()["turns"][0]["picture"]
    assert api.get(f"/sessions/{sid}/pictures/{mine}").status_code == 200
    for digest in ("0" * 64, "x"):
        assert api.get(f"/sessions/{sid}/pictures/{digest}").status_code == 404
    for address in ("jobs/job-0", "jobs/job-0/events", f"sessions/{sid}/turns/{'f' * 64}/png"):
        assert api.get(f"/{address}").status_code == 404
    assert api.delete("/jobs/job-0").status_code == 404
    assert api.get(f"/sessions/{sid}/turns/0/bmp").status_code == 422


def test_too_many_jobs_are_told_when_to_come_again(api: httpx.Client, sid: str, served: Served) -> None:
    served.engine.hold_at = ("guidance", 2)
    served.engine.hold.clear()
    served.engine.reached.clear()
    try:
        job = api.post(f"/sessions/{sid}/turns", json=DRAFT | {"subject": "a dog"}).json()["id"]
        assert served.engine.reached.wait(10)
        again = api.post(f"/sessions/{sid}/turns", json=DRAFT | {"subject": "a cat"})
        assert again.status_code == 429 and "already" in again.json()["error"]
        assert int(again.headers["retry-after"]) == again.json()["retry_after"] >= 1
        assert api.delete(f"/jobs/{job}").json()["state"] == "cancelled"
    finally:
        served.engine.hold_at = None
        served.engine.hold.set()


def test_too_much_is_refused_before_it_is_read(served: Served, sid: str) -> None:
    """The answer comes while nothing of the body was sent."""
    where = urlsplit(served.page.url)
    for path, size in (("uploads", 2**20 + 1), (f"sessions/{sid}/mask", 2**20 + 1)):
        with socket.create_connection((where.hostname or "", where.port or 0), timeout=10) as line:
            head = f"POST /api/v1/{path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {size}\r\n"
            line.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
            assert line.recv(100).startswith(b"HTTP/1.1 413 ")


def test_only_json_of_this_site_is_taken(api: httpx.Client, sid: str, served: Served) -> None:
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""):
        answer = api.post(f"/sessions/{sid}/go", content=b'{"turn": 0}', headers={"content-type": kind})
        assert answer.status_code == 415
    for source in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        for method, path in (("POST", f"sessions/{sid}/adopt"), ("GET", "models"), ("DELETE", f"sessions/{sid}")):
            answer = api.request(method, f"/{path}", headers=source)
            assert answer.status_code == 403 and "another site" in answer.json()["error"]
            assert "access-control-allow-origin" not in answer.headers
    assert api.get("/models", headers={"origin": served.page.url}).status_code == 200
    assert api.get("/models", headers={"host": "evil.example"}).status_code == 403


def test_what_is_no_json_and_what_is_no_address(api: httpx.Client, sid: str) -> None:
    head = {"content-type": "application/json"}
    assert api.post(f"/sessions/{sid}/go", content=b"{", headers=head).status_code == 400
    deep = api.post(f"/sessions/{sid}/go", content=b"[" * 1000, headers=head)
    assert deep.status_code == 400 and "inside each other" in deep.json()["error"]
    wrong = api.put("/sessions")
    assert wrong.status_code == 405 and set(wrong.headers["allow"].split(", ")) == {"GET", "POST"}
    assert api.get("/nothing").status_code == 404 and api.post("/models").status_code == 405


def test_no_list_for_who_came_through_a_proxy(api: httpx.Client) -> None:
    answer = api.get("/sessions", headers={"x-forwarded-for": "203.0.113.9"})
    assert answer.status_code == 401 and "--token" in answer.json()["error"]


def test_no_answer_names_a_folder() -> None:
    for problem, status in (
        (ModelError("the folder /home/mia/models/sd has no model_index.json; copy it again"), 422),
        (StorageFull("there is no room at /srv/data/palimpsest/pictures/ab; make some"), 507),
        (DeviceLost(r"C:\Users\mia\studio ended; try again"), 503),
        (BadRequest("nothing"), 422),
        (Busy("wait"), 429),
        (BadParameter("steps must be a number; got 'x'", "steps"), 422),
    ):
        answer = told(problem)
        words = bytes(answer.body).decode()
        assert answer.status_code == status and "mia" not in words and "/srv" not in words, words
    assert json.loads(bytes(told(ModelError("the folder /a/b/sd is empty")).body))["error"] == "the folder sd is empty"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_whatever_a_message_says_it_becomes_words(message: str) -> None:
    assert "error" in json.loads(bytes(told(BadRequest(message)).body))


def test_what_breaks_is_told_by_a_code_alone(
    api: httpx.Client, sid: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret at /srv/data")

    monkeypatch.setattr("studio.session.session.Session.jump", broken)
    answer = api.post(f"/sessions/{sid}/go", json={"turn": 0})
    assert answer.status_code == 500 and "code" in answer.json()["error"] and "secret" not in answer.text
    assert "secret" in caplog.text
