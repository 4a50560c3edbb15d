"""One window of packet records to message rows: :func:`decode_window`, the compiled path."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.ingest.dns import HEADER_BYTES, decode_message, hash_of_name_asked, looks_like_message
from pcapkit.ingest.packet.fields import (
    ADDRESS_BYTES,
    CAPTURED_END,
    DEFERRED_FACTS,
    DEFERRED_INDEX,
    DESTINATION,
    DESTINATION_PORT,
    DNS_PORT,
    FACTS,
    HOP_LIMIT,
    INTERFACE_INDEX,
    IP_ID,
    LINK,
    PAYLOAD,
    SOURCE,
    SOURCE_PORT,
    TCP_FLAGS,
    TUNNEL_PORT,
    WIRE_END,
)
from pcapkit.ingest.packet.headers import read_headers
from pcapkit.ingest.packet.link import link_identity
from pcapkit.ingest.packet.tunnels import PORTS
from pcapkit.ingest.reassembly.tcp_segments import (
    LONGEST_SEGMENT,
    SHORTEST_FRAMED,
    SYN,
    close_pass,
    follow_segment,
)
from pcapkit.ingest.skip_reasons import (
    ANSWER_UNREACHABLE,
    CUT_SHORT,
    ENCRYPTED_DNS,
    FOUND_TCP,
    FOUND_UDP,
    FRAGMENT,
    HELD,
    LLMNR,
    MALFORMED,
    MULTICAST_DNS,
    NO_REASON,
    NOT_DNS,
    QUERY_UNREACHABLE,
    SKIP_REASONS,
    TCP_WITHOUT_MESSAGE,
)
from pcapkit.kernels.interning import (
    InternerArrays,
    has_space,
    intern,
    prefetch_bytes,
    prefetch_ends,
    prefetch_slot,
)
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import prefetch, u8, u16
from pcapkit.names.text import MAX_NAME_BYTES
from pcapkit.schema import (
    ABSENT,
    MARK_CUT,
    QR,
    TCP,
    UDP,
    Bytes,
    Hashes,
    Int,
    Integers,
    Messages,
    Row,
    Rows,
)

#: How many packets ahead memory is fetched, as it lies beyond the near caches: the packet itself,
#: and the three places where its name is known (see ``interning.prefetch_slot``).
_PACKET_AHEAD, _SLOT_AHEAD, _ENDS_AHEAD, _BYTES_AHEAD = 14, 7, 4, 2
#: So many hashes of names are kept until then: a power of two.
AHEAD = 8
_UDP_HEADER = 8
_MULTICAST_DNS_PORT, _LLMNR_PORT, _TLS_PORT = 5353, 5355, 853
_LONGEST_ADDRESS = 16


def port_table(ports: frozenset[int]) -> npt.NDArray[np.uint8]:
    """Mark the ports of DNS and of tunnels in a table of all 65,536."""
    table = np.zeros(65536, np.uint8)
    table[list(PORTS)] = TUNNEL_PORT
    table[sorted(ports)] = DNS_PORT
    return table


class Tables(NamedTuple):
    """What is known of a capture, carried from window to window."""

    ports: Bytes  # of port_table()
    streams: (
        Rows  # STREAM; empty: TCP segments are taken as whole messages, as reassembly makes them
    )
    names: InternerArrays
    addresses: InternerArrays
    keeps: bool  # TCP segments that may hold parts of messages are held, for whoever sees them all


class Decoded(NamedTuple):
    """What a pass over records fills."""

    rows: Messages
    reasons: Bytes  # one a record: why it carries no message, or NO_REASON
    deferred: Integers  # (records or more, DEFERRED_COLUMNS)
    elsewhere: Integers  # 65,536: what looks like a message, by each other port


class Scratch(NamedTuple):
    """What a pass works in."""

    facts: Integers  # of new_facts()
    name: Bytes  # 256
    joined: Bytes  # JOINED_BYTES: messages that lie in several segments
    hashes: Hashes  # AHEAD: of the names that the next packets ask, 0 where none is known
    begins: Integers  # AHEAD: where their messages begin


@inline_kernel
def _prefetch(buffer: Bytes, records: Rows, index: Int, tables: Tables, scratch: Scratch) -> None:
    """Begin to fetch packets behind ``records[index]``, and what is known of the names they ask.

    They are taken to be as long to their UDP payload as the packet before it, which was the last to
    be read: mostly that is so, and nothing depends on it. ``scratch`` keeps the hashes of names.
    """
    if index + _PACKET_AHEAD < records.shape[0]:
        following = np.int64(records[index + _PACKET_AHEAD]["offset"])
        prefetch(buffer, following)
        prefetch(buffer, following + 64)
    names, hashes = tables.names, scratch.hashes
    if index > 0 and index + _SLOT_AHEAD < records.shape[0]:
        headers = scratch.facts[PAYLOAD] - records[index - 1]["offset"]
        record = records[index + _SLOT_AHEAD]
        at = record["offset"] + headers
        end = record["offset"] + record["captured"]
        h = np.uint64(0)
        if headers >= _UDP_HEADER and end - at > HEADER_BYTES:
            marks = tables.ports[u16(buffer, at - 8)] | tables.ports[u16(buffer, at - 6)]
            if marks & DNS_PORT:
                h = hash_of_name_asked(buffer, at, end, names.seed[0])
        hashes[(index + _SLOT_AHEAD) & (AHEAD - 1)] = h
        scratch.begins[(index + _SLOT_AHEAD) & (AHEAD - 1)] = at
        if h != 0:
            prefetch_slot(names, h)
    h = hashes[(index + _ENDS_AHEAD) & (AHEAD - 1)]
    if h != 0:
        prefetch_ends(names, h)
    h = hashes[(index + _BYTES_AHEAD) & (AHEAD - 1)]
    if h != 0:
        prefetch_bytes(names, h)


@inline_kernel
def _hash_found(scratch: Scratch, index: Int, at: Int, found: Int) -> np.uint64:
    """Return the hash in ``scratch`` of the name that the message at ``at`` asks; or 0.

    The message is in packet ``index``, carried by what ``found`` says.
    """
    place = index & (AHEAD - 1)
    if found == FOUND_UDP and scratch.begins[place] == at:
        return np.uint64(scratch.hashes[place])
    return np.uint64(0)


@inline_kernel
def _set_client_and_server(
    source: Int, destination: Int, facts: Integers, ports: Bytes, row: Row
) -> None:
    """Fill in client and server: the client is the side whose port is not the DNS port.

    ``source`` and ``destination`` are address ids, ``ports`` the table that marks DNS ports.
    """
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
def _why_skipped(
    buffer: Bytes, found: Int, facts: Integers, record: Row, elsewhere: Integers
) -> Int:
    """Name the ledger's reason for the packet of ``record`` in ``buffer``, which has no DNS port.

    ``found`` is what :func:`read_headers` said, with ``facts``. What looks like a message all the
    same is counted in ``elsewhere`` (int64, 65,536) at its server's port.
    """
    if found == CUT_SHORT and record["captured"] >= record["original"]:
        return np.int64(MALFORMED)
    if found != FOUND_UDP and found != FOUND_TCP:
        return np.int64(found)
    for port in (facts[SOURCE_PORT], facts[DESTINATION_PORT]):
        if port == _MULTICAST_DNS_PORT and (
            _is_multicast(buffer, facts, SOURCE) or _is_multicast(buffer, facts, DESTINATION)
        ):
            return np.int64(MULTICAST_DNS)
        if port == _LLMNR_PORT:
            return np.int64(LLMNR)
        if port == _TLS_PORT:
            return np.int64(ENCRYPTED_DNS)
    at, end = facts[PAYLOAD], facts[CAPTURED_END]
    if found == FOUND_TCP:  # the length stands before it, and one segment begins with it
        if end - at < 2 or u16(buffer, at) < end - at - 2:
            return np.int64(NOT_DNS)
        at += 2
    if looks_like_message(buffer, at, end):
        is_response = u16(buffer, at + 2) & QR
        elsewhere[facts[SOURCE_PORT if is_response else DESTINATION_PORT]] += 1
    return np.int64(NOT_DNS)


@inline_kernel
def _why_kept(facts: Integers) -> Int:
    """Say if a segment is held for who follows its stream: where it has bytes, or opens one."""
    waits = facts[WIRE_END] > facts[PAYLOAD] or facts[TCP_FLAGS] & SYN != 0
    return np.int64(HELD if waits else TCP_WITHOUT_MESSAGE)


@inline_kernel
def _is_multicast(buffer: Bytes, facts: Integers, side: int) -> bool:
    """Is the address in ``buffer`` at the fact ``side``, SOURCE or DESTINATION, of a group?"""
    first = u8(buffer, facts[side])
    return bool(first == 0xFF if facts[ADDRESS_BYTES] == 16 else first >> 4 == 14)


@helper_kernel
def _defer(
    buffer: Bytes,
    record: Row,
    index: Int,
    seed: np.uint64,
    facts: Integers,
    deferred: Integers,
    used: Int,
) -> Int:
    """Add the packet of ``record``, with its ``facts``, to those deferred; return their number.

    Its number among the records is ``index``; ``used`` rows of ``deferred`` are filled already.
    """
    start = record["offset"]
    linktype = record["linktype"]
    facts[LINK] = np.int64(link_identity(buffer, start, start + record["captured"], linktype, seed))
    deferred[used, DEFERRED_INDEX] = index
    for k in range(FACTS):
        deferred[used, DEFERRED_FACTS + k] = facts[k]
    return used + 1


@inline_kernel
def _has_space(tables: Tables, messages: Int) -> bool:
    """Do ``tables`` have space for the names of so many ``messages``, and a packet's addresses?"""
    return has_space(tables.names, messages, MAX_NAME_BYTES) and has_space(
        tables.addresses, 2, _LONGEST_ADDRESS
    )


