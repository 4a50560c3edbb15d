"""The numbers that walking down a packet's headers speaks of: facts and layers.

Facts are what is noted of a packet on the way. A layer is what stands next. What a packet turned
out to be is in ``skip_reasons.py``.
"""

from __future__ import annotations

import numpy as np

from pcapkit.schema import Int, Integers

# Fields of the array that new_facts() makes and read_headers() fills.
(
    PAYLOAD,  # offset of the transport payload; of a fragment's data
    CAPTURED_END,  # where the captured bytes of the payload end
    WIRE_END,  # where the payload ended on the wire (may lie behind the buffer)
    SOURCE,  # offset of the source address; the destination's follows it at once
    DESTINATION,
    ADDRESS_BYTES,  # 4 or 16
    SOURCE_PORT,
    DESTINATION_PORT,
    IP_ID,  # -1 for IPv6
    HOP_LIMIT,
    INTERFACE_INDEX,  # of SLL2; -1 elsewhere
    PROTOCOL,  # the fragment's: what the whole datagram carries
    FRAGMENT_ID,
    FRAGMENT_OFFSET,  # in bytes
    MORE_FRAGMENTS,
    SEQUENCE,  # of a TCP segment's first byte
    TCP_FLAGS,
    EXPECTED,  # the sequence number that was due, or one of the marks in tcp_segments.py
    STREAM_SLOT,  # where the stream's state is kept, and under which key
    STREAM_KEY,
    LINK,  # what link_identity() says, its bits as a signed number
    BEFORE,  # the segment of its stream that was deferred before, see tcp_segments.py
) = range(22)
FACTS = 22
#: Behind them in the array: how many headers one packet may have, the limit 'tunnel_layers'.
MOST_HEADERS = FACTS
#: Columns of packets that are deferred to reassembly: the packet's index among the records, or
#: FORGOTTEN; and its facts, of which this is the first.
DEFERRED_INDEX, DEFERRED_FACTS = 0, 1
DEFERRED_COLUMNS = DEFERRED_FACTS + FACTS
FORGOTTEN = -1
#: IP protocols; what stands in a protocol's stead where there is none.
PROTO_ICMP, PROTO_TCP, PROTO_UDP, PROTO_ICMPV6, NO_PROTOCOL = 1, 6, 17, 58, -1
#: EtherTypes; what stands in one's stead where neither IPv4 nor IPv6 follows.
ETHERTYPE_IPV4, ETHERTYPE_IPV6, NO_ETHERTYPE = 0x0800, 0x86DD, 0xFFFF
VLAN, SERVICE_VLAN = 0x8100, 0x88A8
#: Marks in the table of ports.
DNS_PORT, TUNNEL_PORT = 1, 2
#: No packet lies behind a header, as far as is known here.
NO_LAYER = 0
# Layers. TYPED is what an EtherType announces, ANY_IP what its version nibble says. Their numbers
# lie behind the reasons, so that what stands in a layer's stead is a reason to go no further.
TYPED, IPV4, IPV6, ANY_IP, ETHERNET, PPP, LLC, MPLS, NSH, NFLOG = range(32, 42)
FIRST_LAYER = TYPED
OF_LINK_TYPE = 1000  #: OF_LINK_TYPE + n: a header of link type n
Layer = tuple[Int, Int, Int]  #: (layer or reason, offset of it, EtherType)
#: (NO_REASON or reason, protocol, offset, captured end, wire end)
IpPayload = tuple[Int, Int, Int, Int, Int]


def new_facts(most_headers: int) -> Integers:
    """Return an array for the facts of packets with at most so many headers each."""
    facts = np.zeros(FACTS + 1, np.int64)
    facts[MOST_HEADERS] = most_headers
    return facts
