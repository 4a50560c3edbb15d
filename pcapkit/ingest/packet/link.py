"""Link layers, and the layers between them and IP.

:func:`link_layer` knows the headers of link types, :func:`ethertype_layer` what EtherTypes
announce, and :func:`inner_layer` the layers that lie between. To add one, add its test there and,
where it is a layer of its own, its number in ``fields.py``. Every read comes after a length check.

Sources: tcpdump.org link-layer header types; IEEE 802.1Q, 802.1ah, 802.2; RFC 1661 and 2516 (PPP,
PPPoE), RFC 3032 and 4928 (MPLS), RFC 8300 (NSH), RFC 1051 and 1201 (ARCNET); Linux'
nfnetlink_log.h; Apple's bpf.h (PKTAP).
"""

from __future__ import annotations

import numpy as np

from pcapkit.ingest.packet.fields import (
    ANY_IP,
    ETHERNET,
    IPV4,
    IPV6,
    LLC,
    MPLS,
    NFLOG,
    NSH,
    OF_LINK_TYPE,
    PPP,
    TYPED,
    Layer,
)
from pcapkit.ingest.skip_reasons import CUT_SHORT, FRAGMENT, MALFORMED, NOT_IP, UNKNOWN_LINK_TYPE
from pcapkit.kernels.hashing import hash_bytes
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.kernels.words import u8, u16, u16_little, u32, u32_little
from pcapkit.schema import Bytes, Int

#: The EtherTypes that :func:`ethertype_layer` knows.
ETHERTYPES = (
    0x8847,
    0x8848,
    0x6558,
    0x880B,
    0x894F,
    0x8864,
    0x88E7,
    0x9100,
    0x9200,
    0x8926,
    0x8909,
)
_ARPHRD_NETLINK = 824
#: What cooked captures of netlink have for an EtherType: the family of the kernel's packet log.
NETLINK_NETFILTER = 12
LINK_RAW = (12, 14, 101)  #: as the platforms number it
LINK_NULL, LINK_ETHERNET, LINK_LOOP, LINK_SLL, LINK_SLL2 = 0, 1, 108, 113, 276


@inline_kernel
def interface_of_sll2(buffer: Bytes, at: Int) -> Int:
    """Return the interface index in the header of SLL2 at ``at``, whose 20 bytes are there.

    The kernel numbers interfaces with 31 bits; a larger number is the largest.
    """
    return min(u32(buffer, at + 4), np.int64(0x7FFFFFFF))


