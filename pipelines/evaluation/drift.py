"""Does the picture drift? A turn of a line against turn 0: subject, background, and what was never to change.

This file imports no torch: the CLIP is given, and so are the model's limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pipelines.contract import Mask, Picture, Scope
from pipelines.evaluation.consistency import Edited
from pipelines.evaluation.metrics import MOST_DB, psnr
from pipelines.evaluation.similarity import Embed, isolated, similarities
from pipelines.models.limits import Limits


@dataclass(frozen=True)
class Drift:
    """One picture of a line against the original."""

    clip: str | None
    """The CLIP whose similarity it is; ``None``: none was found, and both similarities are ``None``."""
    subject: float | None
    """CLIP similarity of what the turns so far called subject, the rest hidden; ``None`` also where they named none."""
    background: float | None
    """The same of all the rest; ``None`` also where there is none."""
    kept_psnr: float | None
    """dB over the pixels that every turn so far was to keep, 60 at most; ``None`` where there are none."""
    kept_share: float
    """How much of the picture those are, 0 to 1."""
    subject_turns: int
    """How many turns so far were asked to change the subject."""
    background_turns: int
    """How many were asked to change the background."""
    subject_repaints: int = 0
    """How many turns so far had a model paint the subject anew."""
    background_repaints: int = 0
    too_far: str = ""
    """What went beyond the model's limits, in words: it is time to offer doing the line again from the original. Empty
    where nothing did, of models without limits, and of turns from before it was noted."""

    def beyond(self, limits: Limits) -> str:
        """`too_far` by `limits`.

        A part that was asked to change is no longer like turn 0, and should not be: similarity counts only for a
        part that nobody asked to change, and only where kept pixels did: while they are what they were, a part has
        become unlike by the seam alone. One that was painted over again and again counts by how often.
        """
        repaints = (("subject", self.subject_repaints), ("background", self.background_repaints))
        part, most = max(repaints, key=lambda row: row[1])
        if most > limits.most_repaints:
            return f"its {part} was painted over {most} times"
        parts = (
            ("subject", self.subject, self.subject_turns),
            ("background", self.background, self.background_turns),
        )
        if self.kept_psnr is not None and self.kept_psnr < limits.least_db:
            return f"kept pixels are down to {self.kept_psnr:.0f} dB"
        intact = self.kept_psnr == MOST_DB
        for part, value, turns in parts:
            if value is not None and turns == 0 and value < limits.least_similarity and not intact:
                return f"the {part} changed though no turn asked for it"
        return ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Drift:
        return cls(**data)


def drift(
    original: Picture,
    picture: Picture,
    edits: Sequence[Edited],
    changed: Sequence[Mask],
    embed: Embed | None,
    limits: Limits | None = None,
) -> Drift:
    """How far `picture` has gone from `original`, both ``(H, W, 3) uint8`` of one size, by the turns of its line: turn
    k was told ``edits[k]``, and could change ``changed[k]`` ``(H, W) bool``.

    The subject is what any of the turns called so, so that nothing of it counts as background.
    """
    nothing = np.zeros(original.shape[:2], np.bool_)
    subject = np.logical_or.reduce([nothing, *(edit.mask for edit in edits if edit.mask is not None)])
    kept = ~np.logical_or.reduce([nothing, *changed])
    parts = {name: part for name, part in (("subject", subject), ("background", ~subject)) if part.any()}
    alike: dict[str, float] = {}
    if embed is not None:
        then, now = ([isolated(seen, part) for part in parts.values()] for seen in (original, picture))
        alike = dict(zip(parts, similarities(embed, then, now), strict=True))
    scopes = [edit.scope for edit in edits]
    painted = [edit.scope for edit in edits if edit.painted]
    found = Drift(
        clip=embed.name if embed else None,
        subject=alike.get("subject"),
        background=alike.get("background"),
        kept_psnr=psnr(original, picture, kept),
        kept_share=float(kept.mean()),
        subject_turns=sum(scope is not Scope.BACKGROUND for scope in scopes),
        background_turns=sum(scope is not Scope.SUBJECT for scope in scopes),
        subject_repaints=sum(scope is not Scope.BACKGROUND for scope in painted),
        background_repaints=sum(scope is not Scope.SUBJECT for scope in painted),
    )
    return found if limits is None else replace(found, too_far=found.beyond(limits))
