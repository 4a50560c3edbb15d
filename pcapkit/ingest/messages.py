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

from pcapkit.ingest.dns import HEADER_BYTES, decode_message
from pcapkit.ingest.link import (
    ADDRESS_BYTES,
    CAPTURED_END,
    CUT_SHORT,
    DESTINATION,
    DESTINATION_PORT,
    ENCRYPTED_DNS,
    FACTS,
    FOUND_TCP,
    FOUND_UDP,
    HOP_LIMIT,
    INTERFACE_INDEX,
    IP_ID,
    LLMNR,
    MALFORMED,
    MULTICAST_DNS,
    NOT_DNS,
    PAYLOAD,
    SKIP_REASONS,
    SOURCE,
    SOURCE_PORT,
    TCP_CONTINUATION,
    TCP_WITHOUT_MESSAGE,
    WIRE_END,
    link_identity,
    peel,
)
from pcapkit.interning import hash_bytes, intern
from pcapkit.kernels import inline_kernel, kernel
from pcapkit.layout import QR, TC, TCP, UDP, Messages
from pcapkit.wire import u8, u16

#: A copy of a packet follows within this time; a counter of 16 bits does not come round in it.
COPY_WINDOW_NS = 1_000_000_000

#: Without an identification, copies must be this close.
CLOSE_COPY_NS = 5_000_000


def port_table(ports: frozenset[int]) -> npt.NDArray[np.uint8]:
    """Mark the DNS ports in a table of all 65,536."""
    table = np.zeros(65536, np.uint8)
    table[sorted(ports)] = 1
    return table


@inline_kernel
def _other_port(source: Any, destination: Any) -> Any:
    """Name the DNS relative that speaks on these ports, or NOT_DNS."""
    if source == 5353 or destination == 5353:
        return MULTICAST_DNS
    if source == 5355 or destination == 5355:
        return LLMNR
    if source == 853 or destination == 853:
        return ENCRYPTED_DNS
    return NOT_DNS


@inline_kernel
def _set_ends(buffer: Any, facts: Any, ports: Any, addresses: Any, row: Any) -> None:
    """Fill in client and server: the client is the side whose port is not the DNS port."""
    source = intern(addresses, buffer, facts[SOURCE], facts[ADDRESS_BYTES])
    destination = intern(addresses, buffer, facts[DESTINATION], facts[ADDRESS_BYTES])
    from_server = ports[facts[SOURCE_PORT]] != 0
    if from_server and ports[facts[DESTINATION_PORT]] != 0:
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


@inline_kernel
def _plausible(buffer: Any, at: Any, end: Any) -> Any:
    """Does a DNS message start here? Needed where a segment may begin within one."""
    if end - at < HEADER_BYTES:
        return False
    opcode = (u8(buffer, at + 2) >> 3) & 15
    return opcode <= 6 and u16(buffer, at + 4) <= 1 and (u8(buffer, at + 3) & 0x40) == 0


@inline_kernel
def _decode_segment(
    buffer: Any, at: Any, end: Any, wire_end: Any, names: Any, scratch: Any, rows: Any, count: Any
) -> Any:
    """Decode the length-prefixed messages (RFC 1035 4.2.2) that begin in one TCP segment.

    Returns (rows filled in all, reason where there was none).
    """
    first = count
    while wire_end - at >= 2 and count < rows.shape[0]:
        if end - at < 2:
            return count, CUT_SHORT
        length = u16(buffer, at)
        stop = at + 2 + length
        if length < HEADER_BYTES or not _plausible(buffer, at + 2, end):
            break
        row = rows[count]
        if not decode_message(buffer, at + 2, min(stop, end), stop, names, scratch, row):
            break
        if row["qname"] < 0 and u16(buffer, at + 6) > 0:
            break  # a question that does not decode: this is the middle of some message
        row["transport"] = TCP
        row["message_no"] = count - first + 1
        count += 1
        if stop > end:
            break
        at = stop
    return count, TCP_CONTINUATION


@kernel
def decode_window(
    buffer: Any,
    records: Any,
    first_packet_no: Any,
    ports: Any,
    names: Any,
    addresses: Any,
    rows: Any,
    skipped: Any,
) -> Any:
    """Decode ``records`` into ``rows``; count what carries no message in ``skipped`` by reason.

    Returns (rows filled, records done): fewer than given where ``rows`` is full.
    """
    facts = np.zeros(FACTS, np.int64)
    scratch = np.zeros(256, np.uint8)
    seed = names[5][0]
    count = 0
    for i in range(records.shape[0]):
        record = records[i]
        start = record["offset"]
        end = start + record["captured"]
        linktype = record["linktype"]
        if rows.shape[0] - count < 1:
            return count, i
        found = peel(buffer, start, end, linktype, ports, facts)
        if found != FOUND_UDP and found != FOUND_TCP:
            skipped[found] += 1
            continue
        source = facts[SOURCE_PORT]
        destination = facts[DESTINATION_PORT]
        if not (ports[source] or ports[destination]):
            skipped[_other_port(source, destination)] += 1
            continue
        at = facts[PAYLOAD]
        stop = facts[CAPTURED_END]
        wire_end = facts[WIRE_END]
        before = count
        reason = MALFORMED
        if found == FOUND_TCP:
            if wire_end - at < 1:
                skipped[TCP_WITHOUT_MESSAGE] += 1
                continue
            if rows.shape[0] - count < np.int64(stop - at) // 14 + 1:
                return count, i
            count, reason = _decode_segment(
                buffer, at, stop, wire_end, names, scratch, rows, count
            )
        elif decode_message(buffer, at, stop, wire_end, names, scratch, rows[count]):
            rows[count]["transport"] = UDP
            rows[count]["message_no"] = 1
            count += 1
        elif wire_end > stop:
            reason = CUT_SHORT
        if count == before:
            skipped[reason] += 1
            continue
        link = link_identity(buffer, start, end, linktype, seed)
        for k in range(before, count):
            row = rows[k]
            row["time"] = record["time"]
            row["packet_no"] = first_packet_no + i
            row["link"] = link
            row["interface"] = facts[INTERFACE_INDEX]
            if facts[INTERFACE_INDEX] < 0:
                row["interface"] = record["interface"]
            _set_ends(buffer, facts, ports, addresses, row)
    return count, records.shape[0]


