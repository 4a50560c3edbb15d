"""By which first bytes, or by which lines, each input format is known.

Apart from the readers, and importing nothing heavy: what is no capture is refused before they are
loaded. What a recogniser shares with its reader is here.
"""

from __future__ import annotations

import re
import struct

from pcapkit.ingest.inputs.wrappings import Line

#: What a tally is, by the name of its first member (see ``ingest/tallies/file``).
TALLY_KIND = b"application/vnd.pcapkit.tally+zip"
#: magic number -> (big endian, bytes of a record header, nanoseconds)
PCAP_MAGICS: dict[bytes, tuple[bool, int, bool]] = {
    b"\xd4\xc3\xb2\xa1": (False, 16, False),
    b"\xa1\xb2\xc3\xd4": (True, 16, False),
    b"\x4d\x3c\xb2\xa1": (False, 16, True),
    b"\xa1\xb2\x3c\x4d": (True, 16, True),
    b"\x34\xcd\xb2\xa1": (False, 24, False),
    b"\xa1\xb2\xcd\x34": (True, 24, False),
}
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
_PCAPNG_ORDERS = (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d")
#: fstrm's bound on a control frame, and the kinds of control frame that a stream may begin with.
CONTROL_BYTES = 512
_ACCEPT, _START, _READY = 1, 2, 4
#: A date or time that a shipper writes before a line; what it shipped stands behind it.
SHIPPED = re.compile(
    r"(?:\[pod/\S+\] |\[[a-z0-9][\w./-]*\] )?"
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)) "
    r"(?:(?:stdout|stderr) [FP] )?(?=\S| {1,4}\S)"
)
TCPDUMP_HEAD = re.compile(
    r"(?:\s*(?P<number>\d+) {2})?"
    r"(?:(?P<date>\d{4}-\d\d-\d\d) )?"
    r"(?:\s?(?P<clock>-?\d\d:\d\d:\d\d\.\d{6}(?:\d{3})?) |(?P<epoch>\d{1,12}\.\d{6}(?:\d{3})?) )?"
    r"(?P<rest>\S.*)",
    re.S,
)
#: What follows the word where a packet is printed: its fields, or its ends, perhaps cut.
_AFTER_IP = r"(?=[(\[]|truncated-|bad-|\S+ > |\S+(?: >?)?$)"
#: A packet of IP: at the start, behind another header, or said by the one of the link.
TCPDUMP_IP = re.compile(
    rf"^(?:\S+ +(?:In|Out|B|M|P) +)?(?:ifindex \d+ \S+ )?IP6? {_AFTER_IP}"
    r"|\sIP6? (?:\((?:tos|class|flowlabel|hlim|v\d)|\S+ > \S+:(?:\s|$))"
    r"|ethertype IPv[46] "
)
#: What tcpdump prints of other protocols than IP.
TCPDUMP_OTHER = re.compile(
    r"(?:\S+ +(?:In|Out|B|M|P) +)?"
    r"(?:(?:ARP|RARP|STP|LLDP|LLC|CDP|IPX|AARP|PPPoE|EAPOL|MPLS|802\.\d|Loopback|Unknown|unknown"
    r"|Ethernet|IEEE|ICMP6?|Broadcom|MACsec|LACP|IP6?$)|.*ethertype )"
)
TCPDUMP_CHATTER = re.compile(
    r"(?:reading from |listening on |tcpdump: |dropped privs|\d+ packets? |packet |Warning: |\^C"
    r"|verbose output|Got \d|\[\||#|data link type|Unable to use a TTY|If you don't see a command"
    r"|Defaulted container|Defaulting debug container|Targeting container|command terminated)"
)
#: One of these is in every line that tcpdump prints, what it says of itself included.
TCPDUMP_TOKENS = (
    b" IP ",
    b"IP6",
    b">IP ",
    b"IP\xa0",
    b"IP\xc2\xa0",
    b" > ",
    b"&gt;",
    b"\\u003e",
    b"ARP",
    b"ethertype",
    b"0x0",
    b"STP",
    b"LLDP",
    b"LLC",
    b"802.",
    b"ICMP",
    b"nknown",
    b"Loopback",
    b"listening on",
    b"reading from",
    b"tcpdump",
    b" packet",
    b"^C",
    b"Defaulted",
    b"Warning",
    b"data link",
)
#: A packet somewhere in a line, behind what a tool wrote before it.
TCPDUMP_WITHIN = re.compile(
    r"(?:(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d{6}(?:\d{3})? |\b\d{9,12}\.\d{6}(?:\d{3})? )"
    rf"(?:\S+ +(?:In|Out|B|M|P) +)?"
    rf"(?:IP6? {_AFTER_IP}|\S{{17}} (?:> \S{{17}}, )?(?:\S+ )?ethertype IPv[46] )"
)
TCPDUMP_ENDS = re.compile(
    r" > (?:[^\s<>]|<[^\s<>]{1,60}>){1,260}\.\w[\w-]*: |, length \d+\)?\s*$|^IP6? \(tos|\d > \d"
)
_RCODE = r"[A-Z]\w*|\d+|-"
COREDNS_QUERY = re.compile(
    r"(?<![^\s\]\"'|>=])(?P<client>\[[\w:.%]{2,60}\]|(?:[^\s\":\[\]=<>]|<[^\s<>]{1,60}>){1,260}"
    r"|[\da-fA-F:.]{2,45})(?::(?P<port>\d{1,5}))? - "
    r"(?:\[(?P<when>\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] )?"
    r"(?:(?P<id>\d{1,5}) )?"
    r'"(?P<type>\S+) (?P<class>\S+) (?P<name>(?:\\.|[^\s"\\])+) (?P<proto>udp|tcp) '
    r'(?P<size>\d+) (?:true|false|-) (?P<bufsize>\d+|-)" '
    rf"(?P<rcode>{_RCODE}) (?P<flags>[a-z]{{2}}(?:,[a-z]{{2}})*|-) (?P<rsize>\d+) "
    r"(?P<duration>-?\d[\d.]*(?:[munh\u00b5\u03bc]?s|[mh])?[\d.a-z\u00b5\u03bc]*)"
    r'(?: "(?P<opcode>\d+)")?\s*$'
)
#: A line of CoreDNS itself.
COREDNS_OWN = re.compile(
    r"(?:^|\] |\s)(?:CoreDNS-\d|(?:linux|darwin)/\w+, go1"
    r"|\[(?:INFO|WARNING|ERROR|FATAL|PANIC|NOTICE)\] (?:plugin/|SIGTERM|Reloading|\S+:\d+$))"
    r"|\[ERROR\] \d+ \S+ \S+: |^\S{0,80}:53(?: on \S+)?$"
)
#: What a line in a log format of somebody's own must hold: a name with its final dot, an outcome.
COREDNS_CUSTOM = re.compile(
    r"(?=.*[\w*>]\.(?:[\s\"',;|}]|$))"
    r"(?=.*(?<![A-Za-z])(?:NOERROR|NXDOMAIN|SERVFAIL|REFUSED|FORMERR|NOTIMP)(?![A-Za-z]))"
    r"(?=.*(?:\budp\b|\btcp\b|\b\d+(?:\.\d+)?(?:[nm\u00b5]?s)\b|\bqr,|\bIN\b))"
    r"(?!.*(?:;;|status: |\*\* |dnsmasq))"
)
#: One of these is in every line of CoreDNS.
COREDNS_TOKENS = (
    b" IN ",
    b"NOERROR",
    b"NXDOMAIN",
    b"SERVFAIL",
    b"REFUSED",
    b"FORMERR",
    b"NOTIMP",
    b"plugin/",
    b"CoreDNS",
    b"[INFO]",
    b"[ERROR]",
    b"[WARNING]",
    b"[FATAL]",
    b":53",
    b", go1",
    b' - "',
)
DNSMASQ = re.compile(
    r"(?:dnsmasq(?:\[\d+\])?: |^|\s)(?:(?P<serial>\d+) (?P<from>\S{1,260}?)/(?P<port>\d+) )?"
    r"(?P<what>query\[(?P<type>[\w=]+)\]|reply|forwarded|cached(?:-stale)?|config|/\S+|DHCP"
    r"|validation|dnssec-query\[\w+\]|nameserver|exactly \S+ \S+|gravity \S+|regex \S+ \S+"
    r"|special domain|Rate-limiting|auth\[\w+\]|Apple iCloud)"
    r" (?P<name>\S+)(?: (?P<verb>is|to|from|refused|failed) (?P<value>.*))?$"
)
_DNSMASQ_LINE = re.compile(r"query\[[\w=]+\] \S+ from \S+")
_DNSMASQ_OWN = re.compile(r"dnsmasq(?:\[\d+\])?: (?:started|using|reply|forwarded|cached|query\[)")
_HUBBLE_TEXT = re.compile(
    r"(?P<time>[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d(?:\.\d+)?"
    r"|\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-][\d:]+)?|\d\d:\d\d:\d\d(?:\.\d+)?)?"
    r"(?: ?\[[^\]]*\])?:?\s+(?:\[[^\]]*\]:? )?"
    r"(?P<left>\S+)(?P<about_left>(?: \([^)]*\))*+)\s+(?:(?P<arrow><?->?|<>)\s+)?"
    r"(?P<right>\S+)(?P<about_right>(?: \([^)]*\))*+)\s+"
    r"(?P<kind>dns-request|dns-response)\b.*?\(?DNS (?P<summary>(?:Query|Answer).*?)\)?$"
)
_BEFORE_END = re.compile(r"->|<-|<>|\t| {2}")
_VERDICT = re.compile(r"\b(?:FORWARDED|DROPPED|ERROR|AUDIT|REDIRECTED|TRACED|TRANSLATED)\b")
TSHARK = re.compile(
    r"\s*(?P<number>\d+)\s+"
    r"(?P<time>\d{4}-\d\d-\d\d[ T][\d:.,]+|\d\d:\d\d:\d\d[.,]\d+|\d+[.,]\d+)\s+"
    r"(?P<source>[\w.:%-]+)\s+(?:\S{1,3}\s+)??(?P<target>[\w.:%-]+)\s+"
    r"(?P<protocol>[A-Z][\w.+/-]*)\s+(?P<bytes>\d+)\s+(?P<info>\S.*)"
)


