"""What the same lookups would have sent under other settings: counted part by part, then judged.

Only complete lookups, only first transmissions. ``replay.py`` says how one lookup is replayed,
``settings.py`` under what; here the sums of the parts come together, and each gets its verdict:
``unsafe`` where a lookup that resolved would fail or be answered by another name, ``review`` where
names leak upstream first, the capture is thin or answers are assumed, else ``safe``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.answers import Answers
from pcapkit.analysis.caching import add_cached
from pcapkit.analysis.judgement import Part, WhatIfResult
from pcapkit.analysis.reading import Readings
from pcapkit.analysis.replay import SETTING, Facts, walker, work_for
from pcapkit.analysis.replay_sums import (
    MARKED,
    SUM,
    TIME_BINS,
    Sums,
    group_equal,
    replay_groups,
    room_for,
)
from pcapkit.analysis.settings import CACHE, FQDN, IN_FORCE, SETTINGS, TIMED
from pcapkit.analysis.suffixes import Folded, Labels
from pcapkit.codes import QTYPE_NUMBERS
from pcapkit.model import WhatIf
from pcapkit.resolver import resolver_model

#: Peaks are counted second by second in captures up to three days long.
LONGEST_S = 3 * 86_400
_SECOND = 1_000_000_000


class WhatIfTally:
    """Sums of replayed lookups; parts may be added in any order, and tallies merged.

    ``answers`` must hold the whole capture's before the first part is added. A client (and each of
    its periods) belongs to one part; all parts number names alike.
    """

    def __init__(self, answers: Answers, zones: Sequence[Labels]) -> None:
        self._answers, self._zones = answers, tuple(zones)
        self._parts: list[Part] = []
        self._names: Folded | None = None
        self._has_clock = True

    def add(self, part: Readings) -> None:
        """Add the complete lookups of some clients."""
        self._names, self._has_clock = part.names, part.has_clock
        looks, count, size = part.lookups, len(part.clients), max(1, part.labels.size)
        whole = np.flatnonzero(looks["complete"])
        if not whole.size:
            return
        sums = self._room(part, whole)
        replayed = self._replay(part, whole, sums)
        by_client = whole[np.argsort(looks["client"][whole], kind="stable")]
        bounds = np.searchsorted(looks["client"][by_client], np.arange(count + 1))
        add_cached(part, by_client, bounds, SETTINGS.index(CACHE), replayed)
        bases = looks["base"][by_client].astype(np.int64)
        pairs = np.unique(looks["client"][by_client] * np.int64(size) + bases)
        used = np.unique(bases)
        span = np.zeros((count, 2), np.int64)
        lasting = np.flatnonzero(np.diff(bounds))
        starts = bounds[lasting]
        span[lasting, 0] = np.minimum.reduceat(looks["start"][by_client], starts)
        span[lasting, 1] = np.maximum.reduceat(looks["end"][by_client], starts)
        covered = np.stack([np.diff(bounds), np.bincount(pairs // size, minlength=count)], axis=1)
        self._parts.append(
            Part(
                part.clients, replayed._replace(names=replayed.names[used]), used, covered, span,
                np.stack([pairs // size, pairs % size], axis=1),
            )
        )  # fmt: skip

    def _room(self, part: Readings, whole: npt.NDArray[np.int64]) -> Sums:
        columns = len(SETTINGS)
        starts = part.lookups["start"][whole] // _SECOND
        first = int(starts.min())
        seconds = int(starts.max()) - first + 1
        if not part.has_clock or seconds > LONGEST_S:
            seconds = 0
        return Sums(
            np.zeros((len(part.clients), columns), SUM), np.zeros((part.labels.size, 2), SUM),
            np.zeros((TIMED, TIME_BINS), np.int64), np.zeros((seconds, TIMED), np.int32), first,
            np.zeros(whole.size, MARKED), np.zeros((whole.size, columns), np.uint8),
            np.zeros(1, np.int64),
        )  # fmt: skip

    def _replay(self, part: Readings, whole: npt.NDArray[np.int64], sums: Sums) -> Sums:
        """Fill ``sums``, and cut its marks to what was used."""
        facts = Facts(
            part.rows, part.names.names.arrays, part.labels, part.names.inside(self._zones),
            part.names.inside([("arpa",)]), self._answers.known, self._answers.typical_ns,
        )  # fmt: skip
        numbers: dict[tuple[tuple[Labels, ...], str, int], int] = {}
        walker_of = np.zeros(len(part.clients), np.int32)
        for i, c in enumerate(part.clients):
            alike = c.search.suffixes, c.resolver.model, c.ndots.value
            walker_of[i] = numbers.setdefault(alike, len(numbers))
        clients = part.lookups["client"]
        slots = np.full(1 << max(4, (2 * whole.size).bit_length()), -1, np.int32)
        first, group = np.zeros(whole.size, np.int64), np.zeros(whole.size, np.int64)
        groups = int(group_equal(part.lookups, walker_of, whole, slots, first, group))
        by_walker = np.argsort(walker_of[clients[first[:groups]]], kind="stable")
        place = np.empty(groups, np.int64)
        place[by_walker] = np.arange(groups)
        key = place[group] * max(1, len(part.clients)) + clients[whole]
        members = whole[np.argsort(key, kind="stable")]
        bounds = np.append(0, np.cumsum(np.bincount(place[group], minlength=groups)))
        ends = np.searchsorted(
            walker_of[clients[first[by_walker]]], np.arange(len(numbers) + 1)
        )
        settings = np.array(
            [
                (
                    -1 if s.ndots is None else s.ndots, s.in_full, s.drop, s.no_aaaa, s.autopath,
                    s.walked,
                )
                for s in SETTINGS
            ],
            SETTING,
        )
        for n, (suffixes, model, ndots) in enumerate(numbers):
            mine = settings[: TIMED + len(suffixes)]
            replay_groups(
                facts, walker(suffixes, resolver_model(model), ndots, self._zones),
                part.lookups, part.transactions, members, bounds[ends[n] : ends[n + 1] + 1],
                mine, SETTINGS.index(IN_FORCE), SETTINGS.index(FQDN), work_for(len(suffixes)),
                room_for(mine.size, len(suffixes)), sums,
            )  # fmt: skip
        used = int(sums.used[0])
        order = np.lexsort((sums.marked["base"][:used], sums.marked["client"][:used]))
        return sums._replace(marked=sums.marked[order], marks=sums.marks[order])

    def merge(self, other: WhatIfTally) -> None:
        """Take over what another tally of the same capture counted, of other clients."""
        self._parts += other._parts
        self._names = self._names or other._names
        self._has_clock &= other._has_clock

    def result(
        self, address: Callable[[int], str], mixtures: Collection[str] = ()
    ) -> WhatIfResult:
        """Return what can be asked of the sums; ``address`` turns a client's id into text.

        ``mixtures`` are addresses with several resolvers behind them.
        """
        return WhatIfResult(
            self._parts, self._names, address, has_clock=self._has_clock,
            ipv6_answers=self._answers.answered(QTYPE_NUMBERS["AAAA"]),
            mixtures=mixtures,
        )  # fmt: skip

    def rows(self, address: Callable[[int], str]) -> tuple[WhatIf, ...]:
        """One row per setting for all clients together, then per client."""
        return self.result(address).rows()
