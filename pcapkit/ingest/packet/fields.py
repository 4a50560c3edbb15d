"""The numbers that the walk through a packet's headers speaks of: fates, facts and layers.

A fate is what became of a packet: 0 where it carried a message, else the reason in the ledger.
Facts are what the walk notes of a packet on its way. A layer is what the walk stands before.
"""

from __future__ import annotations

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
    TCP_RETRANSMISSION,
    ENCAPSULATED,  # no reason of the ledger: there may be a packet inside, see encapsulation.py
) = range(2, 16)
# Fields of the int64 array that peel() fills.
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
    EXPECTED,  # the sequence number that was due, or one of the marks in reassembly.py
    STREAM_SLOT,  # where the stream's state is kept, and under which key
    STREAM_KEY,
    LINK,  # what link_identity() says, its bits as a signed number
    BEFORE,  # the segment of its stream that was set aside before, see segments.py
) = range(22)
FACTS = 22
#: Marks in the table of ports.
DNS_PORT, TUNNEL_PORT = 1, 2
#: Bound of every loop over headers.
MAX_LAYERS = 24
# What the walk stands before. Negative: a reason to stop; 0: nothing known here.
# TYPED is what an EtherType announces, ANY_IP what its version nibble says.
TYPED, IPV4, IPV6, ANY_IP, ETHERNET, PPP, LLC, MPLS, NSH, NFLOG = range(1, 11)
OF_LINK_TYPE = 1000  #: OF_LINK_TYPE + n: a header of link type n
