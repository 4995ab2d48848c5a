"""The picture in another frame: cropped, extended or resized. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from pipelines.catalog import Method
from pipelines.contract import EditRequest, Extent, Picture, Scope
from pipelines.errors import BadRequest
from pipelines.frames import Frame
from pipelines.hand.changed import Changed
from pipelines.hand.fill import filled
from pipelines.hand.frames import cropped, extended, resized
from pipelines.hand.params import Beyond, CropParams, ExtendParams, Fill, ResizeParams
from pipelines.masks.carry import carried_mask
from pipelines.params import Params

LEVELS = {Beyond.WHITE: 255, Beyond.GREY: 128, Beyond.BLACK: 0}


def crop(request: EditRequest, params: CropParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where nothing would be cut off."""
    extent = Extent.of(request.picture)
    frame = cropped(params, extent)
    if frame.extent == extent:
        raise BadRequest("every setting leaves the picture whole; cut something off, like left=0.1, or draw the frame")
    left, top = -int(frame.moves.c), -int(frame.moves.f)
    box = slice(top, top + frame.extent.height), slice(left, left + frame.extent.width)
    return _whole(np.ascontiguousarray(request.picture[box]), request, frame)


def extend(request: EditRequest, params: ExtendParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where nothing would be added."""
    extent = Extent.of(request.picture)
    frame = extended(params, extent)
    if frame.extent == extent:
        raise BadRequest("every setting leaves the picture as it is; add something to a side, like right=0.25")
    left, top = int(frame.moves.c), int(frame.moves.f)
    right, bottom = frame.extent.width - extent.width - left, frame.extent.height - extent.height - top
    sides = (top, bottom, left, right)
    if params.beyond in LEVELS:
        level = LEVELS[params.beyond]
        picture = cv2.copyMakeBorder(request.picture, *sides, cv2.BORDER_CONSTANT, value=(level, level, level))
    else:
        how = cv2.BORDER_REPLICATE if params.beyond is Beyond.EDGE else cv2.BORDER_REFLECT
        picture = cv2.copyMakeBorder(request.picture, *sides, how)
    if params.beyond is Beyond.TEXTURE:
        added = np.ones(picture.shape[:2], np.bool_)
        added[top : top + extent.height, left : left + extent.width] = False
        picture = filled(np.asarray(picture), added, Fill.TEXTURE)
    return _whole(np.asarray(picture), request, frame)


def resize(request: EditRequest, params: ResizeParams) -> Changed:
    """The catalogue entry. Raises `BadRequest` where the picture has that size."""
    extent = Extent.of(request.picture)
    frame = resized(params, extent)
    if frame.extent == extent:
        raise BadRequest(f"the picture's longer side has {params.longer} pixels already; give another number")
    smaller = frame.extent.width < extent.width
    how = cv2.INTER_NEAREST if params.squares else cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    size = (frame.extent.width, frame.extent.height)
    return _whole(np.asarray(cv2.resize(request.picture, size, interpolation=how)), request, frame)


def reframed(picture: Picture, steps: Sequence[tuple[Method, Params]]) -> Picture:
    """`picture` as turns that change the frame would have it, without any that came between; grey where it does not
    reach, whatever fills that in those turns."""
    for method, params in steps:
        own = replace(params, beyond=Beyond.GREY) if isinstance(params, ExtendParams) else params
        everything = np.ones(picture.shape[:2], np.bool_)
        request = EditRequest(subject="", background="", scope=Scope.BOTH, seed=0, picture=picture, mask=everything)
        changed: Changed = method.resolve()(request, own)
        picture = changed.picture
    return picture


def _whole(picture: Picture, request: EditRequest, frame: Frame) -> Changed:
    """All of `picture` is what could change; the subject is where the frame has it."""
    everywhere = np.ones(picture.shape[:2], np.bool_)
    return Changed(picture, everywhere, carried_mask(request.mask, frame.moves, frame.extent))
