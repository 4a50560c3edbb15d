"""By which first bytes each input format is known.

Apart from the readers, and importing nothing heavy: what is no capture is refused before they are
loaded. What a recogniser shares with its reader is here.
"""

from __future__ import annotations

import json
import re
import struct

#: magic number -> (big endian, bytes of a record header, nanoseconds)
PCAP_MAGICS: dict[bytes, tuple[bool, int, bool]] = {
    b"\xd4\xc3\xb2\xa1": (False, 16, False),
    b"\xa1\xb2\xc3\xd4": (True, 16, False),
    b"\x4d\x3c\xb2\xa1": (False, 16, True),
    b"\xa1\xb2\x3c\x4d": (True, 16, True),
    b"\x34\xcd\xb2\xa1": (False, 24, False),
    b"\xa1\xb2\xcd\x34": (True, 24, False),
}
_PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
_PCAPNG_ORDERS = (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d")
#: fstrm's bound on a control frame, and the kinds of control frame that a stream may begin with.
CONTROL_BYTES = 512
_ACCEPT, _START, _READY = 1, 2, 4
TCPDUMP_HEAD = re.compile(
    r"(?:\s*(?P<number>\d+) {2})?"
    r"(?:(?P<date>\d{4}-\d\d-\d\d) )?"
    r"(?:\s?(?P<clock>-?\d\d:\d\d:\d\d\.\d{6}(?:\d{3})?) |(?P<epoch>\d{1,12}\.\d{6}(?:\d{3})?) )?"
    r"(?P<rest>\S.*)",
    re.S,
)
TCPDUMP_IP = re.compile(r"(?:^|\s)IP6? |ethertype IPv[46] ")
TCPDUMP_CHATTER = re.compile(
    r"(?:reading from |listening on |tcpdump: |dropped privs|\d+ packets? |packet |Warning: |\^C"
    r"|verbose output|Got \d|\[\||#)"
)
COREDNS_QUERY = re.compile(
    r"(?P<client>\[[\w:.%]+\]|[\d.]+|[\da-fA-F:.]+):(?P<port>\d{1,5}) - (?P<id>\d{1,5}) "
    r'"(?P<type>\S+) (?P<class>\S+) (?P<name>(?:\\.|[^\s"\\])+) (?P<proto>udp|tcp) '
    r'(?P<size>\d+) (?:true|false|-) (?P<bufsize>\d+|-)" '
    r"(?P<rcode>[A-Z]\w*|\d+|-) (?P<flags>[a-z]{2}(?:,[a-z]{2})*|-) (?P<rsize>\d+) "
    r'(?P<duration>\d+(?:\.\d+)?)(?P<unit>ns|us|\u00b5s|ms|s)(?: "(?P<opcode>\d+)")?\s*$',
    re.ASCII,
)
_OF_COREDNS = re.compile(rb"(?:^|\] |\s)(?:CoreDNS-\d|\[(?:INFO|WARNING|ERROR)\] plugin/)")
_EVENT = re.compile(rb'\s*\{\s*"(?:flow|node_status|lost_events|agent_event|debug_event)"\s*:\s*\{')
_BARE_FLOW = re.compile(rb'\s*\{.*"verdict"\s*:\s*".*"(?:IP|l4|l7)"\s*:\s*\{')
_KEYS = (re.compile(rb'"qr(?:_raw)?"\s*:'), re.compile(rb'"(?:pktType|pkt_type|nameserver)"\s*:'))


def looks_like_pcap(head: bytes) -> bool:
    """Do these first bytes begin a pcap file?"""
    return head[:4] in PCAP_MAGICS


def looks_like_pcapng(head: bytes) -> bool:
    """Do these first bytes begin a pcapng file, with the block that says its byte order?"""
    return head[:4] == _PCAPNG_MAGIC and head[8:12] in _PCAPNG_ORDERS


def looks_like_frame_stream(head: bytes) -> bool:
    """Do these first bytes begin a Frame Stream?"""
    if len(head) < 12:
        return False
    escape, length, kind = struct.unpack(">III", head[:12])
    return escape == 0 and 4 <= length <= CONTROL_BYTES and kind in (_ACCEPT, _START, _READY)


def looks_like_tcpdump(head: bytes) -> bool:
    """Do these first bytes hold a packet as tcpdump prints one?"""
    if b"\0" in head:
        return False
    for line in head.decode("latin-1").splitlines()[:50]:
        if not line.strip() or TCPDUMP_CHATTER.match(line):
            continue
        match = TCPDUMP_HEAD.fullmatch(line.rstrip())
        if match is None or not TCPDUMP_IP.search(match["rest"]):
            return False
        return bool(match["clock"] or match["epoch"]) or match["rest"].startswith(("IP ", "IP6 "))
    return False


def looks_like_coredns(head: bytes) -> bool:
    """Do these first bytes hold a line that CoreDNS logs?"""
    for line in _lines(head):
        if _OF_COREDNS.search(line) or COREDNS_QUERY.search(coredns_text(line)):
            return True
    return False


def coredns_text(line: bytes) -> str:
    """Return a line's text; of a line of Docker's json-file log, its time and text."""
    text = line.decode("utf-8", "surrogateescape")
    if not text.startswith("{"):
        return text
    try:
        record = json.loads(text)
        return f"{record['time']} {record['log']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return text


def looks_like_hubble(head: bytes) -> bool:
    """Do these first bytes begin an event as Hubble prints it?"""
    lines = _lines(head)
    return bool(lines) and bool(_EVENT.match(lines[0]) or _BARE_FLOW.match(lines[0]))


def looks_like_trace_dns(head: bytes) -> bool:
    """Do these first bytes hold an event of the DNS gadget?"""
    for line in _lines(head):
        if line.lstrip().startswith(b"{") and all(key.search(line) for key in _KEYS):
            return True
    return False


def _lines(head: bytes) -> list[bytes]:
    """Return the lines of text among a source's first bytes; the last may be cut."""
    return [line for line in head.splitlines() if line.strip() and b"\0" not in line]
