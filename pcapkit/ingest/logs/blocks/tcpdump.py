"""The packets of DNS that tcpdump prints on one line, compiled: a block of lines to rows.

Usual are the lines of ``tcpdump -n`` without ``-v`` and ``-e``: any time, perhaps an interface and
a direction, two addresses with their ports over UDP, a query, or a response with addresses and
aliases. Every other line is left to ``logs/tcpdump.py``, which gives the same rows for all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.ingest.logs.blocks.filled import Filled, Span, Taken, clear_row
from pcapkit.ingest.logs.blocks.text import (
    BLANK,
    COLON,
    DOT,
    NOT_MINE,
    clock_at,
    date_at,
    fraction_at,
    ipv4_at,
    ipv6_at,
    is_at,
    is_plain,
    line_end,
    name_at,
    number_at,
    number_of,
    type_numbers,
    word_at,
)
from pcapkit.ingest.window import Interners
from pcapkit.kernels.hashing import hash_bytes
from pcapkit.kernels.interning import Interner, InternerArrays, find, has_space, intern
from pcapkit.kernels.jit import compiled_before, helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u8, u32
from pcapkit.names.text import MAX_NAME_BYTES
from pcapkit.schema import (
    AA,
    ABSENT,
    AD,
    MARK_QUESTION_SHOWN,
    QR,
    RA,
    RD,
    TC,
    UDP,
    Bytes,
    Hashes,
    Ids,
    Int,
    Integers,
)

DAY_NS = 86_400_000_000_000
LAST_S = (1 << 62) // 1_000_000_000  # no time is later
_SECOND_NS = 1_000_000_000
_HINFO = 13  # of which CoreDNS asks itself: left to others
_MOST_PORT = _MOST_ID = _MOST_ANSWERS = 0xFFFF
_SHORTEST = 40
_OPEN, _CLOSE, _SLASH, _COMMA, _MARK = 0x28, 0x29, 0x2F, 0x2C, 0x3F
#: Kinds of times.
_NO_TIME, _OF_DAY, _DATED, _EPOCH = range(4)

#: What is found in a line, before it is written to a row.
(
    _TIME,
    _KIND,
    _INTERFACE,
    _SIZE_OF_ADDRESS,
    _SOURCE_PORT,
    _TARGET_PORT,
    _PAYLOAD,
    _ID,
    _FLAGS,
    _RCODE,
    _WIRE,
    _QTYPE,
    _ANSWERS,
    _TYPED,
    _SIZE,
) = range(15)
_FACTS = 15
#: In ``state``: has the source a clock (0 or 1), the number of the next line, the most lines that
#: are wanted, the rows that are filled already.
_TIMED, _NUMBER, _MOST, _USED = range(4)
#: In ``clock``: are times of day without a date as such, the days before them, the last one; and
#: were there times with a date.
UNDATED, DAYS, LAST, WAS_DATED = range(4)
_NEW_NAMES, _NAME_BYTES, _NEW_ADDRESSES = 4096, 1 << 18, 8192  # that one pass has space for


class Tables(NamedTuple):
    """What is looked up, and extended by names and addresses."""

    names: InternerArrays
    addresses: InternerArrays
    interfaces: InternerArrays  # interface and direction, as printed
    places: Ids  # by interface: the number of its place
    ports: Bytes  # by port: is it one of DNS?
    probes: Bytes  # by message ID: may it be of CoreDNS' question to itself?
    types: Hashes  # words, beside their numbers
    type_numbers: Integers


class Scratch(NamedTuple):
    """Memory to work in."""

    facts: Integers  # _FACTS
    clock: Integers  # UNDATED to WAS_DATED, kept from line to line
    wire: Bytes  # 256: a name
    source: Bytes  # 16: an address
    target: Bytes  # 16


@helper_kernel
def _time_at(text: Bytes, at: Int, end: Int, scratch: Scratch) -> Int:
    """Take the time in front of a packet in ``text[at:end]``; return what is behind, if any is."""
    facts, kind = scratch.facts, np.int64(_NO_TIME)
    days: Int = np.int64(0)
    seconds: Int = np.int64(0)
    if u8(text, at + 2) == COLON:
        kind, seconds = np.int64(_OF_DAY), clock_at(text, at, end)
        at += 8
    elif u8(text, at + 4) == 0x2D:
        kind, days, seconds = np.int64(_DATED), date_at(text, at, end), clock_at(text, at + 11, end)
        if days < 0 or u8(text, at + 10) != BLANK:
            return np.int64(NOT_MINE)
        at += 19
    elif 0x30 <= u8(text, at) <= 0x39:
        kind = np.int64(_EPOCH)
        seconds, at = number_at(text, at, end, 12)
        if at < 0 or seconds > LAST_S:
            return np.int64(NOT_MINE)
    facts[_KIND] = kind
    if kind == _NO_TIME:
        return np.int64(at)
    if seconds < 0 or not is_at(text, at, end, DOT):
        return np.int64(NOT_MINE)
    part, digits = fraction_at(text, at + 1, end)
    at += 1 + digits
    if (digits != 6 and digits != 9) or not is_at(text, at, end, BLANK):
        return np.int64(NOT_MINE)
    facts[_TIME] = (days * 86_400 + seconds) * _SECOND_NS + part
    return np.int64(at + 1)


@inline_kernel
def _is_ip(text: Bytes, at: Int, end: Int) -> bool:
    """Does ``text[at:end]`` begin with ``IP `` or ``IP6 ``?"""
    if end - at < 4 or u8(text, at) != 0x49 or u8(text, at + 1) != 0x50:
        return False
    third = u8(text, at + 2)
    return bool(third == BLANK or (third == 0x36 and u8(text, at + 3) == BLANK))


@helper_kernel
def _interface_at(text: Bytes, at: Int, end: Int, tables: Tables, facts: Integers) -> Int:
    """Take an interface and a direction, if they are in ``text[at:end]``; return what is behind."""
    facts[_INTERFACE] = 0
    if _is_ip(text, at, end):
        return np.int64(at)
    begin = at
    for _ in range(2):  # a word and blanks
        word = at
        while at < end and (is_plain(u8(text, at)) or u8(text, at) == DOT):
            at += 1
        if at == word or not is_at(text, at, end, BLANK):
            return np.int64(NOT_MINE)
        stop = at + 1
        while is_at(text, at, end, BLANK):
            at += 1
    number = find(tables.interfaces, text, begin, stop - begin)
    facts[_INTERFACE] = number + 1
    return np.int64(at) if number >= 0 and _is_ip(text, at, end) else np.int64(NOT_MINE)


@helper_kernel
def _end_at(text: Bytes, at: Int, end: Int, wide: bool, packed: Bytes) -> tuple[Int, Int]:
    """Return (port, offset behind it) of an address and its port in ``text[at:end]``."""
    at = ipv6_at(text, at, end, packed) if wide else ipv4_at(text, at, end, packed)
    if at < 0 or not is_at(text, at, end, DOT):
        return np.int64(0), np.int64(NOT_MINE)
    port, at = number_at(text, at + 1, end, 5)
    return port, at if port <= _MOST_PORT else np.int64(NOT_MINE)


@helper_kernel
def _ends_at(text: Bytes, at: Int, end: Int, tables: Tables, scratch: Scratch) -> Int:
    """Take both ends of a packet in ``text[at:end]``; return where its payload begins."""
    facts = scratch.facts
    wide = u8(text, at + 2) == 0x36
    facts[_SIZE_OF_ADDRESS] = 16 if wide else 4
    port, at = _end_at(text, at + (4 if wide else 3), end, wide, scratch.source)
    if at < 0 or end - at < 3 or u8(text, at) != BLANK or u8(text, at + 1) != 0x3E:
        return np.int64(NOT_MINE)
    facts[_SOURCE_PORT] = port
    if u8(text, at + 2) != BLANK:
        return np.int64(NOT_MINE)
    port, at = _end_at(text, at + 3, end, wide, scratch.target)
    if at < 0 or not is_at(text, at, end, COLON) or not is_at(text, at + 1, end, BLANK):
        return np.int64(NOT_MINE)
    facts[_TARGET_PORT] = port
    if not tables.ports[facts[_SOURCE_PORT]] and not tables.ports[port]:
        return np.int64(NOT_MINE)
    facts[_PAYLOAD] = at + 2
    return np.int64(at + 2)


@helper_kernel
def _size_at(text: Bytes, at: Int, end: Int, facts: Integers) -> bool:
    """Take the size, ``(62)``, that is all of ``text[at:end]``."""
    if not is_at(text, at, end, _OPEN):
        return False
    facts[_SIZE], at = number_at(text, at + 1, end, 5)
    return bool(at >= 0 and is_at(text, at, end, _CLOSE) and at + 1 == end)


@helper_kernel
def _query_at(text: Bytes, at: Int, end: Int, tables: Tables, scratch: Scratch) -> bool:
    """Take a question and its size, all of ``text[at:end]``: ``[1au] A? example.com. (40)``."""
    facts = scratch.facts
    if is_at(text, at, end, 0x5B):
        count, at = number_at(text, at + 1, end, 3)
        if at < 0 or end - at < 4 or u8(text, at) != 0x61 or u8(text, at + 1) != 0x75:
            return False
        if u8(text, at + 2) != 0x5D or u8(text, at + 3) != BLANK:
            return False
        at += 4
    word, at = word_at(text, at, end)
    facts[_QTYPE] = number_of(tables.types, tables.type_numbers, word)
    if at < 0 or facts[_QTYPE] < 0 or facts[_QTYPE] == _HINFO:
        return False
    if not is_at(text, at, end, _MARK) or not is_at(text, at + 1, end, BLANK):
        return False
    facts[_WIRE], at = name_at(text, at + 2, end, scratch.wire)
    return bool(at >= 0 and is_at(text, at, end, BLANK) and _size_at(text, at + 1, end, facts))


@helper_kernel
def _counts_at(text: Bytes, at: Int, end: Int, facts: Integers) -> Int:
    """Take the counts of records, ``1/0/0``, in ``text[at:end]``; return what is behind them."""
    facts[_ANSWERS], at = number_at(text, at, end, 5)
    for _ in range(2):
        if at < 0 or not is_at(text, at, end, _SLASH):
            return np.int64(NOT_MINE)
        _, at = number_at(text, at + 1, end, 5)
    return np.int64(at if facts[_ANSWERS] <= _MOST_ANSWERS else NOT_MINE)


@helper_kernel
def _records_at(text: Bytes, at: Int, end: Int, facts: Integers) -> bool:
    """Take the answers and the size, all of ``text[at:end]``: `` A 10.0.0.1, A 10.0.0.2 (62)``.

    They are addresses and aliases, as many as were counted.
    """
    found, typed = np.int64(0), np.int64(0)
    while is_at(text, at, end, BLANK) and not is_at(text, at + 1, end, _OPEN):
        begin = at + 1
        _, at = word_at(text, begin, end)
        if at < 0 or not is_at(text, at, end, BLANK):
            return False
        first = u8(text, begin)
        if first == 0x41:
            wide = at - begin == 4 and u8(text, begin + 1) == 0x41 and u8(text, begin + 2) == 0x41
            if at - begin != 1 and not (wide and u8(text, begin + 3) == 0x41):
                return False
            typed += 1
        elif first != 0x43 or at - begin != 5 or not _is_name(text, begin):
            return False
        at += 1
        value = at
        while at < end and (is_plain(u8(text, at)) or u8(text, at) == DOT or u8(text, at) == COLON):
            at += 1
        found += 1
        if at == value:
            return False
        if not is_at(text, at, end, _COMMA):
            break
        at += 1
        if is_at(text, at + 1, end, _OPEN):
            return False
    facts[_TYPED] = typed
    if found != facts[_ANSWERS] or not is_at(text, at, end, BLANK):
        return False
    return _size_at(text, at + 1, end, facts)


@inline_kernel
def _is_name(text: Bytes, at: Int) -> bool:
    """Are the four bytes behind ``at`` ``NAME``, as in ``CNAME``?"""
    return bool(
        u8(text, at + 1) == 0x4E
        and u8(text, at + 2) == 0x41
        and u8(text, at + 3) == 0x4D
        and u8(text, at + 4) == 0x45
    )


@helper_kernel
def _code_at(text: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return (response code, offset behind it) of one that is frequent in ``text[at:end]``."""
    if end - at >= 8:
        first = u8(text, at) << 8 | u8(text, at + 1)
        if (
            first == 0x4E58
            and u8(text, at + 2) == 0x44
            and _has_end(text, at + 3, 0x6F6D6169, 0x6E)
        ):
            return np.int64(3), np.int64(at + 8)  # NXDomain
        if (
            first == 0x5365
            and u8(text, at + 2) == 0x72
            and _has_end(text, at + 3, 0x76466169, 0x6C)
        ):
            return np.int64(2), np.int64(at + 8)  # ServFail
        if first == 0x5265 and _has_end(text, at + 2, 0x66757365, 0x64):
            return np.int64(5), np.int64(at + 7)  # Refused
    return np.int64(0), np.int64(at)


