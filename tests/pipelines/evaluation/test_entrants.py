"""Each ablation takes away what the paper's table says, and who cannot take part is told why."""

from dataclasses import asdict, replace

import pytest

from pipelines.catalog import CATALOG
from pipelines.contract import Backbone, Quality
from pipelines.errors import BadParameter, ModelError, UnknownMethod
from pipelines.evaluation.entrants import ABLATIONS, _Both, ablation_names, entrant, left_out, named
from pipelines.layered.plan import LayeredPlan, plan_of
from pipelines.models.folders import find_model, find_models
from pipelines.params import LayeredParams, Tuned
from pipelines.toybox.measure import MODELS

CARDS = find_models((MODELS,))
CARD = find_model("toybox", (MODELS,))


def params(letter: str, quality: Quality = Quality.EXACT) -> LayeredParams:
    found = entrant(f"layered:{letter}").params(quality, CARD)
    assert isinstance(found, LayeredParams)
    return found


def plan(letter: str) -> LayeredPlan:
    return plan_of(_Both(), params(letter))


@pytest.mark.parametrize("quality", [Quality.STANDARD, Quality.EXACT])
@pytest.mark.parametrize("letter", ABLATIONS)
def test_an_ablation_is_the_whole_method_but_for_its_changes(letter: str, quality: Quality) -> None:
    whole, without = asdict(params("f", quality)), asdict(params(letter, quality))
    assert without == {**whole, **ABLATIONS[letter].changes}
    assert (without == whole) == (letter == "f")


def test_exact_is_the_papers_own() -> None:
    f = params("f")
    assert (f.embed_steps, f.tune_steps, f.steps, f.subject_weight, f.tuned) == (500, 250, 50, 0.7, Tuned.UNET)
    assert (f.object_loss, f.small_object_loss, f.background_loss) == (2, 3, 1)


def test_each_module_is_gone_where_it_is_ablated_and_there_elsewhere() -> None:
    assert [x for x in ABLATIONS if not plan(x).fits_object and not plan(x).fits_background] == ["g"]
    assert [x for x in ABLATIONS if not plan(x).tunes] == ["h"]
    assert [x for x in ABLATIONS if not plan(x).alternates] == ["i"]
    assert {x: plan(x).alpha for x in ABLATIONS if plan(x).alpha != 0.7} == {"j": 1, "k": 0}
    assert [x for x in ABLATIONS if params(x).object_loss == params(x).small_object_loss == 0] == ["a"]
    assert [x for x in ABLATIONS if params(x).background_loss == 0] == ["b"]


def test_what_is_not_there_cannot_be_taken_away() -> None:
    with pytest.raises(BadParameter, match="layered:a changes object_loss, which has no say at draft: no weight is tu"):
        entrant("layered:a").params(Quality.DRAFT, CARD)
    assert entrant("layered:g").params(Quality.DRAFT, CARD) != entrant("layered").params(Quality.DRAFT, CARD)


def test_all_is_every_method_that_runs_here_and_the_others_say_why_not() -> None:
    without = left_out(CARD, CARDS.values())
    everyone = named(["all"], without)
    assert set(everyone) | set(without) == set(CATALOG) and not set(everyone) & set(without)
    assert "instruct" in without and "does not run on 'toybox'" in without["instruct"]
    assert {CATALOG[name].needs_model for name in everyone} == {True}
    assert all(Backbone.PLAIN in CATALOG[name].serves for name in everyone)
    assert "by hand" in without["recolour"] and "by a LoRA" in without["refine"]


def test_what_learns_from_an_example_takes_no_part_on_a_model_that_it_runs_on() -> None:
    follows = replace(CARD, id="instructed", backbone=Backbone.INSTRUCT)
    without = left_out(follows, [*CARDS.values(), follows])
    assert "a picture before and one after" in without["visii"] and "zone" in named(["all"], without)


def test_names_are_spelled_out_once_and_checked() -> None:
    without = left_out(CARD, CARDS.values())
    assert named(["layered:b", "sdedit", "sdedit", "ablations"], without) == [
        "layered:b",
        "sdedit",
        *(name for name in ablation_names() if name != "layered:b"),
    ]
    with pytest.raises(UnknownMethod, match="layered:z"):
        named(["layered:z"], without)
    with pytest.raises(UnknownMethod, match="paint"):
        named(["paint"], without)
    with pytest.raises(ModelError, match="instruct cannot take part"):
        named(["instruct"], without)
