"""CoreDNS' query lines in their usual form, compiled: a block of lines to rows.

Usual is the common or combined format with a message ID, without an escape in the name, behind
what ``kubectl logs`` (``--timestamps``, ``--prefix``) and container runtimes write, or in a
shipper's JSON record. Every other line is left to ``logs/coredns.py``, which gives the same rows
for all of them, and says why the formulas here are what they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.codes import RCODES
from pcapkit.ingest.logs.blocks.coredns_values import duration_at, flags_at, is_in, stream_at
from pcapkit.ingest.logs.blocks.filled import Filled, Span, Streams, Taken, clear_row
from pcapkit.ingest.logs.blocks.objects import (
    OBJECT_FACTS,
    POD_BEGIN,
    POD_END,
    TEXT_BEGIN,
    TEXT_END,
    TIME_BEGIN,
    Keys,
    make_keys,
    read_object,
    time_told,
    unescaped_line,
)
from pcapkit.ingest.logs.blocks.text import (
    BLANK,
    COLON,
    NOT_MINE,
    QUOTE,
    ipv4_at,
    ipv6_at,
    is_at,
    line_end,
    name_at,
    number_at,
    number_of,
    stamp_at,
    type_numbers,
    word_at,
    word_numbers,
)
from pcapkit.ingest.window import Interners
from pcapkit.kernels.interning import InternerArrays, find, has_space, intern
from pcapkit.kernels.jit import compiled_before, helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u8
from pcapkit.names.text import MAX_NAME_BYTES
from pcapkit.schema import (
    ABSENT,
    MARK_QUESTION_SHOWN,
    QR,
    RD,
    TCP,
    UDP,
    Bytes,
    Hashes,
    Int,
    Integers,
    Row,
)

#: Bytes of a message with one question, its name left out; of a record behind its owner; of OPT.
QUESTION_BYTES, RECORD_BYTES, OPT_BYTES = 16, 10, 11
#: What stands for the buffer size where there is no OPT.
WITHOUT_OPT = (0, 512, 65535)
#: Bytes of data of the types whose records have one length; others have at least one byte.
_A, _AAAA, _A_BYTES, _AAAA_BYTES = 1, 28, 4, 16
DATA_BYTES = {_A: _A_BYTES, _AAAA: _AAAA_BYTES}
#: An SOA record of the ``kubernetes`` plugin, its name left out, which it has three times:
#: ``ns.dns``, ``hostmaster``, five numbers, and what every record has.
CLUSTER_SOA_BYTES = RECORD_BYTES + 7 + 11 + 20
_HINFO = 13  # of which CoreDNS asks itself: left to others
_MOST_BYTES = 0xFFFF
_SERVFAIL, _SECOND_NS = 2, 1_000_000_000
_LINE_BYTES = 4096  # no usual line is longer
_SHORTEST = 60  # and none is shorter

#: What is found in a line, before it is written to rows.
(
    _ID,
    _PORT,
    _QTYPE,
    _TRANSPORT,
    _SIZE,
    _BUFSIZE,
    _RCODE,
    _FLAGS,
    _SHOWN,
    _DURATION,
    _OPCODE,
    _WIRE,
    _PACKED,
    _TIME,
    _DIGITS,
    _STREAM,
) = range(16)
_FACTS = 16
#: In ``state``: does the source have a clock (0 or 1), the stream of lines that name none, the
#: number of the next line, the most lines that are wanted, the rows that are filled already.
_TIMED, _DEFAULT, _NUMBER, _MOST, _USED = range(5)
_NEW_NAMES, _NAME_BYTES, _NEW_ADDRESSES = 4096, 1 << 18, 4096  # that one pass has space for


class Tables(NamedTuple):
    """What is looked up, and extended by names and addresses."""

    names: InternerArrays
    addresses: InternerArrays
    streams: InternerArrays
    stream_digits: Bytes  # by stream: the most digits of a second seen in it that were no padding
    keys: Keys
    types: Hashes  # words, beside their numbers
    type_numbers: Integers
    rcodes: Hashes
    rcode_numbers: Integers


class Scratch(NamedTuple):
    """Memory to work in."""

    facts: Integers  # _FACTS
    record: Integers  # OBJECT_FACTS
    line: Bytes  # of a record
    wire: Bytes  # 256: a name
    packed: Bytes  # 16: an address


@helper_kernel
def _client_at(text: Bytes, at: Int, end: Int, packed: Bytes, facts: Integers) -> Int:
    """Take the client's address and port and the ID in ``text[at:end]``; return what is behind."""
    if is_at(text, at, end, 0x5B):
        at = ipv6_at(text, at + 1, end, packed)
        facts[_PACKED] = 16
        if at < 0 or not is_at(text, at, end, 0x5D):
            return np.int64(NOT_MINE)
        at += 1
    else:
        at = ipv4_at(text, at, end, packed)
        facts[_PACKED] = 4
    if at < 0 or not is_at(text, at, end, COLON):
        return np.int64(NOT_MINE)
    facts[_PORT], at = number_at(text, at + 1, end, 5)
    if at < 0 or end - at < 3 or u8(text, at) != BLANK or u8(text, at + 1) != 0x2D:
        return np.int64(NOT_MINE)
    if u8(text, at + 2) != BLANK:
        return np.int64(NOT_MINE)
    facts[_ID], at = number_at(text, at + 3, end, 5)
    if at < 0 or facts[_PORT] > _MOST_BYTES or facts[_ID] > _MOST_BYTES:
        return np.int64(NOT_MINE)
    if not is_at(text, at, end, BLANK) or not is_at(text, at + 1, end, QUOTE):
        return np.int64(NOT_MINE)
    return np.int64(at + 2)