def looks_like_pcap(head: bytes) -> bool:
    """Do these first bytes begin a pcap file?"""
    return head[:4] in PCAP_MAGICS


def looks_like_pcapng(head: bytes) -> bool:
    """Do these first bytes begin a pcapng file, with the block that says its byte order?"""
    return head[:4] == PCAPNG_MAGIC and head[8:12] in _PCAPNG_ORDERS


def looks_like_frame_stream(head: bytes) -> bool:
    """Do these first bytes begin a Frame Stream?"""
    if len(head) < 12:
        return False
    escape, length, kind = struct.unpack(">III", head[:12])
    return escape == 0 and 4 <= length <= CONTROL_BYTES and kind in (_ACCEPT, _START, _READY)


def looks_like_tcpdump(line: Line) -> bool:
    """Is this a packet as tcpdump prints one?"""
    text = line.text.rstrip()
    if TCPDUMP_WITHIN.search(text):
        return True
    match = TCPDUMP_HEAD.fullmatch(text)
    if match is None or not TCPDUMP_IP.search(match["rest"]):
        return False
    rest = match["rest"]
    shown = rest.startswith(("IP ", "IP6 ")) or bool(SHIPPED.match(text))
    if match["clock"] or match["epoch"]:
        return True
    return shown and bool(TCPDUMP_ENDS.search(rest))


