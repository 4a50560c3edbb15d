"""A shipper's JSON record on one line, compiled: the line in it, its time, and who printed it.

What ``inputs/wrappings.py`` reads of a record, by the same keys in the same order. A record in
which anything is unusual (a repeated key, an escape where none is needed, bytes beyond ASCII) is
left to it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.ingest.inputs.wrappings import (
    FLOW_KEYS,
    FLOW_OBJECT_KEYS,
    POD_KEYS,
    STREAM_KEYS,
    TEXT_KEYS,
    TIME_KEYS,
)
from pcapkit.ingest.logs.blocks.text import (
    BLANK,
    COLON,
    DOT,
    NOT_MINE,
    QUOTE,
    is_at,
    number_at,
    stamp_at,
)
from pcapkit.kernels.interning import Interner, InternerArrays, find
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.kernels.words import u8
from pcapkit.schema import Bytes, Int, Integers

_BACKSLASH, _COMMA, _OPEN, _CLOSE, _LIST, _LIST_END = 0x5C, 0x2C, 0x7B, 0x7D, 0x5B, 0x5D
#: What a key means, beside its rank among those of its kind.
_TEXT, _TIME, _POD, _PLACE, _FLOW = range(1, 6)
_RANKS = 64
#: Where a shipper may name the pod: the record, the objects in it that STREAM_KEYS names, which in
#: the last of them come again.
_RECORD, _LAST_PLACE, _NOWHERE = 0, len(STREAM_KEYS), -1
_PLACES = 2 * _LAST_PLACE
_DEPTH = 6
#: Kinds of values: those up to _LITERAL may be a time.
_STRING, _ESCAPED, _NUMBER, _LITERAL, _NULL, _OBJECT, _ARRAY = range(7)

#: What is found in a record: where its line begins and ends (between its quotes), where its time
#: does and if that is a string, and the name of a pod; then a bit for each key that was there.
TEXT_BEGIN, TEXT_END, TIME_BEGIN, TIME_END, TIME_KIND, POD_BEGIN, POD_END = range(7)
_TEXT_RANK, _TIME_RANK, _POD_RANK, _SEEN = 7, 8, 9, 10
_OPENED = _SEEN + _PLACES + 1  # by depth: the place of an object, or _IN_LIST
OBJECT_FACTS = _OPENED + _DEPTH + 1
_IN_LIST = -2
_UNSET = 1 << 30
_FLOAT_DIGITS, _STEP_BITS = 6, 22  # of the fraction of a second in a floating-point number


class Keys(NamedTuple):
    """The keys that matter, and what each means: kind * _RANKS + rank."""

    known: InternerArrays
    meaning: Integers


def make_keys() -> Keys:
    """Return the table of keys."""
    kinds = (
        (_TEXT, TEXT_KEYS),
        (_TIME, TIME_KEYS),
        (_POD, POD_KEYS),
        (_PLACE, STREAM_KEYS),
        (_FLOW, (*FLOW_KEYS, *FLOW_OBJECT_KEYS)),
    )
    interner, meaning = Interner(), []
    for kind, keys in kinds:
        for rank, key in enumerate(keys):
            interner.add(key.encode())
            meaning.append(kind * _RANKS + rank)
    return Keys(interner.arrays, np.array(meaning, np.int64))


@inline_kernel
def _skip_blanks(text: Bytes, at: Int, end: Int) -> Int:
    while at < end and u8(text, at) == BLANK:
        at += 1
    return at


@helper_kernel
def _string_end(text: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return (kind, offset of the closing quote) of the string whose first byte is at ``at``."""
    kind = np.int64(_STRING)
    while at < end:
        byte = u8(text, at)
        if byte == QUOTE:
            return kind, np.int64(at)
        if byte == _BACKSLASH:
            kind = np.int64(_ESCAPED)
            at += 1
            if at >= end or not _is_escape(u8(text, at)):
                break
        elif byte < BLANK or byte > 0x7E or byte == 0x26:  # & begins an entity of HTML
            break
        at += 1
    return kind, np.int64(NOT_MINE)


