"""What is told of a text while it is typed: where, in one sentence, and what would do instead.

A hint never refuses anything. This package imports no torch: the studio asks it, and no request waits for the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Span = tuple[int, int]
"""Characters ``start:end`` of a text; in Python's count, one a code point."""


class Said(str):
    """A text with `values` in it that knows what it was made of, so that it can be said in another language too."""

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Said:
        said = super().__new__(cls, template.format(**values) if values else template)
        said.template, said.values = template, values
        return said

    def spoken(self, say: Callable[..., str]) -> str:
        """By `say`, which takes the sentence and its values."""
        return say(self.template, **{name: spoken(value, say) for name, value in self.values.items()})


def spoken(text: object, say: Callable[..., str]) -> object:
    """`text` in the language that `say` speaks; words of a person or a model are as they are."""
    return text.spoken(say) if isinstance(text, Said) else text


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
    """A few words for a button: of the text's own, or `Said` by us."""
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
    """One short sentence for a person, as `Said`."""
    fixes: tuple[Fix, ...] = ()
    known: tuple[tuple[str, tuple[Fix, ...]], ...] = ()
    """All that the model knows, under headings, each in place of the first of the spans."""
