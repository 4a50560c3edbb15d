"""One window of packet records to message rows, and which of them are the same packet again.

:func:`decode_window` is the compiled walk over a block's records. Duplicates are packets captured
more than once (``-i any``, bridge and veth, before and after address translation): the same client
address and port and the same DNS bytes, told from a resend by the IPv4 identification or, where
that is 0 or absent, by what a second hop changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.ingest.dns import decode_message
from pcapkit.ingest.facts import (
    ADDRESS_BYTES,
    CAPTURED_END,
    CUT_SHORT,
    DESTINATION,
    DESTINATION_PORT,
    DNS_PORT,
    ENCRYPTED_DNS,
    FACTS,
    FOUND_TCP,
    FOUND_UDP,
    FRAGMENT,
    HOP_LIMIT,
    INTERFACE_INDEX,
    IP_ID,
    LINK,
    LLMNR,
    MALFORMED,
    MULTICAST_DNS,
    NOT_DNS,
    PAYLOAD,
    SKIP_REASONS,
    SOURCE,
    SOURCE_PORT,
    TUNNEL_PORT,
    WIRE_END,
)
from pcapkit.ingest.link import link_identity
from pcapkit.ingest.packet import peel
from pcapkit.ingest.segments import LONGEST_SEGMENT, close_pass, follow
from pcapkit.ingest.tunnels import PORTS
from pcapkit.interning import has_room, hash_bytes, intern
from pcapkit.kernels import helper_kernel, inline_kernel, kernel
from pcapkit.layout import MARK_CUT, QR, TC, TCP, UDP, Messages
from pcapkit.wire import prefetch, u16

#: How many packets or rows ahead memory is fetched: what they need lies beyond the near caches.
_AHEAD = 10

#: A copy of a packet follows within this time; a counter of 16 bits does not come round in it.
COPY_WINDOW_NS = 1_000_000_000

#: Places that a message seen may have in the table of them.
_WAYS = 8

#: Without an identification, copies must be this close.
CLOSE_COPY_NS = 5_000_000


def port_table(ports: frozenset[int]) -> npt.NDArray[np.uint8]:
    """Mark the ports of DNS and of tunnels in a table of all 65,536."""
    table = np.zeros(65536, np.uint8)
    table[list(PORTS)] = TUNNEL_PORT
    table[sorted(ports)] = DNS_PORT
    return table


@inline_kernel
def _set_ends(
    source: Any, destination: Any, facts: Any, ports: Any, row: Any
) -> None:
    """Fill in client and server: the client is the side whose port is not the DNS port."""
    from_server = ports[facts[SOURCE_PORT]] == DNS_PORT
    if from_server and ports[facts[DESTINATION_PORT]] == DNS_PORT:
        from_server = np.int64(row["flags"]) & QR != 0
    if from_server:
        row["client"] = destination
        row["server"] = source
        row["client_port"] = facts[DESTINATION_PORT]
        row["server_port"] = facts[SOURCE_PORT]
    else:
        row["client"] = source
        row["server"] = destination
        row["client_port"] = facts[SOURCE_PORT]
        row["server_port"] = facts[DESTINATION_PORT]
    row["ip_id"] = facts[IP_ID]
    row["hop_limit"] = facts[HOP_LIMIT]


@helper_kernel
def _why_skipped(found: Any, facts: Any, record: Any) -> Any:
    """Name the ledger's reason for a packet without a DNS port."""
    if found == CUT_SHORT and record["captured"] >= record["original"]:
        return np.int64(MALFORMED)
    if found != FOUND_UDP and found != FOUND_TCP:
        return np.int64(found)
    for port in (facts[SOURCE_PORT], facts[DESTINATION_PORT]):
        if port == 5353:
            return np.int64(MULTICAST_DNS)
        if port == 5355:
            return np.int64(LLMNR)
        if port == 853:
            return np.int64(ENCRYPTED_DNS)
    return np.int64(NOT_DNS)


@helper_kernel
def _set_aside(facts: Any, rare: Any, aside: Any, index: Any) -> Any:
    """Note one packet for reassembly; return how many there are."""
    rare[aside, 0] = index
    for k in range(FACTS):
        rare[aside, 1 + k] = facts[k]
    return aside + 1


@inline_kernel
def _has_room(names: Any, addresses: Any, messages: Any) -> Any:
    """Is there room for the names of so many messages, and the addresses of a packet?"""
    return has_room(names, messages, 255) and has_room(addresses, 2, 16)


