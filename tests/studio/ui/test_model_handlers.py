"""The models dialog and the LoRA list, without a browser."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from studio.app import Studio, build_studio
from studio.settings import Gallery, Settings
from studio.ui import model_handlers
from studio.ui.handlers import PLAIN_FIELDS, Handlers, Seat
from tests.pipelines.models.loras import write
from tests.studio.conftest import StandInEngine
from tests.studio.ui.test_handlers import panel

LORA = {"lora_unet_x.lora_down.weight": torch.zeros(1, 2), "lora_unet_x.lora_up.weight": torch.zeros(2, 1)}


def test_the_dialog_shows_what_there_is_and_what_failed(studio: Studio) -> None:
    handlers = Handlers(studio)
    payload, choices = model_handlers.shown(handlers, None)
    assert [model["id"] for model in payload["models"]["models"]] == ["toybox", "toybox-segmenter"]
    assert choices["choices"] == [("Toybox", "toybox")]
    payload, _ = model_handlers.shown(handlers, None, lambda: studio.registry.remove("toybox"))
    assert "neither pulled nor added" in payload["notice"]["text"] and payload["models"]


def test_a_model_that_is_gone_stays_a_choice_where_it_is_chosen(
    studio: Studio, upload: bytes, model_folder: Path
) -> None:
    """And running says that it is gone."""
    other = shutil.copytree(model_folder / "toybox", studio.settings.own_models / "mine")
    handlers, seat = Handlers(studio), Seat(studio.sessions.create(upload, "x.png").sid, "tab")
    handlers.remodelled(seat, "mine")
    payload, choices = model_handlers.shown(handlers, seat, lambda: studio.registry.remove("mine"))
    assert not other.exists() and "mine" not in [model["id"] for model in payload["models"]["models"]]
    assert ("mine", "mine") in choices["choices"]
    _, fields = handlers.restored(Seat(seat.sid, "another"), lambda session: None)
    assert ("mine", "mine") in fields[1 + PLAIN_FIELDS.index("model")]["choices"]
    assert ("mine", "mine") not in handlers.models()


def test_a_lora_that_is_gone_stays_in_the_turn_that_names_it(studio: Studio, upload: bytes) -> None:
    """Running says that it is gone, and the page can take it out."""
    lora = write(studio.settings.own_models / "loras" / "pencil.safetensors", LORA)
    handlers, seat = Handlers(studio), Seat(studio.sessions.create(upload, "x.png").sid, "tab")
    model_handlers.put_loras(handlers, seat, {"loras": {"pencil": 0.5}})
    payload, _ = model_handlers.shown(handlers, seat, lambda: studio.registry.remove("pencil", lora=True))
    assert not lora.exists() and "notice" not in payload
    assert payload["models"]["loras"] == () and "lora" not in [row["kind"] for row in payload["models"]["models"]]
    shown = handlers.run(seat, *panel(method="sdedit"))
    assert "there is no LoRA called 'pencil'" in shown["notice"]["text"]
    assert shown["view"]["draft"]["loras"] == {"pencil": 0.5} and shown["view"]["job"] is None
    assert model_handlers.put_loras(handlers, seat, {"loras": {}})["view"]["draft"]["loras"] == {}
    assert "notice" not in handlers.run(seat, *panel(method="sdedit"))


def test_a_shared_studio_shows_strangers_nothing(settings: Settings, engine: StandInEngine) -> None:
    studio = build_studio(replace(settings, gallery=Gallery.OWN), engine)
    try:
        payload, _ = model_handlers.shown(Handlers(studio), None, lambda: studio.registry.remove("toybox"))
        assert "models" not in payload and "studio's own machine" in payload["notice"]["text"]
        assert Handlers(studio).about()["manages_models"] is False
    finally:
        studio.close()


@pytest.mark.parametrize("sent", [{"loras": {"pencil": 0.5}}, {"loras": {}}, {}, {"loras": "all"}])
def test_loras_of_the_draft(studio: Studio, upload: bytes, model_folder: Path, sent: dict[str, object]) -> None:
    write(model_folder / "loras" / "pencil.safetensors", LORA)
    handlers = Handlers(studio)
    assert handlers.about()["loras"] == ("pencil",)
    seat = Seat(studio.sessions.create(upload, "x.png").sid, "tab")
    payload = model_handlers.put_loras(handlers, seat, sent)
    wanted = sent.get("loras") if isinstance(sent.get("loras"), dict) else {}
    assert payload["view"]["draft"]["loras"] == wanted


def test_a_scale_that_is_no_number_is_refused(studio: Studio, upload: bytes) -> None:
    seat = Seat(studio.sessions.create(upload, "x.png").sid, "tab")
    payload = model_handlers.put_loras(Handlers(studio), seat, {"loras": {"pencil": "<b>"}})
    assert "a number for its scale" in payload["notice"]["text"]
    assert payload["view"]["draft"]["loras"] == {}
