"""Cuts an instruction into clauses: *then*, ``;``, ``.`` and a new line part turns, *and* and commas part what may go
together.

Nothing is interpreted and nothing rewritten: a clause knows where it stands in the person's text. One pass over the
words, so its time grows with their number. This file imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.instructions import words as english
from pipelines.instructions.description import plain

_TOKEN = re.compile(r"\S+")
_ABBREVIATION = re.compile(r"(?:st|mr|mrs|ms|dr|vs|[a-z]\.[a-z])\.", re.I)
_STOPS = (".", ";", "!", "?")
_LIST_MARK = re.compile(r"(?:\d{1,2}[.)]|[-*•–—>]+|→)")
_THEN = (("followed", "by"), ("after", "that"), ("after", "this"), ("then",), ("afterwards",), ("subsequently",))


@dataclass(frozen=True)
class Clause:
    """Words ``start:end`` (characters) of the instruction, without what only joins or is polite."""

    words: tuple[str, ...]
    start: int
    end: int
    joined: bool
    """Whether *and* or a comma, not *then* or a full stop, stands between it and the clause before."""


@dataclass(frozen=True)
class _Token:
    word: str
    start: int
    end: int


def cut(instruction: str) -> Iterator[Clause]:
    """The clauses of `instruction` in order; what stands between them is only joints."""
    tokens = [_Token(m[0], m.start(), m.end()) for m in _TOKEN.finditer(instruction)]
    words = [plain(token.word).rstrip(".;:!?,") for token in tokens]
    commas = [token.word.endswith(",") for token in tokens]
    held: list[_Token] = []
    joined = False
    place = 0
    while place < len(tokens):
        token = tokens[place]
        before = tokens[place - 1].end if place else 0
        then = _starts_with(words, place, _THEN)
        new_line = "\n" in instruction[before : token.start]
        soft = bool(held) and bool(_starts_with(words, place, english.ASIDES) or _opens(words, commas, place))
        if then or new_line or soft or _LIST_MARK.fullmatch(token.word):
            if clause := _clause(held, joined):
                yield clause
                joined = soft and not (then or new_line)
            elif not soft:
                joined = False
            held = []
        if then or _LIST_MARK.fullmatch(token.word):
            joined = False
            place += max(then, 1)
            continue
        held.append(token)
        place += 1
        if token.word.rstrip("\"')]")[-1:] in _STOPS and not _ABBREVIATION.fullmatch(token.word):
            if clause := _clause(held, joined):
                yield clause
            held, joined = [], False
    if clause := _clause(held, joined):
        yield clause


def _opens(words: list[str], commas: list[bool], place: int) -> bool:
    """Whether a clause begins at `place`, behind *and* or a comma: a verb of change or, behind *and*, a place."""
    if words[place - 1] != "and" and not commas[place - 1]:
        return False
    skipped = _starts_with(words, place, english.COURTESIES)
    if place + skipped >= len(words):
        return False
    word = words[place + skipped]
    return word in english.CERTAIN_OPENERS or (words[place - 1] == "and" and word in english.PLACE_PREPOSITIONS)


def _starts_with(words: list[str], place: int, phrases: tuple[tuple[str, ...], ...]) -> int:
    """The number of words of the first of `phrases` that stands at `place`, else 0."""
    return next((len(p) for p in phrases if tuple(words[place : place + len(p)]) == p), 0)


def _clause(held: list[_Token], joined: bool) -> Clause | None:
    """`held` without joints at either end and politeness before it; ``None`` where nothing is left."""
    tokens = list(held)
    while tokens and plain(tokens[-1].word).rstrip(".;:!?") in ("and", "but", "please", ""):
        tokens.pop()
    while tokens and (skipped := _starts_with([plain(t.word) for t in tokens[:6]], 0, english.COURTESIES)):
        tokens = tokens[skipped:]
    if not tokens:
        return None
    last = tokens[-1].word
    bare = last if _ABBREVIATION.fullmatch(last) else last.rstrip(".,;:!?")
    words = tuple(word for word in (*(token.word for token in tokens[:-1]), bare) if plain(word))
    return Clause(words, tokens[0].start, tokens[-1].end - len(last) + len(bare), joined) if words else None
