"""What a cache beside each client would have answered (compiled).

As NodeLocal DNSCache does by default: answers are kept for their TTL, at most 30 s, and misses for
the negative TTL (RFC 2308), at most 5 s. A response without either is not kept. Only complete
lookups are looked at; a cache that clients share would save more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.reading import Readings
from pcapkit.analysis.lookups.waste import WASTED
from pcapkit.analysis.whatif.groups import Order
from pcapkit.analysis.whatif.sums import Sums, time_bin
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.kernels.hashing import SEED, find_slot, hash_ids, slot_count
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.schema import NO_TIME, Int, Row, Rows

KEEPS_ANSWERS_NS, KEEPS_MISSES_NS = 30_000_000_000, 5_000_000_000
_SECOND_NS = 1_000_000_000
#: What is kept of one question of one client.
_KEPT = np.dtype(
    [
        ("name", np.int32),
        ("qtype", np.int32),
        ("client", np.int64),  # index plus 1; entries of other clients are free
        ("until", np.int64),  # the end of its time
    ]
)


class _Cache(NamedTuple):
    """What the replay with a cache reads, and the cache itself."""

    lookups: Rows  # LOOKUP
    transactions: Rows  # TRANSACTION
    exchanges: Rows  # EXCHANGE
    is_wasted: npt.NDArray[np.bool_]  # by waste class
    kept: Rows  # _KEPT, a hash table for any one client
    seed: np.uint64  # of that


@inline_kernel
def _ends_search(kept: Row, key: tuple[Int, Int, Int]) -> bool:
    """Is ``kept`` (_KEPT) free, or that of the ``key`` (name, qtype, client plus 1)?"""
    name, qtype, client = key
    return bool(kept["client"] != client or (kept["name"] == name and kept["qtype"] == qtype))


@inline_kernel
def _kept_for(response: Row, outcome: Int) -> Int:
    """Return for how many ns a cache keeps a ``response`` (EXCHANGE) of such an ``outcome``."""
    if response["min_ttl"] < 0:
        return np.int64(0)
    ttl = np.int64(response["min_ttl"]) * _SECOND_NS
    if outcome == ANSWER:
        return min(ttl, np.int64(KEEPS_ANSWERS_NS))
    if outcome == NODATA or outcome == NXDOMAIN:
        return min(ttl, np.int64(KEEPS_MISSES_NS))
    return np.int64(0)


@kernel
def replay_cached(cache: _Cache, order: Order, column: Int, sums: Sums) -> None:
    """Add what would still be sent to column ``column`` of ``sums``, client by client.

    The lookups are those of ``order``, read with what ``cache`` holds.
    """
    for client in range(order.client_bounds.shape[0] - 1):
        for m in range(order.client_bounds[client], order.client_bounds[client + 1]):
            _replay_lookup(cache, cache.lookups[order.by_client[m]], client, column, sums)


@inline_kernel
def _is_sent(cache: _Cache, t: Row, client: Int, total: Row) -> bool:
    """Is the query of ``t`` (TRANSACTION) still sent, as ``cache`` has no answer for ``client``?

    If so, its response is kept, and it is counted in ``total`` (SUM).
    """
    key = (t["name"], t["qtype"], client + 1)
    slot = find_slot(cache.kept, hash_ids(t["name"], t["qtype"], cache.seed), _ends_search, key)
    kept = cache.kept[slot]
    if kept["client"] == client + 1 and t["time"] < kept["until"]:
        return False
    total["queries"] += 1
    if cache.is_wasted[t["waste_class"]]:
        total["wasted"] += 1
    if t["response"] < 0:
        total["upstream"] += 1
        return True
    response = cache.exchanges[t["response"]]
    if response["aa"] == 0:
        total["upstream"] += 1
    kept["name"] = t["name"]
    kept["qtype"] = t["qtype"]
    kept["client"] = client + 1
    kept["until"] = NO_TIME
    if response["response_time"] != NO_TIME:
        kept["until"] = response["response_time"] + _kept_for(response, t["outcome"])
    return True


@inline_kernel
def _replay_lookup(cache: _Cache, lookup: Row, client: Int, column: Int, sums: Sums) -> None:
    """Add one ``lookup`` (LOOKUP) of ``client`` to ``column`` of ``sums``, with its ``cache``."""
    total = sums.clients[client, column]
    sent, took = 0, np.int64(0)
    began, asked = np.int64(lookup["start"]), False
    for k in range(lookup["queries"]):
        t = cache.transactions[lookup["first"] + k]
        if k > 0 and t["name"] != cache.transactions[lookup["first"] + k - 1]["name"]:
            if asked:
                took += max(np.int64(0), t["time"] - began)
            began, asked = max(began, np.int64(t["time"])), False
        if _is_sent(cache, t, client, total):
            sent += 1
            asked = True
    if asked:
        took += max(np.int64(0), lookup["end"] - began)
    total["time_ns"] += took
    sums.times[time_bin(took), column] += 1
    second = lookup["start"] // _SECOND_NS - sums.first_second
    if 0 <= second < sums.seconds.shape[0]:
        sums.seconds[second, column] += sent


def add_cached(part: Readings, order: Order, column: int, sums: Sums) -> None:
    """Replay a part's complete lookups, client by client, with a cache beside each client."""
    most = int(order.covered["queries"].max(initial=0))
    kept = np.zeros(max(16, slot_count(most)), _KEPT)
    cache = _Cache(part.lookups, part.transactions, part.rows, WASTED, kept, SEED)
    replay_cached(cache, order, column, sums)
