"""Instructions about the embedded world, said by templates over its words: what the rules have to read."""

from __future__ import annotations

from pipelines.toybox.words import ACTIONS, BACKGROUNDS, COLOURS, SIZES, SUBJECTS


def _forms(table: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(form for forms in table.values() for form in forms)


def _bare(doing: str) -> str:
    """``hopping`` -> ``hop``."""
    stem = doing.removesuffix("ing")
    return stem[:-1] if stem[-1] == stem[-2] else stem


DOING = {_bare(form): form for form in _forms(ACTIONS) if form.endswith("ing") and " " not in form}
"""``jump`` -> ``jumping``."""

ON_OR_UNDER = "under the moon"
"""Said as a thing, it is as well a place to stand on."""

SCENERY = {
    phrase.split(" ", 1)[1]: phrase for phrase in _forms(BACKGROUNDS) if " " in phrase and phrase != ON_OR_UNDER
} | {phrase: phrase for phrase in _forms(BACKGROUNDS) if " " not in phrase}
"""A background as a thing -> as a place: ``the beach`` -> ``on the beach``."""

SLOTS: dict[str, tuple[str, ...]] = {
    "size": _forms(SIZES),
    "colour": _forms(COLOURS),
    "noun": _forms(SUBJECTS),
    "action": _forms(ACTIONS),
    "pose": tuple(form for form in _forms(ACTIONS) if form not in DOING.values()),
    "do": tuple(DOING),
    "background": _forms(BACKGROUNDS),
    "scenery": tuple(SCENERY),
}
"""The words that a template may be filled with."""

PHRASES: dict[str, tuple[str, ...]] = {
    "it": ("it", "the {noun}", "the {size} {noun}", "the {colour} {noun}", "the {size} {colour} {noun}"),
    "look": ("{size}", "{colour}", "{size} {colour}", "{size} and {colour}"),
    "thing": ("{noun}", "{size} {noun}", "{colour} {noun}", "{size} {colour} {noun}"),
    "someone": ("a {thing}", "an {thing}", "a {thing} {action}", "an {thing} {action}"),
}
"""Phrases made of those words; *a* or *an* is the speaker's business."""

CLAUSES: tuple[str, ...] = (
    "make {it} {look}",
    "turn {it} {look}",
    "paint {it} {colour}",
    "colour {it} {colour}",
    "color {it} {colour}",
    "change the colour of {it} to {colour}",
    "change the color of {it} to {colour}",
    "let {it} {do}",
    "make {it} {do}",
    "make {it} {action}",
    "turn {it} {pose}",
    "put {it} {pose}",
    "turn {it} into {someone}",
    "change {it} into {someone}",
    "change {it} to {someone}",
    "replace {it} with {someone}",
    "make {it} {someone}",
    "put {it} {background}",
    "place {it} {background}",
    "change the background to {scenery}",
    "turn the background into {scenery}",
    "replace the background with {scenery}",
    "make the background {scenery}",
    "{someone}",
    "{background}",
    "{someone} {background}",
)
"""What can be said of a picture in one clause."""
