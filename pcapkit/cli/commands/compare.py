"""``pcapkit compare``: Two captures, saved analyses, or runs of a history."""

from __future__ import annotations

import sys

import click

from pcapkit.cli.options import options_of, parse_growth, parse_threshold, reading_options
from pcapkit.cli.output import check_inputs, say, warn
from pcapkit.cli.session import first_run, progress_bars
from pcapkit.errors import UsageError


@click.command()
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

    BEFORE and AFTER are captures, analysis.json files that analyze wrote, or runs of a history:
    history:FOLDER@2026-11-01 (the last run of that day), history:FOLDER@NAME, or history:FOLDER
    (the newest). All is counted per lookup and per second, by workload where both sides know it
    (--pods), else by address.
    """
    more = parse_growth(fail_on)
    limit = None if more is not None else parse_threshold(fail_on)
    if before == after == "-":
        raise UsageError("- is standard input, which is read once: name a file")
    options = options_of(values, (before, after))
    from pcapkit.model.comparison import is_run, is_saved

    for path in (before, after):
        if not is_saved(path) and not is_run(path):
            check_inputs((path,))
    with first_run() as ready, progress_bars() as progress:
        ready()
        from pcapkit.batch.compare import compare as run
        from pcapkit.batch.sides import load
        from pcapkit.pipeline.hooks import Hooks

        sides = [load(path, options=options, hooks=Hooks(progress)) for path in (before, after)]
    result = run(*sides, names=(before, after))
    warn(result.warnings)
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
