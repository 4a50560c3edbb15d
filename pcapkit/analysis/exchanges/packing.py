"""Exchanges as few bytes: how they wait until all are collected.

One exchange is a control word of seven bytes and the fields that are not as expected, each in as
many bytes as it needs. What is expected of an exchange is mostly what the one before it of the same
client has: a walk asks similar questions of one server, one soon after the other.
A *stretch* is the packed exchanges of one client within a run (see ``runs.py``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.kernels.words import prefetch, put_u64_little, u64_little
from pcapkit.schema import ABSENT, Bytes, Exchanges, Hashes, Ids, Int, Integers, Row

#: Bytes that must be free behind where an exchange is packed, or is read from.
PACKED_MOST = 104
#: Exchanges that are fetched together to be packed.
BATCH = 32
_CONTROL_BYTES = 7
# Where each field's size, or the flags, begin in the control word: a size is two bits, of a long
# field four.
_QUERY_TIME, _RESPONSE_TIME, _QUERY_PACKET, _RESPONSE_PACKET = range(0, 16, 4)
(
    _SERVER,
    _QNAME,
    _FOLDED,
    _MIN_TTL,
    _EDNS_BYTES,
    _RESPONSE_BYTES,
    _CLIENT_PORT,
    _MESSAGE_ID,
    _QTYPE,
    _RCODE,
    _ANSWERS,
    _EDNS_OPTIONS,
    _CAPTURE,
    _FLAGS,
) = range(16, 44, 2)
# Where each of the flags begins: the 14 bits that sizes leave free.
_TRANSPORT, _OUTCOME, _AA, _TC, _MARKS, _SOA = np.array([0, 1, 4, 6, 7, 9], np.uint64)
_FLAG_BITS = np.uint64((1 << 14) - 1)
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
_LOW_32 = np.uint64(0xFFFFFFFF)
_ABSENT = np.int32(ABSENT)  #: what is expected of ``min_ttl``


class Stretches(NamedTuple):
    """The stretches of a run, one behind the other: each client's, and where in it they end."""

    clients: Ids
    ends: Integers  # stretch ``i`` ends at ``ends[i + 1]``, after a 0


class Ordered(NamedTuple):
    """Exchanges of a ring in the order of their clients."""

    ring: Hashes  # as words, (a power of two, words of one)
    first: Int  # number of the exchange from which ``order`` counts
    order: Ids


class PackScratch(NamedTuple):
    """Memory that :func:`pack` works in."""

    rows: Exchanges  # EXCHANGE, (BATCH + 1)
    words: Hashes  # the same memory as words, (BATCH + 1, words of one)


class Found(NamedTuple):
    """Stretches of wanted addresses, in bytes that were read: see :func:`find_stretches`."""

    addresses: Ids
    owners: Ids  # index of the client that each belongs to
    begins: Integers
    stops: Integers


class Filling(NamedTuple):
    """Where the exchanges of each client go, as far as they are there."""

    begins: Integers
    nexts: Integers  # moved on
    late: Bytes  # 1: they are not in the order of time


@inline_kernel
def _signed_to_plain(value: Int) -> np.uint64:
    """Map 0, -1, 1, -2 ... to 0, 1, 2, 3 ...: what is near 0 needs few bytes."""
    return np.uint64((value << np.int64(1)) ^ (value >> np.int64(63)))


@inline_kernel
def _plain_to_signed(value: np.uint64) -> Int:
    return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))


@inline_kernel
def _put_long(
    out: Bytes, at: Int, control: np.uint64, shift: Int, value: np.uint64
) -> tuple[Int, np.uint64]:
    """Put ``value``, of up to 64 bits, at ``at`` of ``out`` (uint8); return where it ends.

    Its bytes, 0 to 8, are four bits of ``control`` from ``shift`` on: returned with them.
    """
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
def _put(
    out: Bytes, at: Int, control: np.uint64, shift: Int, value: np.uint64
) -> tuple[Int, np.uint64]:
    """Put ``value``, of up to 32 bits, at ``at`` of ``out`` (uint8); return where it ends.

    It takes 0, 1, 2 or 4 bytes, as two bits of ``control`` from ``shift`` on say: returned too.
    """
    code = (
        np.int64(value > np.uint64(0))
        + np.int64(value > np.uint64(0xFF))
        + np.int64(value > np.uint64(0xFFFF))
    )
    put_u64_little(out, at, value)
    return at + ((1 << code) >> 1), control | (np.uint64(code) << np.uint64(shift))


