"""DNS wire format to one row of facts (RFC 1035 section 4, RFC 2308, RFC 6891), compiled.

A message keeps whatever decoded before the first damage: MARK_MALFORMED or MARK_CUT says that more
was announced. Names are uncompressed, bounded to 255 bytes and to pointers that go backwards only,
and interned with the case that was on the wire.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.kernels.interning import hash_bytes, intern, look_up
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.kernels.words import u8, u16, u32, u64_little, zero_byte
from pcapkit.names.text import CUT_LABEL
from pcapkit.schema import MARK_CUT, MARK_MALFORMED, MARK_QUESTION_SHOWN, MARK_SHORTER_ALIAS, QR

HEADER_BYTES = 12
#: What is kept of a name that the capture cut leaves room for CUT_LABEL in its 255 bytes.
_MOST_OF_CUT = 240
_MAX_POINTERS = 127


@inline_kernel
def plain_name_end(buffer: Any, at: Any, end: Any) -> Any:
    """Return the offset behind an uncompressed name, or -1 where it is none."""
    start = at
    while at < end:
        length = u8(buffer, at)
        if length == 0:
            return at + 1 if at + 1 - start <= 255 else -1
        if length > 63:
            return -1
        at += 1 + length
    return -1


@inline_kernel
def _first_zero(buffer: Any, at: Any, end: Any) -> Any:
    """Return the offset of the first zero byte in ``buffer[at:end]``, or ``end``."""
    last_word = min(end, np.int64(buffer.shape[0]) - 7)
    while at < last_word:
        ahead = zero_byte(u64_little(buffer, at))
        if ahead < 8:
            return min(at + ahead, end)
        at += 8
    while at < end and u8(buffer, at) != 0:
        at += 1
    return min(at, end)


@helper_kernel
def _intern_name(buffer: Any, message: Any, at: Any, end: Any, names: Any, scratch: Any) -> Any:
    """Return (id, offset behind it) of the name at ``at``, read label by label; (-1, -1) for none.

    A name and four more bytes must be there.
    """
    stop = plain_name_end(buffer, at, end)
    if stop >= 0:
        if end - stop < 4:
            return np.int64(-1), np.int64(-1)
        return intern(names, buffer, at, stop - at), np.int64(stop)
    size, stop = unpack_name(buffer, message, at, end, scratch)
    if stop < 0 or end - stop < 4:
        return np.int64(-1), np.int64(-1)
    return intern(names, scratch, np.int64(0), size), np.int64(stop)


@inline_kernel
def _name_asked(buffer: Any, message: Any, at: Any, end: Any, names: Any, scratch: Any) -> Any:
    """Return (id, offset behind it) of the name in a question, or (-1, -1).

    Names end with a zero byte, and hardly ever have one elsewhere. No name begins another one: so
    where the bytes up to the first zero are a name that is known, they are the name that is here.
    """
    size = _first_zero(buffer, at, end) + 1 - at
    if size <= 255 and end - at - size >= 4:
        h = hash_bytes(buffer, at, size, names[5][0])
        known, _ = look_up(names, buffer, at, size, h)
        if known >= 0:
            return known, at + size
    return _intern_name(buffer, message, at, end, names, scratch)


@helper_kernel
def unpack_name(buffer: Any, message: Any, at: Any, end: Any, scratch: Any) -> Any:
    """Write the uncompressed name at ``at`` into ``scratch`` (256 bytes).

    Returns (bytes written, offset behind the name where it stands), or (-1, -1) where the name
    runs out of the message, loops, points forwards or passes 255 bytes.
    """
    size = 0
    after = -1
    limit = at  # a pointer must go to before the place it was reached from
    for _ in range(256 + _MAX_POINTERS):
        if at >= end:
            return -1, -1
        length = u8(buffer, at)
        if length == 0:
            scratch[size] = 0
            return size + 1, (at + 1 if after < 0 else after)
        if length >= 192:
            if end - at < 2:
                return -1, -1
            if after < 0:
                after = at + 2
            target = message + ((length & 63) << 8 | u8(buffer, at + 1))
            if target >= limit or target < message + HEADER_BYTES:
                return -1, -1
            at = target
            limit = target
        elif length > 63 or end - at <= length or size + 1 + length > 254:
            return -1, -1
        else:
            for k in range(length + 1):
                scratch[size + k] = u8(buffer, at + k)
            size += 1 + length
            at += 1 + length
    return -1, -1


@helper_kernel
def _cut_name(buffer: Any, at: Any, end: Any, names: Any, scratch: Any) -> Any:
    """Return the id of what is there of a question's name that the capture cut, -1 for nothing.

    Its last label ends with CUT_LABEL, or is that, so that nothing takes it for a name.
    """
    size = 0
    while at < end and size <= _MOST_OF_CUT:
        length = u8(buffer, at)
        if length > 63:
            return np.int64(-1)
        if length == 0:  # the name is whole, and its type is cut
            scratch[size] = len(CUT_LABEL)
            size += 1
            break
        there = min(length, end - at - 1)
        cut = there < length
        if cut:
            there = min(there, 63 - len(CUT_LABEL))
        if size + 1 + there > _MOST_OF_CUT:
            return np.int64(-1)
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
        return np.int64(-1)
    for k in range(len(CUT_LABEL)):
        scratch[size + k] = CUT_LABEL[k]
    size += len(CUT_LABEL)
    scratch[size] = 0
    return intern(names, scratch, np.int64(0), size + 1)


@inline_kernel
def skip_name(buffer: Any, at: Any, end: Any) -> Any:
    """Return the offset behind a name where it stands, or -1."""
    while at < end:
        length = u8(buffer, at)
        if length == 0:
            return at + 1
        if length >= 192:
            return at + 2 if end - at >= 2 else -1
        if length > 63:
            return -1
        at += 1 + length
    return -1


@helper_kernel
def _skip_questions(buffer: Any, at: Any, end: Any, count: Any) -> Any:
    """Return the offset behind ``count`` questions, or -1."""
    for _ in range(count):
        at = skip_name(buffer, at, end)
        if at < 0 or end - at < 4:
            return np.int64(-1)
        at += 4
    return np.int64(at)


@inline_kernel
def _soa_negative_ttl(buffer: Any, data: Any, length: Any, end: Any, ttl: Any) -> Any:
    """Return min(TTL, MINIMUM) of an SOA record (RFC 2308 section 5)."""
    if length < 20 or end - data < length:
        return ttl
    return min(ttl, u32(buffer, data + length - 4))


@inline_kernel
def _clip_ttl(ttl: Any) -> Any:
    """A TTL with its top bit set counts as 0 (RFC 2181 section 8)."""
    return ttl if ttl < 0x80000000 else 0


@inline_kernel
def _lower(byte: Any) -> Any:
    return byte + 32 if 65 <= byte <= 90 else byte


@helper_kernel
def _is_shorter(buffer: Any, asked: Any, asked_end: Any, name: Any, size: Any) -> Any:
    """Is ``name[:size]`` the asked name with a run of labels taken out behind its first?

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
def _is_alias_to_candidate(buffer: Any, message: Any, data: Any, end: Any, scratch: Any) -> Any:
    """Does a CNAME's data shorten the message's question?"""
    asked = message + HEADER_BYTES
    asked_end = plain_name_end(buffer, asked, end)
    size, _ = unpack_name(buffer, message, data, end, scratch)
    return asked_end >= 0 and size >= 0 and _is_shorter(buffer, asked, asked_end, scratch, size)