@kernel
def decode_window(
    buffer: Any,
    records: Any,
    ports: Any,
    streams: Any,
    names: Any,
    addresses: Any,
    rows: Any,
    fates: Any,
    rare: Any,
    facts: Any,
    scratch: Any,
    joined: Any,
) -> Any:
    """Decode ``records`` into ``rows``; note in ``fates`` why a packet carries no message, or 0.

    A packet that needs more than itself (a fragment, a segment with a part of a message) goes into
    ``rare``, its index and its facts, for reassembly; its fate is what it is if nothing comes of
    it, 0 where the messages that it completes are in ``rows`` already. Without ``streams``, TCP
    segments are taken as whole messages, as reassembly makes them. ``facts`` (FACTS), ``scratch``
    (256 bytes) and ``joined`` (JOINED_BYTES) are room to work in.
    Returns (rows filled, records done, rare packets): fewer done than given where ``rows`` or
    an interner is full.
    """
    seed = names[5][0]
    count = 0
    aside = 0
    done = np.int64(records.shape[0])
    for i in range(records.shape[0]):
        if i + _AHEAD < records.shape[0]:
            following = records[i + _AHEAD]["offset"]
            prefetch(buffer, following)
            prefetch(buffer, following + 64)
        record = records[i]
        start = record["offset"]
        end = start + record["captured"]
        linktype = record["linktype"]
        if rows.shape[0] - count < 1 or not _has_room(names, addresses, 1):
            done = np.int64(i)
            break
        found = peel(buffer, start, end, linktype, ports, facts)
        marks = ports[facts[SOURCE_PORT]] | ports[facts[DESTINATION_PORT]]
        if found > FOUND_TCP or not marks & DNS_PORT:
            fates[i] = _why_skipped(found, facts, record)
            if found == FRAGMENT:
                facts[LINK] = np.int64(link_identity(buffer, start, end, linktype, seed))
                aside = _set_aside(facts, rare, aside, i)
            continue
        at = facts[PAYLOAD]
        stop = facts[CAPTURED_END]
        wire_end = facts[WIRE_END]
        framed = found == FOUND_TCP
        data = buffer
        fates[i] = CUT_SHORT if wire_end > stop else MALFORMED
        if framed:
            stop = min(stop, at + LONGEST_SEGMENT)
            facts[CAPTURED_END] = stop
            most = np.int64(stop - at) // 14 + 2  # one may have begun in an earlier segment
            if rows.shape[0] - count < most or not _has_room(names, addresses, most):
                done = np.int64(i)
                break
            if streams.shape[0]:
                fate, stop, inside, keep = follow(
                    buffer, facts, streams, record["time"], seed, rare, aside, joined
                )
                fates[i] = fate
                if keep:
                    facts[LINK] = np.int64(link_identity(buffer, start, end, linktype, seed))
                    aside = _set_aside(facts, rare, aside, i)
                if fate:
                    continue
                if inside:
                    data, at, stop = joined, np.int64(0), inside
        before = count
        while True:
            begin = at
            message_end = wire_end
            if framed:
                if stop - at < 2:
                    break
                begin = at + 2
                message_end = begin + u16(data, at)
            row = rows[count]
            if not decode_message(
                data, begin, min(message_end, stop), message_end, names, scratch, row
            ):
                break
            count += 1
            row["transport"] = TCP if framed else UDP
            row["message_no"] = count - before
            if not framed:
                break
            at = message_end
        if count == before:
            continue
        fates[i] = 0
        source = intern(addresses, buffer, facts[SOURCE], facts[ADDRESS_BYTES])
        destination = intern(addresses, buffer, facts[DESTINATION], facts[ADDRESS_BYTES])
        link = link_identity(buffer, start, end, linktype, seed)
        interface = facts[INTERFACE_INDEX]
        if interface < 0:
            interface = np.int64(record["interface"])
        for k in range(before, count):
            row = rows[k]
            row["time"] = record["time"]
            row["packet_no"] = record["number"]
            row["link"] = link
            row["interface"] = interface
            _set_ends(source, destination, facts, ports, row)
    if streams.shape[0]:
        aside = close_pass(streams, rare, aside)
    return count, done, aside


