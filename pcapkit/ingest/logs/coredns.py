r"""The query lines of CoreDNS' ``log`` plugin, in its common and combined formats, and in others.

    {remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" \
        {rcode} {>rflags} {rsize} {duration}

The format is that of coredns.io/plugins/log; ``combined`` adds ``"{>opcode}"``, and CoreDNS before
1.3 wrote the time in brackets before the ID. Formats of somebody's own are read where a line holds
client, type, name and outcome, in any order. What stands before is read for the time: ``kubectl
logs --timestamps --prefix``, the container runtimes' own log files, CoreDNS before 1.6. One line is
a query and its response: the response came at the time of the line, the query one ``duration``
earlier, and no earlier than the response of the candidate before it (``blocks/walks.py``).

The line shows no records. A NOERROR response counts as an answer unless its size, which the plugin
takes before compression, leaves no room for a record of the asked type, or is that of the SOA with
which the ``kubernetes`` plugin says that there is none. ``-`` for the response code means that no
plugin answered: the server then sends SERVFAIL. The server's own address is not in the line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from pcapkit.cluster.pods import Pod
from pcapkit.codes import QCLASSES, RCODE_NUMBERS, qtype_number
from pcapkit.ingest.inputs.recognise import COREDNS_CUSTOM, COREDNS_OWN, COREDNS_QUERY
from pcapkit.ingest.inputs.wrappings import Line
from pcapkit.ingest.logs.blocks.coredns import (
    CLUSTER_SOA_BYTES,
    DATA_BYTES,
    OPT_BYTES,
    QUESTION_BYTES,
    RECORD_BYTES,
    WITHOUT_OPT,
    QueryBlocks,
)
from pcapkit.ingest.logs.blocks.coredns_values import CD, LONGEST_S
from pcapkit.ingest.logs.blocks.filled import Filled
from pcapkit.ingest.logs.blocks.merging import in_order
from pcapkit.ingest.logs.blocks.walks import WalkOrder
from pcapkit.ingest.logs.lines import (
    MONTHS,
    LineMessage,
    NotUnderstood,
    PlainReader,
    Shared,
    moment,
    packed_address,
    packed_end,
    time_of,
    type_of,
    whole_number,
    wire_name,
)
from pcapkit.names.text import wire_labels
from pcapkit.schema import AA, ABSENT, AD, QR, RA, RD, TC, TCP, UDP, Integers

_LIKE_QUERY = re.compile(r':\d+ - \d+ "')
_PART = re.compile(r"(-?\d+(?:\.\d+)?)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)?")
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LONGEST_NS = LONGEST_S * 1_000_000_000
_FLAGS = {"qr": QR, "aa": AA, "tc": TC, "rd": RD, "ra": RA, "ad": AD, "cd": CD}
_CLASSES = {text: number for number, text in QCLASSES.items()}
_SERVFAIL = RCODE_NUMBERS["SERVFAIL"]
_UPSTREAM = re.compile(
    r"plugin/errors: .*?(?:->|dial \w{1,8} )(?P<upstream>[\[\]\w.:%-]{1,80}?):? .{0,80}?"
    r"(?P<what>i/o timeout|connection refused|no route to host|network is unreachable)"
)
_WHEN = re.compile(r"(\d\d)/([A-Z][a-z][a-z])/(\d{4}):(\d\d:\d\d:\d\d) ([+-])(\d\d)(\d\d)")
#: The parts of a line in a format of somebody's own, and what a part must be like.
_WORDS = re.compile(r"[^\s\"',;=|{}()]+")
_FLAG_WORD = re.compile(r"\bqr(?:,(?:aa|tc|rd|ra|ad|cd))*\b")
_ADDRESS = re.compile(
    r"(\[[0-9a-fA-F:.%\w]+\]|\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*::?[0-9a-fA-F:]+)"
    r"(?::(\d{1,5}))?"
)
_DURATION = re.compile(r"-?\d+(?:\.\d+)?(?:ns|us|\u00b5s|\u03bcs|ms|s)")
_ESCAPED = re.compile(r"\\.")
_OF_NAME = re.compile(r"[^\\\d.]")
_LONGEST_ADDRESS = 80  # with brackets, zone and port
_SHOWN = 3


class CoreDnsReader(PlainReader):
    """Turns query lines into messages."""

    def __init__(self, ports: frozenset[int], pods: dict[bytes, Pod]) -> None:  # noqa: ARG002
        self.queries = self.lines = 0  # lines read here, and lines in windows
        self._zone_unknown = self._seen = False
        self._upstreams: Counter[tuple[str, str]] = Counter()
        self._clockless_streams = False
        self._is_seen = np.zeros(0, np.bool_)  # by stream

    def share(self, shared: Shared) -> None:
        """Number streams as all do."""
        self._interners, self._streams = shared.interners, shared.streams
        self._order = WalkOrder(shared.interners)
        self.blocks = QueryBlocks(shared.interners, shared.streams)

    def read(self, line: Line) -> Sequence[LineMessage] | str | None:
        """Return a line's query and response."""
        text = line.text
        match = COREDNS_QUERY.search(text)
        if match is not None:
            query, response = _common(match)
            before = text[: match.start()]
        elif (own := COREDNS_OWN.search(text)) is not None:
            self._seen = True
            if error := _UPSTREAM.search(text, own.start()):
                self._upstreams[error["upstream"], error["what"]] += 1
            return "other_event"
        elif COREDNS_CUSTOM.match(text):
            query, response, before = _custom(text)
        else:
            if line.record is not None:
                return "other_event"
            broken = text.startswith("{") or _LIKE_QUERY.search(text)
            return "text_not_understood" if broken else None
        self._time(query, response, before, line)
        if not line.stream and match is not None:
            line.stream = _stream_before(before)
        query.stream = response.stream = line.stream
        self.queries += 1
        return query, response

    def settle(self, filled: Filled, *, timed: bool) -> Integers | None:
        """Put each walk in its order, and the logs of several replicas into one another."""
        order = np.arange(0, filled.rows.size - 1, 2)
        self.lines += order.size
        seen = np.bincount(filled.streams, minlength=self._is_seen.size) > 0
        several = int(np.count_nonzero(seen)) > 1
        seen[: self._is_seen.size] |= self._is_seen
        self._is_seen = seen
        if several:
            order = in_order(filled, order, self._interners, timed=timed)
        if not timed:
            self._clockless_streams |= several
            return np.stack((order, order + 1), axis=1).ravel()
        self._order.place(filled, order, len(self._streams.names), joined=several)
        return None

    def warnings(self) -> list[str]:
        """Say what the times and outcomes rest on, and what CoreDNS itself complained of."""
        found = [
            f"CoreDNS asked its upstream {upstream} {count} times in vain: {what}"
            for (upstream, what), count in self._upstreams.most_common(_SHOWN)
        ]
        if not self.queries and not self.lines:
            return [*found, "no query lines: add the plugin log to the Corefile"]
        found.append(
            "the lines show no records: a NOERROR response counts as an answer unless its size "
            "says otherwise"
        )
        if self._zone_unknown:
            found.append("times have no zone: taken as UTC")
        if self._clockless_streams:
            replicas = int(np.count_nonzero(self._is_seen))
            found.append(
                f"the logs of {replicas} replicas lie behind one another without times: "
                "joined where one walk in a Kubernetes list explains them; log with --timestamps"
            )
        return found

    def _time(self, query: LineMessage, response: LineMessage, before: str, line: Line) -> None:
        """Set the times: that of the line, else the shipper's; the query's a duration earlier."""
        duration, query.time = query.time or 0, None
        if response.time is not None:  # in the line itself, to the second
            end, digits = response.time, 0
        elif (found := time_of(before) or time_of(line.time)) is not None:
            end, zone, digits = found
            self._zone_unknown |= not zone
        else:
            return
        if digits > 3:  # nine digits may be padded: what they resolve shows with the next lines
            shown = f"{end % 1_000_000_000:09d}".rstrip("0")
            stream = self._streams.number(line.stream)
            digits = max(int(self._streams.digits[stream]), len(shown))
            self._streams.digits[stream] = digits
        query.resolution = 10 ** (9 - min(digits, 9))
        response.time = end
        query.time = max(end - duration, 0)


