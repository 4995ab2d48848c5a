"""What the model looks at in the picture one stands on, for each word of what is said of it.

It is a layer to look at and no turn: it is in no export and no history, and it is gone when the studio is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines import pictures as codec
from pipelines.contract import LoraUse, Scope, WordMap
from pipelines.progress import Progress
from studio.history.turn import Turn
from studio.session.computing import known_source
from studio.session.services import Services
from studio.session.view import AttendedText, AttendedWord, AttentionView, Draft

STAGE = "look"
TURN, PICTURE, GIVEN = "turn", "picture", "text"
"""Where a text is from; see `AttendedText`."""


@dataclass(frozen=True)
class Attention:
    """The maps of one picture."""

    picture: str
    """Its digest."""
    view: AttentionView

    def files(self) -> frozenset[str]:
        """Digests of the maps."""
        return frozenset(word.map for text in self.view.texts for word in text.words)


def texts_of(draft: Draft, line: Sequence[Turn]) -> dict[str, str]:
    """By where it is from: what the turn in preparation says, and what the last picture of `line` is said to show. One
    that says nothing is left out, and so is one that says the same."""
    parts = ((Scope.SUBJECT, draft.subject), (Scope.BACKGROUND, draft.background))
    said = " ".join(text.strip() for part, text in parts if text.strip() and draft.scope in (part, Scope.BOTH))
    shows = draft.source.strip() or known_source(line)
    return {where: text for where, text in ((TURN, said), (PICTURE, "" if shows == said else shows)) if text}


def attended(
    services: Services,
    model: str,
    loras: Sequence[LoraUse],
    picture: str,
    texts: dict[str, str],
    words: Sequence[str],
    progress: Progress,
) -> Attention:
    """What `model` looks at in the picture of that digest. Raises what `pipelines.diffusion.word_maps` does."""
    pixels = services.pixels(picture)
    found = services.engine.attention(model, pixels, tuple(texts.values()), tuple(words), loras, progress)

    def kept(one: WordMap) -> AttendedWord:
        grey = np.repeat(one.cells[..., None], 3, axis=2)
        return AttendedWord(one.word, services.store.pictures.put(codec.encode_png(grey)), one.most)

    seen = zip(texts.items(), found, strict=True)
    view = AttentionView(
        tuple(AttendedText(where, text, tuple(kept(one) for one in maps)) for (where, text), maps in seen)
    )
    return Attention(picture, view)
