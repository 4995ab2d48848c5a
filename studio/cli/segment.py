"""``segment``: the mask of what was pointed at, without an edit."""

from __future__ import annotations

import time

from pipelines.errors import BadRequest
from pipelines.pictures import encode_mask
from studio.cli import options
from studio.cli.report import answer, peak_memory_mb, write
from studio.jobs.work import lazy_engine


def segment(
    image: options.Image,
    out: options.Out,
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
    segmenter: options.SegmenterName = options.DEFAULTS.segmenter,
    models: options.Models = [],  # noqa: B006
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Find what a click means.

    The answer is written as a mask: white is the subject.
    """
    options.spare(out, image, mask)
    own = options.settings_from(models, device, segmenter=segmenter)
    picture = options.read_picture(image)
    prompts, uploaded = options.pointed_at(
        click, exclude, box, phrase, mask, grow, invert, options.snaps(own, snap), picture, scribble, scribble_out
    )
    engine = lazy_engine(own)
    began = time.perf_counter()
    found = engine.segment(picture, prompts, own.segmenter, uploaded)
    seconds = time.perf_counter() - began
    if phrase and not found.mask.any():
        raise BadRequest(f"nothing was found for {phrase!r}; say it in other words, or give --click X,Y")
    write(out, encode_mask(found.mask))
    choices = [{"label": label, "score": round(float(score), 4)} for label, score in found.choices]
    value = {
        "out": str(out),
        "segmenter": own.segmenter,
        "mask": {"area": int(found.mask.sum()), "share": round(float(found.mask.mean()), 5)},
        "choices": choices,
        "chosen": found.chosen,
        "seconds": round(seconds, 3),
        "peak_memory_mb": peak_memory_mb(),
    }
    others = ", ".join(f"{label} {score:.2f}" for label, score in found.choices)
    answer(as_json, value, lambda: [f"{out}: {found.mask.mean():.1%} of the picture; {others}".removesuffix("; ")])