@helper_kernel
def link_layer(buffer: Bytes, at: Int, end: Int, linktype: Int) -> Layer:
    """Return (layer, offset, EtherType) behind a link header."""
    left = end - at
    need = 4
    layer: Int = UNKNOWN_LINK_TYPE
    kind: Int = 0
    skip: Int = 0
    if linktype in LINK_RAW:
        need, layer = 1, ANY_IP
    elif linktype == 228 or linktype == 229:
        need, layer = 1, (IPV4 if linktype == 228 else IPV6)
    elif linktype == LINK_NULL or linktype == LINK_LOOP:
        # The family's number and byte order are the capturing host's; the version nibble is not.
        layer, skip = ANY_IP, 4
    elif linktype == 9 or linktype == 50 or linktype == 166:  # PPP, also with a direction (166)
        layer = PPP
    elif linktype == 204:  # PPP behind a direction
        layer, skip = PPP, 1
    elif linktype == 51:  # PPPoE
        need, layer, skip = 8, PPP, 6
    elif linktype == 104 or linktype == 205:  # Cisco HDLC, also behind a direction
        skip = 4 if linktype == 104 else 5
        need, layer = skip, TYPED
        kind = u16(buffer, at + skip - 2) if left >= skip else 0
    elif linktype == 109:  # OpenBSD's encapsulating interface
        need, layer, skip = 12, ANY_IP, 12
    elif linktype == 117:  # OpenBSD's packet filter log; its length, rounded up
        layer = ANY_IP
        skip = (u8(buffer, at) + 3) & ~3 if left >= 1 else 0
    elif linktype == 10:  # FDDI
        need, layer, skip = 13, LLC, 13
    elif linktype == 6:  # token ring, its source route as long as it says
        need, layer, skip = 16, LLC, 14
        if left >= 16 and u8(buffer, at + 8) & 0x80:
            skip += u8(buffer, at + 14) & 0x1F
    elif linktype == 7 or linktype == 129:  # ARCNET, and as Linux shows it
        need, layer = 8, NOT_IP
        if left >= 8:
            layer, skip, kind = _arcnet(buffer, at, linktype)
    elif linktype == 138:  # IP over IEEE 1394
        need, layer, skip = 18, TYPED, 18
        kind = u16(buffer, at + 16) if left >= 18 else 0
    elif linktype == 239:  # NFLOG
        layer, skip = NFLOG, 4
    elif linktype == 240 or linktype == 241:  # Hilscher's analyser; 241: preamble and delimiter
        layer, skip = ETHERNET, (4 if linktype == 240 else 12)
    elif linktype == 258 or linktype == 149:  # PKTAP; Apple wrote it as USER2 at first
        need = 12
        if left >= 12 and u32_little(buffer, at) >= 12:
            layer, skip = OF_LINK_TYPE + u32_little(buffer, at + 8), u32_little(buffer, at)
    elif linktype == 192 and left >= 8:  # PPI
        layer, skip = OF_LINK_TYPE + u32_little(buffer, at + 4), u16_little(buffer, at + 2)
    elif linktype == LINK_ETHERNET:
        need, layer = 14, ETHERNET
    elif linktype == LINK_SLL:
        need, layer, skip = 16, TYPED, 16
        kind = u16(buffer, at + 14) if left >= 16 else 0
        if left >= 16 and u16(buffer, at + 2) == _ARPHRD_NETLINK:
            layer = UNKNOWN_LINK_TYPE  # the header is that of NETLINK, see scapy_layers.py
    elif linktype == LINK_SLL2:
        need, layer, skip = 20, TYPED, 20
        kind = u16(buffer, at) if left >= 20 else 0
        if left >= 20 and u16(buffer, at + 8) == _ARPHRD_NETLINK:
            layer = UNKNOWN_LINK_TYPE
    if layer == UNKNOWN_LINK_TYPE:
        return layer, at, kind
    if left < need or left < skip:
        return CUT_SHORT, at, kind
    return layer, at + skip, kind


@helper_kernel
def ethertype_layer(buffer: Bytes, at: Int, end: Int, kind: Int) -> Layer:
    """Return (layer, offset, EtherType) behind an EtherType that is neither IP nor a VLAN tag."""
    left = end - at
    if kind < 0x600:
        return LLC, at, kind
    if kind == 0x8847 or kind == 0x8848:
        return MPLS, at, kind
    if kind == 0x6558:
        return ETHERNET, at, kind
    if kind == 0x880B:
        return PPP, at, kind
    if kind == 0x894F:
        return NSH, at, kind
    if kind == 0x8864 and left >= 6:  # PPPoE session
        return PPP, at + 6, kind
    if kind == 0x88E7 and left >= 4:  # backbone bridging
        return ETHERNET, at + 4, kind
    if (kind == 0x9100 or kind == 0x9200) and left >= 4:  # VLAN tags from before 802.1ad
        return TYPED, at + 4, u16(buffer, at + 2)
    if kind == 0x8926 and left >= 6:  # VN-Tag
        return TYPED, at + 6, u16(buffer, at + 4)
    if kind == 0x8909 and left >= 8:  # Cisco's metadata: version, length in words, options
        return TYPED, at + 8, u16(buffer, at + 6)
    return NOT_IP, at, kind


