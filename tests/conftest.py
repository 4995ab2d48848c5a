"""How the tests are dealt out where several processes run them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@cache
def opens_a_browser(file: str) -> bool:
    """Whether the tests of that file are marked as such."""
    return "mark.browser" in (ROOT / file).read_text(encoding="utf-8")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests stay together, for they share what takes long to make; and all that open a browser are one
    process's, since two pages that compute at once are slow enough to be taken for broken."""
    from xdist.scheduler import LoadFileScheduling

    class Dealt(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "browser" if opens_a_browser(file) else file

    return Dealt(config, log)
