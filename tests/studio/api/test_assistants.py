"""The studio as an assistant meets it: through the official client, over HTTP, standard input and in memory."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ImageContent, ResourceLink, TextContent
from PIL import Image

from pipelines.catalog import CATALOG
from pipelines.pictures import decode, encode_png
from studio.api.assistants import LARGEST_PICTURE, SIDE, build_server
from studio.app import build_studio
from studio.settings import Settings
from studio.ui.app import open_page
from studio.verbs.studio import OpenStudio, open_studio
from tests.studio.api.conftest import EXAMPLE, Served
from tests.studio.conftest import StandInEngine

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "correct-horse-battery"
TOOLS = {
    *("open_picture", "look", "mask", "edit_turn", "job", "cancel", "keep"),
    *("list_turns", "go", "branch", "swap", "compare", "export"),
}


def words(answer: CallToolResult) -> str:
    return "\n".join(one.text for one in answer.content if isinstance(one, TextContent))


def pictures(answer: CallToolResult) -> list[np.ndarray[Any, Any]]:
    """What was to be looked at; none is larger than was promised."""
    found = []
    for one in answer.content:
        if isinstance(one, ImageContent):
            data = base64.b64decode(one.data)
            assert one.mime_type == "image/webp" and len(data) <= LARGEST_PICTURE
            found.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
            assert max(found[-1].shape) <= 2 * SIDE
    return found


def links(answer: CallToolResult) -> list[str]:
    return [one.uri for one in answer.content if isinstance(one, ResourceLink)]


async def does(client: Client, tool: str, **said: Any) -> CallToolResult:
    answer = await client.call_tool(tool, said)
    assert not answer.is_error, words(answer)
    return answer


async def tour(client: Client) -> None:
    """A real edit: the duck's colours are turned, one looks often, and takes the picture along."""
    assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
    opened = await does(client, "open_picture", example=EXAMPLE)
    sid = (opened.structured_content or {})["session"]
    before = pictures(opened)[0]
    masked = await does(client, "mask", session=sid, clicks=[[137, 160, True]], feather=0)
    assert 0.02 < (masked.structured_content or {})["area"] < 0.6
    told: list[tuple[float, float | None, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append((done, total, message))

    said = {"session": sid, "method": "recolour", "settings": {"hue": 120.0}, "wait": 240}
    ran = await client.call_tool("edit_turn", said, progress_callback=progress)
    assert not ran.is_error and "0 pixels changed that were to stay" in words(ran), words(ran)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told) and told[-1][:2] == (1.0, 1.0)
    candidate = pictures(ran)[0].astype(int)
    assert np.abs(candidate - before).max() > 40, "something is another colour"
    kept = await does(client, "keep", session=sid)
    changed = await does(client, "look", session=sid, overlay="difference")
    assert pictures(changed)[0].max() > 40
    compared = await does(client, "compare", session=sid, first="original")
    numbers = (compared.structured_content or {})["numbers"]
    assert numbers["outside"]["changed"] == 0 < numbers["inside"]["changed"], numbers
    whole = await client.read_resource(links(kept)[0])
    data = decode(base64.b64decode(whole.contents[0].blob)).picture  # type: ignore[union-attr]
    assert data.shape == (256, 256, 3)
    exported = await does(client, "export", session=sid, kind="psd")
    psd = await client.read_resource(links(exported)[0])
    assert base64.b64decode(psd.contents[0].blob)[:4] == b"8BPS"  # type: ignore[union-attr]
    assert "* 1" in words(await does(client, "list_turns", session=sid))
    back = await does(client, "go", session=sid, turn="undo")
    assert "turn 0" in words(back)
    steps = json.loads((await client.read_resource(f"palimpsest://session/{sid}/recipe.json")).contents[0].text)  # type: ignore[union-attr]
    assert len(steps["turns"]) == 1
    prompt = await client.get_prompt("edit_in_turns", {"session": sid, "wish": "the duck is blue"})
    assert "the duck is blue" in prompt.messages[0].content.text and "look" in prompt.messages[0].content.text  # type: ignore[union-attr]


@pytest.mark.slow
def test_the_tour_over_standard_input_and_output(tmp_path: Path) -> None:
    async def goes() -> None:
        server = StdioServerParameters(
            command=sys.executable, args=["launch.py", "mcp", "--data", str(tmp_path)], cwd=ROOT
        )
        async with Client(server, read_timeout_seconds=300) as client:
            await tour(client)

    asyncio.run(goes())
    with open_studio(tmp_path) as studio:
        assert [summary.turns for summary in studio.sessions()] == [1], "what was done is kept"


@pytest.mark.slow
def test_the_tour_over_http_with_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    settings = Settings(data=tmp_path / "data", port=0, warm_up=False, token=TOKEN)
    studio = build_studio(settings)
    page = open_page(studio, settings)

    async def goes(**headers: str) -> None:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=300) as http,
            Client(streamable_http_client(f"{page.url}/mcp", http_client=http)) as client,
        ):
            await tour(client)

    try:
        asyncio.run(goes(authorization=f"Bearer {TOKEN}"))
        refused = httpx2.post(f"{page.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert refused.status_code == 401 and "has a key" in refused.json()["error"]
    finally:
        page.close()
        studio.close()


def test_no_other_site_and_nobody_from_elsewhere_speaks_to_it(served: Served) -> None:
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for headers, status in (
        ({"origin": "https://evil.example"}, 403),
        ({"x-forwarded-for": "203.0.113.9"}, 401),
        ({"host": "evil.example"}, 403),
    ):
        assert httpx2.post(f"{served.page.url}/mcp", json=asked, headers=headers).status_code == status, headers
    assert httpx2.get(f"{served.page.url}/mcp").status_code == 405
    assert (
        httpx2.post(
            f"{served.page.url}/mcp", content=b"x" * 2**21, headers={"content-type": "application/json"}
        ).status_code
        == 413
    )


@pytest.fixture
def verbs(settings: Settings, engine: StandInEngine) -> Iterator[OpenStudio]:
    with open_studio(settings=replace(settings, model="toybox"), engine=engine) as studio:
        yield studio
        engine.hold.set()


def in_memory(verbs: OpenStudio, act: Any) -> Any:
    async def goes() -> Any:
        async with Client(build_server(verbs)) as client:
            return await act(client)

    return asyncio.run(goes())


PICTURE = encode_png(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))


