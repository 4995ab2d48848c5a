"""Reads the page's scripts and style, which are files of their own under ``assets``."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "assets"

LIBRARY = (
    "store.js",
    "connection.js",
    "places.js",
    "roving.js",
    "overlay.js",
    "compare.js",
    "marks.js",
    "split.js",
    "popover.js",
    "film.js",
    "turn_menu.js",
    "drift.js",
    "swap.js",
    "orders.js",
    "trash.js",
    "export.js",
    "crop.js",
)
"""Scripts every panel may use, in loading order; each adds to ``window.palimpsest``."""

STYLES = ("studio.css", "timeline.css", "gallery.css", "models.css", "hints.css")
"""In the order in which they apply."""


def script(name: str) -> str:
    """The text of ``assets/js/<name>``."""
    return (ASSETS / "js" / name).read_text(encoding="utf-8")


def style() -> str:
    """The whole style sheet, nested in the page's root, which is ``&`` in it.

    The root is named more than once for weight: Gradio's own sheets arrive later, and would win a draw.
    """
    rules = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in STYLES)
    return f":root:root:root {{\n{rules}\n}}"


def library() -> str:
    """The scripts that every panel may use, as one."""
    return "\n".join(script(name) for name in LIBRARY)


def head() -> str:
    """What goes into the page's head: the library, the style, and a description of the viewport for phones.

    The style is not given to Gradio as ``css``: of that it rewrites the selectors, so that within ``@media`` none
    reaches the page itself or a dialog, and drops every other rule with a condition.
    """
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{viewport}\n<style>\n{style()}\n</style>\n<script>{library()}</script>"
