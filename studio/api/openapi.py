"""Writes ``docs/openapi.json``, what the HTTP API takes and answers: ``python -m studio.api.openapi``.

It is generated from the same values as the page's form and the command line's options. With ``--check`` it compares,
and says what is another.
"""

from __future__ import annotations

import argparse
import difflib
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from studio.api.uploads import Uploads
from studio.api.v1 import described
from studio.settings import Settings
from studio.verbs.studio import open_studio

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def description() -> dict[str, Any]:
    """The description as it follows from the source; nothing of this machine is in it."""
    with tempfile.TemporaryDirectory() as folder, open_studio(folder, settings=Settings(warm_up=False)) as verbs:
        return described(verbs, Uploads(0))


def text() -> str:
    """As the document has it."""
    return json.dumps(description(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the document, or compare it; 1 where it is another."""
    parser = argparse.ArgumentParser(prog="python -m studio.api.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare, and say what differs")
    asked = parser.parse_args()
    logging.disable(logging.INFO)
    now = text()
    if not asked.check:
        DOCUMENT.write_text(now, encoding="utf-8")
        return 0
    before = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.is_file() else ""
    found = list(
        difflib.unified_diff(before.splitlines(), now.splitlines(), "committed", "generated", lineterm="", n=1)
    )
    if found:
        sys.stderr.write("\n".join([*found[:40], "", "run: python -m studio.api.openapi", ""]))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
