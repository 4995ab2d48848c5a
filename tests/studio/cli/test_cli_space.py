"""A Space: what one is made of, what it says of itself, and putting it onto a hub, which is a small one on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import metadata_load
from huggingface_hub.errors import LocalEntryNotFoundError
from typer.testing import CliRunner

from pipelines.models.folders import find_model
from studio.cli.main import app
from studio.cli.space import MOST_PROXIES, ROOT, Part, contents, preloaded, pushed, settings_of_space
from studio.errors import NotPushed

REPO = "someone/studio"
LARGE = 2_000
"""Bytes from which the small hub wants a file on its own, as real ones do from 10 MB."""


@dataclass
class SpaceHub:
    """One Space."""

    endpoint: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    sdk: str = ""
    private: bool = False
    stored: dict[str, bytes] = field(default_factory=dict)
    """Large files, by their SHA-256."""
    commits: int = 0
    refuse: int = 0
    """Status of the answer to a commit, where it is not taken."""

    def commit(self, lines: list[dict[str, object]]) -> None:
        for line in lines:
            kind, value = line["key"], line["value"]
            assert isinstance(value, dict)
            if kind == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                self.files[value["path"]] = self.stored[value["oid"]]
            elif kind == "deletedFile":
                del self.files[value["path"]]
        self.commits += 1


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[SpaceHub]:
    # The small hub has no Xet storage, whose client is a library of its own: large files go by LFS.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    hub = SpaceHub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            assert urlsplit(self.path).path == f"/api/spaces/{REPO}/tree/main", self.path
            self.answer([{"type": "file", "path": p, "size": len(d), "oid": "0" * 40} for p, d in hub.files.items()])

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            hub.stored[hashlib.sha256(data).hexdigest()] = data
            self.answer({})

        def do_POST(self) -> None:
            sent, path = self.body(), urlsplit(self.path).path
            if path == "/api/validate-yaml":
                assert json.loads(sent)["content"] == "# A studio" and json.loads(sent)["repoType"] == "space"
                self.answer({"errors": [], "warnings": []})
            elif path == "/api/repos/create":
                asked = json.loads(sent)
                hub.sdk, hub.private = asked["sdk"], asked.get("visibility") == "private" or asked.get("private", False)
                assert asked["type"] == "space" and asked["name"] == "studio"
                self.answer({"url": f"{hub.endpoint}/spaces/{REPO}", "name": REPO, "id": "1"})
            elif path == f"/api/spaces/{REPO}/preupload/main":
                modes = [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["size"] > LARGE else "regular",
                        "shouldIgnore": False,
                    }
                    for file in json.loads(sent)["files"]
                ]
                self.answer({"files": modes})
            elif path == f"/spaces/{REPO}.git/info/lfs/objects/batch":
                objects = [
                    {**o, "actions": {"upload": {"href": f"{hub.endpoint}/put/{o['oid']}"}}}
                    for o in json.loads(sent)["objects"]
                ]
                self.answer({"transfer": "basic", "objects": objects})
            elif path == f"/api/spaces/{REPO}/commit/main":
                if hub.refuse:
                    self.answer({"error": "You may not write here"}, hub.refuse)
                else:
                    hub.commit([json.loads(line) for line in sent.splitlines()])
                    self.answer(
                        {"success": True, "commitOid": "1" * 40, "commitUrl": f"{hub.endpoint}/spaces/{REPO}/commit/1"}
                    )
            else:
                raise AssertionError(self.path)

        def body(self) -> bytes:
            if (size := self.headers.get("Content-Length")) is not None:
                return self.rfile.read(int(size))
            body = b""
            while count := int(self.rfile.readline(), 16):  # in pieces, each with its size before it
                body += self.rfile.read(count)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def answer(self, value: object, status: int = 200) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Part, ...]:
    files = {"README.md": b"# A studio", "studio/a.py": b"A = 1", "assets/large.bin": bytes(range(256)) * 20}
    found = []
    for path, data in files.items():
        (file := tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        found.append(Part(path, file, len(data)))
    return tuple(found)


def test_a_push_makes_the_space_hold_these_files_and_no_others(hub: SpaceHub, parts: tuple[Part, ...]) -> None:
    hub.files = {".gitattributes": b"its own", "studio/gone.py": b"of an older version"}
    address = pushed(REPO, parts, private=True, endpoint=hub.endpoint, token="hf_none")
    assert address.endswith(f"/spaces/{REPO}") and (hub.sdk, hub.private, hub.commits) == ("gradio", True, 1)
    assert hub.files == {part.path: part.file.read_bytes() for part in parts} | {".gitattributes": b"its own"}


def test_a_push_that_is_refused_is_told_in_words(hub: SpaceHub, parts: tuple[Part, ...]) -> None:
    hub.refuse = 403
    with pytest.raises(NotPushed, match=r"left as it was: .*You may not write here.*Check its name"):
        pushed(REPO, parts, endpoint=hub.endpoint, token="hf_none")
    assert hub.files == {}
    with pytest.raises(NotPushed, match="left as it was"):
        pushed(REPO, parts, endpoint="http://127.0.0.1:9", token="hf_none")


def test_a_dry_run_lists_what_would_go() -> None:
    answer = CliRunner().invoke(app, ["space", "--push", REPO, "--dry-run", "--json"])
    assert answer.exit_code == 0
    listed = {row["path"]: row["bytes"] for row in json.loads(answer.stdout)}
    assert listed == {part.path: part.file.stat().st_size for part in contents()}
    assert {"README.md", "app.py", "requirements.txt", "studio/cli/space.py", "LICENSE"} <= listed.keys()
    assert "assets/models/toybox/unet/diffusion_pytorch_model.safetensors" in listed
    assert not [path for path in listed if "__pycache__" in path or path.startswith((".", "tests", "space/", "docs"))]
    assert (ROOT / "space" / "README.md").stat().st_size == listed["README.md"], "the Space's own, not the project's"


def test_a_name_that_is_none_is_refused_before_anything_is_read() -> None:
    answer = CliRunner().invoke(app, ["space", "--push", "studio"])
    assert answer.exit_code == 2 and "OWNER/NAME" in answer.output


def test_versions_are_those_that_are_tested() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pins = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [re.match(r"[\w.-]+", one) for one in project["dependencies"]]
    names = [found.group() for found in wanted if found]
    lines = (ROOT / "space" / "requirements.txt").read_text().splitlines()[1:]
    assert lines == [f"{name}=={pins[re.sub(r'[-_.]+', '-', name).lower()]}" for name in names]
    front = (ROOT / "space" / "README.md").read_text().split("---")[1]
    said = dict(line.split(": ", 1) for line in front.strip().splitlines())
    assert (said["sdk"], said["sdk_version"]) == ("gradio", pins["gradio"])
    assert (ROOT / "space" / said["app_file"]).is_file() and len(said["short_description"]) <= 60
    assert project["license"].lower() == said["license"]


def test_for_zero_gpu_other_files_go_and_torch_is_one_that_it_has() -> None:
    listed, usual = ({part.path: part.file for part in contents(zero=zero)} for zero in (True, False))
    assert listed.keys() == usual.keys()
    others = {path for path in listed if listed[path] != usual[path]}
    assert others == {"README.md", "requirements.txt"}
    pins, own = (
        dict(re.findall(r"^([\w.-]+)==(\S+)$", found["requirements.txt"].read_text(), re.MULTILINE))
        for found in (listed, usual)
    )
    assert {name for name, version in pins.items() if own.get(name) != version} == {"spaces", "torch", "torchvision"}
    assert pins.keys() - own.keys() == {"spaces"} and own.keys() <= pins.keys()
    assert pins["torch"].rpartition(".")[0] in ("2.8", "2.9", "2.10", "2.11"), "what ZeroGPU had in August 2026"
    said = metadata_load(listed["README.md"])
    assert said is not None and (said["sdk"], said["sdk_version"]) == ("gradio", pins["gradio"])
    assert [line.split()[0] for line in said["preload_from_hub"]] == said["models"]
    assert (ROOT / "space" / said["app_file"]).is_file() and len(said["short_description"]) <= 60


def test_on_zero_gpu_no_process_is_started_and_preloaded_models_are_found(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = settings_of_space({"SPACES_ZERO_GPU": "1"})
    assert found.zero_gpu and not found.device_process and not found.warm_up and found.hosting is not None
    assert not settings_of_space({}).zero_gpu and settings_of_space({}).bucket is None
    assert settings_of_space({"PALIMPSEST_BUCKET": "/bucket"}).bucket == Path("/bucket")

    def fetched(repo: str, revision: str | None, local_files_only: bool) -> str:
        assert local_files_only and revision in (None, "abc")
        if repo == "nobody/none":
            raise LocalEntryNotFoundError("none")
        return str(tiny)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetched)
    readme = tmp_path / "README.md"
    lines = ["someone/painter model_index.json,unet/config.json abc", "nobody/none"]
    readme.write_text("---\npreload_from_hub:\n" + "".join(f"  - {line}\n" for line in lines) + "---\n# A studio\n")
    for _ in range(2):  # also where the data folder lasts
        assert preloaded(tmp_path / "models", readme) == ["painter"]
    assert "nobody/none was not fetched" in capsys.readouterr().err
    card = find_model("painter", (tmp_path / "models",))
    assert card.kind == "text-to-image" and card.backbone is not None
    assert preloaded(tmp_path / "models", ROOT / "space" / "README.md") == []


def test_a_space_serves_strangers_in_frames_of_the_hub() -> None:
    found = settings_of_space({"SPACE_HOST": "someone-studio.hf.space"})
    assert found.hosting is not None and (found.host, found.port) == ("0.0.0.0", 7860)
    assert "someone-studio.hf.space" in found.allowed_hosts and "https://huggingface.co" in found.frames
    assert not found.lists_all and not found.manages_models and found.proxies_in_front == MOST_PROXIES
