from __future__ import annotations

import io
import random
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipelines.colour_spaces import ColourSpace, profile
from pipelines.contract import Picture
from pipelines.errors import BadParameter
from pipelines.pictures import decode
from studio.errors import UnknownTurn
from studio.exports.pictures import (
    DEEP,
    KEYWORD,
    LOSSY,
    Finish,
    PictureFormat,
    RecipeTooLong,
    export_picture,
    read_recipe,
    recipe,
)
from studio.history.turn import TurnRequest, turn_id
from studio.store.record import Record


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def chunk_names(data: bytes) -> list[bytes]:
    """Of a PNG or a WebP, or the markers of a JPEG before its pixels."""
    names, at = [], {b"\x89P": 8, b"RI": 12, b"\xff\xd8": 2}[data[:2]]
    while at < len(data) and (not names or names[-1] != b"\xff\xda"):
        if data[:2] == b"\xff\xd8":
            names.append(data[at : at + 2])
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
        elif data[:2] == b"RI":
            names.append(data[at : at + 4])
            size = struct.unpack_from("<L", data, at + 4)[0]
            at += 8 + size + size % 2
        else:
            names.append(data[at + 4 : at + 8])
            at += 12 + struct.unpack_from(">L", data, at)[0]
    return names


def test_the_recipe_is_the_way_from_the_original(record: Record) -> None:
    tree = record.tree
    told = recipe(record, tree.current)
    assert [turn["id"] for turn in told["turns"]] == list(tree.line(tree.current))
    assert told["turns"][0]["request"] is None
    parent = None
    for turn in told["turns"]:
        asked = turn["request"] and TurnRequest.from_json(turn["request"])
        assert turn_id(parent, asked, turn["picture"]) == turn["id"]  # nothing that determines a turn is left out
        parent = turn["id"]
    assert [turn["request"]["weights"] for turn in told["turns"][1:]] == ["abc", "abc"]
    assert len(recipe(record, tree.line(tree.current)[1])["turns"]) == 2
    with pytest.raises(UnknownTurn):
        recipe(record, "0" * 64)


@pytest.mark.parametrize("file_format", PictureFormat)
def test_a_recipe_reads_back_and_never_names_the_session(
    file_format: PictureFormat, record: Record, photo: Picture
) -> None:
    told = recipe(record, record.tree.current)
    data = export_picture(photo, file_format, told)
    assert opened(data).format == file_format.upper()
    assert read_recipe(data) == (None if file_format is PictureFormat.TIFF else told)
    assert record.sid.encode() not in data


def test_png_and_tiff_hold_the_very_pixels_and_the_others_nearly(record: Record, photo: Picture) -> None:
    told = recipe(record, record.tree.current)
    for file_format in PictureFormat:
        back = np.asarray(opened(export_picture(photo, file_format, told))).astype(int)
        assert np.abs(back - photo).mean() < (8 if file_format in LOSSY else 1e-9), file_format


def test_without_metadata_a_file_holds_pixels_what_their_colours_are_and_nothing_else(photo: Picture) -> None:
    names = {f: chunk_names(export_picture(photo, f, None)) for f in PictureFormat if f not in ("avif", "tiff")}
    assert names[PictureFormat.PNG] == [b"IHDR", b"iCCP", b"IDAT", b"IEND"]
    assert names[PictureFormat.WEBP] == [b"VP8X", b"ICCP", b"VP8 "]
    # JFIF, profile, tables, frame, scan: no EXIF or XMP (E1), no comment (FE).
    assert set(names[PictureFormat.JPEG]) == {
        b"\xff\xe0",
        b"\xff\xe2",
        b"\xff\xdb",
        b"\xff\xc0",
        b"\xff\xc4",
        b"\xff\xda",
    }
    for file_format in PictureFormat:
        data = export_picture(photo, file_format, None)
        image = opened(data)
        assert file_format is PictureFormat.TIFF or not image.getexif()
        assert not {"exif", "xmp", "comment", KEYWORD} & set(image.info)
        assert image.info["icc_profile"] == profile(ColourSpace.SRGB), "the same in every file"
        assert read_recipe(data) is None
        assert export_picture(photo, file_format, None) == data, "the same picture gives the same bytes"


@pytest.mark.parametrize("file_format", PictureFormat)
@pytest.mark.parametrize("colours", ColourSpace)
def test_the_chosen_colours_are_in_the_file_and_come_back(
    file_format: PictureFormat, colours: ColourSpace, photo: Picture
) -> None:
    data = export_picture(photo, file_format, None, Finish(colours=colours))
    assert opened(data).info["icc_profile"] == profile(colours)
    back, stored = decode(data).picture.astype(int), np.asarray(opened(data)).astype(int)
    assert np.abs(back - photo).mean() < (8 if file_format in LOSSY else 1)
    if file_format not in LOSSY and colours is not ColourSpace.SRGB:
        assert np.abs(stored - photo).mean() > 2, "the file holds other numbers"


