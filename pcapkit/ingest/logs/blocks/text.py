"""Values in printed text, compiled: numbers, times, addresses and names as programs print them.

Each function reads ``text[at:end]`` from ``at`` on and returns where it stopped, or NOT_MINE where
the text has not the shape that it knows. What it does know, it reads exactly as ``logs/lines.py``
does: a line of any other shape is read there.
"""

from __future__ import annotations

import numpy as np

from pcapkit.codes import QTYPES, qtype_number
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.kernels.words import u8
from pcapkit.names.text import MAX_LABEL_BYTES, MAX_NAME_BYTES
from pcapkit.schema import Bytes, Hashes, Int, Integers

#: Instead of an offset: these bytes are left to the reader that knows every shape.
NOT_MINE = -1
BLANK, QUOTE, DOT, COLON = 0x20, 0x22, 0x2E, 0x3A
_ZERO, _DASH, _PLUS, _UNDERSCORE, _STAR = 0x30, 0x2D, 0x2B, 0x5F, 0x2A
_SECOND_NS = 1_000_000_000
_NS_DIGITS = 9
_WORD_BYTES = 8
_GROUPS = 8  # of an IPv6 address
_FREQUENT = ("A", "AAAA", "PTR", "SRV", "HTTPS", "TXT", "MX", "CNAME", "NS", "SOA")
_MARCH_FIRST = 719_468  # days from 0000-03-01 to 1970-01-01


@inline_kernel
def line_end(block: Bytes, at: Int, stop: Int) -> Int:
    """Return where the line of ``block`` that begins at ``at`` ends, ``stop`` at the latest."""
    while at < stop and u8(block, at) != 10:
        at += 1
    return at


@inline_kernel
def is_at(text: Bytes, at: Int, end: Int, byte: Int) -> bool:
    """Is ``byte`` at ``at`` of ``text[:end]``?"""
    return bool(at < end and u8(text, at) == byte)


@helper_kernel
def number_at(text: Bytes, at: Int, end: Int, most: Int) -> tuple[Int, Int]:
    """Return (number, offset behind it) of 1 to ``most`` digits in ``text[at:end]``.

    The offset is NOT_MINE where there is no digit, or one more than that.
    """
    value, begin = np.int64(0), np.int64(at)
    stop = min(np.int64(end), begin + most)
    while at < stop and _ZERO <= u8(text, at) <= _ZERO + 9:
        value = value * 10 + u8(text, at) - _ZERO
        at += 1
    if at == begin or (at < end and _ZERO <= u8(text, at) <= _ZERO + 9):
        return np.int64(0), np.int64(NOT_MINE)
    return value, np.int64(at)


@inline_kernel
def _two(text: Bytes, at: Int) -> Int:
    """Return the number of two digits at ``at``, 1,000 or more where they are none."""
    tens, ones = u8(text, at) - _ZERO, u8(text, at + 1) - _ZERO
    if tens < 0 or tens > 9 or ones < 0 or ones > 9:
        return np.int64(1000)
    return np.int64(tens * 10 + ones)


