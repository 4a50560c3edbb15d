"""Packets written anew with pseudonyms, compiled: from the link layer to the messages inside.

Only what is known to be needed is written: headers, with addresses mapped; DNS messages, see
``messages.py``. The payload of all else is left out, as a shorter snapshot length would.
"""

from __future__ import annotations

import numpy as np

from pcapkit.ingest.dns import looks_like_message
from pcapkit.ingest.packet.fields import (
    CAPTURED_END,
    DESTINATION_PORT,
    DNS_PORT,
    ETHERNET,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    FIRST_LAYER,
    FRAGMENT_ID,
    FRAGMENT_OFFSET,
    IPV4,
    IPV6,
    LLC,
    MORE_FRAGMENTS,
    MOST_HEADERS,
    NFLOG,
    NO_LAYER,
    PAYLOAD,
    PROTO_ICMP,
    PROTO_ICMPV6,
    PROTO_TCP,
    PROTO_UDP,
    PROTOCOL,
    SEQUENCE,
    SERVICE_VLAN,
    SOURCE_PORT,
    TCP_FLAGS,
    TYPED,
    VLAN,
    WIRE_END,
)
from pcapkit.ingest.packet.headers import ipv4, ipv6, transport
from pcapkit.ingest.packet.link import (
    LINK_ETHERNET,
    LINK_LOOP,
    LINK_NULL,
    LINK_RAW,
    LINK_SLL,
    LINK_SLL2,
    ethertype_layer,
    inner_layer,
    link_layer,
)
from pcapkit.ingest.packet.tunnels import ip_tunnel, udp_tunnel
from pcapkit.ingest.skip_reasons import FOUND_TCP, FOUND_UDP, FRAGMENT, NO_REASON
from pcapkit.kernels.interning import has_space
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u8, u16
from pcapkit.schema import Bytes, Int, Integers, Rows
from pcapkit.sharing.headers import folded, put_checksum, put_icmp, put_ip, put_link, summed
from pcapkit.sharing.messages import (
    BLANKED,
    CUT,
    CUT_NAMES,
    DEFERRED,
    FIXED,
    LEFT_OUT,
    MISSING,
    OPTIONS_DROPPED,
    PLACE,
    RECORDS_BLANKED,
    UNREAD,
    Maps,
    Work,
    put16,
    put_address,
    put_copy,
    put_fill,
    put_message,
)

#: Link types whose headers say nothing of anybody but by their addresses.
_PLAIN_LINKS = (9, 50, 51, 104, 166, 204, 205, 228, 229, LINK_NULL, LINK_LOOP, *LINK_RAW)
LINK_TYPES = (*_PLAIN_LINKS, LINK_ETHERNET, LINK_SLL, LINK_SLL2)
#: Tunnels whose headers say how long the packet is.
_SIZED_PORTS = (2152,)
_TZSP_PORT, _PPPOE = 37008, 0x8864
_MULTICAST_DNS_PORT, _LLMNR_PORT, _TLS_PORT = 5353, 5355, 853
_NOP = 1
# Columns of the headers to complete: what, where in the output, the IP header there, complete?
_WHAT, _WHERE, _IP, _COMPLETE, _LAYER_COLUMNS = range(5)
_UDP_LAYER, _TCP_LAYER = 1, 2
# Columns of payloads that need other packets: see streams.py.
(
    D_KIND,
    D_OUT,  # where the payload is in the output
    D_AT,  # and in the buffer
    D_SIZE,
    D_IP,  # where the IP header is in the output
    D_TRANSPORT,  # and that of TCP; -1
    D_COMPLETE,
    D_HEADER,  # where the IP header is in the buffer
    D_PROTOCOL,
    D_ID,  # of the fragment; of TCP: the sequence number
    D_OFFSET,
    D_MORE,  # of TCP: the flags
) = range(12)
D_COLUMNS = 12
D_FRAGMENT, D_SEGMENT = 0, 1
#: How much longer a packet may become, and what its record's header takes.
_GROWTH, RECORD_SPACE = 7, 1024
_LONGEST_NAME = 256


