"""What an opened file had more of than 8 opaque bits: read, kept beside the original, and given back in exports."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from pipelines.colour_spaces import ColourSpace, in_16_bits, profile
from pipelines.contract import Extent, Picture
from pipelines.frames import Frame, Moves
from pipelines.masters import Pixels, Step, decode_master, encode_master, given_back
from pipelines.pictures import UPRIGHT, decode


def photograph(width: int = 64, height: int = 48) -> Pixels:
    """Every level of sixteen bits may occur, every corner is another one."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 65_535 // width, y * 65_535 // height, (x + y) * 65_535 // (width + height)], axis=-1)
    noise = np.random.default_rng(0).integers(-900, 900, base.shape)
    return np.clip(base + noise, 0, 65_535).astype(np.uint16)


def disc(width: int = 64, height: int = 48) -> np.ndarray:
    """An alpha in 8 bits: opaque within a circle, clear outside, and a soft rim between."""
    y, x = np.mgrid[0:height, 0:width]
    return np.round(np.clip((16 - np.hypot(x - width / 2, y - height / 2)) / 4 + 0.5, 0, 1) * 255).astype(np.uint8)


def cut_out() -> tuple[Picture, Pixels]:
    """A picture as it is opened from a file with an alpha, and its master."""
    pixels = np.dstack([(photograph() >> 8).astype(np.uint8), disc()])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    found = decode(buffer.getvalue())
    assert found.master is not None
    return found.picture, found.master


def step(picture: Picture, recolours: bool = False, frame: Frame | None = None) -> Step:
    return Step(picture, frame or Frame(Extent.of(picture)), recolours)


def laid_over(pixels: Pixels, below: Picture | int) -> np.ndarray:
    share = pixels[..., 3:] / 255
    return pixels[..., :3] * share + np.asarray(below) * (1 - share)


# --------------------------------------------------------------------------------------------------------- reading


def test_the_alpha_of_a_file_is_its_master_and_what_nobody_sees_is_white() -> None:
    picture, master = cut_out()
    assert master.dtype == np.uint8 and np.array_equal(master[..., 3], disc())
    assert (master[disc() == 0][:, :3] == 255).all(), "colours under what is clear stay behind"
    assert np.abs(laid_over(master, 255) - picture).max() <= 1
    opaque = Image.fromarray(np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]))
    buffer = io.BytesIO()
    opaque.save(buffer, "PNG")
    assert decode(buffer.getvalue()).master is None, "an alpha that says nothing is none"


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("alpha", [False, True])
def test_sixteen_bits_of_a_file_are_its_master(ending: str, alpha: bool) -> None:
    fine = photograph()
    stored = cv2.cvtColor(fine, cv2.COLOR_RGB2BGR)
    if alpha:
        stored = np.dstack([stored, disc().astype(np.uint16) * 257])
    found = decode(cv2.imencode(ending, stored)[1].tobytes())
    assert found.master is not None and found.master.dtype == np.uint16
    assert found.master.shape[2] == (4 if alpha else 3)
    seen = disc() > 0 if alpha else np.ones(fine.shape[:2], np.bool_)
    assert np.array_equal(found.master[seen][:, :3], fine[seen])


def test_sixteen_bits_of_another_space_come_in_srgb_and_those_of_an_unknown_one_do_not() -> None:
    wide = photograph()
    plain = cv2.imencode(".tiff", cv2.cvtColor(wide, cv2.COLOR_RGB2BGR))[1].tobytes()

    def named(about: bytes) -> bytes:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, wide, photometric="rgb", iccprofile=about)
        return buffer.getvalue()

    found = decode(named(profile(ColourSpace.DISPLAY_P3))).master
    assert found is not None
    assert np.array_equal(found, in_16_bits(wide, ColourSpace.SRGB, ColourSpace.DISPLAY_P3))
    assert not np.array_equal(found, decode(plain).master)
    # Whose curve is none of ours: only a whole colour engine could tell, and that has no 16 bits.
    steep = profile(ColourSpace.ADOBE_RGB).replace(round(563 / 256 * 65_536).to_bytes(4, "big"), bytes([0, 3, 0, 0]))
    assert decode(named(steep)).master is None