def _stream_before(before: str) -> str:
    """Return the pod that stern and others name before a line, "" where they name none."""
    word = before.split(" ", 1)[0]
    return word if word.count("-") >= 2 and word[0].isalpha() and word.islower() else ""


def duration_of(text: str) -> int:
    """Return a duration as Go prints it, in ns, none below zero."""
    total, at = 0, 0
    for match in _PART.finditer(text):
        if match.start() != at or len(match[1]) > 30:
            raise NotUnderstood("no duration")
        total += round(float(match[1]) * _UNITS[match[2] or ""])
        at = match.end()
    if at != len(text) or total > _LONGEST_NS:
        raise NotUnderstood("no duration")
    return max(total, 0)  # the clock was set back


def _common(match: re.Match[str]) -> tuple[LineMessage, LineMessage]:
    """Return the messages of a line; ``query.time`` is its duration, for now."""
    query = _query(match)
    query.time = duration_of(match["duration"])
    response = _response(query, match["rcode"], match["flags"], match["rsize"])
    if match["when"] and (when := _WHEN.fullmatch(match["when"])):
        month = MONTHS.get(when[2], 0)
        time = moment(int(when[3]), month, int(when[1]), when[4])
        offset = (int(when[6]) * 60 + int(when[7])) * 60_000_000_000
        response.time = time - (offset if when[5] == "+" else -offset)
    return query, response


