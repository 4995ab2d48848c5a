"""What lies in a studio's surroundings, with the real command: it opens all the same, or says the true cause."""

from __future__ import annotations

import json
import os
import platform
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from pipelines import catalog
from pipelines.contract import Quality
from pipelines.errors import BadParameter, PullError
from pipelines.models.hub import pull
from studio.environment import check_address, own_surroundings, without_proxies
from studio.errors import AddressRefused, StorageError

ROOT = Path(__file__).resolve().parents[2]
START = 120.0
"""Seconds in which a studio must be open."""
ODD = {
    "http_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "all_proxy": "socks5://127.0.0.1:9",
    "GRADIO_SERVER_PORT": "many",
    "GRADIO_NUM_PORTS": "0",
    "GRADIO_SERVER_NAME": "0.0.0.0",
    "GRADIO_SHARE": "True",
    "GRADIO_ROOT_PATH": "/elsewhere",
    "GRADIO_ALLOWED_PATHS": "/",
    "GRADIO_ANALYTICS_ENABLED": "True",
    "GRADIO_MCP_SERVER": "True",
    "GRADIO_SSR_MODE": "True",
    "GRADIO_RUN_HISTORY": "True",
    "GRADIO_NUM_WORKERS": "some",
    "GRADIO_HEARTBEAT_INTERVAL": "never",
    "GRADIO_WATCH_DIRS": "/",
    "GRADIO_HOT_RELOAD": "1",
    "GRADIO_DEBUG": "1",
    "GRADIO_DEFAULT_CONCURRENCY_LIMIT": "-1",
    "GRADIO_TEMP_DIR": "/proc/nobody/may/write/here",
    "FORWARDED_ALLOW_IPS": "*",
    "MPLCONFIGDIR": "/proc/nobody",
    "XDG_CACHE_HOME": "/proc/nobody",
}


@contextmanager
def served(
    data: Path, beside: dict[str, str], *arguments: str
) -> Iterator[tuple[str, list[str], subprocess.Popen[str]]]:
    """``serve`` with these variables: its address, what it said before it was open, and the process."""
    command = [sys.executable, "launch.py", "serve", "--port", "0", "--no-browser", "--no-warm-up", "--data", str(data)]
    # What a shell starts in the background ignores Ctrl-C, and so would the studio that it starts in turn.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env=os.environ | beside,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    lines: queue.Queue[str] = queue.Queue()
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stderr or ()], daemon=True)
    reader.start()
    said: list[str] = []
    try:
        end = time.monotonic() + START
        while not (said and "Palimpsest is open at" in said[-1]):
            assert process.poll() is None or not lines.empty(), "".join(said)
            try:
                said.append(lines.get(timeout=max(0.1, min(1.0, end - time.monotonic()))))
            except queue.Empty:
                assert time.monotonic() < end, "".join(said)
        match = re.search(r"open at (\S+)", said[-1])
        assert match is not None
        yield match[1], said, process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        reader.join(30)
        process.stderr.close()


