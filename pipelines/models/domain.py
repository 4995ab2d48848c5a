"""What a model was made for, where its card says so: the words it was taught, and the pictures it was shown.

``"vocabulary": {"subject": [["dog", "puppy"], "cat"], "also": ["a", "the"]}`` has words and phrases under headings of
the card's own choice; those in one list mean the same, the usual one first. Of a heading called as one of the studio's
texts, ``subject`` or ``background``, the words are offered for that text first.

``"pictures": {"made_for": "flat drawings", "smooth": 0.5}`` says of what the pictures are, for a person, and how smooth
they are at least (`pipelines.hints.pictures`).

``"methods": ["layered", "inpaint"]`` names the methods that do best on it, the best one first.

``"measured_by"`` says by what its pictures are compared (`pipelines.models.limits`).

All may be left out. What cannot be read is left out too, with a remark that says why: a card is written by hand, and
its model works without. No torch here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.models.limits import NOTHING_CALIBRATED, MeasuredBy, measured_by

MOST_FORMS = 5_000
"""Words and phrases of a vocabulary: a word that is not among them is compared with each."""
LONGEST_FORM = 100
"""Characters."""

Group = tuple[str, ...]
"""Words or phrases that mean the same, the usual one first."""


@dataclass(frozen=True)
class Vocabulary:
    """Words and phrases that a model was taught, in lower case."""

    headings: tuple[tuple[str, tuple[Group, ...]], ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        return tuple(group for _, groups in self.headings for group in groups)

    @property
    def forms(self) -> tuple[str, ...]:
        return tuple(form for group in self.groups for form in group)


@dataclass(frozen=True)
class Pictures:
    """The pictures that a model was shown."""

    made_for: str
    """For a person: ``flat drawings``."""
    smooth: float
    """The least share of one that is smooth, 0 to 1."""


@dataclass(frozen=True)
class Domain:
    """Everything a card says of what its model was made for."""

    vocabulary: Vocabulary | None = None
    pictures: Pictures | None = None
    measured_by: MeasuredBy = NOTHING_CALIBRATED
    methods: tuple[str, ...] = ()
    """Names of those that do best on it, the best one first; what is called so nowhere is of no harm."""
    remarks: tuple[str, ...] = ()
    """What of it was left out, and why."""


NOTHING_SAID = Domain()


def domain_of(said: Mapping[str, Any]) -> Domain:
    """The domain in the JSON of a card."""
    remarks: list[str] = []
    vocabulary = pictures = None
    try:
        vocabulary = _vocabulary(said["vocabulary"]) if "vocabulary" in said else None
    except _Unreadable as reason:
        remarks.append(f"the vocabulary in its card was left out: {reason}")
    try:
        pictures = _pictures(said["pictures"]) if "pictures" in said else None
    except _Unreadable as reason:
        remarks.append(f"what its card says of pictures was left out: {reason}")
    measures, left_out = measured_by(said)
    if left_out:
        remarks.append(left_out)
    methods = said.get("methods", [])
    if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
        remarks.append(f"the methods in its card were left out: expected a list of names; got {methods!r:.60}")
        methods = []
    return Domain(vocabulary, pictures, measures, tuple(methods), tuple(remarks))


class _Unreadable(Exception):
    """Part of a card is not what it should be."""


def _vocabulary(value: Any) -> Vocabulary:
    if not isinstance(value, dict) or not value:
        raise _Unreadable(f'expected headings with words under them, like {{"subject": ["dog"]}}; got {value!r:.60}')
    headings = []
    for heading, entries in value.items():
        if not isinstance(entries, list):
            raise _Unreadable(f"expected a list of words under {heading!r:.40}; got {entries!r:.60}")
        headings.append((str(heading), tuple(_group(entry, heading) for entry in entries)))
    vocabulary = Vocabulary(tuple(headings))
    if len(vocabulary.forms) > MOST_FORMS:
        raise _Unreadable(f"it may have {MOST_FORMS:,} words and phrases; got {len(vocabulary.forms):,}")
    return vocabulary


def _group(entry: Any, heading: str) -> Group:
    forms: Iterable[Any] = entry if isinstance(entry, list) else [entry]
    group = []
    for form in forms:
        words = " ".join(form.split()).lower() if isinstance(form, str) else ""
        if not words or len(words) > LONGEST_FORM:
            raise _Unreadable(
                f"expected words of at most {LONGEST_FORM} characters under {heading!r:.40}; got {form!r:.60}"
            )
        group.append(words)
    if not group:
        raise _Unreadable(f"expected a word or phrase in each list under {heading!r:.40}; got an empty list")
    return tuple(group)


def _pictures(value: Any) -> Pictures:
    expected = 'expected {"made_for": "flat drawings", "smooth": 0.5}'
    if not isinstance(value, dict):
        raise _Unreadable(f"{expected}; got {value!r:.60}")
    made_for, smooth = value.get("made_for"), value.get("smooth")
    if not isinstance(made_for, str) or not made_for.strip():
        raise _Unreadable(f"{expected}, with a text in made_for; got {made_for!r:.60}")
    if isinstance(smooth, bool) or not isinstance(smooth, int | float) or not 0 <= smooth <= 1:
        raise _Unreadable(f"{expected}, with a share from 0 to 1 in smooth; got {smooth!r:.60}")
    return Pictures(made_for.strip(), float(smooth))
