"""The options that several commands share, and how what was typed becomes a value."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.contract import Box, Extent, LoraUse, Mask, Picture, Point, Quality
from pipelines.errors import BadParameter, BadPicture, BadRequest, ModelError
from pipelines.masks.prompts import Click, MaskPrompts, Stroke
from pipelines.models.folders import find_models, is_coarse
from pipelines.models.lora_files import lora_use
from pipelines.models.other_files import SUFFIXES
from pipelines.pictures import decode, decode_mask, digest
from pipelines.requests import check_picture
from studio.cli.report import say
from studio.settings import Settings

DEFAULTS = Settings()
SESSION_SUFFIX = ".palimpsest"
SCRIBBLE_RADIUS = 4.0
"""Pixels, of a scribble that is typed."""


def writable(path: Path | None) -> Path | None:
    """Refuse a file that cannot be written before a minute is spent on its contents."""
    if path is not None and (not path.parent.is_dir() or not os.access(path.parent, os.W_OK)):
        raise typer.BadParameter(f"the folder {path.parent} does not exist or cannot be written to")
    return path


def spare(out: Path | None, *read: Path | None) -> None:
    """Refuse to write over a file that the command reads."""
    for path in read:
        if out is not None and path is not None and _lies(out) and _lies(path) and out.samefile(path):
            raise typer.BadParameter(f"{out} is what the command reads; name another file with --out")


def _writable_png(path: Path) -> Path:
    if path.suffix.lower() != ".png":
        raise typer.BadParameter(f"a PNG file is written, so the name must end in .png; got {path.name!r}")
    writable(path)
    return path


def writable_session(path: Path | None) -> Path | None:
    """The same for a session file."""
    if path is not None and path.suffix.lower() != SESSION_SUFFIX:
        raise typer.BadParameter(
            f"a session file is written, so the name must end in {SESSION_SUFFIX}; got {path.name!r}"
        )
    return writable(path)


Image = Annotated[
    Path,
    typer.Option(
        "--image", help="The picture: PNG, JPEG, WebP, AVIF, TIFF or HEIC.", exists=True, dir_okay=False, readable=True
    ),
]
Out = Annotated[Path, typer.Option("--out", help="The file to write, a PNG.", callback=_writable_png, dir_okay=False)]
MaskFile = Annotated[
    Path | None,
    typer.Option(
        "--mask", help="The subject as a picture, white on black, instead of clicks.", exists=True, dir_okay=False
    ),
]
Clicks = Annotated[
    list[str], typer.Option("--click", help="A point on the subject, in pixels; may be repeated.", metavar="X,Y")
]
Excludes = Annotated[
    list[str], typer.Option("--exclude", help="A point that is not the subject; may be repeated.", metavar="X,Y")
]
BoxText = Annotated[
    str | None, typer.Option("--box", help="A box around the subject, in pixels.", metavar="LEFT,TOP,RIGHT,BOTTOM")
]
Scribbles = Annotated[
    list[str],
    typer.Option("--scribble", help="A line through the subject, in pixels; may be repeated.", metavar='"X,Y X,Y ..."'),
]
ScribblesOut = Annotated[
    list[str],
    typer.Option(
        "--scribble-out", help="A line through what is not the subject; may be repeated.", metavar='"X,Y X,Y ..."'
    ),
]
Phrase = Annotated[
    str,
    typer.Option("--phrase", help="What the subject is called, where a model that reads phrases is among the models."),
]
Grow = Annotated[int, typer.Option("--grow", help="Grow the mask by so many pixels; negative shrinks it.")]
Invert = Annotated[bool, typer.Option("--invert", help="Take everything but what was clicked.")]
Snap = Annotated[
    bool | None,
    typer.Option(
        "--snap/--no-snap",
        help="Draw the mask's edge along the picture's; by default only for a segmenter that sees small pictures.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model", help="A text-to-image model: a name from `models`, a diffusers folder, or a checkpoint file."
    ),
]
SegmenterName = Annotated[
    str, typer.Option("--segmenter", help="What answers clicks: a name from `models`, or a folder or SAM file.")
]
LanguageModel = Annotated[
    str,
    typer.Option(
        "--language-model",
        help="A local instruction-tuned language model to split sentences with: a folder, or a hub name that was "
        "downloaded before. Without one, or where it fails, rules do.",
        metavar="NAME_OR_FOLDER",
        show_default=False,
    ),
]
Models = Annotated[
    list[Path],
    typer.Option(
        "--models", help="A further folder with model folders in it; may be repeated.", exists=True, file_okay=False
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
Loras = Annotated[
    list[str],
    typer.Option(
        "--lora",
        help="A LoRA file, or the name of one in the folder loras of a models folder; may be repeated.",
        metavar="FILE[:SCALE]",
    ),
]
Data = Annotated[Path, typer.Option("--data", help="The folder that keeps sessions and pictures.", file_okay=False)]
SessionFile = Annotated[
    Path, typer.Argument(help="A session file (.palimpsest).", exists=True, dir_okay=False, readable=True)
]
Branch = Annotated[
    str | None, typer.Option("--branch", help="The branch to count turns along; by default the one that was open.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def settings_from(
    models: list[Path],
    device: str = DEFAULTS.device,
    model: str = DEFAULTS.model,
    segmenter: str = DEFAULTS.segmenter,
) -> Settings:
    """The settings of this machine with the command's own on top. A model may be named or be given by its path."""
    named = [located(name) for name in (model, segmenter)]
    folders = [folder for folder, _ in named if folder is not None]
    return replace(
        DEFAULTS,
        model_folders=(*folders, *DEFAULTS.model_folders, *models),
        device=device,
        model=named[0][1],
        segmenter=named[1][1],
    )


