"""``sessions``, ``export`` and ``import``: what a data folder holds, and the way out of it and into it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from pipelines.colour_spaces import ColourSpace
from studio.cli import options
from studio.cli.opened import line_of, numbered, opened, write_session
from studio.cli.report import answer, say, table, write
from studio.cli.server import Running, Server
from studio.cli.server import line_of as line_there
from studio.errors import UnknownSession
from studio.exports.kinds import ENDINGS, ExportKind, exported, together
from studio.exports.pictures import Finish
from studio.session.sessions import SessionSummary
from studio.settings import Settings
from studio.store.archive.session_file import read_archive
from studio.store.blobs import Blobs
from studio.store.files import Files
from studio.store.record import Record

sessions = typer.Typer(name="sessions", help="List the sessions, or rename, copy and trash one.")

MOST_LISTED = 1000
"""That a running studio lists at once."""
Id = Annotated[str, typer.Argument(help="The session's id, from `sessions`.")]


@sessions.callback(invoke_without_command=True)
def listing(
    context: typer.Context,
    search: Annotated[str, typer.Option(help="Words that all occur in the name or the texts of the turns.")] = "",
    trash: Annotated[bool, typer.Option("--trash", help="List what is in the trash.")] = False,
    data: options.Data = options.DEFAULTS.data,
    server: Server = "",
    as_json: options.Json = False,
) -> None:
    """List the sessions, or rename, copy and trash one."""
    if context.invoked_subcommand is not None:
        if search or trash or as_json or server or data != options.DEFAULTS.data:
            raise typer.BadParameter(f"options come after the command: sessions {context.invoked_subcommand} ...")
        return
    if server:
        asked = Running(server).ask("GET", "/sessions", search=search, trashed=trash, limit=MOST_LISTED)
        found = tuple(SessionSummary(**one) for one in asked)
    else:
        with opened(Settings(), data) as studio:
            found = studio.sessions.list(search, trash)
    rows = [(s.sid, s.name, str(s.turns), moment(s.saved_at) + (" damaged" if s.damaged else "")) for s in found]
    answer(as_json, [in_json(s) for s in found], lambda: table([("SESSION", "NAME", "TURNS", "SAVED"), *rows]))


@sessions.command()
def rename(
    session: Id,
    name: Annotated[str, typer.Argument(help="The new name.")],
    data: options.Data = options.DEFAULTS.data,
    server: Server = "",
) -> None:
    """Call a session something else."""
    if server:
        now = Running(server).ask("PATCH", f"/sessions/{_safe(session)}", {"name": name})["name"]
        return say(f"{session} is called {now!r} now")
    with opened(Settings(), data) as studio:
        studio.sessions.rename(session, name)
        now = studio.sessions.get(session).view().name
    return say(f"{session} is called {now!r} now")


@sessions.command()
def duplicate(session: Id, data: options.Data = options.DEFAULTS.data, server: Server = "") -> None:
    """Copy a session; prints the id of the copy."""
    if server:
        copy = Running(server).ask("POST", f"/sessions/{_safe(session)}/copy")["sid"]
    else:
        with opened(Settings(), data) as studio:
            copy = studio.sessions.duplicate(session).sid
    answer(False, {}, lambda: [copy])


@sessions.command()
def trash(session: Id, data: options.Data = options.DEFAULTS.data, server: Server = "") -> None:
    """Put a session into the trash; `restore` brings it back."""
    if server:
        Running(server).ask("DELETE", f"/sessions/{_safe(session)}")
    else:
        with opened(Settings(), data) as studio:
            studio.sessions.trash(session)
    say(f"{session} is in the trash; launch.py sessions restore {session} brings it back")


@sessions.command()
def restore(session: Id, data: options.Data = options.DEFAULTS.data, server: Server = "") -> None:
    """Bring a session back from the trash."""
    if server:
        Running(server).ask("POST", f"/sessions/{_safe(session)}/restore")
    else:
        with opened(Settings(), data) as studio:
            studio.sessions.restore(session)
    say(f"{session} is back")


def export(
    source: Annotated[str, typer.Argument(help="A session file, or the id of a session.", metavar="ID_OR_FILE")],
    to: Annotated[list[ExportKind], typer.Option("--to", help="The kind of file; several go into one ZIP.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write.", callback=options.writable, dir_okay=False)],
    turn: Annotated[
        int | None, typer.Option("--turn", help="Number of the turn; by default the one stood on.", min=0)
    ] = None,
    branch: options.Branch = None,
    metadata: Annotated[bool, typer.Option(help="Put the recipe into a PNG, JPEG, WebP or AVIF.")] = True,
    colours: Annotated[
        ColourSpace, typer.Option(help="The colour space of a picture, whose profile it carries.")
    ] = ColourSpace.SRGB,
    size: Annotated[
        str, typer.Option(help='Of a picture: a share like "50%", or the longer side in pixels.')
    ] = Finish.size,
    quality: Annotated[int, typer.Option(help="Of a JPEG, WebP or AVIF.", min=1, max=100)] = Finish.quality,
    bits: Annotated[int, typer.Option(help="A channel, of a PNG or TIFF: 8 or 16.")] = Finish.bits,
    data: options.Data = options.DEFAULTS.data,
    server: Server = "",
    as_json: options.Json = False,
) -> None:
    """Write a turn, an animation or a session.

    A turn as a picture (png, jpeg, webp, avif, tiff) or with layers (ora, psd); the way from the original to it as an
    animation (gif, webp-animation); the whole session as a file that any studio can import (palimpsest).
    """
    kinds = list(dict.fromkeys(to))
    endings = ENDINGS[kinds[0]] if len(kinds) == 1 else (".zip",)
    if out.suffix.lower() not in endings:
        of = f"the kind {kinds[0]}" if len(kinds) == 1 else "several kinds"
        raise typer.BadParameter(f"a file of {of} ends in {' or '.join(endings)}; got {out.name!r}")
    finish = Finish(metadata, colours, size, quality, bits)
    options.spare(out, Path(source))
    if server and not Path(source).is_file():
        chosen = _exported_there(Running(server), source, kinds, out, turn, branch, finish)
    else:
        chosen = _exported_here(source, data, kinds, out, turn, branch, finish)
    told = {"out": str(out), "format": ", ".join(kinds), "turn": chosen, "bytes": out.stat().st_size}
    answer(as_json, told, lambda: [f"{out}: {told['bytes']} bytes"])


def _exported_there(
    studio: Running,
    sid: str,
    kinds: list[ExportKind],
    out: Path,
    turn: int | None,
    branch: str | None,
    finish: Finish,
) -> str:
    """Writes the file; the id of the turn."""
    view = studio.session(sid)
    chosen = _chosen(str(view["current"]), line_there(view, branch), turn, branch)
    asked = {**vars(finish), "recipe": str(finish.recipe).lower()}
    _write(out, kinds, lambda kind: studio.file(f"/sessions/{_safe(sid)}/turns/{chosen}/{kind}", **asked))
    return chosen


def _write(out: Path, kinds: list[ExportKind], made: Callable[[ExportKind], bytes]) -> None:
    """One file, or all of them in a ZIP, where each is called as that is."""
    files = {f"{out.stem}{ENDINGS[kind][0]}": made(kind) for kind in kinds}
    write(out, together(files) if len(files) > 1 else files.popitem()[1])


def _chosen(current: str, line: tuple[str, ...], turn: int | None, branch: str | None) -> str:
    """The turn of that number; without one the one stood on, or the end of the branch that was named."""
    if turn is None and branch is None:
        return current
    return numbered(line, len(line) - 1 if turn is None else turn)


def _exported_here(
    source: str,
    data: Path,
    kinds: list[ExportKind],
    out: Path,
    turn: int | None,
    branch: str | None,
    finish: Finish,
) -> str:
    """The same, of a file or a data folder."""
    with session_of(source, data) as (record, pictures):
        chosen = _chosen(record.tree.current, line_of(record.tree, branch), turn, branch)
        if kinds == [ExportKind.PALIMPSEST]:
            write_session(out, record, pictures)
        else:
            _write(out, kinds, lambda kind: exported(record, chosen, pictures, kind, finish))
    return chosen


@contextmanager
def session_of(source: str, data: Path) -> Iterator[tuple[Record, Blobs]]:
    """The session that a file or an id stands for, with its pictures. A file needs no data folder."""
    if Path(source).is_file():
        with tempfile.TemporaryDirectory(prefix="palimpsest-") as folder:
            pictures = Blobs(Path(folder), ".png", Files())
            yield read_archive(Path(source), pictures), pictures
        return
    with opened(Settings(), data) as studio:
        try:
            record = studio.sessions.record(source)
        except UnknownSession as problem:
            raise UnknownSession(f"{source!r:.80} is neither a file nor the id of a session: {problem}") from problem
        if record.damage:
            say(f"{source}: {record.damage}")
        yield record, studio.pictures


def import_session(
    file: options.SessionFile,
    data: options.Data = options.DEFAULTS.data,
    server: Server = "",
    as_json: options.Json = False,
) -> None:
    """Take a session file into the data folder.

    It is checked whole first, and refused whole where anything is wrong. Prints the id that it is given.
    """
    if server:
        seen = Running(server).take(file.read_bytes())
        told = {"session": seen["sid"], "name": seen["name"], "turns": len(seen["turns"]) - 1}
    else:
        with opened(Settings(), data) as studio:
            view = studio.sessions.adopt_record(read_archive(file, studio.pictures)).view()
        told = {"session": view.sid, "name": view.name, "turns": len(view.turns) - 1}
    answer(as_json, told, lambda: [f"{told['session']}  {told['name']}, {told['turns']} turns"])


def _safe(sid: str) -> str:
    """An id as a part of an address, whatever was typed."""
    return quote(sid, safe="")


def in_json(summary: SessionSummary) -> dict[str, Any]:
    """One session for a program; times in seconds since 1970."""
    return {
        "session": summary.sid,
        "name": summary.name,
        "turns": summary.turns,
        "saved_at": summary.saved_at,
        "damaged": summary.damaged,
    }


def moment(seconds: float) -> str:
    """A time in this machine's zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
