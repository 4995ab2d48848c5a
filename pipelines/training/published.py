"""Reads FashionIQ (Wu et al. 2021) and Fashion200k (Han et al. 2017) as they are published. No torch here."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pipelines.contract import Picture
from pipelines.errors import BadPicture, BadRequest
from pipelines.pictures import decode
from pipelines.training.triples import HELD_OUT, TRAINING, Instruction

ENDINGS = (".jpg", ".png", ".jpeg")
PARTNERS = 10
"""Targets that a picture of Fashion200k is given, drawn anew for each."""
MOST_ALIKE = 100
"""Captions that one is compared with of those that share all but two words: of short ones there are thousands."""


class FashionIQ:
    """Pairs of garments with two captions each of what is different: people wrote them, so the split is ready-made.

    Pairs without their pictures are left out, as not all addresses of the pictures still answer.
    """

    LAYOUT = "captions/cap.dress.train.json and images/NAME.jpg"
    KINDS = ("dress", "shirt", "toptee")
    SPLITS = ((TRAINING, "train"), (HELD_OUT, "val"))  # the targets of its test split are not told
    name = "FashionIQ"

    def __init__(self, folder: Path) -> None:
        """Raises `BadRequest` where nothing can be made of the files."""
        self._pictures = {
            path.stem: path for path in sorted((folder / "images").glob("*")) if path.suffix.lower() in ENDINGS
        }
        self._pairs = {split: list(self._read(folder, theirs)) for split, theirs in self.SPLITS}
        if not self._pairs[TRAINING]:
            raise BadRequest(
                f"{folder} must have pairs to train on; of its captions none has both pictures in images, where "
                f"{len(self._pictures)} are. Fetch the pictures of FashionIQ"
            )

    @classmethod
    def lies_in(cls, folder: Path) -> bool:
        return any((folder / "captions").glob("cap.*.json"))

    def _read(self, folder: Path, split: str) -> Iterator[tuple[str, str, Instruction]]:
        for kind in self.KINDS:
            path = folder / "captions" / f"cap.{kind}.{split}.json"
            if not path.is_file():
                continue
            try:
                for entry in json.loads(path.read_text(encoding="utf-8")):
                    reference, target = str(entry["candidate"]), str(entry["target"])
                    first, second = (str(text).strip().rstrip(".") for text in entry["captions"])
                    if reference in self._pictures and target in self._pictures and first and second:
                        yield reference, target, in_two_parts(first, second)
            except (ValueError, KeyError, TypeError) as error:
                raise BadRequest(
                    f"{path.name} must be a list of a candidate, a target and two captions each, as it is published; "
                    f"got something else ({str(error)[:80]}). Fetch it again"
                ) from None

    def count(self, split: str) -> int:
        return len(self._pairs[split])

    def triple(self, split: str, number: int) -> tuple[Picture, Instruction, Picture]:
        reference, target, said = self._pairs[split][number]
        return read_picture(self._pictures[reference]), said, read_picture(self._pictures[target])

    def between(self, _split: str, _number: int, /) -> Picture | None:
        return None

    def right(self, _split: str, _numbers: Sequence[int], _pictures: Sequence[Picture], /) -> list[bool] | None:
        return None


@dataclass(frozen=True)
class _Pieces:
    """The pictures of one split of Fashion200k by their captions."""

    captions: list[tuple[str, ...]]
    """Each once, in its words."""
    pictures: list[list[Path]]
    """Of each caption."""
    partners: dict[int, list[int]]
    """Captions that differ from this one in two words."""
    begins: list[tuple[int, Path]]
    """Every picture whose caption has a partner, with the number of the caption."""


class Fashion200k:
    """Single garments with captions; a triple is made of two whose captions differ in two words, each a part.

    As Vo et al. (2019) do, who take those that differ in one.
    """

    LAYOUT = "labels/dress_train_detect_all.txt and women/…/NAME.jpeg"
    SPLITS = ((TRAINING, "train"), (HELD_OUT, "test"))
    name = "Fashion200k"

    def __init__(self, folder: Path) -> None:
        """Raises `BadRequest` where nothing can be made of the files."""
        self._pieces = {split: _paired(self._read(folder, theirs)) for split, theirs in self.SPLITS}
        if not self._pieces[TRAINING].begins:
            raise BadRequest(
                f"{folder} must have captions that differ in two words, with their pictures below women; there are "
                "none. Fetch the labels and the pictures of Fashion200k"
            )

    @classmethod
    def lies_in(cls, folder: Path) -> bool:
        return any((folder / "labels").glob("*_detect_all.txt"))

    @staticmethod
    def _read(folder: Path, split: str) -> Iterator[tuple[tuple[str, ...], Path]]:
        for path in sorted((folder / "labels").glob(f"*_{split}_detect_all.txt")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                parts = line.split("\t")
                if len(parts) != 3:
                    raise BadRequest(
                        f"{path.name} must have a picture, a score and a caption a line, with tabs between; line "
                        f"{number} has {len(parts)} of them. Fetch it again"
                    )
                picture = folder / parts[0]
                if picture.resolve().is_relative_to(folder.resolve()) and picture.is_file():
                    yield tuple(parts[2].split()), picture

    def count(self, split: str) -> int:
        return PARTNERS * len(self._pieces[split].begins)

    def triple(self, split: str, number: int) -> tuple[Picture, Instruction, Picture]:
        pieces, rng = self._pieces[split], random.Random(f"fashion200k/{split}/{number}")
        caption, reference = pieces.begins[number % len(pieces.begins)]
        other = rng.choice(pieces.partners[caption])
        gone = [word for word in pieces.captions[caption] if word not in pieces.captions[other]]
        new = [word for word in pieces.captions[other] if word not in pieces.captions[caption]]
        said = in_two_parts(*(f"replace {a} with {b}" for a, b in zip(gone, new, strict=True)))
        return read_picture(reference), said, read_picture(rng.choice(pieces.pictures[other]))

    def between(self, _split: str, _number: int, /) -> Picture | None:
        return None

    def right(self, _split: str, _numbers: Sequence[int], _pictures: Sequence[Picture], /) -> list[bool] | None:
        return None


def _paired(found: Iterator[tuple[tuple[str, ...], Path]]) -> _Pieces:
    of: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for caption, picture in found:
        if len(set(caption)) == len(caption):
            of[caption].append(picture)
    captions = sorted(of)
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, caption in enumerate(captions):
        for gone in combinations(range(len(caption)), 2):
            rest = sorted(word for place, word in enumerate(caption) if place not in gone)
            if rest:
                alike[tuple(rest)].append(number)
    partners: dict[int, list[int]] = defaultdict(list)
    for shared, numbers in alike.items():
        for a in numbers:
            many = len(numbers) > MOST_ALIKE
            some = random.Random(f"{shared}/{a}").sample(numbers, MOST_ALIKE) if many else numbers
            partners[a] += [b for b in some if len(set(captions[a]) - set(captions[b])) == 2]
    partners = {a: others for a, others in partners.items() if others}
    begins = [(a, picture) for a in sorted(partners) for picture in of[captions[a]]]
    return _Pieces(captions, [of[caption] for caption in captions], partners, begins)


def in_two_parts(first: str, second: str) -> Instruction:
    """Two parts of which nobody says that their order matters."""
    return Instruction(first, second, f"{first} and {second}", f"{second} and {first}", independent=True)


def read_picture(path: Path) -> Picture:
    """``(H, W, 3) uint8`` RGB; raises `BadPicture` with the file's name."""
    try:
        return decode(path.read_bytes()).picture
    except OSError as error:
        raise BadPicture(
            f"{path.name} must be a picture; it cannot be read ({error.strerror}). Fetch it again"
        ) from None
    except BadPicture as error:
        raise BadPicture(f"{path.name}: {error}") from None
