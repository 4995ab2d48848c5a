"""``password``: a password as the studio keeps it, for ``serve --auth``."""

from __future__ import annotations

from typing import Annotated

import typer

from studio.cli.report import answer
from studio.passwords import hashed
from studio.settings import PASSWORD

SHORTEST = 8
"""Characters."""


def password(name: Annotated[str, typer.Argument(help="The name that goes with it.")] = "studio") -> None:
    """Print a password as the studio keeps it.

    It is asked for twice and never shown. Give what is printed to `serve --auth`, or as PALIMPSEST_AUTH.
    """
    typed = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if len(typed) < SHORTEST:
        raise typer.BadParameter(f"a password has at least {SHORTEST} characters; got {len(typed)}")
    line = f"{name}:{hashed(typed)}"
    if not PASSWORD.fullmatch(line):
        raise typer.BadParameter(f"a name has 1 to 64 characters, without blanks and colons; got {name!r:.80}")
    answer(False, {}, lambda: [line])
