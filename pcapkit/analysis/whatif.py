"""What the same lookups would have sent under other settings: counted part by part, then judged.

Only complete lookups, only first transmissions. ``replay.py`` says how one lookup is replayed; here
the replays are added up per client and setting, and each sum gets its verdict: ``unsafe`` where a
lookup that resolved would fail or be answered by another name, ``review`` where names leak upstream
first, the capture is thin or answers are assumed, else ``safe``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.answers import Answers
from pcapkit.analysis.reading import ClientReading, Readings
from pcapkit.analysis.replay import (
    ALL_IN_FULL,
    BROKEN,
    ELSEWHERE,
    LEAKED,
    MARKED,
    NONE_IN_FULL,
    SETTING,
    SUM,
    Facts,
    group_equal,
    mark_zone,
    replay_groups,
    walker,
)
from pcapkit.analysis.suffixes import Labels, join
from pcapkit.model import Safety, WhatIf
from pcapkit.names import is_top_level_domain, wire_from_text
from pcapkit.resolver import resolver_model

THIN_LOOKUPS, THIN_NAMES = 20, 5
_SHOWN = 5
_MARKS = (BROKEN, LEAKED, ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the what-if; ``ndots`` None is the value in force."""

    name: str
    ndots: int | None = None
    in_full: int = NONE_IN_FULL


#: The settings in the order of the rows.
SETTINGS: tuple[Setting, ...] = (
    *(Setting(f"ndots:{n}", n) for n in range(1, 6)),
    Setting("fqdn", in_full=ALL_IN_FULL),
)


def _zone_marks(r: Readings, zones: Sequence[Labels]) -> npt.NDArray[np.uint8]:
    arena, ends = r.names.names.arrays[:2]
    inside = np.zeros(r.labels.size, np.uint8)
    for zone in zones:
        wire = np.frombuffer(wire_from_text(join(zone)), np.uint8)
        mark_zone(arena, ends, inside.size, wire, inside)
    return inside


