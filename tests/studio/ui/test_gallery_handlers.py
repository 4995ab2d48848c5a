"""Sessions listed, named, copied, trashed; sentences split; what another tab did: without a browser."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.catalog import CATALOG
from pipelines.contract import Quality, Scope
from pipelines.instructions.contract import MOST_TURNS, Asked
from studio.app import Studio, build_studio
from studio.errors import NotReady
from studio.session.view import FRESH
from studio.settings import Gallery, Settings, default_gallery
from studio.store.archive.session_file import write_archive
from studio.ui import gallery_handlers, instruction_handlers, text
from studio.ui.forms import values_of
from studio.ui.handlers import PLAIN_FIELDS, Handlers, Seat, presets_named


@pytest.fixture
def handlers(studio: Studio) -> Handlers:
    return Handlers(studio)


@pytest.fixture
def strangers(settings: Settings, tmp_path: Path) -> Iterator[Handlers]:
    """A studio that several people use."""
    studio = build_studio(replace(settings, data=tmp_path / "shared", gallery=Gallery.OWN))
    yield Handlers(studio)
    studio.close()


@pytest.fixture
def seat(studio: Studio, upload: bytes) -> Seat:
    return Seat(studio.sessions.create(upload, "stripes").sid, "tab")


def panel(**changes: Any) -> list[Any]:
    """The turn panel's values as the page passes them."""
    shown = replace(FRESH, quality=Quality.DRAFT)
    filled = presets_named(shown.quality, shown.model)
    draft = {name: getattr(shown, name, None) for name in PLAIN_FIELDS} | {"filled": filled}
    settings = [value for name in CATALOG for value in values_of(name, Quality.DRAFT, {})]
    return [*(draft | changes).values(), *settings]


def names(handlers: Handlers, **asked: Any) -> list[str]:
    return [s["name"] for s in gallery_handlers.listed(handlers, asked)["gallery"]["sessions"]]


def field(fields: list[Any], name: str) -> Any:
    return fields[1 + PLAIN_FIELDS.index(name)]


# ------------------------------------------------------------------------------------------------------- the gallery


def test_one_designer_sees_all_sessions_and_strangers_only_their_own(
    handlers: Handlers, strangers: Handlers, upload: bytes
) -> None:
    for own in (handlers, strangers):
        made = [own.studio.sessions.create(upload, name).sid for name in ("one", "two", "three")]
    assert names(handlers) == ["three", "two", "one"]
    assert names(strangers) == []
    assert names(strangers, own=[made[1], "0" * 32, 7, None]) == ["two"]
    assert names(strangers, own={"every": "one"}) == []
    strangers.studio.sessions.trash(made[1])
    assert names(strangers, trashed=True) == [] and names(strangers, trashed=True, own=made) == ["two"]


def test_who_sees_all_is_a_setting_and_else_follows_who_can_come(settings: Settings) -> None:
    here = replace(settings, host="127.0.0.1")
    assert here.lists_all and not replace(here, allowed_hosts=("studio.example",)).lists_all
    assert not replace(settings, host="0.0.0.0").lists_all
    assert replace(settings, host="0.0.0.0", gallery=Gallery.ALL).lists_all
    assert not replace(settings, gallery=Gallery.OWN).lists_all
    assert default_gallery({}) is Gallery.AUTO and default_gallery({"PALIMPSEST_GALLERY": " ALL"}) is Gallery.ALL
    assert default_gallery({"PALIMPSEST_GALLERY": "evrybody"}) is Gallery.OWN, "a slip shows nobody's sessions"


def test_a_list_is_searched_cut_short_and_answers_its_own_question(handlers: Handlers, upload: bytes) -> None:
    for k in range(4):
        handlers.studio.sessions.create(upload, f"Stripes {k}")
    answer = gallery_handlers.listed(handlers, {"shown": 3, "count": 9, "place": "start"})["gallery"]
    assert (answer["count"], answer["place"], answer["more"], len(answer["sessions"])) == (9, "start", True, 3)
    assert names(handlers, search="2 stri") == ["Stripes 2"] and names(handlers, search="zebra") == []
    assert names(handlers, shown=-1, search=None) == [f"Stripes {k}" for k in (3, 2, 1, 0)]


