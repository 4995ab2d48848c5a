"""Where a command writes: never over what it reads, under a name that fits, and saying what was there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.pictures import encode_mask, encode_png
from tests.studio.cli.conftest import Run
from tests.studio.cli.test_cli_damaged import folder


@pytest.mark.parametrize(
    ("kind", "name", "wanted"),
    [
        ("png", "a.jpg", ".png"),
        ("jpeg", "a.png", ".jpg or .jpeg"),
        ("webp", "a", ".webp"),
        ("gif", "a.webp", ".gif"),
        ("webp-animation", "a.gif", ".webp"),
        ("psd", "a.ora", ".psd"),
        ("palimpsest", "a.zip", ".palimpsest"),
    ],
)
def test_a_file_is_not_written_under_the_name_of_another_kind(
    run: Run, tmp_path: Path, kind: str, name: str, wanted: str
) -> None:
    ran = run("export", "new", "--to", kind, "--out", tmp_path / name, "--data", tmp_path / "data")
    assert ran.code == 2 and f"a file of the kind {kind} ends in {wanted}; got" in " ".join(ran.err.split())
    assert not (tmp_path / name).exists() and not (tmp_path / "data").exists()


def test_what_is_written_over_is_said(run: Run, tmp_path: Path) -> None:
    data, out = folder(tmp_path), tmp_path / "a.PNG"
    first = run("export", "new", "--to", "png", "--out", out, "--data", data)
    again = run("export", "new", "--to", "png", "--out", out, "--data", data)
    assert first.code == again.code == 0, first.err + again.err
    assert first.err == "" and "was there already and is written over" in again.err


def test_a_command_does_not_write_over_what_it_reads(run: Run, tmp_path: Path) -> None:
    data, file = folder(tmp_path), tmp_path / "new.palimpsest"
    assert run("export", "new", "--to", "palimpsest", "--out", file, "--data", data).code == 0
    image, mask, link = tmp_path / "a.png", tmp_path / "mask.png", tmp_path / "link.png"
    image.write_bytes(encode_png(np.zeros((32, 32, 3), np.uint8)))
    mask.write_bytes(encode_mask(np.eye(32, dtype=bool)))
    link.symlink_to(image)
    before = {path: path.read_bytes() for path in (file, image, mask)}
    for command in (
        ["export", file, "--to", "palimpsest", "--out", file],
        ["replay", file, "--out", file],
        ["segment", "--image", image, "--click", "5,5", "--out", image],
        ["segment", "--image", image, "--click", "5,5", "--out", link],
        ["segment", "--image", image, "--mask", mask, "--out", mask],
        ["edit", "--image", image, "--mask", mask, "--subject", "a dog", "--out", image],
        ["edit", "--image", image, "--mask", mask, "--subject", "a dog", "--out", tmp_path / "." / "mask.png"],
        ["edit", "--image", image, "--subject-image", mask, "--out", mask],
    ):
        ran = run(*command)
        assert ran.code == 2 and "is what the command reads" in " ".join(ran.err.split()), ran.err
    assert {path: path.read_bytes() for path in before} == before
