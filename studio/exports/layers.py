"""A turn as a layered file, OpenRaster or PSD: background plate, cut-out subject, and the mask as a hidden layer.

Laid over each other, the visible layers give the turn's picture back to the pixel, and the files hold that picture
itself too, for programs that read nothing else. Both say that their colours are sRGB.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree  # only ever written with

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from psd_tools.constants import ChannelID, ColorMode, Compression, Resource, Tag
from psd_tools.psd import PSD
from psd_tools.psd.header import FileHeader
from psd_tools.psd.image_data import ImageData
from psd_tools.psd.image_resources import ImageResource, ImageResources
from psd_tools.psd.layer_and_mask import (
    ChannelData,
    ChannelDataList,
    ChannelImageData,
    ChannelInfo,
    LayerAndMaskInformation,
    LayerFlags,
    LayerInfo,
    LayerRecord,
    LayerRecords,
)

from pipelines import pictures as codec
from pipelines.catalog import CATALOG
from pipelines.colour_spaces import ColourSpace, profile
from pipelines.contract import Extent, Mask, Picture, Scope
from pipelines.masks.fill import filled_from_around
from pipelines.masks.matting import matted
from pipelines.masks.refine import soft_edge
from studio.history.tree import Tree
from studio.store.blobs import Blobs

PICTURE, PLATE, SUBJECT, MASK = "Picture", "Background plate", "Subject", "Subject mask"
BEFORE, EDIT = "Picture before", "Edit"
"""Names of the layers."""
UNCLEAN_PLATE = f"{PLATE} (may show a rim of the subject)"
"""After a turn of both parts: the mask is that of the subject before, and what is drawn may reach beyond it."""
THUMBNAIL = 256
"""Longest side of OpenRaster's thumbnail in pixels, as its specification says."""
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Layer:
    """`pixels` ``(h, w, 4) uint8``, RGB and straight alpha, with its upper left corner at ``(left, top)``."""

    name: str
    pixels: NDArray[np.uint8]
    left: int = 0
    top: int = 0
    visible: bool = True


def turn_layers(tree: Tree, id: str, pictures: Blobs) -> tuple[Picture, tuple[Layer, ...]]:
    """The picture of the turn `id`, and its layers as `picture_layers` makes them.

    Of a method whose edit is a layer (`Method.adds_layer`) they are the picture before and that. The background
    reference is the one that the method made or was given (`Outcome.background_reference`), and the
    subject's edge is as transparent as its hair is in the turn's picture (`masks.matting`). A picture that the subject
    was taken out of is one layer. Raises `UnknownTurn`, and `DamagedFile` where a picture is missing.
    """
    turn = tree[id]
    picture = codec.decode(pictures.get(turn.picture)).picture
    if turn.request is None or turn.request.mask is None:
        return picture, picture_layers(picture, None, 0)
    mask = codec.decode_mask(pictures.get(turn.outcome.mask_after or turn.request.mask), Extent.of(picture))
    if not mask.any():  # it was taken out
        return picture, picture_layers(picture, None, 0)
    if turn.parent is not None and turn.request.method in CATALOG and CATALOG[turn.request.method].adds_layer:
        return picture, edit_layers(picture, codec.decode(pictures.get(tree[turn.parent].picture)).picture, mask)
    reference = turn.outcome.background_reference
    return picture, picture_layers(
        picture,
        mask,
        turn.request.feather,
        None if reference is None else codec.decode(pictures.get(reference)).picture,
        UNCLEAN_PLATE if turn.request.scope is Scope.BOTH else PLATE,
        matted(picture, mask),
    )


def picture_layers(
    picture: Picture,
    mask: Mask | None,
    feather: float,
    reference: Picture | None = None,
    plate_name: str = PLATE,
    alpha: NDArray[np.float32] | None = None,
) -> tuple[Layer, ...]:
    """The layers of `picture` ``(H, W, 3) uint8``, bottom to top.

    The subject is what `mask` ``(H, W) bool`` covers, its edge fading over `feather` pixels, or as `alpha`
    ``(H, W) float32`` in [0, 1] says: that of hair. On the plate its place is
    filled from `reference` (any size, stretched to the picture's), or, without one, from its surroundings. Without a
    mask, or with one that covers nothing or everything, the picture is one layer.
    """
    whole = Layer(PICTURE, _with_alpha(picture, np.full(picture.shape[:2], 255, np.uint8)))
    if mask is None:
        return (whole,)
    hidden = Layer(MASK, _with_alpha(np.repeat(_levels(mask)[..., None], 3, -1), whole.pixels[..., 3]), visible=False)
    if mask.all() or not mask.any():
        return (whole, hidden)
    wanted = np.round((soft_edge(mask, feather) if alpha is None else alpha) * 255).astype(np.uint8)
    hole = wanted > 0
    filling = filled_from_around(picture, hole) if reference is None else _resized(reference, Extent.of(picture))
    plate = np.where(hole[..., None], filling, picture)
    subject, cover = unmixed(picture, plate, wanted)
    top, left, box = _around(hole)
    return (
        Layer(plate_name, _with_alpha(plate, whole.pixels[..., 3])),
        Layer(SUBJECT, _with_alpha(subject[box], cover[box]), left, top),
        hidden,
    )


def edit_layers(picture: Picture, before: Picture, mask: Mask) -> tuple[Layer, ...]:
    """The layers of `picture`, bottom to top: the one `before` of the same size, and what was laid over it, as clear as
    it can be; and the mask."""
    whole = np.full(picture.shape[:2], 255, np.uint8)
    hidden = Layer(MASK, _with_alpha(np.repeat(_levels(mask)[..., None], 3, -1), whole), visible=False)
    changed = (picture != before).any(-1)
    if not changed.any():
        return Layer(PICTURE, _with_alpha(picture, whole)), hidden
    colour, alpha = unmixed(picture, before, changed.astype(np.uint8))
    top, left, box = _around(changed)
    return (
        Layer(BEFORE, _with_alpha(before, whole)),
        Layer(EDIT, _with_alpha(colour[box], alpha[box]), left, top),
        hidden,
    )


