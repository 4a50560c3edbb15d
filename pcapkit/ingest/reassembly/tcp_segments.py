"""TCP segments on DNS ports: which can be decoded as they come, and which need others.

Nearly every segment holds whole messages (RFC 1035 section 4.2.2) and follows the one before.
:func:`follow` lets those through while packets are decoded, with one small entry per direction of a
connection in a table of fixed size. Two more cases are common: a message that goes on in the
segments that follow, and whole messages that overtook others. Their messages are decoded here, too,
and their segments set aside until the stream is in step again. Where that happens in the same pass,
they are forgotten. Where it does not, or anything else comes, all segments that were set aside go
to ``tcp_streams.py``, which makes of them the state that it would have had, and goes on from there.
Source: RFC 9293 section 3.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.ingest.dns import HEADER_BYTES
from pcapkit.ingest.packet.fields import (
    ADDRESS_BYTES,
    BEFORE,
    CAPTURED_END,
    EXPECTED,
    IP_ID,
    PAYLOAD,
    SEQUENCE,
    SOURCE,
    SOURCE_PORT,
    STREAM_KEY,
    STREAM_SLOT,
    TCP_CONTINUATION,
    TCP_FLAGS,
    TCP_RETRANSMISSION,
    TCP_WITHOUT_MESSAGE,
    WIRE_END,
)
from pcapkit.kernels.hashing import hash_bytes
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u8, u16
from pcapkit.schema import QR

#: What is known of one direction of a connection.
STREAM = np.dtype(
    [
        ("key", np.uint64),  # hash of both addresses and ports; 0: free
        ("next", np.int64),  # sequence number that is due
        ("time", np.int64),  # of the last segment
        ("ip_id", np.int32),  # of the last segment
        ("state", np.uint8),
        ("aside", np.int64),  # 1 + the row of its last segment that was set aside
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
#: What :func:`follow` says beside the ledger's reasons: decode what it says.
DECODE = 0
#: A segment that is sent again comes within this time.
PATIENCE_NS = 2_000_000_000
#: A sequence number farther off belongs to another connection.
MAX_GAP = 1 << 20
#: Bytes of a segment that are looked at: as many as libpcap ever captures of a packet.
LONGEST_SEGMENT = 1 << 18
#: Room in which messages are joined that lie in several segments.
JOINED_BYTES = 1 << 17
#: Marks in ``facts[EXPECTED]``: the stream is at reassembly already; it begins in the middle.
CONTINUES, UNKNOWN_START = -1, -2
_WAYS = 4
_SYN = 2
_CLOSE_COPY_NS = 5_000_000
_MOST_AHEAD = 1 << 15  # bytes; reassembly never gives up a gap before so few
_NEAR_IDS = 64  # identifications count up along a connection: a copy's is not newer than the last


@inline_kernel
def _difference(a: Any, b: Any) -> Any:
    """Return a - b of two sequence numbers (RFC 9293 section 3.4)."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@helper_kernel
def plausible(buffer: Any, at: Any, end: Any) -> Any:
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
        return flags & QR != 0 and u16(buffer, at + 6) > 0
    at += HEADER_BYTES
    while end - at > 0 and u8(buffer, at):
        if u8(buffer, at) > 63:
            return False
        at += 1 + u8(buffer, at)
    if end - at < 5:
        return True
    kind = u16(buffer, at + 3)
    return (kind >= 1 and kind <= 4) or kind >= 254 and kind <= 255


@kernel
def begins(buffer: Any) -> Any:
    """Does a message with its length begin ``buffer``, as far as it is there?"""
    if buffer.shape[0] < 2 + HEADER_BYTES:
        return False
    size = np.int64(u16(buffer, 0))
    return size >= HEADER_BYTES and plausible(buffer, 2, min(np.int64(buffer.shape[0]), 2 + size))


@helper_kernel
def _whole(buffer: Any, at: Any, end: Any, wire_end: Any, careful: Any) -> Any:
    """Does the segment hold whole messages and nothing else, as far as it was captured?"""
    first = at
    while at < wire_end:
        if end - at < 2:
            return at > first and wire_end > end
        length = u16(buffer, at)
        if length < HEADER_BYTES or at + 2 + length > wire_end:
            return False
        if careful and not plausible(buffer, at + 2, end):
            return False
        at += 2 + length
    return True


