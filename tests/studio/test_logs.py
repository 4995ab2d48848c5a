"""Log lines that nobody else can write, with what people name and type in them."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from studio import logs

FORGED = "a duck\nINFO studio.app: everything is deleted\r\x1b[2J\u2028x\u202e\ud800"


def written(capsys: pytest.CaptureFixture[str], log: logging.Logger) -> list[str]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logs.OneRecord(logs.FORMAT))
    log.addHandler(handler)
    log.propagate = False  # pytest's own record of it goes between its processes, which half a character cannot
    try:
        log.warning("could not open %s", FORGED)
        try:
            raise ValueError(FORGED)
        except ValueError:
            log.exception("bug")
    finally:
        log.removeHandler(handler)
        log.propagate = True
    return capsys.readouterr().err.split("\n")


def test_what_people_type_begins_no_line_and_reaches_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = written(capsys, logging.getLogger("studio.test"))
    assert lines[0].startswith("WARNING studio.test: could not open a duck\\nINFO studio.app:")
    assert all(line.startswith(("WARNING studio.test:", "ERROR studio.test:", "    ")) for line in lines if line)
    assert all(line.isprintable() for line in lines)
    assert any("ValueError: a duck" in line for line in lines), "the traceback is there"


def test_letters_of_all_languages_stay_as_they_are() -> None:
    assert logs.escaped("Ente im Gebüsch – アヒル 🦆") == "Ente im Gebüsch – アヒル 🦆"


def test_a_process_logs_warnings_and_libraries_in_the_same_form() -> None:
    code = """
import logging, sys, warnings
from studio import logs
logs.to_terminal()
own = logging.getLogger("uvicorn"); own.addHandler(logging.StreamHandler(sys.stdout)); own.propagate = False
logs.take_over("uvicorn")
warnings.warn("first\\nINFO studio: forged", UserWarning)
logging.getLogger("uvicorn.error").error("second\\nINFO studio: forged")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    lines = run.stderr.splitlines()
    assert run.stdout == "" and [line.split(" ")[1] for line in lines] == ["py.warnings:", "uvicorn.error:"]
