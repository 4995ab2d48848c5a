"""Plug-ins that were written for another program: what they call, in their order, and what comes of it here."""

from __future__ import annotations

import base64
import io
import json
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from pipelines.contract import Extent, Scope
from pipelines.pictures import decode, decode_mask, encode_mask, encode_png
from studio.api.gate import LARGEST_PICTURES
from studio.api.open_routes import PLUG_INS
from studio.session.session import Session
from tests.studio.api.conftest import Served

GIMP = "Python-urllib/2.7"
BLENDER = "Blender/4.2.0"
KRITA = "Python-urllib/3.10"
LORA_OF_NOBODY = "<lora:nobody:0.5>"


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def address(served: Served) -> Iterator[str]:
    page = served.again(sdapi=True)
    yield page.url
    page.close()


@pytest.fixture
def plug_in(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30, headers={"user-agent": GIMP}) as client:
        yield client


@pytest.fixture
def photo() -> np.ndarray:
    """A drawing like no other test's, so that each test's session is its own."""
    drawn = np.empty((64, 96, 3), np.uint8)
    drawn[:] = np.frombuffer(secrets.token_bytes(3), np.uint8)
    drawn[10:40, 20:70] = np.frombuffer(secrets.token_bytes(3), np.uint8)
    return drawn


@pytest.fixture
def mask() -> np.ndarray:
    found = np.zeros((64, 96), np.bool_)
    found[16:48, 24:60] = True
    return found


def asked(photo: np.ndarray, **more: Any) -> dict[str, Any]:
    return {"init_images": [base64_of(encode_png(photo))], "prompt": "a blue duck", "seed": 5, **more}


def session_of(served: Served, answer: httpx.Response) -> Session:
    assert answer.status_code == 200, answer.text
    return served.studio.sessions.get(json.loads(answer.json()["info"])["session"])


def pictures_of(answer: httpx.Response) -> list[np.ndarray]:
    return [decode(base64.b64decode(image)).picture for image in answer.json()["images"]]


def test_the_calls_of_a_gimp_plug_in_give_a_picture(
    plug_in: httpx.Client, served: Served, photo: np.ndarray, mask: np.ndarray
) -> None:
    """stable-gimpfusion: its lists as it is loaded, its options, then *Inpainting* and *Image to image*."""
    models = [row["title"] for row in plug_in.get("/sdapi/v1/sd-models?").json()]
    assert plug_in.get("/controlnet/model_list?").json()["model_list"] == []
    chosen = plug_in.get("/sdapi/v1/options?").json()["sd_model_checkpoint"]
    assert models.index(chosen) >= 0
    plug_in.post("/sdapi/v1/options?", json={"sd_model_checkpoint": chosen})
    said = {
        "prompt": "a blue duck ",
        "negative_prompt": " text",
        "denoising_strength": 0.8,
        "steps": 12,
        "cfg_scale": 7.5,
        "width": 384,
        "height": 384,
        "seed": -1,
        "init_images": [base64_of(encode_png(photo))],
        "mask": base64_of(encode_mask(mask)),
        "resize_mode": 0,
        "inpaint_full_res": True,
        "inpaint_full_res_padding": 10,
        "inpainting_mask_invert": 0,
        "image_cfg_scale": 5,
        "sampler_index": "Euler a",
    }
    first = plug_in.post("/sdapi/v1/img2img?", json=said)
    session = session_of(served, first)
    view = session.view()
    assert view.name == "Python-urllib" and view.turns[1].method == "inpaint"
    request = served.studio.sessions.record(session.sid).tree[view.current].request
    assert request is not None
    assert (request.params["strength"], request.params["steps"], request.params["guidance"]) == (0.8, 12, 7.5)
    assert (request.subject, request.negative, request.scope) == ("a blue duck", "text", Scope.SUBJECT)
    kept = decode_mask(served.studio.pictures.get(request.mask or ""), Extent(96, 64))
    assert (kept == mask).all()
    (picture,) = pictures_of(first)
    assert picture.shape == photo.shape, "inpaint_full_res: it comes back as large as it was"
    assert (picture == served.studio.services.pixels(view.turns[1].picture)).all()
    info = json.loads(first.json()["info"])
    assert info["ignored"] == ["image_cfg_scale", "inpaint_full_res_padding", "sampler_name"]
    assert 0 <= info["seed"] == view.turns[1].seed

    # What it got is sent on, at the size that the plug-in likes: the same session, one turn further.
    del said["mask"]
    said |= {"init_images": [first.json()["images"][0]], "width": 96, "height": 64}
    second = plug_in.post("/sdapi/v1/img2img?", json=said)
    assert session_of(served, second) is session
    now = session.view()
    assert [turn.method for turn in now.turns] == ["", "inpaint", "sdedit"]
    assert now.turns[2].parent == now.turns[1].id


