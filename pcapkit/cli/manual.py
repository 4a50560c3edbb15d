"""The manual behind ``pcapkit explain``: every code that a result may hold, and what to do."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import cache

from pcapkit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """One code: what it means, why it happens or how it is recognised, what to do."""

    code: str
    kind: str
    meaning: str
    why: str
    action: str
    signature: str = ""


_NOTHING = "Nothing to do."
ENTRIES: tuple[Entry, ...] = (
    Entry(
        "ndots",
        "word",
        "The resolv.conf option that decides whether a name goes out as is first, or walks the "
        "search list first.",
        "Resolvers compare dots >= ndots (often told as 'more dots than ndots', which is wrong "
        "by one): a name with at least ndots dots goes out as is first; one with fewer walks "
        "the list first. Kubernetes writes ndots:5, so that even "
        "_port._tcp.service.namespace.svc finds its suffix; nearly every external name has "
        "fewer dots.",
        "Write a final dot to go out as is only, or set ndots in the pod's dnsConfig.",
    ),
    Entry(
        "search_miss",
        "waste class",
        "NXDOMAIN or NODATA for a name with a search suffix. Counted as wasted.",
        "The application asked for a name with fewer dots than ndots, so its resolver tried "
        "every suffix first.",
        "Write the name in full with a final dot, or lower ndots for the workload.",
    ),
    Entry(
        "absolute_miss",
        "waste class",
        "The name as is missed, and then a suffix answered. Counted as wasted.",
        "ndots is too low for this name: a cluster name was asked upstream first. Besides the "
        "cost, it leaks the name.",
        "Write the service name in full with its final dot, or raise ndots.",
    ),
    Entry(
        "nonexistent",
        "waste class",
        "The name as is missed, and nothing else answered: the name does not exist.",
        "A service that is gone, a typing error, or a name of another cluster.",
        "Find who asks for it; every suffix multiplies the mistake.",
    ),
    Entry(
        "no_such_type",
        "waste class",
        "The name exists, but has no record of the asked type, and the lookup got no answer.",
        "Mostly AAAA, or SRV, asked of a name that only has A records.",
        "Ask for the family that exists; with glibc 2.36 or later, the option no-aaaa.",
    ),
    Entry(
        "empty_family",
        "waste class",
        "A miss, usually AAAA, on the very name that answered in the other family.",
        "Resolvers ask A and AAAA together; most cluster services have one of them.",
        "Normal. The option no-aaaa (glibc 2.36 or later) saves these queries in IPv4 pods.",
    ),
    Entry(
        "reverse_miss",
        "waste class",
        "A PTR query without an answer.",
        "ping, ssh and log formatters look addresses up by themselves.",
        "Switch the reverse lookup off (ping -n, UseDNS no, HostnameLookups Off).",
    ),
    Entry(
        "service_probe",
        "waste class",
        "An SRV or TXT question that a client library asks by itself, and that missed.",
        "gRPC asks _grpclb._tcp and _grpc_config for every target, along the whole list.",
        "Switch it off in the library (gRPC: grpc.enable_srv_queries, service config lookup).",
    ),
    Entry(
        "server_error",
        "waste class",
        "SERVFAIL, REFUSED, FORMERR or another error code.",
        "The server, or one behind it, could not answer. Resolvers repeat such questions.",
        "Look at the server's log and its upstream; some resolvers give the name up here.",
    ),
    Entry(
        "unanswered",
        "waste class",
        "A query with no response in the capture.",
        "A lost packet, an overloaded server, a firewall, or the capture missed the response.",
        "Compare captures at the pod and at the server; a resolver waits seconds for each.",
    ),
    Entry(
        "answer",
        "waste class",
        "The response holds a record of the asked type.",
        "This is what DNS is for.",
        _NOTHING,
    ),
    Entry(
        "incomplete",
        "waste class",
        "Belongs to a lookup that the capture shows only in part.",
        "The capture began or ended in the middle of it.",
        "Nothing: such lookups are left out of every saving.",
    ),
    Entry(
        "use_fqdn",
        "recommendation",
        "Write an external name with its final dot.",
        "A name with a final dot is asked as is only, by every resolver and at any ndots.",
        "Change it where the application configures the host. Test one workload first: some "
        "TLS clients compare the name with its dot to the certificate, and some HTTP servers "
        "do not know a Host header with a dot.",
    ),
    Entry(
        "set_ndots",
        "recommendation",
        "Set ndots in the pod's dnsConfig.",
        "With a lower ndots, external names go out as is first and need no suffix.",
        "Paste the patch (the value is a string). The verdict says which names seen would "
        "change: musl never walks the list for a name with enough dots, so service.namespace "
        "stops resolving there at ndots 1.",
    ),
    Entry(
        "full_service_name",
        "recommendation",
        "Write a service of another namespace in full, with its final dot.",
        "service.namespace first misses under the pod's own namespace; the full name with its "
        "final dot is asked once.",
        "Use service.namespace.svc.<cluster domain>. in the configuration.",
    ),
    Entry(
        "drop_suffix",
        "recommendation",
        "Take a suffix out of the search list.",
        "Every name that walks the list is asked under it, and nothing was answered there. Such "
        "suffixes usually come from the node's resolv.conf.",
        "Give the kubelet a resolv.conf without it, or use dnsPolicy None with a list of your "
        "own. Names that only this suffix completes stop resolving.",
    ),
    Entry(
        "no_aaaa",
        "recommendation",
        "Ask no AAAA where the cluster has no IPv6.",
        "getaddrinfo asks A and AAAA of every candidate, so half of the queries are AAAA.",
        "Set the option no-aaaa (glibc 2.36 and later), or let CoreDNS answer AAAA with NOERROR "
        "and nothing: never with NXDOMAIN, which musl takes for an absent name.",
    ),
    Entry(
        "cache",
        "recommendation",
        "Keep answers on each node.",
        "Most resolvers keep none, so the same questions come again within their TTL.",
        "Run NodeLocal DNSCache, or see to the TTLs in CoreDNS' cache plugin.",
    ),
    Entry(
        "enable_autopath",
        "recommendation",
        "Let CoreDNS walk the search list in the client's stead.",
        "The first question is then answered with what the whole list would find.",
        "Needs 'pods verified' (CoreDNS watches all pods) and the pods' own addresses; a reused "
        "address can get another namespace's answer. Prefer a lower ndots.",
    ),
    Entry(
        "ambiguous",
        "mark",
        "The first name answered at once, so it can be read several ways.",
        "web and web.default.svc.cluster.local give the same packets then.",
        "Nothing: no waste is at stake.",
    ),
    Entry(
        "repeated",
        "mark",
        "The same client asked the same question again while the last answer was still valid.",
        "Most resolvers keep no cache.",
        "A node-local cache answers these without the network.",
    ),
    Entry(
        "forwarded",
        "mark",
        "A miss that came without the AA flag: the cluster's DNS had to ask upstream.",
        "The name is outside the zones that the cluster's DNS holds.",
        "Such misses cost most: they leave the cluster.",
    ),
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
        _NOTHING,
    ),
    Entry(
        "icmp",
        "skip reason",
        "ICMP.",
        "Port unreachable messages quote DNS packets.",
        "Many of them mean that answers came too late.",
    ),
    Entry(
        "malformed",
        "skip reason",
        "A packet on a DNS port whose headers make no sense.",
        "Something else uses the port, or the packet is damaged.",
        "Look at it in Wireshark.",
    ),
    Entry(
        "multicast_dns",
        "skip reason",
        "mDNS (port 5353 to or from a multicast address, RFC 6762).",
        "It is not sent to a DNS server.",
        _NOTHING,
    ),
    Entry(
        "llmnr",
        "skip reason",
        "LLMNR (port 5355, RFC 4795).",
        "It is not sent to a DNS server.",
        _NOTHING,
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
        _NOTHING,
    ),
    Entry(
        "tcp_continuation",
        "skip reason",
        "A TCP segment with a part of a message: it counts at the segment that completed it.",
        "Messages may be split anywhere; where segments are missing from the capture, no message "
        "may come of the others.",
        _NOTHING,
    ),
    Entry(
        "tcp_retransmission",
        "skip reason",
        "A TCP segment with nothing but bytes that were seen before.",
        "It was sent again by TCP, or captured again: no query of the resolver's.",
        _NOTHING,
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
        _NOTHING,
    ),
    Entry(
        "upstream_leg",
        "skip reason",
        "A message between a server and its own upstream server.",
        "The server asks on what an application asked it; dnstap logs both.",
        _NOTHING,
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
        "host_name_not_address",
        "skip reason",
        "A printed line with host names for addresses.",
        "tcpdump was run without -n.",
        "Run tcpdump with -n, or save with -w.",
    ),
    Entry(
        "outside_time_range", "skip reason", "Outside --from and --to.", "You asked so.", _NOTHING
    ),
    Entry(
        "other_client",
        "skip reason",
        "Of a client that --client leaves out.",
        "You asked so.",
        _NOTHING,
    ),
)


@cache
def entries() -> tuple[Entry, ...]:
    """Return the whole manual: the entries here, and those that faults carry beside their rules."""
    from pcapkit.analysis.faults.catalogue import FAULTS

    return ENTRIES + tuple(
        Entry(f.code, "fault", f"{f.title}.", f.meaning, f.action, f.signature) for f in FAULTS
    )


def explain(code: str) -> Entry:
    """Return the entry of a code; raises UsageError listing close ones."""
    from difflib import get_close_matches

    wanted = code.strip().lower().replace("-", "_")
    for entry in entries():
        if entry.code == wanted:
            return entry
    close = get_close_matches(wanted, [e.code for e in entries()], cutoff=0.5)
    hint = f"; did you mean {', '.join(close)}?" if close else "; 'pcapkit explain' lists all"
    raise UsageError(f"no code {code!r}{hint}")


def _wrapped(label: str, text: str) -> str:
    return textwrap.fill(text, 78, initial_indent=f"  {label:<6}", subsequent_indent=" " * 8)


def render_entry(entry: Entry) -> str:
    """Return one entry as text."""
    parts = (
        ("what", entry.meaning),
        ("why", entry.why),
        ("sign", entry.signature),
        ("do", entry.action),
    )
    lines = [f"{entry.code}  ({entry.kind})", *(_wrapped(k, text) for k, text in parts if text)]
    return "\n".join(lines) + "\n"


def render_all() -> str:
    """Return every code with its first sentence, by kind."""
    lines = []
    for kind in dict.fromkeys(e.kind for e in entries()):
        lines.append(f"{kind}:")
        for entry in (e for e in entries() if e.kind == kind):
            text = f"  {entry.code:<22}{entry.meaning}"
            lines.append(textwrap.fill(text, 80, subsequent_indent=" " * 24))
        lines.append("")
    return "\n".join([*lines, "pcapkit explain CODE says why, and what to do.", ""])
