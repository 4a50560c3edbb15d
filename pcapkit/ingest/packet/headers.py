"""One packet's headers, from its link type to the UDP datagram or TCP segment inside.

What nearly every packet has (Ethernet, cooked capture, VLAN, IP, UDP, TCP) is read here, in line.
A packet with anything else is found ENCAPSULATED and left to ``encapsulation.py``, which is
compiled when the first comes. Every read comes after a length check; nesting is bounded.
Sources: IEEE 802.1Q; RFC 791, 8200, 768, 9293.
"""

from __future__ import annotations

import numpy as np

from pcapkit.ingest.packet.fields import (
    ADDRESS_BYTES,
    CAPTURED_END,
    DESTINATION,
    DESTINATION_PORT,
    DNS_PORT,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    FRAGMENT_ID,
    FRAGMENT_OFFSET,
    HOP_LIMIT,
    INTERFACE_INDEX,
    IP_ID,
    MORE_FRAGMENTS,
    MOST_HEADERS,
    NO_ETHERTYPE,
    NO_PROTOCOL,
    PAYLOAD,
    PROTO_ICMP,
    PROTO_ICMPV6,
    PROTO_TCP,
    PROTO_UDP,
    PROTOCOL,
    SEQUENCE,
    SERVICE_VLAN,
    SOURCE,
    SOURCE_PORT,
    TCP_FLAGS,
    VLAN,
    WIRE_END,
    IpPayload,
)
from pcapkit.ingest.packet.link import (
    ETHERTYPES,
    LINK_ETHERNET,
    LINK_LOOP,
    LINK_NULL,
    LINK_RAW,
    LINK_SLL,
    LINK_SLL2,
    NETLINK_NETFILTER,
    interface_of_sll2,
)
from pcapkit.ingest.packet.tunnels import PROTOCOLS
from pcapkit.ingest.skip_reasons import (
    ANSWER_UNREACHABLE,
    CUT_SHORT,
    ENCAPSULATED,
    FOUND_TCP,
    FOUND_UDP,
    FRAGMENT,
    ICMP,
    MALFORMED,
    NO_REASON,
    NOT_DNS,
    NOT_IP,
    QUERY_UNREACHABLE,
    TOO_MANY_HEADERS,
)
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.kernels.words import u8, u16, u32
from pcapkit.schema import Bytes, Int, Integers

#: IPv6 extension headers (RFC 8200 section 4), and two of them that have forms of their own.
_EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)
_FRAGMENT_HEADER, _AUTHENTICATION = 44, 51
_ARP, _LLDP = 0x0806, 0x88CC
#: Instead of an EtherType: another link header than the usual ones.
_OTHER_LINK = -1
#: The EtherType behind more VLAN tags than a packet may have.
_TOO_MANY_TAGS = -2


@inline_kernel
def ipv4(buffer: Bytes, at: Int, end: Int, facts: Integers) -> IpPayload:
    """Return (reason, protocol, offset, captured end, wire end) of what an IPv4 header carries.

    The header is to be in ``buffer[at:end]``; ``facts`` gets addresses and the like. Without a
    reason not to, the headers go on with the protocol.
    """
    if end - at < 20:
        return CUT_SHORT, NO_PROTOCOL, at, end, end
    header = (u8(buffer, at) & 15) * 4
    if u8(buffer, at) >> 4 != 4 or header < 20:
        return MALFORMED, NO_PROTOCOL, at, end, end
    if end - at < header:
        return CUT_SHORT, NO_PROTOCOL, at, end, end
    total = u16(buffer, at + 2)
    # 0: the kernel handed a segment for offload to the capture before its length was set
    wire_end = at + total if total else np.int64(end)
    if wire_end < at + header:
        return MALFORMED, NO_PROTOCOL, at, end, end
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
    return NO_REASON, protocol, at, end, wire_end


@inline_kernel
def _int64(reason: Int, protocol: Int, at: Int, end: Int, wire_end: Int) -> IpPayload:
    """Return what helpers do with all their elements of one type: paths of a kernel must agree."""
    return (np.int64(reason), np.int64(protocol), np.int64(at), np.int64(end), np.int64(wire_end))


@helper_kernel
def _fragment(
    facts: Integers, offset: Int, more: Int, protocol: Int, end: Int, wire_end: Int
) -> IpPayload:
    """Note in ``facts`` what reassembly needs of a fragment; return it as :func:`ipv4` does.

    ``offset`` is in units of 8 bytes; ``more`` is 0 in the last fragment. The captured data goes to
    ``end``, on the wire to ``wire_end``; the whole datagram carries ``protocol``.
    """
    facts[FRAGMENT_OFFSET] = offset * 8
    facts[MORE_FRAGMENTS] = more
    facts[PROTOCOL] = protocol
    facts[CAPTURED_END] = end
    facts[WIRE_END] = wire_end
    return _int64(FRAGMENT, protocol, facts[PAYLOAD], end, wire_end)


