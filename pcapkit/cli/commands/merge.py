"""``pcapkit merge``: an analysis and a report from tallies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcapkit.cli.gate import INSTEAD, Gate, gate_options
from pcapkit.cli.options import (
    JsonCommand,
    json_option,
    options_of,
    output_options,
    parse_formats,
    pseudonymize_option,
    reading_options,
)
from pcapkit.cli.output import check_output, check_output_file, print_path
from pcapkit.cli.reports import report_on
from pcapkit.errors import UsageError

if TYPE_CHECKING:
    from pcapkit.pipeline.analysis import Analysis
    from pcapkit.pipeline.hooks import Hooks


@click.command(cls=JsonCommand)
@click.argument("tallies", nargs=-1, required=True, metavar="TALLY...")
@output_options("html,png,json")
@gate_options
@json_option
@click.option(
    "--join", metavar="FILE", help="Write one tally that holds all of them; make no analysis."
)
@pseudonymize_option
@reading_options
def merge(
    tallies: tuple[str, ...],
    output: str,
    formats: str,
    as_json: str,
    join: str | None,
    fail_on: tuple[str, ...],
    junit: str | None,
    step_summary: str | None,
    pseudonymize: str | None,
    quiet: bool,
    verbose: bool,
    **values: object,
) -> None:
    """Analyse the captures in tallies, in any order, and write a report.

    TALLY is a file that tally wrote, or a folder of them. Captures are read as one, as analyze
    reads several, and the report is the same. --port was an option of tally.
    """
    gate = Gate.of(fail_on, junit, step_summary, instead=INSTEAD)
    wanted = parse_formats(formats)
    options = options_of(values, tallies)
    if values.get("ports"):
        raise UsageError("--port: it is an option of tally, which reads the packets")
    paths = _files(tallies)
    if join is not None:
        if as_json or fail_on or junit is not None:
            raise UsageError("--join makes no analysis: leave --json, --fail-on and --junit out")
        from pcapkit.batch.tallies.merge import join_tallies

        check_output_file(join, "--join")
        join_tallies(paths, Path(join))
        print_path(Path(join))
        return
    if not as_json:
        check_output(output)

    def run(hooks: Hooks) -> Analysis:
        from pcapkit.batch.tallies.merge import merge as read

        return read(*paths, options=options, hooks=hooks)

    report_on(
        run,
        output,
        wanted,
        as_json=as_json,
        pseudonymize=pseudonymize,
        options=options,
        gate=gate,
        quiet=quiet,
        verbose=verbose,
    )


def _files(tallies: tuple[str, ...]) -> list[str]:
    """Return the tallies, those in folders by their names."""
    out: list[str] = []
    for tally in tallies:
        if Path(tally).is_dir():
            found = sorted(str(p) for p in Path(tally).rglob("*.tally") if p.is_file())
            if not found:
                raise UsageError(f"{tally}: no tally in this folder")
            out += found
        else:
            out.append(tally)
    return out
