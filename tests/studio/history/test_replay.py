from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pipelines.contract import Quality, Scope
from pipelines.masks.prompts import Click, MaskPrompts
from studio.errors import UnknownTurn, WrongTurns
from studio.history.replay import (
    Replay,
    Step,
    cherry_picked,
    combined,
    edited,
    followed,
    from_original,
    merged,
    squashed,
    stale,
    swapped,
    without_track,
)
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn, TurnRequest

DOG = MaskPrompts(clicks=(Click(3.0, 4.0),), feather=2.0).to_json()
CAT = MaskPrompts(clicks=(Click(9.0, 4.0),), feather=5.0).to_json()


def ask(seed: int, scope: Scope, subject: str = "", background: str = "", **more: object) -> TurnRequest:
    """A request whose mask is of the dog, made on the picture it was asked on."""
    plain = TurnRequest(
        model="toybox",
        weights="w",
        method="layered",
        params={"steps": seed},
        quality=Quality.DRAFT,
        subject=subject,
        background=background,
        scope=scope,
        seed=seed,
        mask=f"m{seed}",
        prompts=DOG,
        feather=2.0,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def on_whole(seed: int, subject: str = "", background: str = "") -> TurnRequest:
    """A request without a mask."""
    return ask(seed, Scope.BOTH, subject, background, method="sdedit", mask=None, prompts={})


def grown(tree: Tree, *requests: TurnRequest) -> tuple[Tree, list[str]]:
    """Turns appended where one stands, and their ids."""
    ids = []
    for request in requests:
        tree = tree.append(Turn.after(tree.current, request, f"picture {request.seed}", Outcome()))
        ids.append(tree.current)
    return tree, ids


BLUE = ask(1, Scope.SUBJECT, "a blue dog")
FOREST = ask(2, Scope.BACKGROUND, background="in a forest")
RED_SNOW = ask(3, Scope.BOTH, "a red dog", "in the snow", subject_reference="s", background_reference="b")
SAND = ask(4, Scope.BACKGROUND, background="on sand")

PLANTED = Tree.planted(Turn.original("original"))
ROOT = PLANTED.current
TREE, (T1, T2, T3, T4) = grown(PLANTED, BLUE, FOREST, RED_SNOW, SAND)


# The order


def test_two_neighbours_are_swapped_from_their_common_start() -> None:
    assert swapped(TREE, T2, T3) == Replay(T1, (Step(RED_SNOW, T3), Step(FOREST, T2)))
    assert swapped(TREE, T1, T2).base == ROOT


@pytest.mark.parametrize(("first", "second"), [(T1, T3), (T2, T1), (T2, T2)])
def test_turns_that_are_no_neighbours_are_not_swapped(first: str, second: str) -> None:
    with pytest.raises(WrongTurns, match="follow one another"):
        swapped(TREE, first, second)


def test_the_message_names_the_turns_by_their_numbers() -> None:
    with pytest.raises(WrongTurns, match="and turn 3 does not come right after turn 1;"):
        swapped(TREE, T1, T3)


def test_a_plan_can_go_on_with_the_turns_that_came_after() -> None:
    replay = followed(TREE, swapped(TREE, T1, T2), T2)
    assert replay == Replay(ROOT, (Step(FOREST, T2), Step(BLUE, T1), Step(RED_SNOW, T3), Step(SAND, T4)))
    assert followed(TREE, swapped(TREE, T3, T4), T4) == swapped(TREE, T3, T4)


def test_what_comes_after_a_turn_is_that_of_the_branch_one_stands_on_or_of_the_newest() -> None:
    tree, (other,) = grown(TREE.jump(T2), ask(5, Scope.SUBJECT, "a cat"))
    assert stale(tree, T1) == (T2, other) and stale(tree, other) == ()
    assert stale(tree.jump(T4), T1) == (T2, T3, T4)
    assert stale(tree, T3) == (T4,), "only one branch leads there"
    away, _ = grown(tree.jump(ROOT), ask(6, Scope.SUBJECT, "a bird"))
    assert stale(away, T1) == (T2, other), "of two that lead there, the newer"
    assert stale(away, ROOT) == (away.current,)


# One turn


def test_an_edited_turn_is_followed_by_all_that_came_after() -> None:
    new = replace(FOREST, background="in a wood")
    assert edited(TREE, T2, new) == Replay(T1, (Step(new, None), Step(RED_SNOW, T3), Step(SAND, T4)))
    assert edited(TREE, T4, new) == Replay(T3, (Step(new, None),))


def test_a_turn_is_picked_onto_any_other() -> None:
    tree, (cat,) = grown(TREE.jump(ROOT), ask(5, Scope.SUBJECT, "a cat"))
    assert cherry_picked(tree, T2, cat) == Replay(cat, (Step(FOREST, T2),))
    assert cherry_picked(tree, T2, T4) == Replay(T4, (Step(FOREST, T2),))
    assert cherry_picked(tree, T2, T2) == Replay(T2, (Step(FOREST, T2),)), "once more after itself"
    with pytest.raises(WrongTurns, match="turn 2 comes right after turn 1 already"):
        cherry_picked(tree, T2, T1)


# Several turns in one


def test_one_request_alone_stays_as_it_is() -> None:
    about_kept = ask(5, Scope.SUBJECT, "a cat", "in a forest")
    for request in (BLUE, FOREST, RED_SNOW, about_kept, on_whole(6, "a dog")):
        assert merged([request]) == request


def test_merged_takes_the_last_text_of_each_part_and_the_rest_of_the_last_request() -> None:
    last = ask(
        4, Scope.BACKGROUND, background="on sand", quality=Quality.EXACT, fit_seed=11, model="other", weights="v"
    )
    assert merged([BLUE, FOREST, RED_SNOW, last]) == TurnRequest(
        model="other",
        weights="v",
        method="layered",
        params={"steps": 4},
        quality=Quality.EXACT,
        subject="a red dog",
        background="on sand",
        scope=Scope.BOTH,
        seed=4,
        mask="m1",
        prompts=BLUE.prompts,
        feather=2.0,
        subject_reference="s",
        background_reference="b",
        fit_seed=11,
    )


def test_merged_describes_the_picture_that_it_starts_from() -> None:
    described = [replace(BLUE, source="a red dog"), replace(FOREST, source="a blue dog on the beach")]
    assert merged(described).source == "a red dog"


def test_merged_keeps_out_what_was_last_said_to_be() -> None:
    assert merged([replace(BLUE, negative="snow"), replace(FOREST, negative="a hat"), SAND]).negative == "a hat"
    assert merged([BLUE, FOREST]).negative == ""


def test_merged_unites_the_scopes() -> None:
    assert merged([FOREST, SAND]).scope is Scope.BACKGROUND
    assert merged([BLUE, BLUE]).scope is Scope.SUBJECT
    assert merged([BLUE, FOREST]).scope is merged([FOREST, BLUE]).scope is Scope.BOTH


def test_a_text_about_a_part_that_its_turn_kept_does_not_count() -> None:
    describing = ask(5, Scope.SUBJECT, "a green dog", "in a city")
    assert merged([FOREST, describing]).background == "in a forest"
    assert merged([FOREST, ask(5, Scope.BACKGROUND, "a cat", "on sand")]).subject == "a cat", "nobody changes it"
    empty = ask(6, Scope.BOTH, "  ", "on sand")
    assert merged([BLUE, empty]).subject == "a blue dog", "nor does one that is blank"


def test_a_reference_without_a_text_replaces_earlier_texts_and_a_later_text_speaks_of_it() -> None:
    photo = ask(5, Scope.BACKGROUND, background_reference="photo")
    assert (merged([FOREST, photo]).background, merged([FOREST, photo]).background_reference) == ("", "photo")
    both = merged([photo, SAND])
    assert (both.background, both.background_reference) == ("on sand", "photo")
    assert merged([photo, ask(6, Scope.BACKGROUND, background_reference="other")]).background_reference == "other"


def test_a_subject_reference_keeps_its_own_mask_or_none() -> None:
    cut = ask(5, Scope.SUBJECT, subject_reference="photo", subject_reference_mask="cut")
    uncut = ask(6, Scope.SUBJECT, subject_reference="other")
    for requests, mask in (([cut, BLUE, FOREST], "cut"), ([cut, uncut], None), ([uncut, cut], "cut")):
        assert merged(requests).subject_reference_mask == mask
    both = ask(7, Scope.BOTH, "", "in a forest", subject_reference="photo", subject_reference_mask="cut")
    tree, (turn,) = grown(PLANTED, both)
    (left,) = without_track(tree, turn, Scope.SUBJECT).steps
    assert (left.request.subject_reference, left.request.subject_reference_mask) == (None, None)


def test_the_mask_is_the_first_one_of_the_subject_that_was_taken() -> None:
    white = ask(5, Scope.SUBJECT, "a white cat", mask="cat 5", prompts=CAT, feather=5.0)
    night = ask(6, Scope.BACKGROUND, background="by night")
    later = ask(7, Scope.SUBJECT, "a grey cat", mask="cat 7", prompts=CAT, feather=5.0)
    asked = merged([BLUE, white, night, later])
    assert (asked.subject, asked.mask, asked.prompts, asked.feather) == ("a grey cat", "cat 5", white.prompts, 5.0)
    ended = merged([BLUE, white, night])
    assert (ended.mask, ended.feather, ended.seed) == ("cat 5", 5.0, 6), "the feather belongs to the mask"
    assert merged([FOREST, white, BLUE]).mask == "m2", "the same clicks on the first picture"
    assert merged([replace(FOREST, prompts=CAT, mask="cat 2"), SAND]).mask == "m4", "no subject: the last mask"


def test_turns_on_the_whole_picture_borrow_a_mask_only_where_there_is_one() -> None:
    assert merged([on_whole(1, "a dog"), on_whole(2, "a cat")]).mask is None
    asked = merged([on_whole(1, "a cat"), FOREST])
    assert (asked.mask, asked.method, asked.subject, asked.scope) == ("m2", "layered", "a cat", Scope.BOTH)


def test_a_run_of_turns_becomes_one_from_before_the_first() -> None:
    assert squashed(TREE, T2, T4) == Replay(T1, (Step(merged([FOREST, RED_SNOW, SAND]), T2),))
    white = ask(5, Scope.SUBJECT, "a white cat", mask="cat", prompts=CAT)
    tree, (cat,) = grown(TREE, white)
    assert squashed(tree, T3, cat).steps[0].source == cat, "its mask was made on the picture before that turn"


def test_turns_that_make_no_run_are_not_squashed() -> None:
    tree, (cat,) = grown(TREE.jump(T1), ask(5, Scope.SUBJECT, "a cat"))
    for first, last in ((T2, cat), (T3, T2)):
        with pytest.raises(WrongTurns, match="on one line"):
            squashed(tree, first, last)
    with pytest.raises(WrongTurns, match="turn 2 alone is one turn already"):
        squashed(tree, T2, T2)


def test_a_line_is_done_again_from_the_original() -> None:
    assert from_original(TREE, T3) == squashed(TREE, T1, T3)
    assert from_original(TREE, T3).base == ROOT
    for id, name in ((ROOT, "the original"), (T1, "turn 1")):
        with pytest.raises(WrongTurns, match=f"^{name} has not been painted over"):
            from_original(TREE, id)


# One part of the picture


def test_the_background_is_taken_back_and_the_subject_stays() -> None:
    only_red = replace(RED_SNOW, scope=Scope.SUBJECT, background="", background_reference=None)
    assert without_track(TREE, T4, Scope.BACKGROUND) == Replay(T1, (Step(only_red, T3),))


def test_the_subject_is_taken_back_and_the_background_stays() -> None:
    only_snow = replace(RED_SNOW, scope=Scope.BACKGROUND, subject="", subject_reference=None)
    replay = Replay(ROOT, (Step(FOREST, T2), Step(only_snow, T3), Step(SAND, T4)))
    assert without_track(TREE, T4, Scope.SUBJECT) == replay


def test_a_turn_on_the_whole_picture_takes_back_only_what_it_said() -> None:
    tree, (both, subject) = grown(PLANTED, on_whole(1, "a cat", "in the snow"), on_whole(2, "a dog"))
    snow = replace(on_whole(1, "a cat", "in the snow"), subject="")
    assert without_track(tree, subject, Scope.SUBJECT) == Replay(ROOT, (Step(snow, both),))
    cat = replace(on_whole(1, "a cat", "in the snow"), background="")
    both_of = (Step(cat, both), Step(on_whole(2, "a dog"), subject))
    assert without_track(tree, subject, Scope.BACKGROUND) == Replay(ROOT, both_of)


def test_nothing_to_take_back_and_nothing_left() -> None:
    with pytest.raises(WrongTurns, match="no turn up to turn 1 changed the background"):
        without_track(TREE, T1, Scope.BACKGROUND)
    with pytest.raises(WrongTurns, match="no turn up to the original changed the subject"):
        without_track(TREE, ROOT, Scope.SUBJECT)
    with pytest.raises(WrongTurns, match="all that is left is turn 1; go there"):
        without_track(TREE, T2, Scope.BACKGROUND)
    with pytest.raises(WrongTurns, match="all that is left is the original; go there"):
        without_track(TREE, T1, Scope.SUBJECT)
    with pytest.raises(WrongTurns, match="one part can be taken back at a time"):
        without_track(TREE, T1, Scope.BOTH)


def test_subject_and_background_of_two_lines_are_combined_where_they_parted() -> None:
    green = ask(5, Scope.SUBJECT, "a green dog")
    tree, (g, c) = grown(TREE.jump(T1), green, ask(6, Scope.BOTH, "a cat", "in a city"))
    city = ask(6, Scope.BACKGROUND, "", "in a city")
    red = replace(RED_SNOW, scope=Scope.SUBJECT, background="", background_reference=None)
    assert combined(tree, T3, c) == Replay(T1, (Step(merged([city, red]), c),))
    asked = merged([city, red])
    assert (asked.subject, asked.background, asked.scope, asked.seed) == ("a red dog", "in a city", Scope.BOTH, 3)
    assert combined(tree, g, T2) == Replay(T1, (Step(merged([FOREST, green]), T2),))
    assert combined(tree, g, T2).steps[0].request.mask == "m2", "both masks have the same clicks; this one is first"


def test_the_background_of_an_earlier_turn_of_the_same_line() -> None:
    """Turn 2's background with turn 4's subject: what came after turn 2, without the backgrounds."""
    red = replace(RED_SNOW, scope=Scope.SUBJECT, background="", background_reference=None)
    assert combined(TREE, T4, T2) == Replay(T2, (Step(red, T3),))
    assert combined(TREE, T1, T2) == Replay(T1, (Step(FOREST, T2),)), "turn 2 itself"


def test_nothing_to_combine() -> None:
    with pytest.raises(WrongTurns, match="since turn 1 neither"):
        combined(TREE, T2, T1)
    with pytest.raises(WrongTurns, match="since turn 3 neither"):
        combined(TREE, T3, T3)


# Refusals that all share

ACTS: dict[str, Callable[[Tree, str], object]] = {
    "swap first": lambda tree, id: swapped(tree, id, T2),
    "swap second": lambda tree, id: swapped(tree, T1, id),
    "edit": lambda tree, id: edited(tree, id, BLUE),
    "pick": lambda tree, id: cherry_picked(tree, id, T1),
    "squash": lambda tree, id: squashed(tree, id, T2),
}
MORE: dict[str, Callable[[Tree, str], object]] = {
    "stale": stale,
    "pick onto": lambda tree, id: cherry_picked(tree, T1, id),
    "squash to": lambda tree, id: squashed(tree, T1, id),
    "revert": lambda tree, id: without_track(tree, id, Scope.SUBJECT),
    "subject of": lambda tree, id: combined(tree, id, T2),
    "background of": lambda tree, id: combined(tree, T2, id),
    "redo": from_original,
}


@pytest.mark.parametrize("act", [*ACTS, *MORE])
def test_unknown_and_trashed_turns_are_refused(act: str) -> None:
    tree, (last,) = grown(TREE, ask(5, Scope.SUBJECT, "a cat"))
    for id, seen in (("elsewhere", tree), (last, tree.trash(last))):
        with pytest.raises(UnknownTurn):
            {**ACTS, **MORE}[act](seen, id)


@pytest.mark.parametrize("act", ACTS)
def test_the_original_is_no_edit(act: str) -> None:
    with pytest.raises(WrongTurns, match="the original was made by no turn"):
        ACTS[act](TREE, ROOT)
