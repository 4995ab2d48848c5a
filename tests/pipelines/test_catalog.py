"""The presets of a method: published values, and those that a model brings for itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.catalog import CATALOG, PRESETS, alike, measured_on, presets_of, recorded, settings, stored_preset
from pipelines.contract import Quality
from pipelines.engine import ASSETS
from pipelines.errors import BadParameter
from pipelines.models.folders import ModelCard, find_model
from pipelines.params import Edge, ModelParams, SDEditParams, When, Window

TOYBOX = find_model("toybox", (ASSETS / "models",))


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    """A model that brings presets of one method."""
    (tmp_path / "presets").mkdir()
    table = {"measured_on": "forty photographs", **{quality: {"steps": 7} for quality in Quality}}
    (tmp_path / "presets" / "sdedit.json").write_text(json.dumps(table))
    return replace(TOYBOX, id="mine", path=tmp_path)


def test_a_model_brings_its_own_presets_for_the_methods_that_it_names(card: ModelCard) -> None:
    assert stored_preset("sdedit", Quality.DRAFT, card) == {"steps": 7}
    chosen = settings("sdedit", Quality.DRAFT, {"guidance": 2.0}, card)
    assert isinstance(chosen, SDEditParams)
    assert (chosen.steps, chosen.guidance) == (7, 2.0)
    assert measured_on("sdedit", card) == "forty photographs"
    assert presets_of("inpaint", card) == PRESETS / "inpaint.json" == presets_of("inpaint")
    assert stored_preset("inpaint", Quality.DRAFT, card) == stored_preset("inpaint", Quality.DRAFT)


def test_a_consistency_model_takes_few_steps_without_guidance_unless_it_says_otherwise(card: ModelCard) -> None:
    few = replace(card, consistent=True)
    usual, chosen = stored_preset("inpaint", Quality.STANDARD), stored_preset("inpaint", Quality.STANDARD, few)
    assert chosen == {**usual, "steps": 8, "guidance": 1.0} and usual["steps"] > 8
    assert stored_preset("sdedit", Quality.DRAFT, few) == {"steps": 7}
    assert stored_preset("recolour", Quality.DRAFT, few) == stored_preset("recolour", Quality.DRAFT)
    assert not TOYBOX.consistent and find_model("toybox-few-steps", (ASSETS / "models",)).consistent


def test_a_models_presets_that_cannot_be_name_their_folder(card: ModelCard) -> None:
    (card.path / "presets" / "sdedit.json").write_text(json.dumps({"draft": {"stepz": 7}}))
    with pytest.raises(BadParameter, match=f"stepz.*Put sdedit.json as it was published into {card.path / 'presets'}"):
        settings("sdedit", Quality.DRAFT, card=card)
    assert measured_on("sdedit", card) == ""


@pytest.mark.parametrize("name", CATALOG)
@pytest.mark.parametrize("card", [None, TOYBOX], ids=["published", "embedded"])
def test_every_preset_says_what_it_was_measured_on_and_holds(name: str, card: ModelCard | None) -> None:
    assert measured_on(name, card)
    for quality in Quality:
        settings(name, quality, card=card)


BY_MODEL = [name for name, entry in CATALOG.items() if issubclass(entry.params, ModelParams)]


@pytest.mark.parametrize("name", BY_MODEL)
def test_a_turn_from_before_windows_is_of_the_whole_picture_and_a_new_one_has_what_is_usual(name: str) -> None:
    before = recorded(name, {})
    assert isinstance(before, ModelParams)
    assert (before.window, before.edge) == (Window.WHOLE, Edge.SOFT)
    assert (before.match_colour, before.grain) == (When.NEVER, When.NEVER)
    for card in (None, TOYBOX):
        for quality in Quality:
            now = settings(name, quality, card=card)
            assert isinstance(now, ModelParams)
            assert (now.window, now.match_colour, now.grain) == (Window.AUTO, When.WINDOW, When.WINDOW)


def test_published_guidance_is_that_of_papers_and_diffusers() -> None:
    """7.5 wherever a picture is drawn from noise or over itself (Rombach et al. 2022; the pipelines of diffusers)."""
    for name in ("layered", "sdedit", "inpaint", "imagic", "prompt-to-prompt", "plug-and-play", "masactrl", "diffedit"):
        assert {stored_preset(name, quality)["guidance"] for quality in Quality} == {7.5}, name


def test_methods_to_try_are_those_for_the_same_words_the_best_on_the_model_first() -> None:
    names = [method.name for method in alike(CATALOG["layered"], TOYBOX)]
    assert names[:3] == ["layered", *[name for name in TOYBOX.domain.methods if name != "layered"][:2]]
    assert len(names) == len(set(names)) and "instruct" not in names and "recolour" not in names
    assert set(TOYBOX.domain.methods) <= set(CATALOG)
    plain = [method.group for method in alike(CATALOG["layered"], None)]
    assert plain == sorted(plain, key=lambda group: group is not CATALOG["layered"].group), "its own purpose first"
    assert alike(CATALOG["recolour"], TOYBOX) == [CATALOG["recolour"]]
