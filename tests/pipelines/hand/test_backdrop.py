"""Backdrop and defocus: what stands behind the subject, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage import data

from pipelines.contract import EditRequest, Extent, Mask, Picture, Scope
from pipelines.errors import BadRequest
from pipelines.hand.backdrop import backdrop, blurred, colours_of, defocus, fitted, gradient
from pipelines.hand.params import BackdropParams, DefocusParams, Fit
from pipelines.params import Edge


@pytest.fixture(scope="module")
def photograph() -> Picture:
    return data.astronaut()[:256, 100:356]


@pytest.fixture
def subject(photograph: Picture) -> Mask:
    mask = np.zeros(photograph.shape[:2], np.uint8)
    cv2.circle(mask, (128, 128), 70, 1, -1)
    return mask > 0


@pytest.fixture
def asked(photograph: Picture, subject: Mask) -> EditRequest:
    return EditRequest(picture=photograph, mask=subject, subject="", background="", scope=Scope.BACKGROUND, seed=7)


def test_a_picture_of_ones_own_stands_behind_an_untouched_subject(asked: EditRequest) -> None:
    own = data.coffee()
    params = BackdropParams(match=0.0, edge=Edge.HARD)
    changed = backdrop(replace(asked, background_reference=own), params)
    assert np.array_equal(changed.picture[asked.mask], asked.picture[asked.mask])
    assert np.array_equal(changed.picture[~asked.mask], fitted(own, Extent(256, 256), Fit.COVER)[~asked.mask])
    assert np.array_equal(changed.region, ~asked.mask)


def test_colours_are_read_as_pages_write_them() -> None:
    assert colours_of("navy") == ((0, 0, 128), (0, 0, 128))
    assert colours_of(" #204060 to White ") == ((32, 64, 96), (255, 255, 255))
    assert colours_of("rgb(10, 20, 300)") == ((10, 20, 255), (10, 20, 255))
    assert colours_of("hsl(120, 100%, 50%) to red") == ((0, 255, 0), (255, 0, 0))


@pytest.mark.parametrize("text", ["", "a forest", "red to", "red to green to blue", "#12", "to"])
def test_a_backdrop_that_is_no_picture_and_no_colour_is_refused_in_one_sentence(asked: EditRequest, text: str) -> None:
    with pytest.raises(
        BadRequest, match=r"give a picture for the background, or name a colour or two: .*; got '"
    ) as no:
        backdrop(replace(asked, background=text), BackdropParams())
    assert repr(text.strip()) in str(no.value)


def test_a_gradient_runs_from_the_first_colour_to_the_second_without_bands() -> None:
    ran = gradient(((0, 0, 100), (200, 100, 100)), Extent(80, 300), -90.0).astype(int)
    rows = ran.mean(1)
    assert np.abs(rows[0] - (0, 0, 100)).max() <= 2 and np.abs(rows[-1] - (200, 100, 100)).max() <= 2
    assert (np.diff(rows[:, 0]) > -0.5).all() and (ran[..., 2] == 100).all()
    assert max(len(np.unique(row)) for row in ran[..., 0]) > 1, "its noise breaks up each step"
    aside = gradient(((0, 0, 0), (255, 255, 255)), Extent(300, 80), 0.0).astype(int)
    assert aside[:, :5].max() < 12 and aside[:, -5:].min() > 243
    up = gradient(((0, 0, 0), (255, 255, 255)), Extent(300, 80), 90.0).astype(int)
    assert up[-1].max() < 12 and up[0].min() > 243
    assert (gradient(((1, 2, 3), (1, 2, 3)), Extent(9, 7), 5.0) == (1, 2, 3)).all()


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("size", [(40, 200), (333, 77), (64, 64), (1000, 1000)])
def test_every_fit_fills_the_picture(fit: Fit, size: tuple[int, int]) -> None:
    own = np.zeros((*size, 3), np.uint8)
    own[: size[0] // 2] = (200, 30, 40)
    seen = fitted(own, Extent(128, 96), fit)
    assert seen.shape == (96, 128, 3) and seen.dtype == np.uint8
    assert abs(float((seen[..., 0] > 100).mean()) - 0.5) < 0.1, "its halves are halves still"


def test_the_subject_takes_on_the_light_of_what_is_behind_it(asked: EditRequest) -> None:
    blue = np.full((64, 64, 3), (40, 60, 200), np.uint8) + np.random.default_rng(0).integers(
        0, 40, (64, 64, 3), dtype=np.uint8
    )
    deep = cv2.erode(asked.mask.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    bluer = [
        backdrop(replace(asked, background_reference=blue), BackdropParams(match=amount)).picture[deep].astype(int)
        for amount in (0.0, 0.3, 1.0)
    ]
    less_red = [float((pixels[:, 2] - pixels[:, 0]).mean()) for pixels in bluer]
    assert less_red[0] < less_red[1] < less_red[2]
    assert np.array_equal(bluer[0], asked.picture[deep])


def test_a_subject_too_small_to_match_colours_with_is_refused(asked: EditRequest) -> None:
    speck = np.zeros_like(asked.mask)
    speck[10:13, 10:13] = True
    small = replace(asked, mask=speck, background="navy")
    with pytest.raises(BadRequest, match="the subject has 9 pixels, which say too little of its light"):
        backdrop(small, BackdropParams())
    assert backdrop(small, BackdropParams(match=0.0)).picture.shape == asked.picture.shape


def test_defocus_blurs_the_background_alone_and_nothing_of_the_subject_bleeds_into_it(asked: EditRequest) -> None:
    red = asked.picture.copy()
    red[asked.mask] = (255, 0, 0)
    red[~asked.mask] = (red[~asked.mask] // 8) + np.array([0, 120, 120], np.uint8)
    changed = defocus(replace(asked, picture=red), DefocusParams(blur=0.05, edge=Edge.HARD))
    assert np.array_equal(changed.picture[asked.mask], red[asked.mask])
    assert changed.picture[~asked.mask][:, 0].max() < 64, "no halo of the subject"
    assert changed.picture[~asked.mask].astype(float).std(0).max() < red[~asked.mask].astype(float).std(0).max()
    assert np.array_equal(changed.region, ~asked.mask)


def test_a_wide_blur_on_a_smaller_picture_is_that_blur() -> None:
    picture = data.coffee()
    wide = blurred(picture, 14.0).astype(int)
    exact = cv2.GaussianBlur(picture, (0, 0), 14.0).astype(int)
    inner = (slice(40, -40), slice(40, -40))
    assert np.abs(wide - exact)[inner].mean() < 1.0


def test_defocus_that_leaves_everything_as_it_is_is_refused(asked: EditRequest) -> None:
    with pytest.raises(BadRequest, match="every setting leaves the background as it is"):
        defocus(asked, DefocusParams(blur=0.0))


def test_defocus_dims_and_greys(asked: EditRequest) -> None:
    dim = defocus(asked, DefocusParams(blur=0.0, exposure=-2.0, saturation=0.0, edge=Edge.HARD)).picture[~asked.mask]
    was = asked.picture[~asked.mask]
    assert np.ptp(dim, -1).max() <= 1 and dim.mean() < 0.7 * was.mean()
