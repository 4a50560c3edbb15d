"""TCP segments on DNS ports: which can be decoded as they come, and which need others.

Nearly every segment holds whole messages (RFC 1035 section 4.2.2) and follows the one before.
:func:`follow_segment` lets those through while packets are decoded, with one small entry per
direction of a connection in a table of fixed size. Two more cases are common: a message that goes
on in the segments that follow, and whole messages that overtook others. Their messages are decoded
here, too, and their segments deferred until the stream is in step again. Where that happens in the
same pass, they are forgotten. Where it does not, or anything else comes, all deferred segments go
to ``tcp_streams.py``, which makes of them the state that it would have had, and goes on from there.
Source: RFC 9293 section 3.4.
"""

from __future__ import annotations

import numpy as np

from pcapkit.ingest.dns import HEADER_BYTES
from pcapkit.ingest.packet.fields import (
    ADDRESS_BYTES,
    BEFORE,
    CAPTURED_END,
    DEFERRED_FACTS,
    DEFERRED_INDEX,
    EXPECTED,
    FORGOTTEN,
    IP_ID,
    PAYLOAD,
    SEQUENCE,
    SOURCE,
    SOURCE_PORT,
    STREAM_KEY,
    STREAM_SLOT,
    TCP_FLAGS,
    WIRE_END,
)
from pcapkit.ingest.skip_reasons import (
    NO_REASON,
    TCP_CONTINUATION,
    TCP_RETRANSMISSION,
    TCP_WITHOUT_MESSAGE,
)
from pcapkit.kernels.hashing import find_way, hash_bytes, hash_ids, home_slot
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u8, u16
from pcapkit.schema import QR, Bytes, Int, Integers, Row, Rows

#: What is known of one direction of a connection.
STREAM = np.dtype(
    [
        ("key", np.uint64),  # hash of both addresses and ports; 0: free
        ("next", np.int64),  # sequence number that is due
        ("time", np.int64),  # of the last segment
        ("ip_id", np.int32),  # of the last segment
        ("state", np.uint8),
        ("deferred", np.int64),  # 1 + the row of its last segment that was deferred
        ("partial", np.int64),  # PARTIAL: bytes of the message that has begun, its length first
        ("length", np.int64),  # PARTIAL: of that message, where both bytes of it are there
        ("start", np.int64),  # AHEAD: where the bytes begin that came ahead
        ("stop", np.int64),  # AHEAD: and where they end
        ("since", np.int64),  # AHEAD: when the first of them came
    ],
    align=True,
)
STREAM_SLOTS = 1 << 14
#: States of a stream: the next segment that is due begins a message; its segments go to reassembly;
#: a message has begun; whole messages came ahead of bytes that are due; as the first, after one of
#: these. Only the first two outlast a pass over packets.
IN_STEP, REASSEMBLED, PARTIAL, AHEAD, SETTLED = range(5)
#: A segment that is sent again comes within this time.
PATIENCE_NS = 2_000_000_000
#: A sequence number farther off belongs to another connection.
MAX_GAP = 1 << 20
#: Bytes of a segment that are looked at: as many as libpcap ever captures of a packet.
LONGEST_SEGMENT = 1 << 18
#: Bytes of the shortest message over TCP, with its length.
SHORTEST_FRAMED = 2 + HEADER_BYTES
#: Space in which messages are joined that lie in several segments.
JOINED_BYTES = 1 << 17
#: The flag that opens a connection.
SYN = 2
#: Marks in ``facts[EXPECTED]``: the stream is at reassembly already; it begins in the middle.
CONTINUES, UNKNOWN_START = -1, -2
_WAYS = 4  # slots that a stream may have in the table
#: Instead of an offset: it is not known where messages begin.
_NO_STEP = -1
_CLOSE_COPY_NS = 5_000_000
_MOST_AHEAD = 1 << 15  # bytes; reassembly never gives up a gap before so few
_NEAR_IDS = 64  # identifications count up along a connection: a copy's is not newer than the last