@inline_kernel
def _records(
    buffer: Any,
    message: Any,
    at: Any,
    end: Any,
    answers: Any,
    authority: Any,
    additional: Any,
    scratch: Any,
    row: Any,
) -> Any:
    """Read the three record sections into ``row``; False where they stop early."""
    qtype = np.int64(row["qtype"])
    typed = 0
    smallest = np.int64(-1)
    negative = np.int64(-1)
    total = answers + authority + additional
    complete = True
    for k in range(total):
        at = skip_name(buffer, at, end)
        if at < 0 or end - at < 10:
            complete = False
            if k < answers:
                typed = answers
            break
        kind = u16(buffer, at)
        ttl = u32(buffer, at + 4)
        length = u16(buffer, at + 8)
        data = at + 10
        if k < answers:
            if kind == qtype or qtype == 255:
                typed += 1
            elif (
                kind == 5 and k == 0 and _is_alias_to_candidate(buffer, message, data, end, scratch)
            ):
                row["marks"] = row["marks"] | MARK_SHORTER_ALIAS
            ttl = _clip_ttl(ttl)
            if smallest < 0 or ttl < smallest:
                smallest = ttl
        elif k < answers + authority:
            if kind == 6 and negative < 0:
                negative = _soa_negative_ttl(buffer, data, length, end, _clip_ttl(ttl))
        elif kind == 41:
            row["edns_bytes"] = u16(buffer, at + 2)
            row["edns_options"] = length
            row["rcode"] = (ttl >> 24) << 4 | (np.int64(row["rcode"]) & 15)
        at = data + length
    row["typed_answers"] = typed
    if typed == 0 and negative >= 0:
        row["min_ttl"] = negative if smallest < 0 else min(smallest, negative)
    else:
        row["min_ttl"] = smallest
    return complete


