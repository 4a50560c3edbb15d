"""The lines that tcpdump prints, as messages.

Read are the forms of ``-n``, ``-t`` to ``-ttttt``, ``-v`` to ``-vvv``, ``-e``, ``-#`` and
``-i any`` (tcpdump(1), "OUTPUT FORMAT"; print-domain.c). Below ``-vv`` a response shows neither its
question nor, below ``-v``, the owner of its records: the type of an answer is then taken to be the
asked one unless it is a CNAME, DNAME or RRSIG.

Without ``-n`` tcpdump prints names for addresses and for ports; a name then stands for its host.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Sequence

from pcapkit.addresses import packed_name
from pcapkit.cluster.pods import Pod
from pcapkit.codes import QCLASSES, qtype_number
from pcapkit.ingest.inputs.recognise import (
    SHIPPED,
    TCPDUMP_CHATTER,
    TCPDUMP_HEAD,
    TCPDUMP_IP,
    TCPDUMP_OTHER,
    TCPDUMP_WITHIN,
)
from pcapkit.ingest.inputs.wrappings import Line
from pcapkit.ingest.logs.blocks.tcpdump import Interfaces, PacketBlocks
from pcapkit.ingest.logs.lines import (
    LineMessage,
    NotUnderstood,
    PlainReader,
    Shared,
    packed_address,
    time_of,
    wire_name,
)
from pcapkit.ingest.logs.tcpdump_clock import Clock
from pcapkit.ingest.window import Ends
from pcapkit.limits import DEFAULTS
from pcapkit.names.labels import split
from pcapkit.schema import AA, ABSENT, AD, MOST_SOA, QR, RA, RD, TC, TCP, UDP

_END = r"(?:[^\s<>]|<[^\s<>]+>)+?"
_ENDS = re.compile(
    rf"(?:^|\s)(?P<source>{_END})\.(?P<source_port>\w[\w-]*) > "
    rf"(?P<target>{_END})\.(?P<target_port>\w[\w-]*): (?P<rest>.*)",
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
    r"(?P<name>.*?\.)(?: ar: (?P<additional>.*?))?(?: \((?P<bytes>\d+)\))?$",
    re.S,
)
_RESPONSE = re.compile(
    r"(?: q: (?P<question>[A-Za-z][\w-]*(?: [A-Z]\w*)?(?: \(Q[UM]\))?\? .*?\.))?"
    r"(?: \[(?P<questions>\d+)q\])? (?P<answers>\d+)/(?P<authority>\d+)/(?P<more>\d+)"
    r"(?P<records>.*?)(?: \((?P<bytes>\d+)\))?$",
    re.S,
)
_QUESTION = re.compile(r"(?P<type>[A-Za-z][\w-]*)(?: (?P<class>[A-Z]\w*))?(?: \(Q[UM]\))?\? ")
_RECORD = re.compile(
    r"(?:^|, )\s*(?:(?:\S*\. )?(?:\[(?P<ttl>[0-9wdhms]+)\] )?(?:\(Cache flush\) )?"
    r"(?:[A-Z]{2} )?)(?P<type>[A-Z][A-Z0-9-]*|Type\d+)(?=[\s,]|$)"
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.?)*+"?')  # perhaps without its end
_TTL = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")
_NEGATIVE = re.compile(
    r" ns: (?P<owner>\S*) \[(?P<ttl>[0-9wdhms]+)\] SOA \S+ \S+ \d+ \d+ \d+ \d+ (\d+)"
)
_ALIASES = frozenset({"CNAME", "DNAME", "RRSIG"})
_HEX_BYTE = re.compile(r"\\0x([0-9a-fA-F]{2})")


class TcpdumpReader(PlainReader):
    """Parses printed packets."""

    clockless = "no times are printed (tcpdump -t)"

    def __init__(self, ports: frozenset[int], pods: dict[bytes, Pod]) -> None:
        self._ports, self._pods = ports, pods
        self._clock = Clock()
        self._clocked: bool | None = None
        self._host_names = 0
        self._most = DEFAULTS.continuation_characters
        self._may_go_on: bool | None = None  # may the next line be part of what is held?
        self._went_by = False

    def share(self, shared: Shared) -> None:
        """Number interfaces and tell times as the compiled reader does."""
        self._most = shared.limits.continuation_characters
        self._interfaces = Interfaces(shared.places)
        self.blocks = PacketBlocks(
            shared.interners, self._interfaces, self._ports, shared.probes, self._clock.state
        )

    def units(self, line: Line) -> Sequence[Line]:
        """Return the packet before this one, its continuation lines joined to it."""
        text, held = line.text, self.held
        if (held or self._went_by) and text[:1] in (" ", "\t") and not _starts_packet(text):
            if _HEX_LINE.match(text):  # -x and -X print the bytes as well
                return ()
            if held is not None:
                if self._may_go_on is None:
                    self._may_go_on = self._goes_on(held.text)
                if self._may_go_on:
                    longer = f"{held.text} {text.strip()}"
                    self.is_full = len(longer) > self._most
                    held.text = longer[: max(self._most, len(held.text))]
                    if self.is_full:
                        self._may_go_on = False
                    elif " > " in text:
                        self._may_go_on = None
                    return ()
        whole = self.rest()
        self.held = None if TCPDUMP_CHATTER.match(text) else line
        return whole

    def rest(self) -> Sequence[Line]:
        """Return the packet that is held."""
        held, self.held = self.held, None
        self._may_go_on, self._went_by, self.is_full = None, False, False
        return () if held is None else (held,)

    def went_by(self) -> None:
        """Note that the packet before the next line was whole."""
        self._went_by = True

    def _goes_on(self, text: str) -> bool:
        """May an indented line be part of this one? A packet of DNS is whole, others are long."""
        if not self._is_of_packet(text):
            return False
        ends = _ENDS.search(text)
        return ends is None or self._ports.isdisjoint(
            (_port(ends["source_port"]), _port(ends["target_port"]))
        )

    @staticmethod
    def _is_of_packet(text: str) -> bool:
        match = TCPDUMP_HEAD.fullmatch(text)
        return (match is not None and _is_packet(match)) or bool(
            SHIPPED.match(text) or TCPDUMP_WITHIN.search(text)
        )

    def read(self, line: Line) -> Sequence[LineMessage] | Ends | str | None:
        """Return a packet's message, or whom an ICMP message about DNS concerns."""
        self.time = None
        text, shipped = line.text, None
        match = TCPDUMP_HEAD.fullmatch(text)
        if match is None or not _is_packet(match):
            if found := SHIPPED.match(text):
                text, shipped = text[found.end() :], found["time"]
            elif found := TCPDUMP_WITHIN.search(text):
                text = text[found.start() :]
            elif (at := text.find("IP ")) > 0 and not text[at - 1].isalnum() and "]" in text[:at]:
                text = text[at:]
            match = TCPDUMP_HEAD.fullmatch(text)
        if match is None or not _is_packet(match):
            return None
        clocked = bool(match["clock"] or match["epoch"])
        if self._clocked is None:
            self._clocked = clocked
        if clocked or not self._clocked:
            time = self._clock.time(match)
            if time is None and (told := time_of(shipped) or time_of(line.time)):
                time = told[0]
        elif TCPDUMP_IP.search(match["rest"]):
            raise NotUnderstood("no time where others have one")
        else:
            return None
        self.time = time
        found_message = self._parse(match["rest"])
        if isinstance(found_message, (Ends, str)):
            return found_message
        found_message.time = time
        return (found_message,)

    def warnings(self) -> list[str]:
        """Say what the times rest on, and which names stand for addresses."""
        found = self._clock.warnings() if self._clocked is not None else []
        if self._host_names:
            found.append(
                f"{self._host_names} packets show host names instead of addresses: each name is "
                "taken for one host; print again with tcpdump -n to see addresses"
            )
        return found

    def _parse(self, text: str) -> LineMessage | Ends | str:
        """Return a packet's message, or the reason why there is none."""
        if not TCPDUMP_IP.search(text):
            return "not_ip"
        ends = _ENDS.search(text)
        if "ICMP" in text and (icmp := _ICMP.search(text)):
            if ends is None or icmp.start() < ends.start("rest"):
                return self._unreachable(text, icmp.end())
        if ends is None:
            return "not_dns"
        ports = [_port(ends["source_port"]), _port(ends["target_port"])]
        if ports[0] not in self._ports and ports[1] not in self._ports:
            for number, reason in _OTHER_PORTS:
                if number in ports:
                    return reason
            return "not_dns"
        if max(ports) > 0xFFFF:
            return "text_not_understood"
        payload = _CHECKSUM.sub("", ends["rest"])
        transport = UDP
        if payload.startswith("Flags ["):
            segment = _TCP.match(payload)
            payload = segment["dns"] if segment else ""
            if not payload:
                return "tcp_without_message"
            transport = TCP
        packed = [self._end(ends["source"]), self._end(ends["target"])]
        if min(ports) < 0 or not all(len(p) in (4, 16) for p in packed):
            self._host_names += 1
            ports = [
                _port_of_service(ends[k]) if p < 0 else p
                for p, k in zip(ports, ("source_port", "target_port"), strict=True)
            ]
        client = 0 if ports[1] in self._ports else 1
        message = LineMessage(
            client=packed[client],
            server=packed[1 - client],
            client_port=ports[client],
            server_port=ports[1 - client],
            qname=None,
            qtype=0,
            qclass=0,
            flags=0,
            transport=transport,
            edns_bytes=ABSENT,
            message_id=0,
        )
        if reason := self._message(payload, message):
            return reason
        if (client == 0) != (message.flags & QR == 0):
            if not set(ports) <= self._ports:
                return "text_not_understood"
            message.client, message.server = packed[1 - client], packed[client]
            message.client_port, message.server_port = message.server_port, message.client_port
        message.content = payload.encode("utf-8", "surrogateescape")
        self._link(text[: ends.start("source")], message)
        return message

    def _unreachable(self, text: str, at: int) -> Ends | str:
        """Return whom an ICMP line concerns, where it is about DNS; what it says begins ``at``.

        With -v it quotes the packet; otherwise it names the port that cannot be reached.
        """
        quoted = _ENDS.search(text, at)
        if quoted is not None and "unreachable" in text[at : quoted.start()]:
            source, target = self._end(quoted["source"]), self._end(quoted["target"])
            if _port(quoted["target_port"]) in self._ports:
                return Ends("query_unreachable", source, target)
            if _port(quoted["source_port"]) in self._ports:
                return Ends("answer_unreachable", target, source)
        found = _PORT_UNREACHABLE.search(text)
        if found is None or _port(found["port"]) not in self._ports:
            return "icmp"
        return Ends("query_unreachable", self._end(found["client"]), self._end(found["server"]))

    def _end(self, text: str) -> bytes:
        """Return an address, or the bytes of the name that stands for one."""
        try:
            return packed_address(_unzoned(text))
        except ValueError:
            if not text.strip("0123456789."):
                raise NotUnderstood("no address") from None
        packed = packed_name(text)
        if "." not in text and "-" in text:  # a pod's own name, as its hosts file has it
            self._pods.setdefault(packed, Pod(text, None, None))
        return packed

    def _link(self, prefix: str, message: LineMessage) -> None:
        """Note what tells a copy of a packet from a resend: hop, link addresses, identification."""
        if seen := _INTERFACE.match(prefix):
            message.interface = self._interfaces.number(seen[0], seen[1])
            message.place = seen[1]
        hop = re.search(r"\b(?:ttl|hlim) (\d{1,3})\b", prefix)
        message.hop_limit = min(int(hop[1]), 255) if hop else 0
        number = re.search(r"\bid (\d{1,5}),", prefix)
        message.ip_id = int(number[1]) & 0xFFFF if number else ABSENT
        if link := _LINK_ADDRESSES.search(prefix):
            key = hashlib.blake2b(link[0].encode(), digest_size=8).digest()
            message.link = int.from_bytes(key, "little")

    def _message(self, text: str, message: LineMessage) -> str:
        match = _MESSAGE.match(text)
        if match is None or int(match["id"]) > 0xFFFF:
            return "text_not_understood"
        message.message_id = int(match["id"])
        opcode = match["opcode"] or ""
        number = _OPCODES.get(opcode.rstrip("ADM"), 0) if opcode else 0
        if opcode.startswith("op"):
            number = int(opcode[2:]) & 15
        rest = match["rest"].rstrip()
        if "[|domain]" in rest:
            return "truncated_by_snaplen"
        if (response := _RESPONSE.match(rest)) is not None:
            return self._response(match, response, number, message)
        query = _QUERY.match(rest)
        if query is None:
            return "text_not_understood"
        message.flags = (number << 11) | (RD if "+" in match["flags"] else 0)
        message.message_bytes = _size(query["bytes"])
        size = re.search(r"\bOPT UDPsize=(\d{1,9})", query["additional"] or "")
        message.edns_bytes = min(int(size[1]), 0xFFFF) if size else ABSENT
        return self._question(query, query["name"], message)

    def _question(self, match: re.Match[str], name: str, message: LineMessage) -> str:
        qtype = qtype_number(match["type"])
        try:
            wire = wire_name(_presentation(name))
        except ValueError:
            return "malformed"
        if qtype is None:
            return "text_not_understood"
        message.qname = wire
        message.qtype = qtype
        message.qclass = _CLASSES.get(match["class"] or "IN", 1)
        return ""

    def _response(
        self, head: re.Match[str], match: re.Match[str], opcode: int, message: LineMessage
    ) -> str:
        flags = head["flags"]
        rcode = head["rcode"] or ""
        message.rcode = _RCODES.get(rcode, 0)
        if rcode.startswith("Resp"):
            message.rcode = int(rcode[4:8]) & 15
        message.flags = (
            QR
            | (opcode << 11)
            | (AA if "*" in flags else 0)
            | (0 if "-" in flags else RA)
            | (TC if "|" in flags else 0)
            | (AD if "$" in flags else 0)
            | (message.rcode & 15)
        )
        message.message_bytes = _size(match["bytes"])
        if any(len(match[k]) > 5 for k in ("answers", "authority", "more")):
            return "text_not_understood"
        message.answers = min(int(match["answers"]), 0xFFFF)
        records = _QUOTED.sub('""', match["records"])
        answers = re.split(r" (?:ns|ar): ", records)[0]
        asked = None
        if match["question"] and (shown := _QUESTION.match(match["question"])):
            if reason := self._question(shown, match["question"][shown.end() :], message):
                return reason
            asked = message.qtype
        found = list(_RECORD.finditer(answers))[: message.answers]
        message.typed_answers = sum(
            (qtype_number(r["type"]) == asked or asked == 255)
            if asked is not None
            else r["type"] not in _ALIASES
            for r in found
        )
        if "[|" in answers or (not found and message.answers):
            message.typed_answers = message.answers  # cut off: as the header counts them
        ttls = [_ttl(r["ttl"]) for r in found if r["ttl"]]
        if not message.typed_answers:  # how long a denial may be kept, its SOA record says
            negative = _NEGATIVE.search(records)
            if negative is None:
                ttls = []
            else:
                ttls += [_ttl(negative["ttl"]), min(int(negative[3][:18]), 0x7FFFFFFF)]
                message.soa = min(1 + len(split(negative["owner"])), MOST_SOA)
        message.min_ttl = min(ttls, default=ABSENT)
        size = re.search(r"\bOPT UDPsize=(\d{1,9})", records)
        message.edns_bytes = min(int(size[1]), 0xFFFF) if size else ABSENT
        return ""


