"""``pcapkit sql``: A query over the tables of captures, or over a history."""

from __future__ import annotations

import sys

import click

from pcapkit.cli.options import options_of, reading_options
from pcapkit.cli.output import check_inputs, print_rich, warn
from pcapkit.cli.session import first_run, progress_bars
from pcapkit.errors import UsageError
from pcapkit.model.vocabulary import RESULT_FORMATS, TABLES


@click.command()
@click.argument("query")
@click.argument("captures", nargs=-1, metavar="[CAPTURE]...")
@click.option(
    "--history",
    metavar="FOLDER|URL",
    help="Query what audits found: the output folder of 'audit --history'.",
)
@click.option(
    "--format",
    "form",
    default="table",
    show_default=True,
    type=click.Choice(RESULT_FORMATS),
    help="What to print.",
)
@click.option(
    "--unsafe", is_flag=True, help="Let the query read and write files, and load extensions."
)
@reading_options
def sql(
    query: str,
    captures: tuple[str, ...],
    history: str | None,
    form: str,
    unsafe: bool,
    **values: object,
) -> None:
    """Run SQL over the tables of captures, or over the history of audits.

    The tables of captures are messages, transactions, lookups, clients, names and what_if; those of
    a history are runs, captures, workloads, trend and, with all columns, history. QUERY is DuckDB's
    SQL; it sees these tables alone, and reads them. Times are UTC.
    """
    options = options_of(values, captures)
    if (history is None) == (not captures):
        raise UsageError("give captures, or --history and no captures")
    from pcapkit.batch.database import Database

    database = Database(query, unsafe=unsafe)
    if history is not None:
        from pcapkit.batch.history.views import TABLES as KNOWN
        from pcapkit.batch.history.views import VIEWS, load_tables

        wanted = database.named(KNOWN)
        tables, warnings = load_tables(history, wanted)
        warn(tuple(warnings))
        views = {name: query for name, query in VIEWS.items() if name in wanted}
        result = database.run(tables, views, KNOWN)
    else:
        from pcapkit.batch.capture_tables import load_tables as load

        wanted = database.named(TABLES)
        packets = check_inputs(captures, options.limits)
        with first_run(packets=packets) as ready, progress_bars() as progress:
            ready()
            from pcapkit.pipeline.hooks import Hooks

            found, warned = load(captures, wanted, options=options, hooks=Hooks(progress))
        warn(warned)
        result = database.run(found, {}, TABLES)
    if result is None:  # a statement that gives no rows
        return
    if form == "table":
        from pcapkit.report.query_result import render_result

        print_rich(lambda console: render_result(result, console))
    else:
        from pcapkit.report.query_result import write_result

        write_result(result, form, sys.stdout.buffer)
