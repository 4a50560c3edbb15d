"""Why a packet carries no message: every packet without one is counted under one reason."""

from __future__ import annotations

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
) = range(16)
#: The packet carries a message, or nothing speaks against it yet.
NO_REASON = 0
#: Instead of a reason: the packet is accounted for later.
HELD = 1

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
)