@inline_kernel
def _has_end(text: Bytes, at: Int, four: Int, last: Int) -> bool:
    """Are the next five bytes those of the number ``four``, and ``last``?"""
    return bool(u32(text, at) == four and u8(text, at + 4) == last)


@helper_kernel
def _message_at(text: Bytes, at: Int, end: Int, tables: Tables, scratch: Scratch) -> bool:
    """Take the message that is all of ``text[at:end]``: its ID, code, flags, and the rest."""
    facts = scratch.facts
    facts[_ID], at = number_at(text, at, end, 5)
    if at < 0 or facts[_ID] > _MOST_ID:
        return False
    begin = at
    if is_at(text, at, end, BLANK):
        facts[_RCODE], at = _code_at(text, at + 1, end)
        at = begin if at == begin + 1 else at
    else:
        facts[_RCODE] = 0
    plus, star, dash, bar, dollar = False, False, False, False, False
    while at < end and u8(text, at) != BLANK:
        byte = u8(text, at)
        plus, star, dash = plus or byte == 0x2B, star or byte == 0x2A, dash or byte == 0x2D
        bar, dollar = bar or byte == 0x7C, dollar or byte == 0x24
        if byte != 0x2B and byte != 0x2A and byte != 0x2D and byte != 0x7C and byte != 0x24:
            if byte != 0x25:
                return False
        at += 1
    if end - at < 2:
        return False
    at += 1
    if not 0x30 <= u8(text, at) <= 0x39:
        facts[_FLAGS] = RD if plus else 0
        facts[_ANSWERS], facts[_TYPED] = 0, 0
        return facts[_RCODE] == 0 and _query_at(text, at, end, tables, scratch)
    facts[_WIRE], facts[_QTYPE] = 0, 0
    flags = QR | (AA if star else 0) | (0 if dash else RA) | (TC if bar else 0)
    facts[_FLAGS] = flags | (AD if dollar else 0) | facts[_RCODE]
    at = _counts_at(text, at, end, facts)
    return bool(at >= 0 and not tables.probes[facts[_ID]] and _records_at(text, at, end, facts))