@helper_kernel
def fraction_at(text: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return (ns, digits) of the fraction of a second in ``text[at:end]``.

    The digits are NOT_MINE where there is none, or more than nine.
    """
    value, begin = np.int64(0), at
    while at < end and at - begin < _NS_DIGITS and _ZERO <= u8(text, at) <= _ZERO + 9:
        value = value * 10 + u8(text, at) - _ZERO
        at += 1
    if at == begin or (at < end and _ZERO <= u8(text, at) <= _ZERO + 9):
        return np.int64(0), np.int64(NOT_MINE)
    for _ in range(_NS_DIGITS - (at - begin)):
        value *= 10
    return value, np.int64(at - begin)


@helper_kernel
def days_since_1970(year: Int, month: Int, day: Int) -> Int:
    """Return the days from 1970-01-01 to a date, of a year from 1970 on; a day 31 may run over."""
    if month <= 2:
        year -= 1
        month += 12
    century = year // 100
    of_year = (153 * (month - 3) + 2) // 5 + day - 1
    return np.int64(365 * year + year // 4 - century + century // 4 + of_year - _MARCH_FIRST)


@helper_kernel
def date_at(text: Bytes, at: Int, end: Int) -> Int:
    """Return the days from 1970 to ``2026-03-01`` in ``text[at:end]``, or NOT_MINE."""
    if end - at < 10 or u8(text, at + 4) != _DASH or u8(text, at + 7) != _DASH:
        return np.int64(NOT_MINE)
    year = _two(text, at) * 100 + _two(text, at + 2)
    month, day = _two(text, at + 5), _two(text, at + 8)
    if year < 1970 or year >= 2116 or month < 1 or month > 12 or day < 1 or day > 31:
        return np.int64(NOT_MINE)
    return days_since_1970(year, month, day)


@helper_kernel
def clock_at(text: Bytes, at: Int, end: Int) -> Int:
    """Return the seconds of the time of day ``10:00:00`` in ``text[at:end]``, or NOT_MINE."""
    if end - at < 8 or u8(text, at + 2) != COLON or u8(text, at + 5) != COLON:
        return np.int64(NOT_MINE)
    hour, minute, second = _two(text, at), _two(text, at + 3), _two(text, at + 6)
    if hour > 23 or minute > 59 or second > 60:
        return np.int64(NOT_MINE)
    return np.int64(hour * 3600 + minute * 60 + second)


@helper_kernel
def stamp_at(text: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """Return (ns since 1970 UTC, digits of its second, offset behind it) of a time with its zone.

    It is RFC 3339 text, ``2026-03-01T10:00:00.123456789Z``, in ``text[at:end]``.
    """
    days, seconds = date_at(text, at, end), clock_at(text, at + 11, end)
    if days < 0 or seconds < 0 or u8(text, at + 10) != 0x54:
        return np.int64(0), np.int64(0), np.int64(NOT_MINE)
    seconds += days * 86_400
    at += 19
    nanoseconds: Int = np.int64(0)
    digits: Int = np.int64(0)
    if is_at(text, at, end, DOT):
        nanoseconds, digits = fraction_at(text, at + 1, end)
        at += 1 + digits
    if digits < 0 or at >= end:
        return np.int64(0), np.int64(0), np.int64(NOT_MINE)
    if u8(text, at) == 0x5A:
        return seconds * _SECOND_NS + nanoseconds, digits, np.int64(at + 1)
    sign = u8(text, at)
    if (sign != _PLUS and sign != _DASH) or end - at < 6 or u8(text, at + 3) != COLON:
        return np.int64(0), np.int64(0), np.int64(NOT_MINE)
    hours, minutes = _two(text, at + 1), _two(text, at + 4)
    if hours > 99 or minutes > 99:
        return np.int64(0), np.int64(0), np.int64(NOT_MINE)
    offset = (hours * 60 + minutes) * 60
    seconds -= offset if sign == _PLUS else -offset
    return max(seconds, np.int64(0)) * _SECOND_NS + nanoseconds, digits, np.int64(at + 6)


@helper_kernel
def ipv4_at(text: Bytes, at: Int, end: Int, packed: Bytes) -> Int:
    """Write the IPv4 address in ``text[at:end]`` to ``packed`` (16 bytes); return what is behind.

    Whatever follows its fourth number is behind it.
    """
    for k in range(4):
        begin = at
        value = np.int64(0)
        while at < end and at - begin < 3 and _ZERO <= u8(text, at) <= _ZERO + 9:
            value = value * 10 + u8(text, at) - _ZERO
            at += 1
        if at == begin or value > 255 or (at - begin > 1 and u8(text, begin) == _ZERO):
            return np.int64(NOT_MINE)
        if k < 3:
            if not is_at(text, at, end, DOT):
                return np.int64(NOT_MINE)
            at += 1
        packed[k] = value
    if at < end and _ZERO <= u8(text, at) <= _ZERO + 9:
        return np.int64(NOT_MINE)
    return np.int64(at)


@inline_kernel
def _hex_digit(byte: Int) -> Int:
    """Return the value of a hexadecimal digit, NOT_MINE for another ``byte``."""
    if _ZERO <= byte <= _ZERO + 9:
        return np.int64(byte - _ZERO)
    lower = byte | 0x20
    return np.int64(lower - 0x57) if 0x61 <= lower <= 0x66 else np.int64(NOT_MINE)


@helper_kernel
def ipv6_at(text: Bytes, at: Int, end: Int, packed: Bytes) -> Int:
    """Write the IPv6 address in ``text[at:end]`` to ``packed`` (16 bytes); return what is behind.

    One with an IPv4 address at its end, or a zone, is left to others.
    """
    count, gap = np.int64(0), np.int64(-1)
    if is_at(text, at, end, COLON):
        if not is_at(text, at + 1, end, COLON):
            return np.int64(NOT_MINE)
        gap = np.int64(0)
        at += 2
    while count < _GROUPS:
        begin, value = at, np.int64(0)
        while at < end and at - begin < 4 and _hex_digit(u8(text, at)) >= 0:
            value = value << 4 | _hex_digit(u8(text, at))
            at += 1
        if at == begin:
            if gap == count:
                break  # nothing follows the two colons
            return np.int64(NOT_MINE)
        packed[2 * count], packed[2 * count + 1] = value >> 8, value & 255
        count += 1
        if not is_at(text, at, end, COLON):
            break
        at += 1
        if is_at(text, at, end, COLON):
            if gap >= 0:
                return np.int64(NOT_MINE)
            gap = count
            at += 1
        elif count == _GROUPS:
            return np.int64(NOT_MINE)
    if (gap < 0 and count != _GROUPS) or (gap >= 0 and count >= _GROUPS):
        return np.int64(NOT_MINE)
    if gap >= 0:
        shift = 2 * (_GROUPS - count)
        for k in range(2 * count - 1, 2 * gap - 1, -1):
            packed[k + shift] = packed[k]
        for k in range(2 * gap, 2 * gap + shift):
            packed[k] = 0
    return np.int64(at)


@inline_kernel
def is_plain(byte: Int) -> bool:
    """May ``byte`` stand in a label as printed, and mean itself?"""
    lower = byte | 0x20
    return bool(
        0x61 <= lower <= 0x7A
        or _ZERO <= byte <= _ZERO + 9
        or byte == _DASH
        or byte == _UNDERSCORE
        or byte == _STAR
    )


@helper_kernel
def name_at(text: Bytes, at: Int, end: Int, wire: Bytes) -> tuple[Int, Int]:
    """Write the name in ``text[at:end]``, with its final dot, to ``wire`` (256 bytes) in wire form.

    Returns (its bytes, offset behind it). It is of letters, digits, ``-``, ``_`` and ``*``, and
    whatever is none of these ends it.
    """
    start, size = np.int64(0), np.int64(1)  # of the label's length byte; behind its last byte
    while at < end:
        byte = u8(text, at)
        if byte == DOT:
            length = size - start - 1
            if length == 0 and start == 0 and not (at + 1 < end and _goes_on(u8(text, at + 1))):
                wire[0] = 0
                return np.int64(1), np.int64(at + 1)  # the root
            if length == 0 or length > MAX_LABEL_BYTES:
                return np.int64(0), np.int64(NOT_MINE)
            wire[start] = length
            start = size
            size += 1
        elif is_plain(byte):
            wire[size] = byte
            size += 1
        else:
            break
        if size > MAX_NAME_BYTES:
            return np.int64(0), np.int64(NOT_MINE)
        at += 1
    if start == 0 or size != start + 1:
        return np.int64(0), np.int64(NOT_MINE)
    wire[start] = 0
    return size, np.int64(at)


@inline_kernel
def _goes_on(byte: Int) -> bool:
    return bool(byte == DOT or is_plain(byte))


@helper_kernel
def word_at(text: Bytes, at: Int, end: Int) -> tuple[np.uint64, Int]:
    """Return (the word in ``text[at:end]``, offset behind it): up to 8 capitals and digits.

    As a number of 64 bits, the first byte lowest; see :func:`packed_word`.
    """
    word, begin = np.uint64(0), at
    while at < end and at - begin < _WORD_BYTES:
        byte = u8(text, at)
        if not (0x41 <= byte <= 0x5A or _ZERO <= byte <= _ZERO + 9):
            break
        word |= np.uint64(byte) << np.uint64(8 * (at - begin))
        at += 1
    return word, np.int64(at) if at > begin else np.int64(NOT_MINE)


def packed_word(word: str) -> int | None:
    """Return a word as :func:`word_at` does, None where it is longer or holds something else."""
    raw = word.encode()
    if not 0 < len(raw) <= _WORD_BYTES or not (word.isalnum() and word == word.upper()):
        return None
    return int.from_bytes(raw, "little")


@inline_kernel
def number_of(words: Hashes, numbers: Integers, word: np.uint64) -> Int:
    """Return the number that stands beside ``word`` in a table, NOT_MINE where it has none.

    ``words`` (uint64) and ``numbers`` (int64) are as long as each other, frequent ones first.
    """
    for k in range(words.shape[0]):
        if words[k] == word:
            return np.int64(numbers[k])
    return np.int64(NOT_MINE)


def word_numbers(texts: dict[int, str]) -> tuple[Hashes, Integers]:
    """Return the words of a table of numbers and their mnemonics, and the numbers beside them."""
    order = {text: k for k, text in enumerate(_FREQUENT)}
    words = [
        (order.get(text, len(order)), packed, number)
        for number, text in texts.items()
        if (packed := packed_word(text)) is not None
    ]
    words.sort()
    return (
        np.array([word for _, word, _ in words], np.uint64),
        np.array([number for _, _, number in words], np.int64),
    )


def type_numbers() -> tuple[Hashes, Integers]:
    """Return :func:`word_numbers` of the query types whose mnemonics mean just them."""
    return word_numbers({n: text for n, text in QTYPES.items() if qtype_number(text) == n})
