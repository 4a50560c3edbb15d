"""DNS wire format to one row of facts (RFC 1035 section 4, RFC 2308, RFC 6891), compiled.

A message keeps whatever decoded before the first damage: MARK_MALFORMED or MARK_CUT says that more
was announced. Names are uncompressed, bounded to 255 bytes and to pointers that go backwards only,
and interned with the case that was on the wire.
"""

from __future__ import annotations

import numpy as np

from pcapkit.codes import TYPE_ANY, TYPE_CNAME, TYPE_OPT, TYPE_SOA
from pcapkit.kernels.hashing import hash_bytes
from pcapkit.kernels.interning import NOT_FOUND, InternerArrays, equal_bytes, intern, look_up
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.kernels.words import u8, u16, u32, u64_little, zero_byte
from pcapkit.names.text import CUT_LABEL, MAX_NAME_BYTES
from pcapkit.schema import (
    ABSENT,
    MARK_CUT,
    MARK_MALFORMED,
    MARK_QUESTION_SHOWN,
    MARK_SHORTER_ALIAS,
    MOST_SOA,
    NO_SOA,
    OTHER_SOA,
    QR,
    Bytes,
    Int,
    Row,
)

HEADER_BYTES = 12
#: What is kept of a name that the capture cut leaves room for CUT_LABEL in its 255 bytes.
_MOST_OF_CUT = 240
_MAX_POINTERS = 127
#: Instead of an offset, a size or an id: no whole name is here.
NO_NAME = -1
_LONGEST_LABEL, _POINTER = 63, 192  # what a length byte says, or begins (RFC 1035 section 4.1.4)
_OPCODE, _UPDATE = 0x7800, 0x2800  # in the header's flags
_OPCODE_OR_Z, _RCODE = 0x7840, 15  # there, too
_EDNS_RCODE_SHIFT = 24  # in the TTL of an OPT record (RFC 6891 section 6.1.3)
_RECORD_HEADER = 10  # bytes behind a record's name: type, class, TTL, length


@inline_kernel
def plain_name_end(buffer: Bytes, at: Int, end: Int) -> Int:
    """Return the offset behind the uncompressed name in ``buffer[at:end]``, or NO_NAME."""
    start = at
    while at < end:
        length = u8(buffer, at)
        if length == 0:
            return at + 1 if at + 1 - start <= MAX_NAME_BYTES else NO_NAME
        if length > _LONGEST_LABEL:
            return NO_NAME
        at += 1 + length
    return NO_NAME


@inline_kernel
def _first_zero(buffer: Bytes, at: Int, end: Int) -> Int:
    """Return the offset of the first zero byte in ``buffer[at:end]``, or ``end``."""
    last_word = min(end, np.int64(buffer.shape[0]) - 7)
    while at < last_word:
        ahead = zero_byte(u64_little(buffer, at))
        if ahead < 8:
            return np.int64(min(at + ahead, end))
        at += 8
    while at < end and u8(buffer, at) != 0:
        at += 1
    return min(at, end)


@helper_kernel
def _intern_name(
    buffer: Bytes, message: Int, at: Int, end: Int, names: InternerArrays, scratch: Bytes
) -> tuple[Int, Int]:
    """Return (id in ``names``, offset behind it) of the name at ``at``, or NO_NAME twice.

    It is read label by label, over pointers into the ``message`` (where that begins); it and four
    more bytes must be in ``buffer[at:end]``. ``scratch`` (uint8) holds 256 bytes.
    """
    wire, begin = buffer, np.int64(at)
    stop: Int = np.int64(plain_name_end(buffer, at, end))
    size: Int = stop - begin
    if stop == NO_NAME:
        size, stop = unpack_name(buffer, message, at, end, scratch)
        wire, begin = scratch, np.int64(0)
    if stop == NO_NAME or end - stop < 4:
        return np.int64(NO_NAME), np.int64(NO_NAME)
    return intern(names, wire, begin, size), np.int64(stop)