def layers_for(headers: int) -> Integers:
    """Return scratch for the headers to complete of packets with at most so many headers each."""
    return np.zeros((2 * headers + 4) * _LAYER_COLUMNS, np.int64)


@inline_kernel
def _note(work: Work, count: Int, what: Int, where: Int, ip: Int, complete: Int) -> Int:
    at = count * _LAYER_COLUMNS
    work.layers[at + _WHAT] = what
    work.layers[at + _WHERE] = where
    work.layers[at + _IP] = ip
    work.layers[at + _COMPLETE] = complete
    return count + 1


@helper_kernel
def _defer(
    kind: Int, header: Int, ip: Int, segment: Int, out: Bytes, deferred: Integers, work: Work
) -> None:
    """Note a payload that needs other packets, and write zeros in its place.

    ``header`` is where the IP header is in the buffer, ``ip`` in the output; ``segment`` is where
    the TCP header is there.
    """
    state, facts = work.state, work.facts
    at, end = facts[PAYLOAD], facts[CAPTURED_END]
    row = deferred[state[DEFERRED]]
    row[D_KIND] = kind
    row[D_OUT] = state[PLACE]
    row[D_AT] = at
    row[D_SIZE] = end - at
    row[D_IP] = ip
    row[D_TRANSPORT] = segment
    row[D_COMPLETE] = 1 if facts[WIRE_END] <= end else 0
    row[D_HEADER] = header
    row[D_OFFSET] = 0
    if kind == D_FRAGMENT:
        row[D_PROTOCOL] = facts[PROTOCOL]
        row[D_ID] = facts[FRAGMENT_ID]
        row[D_OFFSET] = facts[FRAGMENT_OFFSET]
        row[D_MORE] = facts[MORE_FRAGMENTS]
    else:
        row[D_PROTOCOL] = PROTO_TCP
        row[D_ID] = facts[SEQUENCE]
        row[D_MORE] = facts[TCP_FLAGS]
    state[DEFERRED] += 1
    put_fill(0, end - at, out, state)


@helper_kernel
def _is_left_out(facts: Integers) -> bool:
    """Does a port say that the payload is not read, whatever it is?"""
    for port in (facts[SOURCE_PORT], facts[DESTINATION_PORT]):
        if port == _MULTICAST_DNS_PORT or port == _LLMNR_PORT or port == _TLS_PORT:
            return True
    return False


