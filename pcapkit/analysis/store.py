"""The exchanges of one analysis: in memory, or past a bound in a temporary file.

Exchanges are collected in the order of their packets and read client by client. What outgrows
memory is written in *runs*, each ordered by client, so that one client's exchanges are one piece of
every run. The newest exchanges always stay in memory, since their responses may still come.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, BinaryIO, NamedTuple, cast
from weakref import finalize

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.transactions import EXCHANGE, REMEMBERED, pair_window
from pcapkit.kernels import kernel
from pcapkit.layout import Messages

#: Exchanges that are kept in memory before a run is written.
IN_MEMORY = REMEMBERED + (1 << 20)
#: Exchanges that are read at once, unless a single client has more.
PART = 1 << 17
_LINKS = 1 << 14


@kernel
def order_by_client(rows: Any, starts: Any, order: Any) -> None:
    """Write the row numbers client by client, order kept within one (a counting sort).

    ``starts[c]`` is where the rows of client ``c`` begin; it is used up.
    """
    for i in range(rows.shape[0]):
        client = rows[i]["client"]
        order[starts[client]] = i
        starts[client] += 1


@kernel
def in_time_order(rows: Any) -> Any:
    """Does no exchange come before the one that precedes it?"""
    for i in range(1, rows.shape[0]):
        if rows[i]["query_time"] < rows[i - 1]["query_time"]:
            return False
    return True


@kernel
def note_links(rows: Any, table: Any) -> Any:
    """Add the pairs (link addresses, client) of queries to a set; False once it is full.

    ``table`` holds [link, client + 1] rows, a power of two many; a client of 0 is free.
    """
    mask = np.uint64(table.shape[0] - 1)
    last_link, last_client = np.uint64(0), np.int64(-1)
    for i in range(rows.shape[0]):
        link = rows[i]["link"]
        client = np.int64(rows[i]["client"])
        if link == 0 or rows[i]["query_packet"] < 0:
            continue
        if link == last_link and client == last_client:
            continue
        last_link, last_client = link, client
        h = (link ^ np.uint64(client)) * np.uint64(0x9E3779B97F4A7C15)
        slot = h >> np.uint64(32)
        free = False
        for probe in range(64):
            at = np.int64((slot + np.uint64(probe)) & mask)
            if table[at, 1] == 0:
                table[at, 0] = link
                table[at, 1] = np.uint64(client + 1)
                free = True
                break
            if table[at, 0] == link and table[at, 1] == np.uint64(client + 1):
                free = True
                break
        if not free:
            return False
    return True


def _in_order(rows: npt.NDArray[Any], order: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    """Return rows in another order (as words: NumPy moves records field by field)."""
    words = rows.view(np.uint64).reshape(rows.size, -1)
    return np.take(words, order, axis=0).view(rows.dtype).reshape(order.size)


class Piece(NamedTuple):
    """Exchanges of one client, in time order: all, or those of one period."""

    client: int
    begin: int
    size: int


class _Spill:
    """The temporary file; it has no name, and goes with the last that reads it."""

    def __init__(self) -> None:
        self.file = cast(BinaryIO, tempfile.TemporaryFile(prefix="pcapkit-"))  # noqa: SIM115
        finalize(self, self.file.close)


class _Run:
    """Exchanges ordered by client; ``bounds[c]`` is where those of client ``c`` begin."""

    def __init__(self, rows: npt.NDArray[Any], spill: _Spill | None) -> None:
        sizes = np.bincount(rows["client"])
        self.bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        order = np.empty(rows.size, np.int32)
        order_by_client(rows, self.bounds[:-1].copy(), order)
        self._spill, self._offset = spill, 0
        self.rows: npt.NDArray[Any] | None = None  # all of them, where they are in memory
        if spill is None:
            self.rows = _in_order(rows, order)
            return
        file = spill.file
        self._offset = file.seek(0, os.SEEK_END)
        for begin in range(0, rows.size, PART):  # in pieces: a sorted copy would double memory
            piece = _in_order(rows, order[begin : begin + PART])
            file.write(memoryview(cast(Any, piece.view(np.uint8))))
        file.flush()

    def count(self, client: int) -> int:
        """Return how many exchanges of a client there are."""
        if client + 1 >= self.bounds.size:
            return 0
        return int(self.bounds[client + 1] - self.bounds[client])

    def read(self, client: int, into: npt.NDArray[Any]) -> None:
        """Fill ``into`` with a client's exchanges, in the order in which they were collected."""
        begin = int(self.bounds[client])
        if self._spill is None:
            assert self.rows is not None
            into[:] = self.rows[begin : begin + into.size]
            return
        view = memoryview(cast(Any, into.view(np.uint8)))
        at = self._offset + begin * EXCHANGE.itemsize
        while view:
            got = os.preadv(self._spill.file.fileno(), [view], at)
            if not got:
                raise OSError("the temporary file of the analysis is cut short")
            view, at = view[got:], at + got


