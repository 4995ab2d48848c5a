"""What a splitter gives back: one instruction as ordered turns, and the pieces of it that nobody understood.

This file imports no torch: the studio reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.contract import Scope

MOST_TURNS = 24
"""A person checks every turn before it runs; what an instruction asks beyond these is given back unread."""


@dataclass(frozen=True)
class Change:
    """What one clause asks: the full descriptions afterwards; an empty text is a track that it leaves alone."""

    subject: str = ""
    background: str = ""

    @property
    def scope(self) -> Scope:
        """The track or tracks that it changes; one of the texts is not empty."""
        if not self.background:
            return Scope.SUBJECT
        return Scope.BOTH if self.subject else Scope.BACKGROUND


@dataclass(frozen=True)
class Asked:
    """One turn as it is shown for correction.

    Both texts are full descriptions of what a part becomes, as `EditRequest` wants them (``a blue dog``,
    ``in a forest``); the text of a track outside `scope` is empty, which keeps it out of the prompt.
    """

    subject: str
    background: str
    scope: Scope


@dataclass(frozen=True)
class Split:
    """The turns of one instruction, in order.

    `reader` is ``rules``, or the name of the language model. `unread` are the pieces that were not understood, in the
    person's own letters: no turn says anything of them, so that nothing is done which nobody asked for; the page shows
    them beside the turns and lets the person say them otherwise. `note` says why an asked-for language model did not
    answer; else it is empty.
    """

    turns: tuple[Asked, ...]
    reader: str
    unread: tuple[str, ...] = ()
    note: str = ""
