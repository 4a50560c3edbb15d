"""An analysis on the terminal and as a report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcapkit.cli.gate import Gate, subjects_in
from pcapkit.cli.output import print_path, print_rich, warn
from pcapkit.cli.session import first_run, painting, progress_bars

if TYPE_CHECKING:
    from pcapkit.pipeline.analysis import Analysis
    from pcapkit.pipeline.hooks import Hooks
    from pcapkit.pipeline.options import Options
    from pcapkit.report.html.painter import Painter


def report_on(
    run: Callable[[Hooks], Analysis],
    output: str,
    formats: tuple[str, ...],
    *,
    as_json: str = "",
    pseudonymize: str | None = None,
    options: Options,
    gate: Gate | None = None,
    packets: bool = True,
    bars: bool = True,
    quiet: bool,
    verbose: bool,
) -> None:
    """Have an analysis made, print its summary, write its report, and print the paths.

    Ends the program with status 1 where it does not hold what ``gate`` asks for.

    ``as_json`` prints JSON instead, in that form. ``run`` makes the analysis with the hooks it is
    given; ``packets`` and ``bars`` are of ``first_run`` and ``progress_bars``.
    """
    with painting(() if as_json else formats) as painter:
        with first_run(packets=packets) as ready, progress_bars(bars=bars) as progress:
            from pcapkit.pipeline.hooks import Hooks

            rename = None
            if pseudonymize is not None:
                from pcapkit.sharing.renaming import pseudonymizer

                rename = pseudonymizer(pseudonymize, options)
            draw = None if painter is None else partial(painter.begin, png="png" in formats)
            analysis = run(Hooks(progress, collected=ready, rename=rename, charted=draw))
        warn(analysis.warnings)
        if as_json:
            _print_json(analysis, as_json)
        else:
            _write_and_print(analysis, output, formats, painter, quiet=quiet, verbose=verbose)
    if gate is not None and gate.judge(subjects_in(analysis), prints_json=bool(as_json)):
        sys.exit(1)


def _write_and_print(
    analysis: Analysis,
    output: str,
    formats: tuple[str, ...],
    painter: Painter | None,
    *,
    quiet: bool,
    verbose: bool,
) -> None:
    """Print the summary of an analysis, write its report, and print the paths."""
    from pcapkit.files import sweep
    from pcapkit.report.writer import is_of_report, report_folder, write_report

    sweep(Path(output), is_of_report)
    folder = report_folder(Path(output), [c.path for c in analysis.captures])
    if not quiet:
        _summary(analysis, verbose=verbose)  # to be read while the charts are drawn
    for path in write_report(
        analysis, folder, formats, tables=analysis.table_parts, painter=painter
    ):
        print_path(path)


def _print_json(analysis: Analysis, form: str) -> None:
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