def test_the_calls_of_a_krita_plug_in(address: str, photo: np.ndarray) -> None:
    """cyanic-sd-krita: whether somebody is there, its lists, and a picture at another size."""
    with httpx.Client(base_url=address, timeout=30, headers={"user-agent": KRITA}) as krita:
        assert krita.get("/queue/status").json()["queue_size"] == 0
        lists = (
            "sd-models sd-vae samplers upscalers face-restorers prompt-styles scripts loras embeddings hypernetworks"
        )
        found = {name: krita.get(f"/sdapi/v1/{name}").json() for name in lists.split()}
        assert all(key in found["sd-models"][0] for key in ("title", "model_name"))
        assert [row["name"] for row in found["samplers"]] == ["DDIM"]
        assert found["embeddings"]["loaded"] == {} and found["scripts"] == {"txt2img": [], "img2img": []}
        assert krita.get("/sdapi/v1/options").json()["sd_model_checkpoint"] in [
            row["title"] for row in found["sd-models"]
        ]
        said = asked(
            photo,
            override_settings={"sd_model_checkpoint": "toybox [0123abcdef]", "sd_vae": "Automatic"},
            width=48,
            height=32,
            denoising_strength=0.75,
            batch_size=2,
            n_iter=1,
            sampler_name="DDIM",
        )
        answer = krita.post("/sdapi/v1/img2img", json=said)
        assert [picture.shape for picture in pictures_of(answer)] == [(32, 48, 3)] * 2
        info = json.loads(answer.json()["info"])
        assert (info["seed"], info["all_seeds"], info["width"]) == (5, [5, 6], 48)
        assert info["ignored"] == ["override_settings.sd_vae"]
        assert krita.get("/sdapi/v1/progress").json()["state"]["job_count"] == 0
        assert krita.post("/sdapi/v1/interrupt", json={}).status_code == 200


def test_the_call_of_a_blender_plug_in(address: str, served: Served, photo: np.ndarray) -> None:
    """AI-Render: one picture with its kind before it, and fields that only it knows."""
    said = asked(photo, image_similarity=0.4, denoising_strength=0.6, sampler="LMS", sampler_index="LMS", steps=9)
    said["init_images"] = [f"data:image/png;base64,{said['init_images'][0]}"]
    with httpx.Client(base_url=address, timeout=30, headers={"user-agent": BLENDER, "accept": "*/*"}) as blender:
        answer = blender.post("/sdapi/v1/img2img", json=said)
    assert session_of(served, answer).view().name == "Blender"
    image = Image.open(io.BytesIO(base64.b64decode(answer.json()["images"][0])))
    assert image.size == (96, 64) and "Denoising strength: 0.6" in image.info["parameters"]
    assert "steps" in answer.json()["parameters"] and "init_images" not in answer.json()["parameters"]


def test_a_photoshop_plug_in_asks_how_a_picture_was_made_and_interrupts_with_nothing(
    plug_in: httpx.Client, photo: np.ndarray
) -> None:
    answer = plug_in.post("/sdapi/v1/img2img", json=asked(photo, negative_prompt="text", steps=7))
    image = f"data:image/png;base64,{answer.json()['images'][0]}"
    told = plug_in.post("/sdapi/v1/png-info", json={"image": image}).json()["info"]
    assert told.splitlines()[:2] == ["a blue duck", "Negative prompt: text"]
    assert "Steps: 7, Sampler: DDIM" in told and "Seed: 5, Size: 96x64, Model: toybox" in told
    assert plug_in.post("/sdapi/v1/png-info", json={"image": base64_of(encode_png(photo))}).json()["info"] == ""
    stopped = plug_in.post("/sdapi/v1/interrupt", headers={"content-type": "application/json"})
    assert stopped.status_code == 200 and stopped.json() == {}


def test_the_picture_of_an_earlier_turn_branches_and_another_begins_anew(
    plug_in: httpx.Client, served: Served, photo: np.ndarray
) -> None:
    first = session_of(served, plug_in.post("/sdapi/v1/img2img", json=asked(photo)))
    again = session_of(served, plug_in.post("/sdapi/v1/img2img", json=asked(photo, seed=6)))
    assert again is first and len(first.view().branches) == 2
    other = session_of(served, plug_in.post("/sdapi/v1/img2img", json=asked(photo[::-1].copy())))
    assert other is not first


