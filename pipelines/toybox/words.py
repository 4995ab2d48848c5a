"""The words of the Toybox: its attributes, their synonyms, captions made from them and attributes read back.

The same tables serve both directions, so everything that can be said can also be understood.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

SUBJECTS: dict[str, tuple[str, ...]] = {
    "dog": ("dog", "puppy", "hound"),
    "cat": ("cat", "kitten"),
    "rabbit": ("rabbit", "bunny", "hare"),
    "elephant": ("elephant",),
    "giraffe": ("giraffe",),
    "duck": ("duck", "mallard"),
    "penguin": ("penguin",),
    "turtle": ("turtle", "tortoise"),
    "car": ("car", "automobile"),
    "rocket": ("rocket", "spaceship"),
    "apple": ("apple",),
    "balloon": ("balloon",),
}

BACKGROUNDS: dict[str, tuple[str, ...]] = {
    "beach": ("on the beach", "at the seaside", "on a beach"),
    "desert": ("in the desert", "among dunes", "in a desert"),
    "forest": ("in a forest", "in the woods", "in the forest"),
    "snow": ("in the snow", "in a snowy landscape", "in winter snow"),
    "city": ("in the city", "in a city", "downtown"),
    "meadow": ("in a meadow", "in a flower field", "in the meadow"),
    "night": ("at night", "under the moon", "under the stars"),
    "space": ("in space", "in outer space", "among the planets"),
}

PLACES: dict[str, tuple[str, ...]] = {
    "beach": ("beach", "seaside"),
    "desert": ("desert", "dunes"),
    "forest": ("forest", "woods"),
    "snow": ("snow", "snowy landscape", "snowy", "winter"),
    "city": ("city", "town", "downtown"),
    "meadow": ("meadow", "flower field"),
    "night": ("night", "night sky", "moon", "stars"),
    "space": ("space", "outer space", "planets"),
}

COLOURS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet"),
    "blue": ("blue", "azure"),
    "green": ("green", "emerald"),
    "yellow": ("yellow", "golden"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rose"),
}

SIZES: dict[str, tuple[str, ...]] = {
    "small": ("small", "little", "tiny"),
    "medium": (),
    "big": ("big", "large", "huge"),
}

ACTIONS: dict[str, tuple[str, ...]] = {
    "standing": ("standing",),
    "jumping": ("jumping", "hopping", "leaping"),
    "upside down": ("upside down", "on its head"),
}

NATURAL = "natural"
"""The colour of a sprite as it was drawn; it has no word."""


@dataclass(frozen=True)
class Attributes:
    """What a text says; ``None`` where it says nothing."""

    subject: str | None = None
    colour: str | None = None
    size: str | None = None
    action: str | None = None
    background: str | None = None


def article(words: str) -> str:
    """`words` with the indefinite article in front of them."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _word(table: dict[str, tuple[str, ...]], value: str, rng: random.Random, synonyms: float) -> str:
    forms = table[value]
    return rng.choice(forms) if rng.random() < synonyms else forms[0]


def subject_phrase(
    subject: str,
    colour: str = NATURAL,
    size: str = "medium",
    action: str = "standing",
    rng: random.Random | None = None,
    synonyms: float = 0.0,
) -> str:
    """Say a subject: ``a big red dog jumping``. `synonyms` is the chance of another word than the first, 0 to 1."""
    rng = rng or random.Random(0)
    words = [_word(SIZES, size, rng, synonyms)] if size != "medium" else []
    if colour != NATURAL:
        words.append(_word(COLOURS, colour, rng, synonyms))
    words.append(_word(SUBJECTS, subject, rng, synonyms))
    if action != "standing":
        words.append(_word(ACTIONS, action, rng, synonyms))
    return article(" ".join(words))


def background_phrase(background: str, rng: random.Random | None = None, synonyms: float = 0.0) -> str:
    """Say a background as it follows a subject: ``in a forest``."""
    return _word(BACKGROUNDS, background, rng or random.Random(0), synonyms)


def _find(table: dict[str, tuple[str, ...]], text: str) -> str | None:
    """The attribute whose longest form occurs first in `text`, whole words only."""
    forms = [(form, value) for value, all_forms in table.items() for form in all_forms]
    for form, value in sorted(forms, key=lambda pair: -len(pair[0])):
        if re.search(rf"\b{re.escape(form)}\b", text):
            return value
    return None


def read(text: str) -> Attributes:
    """The captions read backwards: the attributes that `text` names, in any order of words."""
    text = text.lower()
    place = _find(BACKGROUNDS, text) or _find(PLACES, text)
    return Attributes(
        subject=_find(SUBJECTS, text),
        colour=_find(COLOURS, text),
        size=_find(SIZES, text),
        action=_find(ACTIONS, text),
        background=place,
    )


def vocabulary() -> list[str]:
    """Every word that the grammar can say, sorted; the tokenizer keeps each of them whole."""
    tables = (SUBJECTS, BACKGROUNDS, PLACES, COLOURS, SIZES, ACTIONS)
    said = {w for table in tables for forms in table.values() for form in forms for w in form.split()}
    return sorted(said | {"a", "an", "the", "empty"})
