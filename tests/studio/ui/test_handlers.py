"""What the buttons do, without a browser: session id and plain values in, a message for the page out."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from pipelines.catalog import CATALOG, Group
from pipelines.contract import Quality
from pipelines.params import knobs
from studio.app import Studio
from studio.session.view import FRESH
from studio.ui import text
from studio.ui.forms import changes_of, values_of
from studio.ui.handlers import PLAIN_FIELDS, Handlers, Seat, presets_named


@pytest.fixture
def handlers(studio: Studio) -> Handlers:
    return Handlers(studio)


@pytest.fixture
def seat(studio: Studio, upload: bytes) -> Seat:
    return Seat(studio.sessions.create(upload, "stripes.png").sid, "tab")


def asking(**query: str) -> Any:
    """A page's request, of which only the address is read."""
    return SimpleNamespace(query_params=query, session_hash="hash", headers={})


def panel(**changes: Any) -> list[Any]:
    """The turn panel's values as the page passes them."""
    shown = replace(FRESH, quality=Quality.DRAFT, subject="a blue dog")
    filled = presets_named(shown.quality, shown.model)
    draft = {name: getattr(shown, name, None) for name in PLAIN_FIELDS} | {"filled": filled}
    settings = [value for name in CATALOG for value in values_of(name, Quality.DRAFT, {})]
    return [*(draft | changes).values(), *settings]


def click(count: int, *points: tuple[float, float]) -> dict[str, Any]:
    return {"count": count, "prompts": {"clicks": [{"x": x, "y": y, "include": True} for x, y in points]}}


def test_a_page_without_a_session_gets_the_examples(handlers: Handlers) -> None:
    shown, payload, fields = handlers.boot(None, asking())
    assert shown.sid is None and payload["view"] is None and "notice" not in payload
    assert {e["id"] for e in payload["about"]["examples"]} >= {"duck-on-the-beach"}
    assert len(fields) == len(handlers.kept_fields())


def test_the_address_wins_over_what_the_browser_remembers(handlers: Handlers, seat: Seat, upload: bytes) -> None:
    other = handlers.studio.sessions.create(upload, "other").sid
    shown, payload, _ = handlers.boot({"sid": other}, asking(session=seat.sid))
    assert shown.sid == seat.sid and payload["view"]["name"] == "stripes.png"
    assert handlers.boot({"sid": other}, asking())[0].sid == other


def test_a_session_that_is_gone_is_told_and_leaves_the_start_page(handlers: Handlers) -> None:
    shown, payload, _ = handlers.boot({"sid": "0" * 32}, asking())
    assert shown.sid is None and payload["view"] is None
    assert "start with a picture" in payload["notice"]["text"]


def test_marks_are_answered_with_the_mask_and_their_count(handlers: Handlers, seat: Seat) -> None:
    payload = handlers.mark(seat, click(3, (20, 10)))
    assert payload["echo"] == 3 and "notice" not in payload
    assert payload["view"]["mask"]["mask"] and len(payload["view"]["mask"]["choices"]) == 2


def test_a_phrase_that_names_nothing_is_kept_and_said(handlers: Handlers, seat: Seat) -> None:
    payload = handlers.mark(seat, {"count": 1, "prompts": {"phrase": "the  dog"}})
    assert payload["notice"]["text"].startswith("Nothing was found for “the dog”.")
    assert payload["view"]["draft"]["prompts"]["phrase"] == "the dog" and not payload["view"]["mask"]["area"]
    assert handlers.about()["phrases"] is False, "the field is not shown: no model here reads phrases"


def test_a_new_session_snaps_edges_where_the_segmenter_sees_little(handlers: Handlers, upload: bytes) -> None:
    (folder,) = handlers.studio.settings.model_folders
    for side, snaps in ((256, True), (1024, False)):
        config = {"_class_name": "Sam", "image_size": side}
        (folder / "toybox-segmenter" / "config.json").write_text(json.dumps(config))
        seat = Seat(handlers.studio.sessions.create(upload, "stripes.png").sid, "tab")
        assert handlers.answered(seat, lambda session: None)["view"]["draft"]["prompts"]["snap"] is snaps


def test_bad_marks_change_nothing_and_say_why(handlers: Handlers, seat: Seat) -> None:
    handlers.mark(seat, click(1, (20, 10)))
    payload = handlers.mark(seat, click(2, (9_999, 10)))
    assert "between 0 and 48" in payload["notice"]["text"] and payload["echo"] == 2
    assert len(payload["view"]["draft"]["prompts"]["clicks"]) == 1


