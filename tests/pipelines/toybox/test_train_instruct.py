"""The parts of the instruction model's trainer that are right or wrong: what it is told."""

from __future__ import annotations

import random

from pipelines.toybox.train_instruct import said_of
from pipelines.toybox.triples import told
from pipelines.training.triples import TRAINING


def test_each_way_to_ask_says_something_and_the_whole_says_both() -> None:
    for number in range(60):
        one, rng = told(TRAINING, number), random.Random(number)
        first, second, whole = said_of(one, rng)
        assert first and second and (" and " if one.independent else ", then ") in whole
    ways = {said_of(told(TRAINING, 3), random.Random(seed))[0] for seed in range(40)}
    assert len(ways) > 2