@inline_kernel
def ipv6(buffer: Bytes, at: Int, end: Int, facts: Integers) -> IpPayload:
    """Return (reason, protocol, offset, captured end, wire end) of what an IPv6 header carries.

    The header is to be in ``buffer[at:end]``; ``facts`` gets what :func:`ipv4` gives them.
    """
    if end - at < 40:
        return CUT_SHORT, NO_PROTOCOL, at, end, end
    if u8(buffer, at) >> 4 != 6:
        return MALFORMED, NO_PROTOCOL, at, end, end
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
    if protocol == PROTO_UDP or protocol == PROTO_TCP:
        return NO_REASON, protocol, at, end, wire_end
    return _extensions(buffer, protocol, at, end, wire_end, facts)


@helper_kernel
def _extensions(
    buffer: Bytes, protocol: Int, at: Int, end: Int, wire_end: Int, facts: Integers
) -> IpPayload:
    """Pass over IPv6 extension headers (RFC 8200 section 4); return what :func:`ipv4` returns.

    The first one is of type ``protocol`` and lies in ``buffer[at:end]``, on the wire up to
    ``wire_end``. A fragment's goes into ``facts``.
    """
    for _ in range(facts[MOST_HEADERS]):
        if protocol not in _EXTENSIONS:
            return _int64(NO_REASON, protocol, at, end, wire_end)
        if end - at < 8:
            reason = CUT_SHORT if wire_end > end else MALFORMED
            return _int64(reason, NO_PROTOCOL, at, end, wire_end)
        kind, protocol = protocol, u8(buffer, at)
        if kind == _FRAGMENT_HEADER:
            fragment = u16(buffer, at + 2)
            if fragment & 0xFFF9:
                facts[FRAGMENT_ID] = u32(buffer, at + 4)
                facts[PAYLOAD] = at + 8
                return _fragment(facts, fragment >> 3, fragment & 1, protocol, end, wire_end)
            at += 8
        elif kind == _AUTHENTICATION:  # the authentication header counts in units of 4 bytes
            at += 8 + u8(buffer, at + 1) * 4
        else:
            at += 8 + u8(buffer, at + 1) * 8
    return _int64(TOO_MANY_HEADERS, NO_PROTOCOL, at, end, wire_end)


@inline_kernel
def transport(
    buffer: Bytes, protocol: Int, at: Int, end: Int, wire_end: Int, facts: Integers
) -> Int:
    """Read the UDP or TCP header of ``buffer[at:end]`` into ``facts``, as ``protocol`` says.

    ``wire_end`` is where it all ended on the wire. Returns FOUND_UDP, FOUND_TCP or a reason.
    """
    header = 8
    found = FOUND_UDP
    if protocol == PROTO_TCP:
        header = 20
        found = FOUND_TCP
    if end - at < header:
        return CUT_SHORT if wire_end > end else MALFORMED
    if protocol == PROTO_UDP:
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
def _other_type(buffer: Bytes, at: Int, end: Int, kind: Int) -> Int:
    """May IP lie in ``buffer[at:end]``, behind EtherType ``kind``?

    ENCAPSULATED, or the reason why not: NOT_IP, TOO_MANY_HEADERS.
    """
    if kind == NETLINK_NETFILTER:
        return np.int64(ENCAPSULATED)
    if kind == _TOO_MANY_TAGS:
        return np.int64(TOO_MANY_HEADERS)
    if kind < 0x600:  # 802.3: a length; LLC follows
        if end - at >= 3 and u16(buffer, at) != 0xAAAA and u16(buffer, at) != 0x0606:
            return np.int64(NOT_IP)
        return np.int64(ENCAPSULATED)
    if kind == _ARP or kind == _LLDP:
        return np.int64(NOT_IP)
    for known in ETHERTYPES:
        if kind == known:
            return np.int64(ENCAPSULATED)
    return np.int64(NOT_IP)


