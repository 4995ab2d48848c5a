"""What the network is told: the embedding of one text or several, for every family of model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PromptEmbeds:
    """`B` embedded texts. Stable Diffusion 1.x and 2.x read the tokens alone, XL a summary beside them."""

    tokens: Tensor
    """``(B, L, D) float32``: what cross-attention looks at."""
    pooled: Tensor | None = None
    """``(B, P) float32``: one vector for the whole text, which enters with the timestep; ``None`` but for XL."""

    @property
    def widths(self) -> tuple[int, int | None]:
        """``(D, P)``: texts of one model have the same."""
        return self.tokens.shape[-1], None if self.pooled is None else self.pooled.shape[-1]

    @classmethod
    def joined(cls, parts: Sequence[PromptEmbeds]) -> PromptEmbeds:
        """All the texts of `parts`, in order."""
        pooled = [e.pooled for e in parts if e.pooled is not None]
        return cls(torch.cat([e.tokens for e in parts]), torch.cat(pooled) if pooled else None)

    def __getitem__(self, which: slice) -> PromptEmbeds:
        return PromptEmbeds(self.tokens[which], None if self.pooled is None else self.pooled[which])

    def expanded(self, count: int) -> PromptEmbeds:
        """This one text, told to `count` samples."""
        pooled = None if self.pooled is None else self.pooled.expand(count, -1)
        return PromptEmbeds(self.tokens.expand(count, -1, -1), pooled)

    def blended(self, other: PromptEmbeds, share: float) -> PromptEmbeds:
        """``share self + (1 - share) other``, tokens and summary alike."""
        tokens = share * self.tokens + (1 - share) * other.tokens
        if self.pooled is None or other.pooled is None:
            return PromptEmbeds(tokens)
        return PromptEmbeds(tokens, share * self.pooled + (1 - share) * other.pooled)

    def followed_by(self, other: PromptEmbeds) -> PromptEmbeds:
        """Both in one sequence of ``2L`` tokens; a summary has no length, so that is the mean of both."""
        return replace(self.blended(other, 0.5), tokens=torch.cat([self.tokens, other.tokens], dim=1))

    def open(self) -> PromptEmbeds:
        """A copy whose tokens are a leaf to be fitted. The summary is not: it reaches every place of the picture at
        once, through the timestep's embedding, so no mask could keep one part's summary out of the other part."""
        return replace(self, tokens=self.tokens.detach().clone().requires_grad_())

    def to(self, device: torch.device) -> PromptEmbeds:
        """The same on `device`."""
        return PromptEmbeds(self.tokens.to(device), None if self.pooled is None else self.pooled.to(device))

    def closed(self) -> PromptEmbeds:
        """The same values, without gradients."""
        return replace(self, tokens=self.tokens.detach())
