"""``split``: one instruction as the turns it asks for, nothing run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from studio.cli.options import DEFAULTS, Device, Json, LanguageModel
from studio.cli.report import ProgressLine, answer, table


def split(
    instruction: Annotated[str, typer.Argument(help='Like "make the dog blue, then put it in a forest".')],
    subject: Annotated[str, typer.Option(help="What the subject is by now: what 'it' means.")] = "",
    background: Annotated[str, typer.Option(help="What is behind it by now.")] = "",
    language_model: LanguageModel = DEFAULTS.language_model,
    device: Device = DEFAULTS.device,
    as_json: Json = False,
) -> None:
    """Split an instruction into turns.

    Shows for each turn what subject and background become. What was not understood is named, and no turn does it.
    """
    from pipelines.instructions.split import split  # its tables take a moment, and no other command has them

    found = split(instruction, subject, background, language_model, device, ProgressLine())
    rows = [
        (str(number), asked.scope, asked.subject or "-", asked.background or "-")
        for number, asked in enumerate(found.turns, 1)
    ]
    more = [f"not understood: {piece}" for piece in found.unread]
    more += [f"split by {found.reader}", found.note] if language_model else []
    lines = [*table([("TURN", "SCOPE", "SUBJECT", "BACKGROUND"), *rows]), *filter(None, more)]
    answer(as_json, asdict(found), lambda: lines)
