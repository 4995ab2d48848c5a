"""Where marks and words stand: at their values, and never on each other."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evaluation.plots import LETTER, LINE, Axis, curves, scatter, spread


def test_an_axis_puts_values_where_they_belong() -> None:
    up = Axis(0, 1, 320, 20)
    assert (up.at(0), up.at(1), up.at(0.5)) == (320, 20, 170)
    assert [v for v, _ in up.ticks] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    log = Axis(1, 100, 0, 200, logarithmic=True)
    assert log.at(10) == pytest.approx(100)
    assert [v for v, _ in log.ticks] == pytest.approx([1, 2, 5, 10, 20, 50, 100])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(1, 5000), st.floats(0, 1)), min_size=1, max_size=14),
    st.integers(3, 24),
)
def test_no_two_names_of_a_scatter_plot_meet(points: list[tuple[float, float]], length: int) -> None:
    plot = scatter({f"{k:02d}".ljust(length, "x"): point for k, point in enumerate(points)})
    assert [mark.y for mark in plot.marks] == sorted(mark.y for mark in plot.marks), "the best is drawn first"
    assert all(LINE <= mark.word_y < plot.height - 30 for mark in plot.marks)
    for k, a in enumerate(plot.marks):
        for b in plot.marks[:k]:
            beside = abs(a.word_x - b.word_x) > LETTER * length
            assert beside or abs(a.word_y - b.word_y) >= LINE
            assert not (a.word_x < b.x < a.word_x + LETTER * length and a.word_y - 8 < b.y < a.word_y)


@settings(deadline=None)
@given(st.lists(st.floats(16, 260), min_size=1, max_size=15))
def test_names_at_the_end_of_lines_keep_apart_and_in_order(places: list[float]) -> None:
    last = 16 + LINE * 20
    moved = spread(places, LINE, last)
    order = sorted(range(len(places)), key=lambda k: places[k])
    kept = [moved[k] for k in order]
    assert all(after - before >= LINE - 1e-6 for before, after in pairwise(kept))
    assert max(kept) <= last
    if all(b - a >= LINE for a, b in pairwise(sorted(places))):
        assert moved == places, "nothing is moved without need"


def test_curves_end_at_their_last_share_the_best_first() -> None:
    plot = curves({"worse": [1.0, 0.5, 0.0], "better": [0.5, 0.5, 1.0]})
    assert [curve.name for curve in plot.curves] == ["better", "worse"]
    better = plot.curves[0]
    assert better.dots[-1] == pytest.approx((plot.x.at(3), plot.y.at(1)))
    assert [turn for turn, _ in plot.turns] == [1, 2, 3]
    assert better.points.count(",") == 3 and not math.isnan(better.word_y)
    assert len(curves({"alone": [0.25]}).curves[0].dots) == 1
