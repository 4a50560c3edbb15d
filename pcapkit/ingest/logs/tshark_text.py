"""The packets that tshark prints by default, and Wireshark's packet list exported as text.

    1 0.000000000  10.40.1.7 → 10.44.0.10  DNS 87 Standard query 0xaf29 A cart.shop.test

The columns are number, time, source, destination, protocol, length and info, in this order
(tshark(1); epan/dissectors/packet-dns.c). ksniff prints the same. Neither ports nor the header's
flags are shown: a response belongs to the query of its ID and question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pcapkit.cluster.pods import Pod
from pcapkit.codes import qtype_number
from pcapkit.ingest.inputs.recognise import tshark_match
from pcapkit.ingest.inputs.wrappings import Line
from pcapkit.ingest.logs.lines import (
    FAMILY,
    LineMessage,
    NotUnderstood,
    PlainReader,
    family_answers,
    moment,
    packed_address,
    packed_end,
    time_of,
    type_of,
    wire_name,
)
from pcapkit.schema import ABSENT, QR, TCP, UDP

_INFO = re.compile(
    r"(?:\[[^\]]*\]\s*)*(?:(?P<update>Dynamic update|Zone change notification|Inverse query"
    r"|Server status request|Standard query|Unknown operation[^0]*)(?P<response> response)?)"
    r" 0x(?P<id>[0-9a-fA-F]{4}) ?"
    r"(?P<error>(?:No such name|Server failure|Refused|Format error|Not implemented|No error"
    r"|Name exists|RRset exists|RRset does not exist|Not authoritative"
    r"|Name out of zone|Bad OPT version|Unknown error) ?)?(?P<rest>.*)"
)
_RCODES = {
    "Format error": 1,
    "Server failure": 2,
    "No such name": 3,
    "Not implemented": 4,
    "Refused": 5,
    "Name exists": 6,
    "RRset exists": 7,
    "RRset does not exist": 8,
    "Not authoritative": 9,
    "Name out of zone": 10,
    "Bad OPT version": 16,
}
_OTHERS = {
    "MDNS": "multicast_dns",
    "LLMNR": "llmnr",
    "ARP": "not_ip",
    "ICMP": "icmp",
    "ICMPv6": "icmp",
}
_ALIASES = frozenset({"CNAME", "DNAME", "RRSIG"})
_DAY_NS = 86_400_000_000_000
_LAST_S = 1 << 33


class TsharkReader(PlainReader):
    """Turns printed packets into messages."""

    def __init__(self, ports: frozenset[int], pods: dict[bytes, Pod]) -> None:  # noqa: ARG002
        self._relative = self._undated = self._zone_unknown = False
        self._last = self._days = 0

    def read(self, line: Line) -> Sequence[LineMessage] | str | None:
        """Return a packet's message."""
        self.time = None
        match = tshark_match(line.text)
        if match is None:
            return "text_not_understood" if "tandard query" in line.text else None
        self.time = self._time(match["time"])
        if match["protocol"] in _OTHERS:
            return _OTHERS[match["protocol"]]
        info = _INFO.match(match["info"])
        if match["protocol"] != "DNS" or info is None:
            if match["protocol"] == "DNS" and "Malformed" in match["info"]:
                return "malformed"
            return "text_not_understood" if match["protocol"] == "DNS" else "not_dns"
        is_response = info["response"] is not None
        ends = [packed_end(match[k]) for k in ("source", "target")]
        client, server = (1, 0) if is_response else (0, 1)
        tcp = "TCP" in match["protocol"]
        message = LineMessage(
            client=ends[client],
            client_port=0,
            server=ends[server],
            qname=None,
            qtype=0,
            flags=QR if is_response else 0,
            flags_shown=False,
            time=self.time,
            message_id=int(info["id"], 16),
            transport=TCP if tcp else UDP,
        )
        if info["update"] != "Standard query":
            message.flags |= 5 << 11
        _add_question(message, info, is_response=is_response)
        message.content = match["info"].encode("utf-8", "replace")
        return (message,)

    def warnings(self) -> list[str]:
        """Say what the times rest on."""
        if self._relative:
            return ["times count from the first packet: they start at 1970-01-01"]
        if self._undated:
            return ["times have no date: dated 1970-01-01, and taken as UTC"]
        return ["times have no zone: taken as UTC"] if self._zone_unknown else []

    def _time(self, text: str) -> int:
        text = text.replace(",", ".")
        if "-" in text:
            found = time_of(text)
            if found is None:
                raise NotUnderstood("no time")
            self._zone_unknown |= not found[1]
            return found[0]
        if ":" in text:
            self._undated = True
            now = moment(1970, 1, 1, text)
            if now + self._days * _DAY_NS < self._last - _DAY_NS // 2:
                self._days += 1
            self._last = now + self._days * _DAY_NS
            return self._last
        whole, _, part = text.partition(".")
        if len(whole) > 10 or int(whole) > _LAST_S:
            raise NotUnderstood("beyond all times")
        if int(whole) < 1 << 26:  # two years of one capture
            self._relative = True
        return int(whole) * 1_000_000_000 + int(part.ljust(9, "0")[:9])


def _add_question(message: LineMessage, info: re.Match[str], *, is_response: bool) -> None:
    error = (info["error"] or "").strip()
    if is_response:
        message.rcode = _RCODES.get(error, 0)
        message.flags |= message.rcode & 15
    words = info["rest"].split()
    cut = len(words)
    if "OPT" in words:
        cut = words.index("OPT")
    words = [w for w in words[:cut] if not w.startswith("[")]
    if len(words) < 2:
        raise NotUnderstood("no question")
    message.qtype = type_of(words[0].removesuffix(","))
    start = 1
    if words[1] in ("IN", "CH", "CHAOS") and len(words) > 2:
        start = 2
    message.qname = wire_name(_without_mark(words[start]))
    message.edns_bytes = ABSENT
    if is_response:
        _add_records(message, words[start + 1 :])


def _without_mark(name: str) -> str:
    """Return a name without what stands for the root and what it does not need."""
    return "." if name == "<Root>" else name.removesuffix(",").removesuffix("\u2026")


def _add_records(message: LineMessage, words: list[str]) -> None:
    """Count the records: a type and its data each; those of the authority stand behind them."""
    addresses, others, aliases, at = [], 0, 0, 0
    while at < len(words):
        kind = words[at]
        if qtype_number(kind) is None or not kind.isupper():
            at += 1
            continue
        value = words[at + 1] if at + 1 < len(words) else ""
        if kind in ("A", "AAAA"):
            try:
                packed_address(value)
                addresses.append(value)
            except ValueError:
                others += 0
        elif kind in _ALIASES:
            aliases += 1
        elif kind not in ("SOA", "NS", "OPT") or qtype_number(kind) == message.qtype:
            others += 1
        at += 2
    if message.qtype in FAMILY:
        message.typed_answers = family_answers(message.qtype, addresses)
    else:
        message.typed_answers = others
    message.answers = len(addresses) + others + aliases