@inline_kernel
def _take_long(packed: Bytes, at: Int, control: np.uint64, shift: Int) -> tuple[Int, np.uint64]:
    """Return where the value ends that :func:`_put_long` put, and the value.

    It is at ``at`` of ``packed`` (uint8), its size in ``control`` from ``shift`` on.
    """
    size = np.int64((control >> np.uint64(shift)) & np.uint64(15))
    return at + size, u64_little(packed, at) & _MASKS[min(size, np.int64(8))]


@inline_kernel
def _take(packed: Bytes, at: Int, control: np.uint64, shift: Int) -> tuple[Int, np.uint64]:
    """Return where the value ends that :func:`_put` put, and the value.

    It is at ``at`` of ``packed`` (uint8), its size in ``control`` from ``shift`` on.
    """
    code = np.int64((control >> np.uint64(shift)) & np.uint64(3))
    size = (1 << code) >> 1
    return at + size, u64_little(packed, at) & _MASKS[size]


@inline_kernel
def _changed(left: Int, right: Int) -> np.uint64:
    """Return the bits in which two values differ, as 32-bit integers."""
    return (np.uint64(left) ^ np.uint64(right)) & _LOW_32


@inline_kernel
def _pack_one(e: Row, before: Row, out: Bytes, at: Int) -> Int:
    """Pack the exchange ``e`` (EXCHANGE) at ``at`` of ``out`` (uint8); return where it ends.

    ``before`` is the one before it, of the same client.
    """
    begin = at
    at += _CONTROL_BYTES
    time, packet = np.int64(e["query_time"]), np.int64(e["query_packet"])
    flags = (np.uint64(e["transport"]) << _TRANSPORT) | (np.uint64(e["outcome"]) << _OUTCOME)
    flags |= np.uint64(e["aa"]) << _AA
    flags |= (np.uint64(e["tc"]) << _TC) | (np.uint64(e["marks"]) << _MARKS)
    flags |= np.uint64(e["soa"]) << _SOA
    c = (flags & _FLAG_BITS) << np.uint64(_FLAGS)
    at, c = _put_long(
        out, at, c, _QUERY_TIME, _signed_to_plain(time - np.int64(before["query_time"]))
    )
    at, c = _put_long(
        out, at, c, _RESPONSE_TIME, _signed_to_plain(np.int64(e["response_time"]) - time)
    )
    at, c = _put_long(
        out, at, c, _QUERY_PACKET, _signed_to_plain(packet - np.int64(before["query_packet"]))
    )
    at, c = _put_long(
        out, at, c, _RESPONSE_PACKET, _signed_to_plain(np.int64(e["response_packet"]) - packet)
    )
    at, c = _put(out, at, c, _SERVER, _changed(e["server"], before["server"]))
    at, c = _put(out, at, c, _QNAME, _changed(e["qname"], before["qname"]))
    at, c = _put(out, at, c, _FOLDED, _changed(e["folded"], e["qname"]))
    at, c = _put(out, at, c, _MIN_TTL, _changed(e["min_ttl"], _ABSENT))
    at, c = _put(out, at, c, _EDNS_BYTES, _changed(e["edns_bytes"], before["edns_bytes"]))
    at, c = _put(out, at, c, _RESPONSE_BYTES, np.uint64(e["response_bytes"]))
    at, c = _put(out, at, c, _CLIENT_PORT, _changed(e["client_port"], before["client_port"]))
    at, c = _put(out, at, c, _MESSAGE_ID, np.uint64(e["message_id"]))
    at, c = _put(out, at, c, _QTYPE, _changed(e["qtype"], before["qtype"]))
    at, c = _put(out, at, c, _RCODE, np.uint64(e["rcode"]))
    at, c = _put(out, at, c, _ANSWERS, np.uint64(e["answers"]))
    at, c = _put(out, at, c, _EDNS_OPTIONS, _changed(e["edns_options"], before["edns_options"]))
    at, c = _put(out, at, c, _CAPTURE, _changed(e["capture"], before["capture"]))
    first = u64_little(out, begin) & ~_MASKS[_CONTROL_BYTES]
    put_u64_little(out, begin, first | c)
    return at


