"""Example lookups, step by step, for reports to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pcapkit.analysis.lookups.reading import Readings
from pcapkit.codes import qtype_text
from pcapkit.model.series import Chain, ChainStep
from pcapkit.model.vocabulary import LOOKUP_OUTCOMES, TRANSACTION_OUTCOMES, WASTE_CLASSES
from pcapkit.names.labels import join
from pcapkit.schema import NO_TIME


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
                int(look["wasted"]),
                int(look["start"]),
                client,
                number - place,
                _chain(r, look, address(client), path_of),
            )
        )
    return out


def _same_key(left: Any, right: Any) -> bool:
    return bool(left["start"] == right["start"] and left["client"] == right["client"])


def _chain(r: Readings, look: Any, client_addr: str, path_of: Sequence[str]) -> Chain:
    lasted = int(look["end"] - look["start"]) / 1e9
    return Chain(
        -1,
        client_addr,
        join(r.names.labels(int(look["base"]))),
        LOOKUP_OUTCOMES[look["outcome"]],
        path_of[int(r.rows["capture"][look["exchange"]])],
        int(look["start"]) if r.has_clock else None,
        lasted if r.has_clock else None,
        int(look["wasted_ns"]) / 1e9 if r.has_clock else None,
        _steps(r, look),
    )


def _steps(r: Readings, look: Any) -> tuple[ChainStep, ...]:
    suffixes = r.clients[int(look["client"])].search.suffixes
    begin = int(look["start"])
    mine = r.transactions[look["first"] : look["first"] + look["queries"]]
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
