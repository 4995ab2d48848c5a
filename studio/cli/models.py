"""``models``: what this machine has and what is wrong with what it cannot use; getting models and removing them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.catalog import serving
from pipelines.errors import ModelError
from pipelines.models import own as shelf
from pipelines.models.folders import ModelCard, fault_of, find_models
from pipelines.models.lora_files import LORA
from pipelines.models.own import Verified
from studio.cli.options import Json, Models, settings_from
from studio.cli.report import EXIT_DIFFERENT, ProgressLine, answer, say, table
from studio.settings import Settings

models = typer.Typer(name="models", help="List the models; pull, add, verify and remove one.")

Id = Annotated[str, typer.Argument(help="The model's name, from `models`.", metavar="ID")]


@models.callback(invoke_without_command=True)
def listing(context: typer.Context, models: Models = [], as_json: Json = False) -> None:  # noqa: B006  typer copies it
    """List the models; pull, add, verify and remove one.

    Shows what each is for, where it is, and why it cannot be used if it cannot.
    """
    if context.invoked_subcommand is None:
        show(settings_from(models), as_json)


@models.command("list")
def list_(models: Models = [], as_json: Json = False) -> None:  # noqa: B006
    """List the models, as without a word."""
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
    record = shelf.record_of(card.path.parent, card.id)
    assert record is not None, "a pull ends with its record"
    size = sum(mark.size for mark in record.files.values())
    answer(
        as_json,
        described(card, None) | {"commit": record.commit, "bytes": size},
        lambda: [
            f"{card.id} is here: {size / shelf.MB:.0f} MB of {repo} at {record.commit[:12]}; "
            f"use it with {'--lora' if card.kind == LORA else '--model'} {card.id}"
        ],
    )


@models.command()
def add(
    path: Annotated[Path, typer.Argument(help="A model's folder, or a checkpoint file.", metavar="FOLDER")],
    as_json: Json = False,
) -> None:
    """Take in a model that lies elsewhere on this machine, by a link."""
    settings = settings_from([])
    card = shelf.add(path, settings.own_models, settings.model_folders, ProgressLine())
    fault = fault_of(card)
    line = f"{card.id} is in the list, and stays where it is" + (f"; but {fault}" if fault else "")
    answer(as_json, described(card, fault), lambda: [line])


@models.command()
def remove(
    id: Id, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: Json = False
) -> None:
    """Take out a model or LoRA that was pulled (it is deleted), or a model that was added (only the link goes)."""
    settings = settings_from([])
    if not yes:
        if not sys.stdin.isatty():
            raise ModelError(f"removing {id!r} cannot be undone; say --yes")
        typer.confirm(f"Remove the model {id}?", abort=True, err=True)
    shelf.remove(id, settings.own_models, settings.model_folders)
    answer(as_json, {"removed": id}, lambda: [f"{id} is removed"])


@models.command()
def verify(
    id: Annotated[str, typer.Argument(help="Only this one; without it, all.", metavar="[ID]")] = "",
    models: Models = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Read every byte again, and compare with what was recorded when the model was pulled or added.

    Ends with exit code 1 where something is wrong.
    """
    settings = settings_from(models)
    found = find_models(settings.all_model_folders)
    if id and id not in found:
        raise ModelError(f"there is no model called {id!r}; found: {', '.join(sorted(found)) or 'none'}")
    cards = [found[id]] if id else list(found.values())
    verified = {card.id: shelf.verify(card, settings.own_models, ProgressLine()) for card in cards}
    answer(
        as_json,
        [
            {"id": name, "recorded": v.recorded, "files": v.files, "faults": list(v.faults)}
            for name, v in verified.items()
        ],
        lambda: [line for name, v in verified.items() for line in verified_lines(name, v)],
    )
    if any(v.faults for v in verified.values()):
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
    cards = sorted(find_models(folders).values(), key=lambda card: (card.kind, card.id))
    faults = {card.id: fault_of(card) for card in cards}
    lost = [name for name in shelf.names(settings.own_models) if name not in faults]

    def lines() -> list[str]:
        head = ("MODEL", "KIND", "PIXELS", "USABLE", "METHODS", "TITLE", "FOLDER")
        rows = [
            (
                *(c.id, c.kind, str(c.resolution or "-"), "no" if faults[c.id] else "yes"),
                *(", ".join(methods_of(c)) or "-", c.title, str(c.path)),
            )
            for c in cards
        ]
        looked = ["", "Looked in: " + ", ".join(str(folder) for folder in folders)]
        return table([head, *rows]) + [f"\n{fault}" for fault in faults.values() if fault] + looked

    for name in lost:
        say(f"{name} was pulled or added, but its files are gone; `models remove {name}` forgets it")
    answer(as_json, [described(card, faults[card.id]) for card in cards], lines)


def methods_of(card: ModelCard) -> list[str]:
    """The methods that run on it."""
    return [m.name for m in serving(card.backbone)] if card.backbone else []


def described(card: ModelCard, fault: str | None) -> dict[str, object]:
    """One model for a program."""
    return {
        "id": card.id,
        "title": card.title,
        "kind": card.kind,
        "family": card.family,
        "methods": methods_of(card),
        "resolution": card.resolution,
        "path": str(card.path),
        "usable": fault is None,
        "fault": fault,
        "notes": card.notes,
    }
