"""The page's scripts are given out as modules, at addresses that name what is there for ever."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from studio.api import scripts
from studio.ui import assets


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(FastAPI(routes=scripts.routes(assets.SCRIPTS, assets.VERSION)))


def test_every_module_is_there_as_it_is_in_the_folder_and_may_be_kept(client: TestClient) -> None:
    for name, text in assets.SCRIPTS.items():
        answer = client.get(assets.address(name.removesuffix(".js")))
        assert answer.status_code == 200 and answer.content == text
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in answer.headers["cache-control"]


def test_what_modules_import_is_beside_them(client: TestClient) -> None:
    for name, text in assets.SCRIPTS.items():
        for other in re.findall(r'^(?:import|export) (?:.* from )?"(.+)";$', text.decode(), re.M):
            assert other.startswith("./") and other[2:] in assets.SCRIPTS, f"{name} imports {other}"


@pytest.mark.parametrize(
    "name", ["nothing.js", "view.d.ts", "package.json", "..%2Fstudio.css", "..%2Fjs%2Fmain.js", ""]
)
def test_nothing_else_is_given_out(client: TestClient, name: str) -> None:
    assert client.get(f"/{scripts.FOLDER}/{assets.VERSION}/{name}").status_code == 404


def test_a_page_of_another_version_is_given_no_module_of_this_one(client: TestClient) -> None:
    assert client.get(f"/{scripts.FOLDER}/{'0' * 16}/main.js").status_code == 404


def test_the_page_fetches_all_modules_together_and_runs_none_between_its_lines() -> None:
    head = assets.head()
    preloaded = re.findall(r'<link rel="modulepreload" href="([^"]+)">', head)
    assert preloaded == [assets.address(name.removesuffix(".js")) for name in assets.SCRIPTS]
    assert re.findall(r"<script[^>]*>(.*?)</script>", head, re.S) == [""]
