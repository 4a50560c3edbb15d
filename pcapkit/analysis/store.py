"""The exchanges of one analysis: packed in memory, or past a bound in a temporary file.

Exchanges are collected in the order of their packets and read client by client. They are packed
into *runs*, each ordered by client, so that neighbouring clients are one piece of every run. The
newest exchanges stay as they are while collecting, since their responses may still come.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from functools import partial
from typing import Any, BinaryIO, NamedTuple, cast
from weakref import finalize

import numpy as np
import numpy.typing as npt

from pcapkit.ahead import in_order
from pcapkit.analysis.packing import BATCH, PACKED_MOST, find_stretches, pack, unpack
from pcapkit.analysis.transactions import EXCHANGE, REMEMBERED, pair_window
from pcapkit.kernels import kernel
from pcapkit.layout import Messages

#: Exchanges that there is room for in memory.
IN_MEMORY = 2 * REMEMBERED
#: Exchanges that are read at once, unless a single client has more.
PART = 1 << 17
_RUN = 1 << 19  # exchanges that are written at once
_BUFFER = 1 << 20  # bytes
_LINKS = 1 << 14


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


def _words(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return rows as words, (rows, words): NumPy moves records field by field."""
    return rows.view(np.uint64).reshape(rows.size, -1)


def _put_in_time_order(mine: npt.NDArray[Any]) -> None:
    """Order one client's exchanges by time, then by packet."""
    words = _words(mine)
    words[:] = np.take(words, np.lexsort((mine["query_packet"], mine["query_time"])), axis=0)


class Piece(NamedTuple):
    """Exchanges of one client, in time order: all, or those of one period."""

    client: int
    begin: int
    size: int


class _Spill:
    """A temporary file; it has no name, and goes with the last that reads it."""

    def __init__(self) -> None:
        self.file = cast(BinaryIO, tempfile.TemporaryFile(prefix="pcapkit-"))  # noqa: SIM115
        finalize(self, self.file.close)
        self.size = 0

    def write(self, data: npt.NDArray[np.uint8]) -> None:
        """Write behind what is there."""
        self.file.write(memoryview(cast(Any, data)))
        self.file.flush()
        self.size += data.size

    def read(self, into: npt.NDArray[np.uint8], at: int) -> None:
        """Fill an array from a place in the file."""
        view = memoryview(cast(Any, into))
        while view:
            got = os.preadv(self.file.fileno(), [view], at)
            if not got:
                raise _cut_short()
            view, at = view[got:], at + got


def _cut_short() -> OSError:
    return OSError("the temporary file of the analysis is cut short")


class _Run:
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
        self._spill: _Spill | None = None
        self._offset = 0
        batch = np.zeros(BATCH + 1, EXCHANGE)
        packed: list[npt.NDArray[np.uint8]] = []
        done = used = written = 0
        while done < size:
            out = np.empty(_BUFFER, np.uint8)
            done, got, used = pack(
                _words(ring), first, order, done, batch, _words(batch), out, written,
                self.clients, self.ends[1:], used,
            )  # fmt: skip
            packed.append(out[:got])
            written += got
        self._fresh = packed
        self._packed = np.zeros(0, np.uint8)

    def keep(self) -> None:
        """Keep the bytes in memory."""
        self._packed = np.concatenate([self._packed, *self._fresh])
        self._fresh = []

    def write(self, spill: _Spill) -> None:
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

    def unpack(self, family: _Families, rows: npt.NDArray[Any]) -> None:
        """Put the exchanges of some clients behind those that are in ``rows`` already."""
        size = family.addresses.size
        clients, whose = np.empty(size, np.int32), np.empty(size, np.int32)
        begins, stops = np.empty(size, np.int64), np.empty(size, np.int64)
        reads = np.empty((size, 2), np.int64)
        found, pieces, total = find_stretches(
            self.clients, self.ends, family.addresses, family.whose, clients, whose, begins, stops,
            reads,
        )  # fmt: skip
        if not found:
            return
        packed = np.empty(total + PACKED_MOST, np.uint8)
        to = 0
        for begin, stop in reads[:pieces].tolist():
            self._read(packed[to : to + stop - begin], begin)
            to += stop - begin
        if not unpack(
            packed, begins[:found], stops[:found], clients, whose, family.begun, family.filled,
            family.late, np.zeros(1, EXCHANGE), rows,
        ):  # fmt: skip
            raise _cut_short()


