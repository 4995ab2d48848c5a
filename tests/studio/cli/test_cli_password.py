"""``password`` prints what ``serve --auth`` takes, and nothing that was typed."""

from __future__ import annotations

import pytest

from studio.passwords import matches
from studio.settings import PASSWORD
from tests.studio.cli.conftest import Run


def test_a_password_is_printed_as_it_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.cli.password.typer.prompt", lambda *_, **__: "open sesame")
    told = run("password", "mia")
    found = PASSWORD.fullmatch(told.out.strip())
    assert told.code == 0 and found is not None and found["name"] == "mia" and matches("open sesame", found["hash"])
    assert "sesame" not in told.out + told.err
    assert run("password", "a:b").code == 2
    monkeypatch.setattr("studio.cli.password.typer.prompt", lambda *_, **__: "short")
    assert run("password").code == 2


def test_a_studio_is_not_served_with_what_is_no_key(run: Run) -> None:
    told = run("serve", "--auth", "mia:secret", "--no-browser", "--port", "0")
    assert told.code == 2 and "launch.py password" in told.err and "secret" not in told.err
    assert run("serve", "--token", "short", "--no-browser", "--port", "0").code == 2
