"""Every event of the page, with what no page sends: refused in a sentence, never a failure of the studio's own.

The fuzz is seeded: the same requests in every run. What is found by another seed is a test of its own here.
"""

from __future__ import annotations

import http.client
import json
import logging
import random
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from gradio.blocks import BlockFunction

from studio.api.bodies import DEEPEST, LARGEST_EVENT, MOST_VALUES
from studio.ui import text
from tests.security.conftest import Served, Visitor

SEED = 22
ROUNDS = 3
"""Times that each event is sent with its values as a page has them, but for some."""
ODD = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -1e308, 1e-320),
    *("", " ", "x", "0", "-1", "both", "subject", "layered", "toybox", "draft", "../x", "/etc/hostname", "0" * 32),
    *("\u202e", "\0", "a\nb", "\ud800", "😀" * 40, "x" * 3000, "<script>", "NaN", "[]", "{}", "null", '{"prompts": 1}'),
    *([], [None], ["x"], [[]], [{}], {}, {"x": 1}, {"sid": 1}, {"path": "/etc/hostname"}, {"a": {"b": [1]}}),
    {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}},
    {"path": "https://example.com/x.png", "url": "https://example.com/x.png", "meta": {"_type": "gradio.FileData"}},
)
"""What stands for a value that it is not."""


@pytest.fixture
def bugs() -> Iterator[list[str]]:
    """What the studio logged as failures of its own."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                found.append(logging.Formatter().format(record))

    keep = Keep()
    logging.getLogger().addHandler(keep)
    yield found
    logging.getLogger().removeHandler(keep)


def events(served: Served) -> list[BlockFunction]:
    """Every event that the server has a handler for."""
    found = [fn for fn in served.page.page.fns.values() if fn.fn]
    assert len(found) > 60
    return found


def plausible(served: Served, visitor: Visitor) -> dict[str, Any]:
    """Data of all events at once, as the page's scripts send them, for a session that is open in the page."""
    opened = visitor.fires("stage", "open_example", example="duck-on-the-beach")
    sid, turn = opened["sid"], opened["view"]["current"]
    named = dict.fromkeys(("turn", "onto", "first", "last", "second", "subject_of", "background_of"), turn)
    asked = {"subject": "a blue duck", "background": "", "scope": "subject"}
    return named | {
        "ticket": "x" * 22,
        "name": "a name",
        "example": "cat-in-the-snow",
        "index": 0,
        "which": "subject",
        "loras": {},
        "place": "start",
        "count": 1,
        "own": [sid],
        "search": "duck",
        "trashed": False,
        "shown": 4,
        "sid": sid,
        "enter": False,
        "subject": "a",
        "background": "b",
        "words": "make the duck blue",
        "turns": [asked],
        "track": "subject",
        "old": "main",
        "new": "other",
        "repo": "a/b",
        "file": "x.safetensors",
        "half": False,
        "folder": "no/such/folder",
        "id": "toybox",
        "lora": False,
    }


