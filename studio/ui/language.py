"""The page's languages. The English sentence in the code is the name of the one in the catalogue, as with gettext.

A catalogue is ``assets/locale/<language>.json``: under ``page`` the sentences of our scripts (see
``assets/js/language.js``), under other headings those that Python puts into the page. What it lacks is said in English,
and so is what `pipelines` and the session refuse. The language travels with the request as who asks does
(`studio.visitors`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from http.cookies import CookieError, SimpleCookie

from studio.ui.assets import ASSETS

ENGLISH = "en"
FOLDER = ASSETS / "locale"
LANGUAGES = (ENGLISH, *sorted(path.stem for path in FOLDER.glob("*.json")))
PAGE = "page"
COOKIE = "palimpsest-language"
"""What the browser keeps where somebody chose another language than the browser's own."""

COMMA = ("de",)
"""Languages that write it where English has the point in a number."""

_SPOKEN: ContextVar[str] = ContextVar("spoken", default=ENGLISH)


def spoken() -> str:
    """The language of the page whose request is being answered."""
    return _SPOKEN.get()


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """What is said inside is said in `language`."""
    token = _SPOKEN.set(language)
    try:
        yield
    finally:
        _SPOKEN.reset(token)


def wanted(headers: Mapping[str, str]) -> str:
    """The language that was chosen in the page, else the first of the browser's own that the page speaks."""
    try:
        chosen = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        chosen = None
    if chosen is not None and chosen.value in LANGUAGES:
        return chosen.value
    asked = [part.partition(";") for part in headers.get("accept-language", "").split(",")]
    ranked = sorted(asked, key=lambda one: _weight(one[2]), reverse=True)
    names = [name.strip().lower().partition("-")[0] for name, _, more in ranked if _weight(more) > 0]
    return next((name for name in names if name in LANGUAGES), ENGLISH)


def _weight(more: str) -> float:
    """Of ``q=0.8``; 1 where nothing is said."""
    try:
        return float(more.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0


@cache
def catalogue(language: str) -> Mapping[str, Mapping[str, str]]:
    """The sentences of `language` by heading and English sentence."""
    if language == ENGLISH:
        return {}
    read: dict[str, dict[str, str]] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return read


@cache
def _sentences(language: str) -> Mapping[str, str]:
    """Those that Python puts into the page."""
    return {
        one: other for heading, part in catalogue(language).items() if heading != PAGE for one, other in part.items()
    }


def say(sentence: str, **values: object) -> str:
    """`sentence` in the page's language, with what stands for each ``{name}`` in it."""
    found = _sentences(spoken()).get(sentence, sentence)
    return found.format(**values) if values else found


def figure(number: float, form: str = "g") -> str:
    """A number in Python's `form` for it, as it is written in the page's language."""
    written = f"{number:{form}}"
    return written.replace(".", ",") if spoken() in COMMA else written
