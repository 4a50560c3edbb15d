"""The order in which to make the changes of a plan.

After every change the state is no less safe than the plan: an ndots comes with the names that it
would harm, and a name that needs no final dot under the plan's ndots comes after it. Within that,
what ends most wasted queries an edit comes first, then fewer edits, then subject and name by bytes.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from pcapkit.analysis.advice.plan.changes import RATE_BITS, Change
from pcapkit.analysis.advice.plan.curves import Settings
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import WASTED, Table

_IN_FORCE: Settings = (None, False)


def after_change(settings: Settings, change: Change) -> Settings:
    """Return the settings of a subject once a change is made."""
    ndots, shorter = settings
    return ndots if change.ndots is None else change.ndots, shorter or bool(change.suffixes)


class Ordering:
    """Puts changes in order."""

    def __init__(
        self, table: Table, subjects: Sequence[Subject], changes: Sequence[Change]
    ) -> None:
        self._table, self._subjects, self._changes = table, subjects, changes
        self._settings: dict[int, Settings] = {}
        self._in_full = np.zeros(table.size, np.bool_)
        #: by subject: the changes of names, each with its pair there, and those of its settings
        self._of_names: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._of_settings: dict[int, list[int]] = defaultdict(list)
        for number, change in enumerate(changes):
            if change.name is None:
                for subject in change.subjects:
                    self._of_settings[subject].append(number)
                    change.ended += self._ended_by(change, subject)
                continue
            for pair in change.pairs:
                subject = int(table.subjects[pair])
                change.ended += self._wasted(pair, _IN_FORCE) - self._written(pair)
                self._of_names[subject].append((number, pair))

    def _wasted(self, pair: int, settings: Settings) -> int:
        ndots, shorter = settings
        return int(self._table.at(ndots, shorter=shorter)[pair, WASTED])

    def _written(self, pair: int) -> int:
        return int(self._table.written[pair, WASTED])

    def _ended_by(self, change: Change, subject: int) -> int:
        """Return what a change of settings ends in one subject, with what was done so far."""
        begin, end = self._table.bounds[subject : subject + 2].tolist()
        now = self._settings.get(subject, _IN_FORCE)
        then = after_change(now, change)
        before, after = (self._table.at(n, shorter=s)[begin:end, WASTED] for n, s in (now, then))
        ended = before - after
        if self._in_full[begin:end].any():
            ended = ended[~self._in_full[begin:end]]
        written = 0
        for pair in change.pairs:
            if begin <= pair < end and not self._in_full[pair]:
                written += self._wasted(pair, then) - self._written(pair)
        return int(ended.sum()) + written

    def _key(self, number: int) -> tuple[int, int, bytes, bytes, int, int]:
        change = self._changes[number]
        who = self._subjects[change.subjects[0]].title.encode("utf-8", "surrogateescape")
        name = change.name.base.encode() if change.name else b""
        rate = (change.ended << RATE_BITS) // change.edits
        return -rate, change.edits, who, name, number, change.version

    def put(self) -> list[Change]:
        """Return the changes in order."""
        heap = [self._key(n) for n, c in enumerate(self._changes) if not c.waits_for]
        heapq.heapify(heap)
        out = []
        done = [False] * len(self._changes)
        while heap:
            *_, number, version = heapq.heappop(heap)
            change = self._changes[number]
            if done[number] or version != change.version:
                continue
            done[number] = True
            out.append(change)
            for other in self._make(change, done):
                self._changes[other].version += 1
                if not self._changes[other].waits_for:
                    heapq.heappush(heap, self._key(other))
        return out

    def _make(self, change: Change, done: Sequence[bool]) -> Iterable[int]:
        """Make a change; return those not done that it alters."""
        touched: set[int] = set()
        if change.name is None:
            for subject in change.subjects:
                touched |= self._set(change, subject, done)
            return touched
        for pair in change.pairs:
            subject = int(self._table.subjects[pair])
            now = self._settings.get(subject, _IN_FORCE)
            self._in_full[pair] = True
            for number in self._of_settings[subject]:
                if not done[number]:
                    other = self._changes[number]
                    then = after_change(now, other)
                    other.ended -= self._wasted(pair, now) - self._wasted(pair, then)
                    touched.add(number)
        return touched

    def _set(self, change: Change, subject: int, done: Sequence[bool]) -> set[int]:
        """Make a change of settings in one subject; return the changes not done that it alters."""
        touched = set()
        others = [n for n in self._of_settings[subject] if not done[n]]
        for number in others:
            self._changes[number].ended -= self._ended_by(self._changes[number], subject)
        now = self._settings.get(subject, _IN_FORCE)
        then = self._settings[subject] = after_change(now, change)
        begin, end = self._table.bounds[subject : subject + 2].tolist()
        for pair in change.pairs:
            if begin <= pair < end:
                self._in_full[pair] = True
        for number in others:
            self._changes[number].ended += self._ended_by(self._changes[number], subject)
            touched.add(number)
        for number, pair in self._of_names[subject]:
            if not done[number]:
                other = self._changes[number]
                other.ended += self._wasted(pair, then) - self._wasted(pair, now)
                if change.ndots is not None:
                    other.waits_for.discard(subject)
                touched.add(number)
        return touched
