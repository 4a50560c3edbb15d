"""Packets inside packets: tunnels, and link layers that are not met every day.

:func:`unwrap` goes down from the link layer to the innermost IP packet, which then takes the usual
way as if it had been captured alone. It is compiled when the first such packet comes.
"""

from __future__ import annotations

import numpy as np

from pcapkit.ingest.packet.fields import (
    CAPTURED_END,
    DESTINATION_PORT,
    DNS_PORT,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    FIRST_LAYER,
    IPV4,
    IPV6,
    MOST_HEADERS,
    NO_LAYER,
    PAYLOAD,
    PROTO_ICMP,
    PROTO_ICMPV6,
    PROTO_TCP,
    PROTO_UDP,
    SERVICE_VLAN,
    SOURCE_PORT,
    TYPED,
    VLAN,
)
from pcapkit.ingest.packet.headers import ipv4, ipv6, transport
from pcapkit.ingest.packet.link import (
    LINK_SLL2,
    ethertype_layer,
    inner_layer,
    interface_of_sll2,
    link_identity,
    link_layer,
)
from pcapkit.ingest.packet.tunnels import ip_tunnel, udp_tunnel
from pcapkit.ingest.skip_reasons import (
    CUT_SHORT,
    FOUND_UDP,
    FRAGMENT,
    MALFORMED,
    NO_REASON,
    TOO_MANY_HEADERS,
)
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.kernels.words import u16
from pcapkit.schema import Bytes, Int, Integers, Rows

#: The link type of a bare IP packet.
RAW = 101


@helper_kernel
def _innermost(
    buffer: Bytes, at: Int, end: Int, linktype: Int, ports: Bytes, facts: Integers, bounds: Integers
) -> Int:
    """Set ``bounds`` to where the innermost IP packet of ``buffer[at:end]`` lies.

    Returns NO_REASON, or the reason why there is none. The packet begins with a header of
    ``linktype``; ``ports`` are those of :func:`read_headers`, ``facts`` is scratch, of
    :func:`new_facts`.
    """
    layer, at, kind = link_layer(buffer, at, end, linktype)
    for _ in range(facts[MOST_HEADERS]):
        if layer == TYPED:
            if kind == ETHERTYPE_IPV4 or kind == ETHERTYPE_IPV6:
                layer = np.int64(IPV4 if kind == ETHERTYPE_IPV4 else IPV6)
            elif (kind == VLAN or kind == SERVICE_VLAN) and end - at >= 4:
                kind = u16(buffer, at + 2)
                at += 4
                continue
            else:
                layer, at, kind = ethertype_layer(buffer, at, end, kind)
                continue
        if layer < FIRST_LAYER:
            return np.int64(layer)
        if layer != IPV4 and layer != IPV6:
            layer, at, kind = inner_layer(buffer, at, end, layer)
            continue
        bounds[0], bounds[1] = at, end
        if layer == IPV4:
            reason, protocol, at, end, wire_end = ipv4(buffer, at, end, facts)
        else:
            reason, protocol, at, end, wire_end = ipv6(buffer, at, end, facts)
        if reason == FRAGMENT:
            return np.int64(NO_REASON)
        if reason != NO_REASON:
            return np.int64(reason)
        if protocol == PROTO_TCP or protocol == PROTO_ICMP or protocol == PROTO_ICMPV6:
            return np.int64(NO_REASON)
        if protocol == PROTO_UDP:
            if transport(buffer, protocol, at, end, wire_end, facts) != FOUND_UDP:
                return np.int64(NO_REASON)
            if (ports[facts[SOURCE_PORT]] | ports[facts[DESTINATION_PORT]]) & DNS_PORT:
                return np.int64(NO_REASON)
            end = facts[CAPTURED_END]
            layer, at, kind = udp_tunnel(
                buffer, facts[PAYLOAD], end, facts[SOURCE_PORT], facts[DESTINATION_PORT]
            )
            if layer == NO_LAYER:
                return np.int64(NO_REASON)
        else:
            layer, at, kind = ip_tunnel(buffer, at, end, protocol)
    return np.int64(TOO_MANY_HEADERS)


@kernel
def unwrap(
    buffer: Bytes,
    records: Rows,
    ports: Bytes,
    seed: np.uint64,
    reasons: Bytes,
    links: Integers,
    facts: Integers,
    bounds: Integers,
) -> None:
    """Make each of ``records`` that of the innermost IP packet in it, with link type RAW.

    Goes in: ``buffer`` (uint8), ``records`` (RECORD), of packets in it; ``ports`` (uint8, 65,536),
    see :func:`read_headers`; ``seed`` of the hashes. Comes out, one a record: ``reasons`` (uint8),
    NO_REASON or why there is no such packet; ``links`` (int64), which tell one hop's copy from
    another's, of the packet as captured. Scratch: ``facts``, of
    :func:`new_facts`, ``bounds`` (int64, 2).
    """
    for i in range(records.shape[0]):
        record = records[i]
        at = record["offset"]
        end = at + record["captured"]
        linktype = np.int64(record["linktype"])
        missing = record["original"] - record["captured"]
        links[i] = np.int64(link_identity(buffer, at, end, linktype, seed))
        if linktype == LINK_SLL2 and end - at >= 20:
            record["interface"] = interface_of_sll2(buffer, at)
        reason = _innermost(buffer, at, end, linktype, ports, facts, bounds)
        reasons[i] = MALFORMED if reason == CUT_SHORT and missing <= 0 else reason
        if reason == NO_REASON:
            record["offset"] = bounds[0]
            record["captured"] = bounds[1] - bounds[0]
            record["original"] = record["captured"] + missing
            record["linktype"] = RAW
