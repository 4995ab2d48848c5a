"""``split``: one instruction as the turns it asks for, nothing run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from studio.cli.options import Json
from studio.cli.report import answer, table


def split(
    instruction: Annotated[str, typer.Argument(help='Like "make the dog blue, then put it in a forest".')],
    subject: Annotated[str, typer.Option(help="What the subject is by now: what 'it' means.")] = "",
    background: Annotated[str, typer.Option(help="What is behind it by now.")] = "",
    as_json: Json = False,
) -> None:
    """Split an instruction into turns.

    Shows for each turn what subject and background become. What was not understood is named, and no turn does it.
    """
    from pipelines.instructions.split import split_by_rules  # its tables take a moment, and no other command has them

    found = split_by_rules(instruction, subject, background)
    rows = [
        (str(number), asked.scope, asked.subject or "-", asked.background or "-")
        for number, asked in enumerate(found.turns, 1)
    ]
    unread = [f"not understood: {piece}" for piece in found.unread]
    answer(as_json, asdict(found), lambda: [*table([("TURN", "SCOPE", "SUBJECT", "BACKGROUND"), *rows]), *unread])