@helper_kernel
def _packet(block: Bytes, at: Int, end: Int, tables: Tables, scratch: Scratch) -> bool:
    """Is ``block[at:end]`` a usual line? What it says is in ``scratch``."""
    at = _time_at(block, at, end, scratch)
    if at < 0:
        return False
    at = _interface_at(block, at, end, tables, scratch.facts)
    if at < 0:
        return False
    at = _ends_at(block, at, end, tables, scratch)
    if at < 0 or not _message_at(block, at, end, tables, scratch):
        return False
    facts = scratch.facts
    asks = facts[_FLAGS] & QR == 0
    return bool(asks == (tables.ports[facts[_TARGET_PORT]] != 0))


@helper_kernel
def _tell_time(facts: Integers, clock: Integers) -> None:
    """Turn a time of day into a time, past midnight those of the next day."""
    if facts[_KIND] == _DATED:
        clock[WAS_DATED] = 1
    elif facts[_KIND] == _OF_DAY:
        now = facts[_TIME] + clock[DAYS] * DAY_NS
        if now < clock[LAST] - DAY_NS // 2:
            clock[DAYS] += 1
            now += DAY_NS
        clock[LAST] = now
        facts[_TIME] = now


@helper_kernel
def _fill(
    block: Bytes, end: Int, filled: Filled, at: Int, tables: Tables, scratch: Scratch, number: Int
) -> None:
    """Write the row at ``at`` of line ``number``, which ends at ``end``."""
    facts, row, size = scratch.facts, filled.rows[at], scratch.facts[_SIZE_OF_ADDRESS]
    clear_row(row)
    asks = facts[_FLAGS] & QR == 0
    source = intern(tables.addresses, scratch.source, 0, size)
    target = intern(tables.addresses, scratch.target, 0, size)
    row["client"], row["server"] = (source, target) if asks else (target, source)
    row["client_port"] = facts[_SOURCE_PORT if asks else _TARGET_PORT]
    row["server_port"] = facts[_TARGET_PORT if asks else _SOURCE_PORT]
    shown = facts[_WIRE] > 0
    row["qname"] = intern(tables.names, scratch.wire, 0, facts[_WIRE]) if shown else ABSENT
    row["marks"] = MARK_QUESTION_SHOWN if shown else 0
    row["qclass"] = 1 if shown else 0
    row["qtype"], row["flags"], row["rcode"] = facts[_QTYPE], facts[_FLAGS], facts[_RCODE]
    row["answers"], row["typed_answers"] = facts[_ANSWERS], facts[_TYPED]
    row["edns_bytes"], row["message_bytes"] = ABSENT, facts[_SIZE]
    row["message_id"], row["transport"] = facts[_ID], UDP
    row["packet_no"], row["message_no"] = number, 1
    row["interface"] = facts[_INTERFACE]
    filled.streams[at], filled.resolutions[at] = 0, 0
    if facts[_KIND] == _NO_TIME:
        row["time"] = 0
        row["content"] = np.uint64(number << 8 | 1)
        filled.places[at] = ABSENT
    else:
        row["time"] = facts[_TIME]
        begin = facts[_PAYLOAD]
        row["content"] = hash_bytes(block, begin, end - begin, tables.names.seed[1])
        filled.places[at] = tables.places[facts[_INTERFACE]]


