"""Bytes of a picture file to pixels and back: the one place where files of strangers are decoded.

A file is normalised once, at upload: first frame, upright, 8 bits, sRGB, opaque. Everything after that sees only
``(H, W, 3) uint8`` and files that `encode_png` wrote, so nobody else thinks about orientation, alpha or profiles. What
a file had more of, transparency or 16 bits, is its master, which exports go by (`pipelines.masters`).
Nothing of the original file but its pixels survives (no EXIF, text or profile).

This file imports no torch: the studio reads it. Drawing, resizing for the network and masks' shapes live elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin, UnidentifiedImageError
from pillow_heif import register_heif_opener

from pipelines.colour_spaces import DEFINITIONS, ColourSpace, converted, in_16_bits, opened, space_of
from pipelines.contract import Extent, Mask, Picture
from pipelines.errors import BadPicture
from pipelines.picture_chunks import lean

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "HEIF")
"""The only decoders that are ever tried, whatever a file is called: Pillow has dozens more, some of them dangerous."""
MODES = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "I;16", "I;16B", "I;16L"))
"""Pillow's names for channels of up to 16 bits; a TIFF may have others, such as distances in float."""
BITS_OF_TIFF, EXTRA_OF_TIFF = 258, 338
"""The tags that say how many a channel has, and what the channels beyond the colours are."""
STRAIGHT = 2
"""An alpha with which the colours were not multiplied."""
LARGEST_FILE = 64 * 2**20
"""Bytes."""
MOST_PIXELS = 40_000_000
LARGEST_SIDE = 8_192
SMALLEST_SIDE = 16

# Telephones add smaller pictures and depths to theirs, which nobody looks at here.
register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)

# Our own limits are far lower and are checked before decoding; this only keeps Pillow from going on after a warning.
warnings.simplefilter("error", Image.DecompressionBombWarning)

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what undoes it; 1 is upright."""

MAGIC = (
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF of a kind that is not read"),
    (b"MM\0*", "a TIFF of a kind that is not read"),
    (b"BM", "a BMP"),
    (b"8BPS", "a Photoshop document"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "a PostScript file"),
    (b"PK\3\4", "a ZIP archive"),
    (b"SIMPLE", "a FITS file"),
    (b"icns", "an icon file"),
    (b"<", "a text file (SVG, HTML or XML)"),
)
"""First bytes of files that people take for pictures we read, only to say what came."""


PACKED_QUICKLY = 1_000_000
"""Pixels from which a picture is packed seven times as fast, into a file as large: it is a photograph, in whose grain
there is nothing to find, and somebody waits."""
QUICKLY = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
BRIGHT = 128
"""The level, of 0 to 255, from which a mask's pixel is the subject's."""
LIKE = 1
"""Levels of 8 bits that the same pixel may differ by, read by two decoders."""
PROFILE_IGNORED = "The colour profile does not fit this picture and was ignored."
PROFILED = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""A profile's colour space to the mode it can be applied to."""


@dataclass(frozen=True)
class Decoded:
    """An upload, normalised. `notes` says in words what was changed, for the person who uploaded it."""

    picture: Picture
    notes: tuple[str, ...] = ()
    master: NDArray[Any] | None = None
    """``(H, W, 3 or 4) uint8 or uint16``, sRGB, straight alpha: the file's pixels where it is clear somewhere or has 16
    bits a channel; else ``None``."""


def decode(data: bytes) -> Decoded:
    """Pixels of a PNG, JPEG, WebP, AVIF, TIFF or HEIC file; transparent parts are put on white.

    Raises `BadPicture` for every other file, a damaged one, and one outside the limits above.
    """
    file = _opened(data)
    image, notes = file.image, file.notes
    profile, alpha = image.info.get("icc_profile"), _alpha(image)
    colour, profile_note = _srgb(_without_alpha(image), profile)
    picture = np.array(_over(colour, alpha, "white"), dtype=np.uint8)
    if profile_note:
        notes.append(profile_note)
    if alpha is not None:
        notes.append("Transparent parts were put on white.")
    return Decoded(picture, tuple(notes), _master(file, profile, np.asarray(colour), alpha))


