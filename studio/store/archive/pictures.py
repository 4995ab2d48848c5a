"""That the pictures of a session file are those that it names: by digest, size, colour and as plain PNGs."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from pipelines import pictures as codec
from pipelines.contract import Extent
from pipelines.errors import PipelineError
from studio.store.archive.container import LARGEST_ARCHIVE, Entries
from studio.store.archive.schema import BadArchive, Role, SessionFile

MOST_PIXELS = 2 * 10**9
"""Of all pictures together, fifty of the largest: what they cost to read, which their size in bytes does not show.
Photographs fill a session file sooner."""

GREY = frozenset({Role.MASK, Role.REFERENCE_MASK})
SESSIONS_SIZE = frozenset({Role.PICTURE, Role.MASK})


def check_pictures(entries: Entries, needed: Mapping[str, set[Role]], extent: Extent) -> dict[str, Extent]:
    """The size of each picture; raises `BadArchive` for the first that is not what it is there for."""
    sizes: dict[str, Extent] = {}
    size = pixels = 0
    for digest, roles in needed.items():
        data = entries.read(f"pictures/{digest}.png", codec.LARGEST_FILE)
        size += len(data)
        if size > LARGEST_ARCHIVE:
            raise BadArchive(f"the pictures of the session file have more than {LARGEST_ARCHIVE >> 20} MB")
        if codec.digest(data) != digest:
            raise BadArchive(f"the picture {digest[:8]}… of the session file is not the one its name says")
        own, grey = _png_header(data, digest)
        pixels += own.area
        if pixels > MOST_PIXELS:
            raise BadArchive(f"the pictures of the session file have more than {MOST_PIXELS:.0e} pixels")
        sizes[digest] = own
        if roles & (GREY if not grey else set(Role) - GREY):
            raise BadArchive(
                f"the picture {digest[:8]}… of the session file is grey where it should be coloured, or not"
            )
        if roles & SESSIONS_SIZE and own != extent:
            raise BadArchive(
                f"the picture {digest[:8]}… of the session file must be {extent.width} x {extent.height} pixels; "
                f"it is {own.width} x {own.height}"
            )
        try:
            codec.check(data)
        except PipelineError as problem:
            raise BadArchive(f"the picture {digest[:8]}… of the session file cannot be used. {problem}") from problem
    return sizes


def check_reference_masks(session: SessionFile, sizes: Mapping[str, Extent]) -> None:
    """Raise `BadArchive` unless each is the mask of a reference, of its size."""
    requests = [turn.request for turn in session.turns if turn.request is not None]
    pairs = [(session.draft.subject_reference_mask, session.draft.subject_reference)]
    pairs += [(request.subject_reference_mask, request.subject_reference) for request in requests]
    for mask, picture in pairs:
        if mask is not None and (picture is None or sizes[mask] != sizes[picture]):
            raise BadArchive(f"the mask {mask[:8]}… of the session file is not that of a subject reference")


def _png_header(data: bytes, digest: str) -> tuple[Extent, bool]:
    """Size, and whether it is grey, of a PNG as `pipelines.pictures` writes it: 8 bits, no alpha, no chunk but the
    pixels, so that neither metadata nor a second file travels in it."""
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
    if depth != 8 or colour not in (0, 2) or any(rest):
        raise BadArchive(f"the picture {digest[:8]}… of the session file is not a plain PNG of 8 bits")
    return Extent(width, height), colour == 0
