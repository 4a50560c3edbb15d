"""DNS flows that ``hubble observe`` prints without ``-o``: one line a flow, pods by name.

    Mar  1 10:00:00.100: shop/till-0:41250 (ID:101) -> kube-system/coredns-1:53 (ID:202) \\
        dns-request proxy FORWARDED (DNS Query pay.test. A)

The lines are those of Cilium's ``hubble/pkg/printer`` (compact form, and the older table). A
response has its arrow turned round or its ends, by release; the ports, where they are shown, and
the kind of the flow say who asked. A pod's name is its identity, as an address is elsewhere. A line
shows neither the message ID nor the header's flags, and a time has no year: 1970.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pcapkit.addresses import packed_name
from pcapkit.cluster.pods import Pod
from pcapkit.codes import RCODE_NUMBERS
from pcapkit.ingest.inputs.recognise import hubble_match, shows_verdict
from pcapkit.ingest.inputs.wrappings import Line
from pcapkit.ingest.logs.lines import (
    FAMILY,
    MONTHS,
    LineMessage,
    NotUnderstood,
    PlainReader,
    family_answers,
    moment,
    packed_end,
    time_of,
    type_of,
    wire_name,
)
from pcapkit.schema import ABSENT, QR

_QUERY = re.compile(r"Query (?P<name>\S+) (?P<types>[A-Z0-9,]+)")
_ANSWER = re.compile(
    r'Answer (?P<ips>"[^"]*")?(?: ?RCode: (?P<rcode>[\w -]{1,48}?)(?= TTL| CNAMEs| \(|$))?'
    r"(?: ?TTL: (?P<ttl>\d+))?(?: ?CNAMEs: (?P<cnames>\"[^\"]*\"))?"
    r"(?P<rest>.*?)\(?\w{1,24} (?P<name>\S+) (?P<types>[A-Z0-9,]+)\)?"
)
#: What Hubble prints for a response code: the texts of gopacket.
_RCODES = {
    "No Error": 0,
    "Format Error": 1,
    "Server Failure": 2,
    "Non-Existent Domain": 3,
    "Not Implemented": 4,
    "Query Refused": 5,
    "Name Exists when it should not": 6,
    "Server Not Authoritative for zone": 9,
    "Not Authorized": 9,
    "Bad OPT Version": 16,
    **RCODE_NUMBERS,
}
_NO_RECORD = 0x80000000
_DATE = re.compile(r"([A-Z][a-z]{2}) +(\d{1,2}) (\S+)")
_END = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|.*?)(?::(?P<port>\d{1,5}))?")


class HubbleTextReader(PlainReader):
    """Turns printed flows into messages."""

    def __init__(self, ports: frozenset[int], pods: dict[bytes, Pod]) -> None:
        self._ports, self._pods = ports, pods
        self._undated = self._clock_only = self._names = False

    def read(self, line: Line) -> Sequence[LineMessage] | str | None:
        """Return a flow's message."""
        match = hubble_match(line.text)
        if match is None:
            if "dns-re" in line.text and "DNS" in line.text:
                return "text_not_understood"
            return "other_event" if shows_verdict(line.text) else None
        is_response = match["kind"] == "dns-response"
        left, right = _end(match["left"]), _end(match["right"])
        source, target = (right, left) if (match["arrow"] or "").startswith("<") else (left, right)
        client, server = (target, source) if is_response else (source, target)
        if client[1] in self._ports and server[1] not in self._ports:
            client, server = server, client
        message = LineMessage(
            client=self._identity(*client),
            client_port=client[1],
            server=self._identity(*server),
            server_port=server[1],
            qname=None,
            qtype=0,
            flags=0,
            flags_shown=False,
            time=self._time(match["time"], line),
        )
        if is_response:
            _add_answer(message, match["summary"])
        else:
            _add_query(message, match["summary"])
        if client[1]:
            message.content = match["summary"].encode("utf-8", "replace")
            message.place = ""
        return (message,)

    def warnings(self) -> list[str]:
        """Say what the times rest on."""
        found = []
        if self._undated:
            found.append("times have no year: dated 1970, and taken as UTC")
        return found

    def _identity(self, host: str, port: int) -> bytes:  # noqa: ARG002
        packed = packed_end(host)
        namespace, slash, name = host.partition("/")
        if slash and packed == packed_name(host):
            self._pods.setdefault(packed, Pod(name, namespace, None))
        return packed

    def _time(self, text: str | None, line: Line) -> int | None:
        if text is None:
            found = time_of(line.time)
            return None if found is None else found[0]
        if date := _DATE.fullmatch(text):
            self._undated = True
            return moment(1970, MONTHS.get(date[1], 0), int(date[2]), date[3])
        if (found := time_of(text)) is not None:
            return found[0]
        self._undated = True
        return moment(1970, 1, 1, text)


def _end(text: str) -> tuple[str, int]:
    match = _END.fullmatch(text)
    if match is None or not match["host"]:
        raise NotUnderstood("no end of a flow")
    port = int(match["port"] or 0)
    if match["host"].count(":") > 1 and not match["host"].startswith("["):
        return text, 0  # an IPv6 address without a port
    return match["host"], min(port, 0xFFFF)


def _add_query(message: LineMessage, summary: str) -> None:
    match = _QUERY.match(summary)
    if match is None:
        raise NotUnderstood("no question")
    message.qname = wire_name(match["name"])
    message.qtype = type_of(match["types"].partition(",")[0])


def _add_answer(message: LineMessage, summary: str) -> None:
    match = _ANSWER.match(summary)
    if match is None:
        raise NotUnderstood("no answer")
    message.qname = wire_name(match["name"])
    message.qtype = type_of(match["types"].partition(",")[0])
    code = (match["rcode"] or "No Error").strip()
    rcode = _RCODES.get(code, -1)
    if rcode < 0:
        raise NotUnderstood(f"response code {code!r}")
    message.rcode = rcode
    message.flags = QR | (rcode & 15)
    addresses = [a for a in (match["ips"] or "").strip('"').split(",") if a]
    aliases = [a for a in (match["cnames"] or "").strip('"').split(",") if a]
    message.answers = len(addresses) + len(aliases)
    ttl = int((match["ttl"] or "")[:12] or _NO_RECORD)
    if message.qtype in FAMILY:
        message.typed_answers = family_answers(message.qtype, addresses)
    elif not rcode and ttl < _NO_RECORD:
        message.typed_answers = message.answers = max(message.answers, 1)
    message.min_ttl = ttl if message.typed_answers and ttl < _NO_RECORD else ABSENT
