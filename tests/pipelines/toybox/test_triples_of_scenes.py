"""Triples of the toy world: true, of both orders, and right about when order matters."""

import numpy as np

from pipelines.toybox.render import render
from pipelines.toybox.triples import Told, ToyTriples, told
from pipelines.training.sources import source_of
from pipelines.training.triples import HELD_OUT, TRAINING

SOME = [told(TRAINING, number) for number in range(400)]


def test_the_same_number_is_the_same_triple() -> None:
    source = source_of(None)
    assert isinstance(source, ToyTriples)
    first, again = source.triple(TRAINING, 5), source.triple(TRAINING, 5)
    assert first[1] == again[1]
    for one, other in zip(first[::2], again[::2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert told(HELD_OUT, 5).before != told(TRAINING, 5).before
    between = source.between(TRAINING, 5)
    np.testing.assert_array_equal(between, render(told(TRAINING, 5).between).picture)


def test_every_part_changes_the_scene() -> None:
    for one in SOME:
        assert one.before != one.between != one.after != one.before


def test_order_is_free_where_both_orders_come_to_the_same() -> None:
    free = [one for one in SOME if one.independent]
    assert 0.75 < len(free) / len(SOME) < 0.97
    for one in SOME:
        other = Told(one.before, one.second, one.first)
        assert (other.after == one.after) == one.independent == one.instruction.independent
        joint = " and " if one.independent else ", then "
        assert one.instruction.whole == one.first.text + joint + one.second.text
        assert one.instruction.swapped == one.second.text + joint + one.first.text


def test_a_new_thing_comes_in_its_own_colours() -> None:
    """So that to paint it and to exchange it do not commute."""
    pair = next(one for one in SOME if (one.first.about, one.second.about) == ("colour", "subject"))
    assert not pair.independent
    assert pair.after.subject is not None and pair.after.subject.colour == "natural"
    swapped = Told(pair.before, pair.second, pair.first).after
    assert swapped.subject is not None and swapped.subject.colour != "natural"


def test_all_kinds_of_parts_are_drawn_in_both_places() -> None:
    for place in ("first", "second"):
        about = {getattr(one, place).about for one in SOME}
        assert about == {"subject", "colour", "size", "action", "background"}
    assert any(one.before.subject is None and one.after.subject is not None for one in SOME)


def test_the_judge_says_which_pictures_are_what_was_asked_for() -> None:
    source, numbers = ToyTriples(), range(20)
    references, _, targets = zip(*(source.triple(HELD_OUT, number) for number in numbers), strict=True)
    asked, unedited = (source.right(HELD_OUT, numbers, pictures) for pictures in (targets, references))
    assert sum(asked) >= 19 and sum(unedited) <= 1
