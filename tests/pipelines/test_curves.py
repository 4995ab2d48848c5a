"""A tone curve: points as text, and a smooth curve that never leaves the levels of two neighbours."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract import EditRequest, Scope
from pipelines.curves import IDENTITY, ToneCurve
from pipelines.errors import BadParameter, BadRequest
from pipelines.hand.colour import curves_of, light
from pipelines.hand.params import LightParams
from pipelines.params import checked

LEVELS = np.arange(256) / 255


def test_the_curve_is_the_one_that_the_page_draws() -> None:  # tests/page/tone.test.js has the same numbers
    curve = ToneCurve.of("curve", "0,0 64,20 128,160 200,150 255,255")
    found = curve.at(np.array([0, 32, 64, 100, 128, 160, 200, 230, 255]) / 255) * 255
    assert np.allclose(found, [0, 8.125, 20, 106.825, 160, 155.83, 150, 195.44, 255], atol=6e-4)
    assert np.allclose(IDENTITY.at(LEVELS), LEVELS)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=2, max_size=16, unique_by=lambda p: p[0]))
def test_it_goes_through_its_points_and_never_beyond_two_neighbours(points: list[tuple[int, int]]) -> None:
    points = sorted(points)
    curve = ToneCurve.of("curve", " ".join(f"{x},{y}" for x, y in points))
    assert curve.points == points
    found = curve.at(LEVELS) * 255
    for (x, y), (other, after) in pairwise(points):
        part = found[x : other + 1]
        assert abs(part[0] - y) < 1e-6 and abs(part[-1] - after) < 1e-6
        assert part.min() >= min(y, after) - 1e-6 and part.max() <= max(y, after) + 1e-6
        steps = np.diff(part) * (1 if after >= y else -1)
        assert (steps >= -1e-6).all(), "between two points it only rises, or only falls"
    assert np.allclose(found[: points[0][0]], points[0][1]) and np.allclose(found[points[-1][0] :], points[-1][1])


@pytest.mark.parametrize(
    "value", ["", "0,0", "0,0 0,9", "9,9 3,3", "0,0 256,9", "0,0 a,9", "0,0 9,9,9", 3, None, "1,1 " * 17]
)
def test_what_is_no_curve_is_refused(value: object) -> None:
    with pytest.raises(BadParameter, match=r"^curve must be 2 to 16 points from left") as raised:
        checked(LightParams, {"curve": value})
    assert raised.value.setting == "curve"


def test_it_is_the_last_thing_that_light_does_and_straight_it_does_nothing() -> None:
    curve = checked(LightParams, {"curve": " 0,0   128,200 255,255"}).curve
    assert curve == "0,0 128,200 255,255", "written in one way"
    assert curves_of(LightParams(curve=curve))[128].tolist() == [200, 200, 200]
    both = curves_of(LightParams(curve=ToneCurve("0,255 255,0"), exposure=1.0))
    assert np.array_equal(both, 255 - curves_of(LightParams(exposure=1.0))), "after all else"
    picture = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2).repeat(16, 0)
    request = EditRequest(
        subject="", background="", scope=Scope.BOTH, seed=0, picture=picture, mask=np.ones((16, 256), np.bool_)
    )
    assert light(request, LightParams(curve=curve)).picture[0, 128, 0] == 200
    with pytest.raises(BadRequest, match="every setting leaves the light as it is"):
        light(request, LightParams(curve=ToneCurve("0,0 255,255")))