@pytest.mark.parametrize("file_format", sorted(DEEP))
@pytest.mark.parametrize("colours", ColourSpace)
def test_sixteen_bits_come_back_with_their_profile(
    file_format: PictureFormat, colours: ColourSpace, photo: Picture
) -> None:
    fine = np.minimum(photo.astype(int) * 257 + 19, 65_535).astype(np.uint16)
    fine = np.dstack([fine, np.full(photo.shape[:2], 30_000, np.uint16)])
    data = export_picture(fine, file_format, None, Finish(colours=colours, bits=16))
    assert opened(data).info["icc_profile"] == profile(colours)
    back = decode(data).master
    assert back is not None and back.dtype == np.uint16 and (back[..., 3] == 30_000).all()
    assert np.abs(back[..., :3].astype(int) - fine[..., :3]).max() <= (0 if colours is ColourSpace.SRGB else 40)


@pytest.mark.parametrize("file_format", sorted({*PictureFormat} - {PictureFormat.JPEG}))
def test_what_is_clear_is_clear_in_the_file(file_format: PictureFormat, photo: Picture) -> None:
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[4:, 4:] = 255
    back = np.asarray(opened(export_picture(np.dstack([photo, alpha]), file_format, None)))
    assert (np.abs(back[..., 3].astype(int) - alpha) <= 2).mean() > 0.9
    assert np.abs(back[8:, 8:, :3].astype(int) - photo[8:, 8:]).mean() < 8


def test_a_size_is_a_share_or_a_longer_side_and_never_larger(photo: Picture) -> None:
    height, width = photo.shape[:2]
    for said, longer in (("50%", max(width, height) / 2), ("20", 20), ("100%", None), ("99999", None), ("1", 1)):
        image = opened(export_picture(photo, PictureFormat.PNG, None, Finish(size=said)))
        assert max(image.size) == round(longer or max(width, height)), said
    half = np.zeros((40, 40, 4), np.uint8)
    half[:, 1::2] = (200, 100, 50, 255)  # every second column is clear, and black there
    small = np.asarray(opened(export_picture(half, PictureFormat.PNG, None, Finish(size="50%"))))
    assert (small[..., :3] == (200, 100, 50)).all() and np.abs(small[..., 3].astype(int) - 128).max() <= 1


def test_quality_is_that_of_lossy_files(photo: Picture) -> None:
    for file_format in PictureFormat:
        sizes = [len(export_picture(photo, file_format, None, Finish(quality=quality))) for quality in (10, 95)]
        assert (sizes[0] < sizes[1]) == (file_format in LOSSY), file_format


@pytest.mark.parametrize("said", [{"size": "0"}, {"size": "0%"}, {"size": "101%"}, {"size": "-5"}, {"size": "half"},
                                  {"size": ""}, {"quality": 0}, {"quality": 101}, {"bits": 12}])  # fmt: skip
def test_what_no_file_can_be_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(BadParameter, match=f"^{next(iter(said))}.*got"):
        Finish(**said)  # type: ignore[arg-type]


def test_a_recipe_too_long_for_a_jpeg_is_refused_there_alone(photo: Picture) -> None:
    long = {"version": 1, "strokes": "0" * 70_000}
    with pytest.raises(RecipeTooLong, match="PNG or WebP"):
        export_picture(photo, PictureFormat.JPEG, long)
    assert read_recipe(export_picture(photo, PictureFormat.PNG, long)) == long
    assert read_recipe(export_picture(photo, PictureFormat.WEBP, long)) == long
    fits = {"version": 1, "strokes": "0" * 64_000}
    assert read_recipe(export_picture(photo, PictureFormat.JPEG, fits)) == fits


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 2}', "[" * 50_000, '{"version": 1', "9" * 9000])
def test_what_is_no_recipe_is_none(text: str, photo: Picture) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEYWORD, text)
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG", pnginfo=info)
    assert read_recipe(buffer.getvalue()) is None


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
def test_damaged_files_never_break_the_reader(record: Record, photo: Picture) -> None:
    draw = random.Random(4)
    told = recipe(record, record.tree.current)
    for file_format in PictureFormat:
        data = export_picture(photo, file_format, told)
        for _ in range(150):
            wrong = bytearray(data)
            for _ in range(draw.choice([1, 4])):
                wrong[draw.randrange(min(len(wrong), 3000))] = draw.randrange(256)
            found = read_recipe(bytes(wrong[: draw.randrange(len(wrong)) if draw.random() < 0.3 else None]))
            assert found is None or found["version"] == 1
    assert read_recipe(b"") is None
    assert read_recipe(b"GIF89a") is None
