"""What the same lookups would have sent under other settings: counted part by part, then judged.

Only complete lookups, only first transmissions. ``replay.py`` says how one lookup is replayed,
``settings.py`` under what; here the sums of the parts come together, and each gets its verdict:
``unsafe`` where a lookup that resolved would fail or be answered by another name, ``review`` where
names leak upstream first, the capture is thin or answers are assumed, else ``safe``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence, Set

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.reading import Readings
from pcapkit.analysis.time_bins import TIME_BINS
from pcapkit.analysis.whatif.accumulate import (
    KeepingClients,
    ReplayedSettings,
    group_scratch_for,
    replay_groups,
)
from pcapkit.analysis.whatif.answers import Answers
from pcapkit.analysis.whatif.caching import add_cached
from pcapkit.analysis.whatif.candidates import MAX_TYPES, NOT_LOOKED_FOR, Observations
from pcapkit.analysis.whatif.groups import COVERED, Order, put_in_order
from pcapkit.analysis.whatif.replay import scratch_for
from pcapkit.analysis.whatif.rules import MOST_SHARED, WalkSettings, walkers_of
from pcapkit.analysis.whatif.settings import CACHE, FQDN, IN_FORCE, NDOTS, SETTING, SETTINGS, TIMED
from pcapkit.analysis.whatif.sums import (
    BEGUN_SECONDS,
    MARKED,
    NAME_SUM,
    PLANNED,
    PLANNED_GROUP,
    PLANNED_LOOKUP,
    SENT,
    SHORTER_STATES,
    STATES,
    SUM,
    USED,
    Block,
    PackedPlanned,
    PackedSums,
    Part,
    Planned,
    Sums,
    Times,
)
from pcapkit.analysis.whatif.verdicts import WhatIfResult
from pcapkit.codes import TYPE_AAAA
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded
from pcapkit.resolver.models import resolver_model
from pcapkit.schema import ABSENT, Ids, in_fewest_bytes
from pcapkit.spool import Spool

#: Peaks are counted second by second in captures up to three days long.
LONGEST_S = 3 * 86_400
_SECOND_NS = 1_000_000_000
_PIECE = 1 << 16  # rows that are copied at once
_REPLAYED = np.array(
    [
        (ABSENT if s.ndots is None else s.ndots, s.in_full, s.drop, s.no_aaaa, s.autopath, s.walked)
        for s in SETTINGS
    ],
    SETTING,
)


class WhatIfTally:
    """Sums of replayed lookups; parts may be added in any order, and tallies merged.

    ``answers`` must hold the whole capture's before the first part is added; ``idle`` are suffixes
    under which nothing in it is ever answered. A client (and each of
    its periods) belongs to one part; all parts number names alike.
    """

    def __init__(
        self, answers: Answers, zones: Sequence[Labels], idle: Set[Labels] = frozenset()
    ) -> None:
        self._answers, self._zones, self._idle = answers, tuple(zones), idle
        self._parts: list[Part] = []
        self._times = Times()
        self._names: Folded | None = None
        self._has_clock = True
        self._planned = 0  # PLANNED rows of all parts
        self._clients = 0  # of all parts
        self._lookups = Spool(PLANNED_LOOKUP)

    def add(self, part: Readings) -> None:
        """Add the complete lookups of some clients."""
        self._names, self._has_clock = part.names, part.has_clock
        numbers: dict[WalkSettings, int] = {}
        walker_of = np.zeros(len(part.clients), np.int32)
        for i, c in enumerate(part.clients):
            alike = WalkSettings(
                c.search.suffixes, c.resolver.rules, c.ndots.value, c.stops_on_nodata
            )
            walker_of[i] = numbers.setdefault(alike, len(numbers))
        complete = part.lookups["start"][part.lookups["complete"] != 0]
        if not complete.size:
            return
        whole = _sums_of_all(part, int(complete.min()), int(complete.max()))
        del complete
        covered = np.zeros(len(part.clients), COVERED)
        keeps = any(resolver_model(alike.model).keeps_answers for alike in numbers)
        blocks = 1 if keeps else part.blocks
        added = []
        for block in range(blocks):
            order = put_in_order(part.lookups, walker_of, len(numbers), covered, (block, blocks))
            if order.by_client.size:
                added.append(self._replayed(part, list(numbers), walker_of, order, whole))
            del order
        questions = min(self._answers.count, int(covered["queries"].max()))
        add_cached(part, SETTINGS.index(CACHE), whole, questions)
        self._times.add(whole)
        sums = PackedSums.of(whole.clients)
        self._parts.append(Part(part.clients, sums, covered, tuple(added)))
        self._clients += len(part.clients)

    def _replayed(
        self,
        part: Readings,
        alike: Sequence[WalkSettings],
        walker_of: Ids,
        order: Order,
        whole: Sums,
    ) -> Block:
        """Replay the lookups of one block; what is counted of all is added to ``whole``."""
        # resolvers that keep answers take their lookups one by one
        keeps = any(resolver_model(a.model).keeps_answers for a in alike)
        groups = order.by_client.size if keeps else order.group_bases.size
        has_idle = any(s in self._idle for a in alike for s in a.suffixes)
        sums = _sums_of_block(whole, order, groups, has_idle=has_idle)
        self._replay(part, alike, walker_of, order, sums)
        marked, begun, groups, planned, lookups, shorter, shorter_rows = sums.used.tolist()
        whole.used[BEGUN_SECONDS] = begun
        out = Block(
            PackedSums.of(sums.names),
            order.bases["base"].copy(),
            in_fewest_bytes(order.pairs[:, 0]),
            order.pairs[:, 1].copy(),
            sums.marked[:marked].copy(),
            sums.marks[:marked].copy(),
            PackedPlanned.of(
                Planned(
                    sums.planned_groups[:groups],
                    sums.planned_states[:groups],
                    sums.planned[:planned],
                    sums.planned_times[:planned],
                    sums.shorter_states[:shorter],
                    sums.shorter_rows[:shorter_rows],
                    sums.shorter_times[:shorter_rows],
                )
            ),
        )
        self._keep(sums.planned_lookups[:lookups])
        self._planned += planned
        return out

    def _keep(self, lookups: npt.NDArray[np.void]) -> None:
        """Keep the lookups of a part behind those of earlier ones."""
        for begin in range(0, lookups.size, _PIECE):
            moved = lookups[begin : begin + _PIECE].copy()
            shift = np.where(moved["row"] >= 0, self._planned, -self._clients)
            moved["row"] += shift.astype(np.int32)
            self._lookups.add(moved)

    def _replay(
        self,
        part: Readings,
        alike: Sequence[WalkSettings],
        walker_of: Ids,
        order: Order,
        sums: Sums,
    ) -> None:
        """Fill ``sums``."""
        in_zone = part.names.inside(self._zones)
        walkers = walkers_of(alike, self._zones, self._idle)
        keeps = walkers.rules["keeps_answers"][walker_of] != 0
        asked = np.diff(order.client_bounds)[keeps]
        kept = int(asked.max(initial=0)) if part.has_clock else 0
        observed = Observations(
            part.lookups,
            part.transactions,
            part.rows,
            part.names.names.arrays,
            part.labels,
            in_zone,
            part.names.inside([("arpa",)]),
            self._answers.questions,
            self._answers.typical_ns,
            self._answers.denial_ttl(in_zone) if kept else np.zeros(2, np.int64),
        )
        longest = max(len(w.suffixes) for w in alike)
        replay_groups(
            observed,
            walkers,
            order,
            KeepingClients(walker_of, np.zeros(part.lookups.size if kept else 0, np.int32)),
            ReplayedSettings(
                _REPLAYED,
                np.flatnonzero(_REPLAYED["walked"][:TIMED]),
                SETTINGS.index(IN_FORCE),
                SETTINGS.index(FQDN),
                np.array([SETTINGS.index(s) for s in NDOTS]),
            ),
            np.full((order.bases.size, MOST_SHARED), NOT_LOOKED_FOR, np.int32),
            (
                scratch_for(longest, _REPLAYED.size, MAX_TYPES * (longest + 1) * kept),
                group_scratch_for(_REPLAYED.size, longest),
            ),
            sums,
        )

    def merge(self, other: WhatIfTally) -> None:
        """Take over what another tally of the same capture counted, of other clients."""
        self._parts += other._parts
        self._times.merge(other._times)
        for begin in range(0, other._lookups.size, _PIECE):
            self._keep(other._lookups.read(begin, min(begin + _PIECE, other._lookups.size)))
        self._planned += other._planned
        self._clients += other._clients
        self._names = self._names or other._names
        self._has_clock &= other._has_clock

    def result(self, address: Callable[[int], str], mixtures: Collection[str] = ()) -> WhatIfResult:
        """Return what can be asked of the sums; ``address`` turns a client's id into text.

        ``mixtures`` are addresses with several resolvers behind them.
        """
        return WhatIfResult(
            self._parts,
            self._times,
            self._names,
            address,
            has_clock=self._has_clock,
            ipv6_answers=self._answers.answered(TYPE_AAAA),
            mixtures=mixtures,
            planned_lookups=self._lookups,
            idle=self._idle,
        )


def _sums_of_all(part: Readings, first: int, last: int) -> Sums:
    """Return the sums of a part whose lookups begin between two times, all 0, with no block."""
    first, last = first // _SECOND_NS, last // _SECOND_NS
    seconds = last - first + 1
    if not part.has_clock or seconds > LONGEST_S:
        seconds = 0
    return Sums(
        np.zeros((len(part.clients), len(SETTINGS)), SUM),
        np.zeros((0, 2), NAME_SUM),
        np.zeros((TIME_BINS, TIMED), np.int32),
        np.zeros((seconds, TIMED), np.int32),
        first,
        np.empty(min(part.lookups.size, seconds), np.int64),
        np.empty(0, MARKED),
        np.empty((0, len(SETTINGS)), np.uint8),
        np.empty(0, PLANNED_GROUP),
        np.empty((0, STATES), SENT),
        np.empty(0, PLANNED),
        np.empty((0, STATES), np.int64),
        np.empty(0, PLANNED_LOOKUP),
        np.empty((0, SHORTER_STATES), SENT),
        np.empty(0, np.int32),
        np.empty((0, SHORTER_STATES), np.int64),
        np.zeros(USED, np.int64),
    )


def _sums_of_block(whole: Sums, order: Order, groups: int, *, has_idle: bool) -> Sums:
    """Return the sums to which a block's lookups in such an order are added, beside ``whole``.

    They are replayed in at most so many ``groups``. ``has_idle``: search lists may become shorter.
    """
    size = order.by_client.size
    used = np.zeros(USED, np.int64)
    used[BEGUN_SECONDS] = whole.used[BEGUN_SECONDS]
    return whole._replace(
        names=np.zeros((order.bases.size, 2), NAME_SUM),
        marked=np.empty(size, MARKED),
        marks=np.empty((size, len(SETTINGS)), np.uint8),
        planned_groups=np.empty(groups, PLANNED_GROUP),
        planned_states=np.empty((groups, STATES), SENT),
        planned=np.empty(size, PLANNED),
        planned_times=np.empty((size, STATES), np.int64),
        planned_lookups=np.empty(size, PLANNED_LOOKUP),
        shorter_states=np.empty((groups * has_idle, SHORTER_STATES), SENT),
        shorter_rows=np.empty(size * has_idle, np.int32),
        shorter_times=np.empty((size * has_idle, SHORTER_STATES), np.int64),
        used=used,
    )
