"""Exchanges as few bytes: how they wait until all are collected.

One exchange is a control word of seven bytes and the fields that are not as expected, each in as
many bytes as it needs. What is expected of an exchange is mostly what the one before it of the same
address has: a walk asks similar questions of one server, one soon after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.kernels.words import put_u64_little, u64_little

#: Bytes that must be free behind where an exchange is packed, or is read from.
PACKED_MOST = 104
#: Exchanges that are fetched together to be packed.
BATCH = 32
_CONTROL_BYTES = 7
_FLAGS = 42  # where the flags begin in the control word
_MASKS: Any = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
_LOW_32 = np.uint64(0xFFFFFFFF)
_ABSENT = np.int32(-1)


@inline_kernel
def _signed_to_plain(value: Any) -> Any:
    """Map 0, -1, 1, -2 ... to 0, 1, 2, 3 ...: what is near 0 needs few bytes."""
    return np.uint64((value << np.int64(1)) ^ (value >> np.int64(63)))


@inline_kernel
def _plain_to_signed(value: Any) -> Any:
    return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))


@inline_kernel
def _put_long(out: Any, at: Any, control: Any, shift: Any, value: Any) -> Any:
    """Put a value of up to 64 bits; its bytes, 0 to 8, are four bits of the control word."""
    size = (
        np.int64(value > np.uint64(0))
        + np.int64(value > np.uint64(0xFF))
        + np.int64(value > np.uint64(0xFFFF))
        + np.int64(value > np.uint64(0xFFFFFF))
        + np.int64(value > np.uint64(0xFFFFFFFF))
        + np.int64(value > np.uint64(0xFFFFFFFFFF))
        + np.int64(value > np.uint64(0xFFFFFFFFFFFF))
        + np.int64(value > np.uint64(0xFFFFFFFFFFFFFF))
    )
    put_u64_little(out, at, value)
    return at + size, control | (np.uint64(size) << np.uint64(shift))


@inline_kernel
def _put(out: Any, at: Any, control: Any, shift: Any, value: Any) -> Any:
    """Put a value of up to 32 bits in 0, 1, 2 or 4 bytes: two bits of the control word."""
    code = (
        np.int64(value > np.uint64(0))
        + np.int64(value > np.uint64(0xFF))
        + np.int64(value > np.uint64(0xFFFF))
    )
    put_u64_little(out, at, value)
    return at + ((1 << code) >> 1), control | (np.uint64(code) << np.uint64(shift))


@inline_kernel
def _take_long(packed: Any, at: Any, control: Any, shift: Any) -> Any:
    size = np.int64((control >> np.uint64(shift)) & np.uint64(15))
    return at + size, u64_little(packed, at) & _MASKS[min(size, 8)]


@inline_kernel
def _take(packed: Any, at: Any, control: Any, shift: Any) -> Any:
    code = np.int64((control >> np.uint64(shift)) & np.uint64(3))
    size = (1 << code) >> 1
    return at + size, u64_little(packed, at) & _MASKS[size]


@inline_kernel
def _changed(left: Any, right: Any) -> Any:
    """Return the bits in which two values differ, as 32-bit integers."""
    return (np.uint64(left) ^ np.uint64(right)) & _LOW_32


@inline_kernel
def _pack_one(e: Any, before: Any, out: Any, at: Any) -> Any:
    """Pack one exchange at ``at``; return where it ends."""
    begin = at
    at += _CONTROL_BYTES
    time, packet = np.int64(e["query_time"]), np.int64(e["query_packet"])
    flags = np.uint64(e["transport"]) | np.uint64(e["outcome"]) << np.uint64(1)
    flags |= np.uint64(e["aa"]) << np.uint64(4)
    flags |= (np.uint64(e["tc"]) << np.uint64(6)) | (np.uint64(e["alias"]) << np.uint64(7))
    c = (flags & np.uint64(0xFF)) << np.uint64(_FLAGS)
    at, c = _put_long(out, at, c, 0, _signed_to_plain(time - np.int64(before["query_time"])))
    at, c = _put_long(out, at, c, 4, _signed_to_plain(np.int64(e["response_time"]) - time))
    at, c = _put_long(out, at, c, 8, _signed_to_plain(packet - np.int64(before["query_packet"])))
    at, c = _put_long(out, at, c, 12, _signed_to_plain(np.int64(e["response_packet"]) - packet))
    at, c = _put(out, at, c, 16, _changed(e["server"], before["server"]))
    at, c = _put(out, at, c, 18, _changed(e["qname"], before["qname"]))
    at, c = _put(out, at, c, 20, _changed(e["folded"], e["qname"]))
    at, c = _put(out, at, c, 22, _changed(e["min_ttl"], _ABSENT))
    at, c = _put(out, at, c, 24, _changed(e["edns_bytes"], before["edns_bytes"]))
    at, c = _put(out, at, c, 26, np.uint64(e["response_bytes"]))
    at, c = _put(out, at, c, 28, _changed(e["client_port"], before["client_port"]))
    at, c = _put(out, at, c, 30, np.uint64(e["message_id"]))
    at, c = _put(out, at, c, 32, _changed(e["qtype"], before["qtype"]))
    at, c = _put(out, at, c, 34, np.uint64(e["rcode"]))
    at, c = _put(out, at, c, 36, np.uint64(e["answers"]))
    at, c = _put(out, at, c, 38, _changed(e["edns_options"], before["edns_options"]))
    at, c = _put(out, at, c, 40, _changed(e["capture"], before["capture"]))
    first = u64_little(out, begin) & ~_MASKS[_CONTROL_BYTES]
    put_u64_little(out, begin, first | c)
    return at


@inline_kernel
def _unpack_one(packed: Any, at: Any, before: Any, e: Any) -> Any:
    """Read one exchange from ``at``; return where it ends."""
    c = u64_little(packed, at)
    at += _CONTROL_BYTES
    at, value = _take_long(packed, at, c, 0)
    time = np.int64(before["query_time"]) + _plain_to_signed(value)
    e["query_time"] = time
    at, value = _take_long(packed, at, c, 4)
    e["response_time"] = time + _plain_to_signed(value)
    at, value = _take_long(packed, at, c, 8)
    packet = np.int64(before["query_packet"]) + _plain_to_signed(value)
    e["query_packet"] = packet
    at, value = _take_long(packed, at, c, 12)
    e["response_packet"] = packet + _plain_to_signed(value)
    at, value = _take(packed, at, c, 16)
    e["server"] = np.int32(_changed(value, before["server"]))
    at, value = _take(packed, at, c, 18)
    qname = np.int32(_changed(value, before["qname"]))
    e["qname"] = qname
    at, value = _take(packed, at, c, 20)
    e["folded"] = np.int32(_changed(value, qname))
    at, value = _take(packed, at, c, 22)
    e["min_ttl"] = np.int32(_changed(value, _ABSENT))
    at, value = _take(packed, at, c, 24)
    e["edns_bytes"] = np.int32(_changed(value, before["edns_bytes"]))
    at, value = _take(packed, at, c, 26)
    e["response_bytes"] = np.uint16(value)
    at, value = _take(packed, at, c, 28)
    e["client_port"] = np.uint16(_changed(value, before["client_port"]))
    at, value = _take(packed, at, c, 30)
    e["message_id"] = np.uint16(value)
    at, value = _take(packed, at, c, 32)
    e["qtype"] = np.uint16(_changed(value, before["qtype"]))
    at, value = _take(packed, at, c, 34)
    e["rcode"] = np.uint16(value)
    at, value = _take(packed, at, c, 36)
    e["answers"] = np.uint16(value)
    at, value = _take(packed, at, c, 38)
    e["edns_options"] = np.uint16(_changed(value, before["edns_options"]))
    at, value = _take(packed, at, c, 40)
    e["capture"] = np.int32(_changed(value, before["capture"]))
    flags = c >> np.uint64(_FLAGS)
    e["transport"] = np.uint8(flags & np.uint64(1))
    e["outcome"] = np.uint8((flags >> np.uint64(1)) & np.uint64(7))
    e["aa"] = np.uint8((flags >> np.uint64(4)) & np.uint64(3))
    e["tc"] = np.uint8((flags >> np.uint64(6)) & np.uint64(1))
    e["alias"] = np.uint8((flags >> np.uint64(7)) & np.uint64(1))
    return at


@kernel
def pack(
    ring: Any,
    first: Any,
    order: Any,
    done: Any,
    batch: Any,
    words: Any,
    out: Any,
    written: Any,
    clients: Any,
    ends: Any,
    used: Any,
) -> Any:
    """Pack exchanges, ordered by client, until ``out`` is full.

    ``ring`` is exchanges as words, (a power of two, words of one); exchange ``k`` stands at
    ``first + order[k]``, and those before ``done`` are packed already, to ``written`` bytes.
    ``clients`` and ``ends`` get the client of each stretch and where it ends, counted from the
    first byte of all; ``used`` of them are there. ``batch`` has room for BATCH + 1 exchanges, and
    ``words`` is the same memory as words. Returns how many exchanges are packed now, the bytes in
    ``out``, and the new ``used``.
    """
    mask = np.int64(ring.shape[0] - 1)
    at, k = np.int64(0), np.int64(done)
    while k < order.shape[0] and at + BATCH * PACKED_MOST <= out.shape[0]:
        # All of a batch are fetched at once: where they lie, nearly each waits for memory.
        size = min(np.int64(BATCH), order.shape[0] - k)
        if k == done and done > 0:
            _fetch(ring, (first + order[k - 1]) & mask, words, 0)
        for j in range(size):
            _fetch(ring, (first + order[k + j]) & mask, words, j + 1)
        for j in range(1, size + 1):
            e = batch[j]
            if used == 0 or clients[used - 1] != e["client"]:
                clients[used] = e["client"]
                used += 1
                for m in range(words.shape[1]):  # nothing is expected of a client's first
                    words[j - 1, m] = 0
            at = _pack_one(e, batch[j - 1], out, at)
            ends[used - 1] = written + at
        for j in range(words.shape[1]):
            words[0, j] = words[size, j]
        k += size
    return k, at, used


@inline_kernel
def _fetch(ring: Any, place: Any, words: Any, to: Any) -> None:
    for j in range(words.shape[1]):
        words[to, j] = ring[place, j]


@kernel
def unpack(
    packed: Any,
    begins: Any,
    stops: Any,
    clients: Any,
    whose: Any,
    begun: Any,
    filled: Any,
    late: Any,
    blank: Any,
    rows: Any,
) -> Any:
    """Unpack stretches of exchanges, one client each, behind those that ``rows`` has of them.

    Stretch ``j`` is ``packed[begins[j]:stops[j]]``, of address ``clients[j]``, and belongs to entry
    ``whose[j]`` of ``begun`` and ``filled``: where its exchanges begin in ``rows``, and where the
    next one goes, which is moved on. ``late`` is set for an entry whose exchanges are not in the
    order of time. ``packed`` has PACKED_MOST bytes to spare. False where it is not what ``pack``
    wrote.
    """
    for j in range(begins.shape[0]):
        at = np.int64(begins[j])
        to = np.int64(filled[whose[j]])
        first = np.int64(begun[whose[j]])
        before = blank[0]
        while at < stops[j]:
            if at + PACKED_MOST > packed.shape[0] or to >= rows.shape[0]:
                return False
            e = rows[to]
            at = _unpack_one(packed, at, before, e)
            e["client"] = clients[j]
            if to > first and e["query_time"] < rows[to - 1]["query_time"]:
                late[whose[j]] = 1
            before = e
            to += 1
        filled[whose[j]] = to
    return True


@kernel
def find_stretches(
    clients: Any,
    ends: Any,
    wanted: Any,
    belongs: Any,
    found: Any,
    whose: Any,
    begins: Any,
    stops: Any,
    reads: Any,
) -> Any:
    """Find the stretches of some addresses, both in the order of their ids, in a run.

    Stretch ``i`` of the run is that of ``clients[i]`` and lies between ``ends[i]`` and
    ``ends[i + 1]``; ``belongs`` says whose each of the addresses in ``wanted`` is. Fills what
    :func:`unpack` takes, for bytes that are read as ``reads`` says, [first, behind the last], one
    behind the other. Returns how many stretches and reads there are, and the bytes of all.
    """
    count, pieces, total = np.int64(0), np.int64(0), np.int64(0)
    low = np.int64(0)
    for w in range(wanted.shape[0]):
        step = np.int64(1)  # in steps that double, then by halves
        while low + step < clients.shape[0] and clients[low + step] <= wanted[w]:
            low += step
            step *= 2
        high = min(low + step, np.int64(clients.shape[0]))
        while high - low > 1:
            middle = (low + high) // 2
            if clients[middle] <= wanted[w]:
                low = middle
            else:
                high = middle
        if low >= clients.shape[0] or clients[low] != wanted[w]:
            continue
        size = ends[low + 1] - ends[low]
        found[count] = clients[low]
        whose[count] = belongs[w]
        begins[count] = total
        stops[count] = total + size
        total += size
        count += 1
        if pieces > 0 and reads[pieces - 1, 1] == ends[low]:
            reads[pieces - 1, 1] += size
        else:
            reads[pieces, 0] = ends[low]
            reads[pieces, 1] = ends[low + 1]
            pieces += 1
    return count, pieces, total