def test_a_turn_from_run_to_the_next_turn(handlers: Handlers, seat: Seat) -> None:
    handlers.mark(seat, click(1, (20, 10)))
    started = handlers.run(seat, *panel(candidates=2, seed=11))
    assert "notice" not in started and started["view"]["job"]["state"] in ("queued", "running")

    async def followed() -> list[dict[str, Any]]:
        return [payload async for payload in handlers.follow(seat)]

    last = asyncio.run(followed())[-1] if started else {}
    view = last.get("view") or handlers.answered(seat, lambda session: None)["view"]
    assert [c["seed"] for c in view["staged"]] == [11, 12]

    payload, fields = handlers.keep(seat, 1)
    assert [t["number"] for t in payload["view"]["turns"]] == [1] and payload["settling"], "only what is new is sent"
    assert fields[0] == payload["view"]["rev"]
    assert fields[1 + PLAIN_FIELDS.index("subject")] == ""
    settled = asyncio.run(handlers.settled(seat, fields[0]))
    assert settled["view"]["rev"] >= fields[0]

    payload, _ = handlers.undo(seat)
    original, *_ = handlers.studio.sessions.get(seat.sid or "").view().turns
    assert original.id == payload["view"]["current"] and payload["settling"]


def test_going_to_another_turn_leaves_alone_what_is_being_typed(handlers: Handlers, seat: Seat) -> None:
    handlers.drafted(seat, *panel(subject="a red"))
    here = handlers.studio.sessions.get(seat.sid or "").view().current
    payload, fields = handlers.moved(seat, lambda session: session.jump(here))
    assert payload["view"]["draft"]["subject"] == "a red"
    assert fields[1 : 1 + PLAIN_FIELDS.index("quality")] == [gr.skip()] * PLAIN_FIELDS.index("quality")
    assert "value" not in fields[1 + PLAIN_FIELDS.index("quality")]


def test_a_refused_run_starts_nothing(handlers: Handlers, seat: Seat) -> None:
    payload = handlers.run(seat, *panel())
    assert "click the subject" in payload["notice"]["text"] and payload["view"]["job"] is None


def test_a_run_with_a_setting_out_of_range_says_so_in_the_panels_words(handlers: Handlers, seat: Seat) -> None:
    values = panel(method="layered")
    values[len(PLAIN_FIELDS)] = 5000  # the first setting of the first method
    payload = handlers.run(seat, *values)
    assert payload["notice"]["text"].startswith("Embedding steps must be between 0 and 2000 steps; got 5000")
    assert payload["view"]["job"] is None


def test_only_what_differs_from_the_preset_is_stored(handlers: Handlers, seat: Seat) -> None:
    values = panel(method="sdedit")
    strength = (
        len(PLAIN_FIELDS)
        + len(knobs(CATALOG["layered"].params))
        + list(knobs(CATALOG["sdedit"].params)).index("strength")
    )
    values[strength] = 0.41
    handlers.drafted(seat, *values)
    assert handlers.studio.sessions.get(seat.sid or "").view().draft.changes == {"strength": 0.41}
    payload, _ = handlers.retuned(seat, *values)
    assert payload["view"]["draft"]["changes"] == {"strength": 0.41}, "the choice was looked at and left as it was"
    values[PLAIN_FIELDS.index("quality")] = "exact"
    payload, fields = handlers.retuned(seat, *values)
    assert payload["view"]["draft"]["changes"] == {} and fields[1 + strength] != 0.41


def test_a_model_is_offered_the_methods_that_run_on_it(handlers: Handlers, seat: Seat, model_folder: Path) -> None:
    other = model_folder / "painter"
    shutil.copytree(model_folder / "toybox", other)
    (other / "unet" / "config.json").write_text(json.dumps({"in_channels": 9, "out_channels": 4}))
    at = 1 + PLAIN_FIELDS.index("method")
    payload, fields = handlers.remodelled(seat, "painter")
    assert payload["view"]["draft"]["method"] == "inpaint"
    by_hand = [(m.title, name) for name, m in CATALOG.items() if not m.needs_model]
    serving = [(CATALOG[name].title, name) for name in ("inpaint", "text2live")]
    assert by_hand and fields[at] == gr.update(choices=[*serving, *by_hand], value="inpaint")
    payload, fields = handlers.remodelled(seat, "toybox")
    assert payload["view"]["draft"]["method"] == "inpaint", "a method that runs on both stays"
    names = [name for _, name in fields[at]["choices"]]
    assert sorted(names) == sorted(CATALOG), "its configuration says nothing"
    groups = [CATALOG[name].group for name in names]
    assert groups == sorted(groups, key=list(Group).index), "those for one wish stand together"
    (model_folder / "toybox" / "unet" / "config.json").write_text(json.dumps({"in_channels": 4}))
    assert "instruct" not in [name for _, name in handlers.methods("toybox")]
    own = handlers.studio.settings.own_models
    own.mkdir(parents=True, exist_ok=True)
    other.rename(own / "pulled")
    names = [name for _, name in (*serving, *by_hand)]
    assert [name for _, name in handlers.methods("pulled")] == names, "one's own folder counts too"


