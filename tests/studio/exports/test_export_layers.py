from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from psd_tools import PSDImage

from pipelines.contract import Extent, Mask, Picture, Scope
from pipelines.masks.refine import soft_edge
from pipelines.pictures import decode_mask, encode_mask, encode_png
from studio.errors import UnknownTurn
from studio.exports.layers import (
    BEFORE,
    EDIT,
    MASK,
    PICTURE,
    UNCLEAN_PLATE,
    Layer,
    openraster,
    picture_layers,
    psd,
    turn_layers,
    unmixed,
)
from studio.history.tree import Tree
from studio.history.turn import Outcome, Turn
from studio.store.blobs import Blobs
from studio.store.record import Record
from tests.pipelines.masks.test_matting import as_selected, drawn

NAMES = ["Background plate", "Subject", "Subject mask"]


def laid_over(layers: tuple[Layer, ...]) -> Picture:
    """The visible layers by the textbook, in exact arithmetic: rounded once for each layer."""
    height, width = layers[0].pixels.shape[:2]
    canvas = np.zeros((height, width, 3), np.int64)
    for layer in (layer for layer in layers if layer.visible):
        h, w = layer.pixels.shape[:2]
        there = canvas[layer.top : layer.top + h, layer.left : layer.left + w]
        colour, alpha = layer.pixels[..., :3].astype(np.int64), layer.pixels[..., 3:].astype(np.int64)
        there[:] = (2 * (colour * alpha + there * (255 - alpha)) + 255) // 510
    return canvas.astype(np.uint8)


def laid_over_by_pillow(layers: list[tuple[Image.Image, tuple[int, int]]], size: tuple[int, int]) -> Picture:
    canvas = Image.new("RGBA", size)
    for image, place in layers:
        canvas.alpha_composite(image, place)
    assert canvas.getchannel("A").getextrema() == (255, 255)
    return np.asarray(canvas.convert("RGB"))


def layer_named(layers: tuple[Layer, ...], name: str) -> Layer:
    return next(layer for layer in layers if layer.name == name)


@pytest.fixture(params=[0.0, 1.0, 2.0, 7.5, 40.0])
def layers(request: pytest.FixtureRequest, photo: Picture, subject: Mask) -> tuple[Layer, ...]:
    return picture_layers(photo, subject, request.param)


def test_layers_are_named_and_stacked_as_a_designer_expects(layers: tuple[Layer, ...]) -> None:
    assert [(layer.name, layer.visible) for layer in layers] == list(zip(NAMES, [True, True, False], strict=True))


def test_the_visible_layers_give_the_picture_back(layers: tuple[Layer, ...], photo: Picture) -> None:
    assert np.array_equal(laid_over(layers), photo)
    visible = [(Image.fromarray(x.pixels), (x.left, x.top)) for x in layers if x.visible]
    assert np.array_equal(laid_over_by_pillow(visible, (photo.shape[1], photo.shape[0])), photo)


def test_a_reference_fills_the_hole_and_nothing_else(photo: Picture, subject: Mask) -> None:
    reference = np.full((20, 20, 3), (20, 90, 160), np.uint8)
    layers = picture_layers(photo, subject, 2.0, reference)
    plate = layer_named(layers, "Background plate").pixels
    edge = soft_edge(subject, 2.0)
    assert np.array_equal(plate[edge > 0.01][:, :3], np.broadcast_to([20, 90, 160], (int((edge > 0.01).sum()), 3)))
    assert np.array_equal(plate[edge == 0][:, :3], photo[edge == 0])
    assert (plate[..., 3] == 255).all()
    assert np.array_equal(laid_over(layers), photo)


def test_without_a_reference_the_plate_shows_nothing_of_the_subject(subject: Mask) -> None:
    picture = np.full((*subject.shape, 3), (40, 160, 70), np.uint8)
    picture[subject] = (250, 10, 10)
    layers = picture_layers(picture, subject, 2.0)
    plate = layer_named(layers, "Background plate").pixels[..., :3].astype(int)
    assert np.abs(plate - [40, 160, 70]).max() <= 5
    assert np.array_equal(laid_over(layers), picture)


def test_the_subject_is_cut_out_with_its_soft_edge(photo: Picture, subject: Mask) -> None:
    layer = layer_named(picture_layers(photo, subject, 4.0, photo), "Subject")  # nothing to unmix from
    wanted = np.round(soft_edge(subject, 4.0) * 255).astype(np.uint8)
    box = np.argwhere(wanted > 0)
    assert (layer.top, layer.left) == tuple(box.min(0))
    assert layer.pixels.shape[:2] == tuple(box.max(0) - box.min(0) + 1)
    h, w = layer.pixels.shape[:2]
    assert np.array_equal(layer.pixels[..., 3], wanted[layer.top : layer.top + h, layer.left : layer.left + w])
    solid = layer.pixels[..., 3] == 255
    assert solid.any() and ((layer.pixels[..., 3] > 0) & ~solid).any()


