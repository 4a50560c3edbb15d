"""Why a packet carries no message: every packet without one is counted under one reason."""

from __future__ import annotations

from pcapkit.model.manual import NOTHING_TO_DO, Entry

# What a packet turned out to be. FOUND_* go on; the others are the ledger's reasons.
(
    FOUND_UDP,
    FOUND_TCP,
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
    QUERY_UNREACHABLE,
    ANSWER_UNREACHABLE,
    TOO_MANY_HEADERS,
) = range(19)
#: The packet carries a message, or nothing speaks against it yet.
NO_REASON = 0
#: Instead of a reason: the packet is accounted for later.
HELD = 1

#: Reasons of packets of which nothing is known but that they are there.
NOT_READ = frozenset(
    {"not_ip", "unknown_link_type", "truncated_by_snaplen", "malformed", "too_many_headers"}
)
#: Reasons of packets that came over TCP.
TCP_REASONS = frozenset({"tcp_without_message", "tcp_continuation", "tcp_retransmission"})
#: Names of the reasons in the packet ledger, by their number.
SKIP_REASONS: tuple[str, ...] = (
    "",
    "",
    "not_ip",
    "not_dns",
    "unknown_link_type",
    "truncated_by_snaplen",
    "malformed",
    "fragment",
    "icmp",
    "multicast_dns",
    "llmnr",
    "encrypted_dns",
    "tcp_without_message",
    "tcp_continuation",
    "tcp_retransmission",
    "",
    "query_unreachable",
    "answer_unreachable",
    "too_many_headers",
)

#: What each reason means. Readers of text give some that have no number.
SKIP_MANUAL: tuple[Entry, ...] = (
    Entry(
        "truncated_by_snaplen",
        "skip reason",
        "The packet was cut by the capture's snapshot length before its DNS header ended.",
        "tcpdump -s was too small.",
        "Capture again with -s 0.",
    ),
    Entry(
        "unknown_link_type",
        "skip reason",
        "The capture's link layer is not known here; its number stands in the warnings.",
        "Some capture tools write their own.",
        "Capture on an Ethernet, cooked (-i any) or raw IP interface.",
    ),
    Entry(
        "fragment",
        "skip reason",
        "A part of an IP datagram: the message counts at the packet that completed it.",
        "Messages over the path's MTU are split. A port filter sees the first part only, since "
        "the others have no ports; then that part counts as the message, cut.",
        "To see whole answers, capture with 'port 53 or (ip[6:2] & 0x1fff != 0)'.",
    ),
    Entry(
        "not_dns",
        "skip reason",
        "TCP or UDP on other ports than DNS.",
        "The capture had no filter.",
        "Filter with 'port 53', or name more ports with --port.",
    ),
    Entry(
        "not_ip",
        "skip reason",
        "ARP, spanning tree, LLDP and other traffic without IP.",
        "The capture had no filter.",
        NOTHING_TO_DO,
    ),
    Entry(
        "icmp",
        "skip reason",
        "ICMP about something else than DNS.",
        "The capture had no filter.",
        NOTHING_TO_DO,
    ),
    Entry(
        "query_unreachable",
        "skip reason",
        "ICMP: a query did not get there.",
        "The message quotes a packet to port 53, whose server or port cannot be reached.",
        "See the fault nameserver_unreachable.",
    ),
    Entry(
        "answer_unreachable",
        "skip reason",
        "ICMP: a response came to a closed port.",
        "The message quotes a packet from port 53; the client had given up waiting.",
        "See the fault closed_port_answers.",
    ),
    Entry(
        "malformed",
        "skip reason",
        "A packet on a DNS port whose headers make no sense.",
        "Something else uses the port, or the packet is damaged.",
        "Look at it in Wireshark.",
    ),
    Entry(
        "too_many_headers",
        "skip reason",
        "A packet with more headers, tunnels within tunnels among them, than are read.",
        "Somebody made it: no network nests so many (see the limit tunnel_layers).",
        "Look at it in Wireshark.",
    ),
    Entry(
        "multicast_dns",
        "skip reason",
        "mDNS (port 5353 to or from a multicast address, RFC 6762).",
        "It is not sent to a DNS server.",
        NOTHING_TO_DO,
    ),
    Entry(
        "llmnr",
        "skip reason",
        "LLMNR (port 5355, RFC 4795).",
        "It is not sent to a DNS server.",
        NOTHING_TO_DO,
    ),
    Entry(
        "encrypted_dns",
        "skip reason",
        "DNS over TLS (port 853, RFC 7858).",
        "Its questions cannot be seen.",
        "Capture before it is encrypted.",
    ),
    Entry(
        "tcp_without_message",
        "skip reason",
        "TCP handshakes, acknowledgements and closes.",
        "They carry no DNS message.",
        NOTHING_TO_DO,
    ),
    Entry(
        "tcp_continuation",
        "skip reason",
        "A TCP segment with a part of a message: it counts at the segment that completed it.",
        "Messages may be split anywhere; where segments are missing from the capture, no message "
        "may come of the others.",
        NOTHING_TO_DO,
    ),
    Entry(
        "tcp_retransmission",
        "skip reason",
        "A TCP segment with nothing but bytes that were seen before.",
        "It was sent again by TCP, or captured again: no query of the resolver's.",
        NOTHING_TO_DO,
    ),
    Entry(
        "text_not_understood",
        "skip reason",
        "A printed line that is no DNS message known here.",
        "Another protocol on the port, an unusual message, or damage.",
        "Capture packets with tcpdump -w instead.",
    ),
    Entry(
        "other_event",
        "skip reason",
        "A log line or event about something else than a query.",
        "Logs and event streams hold more than DNS messages.",
        NOTHING_TO_DO,
    ),
    Entry(
        "upstream_leg",
        "skip reason",
        "A message between a server and its own upstream server.",
        "The server asks on what an application asked it; dnstap logs both.",
        NOTHING_TO_DO,
    ),
    Entry(
        "no_client_address",
        "skip reason",
        "A message of which nothing says who asked.",
        "The server leaves the address out, or an old gadget does not print it.",
        "Log client addresses, or trace with a newer gadget.",
    ),
    Entry(
        "message_not_included",
        "skip reason",
        "A dnstap frame without the DNS message itself.",
        "The server logs only that there was one.",
        "In a Corefile: dnstap <endpoint> full.",
    ),
    Entry(
        "own_probe",
        "skip reason",
        "The question that CoreDNS asks itself: HINFO of two random numbers.",
        "Its plugin loop looks for a circle of servers at start; no application asked.",
        NOTHING_TO_DO,
    ),
    Entry(
        "outside_time_range",
        "skip reason",
        "Outside --from and --to.",
        "You asked so.",
        NOTHING_TO_DO,
    ),
    Entry(
        "other_client",
        "skip reason",
        "Of a client that --client leaves out.",
        "You asked so.",
        NOTHING_TO_DO,
    ),
)