@helper_kernel
def looks_like_message(buffer: Any, at: Any, end: Any) -> Any:
    """Do these bytes, at a port of no DNS, begin as a plain query or its response does?"""
    if end - at < HEADER_BYTES + 5 or u16(buffer, at + 4) != 1 or u16(buffer, at + 2) & 0x7840:
        return False
    if u16(buffer, at + 2) & QR == 0 and (
        u16(buffer, at + 6) or u16(buffer, at + 8) or u16(buffer, at + 2) & 15
    ):
        return False
    stop = plain_name_end(buffer, at + HEADER_BYTES, end)
    return stop >= 0 and end - stop >= 4 and u16(buffer, stop) > 0 and u16(buffer, stop + 2) == 1


@inline_kernel
def decode_message(
    buffer: Any, start: Any, end: Any, wire_end: Any, names: Any, scratch: Any, row: Any
) -> Any:
    """Decode the message ``buffer[start:end]`` into ``row``; False where there is no whole header.

    ``wire_end`` is where it ended on the wire: past ``end``, the capture cut it.
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
    row["content"] = hash_bytes(buffer, start, end - start, names[5][0])
    row["qname"] = -1
    row["min_ttl"] = -1
    row["edns_bytes"] = -1
    row["edns_options"] = 0
    row["qtype"] = 0
    row["qclass"] = 0
    damage = MARK_CUT if wire_end > end else MARK_MALFORMED
    row["marks"] = MARK_CUT if wire_end > end else 0
    at = start + HEADER_BYTES
    if questions:
        name, stop = _name_asked(buffer, start, at, end, names, scratch)
        if stop < 0:
            row["marks"] = row["marks"] | damage
            if wire_end > end:
                row["qname"] = _cut_name(buffer, at, end, names, scratch)
            return True
        row["qname"] = name
        row["qtype"] = u16(buffer, stop)
        row["qclass"] = u16(buffer, stop + 2)
        row["marks"] = row["marks"] | MARK_QUESTION_SHOWN
        at = stop + 4
        if questions > 1:
            at = _skip_questions(buffer, at, end, questions - 1)
            if at < 0:
                row["marks"] = row["marks"] | damage
                return True
    if flags & 0x7800 == 0x2800:  # an UPDATE's sections are not answers (RFC 2136 section 2)
        return True
    if not _records(
        buffer,
        start,
        at,
        end,
        answers,
        u16(buffer, start + 8),
        u16(buffer, start + 10),
        scratch,
        row,
    ):
        row["marks"] = row["marks"] | damage
    return True
