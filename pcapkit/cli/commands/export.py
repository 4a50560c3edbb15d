"""``pcapkit export``: One table."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pcapkit.cli.options import options_of, pseudonymize_option, reading_options
from pcapkit.cli.output import check_inputs, check_output_file, warn
from pcapkit.cli.session import first_run, progress_bars
from pcapkit.errors import UsageError
from pcapkit.model.vocabulary import TABLE_FORMATS, TABLES


@click.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("-t", "--table", required=True, type=click.Choice(TABLES))
@click.option(
    "--format", "form", default="jsonl", show_default=True, type=click.Choice(TABLE_FORMATS)
)
@click.option(
    "-o", "--output", default="-", metavar="FILE", help="A file, or - for standard output."
)
@pseudonymize_option
@reading_options
def export(
    captures: tuple[str, ...],
    table: str,
    form: str,
    output: str,
    pseudonymize: str | None,
    **values: object,
) -> None:
    """Write one table of a capture as CSV, JSON Lines or Parquet."""
    options = options_of(values, captures)
    if output != "-":
        check_output_file(output)
    elif form == "parquet" and sys.stdout.isatty():
        raise UsageError("Parquet is binary: name a file with -o")
    packets = check_inputs(captures, options.limits)
    with first_run(packets=packets) as ready, progress_bars() as progress:
        ready()
        from pcapkit.pipeline.analyze import table_parts
        from pcapkit.pipeline.hooks import Hooks
        from pcapkit.sharing.renaming import pseudonymizer

        frames, warnings = table_parts(
            captures,
            table,
            options=options,
            hooks=Hooks(progress, rename=pseudonymizer(pseudonymize, options)),
        )
    warn(warnings)
    from pcapkit.files import whole_file
    from pcapkit.report.table_files import write_table

    if output == "-":
        write_table(frames, form, sys.stdout.buffer, table=table)
    else:
        with whole_file(Path(output)) as out:
            write_table(frames, form, out, table=table)
