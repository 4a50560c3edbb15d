"""``pcapkit analyze``: One analysis of one capture, or of several read as one."""

from __future__ import annotations

import sys
from dataclasses import replace
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
from pcapkit.cli.output import check_inputs, check_output, say
from pcapkit.cli.reports import report_on
from pcapkit.cli.session import interruptible, redrawn
from pcapkit.errors import UsageError
from pcapkit.text import shown_path

if TYPE_CHECKING:
    from pcapkit.pipeline.analysis import Analysis
    from pcapkit.pipeline.hooks import Hooks


@click.command(cls=JsonCommand)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@output_options("html,png,json")
@gate_options
@json_option
@click.option(
    "--live", is_flag=True, help="Redraw the summary while a capture comes in (on a terminal)."
)
@pseudonymize_option
@reading_options
def analyze(
    captures: tuple[str, ...],
    output: str,
    formats: str,
    as_json: str,
    live: bool,
    fail_on: tuple[str, ...],
    junit: str | None,
    step_summary: str | None,
    pseudonymize: str | None,
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
    gate = Gate.of(fail_on, junit, step_summary, instead=INSTEAD)
    wanted = parse_formats(formats)
    options = options_of(values, captures)
    if not as_json:
        check_output(output)
    packets = check_inputs(captures, options.limits)
    if verbose:
        say(f"reading {', '.join('stdin' if c == '-' else shown_path(c) for c in captures)}")
    if live and pseudonymize is not None:
        raise UsageError("--live shows what comes in as it is: leave it or --pseudonymize out")
    redrawing = live and sys.stdout.isatty() and not as_json and not quiet
    if live and not redrawing:
        say("hint: --live draws on a terminal; here the summary comes at the end")

    def run(hooks: Hooks) -> Analysis:
        with redrawn(redrawing) as watch, interruptible(captures) as stop:
            from pcapkit.pipeline.analyze import analyze as read

            return read(*captures, options=options, hooks=replace(hooks, stop=stop, watch=watch))

    report_on(
        run,
        output,
        wanted,
        as_json=as_json,
        pseudonymize=pseudonymize,
        options=options,
        gate=gate,
        packets=packets,
        bars=not redrawing,
        quiet=quiet,
        verbose=verbose,
    )
