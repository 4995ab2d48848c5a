"""The pieces of PNG and JPEG files: what decides no pixel costs nothing, and what would cost too much is refused."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from pipelines.errors import BadPicture
from pipelines.picture_chunks import LARGEST_METADATA, MOST_PIECES, lean
from pipelines.pictures import decode, encode_png

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
NOT_FOR_EVER = 20.0
"""Seconds. Each of these took longer, up to minutes, when its pieces were read."""


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(before: bytes = b"", after: bytes = b"", **options: object) -> bytes:
    """The pixels as a PNG, with chunks before and after them."""
    data = saved(Image.fromarray(PIXELS), "PNG", **options)
    at, end = data.index(b"IDAT") - 4, data.rindex(b"IEND") - 4
    return data[:at] + before + data[at:end] + after + data[end:]


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(*segments: bytes, **options: object) -> bytes:
    """The pixels as a JPEG, with segments in front."""
    data = saved(Image.fromarray(PIXELS), "JPEG", **options)
    return data[:2] + b"".join(segments) + data[2:]


def scanned(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes that many times: nothing more to see, and all to be gone over."""
    data = saved(Image.new("L", (width, height), 90), "JPEG", progressive=True)
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:last] + data[last:end] * scans + data[end:]


@contextmanager
def in_time() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < NOT_FOR_EVER


def packed(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


BIG = LARGEST_METADATA + 1
STRANGE_PNGS = {
    "a text of 2 MB in 4 KB": png(chunk(b"zTXt", b"note\0\0" + packed(2 * 10**6))),
    "the same behind the pixels": png(after=chunk(b"zTXt", b"note\0\0" + packed(2 * 10**6))),
    "a text that unpacks to 80 MB": png(chunk(b"zTXt", b"note\0\0" + packed(80 * 2**20))),
    "an international one": png(chunk(b"iTXt", b"note\0\1\0\0\0" + packed(80 * 2**20))),
    "XMP that unpacks to far too much": png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed(BIG))),
    "EXIF as text that does": png(chunk(b"zTXt", b"Raw profile type exif\0\0" + packed(BIG))),
    "texts of every kind, damaged": png(chunk(b"zTXt", b"a") + chunk(b"iTXt") + chunk(b"tEXt", b"\xff" * 99)),
    "many texts": png(chunk(b"tEXt", b"a\0b") * (MOST_PIECES - 10)),
    "many texts behind the pixels": png(after=chunk(b"tEXt", b"a\0b") * (MOST_PIECES - 10)),
    "many pieces of its own": png(chunk(b"prVt") * (MOST_PIECES - 10)),
    "many empty pieces of pixels": png(after=chunk(b"IDAT") * 1_000),
    "a broken count of frames": png(chunk(b"acTL", b"1")),
}
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
STRANGE_JPEGS = {
    "EXIF in hundreds of parts": jpeg(*[segment(0xE1, b"Exif\0\0" + bytes(65_000))] * 900),
    "comments": jpeg(*[segment(0xFE, b"hello")] * (MOST_PIECES - 40)),
    "resources of another program": jpeg(*[segment(0xED, b"Photoshop 3.0\0" + b"8BIM" * 20)] * (MOST_PIECES - 40)),
    "megabytes of padding": jpeg(b"\xff" * 5_000_000),
    "megabytes of nothing": jpeg(bytes(5_000_000)),
    "a second picture behind the first": jpeg() + jpeg(segment(0xFE, b"x")) * 1_000,
    "pieces of a profile without end": jpeg(*[segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000))] * 900),
}


@pytest.mark.parametrize("name", STRANGE_PNGS)
def test_what_decides_no_pixel_of_a_png_costs_nothing(name: str) -> None:
    with in_time():
        np.testing.assert_array_equal(decode(STRANGE_PNGS[name]).picture, PIXELS)


