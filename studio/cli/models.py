"""``models``: what this machine has and what is wrong with what it cannot use; getting models and removing them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.catalog import serving
from pipelines.errors import ModelError
from pipelines.models import installed
from pipelines.models.folders import ModelCard, fault_of
from pipelines.models.installed import MB, Verified
from pipelines.models.listing import Item, item_of, listing
from studio.cli.options import Json, Models, settings_from
from studio.cli.report import EXIT_DIFFERENT, ProgressLine, answer, say, table
from studio.settings import Settings

models = typer.Typer(name="models", help="List models and LoRAs; pull, add, verify and remove.")

Id = Annotated[str, typer.Argument(help="The model's name, from `models`.", metavar="ID")]


@models.callback(invoke_without_command=True)
def overview(context: typer.Context, models: Models = [], as_json: Json = False) -> None:  # noqa: B006  typer copies it
    """List models and LoRAs; pull, add, verify and remove.

    Shows what each is for, where it is and came from, and why it cannot be used if it cannot.
    """
    if context.invoked_subcommand is None:
        show(settings_from(models), as_json)


@models.command("list")
def list_(models: Models = [], as_json: Json = False) -> None:  # noqa: B006
    """List the models and LoRA files, as without a word."""
    show(settings_from(models), as_json)


@models.command()
def pull(
    repo: Annotated[str, typer.Argument(help="The model's id on the hub, like OWNER/NAME.", metavar="ID")],
    file: Annotated[
        str, typer.Option(help="Only this file of it, a checkpoint or a LoRA, by its path there.", metavar="NAME")
    ] = "",
    revision: Annotated[str, typer.Option(help="A branch, tag or commit of it.")] = "main",
    half: Annotated[
        bool, typer.Option("--half", help="Take the 16-bit copy of the weights where there is one.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch a model from the hub; the one command that goes online.

    Only the files that are needed, and weights only as safetensors; one copy, in full precision where there is one.
    Of a repository of checkpoints in one file, or of LoRA files, say which with --file.
    A pull that was interrupted goes on where it stopped.
    """
    from pipelines.models.hub import pull as fetch  # the client takes half a second, and no other command needs it

    settings = settings_from([])
    card = fetch(
        *(repo, settings.own_models, settings.model_folders),
        file=file,
        revision=revision,
        half=half,
        progress=ProgressLine(),
    )
    item = item_of(card, None, settings.own_models)
    assert item.record is not None, "a pull ends with its record"
    line = (
        f"{card.id} is here: {item.size / MB:.0f} MB of {repo} at {item.record.commit[:12]}; "
        f"use it with {'--lora' if item.is_lora else '--model'} {card.id}"
    )
    answer(as_json, described(item), lambda: [line])


@models.command()
def add(
    path: Annotated[Path, typer.Argument(help="A model's folder, or a checkpoint file.", metavar="FOLDER")],
    as_json: Json = False,
) -> None:
    """Take in a model that lies elsewhere on this machine, by a link."""
    settings = settings_from([])
    card = installed.add(path, settings.own_models, settings.model_folders, ProgressLine())
    item = item_of(card, fault_of(card), settings.own_models)
    line = f"{card.id} is in the list, and stays where it is" + (f"; but {item.fault}" if item.fault else "")
    answer(as_json, described(item), lambda: [line])


@models.command()
def remove(
    id: Id,
    lora: Annotated[bool, typer.Option("--lora", help="The LoRA of that name, where a model has it too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Take out a model or LoRA that was pulled (it is deleted), or a model that was added (only the link goes)."""
    settings = settings_from([])
    if not yes:
        if not sys.stdin.isatty():
            raise ModelError(f"removing {id!r} cannot be undone; say --yes")
        typer.confirm(f"Remove {'the LoRA ' if lora else ''}{id}?", abort=True, err=True)
    installed.remove(id, settings.own_models, settings.model_folders, lora=lora or None)
    answer(as_json, {"removed": id}, lambda: [f"{id} is removed"])


@models.command()
def verify(
    id: Annotated[str, typer.Argument(help="Only this one; without it, all.", metavar="[ID]")] = "",
    models: Models = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Read every byte again, and compare with what was recorded when the model or LoRA was pulled or added.

    Ends with exit code 1 where something is wrong.
    """
    settings = settings_from(models)
    items = listing(settings.all_model_folders, settings.own_models)
    chosen = [item for item in items if id in ("", item.card.id)]
    if not chosen:
        found = ", ".join(sorted({item.card.id for item in items})) or "none"
        raise ModelError(f"there is no model or LoRA called {id!r}; found: {found}")
    verified = [(item.card, installed.verify(item.card, settings.own_models, ProgressLine())) for item in chosen]
    answer(
        as_json,
        [
            {"id": card.id, "kind": card.kind, "recorded": v.recorded, "files": v.files, "faults": list(v.faults)}
            for card, v in verified
        ],
        lambda: [line for card, v in verified for line in verified_lines(card.id, v)],
    )
    if any(v.faults for _, v in verified):
        raise typer.Exit(EXIT_DIFFERENT)


def verified_lines(name: str, found: Verified) -> list[str]:
    """What was found, for a person."""
    if found.faults:
        return [f"{name}: {fault}" for fault in found.faults]
    files = f"{found.files} file{'' if found.files == 1 else 's'}"
    return [f"{name}: {files} as recorded" if found.recorded else f"{name}: {files} with weights whole; not recorded"]


def show(settings: Settings, as_json: bool) -> None:
    """The list, as words or JSON."""
    folders = settings.all_model_folders
    items = listing(folders, settings.own_models)
    here = [item for item in items if not item.lost]

    def lines() -> list[str]:
        head = ("NAME", "KIND", "PIXELS", "SIZE", "USABLE", "METHODS", "TITLE", "FROM", "FOLDER")
        faults = [f"\n{item.fault}" for item in here if item.fault]
        faults += [f"\n{item.card.id}: {remark}" for item in here for remark in item.card.domain.remarks]
        looked = ["", "Looked in: " + ", ".join(str(folder) for folder in folders)]
        return table([head, *(row(item) for item in here)]) + faults + looked

    for item in items:
        if item.lost:
            id, option = item.card.id, " --lora" if item.is_lora else ""
            say(f"{id} was pulled or added, but its files are gone; `models remove {id}{option}` forgets it")
    answer(as_json, [described(item) for item in here], lines)


def row(item: Item) -> tuple[str, ...]:
    """One line of the list."""
    card, record = item.card, item.record
    origin = "-" if record is None else record.source + (f" at {record.commit[:12]}" if record.commit else "")
    return (
        *(card.id, card.kind or "-", str(card.resolution or "-"), f"{item.size / MB:.1f} MB"),
        *("no" if item.fault else "yes", ", ".join(methods_of(card)) or "-", card.title, origin, str(card.path)),
    )


def methods_of(card: ModelCard) -> list[str]:
    """The methods that run on it."""
    return [m.name for m in serving(card.backbone)] if card.backbone else []


def described(item: Item) -> dict[str, object]:
    """One model or LoRA for a program."""
    card, record = item.card, item.record
    return {
        "id": card.id,
        "title": card.title,
        "kind": card.kind,
        "family": card.family,
        "methods": methods_of(card),
        "resolution": card.resolution,
        "path": str(card.path),
        "bytes": item.size,
        "source": record.source if record else "",
        "commit": record.commit if record else "",
        "usable": item.fault is None,
        "fault": item.fault,
        "notes": card.notes,
        "remarks": list(card.domain.remarks),
    }
