"""``edit`` by a method that needs no model: no model is loaded, and none has to be there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from pipelines.pictures import decode
from studio.cli.main import main
from tests.studio.cli.conftest import Run

ROOT = Path(main.__code__.co_filename).parents[2]


def test_the_subject_is_recoloured_and_the_rest_is_exact(run: Run, photo: Path, subject: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    asked = ["edit", "--image", photo, "--mask", subject, "--method", "recolour", "--set", "hue=120", "--model", "gone"]
    told = run(*asked, "--out", out, "--json").json
    assert (told["model"], told["method"], told["weights_before"]) == ("", "recolour", "")
    assert told["changed_outside"] == {"count": 0, "max": 0} and told["stages"][0]["name"] == "picture"
    before, after = (decode(path.read_bytes()).picture for path in (photo, out))
    changed = (before != after).any(-1)
    assert changed[10:18, 16:24].mean() > 0.9
    far = np.ones((32, 40), bool)
    far[5:23, 11:29] = False
    assert not changed[far].any()


def test_without_a_mask_the_whole_picture_is_lit(run: Run, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    ran = run("edit", "--image", photo, "--method", "light", "--set", "exposure=1", "--out", out)
    assert ran.code == 0, ran.err
    assert decode(out.read_bytes()).picture.mean() > decode(photo.read_bytes()).picture.mean() + 10


def test_what_has_no_say_is_told(run: Run, photo: Path, subject: Path, tmp_path: Path) -> None:
    asked = ["edit", "--image", photo, "--mask", subject, "--method", "backdrop", "--background", "navy to white"]
    ran = run(*asked, "--subject", "a blue dog", "--scope", "subject", "--out", tmp_path / "out.png")
    assert ran.code == 0, ran.err
    assert "--scope has no effect here: backdrop changes the background" in ran.err
    assert "--subject: Backdrop does not read this text: it has no effect" in ran.err


def test_what_it_lacks_is_said_in_one_sentence(run: Run, photo: Path, subject: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    for extra, says in (
        (["--method", "backdrop", "--mask", subject], "give a picture for the background, or name a colour or two"),
        (["--method", "backdrop", "--background", "navy"], "the subject was not pointed at"),
        (["--method", "recolour", "--mask", subject], "every setting leaves the colours as they are"),
        (["--method", "recolour", "--scope", "subject", "--set", "hue=1"], "the subject was not pointed at"),
    ):
        ran = run("edit", "--image", photo, *extra, "--out", out)
        assert ran.code == 2 and says in ran.err and not out.exists(), ran.err


def test_torch_is_not_imported(photo: Path, subject: Path, tmp_path: Path) -> None:
    asked = ["edit", "--image", photo, "--mask", subject, "--method", "recolour", "--set", "hue=90"]
    words = ["launch.py", *map(str, asked), "--out", str(tmp_path / "out.png")]
    lines = (
        "import sys",
        f"sys.argv = {words!r}",
        "from studio.cli.main import main",
        "try:",
        "    main()",
        "finally:",
        "    print(sorted({'torch', 'diffusers', 'gradio'} & set(sys.modules)))",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_methods_say_which_need_no_model(run: Run) -> None:
    told = {entry["name"]: entry for entry in run("methods", "--json").json}
    assert told["recolour"]["needs_model"] is False and told["layered"]["needs_model"] is True
    assert "By hand, without a model" in run("methods").out
