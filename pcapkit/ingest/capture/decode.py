"""One window of packet records to message rows: :func:`decode_window`, the compiled walk."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.ingest.dns import decode_message, looks_like_message
from pcapkit.ingest.packet.fields import (
    ADDRESS_BYTES,
    CAPTURED_END,
    CUT_SHORT,
    DESTINATION,
    DESTINATION_PORT,
    DNS_PORT,
    ENCRYPTED_DNS,
    FACTS,
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
    SOURCE,
    SOURCE_PORT,
    TUNNEL_PORT,
    WIRE_END,
)
from pcapkit.ingest.packet.headers import peel
from pcapkit.ingest.packet.link import link_identity
from pcapkit.ingest.packet.tunnels import PORTS
from pcapkit.ingest.reassembly.tcp_segments import LONGEST_SEGMENT, close_pass, follow
from pcapkit.ingest.skip_reasons import FOUND_TCP, FOUND_UDP, SKIP_REASONS
from pcapkit.kernels.interning import has_room, intern
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import prefetch, u8, u16
from pcapkit.schema import MARK_CUT, QR, TCP, UDP

#: How many packets ahead memory is fetched: what they need lies beyond the near caches.
_AHEAD = 10


def port_table(ports: frozenset[int]) -> npt.NDArray[np.uint8]:
    """Mark the ports of DNS and of tunnels in a table of all 65,536."""
    table = np.zeros(65536, np.uint8)
    table[list(PORTS)] = TUNNEL_PORT
    table[sorted(ports)] = DNS_PORT
    return table


@inline_kernel
def _set_ends(source: Any, destination: Any, facts: Any, ports: Any, row: Any) -> None:
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
def _why_skipped(buffer: Any, found: Any, facts: Any, record: Any, elsewhere: Any) -> Any:
    """Name the ledger's reason for a packet without a DNS port.

    One that looks like a message all the same is counted in ``elsewhere`` at its server's port.
    """
    if found == CUT_SHORT and record["captured"] >= record["original"]:
        return np.int64(MALFORMED)
    if found != FOUND_UDP and found != FOUND_TCP:
        return np.int64(found)
    for port in (facts[SOURCE_PORT], facts[DESTINATION_PORT]):
        if port == 5353 and (
            _is_multicast(buffer, facts, SOURCE) or _is_multicast(buffer, facts, DESTINATION)
        ):
            return np.int64(MULTICAST_DNS)
        if port == 5355:
            return np.int64(LLMNR)
        if port == 853:
            return np.int64(ENCRYPTED_DNS)
    if found == FOUND_UDP:
        at, end = facts[PAYLOAD], facts[CAPTURED_END]
        if looks_like_message(buffer, at, end):
            is_response = u16(buffer, at + 2) & QR
            elsewhere[facts[SOURCE_PORT if is_response else DESTINATION_PORT]] += 1
    return np.int64(NOT_DNS)


@inline_kernel
def _is_multicast(buffer: Any, facts: Any, side: Any) -> Any:
    first = u8(buffer, facts[side])
    return first == 0xFF if facts[ADDRESS_BYTES] == 16 else first >> 4 == 14


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
    elsewhere: Any,
) -> Any:
    """Decode ``records`` into ``rows``; note in ``fates`` why a packet carries no message, or 0.

    A packet that needs more than itself (a fragment, a segment with a part of a message) goes into
    ``rare``, its index and its facts, for reassembly; its fate is what it is if nothing comes of
    it, 0 where the messages that it completes are in ``rows`` already. Without ``streams``, TCP
    segments are taken as whole messages, as reassembly makes them. ``facts`` (FACTS), ``scratch``
    (256 bytes) and ``joined`` (JOINED_BYTES) are room to work in. ``elsewhere`` (65,536 integers)
    counts what looks like a message at each other port.
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
            fates[i] = _why_skipped(buffer, found, facts, record, elsewhere)
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
EARLIEST, LATEST, CUT_MESSAGES, GONE_BACK = range(4)
FATES = 4
#: A packet this much earlier than one before it was stamped by another clock.
_OTHER_CLOCK_NS = 60_000_000_000
SUMS = FATES + len(SKIP_REASONS)


@kernel
def sum_up(records: Any, fates: Any, rows: Any, latest: Any, sums: Any) -> None:
    """Set ``sums`` (SUMS long, zeros) to the times of records, and what became of them.

    ``latest`` is the latest time of the packets before.
    """
    for i in range(records.shape[0]):
        time = records[i]["time"]
        if i == 0:
            sums[EARLIEST] = time
            sums[LATEST] = time
        sums[EARLIEST] = min(sums[EARLIEST], time)
        sums[LATEST] = max(sums[LATEST], time)
        latest = max(latest, time)
        sums[GONE_BACK] += latest - time > _OTHER_CLOCK_NS
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
