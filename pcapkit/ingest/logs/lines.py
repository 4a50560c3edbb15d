"""Sources that are lines of text: their lines, and the messages in them gathered into windows.

A line is the packet of such a source: each one that is not blank is counted, and carries messages
or is skipped for a named reason. What a line does not show stays absent.

Where lines show no time, the messages of each client are counted instead, 1,000 ns apart: other
clients' lines between them do not tear its walks apart.
"""

from __future__ import annotations

import hashlib
import json
import re
from calendar import timegm
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Protocol

from pcapkit.cluster.pods import Pod
from pcapkit.codes import qtype_number
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.window import CLOCKLESS_STEP_NS, Capture, Interners, Window
from pcapkit.kernels.interning import Interner
from pcapkit.names.text import wire_from_text
from pcapkit.schema import (
    ABSENT,
    EDNS_HIDDEN,
    MARK_FLAGS_HIDDEN,
    MARK_ID_HIDDEN,
    MARK_QUESTION_SHOWN,
    UDP,
    Messages,
    new_messages,
)

WINDOW_LINES = 1 << 15
_BLOCK_BYTES = 1 << 20
_LINE_BYTES = 1 << 20
_TIME = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<hour>\d\d):(?P<minute>\d\d)"
    r":(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))? ?(?P<zone>Z|[+-]\d\d:?\d\d)?(?!\d)",
    re.ASCII,
)


class NotUnderstood(ValueError):
    """What a line says does not fit its format."""


@dataclass(slots=True)
class LineMessage:
    """One DNS message as a line tells of it; addresses are packed, the name is in wire form."""

    client: bytes
    client_port: int
    qname: bytes
    qtype: int
    flags: int  # the header's second 16 bits, as far as they are shown
    time: int | None = None  # ns since 1970 UTC
    server: bytes | None = None
    server_port: int = 0
    message_id: int | None = None
    transport: int = UDP
    qclass: int = 1
    rcode: int = 0
    answers: int = 0
    typed_answers: int = 0
    min_ttl: int = ABSENT
    edns_bytes: int = EDNS_HIDDEN
    message_bytes: int = 0
    interface: int = 0
    flags_shown: bool = True
    #: What sightings of one packet have in common. None: the source shows each message once.
    content: bytes | None = None


class LineReader(Protocol):
    """Reads the lines of one format."""

    def read(self, line: bytes) -> Sequence[LineMessage] | str:
        """Return the messages of a line, or the reason why there are none.

        Raises NotUnderstood (or another ValueError) where the line does not fit the format.
        """
        ...

    def warnings(self) -> list[str]:
        """Say what the messages rest on, each without the capture's path."""
        ...


def byte_lines(source: Source) -> Iterator[bytes]:
    """Yield lines without their ends; one that is endless is cut."""
    buffer = bytearray(_BLOCK_BYTES)
    left = b""
    while got := source.readinto(memoryview(buffer)):
        *whole, left = (left + bytes(buffer[:got])).split(b"\n")
        for line in whole:
            yield line[:_LINE_BYTES].removesuffix(b"\r")
        left = left[:_LINE_BYTES]
    if left:
        yield left.removesuffix(b"\r")


def json_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object in a line. Raises ValueError where there is none."""
    try:
        found = json.loads(line)
    except RecursionError:
        raise NotUnderstood("nested too deeply") from None
    if not isinstance(found, dict):
        raise NotUnderstood("no object")
    return found


def part(record: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return the object at a path of keys, an empty one where there is none."""
    for key in keys:
        value = record.get(key)
        if not isinstance(value, dict):
            return {}
        record = value
    return record