@inline_kernel
def _decode_payload(
    payload: tuple[Bytes, Int, Int],
    found: Int,
    h: np.uint64,
    count: Int,
    rows: Messages,
    names: InternerArrays,
    scratch: Scratch,
) -> Int:
    """Decode the messages of ``payload`` into ``rows`` from ``count`` on.

    It is bytes, where the messages begin in them, and where they end. Returns how many rows are
    filled then. ``found`` says what carries them: over TCP each one stands behind its length. ``h``
    is the hash of the name that the first one asks, or 0. ``names`` gets theirs.
    """
    data, at, stop = payload
    first = count
    framed = found == FOUND_TCP
    while True:
        begin = at
        message_end = scratch.facts[WIRE_END]
        if framed:
            if stop - at < 2:
                break
            begin = at + 2
            message_end = begin + u16(data, at)
        row = rows[count]
        captured_end = min(message_end, stop)
        if not decode_message(data, begin, captured_end, message_end, h, names, scratch.name, row):
            break
        count += 1
        row["transport"] = TCP if framed else UDP
        row["message_no"] = count - first
        if not framed:
            break
        at = message_end
    return count


@inline_kernel
def _complete_rows(
    buffer: Bytes,
    record: Row,
    first: Int,
    count: Int,
    tables: Tables,
    rows: Messages,
    facts: Integers,
) -> None:
    """Fill in what ``rows[first:count]`` have of the packet of ``record``.

    ``facts`` are those of the packet, which lies in ``buffer``; ``tables`` gets its addresses.
    """
    start = record["offset"]
    source = intern(tables.addresses, buffer, facts[SOURCE], facts[ADDRESS_BYTES])
    destination = intern(tables.addresses, buffer, facts[DESTINATION], facts[ADDRESS_BYTES])
    end = start + record["captured"]
    link = link_identity(buffer, start, end, record["linktype"], tables.names.seed[1])
    interface = facts[INTERFACE_INDEX]
    if interface < 0:
        interface = np.int64(record["interface"])
    for k in range(first, count):
        row = rows[k]
        row["time"] = record["time"]
        row["packet_no"] = record["number"]
        row["link"] = link
        row["interface"] = interface
        row["owner"] = ABSENT
        _set_client_and_server(source, destination, facts, tables.ports, row)


