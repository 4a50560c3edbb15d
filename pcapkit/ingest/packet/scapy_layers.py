"""Link layers that the compiled path does not know: their IP packets, by way of Scapy.

Slow (some thousands of packets a second), so bounded and counted by the caller. To add a link type:
a row in ``_SCAPY``, or a function and a row in ``_OWN``. Scapy is imported when the first such
packet comes, and only the submodules named here.
Sources: tcpdump.org link-layer header types; Linux' nfnetlink_log.h and netlink(7).
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

#: link type, submodule of Scapy, class of the outermost layer, submodules that bind what is inside
_SCAPY: tuple[tuple[int, str, str, tuple[str, ...]], ...] = (
    (105, "scapy.layers.dot11", "Dot11", ()),
    (119, "scapy.layers.dot11", "PrismHeader", ()),
    (127, "scapy.layers.dot11", "RadioTap", ()),
    (163, "scapy.contrib.avs", "AVSWLANHeader", ("scapy.layers.dot11",)),
    (192, "scapy.layers.ppi", "PPI", ("scapy.layers.dot11",)),
    (195, "scapy.layers.dot15d4", "Dot15d4FCS", ("scapy.layers.sixlowpan",)),
    (230, "scapy.layers.dot15d4", "Dot15d4", ("scapy.layers.sixlowpan",)),
    (274, "scapy.layers.l2", "MPacketPreamble", ()),
)
_NETLINK_HEADER = 16
_NFNETLINK = b"\0\x0c"
_MAX_PACKETS = 256  # within one netlink message


def _netlink(data: bytes) -> Iterator[bytes]:
    """Yield the packets that NFLOG sent in netlink messages, in their order.

    Link type 253 has the header of a cooked capture, of either version where that is its link type.
    """
    return _messages(data, 16) if data[14:16] == _NFNETLINK else iter(())


def _netlink_cooked_2(data: bytes) -> Iterator[bytes]:
    return _messages(data, 20) if data[:2] == _NFNETLINK else iter(())


def _messages(data: bytes, at: int) -> Iterator[bytes]:
    for _ in range(_MAX_PACKETS):
        if len(data) - at < _NETLINK_HEADER + 4:
            return
        order = "<" if data[at : at + 4] < data[at : at + 4][::-1] else ">"
        order = ">" if order == "<" else "<"
        size, kind = struct.unpack_from(order + "IH", data, at)
        if size < _NETLINK_HEADER:
            return
        if kind == 0x0400:  # subsystem 4 (ULOG), message 0 (packet)
            yield from _attributes(data[at + _NETLINK_HEADER + 4 : at + size], order)
        at += (size + 3) & ~3


def _attributes(data: bytes, order: str) -> Iterator[bytes]:
    at = 0
    while len(data) - at >= 4:
        size, kind = struct.unpack_from(order + "HH", data, at)
        if size < 4:
            return
        if kind == 9:
            yield data[at + 4 : at + size]
        at += (size + 3) & ~3


#: 113 and 276 come here where they say that they hold netlink.
_OWN: dict[int, Callable[[bytes], Iterator[bytes]]] = {
    253: _netlink,
    113: _netlink,
    276: _netlink_cooked_2,
}
KNOWN_LINK_TYPES = frozenset({row[0] for row in _SCAPY} | set(_OWN))


@cache
def _layers(linktype: int) -> tuple[Any, tuple[Any, ...]]:
    """Return the class of the outermost layer, and those of IP."""
    module, name, inside = next(row[1:] for row in _SCAPY if row[0] == linktype)
    for submodule in inside:
        importlib.import_module(submodule)
    inet = importlib.import_module("scapy.layers.inet")
    inet6 = importlib.import_module("scapy.layers.inet6")
    return getattr(importlib.import_module(module), name), (inet.IP, inet6.IPv6)


def ip_packets(linktype: int, data: bytes) -> list[bytes] | None:
    """Return the outermost IP packets within a packet; None where it cannot be dissected."""
    if linktype in _OWN:
        return list(_OWN[linktype](data))
    outermost, ip = _layers(linktype)
    try:
        layer = outermost(data)
        while layer and not isinstance(layer, ip):
            layer = layer.payload
        return [bytes(layer.original)] if layer else []
    except Exception:  # Scapy's dissectors raise anything on hostile bytes
        return None
