"""Why a packet carries no message: every packet without one is counted under one reason."""

from __future__ import annotations

# What a packet turned out to be. FOUND_* go on; the others are the ledger's reasons.
FOUND_UDP, FOUND_TCP = 0, 1

#: Reasons of packets of which nothing is known but that they are there.
NOT_READ = frozenset({"not_ip", "unknown_link_type", "truncated_by_snaplen", "malformed"})
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
