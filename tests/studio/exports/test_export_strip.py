from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipelines.contract import Picture
from studio.exports.strip import FADES, MOST_PIXELS, NothingToAnimate, StripFormat, animated_strip


def frames_of(data: bytes) -> list[tuple[Picture, float]]:
    """Each frame and how long it is shown, in milliseconds."""
    found = []
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["loop"] == 0
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            found.append((np.asarray(image.convert("RGB")), float(image.info["duration"])))
    return found


@pytest.fixture
def line(photo: Picture) -> list[Picture]:
    return [photo, 255 - photo, np.roll(photo, 1, -1)]


@pytest.mark.parametrize("file_format", StripFormat)
@pytest.mark.parametrize("seconds", [0.5, 2.0, 7.3])
def test_each_picture_stands_and_fades_into_the_next(
    file_format: StripFormat, seconds: float, line: list[Picture]
) -> None:
    frames = frames_of(animated_strip(line, seconds, file_format))
    assert len(frames) == 3 + 2 * FADES
    assert sum(shown for _, shown in frames) == pytest.approx(1000 * seconds, abs=10 * len(frames) / 2)
    tolerance = {StripFormat.WEBP: 8, StripFormat.GIF: 16}[file_format]  # levels: a GIF has 256 colours for all this
    standing = frames[:: FADES + 1]
    for (frame, shown), picture in zip(standing, line, strict=True):
        assert np.abs(frame.astype(int) - picture).mean() < tolerance
        assert shown > frames[1][1]
    first, second = line[0].astype(float), line[1].astype(float)
    for step in range(1, FADES + 1):
        expected = first + (second - first) * step / (FADES + 1)
        assert np.abs(frames[step][0] - expected).mean() < tolerance
    to_go = [np.abs(frame - second).mean() for frame, _ in frames[: FADES + 2]]
    assert to_go == sorted(to_go, reverse=True)


def test_a_long_line_is_thinned_out_and_keeps_its_ends(line: list[Picture]) -> None:
    pictures = [np.full((48, 64, 3), level, np.uint8) for level in range(200)]
    frames = frames_of(animated_strip(pictures, 20.0))
    assert len(frames) <= 24 + 23 * FADES
    assert abs(int(frames[0][0].mean()) - 0) <= 2
    assert abs(int(frames[-1][0].mean()) - 199) <= 2
    assert sum(shown for _, shown in frames) == pytest.approx(20_000, rel=0.05)


def test_large_pictures_are_shown_smaller() -> None:
    draw = np.random.default_rng(1)
    pictures = [draw.integers(0, 256, (300, 1200, 3), dtype=np.uint8) for _ in range(2)]
    frames = frames_of(animated_strip(pictures, 1.0))
    assert frames[0][0].shape == (128, 512, 3)
    many = [np.full((600, 600, 3), 10 * k, np.uint8) for k in range(24)]
    with Image.open(io.BytesIO(animated_strip(many, 10.0))) as image:
        assert image.width * image.height * (24 + 23 * FADES) <= MOST_PIXELS


@pytest.mark.parametrize("file_format", StripFormat)
def test_where_nothing_changed_nothing_moves(file_format: StripFormat, photo: Picture) -> None:
    with Image.open(io.BytesIO(animated_strip([photo, photo], 2.0, file_format))) as image:
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - photo).mean() < 16


@pytest.mark.parametrize("seconds", [0.0, 0.4, 61.0, float("nan"), float("inf"), -1.0])
def test_a_length_nobody_could_watch_is_refused(seconds: float, line: list[Picture]) -> None:
    with pytest.raises(NothingToAnimate, match="an animation lasts"):
        animated_strip(line, seconds)


def test_one_picture_is_no_animation(photo: Picture) -> None:
    with pytest.raises(NothingToAnimate, match="two pictures"):
        animated_strip([photo], 2.0)