@inline_kernel
def _is_escape(byte: Int) -> bool:
    r"""May ``byte`` follow a backslash? ``\u`` is left to others."""
    return bool(
        byte == QUOTE
        or byte == _BACKSLASH
        or byte == 0x2F
        or byte == 0x62
        or byte == 0x66
        or byte == 0x6E
        or byte == 0x72
        or byte == 0x74
    )


@inline_kernel
def _digits_end(text: Bytes, at: Int, end: Int) -> Int:
    while at < end and 0x30 <= u8(text, at) <= 0x39:
        at += 1
    return at


@helper_kernel
def _number_end(text: Bytes, at: Int, end: Int) -> Int:
    """Return the offset behind the JSON number at ``at``, one without an exponent."""
    if is_at(text, at, end, 0x2D):
        at += 1
    begin = at
    at = _digits_end(text, at, end)
    if at == begin or at - begin > 19 or (u8(text, begin) == 0x30 and at - begin > 1):
        return np.int64(NOT_MINE)
    if is_at(text, at, end, DOT):
        begin = at + 1
        at = _digits_end(text, begin, end)
        if at == begin or at - begin > 19:
            return np.int64(NOT_MINE)
    return np.int64(at)


@helper_kernel
def _literal_end(text: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return (kind, offset behind it) of ``true``, ``false`` or ``null`` at ``at``."""
    if end - at >= 4:
        first, last = u8(text, at), u8(text, at + 3)
        second, third = u8(text, at + 1), u8(text, at + 2)
        if first == 0x6E and second == 0x75 and third == 0x6C and last == 0x6C:
            return np.int64(_NULL), np.int64(at + 4)
        if first == 0x74 and second == 0x72 and third == 0x75 and last == 0x65:
            return np.int64(_LITERAL), np.int64(at + 4)
        if first == 0x66 and second == 0x61 and third == 0x6C and last == 0x73:
            if is_at(text, at + 4, end, 0x65):
                return np.int64(_LITERAL), np.int64(at + 5)
    return np.int64(_NULL), np.int64(NOT_MINE)


@helper_kernel
def _value(text: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int, Int]:
    """Return (kind, begin, end, offset behind it) of the value at ``at``; of an object, its start.

    A string begins and ends between its quotes.
    """
    byte = u8(text, at) if at < end else np.int64(0)
    if byte == QUOTE:
        kind, stop = _string_end(text, at + 1, end)
        return kind, np.int64(at + 1), stop, stop if stop < 0 else stop + 1
    if byte == _OPEN:
        return np.int64(_OBJECT), np.int64(at), np.int64(at), np.int64(at + 1)
    if byte == _LIST:
        return np.int64(_ARRAY), np.int64(at), np.int64(at), np.int64(at + 1)
    if byte == 0x2D or 0x30 <= byte <= 0x39:
        stop = _number_end(text, at, end)
        return np.int64(_NUMBER), np.int64(at), stop, stop
    kind, stop = _literal_end(text, at, end)
    return kind, np.int64(at), stop, stop


@helper_kernel
def _place_within(place: Int, rank: Int) -> Int:
    """Return which place the object is that key number ``rank`` of STREAM_KEYS has in ``place``."""
    if place == _RECORD:
        return np.int64(rank + 1)
    if place == _LAST_PLACE and rank + 1 < _LAST_PLACE:
        return np.int64(_LAST_PLACE + rank + 1)
    return np.int64(_UNSET if place == _LAST_PLACE else _NOWHERE)


@helper_kernel
def _note(meaning: Int, place: Int, kind: Int, begin: Int, stop: Int, facts: Integers) -> bool:
    """Take what a key of this ``meaning`` says in ``place``; False where others must read it.

    Its value, of this ``kind``, is from ``begin`` to ``stop``.
    """
    what, rank = meaning // _RANKS, meaning % _RANKS
    if what == _FLOW and place == _RECORD:
        return False
    if what == _TEXT and place == _RECORD:
        if kind == _OBJECT:
            return False
        if (kind == _STRING or kind == _ESCAPED) and rank < facts[_TEXT_RANK]:
            facts[_TEXT_RANK], facts[TEXT_BEGIN], facts[TEXT_END] = rank, begin, stop
    if what == _TIME and place == _RECORD and rank < facts[_TIME_RANK]:
        if kind <= _LITERAL:
            facts[_TIME_RANK], facts[TIME_KIND] = rank, kind
            facts[TIME_BEGIN], facts[TIME_END] = begin, stop
    if what == _POD and place != _NOWHERE:
        if kind == _OBJECT or kind == _ESCAPED:
            return False
        rank += place * _RANKS
        if kind == _STRING and rank < facts[_POD_RANK]:
            facts[_POD_RANK], facts[POD_BEGIN], facts[POD_END] = rank, begin, stop
    return True


@helper_kernel
def _member(text: Bytes, at: Int, end: Int, place: Int, keys: Keys, facts: Integers) -> Int:
    """Take the member of an object in ``place`` at ``at``; return the offset behind it.

    Of one whose value is an object or a list: behind that one's bracket, which is put on
    ``facts[_OPENED:]``.
    """
    if not is_at(text, at, end, QUOTE):
        return np.int64(NOT_MINE)
    key_kind, key_end = _string_end(text, at + 1, end)
    if key_end < 0 or key_kind != _STRING:
        return np.int64(NOT_MINE)
    key = find(keys.known, text, at + 1, key_end - at - 1)
    at = _skip_blanks(text, key_end + 1, end)
    if not is_at(text, at, end, COLON):
        return np.int64(NOT_MINE)
    kind, begin, stop, at = _value(text, _skip_blanks(text, at + 1, end), end)
    within: Int = np.int64(_NOWHERE)
    if at < 0:
        return np.int64(NOT_MINE)
    if key >= 0 and place != _NOWHERE:
        bit = np.int64(1) << key
        if facts[_SEEN + place] & bit:
            return np.int64(NOT_MINE)
        facts[_SEEN + place] |= bit
        meaning = keys.meaning[key]
        if not _note(meaning, place, kind, begin, stop, facts):
            return np.int64(NOT_MINE)
        if kind == _OBJECT and meaning // _RANKS == _PLACE:
            within = _place_within(place, meaning % _RANKS)
            if within == _UNSET:
                return np.int64(NOT_MINE)
    if kind == _OBJECT or kind == _ARRAY:
        depth = facts[_OPENED] + 1
        if depth >= _DEPTH:
            return np.int64(NOT_MINE)
        facts[_OPENED] = depth
        facts[_OPENED + depth] = within if kind == _OBJECT else _IN_LIST
    return at


@helper_kernel
def _item(text: Bytes, at: Int, end: Int, facts: Integers) -> Int:
    """Pass over the item of a list at ``at``, as :func:`_member` does over one of an object."""
    kind, _, _, at = _value(text, at, end)
    if at >= 0 and (kind == _OBJECT or kind == _ARRAY):
        depth = facts[_OPENED] + 1
        if depth >= _DEPTH:
            return np.int64(NOT_MINE)
        facts[_OPENED] = depth
        facts[_OPENED + depth] = _NOWHERE if kind == _OBJECT else _IN_LIST
    return at


@helper_kernel
def read_object(text: Bytes, at: Int, end: Int, keys: Keys, facts: Integers) -> bool:
    """Is all of ``text[at:end]`` one record with a line in it? What it says goes to ``facts``.

    ``facts`` (int64, OBJECT_FACTS long): TEXT_BEGIN to POD_END; POD_BEGIN is NOT_MINE where no pod
    is named, TIME_BEGIN where there is no time.
    """
    facts[:] = 0
    facts[_TEXT_RANK], facts[_TIME_RANK], facts[_POD_RANK] = _UNSET, _UNSET, _UNSET
    facts[TEXT_BEGIN], facts[TIME_BEGIN], facts[POD_BEGIN] = NOT_MINE, NOT_MINE, NOT_MINE
    facts[_OPENED + 0] = 0
    place, fresh = np.int64(_RECORD), True
    at += 1
    while at < end:
        at = _skip_blanks(text, at, end)
        closes = is_at(text, at, end, _LIST_END if place == _IN_LIST else _CLOSE)
        if closes:
            depth = facts[_OPENED]
            at += 1
            if depth == 0:
                return bool(at == end and facts[TEXT_BEGIN] >= 0)
            facts[_OPENED] = depth - 1
            place = facts[_OPENED + depth - 1] if depth > 1 else np.int64(_RECORD)
            fresh = False
            continue
        if not fresh:
            if not is_at(text, at, end, _COMMA):
                return False
            at = _skip_blanks(text, at + 1, end)
        before = facts[_OPENED]
        if place == _IN_LIST:
            at = _item(text, at, end, facts)
        else:
            at = _member(text, at, end, place, keys, facts)
        if at < 0:
            return False
        fresh = facts[_OPENED] > before
        if fresh:
            place = facts[_OPENED + facts[_OPENED]]
    return False


@helper_kernel
def unescaped_line(text: Bytes, at: Int, end: Int, line: Bytes) -> Int:
    r"""Write the string ``text[at:end]`` to ``line`` (uint8); return its length.

    Known is ``\"``, and ``\n`` at its end, which is left out; NOT_MINE where it holds anything
    else, or is too long.
    """
    if end - at > line.shape[0]:
        return np.int64(NOT_MINE)
    size = np.int64(0)
    while at < end:
        byte = u8(text, at)
        if byte == _BACKSLASH:
            byte = u8(text, at + 1) if at + 1 < end else np.int64(0)
            if byte == 0x6E and at + 2 == end:
                break
            if byte != QUOTE:
                return np.int64(NOT_MINE)
            at += 1
        line[size] = byte
        size += 1
        at += 1
    return size


@helper_kernel
def time_told(text: Bytes, facts: Integers) -> tuple[Int, Int]:
    """Return (ns since 1970, digits of its second) of the time that ``facts`` say is in ``text``.

    The digits are NOT_MINE where it has another form than RFC 3339's, digits (seconds to
    nanoseconds, as their size says), or seconds with a fraction.
    """
    at, end = facts[TIME_BEGIN], facts[TIME_END]
    if facts[TIME_KIND] == _STRING:
        time, digits, stop = stamp_at(text, at, end)
        if stop == end:
            return time, digits
    elif facts[TIME_KIND] != _NUMBER:
        return np.int64(0), np.int64(NOT_MINE)
    dot = _digits_end(text, at, end)
    if dot == end:
        return _scaled(text, at, end)
    if facts[TIME_KIND] == _NUMBER and dot - at == 10 and is_at(text, dot, end, DOT):
        return _seconds(text, at, dot, end)
    return np.int64(0), np.int64(NOT_MINE)


@helper_kernel
def _scaled(text: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return the time that the digits ``text[at:end]`` are, in a unit that their number tells."""
    if end - at < 10 or end - at > 19:
        return np.int64(0), np.int64(NOT_MINE)
    exponent = (end - at - 8) // 3 * 3  # of the unit: seconds have 10 digits
    if exponent > 9:
        return np.int64(0), np.int64(NOT_MINE)
    time, _ = number_at(text, at, end, 19)
    for _ in range(9 - exponent):
        time *= 10
    if time <= 0 or time >= 1 << 62:
        return np.int64(0), np.int64(NOT_MINE)
    return time, np.int64(exponent)


