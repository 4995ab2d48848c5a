"""Small files that would cost much: sent to a studio that is served, or lying in its folder of models."""

from __future__ import annotations

import io
import json
import shutil
import time
import tracemalloc
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

from pipelines.pictures import encode_png
from studio.app import build_studio
from studio.settings import ASSETS, Settings
from studio.ui.app import open_page
from tests.pipelines.models.test_configs import DOWN, UP, entry, header
from tests.pipelines.test_picture_chunks import chunk, png, scanned
from tests.security.conftest import Served, Visitor
from tests.studio.conftest import StandInEngine

IN_TIME = 20.0
"""Seconds. Each of these took longer when it was read without a look at it first."""


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (scanned(8_000, 5_000, 500), "in at most 20 scans; this one has more"),
        (png(chunk(b"tEXt", b"a\0b") * 500_000), "may have at most 65,536 chunks; this one has more"),
        (encode_png(np.zeros((32, 48, 3), np.uint8)) + bytes(10), None),
        (png(chunk(b"zTXt", b"note\0\0" + b"not packed at all")), None),
    ],
    ids=["scans", "chunks", "more behind the end", "a damaged text"],
)
def test_a_picture_is_read_or_refused_by_its_true_name_in_time(visitor: Visitor, data: bytes, told: str | None) -> None:
    begun = time.monotonic()
    answer = visitor.fires("stage", "open_file", ticket=visitor.sends(data), name="x.png")
    assert time.monotonic() - begun < IN_TIME
    assert ("view" in answer) == (told is None)
    assert told is None or told in answer["notice"]["text"]


def test_thumbnails_of_every_size_hold_no_copy_of_their_picture_each(served: Served, client: httpx.Client) -> None:
    noise = encode_png(np.random.default_rng(0).integers(0, 256, (1_000, 1_500, 3), dtype=np.uint8))
    assert len(noise) > 4 * 10**6
    session = served.studio.sessions.create(noise, "noise.png")
    address = f"/studio/picture/{session.sid}/{session.view().turns[0].picture}.png"
    tracemalloc.start()
    try:
        for side in range(16, 76):
            answer = client.get(address, params={"side": side})
            assert Image.open(io.BytesIO(answer.content)).width == side
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 5 * len(noise), f"{held / 2**20:.0f} MB are held after 60 sizes of one picture"


# ---------------------------------------------------------------------------------------------- a folder of models


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio whose folder of models holds the embedded one, and beside it what strangers may have made."""
    root = tmp_path_factory.mktemp("models")
    for name in ("toybox", "toybox-segmenter", "toybox-clip"):
        (root / name).symlink_to(ASSETS / "models" / name)
    spoil = {
        "channels": ("unet/config.json", {"in_channels": [4]}),
        "steps": ("scheduler/scheduler_config.json", {"num_train_timesteps": 1e9}),
        "readers": ("model_index.json", {"text_encoder_2": 5}),
        "title": ("card.json", {"title": ["a"]}),
    }
    for name, (file, change) in spoil.items():
        shutil.copytree(ASSETS / "models" / "toybox", root / name)
        path = root / name / file
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (root / "deep.safetensors").write_bytes(header({}, raw=b"[" * 50_000))
    (root / "loras").mkdir()
    (root / "loras" / "flat.safetensors").write_bytes(header({DOWN: entry([], 4), UP: entry([4, 1], 20, 4)}, 20))
    (root / "loras" / "none.safetensors").write_bytes(header({DOWN: entry([0, 4], 0), UP: entry([4, 0], 0)}))
    (root / "a file").write_text("of nobody")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        settings = Settings(data=tmp_path_factory.mktemp("data"), model_folders=(root,), port=0, warm_up=False)
        studio = build_studio(settings, StandInEngine())
        page = open_page(studio, settings)
        yield Served(studio, page, root)
        page.close()
        studio.close()


TOLD = {
    "channels": "in_channels must be a whole number from 1 to 1,024; got [4]",
    "steps": "num_train_timesteps must be a whole number from 2 to 10,000; got 1000000000.0",
    "readers": "text_encoder_2 must be a list of 1 to 2",
    "title": 'title must be a text of at most 200 characters; got ["a"]',
    "deep": "at most 20 levels",
    "flat": "must have two matrices of 2 to 4 sides; they have 0 and 2",
    "none": "must have a rank from 1 to 2,048; it has 0",
}


def test_what_is_wrong_with_one_model_is_listed_and_stops_nothing(stocked: Served) -> None:
    with stocked.client() as client:
        page = Visitor(stocked, client)
        assert client.get("/").status_code == 200
        assert "view" in page.fires("stage", "open_example", example="duck-on-the-beach")
        rows = {row["id"]: row["fault"] for row in page.fires("models", "see_models")["models"]["models"]}
    assert rows.keys() == {"toybox", "toybox-segmenter", "toybox-clip", *TOLD}
    assert [rows[name] for name in ("toybox", "toybox-segmenter", "toybox-clip")] == [None] * 3
    for name, told in TOLD.items():
        assert told in rows[name], rows[name]
