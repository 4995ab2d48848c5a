"""The list of all refusals is of the messages that there are, and says of each what was expected, came and helps."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from studio.refusals import DOCUMENT, HELPS, PACKAGES, ROOT, TITLES, Refusal, document, refusals


def test_the_document_is_what_the_source_says() -> None:
    told = document(refusals())
    assert DOCUMENT.read_text(encoding="utf-8") == told, "run: python -m studio.refusals"


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        (
            "the host <host> is not known here: expected an address of this machine; say --host 127.0.0.1",
            ("the host <host> is not known here", "expected an address of this machine", "", "say --host 127.0.0.1"),
        ),
        (
            "<name> must be at least 16 pixels a side; got <width> x <height>. Use a larger picture",
            ("", "<name> must be at least 16 pixels a side", "got <width> x <height>", "Use a larger picture"),
        ),
        (
            "the port <port> at <host> is taken; name another one, like --port 7861",
            ("the port <port> at <host> is taken", "", "", "name another one, like --port 7861"),
        ),
    ],
)
def test_a_message_is_taken_apart(message: str, parts: tuple[str, str, str, str]) -> None:
    assert Refusal("studio", "studio.x", message).parts() == parts


def test_every_raised_message_of_a_person_is_in_it() -> None:
    """Whatever the reader of the source overlooks is found by reading it otherwise: the first words of each text."""
    told = " ".join(refusal.message for refusal in refusals())
    missing = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
                    continue
                name, first = ast.unparse(node.exc.func), node.exc.args[0]
                if name in ("ModelError", "BadRequest", "NotReady", "BadPicture", "PullError", "Busy", "WrongTurns"):
                    pieces = [n.value for n in ast.walk(first) if isinstance(n, ast.Constant)]
                    words = [" ".join(p.split()) for p in pieces if isinstance(p, str) and len(p.split()) > 3]
                    missing += [f"{path.name}: {w}" for w in words[:1] if w not in told and "{" not in w]
    assert not missing


def test_every_part_of_the_program_has_a_title() -> None:
    places = {refusal.place for refusal in refusals()}
    assert places <= TITLES.keys() and HELPS.keys() <= places
    assert {"studio.api", "studio.cli", "studio.store", "pipelines.models"} <= places
    assert Path(DOCUMENT).name == "refusals.md"
