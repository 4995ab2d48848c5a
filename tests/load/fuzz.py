"""The HTTP API fuzzed from its committed description: ``python -m tests.load.fuzz --minutes 5``.

A studio is served on the loopback address, on a data folder that is gone afterwards, with an engine that computes
nothing costly; it ends when the time is over. What is found is printed, and the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from studio.api.openapi import DOCUMENT
from studio.app import build_studio
from studio.settings import Settings
from studio.ui.app import open_page
from tests.studio.conftest import StandInEngine

CONFIG = Path(__file__).resolve().parents[1] / "studio" / "api" / "schemathesis.toml"
ST = Path(sys.executable).with_name("st")
EXAMPLE = "duck-on-the-beach"
MOST_EXAMPLES = 100_000
"""More than any time allows."""


def main() -> int:
    """Fuzz; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="palimpsest-fuzz-") as folder:
        settings = Settings(data=Path(folder) / "data", port=0, warm_up=False, upload_limit=1)
        studio = build_studio(settings, StandInEngine())
        page = open_page(studio, settings)
        try:
            made = httpx.post(f"{page.url}/api/v1/sessions", json={"example": EXAMPLE}, timeout=30).json()
            command = [
                ST,
                "--config-file",
                CONFIG,
                "run",
                DOCUMENT,
                "--phases",
                "fuzzing,stateful",
                "--seed",
                asked.seed,
            ]
            command += ["--max-time", int(60 * asked.minutes), "--max-examples", MOST_EXAMPLES, "--continue-on-failure"]
            environment = os.environ | {"STUDIO_URL": page.url, "STUDIO_SESSION": made["sid"], "COLUMNS": "200"}
            return subprocess.run(list(map(str, command)), env=environment, cwd=folder, check=False).returncode
        finally:
            page.close()
            studio.close()


if __name__ == "__main__":
    sys.exit(main())
