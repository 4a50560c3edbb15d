"""``pcapkit audit``: Every capture under some folders."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pcapkit.cli.gate import Gate, gate_options
from pcapkit.cli.options import options_of, output_options, parse_formats, reading_options
from pcapkit.cli.output import check_output, print_path, say
from pcapkit.cli.session import first_run, progress_bars

#: What to do about rules that need an earlier run.
_INSTEAD = dict.fromkeys(("queries", "new_waste"), "give --history")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@output_options
@gate_options
@click.option("--json", "as_json", is_flag=True, help="Print the index as JSON as well.")
@reading_options
def audit(
    paths: tuple[str, ...],
    output: str,
    formats: str,
    fail_on: tuple[str, ...],
    junit: str | None,
    step_summary: str | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    **values: object,
) -> None:
    """Analyse every capture under folders or globs: one report each, and an index over all."""
    gate = Gate.of(fail_on, junit, step_summary, instead=_INSTEAD)
    wanted = parse_formats(formats)
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
    if as_json:
        click.echo(Path(output, "audit.json").read_text(), nl=False)
    else:
        if not quiet:
            from rich.console import Console

            from pcapkit.report.html.index import render_index_terminal

            render_index_terminal(rows, Console(file=sys.stdout, highlight=False))
        print_path(Path(output, "index.html"))
    from pcapkit.batch.gate.subjects import subjects_of_rows

    failed = gate.judge(lambda: subjects_of_rows(rows), prints_json=as_json)
    if any(row.error for row in rows):
        sys.exit(3)
    if failed:
        sys.exit(1)
