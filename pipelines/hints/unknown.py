"""Words that a model was not taught, and the nearest that it was."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from pipelines.hints.contract import Span
from pipelines.instructions import words as english
from pipelines.instructions.description import indefinite
from pipelines.models.domain import Group, Vocabulary

NEAR = 0.65
"""The least likeness of two words, 0 to 1 (`difflib.SequenceMatcher.ratio`), for one to be offered for the other."""
NEARER = 0.15
"""By how much less like it than the nearest another may be."""

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_JOINING = (
    english.PLACE_PREPOSITIONS
    | english.DEFINITE
    | english.INDEFINITE
    | english.PRONOUNS
    | english.POSSESSIVES
    | frozenset(["of", "with", "and", "or", "to", "from", "into", "onto", "by", "for", "as", "is", "are"])
)
"""Words that only hold others together: what a text asks for does not hang on whether the model knows them."""


def unknown_in(text: str, vocabulary: Vocabulary, known: Sequence[Span] = ()) -> list[Span]:
    """Where `text` has words that are neither of the vocabulary nor within the spans `known`, in order.

    A word that the vocabulary has only in a phrase is known in that phrase. Neighbours with capitals are one name.
    """
    lexicon = _lexicon(vocabulary.groups)
    found = [match.span() for match in _WORD.finditer(text)]
    words = [_plain(text[start:end]) for start, end in found]
    spans: list[Span] = []
    place = 0
    while place < len(words):
        if length := lexicon.longest(words, place):
            place += length
            continue
        start, end = found[place]
        place += 1
        if words[place - 1] in _JOINING or any(a < end and start < b for a, b in known):
            continue
        if spans and _is_one_name(text, spans[-1], (start, end)):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def nearest(said: str, vocabulary: Vocabulary, part: str) -> list[str]:
    """The words and phrases most like `said`, best first, each with the usual one that means the same.

    Those under the heading of the other text are left out; of two that are as near, one under the heading `part` comes
    first. A word that stands for a whole phrase (*beach* for *on the beach*) is offered as that.
    """
    matcher = difflib.SequenceMatcher(b=_plain(said), autojunk=False)
    likeness: dict[str, tuple[float, bool, Group]] = {}
    for heading, group in _offered(vocabulary, part):
        for form in filter(_is_content, group):
            matcher.set_seq1(form)
            if matcher.real_quick_ratio() >= NEAR and matcher.quick_ratio() >= NEAR and matcher.ratio() >= NEAR:
                likeness[form] = (matcher.ratio(), heading == part, group)
    best = sorted(likeness, key=lambda form: likeness[form][:2], reverse=True)
    close = [form for form in best if likeness[form][0] >= likeness[best[0]][0] - NEARER]
    usual = {form: likeness[form][2][0] for form in close}
    pairs = ((usual[form],) if _is_place(usual[form]) else (form, usual[form]) for form in close)
    return list(dict.fromkeys(form for pair in pairs for form in pair))


def usual_under(heading: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The usual word of each meaning under `heading`; none where the vocabulary has no such heading."""
    return dict(usual_forms(vocabulary)).get(heading, ())


def says_any(text: str, heading: str, vocabulary: Vocabulary) -> bool:
    """Whether `text` has a word or phrase that stands under `heading`."""
    lexicon = _lexicon(tuple(group for name, groups in vocabulary.headings if name == heading for group in groups))
    words = [_plain(word) for word in _WORD.findall(text)]
    return any(lexicon.longest(words, place) for place in range(len(words)))


def exchanged(text: str, span: Span, form: str) -> str:
    """`text` with `form` in place of `span`. A phrase that begins with a preposition takes the place of the one before
    it, and an article is made to fit."""
    start, end = span
    before = list(_WORD.finditer(text, 0, start))
    if _is_place(form):
        while before and _plain(before[-1][0]) in _JOINING and not text[before[-1].end() : start].strip():
            start = before.pop().start()
    elif before and _plain(before[-1][0]) in english.INDEFINITE and not text[before[-1].end() : start].strip():
        start, form = before[-1].start(), indefinite(form)
    return text[:start] + form + text[end:]


class _Lexicon:
    """The phrases of a vocabulary by their first word."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._phrases: dict[str, set[tuple[str, ...]]] = {}
        for group in groups:
            for form in group:
                if words := tuple(map(_plain, _WORD.findall(form))):
                    self._phrases.setdefault(words[0], set()).add(words)

    def longest(self, words: Sequence[str], place: int) -> int:
        """The number of words of the longest phrase that stands at `place`; 0 where none does."""
        phrases = self._phrases.get(words[place], ())
        return max((len(p) for p in phrases if tuple(words[place : place + len(p)]) == p), default=0)


@lru_cache(maxsize=8)
def _lexicon(groups: tuple[Group, ...]) -> _Lexicon:
    return _Lexicon(groups)


def _offered(vocabulary: Vocabulary, part: str) -> Iterator[tuple[str, Group]]:
    other = "background" if part == "subject" else "subject"
    return ((heading, group) for heading, groups in vocabulary.headings for group in groups if heading != other)


def _is_place(form: str) -> bool:
    return _plain(form.split()[0]) in english.PLACE_PREPOSITIONS | english.ADVERBS_OF_PLACE


def _plain(word: str) -> str:
    return word.lower().replace("’", "'")


def _is_one_name(text: str, first: Span, second: Span) -> bool:
    beside = not text[first[1] : second[0]].strip() and "\n" not in text[first[1] : second[0]]
    return beside and text[first[0]].isupper() and text[second[0]].isupper()


def usual_forms(vocabulary: Vocabulary) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each heading with the usual word of each meaning under it; those that only join words are left out."""
    for heading, groups in vocabulary.headings:
        if forms := tuple(group[0] for group in groups if _is_content(group[0])):
            yield heading, forms


def _is_content(form: str) -> bool:
    return any(_plain(word) not in _JOINING for word in _WORD.findall(form))