@helper_kernel
def _put_packet(
    buffer: Bytes,
    at: Int,
    end: Int,
    linktype: Int,
    out: Bytes,
    maps: Maps,
    work: Work,
    deferred: Integers,
) -> Int:
    """Write the packet ``buffer[at:end]``; return how many headers are to be completed."""
    state, facts = work.state, work.facts
    count: Int = np.int64(0)
    ports = maps.ports
    layer, stop, kind = link_layer(buffer, at, end, linktype)
    if layer < FIRST_LAYER:
        put_fill(0, end - at, out, state)
        return count
    put_link(buffer, at, stop, linktype, out, maps, work)
    at = np.int64(stop)
    for _ in range(2 * facts[MOST_HEADERS]):
        if layer == TYPED:
            if kind == ETHERTYPE_IPV4 or kind == ETHERTYPE_IPV6:
                layer = np.int64(IPV4 if kind == ETHERTYPE_IPV4 else IPV6)
            elif (kind == VLAN or kind == SERVICE_VLAN) and end - at >= 4:
                put_copy(buffer, at, at + 4, out, state)
                kind = u16(buffer, at + 2)
                at += 4
                continue
            else:
                if kind < 0x600 or kind == _PPPOE:  # it says how long the packet is
                    state[FIXED] = 1
                layer, stop, kind = ethertype_layer(buffer, at, end, kind)
                if layer < FIRST_LAYER:
                    state[CUT] = 1
                    return count
                put_copy(buffer, at, min(stop, end), out, state)
                at = np.int64(min(stop, end))
                continue
        if layer < FIRST_LAYER:
            state[CUT] = 1
            return count
        if layer != IPV4 and layer != IPV6:
            if layer == NFLOG:
                state[CUT] = 1
                return count
            before = layer
            layer, stop, kind = inner_layer(buffer, at, end, layer)
            if before == ETHERNET and layer == TYPED:
                put_address(buffer, at, 6, out, maps, work)
                put_address(buffer, at + 6, 6, out, maps, work)
                put_copy(buffer, at + 12, at + 14, out, state)
                at = np.int64(stop)
                continue
            if layer < FIRST_LAYER:
                if before == LLC:
                    put_copy(buffer, at, min(at + 3, end), out, state)
                state[CUT] = 1
                return count
            put_copy(buffer, at, min(stop, end), out, state)
            at = np.int64(min(stop, end))
            continue
        ip = np.int64(state[PLACE])
        header = at
        if layer == IPV4:
            reason, protocol, at, inner_end, wire_end = ipv4(buffer, at, end, facts)
        else:
            reason, protocol, at, inner_end, wire_end = ipv6(buffer, at, end, facts)
        if reason == FRAGMENT:
            at = np.int64(facts[PAYLOAD])
        elif reason != NO_REASON:
            put_copy(buffer, header, min(header + 1, end), out, state)
            put_fill(0, end - header - 1, out, state)
            return count
        put_ip(buffer, header, at, layer, out, maps, work)
        whole = np.int64(1 if wire_end <= inner_end else 0)
        count = _note(work, count, layer, ip, ip, whole)
        if reason == FRAGMENT:
            _defer(np.int64(D_FRAGMENT), header, ip, np.int64(-1), out, deferred, work)
            put_fill(0, end - inner_end, out, state)
            return count
        if protocol == PROTO_ICMP or protocol == PROTO_ICMPV6:
            put_icmp(buffer, at, inner_end, protocol, out, maps, work)
            return count
        if protocol == PROTO_UDP or protocol == PROTO_TCP:
            found = transport(buffer, protocol, at, inner_end, wire_end, facts)
            if found != FOUND_UDP and found != FOUND_TCP:
                put_fill(0, end - at, out, state)
                return count
            payload, stop = facts[PAYLOAD], facts[CAPTURED_END]
            is_dns = (ports[facts[SOURCE_PORT]] | ports[facts[DESTINATION_PORT]]) & DNS_PORT != 0
            place = np.int64(state[PLACE])
            whole = np.int64(1 if facts[WIRE_END] <= stop else 0)
            is_cut = 1 - whole
            if found == FOUND_TCP:
                put_copy(buffer, at, at + 16, out, state)
                put16(out, state, 0)
                put_copy(buffer, at + 18, at + 20, out, state)
                put_fill(_NOP, payload - at - 20, out, state)
                if is_dns:
                    _note(work, count, np.int64(_TCP_LAYER), place, ip, whole)
                    count += 1
                    if stop > payload:
                        _defer(np.int64(D_SEGMENT), header, ip, place, out, deferred, work)
                    put_fill(0, end - stop, out, state)
                    return count
                state[FIXED] = 1
                begins = stop - payload >= 2 and u16(buffer, payload) >= stop - payload - 2
                if begins and not _is_left_out(facts):
                    if looks_like_message(buffer, payload + 2, stop):
                        _note(work, count, np.int64(_TCP_LAYER), place, ip, whole)
                        count += 1
                        put_copy(buffer, payload, payload + 2, out, state)
                        cut = np.int64(1 if u16(buffer, payload) > stop - payload - 2 else 0)
                        put_message(buffer, payload + 2, stop, cut, out, maps, work)
                        put_fill(0, end - stop, out, state)
                        return count
                state[CUT] = 1
                return count
            has_sum = u16(buffer, at + 6) != 0
            put_copy(buffer, at, at + 6, out, state)
            put16(out, state, 0)
            _note(work, count, np.int64(_UDP_LAYER), place, ip, whole if has_sum else -1)
            count += 1
            if is_dns:
                put_message(buffer, payload, stop, is_cut, out, maps, work)
                put_fill(0, end - stop, out, state)
                return count
            layer, inner, kind = udp_tunnel(
                buffer, payload, stop, facts[SOURCE_PORT], facts[DESTINATION_PORT]
            )
            if facts[SOURCE_PORT] == _TZSP_PORT or facts[DESTINATION_PORT] == _TZSP_PORT:
                layer = np.int64(NO_LAYER)
            if layer == NO_LAYER:
                if not _is_left_out(facts) and looks_like_message(buffer, payload, stop):
                    put_message(buffer, payload, stop, is_cut, out, maps, work)
                    put_fill(0, end - stop, out, state)
                else:
                    state[CUT] = 1
                return count
            for port in _SIZED_PORTS:
                if facts[SOURCE_PORT] == port or facts[DESTINATION_PORT] == port:
                    state[FIXED] = 1
            put_copy(buffer, payload, min(inner, stop), out, state)
            at, end = np.int64(min(inner, stop)), np.int64(stop)
        else:
            layer, inner, kind = ip_tunnel(buffer, at, inner_end, protocol)
            if layer < FIRST_LAYER:
                state[CUT] = 1
                return count
            put_copy(buffer, at, min(inner, inner_end), out, state)
            at, end = np.int64(min(inner, inner_end)), np.int64(inner_end)
    state[CUT] = 1
    return count


