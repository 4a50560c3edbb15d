"""Judge what was replayed: one row per setting, with its verdict and what decides it.

A verdict rests on what was seen: ``unsafe`` where a lookup that resolved would fail, be answered by
another name, or be asked as is under a real top-level domain first; ``review`` where names leak
upstream first, answers are assumed, the capture is thin, or the setting has a caveat of its own;
else ``safe``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.reading import ClientReading
from pcapkit.analysis.whatif.affected_names import MarkedNames, Matrix, distinct
from pcapkit.analysis.whatif.settings import (
    AFFECTED_IN_FULL,
    DROPPED,
    FQDN,
    FQDN_TOP,
    IN_FORCE,
    MOST_DROPPED,
    MOST_NDOTS,
    NDOTS,
    SETTINGS,
    TIMED,
    TOP_NAMES,
    Replayed,
)
from pcapkit.analysis.whatif.sums import (
    AS_ASKED,
    IN_FULL,
    PLANNED,
    PLANNED_GROUP,
    SUM,
    PackedSums,
    Part,
    Planned,
    Times,
)
from pcapkit.model.plans import Coverage
from pcapkit.model.results import WhatIf
from pcapkit.model.settings import Change, Setting
from pcapkit.model.vocabulary import Safety
from pcapkit.names.labels import Labels, join
from pcapkit.names.table import Folded
from pcapkit.resolver.models import resolver_model
from pcapkit.spool import Spool
from pcapkit.words import counted, seconds, some

#: A capture with less than this proves nothing.
THIN_LOOKUPS, THIN_NAMES, THIN_S = 20, 5, 1.0
_MOST_SUFFIXES = 8
_FIELDS = {key: n for n, key in enumerate(SUM.names or ())}
_COUNTS = [
    _FIELDS[key]
    for key in (
        "queries",
        "wasted",
        "leaked",
        "broken",
        "assumed",
        "upstream",
        "reordered",
        "time_ns",
    )
]
_COLUMN = {s: n for n, s in enumerate(SETTINGS)}
_NDOTS = [_COLUMN[s] for s in NDOTS]


@dataclass(frozen=True, slots=True)
class _Basis:
    """What every verdict over some clients rests on, whatever the setting."""

    coverage: Coverage
    thin: str | None  # how thin the capture is, where it is
    address: str  # of the first
    ndots: int | None  # in force, where it is the same for all
    doubts: list[str]
    unknown: list[str]  # a doubt about every ndots: resolvers that are not known


@dataclass(frozen=True, slots=True)
class NameCost:
    """What one base name costs as it is written, and what it would cost in full."""

    name: str
    queries: int
    wasted: int
    queries_in_full: int
    upstream: int
    upstream_in_full: int
    time_s: float
    time_in_full_s: float


class WhatIfResult:
    """All clients' sums, in the order of their addresses' first appearance."""

    def __init__(
        self,
        parts: Sequence[Part],
        times: Times,
        names: Folded | None,
        address: Callable[[int], str],
        *,
        has_clock: bool,
        ipv6_answers: int,
        mixtures: Collection[str] = (),
        planned_lookups: Spool,
        idle: Set[Labels] = frozenset(),
    ) -> None:
        self._parts, self._times, self._names, self._has_clock = parts, times, names, has_clock
        #: PLANNED_LOOKUP, in no order; their clients are counted through the parts
        self.planned_lookups = planned_lookups
        #: turns the id of an address into text
        self.address = address
        #: names that have an AAAA answer somewhere in the capture
        self.ipv6_answers = ipv6_answers
        #: addresses with several resolvers behind them, which no verdict takes for one
        self.mixtures = frozenset(mixtures)
        #: suffixes of search lists under which nothing is ever answered
        self.idle = frozenset(idle)
        every = [c for p in parts for c in p.clients]
        order = np.argsort([c.client for c in every], kind="stable").astype(np.int64)
        position = np.empty_like(order)
        position[order] = np.arange(order.size)
        #: by the number of a client, counted through the parts: its index in ``clients``
        self.position = position
        self.clients = [every[i] for i in order.tolist()]
        self.addresses = [address(c.client) for c in self.clients]
        self.members = np.zeros(0, np.int64)
        if not parts or names is None:
            return
        self._sums = PackedSums.together([p.sums for p in parts], order)
        self._covered = np.concatenate([p.covered for p in parts])[order]
        first = np.cumsum([0, *(len(p.clients) for p in parts)])
        #: each with the number of the first client of its part
        self._blocks = [
            (begin, block)
            for begin, part in zip(first.tolist(), parts, strict=False)
            for block in part.blocks
        ]
        owner = [position[f:][b.marked["client"]] for f, b in self._blocks]
        bounds, (bases, marks) = _by_client(
            owner,
            len(every),
            [b.marked["base"] for _, b in self._blocks],
            [b.marks for _, b in self._blocks],
        )
        self._marked = MarkedNames(bounds, bases, marks, names)
        pairs = [position[f:][b.pair_clients] for f, b in self._blocks]
        self._pair_bounds, (self._pair_base,) = _by_client(
            pairs, len(every), [b.pair_bases for _, b in self._blocks]
        )
        self.members = np.flatnonzero(self._covered["lookups"])
        self._basis_of: dict[bytes, _Basis] = {}
        lists = [c.search.suffixes for c in self.clients]
        numbers = {known: n for n, known in enumerate(dict.fromkeys(lists))}
        self._list_of = np.array([numbers[known] for known in lists], np.int64)
        #: by suffix: the search lists that it stands in, and the settings that leave it out there
        self._without: dict[str, dict[int, int]] = defaultdict(dict)
        for known, n in numbers.items():
            for p, suffix in enumerate(map(join, known[:MOST_DROPPED])):
                self._without[suffix].setdefault(n, _COLUMN[DROPPED[p]])

    @cached_property
    def overall(self) -> tuple[WhatIf, ...]:
        """One row per setting for all clients together."""
        if not self.members.size:
            return ()
        shown = self._shown([self.clients[i] for i in self.members.tolist()], everyone=True)
        return (*(self.row(self.members, s) for s in shown), *self.dropped)

    def rows(self, addresses: Set[str] | None = None) -> tuple[WhatIf, ...]:
        """One row per setting for all clients together, then per client.

        With ``addresses`` only these clients have rows of their own.
        """
        members = self.members.tolist()
        shown = members
        if addresses is not None:
            shown = [i for i in members if self.addresses[i] in addresses]
        alike: dict[tuple[int, str], list[int]] = defaultdict(list)
        for i in shown:
            alike[self.clients[i].ndots.value, self.clients[i].resolver.rules].append(i)
        each: dict[int, list[WhatIf]] = {i: [] for i in shown}
        for like in alike.values():
            groups = [np.array([i]) for i in like]
            for setting in self._shown([self.clients[like[0]]], everyone=len(members) == 1):
                if setting.each:
                    judged = self.judged(groups, setting, by_address=True)
                    for i, row in zip(like, judged, strict=True):
                        each[i].append(row)
        return (*self.overall, *chain.from_iterable(each.values()))

    def _shown(self, readings: Sequence[ClientReading], *, everyone: bool) -> list[Replayed]:
        """Return the settings that say something of these clients."""
        in_force = {r.ndots.value for r in readings}
        out = []
        for s in SETTINGS:
            if s is FQDN and len(in_force) == 1 and (now := min(in_force)) > MOST_NDOTS:
                out.append(Replayed(Setting(Change.NDOTS, now), each=True))
            if s is IN_FORCE or s.drop >= 0:
                continue
            if s is NDOTS[0] and not everyone and 0 not in in_force:
                continue
            if s.no_aaaa and not any(
                "no-aaaa" in resolver_model(r.resolver.rules).options for r in readings
            ):
                continue
            out.append(s)
            if s is FQDN:
                out.append(FQDN_TOP)
        return out

    def row(self, members: Matrix, setting: Replayed, *, suffix: str | None = None) -> WhatIf:
        """Judge one setting over some clients; ``suffix`` is the one that ``drop`` leaves out."""
        return self.judged([members], setting, suffix=suffix)[0]

    def judged(
        self,
        groups: Sequence[Matrix],
        setting: Replayed,
        *,
        suffix: str | None = None,
        by_address: bool = False,
    ) -> list[WhatIf]:
        """Judge one setting over each of some groups of clients, none of them empty.

        With ``by_address`` each is one client, and its row bears its address.
        """
        clients, sizes = np.concatenate(groups), [g.size for g in groups]
        columns = self._columns(clients, setting, suffix)
        sums = np.add.reduceat(self._sums.take(clients, columns), np.cumsum([0, *sizes[:-1]]))
        if setting is FQDN_TOP:
            sums = sums - self._saved_by_top()
        marked = self._marked.reasons(np.repeat(np.arange(len(groups)), sizes), clients, columns)
        shown = setting.setting
        if suffix is not None:
            shown = replace(shown, suffix=suffix)
        out = []
        for n, (members, counts) in enumerate(zip(groups, sums[:, _COUNTS].tolist(), strict=True)):
            queries, wasted, leaked, broken, assumed, upstream, reordered, time_ns = counts
            basis = self._basis(members)
            reasons = self._reasons(members, setting, basis, assumed)
            if of_names := marked.get(n):
                reasons = [*of_names.unsafe, *of_names.review, *reasons]
            p50, p95, p99, peak = self._timed(members, setting, columns)
            out.append(
                WhatIf(
                    client_addr=basis.address if by_address else None,
                    setting=shown,
                    queries=queries,
                    wasted_queries=wasted,
                    leaked_first=leaked,
                    broken_lookups=broken,
                    assumed_queries=assumed,
                    observed=shown.is_ndots and basis.ndots == shown.ndots,
                    safety=Safety.UNSAFE
                    if of_names and of_names.unsafe
                    else Safety.REVIEW
                    if reasons
                    else Safety.SAFE,
                    reasons=tuple(reasons),
                    upstream_queries=upstream,
                    reordered_lookups=reordered,
                    lookups_s=time_ns / 1e9 if self._has_clock else None,
                    p50_s=p50,
                    p95_s=p95,
                    p99_s=p99,
                    peak_queries_per_s=peak,
                )
            )
        return out

    def _timed(
        self, members: Matrix, setting: Replayed, columns: Matrix
    ) -> tuple[float | None, float | None, float | None, int | None]:
        """Return percentiles and the peak, which are known of all clients under one setting."""
        if members.size < self.members.size or setting is FQDN_TOP:
            return None, None, None, None
        column = int(columns[0])
        if column >= TIMED or (columns != column).any():
            return None, None, None, None
        p50, p95, p99 = (
            self._times.quantiles(column, (0.5, 0.95, 0.99)) if self._has_clock else (None,) * 3
        )
        return p50, p95, p99, self._times.peak(column)

    def _columns(self, members: Matrix, setting: Replayed, suffix: str | None) -> Matrix:
        now = _COLUMN[IN_FORCE]
        if suffix is None:
            return np.full(members.size, _COLUMN.get(setting, now))
        without = self._without[suffix]
        of_list = np.full(int(self._list_of.max()) + 1, now)
        of_list[list(without)] = list(without.values())
        out: Matrix = of_list[self._list_of[members]]
        return out

    def _of_lists(self, column: int) -> list[int]:
        """Return the queries of the clients of each search list, under the setting of a column."""
        queries = np.zeros(int(self._list_of.max(initial=-1)) + 1, np.int64)
        sent = self._sums.field("queries")[self.members, column]
        np.add.at(queries, self._list_of[self.members], sent)
        out: list[int] = queries.tolist()
        return out

    @cached_property
    def dropped(self) -> list[WhatIf]:
        """A row for each of the suffixes without which most queries would be saved."""
        dropping = DROPPED[0]
        by_list = {c: self._of_lists(c) for c in (_COLUMN[s] for s in (IN_FORCE, *DROPPED))}
        now = by_list[_COLUMN[IN_FORCE]]
        saved = [
            (sum(now[n] - by_list[column][n] for n, column in lists.items()), suffix)
            for suffix, lists in self._without.items()
        ]
        best = [s for more, s in sorted((-n, s) for n, s in saved) if more < 0][:_MOST_SUFFIXES]
        return [self.row(self.members, dropping, suffix=s) for s in best]

    def total(self, members: Matrix, setting: Replayed) -> dict[str, int]:
        """Return the sums of one setting over some clients."""
        total = self._sums.take(members, _COLUMN[setting]).sum(axis=0)
        return dict(zip(_FIELDS, total.tolist(), strict=True))

    def queries(self, setting: Replayed) -> list[int]:
        """Return what each client would have sent under a setting."""
        out: list[int] = self._sums.field("queries")[:, _COLUMN[setting]].tolist()
        return out

    def safe_ndots(self) -> npt.NDArray[np.bool_]:
        """Return for every client and ndots whether no name makes it unsafe: (clients, 0 to 5)."""
        return self._marked.safe(_NDOTS)

    def unmarked_ndots(self) -> npt.NDArray[np.bool_]:
        """Return the same of names that are not even leaked, and of answers that were seen."""
        seen: npt.NDArray[np.bool_] = self._sums.field("assumed")[:, _NDOTS] == 0
        return seen & self._marked.unmarked(_NDOTS)

    def planned(self) -> Planned:
        """Return what plans are made from, of all clients: rows name indexes of ``clients``."""
        rows, groups, begin = [np.zeros(0, PLANNED)], [np.zeros(0, PLANNED_GROUP)], 0
        shorter, shorter_begin, row_begin = [np.zeros(0, np.int32)], 0, 0
        each = [block.planned.unpacked() for _, block in self._blocks]
        for (first, _), planned in zip(self._blocks, each, strict=True):
            mine = planned.rows
            mine["client"] = self.position[first:][mine["client"]]
            mine["group"] += begin
            rows.append(mine)
            its = planned.groups
            its["shorter"][its["shorter"] >= 0] += shorter_begin
            groups.append(its)
            shorter.append(planned.shorter_rows + row_begin)
            begin += planned.groups.size
            row_begin += planned.rows.size
            shorter_begin += len(planned.shorter_states)
        return Planned(
            np.concatenate(groups),
            np.concatenate([p.states for p in each]),
            np.concatenate(rows),
            np.concatenate([p.times for p in each]),
            np.concatenate([p.shorter_states for p in each]),
            np.concatenate(shorter),
            np.concatenate([p.shorter_times for p in each]),
        )

    @property
    def names(self) -> Folded:
        """The names of the capture; there are none where no client has lookups."""
        assert self._names is not None
        return self._names

    @property
    def has_clock(self) -> bool:
        """Does the capture say when things happened?"""
        return self._has_clock

    def lasting(self, setting: Replayed) -> Matrix:
        """Return how many lookups took so long under a setting that is timed, by bin of time."""
        return self._times.lasting(_COLUMN[setting])

    def by_second(self, setting: Replayed) -> tuple[Matrix, Matrix] | None:
        """Return the seconds in which lookups began, and their queries under such a setting."""
        return self._times.by_second(_COLUMN[setting])

    def coverage(self, members: Matrix) -> Coverage:
        """Return what a verdict over some clients rests on."""
        return self._basis(members).coverage

    def thin(self, members: Matrix) -> str | None:
        """Say how thin the capture is for some clients; None where it is not."""
        return self._basis(members).thin

    def _basis(self, members: Matrix) -> _Basis:
        if (known := self._basis_of.get(key := members.tobytes())) is not None:
            return known
        clients = members.tolist()
        coverage = self._coverage(members)
        doubts = [thin] if (thin := _thin(coverage)) else []
        if mixed := sorted(self.mixtures.intersection(self.addresses[i] for i in clients)):
            which = some(mixed)
            doubts.append(f"several resolvers behind one address, judged as one: {which}")
        unknown = sum(self.clients[i].resolver.model == "unknown" for i in clients)
        which = "the resolver is" if len(clients) == 1 else f"{unknown} resolvers are"
        in_force = {self.clients[i].ndots.value for i in clients}
        out = self._basis_of[key] = _Basis(
            coverage,
            thin,
            self.addresses[clients[0]],
            in_force.pop() if len(in_force) == 1 else None,
            doubts,
            [f"{which} not known; glibc's rules are assumed"] if unknown else [],
        )
        return out

    def _coverage(self, members: Matrix) -> Coverage:
        covered = self._covered[members]
        if members.size == 1:
            (lookups, names, _, first, last) = covered[0].tolist()
        else:
            lookups = int(covered["lookups"].sum())
            if members.size == self.members.size:
                bases = self._pair_base
            else:
                at = [slice(*self._pair_bounds[i : i + 2]) for i in members.tolist()]
                bases = np.concatenate([self._pair_base[a] for a in at])
            names = distinct(bases, int(bases.max()) + 1).size
            first, last = int(covered["first"].min()), int(covered["last"].max())
        return Coverage(lookups, names, (last - first) / 1e9 if self._has_clock else None)

    def _reasons(
        self, members: Matrix, setting: Replayed, basis: _Basis, assumed: int
    ) -> list[str]:
        """Return what asks for a review of a setting, beside the names that it marks."""
        reasons = []
        if setting.in_full == AFFECTED_IN_FULL and (names := self.affected_by(members, setting)):
            reasons.append(f"to be written in full: {some(names)}")
        if assumed:
            reasons.append(f"{assumed} queries rest on answers that the capture does not show")
        reasons += basis.doubts
        if setting.ndots is not None:
            reasons += basis.unknown
        if setting.caveat is not None and setting.best is not Safety.SAFE:
            reasons.append(setting.caveat)
        return reasons

    def affected_by(self, members: Matrix, setting: Replayed) -> list[str]:
        """Return the names that the same ndots marks where nothing is written in full."""
        alone = NDOTS[setting.setting.ndots or 0]
        return self._marked.names(members, np.full(members.size, _COLUMN[alone]))

    @cached_property
    def _top(self) -> tuple[Matrix, Matrix]:
        """The base names that cost most, and their sums as they are and in full."""
        blocks = [block for _, block in self._blocks]
        every = np.concatenate([block.bases for block in blocks])
        order = np.argsort(every, kind="stable")
        bases = every[order]
        first = np.flatnonzero(np.append(True, bases[1:] != bases[:-1])[: bases.size])
        bases = bases[first]
        queries = np.concatenate([block.names.field("queries") for block in blocks])[order]
        sent = np.add.reduceat(queries, first, dtype=np.int64) if first.size else queries
        saved = sent[:, AS_ASKED].astype(np.int64) - sent[:, IN_FULL]
        top = np.lexsort((bases, -saved))[:TOP_NAMES]
        top = top[saved[top] > 0]
        sums = np.zeros((top.size, 2, len(_FIELDS)), np.int64)
        for block in blocks:
            found = np.flatnonzero(np.isin(block.bases, bases[top]))
            for n, name in enumerate(bases[top].tolist()):
                mine = found[block.bases[found] == name]
                for column in (AS_ASKED, IN_FULL):
                    sums[n, column] += block.names.take(mine, column).sum(axis=0)
        return bases[top], sums

    def _saved_by_top(self) -> Matrix:
        _, sums = self._top
        saved: Matrix = (sums[:, 0] - sums[:, 1]).sum(axis=0)
        return saved

    def costly_names(self) -> list[NameCost]:
        """Return the names that would save most if they were written in full."""
        assert self._names is not None
        bases, sums = self._top
        f, out = _FIELDS, []
        for text, (now, full) in zip(self._names.texts(bases), sums.tolist(), strict=True):
            out.append(
                NameCost(
                    text,
                    now[f["queries"]],
                    now[f["wasted"]],
                    full[f["queries"]],
                    now[f["upstream"]],
                    full[f["upstream"]],
                    now[f["time_ns"]] / 1e9,
                    full[f["time_ns"]] / 1e9,
                )
            )
        return out


def _by_client(
    owners: Sequence[Matrix], clients: int, *columns: Sequence[npt.NDArray[Any]]
) -> tuple[Matrix, list[npt.NDArray[Any]]]:
    """Bring rows of several parts into the order of their clients; return bounds by client, too."""
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    bounds: Matrix = np.searchsorted(owner[order], np.arange(clients + 1))
    return bounds, [np.concatenate(c)[order] for c in columns]


def _thin(coverage: Coverage) -> str | None:
    """Say how thin the capture is; None where it is not."""
    lasted = coverage.duration_s
    short = lasted is not None and lasted < THIN_S
    if coverage.lookups >= THIN_LOOKUPS and coverage.names >= THIN_NAMES and not short:
        return None
    lasting = f" in {seconds(lasted)}" if lasted is not None else ""
    lookups, names = counted(coverage.lookups, "lookup"), counted(coverage.names, "name")
    return f"thin capture: {lookups} of {names}{lasting}"
