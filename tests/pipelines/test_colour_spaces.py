"""Pictures in Display P3, Adobe RGB and a printer's CMYK, read and written: against the arithmetic of the definitions.

The profiles that are read here are written by the test in the older form (ICC version 2, a curve of 1,024 points), and
the reference is worked out in floating point from the matrices that CSS Color 4 publishes. Neither shares anything with
what is tested.
"""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from skimage import data
from skimage.color import deltaE_ciede2000, lab2xyz, xyz2lab

from pipelines.colour_spaces import ColourSpace, in_16_bits, in_space, opened, profile, space_of
from pipelines.contract import Picture
from pipelines.pictures import PROFILE_IGNORED, decode

P3, ADOBE, SRGB = ColourSpace.DISPLAY_P3, ColourSpace.ADOBE_RGB, ColourSpace.SRGB
TO_XYZ = {  # from linear light to XYZ under D65
    SRGB: np.array(
        [
            [0.41239080, 0.35758434, 0.18048079],
            [0.21263901, 0.71516868, 0.07219232],
            [0.01933082, 0.11919478, 0.95053215],
        ]
    ),
    P3: np.array(
        [[0.48657095, 0.26566769, 0.19821729], [0.22897456, 0.69173852, 0.07928691], [0.0, 0.04511338, 1.04394437]]
    ),
    ADOBE: np.array(
        [
            [0.57666904, 0.18555824, 0.18822865],
            [0.29734498, 0.62736357, 0.07529146],
            [0.02703136, 0.07068885, 0.99133754],
        ]
    ),
}
D50_COLUMNS = {  # the same under D50, as these profiles hold them
    P3: ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
    ADOBE: ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
}
D50_TO_D65 = np.array(
    [[0.95547342, -0.02309845, 0.06325924], [-0.02836971, 1.0099954, 0.02104144], [0.01231401, -0.02050765, 1.33036593]]
)
"""Bradford's, as CSS Color 4 has it."""
Levels = NDArray[np.float64]


def light(v: Levels, space: ColourSpace) -> Levels:
    if space is ADOBE:
        return v ** (563 / 256)
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def values(light: Levels, space: ColourSpace) -> Levels:
    light = np.clip(light, 0, 1)
    if space is ADOBE:
        return light ** (256 / 563)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def reference(picture: Picture, source: ColourSpace, to: ColourSpace) -> Levels:
    """`picture` of the space `source` in the space `to`, ``(H, W, 3)`` in [0, 1]."""
    across = np.linalg.inv(TO_XYZ[to]) @ TO_XYZ[source]
    return values(light(picture / 255, source) @ across.T, to)


def old_profile(space: ColourSpace) -> bytes:
    """An RGB profile of that space, by hand."""
    curve = np.round(light(np.linspace(0, 1, 1024), space) * 65_535).astype(">u2").tobytes()
    points = [b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65_536) for v in c)) for c in D50_COLUMNS[space]]
    trc = b"curv" + struct.pack(">II", 0, 1024) + curve
    tags = [*zip((b"rXYZ", b"gXYZ", b"bXYZ"), points, strict=True), (b"rTRC", trc), (b"gTRC", trc), (b"bTRC", trc)]
    return assembled(tags, b"mntrRGB XYZ ")


def assembled(own: list[tuple[bytes, bytes]], kinds: bytes) -> bytes:
    """An ICC profile of version 2 with these tags; `kinds` are its class, its colour space and the one between."""
    white = struct.pack(">3i", 63_190, 65_536, 54_061)
    name = b"desc" + struct.pack(">II", 0, 5) + b"Mine\0" + bytes(79)
    tags = [(b"desc", name), (b"cprt", b"text" + bytes(4) + b"none\0\0\0\0"), (b"wtpt", b"XYZ " + bytes(4) + white)]
    tags += [(tag, content + bytes(-len(content) % 4)) for tag, content in own]
    at, table, body = 132 + 12 * len(tags), b"", b""
    for tag, content in tags:
        table += tag + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4sI12s12s4s", at + len(body), bytes(4), 0x02100000, kinds, bytes(12), b"acsp")
    return head + bytes(28) + white + bytes(48) + struct.pack(">I", len(tags)) + table + body


INK = np.array([[-60, -30, -25], [-60, 45, -5], [-15, -15, 30], [-120, 0, 0]])
"""What full cyan, magenta, yellow and black take off white paper, in 8-bit CIELAB; all of them together are black."""
PAPER = np.array([255, 128, 128])


def printer_profile() -> bytes:
    """An ICC profile of a printer whose inks add up: a table of the sixteen ways to print all or none of each."""
    full = np.array(list(np.ndindex(2, 2, 2, 2)))
    straight = bytes(range(256))
    matrix = struct.pack(">9i", *(65_536 * (k % 4 == 0) for k in range(9)))
    table = (PAPER + full @ INK).astype(np.uint8).tobytes()
    look_up = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + 4 * straight + table + 3 * straight
    return assembled([(b"A2B0", look_up)], b"prtrCMYKLab ")