@kernel
def decode_window(
    buffer: Bytes, records: Rows, tables: Tables, out: Decoded, scratch: Scratch
) -> tuple[Int, Int, Int]:
    """Decode packets into message rows.

    Goes in: ``buffer`` (uint8), ``records`` (RECORD) of packets in it, and ``tables``, which learn
    names, addresses and TCP streams. Comes out: ``out``, its rows and, one a record, why a packet
    carries no message. A packet that needs more than itself (a fragment, a segment with a part of a
    message) is deferred to reassembly; its reason is what it is if nothing comes of it, NO_REASON
    where the messages that it completes are in the rows already. So is an ICMP message about DNS,
    for the addresses that it quotes. ``scratch`` is what its name says. Returns (rows filled,
    records done, packets deferred): fewer done than given where rows or an interner are full.
    """
    seed, identity = tables.names.seed[0], tables.names.seed[1]
    facts = scratch.facts
    count: Int = 0
    deferred: Int = 0
    done: Int = np.int64(records.shape[0])
    for i in range(records.shape[0]):
        _prefetch(buffer, records, i, tables, scratch)
        record = records[i]
        start = record["offset"]
        end = start + record["captured"]
        if out.rows.shape[0] - count < 1 or not _has_space(tables, 1):
            done = np.int64(i)
            break
        found = read_headers(buffer, start, end, record["linktype"], tables.ports, facts)
        marks = tables.ports[facts[SOURCE_PORT]] | tables.ports[facts[DESTINATION_PORT]]
        if found > FOUND_TCP or not marks & DNS_PORT:
            out.reasons[i] = _why_skipped(buffer, found, facts, record, out.elsewhere)
            if found == FRAGMENT or found == QUERY_UNREACHABLE or found == ANSWER_UNREACHABLE:
                deferred = _defer(buffer, record, i, identity, facts, out.deferred, deferred)
            continue
        data, at, stop = buffer, facts[PAYLOAD], facts[CAPTURED_END]
        out.reasons[i] = CUT_SHORT if facts[WIRE_END] > stop else MALFORMED
        if found == FOUND_TCP:
            if tables.keeps:
                out.reasons[i] = _why_kept(facts)
                continue
            stop = min(stop, at + LONGEST_SEGMENT)
            facts[CAPTURED_END] = stop
            most = np.int64(stop - at) // SHORTEST_FRAMED + 2  # one may have begun earlier
            if out.rows.shape[0] - count < most or not _has_space(tables, most):
                done = np.int64(i)
                break
            if tables.streams.shape[0]:
                segment = (buffer, facts, record["time"], seed, tables.streams)
                reason, stop, joined, keep = follow_segment(
                    *segment, out.deferred, deferred, scratch.joined
                )
                out.reasons[i] = reason
                if keep:
                    deferred = _defer(buffer, record, i, identity, facts, out.deferred, deferred)
                if reason != NO_REASON:
                    continue
                if joined:
                    data, at, stop = scratch.joined, np.int64(0), joined
        first, h = count, _hash_found(scratch, i, at, found)
        count = _decode_payload((data, at, stop), found, h, count, out.rows, tables.names, scratch)
        if count > first:
            out.reasons[i] = NO_REASON
            _complete_rows(buffer, record, first, count, tables, out.rows, facts)
    if tables.streams.shape[0]:
        deferred = close_pass(tables.streams, out.deferred, deferred)
    return count, done, deferred