@inline_kernel
def _has_space(filled: Filled, at: Int, tables: Tables) -> bool:
    """Is there space for the row of one more line, its name and its addresses?"""
    return bool(
        at < filled.rows.shape[0]
        and has_space(tables.names, 1, MAX_NAME_BYTES)
        and has_space(tables.addresses, 2, 16)
    )


@kernel
def read_packets(
    block: Bytes,
    at: Int,
    stop: Int,
    tables: Tables,
    filled: Filled,
    scratch: Scratch,
    state: Integers,
) -> tuple[Int, Int, Int]:
    """Read the lines of ``block[at:stop]`` (whole ones) until one is not usual, or space runs out.

    Goes in: ``tables``; ``state`` (int64), _TIMED to _USED. Comes out: rows in ``filled`` behind
    those, one a line. ``scratch`` is memory to work in, whose clock goes on. Returns (offset of the
    first line that was not read, lines read, 0), or, where the first line is not usual, (offset of
    the next one that is, 0, 1).
    """
    lines, passing = np.int64(0), False
    facts = scratch.facts
    while at < stop:
        if lines < state[_MOST] and not _has_space(filled, state[_USED] + lines, tables):
            break
        behind = line_end(block, at, stop)
        end = behind
        if end > at and u8(block, end - 1) == 13:
            end -= 1
        usual = end - at >= _SHORTEST and _packet(block, at, end, tables, scratch)
        usual = usual and (facts[_KIND] != _NO_TIME) == (state[_TIMED] > 0)
        if usual and facts[_KIND] == _OF_DAY:
            usual = scratch.clock[UNDATED] > 0
        if usual:
            if passing or lines >= state[_MOST]:
                break
            _tell_time(facts, scratch.clock)
            number = state[_NUMBER] + lines
            _fill(block, end, filled, state[_USED] + lines, tables, scratch, number)
            lines += 1
        elif lines > 0:
            break
        else:
            passing = True
        at = min(behind + 1, stop)
    return np.int64(at), lines, np.int64(passing)


