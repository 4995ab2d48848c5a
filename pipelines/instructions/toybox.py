"""The instructions of the Toybox: templates over its words that say a change, and the same templates read backwards.

``template.format(...)`` with phrases of `SLOTS` says an instruction's clause; `read` finds the template and phrases
again. A clause that is not wholly of this grammar is none of its business and left to the rules for open text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipelines.instructions.contract import Change
from pipelines.instructions.description import Description, adjectives, describe, refer
from pipelines.toybox.words import ACTIONS, BACKGROUNDS, COLOURS, SIZES, SUBJECTS


def _forms(table: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(form for forms in table.values() for form in forms)


def _bare(doing: str) -> str:
    """``hopping`` -> ``hop``."""
    stem = doing.removesuffix("ing")
    return stem[:-1] if stem[-1] == stem[-2] else stem


DOING = {_bare(form): form for form in _forms(ACTIONS) if form.endswith("ing") and " " not in form}
"""``jump`` -> ``jumping``."""

SCENERY = {phrase.split(" ", 1)[1]: phrase for phrase in _forms(BACKGROUNDS) if " " in phrase} | {
    phrase: phrase for phrase in _forms(BACKGROUNDS) if " " not in phrase
}
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


def _pattern(template: str, inside: bool = False) -> str:
    """`template` as a regular expression: every slot an alternation of its phrases, named at the outermost level."""

    def slot(match: re.Match[str]) -> str:
        name = match[1]
        phrases = [_pattern(phrase, inside=True) for phrase in PHRASES.get(name, ())] or [
            re.escape(form) for form in sorted(SLOTS[name], key=len, reverse=True)
        ]
        return f"({'?:' if inside else f'?P<{name}>'}{'|'.join(phrases)})"

    return re.sub(r"\{(\w+)\}", slot, template)


_PATTERNS = tuple(re.compile(_pattern(template), re.I) for template in CLAUSES)


def read(words: Sequence[str], known: Description | None) -> Change | None:
    """What a clause of the grammar changes in `known`; ``None`` for any other clause.

    The person's own words are kept: ``the azure puppy`` is not corrected to a blue dog.
    """
    clause = " ".join(words)
    said = next((match.groupdict() for pattern in _PATTERNS if (match := pattern.fullmatch(clause))), None)
    if said is None:
        return None
    place = said.get("background") or SCENERY.get(said.get("scenery", "").lower(), "")
    subject = describe(said["someone"].split()) if "someone" in said else None
    if subject is None and not place:
        it = refer(said["it"].split(), known)
        subject = it and _changed(it, said)
        if subject is None:
            return None
    return Change("" if subject is None else str(subject), place)


def _changed(it: Description, said: dict[str, str]) -> Description:
    look = adjectives((said.get("look") or said.get("colour") or "").split())
    if look:
        return it.becoming(look)
    return it.doing(DOING.get(said.get("do", "").lower()) or said.get("action") or said["pose"])
