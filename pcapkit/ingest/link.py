"""Link layers and tunnels, down to the UDP datagram or TCP segment inside.

:func:`peel` walks one packet's headers from its link type to the transport payload. To add a layer,
add its test to the loop and its numbers above it. Every read comes after a length check; nesting is
bounded. Sources: tcpdump.org link-layer header types; IEEE 802.1Q; RFC 791, 8200, 768, 9293;
RFC 7348 (VXLAN), RFC 8926 (Geneve), RFC 2784/2890 (GRE), RFC 2003 (IPIP), RFC 4213 (6in4).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.interning import hash_bytes
from pcapkit.kernels import inline_kernel
from pcapkit.wire import u8, u16, u32

# What a packet turned out to be. FOUND_* go on; the others are the ledger's reasons.
FOUND_UDP, FOUND_TCP = 0, 1
(
    NOT_IP,
    NOT_DNS,
    UNKNOWN_LINK_TYPE,
    CUT_SHORT,
    MALFORMED,
    FRAGMENT,
    ICMP,
    MULTICAST_DNS,
    LLMNR,
    ENCRYPTED_DNS,
    TCP_WITHOUT_MESSAGE,
    TCP_CONTINUATION,
) = range(2, 14)

#: Names of the reasons in the packet ledger, by their number.
SKIP_REASONS: tuple[str, ...] = (
    "",
    "",
    "not_ip",
    "not_dns",
    "unknown_link_type",
    "truncated_by_snaplen",
    "malformed",
    "fragment",
    "icmp",
    "multicast_dns",
    "llmnr",
    "encrypted_dns",
    "tcp_without_message",
    "tcp_continuation",
)

# Fields of the int64 array that peel() fills.
(
    PAYLOAD,  # offset of the transport payload
    CAPTURED_END,  # where the captured bytes of the payload end
    WIRE_END,  # where the payload ended on the wire (may lie behind the buffer)
    SOURCE,  # offset of the source address
    DESTINATION,
    ADDRESS_BYTES,  # 4 or 16
    SOURCE_PORT,
    DESTINATION_PORT,
    IP_ID,  # -1 for IPv6
    HOP_LIMIT,
    IS_FIRST_FRAGMENT,
    INTERFACE_INDEX,  # of SLL2; -1 elsewhere
) = range(12)
FACTS = 12

_MAX_LAYERS = 12

_ETHERNET, _IPV4, _IPV6 = 1, 2, 3

_LINK_NULL, _LINK_ETHERNET, _LINK_LOOP, _LINK_SLL, _LINK_SLL2 = 0, 1, 108, 113, 276
_LINK_IPV4, _LINK_IPV6 = 228, 229


@inline_kernel
def _after_ethertype(buffer: Any, at: Any, end: Any, ethertype: Any) -> Any:
    """Return (layer, offset) of what an EtherType at ``at - 2`` announces; layer 0: not IP."""
    for _ in range(8):
        if ethertype == 0x0800:
            return _IPV4, at
        if ethertype == 0x86DD:
            return _IPV6, at
        if ethertype == 0x8100 or ethertype == 0x88A8 or ethertype == 0x9100:
            if end - at < 4:
                return 0, at
            ethertype = u16(buffer, at + 2)
            at += 4
        else:
            return 0, at
    return 0, at


@inline_kernel
def _by_version(buffer: Any, at: Any, end: Any) -> Any:
    if end - at < 1:
        return 0, at
    version = u8(buffer, at) >> 4
    if version == 4:
        return _IPV4, at
    if version == 6:
        return _IPV6, at
    return 0, at


@inline_kernel
def _enter(buffer: Any, at: Any, end: Any, linktype: Any) -> Any:
    """Return (layer, offset) behind the link header; layer -1: unknown link type, -2: too short."""
    if linktype == _LINK_ETHERNET:
        if end - at < 14:
            return -2, at
        return _after_ethertype(buffer, at + 14, end, u16(buffer, at + 12))
    if linktype == _LINK_SLL2:
        if end - at < 20:
            return -2, at
        return _after_ethertype(buffer, at + 20, end, u16(buffer, at))
    if linktype == _LINK_SLL:
        if end - at < 16:
            return -2, at
        return _after_ethertype(buffer, at + 16, end, u16(buffer, at + 14))
    if linktype == 12 or linktype == 14 or linktype == 101:  # RAW, as the platforms number it
        return _by_version(buffer, at, end)
    if linktype == _LINK_IPV4:
        return _IPV4, at
    if linktype == _LINK_IPV6:
        return _IPV6, at
    if linktype == _LINK_NULL or linktype == _LINK_LOOP:
        # The family's number and byte order are the capturing host's; the version nibble is not.
        if end - at < 4:
            return -2, at
        return _by_version(buffer, at + 4, end)
    return -1, at


@inline_kernel
def link_identity(buffer: Any, at: Any, end: Any, linktype: Any, seed: Any) -> Any:
    """Hash what tells one hop's copy of a packet from another's: link addresses, direction."""
    if linktype == _LINK_ETHERNET and end - at >= 12:
        return hash_bytes(buffer, at, 12, seed)
    if linktype == _LINK_SLL and end - at >= 14:
        return hash_bytes(buffer, at, 14, seed)
    if linktype == _LINK_SLL2 and end - at >= 20:
        return hash_bytes(buffer, at + 4, 16, seed)
    return np.uint64(0)


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
    wire_end = at + total if total >= header else np.int64(-1)
    if wire_end < 0 and total != 0:
        return 1000 + MALFORMED, at, end, end
    fragment = u16(buffer, at + 6)
    if fragment & 0x1FFF:
        return 1000 + FRAGMENT, at, end, end
    facts[IS_FIRST_FRAGMENT] = (fragment >> 13) & 1
    facts[IP_ID] = u16(buffer, at + 4)
    facts[HOP_LIMIT] = u8(buffer, at + 8)
    facts[SOURCE] = at + 12
    facts[DESTINATION] = at + 16
    facts[ADDRESS_BYTES] = 4
    protocol = u8(buffer, at + 9)
    if wire_end < 0:
        return protocol, at + header, end, end
    return protocol, at + header, min(end, wire_end), wire_end


@inline_kernel
def _ipv6(buffer: Any, at: Any, end: Any, facts: Any) -> Any:
    """Return (protocol or a reason + 1000, offset, captured end, wire end) of an IPv6 payload."""
    if end - at < 40:
        return 1000 + CUT_SHORT, at, end, end
    if u8(buffer, at) >> 4 != 6:
        return 1000 + MALFORMED, at, end, end
    length = u16(buffer, at + 4)
    wire_end = at + 40 + length if length else np.int64(end)
    facts[IS_FIRST_FRAGMENT] = 0
    facts[IP_ID] = -1
    facts[HOP_LIMIT] = u8(buffer, at + 7)
    facts[SOURCE] = at + 8
    facts[DESTINATION] = at + 24
    facts[ADDRESS_BYTES] = 16
    protocol = u8(buffer, at + 6)
    stop = min(end, wire_end)
    at += 40
    for _ in range(_MAX_LAYERS):
        if protocol == 44:
            if stop - at < 8:
                return 1000 + CUT_SHORT, at, stop, wire_end
            offset = u16(buffer, at + 2)
            if offset & 0xFFF8:
                return 1000 + FRAGMENT, at, stop, wire_end
            facts[IS_FIRST_FRAGMENT] = offset & 1
            protocol = u8(buffer, at)
            at += 8
        elif protocol == 0 or protocol == 43 or protocol == 60 or protocol == 135:
            if stop - at < 8:
                return 1000 + CUT_SHORT, at, stop, wire_end
            protocol = u8(buffer, at)
            at += 8 + u8(buffer, at + 1) * 8
        elif protocol == 51:  # authentication header counts in 4-byte units
            if stop - at < 8:
                return 1000 + CUT_SHORT, at, stop, wire_end
            protocol = u8(buffer, at)
            at += 8 + u8(buffer, at + 1) * 4
        else:
            return protocol, at, stop, wire_end
    return 1000 + MALFORMED, at, stop, wire_end


@inline_kernel
def _gre(buffer: Any, at: Any, end: Any) -> Any:
    """Return (layer, offset) of what a GRE header carries; layer 0: nothing known."""
    if end - at < 4 or u8(buffer, at + 1) & 7 > 1:
        return 0, at
    flags = u8(buffer, at)
    kind = u16(buffer, at + 2)
    offset = at + 4
    for bit in (0x80, 0x20, 0x10):  # checksum, key, sequence number
        if flags & bit:
            offset += 4
    if kind == 0x6558:
        return _ETHERNET, offset
    if kind == 0x88BE:  # ERSPAN: type I has no sequence number and no header of its own
        return _ETHERNET, offset + (8 if flags & 0x10 else 0)
    return _after_ethertype(buffer, offset, end, kind)


@inline_kernel
def _udp_tunnel(buffer: Any, at: Any, end: Any, port: Any) -> Any:
    """Return (layer, offset) of a frame inside VXLAN or Geneve; layer 0: none."""
    if end - at < 8:
        return 0, at
    if (port == 4789 or port == 8472) and u8(buffer, at) & 0x08:
        return _ETHERNET, at + 8
    if port == 6081 and u8(buffer, at) >> 6 == 0:
        offset = at + 8 + (u8(buffer, at) & 0x3F) * 4
        kind = u16(buffer, at + 2)
        if kind == 0x6558:
            return _ETHERNET, offset
        return _after_ethertype(buffer, offset, end, kind)
    return 0, at


@inline_kernel
def _transport(buffer: Any, protocol: Any, at: Any, end: Any, wire_end: Any, facts: Any) -> Any:
    """Read the UDP or TCP header at ``at``; return FOUND_UDP, FOUND_TCP or a reason."""
    if protocol == 17:
        if end - at < 8:
            return CUT_SHORT if wire_end > end else MALFORMED
        length = u16(buffer, at + 4)
        facts[PAYLOAD] = at + 8
        if length >= 8 and facts[IS_FIRST_FRAGMENT] == 0:
            wire_end = min(wire_end, at + length)
            end = min(end, wire_end)
        elif length >= 8:
            wire_end = at + length
        found = FOUND_UDP
    else:
        if end - at < 20:
            return CUT_SHORT if wire_end > end else MALFORMED
        header = (u8(buffer, at + 12) >> 4) * 4
        if header < 20:
            return MALFORMED
        facts[PAYLOAD] = at + header
        if facts[PAYLOAD] > end:
            return CUT_SHORT if wire_end > end else MALFORMED
        found = FOUND_TCP
    facts[SOURCE_PORT] = u16(buffer, at)
    facts[DESTINATION_PORT] = u16(buffer, at + 2)
    facts[CAPTURED_END] = end
    facts[WIRE_END] = wire_end
    return found


@inline_kernel
def peel(buffer: Any, at: Any, end: Any, linktype: Any, ports: Any, facts: Any) -> Any:
    """Find the transport payload of the packet ``buffer[at:end]``.

    Returns FOUND_UDP or FOUND_TCP with ``facts`` filled, or the reason why there is none. A tunnel
    on a port that ``ports`` marks as DNS is not entered.
    """
    facts[INTERFACE_INDEX] = u32(buffer, at + 4) if linktype == 276 and end - at >= 20 else -1
    layer, at = _enter(buffer, at, end, linktype)
    for _ in range(_MAX_LAYERS):
        if layer == _ETHERNET:
            if end - at < 14:
                return CUT_SHORT
            layer, at = _after_ethertype(buffer, at + 14, end, u16(buffer, at + 12))
            continue
        if layer == _IPV4:
            protocol, at, end, wire_end = _ipv4(buffer, at, end, facts)
        elif layer == _IPV6:
            protocol, at, end, wire_end = _ipv6(buffer, at, end, facts)
        elif layer == 0:
            return NOT_IP
        elif layer == -1:
            return UNKNOWN_LINK_TYPE
        else:
            return CUT_SHORT
        if protocol >= 1000:
            return protocol - 1000
        if protocol == 17 or protocol == 6:
            found = _transport(buffer, protocol, at, end, wire_end, facts)
            if found != FOUND_UDP or ports[facts[DESTINATION_PORT]]:
                return found
            layer, at = _udp_tunnel(buffer, facts[PAYLOAD], end, facts[DESTINATION_PORT])
            if layer == 0:
                return found
        elif protocol == 4:
            layer = _IPV4
        elif protocol == 41:
            layer = _IPV6
        elif protocol == 47:
            layer, at = _gre(buffer, at, end)
            if layer == 0:
                return NOT_DNS
        elif protocol == 1 or protocol == 58:
            return ICMP
        else:
            return NOT_DNS
    return MALFORMED