def decode_mask(data: bytes, extent: Extent) -> Mask:
    """A mask from a picture file of exactly `extent`: bright and opaque is the subject.

    Where nothing is bright, what the file has two of tells: 0 and another level (as labels 0 and 1), or what is clear
    and what is not. Raises `BadPicture` as `decode` does, when the size is another one, and for more levels than two of
    which none is bright.
    """
    image = _opened(data).image
    if image.size != (extent.width, extent.height):
        raise BadPicture(
            f"A mask must be as large as its picture, {extent.width} x {extent.height} pixels; this one is "
            f"{image.width} x {image.height}. Export it at the picture's size."
        )
    raw, alpha = np.asarray(image) if image.mode.startswith("I;16") else None, _alpha(image)
    grey = image.mode in ("1", "L") and alpha is None and not image.info.get("icc_profile")
    flat = image if grey else _flat(image, background="black")
    levels = np.asarray(flat.convert("L"))
    if raw is not None and alpha is None and 0 < raw.max() < 256:  # eight bits in a file of sixteen
        levels = raw.astype(np.uint8)
    if not levels.any() and alpha is not None:
        levels = np.asarray(alpha)
    if levels.max() >= BRIGHT or not levels.any():
        return levels >= BRIGHT
    found = np.unique(levels)
    if len(found) > 2 or found[0] != 0:
        raise BadPicture(
            f"The brightest level of this mask is {found[-1]}, and the subject is what has {BRIGHT} or more. "
            "Export it white on black."
        )
    return levels > 0


def encode_png(picture: Picture) -> bytes:
    """A PNG with these pixels and nothing else: the same picture gives the same bytes."""
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3, (picture.dtype, picture.shape)
    if Extent.of(picture).area < PACKED_QUICKLY:
        return _saved(Image.fromarray(picture), "PNG")
    _, packed = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), QUICKLY)
    return packed.tobytes()


def encode_mask(mask: Mask) -> bytes:
    """A grey PNG, 255 for the subject and 0 elsewhere, as session files have them: 8 bits a pixel."""
    assert mask.dtype == np.bool_ and mask.ndim == 2, (mask.dtype, mask.shape)
    return _saved(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)), "PNG")


def small_mask(data: bytes, side: int) -> bytes:
    """What `encode_mask` gave, made smaller by a whole factor: its longer side has at least `side` pixels still."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    return _saved(image.reduce(max(1, max(image.size) // side)), "PNG")


def thumbnail(picture: Picture, side: int) -> bytes:
    """A JPEG whose longer side is at most `side` pixels; never enlarged."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _saved(image, "JPEG")


