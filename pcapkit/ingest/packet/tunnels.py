"""Tunnels: what an IP protocol, or a datagram on a port, carries inside.

:func:`ip_tunnel` knows IP protocols, :func:`udp_tunnel` ports of either side. To add a tunnel, add
its test there. Every read comes after a length check.

Sources: RFC 2784, 2890 and 2637 (GRE), RFC 7637 (NVGRE), draft-foschiano-erspan, RFC 7348 (VXLAN),
draft-ietf-nvo3-vxlan-gpe, RFC 8926 (Geneve), RFC 8086 (GRE in UDP), RFC 7510 (MPLS in UDP), RFC
4380 (Teredo), 3GPP TS 29.281 (GTP-U), RFC 2003 (IP in IP), RFC 4213 (IPv6 in IPv4), RFC 3378
(EtherIP), RFC 4023 (MPLS in IP), RFC 8986 (Ethernet in IPv6), Wireshark's packet-tzsp.c.
"""

from __future__ import annotations

from pcapkit.ingest.packet.fields import (
    ANY_IP,
    ETHERNET,
    IPV4,
    IPV6,
    MPLS,
    NO_LAYER,
    NSH,
    TYPED,
    Layer,
)
from pcapkit.ingest.skip_reasons import CUT_SHORT, NOT_DNS
from pcapkit.kernels.jit import helper_kernel
from pcapkit.kernels.words import u8, u16
from pcapkit.schema import Bytes, Int

#: The IP protocols and the ports that are known here.
PROTOCOLS = (4, 41, 47, 97, 137, 143)
PORTS = (2152, 3544, 4754, 4789, 4790, 6081, 6635, 8472, 37008)


@helper_kernel
def ip_tunnel(buffer: Bytes, at: Int, end: Int, protocol: Int) -> Layer:
    """Return (layer, offset, EtherType) of what an IP protocol other than UDP and TCP carries."""
    if protocol == 4:
        return IPV4, at, 0
    if protocol == 41:
        return IPV6, at, 0
    if protocol == 47:
        return gre(buffer, at, end)
    if protocol == 97 and end - at >= 2:  # EtherIP (RFC 3378)
        return ETHERNET, at + 2, 0
    if protocol == 137:  # MPLS in IP (RFC 4023)
        return MPLS, at, 0
    if protocol == 143:  # Ethernet in IP, segment routing (RFC 8986)
        return ETHERNET, at, 0
    return NOT_DNS, at, 0


@helper_kernel
def gre(buffer: Bytes, at: Int, end: Int) -> Layer:
    """Return (layer, offset, EtherType) of what a GRE header carries."""
    if end - at < 4:
        return CUT_SHORT, at, 0
    flags = u16(buffer, at)
    kind = u16(buffer, at + 2)
    if flags & 7 > 1 or flags & 0x4000:  # versions yet unknown; source routes
        return NOT_DNS, at, kind
    offset = at + 4
    for bit in (0x8000, 0x2000, 0x1000):  # checksum, key, sequence number
        if flags & bit:
            offset += 4
    if flags & 0x87 == 0x81:  # version 1: acknowledgement number
        offset += 4
    if kind == 0x88BE:  # ERSPAN: type I has no sequence number and no header of its own
        return ETHERNET, offset + (8 if flags & 0x1000 else 0), kind
    if kind == 0x22EB:  # ERSPAN type III: 12 bytes, and 8 more where the last bit says so
        if end - offset < 12:
            return CUT_SHORT, at, kind
        trailer = u16(buffer, offset + 10)
        layer = ANY_IP if trailer & 0x7C00 == 0x0800 else ETHERNET
        return layer, offset + (20 if trailer & 1 else 12), kind
    if kind < 0x600:
        return NOT_DNS, offset, kind
    return TYPED, offset, kind


@helper_kernel
def udp_tunnel(buffer: Bytes, at: Int, end: Int, source: Int, destination: Int) -> Layer:
    """Return (layer, offset, EtherType) of what a datagram carries; NO_LAYER: no tunnel."""
    left = end - at
    if left < 8:
        return NO_LAYER, at, 0
    first = u8(buffer, at)
    for port in (destination, source):
        if port == 4789 or port == 8472:
            if first & 0x08:
                return ETHERNET, at + 8, 0
        elif port == 4790:
            following = u8(buffer, at + 3)
            if following == 1 or following == 2:
                return (IPV4 if following == 1 else IPV6), at + 8, 0
            if following == 3:
                return ETHERNET, at + 8, 0
            if following == 4:
                return NSH, at + 8, 0
        elif port == 6081:
            if first >> 6 == 0:
                return TYPED, at + 8 + (first & 0x3F) * 4, u16(buffer, at + 2)
        elif port == 2152:
            return _gtp(buffer, at, end)
        elif port == 4754:
            return gre(buffer, at, end)
        elif port == 6635:
            return MPLS, at, 0
        elif port == 3544:
            if first >> 4 == 6:
                return IPV6, at, 0
        elif port == 37008 and u16(buffer, at + 2) == 1:
            return _tzsp(buffer, at, end)
    if first == 0x45 and left >= 20 and u16(buffer, at + 2) == left and _sums_up(buffer, at):
        return IPV4, at, 0  # IP in UDP, on any port: its length and its checksum are right
    return NO_LAYER, at, 0


@helper_kernel
def _sums_up(buffer: Bytes, at: Int) -> bool:
    """Is the checksum of this IPv4 header of 20 bytes right?"""
    total = 0
    for k in range(0, 20, 2):
        total += u16(buffer, at + k)
    total = (total & 0xFFFF) + (total >> 16)
    return bool((total & 0xFFFF) + (total >> 16) == 0xFFFF)


@helper_kernel
def _gtp(buffer: Bytes, at: Int, end: Int) -> Layer:
    """Return (layer, offset, EtherType) of the packet in a GTP-U G-PDU; the caller has 8 bytes."""
    flags = u8(buffer, at)
    if flags >> 4 != 3 or u8(buffer, at + 1) != 255:
        return NO_LAYER, at, 0
    offset = at + 8
    if flags & 7:
        offset += 4
        following = u8(buffer, offset - 1) if end >= offset and flags & 4 else 0
        while following != 0 and end - offset >= 4:
            size = u8(buffer, offset) * 4
            if size == 0 or end - offset < size:
                return NO_LAYER, at, 0
            offset += size
            following = u8(buffer, offset - 1)
    return ANY_IP, offset, 0


@helper_kernel
def _tzsp(buffer: Bytes, at: Int, end: Int) -> Layer:
    """Pass over the tagged fields of a TaZmen Sniffer Protocol header."""
    at += 4
    for _ in range(64):
        if end - at < 1 or u8(buffer, at) == 1:
            break
        if u8(buffer, at) == 0:
            at += 1
        elif end - at < 2:
            break
        else:
            at += 2 + u8(buffer, at + 1)
    return ETHERNET, at + 1, 0
