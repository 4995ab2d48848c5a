"""What is said of a subject beside its own text: what is seen of it, and nobody spoke of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.instructions.staying import motion_towards, with_what_stays
from pipelines.masks.moved import moved_mask, moved_subject
from pipelines.masks.refine import grown
from pipelines.toybox.render import render
from pipelines.toybox.scene import Scene, Subject
from pipelines.toybox.words import ACTIONS, COLOURS, NATURAL, SIZES, SUBJECTS, Attributes, read, subject_phrase

SEEN = Attributes("dog", "red", "big", "upside down", "snow")

NOTHING = Attributes(None, None, None, None, "snow")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a dog", "a big red dog upside down"),
        ("the puppy", "a big red puppy upside down"),
        ("a blue dog", "a big blue dog upside down"),
        ("a tiny dog", "a tiny red dog upside down"),
        ("a dog jumping", "a big red dog jumping"),
        ("a cat", "a big cat upside down"),
        ("an apple", "a big apple upside down"),
        ("a dog wearing a hat", "a big red dog wearing a hat upside down"),
        ("a big red dog upside down", "a big red dog upside down"),
    ],
)
def test_what_is_seen_is_said_where_the_text_leaves_it_open(text: str, told: str) -> None:
    assert with_what_stays(text, SEEN) == told


def test_a_thing_of_which_nobody_can_tell_what_it_was_keeps_its_colour() -> None:
    assert with_what_stays("a cat", Attributes(None, "red", None, None, "snow")) == "a red cat"


@pytest.mark.parametrize("text", ["two dogs", "dogs", "blue", "", "it", "A painting, of  Something"])
def test_texts_of_many_or_of_no_thing_stay_as_they_are(text: str) -> None:
    assert with_what_stays(text, Attributes("dog", "red", None, None, "snow")) == text


@pytest.mark.parametrize("text", ["a dog", "a  Dog ,blue", "THE dog wearing a hat"])
def test_nothing_seen_changes_no_letter(text: str) -> None:
    assert with_what_stays(text, NOTHING) == text
    assert with_what_stays(text, Attributes("dog", NATURAL, "medium", "standing", "snow")) == text


@given(
    seen=st.tuples(*map(st.sampled_from, (list(SUBJECTS), [NATURAL, *COLOURS], list(SIZES), list(ACTIONS)))),
    kind=st.sampled_from(list(SUBJECTS)),
    colour=st.sampled_from([NATURAL, *COLOURS]),
    size=st.sampled_from(list(SIZES)),
    action=st.sampled_from(list(ACTIONS)),
)
def test_what_was_said_stands_and_the_rest_is_what_was_seen(
    seen: tuple[str, str, str, str], kind: str, colour: str, size: str, action: str
) -> None:
    text = subject_phrase(kind, colour, size, action)
    said, told = read(text), read(with_what_stays(text, Attributes(*seen)))
    worded = read(subject_phrase(*seen))  # what has no word of its own reads as nothing
    assert told.subject == kind
    assert told.size == (said.size or worded.size)
    assert told.action == (said.action or worded.action)
    assert told.colour == (said.colour or (worded.colour if seen[0] == kind else None))


@pytest.mark.parametrize(
    ("text", "seen"), [("a dog jumping", "jumping"), ("a blue dog", "jumping"), ("a dog jumping", None)]
)
def test_nothing_moves_into_a_pose_that_is_there_or_not_known(text: str, seen: str | None) -> None:
    assert motion_towards(text, Attributes("dog", "red", "big", seen, "snow")) is None


@pytest.mark.parametrize("said", list(ACTIONS))
@pytest.mark.parametrize("seen", list(ACTIONS))
def test_a_moved_subject_is_where_the_world_draws_it_in_that_pose(seen: str, said: str) -> None:
    """Each pose into each other one; its place to the pixel, its colours but for the ground that shines through."""
    before = render(Scene("meadow", Subject("elephant", action=seen), background_seed=3))
    after = render(Scene("meadow", Subject("elephant", action=said), background_seed=3))
    motion = motion_towards(f"an elephant {said}", Attributes("elephant", NATURAL, "medium", seen, "meadow"))
    assert (motion is None) == (said == seen)
    if motion is not None:
        place = moved_mask(before.mask, motion)
        assert np.array_equal(place, after.mask)
        picture, plate = moved_subject(before.picture, before.mask, motion)
        inside = grown(place, -2)
        assert np.abs(picture[inside].astype(int) - after.picture[inside]).mean() < 1
        assert np.array_equal(picture[~place], plate[~place])
