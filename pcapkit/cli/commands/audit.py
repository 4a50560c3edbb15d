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
@click.option(
    "--group-by",
    metavar="WHAT",
    help="Sum up by namespace, workload, node, day, or what a regular expression finds in paths.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the index as JSON as well.")
@reading_options
def audit(
    paths: tuple[str, ...],
    output: str,
    formats: str,
    fail_on: str | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    group_by: str | None,
    **values: object,
) -> None:
    """Analyse every capture under folders or globs: one report each, and an index over all."""
    (limit, faults), wanted = parse_rule(fail_on), parse_formats(formats)
    from pcapkit.batch.overview.groups import parse_group_by

    groups = None if group_by is None else parse_group_by(group_by)
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

        index = run_audit(
            found,
            Path(output),
            wanted,
            options,
            group_by=groups,
            say=lambda t: say(f"failed: {t}"),
            hooks=Hooks(progress),
            each=each,
        )
    if as_json:
        click.echo(Path(output, "audit.json").read_text(), nl=False)
    else:
        if not quiet:
            from rich.console import Console

            from pcapkit.report.audit_terminal import render_audit_terminal

            render_audit_terminal(index, Console(file=sys.stdout, highlight=False))
        print_path(Path(output, "index.html"))
    rows = index.captures
    if any(row.error for row in rows):
        sys.exit(3)
    worst = max((row.share for row in rows), default=0.0)
    gate(limit, faults, worst, sorted({code for row in rows for code in row.faults}))
