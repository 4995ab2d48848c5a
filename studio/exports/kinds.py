"""The kinds of file that a turn, or a whole session, can be exported as, for commands, programs and assistants."""

from __future__ import annotations

import io
from enum import StrEnum

from pipelines.colour_spaces import ColourSpace
from pipelines.pictures import decode
from studio.store.blobs import Blobs
from studio.store.record import Record

ANIMATION_SECONDS = 4.0


class ExportKind(StrEnum):
    """What a turn, or the whole session, can be exported as."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    ORA = "ora"
    """OpenRaster: background plate, subject and mask as layers."""
    PSD = "psd"
    """The same for Photoshop."""
    GIF = "gif"
    """An animation from the original to the turn."""
    WEBP_ANIMATION = "webp-animation"
    PALIMPSEST = "palimpsest"
    """The whole session."""


ENDINGS = {
    ExportKind.PNG: (".png",),
    ExportKind.JPEG: (".jpg", ".jpeg"),
    ExportKind.WEBP: (".webp",),
    ExportKind.ORA: (".ora",),
    ExportKind.PSD: (".psd",),
    ExportKind.GIF: (".gif",),
    ExportKind.WEBP_ANIMATION: (".webp",),
    ExportKind.PALIMPSEST: (".palimpsest",),
}
"""What the name of such a file ends with."""

MEDIA_TYPES = {
    ExportKind.PNG: "image/png",
    ExportKind.JPEG: "image/jpeg",
    ExportKind.WEBP: "image/webp",
    ExportKind.ORA: "image/openraster",
    ExportKind.PSD: "image/vnd.adobe.photoshop",
    ExportKind.GIF: "image/gif",
    ExportKind.WEBP_ANIMATION: "image/webp",
    ExportKind.PALIMPSEST: "application/zip",
}


def exported(
    record: Record,
    turn: str,
    pictures: Blobs,
    kind: ExportKind,
    recipe: bool = True,
    colours: ColourSpace = ColourSpace.SRGB,
) -> bytes:
    """The file of one turn, of the way to it, or of the whole session.

    A PNG, JPEG or WebP has its colours in the space `colours` (others are in sRGB), and carries its recipe where
    `recipe` says so. Raises `UnknownTurn`, `StorageError`, and `RecipeTooLong` for a JPEG or WebP without room for it.
    """
    # These libraries take a while, and few exports need them.
    from studio.exports.layers import openraster, psd, turn_layers
    from studio.exports.pictures import PictureFormat, export_picture
    from studio.exports.pictures import recipe as recipe_of
    from studio.exports.strip import LinePictures, StripFormat, animated_strip
    from studio.store.archive.session_file import write_archive

    tree = record.tree
    match kind:
        case ExportKind.PALIMPSEST:
            buffer = io.BytesIO()
            write_archive(record, pictures, buffer)
            return buffer.getvalue()
        case ExportKind.ORA | ExportKind.PSD:
            picture, layers = turn_layers(tree, turn, pictures)
            return (openraster if kind is ExportKind.ORA else psd)(layers, picture)
        case ExportKind.GIF | ExportKind.WEBP_ANIMATION:
            line = LinePictures(record, turn, pictures)
            return animated_strip(line, ANIMATION_SECONDS, StripFormat(kind.removesuffix("-animation")))
        case _:
            own = recipe_of(record, turn) if recipe else None
            return export_picture(decode(pictures.get(tree[turn].picture)).picture, PictureFormat(kind), own, colours)