def located(model: str) -> tuple[Path | None, str]:
    """The folder to look in and the model's name there, for a path; only the name, for a name."""
    path = Path(os.path.expanduser(model))  # noqa: PTH111  of a user that there is none of, Path's own raises
    if len(path.parts) > 1 and not _lies(path):
        raise ModelError(f"there is no file or folder {path}; give the path of one, or a name from `models`")
    if len(path.parts) < 2 and not (_lies(path) and path.is_file()):
        return None, model
    path = path.resolve()
    # By its whole name what is no model is refused for what it is; a SAM may be a .pth.
    known = path.is_file() and (path.suffix not in SUFFIXES or path.suffix == ".pth")
    return path.parent, path.stem if known else path.name


def _lies(path: Path) -> bool:
    """Whether something lies there; of a name that no file can have, nothing does."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def loras_from(texts: list[str], settings: Settings) -> tuple[Settings, tuple[LoraUse, ...]]:
    """What ``--lora`` asks for, and the settings with the folders of the files that were given by their paths."""
    asked = []
    for text in texts:
        name, _, scale = text.rpartition(":")
        try:
            asked.append((name, float(scale)) if name else (text, 1.0))
        except ValueError:
            asked.append((text, 1.0))
    placed = [(*located(name), scale) for name, scale in asked]
    folders = dict.fromkeys(folder for folder, _, _ in placed if folder is not None)
    found = replace(settings, model_folders=(*folders, *settings.model_folders))
    return found, tuple(lora_use(name, scale, found.all_model_folders) for _, name, scale in placed)


def read_picture(path: Path) -> Picture:
    """The pixels of a file; what had to be changed about it is said. Raises `BadPicture`."""
    decoded = decode(read_file(path))
    for note in decoded.notes:
        say(f"{path.name}: {note}")
    return decoded.picture


def read_file(path: Path) -> bytes:
    """All of a file that was named; raises `BadPicture` where the system does not let it be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadPicture(f"{path.name} cannot be read ({error.strerror or error}); copy it elsewhere first") from None


def read_editable(path: Path, name: str) -> Picture:
    """The same for what is to be edited or followed: a size that nothing could be done with is refused at once."""
    picture = read_picture(path)
    check_picture(picture, name)
    return picture


def snaps(settings: Settings, wanted: bool | None) -> bool:
    """Whether edges are snapped: what was `wanted`, else as a new session of these settings begins."""
    card = find_models(settings.all_model_folders).get(settings.segmenter)
    return (card is not None and is_coarse(card)) if wanted is None else wanted


def pointed_at(
    clicks: list[str],
    excludes: list[str],
    box: str | None,
    phrase: str,
    mask: Path | None,
    grow: int,
    invert: bool,
    snap: bool,
    picture: Picture,
    scribbles: Sequence[str] = (),
    scribbles_out: Sequence[str] = (),
) -> tuple[MaskPrompts, Mask | None]:
    """What was pointed at, checked against the picture's size, and the mask that was given as a file."""
    points = [(text, "--click", True) for text in clicks] + [(text, "--exclude", False) for text in excludes]
    placed = [(numbers(text, 2, option, "120,150"), include) for text, option, include in points]
    edges = None if box is None else Box(*numbers(box, 4, "--box", "40,30,200,180"))
    data = None if mask is None else read_file(mask)
    prompts = MaskPrompts(
        clicks=tuple(Click(x, y, include) for (x, y), include in placed),
        box=edges,
        scribbles=tuple(
            scribble(text, option, erase)
            for texts, option, erase in ((scribbles, "--scribble", False), (scribbles_out, "--scribble-out", True))
            for text in texts
        ),
        phrase=phrase.strip(),
        uploaded=None if data is None else digest(data),
        snap=snap,
        grow=grow,
        invert=invert,
    )
    if prompts.is_empty:
        raise BadRequest(
            "the subject was not pointed at; give --click X,Y or --box or --scribble or --phrase TEXT or --mask FILE"
        )
    extent = Extent.of(picture)
    return MaskPrompts.from_json(prompts.to_json(), extent), None if data is None else decode_mask(data, extent)


def scribble(text: str, option: str, erase: bool) -> Stroke:
    """A line of points ``X,Y`` with spaces between them; raises `BadRequest` naming the option."""
    points = tuple(Point(*numbers(part, 2, option, "120,150")) for part in text.split())
    if not points:
        raise BadRequest(f'{option} needs points like "120,150 140,160"; got {text!r}')
    return Stroke(points, SCRIBBLE_RADIUS, erase)


def numbers(text: str, count: int, option: str, example: str) -> list[float]:
    """`count` finite numbers separated by commas; raises `BadRequest` naming the option."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count or not all(math.isfinite(value) for value in values):
        raise BadRequest(f"{option} needs {count} numbers like {example}; got {text!r}")
    return values


def quality_named(name: str) -> Quality:
    """The quality of that name; raises `BadParameter` with the names there are."""
    if name not in list(Quality):
        raise BadParameter(f"there is no quality called {name!r}; choose from {', '.join(Quality)}")
    return Quality(name)


def changes_from(assignments: list[str], option: str = "--set", example: str = "steps=30") -> dict[str, Any]:
    """``name=value`` texts as settings: numbers, true and false are read as such, all else is text."""
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise BadParameter(f"{option} needs name=value, like {example}; got {assignment!r}")
        try:
            changes[name] = json.loads(text)
        except ValueError:
            changes[name] = text
    return changes
