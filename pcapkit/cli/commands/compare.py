"""``pcapkit compare``: Two captures, saved analyses, or runs of a history."""

from __future__ import annotations

import sys

import click

from pcapkit.cli.gate import Gate, gate_options
from pcapkit.cli.options import options_of, reading_options
from pcapkit.cli.output import check_inputs, print_rich, warn
from pcapkit.cli.session import first_run, progress_bars
from pcapkit.errors import UsageError

_INSTEAD = {"new_waste": "use it with 'pcapkit audit --history'"}


@click.command()
@click.argument("before")
@click.argument("after")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@gate_options
@reading_options
def compare(
    before: str,
    after: str,
    as_json: bool,
    fail_on: tuple[str, ...],
    junit: str | None,
    step_summary: str | None,
    **values: object,
) -> None:
    """Compare two captures, or saved analyses: what changed, and was it as promised?

    BEFORE and AFTER are captures, analysis.json files that analyze wrote, or runs of a history:
    history:FOLDER@2026-11-01 (the last run of that day), history:FOLDER@NAME, or history:FOLDER
    (the newest). All is counted per lookup and per second, by workload where both sides know it
    (--pods), else by address. Rules of --fail-on are held against AFTER,
    'queries>+5%' against what changed.
    """
    gate = Gate.of(fail_on, junit, step_summary, instead=_INSTEAD)
    if before == after == "-":
        raise UsageError("- is standard input, which is read once: name a file")
    options = options_of(values, (before, after))
    from pcapkit.model.comparison import is_run, is_saved

    for path in (before, after):
        if not is_saved(path) and not is_run(path):
            check_inputs((path,), options.limits)
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
        from pcapkit.report.comparison import render_comparison

        print_rich(lambda console: render_comparison(result, console))
    from pcapkit.batch.gate.growth import growth_of_sides
    from pcapkit.batch.gated import subjects_of_side

    if gate.judge(
        lambda: subjects_of_side(sides[1], result.after),
        lambda: growth_of_sides(result),
        prints_json=as_json,
    ):
        sys.exit(1)