@helper_kernel
def _complete(out: Bytes, count: Int, change: Int, work: Work) -> None:
    """Set lengths and checksums of ``count`` headers; the payload became longer by ``change``."""
    cut = work.state[CUT] != 0
    for k in range(count - 1, -1, -1):
        row = k * _LAYER_COLUMNS
        what, at = work.layers[row + _WHAT], work.layers[row + _WHERE]
        ip, complete = work.layers[row + _IP], work.layers[row + _COMPLETE]
        if what == IPV4:
            total = u16(out, at + 2)
            if total:
                total += change
                out[at + 2], out[at + 3] = (total >> 8) & 255, total & 255
            size = (u8(out, at) & 15) * 4
            check = folded(summed(out, at, at + size, np.int64(0)))
            out[at + 10], out[at + 11] = check >> 8, check & 255
        elif what == IPV6:
            total = u16(out, at + 4)
            if total:
                total += change
                out[at + 4], out[at + 5] = (total >> 8) & 255, total & 255
        elif what == _UDP_LAYER:
            length = u16(out, at + 4)
            if length >= 8:
                length += change
                out[at + 4], out[at + 5] = (length >> 8) & 255, length & 255
            if complete == 1 and not cut and length >= 8:
                put_checksum(out, ip, at, at + length, PROTO_UDP, at + 6)
            elif complete >= 0 and u8(out, ip) >> 4 == 6:
                out[at + 6], out[at + 7] = 0xFF, 0xFF
        elif complete == 1 and not cut:
            put_checksum(out, ip, at, _end_of_ip(out, ip), PROTO_TCP, at + 16)


@inline_kernel
def _end_of_ip(out: Bytes, ip: Int) -> Int:
    """Return where the packet ends whose IP header is at ``ip``; it says how long it is."""
    if u8(out, ip) >> 4 == 4:
        return ip + u16(out, ip + 2)
    return ip + 40 + u16(out, ip + 4)


@inline_kernel
def _put_little(out: Bytes, at: Int, value: Int) -> None:
    for k in range(4):
        out[at + k] = (value >> (8 * k)) & 255


