"""Internet checksums (RFC 1071) of what is written, compiled."""

from __future__ import annotations

import numpy as np

from pcapkit.ingest.packet.fields import PROTO_TCP, PROTO_UDP
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u8, u16
from pcapkit.schema import Bytes, Int


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