#: What :func:`sum_up` counts, in the order of its array; packets by fate follow.
EARLIEST, LATEST, CUT_MESSAGES = range(3)
FATES = 3
SUMS = FATES + len(SKIP_REASONS)


@kernel
def sum_up(records: Any, fates: Any, rows: Any, sums: Any) -> None:
    """Set ``sums`` (SUMS long, zeros) to the times of records, and what became of them."""
    for i in range(records.shape[0]):
        time = records[i]["time"]
        if i == 0:
            sums[EARLIEST] = time
            sums[LATEST] = time
        sums[EARLIEST] = min(sums[EARLIEST], time)
        sums[LATEST] = max(sums[LATEST], time)
        sums[FATES + min(np.int64(fates[i]), np.int64(SUMS - FATES - 1))] += 1
    for i in range(rows.shape[0]):
        sums[CUT_MESSAGES] += rows[i]["marks"] & MARK_CUT


@kernel
def insert_rows(rows: Any, filled: Any, more: Any) -> None:
    """Insert ``more`` into ``rows[:filled]``, both in the order of packets; the old ones first.

    There is room for them behind.
    """
    i, j = filled - 1, np.int64(more.shape[0]) - 1
    while j >= 0:
        if i >= 0 and rows[i]["packet_no"] > more[j]["packet_no"]:
            rows[i + j + 1] = rows[i]
            i -= 1
        else:
            rows[i + j + 1] = more[j]
            j -= 1


# ---- duplicates ---------------------------------------------------------------------------------

#: What :class:`DuplicateFilter` counts, in the order of its array; rcodes follow.
(
    PACKETS_WITH_MESSAGES,
    PACKETS_NOT_REPEATED,
    MESSAGES,
    RESPONSES,
    OVER_TCP,
    TRUNCATED,
) = range(6)
RCODES = 6
COUNTS = RCODES + (1 << 12)

#: What a message was like that was seen, beside its key and time.
_SEEN = np.dtype(
    [
        ("packet_no", np.int64),
        ("link", np.uint64),
        ("ip_id", np.int32),
        ("server", np.int32),
        ("interface", np.int32),
        ("hop_limit", np.uint8),
        ("answered", np.uint8),
    ],
    align=True,
)


@inline_kernel
def _copy_key(row: Any) -> Any:
    """Client address and port and the DNS bytes, as one number."""
    key = row["content"] ^ (np.uint64(row["client"]) * np.uint64(0x9E3779B97F4A7C15))
    key ^= np.uint64(row["client_port"]) * np.uint64(0xC2B2AE3D27D4EB4F)
    key ^= key >> np.uint64(31)
    return key | np.uint64(1)


@inline_kernel
def _is_copy(row: Any, seen: Any, gap: Any) -> Any:
    """Is this the packet that was ``seen``, ``gap`` later?"""
    if gap > COPY_WINDOW_NS or gap < -COPY_WINDOW_NS:
        return False
    moved = (
        row["hop_limit"] != seen["hop_limit"]
        or row["link"] != seen["link"]
        or row["interface"] != seen["interface"]
    )
    if row["ip_id"] > 0 or seen["ip_id"] > 0:
        return bool(row["ip_id"] == seen["ip_id"])
    if gap > CLOSE_COPY_NS or gap < -CLOSE_COPY_NS:
        return False
    if row["server"] != seen["server"]:
        return moved
    # The same hop twice: a resolver that resends at once (after SERVFAIL) looks like this too, but
    # only once it has had its answer.
    return moved or not seen["answered"]


@inline_kernel
def _first_place(keys: Any, row: Any) -> Any:
    """Return the first place for a message.

    It must not follow from the key, which is another in every run: where places are scarce, it
    decides which copies are still known. Whoever crafts messages for one place hides copies of
    their own.
    """
    h = _exchange_hash(row)
    h += np.uint64(np.int64(row["qname"]) + 2) * np.uint64(0xC2B2AE3D27D4EB4F)
    h = (h >> np.uint64(32)) ^ np.uint64(row["flags"] & QR)  # a response is not where its query is
    return np.int64(h & np.uint64(keys.shape[0] - 1)) & -_WAYS


@inline_kernel
def _place_of(keys: Any, times: Any, key: Any, row: Any) -> Any:
    """Return (place, whether ``key`` is there); where it is not, the place that must give way."""
    first = _first_place(keys, row)
    for way in range(_WAYS):
        if keys[first + way] == key:
            return first + way, True
    oldest = first
    time = times[first]
    for way in range(1, _WAYS):
        if times[first + way] < time:
            oldest = first + way
            time = times[oldest]
    return oldest, False


