"""Packets inside packets: tunnels, and link layers that are not met every day.

:func:`unwrap` goes down from the link layer to the innermost IP packet, which then takes the usual
way as if it had been captured alone. It is compiled when the first such packet comes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.ingest.packet.fields import (
    CAPTURED_END,
    CUT_SHORT,
    DESTINATION_PORT,
    DNS_PORT,
    FRAGMENT,
    IPV4,
    IPV6,
    MALFORMED,
    MAX_LAYERS,
    PAYLOAD,
    SOURCE_PORT,
    TYPED,
)
from pcapkit.ingest.packet.headers import ipv4, ipv6, transport
from pcapkit.ingest.packet.link import LINK_SLL2, enter, inside, link_identity, typed
from pcapkit.ingest.packet.tunnels import ip_tunnel, udp_tunnel
from pcapkit.ingest.skip_reasons import FOUND_UDP
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.kernels.words import u16, u32

#: The link type of a bare IP packet.
RAW = 101


@helper_kernel
def _innermost(
    buffer: Any, at: Any, end: Any, linktype: Any, ports: Any, facts: Any, place: Any
) -> Any:
    """Set ``place`` to where the innermost IP packet lies; return 0, or why there is none."""
    layer, at, kind = enter(buffer, at, end, linktype)
    for _ in range(MAX_LAYERS):
        if layer == TYPED:
            if kind == 0x0800 or kind == 0x86DD:
                layer = np.int64(IPV4 if kind == 0x0800 else IPV6)
            elif (kind == 0x8100 or kind == 0x88A8) and end - at >= 4:
                kind = u16(buffer, at + 2)
                at += 4
                continue
            else:
                layer, at, kind = typed(buffer, at, end, kind)
                continue
        if layer < 0:
            return -layer
        if layer != IPV4 and layer != IPV6:
            layer, at, kind = inside(buffer, at, end, layer)
            continue
        place[0], place[1] = at, end
        if layer == IPV4:
            protocol, at, end, wire_end = ipv4(buffer, at, end, facts)
        else:
            protocol, at, end, wire_end = ipv6(buffer, at, end, facts)
        if protocol == 17:
            if transport(buffer, protocol, at, end, wire_end, facts) != FOUND_UDP:
                return np.int64(0)
            if (ports[facts[SOURCE_PORT]] | ports[facts[DESTINATION_PORT]]) & DNS_PORT:
                return np.int64(0)
            end = facts[CAPTURED_END]
            layer, at, kind = udp_tunnel(
                buffer, facts[PAYLOAD], end, facts[SOURCE_PORT], facts[DESTINATION_PORT]
            )
            if layer == 0:
                return np.int64(0)
        elif protocol == 6 or protocol == 1000 + FRAGMENT:
            return np.int64(0)
        elif protocol >= 1000:
            return protocol - 1000
        else:
            layer, at, kind = ip_tunnel(buffer, at, end, protocol)
    return np.int64(MALFORMED)


@kernel
def unwrap(
    buffer: Any, records: Any, ports: Any, seed: Any, fates: Any, links: Any, facts: Any, place: Any
) -> None:
    """Make every record that of the innermost IP packet in it, with link type RAW.

    ``fates`` becomes 0, or the ledger's reason where there is no such packet; ``links`` what tells
    one hop's copy from another's, of the packet as captured. ``facts`` (FACTS) and ``place`` (two
    integers) are room to work in.
    """
    for i in range(records.shape[0]):
        record = records[i]
        at = record["offset"]
        end = at + record["captured"]
        linktype = np.int64(record["linktype"])
        missing = record["original"] - record["captured"]
        links[i] = np.int64(link_identity(buffer, at, end, linktype, seed))
        if linktype == LINK_SLL2 and end - at >= 20:
            record["interface"] = u32(buffer, at + 4)
        fate = _innermost(buffer, at, end, linktype, ports, facts, place)
        fates[i] = MALFORMED if fate == CUT_SHORT and missing <= 0 else fate
        if fate == 0:
            record["offset"] = place[0]
            record["captured"] = place[1] - place[0]
            record["original"] = record["captured"] + missing
            record["linktype"] = RAW