def _spilled(ring: npt.NDArray[Any], first: int, size: int, spill: _Spill) -> _Run:
    run = _Run(ring, first, size)
    run.write(spill)
    return run


class _Families:
    """Clients that are read at once: their addresses, and where each has its exchanges."""

    def __init__(
        self, families: Sequence[tuple[int, ...]], sizes: npt.NDArray[np.int64]
    ) -> None:
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


class Store:
    """The exchanges of one analysis, collected window by window, then read client by client.

    Past three quarters of ``in_memory`` exchanges, all but the newest are packed into a temporary
    file, in a thread, while the last quarter fills; a response is paired with one of the last
    ``remembered`` queries.
    """

    def __init__(self, *, in_memory: int = IN_MEMORY, remembered: int = REMEMBERED) -> None:
        self._in_memory, self._remembered = in_memory, remembered
        # Rings: exchange n stands at n modulo their length. The system gives pages as they are
        # first written: what is not needed costs nothing.
        self._rows = np.empty(1 << (in_memory - 1).bit_length(), EXCHANGE)
        self._previous = np.empty(self._rows.size, np.int32)
        self._slots = np.full(1 << 18, -1, np.int32)
        self._base = 0  # number of the first exchange that is in no run, and none is made of
        self._held = 0  # of the first whose place in the rings is taken
        self._runs: list[_Run] = []
        self._spill: _Spill | None = None
        self._packing: Future[_Run] | None = None  # the exchanges before ``_base``
        self._links = np.zeros((_LINKS, 2), np.uint64)
        self._pairing = np.array([1, np.iinfo(np.int64).max, np.iinfo(np.int64).min], np.int64)
        self._joined: dict[int, tuple[int, ...]] = {}
        self._sizes = np.zeros(0, np.int64)  # by client, once all is packed
        self.count = 0

    def add(
        self, rows: Messages, original: npt.NDArray[np.int64], folded_of: npt.NDArray[np.int32],
        *, root: int, capture: int,
    ) -> None:  # fmt: skip
        """Pair one window's messages; ``original`` is non-zero where a row is a duplicate.

        ``root`` is the id of the root name.
        """
        used = self.count - self._base
        if used > self._remembered and used + rows.size > self._in_memory - self._in_memory // 4:
            self._pack_beside(min(_RUN, used - self._remembered))
        if self.count - self._held + rows.size > self._rows.size:
            self._take_packed()
        if (used := self.count - self._held + rows.size) > self._rows.size:
            self._grow(used)  # a window of text may be of any length
        self.count = int(
            pair_window(
                rows, original, folded_of, root, capture, self._slots, self._rows, self._previous,
                self.count, self._remembered, self._links, self._pairing,
            )
        )  # fmt: skip

    @property
    def first_time(self) -> int | None:
        """The time of the first exchange."""
        return int(self._pairing[1]) if self.count else None

    @property
    def last_time(self) -> int | None:
        """The time of the last message in a window that began an exchange."""
        return int(self._pairing[2]) if self.count else None

    def _grow(self, size: int) -> None:
        """Make the rings long enough for ``size`` exchanges."""
        numbers = np.arange(self._held, self.count)
        rows, previous = self._rows, self._previous
        self._rows = np.empty(1 << (size - 1).bit_length(), EXCHANGE)
        self._previous = np.empty(self._rows.size, np.int32)
        for new, old in ((self._rows, rows), (self._previous, previous)):
            new[numbers & (new.size - 1)] = old[numbers & (old.size - 1)]

    def _pack_beside(self, size: int) -> None:
        """Pack the oldest exchanges in a thread: they are older than what responses may change."""
        self._take_packed()
        self._spill = self._spill or _Spill()
        thread = ThreadPoolExecutor(1, thread_name_prefix="pcapkit-packing")
        self._packing = thread.submit(_spilled, self._rows, self._base, size, self._spill)
        thread.shutdown(wait=False)
        self._base += size

    def _take_packed(self) -> None:
        """Wait for the run that is being packed."""
        if self._packing is None:
            return
        run, self._packing = self._packing.result(), None
        self._runs.append(run)
        self._held = self._base

    def seal(self) -> None:
        """End collecting: what is in memory is packed, and goes where the rest is."""
        self._take_packed()
        pieces = range(self._base, self.count, _RUN)
        for run in in_order(
            partial(_Run, self._rows, first, min(_RUN, self.count - first)) for first in pieces
        ):
            if self._spill is None:
                run.keep()
            else:
                run.write(self._spill)
            self._runs.append(run)
        self._base = self._held = self.count
        self._sizes = np.zeros(max((r.sizes.size for r in self._runs), default=0), np.int64)
        for run in self._runs:
            self._sizes[: run.sizes.size] += run.sizes
        self._rows = np.zeros(0, EXCHANGE)
        self._previous = self._slots = np.zeros(0, np.int32)

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self._runs)

    def snapshot(self) -> Store:
        """Return a sealed copy of what was collected so far, of its own."""
        self._take_packed()
        new = copy(self)
        new._runs = list(self._runs)
        new._spill = None  # what is packed now stays in memory; the rest is read from where it is
        new._links, new._pairing = self._links.copy(), self._pairing.copy()
        new._joined = {}
        new.seal()
        return new

    @property
    def links(self) -> list[tuple[int, int]]:
        """The pairs (link addresses, client) of queries; none where there were too many."""
        if not self._pairing[0]:
            return []
        used = self._links[self._links[:, 1] > 0]
        return sorted((int(link), int(client) - 1) for link, client in used)

    def join(self, families: Mapping[int, int]) -> None:
        """Give the exchanges of some addresses to others, as ``families`` maps them."""
        for address, client in families.items():
            self._joined[client] = (*self._joined.get(client, (client,)), address)
            self._joined[address] = ()

    def clients(self) -> list[Piece]:
        """Return every client that has exchanges, in the order of their ids."""
        sizes = self._sizes.copy()
        for client, addresses in self._joined.items():
            sizes[client] = self._sizes[np.array(addresses, np.int64)].sum()
        present = np.flatnonzero((self._sizes > 0) & (sizes > 0))
        return [
            Piece(client, 0, size)
            for client, size in zip(present.tolist(), sizes[present].tolist(), strict=True)
        ]

    def read(self, pieces: Sequence[Piece]) -> npt.NDArray[Any]:
        """Return the exchanges of some clients, one behind the other, each in time order."""
        clients = list(dict.fromkeys(piece.client for piece in pieces))
        rows, bounds = self._of_clients(clients)
        if sum(piece.size for piece in pieces) == rows.size:
            return rows
        begins = dict(zip(clients, bounds.tolist(), strict=False))
        words = _words(rows)
        out = [
            words[begins[p.client] + p.begin : begins[p.client] + p.begin + p.size] for p in pieces
        ]
        return np.concatenate(out).reshape(-1).view(EXCHANGE)

    def _of_clients(
        self, clients: Sequence[int]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """Return all exchanges of some clients, and where those of each begin."""
        families = _Families([self._joined.get(c, (c,)) for c in clients], self._sizes)
        rows = np.empty(int(families.bounds[-1]), EXCHANGE)
        for run in self._runs:
            run.unpack(families, rows)
        if not (families.filled == families.bounds[1:]).all():
            raise _cut_short()
        for i in np.flatnonzero(families.late).tolist():
            _put_in_time_order(rows[families.bounds[i] : families.bounds[i + 1]])
        return rows, families.bounds


def parts(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Split clients into parts that are read at once."""
    part: list[Piece] = []
    size = 0
    for piece in pieces:
        if part and size + piece.size > PART:
            yield part
            part, size = [], 0
        part.append(piece)
        size += piece.size
    if part:
        yield part
