"""A before-to-after animation: the pictures of a line of turns, each fading into the next, as WebP or GIF."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import overload

import numpy as np
from PIL import Image

from pipelines.contract import Extent, Picture
from pipelines.masks.carry import carried_picture
from pipelines.pictures import decode
from studio.errors import UserError
from studio.history.frames import frames_along
from studio.store.blobs import Blobs
from studio.store.record import Record

FADES = 6
"""Frames between one picture and the next."""
FADING = 0.4
"""Share of the time that goes to fading; the rest shows the pictures themselves."""
MOST_PICTURES = 24
"""Of a longer line as many are shown, evenly spread, the first and the last among them."""
LARGEST_SIDE = 512
"""Pixels of the animation."""
MOST_PIXELS = 16_000_000
"""Of all frames together; longer animations are smaller. It bounds the time and the file's size."""
SHORTEST, LONGEST = 0.5, 60.0
"""Seconds."""
SAMPLED, SAMPLED_EVERY = 96, 3
"""Pixels a side, and which frames, are looked at for the colours of a GIF."""
TICK = 10
"""Milliseconds: the unit in which a GIF counts time."""


class StripFormat(StrEnum):
    """What the animation can be written as."""

    WEBP = "webp"
    GIF = "gif"
    """256 colours in all."""


class NothingToAnimate(UserError):
    """An animation needs two pictures and a length that can be watched."""


class LinePictures(Sequence[Picture]):
    """The pictures of a line of turns, read when they are asked for: long lines are shown in parts. All are in the
    frame of the last one: where the picture was cropped or resized, those before it are as they lie in that."""

    def __init__(self, record: Record, turn: str, pictures: Blobs) -> None:
        """Raises `UnknownTurn`."""
        self._line = [record.tree[id] for id in record.tree.line(turn)]
        self._frames = list(frames_along(self._line, Extent(record.width, record.height)))
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._line)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> list[Picture]: ...
    def __getitem__(self, index: int | slice) -> Picture | list[Picture]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        picture = decode(self._pictures.get(self._line[index].picture)).picture
        own, last = self._frames[index], self._frames[-1]
        return picture if own == last else carried_picture(picture, own.to(last), last.extent)


def animated_strip(pictures: Sequence[Picture], seconds: float, file_format: StripFormat = StripFormat.WEBP) -> bytes:
    """An animation that loops, `seconds` (0.5 to 60) long to within a frame's rounding, through `pictures`
    ``(H, W, 3) uint8`` of one size.

    Raises `NothingToAnimate` for fewer than two pictures or a length outside the range.
    """
    if len(pictures) < 2:
        raise NothingToAnimate("an animation needs at least two pictures; make an edit first, then export again")
    if not SHORTEST <= seconds <= LONGEST:
        raise NothingToAnimate(f"an animation lasts from {SHORTEST:g} to {LONGEST:g} seconds; got {seconds!r:.40}")
    shown = _spread(pictures)
    count = len(shown) + FADES * (len(shown) - 1)
    images = [_scaled(picture, count) for picture in shown]
    fade = _ticks(1000 * seconds * FADING / (count - len(shown)))
    hold = _ticks((1000 * seconds - fade * (count - len(shown))) / len(shown))
    durations = [hold if frame % (FADES + 1) == 0 else fade for frame in range(count)]
    frames = list(_frames(images))
    first, *rest = frames if file_format is StripFormat.WEBP else _in_one_palette(frames)
    buffer = io.BytesIO()
    options = {"quality": 80, "method": 2} if file_format is StripFormat.WEBP else {"disposal": 1}
    first.save(buffer, file_format.upper(), save_all=True, append_images=rest, duration=durations, loop=0, **options)
    return buffer.getvalue()


def _spread(pictures: Sequence[Picture]) -> list[Picture]:
    places = np.linspace(0, len(pictures) - 1, min(len(pictures), MOST_PICTURES))
    return [pictures[round(place)] for place in places]


def _scaled(picture: Picture, frames: int) -> Image.Image:
    height, width = picture.shape[:2]
    scale = min(1.0, LARGEST_SIDE / max(width, height), (MOST_PIXELS / (frames * width * height)) ** 0.5)
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)


def _ticks(milliseconds: float) -> int:
    return max(2, round(milliseconds / TICK)) * TICK  # browsers show anything shorter for a tenth of a second


def _frames(images: Sequence[Image.Image]) -> Iterator[Image.Image]:
    """Each picture, then the frames in which it becomes the next."""
    for before, after in pairwise(images):
        yield before
        for step in range(1, FADES + 1):
            yield Image.blend(before, after, step / (FADES + 1))
    yield images[-1]


def _in_one_palette(frames: Sequence[Image.Image]) -> Iterator[Image.Image]:
    """`frames` in the 256 colours that suit them all: a palette for each frame flickers, and takes a hundred times as
    long to find."""
    samples = frames[::SAMPLED_EVERY]
    sheet = Image.new("RGB", (SAMPLED * len(samples), SAMPLED))
    for number, frame in enumerate(samples):
        sheet.paste(frame.resize((SAMPLED, SAMPLED)), (SAMPLED * number, 0))
    palette = sheet.quantize(256, Image.Quantize.FASTOCTREE)
    for frame in frames:
        yield frame.quantize(palette=palette, dither=Image.Dither.NONE)