@helper_kernel
def _question_at(
    text: Bytes, at: Int, end: Int, tables: Tables, wire: Bytes, facts: Integers
) -> Int:
    """Take what stands between the first quotes, in ``text[at:end]``; return what is behind it."""
    word, at = word_at(text, at, end)
    if at < 0 or not is_in(text, at, end, BLANK, 0x49, 0x4E):
        return np.int64(NOT_MINE)
    facts[_QTYPE] = number_of(tables.types, tables.type_numbers, word)
    if facts[_QTYPE] < 0 or facts[_QTYPE] == _HINFO:
        return np.int64(NOT_MINE)
    facts[_WIRE], at = name_at(text, at + 4, end, wire)
    if at < 0 or not is_at(text, at, end, BLANK):
        return np.int64(NOT_MINE)
    if is_in(text, at + 1, end, 0x75, 0x64, 0x70):
        facts[_TRANSPORT] = UDP
    elif is_in(text, at + 1, end, 0x74, 0x63, 0x70):
        facts[_TRANSPORT] = TCP
    else:
        return np.int64(NOT_MINE)
    facts[_SIZE], at = number_at(text, at + 5, end, 5)
    if at < 0 or facts[_SIZE] > _MOST_BYTES or not is_at(text, at, end, BLANK):
        return np.int64(NOT_MINE)
    if is_in(text, at + 2, end, 0x72, 0x75, 0x65) and u8(text, at + 1) == 0x74:  # true
        at += 6
    elif is_in(text, at + 3, end, 0x6C, 0x73, 0x65):  # false
        if u8(text, at + 1) != 0x66 or u8(text, at + 2) != 0x61:
            return np.int64(NOT_MINE)
        at += 7
    else:
        return np.int64(NOT_MINE)
    facts[_BUFSIZE], at = number_at(text, at, end, 5)
    if at < 0 or facts[_BUFSIZE] > _MOST_BYTES or not is_at(text, at, end, QUOTE):
        return np.int64(NOT_MINE)
    return np.int64(at + 1)


@helper_kernel
def _outcome_at(text: Bytes, at: Int, end: Int, tables: Tables, facts: Integers) -> bool:
    """Take the outcome, all of ``text[at:end]``; False where it is not usual."""
    if not is_at(text, at, end, BLANK):
        return False
    at += 1
    if is_at(text, at, end, 0x2D):  # no plugin answered
        facts[_RCODE] = _SERVFAIL
        at += 1
    else:
        word, at = word_at(text, at, end)
        facts[_RCODE] = number_of(tables.rcodes, tables.rcode_numbers, word)
    if at < 0 or facts[_RCODE] < 0 or not is_at(text, at, end, BLANK):
        return False
    facts[_FLAGS], at = flags_at(text, at + 1, end)
    if at < 0 or not is_at(text, at, end, BLANK):
        return False
    facts[_SHOWN], at = number_at(text, at + 1, end, 5)
    if at < 0 or facts[_SHOWN] > _MOST_BYTES or not is_at(text, at, end, BLANK):
        return False
    facts[_DURATION], at = duration_at(text, at + 1, end)
    facts[_OPCODE] = 0
    if at >= 0 and end - at >= 4:
        if u8(text, at) != BLANK or u8(text, at + 1) != QUOTE:
            return False
        facts[_OPCODE], at = number_at(text, at + 2, end, 2)
        if at < 0 or facts[_OPCODE] > 15 or not is_at(text, at, end, QUOTE):
            return False
        at += 1
    return bool(at == end)


