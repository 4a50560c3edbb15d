"""Exchanges in the order of their clients, packed, in memory or in a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcapkit.analysis.exchanges.packing import (
    BATCH,
    PACKED_MOST,
    Filling,
    Found,
    Ordered,
    PackScratch,
    Stretches,
    find_stretches,
    pack,
    unpack,
)
from pcapkit.kernels.jit import kernel
from pcapkit.schema import EXCHANGE, Bytes, Exchanges, Hashes, Ids, Int, Integers
from pcapkit.spool import Spill, cut_short

_BUFFER = 1 << 20  # bytes


def _ordered(ring: Exchanges, first: int, size: int) -> tuple[Integers, Ids]:
    """Return how many of some exchanges in a ring each client has, and their order by client."""
    sizes = np.zeros(1 << 10, np.int64)
    at, last = first, first + size
    while (at := int(_count_clients(ring, at, last, sizes))) < last:
        client = int(ring[at & (ring.size - 1)]["client"])
        sizes = np.concatenate([sizes, np.zeros(max(client + 1, sizes.size), np.int64)])
    order = np.empty(size, np.int32)
    _order_by_client(ring, first, np.cumsum(sizes) - sizes, order)
    return sizes, order


@kernel
def _order_by_client(rows: Exchanges, first: Int, starts: Integers, order: Ids) -> None:
    """Write numbers of exchanges client by client, order kept within one (a counting sort).

    Goes in: ``rows`` (EXCHANGE), a ring, a power of two long; ``starts`` (int64), where those of
    each client begin, which is used up. Comes out: ``order`` (int32), numbers that count from the
    exchange ``first`` on.
    """
    mask = np.int64(rows.shape[0] - 1)
    for i in range(order.shape[0]):
        client = rows[(first + i) & mask]["client"]
        order[starts[client]] = i
        starts[client] += 1


@kernel
def _count_clients(rows: Exchanges, first: Int, last: Int, sizes: Integers) -> Int:
    """Count exchanges, from number ``first`` to before ``last``, by client into ``sizes`` (int64).

    ``rows`` (EXCHANGE) is a ring, a power of two long. Returns the first exchange whose client is
    beyond ``sizes``, or ``last``.
    """
    mask = np.int64(rows.shape[0] - 1)
    for i in range(first, last):
        client = rows[i & mask]["client"]
        if client >= sizes.shape[0]:
            return i
        sizes[client] += 1
    return last


def row_words(rows: Exchanges) -> Hashes:
    """Return rows as words, (rows, words): NumPy moves records field by field."""
    return rows.view(np.uint64).reshape(rows.size, -1)


def put_in_time_order(mine: Exchanges) -> None:
    """Order one client's exchanges by time, then by packet."""
    words = row_words(mine)
    words[:] = np.take(words, np.lexsort((mine["query_packet"], mine["query_time"])), axis=0)


class Run:
    """Packed exchanges, ordered by client, to be kept in memory or written to a file.

    They are those of ``size`` in a ring from the number ``first`` on; ``sizes`` counts the
    exchanges of all clients.
    """

    def __init__(self, ring: Exchanges, first: int, size: int) -> None:
        self.sizes, order = _ordered(ring, first, size)
        ordered = Ordered(row_words(ring), first, order)
        clients = int(np.count_nonzero(self.sizes))
        self._stretches = Stretches(np.empty(clients, np.int32), np.zeros(clients + 1, np.int64))
        self._spill: Spill | None = None
        self._offset = 0
        batch = np.zeros(BATCH + 1, EXCHANGE)
        scratch = PackScratch(batch, row_words(batch))
        packed: list[Bytes] = []
        done: Int = 0
        used: Int = 0
        written: Int = 0
        while done < size:
            out = np.empty(_BUFFER, np.uint8)
            done, got, used = pack(ordered, done, scratch, out, written, self._stretches, used)
            packed.append(out[:got])
            written += got
        self._fresh = packed
        self._packed = np.zeros(0, np.uint8)

    def keep(self) -> None:
        """Keep the bytes in memory."""
        self._packed = np.concatenate([self._packed, *self._fresh])
        self._fresh = []

    def write(self, spill: Spill) -> None:
        """Move the bytes to a file."""
        self._spill, self._offset = spill, spill.size
        for some in self._fresh:
            spill.write(some)
        self._fresh = []

    def _read(self, into: Bytes, begin: int) -> None:
        if self._spill is None:
            into[:] = self._packed[begin : begin + into.size]
        else:
            self._spill.read(into, self._offset + begin)

    def unpack(self, families: Families, rows: Exchanges) -> None:
        """Put the exchanges of some clients behind those that are in ``rows`` already."""
        size = families.addresses.size
        found = Found(
            np.empty(size, np.int32),
            np.empty(size, np.int32),
            np.empty(size, np.int64),
            np.empty(size, np.int64),
        )
        reads = np.empty((size, 2), np.int64)
        count, pieces, total = find_stretches(
            self._stretches, families.addresses, families.owners, found, reads
        )
        if not count:
            return
        packed = np.empty(int(total) + PACKED_MOST, np.uint8)
        to = 0
        for begin, stop in reads[:pieces].tolist():
            self._read(packed[to : to + stop - begin], begin)
            to += stop - begin
        if not unpack(packed, found, count, families.filling, np.zeros(1, EXCHANGE), rows):
            raise cut_short()


def spilled(ring: Exchanges, first: int, size: int, spill: Spill) -> Run:
    """Pack ``size`` exchanges of a ring and write them to a file."""
    run = Run(ring, first, size)
    run.write(spill)
    return run


class Families:
    """Clients that are read at once: their addresses, and where each has its exchanges.

    A client may have several addresses, as a pod of a dual-stack cluster has.
    """

    def __init__(self, families: Sequence[tuple[int, ...]], sizes: Integers) -> None:
        addresses = np.array([a for members in families for a in members], np.int32)
        counts = np.array([len(members) for members in families], np.int64)
        owners = np.repeat(np.arange(counts.size, dtype=np.int32), counts)
        each = np.bincount(owners, sizes[addresses], counts.size).astype(np.int64)
        order = np.argsort(addresses)
        self.addresses, self.owners = addresses[order], owners[order]
        self.bounds = np.concatenate([[0], np.cumsum(each)]).astype(np.int64)
        self.filling = Filling(
            self.bounds[:-1],
            self.bounds[:-1].copy(),
            (counts > 1).astype(np.uint8),  # those of several addresses come address by address
        )
