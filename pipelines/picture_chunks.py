"""The pieces that PNG and JPEG files are made of, looked at before a decoder sees them: what decides no pixel is left
out, and what would cost far more than its bytes is refused.

Pillow goes through the pieces one by one in Python, and through metadata that nobody asks for: half a million short
texts, or a thousand parts of one EXIF block, take it minutes. A WebP is read by its own library, which does not.
Sizes of pictures are checked elsewhere (`pictures`).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import PngImagePlugin

from pipelines.errors import BadPicture

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
MOST_PIECES = 65_536
"""Chunks of a PNG, segments of a JPEG: an encoder that writes a kilobyte into each fills 64 MB with that many."""
MOST_SCANNED = 800_000_000
"""Scans of a JPEG times its pixels. Every scan goes over the whole picture, however few bytes it has; encoders write
about ten, so twenty are left to the largest picture."""
LARGEST_METADATA = 16 * 2**20
"""Bytes, unpacked. Profiles of printers have a few millions."""

# Pillow refuses a whole file for one text of more than 1 MB; longer ones than this never reach it.
PngImagePlugin.MAX_TEXT_CHUNK = LARGEST_METADATA
PngImagePlugin.MAX_TEXT_MEMORY = 4 * LARGEST_METADATA


@dataclass(frozen=True)
class Lean:
    """A file without what decides no pixel."""

    data: bytes
    animated: bool = False
    """Whether it had more frames than the one that is left."""
    profile_dropped: bool = False
    """Whether it had a colour profile that is too large to be one."""


def lean(data: bytes) -> Lean:
    """`data` as it is given to a decoder; any other file than a PNG or JPEG as it is, and what is cut short stays so.

    Raises `BadPicture` for too many chunks, segments or scans.
    """
    if data.startswith(PNG):
        return _lean_png(data)
    return Lean(_lean_jpeg(data)) if data.startswith(JPEG) else Lean(data)


# ---------------------------------------------------------------------------------------------------------- PNG

NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"IEND"})
"""Chunks of which the first decides pixels: their depth, colours, opacity and which way is up."""
TELLING = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
"""Keywords of texts that may say which way is up."""


def _lean_png(data: bytes) -> Lean:
    kept, seen = [PNG], set[bytes]()
    animated = dropped = False
    for kind, start, end in _png_chunks(data):
        body = data[start + 8 : min(end - 4, start + 8 + 80)]
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            said = next((keyword for keyword in TELLING if body.startswith(keyword)), None)
            if said is None or said in seen or not _unpacks(kind, data[start + 8 : end - 4]):
                continue
            seen.add(said)
        elif kind == b"acTL":
            animated = animated or struct.unpack(">I", body[:4].rjust(4, b"\0"))[0] > 1
            continue
        elif kind != b"IDAT":
            if kind not in NEEDED or kind in seen:
                continue
            seen.add(kind)
            if kind == b"iCCP" and not _unpacks(kind, data[start + 8 : end - 4]):
                dropped = True
                continue
        kept.append(data[start:end])
        if kind == b"IEND":
            break
    return Lean(b"".join(kept), animated, dropped)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, beginning and end of every chunk. A last one that is cut short ends where the file does."""
    at = len(PNG)
    for _ in range(MOST_PIECES):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at, (at := at + 12 + length)
    if at < len(data):
        raise _too_many("PNG", "chunks")


def _unpacks(kind: bytes, body: bytes) -> bool:
    """Whether what a chunk of metadata says, unpacked, is not too long. One that is damaged is not too long."""
    packed = body.partition(b"\0")[2][1:]
    if kind == b"iTXt":
        flagged = body.partition(b"\0")[2][:1] == b"\1"
        packed = packed[1:].partition(b"\0")[2].partition(b"\0")[2] if flagged else b""
    if kind == b"tEXt" or not packed:
        return len(body) <= LARGEST_METADATA
    try:
        return len(zlib.decompressobj().decompress(packed, LARGEST_METADATA + 1)) <= LARGEST_METADATA
    except zlib.error:
        return True


# --------------------------------------------------------------------------------------------------------- JPEG

MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
"""A marker that begins a segment: in the pixels, FF is followed by 00 or is one of the eight that restart a decoder."""
SCAN, END = 0xDA, 0xD9
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
ALONE = frozenset({0x01, 0xD8, END})
"""Markers without a length."""
METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})
SAYING = {
    0xE0: (b"JFIF\0",),
    0xE1: (b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"),
    0xE2: (b"ICC_PROFILE\0",),
    0xEE: (b"Adobe",),
}
"""The metadata that decides pixels: what the channels mean, and which way is up."""
MOST_OF_A_PROFILE = 255
"""Segments, as its own count of one byte allows."""


def _lean_jpeg(data: bytes) -> bytes:
    kept: list[bytes] = []
    seen: dict[bytes, int] = {}
    pixels = scans = at = 0
    for _ in range(MOST_PIECES):
        found = MARKER.search(data, at)
        if found is None:
            return b"".join(kept) + (data[at:] if scans else b"")
        if scans:
            kept.append(data[at : found.start()])  # the pixels of the scan before
        kind, start = found[1][0], found.start()
        at = found.end()
        if kind not in ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
        if kind in METADATA and not _says_something(kind, data[start + 4 : at], seen):
            continue
        kept.append(data[start:at])
        if kind == END:
            return b"".join(kept)
        if kind in FRAMES and not pixels:
            height, width = struct.unpack(">HH", data[start + 5 : start + 9].ljust(4, b"\0"))
            pixels = width * height
        scans += kind == SCAN
        if scans > 1 and scans * pixels > MOST_SCANNED:
            most = max(1, MOST_SCANNED // pixels)
            raise BadPicture(
                f"A JPEG of this size may be stored in at most {most} scans; this one has more, which takes far longer "
                "to read than its pixels are worth. Save it again, as PNG or as a plain JPEG, and upload that."
            )
    raise _too_many("JPEG", "segments")


def _says_something(kind: int, body: bytes, seen: dict[bytes, int]) -> bool:
    """Whether this segment of metadata is kept; `seen` counts those that were, by how they begin."""
    begins = next((mark for mark in SAYING.get(kind, ()) if body.startswith(mark)), None)
    if begins is None:
        return False
    seen[begins] = seen.get(begins, 0) + 1
    return seen[begins] <= (MOST_OF_A_PROFILE if kind == 0xE2 else 1)


def _too_many(kind: str, pieces: str) -> BadPicture:
    return BadPicture(
        f"A {kind} may have at most {MOST_PIECES:,} {pieces}; this one has more. Save it again and upload that."
    )
