"""``models``: what this machine has, and what is wrong with what it cannot use."""

from __future__ import annotations

from pipelines.errors import ModelError
from pipelines.models.folders import TEXT_TO_IMAGE, ModelCard, check_parts, find_models
from studio.cli.options import Json, Models, settings_from
from studio.cli.report import answer, table


def models(models: Models = [], as_json: Json = False) -> None:  # noqa: B006  typer copies it
    """List the models.

    Shows what each is for, where it is, and why it cannot be used if it cannot.
    """
    settings = settings_from(models)
    cards = sorted(find_models(settings.model_folders).values(), key=lambda card: (card.kind, card.id))
    faults = {card.id: fault_of(card) for card in cards}

    def lines() -> list[str]:
        head = ("MODEL", "KIND", "PIXELS", "USABLE", "TITLE", "FOLDER")
        rows = [
            (c.id, c.kind, str(c.resolution or "-"), "no" if faults[c.id] else "yes", c.title, str(c.path))
            for c in cards
        ]
        looked = ["", "Looked in: " + ", ".join(str(folder) for folder in settings.model_folders)]
        return table([head, *rows]) + [f"\n{fault}" for fault in faults.values() if fault] + looked

    answer(as_json, [described(card, faults[card.id]) for card in cards], lines)


def fault_of(card: ModelCard) -> str | None:
    """Why a model cannot be used, or ``None``."""
    if card.kind != TEXT_TO_IMAGE:
        has_weights = card.path.is_file() or any(card.path.glob("*.safetensors"))
        return None if has_weights else f"the model {card.id!r} in {card.path} has no weights (*.safetensors)"
    try:
        check_parts(card)
    except ModelError as error:
        return str(error)
    return None


def described(card: ModelCard, fault: str | None) -> dict[str, object]:
    """One model for a program."""
    return {
        "id": card.id,
        "title": card.title,
        "kind": card.kind,
        "resolution": card.resolution,
        "path": str(card.path),
        "usable": fault is None,
        "fault": fault,
        "notes": card.notes,
    }
