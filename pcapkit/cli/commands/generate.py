"""``pcapkit generate``: a capture of made-up traffic, and the truth about it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcapkit.cli.options import parse_seconds
from pcapkit.cli.output import check_inputs, check_output_file, print_path, say_wrapped
from pcapkit.errors import UsageError
from pcapkit.resolver.resolv_conf import MAX_NDOTS

if TYPE_CHECKING:
    from pcapkit.generating.scenario import Scenario

_MOST_CLIENTS = 64_000
_ONLY_SCENARIOS = ("clients", "ndots", "resolver", "search")


@click.command()
@click.argument("scenario", metavar="[SCENARIO]", required=False)
@click.option("--list", "as_list", is_flag=True, help="List the scenarios, as without one.")
@click.option("-o", "--output", metavar="FILE", help="The pcap to write, or - for standard output.")
@click.option(
    "--truth",
    "truth_file",
    metavar="FILE",
    help="Where the truth goes; by default beside -o: plain.pcap has plain.truth.json.",
)
@click.option("--like", metavar="CAPTURE", help="Not a scenario, but the shape of this capture.")
@click.option("--lookups", type=click.IntRange(0), metavar="N", help="So many lookups.")
@click.option("--clients", type=click.IntRange(1, _MOST_CLIENTS), metavar="N", help="So many pods.")
@click.option("--for", "time", metavar="TIME", help="They take about so long, such as 10m.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    metavar="N",
    help="Another one gives other bytes; the same one the same.",
)
@click.option("--ndots", type=click.IntRange(0, MAX_NDOTS), metavar="N", help="ndots of the pods.")
@click.option("--resolver", metavar="MODEL", help="glibc, musl, go ... or a release: musl@1.2.3.")
@click.option(
    "--search", multiple=True, metavar="SUFFIX", help="The pods' search list, one each; repeatable."
)
def generate(
    scenario: str | None,
    as_list: bool,
    output: str | None,
    truth_file: str | None,
    like: str | None,
    lookups: int | None,
    clients: int | None,
    time: str | None,
    seed: int,
    ndots: int | None,
    resolver: str | None,
    search: tuple[str, ...],
) -> None:
    """Write a synthetic capture whose truth is known: for demos, tests and benchmarks.

    What the pods ask follows from the rules of their resolvers. The truth is a JSON file: lookups,
    queries, waste classes, settings, and the faults that show; null where options change what does.

    --like takes the shape of a capture: as many clients and lookups, each client's ndots, resolver
    and length of search list, names with as many dots that are found or missing at the same places,
    delays, losses and the rate of lookups. Names and addresses are made up. Not kept: who asks what
    when, lookups that the capture cuts, several nameservers, TCP, duplicates.
    """
    if as_list or (scenario is None and like is None):
        click.echo(_listed(), nl=False)
        return
    chosen = {"clients": clients, "ndots": ndots, "resolver": resolver, "search": search}
    if like is not None:
        clash = scenario or next(
            (f"--{o}" for o in _ONLY_SCENARIOS if chosen[o] not in (None, ())), None
        )
        if clash:
            raise UsageError(f"--like and {clash} exclude one another: the shape is the capture's")
    if output is None:
        raise UsageError("--output: name a file for the capture, or - for standard output")
    target, truth_path = _places(output, truth_file, like)
    seconds = None if time is None else float(parse_seconds(time, "--for"))
    if like is not None:
        made, is_sure = _alike(like, seed, lookups, seconds), False
    else:
        from pcapkit.generating.scenarios import make_scenario, scenario_row

        made, is_sure = make_scenario(
            scenario_row(str(scenario)),
            lookups=lookups,
            clients=clients,
            ndots=ndots,
            resolver=resolver,
            search=_suffixes(search) or None,
            seconds=seconds,
        )
    from pcapkit.files import is_stream
    from pcapkit.generating.generate import generate as run

    truth = run(made, seed, target or sys.stdout.buffer, truth_path, faults_show=is_sure)
    say_wrapped(
        f"{truth['lookups']:,} lookups, {truth['queries']:,} queries, "
        f"{truth['wasted_queries']:,} of them wasted"
    )
    streams = target is None or is_stream(target)
    for path in () if streams else (target, truth_path):
        if path is not None:
            print_path(path)


def _listed() -> str:
    from pcapkit.generating.scenarios import SCENARIOS

    rows = [f"  {row.name:<23}{row.title}" for row in SCENARIOS]
    return "\n".join(
        ["scenarios:", *rows, "", "pcapkit generate SCENARIO -o FILE.pcap writes one.", ""]
    )


def _places(output: str, truth: str | None, like: str | None) -> tuple[Path | None, Path | None]:
    """Return where the capture goes, None for standard output, and where its truth does."""
    from pcapkit.files import is_stream

    target = None if output == "-" else Path(output)
    if target is None and sys.stdout.isatty():
        raise UsageError("a capture is binary: name a file with -o")
    if target is not None:
        check_output_file(output)
    path = None if truth is None else Path(truth)
    if path is None and target is not None and not is_stream(target):
        path = target.with_name(target.name.removesuffix(".pcap") + ".truth.json")
    if path is not None:
        if path == target:
            raise UsageError("--truth: it is the capture's own file; name another one")
        check_output_file(str(path), "--truth")
    for place in (target, path):
        if like not in (None, "-") and place is not None and place.exists():
            if os.path.exists(str(like)) and os.path.samefile(str(like), place):
                raise UsageError(f"{place}: it is the capture itself")
    return target, path


def _suffixes(search: tuple[str, ...]) -> tuple[str, ...]:
    """Return the search list. Raises UsageError where an entry is no domain name."""
    from pcapkit.resolver.resolv_conf import parse_resolv_conf

    if not search:
        return ()
    line = f"search {' '.join(search)}\n"
    return parse_resolv_conf(line, path="--search").search


def _alike(like: str, seed: int, lookups: int | None, seconds: float | None) -> Scenario:
    from pcapkit.cli.session import first_run, progress_bars

    packets = check_inputs((like,))
    with first_run(packets=packets) as ready, progress_bars() as progress:
        ready()
        from pcapkit.generating.alike import alike
        from pcapkit.pipeline.analyze import analyze
        from pcapkit.pipeline.hooks import Hooks

        analysis = analyze(like, hooks=Hooks(progress))
    return alike(analysis, seed, lookups=lookups, seconds=seconds)