@inline_kernel
def _unpack_one(packed: Bytes, at: Int, before: Row, e: Row) -> Int:
    """Fill the exchange ``e`` (EXCHANGE) from ``at`` of ``packed`` (uint8); return where it ends.

    ``before`` is the one before it, of the same client.
    """
    c = u64_little(packed, at)
    at += _CONTROL_BYTES
    at, value = _take_long(packed, at, c, _QUERY_TIME)
    time = np.int64(before["query_time"]) + _plain_to_signed(value)
    e["query_time"] = time
    at, value = _take_long(packed, at, c, _RESPONSE_TIME)
    e["response_time"] = time + _plain_to_signed(value)
    at, value = _take_long(packed, at, c, _QUERY_PACKET)
    packet = np.int64(before["query_packet"]) + _plain_to_signed(value)
    e["query_packet"] = packet
    at, value = _take_long(packed, at, c, _RESPONSE_PACKET)
    e["response_packet"] = packet + _plain_to_signed(value)
    at, value = _take(packed, at, c, _SERVER)
    e["server"] = np.int32(_changed(value, before["server"]))
    at, value = _take(packed, at, c, _QNAME)
    qname = np.int32(_changed(value, before["qname"]))
    e["qname"] = qname
    at, value = _take(packed, at, c, _FOLDED)
    e["folded"] = np.int32(_changed(value, qname))
    at, value = _take(packed, at, c, _MIN_TTL)
    e["min_ttl"] = np.int32(_changed(value, _ABSENT))
    at, value = _take(packed, at, c, _EDNS_BYTES)
    e["edns_bytes"] = np.int32(_changed(value, before["edns_bytes"]))
    at, value = _take(packed, at, c, _RESPONSE_BYTES)
    e["response_bytes"] = np.uint16(value)
    at, value = _take(packed, at, c, _CLIENT_PORT)
    e["client_port"] = np.uint16(_changed(value, before["client_port"]))
    at, value = _take(packed, at, c, _MESSAGE_ID)
    e["message_id"] = np.uint16(value)
    at, value = _take(packed, at, c, _QTYPE)
    e["qtype"] = np.uint16(_changed(value, before["qtype"]))
    at, value = _take(packed, at, c, _RCODE)
    e["rcode"] = np.uint16(value)
    at, value = _take(packed, at, c, _ANSWERS)
    e["answers"] = np.uint16(value)
    at, value = _take(packed, at, c, _EDNS_OPTIONS)
    e["edns_options"] = np.uint16(_changed(value, before["edns_options"]))
    at, value = _take(packed, at, c, _CAPTURE)
    e["capture"] = np.int32(_changed(value, before["capture"]))
    flags = c >> np.uint64(_FLAGS)
    e["transport"] = np.uint8((flags >> _TRANSPORT) & np.uint64(1))
    e["outcome"] = np.uint8((flags >> _OUTCOME) & np.uint64(7))
    e["aa"] = np.uint8((flags >> _AA) & np.uint64(3))
    e["tc"] = np.uint8((flags >> _TC) & np.uint64(1))
    e["marks"] = np.uint8((flags >> _MARKS) & np.uint64(3))
    e["soa"] = np.uint8((flags >> _SOA) & np.uint64(31))
    return at


@kernel
def pack(
    ordered: Ordered,
    done: Int,
    scratch: PackScratch,
    out: Bytes,
    written: Int,
    stretches: Stretches,
    used: Int,
) -> tuple[Int, Int, Int]:
    """Pack exchanges, ordered by client, until ``out`` is full.

    Goes in: exchanges as ``ordered`` says, of which those before number ``done`` are packed
    already, to ``written`` bytes and ``used`` stretches. Comes out: ``out`` (uint8,
    BATCH * PACKED_MOST or more) from its beginning, and ``stretches``, with their ends counted from
    the first byte of all. ``scratch`` needs no content. Returns how many exchanges are packed now,
    the bytes in ``out``, and the new ``used``.
    """
    ring, first, order = ordered.ring, ordered.first, ordered.order
    clients, ends = stretches.clients, stretches.ends
    rows, words = scratch.rows, scratch.words
    mask = np.int64(ring.shape[0] - 1)
    at: Int = np.int64(0)
    k = np.int64(done)
    while k < order.shape[0] and at + BATCH * PACKED_MOST <= out.shape[0]:
        # All of a batch are fetched at once, while the one before is packed: where they lie, nearly
        # each waits for memory.
        size = min(np.int64(BATCH), order.shape[0] - k)
        if k == done and done > 0:
            _fetch(ring, (first + order[k - 1]) & mask, words, 0)
        for j in range(size):
            _fetch(ring, (first + order[k + j]) & mask, words, j + 1)
        for j in range(k + size, min(k + size + BATCH, order.shape[0])):
            _prefetch_row(ring, (first + order[j]) & mask)
        for j in range(1, size + 1):
            e = rows[j]
            if used == 0 or clients[used - 1] != e["client"]:
                clients[used] = e["client"]
                used += 1
                for m in range(words.shape[1]):  # nothing is expected of a client's first
                    words[j - 1, m] = 0
            at = _pack_one(e, rows[j - 1], out, at)
            ends[used] = written + at
        for j in range(words.shape[1]):
            words[0, j] = words[size, j]
        k += size
    return k, at, used


