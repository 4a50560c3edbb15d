"""Headers of packets written anew, compiled: addresses mapped, what is optional blanked.

With their checksums (RFC 1071).
"""

from __future__ import annotations

import numpy as np

from pcapkit.ingest.packet.fields import IPV4, IPV6, MOST_HEADERS, PROTO_ICMP, PROTO_TCP, PROTO_UDP
from pcapkit.ingest.packet.link import LINK_SLL, LINK_SLL2
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u8, u16
from pcapkit.schema import Bytes, Int
from pcapkit.sharing.messages import (
    CUT,
    PLACE,
    Maps,
    Work,
    put8,
    put16,
    put_address,
    put_copy,
    put_fill,
)

#: Headers of IPv6 by their numbers (IANA, IPv6 Extension Header Types).
_FRAGMENT_HEADER, _AUTHENTICATION, _EXTENSIONS = 44, 51, (0, 43, 44, 51, 60, 135, 139, 140)


@inline_kernel
def summed(out: Bytes, at: Int, end: Int, total: Int) -> Int:
    """Add the 16-bit words of ``out[at:end]`` to ``total``."""
    while end - at >= 2:
        total += u16(out, at)
        at += 2
    if at < end:
        total += u8(out, at) << 8
    return total


@inline_kernel
def folded(total: Int) -> Int:
    """Return the checksum that a sum of words makes."""
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@helper_kernel
def put_checksum(out: Bytes, ip: Int, at: Int, end: Int, protocol: Int, place: Int) -> None:
    """Fill in the checksum at ``place`` of the datagram or segment ``out[at:end]``."""
    out[place], out[place + 1] = 0, 0
    if u8(out, ip) >> 4 == 4:
        total = summed(out, ip + 12, ip + 20, np.int64(0))
    else:
        total = summed(out, ip + 8, ip + 40, np.int64(0))
    check = folded(summed(out, at, end, total + protocol + (end - at)))
    if check == 0 and protocol == PROTO_UDP:
        check = np.int64(0xFFFF)
    out[place], out[place + 1] = check >> 8, check & 255


@kernel
def complete_segment(out: Bytes, ip: Int, at: Int, end: Int) -> None:
    """Fill in the checksum of the TCP segment ``out[at:end]`` whose IP header is at ``ip``."""
    put_checksum(out, ip, at, end, PROTO_TCP, at + 16)


@helper_kernel
def put_ip(
    buffer: Bytes, at: Int, stop: Int, layer: Int, out: Bytes, maps: Maps, work: Work
) -> None:
    """Write the IP header ``buffer[at:stop]``: addresses mapped, what is optional blanked."""
    state = work.state
    if layer == IPV4:
        put_copy(buffer, at, at + 10, out, state)
        put16(out, state, 0)
        put_address(buffer, at + 12, 4, out, maps, work)
        put_address(buffer, at + 16, 4, out, maps, work)
        put_fill(0, stop - at - 20, out, state)
        return
    put8(out, state, 0x60)  # the traffic class and the flow label say nothing here
    put_fill(0, 3, out, state)
    put_copy(buffer, at + 4, at + 8, out, state)
    put_address(buffer, at + 8, 16, out, maps, work)
    put_address(buffer, at + 24, 16, out, maps, work)
    kind: Int = np.int64(u8(buffer, at + 6))
    at += 40
    for _ in range(work.facts[MOST_HEADERS]):
        if stop - at < 8 or kind not in _EXTENSIONS:
            break
        size: Int = np.int64(8)
        if kind == _AUTHENTICATION:
            size += u8(buffer, at + 1) * 4
        elif kind != _FRAGMENT_HEADER:
            size += u8(buffer, at + 1) * 8
        size = min(size, np.int64(stop - at))
        shown = np.int64(8 if kind == _FRAGMENT_HEADER else 2)
        put_copy(buffer, at, at + shown, out, state)
        put_fill(0, size - shown, out, state)
        kind = np.int64(u8(buffer, at))
        at += size
    put_fill(0, stop - at, out, state)


@helper_kernel
def _put_cooked_address(
    buffer: Bytes, at: Int, length: Int, out: Bytes, maps: Maps, work: Work
) -> None:
    """Write the 8 bytes at ``at`` in which a cooked header holds an address of so many bytes."""
    if length == 6:
        put_address(buffer, at, 6, out, maps, work)
        put_fill(0, 2, out, work.state)
    else:
        put_fill(0, 8, out, work.state)


@helper_kernel
def put_link(
    buffer: Bytes, at: Int, stop: Int, linktype: Int, out: Bytes, maps: Maps, work: Work
) -> None:
    """Write a header of ``linktype``, which is in ``buffer[at:stop]``, with its address mapped."""
    state = work.state
    if linktype == LINK_SLL:
        put_copy(buffer, at, at + 6, out, state)
        _put_cooked_address(buffer, at + 6, u16(buffer, at + 4), out, maps, work)
        put_copy(buffer, at + 14, at + 16, out, state)
    elif linktype == LINK_SLL2:
        put_copy(buffer, at, at + 12, out, state)
        _put_cooked_address(buffer, at + 12, u8(buffer, at + 11), out, maps, work)
    else:
        put_copy(buffer, at, stop, out, state)


@helper_kernel
def put_icmp(
    buffer: Bytes, at: Int, end: Int, protocol: Int, out: Bytes, maps: Maps, work: Work
) -> None:
    """Write an ICMP message: its type, and of the packet that it quotes the headers."""
    state = work.state
    state[CUT] = 1
    if end - at < 8:
        put_copy(buffer, at, min(end, at + 2), out, state)
        return
    put_copy(buffer, at, at + 2, out, state)
    put_fill(0, 6, out, state)
    if u8(buffer, at) != (3 if protocol == PROTO_ICMP else 1):
        return
    at += 8
    four = protocol == PROTO_ICMP
    if end - at < (20 if four else 40) or u8(buffer, at) >> 4 != (4 if four else 6):
        return
    size = (u8(buffer, at) & 15) * 4 if four else 40
    if size < 20 or end - at < size:
        return
    place = state[PLACE]
    put_ip(buffer, at, at + size, IPV4 if four else IPV6, out, maps, work)
    if four:
        check = folded(summed(out, place, place + size, np.int64(0)))
        out[place + 10], out[place + 11] = check >> 8, check & 255
    at += size
    ports = min(np.int64(end - at), np.int64(8))
    put_copy(buffer, at, at + min(ports, np.int64(6)), out, state)
    put_fill(0, ports - 6, out, state)
