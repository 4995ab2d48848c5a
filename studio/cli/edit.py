"""``edit``: one turn without a browser, through the same engine as the page's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.catalog import CATALOG, scope_of, settings
from pipelines.catalog import method as find_method
from pipelines.contract import Candidate, EditRequest, EditResult, Extent, Mask, Picture, Quality, Scope
from pipelines.errors import BadRequest
from pipelines.hints.pictures import misfit
from pipelines.hints.texts import hints_of, hints_of_negative, line
from pipelines.masks.prompts import MaskPrompts, central_click
from pipelines.masks.refine import compose
from pipelines.models.folders import find_models
from pipelines.pictures import decode_mask, encode_png
from studio.cli import options
from studio.cli.report import ProgressLine, answer, peak_memory_mb, say, write
from studio.jobs.work import EditingEngine, edited, lazy_engine
from studio.settings import Settings


def edit(
    image: options.Image,
    out: options.Out,
    subject: Annotated[str, typer.Option(help="What the subject becomes; left out, the subject is kept.")] = "",
    background: Annotated[str, typer.Option(help="What is behind it; left out, the background is kept.")] = "",
    negative: Annotated[
        str, typer.Option(help="What is to be kept out of the picture; guidance leads away from it.")
    ] = "",
    source: Annotated[
        str,
        typer.Option(help="What the picture shows now, for methods that go by what the texts change; see `methods`."),
    ] = "",
    scope: Annotated[Scope | None, typer.Option(help="What may change; by default what was described.")] = None,
    click: options.Clicks = [],  # noqa: B006  typer copies it, here and below
    exclude: options.Excludes = [],  # noqa: B006
    box: options.BoxText = None,
    scribble: options.Scribbles = [],  # noqa: B006
    scribble_out: options.ScribblesOut = [],  # noqa: B006
    phrase: options.Phrase = "",
    mask: options.MaskFile = None,
    grow: options.Grow = 0,
    invert: options.Invert = False,
    snap: options.Snap = None,
    subject_image: Annotated[
        Path | None, typer.Option(help="A picture of the new subject to go by.", exists=True, dir_okay=False)
    ] = None,
    subject_image_mask: Annotated[
        Path | None,
        typer.Option(
            help="What of it is the subject, white on black; else what a click in its middle finds.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    background_image: Annotated[
        Path | None, typer.Option(help="A picture of the new background to go by.", exists=True, dir_okay=False)
    ] = None,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(CATALOG)}; `methods` explains them.")] = "layered",
    quality: Annotated[Quality, typer.Option(help="How much work the turn is given.")] = Quality.STANDARD,
    seed: Annotated[int, typer.Option(help="Same seed, same machine: same picture.")] = 7,
    candidates: Annotated[int, typer.Option(help="Results, from this seed and those after it.")] = 1,
    assignments: Annotated[
        list[str], typer.Option("--set", help="A setting over the preset; see `methods`.", metavar="NAME=VALUE")
    ] = [],  # noqa: B006
    lora: options.Loras = [],  # noqa: B006
    model: options.Model = options.DEFAULTS.model,
    segmenter: options.SegmenterName = options.DEFAULTS.segmenter,
    models: options.Models = [],  # noqa: B006
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Edit one picture.

    Point at the subject, and say what it and its background become.
    Of several candidates the first is written to OUT and the others beside it (NAME-2.png, NAME-3.png ...).
    """
    options.spare(out, image, mask, subject_image, subject_image_mask, background_image)
    changes = options.changes_from(assignments)
    own, loras = options.loras_from(lora, options.settings_from(models, device, model, segmenter))
    params = settings(method, quality, changes, find_models(own.all_model_folders).get(own.model))
    entry = find_method(method)
    masked = pointed(click, box, scribble, phrase, mask)
    asked = scope_of(
        entry,
        scope
        or (
            described(subject, background, subject_image, background_image)
            if entry.needs_model
            else Scope.SUBJECT
            if masked
            else Scope.BOTH
        ),
    )
    if scope not in (None, asked):
        say(f"--scope has no effect here: {method} changes {told(asked)}")
    picture = options.read_editable(image, "the picture")
    tell_limits(own, method, asked, subject, background, picture, negative, getattr(params, "guidance", None))
    follows_background = (
        None if background_image is None else options.read_editable(background_image, "the background reference")
    )
    engine = lazy_engine(own)
    follows, cut = subject_reference(engine, own.segmenter, subject_image, subject_image_mask)
    if masked or entry.needs_model or entry.needs_mask or asked is not Scope.BOTH:
        prompts, uploaded = options.pointed_at(
            click, exclude, box, phrase, mask, grow, invert, options.snaps(own, snap), picture, scribble, scribble_out
        )
    else:  # all of it changes, and nobody needs to know what the subject is
        prompts, uploaded = MaskPrompts(invert=True), None
    request = EditRequest(
        picture=picture,
        mask=selected(engine, own.segmenter, picture, prompts, uploaded),
        subject=subject.strip(),
        background=background.strip(),
        scope=asked,
        seed=seed,
        candidates=candidates,
        background_reference=follows_background,
        subject_reference=follows,
        subject_reference_mask=cut,
        feather=prompts.feather,
        loras=loras if entry.needs_model else (),
        negative=negative.strip(),
        source=source.strip(),
    )
    if source.strip() and not CATALOG[method].hears("source"):
        say(f"--source has no effect here: {method} does not go by what the picture shows now")
    for name, reason in CATALOG[method].idle(request, params).items():
        if name in changes:
            say(f"{name} has no effect here: {reason}")
    result = edited(engine, own.model, method, request, params, ProgressLine())
    written = write_all(result.candidates, out)
    about = {"model": own.model if entry.needs_model else "", "method": method, "quality": quality, "seed": seed}
    answer(as_json, about | report(result, request.mask, written), lambda: in_words(result, request.mask, written))