@pytest.mark.parametrize(
    "said",
    [
        {"data": "http://127.0.0.1:1/duck.png"},
        {"data": "https://example.com/duck.png"},
        {"data": "file:///etc/hostname"},
        {"data": "/etc/hostname"},
        {"data": "duck.png"},
        {"data": "C:\\duck.png"},
        {"upload": "/etc/hostname"},
        {},
        {"data": "AAAA", "example": EXAMPLE},
    ],
)
def test_an_address_or_a_path_is_refused_with_what_is_taken(verbs: OpenStudio, said: dict[str, str]) -> None:
    answer = in_memory(verbs, lambda client: client.call_tool("open_picture", said))
    assert answer.is_error and "base64 of its bytes" in words(answer) and "no address is fetched" in words(answer)
    assert verbs.sessions() == ()


def test_refusals_are_in_the_studios_own_words(verbs: OpenStudio) -> None:
    async def acts(client: Client) -> list[CallToolResult]:
        data = base64.b64encode(PICTURE).decode()
        sid = ((await does(client, "open_picture", data=f"data:image/png;base64,{data}")).structured_content or {})[
            "session"
        ]
        return [
            await client.call_tool(tool, {"session": sid} | said)
            for tool, said in (
                ("edit_turn", {"background": "a forest"}),
                ("edit_turn", {"background": "a forest", "quality": "best"}),
                ("keep", {"candidate": 3}),
                ("look", {"turn": 7}),
                ("look", {"region": [0, 0, 97, 10]}),
                ("look", {"overlay": "mask"}),
                ("look", {"session": "0" * 32}),
                ("export", {"kind": "exe"}),
                ("swap", {"first": 0, "second": 1}),
            )
        ]

    answers = in_memory(verbs, acts)
    assert all(answer.is_error for answer in answers)
    for answer, expected in zip(
        answers,
        (
            "click the subject",
            "must be one of draft, standard, exact; got 'best'",
            "there are 0 finished candidates",
            "the branch has the turns 0",
            "96 x 64 pixels; got 0, 0 to 97, 10",
            "nothing is masked",
            "there is no session of that id",
            "must be one of png",
            "the branch has the turns 0",
        ),
        strict=True,
    ):
        assert expected in words(answer), words(answer)


def test_a_bug_says_no_more_than_a_code(verbs: OpenStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise ValueError("/home/someone/secret")

    monkeypatch.setattr(verbs, "open_example", breaks)
    answer = in_memory(verbs, lambda client: client.call_tool("open_picture", {"example": EXAMPLE}))
    assert answer.is_error and "(code " in words(answer) and "secret" not in words(answer)


def test_a_picture_of_64_mb_is_refused_or_taken_but_never_answered_whole(verbs: OpenStudio) -> None:
    noise = encode_png(np.random.default_rng(1).integers(0, 256, (1400, 1400, 3), np.uint8))
    many = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(65 * 2**20)).decode()

    async def acts(client: Client) -> None:
        taken = await does(client, "open_picture", data=base64.b64encode(noise).decode())
        assert pictures(taken)[0].shape[1] <= SIDE
        sid = (taken.structured_content or {})["session"]
        exported = await does(client, "export", session=sid)
        assert len(links(exported)) == 1 and len(exported.content) == 2, "a large file is a link only"
        refused = await client.call_tool("open_picture", {"data": many})
        assert refused.is_error and "may have" in words(refused) and "MB" in words(refused)

    in_memory(verbs, acts)


def test_two_clients_in_one_session_see_each_others_turns(verbs: OpenStudio, engine: StandInEngine) -> None:
    async def goes() -> None:
        async with Client(build_server(verbs)) as one, Client(build_server(verbs)) as two:
            sid = ((await does(one, "open_picture", example=EXAMPLE)).structured_content or {})["session"]
            await does(one, "mask", session=sid, clicks=[[137, 160, True]])
            engine.hold_at = (CATALOG["sdedit"].stages[0], 1)
            turn = {"session": sid, "method": "sdedit", "background": "a forest"}
            begun = await does(one, "edit_turn", **turn, wait=0)
            assert "ask job again" in words(begun) and not pictures(begun)
            busy = await two.call_tool("edit_turn", turn)
            assert busy.is_error and "computing a turn already" in words(busy)
            engine.hold.set()
            done = await does(two, "job", id=(begun.structured_content or {})["id"], wait=60)
            assert len(pictures(done)) == 1
            await does(two, "keep", session=sid)
            assert "* 1" in words(await does(one, "list_turns", session=sid))

    asyncio.run(goes())


def test_looking_never_changes_anything_and_nothing_is_ever_destroyed(verbs: OpenStudio) -> None:
    tools = in_memory(verbs, lambda client: client.list_tools()).tools
    reading = {tool.name for tool in tools if tool.annotations.read_only_hint}
    assert reading == {"look", "job", "list_turns", "compare", "export"}
    assert not any(tool.annotations.destructive_hint for tool in tools)
    assert all(tool.description and not tool.annotations.open_world_hint for tool in tools)
