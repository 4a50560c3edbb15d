"""What the readers of printed lines share: the messages that they give, and values in text.

What a line does not show stays absent. A number that fits nowhere makes its line one that is not
understood, or is absent where the line says enough without it.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple, Protocol

from pcapkit.addresses import packed_name
from pcapkit.cluster.pods import Pod
from pcapkit.codes import qtype_number
from pcapkit.ingest.inputs.wrappings import Line
from pcapkit.ingest.logs.blocks.filled import BlockReader, Filled, Streams
from pcapkit.ingest.window import Ends, Interners
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.names.text import wire_from_text
from pcapkit.schema import ABSENT, EDNS_HIDDEN, NO_SOA, UDP, Bytes, Integers

_TIME = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<hour>\d\d):(?P<minute>\d\d)"
    r":(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9})\d*)? ?(?P<zone>Z|[+-]\d\d:?\d\d)?(?!\d)",
    re.ASCII,
)
_MOST_NS = 1 << 62  # a time or duration beyond this fits nowhere


class NotUnderstood(ValueError):
    """What a line says does not fit its format."""


@dataclass(slots=True)
class LineMessage:
    """One DNS message as a line tells of it; addresses are packed, the name is in wire form."""

    client: bytes
    client_port: int
    qname: bytes | None  # None: not shown
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
    soa: int = NO_SOA  # see there
    edns_bytes: int = EDNS_HIDDEN
    message_bytes: int = 0
    interface: int = 0
    flags_shown: bool = True
    ip_id: int = ABSENT
    hop_limit: int = 0
    link: int = 0
    #: What sightings of one packet have in common. None: the source shows each message once.
    content: bytes | None = None
    #: Where it was seen: what passed between a packet and its copy is looked for there.
    place: object = None
    #: Which of several logs the line is from, and how far its time may be off: ``blocks/walks.py``.
    stream: str = ""
    resolution: int = 0


class Shared(NamedTuple):
    """What the reader of one source shares with those who gather what it says."""

    interners: Interners
    streams: Streams
    places: dict[object, int]  # where messages were seen -> number
    probes: Bytes  # by message ID: is a response with it perhaps one to CoreDNS' own question?
    limits: Limits = DEFAULTS


class LineReader(Protocol):
    """Reads the lines of one format."""

    #: Of the line that was read last, where it is no message but counts for the capture's span.
    time: int | None
    #: What is said where the lines show no times.
    clockless: str
    #: Reads lines of the usual shape, with the same result; None where there is no such reader.
    blocks: BlockReader | None

    #: The line that the next one may continue, and whether it is as long as it may be.
    held: Line | None
    is_full: bool

    def share(self, shared: Shared) -> None:
        """Take what is shared, before the first line."""
        ...

    def units(self, line: Line) -> Sequence[Line]:
        """Return the lines that are whole with this one, with those that continue them."""
        ...

    def rest(self) -> Sequence[Line]:
        """Return the line that is held."""
        ...

    def went_by(self) -> None:
        """Note that ``blocks`` has read the line before the next one."""
        ...

    def read(self, line: Line) -> Sequence[LineMessage] | Ends | str | None:
        """Return the messages of a line, or the reason why there are none, None: not its program's.

        An ICMP message about DNS is none, but says whom it concerns.

        Raises NotUnderstood (or another ValueError) where the line does not fit the format.
        """
        ...

    def settle(self, filled: Filled, *, timed: bool) -> Integers | None:
        """Correct the times of a window's messages by what they say together.

        Without a clock, return the order in which they came (indexes of all), None for as it is.
        """
        ...

    def warnings(self) -> list[str]:
        """Say what the messages rest on, each without the capture's path."""
        ...


class PlainReader:
    """What most readers do: each line by itself, its time as it is."""

    time: int | None = None
    clockless = "the lines show no times"
    blocks: BlockReader | None = None
    held: Line | None = None
    is_full: bool = False

    def share(self, shared: Shared) -> None:
        """Need nothing of it."""

    def units(self, line: Line) -> Sequence[Line]:
        """Return the line."""
        return (line,)

    def rest(self) -> Sequence[Line]:
        """Return nothing."""
        return ()

    def went_by(self) -> None:
        """Note nothing."""

    def settle(self, filled: Filled, *, timed: bool) -> Integers | None:  # noqa: ARG002
        """Leave times and order as they are."""
        return None

    def warnings(self) -> list[str]:
        """Say nothing."""
        return []


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
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise NotUnderstood(f"not a number up to {most}: {str(value)[:40]!r}")
    return int(value)


