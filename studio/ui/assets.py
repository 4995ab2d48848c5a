"""Reads the page's scripts and style, which are files of their own under ``assets``.

The scripts are modules that import each other. A browser asks for each by its own address (`studio.api.scripts`), in
which the digest of all of them stands: it may keep them for ever, and never runs two versions together.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from studio.api.scripts import FOLDER

ASSETS = Path(__file__).resolve().parents[2] / "assets"

STYLES = ("studio.css", "timeline.css", "gallery.css", "models.css", "hints.css")
"""In the order in which they apply."""

SCRIPTS = {path.name: path.read_bytes() for path in sorted((ASSETS / "js").glob("*.js"))}
"""Each module of the page by its file's name."""
VERSION = hashlib.sha256(b"".join(name.encode() + text for name, text in SCRIPTS.items())).hexdigest()[:16]


def address(name: str) -> str:
    """Where the module ``<name>.js`` is, seen from the page."""
    assert f"{name}.js" in SCRIPTS, f"no file assets/js/{name}.js"
    return f"{FOLDER}/{VERSION}/{name}.js"


def importing(name: str) -> str:
    """An expression of JavaScript: the promise of the module ``<name>.js``."""
    return f'import(new URL("{address(name)}", document.baseURI))'


def style() -> str:
    """The whole style sheet, nested in the page's root, which is ``&`` in it.

    The root is named more than once for weight: Gradio's own sheets arrive later, and would win a draw.
    """
    rules = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in STYLES)
    return f":root:root:root {{\n{rules}\n}}"


def head() -> str:
    """What goes into the page's head: a description of the viewport for phones, the style, and the scripts.

    The style is not given to Gradio as ``css``: of that it rewrites the selectors, so that within ``@media`` none
    reaches the page itself or a dialog, and drops every other rule with a condition. All scripts are named, so that
    they are fetched together, and not each when another has asked for it.
    """
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    modules = [f'<link rel="modulepreload" href="{address(name.removesuffix(".js"))}">' for name in SCRIPTS]
    main = f'<script type="module" src="{address("main")}"></script>'
    return "\n".join([viewport, f"<style>\n{style()}\n</style>", *modules, main])
