"""The kinds of file that a turn, or a whole session, can be exported as, for commands, programs and assistants."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from enum import StrEnum

from studio.exports.pictures import FULL, Finish, PictureFormat, picture_file
from studio.store.blobs import Blobs
from studio.store.record import Record

ANIMATION_SECONDS = 4.0
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


class ExportKind(StrEnum):
    """What a turn, or the whole session, can be exported as."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    AVIF = "avif"
    TIFF = "tiff"
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
    ExportKind.AVIF: (".avif",),
    ExportKind.TIFF: (".tif", ".tiff"),
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
    ExportKind.AVIF: "image/avif",
    ExportKind.TIFF: "image/tiff",
    ExportKind.ORA: "image/openraster",
    ExportKind.PSD: "image/vnd.adobe.photoshop",
    ExportKind.GIF: "image/gif",
    ExportKind.WEBP_ANIMATION: "image/webp",
    ExportKind.PALIMPSEST: "application/zip",
}


def exported(record: Record, turn: str, pictures: Blobs, kind: ExportKind, finish: Finish = FULL) -> bytes:
    """The file of one turn, of the way to it, or of the whole session; a picture is finished as said.

    Raises `UnknownTurn`, `StorageError`, and `RecipeTooLong` for a picture without room for its recipe.
    """
    # These libraries take a while, and few exports need them.
    from studio.exports.layers import openraster, psd, turn_layers
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
            return picture_file(record, turn, pictures, PictureFormat(kind), finish)


def together(files: Mapping[str, bytes]) -> bytes:
    """Files by their names as one ZIP, which packs nothing: they are packed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), data)
    return buffer.getvalue()
