"""The lines that tcpdump prints, as messages.

Read are the forms of ``-n``, ``-t`` to ``-ttttt``, ``-v`` to ``-vvv``, ``-e``, ``-#`` and
``-i any`` (tcpdump(1), "OUTPUT FORMAT"; print-domain.c). Below ``-vv`` a response shows neither its
question nor, below ``-v``, the owner of its records: the type of an answer is then taken to be the
asked one unless it is a CNAME, DNAME or RRSIG.

Printed times carry no zone and are taken as UTC; a time of day without a date is dated 1970-01-01;
``-t`` prints none, and each packet then counts as 1,000 ns, which keeps their order.
"""

from __future__ import annotations

import hashlib
import re
from calendar import timegm
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from pcapkit.codes import QCLASSES, qtype_number
from pcapkit.ingest.inputs.recognise import TCPDUMP_CHATTER, TCPDUMP_HEAD, TCPDUMP_IP
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.logs.lines import byte_lines
from pcapkit.ingest.window import CLOCKLESS_STEP_NS, Capture, Interners, Window
from pcapkit.names.text import wire_from_text
from pcapkit.schema import (
    AA,
    ABSENT,
    AD,
    MARK_QUESTION_SHOWN,
    QR,
    RA,
    RD,
    TC,
    TCP,
    UDP,
    Messages,
    new_messages,
)

_PACKETS = 1 << 15
_DAY_NS = 86_400_000_000_000
_ENDS = re.compile(
    r"(?:^|\s)(?P<source>[^\s>]+?)\.(?P<source_port>\w[\w-]*) > "
    r"(?P<target>[^\s>]+?)\.(?P<target_port>\w[\w-]*): (?P<rest>.*)",
    re.S,
)
_INTERFACE = re.compile(r"(\S+)\s+(In|Out|B|M|P)\s")
_ADDRESS = "(?:[0-9a-f]{2}:){5}[0-9a-f]{2}"
_LINK_ADDRESSES = re.compile(f"{_ADDRESS}(?: > {_ADDRESS})?")
_SERVICES = {"domain": 53, "domain-s": 853, "mdns": 5353, "llmnr": 5355, "hostmon": 5355}
_CHECKSUM = re.compile(r"\[(?:bad |no |)udp (?:cksum|sum)[^\]]*\] ?")
_TCP = re.compile(r"Flags \[[^\]]*\].*?\blength \d+:? ?(?P<dns>.*)", re.S)
_RCODES = {
    "FormErr": 1,
    "ServFail": 2,
    "NXDomain": 3,
    "NotImp": 4,
    "Refused": 5,
    "YXDomain": 6,
    "YXRRSet": 7,
    "NXRRSet": 8,
    "NotAuth": 9,
    "NotZone": 10,
    "BadVers": 16,
}
_OPCODES = {"inv_q": 1, "stat": 2, "op3": 3, "notify": 4, "update": 5}
_MESSAGE = re.compile(
    r"(?P<id>\d{1,5})"
    r"(?: (?P<opcode>inv_q|stat|op3|notify|update[ADM]?|updateMA|op1\d|op\d))?"
    r"(?: ?(?P<rcode>FormErr|ServFail|NXDomain|NotImp|Refused|YXDomain|YXRRSet|NXRRSet|NotAuth"
    r"|NotZone|BadVers|Resp\d+))?"
    r"(?P<flags>[-+*|$%]*)(?= |\[|$)"
    r"(?P<rest>.*)",
    re.S,
)
_QUERY = re.compile(
    r"\s*(?:\[[^\]]*\]\s*)*(?P<type>[A-Za-z][\w-]*)(?: (?P<class>[A-Z]\w*))?(?: \(Q[UM]\))?\? "
    r"(?P<name>.*?\.)(?: ar: (?P<additional>.*?))?(?: \((?P<bytes>\d+)\))?\s*$",
    re.S,
)
_RESPONSE = re.compile(
    r"(?: q: (?P<question>[A-Za-z][\w-]*(?: [A-Z]\w*)?(?: \(Q[UM]\))?\? .*?\.))?"
    r"(?: \[(?P<questions>\d+)q\])? (?P<answers>\d+)/(?P<authority>\d+)/(?P<more>\d+)"
    r"(?P<records>.*?)(?: \((?P<bytes>\d+)\))?\s*$",
    re.S,
)
_QUESTION = re.compile(r"(?P<type>[A-Za-z][\w-]*)(?: (?P<class>[A-Z]\w*))?(?: \(Q[UM]\))?\? ")
_RECORD = re.compile(
    r"(?:^|, )\s*(?:(?:\S*\. )?(?:\[(?P<ttl>[0-9wdhms]+)\] )?(?:\(Cache flush\) )?"
    r"(?:[A-Z]{2} )?)(?P<type>[A-Z][A-Z0-9-]*|Type\d+)(?=[\s,]|$)"
)
_TTL = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")
_NEGATIVE = re.compile(r" ns: \S* \[(?P<ttl>[0-9wdhms]+)\] SOA \S+ \S+ \d+ \d+ \d+ \d+ (\d+)")
_ALIASES = frozenset({"CNAME", "DNAME", "RRSIG"})
_HEX_BYTE = re.compile(r"\\0x([0-9a-fA-F]{2})")


