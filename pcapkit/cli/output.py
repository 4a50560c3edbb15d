"""What the commands print and refuse alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcapkit.errors import UsageError
from pcapkit.limits import DEFAULTS, Limits

if TYPE_CHECKING:
    from rich.console import Console


def check_inputs(captures: Sequence[str], limits: Limits = DEFAULTS) -> bool:
    """Refuse what is no capture before anything is made ready to read one.

    Returns whether there may be packets in them, not only lines.
    """
    from pcapkit.ingest.inputs.patterns import check_inputs

    return check_inputs(captures, limits)


def say(text: str) -> None:
    """Print a line on standard error, with what a terminal would obey made visible."""
    from pcapkit.report.text.formatting import printable

    click.echo(printable(text), err=True)


def say_wrapped(text: str) -> None:
    """Print sentences on standard error, 80 columns wide; words and places stay whole."""
    from textwrap import wrap

    from pcapkit.report.text.formatting import printable

    lines = wrap(
        printable(text), 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    click.echo("\n".join(lines), err=True)


def warn(warnings: tuple[str, ...]) -> None:
    """Print warnings on standard error."""
    for warning in warnings:
        say(f"warning: {warning}")


def print_rich(render: Callable[[Console], None]) -> None:
    """Print what ``render`` draws; into a pipe or a file without blanks at the ends of lines."""
    from rich.console import Console

    if sys.stdout.isatty():
        render(Console(file=sys.stdout, highlight=False))
        return
    drawn = StringIO()
    render(Console(file=drawn, highlight=False))
    for line in drawn.getvalue().splitlines():
        click.echo(line.rstrip())


def check_output(output: str, option: str = "--output") -> None:
    """Refuse a folder that cannot be written before hours are spent on what would go there."""
    _check_folder(output, f"{option} {output}")


def _check_folder(output: str, what: str) -> None:
    folder = os.path.abspath(output)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise UsageError(f"{what}: {folder} is not a folder; name another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{what}: no permission to write there; name another one")


def check_output_file(output: str, option: str = "--output", *, added_to: bool = False) -> None:
    """Refuse a file that cannot be written, before any work; ``added_to`` what stands in it.

    Others are replaced as a whole, so that only their folder needs to be written to.
    """
    if os.path.isdir(output):
        raise UsageError(f"{option} {output}: it is a folder; name a file")
    if os.path.exists(output) and added_to:
        if not os.access(output, os.W_OK):
            raise UsageError(f"{option} {output}: no permission to write it; name another one")
        return
    _check_folder(os.path.dirname(output) or ".", f"{option} {output}")


def print_path(path: Path) -> None:
    """Print a path that was written."""
    from pcapkit.report.text.formatting import printable

    click.echo(printable(str(path)))
