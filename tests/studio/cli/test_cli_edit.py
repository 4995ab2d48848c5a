"""``edit`` and ``segment`` on the real engine: what they write, what they print, what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.contract import Extent, Scope
from pipelines.errors import BadRequest
from pipelines.models.folders import find_model
from pipelines.models.loader import load_bundle
from pipelines.pictures import decode, decode_mask, encode_mask, encode_png
from studio.cli.edit import described
from studio.settings import ASSETS
from tests.pipelines.models.loras import as_kohya, parts_of, update_for, write
from tests.studio.cli.conftest import Run

EXAMPLE = ASSETS / "examples" / "duck-on-the-beach.png"


@pytest.fixture
def asked(photo: Path, subject: Path, tiny: Path) -> list[object]:
    """A whole edit but for ``--out``; small enough for a second."""
    quick = ["--quality", "draft", "--set", "steps=2", "--method", "inpaint"]
    texts = ["--subject", "a blue dog", "--background", "in a forest"]
    return ["edit", "--image", photo, "--mask", subject, "--model", tiny, *texts, *quick]


def test_one_json_object_says_everything(run: Run, asked: list[object], tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    ran = run(*asked, "--out", out, "--seed", 11, "--json")
    assert ran.code == 0, ran.err
    told = ran.json
    assert set(told) == {
        *("model", "method", "quality", "seed", "stages", "seconds", "mask", "changed_outside", "candidates"),
        *("peak_memory_mb", "in_float32", "reconstruction", "weights_before", "weights_after"),
    }
    assert (told["model"], told["method"], told["quality"], told["seed"]) == ("tiny", "inpaint", "draft", 11)
    assert told["stages"][0]["name"] == "denoise"
    assert told["stages"][0]["steps"] == 2
    assert told["stages"][0]["seconds"] > 0
    assert told["mask"] == {"area": 144, "share": 0.1125}
    assert told["weights_before"] == told["weights_after"] != ""
    assert 50 < told["peak_memory_mb"] < 100_000
    assert decode(out.read_bytes()).picture.shape == (32, 40, 3)


def test_the_kept_pixels_are_counted_truly(run: Run, asked: list[object], photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    told = run(*asked, "--scope", "subject", "--out", out, "--json").json
    before, after = (decode(path.read_bytes()).picture.astype(int) for path in (photo, out))
    far = np.ones((32, 40), bool)
    far[2:26, 8:32] = False  # well beyond the seam
    assert np.abs(before - after)[far].max() == told["changed_outside"]["max"] == 0
    assert told["changed_outside"]["count"] == 0
    assert np.abs(before - after)[~far].max() > 0


def test_same_seed_same_bytes_other_seed_other_bytes(run: Run, asked: list[object], tmp_path: Path) -> None:
    pictures = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run(*asked, "--seed", seed, "--out", tmp_path / f"{name}.png").code == 0
        pictures.append((tmp_path / f"{name}.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_candidates_lie_side_by_side(run: Run, asked: list[object], tmp_path: Path) -> None:
    told = run(*asked, "--candidates", 3, "--seed", 5, "--out", tmp_path / "dog.png", "--json").json
    names = ["dog.png", "dog-2.png", "dog-3.png"]
    assert [(Path(c["out"]).name, c["seed"]) for c in told["candidates"]] == list(zip(names, (5, 6, 7), strict=True))
    assert len({(tmp_path / name).read_bytes() for name in names}) == 3


def test_a_person_is_told_in_words_and_sees_progress(run: Run, asked: list[object], tmp_path: Path) -> None:
    ran = run(*asked, "--out", tmp_path / "out.png")
    assert "kept pixels changed" in ran.out
    assert "{" not in ran.out
    assert "denoise: 2 of 2" in ran.err


def test_layered_runs_all_its_stages_without_a_browser(run: Run, asked: list[object], tmp_path: Path) -> None:
    few = [f"--set={name}=1" for name in ("embed_steps", "tune_steps", "steps")]
    told = run(
        *asked, "--method", "layered", "--quality", "standard", *few, "--out", tmp_path / "out.png", "--json"
    ).json
    assert {"embeddings", "fine-tune", "guidance"} <= {stage["name"] for stage in told["stages"]}
    assert told["weights_before"] == told["weights_after"]


def test_a_picture_of_the_background_stands_for_its_text(
    run: Run, photo: Path, subject: Path, tiny: Path, tmp_path: Path
) -> None:
    meadow = tmp_path / "meadow.png"
    meadow.write_bytes(encode_png(np.full((32, 40, 3), (20, 160, 40), np.uint8)))
    few = [f"--set={name}=1" for name in ("embed_steps", "tune_steps", "steps")]
    files = ["--image", photo, "--mask", subject, "--background-image", meadow, "--out", tmp_path / "out.png"]
    ran = run("edit", *files, "--model", tiny, "--quality", "draft", *few, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["method"] == "layered"


def test_clicks_find_the_subject_of_an_example(run: Run, tiny: Path, tmp_path: Path) -> None:
    texts = ["--subject", "a blue dog", "--set", "steps=1", "--method", "inpaint", "--model", tiny]
    ran = run("edit", "--image", EXAMPLE, "--click", "137,160", *texts, "--out", tmp_path / "out.png", "--json")
    assert ran.code == 0, ran.err
    assert 0.03 < ran.json["mask"]["share"] < 0.4


def test_segment_writes_the_mask_and_names_the_choices(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "mask.png"
    ran = run("segment", "--image", EXAMPLE, "--click", "137,160", "--exclude", "5,5", "--out", out, "--json")
    assert ran.code == 0, ran.err
    extent = Extent.of(decode(EXAMPLE.read_bytes()).picture)
    mask = decode_mask(out.read_bytes(), extent)
    assert not mask[5, 5]
    assert ran.json["mask"]["area"] == mask.sum() > 0
    assert ran.json["choices"]


def test_segment_adjusts_a_given_mask(run: Run, photo: Path, subject: Path, tmp_path: Path) -> None:
    out = tmp_path / "mask.png"
    ran = run("segment", "--image", photo, "--mask", subject, "--invert", "--out", out, "--json")
    assert ran.code == 0, ran.err
    inverted = decode_mask(out.read_bytes(), Extent(40, 32))
    np.testing.assert_array_equal(inverted, ~decode_mask(subject.read_bytes(), Extent(40, 32)))
    assert ran.json["choices"] == []


@pytest.mark.parametrize(
    ("subject", "background", "of_subject", "of_background", "expected"),
    [
        ("a cat", "", None, None, Scope.SUBJECT),
        ("", "at night", None, None, Scope.BACKGROUND),
        ("", "", None, Path("b.png"), Scope.BACKGROUND),
        ("", "", Path("a.png"), None, Scope.SUBJECT),
        ("a cat", "at night", None, None, Scope.BOTH),
        ("a cat", " ", None, Path("b.png"), Scope.BOTH),
        ("", "at night", Path("a.png"), None, Scope.BOTH),
    ],
)
def test_what_was_described_is_what_may_change(
    subject: str, background: str, of_subject: Path | None, of_background: Path | None, expected: Scope
) -> None:
    assert described(subject, background, of_subject, of_background) is expected


def test_nothing_described_is_nothing_asked() -> None:
    with pytest.raises(BadRequest, match="--subject TEXT"):
        described(" ", "", None, None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["--method", "magic"], "layered, sdedit, inpaint"),
        (["--model", "nonesuch"], "no text-to-image model called 'nonesuch'"),
        (["--device", "abacus"], "abacus"),
        (["--set", "steps=0"], "between 1 and 1000"),
        (["--set", "steps=NaN"], "steps"),
        (["--set", "steps=many"], "steps must be a number"),
        (["--set", "stairs=3"], "unknown setting stairs"),
        (["--set", "steps"], "name=value"),
        (["--click", "12"], "--click needs 2 numbers"),
        (["--click", "12,north"], "--click needs 2 numbers"),
        (["--click", "nan,3"], "--click needs 2 numbers"),
        (["--click", "400,3"], "between 0 and 40"),
        (["--click=-1,3"], "between 0 and 40"),
        (["--box", "10,10,5,5"], "right edge"),
        (["--grow", "999"], "between -200 and 200"),
        (["--seed", "-1"], "seed"),
        (["--candidates", "0"], "candidates"),
        (["--candidates", "999"], "candidates"),
        (["--subject", "", "--background", " "], "nothing was asked for"),
        (["--subject-image-mask", __file__], "give that too"),
        (["--subject", "a " * 5_000], "characters"),
        (["--quality", "perfect"], "draft"),
        (["--out", "out.jpg"], ".png"),
        (["--out", "no/such/folder/out.png"], "folder"),
        (["--image", "missing.png"], "missing.png"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_can_be_mended_is_refused_in_words(
    run: Run, asked: list[object], tmp_path: Path, changes: list[str], says: str
) -> None:
    ran = run(*asked, "--out", tmp_path / "out.png", *changes, "--json")
    assert ran.code == 2
    assert says in ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("selected", "says"), [(False, "nothing is selected"), (True, "whole picture is selected")], ids=["empty", "full"]
)
def test_a_mask_of_nothing_or_everything_is_refused(
    run: Run, asked: list[object], subject: Path, tmp_path: Path, selected: bool, says: str
) -> None:
    subject.write_bytes(encode_mask(np.full((32, 40), selected)))
    ran = run(*asked, "--out", tmp_path / "out.png")
    assert ran.code == 2
    assert says in ran.err


def test_a_subject_follows_a_picture_by_its_mask(
    run: Run, photo: Path, subject: Path, tiny: Path, tmp_path: Path
) -> None:
    cat, cut, out = tmp_path / "cat.png", tmp_path / "cut.png", tmp_path / "out.png"
    few = ["--set=start=composite", *(f"--set={name}=1" for name in ("embed_steps", "tune_steps", "steps"))]
    edit = ["edit", "--image", photo, "--mask", subject, "--model", tiny, "--quality", "draft", *few, "--out", out]
    follows = ["--subject-image", cat, "--subject-image-mask", cut]

    def made(around: int, inside: int, left: int) -> bytes:
        mask = np.zeros((20, 30), bool)
        mask[4:12, left : left + 4] = True
        cut.write_bytes(encode_mask(mask))
        cat.write_bytes(encode_png(np.where(mask[..., None], np.uint8(inside), np.uint8(around)).repeat(3, -1)))
        ran = run(*edit, *follows, "--json")
        assert ran.code == 0, ran.err
        return out.read_bytes()

    assert made(20, 200, 2) == made(90, 200, 12), "neither its place nor what is around it counts"
    assert made(20, 200, 2) != made(20, 90, 2)
    for mask, says in ((np.zeros((20, 30), bool), "nothing is selected in"), (np.ones((16, 16), bool), "as large as")):
        cut.write_bytes(encode_mask(mask))
        ran = run(*edit, *follows)
        assert ran.code == 2 and says in ran.err
    cat.write_bytes(EXAMPLE.read_bytes())
    ran = run(*edit, "--subject-image", cat, "--json")
    assert ran.code == 0, "the segmenter finds what is in the middle"


def test_no_pointing_at_all_is_refused(run: Run, photo: Path, tmp_path: Path) -> None:
    ran = run("edit", "--image", photo, "--subject", "a cat", "--out", tmp_path / "out.png")
    assert ran.code == 2
    assert "--click X,Y" in ran.err


@pytest.mark.parametrize("data", [b"", b"hello", b"<svg/>"], ids=["empty", "text", "svg"])
def test_a_file_that_is_no_picture_is_refused(run: Run, photo: Path, tmp_path: Path, data: bytes) -> None:
    photo.write_bytes(data)
    ran = run("segment", "--image", photo, "--click", "3,3", "--out", tmp_path / "mask.png")
    assert ran.code == 2
    assert ran.err.startswith("palimpsest: PNG, JPEG, WebP, AVIF, TIFF and HEIC pictures are read")
    assert len(ran.err.splitlines()) == 1


def test_what_was_done_to_the_picture_is_said(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "deep.png"
    Image.fromarray(np.full((32, 40), 30_000, np.uint16)).save(path)
    ran = run("segment", "--image", path, "--box", "2,2,20,20", "--out", tmp_path / "mask.png")
    assert "deep.png: Reduced from 16 to 8 bits a channel." in ran.err


def test_a_lora_from_a_file_changes_the_picture(run: Run, asked: list[object], tiny: Path, tmp_path: Path) -> None:
    bundle = load_bundle(find_model("tiny", (tiny.parent,)), torch.device("cpu"))
    file = write(tmp_path / "styles" / "pencil.safetensors", as_kohya(update_for(parts_of(bundle))))
    pictures = {}
    for name, lora in (("none", []), ("half", [f"{file}:0.5"]), ("whole", [file]), ("nothing", [f"{file}:0"])):
        ran = run(
            *asked, *(part for one in lora for part in ("--lora", one)), "--out", tmp_path / f"{name}.png", "--json"
        )
        assert ran.code == 0, ran.err
        assert ran.json["weights_before"] == ran.json["weights_after"]
        pictures[name] = (tmp_path / f"{name}.png").read_bytes()
    assert pictures["none"] == pictures["nothing"]
    assert len({pictures[name] for name in ("none", "half", "whole")}) == 3


@pytest.mark.parametrize(
    ("lora", "told"),
    [
        ("ghost", "no LoRA called 'ghost'"),
        ("tiny/unet", "no file or folder tiny/unet"),
        ("ghost:0.5", "no LoRA called 'ghost'"),
    ],
)
def test_a_lora_that_is_not_there(run: Run, asked: list[object], tmp_path: Path, lora: str, told: str) -> None:
    refused = run(*asked, "--lora", lora, "--out", tmp_path / "out.png")
    assert refused.code == 2 and told in refused.err and "Traceback" not in refused.err


def test_a_setting_without_effect_is_said_to_have_none(run: Run, asked: list[object], tmp_path: Path) -> None:
    ran = run(*asked, "--set", "paste_back=false", "--out", tmp_path / "out.png")
    assert ran.code == 0
    assert "paste_back has no effect here: this turn changes both parts" in ran.err
    assert "steps has no effect" not in ran.err


def test_a_negative_text_leads_away_and_says_what_it_cannot(run: Run, asked: list[object], tmp_path: Path) -> None:
    pictures = []
    for number, more in enumerate((["--negative", ""], ["--negative", "(snow:1.3)"])):
        out = tmp_path / f"{number}.png"
        ran = run(*asked, "--out", out, *more)
        assert ran.code == 0, ran.err
        assert ("--negative: “(snow:1.3)” is read as plain words: weights and options do nothing." in ran.err) is bool(
            number
        )
        pictures.append(out.read_bytes())
    assert pictures[0] != pictures[1]
    idle = run(*asked, "--out", tmp_path / "idle.png", "--negative", "snow", "--set", "guidance=1")
    assert "--negative: With a guidance of 1 nothing is led away from" in idle.err
    long = run(*asked, "--out", tmp_path / "long.png", "--negative", "x" * 1_001)
    assert long.code == 2 and "the negative text may have 1000 characters; got 1001" in long.err
