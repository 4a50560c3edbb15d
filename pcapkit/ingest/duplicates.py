"""Which messages are the same packet again, and how many messages there are without those.

Duplicates are packets captured more than once (``-i any``, bridge and veth, before and after
address translation): the same client address and port and the same DNS bytes. What sets them off
from resends is the IPv4 identification or, where that is 0 or absent, what a second hop changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.kernels.hashing import GOLDEN_RATIO, SECOND_FACTOR, aligned, find_way, home_slot
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.kernels.words import prefetch
from pcapkit.schema import (
    NO_TIME,
    QR,
    TC,
    TCP,
    Bytes,
    Hashes,
    Ids,
    Int,
    Integers,
    Messages,
    Row,
    Rows,
)

#: How many rows ahead memory is fetched: what they need lies beyond the near caches.
_AHEAD = 10
#: A copy of a packet follows within this time; a counter of 16 bits does not come round in it.
COPY_WINDOW_NS = 1_000_000_000
#: Slots that a message seen may have in the table of them.
_WAYS = 8
#: Without an identification, copies must be this close.
CLOSE_COPY_NS = 5_000_000
#: What :class:`DuplicateFilter` counts, in the order of its array; rcodes follow.
(PACKETS_WITH_MESSAGES, PACKETS_NOT_REPEATED, MESSAGES, RESPONSES, OVER_TCP, TRUNCATED) = range(6)
RCODES = 6
COUNTS = RCODES + (1 << 12)
_THIRD_FACTOR = np.uint64(0x165667B19E3779F9)
#: What a message was like that was seen, beside its key and time.
_SEEN = np.dtype(
    [
        ("packet_no", np.int64),
        ("link", np.uint64),
        ("ip_id", np.int32),
        ("server", np.int32),
        ("interface", np.int32),
        ("hop_limit", np.uint8),
        ("answered", np.uint8),
    ],
    align=True,
)


class Seen(NamedTuple):
    """Which messages were seen lately: a table of a power of two slots that never grows."""

    keys: Hashes  # of a message and its client; 0: free
    times: Integers  # of the message; NO_TIME: free
    entries: Rows  # _SEEN
    answers: Integers  # by exchange: the time of its last answer


class Marked(NamedTuple):
    """What is known of each message, whether it repeats another one."""

    original: Integers  # the number of the packet that it repeats, or 0
    servers: Ids  # of that packet; whatever where there is none
    moved: Bytes  # was that one captured elsewhere?


@inline_kernel
def _copy_key(row: Row) -> np.uint64:
    """Return client, DNS bytes and place in the packet of ``row`` as one number, never 0."""
    key = row["content"] ^ (np.uint64(row["client"]) * GOLDEN_RATIO)
    key ^= np.uint64(row["client_port"]) * SECOND_FACTOR
    key ^= np.uint64(row["message_no"]) * _THIRD_FACTOR
    key ^= key >> np.uint64(31)
    return np.uint64(key | np.uint64(1))


@inline_kernel
def _has_moved(row: Row, seen: Row) -> bool:
    """Was ``row`` captured at another place of its way than what was ``seen`` (of _SEEN)?"""
    return bool(
        row["hop_limit"] != seen["hop_limit"]
        or row["link"] != seen["link"]
        or row["interface"] != seen["interface"]
    )


@inline_kernel
def _is_copy(row: Row, seen: Row, gap: Int) -> bool:
    """Is ``row`` of the packet that was ``seen`` (of _SEEN), ``gap`` (ns) later?"""
    if gap > COPY_WINDOW_NS or gap < -COPY_WINDOW_NS:
        return False
    moved = _has_moved(row, seen)
    if row["ip_id"] > 0 or seen["ip_id"] > 0:
        return bool(row["ip_id"] == seen["ip_id"])
    if gap > CLOSE_COPY_NS or gap < -CLOSE_COPY_NS:
        return False
    if row["server"] != seen["server"]:
        return bool(moved)
    # The same hop twice: a resolver that resends at once (after SERVFAIL) looks like this too, but
    # only once it has had its answer.
    return bool(moved or not seen["answered"])


@inline_kernel
def _first_slot(keys: Hashes, row: Row) -> Int:
    """Return the first slot in ``keys`` for the message ``row``.

    It must not follow from the key, which is another in every run: where slots are scarce, it
    decides which copies are still known. Whoever crafts messages for one slot hides copies of
    their own.
    """
    h = _exchange_hash(row)
    h += np.uint64(np.int64(row["qname"]) + 2) * SECOND_FACTOR
    h = (h >> np.uint64(32)) ^ np.uint64(row["flags"] & QR)  # a response is not where its query is
    return home_slot(keys, h) & -_WAYS


@inline_kernel
def _count(row: Row, counts: Integers) -> None:
    """Add ``row``, a message that is no duplicate, to ``counts``."""
    counts[MESSAGES] += 1
    counts[OVER_TCP] += 1 if row["transport"] == TCP else 0
    if row["flags"] & QR:
        counts[RESPONSES] += 1
        counts[TRUNCATED] += 1 if row["flags"] & TC else 0
        counts[RCODES + (np.int64(row["rcode"]) & 0xFFF)] += 1


@inline_kernel
def _remember(entry: Row, row: Row) -> None:
    """Note in ``entry`` (_SEEN) what copies of the message ``row`` are compared with."""
    entry["packet_no"] = row["packet_no"]
    entry["link"] = row["link"]
    entry["ip_id"] = row["ip_id"]
    entry["server"] = row["server"]
    entry["interface"] = row["interface"]
    entry["hop_limit"] = row["hop_limit"]
    entry["answered"] = 0


@inline_kernel
def _prefetch_slots(rows: Messages, index: Int, seen: Seen) -> None:
    """Begin to fetch what ``rows[index]`` needs of ``seen``, if there is such a row."""
    if index < rows.shape[0]:
        row = rows[index]
        slot = _first_slot(seen.keys, row)
        prefetch(seen.keys, slot)
        prefetch(seen.times, slot)
        prefetch(seen.entries, slot)
        prefetch(seen.answers, _exchange_slot(seen.answers, row))


@kernel
def mark_duplicates(rows: Messages, seen: Seen, counts: Integers, marked: Marked) -> None:
    """Find out which messages repeat others, and count those that do not.

    Goes in: ``rows`` (MESSAGE), those of one packet together; ``seen``, carried from window to
    window and kept up. Comes out: ``marked``, one a row; ``counts`` (int64, COUNTS), added to: in
    them a packet is repeated where all of its messages are.
    """
    last, fresh_last = np.int64(-1), np.int64(-1)  # packets are numbered from 1
    for i in range(rows.shape[0]):
        _prefetch_slots(rows, i + _AHEAD, seen)
        row = rows[i]
        key = _copy_key(row)
        exchange = _exchange_slot(seen.answers, row)
        time = row["time"]
        packet = np.int64(row["packet_no"])
        if packet != last:
            counts[PACKETS_WITH_MESSAGES] += 1
            last = packet
        slot, known = find_way(seen.keys, seen.times, _first_slot(seen.keys, row), _WAYS, key)
        entry = seen.entries[slot]
        if known:
            if row["flags"] & QR == 0:
                entry["answered"] = 1 if seen.answers[exchange] > seen.times[slot] else 0
            if _is_copy(row, entry, time - seen.times[slot]):
                marked.original[i] = entry["packet_no"]
                marked.servers[i] = entry["server"]
                marked.moved[i] = _has_moved(row, entry)
                continue
        marked.original[i] = 0
        if packet != fresh_last:
            counts[PACKETS_NOT_REPEATED] += 1
            fresh_last = packet
        _count(row, counts)
        if row["flags"] & QR:
            seen.answers[exchange] = time
        seen.keys[slot] = key
        seen.times[slot] = time
        _remember(entry, row)


@inline_kernel
def _exchange_hash(row: Row) -> np.uint64:
    """Hash client address, port and message ID of ``row``: what a query and its response share."""
    key = (np.uint64(row["client"]) << np.uint64(32)) | (
        np.uint64(row["client_port"]) << np.uint64(16)
    )
    key |= np.uint64(row["message_id"])
    key *= GOLDEN_RATIO
    return key ^ (key >> np.uint64(29))


@inline_kernel
def _exchange_slot(answers: Integers, row: Row) -> Int:
    """Return the slot in ``answers`` of the exchange of ``row``; exchanges may share one."""
    return home_slot(answers, _exchange_hash(row))


class DuplicateFilter:
    """Finds repeated packets across the windows of one analysis.

    ``counts`` (COUNTS long) says what was seen; of duplicates it counts packets, no messages.
    """

    def __init__(self, slots: int = 1 << 16) -> None:
        self.counts = np.zeros(COUNTS, np.int64)
        self._seen = Seen(
            aligned(slots, 0, np.uint64),
            aligned(slots, NO_TIME, np.int64),
            np.zeros(slots, _SEEN),
            np.full(slots, NO_TIME, np.int64),
        )

    def mark(self, rows: Messages) -> Marked:
        """Return, a row each, what it repeats."""
        size = rows.size
        marked = Marked(
            np.empty(size, np.int64), np.empty(size, np.int32), np.empty(size, np.uint8)
        )
        mark_duplicates(rows, self._seen, self.counts, marked)
        return marked


class Moved(NamedTuple):
    """Queries that were captured at more than one place of their way."""

    translations: dict[tuple[int, int], int]
    """(server first seen, server then) -> packets"""
    packets: int  # with another interface, other link addresses or another hop limit


def count_moved(rows: Messages, marked: Marked) -> Moved:
    """Count repeated queries whose server, or whose place, differs."""
    again = np.flatnonzero(marked.original)
    again = again[(rows["flags"][again] & QR) == 0]
    if not again.size:
        return Moved({}, 0)
    before = marked.servers[again].astype(np.int64)
    after = rows["server"][again].astype(np.int64)
    differ = (before != after) & (before >= 0) & (after >= 0)
    pairs, counts = np.unique(before[differ] << 32 | after[differ], return_counts=True)
    counted = zip(pairs.tolist(), counts.tolist(), strict=True)
    translated = {(pair >> 32, pair & 0xFFFFFFFF): packets for pair, packets in counted}
    return Moved(translated, int(np.count_nonzero(marked.moved[again])))