@inline_kernel
def _prefetch_row(ring: Hashes, number: Int) -> None:
    """Begin to fetch row ``number`` of ``ring`` (rows, words of one): longer than a cache line."""
    begin = number * ring.shape[1]
    prefetch(ring, begin)
    prefetch(ring, begin + ring.shape[1] - 1)


@inline_kernel
def _fetch(ring: Hashes, number: Int, words: Hashes, to: Int) -> None:
    """Copy row ``number`` of ``ring`` to row ``to`` of ``words``, both (rows, words of one)."""
    for j in range(words.shape[1]):
        words[to, j] = ring[number, j]


@kernel
def unpack(
    packed: Bytes, found: Found, count: Int, filling: Filling, blank: Exchanges, rows: Exchanges
) -> bool:
    """Unpack stretches of exchanges, one address each, behind those that ``rows`` has of them.

    Goes in: the first ``count`` stretches of ``found``, in ``packed`` (uint8) with PACKED_MOST
    bytes to spare. Comes out: ``rows`` (EXCHANGE), with ``filling`` by client kept up. ``blank`` is
    one EXCHANGE of zeros. False where ``packed`` is not what :func:`pack` wrote.
    """
    for j in range(count):
        owner = found.owners[j]
        at: Int = np.int64(found.begins[j])
        to = np.int64(filling.nexts[owner])
        first = np.int64(filling.begins[owner])
        before = blank[0]
        while at < found.stops[j]:
            if at + PACKED_MOST > packed.shape[0] or to >= rows.shape[0]:
                return False
            e = rows[to]
            at = _unpack_one(packed, at, before, e)
            e["client"] = found.addresses[j]
            if to > first and e["query_time"] < rows[to - 1]["query_time"]:
                filling.late[owner] = 1
            before = e
            to += 1
        filling.nexts[owner] = to
    return True


@inline_kernel
def _search(clients: Ids, wanted: Int, low: Int) -> Int:
    """Return the last index of ``clients`` (int32, ascending) from ``low`` on up to ``wanted``.

    In steps that double, then by halves; ``low`` where all are above it.
    """
    step = np.int64(1)
    while low + step < clients.shape[0] and clients[low + step] <= wanted:
        low += step
        step *= 2
    high = min(low + step, np.int64(clients.shape[0]))
    while high - low > 1:
        middle = (low + high) // 2
        if clients[middle] <= wanted:
            low = middle
        else:
            high = middle
    return low


@kernel
def find_stretches(
    stretches: Stretches, wanted: Ids, owners: Ids, found: Found, reads: Integers
) -> tuple[Int, Int, Int]:
    """Find the stretches of some addresses, both in the order of their ids, in a run.

    Goes in: the ``stretches`` of the run, the ``wanted`` addresses (int32), and the index of the
    client that each belongs to, ``owners`` (int32). Comes out: ``found``, for bytes that are read
    as ``reads`` says, (as many, 2): [first, behind the last], one behind the other. There is an
    entry for each address at most. Returns how many are found, how many reads there are, and the
    bytes of all.
    """
    clients, ends = stretches.clients, stretches.ends
    count, pieces, total = np.int64(0), np.int64(0), np.int64(0)
    at: Int = np.int64(0)
    for w in range(wanted.shape[0]):
        at = _search(clients, wanted[w], at)
        if at >= clients.shape[0] or clients[at] != wanted[w]:
            continue
        size = ends[at + 1] - ends[at]
        found.addresses[count] = wanted[w]
        found.owners[count] = owners[w]
        found.begins[count] = total
        found.stops[count] = total + size
        total += size
        count += 1
        if pieces > 0 and reads[pieces - 1, 1] == ends[at]:
            reads[pieces - 1, 1] += size
        else:
            reads[pieces, 0] = ends[at]
            reads[pieces, 1] = ends[at + 1]
            pieces += 1
    return count, pieces, total