@helper_kernel
def inner_layer(buffer: Bytes, at: Int, end: Int, layer: Int) -> Layer:
    """Return (layer, offset, EtherType) behind a layer that lies between two others."""
    left = end - at
    if layer >= OF_LINK_TYPE:
        return link_layer(buffer, at, end, layer - OF_LINK_TYPE)
    if layer == ANY_IP and left >= 1:
        version = u8(buffer, at) >> 4
        return (IPV4 if version == 4 else IPV6 if version == 6 else NOT_IP), at, 0
    if layer == ETHERNET and left >= 14:
        return TYPED, at + 14, u16(buffer, at + 12)
    if layer == LLC and left >= 3:
        if left >= 8 and u16(buffer, at) == 0xAAAA:
            return TYPED, at + 8, u16(buffer, at + 6)
        return (IPV4 if u16(buffer, at) == 0x0606 else NOT_IP), at + 3, 0
    if layer == PPP:
        return _ppp(buffer, at, end)
    if layer == MPLS:
        return _mpls(buffer, at, end)
    if layer == NFLOG:
        return _nflog(buffer, at, end)
    if layer == NSH and left >= 8:
        following = u8(buffer, at + 3)
        size = (u16(buffer, at) & 0x3F) * 4
        if left < size:
            return CUT_SHORT, at, 0
        at += size
        if following == 1:
            return IPV4, at, 0
        if following == 2:
            return IPV6, at, 0
        return (ETHERNET if following == 3 else NOT_IP), at, 0
    return CUT_SHORT, at, 0


@helper_kernel
def _arcnet(buffer: Bytes, at: Int, linktype: Int) -> Layer:
    """Return (layer, bytes to pass over, EtherType) of an ARCNET header of 8 bytes and more."""
    behind = 2 if linktype == 7 else 4  # Linux: two more bytes of offset
    system = u8(buffer, at + behind)
    if system == 0xF0:  # RFC 1051: no header of its own
        return IPV4, behind + 1, 0
    if system == 0xD4 or system == 0xC4:  # RFC 1201: IPv4, IPv6; split packets are not put together
        if u8(buffer, at + behind + 1) != 0:
            return FRAGMENT, 0, 0
        return (IPV4 if system == 0xD4 else IPV6), behind + 4, 0
    return NOT_IP, 0, 0


@helper_kernel
def _ppp(buffer: Bytes, at: Int, end: Int) -> Layer:
    """PPP, with or without its address and control bytes, its protocol in one byte or two."""
    if end - at >= 2 and u16(buffer, at) == 0xFF03:
        at += 2
    if end - at < 2:
        return CUT_SHORT, at, 0
    protocol = u8(buffer, at)
    if protocol & 1:
        at += 1
    else:
        protocol = u16(buffer, at)
        at += 2
    if protocol == 0x21:
        return IPV4, at, 0
    if protocol == 0x57:
        return IPV6, at, 0
    if protocol == 0x281 or protocol == 0x283:
        return MPLS, at, 0
    return NOT_IP, at, 0


@helper_kernel
def _mpls(buffer: Bytes, at: Int, end: Int) -> Layer:
    """Pass over a label stack; what is below shows itself by its first bits (RFC 4928)."""
    while end - at >= 5:
        bottom = u8(buffer, at + 2) & 1
        at += 4
        if bottom:
            version = u8(buffer, at) >> 4
            if version == 4:
                return IPV4, at, 0
            if version == 6:
                return IPV6, at, 0
            if version == 0 and end - at >= 4:  # a pseudowire's control word (RFC 4385)
                return ETHERNET, at + 4, 0
            return NOT_IP, at, 0
    return CUT_SHORT, at, 0


@helper_kernel
def _nflog(buffer: Bytes, at: Int, end: Int) -> Layer:
    """Find the packet among the attributes, which are in the capturing host's byte order."""
    for _ in range(64):
        if end - at < 4:
            return CUT_SHORT, at, 0
        size = u16_little(buffer, at)
        kind = u16_little(buffer, at + 2)
        if kind > 0xFF:
            size = u16(buffer, at)
            kind = u16(buffer, at + 2)
        if size < 4:
            return MALFORMED, at, 0
        if kind == 9:
            return ANY_IP, at + 4, 0
        at += (size + 3) & ~3
    return NOT_IP, at, 0


@inline_kernel
def link_identity(buffer: Bytes, at: Int, end: Int, linktype: Int, seed: np.uint64) -> np.uint64:
    """Hash what tells one hop's copy of a packet from another's: link addresses, direction."""
    if linktype == LINK_ETHERNET and end - at >= 12:
        size = 12
    elif linktype == LINK_SLL and end - at >= 14:
        size = 14
    elif linktype == LINK_SLL2 and end - at >= 20:
        at, size = at + 4, 16
    else:
        return np.uint64(0)
    return hash_bytes(buffer, at, size, seed)
