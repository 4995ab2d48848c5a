"""The HTTP API fuzzed from its own description; for longer by ``python -m tests.load.fuzz --minutes 5``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from studio.api.openapi import DOCUMENT
from tests.studio.api.conftest import Served

CONFIG = Path(__file__).with_name("schemathesis.toml")
ST = Path(sys.executable).with_name("st")


def test_nothing_that_is_sent_breaks_it(served: Served, sid: str, tmp_path: Path) -> None:
    """No 500, no answer that is not described, and nothing wrong that is taken."""
    command = [ST, "--config-file", CONFIG, "run", DOCUMENT, "--phases", "fuzzing,stateful", "--max-examples", "4"]
    told = subprocess.run(
        list(map(str, command)),
        env=os.environ | {"STUDIO_URL": served.page.url, "STUDIO_SESSION": sid, "COLUMNS": "200"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stdout[-6000:] + told.stderr[-2000:]
    assert "Tested: 30" in told.stdout