def _around(there: Mask) -> tuple[int, int, tuple[slice, slice]]:
    """Top and left of the box around what is `there`, and that box."""
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    top, left = int(rows[0]), int(columns[0])
    return top, left, (slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1))


def unmixed(picture: Picture, plate: Picture, wanted: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Colours ``(H, W, 3)`` and alpha ``(H, W)`` that over `plate` give `picture` exactly.

    Porter and Duff's *over* (1984), solved for the upper layer: ``picture = alpha colour + (1 - alpha) plate``. A
    half-clear pixel then holds the subject's own colour and no rim of the old background. Alpha is `wanted`, raised
    where no colour between 0 and 255 could do it; where `wanted` is 0 the plate must equal the picture.
    """
    p, b = picture.astype(np.float64), plate.astype(np.float64)
    # The colour must stay between black and white: alpha >= (b - p) / b and alpha >= (p - b) / (255 - b).
    least = np.maximum((b - p) / np.maximum(b, 1), (p - b) / np.maximum(255 - b, 1)).max(-1)
    alpha = np.where(wanted == 0, 0, np.maximum(wanted, np.ceil(255 * least)))
    share = alpha[..., None] / 255
    colour = np.clip(np.round((p - (1 - share) * b) / np.maximum(share, 1 / 255)), 0, 255)
    return np.where(share > 0, colour, 0).astype(np.uint8), alpha.astype(np.uint8)


def openraster(layers: Sequence[Layer], picture: Picture) -> bytes:
    """An OpenRaster file (freedesktop.org, version 0.0.5) of `layers`, bottom to top, and what they amount to."""
    extent = Extent.of(picture)
    image = ElementTree.Element("image", version="0.0.5", w=str(extent.width), h=str(extent.height))
    stack = ElementTree.SubElement(image, "stack", name="root")
    small = Image.fromarray(picture)
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    files = {"mergedimage.png": _png(picture), "Thumbnails/thumbnail.png": _png(np.asarray(small))}
    for number, layer in reversed(list(enumerate(layers))):  # the topmost comes first
        source = f"data/layer{number}.png"
        files[source] = _png(layer.pixels)
        ElementTree.SubElement(
            stack,
            "layer",
            {
                "name": layer.name,
                "src": source,
                "x": str(layer.left),
                "y": str(layer.top),
                "opacity": "1.0",
                "visibility": "visible" if layer.visible else "hidden",
                "composite-op": "svg:src-over",
            },
        )
    files["stack.xml"] = ElementTree.tostring(image, encoding="UTF-8", xml_declaration=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("mimetype", ZIP_DATE), b"image/openraster")  # must come first, uncompressed
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), files[name])
    return buffer.getvalue()


def psd(layers: Sequence[Layer], picture: Picture) -> bytes:
    """A Photoshop document of `layers`, bottom to top, and what they amount to: 8 bits, RGB, real transparency."""
    extent = Extent.of(picture)
    header = FileHeader(channels=3, height=extent.height, width=extent.width, depth=8, color_mode=ColorMode.RGB)
    merged = ImageData(compression=Compression.RLE)
    merged.set_data([picture[..., channel].tobytes() for channel in range(3)], header)
    records, planes = zip(*(_psd_layer(layer) for layer in layers), strict=True)
    resources = ImageResources.new()
    resources[Resource.ICC_PROFILE] = ImageResource(key=Resource.ICC_PROFILE, data=profile(ColourSpace.SRGB))
    info = LayerInfo(len(layers), LayerRecords(list(records)), ChannelImageData(list(planes)))
    document = PSD(
        header=header,
        image_resources=resources,
        layer_and_mask_information=LayerAndMaskInformation(info),
        image_data=merged,
    )
    buffer = io.BytesIO()
    document.write(buffer)
    return buffer.getvalue()


def _psd_layer(layer: Layer) -> tuple[LayerRecord, ChannelDataList]:
    height, width = layer.pixels.shape[:2]
    described = []
    planes: ChannelDataList = ChannelDataList()
    for channel in (ChannelID.TRANSPARENCY_MASK, ChannelID.CHANNEL_0, ChannelID.CHANNEL_1, ChannelID.CHANNEL_2):
        data = ChannelData(Compression.RLE)
        data.set_data(layer.pixels[..., channel].tobytes(), width, height, 8)  # alpha is channel -1 here and there
        planes.append(data)
        described.append(ChannelInfo(channel, len(data.data) + 2))  # the two bytes that name the compression
    record = LayerRecord(
        top=layer.top,
        left=layer.left,
        bottom=layer.top + height,
        right=layer.left + width,
        channel_info=described,
        flags=LayerFlags(visible=layer.visible),
        name=layer.name,
    )
    record.tagged_blocks.set_data(Tag.UNICODE_LAYER_NAME, layer.name)
    return record, planes


def _resized(picture: Picture, extent: Extent) -> Picture:
    if Extent.of(picture) == extent:
        return picture
    return np.asarray(Image.fromarray(picture).resize((extent.width, extent.height), Image.Resampling.BICUBIC))


def _levels(mask: Mask) -> NDArray[np.uint8]:
    return np.where(mask, np.uint8(255), np.uint8(0))


def _with_alpha(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([colour, alpha])


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    # Fast compression: these files are large, made while somebody waits, and opened once.
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3, icc_profile=profile(ColourSpace.SRGB))
    return buffer.getvalue()
