"""What is seen in the place of a subject that is taken away."""

import numpy as np
import pytest

from pipelines.masks.fill import filled_from_around


@pytest.mark.parametrize("side", [256, 1500])
def test_a_hole_takes_the_colours_around_it(side: int) -> None:
    picture, hole = np.full((side, side, 3), (40, 120, 200), np.uint8), np.zeros((side, side), bool)
    hole[side // 4 : side // 2, side // 4 : side // 2] = True
    picture[hole] = 255
    filled = filled_from_around(picture, hole)
    assert filled.shape == picture.shape and np.abs(filled.astype(int) - (40, 120, 200)).max() <= 15
    everything = np.ones_like(hole)
    assert filled_from_around(picture, everything) is picture, "nothing left to go by"
