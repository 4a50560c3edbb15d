"""What a cache beside each client would have answered (compiled).

As NodeLocal DNSCache does by default: answers are kept for their TTL, at most 30 s, and misses for
the negative TTL (RFC 2308), at most 5 s. A response without either is not kept. Only complete
lookups are looked at; a cache that clients share would save more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.analysis.lookups.reading import Readings
from pcapkit.analysis.lookups.waste import WASTED
from pcapkit.analysis.whatif.groups import Order
from pcapkit.analysis.whatif.sums import Sums, time_bin
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.kernels.hashing import SEED, hash_ids
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.schema import NO_TIME

KEEPS_ANSWERS_NS, KEEPS_MISSES_NS = 30_000_000_000, 5_000_000_000
_SECOND = 1_000_000_000
#: What is kept of one question of one client.
_KEPT = np.dtype(
    [("name", np.int32), ("qtype", np.int32), ("round", np.int64), ("until", np.int64)]
)


@inline_kernel
def _place(kept: Any, name: Any, qtype: Any, turn: Any, seed: Any) -> Any:
    """Return the slot of a question, or a free one; entries of other clients are free."""
    mask = np.uint64(kept.shape[0] - 1)
    slot = np.int64(hash_ids(name, qtype, seed) & mask)
    while kept[slot]["round"] == turn and not (
        kept[slot]["name"] == name and kept[slot]["qtype"] == qtype
    ):
        slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
    return slot


@inline_kernel
def _kept_for(response: Any, outcome: Any) -> Any:
    if response["min_ttl"] < 0:
        return np.int64(0)
    ttl = np.int64(response["min_ttl"]) * _SECOND
    if outcome == ANSWER:
        return min(ttl, np.int64(KEEPS_ANSWERS_NS))
    if outcome == NODATA or outcome == NXDOMAIN:
        return min(ttl, np.int64(KEEPS_MISSES_NS))
    return np.int64(0)


@kernel
def replay_cached(
    lookups: Any,
    transactions: Any,
    rows: Any,
    members: Any,
    bounds: Any,
    wasted: Any,
    kept: Any,
    seed: Any,
    column: Any,
    sums: Any,
) -> None:
    """Add what would still be sent to column ``column`` of ``sums``.

    ``members`` are lookup numbers, client behind client (``bounds``), each in the order of time;
    ``kept`` is room for the questions of any one client, at most half full.
    """
    for turn in range(1, bounds.shape[0]):
        for m in range(bounds[turn - 1], bounds[turn]):
            _replay_lookup(
                lookups[members[m]], transactions, rows, wasted, kept, turn, seed, column, sums
            )


@inline_kernel
def _replay_lookup(
    look: Any,
    transactions: Any,
    rows: Any,
    wasted: Any,
    kept: Any,
    turn: Any,
    seed: Any,
    column: Any,
    sums: Any,
) -> None:
    total = sums.clients[look["client"], column]
    sent, took = 0, np.int64(0)
    began, asked = np.int64(look["start"]), False
    for k in range(look["queries"]):
        t = transactions[look["first"] + k]
        if k > 0 and t["name"] != transactions[look["first"] + k - 1]["name"]:
            if asked:
                took += max(np.int64(0), t["time"] - began)
            began, asked = max(began, np.int64(t["time"])), False
        slot = _place(kept, t["name"], t["qtype"], turn, seed)
        known = kept[slot]
        if known["round"] == turn and t["time"] < known["until"]:
            continue
        sent += 1
        asked = True
        total["wasted"] += wasted[t["waste_class"]]
        response = np.int64(t["response"])
        if response < 0:
            total["upstream"] += 1
            continue
        r = rows[response]
        total["upstream"] += 1 if r["aa"] == 0 else 0
        known["name"] = t["name"]
        known["qtype"] = t["qtype"]
        known["round"] = turn
        known["until"] = NO_TIME
        if r["response_time"] != NO_TIME:
            known["until"] = r["response_time"] + _kept_for(r, t["outcome"])
    if asked:
        took += max(np.int64(0), look["end"] - began)
    total["queries"] += sent
    total["time_ns"] += took
    sums.times[time_bin(took), column] += 1
    second = look["start"] // _SECOND - sums.first_second
    if 0 <= second < sums.seconds.shape[0]:
        sums.seconds[second, column] += sent


def add_cached(part: Readings, order: Order, column: int, sums: Sums) -> None:
    """Replay a part's complete lookups, client by client, with a cache beside each client."""
    most = int(order.covered["queries"].max(initial=0))
    kept = np.zeros(1 << max(4, (2 * most).bit_length()), _KEPT)
    replay_cached(
        part.lookups,
        part.transactions,
        part.rows,
        order.by_client,
        order.bounds,
        WASTED,
        kept,
        SEED,
        column,
        sums,
    )