def _query(match: re.Match[str]) -> LineMessage:
    wire = wire_name(match["name"])
    size = whole_number(match["size"], 1 << 40)
    bufsize = 0 if match["bufsize"] == "-" else whole_number(match["bufsize"], 1 << 40)
    with_opt = bufsize not in WITHOUT_OPT and size >= QUESTION_BYTES + len(wire) + OPT_BYTES
    flags = _flags(match["flags"])
    client = match["client"]
    if client[0] in "0123456789[" and not client.strip("0123456789.[]"):
        packed = packed_address(client)
    else:
        packed = packed_end(client)
    return LineMessage(
        client=packed,
        client_port=whole_number(match["port"] or 0, 0xFFFF),
        qname=wire,
        qtype=type_of(match["type"]),
        qclass=_class(match["class"]),
        flags=(whole_number(match["opcode"] or "0", 15) << 11) | (flags & RD),
        message_id=None if match["id"] is None else whole_number(match["id"], 0xFFFF),
        transport=TCP if match["proto"] == "tcp" else UDP,
        edns_bytes=min(bufsize, 0xFFFF) if with_opt else ABSENT,
        message_bytes=size if size <= 0xFFFF else 0,
    )


def _response(query: LineMessage, code: str, flags: str, shown_size: str) -> LineMessage:
    rcode = _SERVFAIL if code == "-" else RCODE_NUMBERS.get(code, -1)
    if rcode < 0:
        rcode = whole_number(code, 0xFFF)
    size = whole_number(shown_size, 1 << 40)
    size = size if size <= 1 << 20 else 0
    answers = 0 if rcode else _answers(query, size) if size else 1
    return LineMessage(
        client=query.client,
        client_port=query.client_port,
        qname=query.qname,
        qtype=query.qtype,
        qclass=query.qclass,
        message_id=query.message_id,
        transport=query.transport,
        flags=QR | query.flags | _flags(flags) | (rcode & 15),
        rcode=rcode,
        answers=answers,
        typed_answers=answers,
        message_bytes=size,
        edns_bytes=ABSENT,
        flags_shown=query.flags_shown,
    )