def test_a_session_is_renamed_from_its_own_page_and_from_another(handlers: Handlers, seat: Seat) -> None:
    payload = gallery_handlers.renamed(handlers, seat, seat.sid, "  Zebra\n ")
    assert payload["view"]["name"] == "Zebra" and payload["gallery"] == {"again": True}
    assert gallery_handlers.renamed(handlers, None, seat.sid, "Horse") == {"gallery": {"again": True}}
    assert names(handlers) == ["Horse"]
    assert "no such session" in gallery_handlers.renamed(handlers, seat, "0" * 32, "x")["notice"]["text"]


def test_a_copy_goes_its_own_way(handlers: Handlers, seat: Seat) -> None:
    made = gallery_handlers.duplicated(handlers, seat.sid)["gallery"]["made"]
    gallery_handlers.renamed(handlers, None, made, "other")
    assert sorted(names(handlers)) == ["other", "stripes"]
    assert "notice" in gallery_handlers.duplicated(handlers, None)


def test_the_session_that_is_shown_leaves_its_page_and_comes_back_by_undo(handlers: Handlers, seat: Seat) -> None:
    left, payload, _ = gallery_handlers.trashed(handlers, seat, seat.sid)
    assert left is not None and left.sid is None and payload["view"] is None
    assert payload["notice"]["text"] == text.in_trash("stripes") and names(handlers) == []
    _, refused, _ = gallery_handlers.entered(handlers, left, seat.sid)
    assert "in the trash" in refused["notice"]["text"]
    sent = payload["action"]["sent"]
    back, payload, _ = gallery_handlers.brought_back(handlers, left, sent["sid"], sent["enter"])
    assert back == seat and payload["view"]["name"] == "stripes" and names(handlers) == ["stripes"]


def test_another_session_goes_and_comes_while_the_page_stays(handlers: Handlers, seat: Seat, upload: bytes) -> None:
    other = handlers.studio.sessions.create(upload, "other").sid
    stays, payload, _ = gallery_handlers.trashed(handlers, seat, other)
    assert stays == seat and "view" not in payload and payload["action"]["sent"]["enter"] is False
    assert names(handlers, trashed=True) == ["other"]
    stays, payload, _ = gallery_handlers.brought_back(handlers, seat, other, False)
    assert stays == seat and payload == {"gallery": {"again": True}}
    _, payload, _ = gallery_handlers.brought_back(handlers, seat, other, False)
    assert "trash has no such session" in payload["notice"]["text"]


# ------------------------------------------------------------------------------------------------------ session files


def test_a_session_file_becomes_a_session_of_its_own(handlers: Handlers, seat: Seat, tmp_path: Path) -> None:
    record = handlers.studio.store.load(seat.sid or "")
    assert record is not None
    file = io.BytesIO()
    write_archive(record, handlers.studio.pictures, file)
    for name, data, words in (("a.palimpsest", file.getvalue(), ""), ("b.png", file.getvalue()[:-9], "session file")):
        (tmp_path / name).write_bytes(data)
        ticket = handlers.uploads.keep((tmp_path / name).open("ab+"))
        before = len(handlers.studio.sessions.list())
        taken, payload, _ = handlers.opened(seat, ticket, name)
        assert taken is not None
        if words:
            assert words in payload["notice"]["text"] and taken == seat
            assert len(handlers.studio.sessions.list()) == before
        else:
            assert payload["view"]["turns"] == handlers.answered(seat, lambda s: None)["view"]["turns"]
            assert taken.sid != seat.sid and "notice" not in payload


# ------------------------------------------------------------------------------------------------------- another tab


def test_the_newest_is_shown_and_what_was_typed_stays(handlers: Handlers, seat: Seat) -> None:
    other = Seat(seat.sid, "other tab")
    handlers.answered(seat, lambda session: None)
    handlers.drafted(other, *panel(subject="a red dog", background="in the snow"))
    known = {"subject": "", "background": ""}
    _, fields = gallery_handlers.looked(handlers, seat, known, *panel(subject="a gre"))
    assert field(fields, "background") == "in the snow"
    assert field(fields, "subject") not in ("a red dog", "a gre"), "left alone: it is being typed"
    payload = handlers.drafted(seat, *panel(subject="a green dog", background="in the snow"))
    assert "notice" not in payload and payload["view"]["draft"]["subject"] == "a green dog"


# ------------------------------------------------------------------------------------------------------ instructions


