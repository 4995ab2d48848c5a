"""Checks a request before anything is loaded or allocated: what it must hold for a method to run it.

This file imports no torch: the studio may ask the same questions earlier.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.catalog import Method
from pipelines.contract import EditRequest, Extent, Kind, LoraUse, Mask, Picture, Scope, about
from pipelines.errors import BadRequest
from pipelines.frames import Frame
from pipelines.params import Params
from pipelines.pictures import LARGEST_SIDE, MOST_PIXELS, SMALLEST_SIDE

LONGEST_ASPECT = 4.0
MOST_CANDIDATES = 8
LARGEST_SEED = 2**32 - 1
"""Of the last candidate: what every generator takes, and a page's numbers hold."""
MOST_LORAS = 8
LARGEST_LORA_SCALE = 4.0
LONGEST_TEXT = 1_000
"""Characters of one part's text, wherever it is typed; a text encoder reads a few dozen words at most."""


def check_request(request: EditRequest, method: Method) -> None:
    """Raise `BadRequest` with what was expected, what came and what to do."""
    check_picture(request.picture, "the picture")
    _check_mask(request.mask, request.picture, "the mask")
    for name, _ in about(request, Kind.PICTURE):
        picture: Picture | None = getattr(request, name)
        if picture is not None:
            check_picture(picture, f"the {_spoken(name)}")
    for name, said in about(request, Kind.MASK):
        mask: Mask | None = getattr(request, name)
        picture = getattr(request, said.mask_of)
        if mask is not None and picture is not None:
            _check_mask(mask, picture, f"the {_spoken(said.mask_of)}'s mask")
            if not mask.any():
                raise BadRequest(
                    f"nothing is selected in the {_spoken(said.mask_of)}; give a mask of its subject, or none"
                )
    if method.needs_mask:
        _check_selection(request.mask, method)
    if method.learns:
        _check_example(request, method)
    _check_texts(request, method)
    if not 1 <= request.candidates <= MOST_CANDIDATES:
        raise BadRequest(f"candidates must be between 1 and {MOST_CANDIDATES}; got {request.candidates}")
    if request.candidates > 1 and not method.draws:
        raise BadRequest(
            f"{method.title} draws nothing at random, so {request.candidates} candidates would be one picture; "
            "ask for 1"
        )
    largest = LARGEST_SEED - (request.candidates - 1)  # candidate k uses seed + k
    for seed in (request.seed, request.fitting_seed):
        if not 0 <= seed <= largest:
            raise BadRequest(f"the seed must be between 0 and {largest}; got {seed}")
    if not 0 <= request.feather <= 64:
        raise BadRequest(f"the feather must be between 0 and 64 pixels; got {request.feather:g}")
    check_loras(request.loras)


def check_text(text: str, name: str) -> None:
    """That it is short enough for the field `name`, and whole characters."""
    if len(text) > LONGEST_TEXT:
        raise BadRequest(f"the {name} text may have {LONGEST_TEXT} characters; got {len(text)}. Say it shorter")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise BadRequest(
            f"the {name} text must be of whole characters; got {text[:40]!a}, in which one is half. Type it again"
        )


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def check_loras(loras: Sequence[LoraUse]) -> None:
    """That the LoRAs of a request can be; whether their files are there is the engine's question."""
    if len(loras) > MOST_LORAS or len({use.name for use in loras}) != len(loras):
        raise BadRequest(f"a turn may have {MOST_LORAS} LoRAs at most, each once; got {len(loras)}")
    for use in loras:
        if not abs(use.scale) <= LARGEST_LORA_SCALE:  # not a number is no such number
            raise BadRequest(
                f"the scale of the LoRA {use.name!r:.80} must be between -{LARGEST_LORA_SCALE:g} and "
                f"{LARGEST_LORA_SCALE:g}; got {use.scale:g}"
            )


