"""The command line: one group of commands a file, gathered here. What a person can mend ends here, in one line."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from pipelines.errors import PipelineError
from studio.cli.report import EXIT_REFUSED, say
from studio.errors import UserError
from studio.jobs.work import resolve

COMMANDS = {
    "serve": "studio.cli.serve:serve",
    "edit": "studio.cli.edit:edit",
    "segment": "studio.cli.segment:segment",
    "split": "studio.cli.split:split",
    "swap": "studio.cli.swap:swap",
    "replay": "studio.cli.replay:replay",
    "export": "studio.cli.sessions:export",
    "masks": "studio.cli.masks:masks",
    "models": "studio.cli.models:models",
    "methods": "studio.cli.methods:methods",
    "bench": "studio.cli.bench:bench",
    "speed": "studio.cli.speed:speed",
    "compose": "studio.cli.compose:compose",
    "train": "studio.cli.train:train",
    "demo-session": "studio.cli.demo:demo_session",
    "password": "studio.cli.password:password",
    "space": "studio.cli.space:space",
    "mcp": "studio.cli.assistants:mcp",
    "import": "studio.cli.sessions:import_session",
    "sessions": "studio.cli.sessions:sessions",
}
"""Every command, or group of commands, named as text: one that runs need not wait for what the others import."""
PLAIN: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}


class Commands(TyperGroup):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  the signatures are click's, which typer may bring along
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        found = resolve(COMMANDS[cmd_name])
        if not isinstance(found, typer.Typer):
            body, found = found, typer.Typer(**PLAIN)
            found.command(cmd_name)(body)
        command = get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="palimpsest",
    cls=Commands,
    help="Palimpsest, a layered image-editing studio. Without a command it opens the studio in the browser.",
    **PLAIN,
)


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
        resolve(COMMANDS["serve"])()


def main() -> None:
    """Run the command in ``sys.argv``; refusals are one line on stderr and exit code 2, without a traceback."""
    try:
        app()
    except (PipelineError, UserError) as error:
        say(f"palimpsest: {error}")
        sys.exit(EXIT_REFUSED)
