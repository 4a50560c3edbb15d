"""``pcapkit audit``: Every capture under some folders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcapkit.cli.options import (
    options_of,
    output_options,
    parse_formats,
    parse_rule,
    reading_options,
)
from pcapkit.cli.output import check_output, gate, print_path, say
from pcapkit.cli.progress import audit_progress
from pcapkit.cli.session import first_run

if TYPE_CHECKING:
    from pcapkit.model.audits import AuditRow


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--from-file", metavar="FILE", help="More paths, one a line; - is standard input.")
@click.option("--no-sets", is_flag=True, help="Keep rotated files of one capture apart.")
@output_options("html,json")
@click.option("--json", "as_json", is_flag=True, help="Print the index as JSON as well.")
@click.option(
    "--workers",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="Processes that analyse captures.  [default: one a core]",
)
@click.option("--prune", is_flag=True, help="Remove what is kept of other captures and options.")
@reading_options
def audit(
    paths: tuple[str, ...],
    output: str,
    formats: str,
    fail_on: str | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    from_file: str | None,
    no_sets: bool,
    workers: int | None,
    prune: bool,
    **values: object,
) -> None:
    """Analyse every capture under folders or globs: one report each, and an index over all.

    A second run does only what is new. Reports of captures that have vanished stay, and are marked.
    """
    (limit, faults), wanted = parse_rule(fail_on), parse_formats(formats)
    options = options_of(values, paths)
    check_output(output)
    from pcapkit.batch.catalog import find_items
    from pcapkit.batch.keeping.lock import locked
    from pcapkit.batch.looks import Looks

    if not paths and from_file is None:
        raise click.UsageError("name a file, a folder, a pattern or a URL, or --from-file")
    folder = Path(output)
    kept = folder / "looks.json"
    looks = Looks.load(kept)
    items = find_items(
        paths, sets=not no_sets, from_file=from_file, skip=folder, looks=looks, say=say
    )
    # None of this before it is known that there is something to read.
    from pcapkit.batch.audit import Audit
    from pcapkit.batch.engines.local import Local
    from pcapkit.batch.work import prepare

    with locked(folder):
        looks.save(kept)
        with audit_progress(verbose=verbose) as bar:

            def load() -> None:
                with first_run() as ready:
                    ready()
                prepare(wanted)

            engine = Local(workers, prepare=load, look=bar.look, say=bar.say)
            lead = Audit(folder, wanted, options, say=bar.say, each=bar.each)
            rows = lead.run(items, engine, paths)
        if prune:
            lead.prune(items)
    _show(rows, folder, as_json=as_json, quiet=quiet)
    present = [row for row in rows if not row.gone]
    if any(row.error for row in present):
        sys.exit(3)
    worst = max((row.share for row in present), default=0.0)
    gate(limit, faults, worst, sorted({code for row in present for code in row.faults}))


def _show(rows: tuple[AuditRow, ...], output: Path, *, as_json: bool, quiet: bool) -> None:
    """Print the index, or where it is."""
    if as_json:
        click.echo((output / "audit.json").read_text(), nl=False)
        return
    if not quiet:
        from rich.console import Console

        from pcapkit.report.html.index import render_index_terminal

        render_index_terminal(rows, Console(file=sys.stdout, highlight=False))
    print_path(output / "index.html")
