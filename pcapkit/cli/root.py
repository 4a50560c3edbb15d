"""The group of all commands; a command's module is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import click

from pcapkit.cli.configuration import options_of_file
from pcapkit.version import __version__

#: In the order of the help; each is a function of its name in a module of its name.
COMMANDS = (
    "analyze",
    "audit",
    "capture",
    "compare",
    "expand",
    "explain",
    "export",
    "fix",
    "generate",
    "merge",
    "share",
    "sql",
    "tally",
)

#: What shells report of a process that writes to a pipe nobody reads: 128 + SIGPIPE.
READER_GONE = 141
#: For the reference and the man pages.
EXIT_STATUSES = {
    0: "done; also for a capture without DNS, which gets a warning",
    1: "done, but a rule of --fail-on does not hold",
    2: "wrong usage, or input that cannot be read; nothing is written",
    3: "done in part: some captures of an audit failed, or fix --write left a file as it was",
    130: "interrupted; nothing half-written is left",
    READER_GONE: "what read the standard output (head, less) has gone",
}


class _Commands(click.Group):
    """Imports the module of a command when it is asked for."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **more)  # which prints the help and the version
        except BrokenPipeError:
            raise click.exceptions.Exit(READER_GONE) from None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would leave with 1, which is a gate's
            raise click.exceptions.Exit(READER_GONE) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"pcapkit.cli.commands.{cmd_name}")
        command = cast(click.Command, getattr(module, cmd_name))
        for option in command.params:
            if isinstance(option, click.Option):
                option.envvar = variable(cmd_name, option)
        return command


#: What the environment variables of options begin with.
PREFIX = "PCAPKIT"


def variable(command: str, option: click.Option) -> str:
    """Return the environment variable of an option: named as it is written, not as it is kept."""
    flag = max(option.opts, key=len).lstrip("-")
    return f"{PREFIX}_{command}_{flag}".replace("-", "_").upper()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pcapkit")
@click.option("--debug", is_flag=True, envvar=f"{PREFIX}_DEBUG", help="Show tracebacks.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:  # noqa: ARG001
    """Which names waste DNS queries in Kubernetes pods, and what to change."""
    name = ctx.invoked_subcommand
    command = None if name is None else cast(click.Group, ctx.command).get_command(ctx, name)
    if name is not None and command is not None:
        ctx.default_map = {name: options_of_file(command, name)}
