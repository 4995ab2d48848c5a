"""The mask of the turn in preparation, and its steps: every click, stroke and adjustment can be undone and redone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from pipelines.contract import Extent, Mask
from pipelines.errors import PipelineError
from pipelines.masks.prompts import MaskPrompts
from pipelines.pictures import LARGEST_SIDE
from studio.session.view import MaskChoice, MaskView, SavedMaskView
from studio.store.archive.schema import StoredMask

MOST_STEPS = 100
"""Older steps are forgotten."""


@dataclass(frozen=True)
class Selection:
    """What was pointed at, and the mask it gave."""

    prompts: MaskPrompts = field(default_factory=MaskPrompts)
    mask: str | None = None
    """Digest of the mask; ``None`` when nothing is selected."""
    area: float = 0.0
    """Share of the picture, 0 to 1."""
    choices: tuple[MaskChoice, ...] = ()
    chosen: int = 0
    pointed_on: str | None = None
    """Digest of the picture the person looked at."""
    made_on: str | None = None
    """Digest of the picture the mask was computed from: another one once the prompts were carried to a new turn."""

    def view(self, picture: str) -> MaskView:
        """As shown over `picture`."""
        stale = self.mask is not None and self.pointed_on != picture
        return MaskView(self.mask, self.area, self.choices, self.chosen, stale)

    def needs_remaking(self, picture: str) -> bool:
        """Whether the prompts have not been tried on `picture` yet."""
        return not self.prompts.is_empty and self.made_on != picture


@dataclass(frozen=True)
class Selections:
    """A selection with the ones before and after it. `anchor` is the turn on which the steps were made: undo takes
    back steps only there, and elsewhere goes back a turn.

    `now` lies in the frame of the turn one stands on; where that is not the anchor's, `home` is what was pointed at
    there, so that going to and fro loses nothing.
    """

    now: Selection = field(default_factory=Selection)
    past: tuple[Selection, ...] = ()
    future: tuple[Selection, ...] = ()
    """The next one last."""
    anchor: str = ""
    home: Selection | None = None

    @property
    def pointed(self) -> Selection:
        """What was pointed at, in the anchor's frame."""
        return self.now if self.home is None else self.home

    def away(self, selection: Selection) -> Selections:
        """What was pointed at, as `selection` in another frame."""
        return replace(self, now=selection, home=self.pointed)

    def at_home(self) -> Selections:
        return replace(self, now=self.pointed, home=None)

    def can_undo(self, turn: str) -> bool:
        return bool(self.past) and self.anchor == turn

    def can_redo(self, turn: str) -> bool:
        return bool(self.future) and self.anchor == turn

    def put(self, selection: Selection, turn: str) -> Selections:
        """A new step, made on `turn`."""
        past = self.past if self.anchor == turn else ()
        return Selections(selection, (*past, self.now)[-MOST_STEPS:], (), turn)

    def amended(self, selection: Selection) -> Selections:
        """The same step, with its mask made anew."""
        return replace(self, now=selection)

    def undo(self) -> Selections:
        return replace(self, now=self.past[-1], past=self.past[:-1], future=(*self.future, self.now))

    def redo(self) -> Selections:
        return replace(self, now=self.future[-1], past=(*self.past, self.now), future=self.future[:-1])

    def files(self) -> frozenset[str]:
        """Digests of all masks named here."""
        steps = (self.now, *self.past, *self.future, *(() if self.home is None else (self.home,)))
        return frozenset(d for s in steps for d in (s.mask, s.prompts.uploaded) if d is not None)

    def to_json(self) -> dict[str, Any]:
        """Every stroke is written once, however many steps contain it: else the text would grow with their square."""
        strokes: dict[Any, int] = {}

        def packed(selection: Selection) -> dict[str, Any]:
            indices = [strokes.setdefault(stroke, len(strokes)) for stroke in selection.prompts.strokes]
            prompts = {**replace(selection.prompts, strokes=()).to_json(), "strokes": indices}
            return {**asdict(replace(selection, prompts=MaskPrompts())), "prompts": prompts}

        steps = {
            "now": packed(self.now),
            "past": [packed(s) for s in self.past],
            "future": [packed(s) for s in self.future],
            "home": None if self.home is None else packed(self.home),
        }
        return {**steps, "anchor": self.anchor, "strokes": [asdict(stroke) for stroke in strokes]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Selections:
        """What `to_json` gave, on pictures of whatever size."""
        extent = Extent(LARGEST_SIDE, LARGEST_SIDE)
        strokes = [MaskPrompts.from_json({"strokes": [raw]}, extent).strokes[0] for raw in data["strokes"]]

        def unpacked(raw: Mapping[str, Any]) -> Selection:
            prompts = MaskPrompts.from_json({**raw["prompts"], "strokes": []}, extent)
            prompts = replace(prompts, strokes=tuple(strokes[i] for i in raw["prompts"]["strokes"]))
            choices = tuple(MaskChoice(**choice) for choice in raw["choices"])
            return Selection(**{**raw, "prompts": prompts, "choices": choices})

        return cls(
            now=unpacked(data["now"]),
            past=tuple(unpacked(s) for s in data["past"]),
            future=tuple(unpacked(s) for s in data["future"]),
            anchor=data["anchor"],
            home=None if data.get("home") is None else unpacked(data["home"]),
        )


class Combine(StrEnum):
    """What a mask that was saved does with the one that is there."""

    REPLACE = "replace"
    ADD = "add"
    ERASE = "erase"  # it is taken away
    KEEP = "keep"  # what is in both stays


@dataclass(frozen=True)
class SavedMask(StoredMask):
    """A mask under a name, and how much it covers."""

    area: float
    """Share of the picture, 0 to 1."""

    def view(self) -> SavedMaskView:
        """As shown in a list."""
        return SavedMaskView(self.name, self.area, self.mask, self.turn)

    def joined(self, mask: Mask, now: Mask | None, how: Combine) -> Mask:
        """`mask`, which is this one's, with the mask `now` of the same size."""
        if how is Combine.REPLACE or now is None:
            return mask & (how in (Combine.REPLACE, Combine.ADD))
        return now | mask if how is Combine.ADD else now & (mask if how is Combine.KEEP else ~mask)


def stored_masks(data: Any, turns: Collection[str]) -> tuple[SavedMask, ...]:
    """A list of what `asdict` gave of saved masks, whatever became of it since: what cannot be read is not in it, nor
    what was saved on another turn than these."""
    found = []
    for one in data if isinstance(data, list) else []:
        with suppress(LookupError, ValueError, TypeError, AttributeError):
            read = SavedMask(str(one["name"]), str(one["mask"]), str(one["turn"]), float(one["area"]))
            found.append(read)
    return tuple(one for one in found if one.turn in turns)


def stored_selections(data: Any) -> tuple[Selections, str]:
    """What `Selections.to_json` gave, whatever became of it since; what was lost of it, in words. A session file has
    none."""
    if data is None:
        return Selections(), ""
    try:
        return Selections.from_json(data), ""
    except (PipelineError, LookupError, ValueError, TypeError, AttributeError):
        return Selections(), "What was pointed at in the picture could not be used. Point at the subject again."
