"""What each nameserver was asked and how it responded (compiled)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.traffic.name_flags import IN_ZONE
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, UNANSWERED
from pcapkit.kernels.hashing import hash_ids
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.schema import TCP

#: A response this late is slow for a server inside the cluster.
SLOW_NS = 100_000_000
_SECOND_NS = 1_000_000_000
SERVER = np.dtype(
    [
        ("address", np.int64),
        ("asked", np.int64),  # query packets
        ("answered", np.int64),  # of those, with a response
        ("slow", np.int64),  # of those, later than SLOW_NS
        ("waited_ns", np.int64),  # all response times together
        ("zone_asked", np.int64),  # query packets for names inside the cluster domain
        ("zone_answered", np.int64),
        ("zone_known", np.int64),  # of those, with data or with AA: this server holds the zone
    ],
    align=True,
)
#: The busiest second of one client at one server; a slot whose peak is 0 is free.
RATE = np.dtype(
    [
        ("second", np.int64),  # running now
        ("count", np.int64),
        ("peak", np.int64),
        ("peak_row", np.int64),  # exchange that reached the peak
        ("client", np.int32),
        ("server", np.int32),
    ],
    align=True,
)
_PROBES = 32
#: What one client asked one server: transactions, of which ``cluster`` answers are for names inside
#: the cluster domain.
ASKED = np.dtype(
    [
        ("client", np.int32),  # index of the client
        ("server", np.int32),
        *((key, np.int64) for key in ("queries", "tcp", "answered", "cluster")),
    ],
    align=True,
)
#: Room for pairs of client and nameserver whose rates are watched, a power of two.
_PAIRS = 1 << 14


class Servers(NamedTuple):
    """What is counted of a part by nameserver; slots hold a row plus 1, 0 is free."""

    mine: npt.NDArray[np.uint8]  # is this address a client of the part?
    servers: npt.NDArray[Any]  # SERVER
    server_slots: npt.NDArray[np.int32]
    rates: npt.NDArray[Any]  # RATE: a hash table, a power of two long; empty without a clock
    watched: npt.NDArray[np.int64]  # its slots that are taken
    asked: npt.NDArray[Any]  # ASKED
    asked_slots: npt.NDArray[np.int32]
    used: npt.NDArray[np.int64]  # [rows of ``servers``, ``watched``, rows of ``asked``]
    last: npt.NDArray[np.int64]  # [row of the server asked last, its second, where that ends]


def servers_for(
    clients: npt.NDArray[np.int64], exchanges: int, transactions: int, *, has_clock: bool
) -> Servers:
    """Return room for what these addresses asked."""
    mine = np.zeros(int(clients.max(initial=-1)) + 1, np.uint8)
    mine[clients] = 1
    pairs = min(_PAIRS, 1 << (2 * exchanges).bit_length()) if has_clock else 0
    return Servers(
        mine,
        np.empty(exchanges, SERVER),
        np.zeros(_slots(exchanges), np.int32),
        np.zeros(pairs, RATE),
        np.empty(pairs, np.int64),
        np.empty(transactions, ASKED),
        np.zeros(_slots(transactions), np.int32),
        np.zeros(3, np.int64),
        np.zeros(3, np.int64),
    )


def _slots(size: int) -> int:
    return 1 << (2 * size).bit_length()


@helper_kernel
def _server_row(server: Any, s: Any, seed: Any) -> Any:
    """Return the row of a server, a new one where there is none."""
    mask = np.uint64(s.server_slots.shape[0] - 1)
    slot = np.int64(hash_ids(server, np.int64(0), seed) & mask)
    while s.server_slots[slot] > 0 and s.servers[s.server_slots[slot] - 1]["address"] != server:
        slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
    if s.server_slots[slot] == 0:
        new = s.servers[s.used[0]]
        new["address"] = server
        new["asked"] = 0
        new["answered"] = 0
        new["slow"] = 0
        new["waited_ns"] = 0
        new["zone_asked"] = 0
        new["zone_answered"] = 0
        new["zone_known"] = 0
        s.used[0] += 1
        s.server_slots[slot] = s.used[0]
    return np.int64(s.server_slots[slot]) - 1


@helper_kernel
def _count_server(e: Any, in_zone: bool, s: Any) -> None:
    s["asked"] += 1
    s["zone_asked"] += in_zone
    if e["response_packet"] < 0:
        return
    s["answered"] += 1
    took = max(np.int64(0), e["response_time"] - e["query_time"])
    s["waited_ns"] += took
    s["slow"] += took > SLOW_NS
    s["zone_answered"] += in_zone
    held = e["outcome"] == ANSWER or e["outcome"] == NODATA
    s["zone_known"] += in_zone and (held or (e["aa"] and e["outcome"] == NXDOMAIN))


@helper_kernel
def _rate_of(e: Any, s: Any) -> Any:
    """Return the slot of an exchange's client and server, or -1 where there are too many."""
    key = (np.uint64(e["client"]) << np.uint64(32)) | np.uint64(e["server"])
    key *= np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64(key >> np.uint64(40))
    for _ in range(_PROBES):
        slot &= s.rates.shape[0] - 1
        rate = s.rates[slot]
        if rate["peak"] == 0:
            rate["client"] = e["client"]
            rate["server"] = e["server"]
            s.watched[s.used[1]] = slot
            s.used[1] += 1
            return slot
        if rate["client"] == e["client"] and rate["server"] == e["server"]:
            return slot
        slot += 1
    return np.int64(-1)


