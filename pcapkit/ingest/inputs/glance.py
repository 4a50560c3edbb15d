"""A first look at the bytes of a line: may it be of a form at all?

A text holds a hundred thousand lines of other programs and more. Every line that a recogniser or a
reader makes something of passes the test of its form here; what does not is passed over without
being decoded. The tests say yes where they cannot tell: behind escapes, colours and odd blanks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What stands before a packet without a time, where that ends with a letter: directions, shippers'
#: marks, escapes.
_BEFORE_IP = (
    *(b" In", b" Out", b" B", b" M", b" P", b"stdout F", b"stderr F", b"Z"),
    *(b"\\n", b"\\t", b"\\r", b"003e", b"003E"),
)
#: The same where it ends with a digit: a zone, the number of a packet, an interface.
_ZONE = re.compile(rb"[+-]\d\d:?\d\d$|^[\s\W]*\d+$|ifindex \d+ \S+$|00[aA]0$")
_MOST_LOOKED = 8
#: The end of a time as tcpdump prints it, and one before what it prints of other protocols.
_FRACTION = re.compile(rb"\.\d{6}(?:\d{3})?(?:[ \xa0\xc2\\&]|$)")
_BEFORE_OTHER = re.compile(
    rb"\.\d{6}(?:\d{3})? +(?:\S+ +(?:In|Out|B|M|P) +)?"
    rb"(?:R?ARP|STP|LL|CDP|IPX|AARP|PPPoE|EAPOL|MPLS|802\.|Loopback|[Uu]nknown|Ethernet|IEEE|ICMP"
    rb"|Broadcom|MACsec|LACP|\S{17} )"
)
#: What tcpdump prints beside packets of IP.
_BESIDE = (
    b"ethertype",
    b"ARP",
    b"STP",
    b"LLDP",
    b"LLC",
    b" 802.",
    b"ICMP",
    b"nknown",
    b"Loopback",
    b"listening on",
    b"reading from",
    b"tcpdump",
    b"^C",
    b"Defaulted",
    b"data link",
)
_OF_PACKETS = (b" captured", b" by filter", b" by kernel", b" by interface")
_BEGINS_CHATTER = re.compile(rb"[\W_]{0,12}(?:\d+ packets? |packet |Warning: )")
_ARROWS = (b" > ", b"&gt;", b"\\u003e")
_RCODES = (b"NOERROR", b"NXDOMAIN", b"SERVFAIL", b"REFUSED", b"FORMERR", b"NOTIMP")
_FINAL_DOT = re.compile(rb"\.(?:[\s\"',;|}\\&<\xa0\xc2]|$)")
_LEVEL = re.compile(
    rb"(?:INFO|WARNING|ERROR|FATAL|PANIC|NOTICE)\][ \xc2\xa0]{1,2}"
    rb"(?:plugin/|SIGTERM|Reloading|\d+ \S+ \S+: |\S+:\d+(?:\s*$|[\"\\]))"
)
_AT_PORT = re.compile(rb":53(?:\s*$| on |[\"\\])")
_LIKE_QUERY = re.compile(rb":\d+ - \d+ ")
_DNSMASQ = re.compile(rb"dnsmasq(?:\[\d+\])?: ")
_NUMBERED = re.compile(rb"[\W_]{0,12}\d+[\s\",]|.*\"\s*\d+\s+\d", re.S)
_FLOWS = (b'flow"', b'flow\\"', b"node_status", b"lost_events", b"agent_event", b"debug_event")


def holds(text: bytes, tokens: Sequence[bytes]) -> bool:
    """Does a line, or do several, hold one of these?"""
    for token in tokens:
        if token in text:
            return True
    return False


def is_disguised(raw: bytes) -> bool:
    """May letters or blanks of a line be written in another way: colours, odd blanks?"""
    return b"\x1b" in raw or b"\xa0" in raw


def may_begin(raw: bytes) -> bool:
    """May a line be one by which any form of printed lines is known?"""
    if b"query" in raw or b"dns" in raw or b"plugin/" in raw or b"CoreDNS-" in raw:
        return True
    if b"IP" in raw and begins_packet(raw):
        return True
    if b" - " in raw and (b" udp " in raw or b" tcp " in raw):
        return True
    if b"QTYPE" in raw or b"Dns" in raw or (b"{" in raw and is_of_hubble(raw)):
        return True
    if b'"qr' in raw or b'qr\\"' in raw:
        return True
    return holds(raw, _RCODES) and _FINAL_DOT.search(raw) is not None


def begins_packet(raw: bytes) -> bool:
    """May a line be a packet of IP as tcpdump prints one?"""
    if b"IP" not in raw:
        return False
    return _FRACTION.search(raw) is not None or _begins_ip(raw) or is_disguised(raw)


def is_of_tcpdump(raw: bytes) -> bool:
    """May a line be of tcpdump: a packet, the rest of one, or what it says of itself?"""
    if b"IP" in raw:
        if begins_packet(raw):
            return True
    elif _BEFORE_OTHER.search(raw) is not None or is_disguised(raw):
        return True
    if raw[:1] in (b" ", b"\t") and holds(raw, _ARROWS):
        return True
    if b" packet" in raw and holds(raw, _OF_PACKETS):
        return True
    return _BEGINS_CHATTER.match(raw) is not None or holds(raw, _BESIDE)


def _begins_ip(raw: bytes) -> bool:
    """Does some IP stand where a packet may begin, not behind a word?"""
    at = raw.find(b"IP")
    for _ in range(_MOST_LOOKED):
        if at < 0:
            return False
        before = raw[:at].rstrip(b" \t")
        if before.endswith(_BEFORE_IP):
            return True
        if before[-1:].isdigit():
            if _ZONE.search(before[-260:]):
                return True
        elif not before[-1:].isalpha():
            return True
        at = raw.find(b"IP", at + 2)
    return True


def is_of_coredns(raw: bytes) -> bool:
    """May a line be one that CoreDNS logs: a query in any format, or what it says of itself?"""
    if begins_coredns(raw) or b", go1" in raw or is_disguised(raw):
        return True
    if b" - " in raw and _LIKE_QUERY.search(raw) is not None:
        return True
    if b"] " in raw and _LEVEL.search(raw) is not None:
        return True
    return b":53" in raw and _AT_PORT.search(raw) is not None


def begins_coredns(raw: bytes) -> bool:
    """May a line be one by which a log of CoreDNS is known?"""
    if b" - " in raw and (b" udp " in raw or b" tcp " in raw):
        return True
    if b"plugin/" in raw or b"CoreDNS-" in raw:
        return True
    return holds(raw, _RCODES) and _FINAL_DOT.search(raw) is not None


def is_of_dnsmasq(raw: bytes) -> bool:
    """May a line show dnsmasq's query log?"""
    if b"query[" in raw and b" from " in raw:
        return True
    return b"dnsmasq" in raw and _DNSMASQ.search(raw) is not None


def is_of_hubble(raw: bytes) -> bool:
    """May a line hold an event of Hubble in JSON?"""
    if holds(raw, _FLOWS):
        return True
    return b"verdict" in raw and (b"l4" in raw or b"l7" in raw or b"IP" in raw)


def is_of_hubble_text(raw: bytes) -> bool:
    """May a line be a DNS flow as ``hubble observe`` prints it?"""
    return b"dns-re" in raw


def is_of_gadget(raw: bytes) -> bool:
    """May a line be an event of Inspektor Gadget, or the heading of its table?"""
    return b'"qr' in raw or b'qr\\"' in raw or (b"QTYPE" in raw and b"NAME" in raw)


def is_of_netobserv(raw: bytes) -> bool:
    """May a line hold a flow of NetObserv?"""
    return b"SrcAddr" in raw and b"Dns" in raw


def is_of_tshark(raw: bytes) -> bool:
    """May a line be a packet of any protocol as tshark prints one?"""
    return b"tandard query" in raw or _NUMBERED.match(raw) is not None


def shows_query(raw: bytes) -> bool:
    """May a line be a DNS packet as tshark prints one?"""
    return b"tandard query" in raw