@helper_kernel
def _query_at(text: Bytes, at: Int, end: Int, tables: Tables, scratch: Scratch) -> bool:
    """Is ``text[at:end]`` a query line without anything before it? What it says is in ``facts``."""
    facts = scratch.facts
    at = _client_at(text, at, end, scratch.packed, facts)
    if at < 0:
        return False
    at = _question_at(text, at, end, tables, scratch.wire, facts)
    return bool(at >= 0 and _outcome_at(text, at, end, tables, facts))


@helper_kernel
def _before(text: Bytes, at: Int, end: Int, facts: Integers) -> Int:
    """Take times and marks in front of a query in ``text[at:end]``; return where it begins.

    The last time counts. A line of a container runtime's that is only a part is left to others.
    """
    facts[_DIGITS] = NOT_MINE
    while end - at >= _SHORTEST:
        byte = u8(text, at)
        if 0x30 <= byte <= 0x39 and u8(text, at + 4) == 0x2D:
            facts[_TIME], facts[_DIGITS], at = stamp_at(text, at, end)
            if at < 0 or not is_at(text, at, end, BLANK):
                return np.int64(NOT_MINE)
            at += 1
        elif byte == 0x73 and u8(text, at + 1) == 0x74 and u8(text, at + 2) == 0x64:
            out = is_in(text, at + 3, end, 0x6F, 0x75, 0x74)  # stdout
            if not out and not is_in(text, at + 3, end, 0x65, 0x72, 0x72):
                return np.int64(NOT_MINE)
            if u8(text, at + 7) != 0x46 or u8(text, at + 8) != BLANK:
                return np.int64(NOT_MINE)
            at += 9
        elif byte == 0x5B and u8(text, at + 1) == 0x49 and u8(text, at + 2) == 0x4E:
            if u8(text, at + 5) != 0x5D or u8(text, at + 6) != BLANK:
                return np.int64(NOT_MINE)
            if u8(text, at + 3) != 0x46 or u8(text, at + 4) != 0x4F:
                return np.int64(NOT_MINE)
            at += 7
        else:
            return np.int64(at)
    return np.int64(NOT_MINE)


@helper_kernel
def _printed(
    block: Bytes, at: Int, end: Int, tables: Tables, scratch: Scratch, stream: Int
) -> bool:
    """Is ``block[at:end]`` a usual line as it was printed? ``stream`` is that of lines without."""
    facts = scratch.facts
    facts[_STREAM] = stream
    if u8(block, at) == 0x5B and u8(block, at + 1) == 0x70:
        stop = stream_at(block, at, end)
        if stop < 0:
            return False
        facts[_STREAM] = find(tables.streams, block, at + 1, stop - at - 1)
        at = stop + 2
    at = _before(block, at, end, facts)
    return bool(at >= 0 and facts[_STREAM] >= 0 and _query_at(block, at, end, tables, scratch))


@helper_kernel
def _shipped(
    block: Bytes, at: Int, end: Int, tables: Tables, scratch: Scratch, stream: Int
) -> bool:
    """Is ``block[at:end]`` a shipper's record of a usual line? ``stream`` as in _printed."""
    facts, record = scratch.facts, scratch.record
    if not read_object(block, at, end, tables.keys, record):
        return False
    size = unescaped_line(block, record[TEXT_BEGIN], record[TEXT_END], scratch.line)
    if size < _SHORTEST:
        return False
    facts[_STREAM] = stream
    if record[POD_BEGIN] >= 0 and record[POD_END] > record[POD_BEGIN]:
        begin = record[POD_BEGIN]
        facts[_STREAM] = find(tables.streams, block, begin, record[POD_END] - begin)
    begin = _before(scratch.line, 0, size, facts)
    if begin < 0 or facts[_STREAM] < 0:
        return False
    if facts[_DIGITS] < 0 and record[TIME_BEGIN] >= 0:
        facts[_TIME], facts[_DIGITS] = time_told(block, record)
        if facts[_DIGITS] < 0:
            return False
    return _query_at(scratch.line, begin, size, tables, scratch)


