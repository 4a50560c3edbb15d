"""Pair queries with responses: one row per query packet, with the response that it got.

A row here is one exchange: one query packet between one pair of endpoints with one ID. Which
exchanges are retries of one transaction is decided while reading (``analysis/lookups``), where the
walk of the search list is known. A response whose query was not captured is kept as a row without a
query, since it shows that a lookup began before the capture.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, OTHER_RCODE, REFUSED, SERVFAIL, UNANSWERED
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.schema import (
    AA,
    AA_HIDDEN,
    MARK_FLAGS_HIDDEN,
    MARK_MALFORMED,
    MARK_QUESTION_SHOWN,
    MARK_SHORTER_ALIAS,
    NO_TIME,
    QR,
    TC,
)

#: A response later than this belongs to no query: beyond every resolver's total timeout.
LONGEST_WAIT_NS = 60_000_000_000
#: A response after more queries than this belongs to none of them: it bounds the memory that
#: pairing needs. At 10,000 queries a second it is more than LONGEST_WAIT_NS's worth.
REMEMBERED = 1 << 20
_CHAIN = 32


@inline_kernel
def _outcome(row: Any) -> Any:
    rcode = row["rcode"]
    if rcode == 0:
        return ANSWER if row["typed_answers"] > 0 else NODATA
    if rcode == 3:
        return NXDOMAIN
    if rcode == 2:
        return SERVFAIL
    if rcode == 5:
        return REFUSED
    return OTHER_RCODE


@inline_kernel
def _slot(row: Any, slots: Any) -> Any:
    key = (np.uint64(row["client"]) << np.uint64(32)) ^ (
        (np.uint64(row["client_port"]) << np.uint64(16)) | np.uint64(row["message_id"])
    )
    key *= np.uint64(0x9E3779B97F4A7C15)
    return np.int64((key ^ (key >> np.uint64(32))) & np.uint64(slots.shape[0] - 1))


@inline_kernel
def _find_query(row: Any, folded: Any, at: Any, exchanges: Any, previous: Any, oldest: Any) -> Any:
    """Return the exchange that a response belongs to, -1, or -2 where it is one answer too many.

    The newest unanswered query of the same client, port, transport, ID and, where both are shown,
    question. The server may differ: address translation rewrites it on one side of the capture
    point; the same server is preferred, since musl asks several at once with one ID. Exchanges
    before number ``oldest`` are not looked at.
    """
    other_server = -1
    answered = False
    mask = np.int64(exchanges.shape[0] - 1)
    for _ in range(_CHAIN):
        if at < oldest:
            break
        query = exchanges[at & mask]
        waited = row["time"] - query["query_time"]
        if waited > LONGEST_WAIT_NS:
            break
        if (
            waited >= -LONGEST_WAIT_NS  # or the clock was set meanwhile, and nothing is known
            and query["client"] == row["client"]
            and query["client_port"] == row["client_port"]
            and query["message_id"] == row["message_id"]
            and query["transport"] == row["transport"]
        ):
            shown = row["marks"] & MARK_QUESTION_SHOWN
            if (
                not shown
                or query["qtype"] == 0  # its question was cut
                or (query["folded"] == folded and query["qtype"] == row["qtype"])
            ):
                if query["response_packet"] >= 0:
                    answered = True
                elif query["server"] == row["server"]:
                    return at
                elif other_server < 0:
                    other_server = at
        at = np.int64(previous[at & mask])
    if other_server < 0 and answered:
        return -2
    return other_server


@inline_kernel
def _answer(row: Any, exchange: Any) -> None:
    exchange["response_time"] = row["time"]
    exchange["response_packet"] = row["packet_no"]
    exchange["min_ttl"] = row["min_ttl"]
    exchange["response_bytes"] = min(max(row["message_bytes"], 0), 0xFFFF)
    exchange["rcode"] = row["rcode"]
    exchange["answers"] = row["answers"]
    exchange["outcome"] = _outcome(row)
    exchange["aa"] = AA_HIDDEN if row["marks"] & MARK_FLAGS_HIDDEN else (row["flags"] & AA) // AA
    exchange["tc"] = 1 if row["flags"] & TC else 0
    exchange["alias"] = 1 if row["marks"] & MARK_SHORTER_ALIAS else 0


@inline_kernel
def _note_link(link: Any, client: Any, links: Any) -> Any:
    """Add a pair to the set ``links``; False where there is no room for it."""
    mask = np.uint64(links.shape[0] - 1)
    slot = ((link ^ np.uint64(client)) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    for probe in range(64):
        at = np.int64((slot + np.uint64(probe)) & mask)
        if links[at, 1] == 0:
            links[at, 0] = link
            links[at, 1] = np.uint64(client + 1)
            return True
        if links[at, 0] == link and links[at, 1] == np.uint64(client + 1):
            return True
    return False


@kernel
def pair_window(
    rows: Any,
    original: Any,
    folded_of: Any,
    capture: Any,
    slots: Any,
    exchanges: Any,
    previous: Any,
    count: Any,
    remembered: Any,
    links: Any,
    state: Any,
) -> Any:
    """Add a window's messages to ``exchanges`` (room for one a row); return how many there are.

    Exchanges are numbered from 0 over the whole analysis, ``count`` of them until now.
    ``exchanges`` is a ring, a power of two long, in which number ``n`` stands at ``n`` modulo its
    length; the last ``remembered`` ones must be in it: a response is looked for there.

    Duplicates, messages that are no standard query (opcode 0), and queries that have no question
    are left out; one whose question does not decode shows no name. ``slots`` is the pairing table,
    carried from window to window: the newest exchange by hash, chained by ``previous``, a ring as
    ``exchanges`` is. ``links`` is a set of [link addresses, client + 1] rows of queries, a power of
    two many; a client of 0 is free. ``state`` is [are all pairs in ``links``, the earliest time of
    an exchange, the latest of a message], and is kept up.
    """
    mask = np.int64(exchanges.shape[0] - 1)
    latest = state[2]
    for i in range(rows.shape[0]):
        row = rows[i]
        latest = max(latest, np.int64(row["time"]))
        if original[i] or row["flags"] & 0x7800:
            continue
        folded = np.int64(-1) if row["qname"] < 0 else np.int64(folded_of[row["qname"]])
        slot = _slot(row, slots)
        is_response = row["flags"] & QR != 0
        if is_response:
            known = _find_query(
                row,
                folded,
                np.int64(slots[slot]),
                exchanges,
                previous,
                max(np.int64(0), count - remembered),
            )
            if known >= 0:
                _answer(row, exchanges[known & mask])
            if known != -1:
                continue
        elif folded < 0 and row["marks"] & MARK_MALFORMED == 0:
            continue
        new = exchanges[count & mask]
        new["query_time"] = row["time"]
        new["query_packet"] = -1 if is_response else row["packet_no"]
        new["response_time"] = NO_TIME
        new["response_packet"] = -1
        new["client"] = row["client"]
        new["server"] = row["server"]
        new["qname"] = row["qname"]
        new["folded"] = folded
        new["min_ttl"] = -1
        new["edns_bytes"] = row["edns_bytes"]
        new["edns_options"] = row["edns_options"]
        new["response_bytes"] = 0
        new["capture"] = capture
        new["client_port"] = row["client_port"]
        new["message_id"] = row["message_id"]
        new["qtype"] = row["qtype"]
        new["rcode"] = 0
        new["answers"] = 0
        new["transport"] = row["transport"]
        new["outcome"] = UNANSWERED
        new["aa"] = 0
        new["tc"] = 0
        new["alias"] = 0
        if is_response:
            _answer(row, new)
        elif state[0] and row["link"] != 0:
            state[0] = _note_link(row["link"], np.int64(row["client"]), links)
        state[1] = min(state[1], np.int64(row["time"]))
        previous[count & mask] = slots[slot]
        slots[slot] = count
        count += 1
    state[2] = latest
    return count
