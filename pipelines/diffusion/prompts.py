"""The texts of one edit, each encoded once however often it is asked for."""

from __future__ import annotations

from pipelines.models.bundle import ModelBundle
from pipelines.models.prompt_embeds import PromptEmbeds


class Prompts:
    """Embeds a text when it is first asked for, alone: what it becomes does not depend on what else the edit says."""

    def __init__(self, bundle: ModelBundle) -> None:
        self._bundle = bundle
        self._known: dict[str, PromptEmbeds] = {}

    def __getitem__(self, text: str) -> PromptEmbeds:
        if text not in self._known:
            self._known[text] = self._bundle.embed_texts([text])
        return self._known[text]
