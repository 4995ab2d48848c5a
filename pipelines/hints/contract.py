"""What is told of a text while it is typed: where, in one sentence, and what would do instead.

A hint never refuses anything. This package imports no torch: the studio asks it, and no request waits for the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Span = tuple[int, int]
"""Characters ``start:end`` of a text; in Python's count, one a code point."""


class Kind(StrEnum):
    """What a hint is about."""

    UNKNOWN = "unknown"  # a word that the model was not taught
    NEGATION = "negation"  # "no trees", which names trees
    REMOVAL = "removal"  # "remove the dog", which names a dog
    INSTRUCTION = "instruction"  # what to do, where what there is should be described
    SYNTAX = "syntax"  # "(blue:1.3)": another program's notation
    IDLE = "idle"  # the whole text has no effect, with the settings as they are
    CUT = "cut"  # the text goes on after what the model reads


@dataclass(frozen=True)
class Fix:
    """One way to say it otherwise: the fields that it changes, and what they hold then."""

    label: str
    """A few words for a button."""
    subject: str | None = None
    background: str | None = None
    instruction: str | None = None


@dataclass(frozen=True)
class Hint:
    """One remark on a text."""

    kind: Kind
    part: str
    """``subject``, ``background`` or ``negative``."""
    spans: tuple[Span, ...]
    """Where in the part's text the words stand that are meant, in order."""
    says: str
    """One short sentence for a person."""
    fixes: tuple[Fix, ...] = ()
    known: tuple[tuple[str, tuple[Fix, ...]], ...] = ()
    """All that the model knows, under headings, each in place of the first of the spans."""
