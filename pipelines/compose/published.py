"""Reads i-CLEVR and CoDraw in the files of GeNeVA (El-Nouby et al. 2019). No torch here.

An ``.h5`` file a split, ``clevr_train.h5`` or ``codraw_val.h5``: ``background`` is the empty picture, ``entities`` (of
i-CLEVR) the names of the classes as JSON, and every other entry a group, a sequence of T turns:

=====================  ===============================================================================
``images``             ``(T, 128, 128, 3) uint8``, after each turn, in OpenCV's order (BGR)
``text``               i-CLEVR's instructions, a JSON list of T texts
``utterences``         CoDraw's, an array of T texts (spelt so)
``objects``            ``(T, K)``, 1 for each class in the picture
``coords``             ``(T, K, 3)``, where: pixels of 128 across and down, and depth (CoDraw: plane 0 to 2)
=====================  ===============================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.compose.metric import Seen
from pipelines.contract import Picture
from pipelines.errors import BadRequest

FILES = {"train": "train", "validation": "val", "test": "test"}
PREFIXES = ("clevr", "codraw")
SIDE = 128
"""Pixels a side of the published pictures, which coordinates count in."""
OTHER_ENTRIES = ("background", "entities")


@dataclass(frozen=True)
class PublishedStory:
    """One sequence as it was published."""

    instructions: tuple[str, ...]
    pictures: NDArray[np.uint8]
    """``(T, H, W, 3)`` RGB, after each turn."""
    objects: NDArray[np.bool_]
    """``(T, K)``."""
    coords: NDArray[np.float64]
    """``(T, K, 3)``, as in the file."""

    def truth(self, turn: int, depth: bool) -> Seen:
        """What is in the picture after `turn`, and where; with CoDraw's plane as third coordinate where `depth`."""
        places = self.coords[turn] / (SIDE, SIDE, 2)
        return {int(k): tuple(places[k, : 3 if depth else 2]) for k in np.flatnonzero(self.objects[turn])}


class Published:
    """One open file. Sequences are read as they are asked for; the file is closed by `close`."""

    def __init__(self, path: Path) -> None:
        """Raises `BadRequest` where `path` cannot be read, or is laid out otherwise."""
        self.path = path
        self.file = _opened(path)
        self.names = sorted(name for name in self.file if name not in OTHER_ENTRIES)
        if "background" not in self.file or not self.names:
            raise BadRequest(
                f"{path.name} must hold a background and one group a sequence, as GeNeVA's files do; it has "
                f"{', '.join(list(self.file)[:5]) or 'nothing'}"
            )
        self.background: Picture = _picture(np.asarray(self.file["background"]))
        entities = self.file["entities"][()] if "entities" in self.file else None
        self.entities: tuple[str, ...] | None = None if entities is None else tuple(json.loads(_text(entities)))

    @property
    def has_depth(self) -> bool:
        """Whether behind and in front are told by CoDraw's planes rather than by the height in the picture."""
        return self.entities is None

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[PublishedStory]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> PublishedStory:
        """Raises `BadRequest` where the group lacks something, or its parts are not of as many turns."""
        name = self.names[number]
        group = self.file[name]
        wording = next((key for key in ("text", "utterences") if key in group), None)
        lacking = [key for key in ("images", "objects", "coords") if key not in group]
        if wording is None or lacking:
            wanted = ", ".join([*lacking, *(["text or utterences"] if wording is None else [])])
            raise BadRequest(f"the sequence {name} of {self.path.name} needs {wanted}; it has {', '.join(group)}")
        told = json.loads(_text(group["text"][()])) if wording == "text" else map(_text, group["utterences"][()])
        pictures = np.ascontiguousarray(np.asarray(group["images"])[..., ::-1])
        found = PublishedStory(
            tuple(told), pictures, np.asarray(group["objects"]) > 0, np.asarray(group["coords"], np.float64)
        )
        counts = {len(found.instructions), len(pictures), len(found.objects), len(found.coords)}
        if len(counts) > 1 or pictures.ndim != 4:
            raise BadRequest(
                f"the sequence {name} of {self.path.name} must have as many pictures, instructions, objects and "
                f"coordinates; it has {len(pictures)}, {len(found.instructions)}, {len(found.objects)} and "
                f"{len(found.coords)}"
            )
        return found

    def close(self) -> None:
        self.file.close()


def find_published(folder: Path, split: str) -> Path:
    """The file of `split` in a folder of GeNeVA's files; raises `BadRequest` where there is none, or two."""
    names = [f"{prefix}_{FILES[split]}.h5" for prefix in PREFIXES]
    found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) != 1:
        there = sorted(path.name for path in folder.iterdir())[:5] if folder.is_dir() else []
        raise BadRequest(
            f"{folder} must hold one of {' and '.join(names)}; found {', '.join(there) or 'nothing'}. Make the files "
            "with the scripts that GeNeVA publishes"
        )
    return found[0]


def _opened(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise BadRequest("published data is read with h5py, which is not here; install it: pip install h5py") from None
    try:
        return h5py.File(path, "r")
    except OSError:
        raise BadRequest(f"{path.name} is no HDF5 file, or is cut off; copy or make it again") from None


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _picture(pixels: NDArray[np.uint8]) -> Picture:
    return np.ascontiguousarray(pixels[..., ::-1])
