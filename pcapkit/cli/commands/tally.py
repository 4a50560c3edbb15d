"""``pcapkit tally``: what an analysis needs of captures, as files."""

from __future__ import annotations

from pathlib import Path

import click

from pcapkit.cli.options import limit_option, options_of
from pcapkit.cli.output import check_inputs, check_output, check_output_file, print_path
from pcapkit.cli.session import first_run, progress_bars
from pcapkit.errors import UsageError

_RANGE = "write it as FIRST:STOP, in bytes, such as 0:1000000 or 1000000:"


def _bounds(text: str) -> tuple[int, int | None]:
    """Parse ``0:1000000``, ``1000000:``."""
    first, colon, stop = (part.strip() for part in text.partition(":"))
    if not colon or not all(p.isdecimal() and len(p) < 19 or not p for p in (first, stop)):
        raise UsageError(f"--range {text!r}: {_RANGE}")
    bounds = int(first or 0), int(stop) if stop else None
    if bounds[1] is not None and bounds[1] <= bounds[0]:
        raise UsageError(f"--range {text!r}: it is empty; {_RANGE}")
    return bounds


@click.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option(
    "-o",
    "--output",
    default=".",
    show_default=True,
    metavar="PATH",
    help="A file for one capture; or a folder, for files named after captures and their content.",
)
@click.option(
    "--range",
    "part",
    metavar="FIRST:STOP",
    help="Only the records of an uncompressed pcap or pcapng that begin between these bytes.",
)
@click.option(
    "--at-record", is_flag=True, help="A record begins exactly at FIRST (merge says where it does)."
)
@click.option(
    "--port",
    "ports",
    multiple=True,
    type=click.IntRange(1, 65535),
    help="Read DNS on this port too.",
)
@limit_option
def tally(
    captures: tuple[str, ...],
    output: str,
    part: str | None,
    at_record: bool,
    ports: tuple[int, ...],
    limits: tuple[str, ...],
) -> None:
    """Write a tally of each capture: all that an analysis needs of it, as a file; see merge.

    A large capture can be read in parts, on several machines: a tally of each --range. The options
    that say what is known of clients and cluster belong to merge.
    """
    if part is not None and len(captures) > 1:
        raise UsageError("--range: it is of one capture")
    if at_record and part is None:
        raise UsageError("--at-record: it says where a --range begins")
    bounds = None if part is None else _bounds(part)
    into = Path(output)
    if len(captures) > 1 and not into.is_dir():
        raise UsageError(f"--output {output}: name a folder that exists for several captures")
    if into.is_dir():
        check_output(output)
    else:
        check_output_file(output)
    options = options_of({"ports": ports, "limits": limits}, ())
    packets = check_inputs(captures, options.limits)
    with first_run(packets=packets) as ready, progress_bars() as progress:
        ready()
        from pcapkit.batch.tallies.merge import write_tally
        from pcapkit.ingest.window import Span
        from pcapkit.pipeline.hooks import Hooks

        hooks = Hooks(progress)
        for capture in captures:
            span = None if bounds is None else Span(*bounds, exact=at_record)
            path, _ = write_tally(capture, into, options=options, span=span, hooks=hooks)
            print_path(path)
