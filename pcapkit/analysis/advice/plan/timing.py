"""How long lookups take and what is sent within one second, after each step of a plan.

A lookup changes its state at the steps that touch it: each change moves it from one bin of times to
another, and takes queries from the second in which it began. So one pass over lookups gives all
steps of several plans, each as a difference to the one before it.

Packets that leave the cluster are counted by their sender: the server that forwards a question, or
the client where it asks a server outside by itself. They are queries, first transmissions; what a
server keeps in its cache would be fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.advice.plan.changes import Change
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import Lookups, Table
from pcapkit.analysis.time_bins import TIME_BINS, time_of_bin
from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.analysis.whatif.settings import IN_FORCE
from pcapkit.analysis.whatif.sums import (
    NOW,
    PLANNED_LOOKUP,
    REORDERED,
    SHORTER,
    SHORTER_REORDERED,
    WRITTEN,
)
from pcapkit.analysis.whatif.verdicts import WhatIfResult
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.model.plans import Outside
from pcapkit.schema import ABSENT, Ids, Int, Integers, Row, Rows, put_rows, take_rows

_P95 = 0.95
#: Lookups that are read at once, those of subjects that are brought together at once, and cells of
#: differences that are kept at once.
_PIECE, _GATHERED, _CELLS = 1 << 16, 1 << 20, 1 << 23
#: Seconds that may lie between two lookups of a subject, on average, for all to be counted.
_SPARSE = 4
#: So many senders are shown, those that send most.
_SENDERS = 3
#: Columns of what is sent, and the first lanes of seconds; those of senders stand behind them.
_QUERIES, _UPSTREAM = 0, 1
_LANES = 2
_BINS = ("now", "reordered", "written", "shorter", "shorter_reordered")
#: Columns of the steps at which a row gets another order, a shorter list, is written in full.
_ORDER, _LIST, _NAME = range(3)


#: The steps of a plan: changes that are made at once.
Steps = Sequence[Sequence[Change]]


class Timing(NamedTuple):
    """What only the times of lookups say, after a step; None where it is not known."""

    p95_s: float | None = None
    peak_queries_per_s: int | None = None
    peak_upstream_per_s: int | None = None
    outside: tuple[Outside, ...] = ()


class _States(NamedTuple):
    """What a kernel adds lookups to: some states one after the other, as differences.

    Each plan has one state before any step, and one after each.
    """

    times: Ids  # (states, bins): lookups
    seconds: Ids  # (lanes, states, seconds): queries, upstream ones, packets of each sender
    begins: Integers  # number of the first state of each plan, and how many there are in all
    first: Int  # number of the first of these states
    first_bin: Int
    first_second: Int


@inline_kernel
def _move(
    state: Int, bins: tuple[Int, Int], second: Int, more: tuple[Int, Int], lane: Int, out: _States
) -> None:
    """Move a lookup that began in ``second`` from one of two ``bins`` to the other in a ``state``.

    A bin below 0 is none. It sends so many ``more`` queries and upstream ones. ``lane`` is that of
    the sender of packets to outside: below 0 where these are all queries, 0 where nobody counts
    them. ``out`` gets the difference.
    """
    at = state - out.first
    if not 0 <= at < out.times.shape[0]:
        return
    for k in range(2):
        place = bins[k] - out.first_bin
        if 0 <= place < out.times.shape[1]:
            out.times[at, place] += 2 * k - 1
    place = second - out.first_second
    if 0 <= place < out.seconds.shape[2]:
        out.seconds[_QUERIES, at, place] += more[_QUERIES]
        out.seconds[_UPSTREAM, at, place] += more[_UPSTREAM]
        sender = max(np.int64(lane), -np.int64(lane))
        if _UPSTREAM < sender < out.seconds.shape[0]:
            out.seconds[sender, at, place] += more[_QUERIES] if lane < 0 else more[_UPSTREAM]


class _Made(NamedTuple):
    """At which step each change of some plans is made; ABSENT: never."""

    names: Ids  # by plan and pair: it is written in full
    orders: Ids  # by plan and subject: it gets ``ndots``
    ndots: Ids  # by plan and subject
    lists: Ids  # by plan and subject: its list gets shorter
    subjects: Integers  # of pairs
    sent: Ids  # (groups, states, 2): queries and upstream ones of one lookup


@inline_kernel
def _add_lookup(
    lookup: Row, lane: Int, lookups: Lookups, made: _Made, p: Int, out: _States
) -> None:
    """Add a lookup to the states of plan ``p``; see ``_add_lookups``."""
    begin, second = out.begins[p], lookup["second"]
    at: Int = np.int64(lookup["now"])
    _move(begin, (-1, at), second, (lookup["queries"], lookup["upstream"]), lane, out)
    if not 0 <= lookup["row"] < lookups.rows.shape[0]:
        return
    pair = lookups.pairs[lookup["row"]]
    if pair < 0:
        return
    number = lookups.rows[lookup["row"]]["group"]
    subject, sent = made.subjects[pair], made.sent[number]
    of_name, of_list = made.names[p, pair], made.lists[p, subject]
    of_order = made.orders[p, subject]
    if of_order >= 0:
        if not (lookups.groups[number]["reordered_at"] >> made.ndots[p, subject]) & 1:
            of_order = np.int32(ABSENT)
    if of_name >= 0:  # then nothing later matters
        if of_name <= of_order:
            of_order = np.int32(ABSENT)
        if of_name <= of_list:
            of_list = np.int32(ABSENT)
    state: Int = np.int64(NOW)
    first = _LIST if of_list >= 0 and (of_order < 0 or of_list < of_order) else _ORDER
    for n in range(3):
        what = _NAME
        if n < 2:
            what = first if n == 0 else _ORDER + _LIST - first
        step = of_order if what == _ORDER else of_list if what == _LIST else of_name
        if step < 0:
            continue
        to: Int = np.int64(WRITTEN)
        end: Int = np.int64(lookup["written"])
        if n == 1 and of_order >= 0 and of_list >= 0:
            to, end = np.int64(SHORTER_REORDERED), np.int64(lookup["shorter_reordered"])
        elif what == _ORDER:
            to, end = np.int64(REORDERED), np.int64(lookup["reordered"])
        elif what == _LIST:
            to, end = np.int64(SHORTER), np.int64(lookup["shorter"])
        more = (
            sent[to, _QUERIES] - sent[state, _QUERIES],
            sent[to, _UPSTREAM] - sent[state, _UPSTREAM],
        )
        _move(begin + step + 1, (at, end), second, more, lane, out)
        state, at = to, end


@kernel
def _add_lookups(timed: Rows, lanes: Ids, lookups: Lookups, made: _Made, out: _States) -> None:
    """Add ``timed`` (PLANNED_LOOKUP) to ``out``, as differences from state to state.

    ``lanes`` are those of their senders, see ``_move``; ``lookups`` are those of which some state
    sends anything else than another, ``made`` what plans do.
    """
    last = out.first + out.times.shape[0]
    for k in range(timed.shape[0]):
        for p in range(made.names.shape[0]):
            if out.begins[p] < last and out.begins[p + 1] > out.first:
                _add_lookup(timed[k], lanes[k], lookups, made, p, out)


class _Sums(NamedTuple):
    """What lookups come to in one state, and what a kernel says of each."""

    times: Integers  # (bins): lookups
    seconds: Integers  # (lanes, seconds)
    p95s: Integers  # (states): the bin of this quantile, ABSENT where there are no lookups
    peaks: Integers  # (states, lanes): the most of one second
    totals: Integers  # (states, lanes)


@kernel
def _add_states(added: _States, sums: _Sums) -> None:
    """Go from state to state, as ``added`` says: ``sums`` get each in turn, and what it comes to.

    They hold the state before the first of these; each plan begins with nothing.
    """
    for n in range(added.times.shape[0]):
        for p in range(added.begins.shape[0]):
            if added.begins[p] == added.first + n:
                sums.times[:] = 0
                sums.seconds[:, :] = 0
        total = np.int64(0)
        for place in range(sums.times.shape[0]):
            sums.times[place] += added.times[n, place]
            total += sums.times[place]
        sums.p95s[n] = ABSENT
        if total > 0:
            left = min(np.int64(_P95 * total), total - 1)
            place = 0
            while place < sums.times.shape[0] - 1 and sums.times[place] <= left:
                left -= sums.times[place]
                place += 1
            sums.p95s[n] = added.first_bin + place
        for lane in range(sums.seconds.shape[0]):
            most, total = np.int64(0), np.int64(0)
            for place in range(sums.seconds.shape[1]):
                value = sums.seconds[lane, place] + added.seconds[lane, n, place]
                sums.seconds[lane, place] = value
                most = max(most, value)
                total += value
            sums.peaks[n, lane], sums.totals[n, lane] = most, total


@dataclass(frozen=True, slots=True)
class _Span:
    """Lookups whose steps are timed, and where their times and seconds lie."""

    pieces: Callable[[], Iterator[Rows]]  # PLANNED_LOOKUP
    bins: tuple[int, int]
    seconds: tuple[int, int] | None  # None: too many to count


class Timings:
    """Times the steps of plans; subjects must be asked for in ascending order."""

    def __init__(
        self,
        result: WhatIfResult,
        table: Table,
        subjects: Sequence[Subject],
        outside: Collection[str],
    ) -> None:
        """``outside`` are addresses of servers outside the cluster that clients ask themselves."""
        self._result, self._table = result, table
        self._subject_of = np.full(len(result.clients), ABSENT, np.int64)
        for number, subject in enumerate(subjects):
            self._subject_of[subject.everyone] = number
        self._counts = np.zeros(len(subjects), np.int64)
        self._gathered: tuple[int, int] = 0, 0  # subjects
        self._lookups: Rows = np.zeros(0, PLANNED_LOOKUP)  # of these, subject by subject
        self._bounds: Matrix = np.zeros(1, np.int64)
        self._sent = np.zeros((0, 0, 0), np.int32)
        self._senders: tuple[str | None, ...] = ()
        begun = result.by_second(IN_FORCE)
        self._seconds: tuple[int, int] | None = None
        if begun is not None:
            self._seconds = (int(begun[0][0]), int(begun[0][-1]) + 1) if begun[0].size else (0, 0)
        if result.has_clock:
            self._sent = table.sent_by_groups()
            self._count(outside)

    def _pieces(self) -> Iterator[Rows]:
        lookups = self._result.planned_lookups
        for at in range(0, lookups.size, _PIECE):
            yield lookups.read(at, min(at + _PIECE, lookups.size))

    def _clients(self, piece: Rows) -> Matrix:
        """Return the client of each lookup."""
        row = piece["row"]
        out: Matrix = np.empty(row.size, np.int64)
        is_planned = row >= 0
        out[is_planned] = self._table.lookups.rows["client"][row[is_planned]]
        out[~is_planned] = self._result.position[-1 - row[~is_planned]]
        return out

    def _count(self, outside: Collection[str]) -> None:
        """Count the lookups of each subject, and find the senders that send most to outside."""
        servers = np.zeros(2, np.int64)  # from ABSENT on: what each forwards
        clients = np.zeros(len(self._result.clients), np.int64)
        self._is_direct = np.zeros(2, np.bool_)
        known: set[int] = {ABSENT}
        for piece in self._pieces():
            mine, server = self._clients(piece), piece["server"].astype(np.int64)
            self._counts += np.bincount(
                self._subject_of[mine] + 1, minlength=self._counts.size + 1
            )[1:]
            more = int(server.max(initial=0)) + 2 - servers.size
            if more > 0:
                servers = np.append(servers, np.zeros(more, np.int64))
                self._is_direct = np.append(self._is_direct, np.zeros(more, np.bool_))
            for number in set(np.unique(server).tolist()) - known:
                known.add(number)
                self._is_direct[number + 1] = self._result.address(number) in outside
            direct = self._is_direct[server + 1]
            if direct.any():
                np.add.at(clients, mine[direct], piece["queries"][direct])
            upstream = np.where(direct, 0, piece["upstream"])
            servers += np.bincount(server + 1, upstream, servers.size).astype(np.int64)
        found: dict[str | None, int] = {}
        for n in np.flatnonzero(servers).tolist():
            found[self._result.address(n - 1) if n else None] = int(servers[n])
        for n in np.flatnonzero(clients).tolist():
            text = self._result.addresses[n]
            found[text] = found.get(text, 0) + int(clients[n])
        ranked = sorted(found, key=lambda s: (-found[s], s or ""))[:_SENDERS]
        lane = {sender: n for n, sender in enumerate(ranked, _LANES)}
        self._senders = tuple(ranked)
        self._lane_of_server = np.zeros(servers.size, np.int32)
        for n in np.flatnonzero(servers).tolist():
            sender = self._result.address(n - 1) if n else None
            self._lane_of_server[n] = lane.get(sender, 0)
        self._lane_of_client = np.zeros(clients.size, np.int32)
        for n in np.flatnonzero(clients).tolist():
            self._lane_of_client[n] = -lane.get(self._result.addresses[n], 0)

    def _lanes(self, piece: Rows) -> npt.NDArray[np.int32]:
        server = piece["server"].astype(np.int64) + 1
        out: npt.NDArray[np.int32] = self._lane_of_server[server]
        direct = self._is_direct[server]
        if direct.any():
            out[direct] = self._lane_of_client[self._clients(piece)[direct]]
        return out

    # ---- whose lookups ---------------------------------------------------------------------------

    def whole(self, plans: Sequence[Steps], duration_s: float | None) -> list[list[Timing]]:
        """Return what the times of all lookups say as it is, and after each step of each plan."""
        span = _Span(self._pieces, (0, TIME_BINS), self._seconds)
        return self._timed(span, plans, duration_s)

    def of(self, subject: int, plans: Sequence[Steps]) -> list[list[Timing]]:
        """Return the same of one subject's lookups; senders are left out."""
        if self._counts[subject] > _GATHERED:

            def pieces() -> Iterator[Rows]:
                for piece in self._pieces():
                    yield piece[self._subject_of[self._clients(piece)] == subject]

            return self._timed(_Span(pieces, (0, TIME_BINS), self._seconds), plans, None)
        return self._timed(self._span(self._of_gathered(subject)), plans, None)

    def _span(self, mine: Rows) -> _Span:
        """Return where some lookups lie."""
        bins, seconds = (0, 1), (0, 0)
        if mine.size:
            bins = (
                min(int(mine[b].min()) for b in _BINS),
                max(int(mine[b].max()) for b in _BINS) + 1,
            )
            seconds = int(mine["second"].min()), int(mine["second"].max()) + 1
        if seconds[1] - seconds[0] > _SPARSE * mine.size:  # then without gaps
            mine = mine.copy()
            _, mine["second"] = np.unique(mine["second"], return_inverse=True)
            seconds = 0, int(mine["second"].max()) + 1
        return _Span(lambda: iter([mine]), bins, seconds if self._seconds else None)

    def _of_gathered(self, subject: int) -> Rows:
        """Return the lookups of a subject."""
        if not self._result.has_clock:
            return self._lookups[:0]
        if not self._gathered[0] <= subject < self._gathered[1]:
            self._gather(subject)
        begin, end = self._bounds[subject - self._gathered[0] :][:2].tolist()
        return self._lookups[begin:end]

    def _gather(self, first: int) -> None:
        """Bring the lookups of subjects from ``first`` on together, as many as may be at once."""
        sums = np.cumsum(self._counts[first:])
        last = first + max(1, int(np.searchsorted(sums, _GATHERED, side="right")))
        small = last - first <= 1 << 16  # which are sorted much faster
        self._bounds = np.append(0, np.cumsum(self._counts[first:last]))
        self._lookups = np.empty(0, PLANNED_LOOKUP)  # so that the old ones need not stay
        self._lookups = np.empty(int(self._bounds[-1]), PLANNED_LOOKUP)
        free = self._bounds[:-1].copy()
        for piece in self._pieces():
            owner = self._subject_of[self._clients(piece)] - first
            kept = np.flatnonzero((owner >= 0) & (owner < last - first))
            owner = owner[kept].astype(np.uint16 if small else np.int32)
            count = np.bincount(owner, minlength=free.size)
            at = np.repeat(free - (np.cumsum(count) - count), count) + np.arange(kept.size)
            order = np.argsort(owner, kind="stable")
            put_rows(self._lookups, at, take_rows(piece, kept[order]))
            free += count
        self._gathered = first, last

    # ---- what they say ---------------------------------------------------------------------------

    def _timed(
        self, span: _Span, plans: Sequence[Steps], duration_s: float | None
    ) -> list[list[Timing]]:
        if not self._result.has_clock:
            return [[Timing()] * (len(steps) + 1) for steps in plans]
        begins = np.append(0, np.cumsum([len(steps) + 1 for steps in plans]))
        states = int(begins[-1])
        made = self._made(plans)
        senders = self._senders if duration_s is not None and span.seconds else ()
        first, last = span.seconds or (0, 0)
        bins, seconds = span.bins[1] - span.bins[0], last - first
        lanes = _LANES + len(senders)
        at_once = max(1, min(states, _CELLS // max(1, bins + lanes * seconds)))
        times, by_second = np.zeros(bins, np.int64), np.zeros((lanes, seconds), np.int64)
        out: list[Timing] = []
        for state in range(0, states, at_once):
            count = min(at_once, states - state)
            added = _States(
                np.zeros((count, bins), np.int32),
                np.zeros((lanes, count, seconds), np.int32),
                begins,
                state,
                span.bins[0],
                first,
            )
            for piece in span.pieces():
                lane = self._lanes(piece) if senders else np.zeros(piece.size, np.int32)
                _add_lookups(piece, lane, self._table.lookups, made, added)
            sums = _Sums(
                times,
                by_second,
                np.zeros(count, np.int64),
                np.zeros((count, lanes), np.int64),
                np.zeros((count, lanes), np.int64),
            )
            _add_states(added, sums)
            said = sums.p95s.tolist(), sums.peaks.tolist(), sums.totals.tolist()
            for p95, peaks, totals in zip(*said, strict=True):
                outside = tuple(
                    Outside(sender, totals[k] / duration_s if duration_s else None, peaks[k])
                    for k, sender in enumerate(senders, _LANES)
                )
                most = peaks[:_LANES] if span.seconds else (None,) * _LANES
                p95_s = time_of_bin(p95) / 1e9 if p95 != ABSENT else None
                out.append(Timing(p95_s, most[_QUERIES], most[_UPSTREAM], outside))
        return [out[begin:end] for begin, end in pairwise(begins.tolist())]

    def _made(self, plans: Sequence[Steps]) -> _Made:
        t = self._table
        names = np.full((len(plans), t.size), ABSENT, np.int32)
        orders, ndots, lists = np.full((3, len(plans), self._counts.size), ABSENT, np.int32)
        for p, steps in enumerate(plans):
            pairs: list[int] = []
            numbers: list[int] = []
            for number, changes in enumerate(steps):
                for change in changes:
                    pairs += change.pairs
                    numbers += [number] * len(change.pairs)
                    if change.suffixes:
                        lists[p, change.subjects] = number
                    if change.ndots is not None:
                        orders[p, change.subjects] = number
                        ndots[p, change.subjects] = change.ndots
            names[p, pairs] = numbers
        return _Made(names, orders, ndots, lists, t.subjects, self._sent)
