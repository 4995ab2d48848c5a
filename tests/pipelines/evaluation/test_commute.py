"""The free guess: its truth table, and what must hold for any two masks."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract import Mask, Scope
from pipelines.evaluation.commute import guess_commute

LEFT: Mask = np.zeros((20, 40), bool)
LEFT[5:15, 5:15] = True
RIGHT = np.roll(LEFT, 20, axis=1)
SHIFTED = np.roll(LEFT, 4, axis=1)
NOTHING = np.zeros_like(LEFT)
SUBJECT, BACKGROUND, BOTH = Scope.SUBJECT, Scope.BACKGROUND, Scope.BOTH


@pytest.mark.parametrize(
    ("scope_a", "mask_a", "scope_b", "mask_b", "guess"),
    [
        (SUBJECT, LEFT, BACKGROUND, LEFT, 1),  # two tracks of one mask
        (SUBJECT, LEFT, SUBJECT, RIGHT, 1),  # two things apart
        (SUBJECT, LEFT, SUBJECT, LEFT, 0),  # one track twice
        (BACKGROUND, LEFT, BACKGROUND, LEFT, 0),
        (SUBJECT, LEFT, SUBJECT, SHIFTED, 0.4),  # 60 of 100 pixels are shared
        (SUBJECT, LEFT, BACKGROUND, SHIFTED, 0.6),  # 40 of 100 lie in the other's background
        (SUBJECT, LEFT, BACKGROUND, RIGHT, 0),  # the other's background holds all of it
        (BOTH, LEFT, SUBJECT, LEFT, 0),
        (BOTH, LEFT, BACKGROUND, LEFT, 0),
        (SUBJECT, None, SUBJECT, LEFT, 0),  # a turn on the whole picture
        (BACKGROUND, None, SUBJECT, None, 0),
        (SUBJECT, NOTHING, BOTH, LEFT, 1),  # nothing to change
        (BACKGROUND, ~NOTHING, BOTH, None, 1),
    ],
)
def test_the_truth_table(
    scope_a: Scope, mask_a: Mask | None, scope_b: Scope, mask_b: Mask | None, guess: float
) -> None:
    assert guess_commute(scope_a, mask_a, scope_b, mask_b) == pytest.approx(guess)
    assert guess_commute(scope_b, mask_b, scope_a, mask_a) == pytest.approx(guess)


@given(seed=st.integers(0, 2**32 - 1))
def test_a_guess_is_a_share_that_ignores_the_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 8, 9)) < rng.random((2, 1, 1))
    for scope_a, scope_b in itertools.product(Scope, Scope):
        guess = guess_commute(scope_a, a, scope_b, b)
        assert 0 <= guess <= 1
        assert guess == guess_commute(scope_b, b, scope_a, a)
