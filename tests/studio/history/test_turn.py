from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from pipelines.catalog import CATALOG
from pipelines.contract import EditRequest, Kind, LoraUse, Quality, Scope, StageReport, about
from pipelines.masks.prompts import Click, MaskPrompts
from studio.history.turn import Outcome, StoredRequest, Turn, TurnRequest, canonical_json, tagged_hash
from studio.session.view import Draft
from studio.store.archive.schema import StoredDraft
from studio.verbs.session import TurnAsk

REQUEST = TurnRequest(
    model="toybox",
    weights="abc",
    method="layered",
    params={"steps": 50, "tuned": "lora", "guidance": 7.5},
    quality=Quality.STANDARD,
    subject="a blue dog",
    background="",
    scope=Scope.SUBJECT,
    seed=7,
    mask="0" * 64,
    prompts=MaskPrompts(clicks=(Click(3.0, 4.0),)).to_json(),
    feather=2.0,
)


def test_the_id_is_pinned_so_that_stored_turns_keep_theirs() -> None:
    original = Turn.original("1" * 64)
    assert original.id == tagged_hash("turn", {"parent": None, "request": None, "picture": "1" * 64})
    assert original.id == "10ced01eb1761dbbaf75514cc9b9706bc696ba9534995a5d0fb0007fd51c0137"
    assert (
        Turn.after(original.id, REQUEST, "2" * 64, Outcome()).id
        == "4991836a0b4e456454ee51bf2a849c0eaeb766a4dbdb3ca8c5efd66aca06f961"
    )


def test_the_id_covers_parent_request_and_picture_and_nothing_else() -> None:
    turn = Turn.after("a", REQUEST, "p", Outcome())
    assert Turn.after("a", REQUEST, "p", Outcome(seconds=9.0), created_at=5.0).id == turn.id
    others = [
        Turn.after("b", REQUEST, "p", Outcome()),
        Turn.after("a", REQUEST, "q", Outcome()),
        *(Turn.after("a", replace(REQUEST, **{name: value}), "p", Outcome()) for name, value in CHANGES.items()),
    ]
    assert len({turn.id, *(other.id for other in others)}) == len(others) + 1


CHANGES = {
    "model": "other",
    "weights": "other",
    "method": "sdedit",
    "params": {"steps": 51},
    "quality": Quality.DRAFT,
    "subject": "a blue cat",
    "background": "in a forest",
    "scope": Scope.BOTH,
    "seed": 8,
    "mask": None,
    "prompts": {},
    "feather": 3.0,
    "background_reference": "b",
    "subject_reference": "s",
    "subject_reference_mask": "m",
    "fit_seed": 9,
    "loras": (LoraUse("pencil", "b" * 64, 0.5),),
    "warm": "w",
    "negative": "snow",
    "source": "a cat",
}


def test_every_field_of_a_request_is_covered() -> None:
    assert set(CHANGES) == set(TurnRequest.__dataclass_fields__)


def test_values_read_back_as_they_were() -> None:
    outcome = Outcome(
        seconds=1.5, stages=(StageReport("guidance", 1.5, 50),), outside_kept=9, fitted="f" * 64, drift={"clip": 1}
    )
    assert TurnRequest.from_json(json.loads(canonical_json(REQUEST.to_json()))) == REQUEST
    assert Outcome.from_json(json.loads(canonical_json(outcome.to_json()))) == outcome


def test_what_is_not_there_is_not_in_the_text_and_loras_read_back() -> None:
    assert {"fit_seed", "loras", "subject_reference_mask", "warm", "negative", "source"} & set(
        REQUEST.to_json()
    ) == set()
    drawn = replace(REQUEST, loras=(LoraUse("pencil", "b" * 64, 0.5), LoraUse("ink", "c" * 64)), warm="d" * 64)
    text = canonical_json(drawn.to_json())
    assert f'"loras":[{{"name":"pencil","scale":0.5,"sha256":"{"b" * 64}"}}' in text
    assert TurnRequest.from_json(json.loads(text)) == drawn


def test_only_settings_that_say_so_ask_for_a_warm_start() -> None:
    """Turns from before there was one have no such setting."""
    assert not REQUEST.begins_warm
    assert replace(REQUEST, params={"warm_start": True}).begins_warm
    assert not replace(REQUEST, params={"warm_start": False}).begins_warm


def test_an_outcome_from_before_drift_was_measured_reads_back() -> None:
    data = Outcome(seconds=1.5).to_json()
    del data["drift"]
    assert Outcome.from_json(data) == Outcome(seconds=1.5)


def test_the_key_of_a_computation_leaves_the_picture_out() -> None:
    assert REQUEST.key("a") == replace(REQUEST).key("a")
    assert len({REQUEST.key("a"), REQUEST.key("b"), replace(REQUEST, seed=8).key("a")}) == 3


def test_numbers_that_are_not_finite_have_no_text() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"guidance": float("nan")})


def test_every_carrier_says_the_same_of_what_is_asked_for() -> None:
    told = dict(about(EditRequest))
    assert all(dict(about(carrier)) == told for carrier in (StoredRequest, TurnRequest, StoredDraft, Draft))
    assert {name: said.kind for name, said in told.items()} == {
        "subject": Kind.TEXT,
        "background": Kind.TEXT,
        "negative": Kind.TEXT,
        "source": Kind.TEXT,
        "background_reference": Kind.PICTURE,
        "subject_reference": Kind.PICTURE,
        "subject_reference_mask": Kind.MASK,
    }
    texts = {name for name, _ in about(StoredRequest, Kind.TEXT)}
    assert texts <= {f.name for f in fields(TurnAsk)}, "a program can ask for what a person can"


def test_what_came_later_and_says_nothing_is_not_written() -> None:
    later = {"negative", "source", "subject_reference_mask", "fit_seed", "loras", "warm"}
    assert {f.name for f in fields(TurnRequest)} - set(REQUEST.to_json()) == later
    full = replace(REQUEST, **{name: CHANGES[name] for name in later})
    assert set(full.to_json()) == {f.name for f in fields(TurnRequest)}
    assert TurnRequest.from_json(json.loads(canonical_json(full.to_json()))) == full


def test_a_method_goes_by_what_its_entry_says() -> None:
    layered, recolour, diffedit = (CATALOG[name] for name in ("layered", "recolour", "diffedit"))
    heard = {m.name: {name for name, _ in about(EditRequest) if m.hears(name)} for m in (layered, recolour, diffedit)}
    parts = {"subject", "background", "background_reference", "subject_reference", "subject_reference_mask"}
    texts = {"subject", "background", "negative", "source"}
    assert heard == {"layered": parts | {"negative"}, "recolour": set(), "diffedit": texts}
    assert [m.name for m in CATALOG.values() if not m.goes_by_mask] == [
        "compose",
        "straighten",
        "crop",
        "extend",
        "resize",
    ]
