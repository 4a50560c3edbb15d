"""One packet's headers, from its link type to the UDP datagram or TCP segment inside.

What nearly every packet has (Ethernet, cooked capture, VLAN, IP, UDP, TCP) is walked here, in line.
A packet with anything else is found ENCAPSULATED and left to ``encapsulation.py``, which is
compiled when the first comes. Every read comes after a length check; nesting is bounded.
Sources: IEEE 802.1Q; RFC 791, 8200, 768, 9293.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.ingest.packet.fields import (
    ADDRESS_BYTES,
    CAPTURED_END,
    CUT_SHORT,
    DESTINATION,
    DESTINATION_PORT,
    DNS_PORT,
    ENCAPSULATED,
    FRAGMENT,
    FRAGMENT_ID,
    FRAGMENT_OFFSET,
    HOP_LIMIT,
    ICMP,
    INTERFACE_INDEX,
    IP_ID,
    MALFORMED,
    MAX_LAYERS,
    MORE_FRAGMENTS,
    NOT_DNS,
    NOT_IP,
    PAYLOAD,
    PROTOCOL,
    SEQUENCE,
    SOURCE,
    SOURCE_PORT,
    TCP_FLAGS,
    WIRE_END,
)
from pcapkit.ingest.packet.link import (
    ETHERTYPES,
    LINK_ETHERNET,
    LINK_LOOP,
    LINK_NULL,
    LINK_SLL,
    LINK_SLL2,
    NETLINK_NETFILTER,
)
from pcapkit.ingest.packet.tunnels import PROTOCOLS
from pcapkit.ingest.skip_reasons import FOUND_TCP, FOUND_UDP
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.kernels.words import u8, u16, u32


@inline_kernel
def ipv4(buffer: Any, at: Any, end: Any, facts: Any) -> Any:
    """Return (protocol or a reason + 1000, offset, captured end, wire end) of an IPv4 payload."""
    if end - at < 20:
        return 1000 + CUT_SHORT, at, end, end
    header = (u8(buffer, at) & 15) * 4
    if u8(buffer, at) >> 4 != 4 or header < 20:
        return 1000 + MALFORMED, at, end, end
    if end - at < header:
        return 1000 + CUT_SHORT, at, end, end
    total = u16(buffer, at + 2)
    # 0: the kernel handed a segment for offload to the capture before its length was set
    wire_end = at + total if total else np.int64(end)
    if wire_end < at + header:
        return 1000 + MALFORMED, at, end, end
    fragment = u16(buffer, at + 6)
    facts[IP_ID] = u16(buffer, at + 4)
    facts[HOP_LIMIT] = u8(buffer, at + 8)
    facts[SOURCE] = at + 12
    facts[DESTINATION] = at + 16
    facts[ADDRESS_BYTES] = 4
    protocol = u8(buffer, at + 9)
    at += header
    end = min(end, wire_end)
    if fragment & 0x3FFF:
        facts[FRAGMENT_ID] = facts[IP_ID]
        facts[PAYLOAD] = at
        return _fragment(facts, fragment & 0x1FFF, fragment & 0x2000, protocol, end, wire_end)
    return protocol, at, end, wire_end


@helper_kernel
def _fragment(facts: Any, offset: Any, more: Any, protocol: Any, end: Any, wire_end: Any) -> Any:
    """Note what reassembly needs of a fragment; its offset is in units of 8 bytes."""
    facts[FRAGMENT_OFFSET] = offset * 8
    facts[MORE_FRAGMENTS] = more
    facts[PROTOCOL] = protocol
    facts[CAPTURED_END] = end
    facts[WIRE_END] = wire_end
    return np.int64(1000 + FRAGMENT), facts[PAYLOAD], np.int64(end), np.int64(wire_end)


@inline_kernel
def ipv6(buffer: Any, at: Any, end: Any, facts: Any) -> Any:
    """Return (protocol or a reason + 1000, offset, captured end, wire end) of an IPv6 payload."""
    if end - at < 40:
        return 1000 + CUT_SHORT, at, end, end
    if u8(buffer, at) >> 4 != 6:
        return 1000 + MALFORMED, at, end, end
    length = u16(buffer, at + 4)
    wire_end = at + 40 + length if length else np.int64(end)
    facts[IP_ID] = -1
    facts[HOP_LIMIT] = u8(buffer, at + 7)
    facts[SOURCE] = at + 8
    facts[DESTINATION] = at + 24
    facts[ADDRESS_BYTES] = 16
    protocol = u8(buffer, at + 6)
    at += 40
    end = min(end, wire_end)
    if protocol == 17 or protocol == 6:
        return protocol, at, end, wire_end
    return _extensions(buffer, protocol, at, end, wire_end, facts)


@helper_kernel
def _extensions(buffer: Any, protocol: Any, at: Any, end: Any, wire_end: Any, facts: Any) -> Any:
    """Pass over IPv6 extension headers (RFC 8200 section 4)."""
    for _ in range(MAX_LAYERS):
        if protocol not in (0, 43, 44, 51, 60, 135, 139, 140):
            return np.int64(protocol), np.int64(at), np.int64(end), np.int64(wire_end)
        if end - at < 8:
            break
        kind, protocol = protocol, u8(buffer, at)
        if kind == 44:
            fragment = u16(buffer, at + 2)
            if fragment & 0xFFF9:
                facts[FRAGMENT_ID] = u32(buffer, at + 4)
                facts[PAYLOAD] = at + 8
                return _fragment(facts, fragment >> 3, fragment & 1, protocol, end, wire_end)
            at += 8
        elif kind == 51:  # the authentication header counts in units of 4 bytes
            at += 8 + u8(buffer, at + 1) * 4
        else:
            at += 8 + u8(buffer, at + 1) * 8
    reason = 1000 + (CUT_SHORT if wire_end > end else MALFORMED)
    return np.int64(reason), np.int64(at), np.int64(end), np.int64(wire_end)


@inline_kernel
def transport(buffer: Any, protocol: Any, at: Any, end: Any, wire_end: Any, facts: Any) -> Any:
    """Read the UDP or TCP header at ``at``; return FOUND_UDP, FOUND_TCP or a reason."""
    header = 8
    found = FOUND_UDP
    if protocol == 6:
        header = 20
        found = FOUND_TCP
    if end - at < header:
        return CUT_SHORT if wire_end > end else MALFORMED
    if protocol == 17:
        length = u16(buffer, at + 4)
        if length >= 8:
            wire_end = min(wire_end, at + length)
            end = min(end, wire_end)
    else:
        header = (u8(buffer, at + 12) >> 4) * 4
        if header < 20 or at + header > wire_end:
            return MALFORMED
        if at + header > end:
            return CUT_SHORT
        facts[SEQUENCE] = u32(buffer, at + 4)
        facts[TCP_FLAGS] = u8(buffer, at + 13)
    facts[PAYLOAD] = at + header
    facts[SOURCE_PORT] = u16(buffer, at)
    facts[DESTINATION_PORT] = u16(buffer, at + 2)
    facts[CAPTURED_END] = end
    facts[WIRE_END] = wire_end
    return found


@helper_kernel
def _other_type(buffer: Any, at: Any, end: Any, kind: Any) -> Any:
    """Say whether behind an EtherType other than IP there may be IP: ENCAPSULATED or NOT_IP."""
    if kind == NETLINK_NETFILTER:
        return np.int64(ENCAPSULATED)
    if kind < 0x600:  # 802.3: a length; LLC follows
        if end - at >= 3 and u16(buffer, at) != 0xAAAA and u16(buffer, at) != 0x0606:
            return np.int64(NOT_IP)
        return np.int64(ENCAPSULATED)
    if kind == 0x0806 or kind == 0x88CC:  # ARP, LLDP
        return np.int64(NOT_IP)
    for known in ETHERTYPES:
        if kind == known:
            return np.int64(ENCAPSULATED)
    return np.int64(NOT_IP)


@inline_kernel
def _enter(buffer: Any, at: Any, end: Any, linktype: Any, facts: Any) -> Any:
    """Return (offset, EtherType) behind the usual link headers; EtherType -1: another."""
    facts[INTERFACE_INDEX] = -1
    if linktype == LINK_ETHERNET and end - at >= 14:
        return at + 14, u16(buffer, at + 12)
    if linktype == LINK_SLL and end - at >= 16:
        return at + 16, u16(buffer, at + 14)
    if linktype == LINK_SLL2 and end - at >= 20:
        facts[INTERFACE_INDEX] = u32(buffer, at + 4)
        return at + 20, u16(buffer, at)
    # NULL's family is in the capturing host's numbers and byte order; the version nibble is not
    skip = 4 if linktype == LINK_NULL or linktype == LINK_LOOP else 0
    if (skip or linktype == 12 or linktype == 14 or linktype == 101) and end - at > skip:
        version = u8(buffer, at + skip) >> 4
        return at + skip, 0x0800 if version == 4 else 0x86DD if version == 6 else 0xFFFF
    return at, -1


@inline_kernel
def peel(buffer: Any, at: Any, end: Any, linktype: Any, ports: Any, facts: Any) -> Any:
    """Find the transport payload of the packet ``buffer[at:end]``.

    Returns FOUND_UDP or FOUND_TCP with ``facts`` filled, or the reason why there is none. FRAGMENT
    fills the facts of a fragment; ENCAPSULATED says that the packet may hold another, in a tunnel
    or behind a header that is not walked here. ``ports`` marks the ports of DNS and of tunnels.
    """
    at, kind = _enter(buffer, at, end, linktype, facts)
    for _ in range(MAX_LAYERS):
        if (kind != 0x8100 and kind != 0x88A8) or end - at < 4:
            break
        kind = u16(buffer, at + 2)
        at += 4
    if kind == 0x0800:
        protocol, at, end, wire_end = ipv4(buffer, at, end, facts)
    elif kind == 0x86DD:
        protocol, at, end, wire_end = ipv6(buffer, at, end, facts)
    elif kind < 0:
        return ENCAPSULATED
    else:
        return _other_type(buffer, at, end, kind)
    if protocol == 17 or protocol == 6:
        found = transport(buffer, protocol, at, end, wire_end, facts)
        if found != FOUND_UDP:
            return found
        marks = ports[facts[SOURCE_PORT]] | ports[facts[DESTINATION_PORT]]
        if marks & DNS_PORT:
            return found
        at = facts[PAYLOAD]
        left = facts[CAPTURED_END] - at
        # on any port: an IPv4 header as long as the datagram, see udp_tunnel()
        if marks or (left >= 20 and u8(buffer, at) == 0x45 and u16(buffer, at + 2) == left):
            return ENCAPSULATED
        return found
    if protocol >= 1000:
        return protocol - 1000
    if protocol == 1 or protocol == 58:
        return ICMP
    for known in PROTOCOLS:
        if protocol == known:
            return ENCAPSULATED
    return NOT_DNS
