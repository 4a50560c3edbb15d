"""Which messages are the same packet again, and how many messages there are without those.

Duplicates are packets captured more than once (``-i any``, bridge and veth, before and after
address translation): the same client address and port and the same DNS bytes, told from a resend by
the IPv4 identification or, where that is 0 or absent, by what a second hop changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.kernels.words import prefetch
from pcapkit.schema import QR, TC, TCP, Messages

#: How many rows ahead memory is fetched: what they need lies beyond the near caches.
_AHEAD = 10
#: A copy of a packet follows within this time; a counter of 16 bits does not come round in it.
COPY_WINDOW_NS = 1_000_000_000
#: Places that a message seen may have in the table of them.
_WAYS = 8
#: Without an identification, copies must be this close.
CLOSE_COPY_NS = 5_000_000
#: What :class:`DuplicateFilter` counts, in the order of its array; rcodes follow.
(PACKETS_WITH_MESSAGES, PACKETS_NOT_REPEATED, MESSAGES, RESPONSES, OVER_TCP, TRUNCATED) = range(6)
RCODES = 6
COUNTS = RCODES + (1 << 12)
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


@inline_kernel
def _copy_key(row: Any) -> Any:
    """Client address and port, the DNS bytes and the place in the packet, as one number."""
    key = row["content"] ^ (np.uint64(row["client"]) * np.uint64(0x9E3779B97F4A7C15))
    key ^= np.uint64(row["client_port"]) * np.uint64(0xC2B2AE3D27D4EB4F)
    key ^= np.uint64(row["message_no"]) * np.uint64(0x165667B19E3779F9)
    key ^= key >> np.uint64(31)
    return key | np.uint64(1)


@inline_kernel
def _is_copy(row: Any, seen: Any, gap: Any) -> Any:
    """Is this the packet that was ``seen``, ``gap`` later?"""
    if gap > COPY_WINDOW_NS or gap < -COPY_WINDOW_NS:
        return False
    moved = (
        row["hop_limit"] != seen["hop_limit"]
        or row["link"] != seen["link"]
        or row["interface"] != seen["interface"]
    )
    if row["ip_id"] > 0 or seen["ip_id"] > 0:
        return bool(row["ip_id"] == seen["ip_id"])
    if gap > CLOSE_COPY_NS or gap < -CLOSE_COPY_NS:
        return False
    if row["server"] != seen["server"]:
        return moved
    # The same hop twice: a resolver that resends at once (after SERVFAIL) looks like this too, but
    # only once it has had its answer.
    return moved or not seen["answered"]


@inline_kernel
def _first_place(keys: Any, row: Any) -> Any:
    """Return the first place for a message.

    It must not follow from the key, which is another in every run: where places are scarce, it
    decides which copies are still known. Whoever crafts messages for one place hides copies of
    their own.
    """
    h = _exchange_hash(row)
    h += np.uint64(np.int64(row["qname"]) + 2) * np.uint64(0xC2B2AE3D27D4EB4F)
    h = (h >> np.uint64(32)) ^ np.uint64(row["flags"] & QR)  # a response is not where its query is
    return np.int64(h & np.uint64(keys.shape[0] - 1)) & -_WAYS


@inline_kernel
def _place_of(keys: Any, times: Any, key: Any, row: Any) -> Any:
    """Return (place, whether ``key`` is there); where it is not, the place that must give way."""
    first = _first_place(keys, row)
    for way in range(_WAYS):
        if keys[first + way] == key:
            return first + way, True
    oldest = first
    time = times[first]
    for way in range(1, _WAYS):
        if times[first + way] < time:
            oldest = first + way
            time = times[oldest]
    return oldest, False


@inline_kernel
def _count(row: Any, counts: Any) -> None:
    """Add a message that is no duplicate."""
    counts[MESSAGES] += 1
    counts[OVER_TCP] += 1 if row["transport"] == TCP else 0
    if row["flags"] & QR:
        counts[RESPONSES] += 1
        counts[TRUNCATED] += 1 if row["flags"] & TC else 0
        counts[RCODES + (np.int64(row["rcode"]) & 0xFFF)] += 1


@kernel
def mark_duplicates(
    rows: Any, keys: Any, times: Any, table: Any, exchanges: Any, counts: Any, original: Any
) -> None:
    """Set ``original[i]`` to the packet number row ``i`` repeats, or 0, and count the messages.

    ``keys``, ``times`` and ``table`` (of _SEEN), a power of two long, say what was seen; a key's
    place is one of a few that lie together, and the oldest there gives way. They and ``exchanges``
    (last answer time by query) are carried from window to window. Rows of one packet stand
    together; in ``counts`` (COUNTS long) a packet is repeated where all of its messages are.
    """
    last, fresh_last = np.int64(-1), np.int64(-1)
    for i in range(rows.shape[0]):
        if i + _AHEAD < rows.shape[0]:
            row = rows[i + _AHEAD]
            place = _first_place(keys, row)
            prefetch(keys, place)
            prefetch(times, place)
            prefetch(table, place)
            prefetch(exchanges, _exchange_slot(exchanges, row))
        row = rows[i]
        key = _copy_key(row)
        ask = _exchange_slot(exchanges, row)
        time = row["time"]
        packet = np.int64(row["packet_no"])
        if packet != last:
            counts[PACKETS_WITH_MESSAGES] += 1
            last = packet
        place, known = _place_of(keys, times, key, row)
        seen = table[place]
        if known:
            if row["flags"] & QR == 0:
                seen["answered"] = 1 if exchanges[ask] > times[place] else 0
            if _is_copy(row, seen, time - times[place]):
                original[i] = seen["packet_no"]
                continue
        original[i] = 0
        if packet != fresh_last:
            counts[PACKETS_NOT_REPEATED] += 1
            fresh_last = packet
        _count(row, counts)
        if row["flags"] & QR:
            exchanges[ask] = time
        keys[place] = key
        times[place] = time
        seen["packet_no"] = row["packet_no"]
        seen["link"] = row["link"]
        seen["ip_id"] = row["ip_id"]
        seen["server"] = row["server"]
        seen["interface"] = row["interface"]
        seen["hop_limit"] = row["hop_limit"]
        seen["answered"] = 0


@inline_kernel
def _exchange_hash(row: Any) -> Any:
    """Hash client address, port and message ID: what a query and its response share."""
    key = (np.uint64(row["client"]) << np.uint64(32)) | (
        np.uint64(row["client_port"]) << np.uint64(16)
    )
    key |= np.uint64(row["message_id"])
    key *= np.uint64(0x9E3779B97F4A7C15)
    return key ^ (key >> np.uint64(29))


@inline_kernel
def _exchange_slot(exchanges: Any, row: Any) -> Any:
    return np.int64(_exchange_hash(row) & np.uint64(exchanges.shape[0] - 1))


class DuplicateFilter:
    """Finds repeated packets across the windows of one analysis.

    ``counts`` (COUNTS long) says what was seen; of duplicates it counts packets, no messages.
    """

    def __init__(self, slots: int = 1 << 16) -> None:
        self.counts = np.zeros(COUNTS, np.int64)
        self._keys = np.zeros(slots, np.uint64)
        self._times = np.full(slots, np.iinfo(np.int64).min, np.int64)
        self._seen = np.zeros(slots, _SEEN)
        self._answers = np.full(slots, np.iinfo(np.int64).min, np.int64)

    def mark(self, rows: Messages) -> npt.NDArray[np.int64]:
        """Return, a row each, the number of the packet that it repeats, or 0."""
        original = np.empty(rows.size, np.int64)
        mark_duplicates(
            rows, self._keys, self._times, self._seen, self._answers, self.counts, original
        )
        return original


def count_translations(
    rows: npt.NDArray[np.void], original: npt.NDArray[np.int64]
) -> dict[tuple[int, int], int]:
    """Count repeated queries whose server differs: (server first seen, server then) -> packets.

    ``original`` holds the number of the packet that a row repeats, 0 for none. Packets repeated
    from an earlier window are not looked for.
    """
    again = np.flatnonzero(original)
    again = again[(rows["flags"][again] & QR) == 0]
    if not again.size:
        return {}
    at = np.minimum(np.searchsorted(rows["packet_no"], original[again]), rows.size - 1)
    before, after = rows["server"][at].astype(np.int64), rows["server"][again].astype(np.int64)
    differ = (rows["packet_no"][at] == original[again]) & (before != after)
    differ &= (before >= 0) & (after >= 0)
    pairs, counts = np.unique(before[differ] << 32 | after[differ], return_counts=True)
    counted = zip(pairs.tolist(), counts.tolist(), strict=True)
    return {(pair >> 32, pair & 0xFFFFFFFF): packets for pair, packets in counted}