class Interfaces:
    """Interfaces with a direction, as printed, by number from 1; and where their packets were."""

    def __init__(self, places: dict[object, int]) -> None:
        self.names = Interner()
        self.places = np.zeros(1, np.int32)
        self._known = places

    def number(self, text: str, place: str) -> int:
        """Return the number of an interface and direction, which is a ``place``."""
        number = self.names.add(text.encode("utf-8", "surrogateescape")) + 1
        if number >= self.places.size:
            of = self._known.setdefault(place, len(self._known))
            self.places = np.concatenate([self.places, np.array([of], np.int32)])
        return number


class PacketBlocks:
    """Reads packets of DNS."""

    def __init__(
        self,
        interners: Interners,
        interfaces: Interfaces,
        ports: frozenset[int],
        probes: Bytes,
        clock: Integers,
    ) -> None:
        self._interners, self._interfaces, self._probes = interners, interfaces, probes
        self._ports = np.zeros(1 << 16, np.uint8)
        self._ports[sorted(ports)] = 1
        self._types = type_numbers()
        self._scratch = Scratch(
            np.zeros(_FACTS, np.int64),
            clock,
            np.zeros(256, np.uint8),
            np.zeros(16, np.uint8),
            np.zeros(16, np.uint8),
        )

    @property
    def is_compiled(self) -> bool:
        """Is its kernel kept from an earlier run?"""
        return compiled_before(read_packets)

    def read(self, block: Bytes, span: Span, filled: Filled) -> Taken:
        """Fill one row a line."""
        names, addresses = self._interners.names, self._interners.addresses
        names.reserve(_NEW_NAMES, _NAME_BYTES)
        addresses.reserve(_NEW_ADDRESSES, 16 * _NEW_ADDRESSES)
        tables = Tables(
            names.arrays,
            addresses.arrays,
            self._interfaces.names.arrays,
            self._interfaces.places,
            self._ports,
            self._probes,
            *self._types,
        )
        state = np.array([span.timed, span.number, span.most, span.used], np.int64)
        at, lines, passing = read_packets(
            block, span.at, span.stop, tables, filled, self._scratch, state
        )
        return Taken(int(at), int(lines), int(lines), bool(passing))
