"""The benchmark's cases: held out, repeatable, and true to what their texts say."""

from dataclasses import asdict

import pytest

from pipelines.contract import Scope
from pipelines.evaluation.cases import Case, held_out_cases, make_case, values_of
from pipelines.masks.refine import deepest_point
from pipelines.toybox.render import render
from pipelines.toybox.words import read

CASES = held_out_cases(60)


def test_sixty_cases_are_twenty_of_each_scope_with_names_of_their_own() -> None:
    assert {scope: sum(case.scope is scope for case in CASES) for scope in Scope} == dict.fromkeys(Scope, 20)
    assert len({case.name for case in CASES}) == 60


def test_fewer_cases_are_the_first_of_more() -> None:
    assert held_out_cases(7) == CASES[:7]


def test_a_case_is_always_the_same() -> None:
    assert make_case(Scope.BOTH, 4) == make_case(Scope.BOTH, 4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_texts_say_what_is_asked_and_nothing_else(case: Case) -> None:
    subject, background = read(case.subject), read(case.background)
    said = {
        name: value for name in ("subject", "colour", "size", "action") if (value := getattr(subject, name)) is not None
    }
    if case.background:
        said["background"] = background.background or ""
    assert said == case.asked
    assert bool(case.subject) == (case.scope is not Scope.BACKGROUND)
    assert bool(case.background) == (case.scope is not Scope.SUBJECT)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_orders_say_the_same(case: Case) -> None:
    subject, background = case.texts(instructs=True)
    assert (bool(subject), bool(background)) == (bool(case.subject), bool(case.background))
    said = asdict(read(f"{subject.rpartition('into')[2]} {background}"))
    named = {name for name in case.asked if name != "subject" or case.source.subject.kind != case.asked["subject"]}
    assert {name: said[name] for name in named} == {name: case.asked[name] for name in named}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_target_has_what_is_asked_and_keeps_the_rest(case: Case) -> None:
    before, after = values_of(case.source), values_of(case.target)
    assert after == {**before, **case.asked}
    assert after != before
    assert case.kept.items() <= before.items()
    assert not case.kept.keys() & case.asked.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_click_lies_inside_the_subject(case: Case) -> None:
    assert render(case.source).mask[int(case.click.y), int(case.click.x)]


def test_an_empty_mask_cannot_be_clicked() -> None:
    mask = render(CASES[0].source).mask
    with pytest.raises(ValueError, match="empty mask"):
        deepest_point(mask & ~mask)
