from __future__ import annotations

import io
import random
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipelines.colour_spaces import ColourSpace, profile
from pipelines.contract import Picture
from pipelines.pictures import decode
from studio.errors import UnknownTurn
from studio.exports.pictures import (
    KEYWORD,
    PictureFormat,
    RecipeTooLong,
    export_fine,
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
    assert read_recipe(data) == told
    assert record.sid.encode() not in data


def test_a_png_holds_the_very_pixels_and_the_others_nearly(record: Record, photo: Picture) -> None:
    told = recipe(record, record.tree.current)
    errors = {
        file_format: float(
            np.abs(np.asarray(opened(export_picture(photo, file_format, told))) - photo.astype(int)).mean()
        )
        for file_format in PictureFormat
    }
    assert errors[PictureFormat.PNG] == 0
    assert max(errors.values()) < 8


def test_without_metadata_a_file_holds_pixels_what_their_colours_are_and_nothing_else(photo: Picture) -> None:
    names = {f: chunk_names(export_picture(photo, f, None)) for f in PictureFormat}
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
        assert not image.getexif()
        assert not {"exif", "xmp", "comment", KEYWORD} & set(image.info)
        assert image.info["icc_profile"] == profile(ColourSpace.SRGB), "the same in every file"
        assert read_recipe(data) is None


@pytest.mark.parametrize("file_format", PictureFormat)
@pytest.mark.parametrize("colours", ColourSpace)
def test_the_chosen_colours_are_in_the_file_and_come_back(
    file_format: PictureFormat, colours: ColourSpace, photo: Picture
) -> None:
    data = export_picture(photo, file_format, None, colours)
    assert opened(data).info["icc_profile"] == profile(colours)
    back, stored = decode(data).picture.astype(int), np.asarray(opened(data)).astype(int)
    assert np.abs(back - photo).mean() < (1 if file_format is PictureFormat.PNG else 8)
    if file_format is PictureFormat.PNG and colours is not ColourSpace.SRGB:
        assert np.abs(stored - photo).mean() > 2, "the file holds other numbers"


def test_a_fine_file_has_sixteen_bits_and_its_profile_and_comes_back(photo: Picture) -> None:
    data = export_fine(photo, ColourSpace.ADOBE_RGB)
    assert chunk_names(data)[:2] == [b"IHDR", b"iCCP"] and data[24] == 16
    assert opened(data).info["icc_profile"] == profile(ColourSpace.ADOBE_RGB)
    back = decode(data)
    assert np.abs(back.picture.astype(int) - photo).mean() < 1
    assert "Colours were converted from Adobe RGB (1998) to sRGB." in back.notes


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
