"""Who takes part in the bench: the methods that run on a model, and LayerDiffusion's ablations as named settings.

An entrant is named as its method is, or ``layered:a`` for an ablation. This file imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.catalog import CATALOG, check_serves, method, settings
from pipelines.contract import Backbone, Quality, Scope
from pipelines.errors import BadParameter, ModelError, UnknownMethod
from pipelines.models.folders import ModelCard
from pipelines.params import Params

ALL, EVERY_ABLATION = "all", "ablations"
"""What stands for several names: every method that runs on the model, and every row of `ABLATIONS`."""


@dataclass(frozen=True)
class Ablation:
    """One row of Table 1 of LayerDiffusion (Li et al. 2023): the method without a part, or with another weight."""

    title: str
    changes: Mapping[str, Any]
    """To the preset of the quality that is asked for; at exact that is the paper's own."""
    published: float
    """The paper's CLIP score: another model, other pictures and another CLIP than ours."""


ABLATIONS: dict[str, Ablation] = {
    "a": Ablation("without the subject's loss (Eq. 4)", {"object_loss": 0.0, "small_object_loss": 0.0}, 0.28),
    "b": Ablation("without the background's loss (Eq. 5)", {"background_loss": 0.0}, 0.32),
    "c": Ablation("subject's loss weighs 1", {"object_loss": 1.0, "small_object_loss": 1.0}, 0.29),
    "d": Ablation("subject's loss weighs 3", {"object_loss": 3.0, "small_object_loss": 3.0}, 0.32),
    "e": Ablation(
        "subject's loss weighs 1, background's 3",
        {"object_loss": 1.0, "small_object_loss": 1.0, "background_loss": 3.0},
        0.28,
    ),
    "f": Ablation("the whole method", {}, 0.35),
    "g": Ablation("texts are not fitted (Eq. 2)", {"embed_steps": 0}, 0.33),
    "h": Ablation("weights are not tuned (Eq. 6)", {"tuned": "none"}, 0.32),
    "i": Ablation("texts do not alternate (Eq. 8)", {"alternate": False}, 0.29),
    "j": Ablation("the blend is the subject's text: alpha is 1 (Eq. 3)", {"subject_weight": 1.0}, 0.32),
    "k": Ablation("the blend is the background's text: alpha is 0 (Eq. 3)", {"subject_weight": 0.0}, 0.29),
}
"""The table's symbols did not survive in the text that we have. That the first weight is the subject's, and that (g),
(h) and (i) each drop one module in the order of its columns, is our reading of what the paper says of each."""


@dataclass(frozen=True)
class Entrant:
    """A method with the settings that it takes part with."""

    name: str
    title: str
    method: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def params(self, quality: Quality, card: ModelCard | None = None) -> Params:
        """The preset with the changes over it. Raises `BadParameter` where one of them has no say at that quality: what
        an ablation takes away must have been there."""
        entry, whole = method(self.method), settings(self.method, quality, card=card)
        idle = entry.idle(_Both(), whole)
        for name in self.changes:
            if name in idle:
                raise BadParameter(
                    f"{self.name} changes {name}, which has no say at {quality}: {idle[name]}; take another quality, "
                    "such as exact"
                )
        return settings(self.method, quality, self.changes, card)


@dataclass(frozen=True)
class _Both:
    """A request with both texts, in which every part of the method has a say."""

    subject: str = "a dog"
    background: str = "in a forest"
    scope: Scope = Scope.BOTH
    background_reference: None = None
    subject_reference_mask: None = None


def entrant(name: str) -> Entrant:
    """The entrant called `name`; raises `UnknownMethod`."""
    of, colon, letter = name.partition(":")
    if not colon:
        return Entrant(name, method(name).title, method(name).name)
    if of != "layered" or letter not in ABLATIONS:
        raise UnknownMethod(f"there is no ablation called {name!r}; choose one of {', '.join(ablation_names())}")
    return Entrant(name, f"({letter}) {ABLATIONS[letter].title}", of, ABLATIONS[letter].changes)


def ablation_names() -> list[str]:
    """``layered:a`` and so on."""
    return [f"layered:{letter}" for letter in ABLATIONS]


def left_out(card: ModelCard | None, cards: Iterable[ModelCard]) -> dict[str, str]:
    """The methods that cannot take part on the model of `card`, and why; `cards` are all that there are."""
    cards = list(cards)
    found = {}
    for entry in CATALOG.values():
        if not entry.needs_model:
            found[entry.name] = "works by hand and reads no text, so nothing of what a case asks can be said to it"
        elif card is not None:
            try:
                check_serves(entry, card, cards)
            except ModelError as reason:
                found[entry.name] = str(reason)
            else:
                if Backbone.PLAIN in entry.serves and entry.instructs:
                    found[entry.name] = "follows instructions by a LoRA trained for it, which a case does not bring"
                elif entry.learns:
                    found[entry.name] = "learns from a picture before and one after, which a case does not bring"
    return found


def named(names: Sequence[str], without: Mapping[str, str]) -> list[str]:
    """`names` with `ALL` and `EVERY_ABLATION` spelled out, each once. Raises `UnknownMethod` for one that there is not,
    and `ModelError` for one of `without` that is asked for by name."""
    found: dict[str, None] = {}
    for name in names:
        if name == ALL:
            found |= dict.fromkeys(entry for entry in CATALOG if entry not in without)
        elif name == EVERY_ABLATION:
            found |= dict.fromkeys(ablation_names())
        else:
            of = entrant(name).method
            if of in without:
                raise ModelError(f"{name} cannot take part: {without[of]}")
            found[name] = None
    return list(found)
