"""Exchanges in the order of their clients, packed, in memory or in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.exchanges.packing import BATCH, PACKED_MOST, find_stretches, pack, unpack
from pcapkit.kernels.jit import kernel
from pcapkit.schema import EXCHANGE
from pcapkit.spool import Spill, cut_short

_BUFFER = 1 << 20  # bytes


def _ordered(
    ring: npt.NDArray[Any], first: int, size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return how many of some exchanges in a ring each client has, and their order by client."""
    sizes = np.zeros(1 << 10, np.int64)
    at, last = first, first + size
    while (at := int(_count_clients(ring, at, last, sizes))) < last:
        client = int(ring[at & (ring.size - 1)]["client"])
        sizes = np.concatenate([sizes, np.zeros(max(client + 1, sizes.size), np.int64)])
    order = np.empty(size, np.int32)
    order_by_client(ring, first, np.cumsum(sizes) - sizes, order)
    return sizes, order


@kernel
def order_by_client(rows: Any, first: Any, starts: Any, order: Any) -> None:
    """Write numbers of exchanges client by client, order kept within one (a counting sort).

    ``rows`` is a ring, a power of two long; the numbers count from the exchange ``first`` on.
    ``starts[c]`` is where those of client ``c`` begin; it is used up.
    """
    mask = np.int64(rows.shape[0] - 1)
    for i in range(order.shape[0]):
        client = rows[(first + i) & mask]["client"]
        order[starts[client]] = i
        starts[client] += 1


@kernel
def _count_clients(rows: Any, first: Any, last: Any, sizes: Any) -> Any:
    """Count the exchanges of each client; return the first one that is beyond ``sizes``."""
    mask = np.int64(rows.shape[0] - 1)
    for i in range(first, last):
        client = rows[i & mask]["client"]
        if client >= sizes.shape[0]:
            return i
        sizes[client] += 1
    return last


def row_words(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return rows as words, (rows, words): NumPy moves records field by field."""
    return rows.view(np.uint64).reshape(rows.size, -1)


def put_in_time_order(mine: npt.NDArray[Any]) -> None:
    """Order one client's exchanges by time, then by packet."""
    words = row_words(mine)
    words[:] = np.take(words, np.lexsort((mine["query_packet"], mine["query_time"])), axis=0)


class Run:
    """Packed exchanges, ordered by client, to be kept in memory or written to a file.

    They are those of ``size`` in a ring from the number ``first`` on. ``clients`` are those in it,
    ``sizes`` counts the exchanges of all clients, and ``ends`` is where the bytes of each of
    ``clients`` end, after a 0.
    """

    def __init__(self, ring: npt.NDArray[Any], first: int, size: int) -> None:
        self.sizes, order = _ordered(ring, first, size)
        clients = int(np.count_nonzero(self.sizes))
        self.clients = np.empty(clients, np.int32)
        self.ends = np.zeros(clients + 1, np.int64)
        self._spill: Spill | None = None
        self._offset = 0
        batch = np.zeros(BATCH + 1, EXCHANGE)
        packed: list[npt.NDArray[np.uint8]] = []
        done = used = written = 0
        while done < size:
            out = np.empty(_BUFFER, np.uint8)
            done, got, used = pack(
                row_words(ring),
                first,
                order,
                done,
                batch,
                row_words(batch),
                out,
                written,
                self.clients,
                self.ends[1:],
                used,
            )
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

    def _read(self, into: npt.NDArray[np.uint8], begin: int) -> None:
        if self._spill is None:
            into[:] = self._packed[begin : begin + into.size]
        else:
            self._spill.read(into, self._offset + begin)

    def unpack(self, family: Families, rows: npt.NDArray[Any]) -> None:
        """Put the exchanges of some clients behind those that are in ``rows`` already."""
        size = family.addresses.size
        clients, whose = np.empty(size, np.int32), np.empty(size, np.int32)
        begins, stops = np.empty(size, np.int64), np.empty(size, np.int64)
        reads = np.empty((size, 2), np.int64)
        found, pieces, total = find_stretches(
            self.clients,
            self.ends,
            family.addresses,
            family.whose,
            clients,
            whose,
            begins,
            stops,
            reads,
        )
        if not found:
            return
        packed = np.empty(total + PACKED_MOST, np.uint8)
        to = 0
        for begin, stop in reads[:pieces].tolist():
            self._read(packed[to : to + stop - begin], begin)
            to += stop - begin
        if not unpack(
            packed,
            begins[:found],
            stops[:found],
            clients,
            whose,
            family.begun,
            family.filled,
            family.late,
            np.zeros(1, EXCHANGE),
            rows,
        ):
            raise cut_short()


def spilled(ring: npt.NDArray[Any], first: int, size: int, spill: Spill) -> Run:
    """Pack ``size`` exchanges of a ring and write them to a file."""
    run = Run(ring, first, size)
    run.write(spill)
    return run


class Families:
    """Clients that are read at once: their addresses, and where each has its exchanges."""

    def __init__(self, families: Sequence[tuple[int, ...]], sizes: npt.NDArray[np.int64]) -> None:
        addresses = np.array([a for members in families for a in members], np.int32)
        counts = np.array([len(members) for members in families], np.int64)
        whose = np.repeat(np.arange(counts.size, dtype=np.int32), counts)
        each = np.bincount(whose, sizes[addresses], counts.size).astype(np.int64)
        order = np.argsort(addresses)
        self.addresses, self.whose = addresses[order], whose[order]
        self.bounds = np.concatenate([[0], np.cumsum(each)]).astype(np.int64)
        self.begun, self.filled = self.bounds[:-1], self.bounds[:-1].copy()
        #: those of several addresses come address by address
        self.late = (counts > 1).astype(np.uint8)
