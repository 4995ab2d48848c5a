"""Signing in with an account of the hub: a small OpenID provider on loopback stands for the hub."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from studio.app import build_studio
from studio.settings import Settings, SignIn
from studio.ui.app import open_page
from tests.studio.api.conftest import EXAMPLE
from tests.studio.conftest import StandInEngine

ADDRESS = "https://someone-studio.hf.space"
TOKEN = "correct-horse-battery"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Hub:
    """One account, and what it is asked."""

    url: str = ""
    sub: str = "account-1"
    nonce: str = ""
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/keys":
                key = json.loads(RSAAlgorithm.to_jwk(KEY.public_key()))
                return self.answer({"keys": [key | {"kid": "1", "alg": "RS256", "use": "sig"}]})
            assert path == "/.well-known/openid-configuration", path
            ends = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
            found = {f"{name}_endpoint": f"{hub.url}/{end}" for name, end in ends.items()}
            more = {"id_token_signing_alg_values_supported": ["RS256"]}
            return self.answer({"issuer": hub.url, "jwks_uri": f"{hub.url}/keys", **found, **more})

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            hub.asked.append(sent)
            now = int(time.time())
            claims = {"iss": hub.url, "aud": "client", "sub": hub.sub, "nonce": hub.nonce, "iat": now, "exp": now + 60}
            token = jwt.encode(claims, KEY, "RS256", headers={"kid": "1"})
            self.answer({"access_token": "secret-token", "token_type": "bearer", "id_token": token, "expires_in": 60})

        def answer(self, value: object) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def space(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio's address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        settings = Settings.hosted(
            host="127.0.0.1",
            port=0,
            data=tmp_path_factory.mktemp("data"),
            warm_up=False,
            device_process=False,
            token=TOKEN,
            sign_in=SignIn("client", "a secret of the hub's", hub.url, ADDRESS),
        )
        studio = build_studio(settings, StandInEngine())
        page = open_page(studio, settings)
        yield page.url
        page.close()
        studio.close()


def visitor(space: str, address: str, cookie: str = "") -> httpx.Client:
    headers = {"x-forwarded-for": address, "authorization": f"Bearer {TOKEN}"}
    return httpx.Client(base_url=space, headers=headers | ({"cookie": cookie} if cookie else {}), timeout=30)


def cookie_of(answer: httpx.Response) -> str:
    """As a browser keeps it; over plain HTTP a client of ours would not send it back."""
    set_ = answer.headers["set-cookie"]
    assert "secure" in set_.lower() and "httponly" in set_.lower() and "samesite=none" in set_.lower(), set_
    return str(set_.partition(";")[0])


def signed_in(space: str, hub: Hub, sub: str, address: str = "203.0.113.1") -> str:
    """The cookie of somebody who went to the hub and came back."""
    hub.sub = sub
    with visitor(space, address) as client:
        there = client.get("/login/huggingface")
        assert there.status_code == 302
        asked = parse_qs(urlsplit(there.headers["location"]).query)
        assert asked["redirect_uri"] == [f"{ADDRESS}/login/callback"] and asked["scope"] == ["openid"]
        hub.nonce = asked["nonce"][0]
        headers = {"cookie": cookie_of(there), "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        back = client.get(f"/login/callback?code=one&state={asked['state'][0]}", headers=headers)
        assert (back.status_code, back.headers["location"]) == (303, "/"), back.text
        return cookie_of(back)


def test_who_signed_in_is_the_same_from_any_address_and_nobody_else(space: str, hub: Hub) -> None:
    cookie = signed_in(space, hub, "account-1")
    assert "secret-token" not in cookie and "code=one" in hub.asked[-1]
    with visitor(space, "203.0.113.1", cookie) as mine:
        sid = mine.post("/api/v1/sessions", json={"example": EXAMPLE}).json()["sid"]
    with visitor(space, "198.51.100.7", cookie) as elsewhere:
        assert elsewhere.get(f"/api/v1/sessions/{sid}").status_code == 200
    other = signed_in(space, hub, "account-2")
    forged = cookie[:20] + ("A" if cookie[20] != "A" else "B") + cookie[21:]
    for theirs in ("", other, forged):  # also from the very same address
        with visitor(space, "203.0.113.1", theirs) as client:
            assert client.get(f"/api/v1/sessions/{sid}").status_code == 404
    with visitor(space, "203.0.113.1", cookie) as mine:
        out = mine.get("/logout")
        assert (out.status_code, out.headers["location"]) == (303, "/")
        assert cookie_of(out) in ("session=null", "session="), "the browser is told to forget it"


@pytest.mark.parametrize("answer", ["error=access_denied", "code=one&state=another", "", "state=x"])
def test_a_sign_in_that_comes_to_nothing_is_told(space: str, answer: str) -> None:
    with visitor(space, "203.0.113.1") as client:
        back = client.get(f"/login/callback?{answer}")
        assert back.status_code == 400 and "came to nothing" in back.text and "Traceback" not in back.text


def test_a_hub_that_is_not_there_is_told(space: str, tmp_path: Path) -> None:
    gone = SignIn("client", "a secret", "http://127.0.0.1:9", ADDRESS)
    settings = Settings.hosted(
        host="127.0.0.1", port=0, data=tmp_path, warm_up=False, device_process=False, sign_in=gone
    )
    studio = build_studio(settings, StandInEngine())
    page = open_page(studio, settings)
    try:
        answer = httpx.get(f"{page.url}/login/huggingface")
        assert answer.status_code == 400 and "came to nothing" in answer.text
        assert f"{ADDRESS}/login/huggingface" in httpx.get(page.url).text, "the page leads to the Space's own address"
    finally:
        page.close()
        studio.close()


def test_a_space_says_whether_people_sign_in() -> None:
    said = {"OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "secret", "SPACE_HOST": "a.hf.space,studio.example"}
    assert SignIn.of_space(said) == SignIn("id", "secret", "https://huggingface.co", "https://a.hf.space")
    for missing in said:
        assert SignIn.of_space({name: value for name, value in said.items() if name != missing}) is None
    assert "secret" not in repr(SignIn.of_space(said)).replace("client_secret", "")
