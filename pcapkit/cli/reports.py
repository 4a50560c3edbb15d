"""An analysis on the terminal and as a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcapkit.cli.output import print_path, print_rich

if TYPE_CHECKING:
    from pcapkit.pipeline.analysis import Analysis
    from pcapkit.report.html.painter import Painter


def write_and_print(
    analysis: Analysis,
    output: str,
    formats: tuple[str, ...],
    painter: Painter | None,
    *,
    quiet: bool,
    verbose: bool,
) -> None:
    """Print the summary of an analysis, write its report, and print the paths."""
    from pcapkit.report.writer import report_folder, write_report

    folder = report_folder(Path(output), [c.path for c in analysis.captures])
    if not quiet:
        _summary(analysis, verbose=verbose)  # to be read while the charts are drawn
    for path in write_report(
        analysis, folder, formats, tables=analysis.table_parts, painter=painter
    ):
        print_path(path)


def print_json(analysis: Analysis, form: str) -> None:
    """Print an analysis as JSON: ``full``, or its ``summary``."""
    if form == "summary":
        from pcapkit.report.summary_json import dump_summary

        text = dump_summary(analysis)
    else:
        text = analysis.to_json()
    click.echo(text, nl=False)


def _summary(analysis: Analysis, *, verbose: bool) -> None:
    from pcapkit.report.terminal import render_terminal

    print_rich(lambda console: render_terminal(analysis, console, verbose=verbose))
