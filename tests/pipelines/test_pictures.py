"""What comes in as a file: every kind that is taken is normalised, every other kind is refused with words.

The case numbers (A01 ...) are those of the project's reliability notes.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from pipelines import pictures
from pipelines.colour_spaces import ColourSpace, profile
from pipelines.contract import Extent, Picture
from pipelines.errors import BadPicture
from pipelines.pictures import decode, decode_mask, digest, encode_mask, encode_png, small_mask, thumbnail

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ("PNG", "JPEG", "WEBP")


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def photograph(width: int = 96, height: int = 64) -> Picture:
    """Smooth colours with a little noise: compresses like a photograph, every corner different."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=-1)
    noise = np.random.default_rng(0).integers(-8, 9, base.shape)
    return np.clip(base + noise, 0, 255).astype(np.uint8)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_file(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow does not write. `colour`: 0 grey, 2 RGB."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def webp_header(width: int, height: int) -> bytes:
    """An extended WebP that promises a canvas and holds one tiny frame."""

    def riff(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<I", len(body)) + body

    def three(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(3, "little") for number in numbers)

    tiny = saved(Image.new("RGB", (16, 16)), "WEBP", lossless=True)[12:]
    canvas = riff(b"VP8X", struct.pack("<I", 2) + three(width - 1, height - 1))  # 2: animated
    frame = riff(b"ANMF", three(0, 0, 15, 15, 100) + b"\0" + tiny)
    return riff(b"RIFF", b"WEBP" + canvas + riff(b"ANIM", bytes(6)) + frame)


def jpeg_header(width: int, height: int) -> bytes:
    data = bytearray(saved(Image.new("RGB", (16, 16)), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def refused(data: bytes) -> str:
    """The message of the refusal: one line, without a path or an object's address."""
    with pytest.raises(BadPicture) as caught:
        decode(data)
    message = str(caught.value)
    assert "\n" not in message and "0x" not in message and "BytesIO" not in message
    return message


# ---------------------------------------------------------------------------------------------- what is taken


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_comes_back_as_rgb_of_the_same_size(file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    decoded = decode(saved(Image.fromarray(photograph()), file_format, **options))
    assert decoded.picture.shape == (64, 96, 3) and decoded.picture.dtype == np.uint8
    assert decoded.notes == ()
    if file_format == "JPEG":
        assert np.abs(decoded.picture.astype(int) - photograph()).mean() < 12
    else:
        np.testing.assert_array_equal(decoded.picture, photograph())


def test_the_content_decides_not_the_name() -> None:
    # There is no name to believe: decode takes bytes only.
    assert decode(saved(Image.fromarray(photograph()), "WEBP")).picture.shape == (64, 96, 3)


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (15, 15)])
def test_a_picture_of_a_few_pixels_is_refused(size: tuple[int, int]) -> None:
    message = refused(saved(Image.new("RGB", size), "PNG"))
    assert "at least 16 pixels" in message and f"{size[0]} x {size[1]}" in message


def test_the_smallest_picture_is_taken() -> None:
    assert decode(saved(Image.new("RGB", (16, 16)), "PNG")).picture.shape == (16, 16, 3)


@pytest.mark.parametrize("colour", [0, 255])
def test_a15_one_colour_is_a_picture(colour: int) -> None:
    assert np.all(decode(saved(Image.new("RGB", (32, 32), (colour,) * 3), "PNG")).picture == colour)


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("data", "came"),
    [
        (b"", "an empty file"),
        (b"x", "not a picture we know"),
        (b"<!DOCTYPE html><p>hello", "a text file"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "a text file"),
        (b"  <?xml version='1.0'?>", "a text file"),
        (b"just some words\n", "not a picture we know"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"SIMPLE  =                    T", "a FITS file"),
        (b"icns\0\0\0\x10", "an icon file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "damaged HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (b"PK\3\4", "a ZIP archive"),
    ],
)
def test_a01_other_files_are_named_and_refused(data: bytes, came: str) -> None:
    message = refused(data)
    assert came in message and "PNG, JPEG, WebP, AVIF, TIFF and HEIC" in message and "Export it" in message


@pytest.mark.parametrize("file_format", ["EPS", "GIF", "BMP", "PDF", "PPM", "ICO", "TGA", "JPEG2000"])
def test_a02_no_other_decoder_of_pillow_is_tried(file_format: str) -> None:
    message = refused(saved(Image.new("RGB", (32, 32), "red"), file_format))
    assert "PNG, JPEG, WebP, AVIF, TIFF and HEIC" in message


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("percent", [10, 50, 90, 99])
def test_a07_a_file_cut_short_is_refused(file_format: str, percent: int) -> None:
    whole = saved(Image.fromarray(photograph(400, 300)), file_format)
    assert "damaged or cut short" in refused(whole[: len(whole) * percent // 100])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("turned", [False, True])
def test_a_tiff_is_read_upright_in_8_bits(bits: int, turned: bool) -> None:
    levels = photograph(64, 48)
    wide = levels.astype(np.uint16) * 257 if bits == 16 else levels
    data = cv2.imencode(".tiff", cv2.cvtColor(wide, cv2.COLOR_RGB2BGR))[1].tobytes()
    if turned:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        data = saved(Image.open(io.BytesIO(data)), "TIFF", exif=exif)
    found = decode(data)
    assert np.array_equal(found.picture, np.rot90(levels, -1) if turned else levels)
    assert (found.notes == ("Reduced from 16 to 8 bits a channel.",)) == (bits == 16 and not turned)


@pytest.mark.parametrize("turned", [False, True])
def test_a_heic_is_read_upright_and_in_the_colours_of_its_profile(turned: bool) -> None:
    levels = np.full((48, 64, 3), 200, np.uint8)
    levels[:24, :32] = (40, 180, 40)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6 if turned else 1
    data = saved(Image.fromarray(levels), "HEIF", quality=100, chroma=444, exif=exif.tobytes())
    found = decode(data)
    assert found.picture.shape == ((64, 48, 3) if turned else (48, 64, 3))
    wanted = np.rot90(levels, -1) if turned else levels
    assert np.abs(found.picture.astype(int) - wanted).max() <= 6 and found.notes == ()
    wide = decode(
        saved(Image.fromarray(levels), "HEIF", quality=100, chroma=444, icc_profile=profile(ColourSpace.DISPLAY_P3))
    )
    assert wide.notes == ("Colours were converted from Display P3 to sRGB.",)
    assert wide.picture[5, 5][0] < levels[5, 5][0] - 20, "a green that wide is beyond sRGB"


def test_of_a_heic_with_several_pictures_the_main_one_is_used_and_what_is_clear_is_kept() -> None:
    first, second = (Image.new("RGB", (64, 48), colour) for colour in ("red", "blue"))
    data = saved(first, "HEIF", save_all=True, append_images=[second], primary_index=1)
    found = decode(data)
    assert found.picture[5, 5, 2] > 200 > found.picture[5, 5, 0]
    assert found.notes == ("This file has several pictures; only its main one is used.",)
    clear = np.dstack([np.full((48, 64, 3), 90, np.uint8), np.zeros((48, 64), np.uint8)])
    clear[:, :32, 3] = 255
    found = decode(saved(Image.fromarray(clear), "HEIF", quality=-1))
    assert found.master is not None and (found.master[:, :, 3] == clear[..., 3]).all()
    refused(data[: len(data) // 2])


def test_a_tiff_of_distances_is_refused_and_of_several_pages_the_first_is_used() -> None:
    assert "channels of 8 or 16 bits; this TIFF has others (F)" in refused(
        saved(Image.fromarray(photograph(32, 32)[..., 0].astype(np.float32)), "TIFF")
    )
    pages = [Image.fromarray(photograph(64, 48)), Image.new("RGB", (64, 48), "red")]
    found = decode(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert np.array_equal(found.picture, np.asarray(pages[0]))
    assert found.notes == ("This file has several pages; only its first is used.",)


def test_an_avif_is_read_nearly_as_it_was() -> None:
    levels = photograph(64, 48)
    found = decode(saved(Image.fromarray(levels), "AVIF", quality=95)).picture
    assert found.shape == levels.shape and np.abs(found.astype(int) - levels).mean() < 6


def test_a_png_with_flipped_bytes_is_refused() -> None:
    data = bytearray(saved(Image.fromarray(photograph()), "PNG"))
    data[60:80] = bytes(20)
    assert "damaged" in refused(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        png_file(20_000, 20_000, 8, 2, b""),
        png_file(12_000, 12_000, 8, 2, b""),
        png_file(8_193, 16, 8, 2, b""),
        png_file(16, 100_000_000, 8, 2, b""),
        png_file(1, 100_000_000, 8, 2, b""),
        png_file(2**31 - 1, 2**31 - 1, 8, 2, b""),
        png_file(8_000, 5_001, 8, 2, b""),
        webp_header(16_000, 16_000),
        webp_header(12_000, 12_000),
        jpeg_header(65_000, 65_000),
        jpeg_header(9_000, 100),
    ],
    ids=lambda data: f"{data[:4]!r}-{len(data)}",
)
def test_a03_a04_a_promise_of_too_many_pixels_is_refused(data: bytes) -> None:
    message = refused(data)
    assert "at most 40 million pixels and 8192 a side" in message and "Scale it down" in message


def test_exactly_the_limit_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", 64 * 64)
    monkeypatch.setattr(pictures, "LARGEST_SIDE", 64)
    assert decode(saved(Image.new("RGB", (64, 64)), "PNG")).picture.shape == (64, 64, 3)
    refused(saved(Image.new("RGB", (65, 16)), "PNG"))


def test_a03_bombs_do_not_cost_memory(tmp_path: Path) -> None:
    for number, data in enumerate(
        [png_file(20_000, 20_000, 8, 2, b""), webp_header(16_000, 16_000), jpeg_header(65_000, 65_000)]
    ):
        (tmp_path / str(number)).write_bytes(data)
    probe = (
        "import resource, sys; from pathlib import Path; from pipelines.pictures import decode;"
        "from pipelines.errors import BadPicture\n"
        "unit = 1024 if sys.platform == 'linux' else 2**20\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit\n"
        "before = peak()\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: decode(path.read_bytes())\n"
        "    except BadPicture: pass\n"
        "    else: sys.exit('not refused')\n"
        "print(peak() - before)"
    )
    run = subprocess.run([sys.executable, "-c", probe, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 20  # MB


def test_a05_pillows_bomb_warning_is_an_error() -> None:
    probe = (
        "import warnings, pipelines.pictures; from PIL import Image\n"
        "try: warnings.warn('x', Image.DecompressionBombWarning)\n"
        "except Image.DecompressionBombWarning: print('error')"
    )
    run = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "error", run.stderr


def test_our_limit_holds_when_warnings_are_silenced() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "12000 x 12000" in refused(png_file(12_000, 12_000, 8, 2, b""))


def test_a21_a_file_over_the_size_limit_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LARGEST_FILE", 2**20)
    assert "at most 1 MB" in refused(bytes(2**20 + 1))


@settings(max_examples=120, deadline=5_000, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_a22_mutated_files_are_taken_or_refused_never_anything_else(data: st.DataObject) -> None:
    mutated = bytearray(SEEDS[data.draw(st.integers(0, len(SEEDS) - 1))])
    for _ in range(data.draw(st.integers(1, 12))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = decode(bytes(mutated)).picture
    except BadPicture:
        return
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


# -------------------------------------------------------------------------------------------------- orientation


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a08_a_turned_picture_is_stored_upright(file_format: str, orientation: int) -> None:
    upright = np.zeros((48, 80, 3), np.uint8)
    upright[:24, :40], upright[:24, 40:], upright[24:, :40] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    as_stored = {  # how a camera held that way lays the upright picture out
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"quality": 98} if file_format == "JPEG" else {"lossless": True}
    data = saved(Image.fromarray(np.ascontiguousarray(as_stored)), file_format, exif=exif, **options)
    picture = decode(data).picture
    assert picture.shape == upright.shape
    assert np.abs(picture.astype(int) - upright).mean() < 4


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b""])
def test_broken_exif_is_no_reason_to_refuse(exif: bytes) -> None:
    data = saved(Image.fromarray(photograph()), "JPEG", exif=exif)
    assert decode(data).picture.shape == (64, 96, 3)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_impossible_orientation_means_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    assert decode(saved(Image.fromarray(photograph()), "PNG", exif=exif)).picture.shape == (64, 96, 3)


# ------------------------------------------------------------------------------------------------------ colours


def profile_bytes(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def adobe_like_profile() -> bytes:
    """sRGB's profile with the red and blue primaries exchanged: an RGB profile whose effect is visible."""
    data = bytearray(profile_bytes("sRGB"))
    count = struct.unpack(">I", data[128:132])[0]
    offsets = {bytes(data[132 + 12 * k : 136 + 12 * k]): 132 + 12 * k for k in range(count)}
    red, blue = offsets[b"rXYZ"], offsets[b"bXYZ"]
    data[red + 4 : red + 12], data[blue + 4 : blue + 12] = data[blue + 4 : blue + 12], data[red + 4 : red + 12]
    text = data.index("sRGB".encode("utf-16-be"))
    data[text : text + 8] = "Swap".encode("utf-16-be")
    return bytes(data)


def test_a10_cmyk_without_a_profile() -> None:
    decoded = decode(saved(Image.new("CMYK", (32, 32), (255, 0, 0, 0)), "JPEG", quality=100))
    red, green, blue = decoded.picture[16, 16]
    assert red < 40 and green > 200 and blue > 200 and decoded.notes == ()


def test_a10_cmyk_with_a_profile_for_other_channels_is_read_without_it() -> None:
    data = saved(Image.new("CMYK", (32, 32), (0, 255, 0, 0)), "JPEG", quality=100, icc_profile=profile_bytes("sRGB"))
    decoded = decode(data)
    assert decoded.picture[16, 16][1] < 40
    assert "profile" in decoded.notes[0] and "ignored" in decoded.notes[0]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a10_a_garbage_profile_is_ignored_with_a_note(file_format: str) -> None:
    decoded = decode(saved(Image.fromarray(photograph()), file_format, icc_profile=b"not a profile at all" * 9))
    assert decoded.picture.shape == (64, 96, 3)
    assert "ignored" in decoded.notes[0]


def test_a10_srgb_is_taken_as_it_is() -> None:
    decoded = decode(saved(Image.fromarray(photograph()), "PNG", icc_profile=profile_bytes("sRGB")))
    np.testing.assert_array_equal(decoded.picture, photograph())
    assert decoded.notes == ()


def test_a10_another_rgb_profile_is_converted() -> None:
    red = Image.new("RGB", (32, 32), (255, 0, 0))
    decoded = decode(saved(red, "PNG", icc_profile=adobe_like_profile()))
    assert tuple(decoded.picture[0, 0]) == pytest.approx((0, 0, 255), abs=3)
    assert "converted" in decoded.notes[0]


def test_a10_a_lab_profile_on_rgb_is_ignored() -> None:
    decoded = decode(saved(Image.fromarray(photograph()), "PNG", icc_profile=profile_bytes("LAB")))
    np.testing.assert_array_equal(decoded.picture, photograph())
    assert "ignored" in decoded.notes[0]


def test_a10_grey_with_an_rgb_profile() -> None:
    decoded = decode(saved(Image.new("L", (32, 32), 90), "JPEG", icc_profile=profile_bytes("sRGB"), quality=100))
    assert np.all(decoded.picture == 90) and decoded.notes == ()


# --------------------------------------------------------------------------------------------------------- alpha


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_a12_colour_under_transparency_never_shows(file_format: str) -> None:
    image = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 16, 32))
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    picture = decode(saved(image, file_format, **options)).picture
    assert tuple(picture[5, 25]) == (255, 255, 255) and tuple(picture[5, 5]) == (0, 0, 255)


def test_a12_half_transparent_is_mixed_with_white() -> None:
    picture = decode(saved(Image.new("RGBA", (16, 16), (255, 0, 0, 128)), "PNG")).picture
    assert tuple(picture[0, 0]) == pytest.approx((255, 127, 127), abs=1)


def test_a12_grey_with_alpha() -> None:
    image = Image.new("LA", (32, 32), (10, 0))
    image.paste((200, 255), (0, 0, 16, 32))
    picture = decode(saved(image, "PNG")).picture
    assert tuple(picture[5, 25]) == (255, 255, 255) and tuple(picture[5, 5]) == (200, 200, 200)


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"])
def test_a12_palette_with_a_transparent_entry(transparency: int | bytes) -> None:
    image = Image.new("P", (32, 32), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (0, 0, 16, 32))
    picture = decode(saved(image, "PNG", transparency=transparency)).picture
    assert tuple(picture[5, 25]) == (255, 255, 255) and tuple(picture[5, 5]) == (0, 0, 255)


def test_a12_a_transparent_colour_in_rgb_and_grey() -> None:
    rgb = saved(Image.new("RGB", (16, 16), (255, 0, 0)), "PNG", transparency=(255, 0, 0))
    grey = saved(Image.new("L", (16, 16), 7), "PNG", transparency=7)
    assert np.all(decode(rgb).picture == 255) and np.all(decode(grey).picture == 255)


def test_alpha_survives_a_profile_and_a_turn() -> None:
    image = Image.new("RGBA", (40, 20), (255, 0, 0, 0))
    image.paste((0, 255, 0, 255), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the stored left is the upright top
    picture = decode(saved(image, "PNG", exif=exif, icc_profile=profile_bytes("sRGB"))).picture
    assert picture.shape == (40, 20, 3)
    assert np.all(picture[:20] == (0, 255, 0)) and np.all(picture[20:] == 255)


# ------------------------------------------------------------------------------------------------------- 16 bits


def test_16_bit_grey_keeps_its_range() -> None:
    levels = np.linspace(0, 65_535, 64 * 64).reshape(64, 64).astype(np.uint16)
    decoded = decode(saved(Image.fromarray(levels), "PNG"))
    np.testing.assert_array_equal(decoded.picture[..., 0], np.round(levels / 257).astype(np.uint8))
    assert decoded.notes == ("Reduced from 16 to 8 bits a channel.",)


def test_16_bit_rgb() -> None:
    row = b"\0" + struct.pack(">HHH", 0xFFFF, 0x8000, 0) * 16
    decoded = decode(png_file(16, 16, 16, 2, row * 16))
    assert tuple(decoded.picture[0, 0]) == pytest.approx((255, 128, 0), abs=1)
    assert decoded.notes == ("Reduced from 16 to 8 bits a channel.",)


@pytest.mark.parametrize(("colour", "clear"), [(0, (0xFF12,)), (2, (0xFF12, 0, 0x0034))])
def test_a12_a_transparent_colour_in_16_bits(colour: int, clear: tuple[int, ...]) -> None:
    hidden = struct.pack(f">{len(clear)}H", *clear) * 8
    shown = struct.pack(f">{len(clear)}H", *[0x4040] * len(clear)) * 8
    transparency = chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
    picture = decode(png_file(16, 16, 16, colour, (b"\0" + hidden + shown) * 16, transparency)).picture
    assert np.all(picture[:, :8] == 255) and np.all(picture[:, 8:] == 0x40)


def test_one_bit() -> None:
    image = Image.new("1", (16, 16), 0)
    image.paste(1, (0, 0, 8, 16))
    picture = decode(saved(image, "PNG")).picture
    assert np.all(picture[:, :8] == 255) and np.all(picture[:, 8:] == 0)


# ------------------------------------------------------------------------------------------- frames and metadata


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
@pytest.mark.parametrize("frames", [2, 40])
def test_a13_only_the_first_frame_is_used(file_format: str, frames: int) -> None:
    colours = [(255, 0, 0), *[(0, 0, k) for k in range(frames - 1)]]
    images = [Image.new("RGB", (32, 32), colour) for colour in colours]
    options = {"lossless": True} if file_format == "WEBP" else {}
    decoded = decode(saved(images[0], file_format, save_all=True, append_images=images[1:], **options))
    assert np.all(decoded.picture == (255, 0, 0))
    assert decoded.notes == ("This file is animated; only its first frame is used.",)


def test_a_phones_jpeg_with_a_second_picture_inside_is_not_animated() -> None:
    images = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    decoded = decode(saved(images[0], "MPO", save_all=True, append_images=images[1:]))
    assert decoded.picture[16, 16][0] > 200 and decoded.notes == ()


def with_metadata() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "SECRET artist"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "SECRET <img src=x onerror=alert(1)>")
    text.add_itxt("workflow", "SECRET", zip=True)
    return saved(Image.fromarray(photograph()), "PNG", exif=exif, pnginfo=text, icc_profile=profile_bytes("sRGB"))


def test_a17_a18_nothing_but_pixels_is_kept() -> None:
    stored = encode_png(decode(with_metadata()).picture)
    assert b"SECRET" not in stored
    assert Image.open(io.BytesIO(stored)).info == {}
    assert {stored[k : k + 4] for k in range(len(stored) - 4)} & {b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"iCCP"} == set()


def test_a16_the_same_pixels_are_the_same_file() -> None:
    plain = saved(Image.fromarray(photograph()), "PNG", compress_level=1)
    one, other = encode_png(decode(with_metadata()).picture), encode_png(decode(plain).picture)
    assert plain != with_metadata() and one == other and digest(one) == digest(other)


# ------------------------------------------------------------------------------------------------------ encoding


def test_encode_and_decode_round_trip() -> None:
    np.testing.assert_array_equal(decode(encode_png(photograph())).picture, photograph())


def test_a_large_picture_is_packed_quickly_into_a_plain_file_of_the_same_pixels() -> None:
    large = photograph(1250, 801)
    packed = encode_png(large)
    np.testing.assert_array_equal(decode(packed).picture, large)
    assert encode_png(large.copy()) == packed
    at, chunks = 8, []
    while at < len(packed):
        length, kind = struct.unpack_from(">L4s", packed, at)
        chunks += [] if chunks and chunks[-1] == kind else [kind]
        at += 12 + length
    assert chunks == [b"IHDR", b"IDAT", b"IEND"], "as session files want it"
    well = saved(Image.fromarray(large), "PNG")
    assert len(packed) < 1.1 * len(well)


def test_a_picture_cut_out_of_another_encodes_as_its_copy() -> None:
    part = photograph()[8:40, 8:40]
    assert not part.flags.c_contiguous
    assert encode_png(part) == encode_png(part.copy())


def test_the_decoded_picture_can_be_written_to() -> None:
    picture = decode(encode_png(photograph())).picture
    picture[0, 0] = 0
    assert picture.flags.c_contiguous


def test_digest_is_sha256() -> None:
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(("size", "expected"), [((400, 100), (208, 52)), ((100, 400), (52, 208)), ((50, 40), (50, 40))])
def test_thumbnails_fit_and_are_never_enlarged(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = Image.open(io.BytesIO(thumbnail(photograph(*size), 208)))
    assert image.format == "JPEG" and image.size == expected


def test_masks_round_trip() -> None:
    mask = np.random.default_rng(1).random((40, 60)) > 0.5
    back = decode_mask(encode_mask(mask), Extent(60, 40))
    assert back.dtype == np.bool_
    np.testing.assert_array_equal(back, mask)


def test_a_mask_is_made_smaller_by_a_whole_factor_and_stays_where_it_was() -> None:
    mask = np.zeros((300, 400), np.bool_)
    mask[60:180, 100:300] = True
    small = np.asarray(Image.open(io.BytesIO(small_mask(encode_mask(mask), 150))))
    assert small.shape == (150, 200) and np.array_equal(small >= 128, mask[::2, ::2])
    assert np.asarray(Image.open(io.BytesIO(small_mask(encode_mask(mask), 4096)))).shape == mask.shape


def test_a_drawn_mask_may_be_grey_coloured_or_cut_out() -> None:
    grey = Image.new("L", (32, 32), 127)
    grey.paste(128, (0, 0, 16, 32))
    cut_out = Image.new("RGBA", (32, 32), (255, 255, 255, 0))
    cut_out.paste((255, 255, 255, 255), (0, 0, 16, 32))
    for image in (grey, cut_out):
        mask = decode_mask(saved(image, "PNG"), Extent(32, 32))
        assert mask[:, :16].all() and not mask[:, 16:].any()


LEFT = np.arange(32)[None, :].repeat(32, 0) < 16


def labelled(palette: tuple[int, ...]) -> Image.Image:
    image = Image.fromarray(LEFT.astype(np.uint8), "P")
    image.putpalette(palette)
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(LEFT),
        Image.fromarray(LEFT.astype(np.uint8)),
        Image.fromarray(LEFT * np.uint8(100)),
        Image.fromarray(LEFT.astype(np.uint16)),
        Image.fromarray(LEFT * np.uint16(255)),
        Image.fromarray(LEFT * np.uint16(65_535)),
        labelled((0, 0, 0, 1, 1, 1)),
        labelled((0, 0, 0, 128, 0, 0)),
        labelled((0, 0, 0, 255, 255, 255)),
        Image.fromarray(np.dstack([np.zeros((32, 32, 3), np.uint8), LEFT * np.uint8(255)])),
        Image.fromarray(np.dstack([np.full((32, 32), 255, np.uint8), LEFT * np.uint8(255)])),
    ],
    ids=[
        *("1 bit", "0 and 1", "0 and 100", "16 bits of 0 and 1", "16 bits of 0 and 255", "16 bits", "labels"),
        *("labels in dark red", "labels in white", "black that is clear elsewhere", "white that is clear elsewhere"),
    ],
)
def test_a_mask_is_understood_however_it_is_coded(image: Image.Image) -> None:
    np.testing.assert_array_equal(decode_mask(saved(image, "PNG"), Extent(32, 32)), LEFT)


def test_a_mask_in_which_nothing_is_bright_is_told_and_an_empty_one_is_empty() -> None:
    labels = Image.fromarray(LEFT.astype(np.uint8) + (np.arange(32) < 4).astype(np.uint8))
    with pytest.raises(BadPicture, match="The brightest level of this mask is 2, and the subject is what has 128"):
        decode_mask(saved(labels, "PNG"), Extent(32, 32))
    with pytest.raises(BadPicture, match="brightest level of this mask is 127"):
        decode_mask(saved(Image.new("L", (32, 32), 127), "PNG"), Extent(32, 32))
    assert not decode_mask(saved(Image.new("L", (32, 32), 0), "PNG"), Extent(32, 32)).any()


def test_what_was_transparent_is_told() -> None:
    clear = Image.new("RGBA", (32, 32), (10, 20, 30, 255))
    assert decode(saved(clear, "PNG")).notes == ()
    clear.putpixel((3, 3), (10, 20, 30, 128))
    decoded = decode(saved(clear, "PNG"))
    assert decoded.notes == ("Transparent parts were put on white.",) and tuple(decoded.picture[0, 0]) == (10, 20, 30)


def called(profile: bytes, name: str) -> bytes:
    """`profile` under another name of four letters."""
    old = "Swap" if "Swap".encode("utf-16-be") in profile else "sRGB"
    return profile.replace(old.encode("utf-16-be"), name.encode("utf-16-be"))


def test_a_profile_is_known_by_what_it_does_and_not_by_its_name() -> None:
    picture = Image.fromarray(photograph())
    own = decode(saved(picture, "PNG", icc_profile=called(profile_bytes("sRGB"), "Mine")))
    assert own.notes == () and np.array_equal(own.picture, photograph()), "which is sRGB by another name"
    named = decode(
        saved(Image.new("RGB", (32, 32), (200, 20, 20)), "PNG", icc_profile=called(adobe_like_profile(), "sRGB"))
    )
    assert named.notes == ("Colours were converted from the file's own profile to sRGB.",)
    assert named.picture[0, 0, 0] < named.picture[0, 0, 2], "which exchanges red and blue and is called sRGB"


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(BadPicture, match="60 x 40 pixels; this one is 40 x 60"):
        decode_mask(encode_mask(np.ones((60, 40), np.bool_)), Extent(60, 40))


SEEDS = (
    saved(Image.fromarray(photograph()), "PNG"),
    saved(Image.fromarray(photograph()), "JPEG"),
    saved(Image.fromarray(photograph()), "WEBP"),
    saved(Image.fromarray(photograph()).convert("RGBA"), "WEBP", lossless=True),
    saved(Image.fromarray(photograph()).convert("P"), "PNG", transparency=3),
    saved(Image.fromarray(photograph()).convert("CMYK"), "JPEG", icc_profile=adobe_like_profile()),
    with_metadata(),
)