@inline_kernel
def hash_of_name_asked(buffer: Bytes, at: Int, end: Int, seed: np.uint64) -> np.uint64:
    """Return the hash, by ``seed``, under which the name is known that ``buffer[at:end]`` asks.

    A message is to begin there; 0 where it asks nothing, or is no message.
    """
    begin = at + HEADER_BYTES
    if end - begin < 1 or u16(buffer, at + 4) == 0:
        return np.uint64(0)
    size = _first_zero(buffer, begin, end) + 1 - begin
    if size > MAX_NAME_BYTES or end - begin < size:
        return np.uint64(0)
    return hash_bytes(buffer, begin, size, seed)


@inline_kernel
def _name_asked(
    buffer: Bytes,
    message: Int,
    at: Int,
    end: Int,
    h: np.uint64,
    names: InternerArrays,
    scratch: Bytes,
) -> tuple[Int, Int]:
    """Return what :func:`_intern_name` does, of the name in a question.

    Names end with a zero byte, and hardly ever have one elsewhere. No name begins another one: so
    where the bytes up to the first zero are a name that is known, they are the name that is here.
    ``h`` is what :func:`hash_of_name_asked` says of the message, or 0.
    """
    size = _first_zero(buffer, at, end) + 1 - at
    if size <= MAX_NAME_BYTES and end - at - size >= 4:
        if h == 0:
            h = hash_bytes(buffer, at, size, names.seed[0])
        known, _ = look_up(names, buffer, at, size, h)
        if known != NOT_FOUND:
            return known, at + size
    return _intern_name(buffer, message, at, end, names, scratch)


@helper_kernel
def unpack_name(buffer: Bytes, message: Int, at: Int, end: Int, scratch: Bytes) -> tuple[Int, Int]:
    """Write the name at ``at`` of ``buffer[message:end]`` into ``scratch`` (256 bytes).

    It is uncompressed there. Returns (bytes written, offset behind the name where it stands), or
    NO_NAME twice where the name runs out of the message, loops, points forwards or passes 255
    bytes.
    """
    size = 0
    after = NO_NAME
    limit = at  # a pointer must go to before the offset it was reached from
    for _ in range(MAX_NAME_BYTES + 1 + _MAX_POINTERS):
        if at >= end:
            return NO_NAME, NO_NAME
        length = u8(buffer, at)
        if length == 0:
            scratch[size] = 0
            return size + 1, (at + 1 if after == NO_NAME else after)
        if length >= _POINTER:
            if end - at < 2:
                return NO_NAME, NO_NAME
            if after == NO_NAME:
                after = at + 2
            target = message + ((length & 63) << 8 | u8(buffer, at + 1))
            if target >= limit or target < message + HEADER_BYTES:
                return NO_NAME, NO_NAME
            at = target
            limit = target
        elif length > _LONGEST_LABEL or end - at <= length or size + 1 + length >= MAX_NAME_BYTES:
            return NO_NAME, NO_NAME
        else:
            for k in range(length + 1):
                scratch[size + k] = u8(buffer, at + k)
            size += 1 + length
            at += 1 + length
    return NO_NAME, NO_NAME


@helper_kernel
def _cut_name(buffer: Bytes, at: Int, end: Int, names: InternerArrays, scratch: Bytes) -> Int:
    """Return the id of what is there of a question's name that the capture cut, or NO_NAME.

    It begins in ``buffer[at:end]``. Its last label ends with CUT_LABEL, or is that, so that nothing
    takes it for a name. ``names`` gets it; ``scratch`` (uint8) holds 256 bytes.
    """
    size = 0
    while at < end and size <= _MOST_OF_CUT:
        length = u8(buffer, at)
        if length > _LONGEST_LABEL:
            return np.int64(NO_NAME)
        if length == 0:  # the name is whole, and its type is cut
            scratch[size] = len(CUT_LABEL)
            size += 1
            break
        there = min(length, end - at - 1)
        cut = there < length
        if cut:
            there = min(there, _LONGEST_LABEL - len(CUT_LABEL))
        if size + 1 + there > _MOST_OF_CUT:
            return np.int64(NO_NAME)
        scratch[size] = there
        for k in range(1, there + 1):
            scratch[size + k] = u8(buffer, at + k)
        if cut:
            scratch[size] = there + len(CUT_LABEL)
            size += 1 + there
            break
        size += 1 + there
        at += 1 + length
        if at >= end:
            scratch[size] = len(CUT_LABEL)
            size += 1
    if size == 0:
        return np.int64(NO_NAME)
    for k in range(len(CUT_LABEL)):
        scratch[size + k] = CUT_LABEL[k]
    size += len(CUT_LABEL)
    scratch[size] = 0
    return intern(names, scratch, np.int64(0), size + 1)