def looks_like_coredns(line: Line) -> bool:
    """Is this a line that CoreDNS logs?"""
    text = line.text
    return bool(
        COREDNS_QUERY.search(text) or COREDNS_OWN.search(text) or COREDNS_CUSTOM.match(text)
    )


def looks_like_dnsmasq(line: Line) -> bool:
    """Is this a line of dnsmasq's query log?"""
    return bool(_DNSMASQ_LINE.search(line.text) or _DNSMASQ_OWN.search(line.text))


def looks_like_hubble(line: Line) -> bool:
    """Is this an event as Hubble prints it in JSON?"""
    record = line.record or {}
    if any(isinstance(record.get(k), dict) for k in HUBBLE_EVENTS):
        return True
    return "verdict" in record and any(isinstance(record.get(k), dict) for k in ("IP", "l4", "l7"))


HUBBLE_EVENTS = ("flow", "node_status", "lost_events", "agent_event", "debug_event")


def looks_like_hubble_text(line: Line) -> bool:
    """Is this a DNS flow as ``hubble observe`` prints it?"""
    return hubble_match(line.text) is not None


def hubble_match(text: str) -> re.Match[str] | None:
    """Return the parts of a DNS flow that ``hubble observe`` prints."""
    return _HUBBLE_TEXT.match(text.rstrip()) if "dns-re" in text else None


def shows_verdict(text: str) -> bool:
    """Is this a flow of any kind that ``hubble observe`` prints?"""
    ends = _BEFORE_END.search(text)
    if ends is None:
        return False
    rest = text[ends.end() :].lstrip()
    return _VERDICT.search(rest, 1) is not None


def looks_like_trace_dns(line: Line) -> bool:
    """Is this an event of the DNS gadget?"""
    record = line.record
    if record is not None:
        return ("qr" in record or "qr_raw" in record) and any(
            k in record for k in ("pktType", "pkt_type", "nameserver", "qtype", "qtype_raw")
        )
    return gadget_columns(line.text) is not None


def gadget_columns(text: str) -> dict[str, int] | None:
    """Return where the columns begin that the DNS gadget's heading names, None for another line."""
    if "QR" not in text or "NAME" not in text:
        return None
    found = {m[0].rpartition(".")[2]: m.start() for m in re.finditer(r"\S+", text)}
    if text != text.upper() or not {"QR", "NAME", "QTYPE"} <= set(found):
        return None
    return found


