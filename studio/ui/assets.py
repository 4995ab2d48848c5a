"""Reads the page's scripts and style, which are files of their own under ``assets``."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "assets"

LIBRARY = (
    "store.js",
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
    """The whole style sheet."""
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in STYLES)


def library() -> str:
    """The scripts that every panel may use, as one."""
    return "\n".join(script(name) for name in LIBRARY)


def head() -> str:
    """What goes into the page's head: the library, and a description of the viewport for phones."""
    return f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<script>{library()}</script>'