def _packets(source: Source) -> Iterator[re.Match[str]]:
    """Yield one match a packet, its continuation lines joined to it."""
    text = ""
    for raw in byte_lines(source):
        line = raw.decode("latin-1")
        if not line.strip():
            continue
        numbered = re.match(r"\s*\d+ {2}\S", line) is not None
        if line[0] in " \t" and not numbered and text and not _starts_with_clock(line):
            if not re.match(r"\s+0x[0-9a-f]+:", line):  # -x and -X print the bytes as well
                text += " " + line.strip()
            continue
        if text and (match := TCPDUMP_HEAD.fullmatch(text)):
            yield match
        text = "" if TCPDUMP_CHATTER.match(line) else line
    if text and (match := TCPDUMP_HEAD.fullmatch(text)):
        yield match


def _starts_with_clock(line: str) -> bool:
    """-ttt and -ttttt print their differences behind a space."""
    return re.match(r" \d\d:\d\d:\d\d\.\d{6}", line) is not None


@dataclass(slots=True)
class _Clock:
    """Turns printed times into nanoseconds; what it could not know becomes a warning."""

    has_clock: bool = True
    undated: bool = False
    relative: bool = False
    zone_unknown: bool = False
    summed: bool = False  # -ttt: each time is the difference to the packet before
    _days: int = 0
    _last: int = 0
    _seen: int = 0

    def time(self, match: re.Match[str], packet_no: int) -> int:
        """Return the packet's time; without a clock, its number times CLOCKLESS_STEP_NS."""
        self._seen += 1
        if match["epoch"]:
            return _nanoseconds(match["epoch"])
        if match["clock"] is None:
            self.has_clock = False
            return packet_no * CLOCKLESS_STEP_NS
        back = match["clock"].startswith("-")  # -ttt: before the packet that is printed before
        hours, minutes, rest = match["clock"].removeprefix("-").split(":")
        now = (int(hours) * 3600 + int(minutes) * 60) * 1_000_000_000 + _nanoseconds(rest)
        if match["date"]:
            self.zone_unknown = True
            year, month, day = map(int, match["date"].split("-"))
            try:
                return timegm((year, month, day, 0, 0, 0)) * 1_000_000_000 + now
            except (ValueError, OverflowError):
                return now
        if self._seen == 1 and now == 0:
            self.relative = True
        if self.relative:
            if (back or now < self._last) and not self.summed:
                self.summed = True
            if self.summed:
                now = self._last + (-now if back else now)
        else:
            self.undated = True
            if now + self._days * _DAY_NS < self._last - _DAY_NS // 2:
                self._days += 1  # past midnight
            now += self._days * _DAY_NS
        self._last = now
        return now

    def warnings(self, path: str) -> list[str]:
        """Say what the times rest on."""
        if not self.has_clock:
            return [f"{path}: no times are printed (tcpdump -t): nothing is said about durations"]
        if self.relative:
            return [f"{path}: times are differences (tcpdump -ttt): they start at 1970-01-01"]
        if self.undated:
            return [f"{path}: times have no date: dated 1970-01-01, and taken as UTC"]
        if self.zone_unknown:
            return [f"{path}: times have no zone: taken as UTC"]
        return []


