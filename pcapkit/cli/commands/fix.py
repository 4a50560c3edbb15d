"""``pcapkit fix``: The plan as a diff on manifests."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pcapkit.cli.options import options_of, reading_options
from pcapkit.cli.output import check_inputs, print_path, say, say_wrapped, warn
from pcapkit.cli.session import first_run, progress_bars
from pcapkit.model.plans import PlanKind
from pcapkit.model.vocabulary import FIX_FORMATS


@click.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("--manifests", required=True, metavar="DIR", help="The folder of your manifests.")
@click.option(
    "--plan",
    "kind",
    default="best",
    show_default=True,
    type=click.Choice([k.value for k in PlanKind][::-1]),
    help="Which plan: settings alone, full names alone, or the best of both.",
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
        check_inputs(raw, options.limits)
    with first_run() as ready, progress_bars() as progress:
        ready()
        from pcapkit.batch.planned import load_planned
        from pcapkit.pipeline.hooks import Hooks

        planned = load_planned(captures, options=options, hooks=Hooks(progress))
    from pcapkit.manifests.fix import fix_plan
    from pcapkit.manifests.output import render_fix, write_fix

    warn(planned.warnings)
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
        say_wrapped(note)
    if form != "diff" or not write:
        click.echo(render_fix(result, manifests, form).encode(), nl=False)
    if write:
        written, refused = write_fix(result, Path(manifests))
        for path in written:
            if form == "diff":
                print_path(path)
        for why in refused:
            say(f"failed: {why}")
        if refused:
            sys.exit(3)