@kernel
def rewrite(
    buffer: Bytes,
    records: Rows,
    first: Int,
    blocks: Int,
    out: Bytes,
    maps: Maps,
    work: Work,
    deferred: Integers,
) -> tuple[Int, Int, Int]:
    """Write ``records[first:]`` with pseudonyms, as records of a pcap file.

    Goes in: ``buffer`` (uint8), ``records`` (RECORD) in it; ``blocks`` is 1 for enhanced packet
    blocks of pcapng, 0 for records of pcap, in ns and little-endian both. Comes out: ``out`` from
    ``work.state[PLACE]`` on, and rows of ``deferred`` (D_COLUMNS). ``maps`` learn names and
    addresses. Returns (first record that is not written, first one that has no pseudonym yet or -1,
    1 where an interner is full): all behind one that has none are not written, but learned from.
    """
    state = work.state
    missing: Int = np.int64(-1)
    for i in range(first, records.shape[0]):
        record = records[i]
        at = np.int64(record["offset"])
        captured = np.int64(record["captured"])
        begin = np.int64(state[PLACE])
        if out.shape[0] - begin < captured * _GROWTH + RECORD_SPACE:
            return np.int64(i), missing, np.int64(0)
        if deferred.shape[0] - state[DEFERRED] < 1:
            return np.int64(i), missing, np.int64(0)
        most = captured // 8 + 4
        if not has_space(maps.names, most, _LONGEST_NAME) or not has_space(
            maps.addresses, most, 16
        ):
            return np.int64(i), missing, np.int64(1)
        linktype = np.int64(record["linktype"])
        known = False
        for plain in LINK_TYPES:
            known = known or plain == linktype
        if not known:
            if missing < 0:
                state[UNREAD] += 1
            continue
        waiting = np.int64(state[DEFERRED])
        blanked, cut_names = np.int64(state[BLANKED]), np.int64(state[CUT_NAMES])
        of_records, of_options = np.int64(state[RECORDS_BLANKED]), np.int64(state[OPTIONS_DROPPED])
        head = np.int64(28 if blocks else 16)
        start = begin + head
        state[PLACE] = start
        state[FIXED] = 0
        state[CUT] = 0
        state[MISSING] = 0
        count = _put_packet(buffer, at, at + captured, linktype, out, maps, work, deferred)
        if state[MISSING] or missing >= 0:
            if missing < 0:
                missing = np.int64(i)
            state[PLACE] = begin
            state[DEFERRED] = waiting
            state[BLANKED], state[CUT_NAMES] = blanked, cut_names
            state[RECORDS_BLANKED], state[OPTIONS_DROPPED] = of_records, of_options
            continue
        size = np.int64(state[PLACE]) - start
        change: Int = np.int64(0)
        if state[CUT] == 0:
            change = size - captured
        elif size < captured:
            state[LEFT_OUT] += 1
        _complete(out, count, change, work)
        original = np.int64(record["original"]) + change
        time = np.int64(record["time"])
        if blocks:
            padding = (4 - size % 4) % 4
            put_fill(0, padding, out, state)
            length = np.int64(32 + size + padding)
            _put_little(out, begin, 6)
            _put_little(out, begin + 4, length)
            _put_little(out, begin + 8, np.int64(record["interface"]))
            _put_little(out, begin + 12, time >> 32)
            _put_little(out, begin + 16, time & 0xFFFFFFFF)
            _put_little(out, begin + 20, size)
            _put_little(out, begin + 24, original)
            _put_little(out, state[PLACE], length)
            state[PLACE] += 4
        else:
            seconds = time // 1_000_000_000
            _put_little(out, begin, seconds)
            _put_little(out, begin + 4, time - seconds * 1_000_000_000)
            _put_little(out, begin + 8, size)
            _put_little(out, begin + 12, original)
    return np.int64(records.shape[0]), missing, np.int64(0)


@kernel
def rewrite_message(buffer: Bytes, is_cut: Int, out: Bytes, maps: Maps, work: Work) -> None:
    """Write all of ``buffer`` (uint8), a message, with names as long as they are.

    Comes out: ``out`` (uint8), as long, from its beginning; ``work.state[MISSING]`` as usual.
    """
    state = work.state
    state[PLACE] = 0
    state[FIXED] = 1
    state[MISSING] = 0
    put_message(buffer, np.int64(0), np.int64(buffer.shape[0]), is_cut, out, maps, work)