@helper_kernel
def _icmp_reason(
    buffer: Bytes, at: Int, end: Int, protocol: Int, ports: Bytes, facts: Integers
) -> Int:
    """Return the reason why an ICMP message, ``buffer[at:end]`` of ``protocol``, is skipped.

    Destination unreachable quotes the packet that it is about, its ports included (RFC 792, 4443);
    ``ports`` says which are DNS. ``facts`` then say where the quoted packet's addresses are.
    """
    unreachable = 3 if protocol == PROTO_ICMP else 1
    if end - at < 8 or u8(buffer, at) != unreachable:
        return np.int64(ICMP)
    at += 8
    if protocol == PROTO_ICMP:
        if end - at < 20 or u8(buffer, at) >> 4 != 4:
            return np.int64(ICMP)
        inside = u8(buffer, at + 9)
        facts[SOURCE] = at + 12
        facts[ADDRESS_BYTES] = 4
        at += (u8(buffer, at) & 15) * 4
    else:
        if end - at < 40 or u8(buffer, at) >> 4 != 6:
            return np.int64(ICMP)
        inside = u8(buffer, at + 6)
        facts[SOURCE] = at + 8
        facts[ADDRESS_BYTES] = 16
        at += 40
    if (inside != PROTO_UDP and inside != PROTO_TCP) or end - at < 4:
        return np.int64(ICMP)
    if ports[u16(buffer, at + 2)] & DNS_PORT:
        return np.int64(QUERY_UNREACHABLE)
    return np.int64(ANSWER_UNREACHABLE if ports[u16(buffer, at)] & DNS_PORT else ICMP)


@inline_kernel
def _link_header(
    buffer: Bytes, at: Int, end: Int, linktype: Int, facts: Integers
) -> tuple[Int, Int]:
    """Return (offset, EtherType) behind the usual headers of ``linktype`` in ``buffer[at:end]``.

    _OTHER_LINK is the EtherType behind another one; ``facts`` gets SLL2's interface.
    """
    facts[INTERFACE_INDEX] = -1
    if linktype == LINK_ETHERNET and end - at >= 14:
        return at + 14, u16(buffer, at + 12)
    if linktype == LINK_SLL and end - at >= 16:
        return at + 16, u16(buffer, at + 14)
    if linktype == LINK_SLL2 and end - at >= 20:
        facts[INTERFACE_INDEX] = interface_of_sll2(buffer, at)
        return at + 20, u16(buffer, at)
    # NULL's family is in the capturing host's numbers and byte order; the version nibble is not
    skip = 4 if linktype == LINK_NULL or linktype == LINK_LOOP else 0
    if (skip or linktype in LINK_RAW) and end - at > skip:
        version = u8(buffer, at + skip) >> 4
        if version == 4:
            return at + skip, ETHERTYPE_IPV4
        return at + skip, ETHERTYPE_IPV6 if version == 6 else NO_ETHERTYPE
    return at, _OTHER_LINK


@helper_kernel
def _behind_tags(buffer: Bytes, at: Int, end: Int, kind: Int, most_headers: Int) -> tuple[Int, Int]:
    """Pass over VLAN tags in ``buffer[at:end]``; return where they end, and the EtherType there.

    The first one is of type ``kind``; behind ``most_headers`` that is _TOO_MANY_TAGS.
    """
    tags = 0
    while (kind == VLAN or kind == SERVICE_VLAN) and end - at >= 4:
        if tags >= most_headers:
            return np.int64(at), np.int64(_TOO_MANY_TAGS)
        tags += 1
        kind = np.int64(u16(buffer, at + 2))
        at += 4
    return np.int64(at), np.int64(kind)


@inline_kernel
def read_headers(
    buffer: Bytes, at: Int, end: Int, linktype: Int, ports: Bytes, facts: Integers
) -> Int:
    """Find the transport payload of the packet ``buffer[at:end]`` of ``linktype``.

    Returns FOUND_UDP or FOUND_TCP with ``facts`` filled, or the reason why there is none. FRAGMENT
    fills the facts of a fragment; ENCAPSULATED says that the packet may hold another, in a tunnel
    or behind a header that is not read here. ``ports`` (uint8, 65,536 long) marks the
    ports of DNS and of tunnels.
    """
    at, kind = _link_header(buffer, at, end, linktype, facts)
    if kind == VLAN or kind == SERVICE_VLAN:
        at, kind = _behind_tags(buffer, at, end, kind, facts[MOST_HEADERS])
    if kind == ETHERTYPE_IPV4:
        reason, protocol, at, end, wire_end = ipv4(buffer, at, end, facts)
    elif kind == ETHERTYPE_IPV6:
        reason, protocol, at, end, wire_end = ipv6(buffer, at, end, facts)
    elif kind == _OTHER_LINK:
        return ENCAPSULATED
    else:
        return _other_type(buffer, at, end, kind)
    if reason != NO_REASON:
        return reason
    if protocol == PROTO_UDP or protocol == PROTO_TCP:
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
    if protocol == PROTO_ICMP or protocol == PROTO_ICMPV6:
        return _icmp_reason(buffer, at, end, protocol, ports, facts)
    for known in PROTOCOLS:
        if protocol == known:
            return ENCAPSULATED
    return NOT_DNS
