"""GeNeVA's figures on cases that are worked out by hand: what counts as an edge, and how often."""

import pytest

from pipelines.compose.metric import Score, Seen, mean, score

A_AND_B: Seen = {"a": (0.6, 0.4), "b": (0.7, 0.7)}


def test_a_picture_that_is_the_truth_is_right_in_everything() -> None:
    assert score(A_AND_B, A_AND_B) == Score(1, 1, 1, 1)


@pytest.mark.parametrize(("seen", "truth"), [({}, A_AND_B), (A_AND_B, {}), ({}, {}), ({"c": (0.1, 0.1)}, A_AND_B)])
def test_where_nothing_is_in_both_all_is_zero(seen: Seen, truth: Seen) -> None:
    assert score(seen, truth) == Score(0, 0, 0, 0)


def test_a_single_class_is_compared_with_the_centre_alone() -> None:
    truth, seen = {"a": (0.2, 0.3)}, {"a": (0.8, 0.3)}
    assert score(seen, truth).rsim == pytest.approx(1 / 2)  # right across, wrong of two edges to the centre
    assert score(seen, truth, include_center=False).rsim == 1


@pytest.mark.parametrize(
    ("include_center", "double_count", "right"),
    [
        (True, True, 6 / 8),  # of 2 x 2 x 2 cells the two of a - b across are wrong
        (True, False, 5 / 6),  # 2 x (2 centres + 1 pair), one of them wrong
        (False, True, 2 / 4),
        (False, False, 1 / 2),
    ],
)
def test_a_pair_in_the_wrong_order_counts_from_both_ends(
    include_center: bool, double_count: bool, right: float
) -> None:
    seen = {"a": (0.8, 0.4), "b": (0.7, 0.7)}  # a went to the other side of b, and stayed right of the centre
    assert score(seen, A_AND_B, include_center, double_count) == Score(1, 1, 1, pytest.approx(right))


def test_what_is_missing_and_what_is_too_much() -> None:
    truth = A_AND_B | {"c": (0.1, 0.1), "d": (0.9, 0.2)}
    seen = A_AND_B | {"e": (0.5, 0.5)}
    assert score(seen, truth) == Score(pytest.approx(2 / 3), 1 / 2, pytest.approx(4 / 7), 1 / 2)


def test_rsim_is_recall_times_the_edges_of_what_is_in_both() -> None:
    truth, seen = A_AND_B | {"c": (0.1, 0.1), "d": (0.9, 0.2)}, {"a": (0.8, 0.4), "b": (0.7, 0.7)}
    assert score(seen, truth).rsim == pytest.approx(1 / 2 * 6 / 8)


def test_of_three_coordinates_the_height_is_passed_over() -> None:
    truth = {"a": (0.6, 0.1, 0.9), "b": (0.7, 0.9, 0.2)}
    seen = {"a": (0.6, 0.9, 0.9), "b": (0.7, 0.1, 0.2)}
    assert score(seen, truth).rsim == 1
    behind = {"a": (0.6, 0.1, 0.1), "b": (0.7, 0.9, 0.2)}
    assert score(behind, truth).rsim == pytest.approx(5 / 8)  # a's own centre edge and both of the pair


def test_places_that_are_equal_are_on_no_side() -> None:
    truth, seen = {"a": (0.5, 0.5)}, {"a": (0.5, 0.6)}
    assert score(seen, truth).rsim == 1 / 2


def test_the_mean_f1_is_of_the_pictures() -> None:
    half = {"a": A_AND_B["a"]}
    told = mean([score(A_AND_B, A_AND_B), score(half, A_AND_B)])
    assert told.precision == 1 and told.recall == 0.75
    assert told.f1 == pytest.approx((1 + 2 / 3) / 2) != pytest.approx(2 * 0.75 / 1.75)