@inline_kernel
def _count(row: Any, counts: Any) -> None:
    """Add a message that is no duplicate."""
    counts[MESSAGES] += 1
    counts[OVER_TCP] += 1 if row["transport"] == TCP else 0
    if row["flags"] & QR:
        counts[RESPONSES] += 1
        counts[TRUNCATED] += 1 if row["flags"] & TC else 0
        counts[RCODES + (np.int64(row["rcode"]) & 0xFFF)] += 1


@kernel
def mark_duplicates(
    rows: Any, keys: Any, times: Any, table: Any, exchanges: Any, counts: Any, original: Any
) -> None:
    """Set ``original[i]`` to the packet number row ``i`` repeats, or 0, and count the messages.

    ``keys``, ``times`` and ``table`` (of _SEEN), a power of two long, say what was seen; a key's
    place is one of a few that lie together, and the oldest there gives way. They and ``exchanges``
    (last answer time by query) are carried from window to window. Rows of one packet stand
    together; in ``counts`` (COUNTS long) a packet is repeated where all of its messages are.
    """
    last, fresh_last = np.int64(-1), np.int64(-1)
    for i in range(rows.shape[0]):
        if i + _AHEAD < rows.shape[0]:
            row = rows[i + _AHEAD]
            place = _first_place(keys, row)
            prefetch(keys, place)
            prefetch(times, place)
            prefetch(table, place)
            prefetch(exchanges, _exchange_slot(exchanges, row))
        row = rows[i]
        key = _copy_key(row)
        ask = _exchange_slot(exchanges, row)
        time = row["time"]
        packet = np.int64(row["packet_no"])
        if packet != last:
            counts[PACKETS_WITH_MESSAGES] += 1
            last = packet
        place, known = _place_of(keys, times, key, row)
        seen = table[place]
        if known:
            if row["flags"] & QR == 0:
                seen["answered"] = 1 if exchanges[ask] > times[place] else 0
            if _is_copy(row, seen, time - times[place]):
                original[i] = seen["packet_no"]
                continue
        original[i] = 0
        if packet != fresh_last:
            counts[PACKETS_NOT_REPEATED] += 1
            fresh_last = packet
        _count(row, counts)
        if row["flags"] & QR:
            exchanges[ask] = time
        keys[place] = key
        times[place] = time
        seen["packet_no"] = row["packet_no"]
        seen["link"] = row["link"]
        seen["ip_id"] = row["ip_id"]
        seen["server"] = row["server"]
        seen["interface"] = row["interface"]
        seen["hop_limit"] = row["hop_limit"]
        seen["answered"] = 0


@inline_kernel
def _exchange_hash(row: Any) -> Any:
    """Hash client address, port and message ID: what a query and its response share."""
    key = (np.uint64(row["client"]) << np.uint64(32)) | (
        np.uint64(row["client_port"]) << np.uint64(16)
    )
    key |= np.uint64(row["message_id"])
    key *= np.uint64(0x9E3779B97F4A7C15)
    return key ^ (key >> np.uint64(29))


@inline_kernel
def _exchange_slot(exchanges: Any, row: Any) -> Any:
    return np.int64(_exchange_hash(row) & np.uint64(exchanges.shape[0] - 1))


class DuplicateFilter:
    """Finds repeated packets across the windows of one analysis.

    ``counts`` (COUNTS long) says what was seen; of duplicates it counts packets, no messages.
    """

    def __init__(self, slots: int = 1 << 16) -> None:
        self.counts = np.zeros(COUNTS, np.int64)
        self._keys = np.zeros(slots, np.uint64)
        self._times = np.full(slots, np.iinfo(np.int64).min, np.int64)
        self._seen = np.zeros(slots, _SEEN)
        self._answers = np.full(slots, np.iinfo(np.int64).min, np.int64)

    def mark(self, rows: Messages) -> npt.NDArray[np.int64]:
        """Return, a row each, the number of the packet that it repeats, or 0."""
        original = np.empty(rows.size, np.int64)
        mark_duplicates(
            rows, self._keys, self._times, self._seen, self._answers, self.counts, original
        )
        return original


__all__ = ["DuplicateFilter", "decode_window", "hash_bytes", "port_table", "sum_up"]