class WhatIfTally:
    """Sums of replayed lookups; parts may be added in any order, and tallies merged.

    ``answers`` must hold the whole capture's before the first part is added. A client (and each of
    its periods) belongs to one part.
    """

    def __init__(
        self, answers: Answers, zones: Sequence[Labels], settings: Sequence[Setting] = SETTINGS
    ) -> None:
        self._answers, self._zones, self._settings = answers, tuple(zones), tuple(settings)
        self._clients: list[ClientReading] = []
        self._sums: list[npt.NDArray[Any]] = []  # (clients, settings) a part
        self._lookups: list[npt.NDArray[np.int64]] = []
        self._names: list[npt.NDArray[np.int64]] = []
        self._bases = np.zeros(0, np.int64)
        # which names a setting marks: (client, setting, mark) -> texts
        self._marked: dict[tuple[int, int, int], set[str]] = defaultdict(set)

    def add(self, part: Readings) -> None:
        """Add the complete lookups of some clients."""
        clients, count = part.clients, len(part.clients)
        whole = np.flatnonzero(part.lookups["complete"])
        sums = np.zeros((count, len(self._settings)), SUM)
        marked, marks = self._replay(part, whole, sums)
        first = len(self._clients)
        bases = part.lookups["base"][whole].astype(np.int64)
        pairs = np.unique(part.lookups["client"][whole] * np.int64(part.labels.size) + bases)
        self._clients += clients
        self._sums.append(sums)
        self._lookups.append(np.bincount(part.lookups["client"][whole], minlength=count))
        self._names.append(np.bincount(pairs // max(1, part.labels.size), minlength=count))
        self._bases = np.union1d(self._bases, pairs % max(1, part.labels.size))
        for s in range(len(self._settings)):
            for mark in _MARKS:
                hit = marked[(marks[:, s] & mark) != 0]
                for client, base in zip(hit["client"].tolist(), hit["base"].tolist(), strict=True):
                    self._marked[first + client, s, mark].add(join(part.names.labels(base)))

    def _replay(
        self, part: Readings, whole: npt.NDArray[np.int64], sums: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
        """Fill ``sums``; return the marked names and their marks by setting."""
        facts = Facts(
            part.names.names.arrays, part.labels, _zone_marks(part, self._zones),
            _zone_marks(part, [("arpa",)]), self._answers.known, self._answers.typical_ns,
        )  # fmt: skip
        numbers: dict[tuple[tuple[Labels, ...], str, int], int] = {}
        walker_of = np.zeros(len(part.clients), np.int32)
        for i, c in enumerate(part.clients):
            alike = c.search.suffixes, c.resolver.model, c.ndots.value
            walker_of[i] = numbers.setdefault(alike, len(numbers))
        slots = np.full(1 << max(4, (2 * whole.size).bit_length()), -1, np.int32)
        first, group = np.zeros(whole.size, np.int64), np.zeros(whole.size, np.int64)
        groups = int(group_equal(part.lookups, walker_of, whole, slots, first, group))
        by_walker = np.argsort(walker_of[part.lookups["client"][first[:groups]]], kind="stable")
        place = np.empty(groups, np.int64)
        place[by_walker] = np.arange(groups)
        key = place[group] * max(1, len(part.clients)) + part.lookups["client"][whole]
        members = whole[np.argsort(key, kind="stable")]
        bounds = np.append(0, np.cumsum(np.bincount(place[group], minlength=groups)))
        ends = np.searchsorted(
            walker_of[part.lookups["client"][first[by_walker]]], np.arange(len(numbers) + 1)
        )
        marked = np.zeros(whole.size, MARKED)
        marks = np.zeros((whole.size, len(self._settings)), np.uint8)
        used = np.zeros(1, np.int64)
        settings = np.array(
            [(-1 if s.ndots is None else s.ndots, s.in_full) for s in self._settings], SETTING
        )
        for n, (suffixes, model, ndots) in enumerate(numbers):
            replay_groups(
                facts, walker(suffixes, resolver_model(model), ndots, self._zones),
                part.lookups, part.transactions, members, bounds[ends[n] : ends[n + 1] + 1],
                settings, sums, marked, marks, used,
            )  # fmt: skip
        return marked[: used[0]], marks[: used[0]]

    def merge(self, other: WhatIfTally) -> None:
        """Take over what another tally of the same capture counted, of other clients."""
        first = len(self._clients)
        self._clients += other._clients
        self._sums += other._sums
        self._lookups += other._lookups
        self._names += other._names
        self._bases = np.union1d(self._bases, other._bases)
        for (client, setting, mark), names in other._marked.items():
            self._marked[first + client, setting, mark] = names

    def rows(self, address: Callable[[int], str]) -> tuple[WhatIf, ...]:
        """One row per setting for all clients together, then per client."""
        if not self._clients or not any(n.any() for n in self._lookups):
            return ()
        sums = np.concatenate(self._sums)
        lookups, names = np.concatenate(self._lookups), np.concatenate(self._names)
        order = sorted(np.flatnonzero(lookups).tolist(), key=lambda i: self._clients[i].client)
        in_force = {c.ndots.value for c in self._clients}
        models = {c.resolver.model for c in self._clients}
        usual = in_force.pop() if len(in_force) == 1 else -1
        model = models.pop() if len(models) == 1 else ""
        rows = []
        for s, setting in enumerate(self._settings):
            together = np.zeros(1, SUM)
            for key in SUM.names or ():
                together[key] = sums[:, s][key].sum()
            marked = [
                set().union(*(self._marked.get((i, s, m), ()) for i in order)) for m in _MARKS
            ]
            covered = int(lookups.sum()), self._bases.size
            rows.append(_row(None, setting, together[0], marked, covered, usual, model))
        for i in order:
            c = self._clients[i]
            covered = int(lookups[i]), int(names[i])
            for s, setting in enumerate(self._settings):
                marked = [self._marked.get((i, s, m), set()) for m in _MARKS]
                rows.append(
                    _row(address(c.client), setting, sums[i, s], marked, covered, c.ndots.value,
                         c.resolver.model)
                )  # fmt: skip
        return tuple(rows)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _row(
    client: str | None, setting: Setting, total: Any, marked: Sequence[set[str]],
    covered: tuple[int, int], in_force: int, model: str,
) -> WhatIf:  # fmt: skip
    queries, wasted, assumed, _, broken, leaked, _, _ = total.tolist()
    broken_names, leaked_names, other_names = (sorted(m) for m in marked)
    hard, soft = [], []
    if broken_names:
        hard.append(f"would no longer resolve: {_some(broken_names)}")
    if other_names:
        hard.append(f"would be answered by another name: {_some(other_names)}")
    if collisions := [n for n in leaked_names if _collides(n)]:
        hard.append(f"asked as is first, under a real top-level domain: {_some(collisions)}")
    if leaked_names:
        soft.append(f"cluster names asked upstream first: {_some(leaked_names)}")
    if assumed:
        soft.append(f"{assumed} queries rest on answers that the capture does not show")
    if covered[0] < THIN_LOOKUPS or covered[1] < THIN_NAMES:
        soft.append(f"thin capture: {covered[0]} lookups of {covered[1]} names")
    if model == "unknown" and setting.ndots is not None:
        soft.append("the resolver is not known; glibc's rules are assumed")
    safety = Safety.UNSAFE if hard else Safety.REVIEW if soft else Safety.SAFE
    return WhatIf(
        client, setting.name, setting.ndots, queries, wasted, leaked, broken, assumed,
        setting.ndots == in_force, safety, tuple(hard + soft),
    )  # fmt: skip


def _collides(name: str) -> bool:
    """Is the last label of a name that would be asked as is a real top-level domain?"""
    labels = name.split(".")
    return len(labels) > 1 and is_top_level_domain(labels[-1])
