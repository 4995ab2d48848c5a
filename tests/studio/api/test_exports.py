"""What comes down is read back; what is not a session's own is not found."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from fastapi import FastAPI
from httpx import Response
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from pipelines.colour_spaces import ColourSpace, profile
from pipelines.contract import Box, Quality, Scope
from pipelines.masks.prompts import Click, MaskPrompts
from pipelines.pictures import decode
from studio.api import exports, pictures
from studio.app import Studio
from studio.exports.pictures import read_recipe
from studio.session.session import Session
from studio.session.sessions import CLEAR_AGAIN, FINE_AGAIN
from studio.session.view import FRESH
from studio.store.archive.session_file import read_archive


@pytest.fixture
def client(studio: Studio) -> Iterator[TestClient]:
    app = FastAPI(routes=[*pictures.routes(studio, studio.settings.examples), *exports.routes(studio)])
    with TestClient(app) as client:
        yield client


@pytest.fixture
def session(studio: Studio, upload: bytes, wait_until: Callable[..., None]) -> Session:
    """One turn after the original."""
    session = studio.sessions.create(upload, "stripes.png")
    session.set_prompts(MaskPrompts(clicks=(Click(20, 10, include=True),)))
    session.set_draft(replace(FRESH, quality=Quality.DRAFT, subject="a blue dog", scope=Scope.SUBJECT))
    session.start()
    wait_until(lambda: bool(session.view().staged))
    session.accept(0)
    return session


def export(client: TestClient, session: Session, kind: str, turn: int = -1) -> bytes:
    answer = client.get(f"/studio/export/{session.sid}/{session.view().turns[turn].id}/{kind}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == exports.EXPORTS[kind].media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    return answer.content


def test_pictures_come_down_with_and_without_their_recipe(client: TestClient, session: Session, studio: Studio) -> None:
    shown = decode(studio.pictures.get(session.view().turns[-1].picture)).picture
    with_recipe, without = export(client, session, "recipe.png"), export(client, session, "plain.png")
    assert (decode(with_recipe).picture == shown).all() and (decode(without).picture == shown).all()
    told = read_recipe(with_recipe)
    assert told is not None and told["turns"][-1]["request"]["subject"] == "a blue dog"
    assert session.sid not in with_recipe.decode("latin-1"), "an id is a key"
    for kind in ("plain.png", "plain.jpg", "plain.webp"):
        assert read_recipe(export(client, session, kind)) is None
    assert [Image.open(io.BytesIO(export(client, session, f"plain.{f}"))).format for f in ("jpg", "webp")] == [
        "JPEG",
        "WEBP",
    ]


def finished(client: TestClient, session: Session, formats: list[str], **said: object) -> Response:
    usual = {"size": "100%", "quality": 90, "colours": "srgb", "bits": 8, "recipe": False}
    address = f"/studio/export/{session.sid}/{session.view().turns[-1].id}/finished"
    return client.get(address, params={"formats": formats, **usual | said})


def test_a_picture_is_finished_as_said_and_several_formats_come_as_a_zip(
    client: TestClient, session: Session, studio: Studio
) -> None:
    shown = decode(studio.pictures.get(session.view().turns[-1].picture)).picture
    wide = finished(client, session, ["png"], colours="display-p3")
    assert Image.open(io.BytesIO(wide.content)).info["icc_profile"] == profile(ColourSpace.DISPLAY_P3)
    assert np.abs(decode(wide.content).picture.astype(int) - shown).max() <= 3, "the same colours in other numbers"
    assert wide.headers["content-type"] == "image/png"
    answer = finished(client, session, ["png", "jpeg", "avif", "tiff"], size="50%", recipe=True)
    assert unquote(answer.headers["content-disposition"]).endswith("stripes - turn 1.zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
        assert [name.rpartition(".")[2] for name in files.namelist()] == ["png", "jpg", "avif", "tif"]
        for name in files.namelist():
            assert Image.open(io.BytesIO(files.read(name))).size == (shown.shape[1] // 2, shown.shape[0] // 2)
        assert read_recipe(files.read("stripes - turn 1.jpg")) is not None


def test_what_no_file_can_be_is_said(client: TestClient, session: Session) -> None:
    answer = finished(client, session, ["png"], size="all")
    assert answer.status_code == 409 and "size is a share" in answer.json()["detail"]
    assert finished(client, session, ["bmp"]).status_code == 422 and finished(client, session, []).status_code == 422


def test_a_cut_out_and_its_16_bits_come_back_from_the_session_and_from_its_file(
    client: TestClient, studio: Studio
) -> None:
    levels = np.random.default_rng(3).integers(0, 65_536, (40, 60, 4)).astype(np.uint16)
    levels[:, 30:, 3] = 0
    levels[:, :30, 3] = 65_535
    upload = cv2.imencode(".png", cv2.cvtColor(levels, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    session = studio.sessions.create(upload, "cut-out.png")
    assert {CLEAR_AGAIN, FINE_AGAIN} <= set(session.view().notes)

    def fine(of: Session) -> NDArray[np.uint16]:
        data = np.frombuffer(finished(client, of, ["png"], bits=16).content, np.uint8)
        return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA))

    assert (fine(session)[:, :30] == levels[:, :30]).all() and (fine(session)[:, 30:, 3] == 0).all()
    assert decode(finished(client, session, ["jpeg"]).content).master is None, "a JPEG is opaque"
    cropped = studio.sessions.crop(session.sid, Box(4, 6, 40, 36))
    assert (fine(cropped)[:, :26] == levels[6:36, 4:30]).all()
    answer = client.get(f"/studio/session/{cropped.sid}.palimpsest")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert json.loads(archive.read("session.json"))["version"] == 3
    again = studio.sessions.adopt_record(read_archive(io.BytesIO(answer.content), studio.pictures))
    assert (fine(again) == fine(cropped)).all()


def test_layers_hold_the_turns_picture(client: TestClient, session: Session, studio: Studio) -> None:
    shown = decode(studio.pictures.get(session.view().turns[-1].picture)).picture
    with zipfile.ZipFile(io.BytesIO(export(client, session, "layers.ora"))) as ora:
        assert ora.namelist()[0] == "mimetype"
        assert (decode(ora.read("mergedimage.png")).picture == shown).all()
    assert (np.asarray(Image.open(io.BytesIO(export(client, session, "layers.psd"))).convert("RGB")) == shown).all()


@pytest.mark.parametrize("kind", ["strip.webp", "strip.gif"])
def test_the_animation_runs_from_before_to_after(client: TestClient, session: Session, kind: str) -> None:
    moving = Image.open(io.BytesIO(export(client, session, kind)))
    assert getattr(moving, "n_frames", 1) > 2
    told = client.get(f"/studio/export/{session.sid}/{session.view().turns[0].id}/{kind}")
    assert told.status_code == 409 and "make an edit first" in told.json()["detail"]


def test_the_session_file_is_the_session(client: TestClient, session: Session, studio: Studio) -> None:
    answer = client.get(f"/studio/session/{session.sid}.palimpsest")
    assert answer.headers["content-type"] == exports.ARCHIVE
    assert int(answer.headers["content-length"]) == len(answer.content)
    record = read_archive(io.BytesIO(answer.content), studio.pictures)
    assert [turn.id for turn in record.tree.turns.values()] == [turn.id for turn in session.view().turns]
    assert record.sid != session.sid


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("stripes.png", "stripes - turn 1.jpg"),
        ("a/b\u202e\r\n", "a-b - turn 1.jpg"),
        ("v1.2 of it", "v1.2 of it - turn 1.jpg"),
        ("é" * 120, "é" * 120 + " - turn 1.jpg"),
    ],
)
def test_files_get_a_name_that_can_be_saved(
    client: TestClient, session: Session, studio: Studio, name: str, called: str
) -> None:
    studio.sessions.rename(session.sid, name)
    answer = client.get(f"/studio/export/{session.sid}/{session.view().turns[-1].id}/plain.jpg")
    assert unquote(answer.headers["content-disposition"].partition("filename*=UTF-8''")[2]) == called


def test_what_is_not_a_sessions_own_is_not_found(
    client: TestClient, session: Session, studio: Studio, upload: bytes
) -> None:
    other = studio.sessions.create_example("duck-on-the-beach")
    own, foreign = session.view().turns[-1].id, other.view().turns[0].id
    for address in (
        f"/studio/export/{session.sid}/{foreign}/plain.png",
        f"/studio/export/{'0' * 32}/{own}/plain.png",
        f"/studio/export/{session.sid}/{own}/plain.exe",
        f"/studio/export/{session.sid}/..%2f..%2fstudio.db/plain.png",
        f"/studio/session/{'0' * 32}.palimpsest",
        f"/studio/cover/{'0' * 32}/{session.view().turns[0].picture}.jpg",
    ):
        assert client.get(address).status_code == 404, address


def test_a_session_in_the_trash_shows_its_cover_and_gives_nothing_out(
    client: TestClient, session: Session, studio: Studio
) -> None:
    turn = session.view().turns[-1]
    studio.sessions.trash(session.sid)
    cover = client.get(f"/studio/cover/{session.sid}/{turn.picture}.jpg")
    assert cover.headers["content-type"] == "image/jpeg" and "immutable" in cover.headers["cache-control"]
    stale = client.get(f"/studio/cover/{session.sid}/{'0' * 64}.jpg")
    assert stale.content == cover.content and stale.headers["cache-control"] == "no-store"
    assert client.get(f"/studio/export/{session.sid}/{turn.id}/plain.png").status_code == 404
    assert client.get(f"/studio/session/{session.sid}.palimpsest").status_code == 404