def packed_address(text: object) -> bytes:
    """Return an address as 4 or 16 bytes, brackets and zone left out."""
    if not isinstance(text, str):
        raise NotUnderstood("no address")
    return _packed(text)


def packed_end(text: str) -> bytes:
    """Return an address, or the bytes of the name that stands for one."""
    try:
        return _packed(text)
    except ValueError:
        return packed_name(text)


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
    match = _last_time(text)
    return None if match is None else _of_match(match)


def _of_match(match: re.Match[str]) -> tuple[int, bool] | None:
    numbers = [int(match[k]) for k in ("year", "month", "day", "hour", "minute", "second")]
    year, month, day, hour, minute, second = numbers
    if not (1970 <= year < 2262 and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    seconds = timegm((year, month, day, hour, minute, second))
    if (zone := match["zone"]) and zone != "Z":
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        seconds -= minutes * 60 * (1 if zone[0] == "+" else -1)
    fraction = int((match["fraction"] or "").ljust(9, "0"))
    return max(seconds, 0) * 1_000_000_000 + fraction, zone is not None


def time_of(value: object) -> tuple[int, bool, int] | None:
    """Return a time (ns since 1970), whether it has a zone, and the digits of its second.

    It is RFC 3339 text, the seconds, milliseconds, microseconds or nanoseconds since 1970 as their
    size says, or an object of seconds and nanoseconds. None where it is none of these.
    """
    if isinstance(value, str):
        if (match := _last_time(value)) is not None:
            found = _of_match(match)
            return None if found is None else (*found, len(match["fraction"] or ""))
        if not _NUMBER.fullmatch(value.strip()):
            return None
        whole, _, part = value.strip().partition(".")
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    elif isinstance(value, int):
        whole, part = str(value) if abs(value) < 1 << 64 else "", ""
    else:
        whole, _, part = f"{value:.9f}".rstrip("0").partition(".")
    if not whole.isdigit() or not 9 <= len(whole) <= 19:
        return None
    exponent = max(0, (len(whole) - 10 + 2) // 3 * 3)  # of the unit: seconds have 9 or 10 digits
    nanoseconds = int(whole) * 10 ** (9 - exponent) if exponent <= 9 else -1
    if part and exponent <= 9:
        nanoseconds += int(part.ljust(9, "0")[: 9 - exponent] or "0")
    if not 0 < nanoseconds < _MOST_NS:
        return None
    return nanoseconds, True, exponent + (len(part) if exponent < 9 else 0)


_NUMBER = re.compile(r"\d{9,19}(?:\.\d+)?", re.ASCII)


def _last_time(text: str) -> re.Match[str] | None:
    match = None
    for match in _TIME.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    return match


def family_answers(qtype: int, addresses: Sequence[str]) -> int:
    """Count the addresses of the family that a query of type A or AAAA asks for."""
    sign = FAMILY.get(qtype)
    return sum(sign in a for a in addresses) if sign else 0


#: What tells an address of the asked family, by query type.
FAMILY = {1: ".", 28: ":"}
MONTHS = {m: k for k, m in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


def moment(year: int, month: int, day: int, clock: str) -> int:
    """Return a date and a time of day (``10:00:00.210731``) as ns since 1970 UTC."""
    whole, _, part = clock.replace(",", ".").partition(".")
    hour, minute, second = (int(v) for v in whole.split(":"))
    if not (1 <= month <= 12 and 1 <= day <= 31 and 1970 <= year < 2262):
        raise NotUnderstood("no date")
    if hour > 23 or minute > 59 or second > 60:
        raise NotUnderstood("no time of day")
    seconds = timegm((year, month, day, hour, minute, second))
    return seconds * 1_000_000_000 + int(part.ljust(9, "0")[:9] or "0")
