"""The group of all commands; a command's module is imported when it is asked for.

Exit codes: 0 done; 1 done, but a ``--fail-on`` threshold was crossed; 2 wrong usage or unreadable
input; 3 a batch done in part; 130 interrupted.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

import click

from pcapkit.version import __version__

#: In the order of the help; each is a function of its name in a module of its name.
COMMANDS = ("analyze", "audit", "compare", "expand", "explain", "export", "fix", "sql")


class _Commands(click.Group):
    """Imports the module of a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return cast(
            click.Command, getattr(import_module(f"pcapkit.cli.commands.{cmd_name}"), cmd_name)
        )


@click.group(
    cls=_Commands,
    context_settings={"auto_envvar_prefix": "PCAPKIT", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="pcapkit")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:  # noqa: ARG001
    """Which names waste DNS queries in Kubernetes pods, and what to change."""
