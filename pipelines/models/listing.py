"""Everything in the models folders as one list: models, LoRA files, and records whose files are gone. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.errors import ModelError
from pipelines.models.folders import LORA, TEXT_TO_IMAGE, ModelCard, card_of, fault_of, found_models
from pipelines.models.installed import LORAS, ModelRecord, entry_of, names, place_of, record_for, size_of
from pipelines.models.lora_files import lora_cards


@dataclass(frozen=True)
class Item:
    """One row of the list. A model and a LoRA may have the same id."""

    card: ModelCard
    """A model of which only a record is left, or files that cannot be read, has no kind in it."""
    fault: str | None
    """Why it cannot be used."""
    size: int
    """Bytes of its files; 0 where they are gone."""
    record: ModelRecord | None
    """Where it came from; ``None`` for what was neither pulled nor added."""
    removable: bool
    """Whether it lies in the folder of one's own."""
    lost: bool = False
    """Whether there is nothing but its record."""

    @property
    def is_lora(self) -> bool:
        return self.card.kind == LORA


def listing(folders: Iterable[Path], own: Path) -> list[Item]:
    """Everything there is in `folders`, of which `own` is one: what edits pictures first, what is lost last."""
    folders = tuple(folders)
    found = [item_of(card, fault or fault_of(card), own) for card, fault in found_models(folders)]
    loras = [item_of(card, fault, own) for card, fault in lora_cards(folders)]
    there = sorted((*found, *loras), key=_order)
    rest = [_unseen(name, own, "") for name in names(own) if name not in {item.card.id for item in found}]
    rest += [_unseen(name, own, LORA) for name in names(own / LORAS) if name not in {item.card.id for item in loras}]
    return [*there, *rest]


def item_of(card: ModelCard, fault: str | None, own: Path) -> Item:
    """The row of what is there; a record that cannot be read is a fault too."""
    try:
        record = record_for(card, own)
    except (ModelError, OSError) as error:
        record, fault = None, str(error)
    return Item(card, fault, size_of(card.path), record, card.path.parent == place_of(card, own))


def _unseen(name: str, own: Path, kind: str) -> Item:
    """What has a record but was not found: its files are gone, or such that nothing can be told of them."""
    nowhere = ModelCard(name, name, own / name, kind)
    place = place_of(nowhere, own)
    card = replace(nowhere, path=entry_of(name, place) or place / name)
    lost, fault = not card.path.exists(), "its files are gone; remove it here"
    if not lost:
        try:
            card_of(card.path)
            fault = f"{card.path} is no model any more; pull it again"
        except (ModelError, OSError) as error:
            fault = str(error)
    return replace(item_of(card, fault, own), lost=lost)


def _order(item: Item) -> tuple[bool, bool, str, str]:
    kind = item.card.kind
    return kind != TEXT_TO_IMAGE, kind != LORA, kind, item.card.id
