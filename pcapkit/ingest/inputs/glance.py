"""A first look at the bytes of a line: may it be of a form at all?

A text holds a hundred thousand lines of other programs and more. Every line that a recogniser or a
reader makes something of passes the test of its form here; what does not is passed over without
being decoded. The tests say yes where they cannot tell: behind escapes, colours and odd blanks.
What a line may hold is asked of it as text, one byte a character: CPython finds words in text three
times as fast as in bytes.
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
#: What follows the word in a packet, as TCPDUMP_IP has it, behind escapes as well.
_AFTER_IP = re.compile(
    rb"IP6?(?:[ \xa0\xc2]+(?:[(\[]|truncated-|bad-|\S+[ \xa0\xc2]+(?:\\*>|&gt;|\\+u003[eE])|\S+ ?$)"
    rb"|[\\&<]|$)"
)
#: The end of a time as tcpdump prints it, and one before what it prints of other protocols.
_FRACTION = re.compile(rb"\.\d{6}(?:\d{3})?(?:[ \xa0\xc2\\&]|$)")
_BEFORE_OTHER = re.compile(
    rb"\.\d{6}(?:\d{3})? +(?:\S+ +(?:In|Out|B|M|P) +)?"
    rb"(?:R?ARP|STP|LL|CDP|IPX|AARP|PPPoE|EAPOL|MPLS|802\.|Loopback|[Uu]nknown|Ethernet|IEEE|ICMP"
    rb"|Broadcom|MACsec|LACP|\S{17} )"
)
_BEGINS_CHATTER = re.compile(rb"[\W_]{0,12}(?:\d+ packets? |packet |Warning: )")
_FINAL_DOT = re.compile(rb"\.(?:[\s\"',;|}\\&<\xa0\xc2]|$)")
_LEVEL = re.compile(
    rb"(?:INFO|WARNING|ERROR|FATAL|PANIC|NOTICE)\][ \xc2\xa0]{1,2}"
    rb"(?:plugin/|SIGTERM|Reloading|\d+ \S+ \S+: |\S+:\d+(?:\s*$|[\"\\]))"
)
_AT_PORT = re.compile(rb":53(?:\s*$| on |[\"\\])")
_LIKE_QUERY = re.compile(rb":\d+ - \d+ ")
_DNSMASQ = re.compile(rb"dnsmasq(?:\[\d+\])?: ")
_NUMBERED = re.compile(rb"[\W_]{0,12}\d+[\s\",]|.*\"\s*\d+\s+\d", re.S)
#: An event of Hubble, or a part of a flow, is an object; there may be escapes and colours.
_EVENT = re.compile(rb'(?:flow|_status|_events?)\\*"[^",]{0,40}:[^",]{0,40}\{')
_PART = re.compile(rb'"(?:l4|l7|IP)\\*"[^",]{0,40}:[^",]{0,40}\{')


def holds(text: bytes, tokens: Sequence[bytes]) -> bool:
    """Does a line, or do several, hold one of these?"""
    for token in tokens:
        if token in text:
            return True
    return False


def is_disguised(text: str) -> bool:
    """May letters or blanks of a line be written in another way: colours, odd blanks?"""
    return "\x1b" in text or "\xa0" in text


def may_begin(raw: bytes) -> bool:
    """May a line be one by which any form of printed lines is known?"""
    text = raw.decode("latin-1")
    if "query" in text or "dns" in text or "plugin/" in text or "CoreDNS-" in text:
        return True
    if "IP" in text and begins_packet(raw):
        return True
    if " - " in text and (" udp " in text or " tcp " in text):
        return True
    if "QTYPE" in text or "Dns" in text or ("{" in text and is_of_hubble(raw)):
        return True
    if '"qr' in text or 'qr\\"' in text:
        return True
    return _has_rcode(text) and _FINAL_DOT.search(raw) is not None


def begins_packet(raw: bytes) -> bool:
    """May a line be a packet of IP as tcpdump prints one?"""
    text = raw.decode("latin-1")
    if "IP" not in text:
        return False
    if is_disguised(text):
        return True
    if _AFTER_IP.search(raw) is None and "ethertype IPv" not in text:
        return False
    return _FRACTION.search(raw) is not None or _begins_ip(raw)


def is_of_tcpdump(raw: bytes) -> bool:
    """May a line be of tcpdump: a packet, the rest of one, or what it says of itself?"""
    text = raw.decode("latin-1")
    if "IP" in text:
        if begins_packet(raw):
            return True
    elif _BEFORE_OTHER.search(raw) is not None or is_disguised(text):
        return True
    if text[:1] in (" ", "\t") and (" > " in text or "&gt;" in text or "\\u003e" in text):
        return True
    if " packet" in text and (
        " captured" in text or " by filter" in text or " by kernel" in text or " by inter" in text
    ):
        return True
    return _is_beside(text) or _BEGINS_CHATTER.match(raw) is not None


def _is_beside(text: str) -> bool:
    """Does a line hold what tcpdump prints beside packets of IP?"""
    return (
        "ethertype" in text
        or "ARP" in text
        or "STP" in text
        or "LLDP" in text
        or "LLC" in text
        or " 802." in text
        or "ICMP" in text
        or "nknown" in text
        or "Loopback" in text
        or "listening on" in text
        or "reading from" in text
        or "tcpdump" in text
        or "^C" in text
        or "Defaulted" in text
        or "data link" in text
    )


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
    text = raw.decode("latin-1")
    if _begins_coredns(text, raw) or ", go1" in text or is_disguised(text):
        return True
    if " - " in text and _LIKE_QUERY.search(raw) is not None:
        return True
    if "] " in text and _LEVEL.search(raw) is not None:
        return True
    return ":53" in text and _AT_PORT.search(raw) is not None


def begins_coredns(raw: bytes) -> bool:
    """May a line be one by which a log of CoreDNS is known?"""
    return _begins_coredns(raw.decode("latin-1"), raw)


def _begins_coredns(text: str, raw: bytes) -> bool:
    if " - " in text and (" udp " in text or " tcp " in text):
        return True
    if "plugin/" in text or "CoreDNS-" in text:
        return True
    return _has_rcode(text) and _FINAL_DOT.search(raw) is not None


def _has_rcode(text: str) -> bool:
    return (
        "NOERROR" in text
        or "NXDOMAIN" in text
        or "SERVFAIL" in text
        or "REFUSED" in text
        or "FORMERR" in text
        or "NOTIMP" in text
    )


def is_of_dnsmasq(raw: bytes) -> bool:
    """May a line show dnsmasq's query log?"""
    if b"query[" in raw and b" from " in raw:
        return True
    return b"dnsmasq" in raw and _DNSMASQ.search(raw) is not None


def is_of_hubble(raw: bytes) -> bool:
    """May a line hold an event of Hubble in JSON?"""
    text = raw.decode("latin-1")
    if "verdict" in text and _PART.search(raw) is not None:
        return True
    if "flow" in text or "_status" in text or "_event" in text:
        return _EVENT.search(raw) is not None
    return False


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