def check_picture(picture: Picture, name: str) -> None:
    """That a picture can be edited, or followed as a reference; asked where it is given, before anything is done."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise BadRequest(f"{name} must be (H, W, 3) uint8; got {picture.shape} {picture.dtype}")
    extent = Extent.of(picture)
    if min(extent.width, extent.height) < SMALLEST_SIDE:
        raise BadRequest(
            f"{name} must be at least {SMALLEST_SIDE} pixels a side; got {extent.width} x {extent.height}. "
            "Use a larger picture"
        )
    if not is_within_aspect(extent):
        raise BadRequest(
            f"{name} must be at most {LONGEST_ASPECT:g} times as long as wide; got {extent.width} x {extent.height}. "
            "Crop it first"
        )


def check_frame(method: Method, params: Params, extent: Extent) -> Frame:
    """The frame of what `method`, set so, makes of a picture of `extent`; raises `BadRequest` where no turn could
    follow on a picture of that size."""
    if method.reframes is None:
        return Frame(extent)
    frame: Frame = method.reframes(params, extent)
    width, height = frame.extent.width, frame.extent.height
    wrong = (
        f"have at least {SMALLEST_SIDE} pixels a side"
        if min(width, height) < SMALLEST_SIDE
        else f"be at most {LONGEST_ASPECT:g} times as long as wide"
        if not is_within_aspect(frame.extent)
        else f"have at most {LARGEST_SIDE} pixels a side and {MOST_PIXELS // 10**6} million in all"
        if max(width, height) > LARGEST_SIDE or frame.extent.area > MOST_PIXELS
        else ""
    )
    if wrong:
        raise BadRequest(f"the picture that comes of {method.title} must {wrong}; it would be {width} x {height}")
    return frame


def is_within_aspect(extent: Extent) -> bool:
    """Whether a picture of that size is not too long to be edited."""
    return max(extent.width, extent.height) <= LONGEST_ASPECT * min(extent.width, extent.height)


def _check_mask(mask: Mask, picture: Picture, name: str) -> None:
    if mask.dtype != np.bool_ or mask.shape != picture.shape[:2]:
        wanted, got = picture.shape[:2], mask.shape
        raise BadRequest(f"{name} must be {wanted} bool like its picture (rows, columns); got {got} {mask.dtype}")


def _check_selection(mask: Mask, method: Method) -> None:
    if not mask.any():
        raise BadRequest(f"{method.title} needs to know the subject, but nothing is selected; click it first")
    if mask.all():
        raise BadRequest("the whole picture is selected, so there is no background left; select less of it")


def _check_example(request: EditRequest, method: Method) -> None:
    before, after = request.subject_reference, request.background_reference
    if before is None or after is None:
        raise BadRequest(
            f"{method.title} learns an edit from two pictures; give the one before it as the subject's reference and "
            "the one after it as the background's"
        )
    sizes = [Extent.of(picture) for picture in (before, after)]
    if sizes[0] != sizes[1]:
        told = " and ".join(f"{size.width} x {size.height}" for size in sizes)
        raise BadRequest(
            f"the pictures before and after must be of one size; they have {told} pixels. Crop one of them"
        )


def _check_texts(request: EditRequest, method: Method) -> None:
    for name, _ in about(request, Kind.TEXT):
        check_text(getattr(request, name).strip(), _spoken(name))
    if not method.needs_model:  # its settings say what it does
        return
    if not method.reads and not all(getattr(request, f"{part}_reference") is not None for part in method.follows):
        raise BadRequest(
            f"{method.title} reads no text; give a picture of what the {' and the '.join(method.follows)} becomes"
        )
    said = {
        part: (part in method.reads and bool(getattr(request, part).strip()))
        or (part in method.follows and getattr(request, f"{part}_reference") is not None)
        for part in (Scope.SUBJECT, Scope.BACKGROUND)
    }
    if request.scope is not Scope.BOTH and not said[request.scope]:
        picture = ", or give a picture of it" if request.scope in method.follows else ""
        raise BadRequest(f"say what the {request.scope} becomes{picture}: only the {request.scope} is to change")
    if request.scope is Scope.BOTH and not any(said.values()):
        raise BadRequest("say what the subject or the background becomes: both texts are empty")