_ICMP = re.compile(r": (?:\[[^\]]*\] )?ICMP6?[ ,]")
_PORT_UNREACHABLE = re.compile(
    r" > (?P<client>\S+): (?:\[[^\]]*\] )?ICMP6?,? (?:.{0,40} unreachable port, )?"
    r"(?P<server>\S+) (?:udp|tcp) port (?P<port>[\w-]+)"
)
_OTHER_PORTS = ((5353, "multicast_dns"), (5355, "llmnr"), (853, "encrypted_dns"))
_HEX_LINE = re.compile(r"\s+0x[0-9a-f]+:")
_NUMBERED = re.compile(r"\s*\d+ {2}\S")


def _starts_packet(text: str) -> bool:
    """Does a line that begins with a blank begin a packet? With -#, -ttt and -ttttt it may."""
    return bool(_NUMBERED.match(text) or re.match(r" \d\d:\d\d:\d\d\.\d{6}", text))


def _is_packet(match: re.Match[str]) -> bool:
    """Is a line a packet, not another program's line?"""
    rest = match["rest"]
    if match["clock"] or match["epoch"]:
        return bool(TCPDUMP_IP.search(rest) or TCPDUMP_OTHER.match(rest))
    return bool(_AT_START.match(rest) or TCPDUMP_OTHER.match(rest))


_AT_START = re.compile(
    r"(?:\S+ +(?:In|Out|B|M|P) +(?:ifindex \d+ \S+ )?)?"
    r"(?:IP6? |\S{17} .*ethertype IPv[46] |ethertype IPv)"
)
_SIZE_DIGITS = 6


def _size(text: str | None) -> int:
    """Return a printed size, 0 where there is none or where it fits nowhere."""
    return int(text) if text and len(text) <= _SIZE_DIGITS else 0


def _port_of_service(text: str) -> int:
    """Return a number for a port that is printed as its service's name, the same each time."""
    return 0xC000 | (zlib.crc32(text.encode("utf-8", "replace")) & 0x3FFF)


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
