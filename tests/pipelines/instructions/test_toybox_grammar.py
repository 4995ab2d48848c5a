"""Instructions about the embedded world: whatever the templates can say is read as it was meant, word for word."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contract import Scope
from pipelines.instructions.contract import Asked
from pipelines.instructions.split import split
from pipelines.toybox.words import ACTIONS, BACKGROUNDS, Attributes, article
from pipelines.toybox.words import read as attributes
from tests.pipelines.instructions.templates import CLAUSES, DOING, ON_OR_UNDER, SCENERY, SLOTS

KNOWN = "a tiny crimson hound hopping"


def phrase(size: str = "", colour: str = "", noun: str = "", action: str = "") -> str:
    """As the captions say a subject, apart from the synonyms: the expectation, made without the reader."""
    return " ".join(filter(None, (article(" ".join(filter(None, (size, colour, noun)))), action)))


def said(template: str, size: str, colour: str, noun: str, action: str, background: str) -> tuple[str, Asked, str]:
    """A clause, what it must be read as, and the subject that must be known for it."""
    known, was = KNOWN, ("tiny", "crimson", "hound", "hopping")
    it = "it"
    if noun != "hound":  # a subject named for the first time
        known, was, it = "", ("", "", noun, ""), f"the {noun}"
    pose = action if action in SLOTS["pose"] else SLOTS["pose"][0]
    do = next((verb for verb, doing in DOING.items() if doing == action), "leap")
    scenery = next((thing for thing, place in SCENERY.items() if place == background), "the beach")
    someone = phrase(size, colour, noun, action)
    clause = template.format(
        it=it, look=f"{size} and {colour}", colour=colour, do=do, action=action, pose=pose,
        someone=someone, background=background, scenery=scenery,
    )  # fmt: skip
    slots = set(re.findall(r"\{(\w+)\}", template))
    became = {
        "look": phrase(size, colour, was[2], was[3]),
        "colour": phrase(was[0], colour, was[2], was[3]),
        "do": phrase(*was[:3], DOING[do]),
        "action": phrase(*was[:3], action),
        "pose": phrase(*was[:3], pose),
        "someone": someone,
    }
    subject = next((text for slot, text in became.items() if slot in slots), "")
    place = background if "background" in slots else SCENERY[scenery] if "scenery" in slots else ""
    scope = Scope.BOTH if subject and place else Scope.SUBJECT if subject else Scope.BACKGROUND
    return clause, Asked(subject, place, scope), known


EACH = {name: st.sampled_from(SLOTS[name]) for name in ("size", "colour", "noun", "action", "background")}


@settings(max_examples=400, deadline=None)
@given(template=st.sampled_from(CLAUSES), **EACH)
def test_every_clause_is_read_as_it_was_meant(template: str, **words: str) -> None:
    clause, asked, known = said(template, **words)
    answer = split(clause, known)
    assert (answer.turns, answer.reader, answer.unread) == ((asked,), "rules", ())
    shouted = split(clause.upper(), known)
    assert shouted.unread == () and len(shouted.turns) == 1


@pytest.mark.parametrize("template", CLAUSES)
def test_every_word_in_every_template(template: str) -> None:
    """No sampling: each form of each slot once, beside the first of the others."""
    first = {name: SLOTS[name][0] for name in EACH}
    for name in EACH:
        for form in SLOTS[name]:
            clause, asked, known = said(template, **{**first, name: form})
            assert split(clause, known).turns == (asked,), clause


@settings(max_examples=100, deadline=None)
@given(
    noun=EACH["noun"], colour=EACH["colour"], background=EACH["background"], size=EACH["size"],
    do=st.sampled_from(SLOTS["do"]), joint=st.sampled_from((", then ", "; ", ". ", " and then ", " after that ")),
)  # fmt: skip
def test_an_instruction_of_three_clauses(
    noun: str, colour: str, background: str, size: str, do: str, joint: str
) -> None:
    answer = split(f"make the {noun} {colour} and put it {background}{joint}let it {do}{joint}make it {size}")
    assert answer.turns == (
        Asked(phrase("", colour, noun), background, Scope.BOTH),
        Asked(phrase("", colour, noun, DOING[do]), "", Scope.SUBJECT),
        Asked(phrase(size, colour, noun, DOING[do]), "", Scope.SUBJECT),
    )
    assert (answer.reader, answer.unread) == ("rules", ())


def test_the_words_read_are_the_attributes_meant() -> None:
    """Another reader of the same world, `words.read`, sees in the turns what the instruction said."""
    turn, jump = split("make the bunny azure and put it among the planets, then let it hop").turns
    assert attributes(f"{turn.subject} {turn.background}") == Attributes("rabbit", "blue", background="space")
    assert attributes(jump.subject) == Attributes("rabbit", "blue", action="jumping")


def test_the_slots_hold_every_word_of_the_world() -> None:
    forms = set(itertools.chain.from_iterable(ACTIONS.values()))
    assert set(SLOTS["action"]) == forms == set(SLOTS["pose"]) | set(DOING.values())
    assert {*SCENERY.values(), ON_OR_UNDER} == set(itertools.chain.from_iterable(BACKGROUNDS.values()))
    assert DOING == {"stand": "standing", "jump": "jumping", "hop": "hopping", "leap": "leaping"}