#: What :func:`sum_up` counts, in the order of its array; packets by reason follow.
EARLIEST, LATEST, CUT_MESSAGES, GONE_BACK = range(4)
BY_REASON = 4
#: A packet this much earlier than the one before it was stamped by another clock.
OTHER_CLOCK_NS = 60_000_000_000
SUMS = BY_REASON + len(SKIP_REASONS)


@kernel
def sum_up(records: Rows, reasons: Bytes, rows: Messages, before: Int, sums: Integers) -> None:
    """Set ``sums`` (int64, SUMS long, zeros) to what a window holds.

    Goes in: ``records`` (RECORD); ``reasons`` (uint8), one a record; ``rows`` (MESSAGE); ``before``
    is the time of the packet before them.
    """
    for i in range(records.shape[0]):
        time = records[i]["time"]
        if i == 0:
            sums[EARLIEST] = time
            sums[LATEST] = time
        sums[EARLIEST] = min(sums[EARLIEST], time)
        sums[LATEST] = max(sums[LATEST], time)
        if before - time > OTHER_CLOCK_NS:
            sums[GONE_BACK] += 1
        before = time
        sums[BY_REASON + min(np.int64(reasons[i]), np.int64(SUMS - BY_REASON - 1))] += 1
    for i in range(rows.shape[0]):
        sums[CUT_MESSAGES] += rows[i]["marks"] & MARK_CUT


@kernel
def insert_rows(rows: Messages, filled: Int, more: Messages) -> None:
    """Insert ``more`` into ``rows[:filled]``, both in the order of packets; the old ones first.

    ``rows`` (MESSAGE, as ``more``) has space for them behind.
    """
    i, j = filled - 1, np.int64(more.shape[0]) - 1
    while j >= 0:
        if i >= 0 and rows[i]["packet_no"] > more[j]["packet_no"]:
            rows[i + j + 1] = rows[i]
            i -= 1
        else:
            rows[i + j + 1] = more[j]
            j -= 1
