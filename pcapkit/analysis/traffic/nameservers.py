"""What each nameserver was asked and how it responded (compiled)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.analysis.traffic.name_flags import IN_ZONE
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, UNANSWERED
from pcapkit.kernels.hashing import find_slot, hash_ids, slot_count
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.names.labels import name_start
from pcapkit.schema import ABSENT, NO_SOA, OTHER_SOA, TCP, Bytes, Ids, Int, Integers, Row, Rows

#: A response this late is slow for a server inside the cluster.
SLOW_NS = 100_000_000
_SECOND_NS = 1_000_000_000
#: Bytes of a message with one question beside its name (RFC 1035 section 4.1), of the root zone's
#: SOA record (a.root-servers.net, nstld.verisign-grs.com; no name in it can be compressed), of OPT.
_QUESTION_BYTES, _ROOT_SOA_BYTES, _OPT_BYTES = 16, 75, 11
SERVER = np.dtype(
    [
        ("address", np.int64),
        ("asked", np.int64),  # query packets
        ("answered", np.int64),  # of those, with a response
        ("slow", np.int64),  # of those, later than SLOW_NS
        ("waited_ns", np.int64),  # all response times together
        ("zone_asked", np.int64),  # query packets for names inside the cluster domain
        ("zone_answered", np.int64),
        ("zone_known", np.int64),  # of those, with data or AA, or the zone's SOA: it holds the zone
        ("zone_foreign", np.int64),  # of those, with the SOA of a zone above: another's
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
#: What one client asked one server: transactions, of which ``cluster`` answers are for names inside
#: the cluster domain.
QUERY_COUNTS = np.dtype(
    [
        ("client", np.int32),  # index of the client
        ("server", np.int32),
        *((key, np.int64) for key in ("queries", "tcp", "answered", "cluster")),
    ],
    align=True,
)
#: The exchange that was counted last: mostly the next one is of the same server and second.
_LAST_EXCHANGE = np.dtype(
    [
        ("server", np.int64),  # row of its server
        ("second", np.int64),
        ("second_ends", np.int64),  # ns
    ]
)
#: So many pairs of client and nameserver are watched for their rates.
_MOST_PAIRS = 1 << 14
_NOT_WATCHED = -1
#: Indexes of ``Servers.used``.
SERVER_ROWS, RATE_SLOTS, COUNT_ROWS = range(3)


class NameFacts(NamedTuple):
    """What is known of every name."""

    flags: Bytes  # its bits: see ``name_flags.py``
    ends: Integers  # where its wire form ends among those of all
    zone_labels: int  # of the cluster domain; the fewest where there are several


class Servers(NamedTuple):
    """What is counted of a part by nameserver; slots hold a row plus 1, 0 is free."""

    is_client: Bytes  # by address: is it a client of the part?
    servers: Rows  # SERVER
    server_slots: Ids
    rates: Rows  # RATE: a hash table; empty without a clock
    rate_slots: Integers  # those of its slots that are taken, in the order of their first use
    counts: Rows  # QUERY_COUNTS
    count_slots: Ids
    used: Integers  # (3): rows of ``servers``, ``rate_slots``, rows of ``counts``
    last: Rows  # _LAST_EXCHANGE (1)


def servers_for(
    clients: Integers, exchanges: int, transactions: int, *, has_clock: bool
) -> Servers:
    """Return counts, all 0, of what these addresses ask in so many exchanges."""
    is_client = np.zeros(int(clients.max(initial=-1)) + 1, np.uint8)
    is_client[clients] = 1
    pairs = slot_count(min(_MOST_PAIRS, exchanges)) if has_clock else 0
    return Servers(
        is_client,
        np.empty(exchanges, SERVER),
        np.zeros(slot_count(exchanges), np.int32),
        np.zeros(pairs, RATE),
        np.empty(pairs, np.int64),
        np.empty(transactions, QUERY_COUNTS),
        np.zeros(slot_count(transactions), np.int32),
        np.zeros(3, np.int64),
        np.zeros(1, _LAST_EXCHANGE),
    )


@inline_kernel
def _server_ends_search(entry: Int, key: tuple[Rows, Int]) -> bool:
    """Is ``entry`` free, or the row of the address of ``key`` (rows, address)?"""
    servers, address = key
    return bool(entry == 0 or servers[entry - 1]["address"] == address)


@inline_kernel
def _rate_ends_search(rate: Row, key: tuple[Int, Int]) -> bool:
    """Is ``rate`` (RATE) free, or that of ``key`` (client, server)?"""
    client, server = key
    return bool(rate["peak"] == 0 or (rate["client"] == client and rate["server"] == server))


@inline_kernel
def _count_ends_search(entry: Int, key: tuple[Rows, Int, Int]) -> bool:
    """Is ``entry`` free, or the row of ``key`` (rows, client, server)?"""
    counts, client, server = key
    if entry == 0:
        return True
    row = counts[entry - 1]
    return bool(row["client"] == client and row["server"] == server)


@helper_kernel
def _server_row(address: Int, counted: Servers, seed: np.uint64) -> Int:
    """Return the row of a server, by its ``address``, in ``counted``; a new one where it has none.

    ``seed`` is that of the hash tables.
    """
    slots, servers = counted.server_slots, counted.servers
    slot = find_slot(slots, hash_ids(address, 0, seed), _server_ends_search, (servers, address))
    if slots[slot] == 0:
        new = servers[counted.used[SERVER_ROWS]]
        new["address"] = address
        new["asked"] = 0
        new["answered"] = 0
        new["slow"] = 0
        new["waited_ns"] = 0
        new["zone_asked"] = 0
        new["zone_answered"] = 0
        new["zone_known"] = 0
        new["zone_foreign"] = 0
        counted.used[SERVER_ROWS] += 1
        slots[slot] = counted.used[SERVER_ROWS]
    return np.int64(slots[slot]) - 1


@helper_kernel
def labels_of_soa(exchange: Row, name_bytes: Int) -> Int:
    """Return how many labels the zone has whose SOA the response of ``exchange`` shows, or ABSENT.

    ``exchange`` is EXCHANGE, its name has ``name_bytes`` on the wire. Where the source shows no
    records, the root's SOA shows by its size.
    """
    if exchange["soa"] == OTHER_SOA:
        return np.int64(0)
    if exchange["soa"] != NO_SOA:
        return np.int64(exchange["soa"]) - 1
    outcome = exchange["outcome"]
    if exchange["answers"] != 0 or not (outcome == NXDOMAIN or outcome == NODATA):
        return np.int64(ABSENT)
    more = np.int64(exchange["response_bytes"]) - _QUESTION_BYTES - name_bytes
    edns = exchange["edns_bytes"]
    if (more == _ROOT_SOA_BYTES and edns < 0) or (
        more == _ROOT_SOA_BYTES + _OPT_BYTES and edns != ABSENT
    ):
        return np.int64(0)
    return np.int64(ABSENT)


@helper_kernel
def _count_server(
    exchange: Row, in_zone: bool, server: Row, name_bytes: Int, zone_labels: Int
) -> None:
    """Count the query of ``exchange`` (EXCHANGE) at its ``server`` (SERVER).

    ``in_zone``: is its name, of ``name_bytes`` on the wire, inside the cluster domain, which has
    ``zone_labels``?
    """
    server["asked"] += 1
    if in_zone:
        server["zone_asked"] += 1
    if exchange["response_packet"] < 0:
        return
    server["answered"] += 1
    took = max(np.int64(0), exchange["response_time"] - exchange["query_time"])
    server["waited_ns"] += took
    if took > SLOW_NS:
        server["slow"] += 1
    if in_zone:
        server["zone_answered"] += 1
        outcome = exchange["outcome"]
        labels = labels_of_soa(exchange, name_bytes)
        if 0 <= labels < zone_labels:
            server["zone_foreign"] += 1
        elif labels >= 0 or outcome == ANSWER or outcome == NODATA:
            server["zone_known"] += 1
        elif exchange["aa"] == 1 and outcome == NXDOMAIN:
            server["zone_known"] += 1


@helper_kernel
def _rate_slot(exchange: Row, counted: Servers, seed: np.uint64) -> Int:
    """Return the slot among the rates of ``counted`` of the ends of ``exchange`` (EXCHANGE).

    It is _NOT_WATCHED where there are too many pairs of client and server. ``seed`` is that of the
    hash table.
    """
    key = (exchange["client"], exchange["server"])
    slot = find_slot(counted.rates, hash_ids(key[0], key[1], seed), _rate_ends_search, key)
    rate = counted.rates[slot]
    if rate["peak"] == 0:
        if counted.used[RATE_SLOTS] >= _MOST_PAIRS:
            return np.int64(_NOT_WATCHED)
        rate["client"] = exchange["client"]
        rate["server"] = exchange["server"]
        counted.rate_slots[counted.used[RATE_SLOTS]] = slot
        counted.used[RATE_SLOTS] += 1
    return slot


@inline_kernel
def count_exchange(
    exchanges: Rows, number: Int, names: NameFacts, counted: Servers, seed: np.uint64
) -> None:
    """Count the query packet of exchange ``number`` by its server, and within its second.

    Seconds are those of the clock; ``exchanges`` (EXCHANGE) come in the order of their first
    packets, as captures are read. ``names`` is what is known of each name, ``counted`` is what is
    counted, and ``seed`` that of its hash tables.
    """
    exchange = exchanges[number]
    if exchange["query_packet"] < 0 or exchange["server"] < 0:
        return
    if exchange["client"] >= counted.is_client.shape[0]:
        return
    if not counted.is_client[exchange["client"]]:
        return
    last = counted.last[0]
    if (
        counted.used[SERVER_ROWS] == 0
        or counted.servers[last["server"]]["address"] != exchange["server"]
    ):
        last["server"] = _server_row(np.int64(exchange["server"]), counted, seed)
    folded = np.int64(exchange["folded"])
    in_zone = bool(folded >= 0 and names.flags[folded] & IN_ZONE != 0)
    size = names.ends[folded] - name_start(names.ends, folded) if in_zone else np.int64(0)
    _count_server(exchange, in_zone, counted.servers[last["server"]], size, names.zone_labels)
    if counted.rates.shape[0] == 0:
        return
    slot = _rate_slot(exchange, counted, seed)
    if slot == _NOT_WATCHED:
        return
    rate = counted.rates[slot]
    if not last["second_ends"] - _SECOND_NS <= exchange["query_time"] < last["second_ends"]:
        last["second"] = exchange["query_time"] // _SECOND_NS
        last["second_ends"] = (last["second"] + 1) * _SECOND_NS
    if rate["second"] != last["second"]:
        rate["second"] = last["second"]
        rate["count"] = 0
    rate["count"] += 1
    if rate["count"] > rate["peak"]:
        rate["peak"] = rate["count"]
        rate["peak_row"] = number


@helper_kernel
def _count_row(client: Int, server: Int, counted: Servers, seed: np.uint64) -> Int:
    """Return the row of ``client`` and ``server`` among the counts of ``counted``.

    It is a new one where there was none. ``seed`` is that of the hash tables.
    """
    slots, counts = counted.count_slots, counted.counts
    key = (counts, client, server)
    slot = find_slot(slots, hash_ids(client, server, seed), _count_ends_search, key)
    if slots[slot] == 0:
        row = counts[counted.used[COUNT_ROWS]]
        row["client"] = client
        row["server"] = server
        row["queries"] = 0
        row["tcp"] = 0
        row["answered"] = 0
        row["cluster"] = 0
        counted.used[COUNT_ROWS] += 1
        slots[slot] = counted.used[COUNT_ROWS]
    return np.int64(slots[slot]) - 1


@inline_kernel
def count_transaction(
    exchanges: Rows,
    t: Row,
    client: Int,
    name_flag: Int,
    counted: Servers,
    last: Int,
    seed: np.uint64,
) -> Int:
    """Count ``t`` (TRANSACTION) by client and server, the one that responded; return its row.

    ``exchanges`` are EXCHANGE rows, ``client`` is the index of its client, ``name_flag`` holds the
    bits of its name. ``counted`` is what is counted, ``seed`` that of its hash tables, and ``last``
    the row of the transaction before: mostly the same.
    """
    exchange = exchanges[t["response"]] if t["response"] >= 0 else exchanges[t["first"]]
    server = np.int64(exchange["server"])
    if server < 0:
        return last
    row = counted.counts[last]
    if counted.used[COUNT_ROWS] == 0 or row["client"] != client or row["server"] != server:
        last = _count_row(client, server, counted, seed)
        row = counted.counts[last]
    row["queries"] += 1
    if exchange["transport"] == TCP:
        row["tcp"] += 1
    if t["outcome"] != UNANSWERED:
        row["answered"] += 1
    if t["outcome"] == ANSWER and name_flag & IN_ZONE:
        row["cluster"] += 1
    return last
