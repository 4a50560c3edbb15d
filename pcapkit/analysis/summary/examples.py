"""Example lookups, step by step, for reports to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pcapkit.analysis.lookups.reading import Readings
from pcapkit.codes import qtype_text
from pcapkit.model.series import Chain, ChainStep
from pcapkit.model.vocabulary import LOOKUP_OUTCOMES, TRANSACTION_OUTCOMES, WASTE_CLASSES
from pcapkit.names.labels import join
from pcapkit.schema import NO_TIME, Row


@dataclass(frozen=True, slots=True)
class Example:
    """One lookup that wasted many queries; ``rank`` is its own among those of equal key."""

    wasted: int
    start: int
    address: int
    rank: int
    chain: Chain

    @property
    def key(self) -> tuple[int, int, int, int]:
        """Order: the most wasted first, then the earliest."""
        return -self.wasted, self.start, self.address, self.rank

    def numbered(self, lookup_id: int) -> Chain:
        """Return the chain with its number in the lookups table."""
        return replace(self.chain, lookup_id=lookup_id)


def examples_of(
    r: Readings, numbers: Sequence[int], address: Callable[[int], str], path_of: Sequence[str]
) -> list[Example]:
    """Return some lookups of one part as examples."""
    out = []
    for number in numbers:
        lookup: Row = r.lookups[number]
        first = number
        while first and _same_key(r.lookups[first - 1], lookup):
            first -= 1
        client = r.clients[int(lookup["client"])].client
        out.append(
            Example(
                int(lookup["wasted"]),
                int(lookup["start"]),
                client,
                number - first,
                _chain(r, lookup, address(client), path_of),
            )
        )
    return out


def _same_key(left: Row, right: Row) -> bool:
    return bool(left["start"] == right["start"] and left["client"] == right["client"])


def _chain(r: Readings, lookup: Row, client_addr: str, path_of: Sequence[str]) -> Chain:
    lasted = int(lookup["end"] - lookup["start"]) / 1e9
    return Chain(
        -1,
        client_addr,
        join(r.names.labels(int(lookup["base"]))),
        LOOKUP_OUTCOMES[lookup["outcome"]],
        path_of[int(r.rows["capture"][lookup["exchange"]])],
        int(lookup["start"]) if r.has_clock else None,
        lasted if r.has_clock else None,
        int(lookup["wasted_ns"]) / 1e9 if r.has_clock else None,
        _steps(r, lookup),
    )


def _steps(r: Readings, lookup: Row) -> tuple[ChainStep, ...]:
    suffixes = r.clients[int(lookup["client"])].search.suffixes
    begin = int(lookup["start"])
    mine = r.transactions[lookup["first"] : lookup["first"] + lookup["queries"]]
    some = np.maximum(mine["response"], 0)  # of those without a response, any
    columns = (
        mine["name"],
        mine["suffix"],
        mine["qtype"],
        mine["time"],
        mine["outcome"],
        mine["waste_class"],
        mine["retries"],
        mine["response"] >= 0,
        r.rows["query_packet"][mine["first"]],
        r.rows["response_packet"][some],
        r.rows["query_time"][some],
        r.rows["response_time"][some],
    )
    return tuple(
        ChainStep(
            candidate=join(r.names.labels(name)),
            suffix=join(suffixes[suffix]) if suffix >= 0 else None,
            qtype=qtype_text(qtype),
            query_packet_no=query,
            response_packet_no=response if responded else None,
            start_s=(time - begin) / 1e9,
            rtt_s=(
                (after - before) / 1e9 if responded and r.has_clock and after != NO_TIME else None
            ),
            outcome=TRANSACTION_OUTCOMES[outcome],
            waste_class=WASTE_CLASSES[waste],
            retries=retries,
        )
        for (
            name,
            suffix,
            qtype,
            time,
            outcome,
            waste,
            retries,
            responded,
            query,
            response,
            before,
            after,
        ) in zip(*(column.tolist() for column in columns), strict=True)
    )
