"""That the pictures of a session file are those that it names: by digest, size, colour and as plain PNGs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines import pictures as codec
from pipelines.contract import Extent, Kind, about
from pipelines.frames import Frame
from studio.store.archive.container import LARGEST_ARCHIVE, Entries
from studio.store.archive.schema import BadArchive, Role, SessionFile

MOST_PIXELS = 10**9
"""Of all pictures together, twenty-five of the largest: what they cost to read, which their bytes do not show."""
LAST_FILTER = 4
"""PNG's filters of a row of pixels are 0 to 4."""

CHANNELS = {0: 1, 2: 3, 6: 4}
"""By PNG's number of the kind: grey, colour, and colour with an alpha."""
GREY = frozenset({Role.MASK, Role.REFERENCE_MASK})


def check_pictures(
    entries: Entries, needed: Mapping[str, set[Role]], wanted: Mapping[str, set[Extent]]
) -> dict[str, Extent]:
    """The size of each picture, which is that `wanted` of it; raises `BadArchive` for the first that is not what it is
    there for."""
    _check_pixels_in_all(entries, needed)
    sizes: dict[str, Extent] = {}
    size = 0
    for digest, roles in needed.items():
        data = entries.read(f"pictures/{digest}.png", codec.LARGEST_FILE)
        size += len(data)
        if size > LARGEST_ARCHIVE:
            raise BadArchive(f"the pictures of the session file have more than {LARGEST_ARCHIVE >> 20} MB")
        if codec.digest(data) != digest:
            raise BadArchive(f"the picture {digest[:8]}… of the session file is not the one its name says")
        head = _png_header(data, digest, Role.MASTER in roles)
        own, grey = head.extent, head.channels == 1
        sizes[digest] = own
        if roles & (GREY if not grey else set(Role) - GREY):
            raise BadArchive(
                f"the picture {digest[:8]}… of the session file is grey where it should be coloured, or not"
            )
        for extent in wanted.get(digest, set()) - {own}:
            raise BadArchive(
                f"the picture {digest[:8]}… of the session file must be {extent.width} x {extent.height} pixels; "
                f"it is {own.width} x {own.height}"
            )
        if not _is_whole(data, head):
            raise BadArchive(
                f"the picture {digest[:8]}… of the session file cannot be used: it is damaged, or of a size that no "
                "picture may have"
            )
    return sizes


def _check_pixels_in_all(entries: Entries, needed: Mapping[str, set[Role]]) -> None:
    """By the headers alone, before any picture is read."""
    pixels = 0
    for digest in needed:
        head = entries.head(f"pictures/{digest}.png", 24)
        if len(head) == 24:
            width, height = struct.unpack_from(">LL", head, 16)
            pixels += width * height
    if pixels > MOST_PIXELS:
        raise BadArchive(
            f"the pictures of a session file have {MOST_PIXELS // 10**6} million pixels at most, all together; this "
            f"file's say of themselves that they have {pixels // 10**6} million"
        )


def sizes_of(session: SessionFile, frames: Mapping[str, Frame]) -> dict[str, set[Extent]]:
    """Of which size each turn's picture and masks must be, by digest; `frames` are those of the turns."""
    wanted: dict[str, set[Extent]] = {}
    for saved in session.masks:
        wanted.setdefault(saved.mask, set()).add(frames[saved.turn].extent)
    for turn in session.turns:
        own = (turn.picture, turn.outcome.mask_after, turn.outcome.master)
        named = [(digest, frames[turn.id]) for digest in own]
        if turn.request is not None and turn.parent is not None:
            before = frames[turn.parent]
            named += [(turn.request.mask, before), (turn.request.prompts.get("uploaded"), before)]
        for digest, frame in named:
            if digest is not None:
                wanted.setdefault(digest, set()).add(frame.extent)
    return wanted


def check_reference_masks(session: SessionFile, sizes: Mapping[str, Extent]) -> None:
    """Raise `BadArchive` unless each is the mask of a reference, of its size."""
    for wanted in (session.draft, *(turn.request for turn in session.turns if turn.request is not None)):
        given = wanted.references()
        for name, said in about(wanted, Kind.MASK):
            mask, picture = given[name], given[said.mask_of]
            if mask is not None and (picture is None or sizes[mask] != sizes[picture]):
                of = said.mask_of.replace("_", " ")
                raise BadArchive(f"the mask {mask[:8]}… of the session file is not that of a {of}")


@dataclass(frozen=True)
class Head:
    """What a PNG says of its pixels."""

    extent: Extent
    channels: int
    depth: int
    """Bits a channel."""

    @property
    def row(self) -> int:
        """Bytes, of which the first is the number of the filter."""
        return 1 + self.extent.width * self.channels * self.depth // 8


def _png_header(data: bytes, digest: str, master: bool) -> Head:
    """Of a PNG as the studio writes it: 8 bits, no alpha (a `master` may have both), no chunk but the pixels, so that
    neither metadata nor a second file travels in it."""
    chunks: list[bytes] = []
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, at)
        if not chunks or chunks[-1] != kind:
            chunks.append(kind)
        at += 12 + length
    whole = data[:8] == b"\x89PNG\r\n\x1a\n" and at == len(data) and data[8:12] == b"\0\0\0\x0d"
    if not whole or chunks != [b"IHDR", b"IDAT", b"IEND"]:
        raise BadArchive(f"the picture {digest[:8]}… of the session file is not a plain PNG")
    width, height, depth, colour, *rest = struct.unpack_from(">LL5B", data, 16)
    if depth not in ((8, 16) if master else (8,)) or colour not in ((2, 6) if master else (0, 2)) or any(rest):
        raise BadArchive(f"the picture {digest[:8]}… of the session file is not a plain PNG of 8 bits")
    return Head(Extent(width, height), CHANNELS[colour], depth)


def _is_whole(data: bytes, head: Head) -> bool:
    """Whether every pixel of a plain PNG is there: they are unpacked and counted, and no picture is made of them."""
    extent, row = head.extent, head.row
    sides = (extent.width, extent.height)
    if min(sides) < codec.SMALLEST_SIDE or max(sides) > codec.LARGEST_SIDE or extent.area > codec.MOST_PIXELS:
        return False
    unpacking, rows, at = zlib.decompressobj(), bytearray(), 8
    try:
        while at < len(data):
            length, kind = struct.unpack_from(">L4s", data, at)
            (checksum,) = struct.unpack_from(">L", data, at + 8 + length)
            if zlib.crc32(data[at + 4 : at + 8 + length]) != checksum:
                return False
            if kind == b"IDAT":
                rows += unpacking.decompress(data[at + 8 : at + 8 + length], row * extent.height + 1 - len(rows))
            if unpacking.unused_data or len(rows) > row * extent.height:
                return False
            at += 12 + length
    except (zlib.error, ValueError):
        return False
    return unpacking.eof and len(rows) == row * extent.height and max(rows[::row]) <= LAST_FILTER