@inline_kernel
def skip_name(buffer: Bytes, at: Int, end: Int) -> Int:
    """Return the offset behind the name in ``buffer[at:end]``, pointers passed over, or NO_NAME."""
    while at < end:
        length = u8(buffer, at)
        if length == 0:
            return at + 1
        if length >= _POINTER:
            return at + 2 if end - at >= 2 else NO_NAME
        if length > _LONGEST_LABEL:
            return NO_NAME
        at += 1 + length
    return NO_NAME


@helper_kernel
def _skip_questions(buffer: Bytes, at: Int, end: Int, count: Int) -> Int:
    """Return the offset behind ``count`` questions in ``buffer[at:end]``, or NO_NAME."""
    for _ in range(count):
        at = skip_name(buffer, at, end)
        if at == NO_NAME or end - at < 4:
            return np.int64(NO_NAME)
        at += 4
    return np.int64(at)


@inline_kernel
def _soa_negative_ttl(buffer: Bytes, data: Int, length: Int, end: Int, ttl: Int) -> Int:
    """Return the smaller of ``ttl`` and MINIMUM of an SOA record (RFC 2308 section 5).

    Its ``length`` bytes begin at ``data`` of ``buffer[:end]``.
    """
    if length < 20 or end - data < length:
        return ttl
    return np.int64(min(ttl, u32(buffer, data + length - 4)))


@inline_kernel
def _clip_ttl(ttl: Int) -> Int:
    """Return ``ttl``, 0 where its top bit is set (RFC 2181 section 8)."""
    return ttl if ttl < 0x80000000 else 0


@inline_kernel
def _lower(byte: Int) -> Int:
    """Return ``byte``, in lower case where it is a letter."""
    return byte + 32 if 65 <= byte <= 90 else byte


@helper_kernel
def _is_shorter(buffer: Bytes, asked: Int, asked_end: Int, name: Bytes, size: Int) -> bool:
    """Is ``name[:size]`` the asked name with a run of labels taken out behind its first?

    The asked name is ``buffer[asked:asked_end]``.

    This is how a server walks the search list for its client (CoreDNS' autopath plugin): a CNAME
    from the name under the first suffix to the bare name, or to the name under another suffix.
    """
    removed = asked_end - asked - size
    if removed <= 0:
        return False
    shared = np.int64(0)  # bytes of the leading labels that both have
    while shared < size and name[shared] != 0:
        length = np.int64(name[shared]) + 1
        if shared + length > size:
            return False
        for k in range(shared, shared + length):
            if _lower(name[k]) != _lower(u8(buffer, asked + k)):
                length = np.int64(0)
                break
        if length == 0:
            break
        shared += length
    if shared == 0:
        return False
    at = asked + shared  # the rest must begin where a label of the asked name does
    while at < asked + shared + removed:
        at += 1 + np.int64(u8(buffer, at))
    if at != asked + shared + removed:
        return False
    for k in range(shared, size):
        if _lower(name[k]) != _lower(u8(buffer, asked + removed + k)):
            return False
    return True


@helper_kernel
def _is_alias_to_candidate(
    buffer: Bytes, message: Int, data: Int, end: Int, scratch: Bytes
) -> bool:
    """Does a CNAME's name, at ``data`` of ``buffer[message:end]``, shorten the message's question?

    ``scratch`` (uint8) holds 256 bytes.
    """
    asked = message + HEADER_BYTES
    asked_end = plain_name_end(buffer, asked, end)
    size, _ = unpack_name(buffer, message, data, end, scratch)
    if asked_end == NO_NAME or size == NO_NAME:
        return False
    return _is_shorter(buffer, asked, asked_end, scratch, size)


