"""The commands: they translate between the command line and the library, and compute nothing.

Exit codes: 0 done; 1 done, but a ``--fail-on`` threshold was crossed; 2 wrong usage or unreadable
input; 3 a batch done in part; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pcapkit import __version__
from pcapkit.errors import PcapkitError, UsageError

if TYPE_CHECKING:
    from pcapkit.model import Analysis
    from pcapkit.pipeline import Options

Command = TypeVar("Command", bound=Callable[..., Any])


def reading_options(command: Command) -> Command:
    """Add the options of every command that reads captures."""
    for option in reversed(
        (
            click.option("--resolv-conf", metavar="FILE", help="The pod's resolv.conf."),
            click.option("--search", multiple=True, metavar="SUFFIX", help="A search suffix."),
            click.option("--ndots", type=click.IntRange(0, 15), help="The ndots in force."),
            click.option("--resolver", metavar="MODEL", help="glibc, musl, go, c-ares ..."),
            click.option("--client", "clients", multiple=True, metavar="ADDR|CIDR",
                         help="Only these clients."),
            click.option("--port", "ports", type=click.IntRange(1, 65535), multiple=True,
                         help="Another port that carries DNS."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def make_options(values: dict[str, Any]) -> Options:
    """Gather the reading options."""
    from pcapkit.pipeline import Options
    from pcapkit.resolver import resolver_model

    if values["resolver"] is not None:
        resolver_model(values["resolver"])
    return Options(
        search=tuple(values["search"]), ndots=values["ndots"], resolver=values["resolver"],
        resolv_conf=values["resolv_conf"], clients=tuple(values["clients"]),
        ports=frozenset(values["ports"]),
    )  # fmt: skip


@click.group(context_settings={"auto_envvar_prefix": "PCAPKIT",
                               "help_option_names": ["-h", "--help"]})  # fmt: skip
@click.version_option(__version__, prog_name="pcapkit")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Which names waste DNS queries in Kubernetes pods, and what to change."""
    context.obj = debug


def _warn(analysis: Analysis) -> None:
    from pcapkit.report.text import printable

    for warning in analysis.warnings:
        click.echo(f"warning: {printable(warning)}", err=True)


def _threshold(text: str) -> float:
    """Parse ``waste>30%`` or ``waste>0.3`` to a share."""
    name, sep, value = text.replace(" ", "").partition(">")
    try:
        share = float(value.rstrip("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if name != "waste" or not sep or not 0 <= share <= 1:
        raise UsageError(f"--fail-on {text!r}: write it as waste>30% or waste>0.3")
    return share


@cli.command()
@click.argument("captures", nargs=-1, required=True)
@click.option("-o", "--output", default="reports", show_default=True, help="Folder for reports.")
@click.option("--format", "formats", default="html,png,json", show_default=True,
              help="Of html, png, json, csv, parquet, md.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; write no report.")
@click.option("--fail-on", help="Exit with 1 above a threshold, such as 'waste>30%'.")
@click.option("-q", "--quiet", is_flag=True, help="Print only paths and warnings.")
@reading_options
def analyze(
    captures: tuple[str, ...], output: str, formats: str, as_json: bool, fail_on: str | None,
    quiet: bool, **values: Any,
) -> None:  # fmt: skip
    """Analyse one capture, or several read as one, and write a report."""
    from pcapkit.pipeline import analyze as run

    limit = _threshold(fail_on) if fail_on else None
    wanted = _formats(formats)
    analysis = run(*captures, options=make_options(values))
    _warn(analysis)
    if as_json:
        from pcapkit.report.export import dump_json

        click.echo(dump_json(analysis), nl=False)
    else:
        from pcapkit.report.files import report_folder, write_report

        if not quiet:
            _summary(analysis)
        for path in write_report(analysis, report_folder(Path(output), captures), wanted):
            click.echo(str(path))
    if limit is not None and analysis.waste.share > limit:
        click.echo(f"waste {analysis.waste.share:.1%} is above {limit:.1%}", err=True)
        sys.exit(1)


def _formats(text: str) -> tuple[str, ...]:
    known = ("html", "png", "json", "csv", "parquet", "md")
    wanted = tuple(f.strip() for f in text.split(",") if f.strip())
    for form in wanted:
        if form not in known:
            raise UsageError(f"no format {form!r}: {', '.join(known)}")
    return wanted


def _summary(analysis: Analysis) -> None:
    from rich.console import Console

    from pcapkit.report.terminal import render_terminal

    render_terminal(analysis, Console(file=sys.stdout))


@cli.command()
@click.argument("captures", nargs=-1, required=True)
@click.option("-t", "--table", required=True,
              type=click.Choice(["messages", "transactions", "lookups", "clients", "names",
                                 "what_if"]))
@click.option("--format", "form", default="jsonl", show_default=True,
              type=click.Choice(["csv", "jsonl", "parquet"]))
@click.option("-o", "--output", default="-", help="A file, or - for standard output.")
@reading_options
def export(
    captures: tuple[str, ...], table: str, form: str, output: str, **values: Any
) -> None:  # fmt: skip
    """Write one table of a capture as CSV, JSON Lines or Parquet."""
    from pcapkit.pipeline import table_of
    from pcapkit.report.files import atomic_write, table_bytes

    frame, warnings = table_of(captures, table, options=make_options(values))
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    data = table_bytes(frame, form)
    if output == "-":
        click.get_binary_stream("stdout").write(data)
    else:
        atomic_write(Path(output), data)


@cli.command()
@click.argument("name")
@click.option("--search", multiple=True, metavar="SUFFIX", help="A search suffix.")
@click.option("--ndots", type=click.IntRange(0, 15), default=5, show_default=True)
@click.option("--resolver", default="glibc", show_default=True, metavar="MODEL")
def expand(name: str, search: tuple[str, ...], ndots: int, resolver: str) -> None:
    """Show what a stub resolver would send for NAME, in order."""
    from pcapkit.expand import render_expansion

    click.echo(render_expansion(name, search=search, ndots=ndots, resolver=resolver), nl=False)


@cli.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Say what a waste class or recommendation means, why, and what to do."""
    from pcapkit.manual import explain as look_up
    from pcapkit.manual import render_all, render_entry

    click.echo(render_entry(look_up(code)) if code else render_all(), nl=False)


@cli.command()
@click.argument("folders", nargs=-1, required=True)
@click.option("-o", "--output", default="reports", show_default=True, help="Folder for reports.")
@click.option("--format", "formats", default="html,png,json", show_default=True)
@reading_options
def audit(folders: tuple[str, ...], output: str, formats: str, **values: Any) -> None:
    """Analyse every capture under folders: one report each, and an index over all."""
    from pcapkit.batch.audit import run_audit

    failed = run_audit(
        folders, Path(output), _formats(formats), make_options(values),
        say=lambda text: click.echo(text, err=True),
    )  # fmt: skip
    if failed:
        sys.exit(3)


def main() -> None:
    """Run the command line; turn the package's errors into messages and exit codes."""
    debug = "--debug" in sys.argv
    try:
        cli(standalone_mode=False)
    except PcapkitError as error:
        if debug:
            raise
        from pcapkit.report.text import printable

        click.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(2)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
