"""TCP segments on DNS ports: which can be decoded as they come, and which need others.

Nearly every segment holds whole messages (RFC 1035 section 4.2.2) and follows the one before.
:func:`follow` lets those through while packets are decoded, with one small entry per direction of a
connection in a table of fixed size. Anything else makes the entry ``slow`` and hands the stream's
segments over to ``streams.py``, until they are in step again.
Source: RFC 9293 section 3.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.ingest.dns import HEADER_BYTES
from pcapkit.ingest.facts import (
    ADDRESS_BYTES,
    CAPTURED_END,
    EXPECTED,
    IP_ID,
    PAYLOAD,
    SEQUENCE,
    SOURCE,
    SOURCE_PORT,
    STREAM_KEY,
    STREAM_SLOT,
    TCP_FLAGS,
    TCP_RETRANSMISSION,
    TCP_WITHOUT_MESSAGE,
    WIRE_END,
)
from pcapkit.interning import hash_bytes
from pcapkit.kernels import helper_kernel, inline_kernel, kernel
from pcapkit.layout import QR
from pcapkit.wire import u8, u16

#: What is known of one direction of a connection.
STREAM = np.dtype(
    [
        ("key", np.uint64),  # hash of both addresses and ports; 0: free
        ("next", np.int64),  # sequence number that is due
        ("time", np.int64),  # of the last segment
        ("ip_id", np.int32),  # of the last segment
        ("slow", np.uint8),  # its segments go to reassembly
    ],
    align=True,
)

STREAM_SLOTS = 1 << 14

#: What :func:`follow` says beside the ledger's reasons: decode the segment, or set it aside.
DECODE, HANDED_OVER = 0, 1

#: Marks in ``facts[EXPECTED]``: the stream is at reassembly already; it begins in the middle.
CONTINUES, UNKNOWN_START = -1, -2

_WAYS = 4
_SYN = 2
_CLOSE_COPY_NS = 5_000_000
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
def follow(buffer: Any, facts: Any, streams: Any, time: Any, seed: Any) -> Any:
    """Decide about one segment: DECODE, HANDED_OVER (with facts for it), or why it is skipped."""
    at, end, wire_end = facts[PAYLOAD], facts[CAPTURED_END], facts[WIRE_END]
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
        entry["slow"] = 0
        known = True
    if length <= 0:
        return np.int64(TCP_WITHOUT_MESSAGE)
    behind = np.int64(0)
    expected = np.int64(UNKNOWN_START)
    if known:
        behind = _difference(facts[SEQUENCE], entry["next"])
        expected = np.int64(CONTINUES) if entry["slow"] else np.int64(entry["next"])
        if not entry["slow"] and behind + length <= 0:
            if facts[IP_ID] > 0:
                copy = ((entry["ip_id"] - facts[IP_ID]) & 0xFFFF) < _NEAR_IDS
            else:
                copy = abs(time - entry["time"]) <= _CLOSE_COPY_NS
            # a copy is decoded again, so that it is counted as the duplicate that it is
            if copy and _whole(buffer, at, end, wire_end, True):
                return np.int64(DECODE)
            return np.int64(TCP_RETRANSMISSION)
    else:
        entry["key"] = key
        entry["slow"] = 0
    entry["time"] = time
    entry["ip_id"] = facts[IP_ID]
    if (
        expected != CONTINUES
        and behind == 0
        and _whole(buffer, at, end, wire_end, not known or wire_end > end)
    ):
        entry["next"] = (facts[SEQUENCE] + length) & 0xFFFFFFFF
        return np.int64(DECODE)
    entry["slow"] = 1
    facts[EXPECTED] = expected
    facts[STREAM_SLOT] = slot
    facts[STREAM_KEY] = np.int64(key)
    return np.int64(HANDED_OVER)