def texts(value: object) -> list[str]:
    """Return the strings of a list, none where it is no list."""
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def whole_number(value: object, most: int) -> int:
    """Return a number of 0 to ``most``, given as a number or as digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or not 0 <= value <= most:
        raise NotUnderstood(f"not a number up to {most}: {value!r}")
    return int(value)


def packed_address(text: object) -> bytes:
    """Return an address as 4 or 16 bytes, brackets and zone left out."""
    if not isinstance(text, str):
        raise NotUnderstood("no address")
    return _packed(text)


def pod_of(name: object, namespace: object, workload: object) -> Pod | None:
    """Return what is said of a pod, None where it is not named."""
    if not isinstance(name, str) or not name:
        return None
    space, of = (v if isinstance(v, str) and v else None for v in (namespace, workload))
    return Pod(name, space, of)


def wire_name(text: object) -> bytes:
    """Return a printed name in wire form."""
    if not isinstance(text, str) or not text:
        raise NotUnderstood("no name")
    return _wire(text)


@lru_cache(1 << 14)
def _packed(text: str) -> bytes:
    return ip_address(text.strip("[]").partition("%")[0]).packed


_wire = lru_cache(1 << 14)(wire_from_text)  # names come again and again


def type_of(value: object) -> int:
    """Return a query type that is printed as its mnemonic or number."""
    if isinstance(value, str) and (number := qtype_number(value)) is not None:
        return number
    return whole_number(value, 0xFFFF)


def nanoseconds(text: str) -> tuple[int, bool] | None:
    """Return the last time in ``text`` (RFC 3339, ns since 1970) and whether it has a zone."""
    match = None
    for match in _TIME.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    if match is None:
        return None
    numbers = [int(match[k]) for k in ("year", "month", "day", "hour", "minute", "second")]
    if not (1 <= numbers[1] <= 12 and 1 <= numbers[2] <= 31 and 1970 <= numbers[0] < 2262):
        return None
    seconds = timegm((*numbers,))
    if (zone := match["zone"]) and zone != "Z":
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        seconds -= minutes * 60 * (1 if zone[0] == "+" else -1)
    fraction = int((match["fraction"] or "").ljust(9, "0"))
    return seconds * 1_000_000_000 + fraction, zone is not None


@dataclass(slots=True)
class _Gathered:
    """The messages of one window."""

    messages: list[LineMessage] = field(default_factory=list)
    numbers: list[tuple[int, int]] = field(default_factory=list)  # of the line, and within it
    times: list[int] = field(default_factory=list)
    lines: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def window(self, interners: Interners, *, has_clock: bool) -> Window:
        rows = _rows(self.messages, interners)
        rows["time"] = self.times
        rows["packet_no"] = [line for line, _ in self.numbers]
        rows["message_no"] = [number for _, number in self.numbers]
        rows["content"] = [
            _content(message, *numbers)
            for message, numbers in zip(self.messages, self.numbers, strict=True)
        ]
        shown = has_clock and rows.size > 0
        return Window(
            rows,
            self.lines,
            self.skipped,
            int(rows["time"].min()) if shown else None,
            int(rows["time"].max()) if shown else None,
        )


_PLAIN = (
    "client_port",
    "server_port",
    "flags",
    "rcode",
    "qtype",
    "qclass",
    "answers",
    "typed_answers",
    "min_ttl",
    "edns_bytes",
    "message_bytes",
    "interface",
    "transport",
)


def _rows(messages: Sequence[LineMessage], interners: Interners) -> Messages:
    rows = new_messages(len(messages))
    for column in _PLAIN:
        rows[column] = [getattr(m, column) for m in messages]
    rows["marks"] = [
        MARK_QUESTION_SHOWN
        | (MARK_ID_HIDDEN if m.message_id is None else 0)
        | (0 if m.flags_shown else MARK_FLAGS_HIDDEN)
        for m in messages
    ]
    rows["message_id"] = [m.client_port if m.message_id is None else m.message_id for m in messages]
    rows["qname"] = _ids((m.qname for m in messages), interners.names)
    rows["client"] = _ids((m.client for m in messages), interners.addresses)
    rows["server"] = _ids((m.server for m in messages), interners.addresses)
    return rows


def _ids(values: Iterable[bytes | None], interner: Interner) -> list[int]:
    """Return the ids of values, ABSENT for None."""
    known: dict[bytes | None, int] = {None: ABSENT}
    out = []
    for value in values:
        if value is not None and value not in known:
            known[value] = interner.add(value)
        out.append(known[value])
    return out


def _content(message: LineMessage, line: int, number: int) -> int:
    """Return what tells copies of a packet: equal for two sightings, else like no other's."""
    if message.content is None:
        return line << 8 | number
    digest = hashlib.blake2b(message.content, digest_size=8).digest()
    return int.from_bytes(digest, "little")


def read_lines(
    source: Source, interners: Interners, capture: Capture, reader: LineReader
) -> Iterator[Window]:
    """Yield windows of the messages in a source's lines, and set ``capture`` accordingly.

    The first message decides whether there is a clock: later lines without a time are then skipped.
    """
    gathered = _Gathered()
    done = 0
    counted: defaultdict[bytes, int] = defaultdict(int)
    timed: bool | None = None
    for line in byte_lines(source):
        if not line.strip():
            continue
        gathered.lines += 1
        try:
            found = reader.read(line)
        except ValueError:
            found = "text_not_understood"
        if not isinstance(found, str):
            if timed is None:
                timed = capture.has_clock = found[0].time is not None
            if timed and any(m.time is None for m in found):
                found = "text_not_understood"
        if isinstance(found, str):
            gathered.skipped[found] += 1
        else:
            for number, message in enumerate(found, 1):
                counted[message.client] += CLOCKLESS_STEP_NS
                time = message.time if timed else None
                gathered.times.append(counted[message.client] if time is None else time)
                gathered.numbers.append((done + gathered.lines, number))
            gathered.messages += found
        if gathered.lines == WINDOW_LINES:
            capture.bytes_read = source.stored_bytes_read
            yield gathered.window(interners, has_clock=bool(timed))
            done += gathered.lines
            gathered = _Gathered()
    capture.bytes_read = source.stored_bytes_read
    _close(source, capture, reader, done + gathered.lines, timed)
    if gathered.lines:
        yield gathered.window(interners, has_clock=bool(timed))


def _close(
    source: Source, capture: Capture, reader: LineReader, lines: int, timed: bool | None
) -> None:
    """Say what the messages rest on and what the end of the stream looked like."""
    if timed is False:
        capture.warnings.append(
            f"{source.path}: the lines show no times: nothing is said about durations"
        )
    capture.warnings += [f"{source.path}: {text}" for text in reader.warnings()]
    if source.damage:
        capture.truncated_tail = True
        capture.warnings.append(
            f"{source.path}: {source.damage}; analysed up to there ({lines} lines)"
        )