@helper_kernel
def _labels_from(buffer: Bytes, at: Int, end: Int, wanted: Int) -> Int:
    """Count the labels of the uncompressed name in ``buffer[at:end]`` from offset ``wanted`` on.

    NO_NAME where none of them begins there.
    """
    while at < wanted:
        at += 1 + u8(buffer, at)
    if at != wanted:
        return np.int64(NO_NAME)
    count = np.int64(0)
    while at < end and u8(buffer, at) != 0:
        count += 1
        at += 1 + u8(buffer, at)
    return count


@inline_kernel
def _same_name(left: Bytes, a: Int, right: Bytes, b: Int, size: Int) -> bool:
    """Are so many bytes of ``left`` from ``a`` on those of ``right`` from ``b`` on, in any case?"""
    if equal_bytes(left, a, right, b, size):
        return True
    k = np.int64(0)
    while k < size and _lower(u8(left, a + k)) == _lower(u8(right, b + k)):
        k += 1
    return bool(k == size)


@helper_kernel
def _zone_of(
    buffer: Bytes, message: Int, asked_end: Int, owner: Int, end: Int, scratch: Bytes
) -> Int:
    """Say which zone of the message's question the owner of its SOA record is: see NO_SOA.

    The ``message`` begins in ``buffer[message:end]``, its question's name ends before ``asked_end``
    (NO_NAME where it has none), and the name of the record at ``owner`` was read before;
    ``scratch`` (uint8) holds 256 bytes. Most servers point into the question.
    """
    if u8(buffer, owner) == 0:
        return np.int64(1)
    if asked_end == NO_NAME:
        return np.int64(NO_SOA)
    asked = message + HEADER_BYTES
    labels: Int = np.int64(NO_NAME)
    if u8(buffer, owner) >= _POINTER:
        target = message + ((u8(buffer, owner) & 63) << 8 | u8(buffer, owner + 1))
        if asked <= target < asked_end - 1:
            labels = np.int64(_labels_from(buffer, asked, asked_end, target))
    if labels == NO_NAME:
        wire, begin = buffer, np.int64(owner)
        size = np.int64(plain_name_end(buffer, owner, end)) - owner
        if size < 0:
            size, _ = unpack_name(buffer, message, owner, end, scratch)
            wire, begin = scratch, np.int64(0)
        if size == NO_NAME:
            return np.int64(NO_SOA)
        if size == 1:
            return np.int64(1)
        same_end = asked_end - size
        if same_end < asked or not _same_name(wire, begin, buffer, same_end, size):
            return np.int64(OTHER_SOA)
        labels = np.int64(_labels_from(buffer, asked, asked_end, same_end))
        if labels == NO_NAME:
            return np.int64(OTHER_SOA)
    return min(labels + np.int64(1), np.int64(MOST_SOA))


@inline_kernel
def _records(
    buffer: Bytes, message: Int, asked_end: Int, at: Int, end: Int, scratch: Bytes, row: Row
) -> bool:
    """Read the three record sections into ``row``; False where they stop early.

    The ``message`` (where it begins) has them in ``buffer[at:end]``, and the name that is asked
    before ``asked_end`` (NO_NAME: none is); ``scratch`` holds 256 bytes.
    """
    answers = u16(buffer, message + 6)
    authority = u16(buffer, message + 8)
    additional = u16(buffer, message + 10)
    qtype = np.int64(row["qtype"])
    typed: Int = 0
    smallest: Int = np.int64(ABSENT)
    negative: Int = np.int64(ABSENT)
    total = answers + authority + additional
    complete = True
    for k in range(total):
        owner = at
        at = skip_name(buffer, at, end)
        if at == NO_NAME or end - at < _RECORD_HEADER:
            complete = False
            if k < answers:
                typed = answers
            break
        kind = u16(buffer, at)
        ttl = u32(buffer, at + 4)
        length = u16(buffer, at + 8)
        data = at + _RECORD_HEADER
        if k < answers:
            if kind == qtype or qtype == TYPE_ANY:
                typed += 1
            elif (
                kind == TYPE_CNAME
                and k == 0
                and _is_alias_to_candidate(buffer, message, data, end, scratch)
            ):
                row["marks"] = row["marks"] | MARK_SHORTER_ALIAS
            ttl = _clip_ttl(ttl)
            if smallest < 0 or ttl < smallest:
                smallest = ttl
        elif k < answers + authority:
            if kind == TYPE_SOA and negative < 0:
                negative = _soa_negative_ttl(buffer, data, length, end, _clip_ttl(ttl))
                if typed == 0:
                    row["soa"] = _zone_of(buffer, message, asked_end, owner, end, scratch)
        elif kind == TYPE_OPT:
            row["edns_bytes"] = u16(buffer, at + 2)
            row["edns_options"] = length
            row["rcode"] = (ttl >> _EDNS_RCODE_SHIFT) << 4 | (np.int64(row["rcode"]) & 15)
        at = data + length
    row["typed_answers"] = typed
    if typed > 0:
        row["min_ttl"] = smallest
    elif negative >= 0:
        row["min_ttl"] = negative if smallest < 0 else min(smallest, negative)
    # else: without an SOA record a denial may not be kept (RFC 2308 section 5), whatever TTL the
    # aliases before it have
    return complete


