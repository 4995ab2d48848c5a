"""One instruction into ordered turns: ``make the dog blue and put it in a forest, then let it jump``.

Clauses are read one after another by rules (`rules`), and each knows what the ones before it made of the subject.
*Then*, ``;``, a full stop and a new line start a turn; clauses joined by *and* or a comma are turns of their own too,
except that one about the subject and the next about the background are done together. This file imports no torch; a
language model is named as text and loaded only when one is asked for, which belongs on a worker.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipelines.contract import Scope
from pipelines.errors import PipelineError
from pipelines.instructions import rules
from pipelines.instructions import words as english
from pipelines.instructions.clauses import cut
from pipelines.instructions.contract import MOST_TURNS, Asked, Change, Split
from pipelines.instructions.description import describe, plain
from pipelines.progress import Cancelled, Progress, silent
from pipelines.requests import LONGEST_TEXT

log = logging.getLogger(__name__)

MOST_CLAUSES = 2 * MOST_TURNS
"""Clauses read one by one; the rest of an instruction is one unread piece, for nobody looks through thousands."""
LANGUAGE_MODEL = "pipelines.instructions.language_model:split_by_model"


def split(
    instruction: str,
    subject: str = "",
    background: str = "",
    model: str = "",
    device: str = "auto",
    progress: Progress = silent,
) -> Split:
    """The turns that `instruction` asks for, to be shown for correction.

    `subject` and `background` are the last texts on the branch, empty where none was said: *it* in ``make it blue`` is
    that subject. `model` is the folder or hub name of a local language model, which runs on `device`; where it fails,
    the rules answer and `Split.note` says why. Never raises for a text: what is not understood is `Split.unread`.
    """
    if not model:
        return split_by_rules(instruction, subject, background)
    module, function = LANGUAGE_MODEL.split(":")
    try:
        answer: Split = getattr(importlib.import_module(module), function)(
            model, instruction, subject, background, device, progress
        )
    except Cancelled:
        raise
    except Exception as error:  # a model from elsewhere may fail in any way, and the person still gets turns
        log.warning("the language model failed", exc_info=not isinstance(error, PipelineError))
        reason = str(error) if isinstance(error, PipelineError) else f"it failed with {type(error).__name__}"
        note = f"the language model did not answer, so the rules read the instruction: {reason}"
        return replace(split_by_rules(instruction, subject, background), note=note)
    return answer


def split_by_rules(instruction: str, subject: str = "", background: str = "") -> Split:
    """As `split`, without a language model; some 10,000 words take less than a second."""
    turns: list[Asked] = []
    unread: list[tuple[int, int]] = []
    follows = False
    clauses = list(cut(instruction))
    for number, clause in enumerate(clauses):
        if len(turns) == MOST_TURNS or number == MOST_CLAUSES:
            unread.append((clause.start, clauses[-1].end))
            break
        read = _read(clause.words, subject, background)
        if read is None or any(len(text) > LONGEST_TEXT for c in read for text in (c.subject, c.background)):
            unread.append((clause.start, clause.end))
            follows = False
            continue
        for change in read:
            if change == Change():  # what is to be kept is kept anyway
                continue
            joined = follows and (clause.joined or change is not read[0])
            _append(turns, change, joined)
            subject, background = change.subject or subject, change.background or background
            follows = True
    return Split(
        turns=tuple(turns),
        reader="rules",
        unread=tuple(instruction[start:end] for start, end in unread),
    )


def _append(turns: list[Asked], change: Change, joined: bool) -> None:
    """One more turn; a background joined to a subject becomes one turn with it."""
    if joined and change.scope is Scope.BACKGROUND and turns[-1].scope is Scope.SUBJECT:
        turns[-1] = Asked(turns[-1].subject, change.background, Scope.BOTH)
    else:
        turns.append(Asked(change.subject, change.background, change.scope))


def _read(words: Sequence[str], subject: str, background: str) -> list[Change] | None:
    """The clause as one change; else as two that share a verb: ``make the dog blue and the sky red``."""
    if one := _read_one(words, subject, background):
        return [one]
    for first, second in _sharing_a_verb(words):
        a = _read_one(first, subject, background)
        b = a and _read_one(second, a.subject or subject, a.background or background)
        if a and b:
            return [a, b]
    return None


def _read_one(words: Sequence[str], subject: str, background: str) -> Change | None:
    return rules.read(words, describe(subject.split()), background)


def _sharing_a_verb(words: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    low = [plain(word) for word in words]
    definite = english.DEFINITE | english.POSSESSIVES
    if low[0] not in english.OPENERS or len(words) > rules.LONGEST_CLAUSE:
        return
    for place in range(2, len(words) - 2):
        if low[place] == "and" and low[place + 1] in definite:
            yield words[:place], (words[0], *words[place + 1 :])
