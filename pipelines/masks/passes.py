"""How clicks and a box become passes of a SAM decoder, whichever library runs the network.

The first pass answers the box, or the first click on the subject with its alternatives. Where there is more to say, a
second pass gets everything, and the first one's mask as its starting point. This file imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Box, Extent
from pipelines.errors import BadRequest
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.masks.segmenter import SegmenterAnswer

LABELS = ("small", "medium", "large")
"""What the three alternatives for a lone click are called, where a model does not name them itself."""


@dataclass(frozen=True, eq=False)
class Pass:
    """What one pass of the decoder gave for the same prompts: one mask, or three alternatives."""

    masks: NDArray[np.bool_]
    """``(K, H, W) bool`` in the picture's own size."""
    scores: NDArray[np.float32]
    """``(K,) float32``: the network's guess of each mask's IoU with what was meant."""
    logits: Sequence[Any] = field(repr=False)
    """K masks as the network's next pass takes them."""


class Decoder(Protocol):
    """Prompt encoder and mask decoder on one embedded picture; coordinates are pixels of the picture."""

    def __call__(
        self, clicks: Sequence[Click] = (), box: Box | None = None, before: Any = None, alternatives: bool = False
    ) -> Pass:
        """One pass. `before` is one of an earlier pass's `logits`; `alternatives` asks for three masks."""


def ask(decode: Decoder, extent: Extent, prompts: MaskPrompts, labels: tuple[str, ...]) -> SegmenterAnswer:
    """What `Segmenter.segment` promises for `prompts` on a picture of `extent`: two passes, at most.

    `labels` name the alternatives for a lone click, from the smallest to the largest.
    """
    check_prompts(prompts, extent)
    clicks = prompts.all_clicks
    included = [click for click in clicks if click.include]
    if prompts.box is not None:
        names: tuple[str, ...] = ("subject",)
        start = decode(box=prompts.box)
        settled = not clicks
    elif included:
        names = labels
        start = _by_area(decode(included[:1], alternatives=True))
        settled = len(clicks) == 1
    else:
        raise BadRequest("click the subject itself, or draw a box around it, before excluding parts of it")
    answer = _answer(start, names)
    if settled:
        return answer
    # The start's mask carries the choice among its alternatives on into the refined one.
    chosen = start.logits[answer.best(prompts.choice)]
    return _answer(decode(clicks, prompts.box, chosen), ("subject",))


def _by_area(found: Pass) -> Pass:
    order = found.masks.sum((1, 2)).argsort(kind="stable")
    return Pass(found.masks[order], found.scores[order], [found.logits[k] for k in order])


def _answer(found: Pass, names: tuple[str, ...]) -> SegmenterAnswer:
    return SegmenterAnswer(found.masks, found.scores.clip(0, 1), names)


def check_prompts(prompts: MaskPrompts, extent: Extent) -> None:
    """Refuse with `BadRequest` what lies outside the picture; NaN is outside."""
    corners = (
        [] if prompts.box is None else [(prompts.box.left, prompts.box.top), (prompts.box.right, prompts.box.bottom)]
    )
    for x, y in [*((click.x, click.y) for click in prompts.all_clicks), *corners]:
        if not (0 <= x <= extent.width and 0 <= y <= extent.height):
            raise BadRequest(
                f"clicks and boxes must lie inside the picture of {extent.width} x {extent.height} pixels; "
                f"got ({x:g}, {y:g})"
            )
    if prompts.box is not None and prompts.box.is_empty:
        raise BadRequest("a box needs its right edge right of its left one and its bottom below its top")


def check_shape(extent: Extent, side: int) -> None:
    """Refuse with `BadRequest` a picture whose shorter side vanishes when the longer one becomes `side` pixels."""
    shorter, longer = sorted((extent.width, extent.height))
    if shorter * side < longer:
        raise BadRequest(
            f"clicks need a picture at most {side} times as long as it is wide; "
            f"got {extent.width} x {extent.height}. Paint the mask with the brush instead"
        )
