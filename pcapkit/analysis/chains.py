"""Example lookups, step by step, for reports to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pcapkit.analysis.reading import Readings
from pcapkit.analysis.suffixes import join
from pcapkit.codes import qtype_text
from pcapkit.layout import NO_TIME
from pcapkit.model import LOOKUP_OUTCOMES, TRANSACTION_OUTCOMES, WASTE_CLASSES, Chain, ChainStep


@dataclass(frozen=True, slots=True)
class Example:
    """One lookup that wasted many queries; ``place`` is its rank among those of equal key."""

    wasted: int
    start: int
    address: int
    place: int
    chain: Chain

    @property
    def key(self) -> tuple[int, int, int, int]:
        """Order: the most wasted first, then the earliest."""
        return -self.wasted, self.start, self.address, self.place

    def numbered(self, lookup_id: int) -> Chain:
        """Return the chain with its number in the lookups table."""
        return replace(self.chain, lookup_id=lookup_id)


def examples_of(
    r: Readings, numbers: Sequence[int], address: Callable[[int], str], path_of: Sequence[str]
) -> list[Example]:
    """Return some lookups of one part as examples."""
    out = []
    for number in numbers:
        look = r.lookups[number]
        place = number
        while place and _same_key(r.lookups[place - 1], look):
            place -= 1
        client = r.clients[int(look["client"])].client
        out.append(
            Example(
                int(look["wasted"]), int(look["start"]), client, number - place,
                _chain(r, look, address(client), path_of),
            )
        )  # fmt: skip
    return out


def _same_key(left: Any, right: Any) -> bool:
    return bool(left["start"] == right["start"] and left["client"] == right["client"])


def _chain(r: Readings, look: Any, client_addr: str, path_of: Sequence[str]) -> Chain:
    lasted = int(look["end"] - look["start"]) / 1e9
    return Chain(
        -1, client_addr, join(r.names.labels(int(look["base"]))),
        LOOKUP_OUTCOMES[look["outcome"]], path_of[int(r.rows["capture"][look["exchange"]])],
        int(look["start"]) if r.has_clock else None, lasted if r.has_clock else None,
        int(look["wasted_ns"]) / 1e9 if r.has_clock else None, _steps(r, look),
    )  # fmt: skip


def _steps(r: Readings, look: Any) -> tuple[ChainStep, ...]:
    steps = []
    suffixes = r.clients[int(look["client"])].search.suffixes
    for t in r.transactions[look["first"] : look["first"] + look["queries"]]:
        response = int(t["response"])
        e = r.rows[response] if response >= 0 else None
        rtt = None
        if e is not None and r.has_clock and e["response_time"] != NO_TIME:
            rtt = int(e["response_time"] - e["query_time"]) / 1e9
        steps.append(
            ChainStep(
                candidate=join(r.names.labels(int(t["name"]))),
                suffix=join(suffixes[t["suffix"]]) if t["suffix"] >= 0 else None,
                qtype=qtype_text(int(t["qtype"])),
                query_packet_no=int(r.rows["query_packet"][t["first"]]),
                response_packet_no=None if e is None else int(e["response_packet"]),
                start_s=int(t["time"] - look["start"]) / 1e9,
                rtt_s=rtt,
                outcome=TRANSACTION_OUTCOMES[t["outcome"]],
                waste_class=WASTE_CLASSES[t["waste_class"]],
                retries=int(t["retries"]),
            )
        )
    return tuple(steps)