def test_the_two_texts_are_called_what_the_method_takes(handlers: Handlers, seat: Seat) -> None:
    """Nothing is sent of them where the method stays, nor are the words that a person is typing."""
    subject, background = (1 + PLAIN_FIELDS.index(part) for part in ("subject", "background"))
    handlers.drafted(seat, *panel(method="layered", subject="a blue dog"))
    _, fields = handlers.retuned(seat, *panel(method="instruct", subject="a blue dog"))
    assert fields[subject] == gr.update(label="What to do with the subject")
    assert fields[background] == gr.update(label="What to do with the background")
    _, fields = handlers.retuned(seat, *panel(method="instruct", subject="a blue dog", quality="exact"))
    assert fields[subject] == fields[background] == gr.skip()
    _, _, fields = handlers.boot({"sid": seat.sid}, asking())
    assert fields[subject] == gr.update(label="What to do with the subject", value="a blue dog")
    _, fields = handlers.retuned(seat, *panel(method="sdedit", subject="a blue dog"))
    assert fields[subject] == gr.update(label="Subject becomes")
    for method in CATALOG.values():
        assert len(set(method.labels)) == 2 and all(method.labels), "a designer can tell them apart"


def test_another_model_keeps_what_was_set(handlers: Handlers, seat: Seat) -> None:
    values = panel(method="layered")
    values[len(PLAIN_FIELDS)] = 123
    handlers.drafted(seat, *values)
    payload, _ = handlers.remodelled(seat, "toybox")
    assert payload["view"]["draft"]["changes"] == {"embed_steps": 123}


def test_a_model_the_method_does_not_serve_is_refused_with_those_it_does(
    handlers: Handlers, seat: Seat, model_folder: Path
) -> None:
    shutil.copytree(model_folder / "toybox", model_folder / "painter")
    for name, channels in (("painter", 9), ("toybox", 4)):
        config = {"in_channels": channels, "out_channels": 4}
        (model_folder / name / "unet" / "config.json").write_text(json.dumps(config))
    told = handlers.run(seat, *panel(model="painter", method="sdedit", scope="both"))["notice"]["text"]
    assert "sdedit does not run on 'painter'" in told and "choose inpaint" in told and "toybox" in told


def test_running_before_the_settings_follow_the_quality_takes_the_new_preset(handlers: Handlers, seat: Seat) -> None:
    handlers.drafted(seat, *panel(quality="exact"))
    draft = handlers.studio.sessions.get(seat.sid or "").view().draft
    assert draft.quality is Quality.EXACT and draft.changes == {}


def test_another_model_fills_the_forms_with_its_own_presets(handlers: Handlers, seat: Seat, model_folder: Path) -> None:
    shutil.copytree(model_folder / "toybox", model_folder / "painter")
    (model_folder / "painter" / "presets").mkdir(exist_ok=True)
    presets = {quality: {"steps": 11, "guidance": 4.5} for quality in Quality}
    (model_folder / "painter" / "presets" / "sdedit.json").write_text(json.dumps(presets))
    places = {name: k for k, name in enumerate(knobs(CATALOG["sdedit"].params))}
    start = len(PLAIN_FIELDS) + sum(
        len(knobs(m.params)) for m in list(CATALOG.values())[: list(CATALOG).index("sdedit")]
    )

    def shown(model: str) -> tuple[Any, Any]:
        _, fields = handlers.remodelled(seat, model)
        return fields[1:][start + places["steps"]], fields[1:][PLAIN_FIELDS.index("filled")]

    handlers.drafted(seat, *panel(method="sdedit"))
    assert shown("painter") == (11, presets_named(Quality.DRAFT, "painter"))
    usual = values_of("sdedit", Quality.DRAFT, {})[places["steps"]]
    assert shown("toybox") == (usual, presets_named(Quality.DRAFT, "toybox"))


def test_a_page_older_than_the_server_is_told_to_reload(handlers: Handlers) -> None:
    assert handlers.cancel(None)["notice"]["text"] == text.RESTARTED


def test_a_bug_is_logged_and_never_shown(handlers: Handlers, seat: Seat, caplog: pytest.LogCaptureFixture) -> None:
    def broken(session: object) -> None:
        raise ZeroDivisionError("secret detail")

    told = handlers.answered(seat, broken)["notice"]["text"]
    assert told.startswith(text.OUR_FAULT) and "secret" not in told and "secret detail" in caplog.text


@pytest.mark.parametrize("name", CATALOG)
@pytest.mark.parametrize("quality", Quality)
def test_a_form_shows_the_preset_and_finds_every_change(name: str, quality: Quality) -> None:
    shown = values_of(name, quality, {})
    assert changes_of(name, quality, shown) == {}
    for k, field in enumerate(knobs(CATALOG[name].params)):
        other = [*shown]
        other[k] = "another value"
        assert changes_of(name, quality, other) == {field: "another value"}
        other[k] = None
        assert changes_of(name, quality, other) == {}, "an emptied field means the preset"