def test_a_studio_opens_whatever_its_surroundings_say(tmp_path: Path) -> None:
    """No proxy is asked for the machine itself, and no variable of the page's library opens anything."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "gradio").write_text("of another user")
    with served(tmp_path / "data", ODD | {"TMPDIR": str(tmp_path / "tmp")}) as (url, said, _):
        assert url.startswith("http://127.0.0.1:")
        assert "Traceback" not in "".join(said)
        ignored = next(line for line in said if "do nothing here" in line)
        assert all(name in ignored for name in ODD if name.startswith("GRADIO_") and name != "GRADIO_TEMP_DIR")
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            page = client.get("/")
            assert page.status_code == 200 and "/elsewhere" not in page.text
            assert "/elsewhere" not in client.get("/config").text
            for closed in ("/gradio_api/file=/etc/hostname", "/gradio_api/mcp/", "/elsewhere/"):
                assert client.get(closed).status_code >= 400, closed
    assert (tmp_path / "tmp" / "gradio").read_text() == "of another user"


REFUSED = [
    (
        ["--host", "nowhere.invalid"],
        "the host 'nowhere.invalid' is not known here: expected an address of this machine",
    ),
    (["--host", "http://127.0.0.1"], "the host 'http://127.0.0.1' is not known here"),
    (["--host", "a" * 300], "is not known here"),
    (["--host", "192.0.2.1"], "192.0.2.1 is not an address of this machine"),
]


def refused(arguments: list[str], beside: dict[str, str], tmp_path: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "launch.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"PALIMPSEST_DATA": str(tmp_path / "data")} | beside,
        capture_output=True,
        text=True,
        timeout=START,
        check=False,
    )
    assert ran.returncode == 2 and "Traceback" not in ran.stderr, ran.stderr
    return ran.stderr


def test_the_command_says_why_it_cannot_be_reached(tmp_path: Path) -> None:
    told = refused(["serve", "--no-browser", *REFUSED[0][0]], {}, tmp_path)
    assert REFUSED[0][1] in told and "is taken" not in told


@pytest.mark.parametrize(("arguments", "told"), REFUSED)
def test_an_address_is_refused_by_its_true_cause(arguments: list[str], told: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        check_address(arguments[1], 0)
    assert told in str(caught.value)


def test_a_port_that_is_taken_is_called_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressRefused, match=f"the port {port} at 127.0.0.1 is taken; name another one"):
            check_address("127.0.0.1", port)
    check_address("127.0.0.1", 0)
    check_address("localhost", 0)
    check_address("0.0.0.0", 0)


def test_a_proxy_that_cannot_be_used_is_told_as_that(tmp_path: Path) -> None:
    told = refused(["models", "pull", "owner/name"], {"all_proxy": "socks5://127.0.0.1:9", "NO_PROXY": ""}, tmp_path)
    assert "the proxy that all_proxy names cannot be used" in told and "http://HOST:PORT" in told


def test_a_proxy_that_does_not_answer_is_among_the_causes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(PullError, match="check the network, the proxy that http_proxy names, and HF_ENDPOINT"):
        pull("owner/name", tmp_path, (), endpoint="http://hub.invalid")


def test_what_is_taken_away_comes_back() -> None:
    beside = {"GRADIO_SHARE": "1", "GRADIO_TEMP_DIR": "/x", "HTTP_PROXY": "p", "other": "o"}
    now = dict(beside)
    with own_surroundings(now) as ignored:
        assert ignored == ("GRADIO_SHARE",)
        assert now.keys() == {"GRADIO_TEMP_DIR", "HTTP_PROXY", "other"} and Path(now["GRADIO_TEMP_DIR"]).is_dir()
        own = now["GRADIO_TEMP_DIR"]
        with without_proxies(now):
            assert "HTTP_PROXY" not in now
    assert now == beside and not Path(own).exists()


HELD = """
import os, sys
import numpy as np, psutil
from studio.environment import give_memory_back

if sys.argv[1] == "back":
    give_memory_back()
np.ones(24 * 2**20, np.uint8)  # from here on glibc by itself keeps pieces of up to that
kept = [(np.ones(16 * 2**20, np.uint8), bytes(10_000)) for _ in range(8)]
pinned = [small for _, small in kept]
del kept
print(psutil.Process().memory_info().rss >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries do not keep it")
def test_what_large_pictures_took_is_given_back() -> None:
    kept, back = (
        int(subprocess.run([sys.executable, "-c", HELD, how], capture_output=True, check=True, cwd=ROOT).stdout)
        for how in ("kept", "back")
    )
    assert back < kept - 50


def test_without_a_folder_for_temporary_files_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nobody")
    with pytest.raises(StorageError, match=r"a folder for temporary files is needed.*TMPDIR"), own_surroundings({}):
        pass


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", r"must hold a JSON object; got \[\]"),
        (json.dumps({"draft": 5}), "draft must be an object of settings; got 5"),
        (json.dumps({"standard": {}}), "draft must be an object of settings; got null"),
        (json.dumps({"draft": {"steps": "many"}}), "steps must be"),
        (json.dumps({"draft": {"stepz": 5}}), "unknown setting stepz"),
        (None, "is missing"),
    ],
)
def test_a_preset_that_cannot_be_stops_its_own_method_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, told: str
) -> None:
    for path in catalog.PRESETS.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "stray.json").write_text("[")
    (tmp_path / "sdedit.json").unlink()
    if text is not None:
        (tmp_path / "sdedit.json").write_text(text)
    monkeypatch.setattr(catalog, "PRESETS", tmp_path)
    with pytest.raises(BadParameter, match=f"the presets of sdedit cannot be used, .*{told}"):
        catalog.settings("sdedit", Quality.DRAFT)
    assert catalog.preset("sdedit", Quality.DRAFT) == {}
    assert catalog.usable("sdedit", Quality.DRAFT, {"steps": 5, "stepz": 1}) == {"steps": 5}
    for other in catalog.CATALOG.keys() - {"sdedit"}:
        assert catalog.settings(other, Quality.DRAFT)
