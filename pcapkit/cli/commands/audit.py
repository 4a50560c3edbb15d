"""``pcapkit audit``: Every capture under some folders."""

from __future__ import annotations

import glob
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcapkit.cli.gate import Gate, gate_options
from pcapkit.cli.options import options_of, output_options, parse_formats, reading_options
from pcapkit.cli.output import check_output, print_path, say
from pcapkit.cli.progress import AuditProgress, audit_progress
from pcapkit.cli.session import first_run
from pcapkit.errors import UsageError

if TYPE_CHECKING:
    from pcapkit.batch.audit import Audit
    from pcapkit.batch.engines.engine import Engine
    from pcapkit.batch.finding.catalog import Item
    from pcapkit.model.audits import AuditIndex

#: What to do about rules that need an earlier run.
_INSTEAD = dict.fromkeys(("queries", "new_waste"), "give --history")


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--from-file", metavar="FILE", help="More paths, one a line; - is standard input.")
@click.option("--no-sets", is_flag=True, help="Keep rotated files of one capture apart.")
@output_options("html,json")
@gate_options
@click.option("--json", "as_json", is_flag=True, help="Print the index as JSON as well.")
@click.option(
    "--history",
    is_flag=False,
    flag_value="",
    metavar="[FOLDER|URL]",
    help="Add the run to the history there; without a value, in the output folder.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="Where captures are analysed: on this machine, or on a Dask cluster.",
)
@click.option("--scheduler", metavar="ADDRESS", help="That of Dask, such as tcp://dask:8786.")
@click.option(
    "--workers",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="Processes of this machine.  [default: one a core]",
)
@click.option(
    "--group-by",
    metavar="WHAT",
    help="Sum up by namespace, workload, node, day, or what a regular expression finds in paths.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Only write the tallies of share I, from 0, of N; then audit the tallies of all shares.",
)
@click.option("--watch", is_flag=True, help="Take up captures as they are closed, until Ctrl-C.")
@click.option("--prune", is_flag=True, help="Remove what is kept of other captures and options.")
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
    from_file: str | None,
    no_sets: bool,
    engine: str,
    scheduler: str | None,
    workers: int | None,
    group_by: str | None,
    shard: str | None,
    watch: bool,
    prune: bool,
    history: str | None,
    **values: object,
) -> None:
    """Analyse every capture under folders or globs: one report each, and an index over all.

    A second run does only what is new. Reports of captures that have vanished stay, and are marked.
    """
    instead = _INSTEAD if history is None else {}
    gate = Gate.of(fail_on, junit, step_summary, instead=instead)
    wanted = parse_formats(formats)
    if (engine == "dask") != (scheduler is not None):
        raise UsageError("--engine dask and --scheduler ADDRESS belong together")
    if engine == "dask" and workers is not None:
        raise UsageError("--workers: they are the cluster's own; start more there")
    if not paths and from_file is None:
        raise click.UsageError("name a file, a folder, a pattern or a URL, or --from-file")
    from pcapkit.batch.overview.groups import parse_group_by

    groups = None if group_by is None else parse_group_by(group_by)
    share = None if shard is None else _share(shard)
    if share is not None:
        if watch:
            raise UsageError("--shard and --watch: a share is of what is there")
        if history is not None or fail_on or prune or as_json:
            raise UsageError(
                "--shard only writes tallies: --history, --fail-on, --prune and --json belong to "
                "the audit of the tallies"
            )
    options = options_of(values, paths)
    check_output(output)
    if history and "://" not in history:
        check_output(history, "--history")
    for named in paths if watch else ():
        if "://" not in named and not glob.has_magic(named) and not os.path.lexists(named):
            raise UsageError(f"{named}: no such file or folder: there is nothing to watch")
    from pcapkit.batch.finding.catalog import find_items
    from pcapkit.batch.finding.looks import Looks
    from pcapkit.batch.keeping.lock import locked

    folder = Path(output)
    kept = folder / "looks.json"
    looks = Looks.load(kept)

    def find(*, sets: bool, tell: Callable[[str], None]) -> list[Item]:
        return find_items(
            paths,
            sets=sets,
            from_file=from_file,
            skip=folder,
            looks=looks,
            limits=options.limits,
            say=tell,
        )

    items = [] if watch else find(sets=not no_sets, tell=say)
    # None of this before it is known that there is something to read.
    from pcapkit.batch.audit import Audit

    with locked(folder), audit_progress(bar=not watch, verbose=verbose) as bar:
        lead = Audit(
            folder,
            wanted,
            options,
            group_by=groups,
            history=output if history == "" else history,
            say=bar.say,
            # the summary at the end has the failures of what is done by then
            fail=bar.say if watch or quiet or as_json or share is not None else _say_nothing,
            each=bar.each,
        )
        work = _engine(scheduler, workers, wanted, bar)
        if share is not None:
            looks.save(kept)
            failures = lead.share(items, *share, work)
            print_path(folder / "tallies")
            sys.exit(3 if failures else 0)
        if watch:
            index = _watch(lead, lambda: find(sets=False, tell=lambda text: None), work, paths)
        else:
            looks.save(kept)
            index = lead.run(items, work, paths, only_these=prune)
    if as_json:
        click.echo((folder / "audit.json").read_text(), nl=False)
    else:
        if not quiet:
            _summary(index, failures=not watch, verbose=verbose)
        print_path(folder / "index.html")
    from pcapkit.batch.gate.growth import growth_of_trends
    from pcapkit.batch.gate.subjects import subjects_of_rows

    failed = gate.judge(
        lambda: subjects_of_rows(index.captures),
        lambda: growth_of_trends(lead.changes),
        prints_json=as_json,
    )
    if any(row.error for row in index.captures if not row.gone):
        sys.exit(3)
    if failed:
        sys.exit(1)


def _share(text: str) -> tuple[int, int]:
    """Parse ``0/3``: the first of three shares."""
    number, slash, shares = text.partition("/")
    if not (slash and number.isdecimal() and shares.isdecimal() and int(number) < int(shares)):
        raise UsageError(f"--shard {text!r}: write it as I/N with I from 0 to N - 1, such as 0/3")
    return int(number), int(shares)


def _engine(
    scheduler: str | None, workers: int | None, formats: Sequence[str], bar: AuditProgress
) -> Engine:
    """Return what runs the jobs."""
    if scheduler is not None:
        from pcapkit.batch.engines.dask import DaskEngine

        return DaskEngine(scheduler, say=bar.say)
    from pcapkit.batch.engines.local import Local
    from pcapkit.batch.work import prepare

    def load() -> None:
        with first_run() as ready:
            ready()
        prepare(formats)

    return Local(workers, prepare=load, look=bar.look, say=bar.say)


def _watch(
    lead: Audit, find: Callable[[], list[Item]], engine: Engine, paths: tuple[str, ...]
) -> AuditIndex:
    """Audit what is closed, again and again, until somebody interrupts; the index is whole then."""
    from pcapkit.batch.watch import rounds

    # What ends a service ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    closed: Sequence[Item] = ()
    with suppress(KeyboardInterrupt):
        for closed in rounds(find):
            lead.run(closed, engine, paths)
    return lead.index(closed, paths)


def _say_nothing(text: str) -> None:
    """Leave a line out."""


def _summary(index: AuditIndex, *, failures: bool, verbose: bool) -> None:
    from rich.console import Console

    from pcapkit.report.audit_terminal import render_audit_terminal

    console = Console(file=sys.stdout, highlight=False)
    render_audit_terminal(index, console, failures=failures, verbose=verbose)
