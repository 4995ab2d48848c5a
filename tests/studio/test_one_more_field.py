"""That a field of a request is said in three places: what it is, who goes by it, and its words in the page.

A copy of the code is given a text that a turn can be asked for, which one method goes by. Nothing else is changed, and
the copy drives it from the panel through the turn and the session file and back into the panel.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipelines.contract import Quality, Scope
from studio.history.turn import TurnRequest, turn_id

ROOT = Path(__file__).resolve().parents[2]

PLACES = {
    "pipelines/contract.py": (
        '    source: str = field(default="", metadata=asked_for(Kind.TEXT, later=True))\n',
        '    mood: str = field(default="", metadata=asked_for(Kind.TEXT, later=True))\n',
    ),
    "pipelines/hand/colour.py": (
        "    share = changing_share(request, params.edge)\n",
        "    if request.mood == 'gloomy':\n        params = replace(params, lightness=-20.0)\n",
    ),
    "studio/ui/text.py": (
        "TURN_TEXTS = {\n",
        '    "mood": ("Mood", "how it should feel"),\n',
    ),
}
"""By file: the line after which something is put in, and what. The method's own entry says that it reads the text."""
READS = ('            entry="pipelines.hand.colour:recolour",\n', '            texts=("mood",),\n')

DRIVEN = """
import io, json, sys, time
from pathlib import Path
import numpy as np
from pipelines.catalog import CATALOG
from pipelines.contract import Quality, Scope
from pipelines.pictures import decode, encode_png
from studio.app import build_studio
from studio.history.turn import TurnRequest, turn_id
from studio.settings import Settings
from studio.store.archive.session_file import read_archive, write_archive
from studio.ui.forms import values_of
from studio.ui.handlers import PLAIN_FIELDS, Handlers, Seat, presets_named
from studio.ui.turn_panel import build
from studio.session.view import FRESH
import gradio as gr

OLD = json.loads(sys.argv[2])
studio = build_studio(Settings(data=Path(sys.argv[1]), model_folders=(), device_process=False, warm_up=False))
handlers = Handlers(studio)
grey = encode_png(np.full((32, 48, 3), (90, 120, 160), np.uint8))
seat = Seat(studio.sessions.create(grey, "grey").sid, "tab")
session = studio.sessions.get(seat.sid)
with gr.Blocks():
    widgets = {c.elem_id: c.label for c in build([], list(Quality), 4).plain}


def panel(**said):
    plain = {name: getattr(FRESH, name, None) for name in PLAIN_FIELDS}
    plain |= {"method": "recolour", "filled": presets_named(FRESH.quality, FRESH.model), "saturation": None, **said}
    settings = []
    for name in CATALOG:
        settings += values_of(name, FRESH.quality, {"hue": 30.0} if name == "recolour" else {})
    return [*(plain[name] for name in PLAIN_FIELDS), *settings]


def turned(**said):
    told = handlers.run(seat, *panel(**said))
    assert "notice" not in told, told["notice"]
    while session.view().job.state in ("queued", "running"):
        time.sleep(0.01)
    assert session.view().job.error is None, session.view().job.error
    session.accept(0)
    view = session.view()
    return view.turns[-1], decode(studio.store.pictures.get(view.turns[-1].picture)).picture


plain, light = turned()
session.undo()
moody, dark = turned(mood="gloomy")
record = studio.store.load(seat.sid)
made = record.tree[moody.id]
file = io.BytesIO()
write_archive(record, studio.store.pictures, file)
again = read_archive(file, studio.store.pictures)
session.edit(moody.id)
print(json.dumps({
    "label": widgets["mood"],
    "draft": session.view().draft.mood,
    "request": made.request.to_json()["mood"],
    "read back": again.tree[moody.id].request.mood,
    "unsaid": "mood" in record.tree[plain.id].request.to_json(),
    "darker": float(light.mean() - dark.mean()),
    "old": turn_id("p", TurnRequest.from_json(OLD), "q"),
}))
studio.close()
"""


def test_one_more_text_is_said_in_three_places(tmp_path: Path) -> None:
    for part in ("studio", "pipelines"):
        skipped = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(ROOT / part, tmp_path / part, ignore=skipped)
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    for name, (after, put) in {**PLACES, "pipelines/catalog.py": READS}.items():
        code = (tmp_path / name).read_text()
        assert after in code, name
        (tmp_path / name).write_text(code.replace(after, after + put, 1))
    request = TurnRequest(
        model="m",
        weights="w",
        method="recolour",
        params={},
        quality=Quality.DRAFT,
        subject="",
        background="",
        scope=Scope.BOTH,
        seed=7,
        mask=None,
        prompts={},
        feather=2.0,
    )
    done = subprocess.run(
        [sys.executable, "-c", DRIVEN, str(tmp_path / "data"), json.dumps(request.to_json())],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("darker") > 10
    assert told == {
        "label": "Mood",
        "draft": "gloomy",
        "request": "gloomy",
        "read back": "gloomy",
        "unsaid": False,
        "old": turn_id("p", request, "q"),
    }