@pytest.mark.parametrize("orientation", [1, *UPRIGHT])
def test_a_master_is_upright_as_its_picture_is(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    fine = photograph()[..., 0]
    buffer = io.BytesIO()
    Image.fromarray(fine).save(buffer, "PNG", exif=exif)
    found = decode(buffer.getvalue())
    assert found.master is not None and np.abs(found.master // 257 - found.picture.astype(int)).max() <= 1


def test_grey_of_sixteen_bits_and_one_clear_level() -> None:
    buffer = io.BytesIO()
    Image.fromarray(photograph()[..., 0] | 1).save(buffer, "PNG", transparency=int(photograph()[5, 5, 0] | 1))
    found = decode(buffer.getvalue()).master
    assert found is not None and found.shape[2] == 4 and found[5, 5, 3] == 0 and found[40, 40, 3] == 65_535


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_master_is_kept_as_it_is(channels: int, kind: type) -> None:
    master = np.random.default_rng(1).integers(0, np.iinfo(kind).max, (20, 30, channels)).astype(kind)
    assert np.array_equal(decode_master(encode_master(master)), master)


# ------------------------------------------------------------------------------------------------------ giving back


def test_what_no_turn_changed_is_the_files_own_in_all_its_bits() -> None:
    fine = photograph()
    opened = decode(cv2.imencode(".png", cv2.cvtColor(fine, cv2.COLOR_RGB2BGR))[1].tobytes()).picture
    changed = opened.copy()
    changed[10:20, 10:20] = (1, 2, 3)
    found = given_back(fine, [step(opened), step(changed)], 16)
    inside = (changed != opened).any(-1)
    assert np.array_equal(found[~inside], fine[~inside])
    assert (found[10:20, 10:20] == np.array([1, 2, 3]) * 257).all()
    assert np.array_equal(given_back(fine, [step(opened), step(changed)], 8)[inside], changed[inside])


def test_sixteen_bits_go_along_where_a_picture_is_cropped_and_stay_behind_where_it_is_resized() -> None:
    fine = photograph()
    opened = (fine // 257).astype(np.uint8)
    cropped = Step(opened[4:40, 8:60], Frame(Extent(52, 36), Moves(c=-8, f=-4)))
    assert np.array_equal(given_back(fine, [step(opened), cropped], 16), fine[4:40, 8:60])
    small = cv2.resize(opened, (32, 24), interpolation=cv2.INTER_AREA)
    resized = Step(small, Frame(Extent(32, 24), Moves(a=0.5, e=0.5)))
    assert np.array_equal(given_back(fine, [step(opened), resized], 16), small.astype(np.uint16) * 257)


def test_an_unchanged_cut_out_comes_back_as_it_was() -> None:
    picture, master = cut_out()
    assert np.array_equal(given_back(master, [step(picture)], 8), master)


def test_a_turn_of_colours_alone_leaves_clear_what_was_clear_and_leaves_no_rim() -> None:
    picture, master = cut_out()
    darker = (picture // 2).astype(np.uint8)  # white too is grey now
    found = given_back(master, [step(picture), step(darker, recolours=True)], 8)
    assert np.array_equal(found[..., 3], disc())
    rim = (disc() > 60) & (disc() < 255)
    assert np.abs(found[rim][:, :3].astype(int) - master[rim][:, :3] // 2).max() <= 6, "a rim of its own colour"
    assert np.abs(laid_over(found, 127)[disc() > 0] - darker[disc() > 0]).max() <= 1.5


def test_a_drawn_background_is_opaque_up_to_the_subject_and_a_drawn_subject_keeps_its_rim() -> None:
    picture, master = cut_out()
    beach = np.round(laid_over(master, np.array([10, 90, 200]))).astype(np.uint8)
    found = given_back(master, [step(picture), step(beach)], 8)
    assert (found[..., 3] == 255).all() and np.array_equal(found[..., :3], beach)
    repainted = np.round(laid_over(np.dstack([np.full_like(picture, 60), disc()]), 255)).astype(np.uint8)
    found = given_back(master, [step(picture), step(repainted)], 8)
    assert np.array_equal(found[..., 3], disc())
    assert np.abs(found[disc() > 60][:, :3].astype(int) - 60).max() <= 3, "and no white of what it lay on"
    half = picture.copy()
    half[:, :32] = beach[:, :32]  # drawn on the left alone
    found = given_back(master, [step(picture), step(half)], 8)
    assert (found[:, :30, 3] == 255).all() and np.array_equal(found[:, 34:, 3], disc()[:, 34:])


def test_what_is_clear_goes_along_where_the_frame_changes_and_what_is_added_is_opaque() -> None:
    picture, master = cut_out()
    wider = cv2.copyMakeBorder(picture, 0, 0, 10, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    extended = Step(np.asarray(wider), Frame(Extent(74, 48), Moves(c=10)))
    found = given_back(master, [step(picture), extended], 8)
    assert (found[:, :10, 3] == 255).all() and np.array_equal(found[:, 10:], master)
    large = cv2.resize(picture, (128, 96), interpolation=cv2.INTER_CUBIC)
    found = given_back(master, [step(picture), Step(np.asarray(large), Frame(Extent(128, 96), Moves(a=2, e=2)))], 8)
    assert np.abs(found[::2, ::2, 3].astype(int) - disc()).mean() < 3 and found[48, 64, 3] == 255
    assert (found[0, :, 3] == 0).all() and (found[:, -1, 3] == 0).all(), "to the very edge"


def test_a_picture_that_is_half_clear_all_over_stays_so_where_nothing_was_drawn() -> None:
    pixels = np.dstack([(photograph() >> 8).astype(np.uint8), np.full((48, 64), 100, np.uint8)])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    found = decode(buffer.getvalue())
    drawn = found.picture.copy()
    drawn[:10] = 7
    assert found.master is not None
    back = given_back(found.master, [step(found.picture), step(drawn)], 8)
    assert (back[:10, :, 3] == 255).all() and np.array_equal(back[10:], pixels[10:])