@helper_kernel
def _entry(streams: Any, key: Any) -> Any:
    """Return the place of ``key``; where it is new, that of the entry that must give way."""
    mask = np.int64(streams.shape[0] - 1)
    slot = np.int64(key >> np.uint64(20)) & mask
    oldest = slot
    for way in range(_WAYS):
        at = (slot + way) & mask
        if streams[at]["key"] == key:
            return at
        if streams[oldest]["key"] == 0:
            continue
        if streams[at]["key"] == 0 or streams[at]["time"] < streams[oldest]["time"]:
            oldest = at
    return oldest


@helper_kernel
def _behind_whole(buffer: Any, at: Any, end: Any) -> Any:
    """Return where the message begins that ``buffer[at:end]`` has only a part of, or ``end``.

    -1: a length that no message has.
    """
    while end - at >= 2:
        length = u16(buffer, at)
        if length < HEADER_BYTES:
            return np.int64(-1)
        if at + 2 + length > end:
            break
        at += 2 + length
    return np.int64(at)


@helper_kernel
def _join(buffer: Any, entry: Any, rare: Any, joined: Any) -> None:
    """Write what there is of the message that has begun into ``joined``."""
    left = entry["partial"]
    row = entry["aside"] - 1
    while left > 0:
        stop = rare[row, 1 + CAPTURED_END]
        size = min(left, stop - rare[row, 1 + PAYLOAD])
        left -= size
        for k in range(size):
            joined[left + k] = buffer[stop - size + k]
        row = rare[row, 1 + BEFORE] - 1


@helper_kernel
def _forget(entry: Any, rare: Any) -> None:
    """Put a stream in step, whose segments that were set aside nobody needs any more."""
    row = entry["aside"] - 1
    while row >= 0:
        rare[row, 0] = -1
        row = rare[row, 1 + BEFORE] - 1
    entry["state"] = SETTLED


@helper_kernel
def _begin(buffer: Any, entry: Any, at: Any, end: Any) -> None:
    """Note that ``buffer[at:end]`` begins a message, whose length may be there."""
    entry["partial"] = end - at
    if end - at >= 2:
        entry["length"] = u16(buffer, at)


@helper_kernel
def _go_on(buffer: Any, facts: Any, entry: Any, rare: Any, joined: Any) -> Any:
    """Follow a segment, all captured, that is due and holds or ends parts of messages.

    Returns (where its whole messages end, bytes in ``joined``): -1 where that is not known.
    Messages are in ``joined`` where the first one began in an earlier segment.
    """
    at, end = facts[PAYLOAD], facts[CAPTURED_END]
    if entry["state"] != PARTIAL:
        stop = _behind_whole(buffer, at, end)
        if stop >= 0:
            _begin(buffer, entry, stop, end)
        return stop, np.int64(0)
    partial = entry["partial"]
    # the length, whose first byte may be all that there is, ends in this segment or is behind
    row = entry["aside"] - 1
    if partial == 1:
        length = np.int64(u8(buffer, rare[row, 1 + CAPTURED_END] - 1)) << 8 | u8(buffer, at)
    else:
        length = entry["length"]
    if length < HEADER_BYTES:
        return np.int64(-1), np.int64(0)
    due = 2 + length - partial
    if end - at < due:
        entry["partial"] = partial + end - at
        entry["length"] = length
        return np.int64(at), np.int64(0)
    stop = _behind_whole(buffer, at + due, end)
    if stop < 0 or partial + stop - at > joined.shape[0]:
        return np.int64(-1), np.int64(0)
    _join(buffer, entry, rare, joined)
    for k in range(stop - at):
        joined[partial + k] = buffer[at + k]
    _begin(buffer, entry, stop, end)
    return stop, np.int64(partial + stop - at)


@helper_kernel
def _comes_ahead(buffer: Any, facts: Any, entry: Any, behind: Any, time: Any) -> Any:
    """Follow a segment of whole messages that is not due yet, or comes where others are ahead.

    Returns whether there is nothing more to it than that.
    """
    at, end = facts[PAYLOAD], facts[CAPTURED_END]
    if not _whole(buffer, at, end, end, False):
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