def _custom(text: str) -> tuple[LineMessage, LineMessage, str]:
    """Return the messages of a line in a format of somebody's own, and what stands before them.

    Its values have no names: each is told by what it is like.
    """
    found: dict[str, str] = {}
    flags = _FLAG_WORD.search(text)
    start = len(text)
    port = ""
    for word in _WORDS.finditer(text):
        value = word[0]
        kind = _kind(value)
        if ":" in value and not kind and "\\" not in value:  # key:value
            value = value.partition(":")[2]
            kind = _kind(value)
        if kind and kind not in found:
            found[kind] = value
            start = min(start, word.start())
            if kind == "client" and (address := _ADDRESS.fullmatch(value)):
                found[kind], port = address[1], address[2] or ""
    if not {"name", "type", "rcode"} <= found.keys():
        raise NotUnderstood("no name, type or outcome")
    if "client" not in found:
        raise NotUnderstood("no client")
    query = LineMessage(
        client=packed_address(found["client"]),
        client_port=whole_number(port or 0, 0xFFFF),
        qname=wire_name(found["name"]),
        qtype=type_of(found["type"]),
        qclass=_class(found.get("class", "IN")),
        flags=RD,
        flags_shown=flags is not None,
        transport=TCP if found.get("proto", "").lower() == "tcp" else UDP,
        edns_bytes=ABSENT,
    )
    query.time = duration_of(found.get("duration", "0s"))
    response = _response(query, found["rcode"], flags[0] if flags else "-", "0")
    return query, response, text[:start]


def _kind(value: str) -> str:
    """Say what a value in a line is: "" where it can be several things, or none."""
    if value in ("udp", "tcp", "UDP", "TCP"):
        return "proto"
    if value in ("IN", "CH", "HS"):
        return "class"
    if value in RCODE_NUMBERS:
        return "rcode"
    ends = value.count(".") == 3 or value.count(":") > 1
    if ends and len(value) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(value):
        return "client"
    if _DURATION.fullmatch(value):
        return "duration"
    if value == "." or (value[-1:] == "." and _OF_NAME.search(_ESCAPED.sub("", value[:-1]))):
        return "name"
    if value.isupper() and qtype_number(value) is not None:
        return "type"
    return ""


def _flags(text: str) -> int:
    return sum({_FLAGS.get(f, 0) for f in text.split(",")})


def _class(text: str) -> int:
    number = _CLASSES.get(text)
    return whole_number(text.removeprefix("CLASS"), 0xFFFF) if number is None else number


def _answers(query: LineMessage, size: int) -> int:
    """Return how many records of the asked type a NOERROR response holds, 1 where that is open."""
    with_opt, wire = query.edns_bytes != ABSENT, query.qname or b"\0"
    # Without OPT the query's size tells the name's, also in a log whose names were replaced.
    name = len(wire) if with_opt else query.message_bytes - QUESTION_BYTES
    left = size - QUESTION_BYTES - name
    data = DATA_BYTES.get(query.qtype, 1)
    for room in (left, left - OPT_BYTES) if with_opt else (left,):
        one = name + RECORD_BYTES + data
        if data > 1 and room > 0 and one > 0 and room % one == 0:
            return room // one
        if room in _cluster_soa_bytes(wire) or room < 1 + RECORD_BYTES + data:
            return 0
    return 1


def _cluster_soa_bytes(wire: bytes) -> set[int]:
    """Return the lengths of the ``kubernetes`` plugin's SOA records for the name's zones.

    Their data are ``ns.dns.<zone>``, ``hostmaster.<zone>`` and five numbers.
    """
    sizes = set()
    zone = len(wire)
    for label in wire_labels(wire):
        sizes.add(3 * zone + CLUSTER_SOA_BYTES)
        zone -= 1 + len(label)
    return sizes