@inline_kernel
def count_exchange(rows: Any, number: Any, flags: Any, s: Any, seed: Any) -> None:
    """Count the query packet of an exchange by its server, and within its second.

    Seconds are those of the clock; rows come in the order of their first packets, as captures are
    read.
    """
    e = rows[number]
    if e["query_packet"] < 0 or e["server"] < 0:
        return
    if e["client"] >= s.mine.shape[0] or not s.mine[e["client"]]:
        return
    last = s.last[0]
    if s.used[0] == 0 or s.servers[last]["address"] != e["server"]:
        last = _server_row(np.int64(e["server"]), s, seed)
        s.last[0] = last
    _count_server(e, flags[e["folded"]] & IN_ZONE != 0, s.servers[last])
    if s.rates.shape[0] == 0:
        return
    slot = _rate_of(e, s)
    if slot < 0:
        return
    rate = s.rates[slot]
    if not s.last[2] - _SECOND_NS <= e["query_time"] < s.last[2]:
        s.last[1] = e["query_time"] // _SECOND_NS
        s.last[2] = (s.last[1] + 1) * _SECOND_NS
    if rate["second"] != s.last[1]:
        rate["second"] = s.last[1]
        rate["count"] = 0
    rate["count"] += 1
    if rate["count"] > rate["peak"]:
        rate["peak"] = rate["count"]
        rate["peak_row"] = number


@inline_kernel
def count_asked(rows: Any, t: Any, client: Any, flag: Any, s: Any, last: Any, seed: Any) -> Any:
    """Count a transaction by client and server, the one that responded; return its row.

    ``last`` is the row of the transaction before: mostly the same.
    """
    e = rows[t["response"]] if t["response"] >= 0 else rows[t["first"]]
    server = np.int64(e["server"])
    if server < 0:
        return last
    a = s.asked[last]
    if s.used[2] == 0 or a["client"] != client or a["server"] != server:
        mask = np.uint64(s.asked_slots.shape[0] - 1)
        slot = np.int64(hash_ids(client, server, seed) & mask)
        while s.asked_slots[slot] > 0:
            a = s.asked[s.asked_slots[slot] - 1]
            if a["client"] == client and a["server"] == server:
                break
            slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
        if s.asked_slots[slot] == 0:
            s.used[2] += 1
            s.asked_slots[slot] = s.used[2]
            a = s.asked[s.used[2] - 1]
            a["client"] = client
            a["server"] = server
            a["queries"] = 0
            a["tcp"] = 0
            a["answered"] = 0
            a["cluster"] = 0
        last = np.int64(s.asked_slots[slot] - 1)
        a = s.asked[last]
    a["queries"] += 1
    a["tcp"] += e["transport"] == TCP
    a["answered"] += t["outcome"] != UNANSWERED
    a["cluster"] += t["outcome"] == ANSWER and flag & IN_ZONE != 0
    return last