@helper_kernel
def looks_like_message(buffer: Bytes, at: Int, end: Int) -> bool:
    """Does ``buffer[at:end]``, at a port of no DNS, begin as a plain query or its response does?"""
    if end - at < HEADER_BYTES + 5 or u16(buffer, at + 4) != 1:
        return False
    flags = u16(buffer, at + 2)
    if flags & _OPCODE_OR_Z:
        return False
    if flags & QR == 0 and (u16(buffer, at + 6) or u16(buffer, at + 8) or flags & _RCODE):
        return False
    stop = plain_name_end(buffer, at + HEADER_BYTES, end)
    if stop == NO_NAME or end - stop < 4:
        return False
    return bool(u16(buffer, stop) > 0 and u16(buffer, stop + 2) == 1)


@inline_kernel
def decode_message(
    buffer: Bytes,
    start: Int,
    end: Int,
    wire_end: Int,
    h: np.uint64,
    names: InternerArrays,
    scratch: Bytes,
    row: Row,
) -> bool:
    """Decode the message ``buffer[start:end]`` into ``row``; False where there is no whole header.

    ``wire_end`` is where it ended on the wire: past ``end``, the capture cut it. ``h`` is what
    :func:`hash_of_name_asked` says of it, or 0 where that was not asked. ``names`` gets its name;
    ``scratch`` (uint8) holds 256 bytes.
    """
    if end - start < HEADER_BYTES:
        return False
    flags = u16(buffer, start + 2)
    questions = u16(buffer, start + 4)
    answers = u16(buffer, start + 6)
    row["message_id"] = u16(buffer, start)
    row["flags"] = flags
    row["rcode"] = flags & 15
    row["answers"] = answers
    row["typed_answers"] = answers if flags & QR else 0
    row["message_bytes"] = min(wire_end - start, np.int64(0x7FFFFFFF))
    row["content"] = hash_bytes(buffer, start, end - start, names.seed[1])
    row["qname"] = ABSENT
    row["min_ttl"] = ABSENT
    row["edns_bytes"] = ABSENT
    row["edns_options"] = 0
    row["soa"] = NO_SOA
    row["qtype"] = 0
    row["qclass"] = 0
    damage = MARK_CUT if wire_end > end else MARK_MALFORMED
    row["marks"] = MARK_CUT if wire_end > end else 0
    at = start + HEADER_BYTES
    asked_end: Int = np.int64(NO_NAME)
    if questions:
        name, stop = _name_asked(buffer, start, at, end, h, names, scratch)
        if stop == NO_NAME:
            row["marks"] = row["marks"] | damage
            if wire_end > end:
                row["qname"] = _cut_name(buffer, at, end, names, scratch)
            return True
        row["qname"] = name
        row["qtype"] = u16(buffer, stop)
        row["qclass"] = u16(buffer, stop + 2)
        row["marks"] = row["marks"] | MARK_QUESTION_SHOWN
        asked_end = np.int64(stop)
        at = stop + 4
        if questions > 1:
            at = _skip_questions(buffer, at, end, questions - 1)
            if at == NO_NAME:
                row["marks"] = row["marks"] | damage
                return True
    if flags & _OPCODE == _UPDATE:  # an UPDATE's sections are not answers (RFC 2136 section 2)
        return True
    if not _records(buffer, start, asked_end, at, end, scratch, row):
        row["marks"] = row["marks"] | damage
    return True
