"""Ways of speaking that no text-to-image model understands: negations, removals, instructions, others' notation.

Which text is meant as what is told by its words alone, so a hint may be wrong: it is a remark, and the text runs as it
stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipelines.hints.contract import Kind, Span
from pipelines.instructions import words as english
from pipelines.instructions.clauses import cut
from pipelines.instructions.description import plain

_NEGATION = re.compile(
    r"\b(?:no|not|never|without|none of|free of|(?:is|are|was|do|does|has|have|ca|wo)n['’]t|nobody|nothing)\b", re.I
)
_NEGATED_WORDS = 5
_ENDS_NEGATION = (
    english.PLACE_PREPOSITIONS | {"and", "but", "or", "with", "while", "then", "wearing", "holding", "that", "which"}
) - {"around"}
_WORD = re.compile(r"\S+")
_DANGLING = frozenset(("with", "and", "but", "or", "that", "which", "is", "are", "has", "have"))
_JOINTS = re.compile(r"[\s,;.:!?]*(?:and\b[\s,]*)?", re.I)

_REMOVALS = (*((verb,) for verb in sorted(english.REMOVE)), ("get", "rid"), ("take", "away"), ("take", "out"))
_WISHED = frozenset(("should", "must", "shall"))
_SELDOM = frozenset(["have", "watch", "see", "get", "set", "age", "without", "keeping", "leaving"])
"""Verbs of change that a description begins with as often: they say nothing."""
_NOUNS_TOO = english.PAINT | frozenset(
    (
        *("render", "place", "move", "position", "drop", "swap", "exchange", "turn", "change", "switch", "keep"),
        *("leave", "blur", "dim", "open", "close", "clean", "dress", "draw"),
    )
)
"""Verbs of change that are other words as well: *change the dog* is an instruction, *paint splashes* is none."""
_OBJECTS = english.DEFINITE | english.INDEFINITE | english.PRONOUNS | english.POSSESSIVES

_SYNTAX = (
    re.compile(r"\(+(?P<words>[^():]{1,80}):\s*-?\d*\.?\d+\)+"),
    re.compile(r"<(?:lora|lyco|hypernet|embedding)\s*:[^<>]{1,120}>", re.I),
    re.compile(r"\({2,}(?P<words>[^():]{1,80})\){2,}"),
    re.compile(r"\[+(?P<words>[^\[\]]{1,80})\]+"),
    re.compile(r"(?<!\S)--[a-z]{1,12}(?:\s+[\d.:]+)?(?!\S)", re.I),
    re.compile(r"(?P<words>\w{2,})\+{2,}(?!\S)"),
)
"""Weights in three notations, files by name, options, and weights again: of several programs."""


def negations(text: str) -> Iterator[tuple[Span, str]]:
    """Where `text` says that something is not there, and what it names all the same."""
    reached = 0
    for match in _NEGATION.finditer(text):
        if match.start() < reached:
            continue
        end = match.end()
        alone = match[0].lower() in ("nobody", "nothing")
        for count, word in enumerate(() if alone else _WORD.finditer(text, match.end())):
            bare = word[0].rstrip(",.;:!?")
            first_or_plain = count == 0 or plain(bare) not in _ENDS_NEGATION
            parted = bool(text[end : word.start()].strip()) or "\n" in text[end : word.start()]
            if count == _NEGATED_WORDS or not bare or not first_or_plain or parted:
                break
            end = word.start() + len(bare)
            if bare != word[0]:
                break
        reached = end
        yield (match.start(), end), text[match.end() : end].strip()


def left_out(text: str, span: Span) -> str:
    """`text` without `span`, and without what only joined it to the rest."""
    before, after = text[: span[0]].rstrip(" \t\n,;"), text[span[1] :].strip()
    while before and plain(before.split()[-1]) in _DANGLING:
        before = before[: -len(before.split()[-1])].rstrip(" \t\n,;")
    after = after.lstrip(",;. ") if not before else after
    joint = "" if not before or not after or after[0] in ",.;:!?" else " "
    return f"{before}{joint}{after}".strip()


def orders(text: str) -> list[tuple[Kind, Span]]:
    """Clauses of `text` that say what to do, to remove something or anything else; neighbours of one kind together."""
    found: list[tuple[Kind, Span]] = []
    reached = 0
    for clause in cut(text):
        low = [plain(word) for word in clause.words]
        joints = _JOINTS.match(text, reached, clause.start)
        start = clause.start if joints is None else joints.end()  # politeness before a verb is part of it
        if kind := _kind(low):
            if found and found[-1][0] is kind and found[-1][1][1] == reached:
                start = found.pop()[1][0]
            found.append((kind, (start, clause.end)))
        reached = clause.end
    return found


def _kind(low: list[str]) -> Kind | None:
    if any(tuple(low[: len(verb)]) == verb for verb in _REMOVALS) and len(low) > 1:
        return Kind.REMOVAL
    return Kind.INSTRUCTION if _is_order(low) else None


def _is_order(low: list[str]) -> bool:
    wishes = any(tuple(low[: len(wish)]) == wish for wish in english.WISHES)
    if wishes or any(word in _WISHED for word in low[1:]):
        return True
    if low[0] not in english.OPENERS - _SELDOM or len(low) < 2:
        return False
    return low[0] not in _NOUNS_TOO or low[1] in _OBJECTS


def notations(text: str) -> Iterator[tuple[Span, str]]:
    """Where `text` has another program's notation, and the words in it."""
    taken: list[Span] = []
    for pattern in _SYNTAX:
        for match in pattern.finditer(text):
            if all(match.end() <= a or b <= match.start() for a, b in taken):
                taken.append(match.span())
                yield match.span(), (match.groupdict().get("words") or "").strip()
