"""Lookups: those that wasted most step by step, when they were, how long they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pcapkit.limits import Limits
from pcapkit.model.results import Results
from pcapkit.model.series import Chain
from pcapkit.model.vocabulary import WASTED_CLASSES
from pcapkit.report.html.sections.tables import Context, base_name, table
from pcapkit.report.text.formatting import number, printable
from pcapkit.report.text.wording import FEWEST, client_texts
from pcapkit.words import seconds


def _chain(chain: Chain, rank: int, who: Mapping[str, str], limits: Limits) -> Context:
    packets = sorted(
        {s.query_packet_no for s in chain.steps}
        | {s.response_packet_no for s in chain.steps if s.response_packet_no is not None}
    )
    rows = [
        (
            printable(s.candidate),
            s.qtype,
            s.outcome,
            s.waste_class.replace("_", " "),
            number(s.query_packet_no),
            "" if s.response_packet_no is None else number(s.response_packet_no),
            seconds(s.start_s) if chain.start_time is not None else "",
            seconds(s.rtt_s),
            number(s.retries),
        )
        for s in chain.steps
    ]
    wasted = sum(s.waste_class in WASTED_CLASSES for s in chain.steps)
    client = who.get(chain.client_addr, chain.client_addr)
    return {
        "name": printable(chain.base_name),
        "about": f"lookup {chain.lookup_id} of {client} in {base_name(chain.capture)}: "
        f"{number(wasted)} of {number(len(chain.steps))} queries wasted",
        "filter": "frame.number in {" + ", ".join(_ranges(packets)) + "}",
        "table": table(
            f"steps of lookup {rank}",
            (
                "@candidate",
                "type",
                "outcome",
                "class",
                "#query packet",
                "#response packet",
                "#after",
                "#took",
                "#retries",
            ),
            rows,
            limits=limits,
            first=20,
        ),
    }


def _ranges(ascending: Sequence[int]) -> list[str]:
    """Return numbers as Wireshark writes sets: ``1..3``, ``7``."""
    out: list[list[int]] = []
    for value in ascending:
        if out and out[-1][-1] == value - 1:
            out[-1][1:] = [value]
        else:
            out.append([value])
    return ["..".join(map(str, ends)) for ends in out]


def chains(analysis: Results) -> Context | None:
    """Lookups that wasted most, step by step."""
    if not analysis.chains:
        return None
    who = client_texts(analysis)
    return {
        "charts": ["chain"],
        "chains": [_chain(c, n, who, analysis.limits) for n, c in enumerate(analysis.chains, 1)],
    }


def when(analysis: Results) -> Context | None:
    """Queries over time."""
    enough = analysis.timeline.start_time is not None and analysis.waste.queries >= FEWEST
    return {"charts": ["timeline"]} if enough else None


def how_long(analysis: Results) -> Context | None:
    """Latency, with and without the wasted steps."""
    lookups = analysis.lookup_counts
    if lookups.p50_s is None:
        return None
    return {
        "charts": ["latency"],
        "sentence": f"Half of the complete lookups took {seconds(lookups.p50_s)} or less, "
        f"95 % {seconds(lookups.p95_s)} or less, 99 % {seconds(lookups.p99_s)} or less. "
        f"Search-path misses added {seconds(analysis.waste.search_s)} in total.",
    }
