"""One packet's headers, from its link type to the UDP datagram or TCP segment inside.

What nearly every packet has (Ethernet, cooked capture, VLAN, IP, UDP, TCP) is walked here, in line;
everything else is in helpers that are compiled by themselves, in ``link.py`` and ``tunnels.py``.
Every read comes after a length check; nesting is bounded.
Sources: IEEE 802.1Q; RFC 791, 8200, 768, 9293.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.ingest.facts import (
    ADDRESS_BYTES,
    CAPTURED_END,
    CUT_SHORT,
    DESTINATION,
    DESTINATION_PORT,
    FOUND_TCP,
    FOUND_UDP,
    FRAGMENT,
    FRAGMENT_ID,
    FRAGMENT_OFFSET,
    HOP_LIMIT,
    INTERFACE_INDEX,
    IP_ID,
    IPV4,
    IPV6,
    MALFORMED,
    MAX_LAYERS,
    MORE_FRAGMENTS,
    PAYLOAD,
    PROTOCOL,
    SEQUENCE,
    SOURCE,
    SOURCE_PORT,
    TCP_FLAGS,
    TYPED,
    WIRE_END,
)
from pcapkit.ingest.link import LINK_ETHERNET, LINK_SLL, LINK_SLL2, enter, inside, typed
from pcapkit.ingest.tunnels import ip_tunnel, udp_tunnel
from pcapkit.kernels import helper_kernel, inline_kernel
from pcapkit.wire import u8, u16, u32


@inline_kernel
def _ipv4(buffer: Any, at: Any, end: Any, facts: Any) -> Any:
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
def _fragment(
    facts: Any, offset: Any, more: Any, protocol: Any, end: Any, wire_end: Any
) -> Any:
    """Note what reassembly needs of a fragment; its offset is in units of 8 bytes."""
    facts[FRAGMENT_OFFSET] = offset * 8
    facts[MORE_FRAGMENTS] = more
    facts[PROTOCOL] = protocol
    facts[CAPTURED_END] = end
    facts[WIRE_END] = wire_end
    return np.int64(1000 + FRAGMENT), facts[PAYLOAD], np.int64(end), np.int64(wire_end)


@inline_kernel
def _ipv6(buffer: Any, at: Any, end: Any, facts: Any) -> Any:
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
def _transport(buffer: Any, protocol: Any, at: Any, end: Any, wire_end: Any, facts: Any) -> Any:
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


@inline_kernel
def peel(buffer: Any, at: Any, end: Any, linktype: Any, ports: Any, facts: Any) -> Any:
    """Find the transport payload of the packet ``buffer[at:end]``.

    Returns FOUND_UDP or FOUND_TCP with ``facts`` filled, or the reason why there is none; FRAGMENT
    fills the facts of a fragment. A datagram on a port that ``ports`` marks as DNS is no tunnel.
    """
    facts[INTERFACE_INDEX] = -1
    layer = np.int64(TYPED)
    kind = np.int64(0)
    if linktype == LINK_ETHERNET and end - at >= 14:
        kind = u16(buffer, at + 12)
        at += 14
    elif linktype == LINK_SLL and end - at >= 16:
        kind = u16(buffer, at + 14)
        at += 16
    elif linktype == LINK_SLL2 and end - at >= 20:
        facts[INTERFACE_INDEX] = u32(buffer, at + 4)
        kind = u16(buffer, at)
        at += 20
    else:
        layer, at, kind = enter(buffer, at, end, np.int64(linktype))
    for _ in range(MAX_LAYERS):
        if layer == TYPED:
            if kind == 0x0800:
                layer = np.int64(IPV4)
            elif kind == 0x86DD:
                layer = np.int64(IPV6)
            elif (kind == 0x8100 or kind == 0x88A8) and end - at >= 4:
                kind = u16(buffer, at + 2)
                at += 4
                continue
            else:
                layer, at, kind = typed(buffer, at, end, kind)
                continue
        if layer == IPV4:
            protocol, at, end, wire_end = _ipv4(buffer, at, end, facts)
        elif layer == IPV6:
            protocol, at, end, wire_end = _ipv6(buffer, at, end, facts)
        elif layer < 0:
            return -layer
        else:
            layer, at, kind = inside(buffer, at, end, layer)
            continue
        if protocol >= 1000:
            return protocol - 1000
        if protocol == 17 or protocol == 6:
            found = _transport(buffer, protocol, at, end, wire_end, facts)
            if found != FOUND_UDP or ports[facts[SOURCE_PORT]] or ports[facts[DESTINATION_PORT]]:
                return found
            layer, at, kind = udp_tunnel(
                buffer, facts[PAYLOAD], facts[CAPTURED_END], facts[SOURCE_PORT],
                facts[DESTINATION_PORT],
            )  # fmt: skip
            if layer == 0:
                return found
            end = facts[CAPTURED_END]
        else:
            layer, at, kind = ip_tunnel(buffer, at, end, protocol)
    return MALFORMED
