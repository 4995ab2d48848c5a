"""Each request is answered in its own language, in threads too, and the next one is not told of it."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from studio.api import languages
from studio.ui.language import speaking, spoken, wanted


def in_a_thread(request: Request) -> PlainTextResponse:  # as Gradio runs what is no coroutine
    return PlainTextResponse(spoken())


async def at_once(request: Request) -> PlainTextResponse:
    return PlainTextResponse(spoken())


def test_each_request_is_answered_in_its_own_language() -> None:
    guard = languages.guard(lambda headers: speaking(wanted(headers)))
    app = Starlette(routes=[Route("/thread", in_a_thread), Route("/", at_once)], middleware=[guard])
    with TestClient(app) as browser:
        for path in ("/thread", "/"):
            assert browser.get(path, headers={"accept-language": "de-DE,en;q=0.5"}).text == "de"
            assert browser.get(path, headers={"accept-language": "de", "cookie": "palimpsest-language=en"}).text == "en"
            assert browser.get(path, headers={"accept-language": "fr"}).text == "en"
    assert spoken() == "en"
