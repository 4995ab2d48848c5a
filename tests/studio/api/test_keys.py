"""A password for people and a token for programs: who comes in, who is slowed, and what is told without either."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from studio.api.keys import MOST_WAITING, Keys
from studio.cli.serve import tell_who_comes_in
from studio.errors import BadKey
from studio.passwords import hashed, matches
from studio.settings import Settings
from studio.ui import text
from studio.ui.app import OpenPage
from studio.ui.handlers import Handlers
from tests.studio.api.conftest import Served

TOKEN = "a-token-that-is-long-enough"
PASSWORD = "open sesame"
KEPT = f"mia:{hashed(PASSWORD)}"


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def locked(served: Served) -> Iterator[OpenPage]:
    page = served.again(password=KEPT, token=TOKEN)
    yield page
    page.close()


def test_nothing_but_health_is_answered_without_a_key(locked: OpenPage) -> None:
    for path, kind in (
        ("/", "Basic"),
        ("/studio/example/duck-on-the-beach.png", "Basic"),
        ("/api/v1/models", "Bearer"),
    ):
        answer = httpx.get(locked.url + path)
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith(kind), path
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert httpx.post(f"{locked.url}/studio/upload", content=b"x", headers={"origin": locked.url}).status_code == 401
    assert httpx.get(f"{locked.url}/studio/health").status_code == 200


@pytest.mark.parametrize(
    "headers", [basic("mia", PASSWORD), bearer(TOKEN), basic("anybody", TOKEN), {"authorization": f"bearer  {TOKEN}"}]
)
def test_with_one_page_and_programs_are_answered(locked: OpenPage, headers: dict[str, str]) -> None:
    for path in ("/", "/api/v1/models", "/studio/example/duck-on-the-beach.png"):
        assert httpx.get(locked.url + path, headers=headers).status_code == 200, path


@pytest.mark.parametrize(
    "headers",
    [
        basic("mia", "open sesame "),
        basic("eva", PASSWORD),
        bearer("a-token-that-is-long-enougH"),
        {"authorization": "Basic /w=="},
        {"authorization": "Digest x"},
    ],
)
def test_a_wrong_one_is_slowed(locked: OpenPage, headers: dict[str, str]) -> None:
    began = time.monotonic()
    answer = httpx.get(f"{locked.url}/api/v1/models", headers=headers)
    assert answer.status_code == 401 and "not the key" in answer.json()["error"]
    assert time.monotonic() - began > 0.9
    assert TOKEN not in answer.text


def test_guesses_are_few_a_second_and_shut_nobody_out() -> None:
    tried: list[str] = []

    def check(password: str, kept: str) -> bool:
        tried.append(password)
        return matches(password, kept)

    async def flood() -> list[int]:
        keys = Keys(Settings(password=KEPT, token=TOKEN), seconds=0.3, check=check)
        mine = basic("mia", PASSWORD)["authorization"]
        assert await keys.refusal(mine) is None
        guesses = [asyncio.create_task(keys.refusal(basic("mia", str(n))["authorization"])) for n in range(50)]
        await asyncio.sleep(0)
        for key in (mine, bearer(TOKEN)["authorization"]):  # while they wait
            assert await keys.refusal(key) is None
        return [refused[0] for refused in await asyncio.gather(*guesses) if refused]

    answered = asyncio.run(flood())
    assert answered.count(401) == MOST_WAITING and answered.count(429) == 50 - MOST_WAITING
    assert len(tried) == MOST_WAITING + 1, "what is known is not hashed again, and what comes too fast is not either"


def test_a_password_is_kept_by_its_hash() -> None:
    assert hashed("a") != hashed("a") and matches("a", hashed("a")) and not matches("b", hashed("a"))
    assert PASSWORD not in KEPT and PASSWORD not in repr(Settings(password=KEPT, token=TOKEN))
    assert TOKEN not in repr(Settings(token=TOKEN))


@pytest.mark.parametrize(
    ("password", "token"),
    [("mia:secret", ""), ("secret", ""), ("", "short"), ("", "with a blank in its middle"), ("", "ä" * 20)],
)
def test_what_is_no_key_is_refused_and_not_repeated(password: str, token: str) -> None:
    with pytest.raises(BadKey) as refused:
        Keys(Settings(password=password, token=token))
    assert (password or token) not in str(refused.value)


def test_beyond_the_machine_programs_need_a_token(served: Served) -> None:
    page = served.again(allowed_hosts=("studio.example",))
    try:
        for headers in ({}, {"host": "studio.example"}, bearer(TOKEN)):
            answer = httpx.get(f"{page.url}/api/v1/models", headers=headers)
            assert answer.status_code == 401 and "--token" in answer.json()["error"]
        assert httpx.get(page.url).status_code == 200
    finally:
        page.close()


def test_that_there_is_no_key_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], served: Served) -> None:
    settings = replace(served.studio.settings, host="0.0.0.0")
    tell_who_comes_in(settings)
    assert "there is no password" in capsys.readouterr().err
    tell_who_comes_in(replace(settings, token=TOKEN))
    assert "needs the token" in capsys.readouterr().err
    tell_who_comes_in(served.studio.settings)
    assert capsys.readouterr().err == ""
    for own, told in ((settings, True), (replace(settings, password=KEPT), False), (served.studio.settings, False)):
        handlers = Handlers(replace(served.studio, settings=own))
        _, payload, _ = handlers.boot(None, _Request())  # type: ignore[arg-type]
        assert (payload.get("notice", {}).get("text") == text.OPEN_TO_ALL) == told


@dataclass
class _Request:
    """A page that was just loaded."""

    query_params: dict[str, str] = field(default_factory=dict)
    session_hash: str = "abc"
    headers: dict[str, str] = field(default_factory=dict)
