"""What each of the three stages of training minimises, and which networks it updates (Section 2.6 of CDD-ICM)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from pipelines.compose.losses import cdd_loss, icm_loss, joint_loss, log_match, mse_loss, vlb_loss
from pipelines.compose.model import Composer


class Stage(StrEnum):
    """In their order."""

    MATCH = "match"
    """L_icm updates both encoders and the fusion."""
    DRAW = "draw"
    """L_joint updates them and the U-Net."""
    GUIDE = "guide"
    """L_n-icm updates the noisy picture's encoder; all else is frozen."""


@dataclass(frozen=True)
class Weights:
    """The paper's hyper-parameters (Section 4.2)."""

    gamma: float = 1.5
    """Of L_vlb in L_cdd."""
    delta: float = 0.1
    """Of L_icm in L_joint."""
    dropped: float = 0.2
    """lambda: how often a turn is drawn without its instruction, for classifier-free guidance."""


@dataclass(frozen=True)
class Batch:
    """Turns as tensors, and what is drawn at random for them."""

    references: Tensor
    """``(B, 3, side, side)`` in [-1, 1]."""
    words: Tensor
    """``(B, words) int64``."""
    targets: Tensor
    t: Tensor
    """``(B,) int64``, 0 to T - 1."""
    eps: Tensor
    rivals: Tensor | None
    """``(B, K, words) int64``, other instructions for the same references; ``None`` where none are known."""
    chance: Tensor
    """``(B,)`` in 0 to 1: below `Weights.dropped` nothing is said."""


class Objective(nn.Module):
    """The loss of a batch in a stage. A module, so that accelerate can spread it over GPUs."""

    def __init__(self, composer: Composer, weights: Weights) -> None:
        super().__init__()
        self.composer, self.weights = composer, weights

    def forward(self, stage: Stage, batch: Batch) -> Tensor:
        if stage is Stage.MATCH:
            return self._icm(batch)
        if stage is Stage.DRAW:
            return self._joint(batch)
        return self._noisy_icm(batch)

    def _icm(self, batch: Batch) -> Tensor:
        """Eq. 12."""
        fused = self.composer.condition(batch.references, batch.words).c
        return self._matched(batch, fused, self.composer.image(batch.targets).whole, self.composer.tau)

    def _matched(self, batch: Batch, fused: Tensor, seen: Tensor, tau: Tensor) -> Tensor:
        """L_icm of what was fused and what is seen, ``(B, d)``. By the other turns of a batch, which are about other
        things, nobody learns where a thing goes: so each picture is also told from what its rivals ask for."""
        loss = icm_loss(fused.float(), seen.float(), tau)
        if batch.rivals is None:
            return loss
        others = self.composer.others(batch.references, batch.rivals)
        return loss - log_match(seen.float(), fused.float(), others.float(), tau).mean()

    def _joint(self, batch: Batch) -> Tensor:
        """Eq. 10, 6, 11 and 13."""
        chain, told = self.composer.chain, self.composer.condition(batch.references, batch.words)
        x_t = chain.noised(batch.targets, batch.eps, batch.t)
        heard = self.composer.unconditional(told, batch.chance < self.weights.dropped)
        said, v = self.composer.say(x_t, batch.t, batch.references, heard)
        predicted = self.composer.noise_from(said, x_t, batch.t)
        vlb = vlb_loss(chain, batch.targets, x_t, batch.t, predicted, v)
        mse = mse_loss(self.composer.aim(batch.targets, batch.eps, batch.t), said)
        cdd = cdd_loss(mse, vlb, self.weights.gamma)
        if not self.weights.delta:
            return cdd
        seen = self.composer.image(batch.targets).whole
        return joint_loss(cdd, self._matched(batch, told.c, seen, self.composer.tau), self.weights.delta)

    def _noisy_icm(self, batch: Batch) -> Tensor:
        """Eq. 12 with noisy targets."""
        with torch.no_grad():
            fused = self.composer.condition(batch.references, batch.words).c
        x_t = self.composer.chain.noised(batch.targets, batch.eps, batch.t)
        return self._matched(batch, fused, self.composer.noisy_image(x_t).whole, self.composer.noisy_tau)

    def updated(self, stage: Stage) -> Iterator[nn.Parameter]:
        """The parameters that `stage` teaches."""
        one = self.composer
        if stage is Stage.GUIDE:
            yield from one.noisy_image.parameters()
            yield one.noisy_log_tau
            return
        for module in (one.image, one.text, one.fusion):
            yield from module.parameters()
        if stage is Stage.MATCH or self.weights.delta:
            yield one.log_tau
        if stage is Stage.DRAW:
            yield from one.unet.parameters()