def test_a_sentence_becomes_turns_and_changes_nothing(handlers: Handlers, seat: Seat) -> None:
    before = handlers.answered(seat, lambda session: None)["view"]["rev"]
    payload = instruction_handlers.split_up(
        handlers, seat, "make the dog blue, then put it in a forest, then glorp it", 4
    )
    found = payload["split"]
    assert found["count"] == 4 and payload["view"]["rev"] == before
    assert [(t["subject"], t["background"], t["scope"]) for t in found["turns"]] == [
        ("a blue dog", "", "subject"),
        ("", "in a forest", "background"),
    ]
    assert found["unread"] == ("glorp it",)


def test_a_language_model_splits_in_a_job_that_the_page_follows(
    settings: Settings, upload: bytes, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    studio = build_studio(replace(settings, language_model=str(tmp_path / "absent")))
    handlers, seat = Handlers(studio), Seat(studio.sessions.create(upload, "stripes").sid, "tab")
    payload = instruction_handlers.split_up(handlers, seat, "make the dog blue", 4)
    job = payload["splitting"]["job"]
    assert payload["splitting"]["count"] == 4 and payload["view"]["job"]["id"] == job
    session = studio.sessions.get(seat.sid or "")
    wait_until(lambda: session.view().split is not None, 60.0)
    found = handlers.answered(seat, lambda session: None)["view"]["split"]
    assert found["job"] == job and found["found"]["turns"][0]["subject"] == "a blue dog"
    assert "'absent' cannot be loaded" in found["found"]["note"] and str(tmp_path) not in found["found"]["note"]
    studio.close()


def test_the_first_turn_of_a_sentence_goes_into_the_panel(handlers: Handlers, seat: Seat) -> None:
    turn = {"subject": " a blue dog ", "background": "left over", "scope": "subject"}
    payload, fields = instruction_handlers.used(handlers, seat, [turn])
    draft = payload["view"]["draft"]
    assert (draft["subject"], draft["background"], draft["scope"]) == ("a blue dog", "", "subject")
    assert field(fields, "subject") == "a blue dog" and field(fields, "scope") == "subject"


def test_several_turns_run_one_after_another_with_the_panels_settings(
    handlers: Handlers, seat: Seat, wait_until: Callable[..., None]
) -> None:
    turns = [
        {"subject": "a blue dog", "background": "", "scope": "subject"},
        {"subject": "", "background": "in a forest", "scope": "background"},
    ]
    refused = instruction_handlers.run_all(handlers, seat, turns, *panel(seed=5))
    assert "click the subject" in refused["notice"]["text"] and refused["view"]["job"] is None
    handlers.mark(seat, {"count": 1, "prompts": {"clicks": [{"x": 20, "y": 10, "include": True}]}})
    started = instruction_handlers.run_all(handlers, seat, turns, *panel(seed=5))
    assert "notice" not in started and started["view"]["job"]["does"] == "replay"
    session = handlers.studio.sessions.get(seat.sid or "")
    wait_until(lambda: len(session.view().turns) == 3)
    assert [(t.label, t.scope, t.seed) for t in session.view().turns[1:]] == [
        ("a blue dog", Scope.SUBJECT, 5),
        ("in a forest", Scope.BACKGROUND, 5),
    ]
    view = session.view()
    assert instruction_handlers.last_texts(view) == ("a blue dog", "in a forest")
    again = instruction_handlers.split_up(handlers, seat, "make it red", 1)["split"]
    assert [turn["subject"] for turn in again["turns"]] == ["a red dog"], "it is the subject of the line"


@pytest.mark.parametrize(
    "turns",
    [
        None,
        [],
        "both",
        [{}],
        [None],
        [{"subject": "a", "background": "", "scope": "sky"}],
        [{"subject": 3, "background": "", "scope": "both"}],
        [{"subject": "a", "background": "", "scope": "both"}] * (MOST_TURNS + 1),
    ],
)
def test_what_is_no_list_of_turns_is_refused(turns: object) -> None:
    with pytest.raises(NotReady, match="Between 1 and"):
        instruction_handlers.asked_from(turns)


def test_a_text_outside_the_scope_is_not_asked() -> None:
    turn = {"subject": "a dog", "background": "in a forest", "scope": "background"}
    assert instruction_handlers.asked_from([turn]) == [Asked("", "in a forest", Scope.BACKGROUND)]
