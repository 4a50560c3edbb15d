r"""The query lines of CoreDNS' ``log`` plugin, in its common and combined formats.

    {remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" \
        {rcode} {>rflags} {rsize} {duration}

The format is that of coredns.io/plugins/log; ``combined`` adds ``"{>opcode}"``. What stands before
is read for the time: ``kubectl logs --timestamps --prefix``, the container runtimes' own log files
(Docker's as JSON), CoreDNS before 1.6. One line is a query and its response: the response came at
the time of the line, the query one ``duration`` earlier.

The line shows no records. A NOERROR response counts as an answer unless its size, which the plugin
takes before compression, leaves no room for a record of the asked type, or is that of the SOA with
which the ``kubernetes`` plugin says that there is none. ``-`` for the response code means that no
plugin answered: the server then sends SERVFAIL. The server's own address is not in the line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pcapkit.codes import QCLASSES, RCODE_NUMBERS
from pcapkit.ingest.inputs.recognise import COREDNS_QUERY, coredns_text
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.logs.lines import (
    LineMessage,
    nanoseconds,
    packed_address,
    read_lines,
    type_of,
    whole_number,
    wire_name,
)
from pcapkit.ingest.window import Capture, Interners
from pcapkit.names.text import wire_labels
from pcapkit.schema import AA, ABSENT, AD, QR, RA, RD, TC, TCP, UDP

_LIKE_QUERY = re.compile(r':\d+ - \d+ "')
_UNITS = {"ns": 1, "us": 1_000, "\u00b5s": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_FLAGS = {"qr": QR, "aa": AA, "tc": TC, "rd": RD, "ra": RA, "ad": AD, "cd": 0x0010}
_CLASSES = {text: number for number, text in QCLASSES.items()}
_SERVFAIL = RCODE_NUMBERS["SERVFAIL"]
_QUESTION_BYTES = 16  # of a message with one question, its name left out
_WITHOUT_OPT = (0, 512, 65535)  # what stands for the buffer size where there is no OPT
_RECORD_BYTES = 10  # type, class, TTL and length, behind the owner's name
_OPT_BYTES = 11
#: Bytes of data of the types whose records have one length; others have at least one byte.
_DATA_BYTES = {1: 4, 28: 16}


def read_coredns_log(
    source: Source,
    interners: Interners,
    *,
    ports: frozenset[int],  # noqa: ARG001 - not shown
) -> Capture:
    """Return the capture behind lines that CoreDNS logged."""
    capture = Capture(source.path, "CoreDNS log", source.compression, iter(()))
    capture.windows = read_lines(source, interners, capture, _Reader())
    return capture


class _Reader:
    """Turns query lines into messages."""

    def __init__(self) -> None:
        self.queries = 0
        self.zone_unknown = False

    def read(self, line: bytes) -> Sequence[LineMessage] | str:
        """Return a line's query and response."""
        text = coredns_text(line)
        match = COREDNS_QUERY.search(text)
        if match is None:
            return "text_not_understood" if _LIKE_QUERY.search(text) else "other_event"
        end = nanoseconds(text[: match.start()])
        start = None
        if end is not None:
            self.zone_unknown |= not end[1]
            start = end[0] - round(float(match["duration"]) * _UNITS[match["unit"]])
        query = _query(match, start)
        self.queries += 1
        return query, _response(match, query, end[0] if end is not None else None)

    def warnings(self) -> list[str]:
        """Say what the times and outcomes rest on."""
        if not self.queries:
            return ["no query lines: add the plugin log to the Corefile"]
        found = [
            "the lines show no records: a NOERROR response counts as an answer unless its size "
            "says otherwise"
        ]
        if self.zone_unknown:
            found.append("times have no zone: taken as UTC")
        return found


def _query(match: re.Match[str], time: int | None) -> LineMessage:
    wire = wire_name(match["name"])
    size = whole_number(match["size"], 0xFFFF)
    bufsize = 0 if match["bufsize"] == "-" else whole_number(match["bufsize"], 0xFFFF)
    with_opt = bufsize not in _WITHOUT_OPT and size >= _QUESTION_BYTES + len(wire) + _OPT_BYTES
    flags = _flags(match["flags"])
    return LineMessage(
        client=packed_address(match["client"]),
        client_port=whole_number(match["port"], 0xFFFF),
        qname=wire,
        qtype=type_of(match["type"]),
        qclass=_class(match["class"]),
        flags=(whole_number(match["opcode"] or "0", 15) << 11) | (flags & RD),
        time=time,
        message_id=whole_number(match["id"], 0xFFFF),
        transport=TCP if match["proto"] == "tcp" else UDP,
        edns_bytes=bufsize if with_opt else ABSENT,
        message_bytes=size,
    )


def _response(match: re.Match[str], query: LineMessage, time: int | None) -> LineMessage:
    rcode = _SERVFAIL if match["rcode"] == "-" else RCODE_NUMBERS.get(match["rcode"], -1)
    if rcode < 0:
        rcode = whole_number(match["rcode"], 0xFFF)
    size = whole_number(match["rsize"], 1 << 20)
    answers = 0 if rcode else _answers(query, size)
    return LineMessage(
        client=query.client,
        client_port=query.client_port,
        qname=query.qname,
        qtype=query.qtype,
        qclass=query.qclass,
        message_id=query.message_id,
        transport=query.transport,
        time=time,
        flags=QR | query.flags | _flags(match["flags"]) | (rcode & 15),
        rcode=rcode,
        answers=answers,
        typed_answers=answers,
        message_bytes=size,
        edns_bytes=ABSENT,
    )


def _flags(text: str) -> int:
    return sum({_FLAGS.get(f, 0) for f in text.split(",")})


def _class(text: str) -> int:
    number = _CLASSES.get(text)
    return whole_number(text.removeprefix("CLASS"), 0xFFFF) if number is None else number


def _answers(query: LineMessage, size: int) -> int:
    """Return how many records of the asked type a NOERROR response holds, 1 where that is open."""
    with_opt = query.edns_bytes != ABSENT
    # Without OPT the query's size tells the name's, also in a log whose names were replaced.
    name = len(query.qname) if with_opt else query.message_bytes - _QUESTION_BYTES
    left = size - _QUESTION_BYTES - name
    data = _DATA_BYTES.get(query.qtype, 1)
    for room in (left, left - _OPT_BYTES) if with_opt else (left,):
        one = name + _RECORD_BYTES + data
        if data > 1 and room > 0 and one > 0 and room % one == 0:
            return room // one
        if room in _cluster_soa_bytes(query.qname) or room < 1 + _RECORD_BYTES + data:
            return 0
    return 1


def _cluster_soa_bytes(wire: bytes) -> set[int]:
    """Return the lengths of the ``kubernetes`` plugin's SOA records for the name's zones.

    Their data are ``ns.dns.<zone>``, ``hostmaster.<zone>`` and five numbers.
    """
    sizes = set()
    zone = len(wire)
    for label in wire_labels(wire):
        sizes.add(zone + _RECORD_BYTES + (7 + zone) + (11 + zone) + 20)
        zone -= 1 + len(label)
    return sizes