@pytest.mark.parametrize(("invert", "kept"), [(0, True), (1, False), (True, False)])
def test_a_mask_may_be_inverted(
    plug_in: httpx.Client, served: Served, photo: np.ndarray, mask: np.ndarray, invert: Any, kept: bool
) -> None:
    said = asked(photo, mask=base64_of(encode_mask(mask)), inpainting_mask_invert=invert, mask_blur=8)
    session = session_of(served, plug_in.post("/sdapi/v1/img2img", json=said))
    request = served.studio.sessions.record(session.sid).tree[session.view().current].request
    assert request is not None and request.feather == 8
    used = decode_mask(served.studio.pictures.get(request.mask or ""), Extent(96, 64))
    assert (used == (mask if kept else ~mask)).all()


@pytest.mark.parametrize(("mode", "shape"), [(0, (32, 32)), (1, (32, 32)), (2, (32, 32)), (3, (32, 32))])
def test_other_proportions_are_stretched_cut_or_filled(
    plug_in: httpx.Client, served: Served, mask: np.ndarray, mode: int, shape: tuple[int, int]
) -> None:
    photo = np.full((64, 96, 3), mode * 20, np.uint8)
    photo[:, :8] = 255
    said = asked(photo, width=32, height=32, resize_mode=mode, inpaint_full_res=False)
    said["mask"] = base64_of(encode_mask(mask))
    session = session_of(served, plug_in.post("/sdapi/v1/img2img", json=said))
    record = served.studio.sessions.record(session.sid)
    request = record.tree[record.tree.current].request
    assert request is not None
    before = served.studio.services.pixels(record.tree[record.tree.line(record.tree.current)[0]].picture)
    used = decode_mask(served.studio.pictures.get(request.mask or ""), Extent(32, 32))
    assert before.shape[:2] == shape
    bright = (before[16, :, 0] > 128).sum()
    assert bright == {0: 3, 1: 0, 2: 3, 3: 3}[mode]
    rows = np.flatnonzero(used.any(1))
    assert (rows[0], rows[-1]) == ((10, 20) if mode == 2 else (8, 23))


def test_where_a_turn_is_is_told_and_it_can_be_interrupted(
    address: str, served: Served, photo: np.ndarray, plug_in: httpx.Client
) -> None:
    served.engine.hold.clear()
    served.engine.reached.clear()
    served.engine.hold_at = ("denoise", 3)
    try:
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(plug_in.post, "/sdapi/v1/img2img", json=asked(photo))
            assert served.engine.reached.wait(20)
            with httpx.Client(base_url=address, headers={"user-agent": "another"}) as other:
                now = other.get("/sdapi/v1/progress").json()
                assert 0 < now["progress"] < 1 and now["state"]["sampling_steps"] == 4
                assert base64.b64decode(now["current_image"]).startswith(b"\xff\xd8")
                assert other.get("/sdapi/v1/progress?skip_current_image=true").json()["current_image"] is None
                other.post("/sdapi/v1/interrupt", json={})
            answer = running.result(20)
    finally:
        served.engine.hold_at = None
        served.engine.hold.set()
    assert answer.status_code == 409 and "interrupted" in answer.json()["error"]
    assert plug_in.get("/sdapi/v1/progress").json()["progress"] == 0


