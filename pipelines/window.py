"""The working window: the part of a large picture that a method is shown, and the way back to the whole picture.

A model sees about as many pixels as it was made for, of whatever it is given. Of a photograph of twelve megapixels a
subject of 300 pixels is 45 of them; of a window around it, 256. So a method that changes a subject is given a square
window around it with some of its surroundings, as if that were the whole picture, and what it gives is put back.

The window follows from the picture's size, the mask, the settings and the model's resolution alone, so that the same
request has the same window. This file imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.contract import Candidate, EditRequest, EditResult, Extent, Mask, Picture, Scope
from pipelines.kept import outside_change
from pipelines.masks.refine import bounds
from pipelines.params import ModelParams, Params, When, Window
from pipelines.pasting import edited_region
from pipelines.progress import Progress

if TYPE_CHECKING:
    from pipelines.models.bundle import ModelBundle

Place = tuple[slice, slice]
"""Rows and columns of a window in its picture."""

MOST_ENLARGED = 2
"""A window is at most so many times enlarged for the model: beyond that it shows no detail and the model draws none,
and more of the surroundings say more."""

WORTH_IT = 1.5
"""Times as large, a side, that a window must show the subject before it is taken unasked. With the usual context that
is a subject of less than a third of the picture's side, which a network for 512 pixels sees in twenty latent cells or
fewer; a larger one is seen well, and the model then sees all that lies around it too."""

PREVIEW_SIDE = 512
"""Pixels of the longer side at which a preview is shown in its place."""


def window_of(mask: Mask, scope: Scope, params: ModelParams, resolution: int) -> Place | None:
    """The window in which a method with `params` works on a model that sees `resolution` squared pixels, where a turn
    of `scope` changes what is selected in a picture of the size of `mask`; ``None`` for the whole picture.

    It is square, so that the model sees nothing distorted, but where the picture ends, and lies within the picture. It
    holds everything that is selected. There is none where not only the subject changes or none is selected, where it
    would be the whole picture, and, unless one is asked for, where the picture is no larger than the model sees or the
    subject would gain less than `WORTH_IT` by it.
    """
    extent = Extent.of(mask)
    if params.window is Window.WHOLE or scope is not Scope.SUBJECT or not mask.any():
        return None
    rows, columns = bounds(mask)
    subject = max(rows.stop - rows.start, columns.stop - columns.start)
    side = max(math.ceil(subject * (1 + 2 * params.context)), math.ceil(resolution / MOST_ENLARGED))
    size = Extent(min(side, extent.width), min(side, extent.height))
    if size == extent:
        return None
    gain = math.sqrt(extent.area / size.area)
    if params.window is Window.AUTO and (extent.area <= resolution**2 or gain < WORTH_IT):
        return None
    return _about(rows, size.height, extent.height), _about(columns, size.width, extent.width)


def _about(part: slice, length: int, most: int) -> slice:
    """So many pixels about the middle of `part`, moved to where they lie within `most`."""
    start = min(max(0, (part.start + part.stop - length) // 2), most - length)
    return slice(start, start + length)


def run_in_window(
    method: Callable[..., EditResult],
    bundle: ModelBundle,
    request: EditRequest,
    params: Params,
    progress: Progress,
) -> EditResult:
    """What `method` makes of `request`, in a window of it where `window_of` finds one.

    The pictures are of the request's size and what lies outside of the window is untouched; `EditResult.found` and
    `subject_after` lie where they lie in the whole picture. A background reference stays as the method gives it: it is
    of the network's size, whatever was shown.
    """
    assert isinstance(params, ModelParams), params
    place = window_of(request.mask, request.scope, params, bundle.card.resolution)
    if place is None:
        return method(bundle, request, params, progress)
    shown = replace(
        request, picture=np.ascontiguousarray(request.picture[place]), mask=np.ascontiguousarray(request.mask[place])
    )
    result = method(bundle, shown, _at_work(params), placing(progress, request.picture, place))
    share = fading(request.mask, place)
    return replace(
        result,
        candidates=tuple(_put_back(candidate, request, place, share, result.found) for candidate in result.candidates),
        found=_mask_in_place(result.found, request.mask, place),
        subject_after=_mask_in_place(result.subject_after, request.mask, place),
    )


def _at_work(params: ModelParams) -> ModelParams:
    """`params` inside a window, where what is asked for there is asked for."""
    asked = {name: When.ALWAYS for name in ("match_colour", "grain") if getattr(params, name) is When.WINDOW}
    return replace(params, **asked)  # type: ignore[arg-type]  # by name


def fading(mask: Mask, place: Place) -> NDArray[np.float32]:
    """How much of what was made each pixel of the window takes, ``(h, w) float32`` in (0, 1].

    1 but towards the sides of the window that are not sides of the picture: there it falls over half of the way from
    the subject. What a method gave back as it was stays so; what one changed all over ends in no line.
    """
    along = [_rise(part, own, most) for part, own, most in zip(place, bounds(mask), mask.shape, strict=True)]
    return np.minimum.outer(along[0], along[1])


def _scaled(part: slice, by: float, most: int) -> slice:
    """At least a pixel of it, of `most`."""
    start = min(round(part.start * by), most - 1)
    return slice(start, max(start + 1, round(part.stop * by)))


def _rise(part: slice, subject: slice, most: int) -> NDArray[np.float32]:
    at = np.arange(part.start, part.stop, dtype=np.float32)
    share = np.ones(len(at), np.float32)
    if part.start > 0:
        share = np.minimum(share, (at - part.start + 1) / ((subject.start - part.start) // 2 + 1))
    if part.stop < most:
        share = np.minimum(share, (part.stop - at) / ((part.stop - subject.stop) // 2 + 1))
    return share.astype(np.float32)


def _put_back(
    candidate: Candidate, request: EditRequest, place: Place, share: NDArray[np.float32], found: Mask | None
) -> Candidate:
    """The candidate with its picture in its place in the whole one, and what was to be kept counted there: all but what
    may change, and what a method `found` of its own, which may reach beyond."""
    before = request.picture[place]
    picture = request.picture.copy()
    mixed = candidate.picture * share[..., None] + before * (1 - share[..., None])
    picture[place] = np.where(share[..., None] < 1, np.round(mixed).astype(np.uint8), candidate.picture)
    region = np.zeros(request.mask.shape, np.bool_)
    region[place] = edited_region(np.ascontiguousarray(request.mask[place]), request.scope, request.feather)
    if found is not None:
        region[place] |= found
    return replace(candidate, picture=picture, outside=outside_change(picture, request.picture, region))


def _mask_in_place(mask: Mask | None, whole: Mask, place: Place) -> Mask | None:
    """A mask of the window as one of the whole picture."""
    if mask is None:
        return None
    result = np.zeros_like(whole)
    result[place] = mask
    return result


def placing(progress: Progress, picture: Picture, place: Place) -> Progress:
    """`progress` whose previews, of the window at any size, are shown in their place in a small copy of `picture`."""
    extent = Extent.of(picture)
    small = extent.fitted_inside(Extent(PREVIEW_SIDE, PREVIEW_SIDE)) if max(picture.shape) > PREVIEW_SIDE else extent
    around = cv2.resize(picture, (small.width, small.height), interpolation=cv2.INTER_AREA)
    rows, columns = (
        _scaled(part, to / own, to) for part, to, own in zip(place, around.shape[:2], picture.shape[:2], strict=True)
    )

    def tell(stage: str, step: int, total: int, preview: Picture | None = None) -> None:
        if preview is not None:
            shown = around.copy()
            size = (columns.stop - columns.start, rows.stop - rows.start)
            shown[rows, columns] = cv2.resize(preview, size, interpolation=cv2.INTER_AREA)
            preview = shown
        progress(stage, step, total, preview)

    return tell
