"""DNS messages written anew with pseudonyms, compiled (RFC 1035 section 4, RFC 6891, RFC 9460).

What is not known to be harmless is blanked: it keeps its size and loses its bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.ingest.dns import HEADER_BYTES
from pcapkit.kernels.interning import InternerArrays, intern
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.kernels.words import u8, u16
from pcapkit.schema import Bytes, Int, Integers

# Fields of the state (int64, STATE long).
(
    PLACE,  # in the output
    MISSING,  # 1: a name or an address has no pseudonym yet
    STAMP,  # of the message: which entries of ``places`` are its own
    FIXED,  # 1: names are to be as long as they were
    BLANKED,  # messages that could not be read whole, and were blanked from there on
    CUT_NAMES,  # names that the capture cut
    RECORDS_BLANKED,  # records of types that are not known here
    OPTIONS_DROPPED,  # EDNS options: client subnet, cookies, NSID and the like
    LEFT_OUT,  # packets whose payload is no DNS, and was left out
    UNREAD,  # packets of link types that are not known here
    DEFERRED,  # rows filled
    CUT,  # 1: the rest of the packet is left out
) = range(12)
STATE = 12
MOST_PLACES = 1 << 14  #: as far as a pointer reaches
_READ, _CUT, _BROKEN = 0, 1, 2
_X = 0x78
#: Types whose data is one name; behind so many bytes; two names; strings.
_NAME_TYPES = (2, 3, 4, 5, 7, 8, 9, 12, 39)
_HALF_TYPES = (15, 18, 21, 36)
_PAIR_TYPES = (14, 17)
_STRING_TYPES = (13, 16, 99)
_A, _SOA, _AAAA, _SRV, _OPT, _SVCB, _HTTPS = 1, 6, 28, 33, 41, 64, 65
#: EDNS options that say nothing of anybody: expire, keepalive, padding; what stands for others.
_HARMLESS, _PADDING = (9, 11, 12), 12
#: SvcParams: mandatory, alpn, no-default-alpn, port stay.
_PLAIN_PARAMS, _IPV4_HINT, _IPV6_HINT = 3, 4, 6


class Maps(NamedTuple):
    """What is known of pseudonyms; rows by the ids of the interners."""

    ports: Bytes  # of port_table()
    names: InternerArrays  # wire form, lower case
    mapped: Bytes  # pseudonyms of names behind one another
    mapped_ends: Integers
    fixed: Bytes  # those as long as the names
    fixed_ends: Integers
    addresses: InternerArrays  # 4, 6 and 16 bytes
    stand_ins: Bytes  # 16 bytes for each
    known: Integers  # how many names and addresses have pseudonyms


class Work(NamedTuple):
    """What rewriting works in."""

    state: Integers  # STATE
    places: Integers  # MOST_PLACES: stamp and where a label begins in the output
    name: Bytes  # 256
    facts: Integers
    layers: Integers  # of the headers that are to be completed


@inline_kernel
def put8(out: Bytes, state: Integers, value: Int) -> None:
    """Write one byte."""
    out[state[PLACE]] = value
    state[PLACE] += 1


@inline_kernel
def put16(out: Bytes, state: Integers, value: Int) -> None:
    """Write two bytes, the higher one first."""
    at = state[PLACE]
    out[at] = (value >> 8) & 255
    out[at + 1] = value & 255
    state[PLACE] = at + 2


@inline_kernel
def put_copy(buffer: Bytes, at: Int, end: Int, out: Bytes, state: Integers) -> None:
    """Write ``buffer[at:end]`` as it is."""
    place = state[PLACE]
    for k in range(at, end):
        out[place] = buffer[k]
        place += 1
    state[PLACE] = place


@inline_kernel
def put_fill(value: Int, count: Int, out: Bytes, state: Integers) -> None:
    """Write a byte ``count`` times."""
    place = state[PLACE]
    for _ in range(count):
        out[place] = value
        place += 1
    state[PLACE] = place


@inline_kernel
def _begin(ends: Integers, number: Int) -> Int:
    return np.int64(ends[number - 1]) if number > 0 else np.int64(0)


@helper_kernel
def put_address(buffer: Bytes, at: Int, size: Int, out: Bytes, maps: Maps, work: Work) -> None:
    """Write the pseudonym of the address of ``size`` bytes at ``at``, which are there."""
    state = work.state
    number = np.int64(intern(maps.addresses, buffer, at, size))
    place = state[PLACE]
    state[PLACE] = place + size
    if number >= maps.known[1]:
        state[MISSING] = 1
        for k in range(size):
            out[place + k] = 0
        return
    for k in range(size):
        out[place + k] = maps.stand_ins[number * 16 + k]


@helper_kernel
def _read_name(
    buffer: Bytes, message: Int, at: Int, end: Int, name: Bytes
) -> tuple[Int, Int, Int, Int, Int]:
    """Write the name at ``at`` in lower case into ``name`` (256 bytes).

    Returns (how it ended, bytes written, labels that stand here, offset behind the name here,
    what the pointer here points at or -1).
    """
    size: Int = np.int64(0)
    labels: Int = np.int64(0)
    stop: Int = np.int64(-1)
    target: Int = np.int64(-1)
    jumps = 0
    while True:
        if at >= end:
            break
        length = u8(buffer, at)
        if length == 0:
            name[size] = 0
            if stop < 0:
                stop = np.int64(at + 1)
            return np.int64(_READ), size + 1, labels, stop, target
        if length >= 192:
            if end - at < 2:
                break
            there = np.int64(u16(buffer, at) & 0x3FFF)
            jumps += 1
            if message + there >= at or jumps > 127:
                name[size] = 0
                return np.int64(_BROKEN), size + 1, labels, np.int64(at), target
            if stop < 0:
                stop = np.int64(at + 2)
                target = there
            at = message + there
            continue
        if length > 63 or size + length + 2 > 255:
            name[size] = 0
            return np.int64(_BROKEN), size + 1, labels, np.int64(at), target
        if end - at < 1 + length:
            break
        for k in range(length + 1):
            byte = u8(buffer, at + k)
            name[size + k] = byte + 32 if 65 <= byte <= 90 else byte
        size += length + 1
        at += length + 1
        if stop < 0:
            labels += 1
    name[size] = 0
    how = _CUT if stop < 0 else _BROKEN
    return np.int64(how), size + 1, labels, np.int64(at), target


@helper_kernel
def _put_name(
    buffer: Bytes,
    message: Int,
    at: Int,
    end: Int,
    out: Bytes,
    begin: Int,
    is_cut: Int,
    maps: Maps,
    work: Work,
) -> Int:
    """Write the pseudonym of the name at ``at``; return the offset behind it, or -1.

    -1: there is no whole name, and all up to ``end`` is blanked. ``begin`` is where the message
    begins in ``out``; ``is_cut``: it went on behind ``end``.
    """
    state = work.state
    how, size, labels, stop, target = _read_name(buffer, message, at, end, work.name)
    pointer: Int = np.int64(-1)
    if how == _READ and target >= 0:
        entry = work.places[target]
        if entry >> 20 == state[STAMP]:
            pointer = np.int64(entry & 0xFFFFF)
        if pointer < 0 or pointer >= MOST_PLACES:
            how = np.int64(_BROKEN)
    if how == _BROKEN or (how == _CUT and is_cut == 0):
        put_fill(0xFF, end - at, out, state)
        return np.int64(-1)
    number = np.int64(intern(maps.names, work.name, 0, size))
    if number >= maps.known[0]:
        state[MISSING] = 1
        for _ in range(labels):  # so that pointers to them are known to be right
            if at - message < MOST_PLACES:
                work.places[at - message] = state[STAMP] << 20
            at += 1 + u8(buffer, at)
        if how == _CUT:
            return np.int64(-1)
        return stop
    arena, ends = maps.mapped, maps.mapped_ends
    if state[FIXED]:
        arena, ends = maps.fixed, maps.fixed_ends
    there = _begin(ends, number)
    for _ in range(labels):
        length = u8(buffer, at)
        new = np.int64(arena[there])
        place = state[PLACE]
        if at - message < MOST_PLACES:
            work.places[at - message] = (state[STAMP] << 20) | (place - begin)
        out[place] = new
        for k in range(1, new + 1):
            byte = arena[there + k]
            if new == length and 97 <= byte <= 122 and 65 <= u8(buffer, at + k) <= 90:
                byte -= 32
            out[place + k] = byte
        state[PLACE] = place + 1 + new
        there += 1 + new
        at += 1 + length
    if how == _CUT:
        state[CUT_NAMES] += 1
        if at < end:
            put8(out, state, u8(buffer, at))
            put_fill(_X, end - at - 1, out, state)
        return np.int64(-1)
    if pointer >= 0:
        put16(out, state, 0xC000 | pointer)
    else:
        put8(out, state, 0)
    return stop


@helper_kernel
def _put_strings(buffer: Bytes, at: Int, end: Int, out: Bytes, state: Integers) -> None:
    """Write character strings with their lengths and no more."""
    while at < end:
        length = min(u8(buffer, at), end - at - 1)
        put8(out, state, length)
        put_fill(_X, length, out, state)
        at += 1 + length


@helper_kernel
def _put_options(buffer: Bytes, at: Int, end: Int, out: Bytes, state: Integers) -> None:
    """Write EDNS options: those that may say something as padding of their size."""
    while end - at >= 4:
        code, length = u16(buffer, at), min(u16(buffer, at + 2), end - at - 4)
        harmless = code in _HARMLESS
        if not harmless:
            state[OPTIONS_DROPPED] += 1
        put16(out, state, code if harmless else _PADDING)
        put16(out, state, length)
        put_fill(0, length, out, state)
        at += 4 + length
    put_fill(0, end - at, out, state)


@helper_kernel
def _put_params(buffer: Bytes, at: Int, end: Int, out: Bytes, maps: Maps, work: Work) -> None:
    """Write SvcParams (RFC 9460 section 2.2): hints mapped, what is not known blanked."""
    state = work.state
    while end - at >= 4:
        code, length = u16(buffer, at), min(u16(buffer, at + 2), end - at - 4)
        put_copy(buffer, at, at + 2, out, state)
        put16(out, state, length)
        at += 4
        stop = at + length
        if code <= _PLAIN_PARAMS:
            put_copy(buffer, at, stop, out, state)
        elif code == _IPV4_HINT or code == _IPV6_HINT:
            size = 4 if code == _IPV4_HINT else 16
            while stop - at >= size:
                put_address(buffer, at, size, out, maps, work)
                at += size
            put_fill(0, stop - at, out, state)
        else:
            put_fill(0, length, out, state)
        at = stop
    put_fill(0, end - at, out, state)


@helper_kernel
def _put_data(
    buffer: Bytes,
    message: Int,
    at: Int,
    end: Int,
    kind: Int,
    out: Bytes,
    begin: Int,
    is_cut: Int,
    maps: Maps,
    work: Work,
) -> Int:
    """Write the data of a record of type ``kind``; 0 where it cannot be read whole."""
    state = work.state
    skip: Int = np.int64(-1)
    names = 1
    if kind in _NAME_TYPES:
        skip = np.int64(0)
    elif kind in _HALF_TYPES or kind == _SVCB or kind == _HTTPS:
        skip = np.int64(2)
    elif kind == _SRV:
        skip = np.int64(6)
    elif kind in _PAIR_TYPES or kind == _SOA:
        skip, names = np.int64(0), 2
    if skip >= 0 and end - at > skip:
        put_copy(buffer, at, at + skip, out, state)
        at += skip
        for _ in range(names):
            stop = _put_name(buffer, message, at, end, out, begin, is_cut, maps, work)
            if stop < 0:
                return np.int64(0)
            at = stop
        if kind == _SOA:
            put_copy(buffer, at, min(end, at + 20), out, state)
            at = min(end, at + 20)
        elif kind == _SVCB or kind == _HTTPS:
            _put_params(buffer, at, end, out, maps, work)
            at = end
        put_fill(0, end - at, out, state)
    elif kind == _A and end - at == 4:
        put_address(buffer, at, 4, out, maps, work)
    elif kind == _AAAA and end - at == 16:
        put_address(buffer, at, 16, out, maps, work)
    elif kind in _STRING_TYPES:
        _put_strings(buffer, at, end, out, state)
    elif kind == _OPT:
        _put_options(buffer, at, end, out, state)
    else:
        if end > at:
            state[RECORDS_BLANKED] += 1
        put_fill(0, end - at, out, state)
    return np.int64(1)


@helper_kernel
def put_message(
    buffer: Bytes, at: Int, end: Int, is_cut: Int, out: Bytes, maps: Maps, work: Work
) -> None:
    """Write the message ``buffer[at:end]`` with pseudonyms.

    ``is_cut``: it was longer on the wire. What cannot be read is filled with 0xFF, so that it
    cannot be read there either; what stands behind the last record with zeros.
    """
    state = work.state
    state[STAMP] += 1
    message, begin = np.int64(at), np.int64(state[PLACE])
    if end - at < HEADER_BYTES:
        put_copy(buffer, at, end, out, state)
        return
    put_copy(buffer, at, at + HEADER_BYTES, out, state)
    questions = u16(buffer, at + 4)
    records = u16(buffer, at + 6) + u16(buffer, at + 8) + u16(buffer, at + 10)
    at += HEADER_BYTES
    for k in range(questions + records):
        if at >= end:
            return
        stop = _put_name(buffer, message, at, end, out, begin, is_cut, maps, work)
        if stop < 0:
            state[BLANKED] += 1
            return
        at = stop
        fixed = 4 if k < questions else 10
        if end - at < fixed:
            put_copy(buffer, at, end, out, state)
            return
        put_copy(buffer, at, at + fixed, out, state)
        at += fixed
        if k < questions:
            continue
        size = u16(buffer, at - 2)
        if end - at < size:
            put_fill(0xFF, end - at, out, state)
            if is_cut == 0:
                state[BLANKED] += 1
            return
        place = np.int64(state[PLACE])
        kind = u16(buffer, at - 10)
        if not _put_data(buffer, message, at, at + size, kind, out, begin, 0, maps, work):
            state[BLANKED] += 1
            put_fill(0xFF, end - at - size, out, state)
            return
        new = state[PLACE] - place
        out[place - 2], out[place - 1] = (new >> 8) & 255, new & 255
        at += size
    put_fill(0, end - at, out, state)