def _nanoseconds(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * 1_000_000_000 + int(part.ljust(9, "0")[:9])


@dataclass(slots=True)
class _Batch:
    """Messages as they are gathered for one window."""

    rows: Messages = field(default_factory=lambda: new_messages(_PACKETS))
    count: int = 0
    packets: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    first: int | None = None
    last: int | None = None

    def window(self, *, has_clock: bool) -> Window:
        return Window(
            self.rows[: self.count],
            self.packets,
            self.skipped,
            self.first if has_clock else None,
            self.last if has_clock else None,
        )


@dataclass(slots=True)
class _Reader:
    """Parses packets of one text into rows."""

    interners: Interners
    ports: frozenset[int]
    interfaces: dict[str, int] = field(default_factory=dict)
    host_names: int = 0

    def parse(self, match: re.Match[str], packet_no: int, time: int, row: Messages) -> str:
        """Fill ``row``; return "" or the reason why there is no message."""
        text = match["rest"]
        if not TCPDUMP_IP.search(text):
            return "not_ip"
        ends = _ENDS.search(text)
        if ends is None:
            return "icmp" if re.search(r": ICMP6?[ ,]", text) else "not_dns"
        reason, client_first = self._ends(ends, row)
        if reason:
            return reason
        payload = _CHECKSUM.sub("", ends["rest"])
        row["transport"] = UDP
        if payload.startswith("Flags ["):
            segment = _TCP.match(payload)
            payload = segment["dns"] if segment else ""
            if not payload:
                return "tcp_without_message"
            row["transport"] = TCP
        reason = self._message(payload, row)
        if reason:
            return reason
        if client_first != (int(row["flags"]) & QR == 0):
            if not self._both_dns(ends):
                return "text_not_understood"
            self._swap(row)
        row["time"] = time
        row["packet_no"] = packet_no
        row["message_no"] = 1
        digest = hashlib.blake2b(payload.encode("latin-1"), digest_size=8).digest()
        row["content"] = int.from_bytes(digest, "little")
        self._link(text[: ends.start("source")], packet_no, row)
        return ""

    def _ends(self, ends: re.Match[str], row: Messages) -> tuple[str, bool]:
        ports = [_port(ends["source_port"]), _port(ends["target_port"])]
        if ports[0] not in self.ports and ports[1] not in self.ports:
            for number, reason in (
                (5353, "multicast_dns"),
                (5355, "llmnr"),
                (853, "encrypted_dns"),
            ):
                if number in ports:
                    return reason, True
            return "not_dns", True
        if max(ports) > 0xFFFF:
            return "text_not_understood", True
        if min(ports) < 0:  # the name of a service, as of a host
            self.host_names += 1
            return "host_name_not_address", True
        try:
            packed = [ip_address(_unzoned(ends[k])).packed for k in ("source", "target")]
        except ValueError:
            self.host_names += 1
            return "host_name_not_address", True
        source, target = (self.interners.addresses.add(p) for p in packed)
        client_first = ports[1] in self.ports
        if not client_first:
            source, target = target, source
            ports.reverse()
        row["client"], row["server"] = source, target
        row["client_port"], row["server_port"] = ports
        return "", client_first

    def _both_dns(self, ends: re.Match[str]) -> bool:
        return {_port(ends["source_port"]), _port(ends["target_port"])} <= self.ports

    def _swap(self, row: Messages) -> None:
        for a, b in (("client", "server"), ("client_port", "server_port")):
            row[a], row[b] = int(row[b]), int(row[a])

    def _link(self, prefix: str, packet_no: int, row: Messages) -> None:
        """Note what tells a copy of a packet from a resend: hop, link addresses, identification."""
        if seen := _INTERFACE.match(prefix):
            row["interface"] = self.interfaces.setdefault(seen[0], len(self.interfaces) + 1)
        hop = re.search(r"\b(?:ttl|hlim) (\d{1,3})\b", prefix)
        row["hop_limit"] = min(int(hop[1]), 255) if hop else 0
        number = re.search(r"\bid (\d{1,5}),", prefix)
        row["ip_id"] = int(number[1]) & 0xFFFF if number else ABSENT
        if link := _LINK_ADDRESSES.search(prefix):
            key = hashlib.blake2b(link[0].encode(), digest_size=8).digest()
            row["link"] = int.from_bytes(key, "little")
        elif not seen and not number:
            # One interface and no identification: a line that comes again is a resend.
            row["ip_id"] = packet_no % 0xFFFF + 1

    def _message(self, text: str, row: Messages) -> str:
        match = _MESSAGE.match(text)
        if match is None or int(match["id"]) > 0xFFFF:
            return "text_not_understood"
        row["message_id"] = int(match["id"])
        opcode = match["opcode"] or ""
        number = _OPCODES.get(opcode.rstrip("ADM"), 0) if opcode else 0
        if opcode.startswith("op"):
            number = int(opcode[2:]) & 15
        rest = match["rest"]
        if "[|domain]" in rest:
            return "truncated_by_snaplen"
        if (response := _RESPONSE.match(rest)) is not None:
            return self._response(match, response, number, row)
        query = _QUERY.match(rest)
        if query is None:
            return "text_not_understood"
        row["flags"] = (number << 11) | (RD if "+" in match["flags"] else 0)
        row["message_bytes"] = int(query["bytes"] or 0)
        size = re.search(r"\bOPT UDPsize=(\d+)", query["additional"] or "")
        row["edns_bytes"] = min(int(size[1]), 0xFFFF) if size else ABSENT
        return self._question(query, query["name"], row)

    def _question(self, match: re.Match[str], name: str, row: Messages) -> str:
        qtype = qtype_number(match["type"])
        try:
            wire = wire_from_text(_presentation(name))
        except ValueError:
            return "malformed"
        if qtype is None:
            return "text_not_understood"
        row["qname"] = self.interners.names.add(wire)
        row["qtype"] = qtype
        row["qclass"] = _CLASSES.get(match["class"] or "IN", 1)
        row["marks"] = MARK_QUESTION_SHOWN
        return ""

    def _response(
        self, head: re.Match[str], match: re.Match[str], opcode: int, row: Messages
    ) -> str:
        flags = head["flags"]
        rcode = head["rcode"] or ""
        row["rcode"] = _RCODES.get(rcode, 0)
        if rcode.startswith("Resp"):
            row["rcode"] = int(rcode[4:]) & 15
        row["flags"] = (
            QR
            | (opcode << 11)
            | (AA if "*" in flags else 0)
            | (0 if "-" in flags else RA)
            | (TC if "|" in flags else 0)
            | (AD if "$" in flags else 0)
            | (int(row["rcode"]) & 15)
        )
        row["message_bytes"] = int(match["bytes"] or 0)
        row["answers"] = min(int(match["answers"]), 0xFFFF)
        records = re.sub(r'"(?:[^"\\]|\\.)*"', '""', match["records"])
        answers = re.split(r" (?:ns|ar): ", records)[0]
        asked = None
        if match["question"] and (shown := _QUESTION.match(match["question"])):
            if reason := self._question(shown, match["question"][shown.end() :], row):
                return reason
            asked = int(row["qtype"])
        found = list(_RECORD.finditer(answers))[: int(match["answers"])]
        row["typed_answers"] = sum(
            (qtype_number(r["type"]) == asked or asked == 255)
            if asked is not None
            else r["type"] not in _ALIASES
            for r in found
        )
        if "[|" in answers or (not found and row["answers"]):
            row["typed_answers"] = row["answers"]  # cut off: as the header counts them
        row["min_ttl"] = min((_ttl(r["ttl"]) for r in found if r["ttl"]), default=ABSENT)
        if not found and (negative := _NEGATIVE.search(records)):
            row["min_ttl"] = min(_ttl(negative["ttl"]), int(negative[2]), 0x7FFFFFFF)
        size = re.search(r"\bOPT UDPsize=(\d+)", records)
        row["edns_bytes"] = min(int(size[1]), 0xFFFF) if size else ABSENT
        return ""


_CLASSES = {text: number for number, text in QCLASSES.items()} | {"CHAOS": 3, "Any": 255}


def _port(text: str) -> int:
    if text.isdecimal():  # isdigit() also holds for superscripts, which int() refuses
        return min(int(text[:6]), 1 << 16)
    return _SERVICES.get(text, -1)


def _unzoned(address: str) -> str:
    return address.partition("%")[0]


def _ttl(text: str) -> int:
    match = _TTL.match(text)
    if match is None:
        return ABSENT
    units = (604_800, 86_400, 3_600, 60, 1)
    total = sum(int(v or 0) * u for v, u in zip(match.groups(), units, strict=True))
    return min(total, 0x7FFFFFFF)


def _presentation(name: str) -> str:
    r"""Return a printed name with its escapes as RFC 1035 writes them: ``\0x0a`` is ``\010``."""
    return _HEX_BYTE.sub(lambda m: f"\\{int(m[1], 16):03d}", name)


def read_tcpdump_text(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    """Return the capture behind lines that tcpdump printed."""
    capture = Capture(source.path, "tcpdump text", source.compression, iter(()))
    capture.windows = _windows(source, interners, capture, ports)
    return capture


def _windows(
    source: Source, interners: Interners, capture: Capture, ports: frozenset[int]
) -> Iterator[Window]:
    clock, reader, batch = _Clock(), _Reader(interners, ports), _Batch()
    done = 0
    for match in _packets(source):
        packet_no = done + batch.packets + 1
        time = clock.time(match, packet_no)
        capture.has_clock = clock.has_clock
        row = batch.rows[batch.count]
        reason = reader.parse(match, packet_no, time, row)
        batch.packets += 1
        batch.first = time if batch.first is None else min(batch.first, time)
        batch.last = time if batch.last is None else max(batch.last, time)
        if reason:
            batch.rows[batch.count] = new_messages(1)[0]
            batch.skipped[reason] += 1
        else:
            batch.count += 1
        if batch.packets == _PACKETS:
            capture.bytes_read = source.stored_bytes_read
            yield batch.window(has_clock=clock.has_clock)
            done += batch.packets
            batch = _Batch()
    capture.bytes_read = source.stored_bytes_read
    capture.warnings += clock.warnings(source.path) if done + batch.packets else []
    if source.damage:
        capture.truncated_tail = True
        capture.warnings.append(
            f"{source.path}: {source.damage}; analysed up to there ({done + batch.packets} packets)"
        )
    if reader.host_names:
        capture.warnings.append(
            f"{source.path}: {reader.host_names} packets show host names instead of addresses: "
            "print again with tcpdump -n"
        )
    if batch.packets:
        yield batch.window(has_clock=clock.has_clock)