def pointed(clicks: list[str], box: str | None, scribbles: list[str], phrase: str, mask: Path | None) -> bool:
    """Whether the subject was pointed at."""
    return bool(clicks or box or scribbles or phrase.strip() or mask)


def told(scope: Scope) -> str:
    """What changes, for a person."""
    return "both parts" if scope is Scope.BOTH else f"the {scope}"


def selected(
    engine: EditingEngine, segmenter: str, picture: Picture, prompts: MaskPrompts, uploaded: Mask | None
) -> Mask:
    """What was pointed at. What is given as a file or painted takes no model."""
    if not prompts.asks_segmenter:
        return compose(uploaded, prompts, Extent.of(picture), picture)
    return engine.segment(picture, prompts, segmenter, uploaded).mask


def subject_reference(
    engine: EditingEngine, segmenter: str, image: Path | None, mask: Path | None
) -> tuple[Picture | None, Mask | None]:
    """The picture that the subject follows, and what of it is the subject: ``None`` for all of it."""
    if image is None:
        if mask is not None:
            raise BadRequest("--subject-image-mask says what of --subject-image is the subject; give that too")
        return None, None
    picture = options.read_editable(image, "the subject reference")
    if mask is not None:
        return picture, decode_mask(options.read_file(mask), Extent.of(picture))
    found = engine.segment(picture, central_click(Extent.of(picture)), segmenter).mask
    return picture, found if found.any() and not found.all() else None


def tell_limits(
    settings: Settings,
    method: str,
    scope: Scope,
    subject: str,
    background: str,
    picture: Picture,
    negative: str,
    guidance: float | None,
) -> None:
    """What the model cannot do with these texts and this picture, on stderr: nothing is refused for it."""
    card = find_models(settings.all_model_folders).get(settings.model)
    hints = hints_of(subject, background, scope, find_method(method), card)
    for hint in (*hints, *hints_of_negative(negative, card, guidance)):
        say(line(hint))
    if card is not None and find_method(method).needs_model and (why := misfit(picture, card)):
        say(why)


def described(subject: str, background: str, subject_image: Path | None, background_image: Path | None) -> Scope:
    """What a person who gave these wants changed."""
    asks_background = bool(background.strip()) or background_image is not None
    if subject.strip() or subject_image is not None:
        return Scope.BOTH if asks_background else Scope.SUBJECT
    if not asks_background:
        raise BadRequest("nothing was asked for; give --subject TEXT, --background TEXT, a picture of one, or both")
    return Scope.BACKGROUND


def write_all(candidates: tuple[Candidate, ...], out: Path) -> list[Path]:
    """Write every candidate; the names of the files."""
    paths = [out, *(out.with_stem(f"{out.stem}-{number}") for number in range(2, len(candidates) + 1))]
    for path, candidate in zip(paths, candidates, strict=True):
        write(path, encode_png(candidate.picture))
    return paths


def report(result: EditResult, mask: Mask, written: list[Path]) -> dict[str, Any]:
    """What a program is told. `changed_outside` is the worst of the candidates; counts and areas are in pixels."""
    return {
        "stages": [{"name": s.name, "seconds": round(s.seconds, 3), "steps": s.steps} for s in result.stages],
        "seconds": round(sum(stage.seconds for stage in result.stages), 3),
        "mask": {"area": int(mask.sum()), "share": round(float(mask.mean()), 5)},
        "changed_outside": {
            "count": max(candidate.outside.changed for candidate in result.candidates),
            "max": max(candidate.outside.largest for candidate in result.candidates),
        },
        "candidates": [
            {
                "seed": candidate.seed,
                "out": str(path),
                "changed_outside": {"count": candidate.outside.changed, "max": candidate.outside.largest},
                "flat": candidate.flat,
            }
            for candidate, path in zip(result.candidates, written, strict=True)
        ],
        "peak_memory_mb": peak_memory_mb(),
        "in_float32": result.in_float32,
        "reconstruction": result.reconstruction,
        "weights_before": result.weights_before,
        "weights_after": result.weights_after,
    }


def in_words(result: EditResult, mask: Mask, written: list[Path]) -> list[str]:
    """The same for a person."""
    seconds = sum(stage.seconds for stage in result.stages)
    lines = [f"subject: {mask.mean():.1%} of the picture; {seconds:.1f} s, {peak_memory_mb()} MB at most"]
    if result.reconstruction is not None:
        lines.append(f"the inverted picture came back within {result.reconstruction:.4f} of its latent")
    for candidate, path in zip(result.candidates, written, strict=True):
        outside = candidate.outside
        kept = f"{outside.changed} of {outside.kept} kept pixels changed, by {outside.largest} levels at most"
        lines.append(f"{path}: seed {candidate.seed}; {kept}")
        if candidate.flat:
            lines.append(f"look at {path.name}: all of what was to change came out {candidate.flat}")
    return lines