@pytest.mark.parametrize("name", STRANGE_JPEGS)
def test_what_decides_no_pixel_of_a_jpeg_costs_nothing(name: str) -> None:
    plain = decode(jpeg()).picture
    with in_time():
        np.testing.assert_array_equal(decode(STRANGE_JPEGS[name]).picture, plain)


@pytest.mark.parametrize("kind", [b"tEXt", b"IDAT", b"prVt", b"iCCP", b"eXIf"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_more_chunks_than_any_encoder_writes_are_refused(kind: bytes, place: str) -> None:
    with in_time(), pytest.raises(BadPicture, match="PNG may have at most 65,536 chunks; this one has more"):
        decode(png(**{place: chunk(kind) * 500_000}))


@pytest.mark.parametrize("marker", [0xFE, 0xE1, 0xED, 0xDB])
def test_more_segments_than_any_encoder_writes_are_refused(marker: int) -> None:
    with in_time(), pytest.raises(BadPicture, match="JPEG may have at most 65,536 segments; this one has more"):
        decode(jpeg(segment(marker, b"Exif\0\0") * 500_000))


def test_a_jpeg_of_many_scans_is_refused_by_what_they_cost() -> None:
    with in_time(), pytest.raises(BadPicture, match="in at most 20 scans; this one has more"):
        decode(scanned(8_000, 5_000, 500))
    assert decode(scanned(64, 48, 500)).picture.shape == (48, 64, 3), "on a small picture they cost nothing"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"quality": 100}])
def test_the_jpegs_of_encoders_are_read_as_they_were(options: dict[str, object]) -> None:
    data = saved(Image.fromarray(PIXELS), "JPEG", **options)
    assert lean(data).data == data
    big = saved(Image.effect_noise((4_000, 3_000), 40).convert("RGB"), "JPEG", **options)
    assert lean(big).data == big


def test_a_profile_of_a_printers_size_is_read_and_a_larger_one_left_out_with_a_note() -> None:
    large = PROFILE + bytes(2 * 10**6)  # Pillow alone takes at most one million
    assert decode(png(icc_profile=large)).notes == ()
    decoded = decode(png(chunk(b"iCCP", b"icc\0\0" + packed(BIG))))
    np.testing.assert_array_equal(decoded.picture, PIXELS)
    assert "ignored" in decoded.notes[0]


@pytest.mark.parametrize("keyword", ["XML:com.adobe.xmp", "Raw profile type exif"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_text_that_says_which_way_is_up_is_heard(keyword: str, zipped: bool) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    told = {
        "XML:com.adobe.xmp": '<rdf:Description tiff:Orientation="6"/>',
        "Raw profile type exif": "\nexif\n  26\n" + exif.tobytes().hex(),
    }[keyword]
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt(keyword, told, zip=zipped)
    texts.add_text(keyword, told.replace("6", "3"), zip=zipped)
    data = saved(Image.fromarray(PIXELS), "PNG", pnginfo=texts)
    np.testing.assert_array_equal(decode(data).picture, np.rot90(PIXELS, -1))


def test_a_jpegs_own_metadata_still_decides_its_pixels() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = jpeg(exif=exif, icc_profile=PROFILE, comment=b"hello")
    assert decode(turned).picture.shape == (48, 32, 3)
    cmyk = saved(Image.new("CMYK", (32, 32), (255, 0, 0, 0)), "JPEG", quality=100)
    assert b"Adobe" in lean(cmyk).data and lean(cmyk).data == cmyk
    assert b"hello" in turned and b"hello" not in lean(turned).data
    assert lean(turned).data.count(b"ICC_PROFILE") == 1 and lean(turned).data.count(b"Exif\0\0") == 1


@pytest.mark.parametrize("cut", range(20, 400, 7))
def test_what_is_cut_short_stays_so(cut: int) -> None:
    for whole in (encode_png(PIXELS), png(chunk(b"tEXt", b"a\0b")), jpeg(segment(0xFE, b"x"), progressive=True)):
        with pytest.raises(BadPicture):
            decode(whole[: len(whole) - 12 - cut])
