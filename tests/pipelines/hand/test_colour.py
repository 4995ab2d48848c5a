"""Recolour and light: what they move, what stays, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from pipelines.contract import EditRequest, Mask, Picture, Scope
from pipelines.errors import BadRequest
from pipelines.hand.colour import curves_of, light, recolour, recoloured
from pipelines.hand.params import LightParams, RecolourParams
from pipelines.params import Edge

SAME = 1.5
"""Levels, or units of L*: what rounding to 8 bits may leave of one step there and back."""


@pytest.fixture(scope="module")
def photograph() -> Picture:
    return np.ascontiguousarray(data.coffee()[100:300, 150:450])


@pytest.fixture
def subject(photograph: Picture) -> Mask:
    mask = np.zeros(photograph.shape[:2], bool)
    mask[40:160, 60:240] = True
    return mask


def asked(photograph: Picture, subject: Mask, scope: Scope) -> EditRequest:
    return EditRequest(picture=photograph, mask=subject, subject="", background="", scope=scope, seed=7)


def lab(picture: Picture) -> NDArray[np.float32]:
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def in_gamut(picture: Picture) -> Mask:
    """Where no channel was cut off."""
    return (picture > 2).all(-1) & (picture < 253).all(-1)


def test_a_turned_hue_keeps_lightness_and_chroma(photograph: Picture) -> None:
    quiet = recoloured(photograph, RecolourParams(saturation=0.4))  # within sRGB whatever the hue
    turned = recoloured(quiet, RecolourParams(hue=90.0))
    seen = in_gamut(turned)
    assert seen.mean() > 0.9
    before, after = lab(quiet)[seen], lab(turned)[seen]
    assert np.abs(after[:, 0] - before[:, 0]).max() < SAME, "the texture stays"
    rotated = np.column_stack([-before[:, 2], before[:, 1]])
    assert np.abs(after[:, 1:] - rotated).mean() < 0.5


def test_a_hue_turned_there_and_back_is_the_picture_again_but_for_rounding(photograph: Picture) -> None:
    quiet = recoloured(photograph, RecolourParams(saturation=0.4))
    there = recoloured(quiet, RecolourParams(hue=140.0))
    back = recoloured(there, RecolourParams(hue=-140.0))
    seen = in_gamut(there)
    assert np.abs(back.astype(int) - quiet)[seen].max() <= 2


def test_one_hue_is_that_of_all_and_grey_takes_it_only_where_colour_is_added(photograph: Picture) -> None:
    red = lab(recoloured(photograph, RecolourParams(hue=40.0, one_hue=True, saturation=0.5)))
    strong = np.hypot(red[..., 1], red[..., 2]) > 8
    angle = np.rad2deg(np.arctan2(red[..., 2], red[..., 1]))[strong]
    assert strong.mean() > 0.3 and np.abs(angle - 40).max() < 8
    grey = np.full((4, 4, 3), 128, np.uint8)
    assert np.abs(recoloured(grey, RecolourParams(hue=40.0, one_hue=True)).astype(int) - 128).max() <= 1
    tinted = recoloured(grey, RecolourParams(hue=40.0, one_hue=True, added=30.0))[0, 0].astype(int)
    assert tinted[0] > tinted[1] + 20 and tinted[0] > tinted[2] + 20
    black = np.zeros((4, 4, 3), np.uint8)
    assert not recoloured(black, RecolourParams(hue=40.0, one_hue=True, added=30.0)).any(), "black has no hue"


@pytest.mark.parametrize("edge", list(Edge))
@pytest.mark.parametrize("scope", [Scope.SUBJECT, Scope.BACKGROUND])
def test_only_the_part_that_was_asked_changes(photograph: Picture, subject: Mask, scope: Scope, edge: Edge) -> None:
    changed = recolour(asked(photograph, subject, scope), RecolourParams(hue=120.0, edge=edge))
    different = (changed.picture != photograph).any(-1)
    assert not (different & ~changed.region).any()
    part = subject if scope is Scope.SUBJECT else ~subject
    if edge is Edge.HARD:
        assert np.array_equal(changed.region, part)
    assert different[part].mean() > 0.7


def test_every_setting_of_the_light_does_what_it_says(photograph: Picture) -> None:
    def lit(**settings: float) -> NDArray[np.float64]:
        whole = asked(photograph, np.ones(photograph.shape[:2], bool), Scope.BOTH)
        return light(whole, LightParams(**settings)).picture.astype(float)  # type: ignore[arg-type]

    was = photograph.astype(float)
    assert lit(exposure=0.7).mean() > was.mean() > lit(exposure=-0.7).mean()
    assert lit(contrast=0.5).std() > was.std() > lit(contrast=-0.5).std()
    dark, bright = was.mean(-1) < 60, was.mean(-1) > 190
    opened, closed = lit(shadows=0.7), lit(highlights=-0.7)
    assert (opened - was)[dark].mean() > 3 * abs((opened - was)[bright].mean())
    assert (was - closed)[bright].mean() > 3 * abs((was - closed)[dark].mean())
    red_blue = was[..., 0].mean() - was[..., 2].mean()
    warm, cool = lit(warmth=0.5), lit(warmth=-0.5)
    assert warm[..., 0].mean() - warm[..., 2].mean() > red_blue > cool[..., 0].mean() - cool[..., 2].mean()
    pink = lit(tint=0.5)
    assert pink[..., 1].mean() < was[..., 1].mean() < pink[..., [0, 2]].mean() + was[..., 1].mean()
    assert np.ptp(lit(saturation=0.0), -1).max() <= 1
    assert (lit(black=40) == 0).mean() > (was == 0).mean() + 0.05
    assert (lit(white=150) == 255).mean() > (was == 255).mean() + 0.05


def test_curves_rise_and_one_stop_is_twice_the_light() -> None:
    for settings in (LightParams(exposure=2.0), LightParams(contrast=1.0), LightParams(shadows=1.0, highlights=-1.0)):
        assert (np.diff(curves_of(settings).astype(int), axis=0) >= 0).all()
    grey = curves_of(LightParams(exposure=1.0))[118, 0] / 255
    linear = lambda level: ((level + 0.055) / 1.055) ** 2.4  # noqa: E731
    assert linear(grey) == pytest.approx(2 * linear(118 / 255), rel=0.02)


@pytest.mark.parametrize("edge", list(Edge))
def test_settings_that_do_nothing_are_refused(photograph: Picture, subject: Mask, edge: Edge) -> None:
    whole = asked(photograph, subject, Scope.SUBJECT)
    with pytest.raises(BadRequest, match="every setting leaves the colours as they are"):
        recolour(whole, RecolourParams(edge=edge))
    with pytest.raises(BadRequest, match="every setting leaves the light as it is"):
        light(whole, LightParams(edge=edge))


def test_black_above_white_is_refused(photograph: Picture, subject: Mask) -> None:
    with pytest.raises(BadRequest, match="black must lie below white; got 200 and 100"):
        light(asked(photograph, subject, Scope.BOTH), LightParams(black=200, white=100))


def test_where_nothing_is_selected_nothing_changes(photograph: Picture) -> None:
    nothing = asked(photograph, np.zeros(photograph.shape[:2], bool), Scope.SUBJECT)
    for changed in (recolour(nothing, RecolourParams(hue=9.0)), light(nothing, LightParams(exposure=1.0))):
        assert np.array_equal(changed.picture, photograph) and not changed.region.any()
    everything = replace(nothing, scope=Scope.BACKGROUND)
    assert recolour(everything, RecolourParams(hue=90.0)).region.all()
