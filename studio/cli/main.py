"""The command line: one group of commands a file, gathered here. What a person can mend ends here, in one line."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from pipelines.errors import PipelineError
from studio.cli.bench import bench
from studio.cli.demo import demo_session
from studio.cli.edit import edit
from studio.cli.methods import methods
from studio.cli.models import models
from studio.cli.replay import replay
from studio.cli.report import EXIT_REFUSED, say
from studio.cli.segment import segment
from studio.cli.serve import serve
from studio.cli.sessions import export, import_session, sessions
from studio.cli.speed import speed
from studio.cli.split import split
from studio.cli.swap import swap
from studio.errors import UserError

app = typer.Typer(
    name="palimpsest",
    help="Palimpsest, a layered image-editing studio. Without a command it opens the studio in the browser.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (serve, edit, segment, split, swap, replay, export, methods, bench, speed, demo_session):
    app.command()(command)
app.command("import")(import_session)
app.add_typer(sessions)
app.add_typer(models)


def version() -> str:
    """The version that pyproject.toml states; the project runs from its folder, installed or not."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"palimpsest-studio {version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Palimpsest, a layered image-editing studio. Without a command it opens the studio in the browser."""
    if context.invoked_subcommand is None:
        serve()


def main() -> None:
    """Run the command in ``sys.argv``; refusals are one line on stderr and exit code 2, without a traceback."""
    try:
        app()
    except (PipelineError, UserError) as error:
        say(f"palimpsest: {error}")
        sys.exit(EXIT_REFUSED)
