"""The plot of a training: what is read of its log, and where it is drawn."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pipelines.evaluation.training_plot import SMOOTH, read_log, smoothed, svg

LOG = [
    "a step takes 0.20 s (match), 1.47 s (draw)",
    "match: step 25 of 100  4 s  loss 4.0",
    "match: step 50 of 100  8 s  loss 2.0",
    "draw: step 75 of 100  12 s  loss 0.5",
    "draw: step 100 of 100  20 s  loss 0.25",
]


def test_each_stage_is_a_curve() -> None:
    assert read_log(LOG) == {"match": [(25, 4.0), (50, 2.0)], "draw": [(75, 0.5), (100, 0.25)]}
    assert read_log(["step 50 of 9  5 s  loss 1.5", "step 25  9 s  loss 0.4  rate 1e-3"]) == {
        "loss": [(50, 1.5), (25, 0.4)]
    }
    with pytest.raises(ValueError, match="has no line like"):
        read_log(["nothing"])


def test_a_loss_is_the_median_of_those_around_it() -> None:
    told = smoothed([(k, 99.0 if k == 10 else float(k)) for k in range(20)])
    assert told[9] == (9, 9.0) and told[0] == (0, SMOOTH // 2 / 2)


def test_lower_losses_stand_lower_and_later_steps_further_right() -> None:
    root = ElementTree.fromstring(svg(read_log(LOG)))
    lines = [node.attrib["points"].split() for node in root if node.tag.endswith("polyline")]
    places = [tuple(map(float, point.split(","))) for line in lines for point in line]
    assert places[0][0] < places[2][0] < places[3][0] and places[0][1] < places[2][1]
    assert all(0 < x < 640 and 0 < y < 300 for x, y in places)
