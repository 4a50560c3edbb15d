"""Pair queries with responses: one row per query packet, with the response that it got.

A row here is one exchange: one query packet between one pair of endpoints with one ID. Which
exchanges are retries of one transaction is decided while reading (``analysis/lookups``), where the
walk of the search list is known. A response whose query was not captured is kept as a row without a
query, since it shows that a lookup began before the capture.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.analysis.timing import LONGEST_WAIT_NS
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, OTHER_RCODE, REFUSED, SERVFAIL, UNANSWERED
from pcapkit.kernels.hashing import GOLDEN_RATIO, home_slot, next_slot
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import prefetch
from pcapkit.schema import (
    AA,
    AA_HIDDEN,
    ABSENT,
    EXCHANGE_ALIAS,
    EXCHANGE_ITERATIVE,
    MARK_FLAGS_HIDDEN,
    MARK_MALFORMED,
    MARK_OWNER_SURE,
    MARK_QUESTION_SHOWN,
    MARK_SHORTER_ALIAS,
    NO_SOA,
    NO_TIME,
    QR,
    RD,
    TC,
    Exchanges,
    Hashes,
    Ids,
    Int,
    Integers,
    Messages,
    Row,
)

#: How many messages ahead memory is fetched: what they need lies beyond the near caches.
_AHEAD = 12
#: A response after more queries than this belongs to none of them: it bounds the memory that
#: pairing needs. At 10,000 queries a second it is more than LONGEST_WAIT_NS's worth.
REMEMBERED = 1 << 20
#: Exchanges of one slot that are compared with a response, the newest first.
_CHAIN = 32
#: Slots in which a pair of ``links`` may stand.
_LINK_SLOTS = 64
#: A response belongs to no exchange; or to one that has its response: it is one answer too many.
_NO_QUERY, _ALREADY_ANSWERED = -1, -2
_OPCODE = 0x7800  # its bits in the header's flags; a standard query is 0 (RFC 1035 section 4.1.1)
_RCODE_SERVFAIL, _RCODE_NXDOMAIN, _RCODE_REFUSED = 2, 3, 5
#: Entries of ``Pairing.state``.
LINKS_WHOLE, EARLIEST, LATEST, WITH_OWNERS = range(4)


class Pairing(NamedTuple):
    """What pairing carries from window to window."""

    exchanges: Exchanges
    """EXCHANGE, a ring, a power of two long: exchange ``n`` stands at ``n`` modulo its length"""
    previous: Ids  # a ring alike: the exchange before each in its slot
    slots: Ids  # a power of two many: the newest exchange by hash, ABSENT where there is none
    owners: Ids
    """A ring alike, once one is known: the container of each exchange, its lowest bit whether that
    is sure; ABSENT where there is none"""
    links: Hashes
    """A set of [link addresses, client + 1] of queries, (a power of two, 2); 0, 0 is free"""
    state: Integers
    """[are all pairs in ``links``, the earliest time of an exchange, the latest of a message,
    has any exchange a container]"""


@inline_kernel
def _outcome(row: Row) -> Int:
    rcode = row["rcode"]
    if rcode == 0:
        return ANSWER if row["typed_answers"] > 0 else NODATA
    if rcode == _RCODE_NXDOMAIN:
        return NXDOMAIN
    if rcode == _RCODE_SERVFAIL:
        return SERVFAIL
    if rcode == _RCODE_REFUSED:
        return REFUSED
    return OTHER_RCODE


@inline_kernel
def _slot(row: Row, slots: Ids) -> Int:
    """Return the slot of a message's client, port and ID.

    Without a seed: which exchanges share a slot can show, as no more than _CHAIN of them are
    compared, and so it must be the same in every run.
    """
    key = (np.uint64(row["client"]) << np.uint64(32)) ^ (
        (np.uint64(row["client_port"]) << np.uint64(16)) | np.uint64(row["message_id"])
    )
    key *= GOLDEN_RATIO
    return home_slot(slots, key ^ (key >> np.uint64(32)))


@inline_kernel
def _prefetch_slot(rows: Messages, index: Int, folded_of: Ids, slots: Ids) -> None:
    """Begin to fetch what ``rows[index]`` needs of two tables, if there is such a row."""
    if index < rows.shape[0]:
        row = rows[index]
        prefetch(slots, _slot(row, slots))
        if row["qname"] >= 0:
            prefetch(folded_of, np.int64(row["qname"]))


@inline_kernel
def _find_query(row: Row, folded: Int, newest: Int, pairing: Pairing, oldest: Int) -> Int:
    """Return the exchange that a response belongs to, _NO_QUERY, or _ALREADY_ANSWERED.

    The newest unanswered query of the same client, port, transport, ID and, where both are shown,
    question. The server may differ: address translation rewrites it on one side of the capture
    point; the same server is preferred, since musl asks several at once with one ID.

    ``row`` is the response (MESSAGE), ``folded`` its name in lower case, ``newest`` the newest
    exchange in its slot of ``pairing``; those before number ``oldest`` are not compared.
    """
    exchanges = pairing.exchanges
    other_server: Int = _NO_QUERY
    answered = False
    mask = np.int64(exchanges.shape[0] - 1)
    at = newest
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
        at = np.int64(pairing.previous[at & mask])
    if other_server < 0 and answered:
        return _ALREADY_ANSWERED
    return other_server


@inline_kernel
def _add_response(row: Row, exchange: Row) -> None:
    exchange["response_time"] = row["time"]
    exchange["response_packet"] = row["packet_no"]
    exchange["min_ttl"] = row["min_ttl"]
    exchange["response_bytes"] = min(max(row["message_bytes"], 0), 0xFFFF)
    exchange["rcode"] = row["rcode"]
    exchange["answers"] = row["answers"]
    exchange["outcome"] = _outcome(row)
    exchange["aa"] = AA_HIDDEN if row["marks"] & MARK_FLAGS_HIDDEN else (row["flags"] & AA) // AA
    exchange["tc"] = 1 if row["flags"] & TC else 0
    if row["marks"] & MARK_SHORTER_ALIAS:
        exchange["marks"] |= EXCHANGE_ALIAS
    exchange["soa"] = row["soa"]


@inline_kernel
def _add_owner(row: Row, number: Int, pairing: Pairing) -> None:
    """Note the container that ``row`` (MESSAGE), of exchange ``number`` of ``pairing``, names.

    What was said first holds, but what is said on the client's side beats the server's.
    """
    owners, state = pairing.owners, pairing.state
    if not state[WITH_OWNERS]:
        owners[:] = ABSENT
        state[WITH_OWNERS] = 1
    at = number & np.int64(owners.shape[0] - 1)
    is_sure = row["marks"] & MARK_OWNER_SURE != 0
    if owners[at] == ABSENT or (is_sure and not owners[at] & 1):
        owners[at] = row["owner"] << 1 | is_sure


@helper_kernel
def _add_owner_of_copy(
    row: Row, original: Int, capture: Int, pairing: Pairing, count: Int, remembered: Int
) -> None:
    """Give the exchange of a packet seen before to the container that its copy names.

    ``row`` (MESSAGE) is the copy of a message in the packet ``original`` of ``capture``. There are
    ``count`` exchanges, of which the last ``remembered`` are looked at in the rings of ``pairing``.
    """
    mask = np.int64(pairing.exchanges.shape[0] - 1)
    at = np.int64(pairing.slots[_slot(row, pairing.slots)])
    for _ in range(_CHAIN):
        if at < max(np.int64(0), count - remembered):
            return
        exchange = pairing.exchanges[at & mask]
        packet = exchange["query_packet"]
        if row["flags"] & QR:
            packet = exchange["response_packet"]
        if (
            packet == original
            and exchange["client"] == row["client"]
            and exchange["client_port"] == row["client_port"]
            and exchange["message_id"] == row["message_id"]
            and exchange["transport"] == row["transport"]
            and exchange["capture"] == capture
        ):
            _add_owner(row, at, pairing)
            return
        at = np.int64(pairing.previous[at & mask])


@inline_kernel
def _begin_exchange(row: Row, folded: Int, capture: Int, exchange: Row) -> None:
    """Fill ``exchange`` (EXCHANGE) from the message that begins it, ``row`` (MESSAGE).

    ``folded`` is the id of its name in lower case, ``capture`` the index of its capture.
    """
    is_response = row["flags"] & QR != 0
    exchange["query_time"] = row["time"]
    exchange["query_packet"] = ABSENT if is_response else row["packet_no"]
    exchange["response_time"] = NO_TIME
    exchange["response_packet"] = ABSENT
    exchange["client"] = row["client"]
    exchange["server"] = row["server"]
    exchange["qname"] = row["qname"]
    exchange["folded"] = folded
    exchange["min_ttl"] = ABSENT
    exchange["edns_bytes"] = row["edns_bytes"]
    exchange["edns_options"] = row["edns_options"]
    exchange["response_bytes"] = 0
    exchange["capture"] = capture
    exchange["client_port"] = row["client_port"]
    exchange["message_id"] = row["message_id"]
    exchange["qtype"] = row["qtype"]
    exchange["rcode"] = 0
    exchange["answers"] = 0
    exchange["transport"] = row["transport"]
    exchange["outcome"] = UNANSWERED
    exchange["aa"] = 0
    exchange["tc"] = 0
    exchange["marks"] = 0
    exchange["soa"] = NO_SOA
    if is_response:
        _add_response(row, exchange)
    elif row["flags"] & RD == 0 and row["marks"] & (MARK_FLAGS_HIDDEN | MARK_MALFORMED) == 0:
        exchange["marks"] = EXCHANGE_ITERATIVE


@inline_kernel
def _note_link(link: Int, client: Int, links: Hashes) -> bool:
    """Add a pair to the set ``links``; False where there is no slot for it."""
    h = ((link ^ np.uint64(client)) * GOLDEN_RATIO) >> np.uint64(32)
    slot = home_slot(links, h)
    for _ in range(_LINK_SLOTS):
        if links[slot, 1] == 0:
            links[slot, 0] = link
            links[slot, 1] = np.uint64(client + 1)
            return True
        if links[slot, 0] == link and links[slot, 1] == np.uint64(client + 1):
            return True
        slot = next_slot(links, slot)
    return False


@kernel
def pair_window(
    rows: Messages,
    original: Integers,
    folded_of: Ids,
    capture: Int,
    pairing: Pairing,
    count: Int,
    remembered: Int,
) -> Int:
    """Add a window's messages to the exchanges; return how many there are.

    Exchanges are numbered from 0 over the whole analysis, ``count`` of them until now. The last
    ``remembered`` ones must be in the ring of ``pairing``: a response is looked for there. It has
    space for one more a message.

    Duplicates, messages that are no standard query, and queries that have no question are left out;
    one whose question does not decode shows no name.

    ``rows`` are the messages (MESSAGE); ``original`` (int64, as many) is not 0 where one is a
    duplicate. ``folded_of`` (int32) is the id in lower case of every name by its id; ``capture`` is
    the index of the capture. All of ``pairing`` is kept up.
    """
    exchanges, state = pairing.exchanges, pairing.state
    mask = np.int64(exchanges.shape[0] - 1)
    latest = state[LATEST]
    for i in range(rows.shape[0]):
        _prefetch_slot(rows, i + _AHEAD, folded_of, pairing.slots)
        row = rows[i]
        latest = max(latest, np.int64(row["time"]))
        if original[i] or row["flags"] & _OPCODE:
            if original[i] and row["owner"] >= 0:
                _add_owner_of_copy(row, np.int64(original[i]), capture, pairing, count, remembered)
            continue
        folded = np.int64(ABSENT) if row["qname"] < 0 else np.int64(folded_of[row["qname"]])
        slot = _slot(row, pairing.slots)
        newest = np.int64(pairing.slots[slot])
        is_response = row["flags"] & QR != 0
        if is_response:
            oldest = max(np.int64(0), count - remembered)
            known = _find_query(row, folded, newest, pairing, oldest)
            if known >= 0:
                _add_response(row, exchanges[known & mask])
                if row["owner"] >= 0:
                    _add_owner(row, known, pairing)
            if known != _NO_QUERY:
                continue
        elif folded < 0 and row["marks"] & MARK_MALFORMED == 0:
            continue
        _begin_exchange(row, folded, capture, exchanges[count & mask])
        if state[WITH_OWNERS]:
            pairing.owners[count & mask] = ABSENT
        if row["owner"] >= 0:
            _add_owner(row, count, pairing)
        if not is_response and state[LINKS_WHOLE] and row["link"] != 0:
            state[LINKS_WHOLE] = _note_link(row["link"], np.int64(row["client"]), pairing.links)
        state[EARLIEST] = min(state[EARLIEST], np.int64(row["time"]))
        pairing.previous[count & mask] = newest
        pairing.slots[slot] = count
        count += 1
    state[LATEST] = latest
    return count