def test_a_half_clear_edge_holds_the_subjects_own_colour() -> None:
    """Red over green, mixed half and half by an edit, comes apart into red and green."""
    red, green = np.array([200, 40, 30]), np.array([30, 180, 50])
    alpha = np.array([[0, 64, 128, 192, 255]], np.uint8)
    share = alpha[..., None] / 255
    mixed = np.round(red * share + green * (1 - share)).astype(np.uint8)
    colour, found = unmixed(mixed, np.broadcast_to(green, mixed.shape).astype(np.uint8), alpha)
    assert np.array_equal(found, alpha)
    assert np.abs(colour[0, 1:].astype(int) - red).max() <= 2
    assert not colour[0, 0].any()


def test_unmixing_is_exact_whatever_the_colours() -> None:
    draw = np.random.default_rng(0)
    picture, plate = draw.integers(0, 256, (2, 300, 300, 3), dtype=np.uint8)
    wanted = draw.integers(0, 256, (300, 300), dtype=np.uint8)
    plate[wanted == 0] = picture[wanted == 0]
    colour, alpha = unmixed(picture, plate, wanted)
    assert (alpha >= wanted).all() and (alpha > wanted).any()
    layers = (Layer("a", opaque(plate)), Layer("b", np.dstack([colour, alpha])))
    assert np.array_equal(laid_over(layers), picture)


def opaque(picture: Picture) -> NDArray[np.uint8]:
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


@pytest.mark.parametrize("covered", [True, False])
def test_a_mask_of_everything_or_nothing_leaves_one_layer(covered: bool, photo: Picture) -> None:
    layers = picture_layers(photo, np.full(photo.shape[:2], covered), 2.0)
    assert [(layer.name, layer.visible) for layer in layers] == [("Picture", True), ("Subject mask", False)]
    assert np.array_equal(laid_over(layers), photo)
    assert [layer.name for layer in picture_layers(photo, None, 2.0)] == ["Picture"]


@pytest.mark.parametrize("corner", [(0, 0), (47, 63)])
def test_one_pixel_and_all_but_one_pixel_are_subjects_too(corner: tuple[int, int], photo: Picture) -> None:
    one = np.zeros(photo.shape[:2], bool)
    one[corner] = True
    for mask in (one, ~one):
        layers = picture_layers(photo, mask, 2.0)
        assert np.array_equal(laid_over(layers), photo)
        assert openraster(layers, photo) and psd(layers, photo)


def test_a_large_picture_is_filled_at_a_smaller_size_and_comes_back_exactly(photo: Picture, subject: Mask) -> None:
    picture, mask = np.kron(photo, np.ones((12, 12, 1), np.uint8)), np.kron(subject, np.ones((12, 12), bool))
    layers = picture_layers(picture, mask, 5.0)
    assert max(picture.shape) > 512
    assert np.array_equal(laid_over(layers), picture)