@helper_kernel
def _is_zone(wire: Bytes, size: Int, zone: Int) -> bool:
    """Has the name in ``wire[:size]`` a suffix of ``zone`` bytes, the root left out?"""
    at = np.int64(0)
    while at < size and wire[at] != 0:
        if size - at == zone:
            return True
        at += 1 + np.int64(wire[at])
    return False


@helper_kernel
def _answers(wire: Bytes, facts: Integers, with_opt: bool) -> Int:
    """Return how many records of the asked type a NOERROR response holds, 1 where that is open."""
    size, qtype = facts[_WIRE], facts[_QTYPE]
    name = size if with_opt else facts[_SIZE] - QUESTION_BYTES
    data = np.int64(_A_BYTES if qtype == _A else _AAAA_BYTES if qtype == _AAAA else 1)
    room = facts[_SHOWN] - QUESTION_BYTES - name
    one = name + RECORD_BYTES + data
    for _ in range(2 if with_opt else 1):
        if data > 1 and room > 0 and one > 0 and room % one == 0:
            return np.int64(room // one)
        zones = room - CLUSTER_SOA_BYTES
        if zones > 0 and zones % 3 == 0 and _is_zone(wire, size, zones // 3):
            return np.int64(0)
        if room < 1 + RECORD_BYTES + data:
            return np.int64(0)
        room -= OPT_BYTES
    return np.int64(1)


@inline_kernel
def _ask(row: Row, facts: Integers, name: Int, client: Int, number: Int, place: Int) -> None:
    """Set in ``row`` what a query and its response have in common: message ``place`` of a line."""
    clear_row(row)
    row["qclass"] = 1
    row["marks"] = MARK_QUESTION_SHOWN
    row["packet_no"] = number
    row["message_no"] = place
    row["content"] = np.uint64(number << 8 | place)
    row["qname"] = name
    row["client"] = client
    row["client_port"] = facts[_PORT]
    row["message_id"] = facts[_ID]
    row["qtype"] = facts[_QTYPE]
    row["transport"] = facts[_TRANSPORT]


@helper_kernel
def _fill(
    filled: Filled, at: Int, tables: Tables, scratch: Scratch, number: Int, timed: Int
) -> None:
    """Write the rows of line ``number`` at ``at`` and behind it, from what was found in it."""
    facts, wire = scratch.facts, scratch.wire
    name = intern(tables.names, wire, 0, facts[_WIRE])
    client = intern(tables.addresses, scratch.packed, 0, facts[_PACKED])
    behind: Int = at + 1
    query, response = filled.rows[at], filled.rows[behind]
    _ask(query, facts, name, client, number, 1)
    _ask(response, facts, name, client, number, 2)
    bufsize, size = facts[_BUFSIZE], facts[_SIZE]
    with_opt = size >= QUESTION_BYTES + facts[_WIRE] + OPT_BYTES
    for none in WITHOUT_OPT:
        with_opt = with_opt and bufsize != none
    flags = facts[_OPCODE] << 11 | (facts[_FLAGS] & RD)
    rcode = facts[_RCODE]
    answers: Int = np.int64(0)
    if rcode == 0:
        answers = _answers(wire, facts, with_opt) if facts[_SHOWN] else np.int64(1)
    query["flags"], query["rcode"] = flags, 0
    query["answers"], query["typed_answers"] = 0, 0
    query["edns_bytes"] = bufsize if with_opt else ABSENT
    query["message_bytes"] = size
    response["flags"], response["rcode"] = QR | flags | facts[_FLAGS] | (rcode & 15), rcode
    response["answers"], response["typed_answers"] = answers, answers
    response["edns_bytes"] = ABSENT
    response["message_bytes"] = facts[_SHOWN]
    time = facts[_TIME] if timed else np.int64(0)
    response["time"] = time
    query["time"] = max(time - facts[_DURATION], np.int64(0))
    stream = facts[_STREAM]
    filled.streams[at], filled.streams[at + 1] = stream, stream
    filled.places[at], filled.places[at + 1] = ABSENT, ABSENT
    resolution = _resolution(tables.stream_digits, facts) if timed else np.int64(0)
    filled.resolutions[at], filled.resolutions[at + 1] = resolution, 0


@helper_kernel
def _resolution(stream_digits: Bytes, facts: Integers) -> Int:
    """Return what the time of a line resolves, in ns.

    Nine digits may be padded: what they resolve shows with the next lines of its stream.
    """
    digits = facts[_DIGITS]
    if digits > 3:
        digits = np.int64(9)
        shown = facts[_TIME] % _SECOND_NS
        while digits > 0 and shown % 10 == 0:
            shown //= 10
            digits -= 1
        digits = max(digits, np.int64(stream_digits[facts[_STREAM]]))
        stream_digits[facts[_STREAM]] = digits
    resolution = np.int64(1)
    for _ in range(9 - min(digits, np.int64(9))):
        resolution *= 10
    return resolution


@inline_kernel
def _has_space(filled: Filled, at: Int, tables: Tables) -> bool:
    """Is there space for the rows of one more line, its name and its client?"""
    return bool(
        at + 2 <= filled.rows.shape[0]
        and has_space(tables.names, 1, MAX_NAME_BYTES)
        and has_space(tables.addresses, 1, 16)
    )


@kernel
def read_queries(
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
    those, two a line. ``scratch`` is memory to work in. Returns (offset of the first line that was
    not read, lines read, 0), or, where the first line is not usual, (offset of the next one that
    is, 0, 1).
    """
    lines, row = np.int64(0), state[_USED]
    passing = False
    while at < stop:
        if lines < state[_MOST] and not _has_space(filled, row, tables):
            break
        behind = line_end(block, at, stop)
        end = behind
        if end > at and u8(block, end - 1) == 13:
            end -= 1
        usual = _SHORTEST <= end - at <= _LINE_BYTES
        if usual:
            if u8(block, at) == 0x7B:
                usual = _shipped(block, at, end, tables, scratch, state[_DEFAULT])
            else:
                usual = _printed(block, at, end, tables, scratch, state[_DEFAULT])
            usual = usual and (scratch.facts[_DIGITS] >= 0) == (state[_TIMED] > 0)
        if usual:
            if passing or lines >= state[_MOST]:
                break
            _fill(filled, row, tables, scratch, state[_NUMBER] + lines, state[_TIMED])
            row += 2
            lines += 1
        elif lines > 0:
            break
        else:
            passing = True
        at = min(behind + 1, stop)
    return np.int64(at), lines, np.int64(passing)


class QueryBlocks:
    """Reads CoreDNS' query lines."""

    def __init__(self, interners: Interners, streams: Streams) -> None:
        self._interners, self._streams = interners, streams
        self._keys = make_keys()
        self._words = *type_numbers(), *word_numbers(RCODES)
        self._scratch = Scratch(
            np.zeros(_FACTS, np.int64),
            np.zeros(OBJECT_FACTS, np.int64),
            np.zeros(_LINE_BYTES, np.uint8),
            np.zeros(256, np.uint8),
            np.zeros(16, np.uint8),
        )

    @property
    def is_compiled(self) -> bool:
        """Is its kernel kept from an earlier run?"""
        return compiled_before(read_queries)

    def read(self, block: Bytes, span: Span, filled: Filled) -> Taken:
        """Fill two rows a line."""
        names, addresses, streams = self._interners.names, self._interners.addresses, self._streams
        names.reserve(_NEW_NAMES, _NAME_BYTES)
        addresses.reserve(_NEW_ADDRESSES, 16 * _NEW_ADDRESSES)
        stream = streams.number(span.stream)
        tables = Tables(
            names.arrays,
            addresses.arrays,
            streams.names.arrays,
            streams.digits,
            self._keys,
            *self._words,
        )
        state = np.array([span.timed, stream, span.number, span.most, span.used], np.int64)
        at, lines, passing = read_queries(
            block, span.at, span.stop, tables, filled, self._scratch, state
        )
        return Taken(int(at), int(lines), 2 * int(lines), bool(passing))
