"""The page in other languages: `gr.Blocks` whose configuration, which the browser builds the page from, is in the
language of the request that asks for it.

Events know only the page as it was built, in English. For another language its components are made once more, when a
browser first asks for that, and lend it their words.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import gradio as gr

from studio.ui.language import ENGLISH, PAGE, catalogue, speaking, spoken

WORDED = ("label", "info", "placeholder", "choices", "value")
"""Properties of a component that hold words; a value does where it is text to read, and is the same where not."""


class Spoken(gr.Blocks):
    """Blocks that `arrange` fills; called again in another language, it makes the same components with other words."""

    def __init__(self, arrange: Callable[[], object], **given: Any) -> None:
        self._arrange = arrange
        self._making = Lock()
        self._english: dict[str, Any] = {}
        self._others: dict[str, dict[str, Any]] = {}
        super().__init__(**given)

    @property
    def config(self) -> Any:
        """What is sent of the page. Scripts find their words in it (``assets/js/language.js``)."""
        language = spoken()
        if language == ENGLISH:
            return self._english
        with self._making:
            if language not in self._others:
                self._others[language] = self._in(language)
        return self._others[language]

    @config.setter
    def config(self, english: Any) -> None:
        self._english, self._others = english, {}

    def _in(self, language: str) -> dict[str, Any]:
        with speaking(language), gr.Blocks(analytics_enabled=False) as other:
            self._arrange()
        components = []
        for ours, theirs in zip(self._english["components"], other.config["components"], strict=True):
            assert ours["type"] == theirs["type"], "the page was arranged otherwise than before"
            words = {name: theirs["props"][name] for name in WORDED if name in theirs["props"]}
            components.append({**ours, "props": ours["props"] | words})
        return {**self._english, "components": components, "language": language, "words": catalogue(language)[PAGE]}
