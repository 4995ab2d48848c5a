"""``masks``: those that were saved by name in a session, and one of them as a picture for `edit --mask`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from studio.cli import options
from studio.cli.report import answer, table, write
from studio.cli.server import Running, Server
from studio.cli.sessions import session_of
from studio.errors import UnknownMask
from studio.session.selection import stored_masks


def masks(
    source: Annotated[str, typer.Argument(help="A session file, or the id of a session.", metavar="ID_OR_FILE")],
    name: Annotated[str, typer.Option("--name", help="The one to write.", show_default=False)] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="The PNG to write: white is the subject.", callback=options.writable, dir_okay=False
        ),
    ] = None,
    data: options.Data = options.DEFAULTS.data,
    server: Server = "",
    as_json: options.Json = False,
) -> None:
    """List the masks that were saved, or write one as a picture.

    It has the size of the picture of the turn that it was saved on; `edit --mask` takes it.
    """
    if bool(name) != (out is not None):
        raise typer.BadParameter("one mask is written with --name NAME --out MASK.png; without both, they are listed")
    if server and not Path(source).is_file():
        studio, path = Running(server), f"/sessions/{quote(source, safe='')}"
        found = studio.ask("GET", f"{path}/masks")
        if out is not None:
            write(out, studio.file(f"{path}/pictures/{_called(found, name)['mask']}"))
    else:
        with session_of(source, data) as (record, pictures):
            found = [vars(one) for one in stored_masks(record.panel.get("masks"), record.tree.turns)]
            if out is not None:
                write(out, pictures.get(_called(found, name)["mask"]))
    told: Any = found if out is None else {"out": str(out), **_called(found, name)}
    rows = [("NAME", "COVERS"), *((one["name"], f"{one['area']:.1%}") for one in found)]
    answer(as_json, told, lambda: table(rows) if out is None else [str(out)])


def _called(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    wanted = " ".join(name.split())
    for one in found:
        if one["name"] == wanted:
            return one
    there = ", ".join(one["name"] for one in found) or "none"
    raise UnknownMask(f"no mask was saved as {name!r:.80}; there are: {there}")