def small_webp(picture: Picture, side: int, most: int) -> bytes:
    """A WebP whose longer side is at most `side` pixels, of at most `most` bytes where 64 pixels a side can be."""
    while True:
        image = Image.fromarray(within(picture, side))
        for quality in (88, 75, 60):
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=quality)
            if buffer.tell() <= most or (side <= 64 and quality == 60):
                return buffer.getvalue()
        side = max(64, side * 3 // 4)


def within(picture: Picture, side: int) -> Picture:
    """The picture made smaller, until its longer side is at most `side` pixels; never enlarged."""
    if max(picture.shape[:2]) <= side:
        return picture
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(image)


def digest(data: bytes) -> str:
    """SHA-256 of a file's bytes, 64 hex digits: its name in the store."""
    return hashlib.sha256(data).hexdigest()


def _saved(image: Image.Image, file_format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


@dataclass(frozen=True, eq=False)
class _File:
    """The first frame, decoded and turned upright, still in the file's own colours."""

    image: Image.Image
    notes: list[str]
    data: bytes
    """What the decoder was given."""
    bits: int
    straight: bool
    """Whether its colours were not multiplied with their alpha."""
    turn: Image.Transpose | None
    """What turned it upright."""


def _opened(data: bytes) -> _File:
    if len(data) > LARGEST_FILE:
        raise BadPicture(
            f"A picture file may have at most {LARGEST_FILE >> 20} MB; this one has {len(data) / 2**20:.0f} MB. "
            "Save it smaller or as JPEG."
        )
    slim = lean(data)
    try:
        image: Image.Image = Image.open(io.BytesIO(slim.data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(_too_large("far more")) from None
    except UnidentifiedImageError:
        raise BadPicture(
            f"PNG, JPEG, WebP, AVIF, TIFF and HEIC pictures are read; this is {_guess(data)}. Export it as PNG and "
            "upload that."
        ) from None
    except Exception as error:
        raise _damaged() from error
    _check_size(image)
    if image.mode not in MODES:
        raise BadPicture(
            f"A picture has channels of 8 or 16 bits; this {image.format} has others ({image.mode}). Export it as PNG "
            "and upload that."
        )
    notes = []
    try:
        if slim.animated or getattr(image, "is_animated", False):
            notes.append(
                "This file has several pages; only its first is used."
                if image.format == "TIFF"
                else "This file has several pictures; only its main one is used."
                if image.format == "HEIF"
                else "This file is animated; only its first frame is used."
            )
        image.load()
    except Exception as error:
        raise _damaged() from error
    _check_size(image)  # that of a HEIC is known for certain only now
    if slim.profile_dropped:
        notes.append(PROFILE_IGNORED)
    bits = _bits(image, data)
    if bits == 16:
        notes.append("Reduced from 16 to 8 bits a channel.")
        if (
            image.mode == "RGB" and "transparency" in image.info
        ):  # Pillow reduces the pixels, not the colour that is clear
            image.info["transparency"] = tuple(level >> 8 for level in image.info["transparency"])
    turn = UPRIGHT.get(_orientation(image))
    upright = image if turn is None else image.transpose(turn)
    extra = image.tag_v2.get(EXTRA_OF_TIFF) if isinstance(image, TiffImagePlugin.TiffImageFile) else (STRAIGHT,)
    return _File(upright, notes, slim.data, bits, extra is None or extra[0] == STRAIGHT, turn)


def _bits(image: Image.Image, data: bytes) -> int:
    """Of a channel in the file, as far as it is one of which Pillow would keep eight of sixteen."""
    if image.format == "PNG":
        return data[24]  # IHDR's bit depth
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(map(int, image.tag_v2.get(BITS_OF_TIFF, (8,))))
    return 8


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width > LARGEST_SIDE or height > LARGEST_SIDE or width * height > MOST_PIXELS:
        raise BadPicture(_too_large(f"{width} x {height} ({width * height / 1e6:.1f} million)"))
    if width < SMALLEST_SIDE or height < SMALLEST_SIDE:
        raise BadPicture(
            f"A picture needs at least {SMALLEST_SIDE} pixels a side; this one has {width} x {height}. "
            "Upload a larger one."
        )


def _too_large(came: str) -> str:
    return (
        f"A picture may have at most {MOST_PIXELS // 1_000_000} million pixels and {LARGEST_SIDE} a side; "
        f"this one has {came}. Scale it down and upload it again."
    )


def _damaged() -> BadPicture:
    return BadPicture("A whole picture file is needed; this one is damaged or cut short. Export or download it again.")


def _guess(data: bytes) -> str:
    """What the bytes look like, in words."""
    if not data:
        return "an empty file"
    if data[4:8] == b"ftyp":
        return "a video, or a damaged HEIC"
    return next((name for magic, name in MAGIC if data.lstrip().startswith(magic)), "not a picture we know")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 when there is none or it cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  metadata is no reason to refuse good pixels
        return 1


def _flat(image: Image.Image, background: str) -> Image.Image:
    """`image` as opaque sRGB over `background`."""
    profile, alpha = image.info.get("icc_profile"), _alpha(image)
    return _over(_srgb(_without_alpha(image), profile)[0], alpha, background)


def _over(colour: Image.Image, alpha: Image.Image | None, background: str) -> Image.Image:
    if alpha is None:
        return colour
    flat = Image.new("RGB", colour.size, background)
    flat.paste(colour, mask=alpha)
    return flat


def _master(file: _File, profile: bytes | None, colour: Picture, alpha: Image.Image | None) -> NDArray[Any] | None:
    """`Decoded.master`, of the file's `colour` in sRGB in 8 bits. What is wholly clear is white there: whatever colour
    it has in the file, nobody was shown."""
    fine = _fine(file, profile) if file.bits == 16 else None
    if alpha is None:
        return fine
    pixels = np.dstack([colour, np.asarray(alpha)]) if fine is None else fine
    if pixels.shape[2] == 3:  # one colour of the file is the clear one
        pixels = np.dstack([pixels, np.asarray(alpha).astype(np.uint16) * np.uint16(257)])
    pixels[pixels[..., 3] == 0, :3] = np.iinfo(pixels.dtype).max
    return pixels


def _fine(file: _File, profile: bytes | None) -> NDArray[np.uint16] | None:
    """All 16 bits, which Pillow reads of grey alone; ``None`` where they cannot be told in sRGB, by a profile that is
    none of our spaces', or where they are not what the 8 bits are."""
    space = ColourSpace.SRGB
    try:
        if profile:
            named = space_of(opened(profile)) if file.image.mode.startswith("RGB") else None
            if named is None:
                return None
            space = named
        levels = cv2.imdecode(np.frombuffer(file.data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if levels is None or levels.dtype != np.uint16 or not file.straight:
        return None
    known = {2: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    channels = levels.shape[2] if levels.ndim == 3 else 2
    levels = _turned(np.asarray(cv2.cvtColor(levels, known[channels])), file.turn)
    pillows = np.asarray(_without_alpha(file.image).convert("RGB"))
    if levels.shape[:2] != pillows.shape[:2]:
        return None
    if np.abs(levels[::7, ::7, :3] // 257 - pillows[::7, ::7].astype(int)).max() > LIKE:
        return None
    levels = np.ascontiguousarray(levels)
    levels[..., :3] = in_16_bits(levels[..., :3], ColourSpace.SRGB, space)
    return levels


def _turned(pixels: NDArray[Any], turn: Image.Transpose | None) -> NDArray[Any]:
    """What Pillow's `Image.transpose` does, for pixels that it has no mode for."""
    match turn:
        case Image.Transpose.FLIP_LEFT_RIGHT:
            return pixels[:, ::-1]
        case Image.Transpose.FLIP_TOP_BOTTOM:
            return pixels[::-1]
        case Image.Transpose.TRANSPOSE:
            return pixels.swapaxes(0, 1)
        case Image.Transpose.TRANSVERSE:
            return pixels[::-1, ::-1].swapaxes(0, 1)
        case None:
            return pixels
    return np.rot90(pixels, {Image.Transpose.ROTATE_90: 1, Image.Transpose.ROTATE_180: 2}.get(turn, 3))


def _alpha(image: Image.Image) -> Image.Image | None:
    """Opacity as ``L``; ``None`` when every pixel is opaque."""
    if image.mode.startswith("I;16"):
        clear = image.info.get("transparency")
        if clear is None:
            return None
        alpha = Image.fromarray(np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8))
    elif image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
    else:
        return None
    return None if alpha.getextrema() == (255, 255) else alpha


def _without_alpha(image: Image.Image) -> Image.Image:
    """The colour channels alone, as ``L``, ``RGB`` or ``CMYK``: what a profile can be applied to."""
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((levels * 255 + 32_767) // 65_535).astype(np.uint8))
    image.info.pop("transparency", None)  # else convert() would mix it in
    if image.mode in ("1", "LA"):
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str | None]:
    """`image` in sRGB; a profile that is broken or made for other channels is ignored with a note."""
    if not profile:
        return image.convert("RGB"), None
    try:
        source = opened(profile)
        if source.profile.xcolor_space.strip() == "RGB" and image.mode == "L":  # grey written by an RGB program
            image = image.convert("RGB")
        if image.mode != PROFILED.get(source.profile.xcolor_space.strip()):
            return image.convert("RGB"), PROFILE_IGNORED
        space = space_of(source) if image.mode == "RGB" else None
        if space is ColourSpace.SRGB:
            return image, None
        own = "the file's own profile" if space is None else DEFINITIONS[space].name
        return converted(image, source, ColourSpace.SRGB), f"Colours were converted from {own} to sRGB."
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image.convert("RGB"), PROFILE_IGNORED