def skip_counts(skipped: npt.NDArray[np.int64]) -> dict[str, int]:
    """Name the counted reasons, zeros left out."""
    return {SKIP_REASONS[i]: int(n) for i, n in enumerate(skipped) if n}


# ---- duplicates ---------------------------------------------------------------------------------

_SEEN = np.dtype(
    [
        ("time", np.int64),
        ("packet_no", np.int64),
        ("key", np.uint64),
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
def _is_copy(row: Any, seen: Any) -> Any:
    gap = row["time"] - seen["time"]
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


@kernel
def mark_duplicates(rows: Any, table: Any, exchanges: Any, original: Any) -> Any:
    """Set ``original[i]`` to the packet number row ``i`` repeats, or 0; return how many do.

    ``table`` (of _SEEN, a power of two long) and ``exchanges`` (last answer time by query key) are
    carried from window to window. Entries older than the copy window are overwritten.
    """
    mask = np.uint64(table.shape[0] - 1)
    copies = 0
    for i in range(rows.shape[0]):
        row = rows[i]
        original[i] = 0
        key = _copy_key(row)
        ask = _exchange_key(row)
        slot = np.int64(key & mask)
        target = slot
        oldest = np.iinfo(np.int64).max
        for probe in range(8):
            at = np.int64((np.uint64(slot) + np.uint64(probe)) & mask)
            seen = table[at]
            if seen["key"] == key:
                if row["flags"] & QR == 0:
                    answer = exchanges[np.int64(ask & np.uint64(exchanges.shape[0] - 1))]
                    seen["answered"] = 1 if answer > seen["time"] else 0
                if _is_copy(row, seen):
                    original[i] = seen["packet_no"]
                target = at
                break
            if seen["time"] < oldest or seen["key"] == 0:
                oldest = seen["time"] if seen["key"] != 0 else np.iinfo(np.int64).min
                target = at
        if original[i]:
            copies += 1
            continue
        if row["flags"] & QR:
            exchanges[np.int64(ask & np.uint64(exchanges.shape[0] - 1))] = row["time"]
        seen = table[target]
        seen["time"] = row["time"]
        seen["packet_no"] = row["packet_no"]
        seen["key"] = key
        seen["link"] = row["link"]
        seen["ip_id"] = row["ip_id"]
        seen["server"] = row["server"]
        seen["interface"] = row["interface"]
        seen["hop_limit"] = row["hop_limit"]
        seen["answered"] = 0
    return copies


@inline_kernel
def _exchange_key(row: Any) -> Any:
    """Client address, port and message ID: what a query and its response share."""
    key = (np.uint64(row["client"]) << np.uint64(32)) | (
        np.uint64(row["client_port"]) << np.uint64(16)
    )
    key |= np.uint64(row["message_id"])
    key *= np.uint64(0x9E3779B97F4A7C15)
    return key ^ (key >> np.uint64(29))


class DuplicateFilter:
    """Finds repeated packets across the windows of one analysis."""

    def __init__(self, slots: int = 1 << 16) -> None:
        self._seen = np.zeros(slots, _SEEN)
        self._answers = np.full(slots, np.iinfo(np.int64).min, np.int64)

    def mark(self, rows: Messages) -> npt.NDArray[np.int64]:
        """Return, a row each, the number of the packet that it repeats, or 0."""
        original = np.zeros(rows.size, np.int64)
        mark_duplicates(rows, self._seen, self._answers, original)
        return original


# ---- counts --------------------------------------------------------------------------------------

#: What :func:`count_window` counts, in the order of its array; rcodes follow.
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


@kernel
def count_window(rows: Any, original: Any, counts: Any) -> None:
    """Add a window's messages to ``counts`` (COUNTS long), duplicates only as packets.

    Rows of one packet stand together; a packet is repeated where all of its messages are.
    """
    last, fresh_last = np.int64(-1), np.int64(-1)
    for i in range(rows.shape[0]):
        row = rows[i]
        packet = np.int64(row["packet_no"])
        if packet != last:
            counts[PACKETS_WITH_MESSAGES] += 1
            last = packet
        if original[i]:
            continue
        if packet != fresh_last:
            counts[PACKETS_NOT_REPEATED] += 1
            fresh_last = packet
        counts[MESSAGES] += 1
        counts[OVER_TCP] += 1 if row["transport"] == TCP else 0
        if row["flags"] & QR:
            counts[RESPONSES] += 1
            counts[TRUNCATED] += 1 if row["flags"] & TC else 0
            counts[RCODES + (np.int64(row["rcode"]) & 0xFFF)] += 1


__all__ = ["DuplicateFilter", "decode_window", "hash_bytes", "port_table", "skip_counts"]
