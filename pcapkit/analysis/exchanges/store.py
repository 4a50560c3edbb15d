"""The exchanges of one analysis: packed in memory, or past a bound in a temporary file.

Exchanges are collected in the order of their packets and read client by client. They are packed
into *runs*, each ordered by client, so that neighbouring clients are one piece of every run. The
newest exchanges stay as they are while collecting, since their responses may still come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from functools import partial
from typing import NamedTuple

import numpy as np

from pcapkit.analysis.exchanges.owners import with_owners
from pcapkit.analysis.exchanges.pairing import (
    EARLIEST,
    LATEST,
    LINKS_WHOLE,
    REMEMBERED,
    WITH_OWNERS,
    Pairing,
    pair_window,
)
from pcapkit.analysis.exchanges.runs import Families, Run, put_in_time_order, row_words, spilled
from pcapkit.concurrency import in_order
from pcapkit.schema import ABSENT, EXCHANGE, Exchanges, Ids, Integers, Messages
from pcapkit.spool import Spill, cut_short

#: Exchanges that are kept in memory as they are, at most.
IN_MEMORY = 2 * REMEMBERED
#: Exchanges that are read at once, unless a single client has more.
PART = 1 << 17
_RUN = 1 << 19  # exchanges that are written at once
_SLOTS = 1 << 18  # of pairing
_LINKS = 1 << 14


class Piece(NamedTuple):
    """Exchanges of one client, in time order: all, or those of one period."""

    client: int
    begin: int
    size: int


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
        size = 1 << (in_memory - 1).bit_length()
        times = np.iinfo(np.int64)
        self._pairing = Pairing(
            np.empty(size, EXCHANGE),
            np.empty(size, np.int32),
            np.full(_SLOTS, ABSENT, np.int32),
            np.empty(size, np.int32),
            np.zeros((_LINKS, 2), np.uint64),
            np.array([True, times.max, times.min, False], np.int64),
        )
        self._base = 0  # number of the first exchange that is in no run, and none is made of
        self._held = 0  # of the first that still stands in the rings
        self._runs: list[Run] = []
        self._spill: Spill | None = None
        self._packing: Future[Run] | None = None  # the exchanges before ``_base``
        self._joined: dict[int, tuple[int, ...]] = {}
        self._sizes = np.zeros(0, np.int64)  # by client, once all is packed
        self.count = 0

    def add(self, rows: Messages, original: Integers, folded_of: Ids, *, capture: int) -> None:
        """Pair one window's messages; ``original`` is non-zero where a row is a duplicate."""
        used = self.count - self._base
        if used > self._remembered and used + rows.size > self._in_memory - self._in_memory // 4:
            self._pack_beside(min(_RUN, used - self._remembered))
        if self.count - self._held + rows.size > self._ring.size:
            self._take_packed()
        if (used := self.count - self._held + rows.size) > self._ring.size:
            self._grow(used)  # a window of text may be of any length
        self.count = int(
            pair_window(
                rows, original, folded_of, capture, self._pairing, self.count, self._remembered
            )
        )

    @property
    def _ring(self) -> Exchanges:
        return self._pairing.exchanges

    @property
    def first_time(self) -> int | None:
        """The time of the first exchange."""
        return int(self._pairing.state[EARLIEST]) if self.count else None

    @property
    def last_time(self) -> int | None:
        """The time of the last message."""
        return int(self._pairing.state[LATEST]) if self.count else None

    def _grow(self, size: int) -> None:
        """Make the rings long enough for ``size`` exchanges."""
        numbers = np.arange(self._held, self.count)
        longer = 1 << (size - 1).bit_length()
        shorter = self._pairing
        self._pairing = shorter._replace(
            exchanges=np.empty(longer, EXCHANGE),
            previous=np.empty(longer, np.int32),
            owners=np.empty(longer, np.int32),
        )
        to, source = numbers & (longer - 1), numbers & (shorter.exchanges.size - 1)
        self._pairing.exchanges[to] = shorter.exchanges[source]
        self._pairing.previous[to] = shorter.previous[source]
        if shorter.state[WITH_OWNERS]:
            self._pairing.owners[to] = shorter.owners[source]

    def _pack_beside(self, size: int) -> None:
        """Pack the oldest exchanges in a thread: they are older than what responses may change."""
        self._take_packed()
        self._spill = self._spill or Spill()
        thread = ThreadPoolExecutor(1, thread_name_prefix="pcapkit-packing")
        self._packing = thread.submit(spilled, *self._owned(self._base, size), size, self._spill)
        thread.shutdown(wait=False)
        self._base += size

    def _owned(self, first: int, size: int) -> tuple[Exchanges, int]:
        """Return a ring with ``size`` exchanges of their containers, and the number of the first.

        That is the ring itself where none is named. Pairing goes on in it by address.
        """
        pairing = self._pairing
        if not pairing.state[WITH_OWNERS]:
            return self._ring, first
        return with_owners(self._ring, pairing.owners, first, size), 0

    def _run(self, first: int, size: int) -> Run:
        ring, at = self._owned(first, size)
        return Run(ring, at, size)

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
            partial(self._run, first, min(_RUN, self.count - first)) for first in pieces
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
        nothing = np.zeros(0, np.int32)
        self._pairing = self._pairing._replace(
            exchanges=np.zeros(0, EXCHANGE), previous=nothing, slots=nothing, owners=nothing
        )

    def snapshot(self) -> Store:
        """Return a sealed copy of what was collected so far, of its own."""
        self._take_packed()
        new = copy(self)
        new._runs = list(self._runs)
        new._spill = None  # what is packed now stays in memory; the rest is read from where it is
        new._pairing = self._pairing._replace(
            links=self._pairing.links.copy(), state=self._pairing.state.copy()
        )
        new._joined = {}
        new.seal()
        return new

    @property
    def links(self) -> list[tuple[int, int]]:
        """The pairs (link addresses, client) of queries; none where there were too many."""
        links = self._pairing.links
        if not self._pairing.state[LINKS_WHOLE]:
            return []
        used = links[links[:, 1] > 0]
        return sorted((int(link), int(client) - 1) for link, client in used)

    def join(self, families: Mapping[int, int]) -> None:
        """Give the exchanges of some clients to others, as ``families`` maps them.

        What they are given to may be a number that no client has.
        """
        for address, client in families.items():
            self._joined[client] = (*self._joined.get(client, (client,)), address)
            self._joined[address] = ()
        size = max(families.values(), default=0) + 1
        if size > self._sizes.size:
            self._sizes = np.append(self._sizes, np.zeros(size - self._sizes.size, np.int64))

    def clients(self) -> list[Piece]:
        """Return every client that has exchanges, in the order of their ids."""
        sizes = self._sizes.copy()
        for client, addresses in self._joined.items():
            sizes[client] = self._sizes[np.array(addresses, np.int64)].sum()
        present = np.flatnonzero(sizes > 0)
        return [
            Piece(client, 0, size)
            for client, size in zip(present.tolist(), sizes[present].tolist(), strict=True)
        ]

    def read(self, pieces: Sequence[Piece]) -> Exchanges:
        """Return the exchanges of some clients, one behind the other, each in time order."""
        clients = list(dict.fromkeys(piece.client for piece in pieces))
        rows, bounds = self._of_clients(clients)
        if sum(piece.size for piece in pieces) == rows.size:
            return rows
        begins = dict(zip(clients, bounds.tolist(), strict=False))
        words = row_words(rows)
        firsts = [begins[piece.client] + piece.begin for piece in pieces]
        out = [words[at : at + piece.size] for at, piece in zip(firsts, pieces, strict=True)]
        return np.concatenate(out).reshape(-1).view(EXCHANGE)

    def _of_clients(self, clients: Sequence[int]) -> tuple[Exchanges, Integers]:
        """Return all exchanges of some clients, and where those of each begin."""
        families = Families([self._joined.get(c, (c,)) for c in clients], self._sizes)
        rows = np.empty(int(families.bounds[-1]), EXCHANGE)
        for run in self._runs:
            run.unpack(families, rows)
        if not (families.filling.nexts == families.bounds[1:]).all():
            raise cut_short()
        for i in np.flatnonzero(families.filling.late).tolist():
            put_in_time_order(rows[families.bounds[i] : families.bounds[i + 1]])
        for i, client in enumerate(clients):
            if client in self._joined:
                rows["client"][families.bounds[i] : families.bounds[i + 1]] = client
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