def as_file(picture: Picture, icc: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", icc_profile=icc)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def colours() -> Picture:
    """A photograph above every 17th level of red, green and blue."""
    steps = np.arange(0, 256, 17).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 64, 3)
    photograph = np.asarray(Image.fromarray(data.coffee()).resize((64, 64)))
    return np.concatenate([photograph, cube])


def apart(one: Levels, other: Levels, space: ColourSpace) -> Levels:
    """CIEDE2000 of each pixel of two pictures in `space`, ``(H, W, 3)`` in [0, 1]."""
    seen = [xyz2lab(light(levels, space) @ TO_XYZ[space].T) for levels in (one, other)]
    return np.asarray(deltaE_ciede2000(*seen))


@pytest.mark.parametrize("space", [P3, ADOBE])
def test_a_picture_in_a_wide_space_is_read_as_its_definition_says(space: ColourSpace, colours: Picture) -> None:
    read, wanted = decode(as_file(colours, old_profile(space))), reference(colours, space, SRGB)
    error, unread = apart(read.picture / 255, wanted, SRGB), apart(colours / 255, wanted, SRGB)
    print(f"{space} to sRGB: CIEDE2000 mean {error.mean():.3f}, most {error.max():.3f}; unconverted {unread.max():.1f}")
    assert error.max() < 1 and unread.mean() > 1
    name = {P3: "Display P3", ADOBE: "Adobe RGB (1998)"}[space]
    assert read.notes == (f"Colours were converted from {name} to sRGB.",), "though the file calls it otherwise"


def test_a_picture_for_print_is_read_as_its_profile_says() -> None:
    inks = np.stack(np.meshgrid(*[[0, 80, 160, 240]] * 4), axis=-1).reshape(16, 16, 4).astype(np.uint8)
    patches = inks.repeat(16, 0).repeat(16, 1)  # whole blocks, which a JPEG keeps
    buffer = io.BytesIO()
    Image.fromarray(patches, "CMYK").save(buffer, "JPEG", quality=100, icc_profile=printer_profile())
    read = decode(buffer.getvalue())
    assert read.notes == ("Colours were converted from the file's own profile to sRGB.",)
    lab = (PAPER + inks / 255 @ INK) * [100 / 255, 1, 1] - [0, 128, 128]
    xyz = lab2xyz(lab, illuminant="D50") @ D50_TO_D65.T
    wanted = xyz @ np.linalg.inv(TO_XYZ[SRGB]).T
    within = ((wanted > 0) & (wanted < 1)).all(-1)  # what is beyond sRGB is clipped
    error = apart(read.picture[8::16, 8::16] / 255, values(wanted, SRGB), SRGB)[within]
    print(f"CMYK to sRGB: CIEDE2000 mean {error.mean():.3f}, most {error.max():.3f} of {within.sum()} patches")
    assert within.sum() > 60 and error.max() < 1


@pytest.mark.parametrize("space", [P3, ADOBE])
def test_a_picture_is_written_in_a_wide_space_as_well_as_eight_bits_can(space: ColourSpace, colours: Picture) -> None:
    wanted = reference(colours, SRGB, space)
    error = apart(in_space(colours, space) / 255, wanted, space)
    rounding = apart(np.round(wanted * 255) / 255, wanted, space)
    print(f"sRGB to {space}: CIEDE2000 mean {error.mean():.3f}, most {error.max():.3f}; 8 bits {rounding.max():.3f}")
    assert error.max() < max(1, rounding.max() + 0.01), "dark levels are far apart in Adobe RGB"


@pytest.mark.parametrize("space", [P3, ADOBE])
def test_in_sixteen_bits_a_picture_is_written_as_its_definition_says(space: ColourSpace, colours: Picture) -> None:
    error = apart(in_16_bits(colours, space) / 65_535, reference(colours, SRGB, space), space)
    print(f"sRGB to {space} in 16 bits: CIEDE2000 mean {error.mean():.4f}, most {error.max():.4f}")
    assert error.max() < 0.1


@pytest.mark.parametrize("space", ColourSpace)
def test_a_profile_is_read_by_others_and_known_again(space: ColourSpace) -> None:
    read = opened(profile(space))
    assert space_of(read) is space
    assert read.profile.version == 4.2 and read.profile.is_matrix_shaper
    primaries = np.array([read.profile.red_primary, read.profile.green_primary, read.profile.blue_primary])
    if space in D50_COLUMNS:
        np.testing.assert_allclose(primaries[:, 0], D50_COLUMNS[space], atol=2e-4)
    assert space_of(opened(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())) is SRGB


def test_a_picture_without_a_wide_profile_stays_as_it_is(colours: Picture) -> None:
    for icc, notes in ((profile(SRGB), ()), (b"no profile", (PROFILE_IGNORED,))):
        read = decode(as_file(colours, icc))
        np.testing.assert_array_equal(read.picture, colours)
        assert read.notes == notes