def looks_like_tshark(line: Line) -> bool:
    """Is this a DNS packet as tshark prints one?"""
    return "tandard query" in line.text and tshark_match(line.text) is not None


def tshark_match(text: str) -> re.Match[str] | None:
    """Return the columns of a packet that tshark or Wireshark prints."""
    if text.startswith('"') and '","' in text:
        text = text.strip().strip('"').replace('","', "  ")
    return TSHARK.fullmatch(text)


def looks_like_netobserv(line: Line) -> bool:
    """Is this a flow of NetObserv with what it knows of DNS?"""
    record = line.record or {}
    return (
        "DnsId" in record or "DnsFlags" in record or "DnsName" in record
    ) and "SrcAddr" in record


#: Files of bytes that are no captures: how they begin, what they are, what to do instead.
UNREAD_BYTES: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\3\4", "a zip archive", "unpack it"),
    (
        b"PAR1",
        "a Parquet table",
        "'pcapkit sql --history FOLDER' queries those of an audit's history",
    ),
    (b"\x89PNG", "a picture", "give the capture that it is of"),
    (b"%PDF", "a PDF document", "give the capture that it is of"),
    (b"SQLite format 3", "a database", "give the capture that it is of"),
)
#: Text that is known and holds no messages, or not all of them: its sign, what it is, what to do.
UNREAD: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(sign, re.M), what, instead)
    for sign, what, instead in (
        (
            r'^\{\s*"schema"\s*:\s*"pcapkit\.audit/',
            "the index of an audit",
            "give the captures that it is of",
        ),
        (
            r'^\{\s*"schema"\s*:\s*"pcapkit\.analysis/',
            "a saved analysis",
            "'pcapkit compare' and 'pcapkit fix' take it",
        ),
        (
            r"^; <<>> DiG|^;; (?:ANSWER|QUESTION) SECTION|^;; connection timed out",
            "what dig prints",
            "run 'tcpdump -n port 53' beside it",
        ),
        (
            r"^Server:\s+\S+\s+^Address:\s+\S+",
            "what nslookup prints",
            "run 'tcpdump -n port 53' beside it",
        ),
        (r"^#separator |^#fields\tts\tuid", "a log of Zeek", "read the capture that Zeek read"),
        (r'"event_type"\s*:\s*"dns"', "Suricata's events", "read the capture that Suricata read"),
        (
            r"client (?:@0x[0-9a-f]+ )?\S+#\d+ \(\S+\): (?:view \S+: )?query: ",
            "BIND's query log",
            "run 'tcpdump -n port 53' on the server",
        ),
        (r"unbound(?:\[\d+|:).* info: ", "unbound's log", "turn dnstap on in unbound"),
        (r"systemd-resolved", "systemd-resolved's log", "run 'tcpdump -n port 53' on the node"),
        (
            r'"query_timestamp"\s*:|"query_name"\s*:',
            "a query log of a cloud resolver",
            "capture in the cluster with 'tcpdump -n port 53'",
        ),
        (r"^\s*(?:nameserver|search|options) \S+", "a resolv.conf", "give it as --resolv-conf"),
        (r"^\s*(?:\S+:53|\.) \{", "a Corefile", "give it as --corefile"),
        (r'^\s*"?apiVersion"?: ', "a Kubernetes manifest", "give pods and services as --pods"),
        (
            r"^NAMESPACE\s+NAME\s|^NAME\s+READY\s",
            "a table of kubectl",
            "give 'kubectl get pods,services -A -o json' as --pods",
        ),
        (r"^\s*TIMESTAMP: ", "hubble observe -o dict", "print with 'hubble observe -o jsonpb'"),
        (
            r'"_source"\s*:\s*\{\s*"layers"|<pdml|"layers"\s*:\s*\{',
            "tshark's JSON or PDML",
            "save with 'tshark -w FILE', or print without -T",
        ),
        (
            r"^(?:0x)?[0-9a-f]{4,8}:? {1,3}(?:[0-9a-f]{2} ?){8,}",
            "a hex dump",
            "turn it into a capture with 'text2pcap'",
        ),
        (r"(?i)<!doctype html|<html", "a web page", "save what it shows as text"),
        (
            r'"log"\s*:|"message"\s*:|"textPayload"\s*:',
            "a log without a DNS line in it",
            "in a Corefile: the plugin log; then 'kubectl logs -n kube-system -l k8s-app=kube-dns "
            "--timestamps --prefix'",
        ),
    )
)


def is_tally(head: bytes) -> bool:
    """Does a file with this ``head`` begin as tallies do?"""
    return head.startswith(b"PK\3\4") and head[30 : 38 + len(TALLY_KIND)].endswith(TALLY_KIND)