@inline_kernel
def _difference(a: Int, b: Int) -> Int:
    """Return a - b of two sequence numbers (RFC 9293 section 3.4)."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@helper_kernel
def plausible(buffer: Bytes, at: Int, end: Int) -> bool:
    """Does a DNS message start here? Needed where a segment may begin within one.

    Its header and its question, as far as they are there, must make sense; a message without a
    question, as the later ones of a zone transfer, must be a response with answers.
    """
    if end - at < HEADER_BYTES:
        return False
    flags = u16(buffer, at + 2)
    if (flags >> 11) & 15 > 6 or flags & 0x40 or u16(buffer, at + 4) > 1:
        return False
    if u16(buffer, at + 4) == 0:
        return bool(flags & QR != 0 and u16(buffer, at + 6) > 0)
    at += HEADER_BYTES
    while end - at > 0 and u8(buffer, at):
        if u8(buffer, at) > 63:
            return False
        at += 1 + u8(buffer, at)
    if end - at < 5:
        return True
    qclass = u16(buffer, at + 3)
    return bool((qclass >= 1 and qclass <= 4) or (qclass >= 254 and qclass <= 255))


@kernel
def begins(buffer: Bytes) -> bool:
    """Does a message with its length begin ``buffer``, as far as it is there?"""
    if buffer.shape[0] < 2 + HEADER_BYTES:
        return False
    size = np.int64(u16(buffer, 0))
    end = min(np.int64(buffer.shape[0]), 2 + size)
    return bool(size >= HEADER_BYTES) and plausible(buffer, 2, end)


@helper_kernel
def _holds_whole(buffer: Bytes, at: Int, end: Int, wire_end: Int, careful: bool) -> bool:
    """Does the segment hold whole messages and nothing else, as far as it was captured?"""
    first = at
    while at < wire_end:
        if end - at < 2:
            return bool(at > first and wire_end > end)
        length = u16(buffer, at)
        if length < HEADER_BYTES or at + 2 + length > wire_end:
            return False
        if careful and not plausible(buffer, at + 2, end):
            return False
        at += 2 + length
    return True


@helper_kernel
def _behind_whole(buffer: Bytes, at: Int, end: Int) -> Int:
    """Return where the message begins that ``buffer[at:end]`` has only a part of, or ``end``.

    _NO_STEP: there is a length that no message has.
    """
    while end - at >= 2:
        length = u16(buffer, at)
        if length < HEADER_BYTES:
            return np.int64(_NO_STEP)
        if at + 2 + length > end:
            break
        at += 2 + length
    return np.int64(at)


@helper_kernel
def _join(buffer: Bytes, entry: Row, deferred: Integers, joined: Bytes) -> None:
    """Write what there is of the message that has begun into ``joined``."""
    left = entry["partial"]
    row = entry["deferred"] - 1
    while left > 0:
        stop = deferred[row, DEFERRED_FACTS + CAPTURED_END]
        size = min(left, stop - deferred[row, DEFERRED_FACTS + PAYLOAD])
        left -= size
        for k in range(size):
            joined[left + k] = buffer[stop - size + k]
        row = deferred[row, DEFERRED_FACTS + BEFORE] - 1


@helper_kernel
def _forget(entry: Row, deferred: Integers) -> None:
    """Put a stream in step, whose segments that were deferred nobody needs any more."""
    row = entry["deferred"] - 1
    while row >= 0:
        deferred[row, DEFERRED_INDEX] = FORGOTTEN
        row = deferred[row, DEFERRED_FACTS + BEFORE] - 1
    entry["state"] = SETTLED


@helper_kernel
def _begin(buffer: Bytes, entry: Row, at: Int, end: Int) -> None:
    """Note that ``buffer[at:end]`` begins a message, whose length may be there."""
    entry["partial"] = end - at
    if end - at >= 2:
        entry["length"] = u16(buffer, at)


@helper_kernel
def _go_on(
    buffer: Bytes, facts: Integers, entry: Row, deferred: Integers, joined: Bytes
) -> tuple[Int, Int]:
    """Follow a segment, all captured, that is due and holds or ends parts of messages.

    Returns (where its whole messages end, bytes in ``joined``): _NO_STEP where that is not known.
    Messages are in ``joined`` where the first one began in an earlier segment.
    """
    at, end = facts[PAYLOAD], facts[CAPTURED_END]
    if entry["state"] != PARTIAL:
        stop = _behind_whole(buffer, at, end)
        if stop != _NO_STEP:
            _begin(buffer, entry, stop, end)
        return stop, np.int64(0)
    partial = entry["partial"]
    # the length, whose first byte may be all that there is, ends in this segment or is behind
    row = entry["deferred"] - 1
    if partial == 1:
        length = np.int64(u8(buffer, deferred[row, DEFERRED_FACTS + CAPTURED_END] - 1)) << 8 | u8(
            buffer, at
        )
    else:
        length = entry["length"]
    if length < HEADER_BYTES:
        return np.int64(_NO_STEP), np.int64(0)
    due = 2 + length - partial
    if end - at < due:
        entry["partial"] = partial + end - at
        entry["length"] = length
        return np.int64(at), np.int64(0)
    stop = _behind_whole(buffer, at + due, end)
    if stop == _NO_STEP or partial + stop - at > joined.shape[0]:
        return np.int64(_NO_STEP), np.int64(0)
    _join(buffer, entry, deferred, joined)
    for k in range(stop - at):
        joined[partial + k] = buffer[at + k]
    _begin(buffer, entry, stop, end)
    return stop, np.int64(partial + stop - at)


@helper_kernel
def _comes_ahead(buffer: Bytes, facts: Integers, entry: Row, behind: Int, time: Int) -> bool:
    """Follow a segment of whole messages that is not due yet, or comes where others are ahead.

    Returns whether there is nothing more to it than that.
    """
    at, end = facts[PAYLOAD], facts[CAPTURED_END]
    if not _holds_whole(buffer, at, end, end, False):
        return False
    after = (facts[SEQUENCE] + end - at) & 0xFFFFFFFF
    if entry["state"] != AHEAD:
        if (
            behind > MAX_GAP
            or end - at > _MOST_AHEAD
            or not plausible(buffer, at + 2, at + 2 + u16(buffer, at))
        ):
            return False
        entry["start"] = facts[SEQUENCE]
        entry["stop"] = after
        entry["since"] = time
        return True
    if time - entry["since"] > PATIENCE_NS:
        return False
    if behind == 0:
        if _difference(after, entry["start"]) > 0:
            return False
        entry["next"] = after
        return True
    if facts[SEQUENCE] != entry["stop"] or _difference(after, entry["start"]) > _MOST_AHEAD:
        return False
    entry["stop"] = after
    return True


@inline_kernel
def _find_stream(
    buffer: Bytes, facts: Integers, seed: np.uint64, streams: Rows
) -> tuple[Int, bool, np.uint64]:
    """Return (slot in ``streams``, whether the stream is there, its key) of a segment's stream.

    ``facts`` are the segment's, whose packet is in ``buffer``; ``seed`` is that of the hashes.
    """
    key = hash_bytes(buffer, facts[SOURCE], 2 * facts[ADDRESS_BYTES], seed)
    key = hash_ids(key, facts[SOURCE_PORT] << 16 | facts[SOURCE_PORT + 1], seed) | np.uint64(1)
    first = home_slot(streams, key >> np.uint64(1)) & -_WAYS
    slot, known = find_way(streams["key"], streams["time"], first, _WAYS, key)
    return slot, known, key


@inline_kernel
def _is_old(entry: Row, behind: Int, length: Int) -> bool:
    """Has all of a segment of ``length`` bytes come before, ``behind`` what is due of ``entry``?"""
    if behind + length > 0:
        return False
    state = entry["state"]
    return bool(state == IN_STEP or (state == SETTLED and behind >= -MAX_GAP))


@inline_kernel
def _is_copy(entry: Row, facts: Integers, time: Int) -> bool:
    """Is an old segment the packet seen at last again, and nothing that TCP sent a second time?

    ``entry`` is that of its stream, ``facts`` and ``time`` are those of the segment.
    """
    if facts[IP_ID] > 0:
        return bool(((entry["ip_id"] - facts[IP_ID]) & 0xFFFF) < _NEAR_IDS)
    return bool(abs(time - entry["time"]) <= _CLOSE_COPY_NS)


@helper_kernel
def _follow_parts(
    buffer: Bytes,
    facts: Integers,
    entry: Row,
    behind: Int,
    time: Int,
    deferred: Integers,
    used: Int,
    joined: Bytes,
) -> tuple[Int, Int, Int, bool]:
    """Follow a segment that does not hold whole messages, or does not come when it is due.

    Takes and returns what :func:`follow_segment` does; ``entry`` is that of the segment's stream,
    which exists, and ``behind`` how far after the byte that is due the segment begins.
    """
    at, end = facts[PAYLOAD], facts[CAPTURED_END]
    nothing = np.int64(0)
    state = entry["state"]
    if behind == 0 and state != AHEAD and state != REASSEMBLED:
        stop, inside = _go_on(buffer, facts, entry, deferred, joined)
        if stop != _NO_STEP:
            entry["next"] = (facts[SEQUENCE] + end - at) & 0xFFFFFFFF
            if entry["partial"] == 0:
                _forget(entry, deferred)
                return np.int64(NO_REASON), stop, inside, False
            entry["state"] = PARTIAL
            entry["deferred"] = used + 1
            reason = NO_REASON if inside or stop > at else TCP_CONTINUATION
            return np.int64(reason), stop, inside, True
    elif state == AHEAD or (behind > 0 and (state == IN_STEP or state == SETTLED)):
        if behind >= 0 and _comes_ahead(buffer, facts, entry, behind, time):
            if state == AHEAD and entry["next"] == entry["start"]:
                entry["next"] = entry["stop"]
                _forget(entry, deferred)
                return np.int64(NO_REASON), end, nothing, False
            entry["state"] = AHEAD
            entry["deferred"] = used + 1
            return np.int64(NO_REASON), end, nothing, True
    entry["state"] = REASSEMBLED
    return np.int64(TCP_CONTINUATION), end, nothing, True


@helper_kernel
def follow_segment(
    buffer: Bytes,
    facts: Integers,
    time: Int,
    seed: np.uint64,
    streams: Rows,
    deferred: Integers,
    used: Int,
    joined: Bytes,
) -> tuple[Int, Int, Int, bool]:
    """Decide about one segment, which may become row ``used`` of ``deferred``.

    Goes in: its packet in ``buffer``, its ``facts`` and ``time``; the table ``streams`` (STREAM),
    which is kept up, and the ``seed`` of its hashes. Returns (NO_REASON or why it is skipped, where
    the messages to decode end, how many bytes of ``joined`` hold them, whether to defer the
    segment, with facts for it). Where no byte of ``joined`` does, they begin with the segment.
    """
    at, end, wire_end = facts[PAYLOAD], facts[CAPTURED_END], facts[WIRE_END]
    nothing = np.int64(0)
    slot, known, key = _find_stream(buffer, facts, seed, streams)
    entry = streams[slot]
    length = wire_end - at
    if facts[TCP_FLAGS] & SYN:
        facts[SEQUENCE] = (facts[SEQUENCE] + 1) & 0xFFFFFFFF
        entry["key"] = key
        entry["next"] = facts[SEQUENCE]
        entry["time"] = time
        entry["ip_id"] = facts[IP_ID]
        entry["state"] = IN_STEP
        known = True
    if length <= 0:
        return np.int64(TCP_WITHOUT_MESSAGE), end, nothing, False
    behind: Int = np.int64(0)
    expected = np.int64(UNKNOWN_START)
    if known:
        in_step = entry["state"] == IN_STEP or entry["state"] == SETTLED
        behind = _difference(facts[SEQUENCE], entry["next"])
        expected = np.int64(entry["next"]) if in_step else np.int64(CONTINUES)
        if _is_old(entry, behind, length):
            reason = np.int64(TCP_RETRANSMISSION)
            if entry["state"] == SETTLED:
                entry["time"] = time
                entry["ip_id"] = facts[IP_ID]
            # a copy is decoded again, so that it is counted as the duplicate that it is
            elif _is_copy(entry, facts, time) and _holds_whole(buffer, at, end, wire_end, True):
                reason = np.int64(NO_REASON)
            return reason, end, nothing, False
    else:
        entry["key"] = key
        entry["state"] = IN_STEP
    entry["time"] = time
    entry["ip_id"] = facts[IP_ID]
    if expected != CONTINUES and behind == 0:
        careful = not known or wire_end > end
        if _holds_whole(buffer, at, end, wire_end, careful):
            entry["next"] = (facts[SEQUENCE] + length) & 0xFFFFFFFF
            return np.int64(NO_REASON), end, nothing, False
    facts[EXPECTED] = expected
    facts[STREAM_SLOT] = slot
    facts[STREAM_KEY] = np.int64(key)
    waits = entry["state"] == PARTIAL or entry["state"] == AHEAD
    facts[BEFORE] = entry["deferred"] if waits else 0
    if known and wire_end == end:
        return _follow_parts(buffer, facts, entry, behind, time, deferred, used, joined)
    entry["state"] = REASSEMBLED
    return np.int64(TCP_CONTINUATION), end, nothing, True


@helper_kernel
def close_pass(streams: Rows, deferred: Integers, used: Int) -> Int:
    """Keep what is still needed of ``used`` rows of ``deferred``; return how many rows that is.

    Their ``streams`` go on at reassembly.
    """
    kept = 0
    for row in range(used):
        entry = streams[deferred[row, DEFERRED_FACTS + STREAM_SLOT]]
        if entry["state"] == SETTLED:
            entry["state"] = IN_STEP
        elif entry["state"] != IN_STEP:
            entry["state"] = REASSEMBLED
        if deferred[row, DEFERRED_INDEX] == FORGOTTEN:
            continue
        for k in range(deferred.shape[1]):
            deferred[kept, k] = deferred[row, k]
        kept += 1
    return kept