def spoilt(value: Any, chance: random.Random) -> Any:
    """`value` with something in it that does not belong there."""
    if isinstance(value, dict) and value and chance.random() < 0.7:
        key = chance.choice(sorted(value))
        return {**value, key: spoilt(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        place = chance.randrange(len(value))
        return [*value[:place], spoilt(value[place], chance), *value[place + 1 :]]
    return chance.choice(ODD)


def bodies(served: Served, visitor: Visitor, fn: BlockFunction, sent: dict[str, Any], chance: random.Random) -> Any:
    whole = {
        "data": visitor.values(fn),
        "event_data": sent,
        "fn_index": fn._id,
        "trigger_id": 0,
        "session_hash": visitor.name,
    }
    yield whole
    for _ in range(ROUNDS):
        yield whole | {"data": spoilt(whole["data"], chance)}
        yield whole | {"event_data": spoilt(sent, chance)}
        yield spoilt(whole, chance)
    for key in whole:
        yield {name: value for name, value in whole.items() if name != key}


@pytest.mark.slow
def test_no_event_fails_whatever_is_sent_with_it(served: Served, client: httpx.Client, bugs: list[str]) -> None:
    chance, count, answered = random.Random(SEED), 0, 0
    for fn in events(served):
        visitor = Visitor(served, client)
        sent = plausible(served, visitor)
        route = "/gradio_api/queue/join" if fn.queue else "/gradio_api/run/predict"
        for body in bodies(served, visitor, fn, sent, chance):
            answer = client.post(route, content=json.dumps(body), headers={"content-type": "application/json"})
            count, answered = count + 1, answered + (answer.status_code == 200)
            assert answer.status_code in (200, 400), (fn.targets, body, answer.status_code, answer.text)
            assert text.OUR_FAULT not in answer.text and bugs == [], (fn.targets, body, answer.text, bugs)
            assert answer.status_code == 200 or len(answer.text) < 400, answer.text
    assert count > 1000 and 0.2 < answered / count < 0.9, (count, answered)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'"x"',
        b"\xff\xfe",
        b"{}",
        b'{"data": []}',
        b'{"data": [], "fn_index": 1e3, "session_hash": "a"}',
        b'{"data": [], "fn_index": 99999, "session_hash": "a"}',
        b'{"data": [NaN], "fn_index": 0, "session_hash": "a"}',
        b'{"data": [1e999], "fn_index": 0, "session_hash": "a"}',
        b'{"data": [' + b"9" * 5000 + b'], "fn_index": 0, "session_hash": "a"}',
        b'{"data": [], "fn_index": 0, "session_hash": "../a"}',
        b'{"data": [], "fn_index": 0, "session_hash": ""}',
    ],
)
@pytest.mark.parametrize("route", ["/gradio_api/run/predict", "/gradio_api/queue/join"])
def test_what_is_no_event_is_refused_in_a_sentence(client: httpx.Client, route: str, body: bytes) -> None:
    answer = client.post(route, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith("What was sent cannot be read: ") and len(answer.text) < 400


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("lists", b"[" + b"[]," * 1_000_000 + b"1]"),
        ("texts", b"[" + b'"",' * 1_000_000 + b"1]"),
        ("names", b"{" + b'"":1,' * 600_000 + b'"":1}'),
        ("numbers", b"[" + b"1," * 1_500_000 + b"1]"),
        ("nested", b"[" * 3_000_000),
        ("nested and closed", b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1)),
        ("one more than is read", b"[" + b"1," * (MOST_VALUES + 1) + b"1]"),
        ("a text without end", b'"' + b'\\"' * 1_500_000),
        ("quotes", b'"' * 3_000_000),
        ("a long number", b"1" * 3_000_000),
    ],
)
def test_what_is_small_to_send_is_small_to_read(served: Served, client: httpx.Client, name: str, body: bytes) -> None:
    fn = next(fn for fn in events(served) if not fn.queue)
    whole = b'{"fn_index": %d, "session_hash": "a", "event_data": {"x": %s}, "data": []}' % (fn._id, body)
    begun = time.monotonic()
    answer = client.post("/gradio_api/run/predict", content=whole, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and "cannot be read" in answer.text
    # Ten seconds before, with everybody else waiting; the bound is for slow machines.
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("method", "path", "size", "most"),
    [
        ("POST", "/gradio_api/run/predict", LARGEST_EVENT + 1, "4 MB"),
        ("POST", "/gradio_api/run/predict", 45 * 2**20, "4 MB"),
        ("POST", "/gradio_api/queue/join", LARGEST_EVENT + 1, "4 MB"),
        ("POST", "/studio/upload", 64 * 2**20 + 1, "64 MB"),
        ("GET", "/", 1, "0 bytes"),
        ("GET", "/gradio_api/queue/data", 2**20, "0 bytes"),
    ],
)
def test_a_body_is_refused_by_its_length_before_it_is_read(
    served: Served, method: str, path: str, size: int, most: str
) -> None:
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=30)
    connection.putrequest(method, path)
    connection.putheader("Origin", served.url)
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    answer = connection.getresponse()  # although nothing of the body was sent
    assert answer.status == 413 and answer.read().decode().startswith(f"At most {most} are taken here")
    connection.close()


@pytest.mark.parametrize("path", ["/gradio_api/run/predict", "/studio/upload"])
def test_a_body_of_unknown_length_is_refused(client: httpx.Client, served: Served, path: str) -> None:
    waiting = len(served.page.uploads)
    answer = client.post(path, content=iter([b"x" * 1000] * 10))
    assert answer.status_code == 411 and len(served.page.uploads) == waiting


def test_a_long_painting_is_taken(visitor: Visitor) -> None:
    """The largest event that a page sends: a few hundred strokes with all their points."""
    visitor.fires("stage", "open_example", example="duck-on-the-beach")
    points = [[round(k * 0.37 % 250, 2), round(k * 0.73 % 250, 2)] for k in range(300)]
    strokes = [{"points": points, "radius": 4, "erase": False}] * 300
    marks = json.dumps({"count": 5, "prompts": {"strokes": strokes}}, separators=(",", ":"))
    assert 2**20 < len(marks) < LARGEST_EVENT
    said = visitor.fires("stage", "mark", marks)
    assert said["echo"] == 5 and "notice" not in said and said["view"]["mask"]["mask"]


def test_half_a_character_is_read_as_none(visitor: Visitor) -> None:
    opened = visitor.fires("stage", "open_example", example="duck-on-the-beach")
    for half in ("\ud800", "a\udc00b", "\udfff\ud800"):
        listed = visitor.fires("gallery", "seek_sessions", place="gallery", count=1, search=half)
        assert listed["gallery"]["sessions"] == [] and "notice" not in listed
        named = visitor.fires("gallery", "rename_session", sid=opened["sid"], name=f"duck {half}")
        assert "notice" not in named
        marks = json.dumps({"count": 1, "prompts": {"phrase": f"duck {half}"}})
        assert text.OUR_FAULT not in str(visitor.fires("stage", "mark", marks))
