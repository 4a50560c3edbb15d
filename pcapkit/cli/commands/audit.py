"""``pcapkit audit``: Every capture under some folders."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pcapkit.cli.options import (
    options_of,
    output_options,
    parse_formats,
    parse_rule,
    reading_options,
)
from pcapkit.cli.output import check_output, gate, print_path, say
from pcapkit.cli.session import first_run, progress_bars


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@output_options
@click.option("--json", "as_json", is_flag=True, help="Print the index as JSON as well.")
@click.option(
    "--history",
    is_flag=False,
    flag_value="",
    metavar="[FOLDER|URL]",
    help="Add the run to the history there; without a value, in the output folder.",
)
@reading_options
def audit(
    paths: tuple[str, ...],
    output: str,
    formats: str,
    fail_on: str | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    history: str | None,
    **values: object,
) -> None:
    """Analyse every capture under folders or globs: one report each, and an index over all."""
    (limit, faults), wanted = parse_rule(fail_on), parse_formats(formats)
    options = options_of(values, paths)
    check_output(output)
    from pcapkit.batch.catalog import find_captures

    found = find_captures(paths)

    def each(done: int, total: int) -> None:
        if verbose:
            say(f"{done} of {total} captures")

    with first_run() as ready, progress_bars() as progress:
        ready()
        from pcapkit.batch.audit import run_audit
        from pcapkit.pipeline.hooks import Hooks

        rows = run_audit(
            found,
            Path(output),
            wanted,
            options,
            say=lambda t: say(f"failed: {t}"),
            hooks=Hooks(progress),
            each=each,
        )
    if history is not None:
        from pcapkit.batch.history.runs import add_run

        add_run(history or output, rows)
    if as_json:
        click.echo(Path(output, "audit.json").read_text(), nl=False)
    else:
        if not quiet:
            from rich.console import Console

            from pcapkit.report.html.index import render_index_terminal

            render_index_terminal(rows, Console(file=sys.stdout, highlight=False))
        print_path(Path(output, "index.html"))
    if any(row.error for row in rows):
        sys.exit(3)
    worst = max((row.share for row in rows), default=0.0)
    gate(limit, faults, worst, sorted({code for row in rows for code in row.faults}))
