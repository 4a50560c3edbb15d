"""The commands: they translate between the command line and the library, and compute nothing.

Exit codes: 0 done; 1 done, but a ``--fail-on`` threshold was crossed; 2 wrong usage or unreadable
input; 3 a batch done in part; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence, Set
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcapkit.cli.options import (
    options_of,
    output_options,
    parse_formats,
    parse_growth,
    parse_rule,
    parse_threshold,
    reading_options,
)
from pcapkit.cli.session import first_run, interruptible, painting, progress_bars, redrawn
from pcapkit.errors import UsageError
from pcapkit.model.plans import PlanKind
from pcapkit.model.vocabulary import FIX_FORMATS, TABLE_FORMATS, TABLES
from pcapkit.version import __version__

if TYPE_CHECKING:
    from pcapkit.pipeline.analysis import Analysis
    from pcapkit.report.html.painter import Painter


def _check_inputs(captures: Sequence[str]) -> bool:
    """Refuse what is no capture before anything is made ready to read one.

    Returns whether there may be packets in them, not only lines.
    """
    from pcapkit.ingest.inputs.patterns import check_inputs

    return check_inputs(captures)


def say(text: str) -> None:
    """Print a line on standard error, with what a terminal would obey made visible."""
    from pcapkit.report.text.formatting import printable

    click.echo(printable(text), err=True)


def _say_wrapped(text: str) -> None:
    """Print sentences on standard error, 80 columns wide; words and places stay whole."""
    from textwrap import wrap

    from pcapkit.report.text.formatting import printable

    lines = wrap(
        printable(text), 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    click.echo("\n".join(lines), err=True)


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        say(f"warning: {warning}")


@click.group(
    context_settings={"auto_envvar_prefix": "PCAPKIT", "help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="pcapkit")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:  # noqa: ARG001
    """Which names waste DNS queries in Kubernetes pods, and what to change."""


@cli.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@output_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON; write no report.")
@click.option(
    "--live", is_flag=True, help="Redraw the summary while a capture comes in (on a terminal)."
)
@reading_options
def analyze(
    captures: tuple[str, ...],
    output: str,
    formats: str,
    as_json: bool,
    live: bool,
    fail_on: str | None,
    quiet: bool,
    verbose: bool,
    **values: object,
) -> None:
    """Analyse one capture, or several read as one, and write a report.

    CAPTURE is a pcap or pcapng file, compressed or not, or - for standard input. Also read: the
    lines that tcpdump, CoreDNS (plugin log), Hubble (-o jsonpb) or Inspektor Gadget (trace_dns,
    -o json) printed, and dnstap. A quoted pattern such as 'dns.pcap*' is every file that matches
    it: what tcpdump -C or -G wrote is read in the order of its packets, whatever the names.

    Ctrl-C ends a capture that comes through a pipe: what came is analysed. Ctrl-C again gives up.
    """
    (limit, faults), wanted = parse_rule(fail_on), parse_formats(formats)
    options = options_of(values, captures)
    if not as_json:
        _check_output(output)
    packets = _check_inputs(captures)
    if verbose:
        say(f"reading {', '.join('stdin' if c == '-' else c for c in captures)}")
    redrawing = live and sys.stdout.isatty() and not as_json and not quiet
    if live and not redrawing:
        say("hint: --live draws on a terminal; here the summary comes at the end")
    with painting(() if as_json else wanted) as painter:
        with (
            first_run(packets=packets) as ready,
            progress_bars(bars=not redrawing) as progress,
            redrawn(redrawing) as watch,
            interruptible(captures) as stop,
        ):
            from pcapkit.pipeline.analyze import analyze as run
            from pcapkit.pipeline.hooks import Hooks

            draw = None if painter is None else partial(painter.begin, png="png" in wanted)
            analysis = run(
                *captures,
                options=options,
                hooks=Hooks(progress, stop, watch=watch, collected=ready, charted=draw),
            )
        _warn(analysis.warnings)
        if as_json:
            click.echo(analysis.to_json(), nl=False)
        else:
            _report(analysis, output, wanted, painter, quiet=quiet)
    from pcapkit.model.results import shown_faults  # what nobody needs before all is read

    _gate(limit, faults, analysis.waste.share, shown_faults(analysis))


def _gate(limit: float | None, faults: Set[str], share: float, shown: Sequence[str]) -> None:
    """Exit with 1 where the share of waste is above the limit, or one of the faults is shown.

    A fault that something else explains as well is not shown, and fails no gate.
    """
    if limit is not None and share > limit:
        say(f"waste {share:.1%} is above {limit:.1%}")
        sys.exit(1)
    if found := [code for code in shown if code in faults]:
        say(f"shown: {', '.join(found)}")
        sys.exit(1)


def _report(
    analysis: Analysis,
    output: str,
    formats: tuple[str, ...],
    painter: Painter | None,
    *,
    quiet: bool,
) -> None:
    from pcapkit.report.writer import report_folder, write_report

    folder = report_folder(Path(output), [c.path for c in analysis.captures])
    if not quiet:
        _summary(analysis)  # to be read while the charts are drawn
    for path in write_report(
        analysis, folder, formats, tables=analysis.table_parts, painter=painter
    ):
        _print_path(path)


def _check_output(output: str) -> None:
    """Refuse a folder that cannot be written before hours are spent on what would go there."""
    folder = os.path.abspath(output)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise UsageError(f"--output {output}: {folder} is not a folder; name another with -o")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--output {output}: no permission to write there; name another with -o")


def _print_path(path: Path) -> None:
    from pcapkit.report.text.formatting import printable

    click.echo(printable(str(path)))


def _summary(analysis: Analysis) -> None:
    from rich.console import Console

    from pcapkit.report.terminal import render_terminal

    render_terminal(analysis, Console(file=sys.stdout, highlight=False))


@cli.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("-t", "--table", required=True, type=click.Choice(TABLES))
@click.option(
    "--format", "form", default="jsonl", show_default=True, type=click.Choice(TABLE_FORMATS)
)
@click.option(
    "-o", "--output", default="-", metavar="FILE", help="A file, or - for standard output."
)
@reading_options
def export(captures: tuple[str, ...], table: str, form: str, output: str, **values: object) -> None:
    """Write one table of a capture as CSV, JSON Lines or Parquet."""
    options = options_of(values, captures)
    if output != "-":
        _check_output(os.path.dirname(output) or ".")
    elif form == "parquet" and sys.stdout.isatty():
        raise UsageError("Parquet is binary: name a file with -o")
    packets = _check_inputs(captures)
    with first_run(packets=packets) as ready, progress_bars() as progress:
        ready()
        from pcapkit.pipeline.analyze import table_parts
        from pcapkit.pipeline.hooks import Hooks

        frames, warnings = table_parts(captures, table, options=options, hooks=Hooks(progress))
    _warn(warnings)
    from pcapkit.files import whole_file
    from pcapkit.report.table_files import write_table

    if output == "-":
        write_table(frames, form, sys.stdout.buffer)
    else:
        with whole_file(Path(output)) as out:
            write_table(frames, form, out)


@cli.command()
@click.argument("before")
@click.argument("after")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--fail-on",
    metavar="RULE",
    help="Exit with 1 above a threshold: 'waste>30%' (of AFTER), or 'queries>+5%'.",
)
@reading_options
def compare(before: str, after: str, as_json: bool, fail_on: str | None, **values: object) -> None:
    """Compare two captures, or saved analyses: what changed, and was it as promised?

    BEFORE and AFTER are captures, or analysis.json files that analyze wrote. All is counted per
    lookup and per second, by workload where both sides know it (--pods), else by address.
    """
    more = parse_growth(fail_on)
    limit = None if more is not None else parse_threshold(fail_on)
    if before == after == "-":
        raise UsageError("- is standard input, which is read once: name a file")
    options = options_of(values, (before, after))
    from pcapkit.model.comparison import is_saved

    for path in (before, after):
        if not is_saved(path):
            _check_inputs((path,))
    with first_run() as ready, progress_bars() as progress:
        ready()
        from pcapkit.batch.compare import compare as run
        from pcapkit.batch.sides import load
        from pcapkit.pipeline.hooks import Hooks

        sides = [load(path, options=options, hooks=Hooks(progress)) for path in (before, after)]
    result = run(*sides, names=(before, after))
    _warn(result.warnings)
    if as_json:
        click.echo(result.to_json(), nl=False)
    else:
        from rich.console import Console

        from pcapkit.report.comparison import render_comparison

        render_comparison(result, Console(file=sys.stdout, highlight=False))
    if limit is not None and result.after_share > limit:
        say(f"waste {result.after_share:.1%} is above {limit:.1%}")
        sys.exit(1)
    queries = result.subjects[0].measure("queries_per_lookup")
    if more is not None and queries.verdict == "more" and queries.change is not None:
        if queries.change.value > more:
            say(f"queries per lookup grew by {queries.change.value:.1%}, above {more:.1%}")
            sys.exit(1)


@cli.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("--manifests", required=True, metavar="DIR", help="The folder of your manifests.")
@click.option(
    "--plan",
    "kind",
    default="best",
    show_default=True,
    type=click.Choice([k.value for k in PlanKind][::-1]),
    help="Which plan: settings alone, names in full alone, or the best of both.",
)
@click.option("--include-review", is_flag=True, help="Take steps whose verdict is review, too.")
@click.option(
    "--in-full",
    "elsewhere",
    multiple=True,
    metavar="NAME",
    help="A name that you write in full where no manifest has it, in code say; repeatable.",
)
@click.option(
    "--write", is_flag=True, help="Change the files; without it, print what would change."
)
@click.option(
    "--format",
    "form",
    default="diff",
    show_default=True,
    type=click.Choice(FIX_FORMATS),
    help="What to print.",
)
@reading_options
def fix(
    captures: tuple[str, ...],
    manifests: str,
    kind: str,
    include_review: bool,
    elsewhere: tuple[str, ...],
    write: bool,
    form: str,
    **values: object,
) -> None:
    """Print the plan of a capture as a diff on your own manifests; --write applies it.

    CAPTURE is what analyze reads, or an analysis.json that it wrote. --pods says which workloads
    the clients are; without it they are guessed by their namespace and the names that they ask for.
    """
    options = options_of(values, captures)
    from pcapkit.manifests.tree import read_tree
    from pcapkit.model.comparison import is_saved

    tree = read_tree(Path(manifests))
    if raw := [path for path in captures if not is_saved(path)]:
        _check_inputs(raw)
    with first_run() as ready, progress_bars() as progress:
        ready()
        from pcapkit.batch.planned import load_planned
        from pcapkit.pipeline.hooks import Hooks

        planned = load_planned(captures, options=options, hooks=Hooks(progress))
    from pcapkit.manifests.fix import fix_plan
    from pcapkit.manifests.output import render_fix, write_fix

    _warn(planned.warnings)
    plan = planned.plan(PlanKind(kind))
    result = fix_plan(
        plan,
        tree,
        planned.clients,
        planned.asked,
        known=planned.known,
        nameservers=planned.nameservers,
        include_review=include_review,
        elsewhere=elsewhere,
    )
    for note in result.notes:
        _say_wrapped(note)
    if form != "diff" or not write:
        click.echo(render_fix(result, manifests, form).encode(), nl=False)
    if write:
        written, refused = write_fix(result, Path(manifests))
        for path in written:
            if form == "diff":
                _print_path(path)
        for why in refused:
            say(f"failed: {why}")
        if refused:
            sys.exit(3)


@cli.command()
@click.argument("name")
@click.option(
    "--search",
    multiple=True,
    metavar="SUFFIX",
    help="A search suffix; repeat in order.  [default: a pod's in namespace 'default']",
)
@click.option("--resolv-conf", metavar="FILE", help="Take search list and ndots from a file.")
@click.option("--ndots", type=click.IntRange(0, 15), metavar="N", help="[default: 5]")
@click.option(
    "--resolver",
    default="glibc",
    show_default=True,
    metavar="MODEL",
    help="glibc, musl, go, c-ares, hickory, dnsjava, grpc, jndi ...; a release as glibc@2.25.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def expand(
    name: str,
    search: tuple[str, ...],
    resolv_conf: str | None,
    ndots: int | None,
    resolver: str,
    as_json: bool,
) -> None:
    """Show what a stub resolver would send for NAME, in order, and what each ndots costs."""
    from pcapkit.cluster.conventions import KUBERNETES_NDOTS, KUBERNETES_SEARCH
    from pcapkit.pipeline.options import read_resolv_conf, search_list
    from pcapkit.resolver.expand import expand as run
    from pcapkit.resolver.expand import expansion_json, render_expansion

    search = search_list(search)
    suffixes: tuple[str, ...] = search or KUBERNETES_SEARCH
    servers: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    if resolv_conf is not None:
        config = read_resolv_conf(resolv_conf)
        suffixes = search or config.search
        servers, settings = config.nameservers, config.options
        ndots = config.ndots_in_force if ndots is None else ndots
    walk = run(
        name,
        search=suffixes,
        ndots=KUBERNETES_NDOTS if ndots is None else ndots,
        resolver=resolver,
        nameservers=servers,
        options=settings,
    )
    click.echo(expansion_json(walk) if as_json else render_expansion(walk), nl=False)


@cli.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Say what a waste class, recommendation or other CODE means, why, and what to do."""
    from pcapkit.cli.manual import explain as find_entry
    from pcapkit.cli.manual import render_all, render_entry

    click.echo(render_entry(find_entry(code)) if code else render_all(), nl=False)


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@output_options
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
    **values: object,
) -> None:
    """Analyse every capture under folders or globs: one report each, and an index over all."""
    (limit, faults), wanted = parse_rule(fail_on), parse_formats(formats)
    options = options_of(values, paths)
    _check_output(output)
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
        _print_path(Path(output, "index.html"))
    if any(row.error for row in rows):
        sys.exit(3)
    worst = max((row.share for row in rows), default=0.0)
    _gate(limit, faults, worst, sorted({code for row in rows for code in row.faults}))