class Store:
    """The exchanges of one analysis, collected window by window, then read client by client.

    Past ``in_memory`` exchanges, all but the newest are written to a temporary file; a response is
    paired with one of the last ``remembered`` queries.
    """

    def __init__(self, *, in_memory: int = IN_MEMORY, remembered: int = REMEMBERED) -> None:
        self._in_memory, self._remembered = max(in_memory, remembered + 1), remembered
        # The system gives pages as they are first written: what is not needed costs nothing.
        self._rows = np.empty(self._in_memory + (1 << 18), EXCHANGE)
        self._slots = np.full(1 << 18, -1, np.int32)
        self._base = 0  # number of the first exchange in memory
        self._spill: _Spill | None = None
        self._runs: list[_Run] = []
        self._links = np.zeros((_LINKS, 2), np.uint64)
        self._links_fit = True
        self._joined: dict[int, tuple[int, ...]] = {}
        self.count = 0
        self.first_time: int | None = None
        self.last_time: int | None = None

    def add(
        self, rows: Messages, original: npt.NDArray[np.int64], folded_of: npt.NDArray[np.int32],
        *, root: int, capture: int,
    ) -> None:  # fmt: skip
        """Pair one window's messages; ``original`` is non-zero where a row is a duplicate.

        ``root`` is the id of the root name.
        """
        used = self.count - self._base
        if used > self._in_memory:
            self._write_run()
            used = self.count - self._base
        if used + rows.size > self._rows.size:  # a window of text may be of any length
            more = np.empty(used + rows.size, EXCHANGE)
            more[:used] = self._rows[:used]
            self._rows = more
        before = self.count
        self.count = int(
            pair_window(
                rows, original, folded_of, root, capture, self._slots, self._rows, self._base,
                self.count, self._remembered,
            )
        )  # fmt: skip
        new = self._rows[before - self._base : self.count - self._base]
        if not new.size:
            return
        self._links_fit = self._links_fit and bool(note_links(new, self._links))
        first, last = int(new["query_time"].min()), int(rows["time"].max())
        self.first_time = first if self.first_time is None else min(first, self.first_time)
        self.last_time = last if self.last_time is None else max(last, self.last_time)

    def _write_run(self) -> None:
        """Move all but the newest exchanges to the temporary file."""
        done = self.count - self._base - self._remembered
        if self._spill is None:
            self._spill = _Spill()
        self._runs.append(_Run(self._rows[:done], self._spill))
        kept = self._rows[done : self.count - self._base].copy()
        self._rows[: kept.size] = kept
        self._base += done

    def seal(self) -> None:
        """End collecting: what is in memory becomes the last run."""
        if self.count > self._base:
            self._runs.append(_Run(self._rows[: self.count - self._base], None))
        self._base = self.count
        self._rows = np.zeros(0, EXCHANGE)

    @property
    def runs(self) -> int:
        """How many runs there are: more than one where some were written to a file."""
        return len(self._runs)

    def snapshot(self) -> Store:
        """Return a sealed copy of what was collected so far, of its own."""
        new = copy(self)
        new._runs = list(self._runs)
        new._rows = self._rows[: self.count - self._base].copy()
        new._joined = {}
        new.seal()
        return new

    @property
    def links(self) -> list[tuple[int, int]]:
        """The pairs (link addresses, client) of queries; none where there were too many."""
        if not self._links_fit:
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
        total = np.zeros(max((r.bounds.size - 1 for r in self._runs), default=0), np.int64)
        for run in self._runs:
            total[: run.bounds.size - 1] += np.diff(run.bounds)
        out = []
        for client in np.flatnonzero(total).tolist():
            if size := sum(int(total[c]) for c in self._joined.get(client, (client,))):
                out.append(Piece(client, 0, size))
        return out

    def read(self, pieces: Sequence[Piece]) -> npt.NDArray[Any]:
        """Return the exchanges of some clients, one behind the other, each in time order."""
        if (lying := self._as_they_lie(pieces)) is not None:
            return lying
        rows = np.empty(sum(p.size for p in pieces), EXCHANGE)
        end = 0
        for piece in pieces:
            mine = rows[end : end + piece.size]
            end += piece.size
            mine[:] = self._of_client(piece.client)[piece.begin : piece.begin + piece.size]
        return rows

    def _as_they_lie(self, pieces: Sequence[Piece]) -> npt.NDArray[Any] | None:
        """Return clients that stand behind one another in memory, in order, without a copy."""
        run = self._runs[0] if len(self._runs) == 1 else None
        if run is None or run.rows is None or not pieces or self._joined:
            return None
        begin = at = int(run.bounds[pieces[0].client]) + pieces[0].begin
        for piece in pieces:
            if int(run.bounds[piece.client]) + piece.begin != at:
                return None
            at += piece.size
            if not in_time_order(run.rows[at - piece.size : at]):
                return None
        return run.rows[begin:at]

    def _of_client(self, client: int) -> npt.NDArray[Any]:
        addresses = self._joined.get(client, (client,))
        mine = np.empty(sum(r.count(a) for r in self._runs for a in addresses), EXCHANGE)
        at = 0
        for run in self._runs:
            for address in addresses:
                if n := run.count(address):
                    run.read(address, mine[at : at + n])
                    at += n
        if not in_time_order(mine):
            mine[:] = mine[np.lexsort((mine["query_packet"], mine["query_time"]))]
        return mine


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