@helper_kernel
def follow(
    buffer: Any, facts: Any, streams: Any, time: Any, seed: Any, rare: Any, aside: Any, joined: Any
) -> Any:
    """Decide about one segment, which may become row ``aside`` of ``rare``.

    Returns (DECODE or why it is skipped, where the messages to decode end, how many bytes of
    ``joined`` hold them, whether to set the segment aside, with facts for it). Where no byte of
    ``joined`` does, they begin with the segment.
    """
    at, end, wire_end = facts[PAYLOAD], facts[CAPTURED_END], facts[WIRE_END]
    nothing = np.int64(0)
    key = hash_bytes(buffer, facts[SOURCE], 2 * facts[ADDRESS_BYTES], seed)
    key ^= np.uint64(facts[SOURCE_PORT] << 16 | facts[SOURCE_PORT + 1])
    key = (key * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
    slot = _entry(streams, key)
    entry = streams[slot]
    known = entry["key"] == key
    length = wire_end - at
    if facts[TCP_FLAGS] & _SYN:
        facts[SEQUENCE] = (facts[SEQUENCE] + 1) & 0xFFFFFFFF
        entry["key"] = key
        entry["next"] = facts[SEQUENCE]
        entry["time"] = time
        entry["ip_id"] = facts[IP_ID]
        entry["state"] = IN_STEP
        known = True
    if length <= 0:
        return np.int64(TCP_WITHOUT_MESSAGE), end, nothing, False
    behind = np.int64(0)
    expected = np.int64(UNKNOWN_START)
    if known:
        in_step = entry["state"] == IN_STEP or entry["state"] == SETTLED
        behind = _difference(facts[SEQUENCE], entry["next"])
        expected = np.int64(entry["next"]) if in_step else np.int64(CONTINUES)
        if entry["state"] == SETTLED and behind + length <= 0 and behind >= -MAX_GAP:
            entry["time"] = time
            entry["ip_id"] = facts[IP_ID]
            return np.int64(TCP_RETRANSMISSION), end, nothing, False
        if entry["state"] == IN_STEP and behind + length <= 0:
            if facts[IP_ID] > 0:
                copy = ((entry["ip_id"] - facts[IP_ID]) & 0xFFFF) < _NEAR_IDS
            else:
                copy = abs(time - entry["time"]) <= _CLOSE_COPY_NS
            # a copy is decoded again, so that it is counted as the duplicate that it is
            if copy and _whole(buffer, at, end, wire_end, True):
                return np.int64(DECODE), end, nothing, False
            return np.int64(TCP_RETRANSMISSION), end, nothing, False
    else:
        entry["key"] = key
        entry["state"] = IN_STEP
    entry["time"] = time
    entry["ip_id"] = facts[IP_ID]
    if (
        expected != CONTINUES
        and behind == 0
        and _whole(buffer, at, end, wire_end, not known or wire_end > end)
    ):
        entry["next"] = (facts[SEQUENCE] + length) & 0xFFFFFFFF
        return np.int64(DECODE), end, nothing, False
    state = entry["state"]
    facts[EXPECTED] = expected
    facts[STREAM_SLOT] = slot
    facts[STREAM_KEY] = np.int64(key)
    facts[BEFORE] = entry["aside"] if state == PARTIAL or state == AHEAD else 0
    if known and wire_end == end:
        if behind == 0 and state != AHEAD and state != REASSEMBLED:
            stop, inside = _go_on(buffer, facts, entry, rare, joined)
            if stop >= 0:
                entry["next"] = (facts[SEQUENCE] + length) & 0xFFFFFFFF
                if entry["partial"] == 0:
                    _forget(entry, rare)
                    return np.int64(DECODE), stop, inside, False
                entry["state"] = PARTIAL
                entry["aside"] = aside + 1
                fate = DECODE if inside or stop > at else TCP_CONTINUATION
                return np.int64(fate), stop, inside, True
        elif state == AHEAD or (behind > 0 and (state == IN_STEP or state == SETTLED)):
            if behind >= 0 and _comes_ahead(buffer, facts, entry, behind, time):
                if state == AHEAD and entry["next"] == entry["start"]:
                    entry["next"] = entry["stop"]
                    _forget(entry, rare)
                    return np.int64(DECODE), end, nothing, False
                entry["state"] = AHEAD
                entry["aside"] = aside + 1
                return np.int64(DECODE), end, nothing, True
    entry["state"] = REASSEMBLED
    return np.int64(TCP_CONTINUATION), end, nothing, True


@helper_kernel
def close_pass(streams: Any, rare: Any, aside: Any) -> Any:
    """Hand over what was set aside and is still needed; return how many rows of ``rare`` that is.

    Its streams go on at reassembly.
    """
    kept = 0
    for row in range(aside):
        entry = streams[rare[row, 1 + STREAM_SLOT]]
        if entry["state"] == SETTLED:
            entry["state"] = IN_STEP
        elif entry["state"] != IN_STEP:
            entry["state"] = REASSEMBLED
        if rare[row, 0] < 0:
            continue
        for k in range(rare.shape[1]):
            rare[kept, k] = rare[row, k]
        kept += 1
    return kept