@pytest.mark.parametrize(
    ("said", "field", "expected", "got"),
    [
        ({"init_images": []}, "init_images", "at least 1 of them", "[]"),
        (
            {"init_images": ["https://example.com/a.png"]},
            "init_images.0",
            "a picture's file in base64",
            '"https://exam',
        ),
        ({"init_images": ["/etc/hostname"]}, "init_images.0", "a picture's file in base64", '"/etc/hostname"'),
        ({"mask": "no base64!"}, "mask", "a picture's file in base64", '"no base64!"'),
        ({"denoising_strength": 1.5}, "denoising_strength", "at most 1", "1.5"),
        ({"denoising_strength": "x"}, "denoising_strength", "a number", '"x"'),
        ({"steps": 0}, "steps", "at least 1", "0"),
        ({"cfg_scale": 99}, "cfg_scale", "at most 50", "99"),
        ({"seed": -2}, "seed", "at least -1", "-2"),
        ({"batch_size": 9}, "batch_size", "at most 8", "9"),
        ({"width": 8}, "width", "at least 16", "8"),
        ({"prompt": "x" * 1001}, "prompt", "a text of at most 1000 characters", '"xxx'),
        ({"resize_mode": 4}, "resize_mode", "at most 3", "4"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be(
    plug_in: httpx.Client, photo: np.ndarray, said: dict[str, Any], field: str, expected: str, got: str
) -> None:
    answer = plug_in.post("/sdapi/v1/img2img", json=asked(photo) | said)
    assert answer.status_code == 422, answer.text
    told = answer.json()
    assert (told["field"], told["expected"]) == (field, expected) and told["got"].startswith(got), told


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"prompt": ""}, 422, "say what"),
        ({"init_images": [base64_of(b"no picture")]}, 422, "PNG, JPEG, WebP, AVIF, TIFF and HEIC"),
        ({"mask": base64_of(encode_mask(np.ones((32, 32), np.bool_)))}, 422, "as large as its picture"),
        ({"mask": base64_of(encode_mask(np.zeros((64, 96), np.bool_)))}, 422, "nothing is selected"),
        ({"prompt": f"a duck {LORA_OF_NOBODY}"}, 422, "nobody"),
        ({"batch_size": 4, "n_iter": 4}, 422, "at most 8; got 16"),
        ({"override_settings": {"sd_model_checkpoint": "../../etc"}}, 422, "etc"),
    ],
)
def test_what_makes_no_turn_is_refused_in_words(
    plug_in: httpx.Client, photo: np.ndarray, said: dict[str, Any], status: int, words: str
) -> None:
    answer = plug_in.post("/sdapi/v1/img2img", json=asked(photo) | said)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_a_model_is_not_run_on_what_it_was_not_made_for(plug_in: httpx.Client) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    answer = plug_in.post("/sdapi/v1/img2img", json=asked(noise))
    assert answer.status_code == 409 and "was made for" in answer.json()["error"]


def test_no_picture_is_made_of_a_text_alone(plug_in: httpx.Client) -> None:
    answer = plug_in.post("/sdapi/v1/txt2img", json={"prompt": "a duck"})
    assert answer.status_code == 422 and "img2img" in answer.json()["error"]
    unknown = plug_in.post("/sdapi/v1/options", json={"sd_model_checkpoint": "nobody"})
    assert unknown.status_code == 422
    assert plug_in.post("/sdapi/v1/options", json={"CLIP_stop_at_last_layers": 2}).json() == {
        "ignored": ["CLIP_stop_at_last_layers"]
    }


def test_the_pages_protections_hold_and_nothing_is_open_unasked(
    address: str, served: Served, photo: np.ndarray, plug_in: httpx.Client
) -> None:
    with httpx.Client(base_url=served.page.url) as closed:
        for path in ("/sdapi/v1/options", "/queue/status", "/controlnet/model_list"):
            assert closed.get(path).status_code == 404
        assert closed.post("/sdapi/v1/img2img", json=asked(photo)).status_code == 404
    foreign = {"origin": "https://example.com"}
    assert plug_in.post("/sdapi/v1/img2img", json=asked(photo), headers=foreign).status_code == 403
    assert plug_in.post("/sdapi/v1/interrupt", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert plug_in.post("/sdapi/v1/img2img", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    assert (
        plug_in.post("/sdapi/v1/img2img", content=b"[]", headers={"content-type": "application/json"}).status_code
        == 422
    )
    assert plug_in.get("/sdapi/v1/img2img").status_code == 405
    assert plug_in.get("/sdapi/v1/options", headers={"host": "example.com"}).status_code == 403
    where = urlsplit(address)
    with socket.create_connection((where.hostname, where.port), timeout=10) as line:
        head = f"POST /sdapi/v1/img2img HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
        line.sendall(f"{head}Content-Length: {LARGEST_PICTURES + 1}\r\n\r\n".encode())
        assert b" 413 " in line.recv(64), "it is refused before it is read"
    for route in PLUG_INS:
        if route.method == "GET":
            assert plug_in.get(route.path).status_code == 200, route.path
    locked = served.again(sdapi=True, token="correct-horse-battery")
    try:
        with httpx.Client(base_url=locked.url) as client:
            assert client.get("/sdapi/v1/sd-models").status_code == 401
            assert client.get("/queue/status").status_code == 401
            assert client.get("/sdapi/v1/sd-models", auth=("any", "correct-horse-battery")).status_code == 200
    finally:
        locked.close()