@helper_kernel
def _seconds(text: Bytes, at: Int, dot: Int, end: Int) -> tuple[Int, Int]:
    """Return the time that seconds with a fraction are, ``text[at:end]``: a floating-point number.

    Between 2**30 and 2**33 s such numbers are multiples of 2**-22 s: what one is exactly, rounded
    to nine digits, is found in whole numbers. The point is at ``dot``.
    """
    whole, _ = number_at(text, at, dot, 10)
    part, stop = number_at(text, dot + 1, end, _FLOAT_DIGITS)
    if stop != end or whole < 1 << 30 or whole >= 1 << 33:
        return np.int64(0), np.int64(NOT_MINE)
    scale = np.int64(1)
    for _ in range(end - dot - 1):
        scale *= 10
    value = np.float64(whole * scale + part) / np.float64(scale)  # exact numbers: rounded once
    steps = np.int64((value - np.float64(whole)) * np.float64(1 << _STEP_BITS))
    product = steps * 1_000_000_000
    time, rest = product >> _STEP_BITS, product & ((1 << _STEP_BITS) - 1)
    half = np.int64(1) << (_STEP_BITS - 1)
    if rest > half or (rest == half and time & 1):
        time += 1
    digits, shown = np.int64(9), time
    while digits > 0 and shown % 10 == 0:
        shown //= 10
        digits -= 1
    return whole * 1_000_000_000 + time, digits
