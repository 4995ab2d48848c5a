"""Settings that change nothing as the others stand are named in the view, each with its reason."""

from __future__ import annotations

from dataclasses import replace

from pipelines.contract import Quality, Scope
from studio.app import Studio


def test_the_view_names_them_as_the_draft_changes(studio: Studio, upload: bytes) -> None:
    session = studio.sessions.create(upload, "a.png")
    draft = replace(session.view().draft, method="layered", quality=Quality.DRAFT, changes={"tuned": "none"})
    session.set_draft(draft)
    assert "tune_rate" in session.view().idle and "lora_rank" in session.view().idle
    session.set_draft(replace(draft, changes={"tuned": "lora", "tune_steps": 20}))
    assert not {"tune_rate", "lora_rank"} & session.view().idle.keys()
    session.set_draft(replace(draft, scope=Scope.BOTH, method="inpaint", changes={}))
    assert session.view().idle["paste_back"].startswith("this turn changes both parts")
    session.set_draft(replace(draft, scope=Scope.SUBJECT, method="inpaint", changes={}))
    assert "paste_back" not in session.view().idle


def test_a_setting_that_cannot_be_leaves_the_view_whole(studio: Studio, upload: bytes) -> None:
    session = studio.sessions.create(upload, "a.png")
    session.set_draft(replace(session.view().draft, changes={"steps": -3}))
    assert session.view().idle == {}