def test_turns_of_a_session(record: Record, photo: Picture, pictures: Blobs) -> None:
    original, edited, whole = record.tree.line(record.tree.current)
    picture, layers = turn_layers(record.tree, edited, pictures)
    assert np.array_equal(picture, 255 - photo)
    assert [layer.name for layer in layers] == [UNCLEAN_PLATE, *NAMES[1:]], "a turn of both parts"
    assert np.array_equal(laid_over(layers), picture)
    assert tuple(layer_named(layers, UNCLEAN_PLATE).pixels[22, 30, :3]) == (20, 90, 160)
    for id, expected in ((original, photo), (whole, photo // 2)):
        picture, layers = turn_layers(record.tree, id, pictures)
        assert [layer.name for layer in layers] == ["Picture"]
        assert np.array_equal(picture, expected)
    with pytest.raises(UnknownTurn):
        turn_layers(record.tree, "0" * 64, pictures)


@pytest.mark.parametrize("scope", [Scope.SUBJECT, Scope.BACKGROUND])
def test_the_plate_of_a_turn_of_one_part_says_nothing(record: Record, pictures: Blobs, scope: Scope) -> None:
    tree = record.tree
    turn = tree[tree.line(tree.current)[1]]
    assert turn.request is not None
    one = replace(turn, request=replace(turn.request, scope=scope))
    layers = turn_layers(replace(tree, turns={**tree.turns, turn.id: one}), turn.id, pictures)[1]
    assert [layer.name for layer in layers] == NAMES


def test_a_subject_that_was_redrawn_is_cut_out_where_it_is_now(record: Record, pictures: Blobs) -> None:
    """The mask of the turn's request is where it was."""
    tree = record.tree
    redrawn = tree[tree.line(tree.current)[1]]
    assert redrawn.request is not None and redrawn.request.mask is not None
    before = layer_named(turn_layers(tree, redrawn.id, pictures)[1], "Subject")
    mask = decode_mask(pictures.get(redrawn.request.mask), Extent(64, 48))
    higher = pictures.put(encode_mask(np.roll(mask, -6, axis=0)))
    found = replace(redrawn, outcome=replace(redrawn.outcome, mask_after=higher))
    assert higher in found.files()
    after = layer_named(
        turn_layers(replace(tree, turns={**tree.turns, redrawn.id: found}), redrawn.id, pictures)[1], "Subject"
    )
    edges = [(layer.left, layer.top + 6 * (layer is after), *layer.pixels.shape[:2]) for layer in (before, after)]
    assert np.abs(np.subtract(*edges)).max() <= 2, "but for what the edge's alpha finds there"


def test_hair_is_cut_out_with_its_alpha(record: Record, pictures: Blobs) -> None:
    tree = record.tree
    turn = tree[tree.line(tree.current)[1]]
    assert turn.request is not None
    picture, alpha, _ = drawn(256, 5)
    mask = as_selected(alpha)
    request = replace(turn.request, mask=pictures.put(encode_mask(mask)))
    hairy = replace(turn, picture=pictures.put(encode_png(picture)), request=request, outcome=Outcome())
    seen, layers = turn_layers(replace(tree, turns={**tree.turns, turn.id: hairy}), turn.id, pictures)
    cut, found = layer_named(layers, "Subject"), np.zeros(mask.shape)
    box = (slice(cut.top, cut.top + len(cut.pixels)), slice(cut.left, cut.left + cut.pixels.shape[1]))
    found[box] = cut.pixels[..., 3] / 255
    assert np.abs(found - alpha).mean() < 0.6 * np.abs(soft_edge(mask, request.feather) - alpha).mean()
    assert np.array_equal(laid_over(layers), seen)


def test_an_edit_that_is_a_layer_lies_over_the_picture_before(
    record: Record, photo: Picture, subject: Mask, pictures: Blobs
) -> None:
    """And gives the turn's picture back to the pixel, as clear as that can be."""
    turn = record.tree[record.tree.line(record.tree.current)[1]]
    assert turn.request is not None
    share = (subject * 0.6)[..., None]
    edited = np.round(share * (20, 60, 250) + (1 - share) * photo).astype(np.uint8)
    request = replace(turn.request, method="text2live", scope=Scope.SUBJECT)
    picture = pictures.put(encode_png(edited))
    tree = Tree.planted(record.tree[record.tree.line(record.tree.current)[0]])
    tree = tree.append(Turn.after(tree.current, request, picture, Outcome()))
    shown, layers = turn_layers(tree, tree.current, pictures)
    assert [layer.name for layer in layers] == [BEFORE, EDIT, MASK] and [x.visible for x in layers] == [1, 1, 0]
    assert np.array_equal(layers[0].pixels[..., :3], photo) and np.array_equal(shown, edited)
    assert np.array_equal(laid_over(layers), edited)
    assert layers[1].pixels[..., 3].max() < 0.61 * 255 + 2
    same = tree.append(Turn.after(tree.current, request, picture, Outcome()))
    assert [layer.name for layer in turn_layers(same, same.current, pictures)[1]] == [PICTURE, MASK]


def test_a_picture_that_the_subject_was_taken_out_of_is_one_layer(record: Record, pictures: Blobs) -> None:
    tree = record.tree
    turn = tree[tree.line(tree.current)[1]]
    gone = replace(turn, outcome=replace(turn.outcome, mask_after=pictures.put(encode_mask(np.zeros((48, 64), bool)))))
    layers = turn_layers(replace(tree, turns={**tree.turns, turn.id: gone}), turn.id, pictures)[1]
    assert [layer.name for layer in layers] == ["Picture"]


def test_openraster_is_what_its_specification_says(layers: tuple[Layer, ...], photo: Picture) -> None:
    data = openraster(layers, photo)
    assert data[30:54] == b"mimetypeimage/openraster"  # so that file types are told apart by their first bytes
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        assert file.namelist()[0] == "mimetype"
        root = ElementTree.fromstring(file.read("stack.xml"))
        images = {name: Image.open(io.BytesIO(file.read(name))) for name in file.namelist() if name.endswith(".png")}
    assert (root.tag, root.get("w"), root.get("h")) == ("image", "64", "48")
    stacked = [(node.get("name"), node.get("visibility")) for node in root.findall("stack/layer")]
    assert stacked == [(layer.name, "visible" if layer.visible else "hidden") for layer in reversed(layers)]
    shown = [
        (images[node.get("src", "")], (int(node.get("x", "")), int(node.get("y", ""))))
        for node in reversed(root.findall("stack/layer"))
        if node.get("visibility") == "visible"
    ]
    assert np.array_equal(laid_over_by_pillow(shown, (64, 48)), photo)
    assert np.array_equal(np.asarray(images["mergedimage.png"]), photo)
    assert max(images["Thumbnails/thumbnail.png"].size) <= 256
    assert openraster(layers, photo) == data


class PhotoshopDocument:
    """A reader of its own, after Adobe's specification: 8 bits, RGB, layers in PackBits. Pillow's opens such a file,
    but takes the channels of a layer to stand in another order than every program writes them."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        signature, version, channels, height, width, depth, mode = self.read(">4sH6xHLLHH")
        assert (signature, version, channels, depth, mode) == (b"8BPS", 1, 3, 8, 3)
        self.size = (width, height)
        for _ in range(2):  # colour mode data and image resources
            self.skip()
        (section,) = self.read(">L")
        end = self.file.tell() + section
        _, count = self.read(">Lh")
        records = [self.record() for _ in range(count)]
        self.layers = [
            (
                name,
                box,
                visible,
                np.dstack([self.plane(box, lengths[channel]) for channel in lengths])[..., [1, 2, 3, 0]],
            )
            for name, box, visible, lengths in records
        ]
        self.file.seek(end)
        rows = np.frombuffer(self.file.read()[2:], ">u2", 3 * height)
        packed = data[end + 2 + 6 * height :]
        assert len(packed) == rows.sum()
        merged = Image.frombytes("L", (width, 3 * height), packed, "packbits", "L")
        self.merged = np.moveaxis(np.asarray(merged).reshape(3, height, width), 0, -1)

    def read(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self.file.read(struct.calcsize(layout)))

    def skip(self) -> None:
        self.file.seek(*self.read(">L"), io.SEEK_CUR)

    def record(self) -> tuple[str, tuple[int, int, int, int], bool, dict[int, int]]:
        top, left, bottom, right, channels = self.read(">4lH")
        lengths = dict(self.read(">hL") for _ in range(channels))
        assert list(lengths) == [-1, 0, 1, 2]
        signature, blend, opacity, clipping, flags, extra = self.read(">4s4sBBBxL")
        assert (signature, blend, opacity, clipping) == (b"8BIM", b"norm", 255, 0)
        end = self.file.tell() + extra
        self.skip()
        self.skip()
        name = self.file.read(*self.read(">B")).decode("ascii")
        self.file.seek(end)
        return name, (left, top, right, bottom), not flags & 2, lengths

    def plane(self, box: tuple[int, int, int, int], length: int) -> NDArray[np.uint8]:
        left, top, right, bottom = box
        data = self.file.read(length)
        assert data[:2] == b"\0\1"
        packed = data[2 + 2 * (bottom - top) :]
        assert len(packed) == np.frombuffer(data[2:], ">u2", bottom - top).sum()
        return np.asarray(Image.frombytes("L", (right - left, bottom - top), packed, "packbits", "L"))


def test_the_photoshop_document_is_what_its_specification_says(layers: tuple[Layer, ...], photo: Picture) -> None:
    data = psd(layers, photo)
    document = PhotoshopDocument(data)
    assert document.size == (64, 48)
    assert np.array_equal(document.merged, photo)
    for layer, (name, box, visible, pixels) in zip(layers, document.layers, strict=True):
        assert (name, visible, box[:2]) == (layer.name, layer.visible, (layer.left, layer.top))
        assert np.array_equal(pixels, layer.pixels)
    shown = [(Image.fromarray(pixels), box[:2]) for _, box, visible, pixels in document.layers if visible]
    assert np.array_equal(laid_over_by_pillow(shown, (64, 48)), photo)
    assert psd(layers, photo) == data


def test_pillow_opens_the_photoshop_document(layers: tuple[Layer, ...], photo: Picture) -> None:
    with Image.open(io.BytesIO(psd(layers, photo)), formats=["PSD"]) as file:
        assert np.array_equal(np.asarray(file), photo)
        assert [layer[:2] for layer in file.layers] == [(name, "RGBA") for name in NAMES]  # type: ignore[attr-defined]


def test_hidden_layers_are_hidden_in_the_photoshop_document(layers: tuple[Layer, ...], photo: Picture) -> None:
    file = PSDImage.open(io.BytesIO(psd(layers, photo)))
    assert [(layer.name, layer.visible) for layer in file] == list(zip(NAMES, [True, True, False], strict=True))
    assert file.size == (64, 48)
