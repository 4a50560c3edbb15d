"""The order in which to make the changes of a plan.

After every change the state is no less safe than the plan: an ndots comes with the names that it
would harm, and a name that needs no final dot under the plan's ndots comes after it. Within that,
what ends most wasted queries an edit comes first, then fewer edits, then subject and name by bytes.

Names are numbers in arrays, sorted as a whole whenever settings change what they end, and become
changes when their turn comes: a plan lists the first of thousands.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcapkit.analysis.advice.plan.changes import RATE_BITS, Change, Names
from pcapkit.analysis.advice.plan.curves import Settings
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import WASTED, Table
from pcapkit.analysis.whatif.affected_names import Matrix

_IN_FORCE: Settings = (None, False)


def after_change(settings: Settings, change: Change) -> Settings:
    """Return the settings of a subject once a change is made."""
    ndots, shorter = settings
    return ndots if change.ndots is None else change.ndots, shorter or bool(change.suffixes)


#: What a change comes by: its rate, edits, subject, name, number, version, and its run.
_Key = tuple[int, int, int, int, int, int, int]
#: The run of changes of settings, which come one by one.
_ALONE = -1


@dataclass(slots=True)
class _Run:
    """Names in order, each with its version then; ``at`` is the next one."""

    names: list[int]
    versions: list[int]
    at: int = 0


class Ordering:
    """Puts changes in order."""

    def __init__(
        self, table: Table, subjects: Sequence[Subject], changes: Sequence[Change], names: Names
    ) -> None:
        """``changes`` are those of settings."""
        self._table, self._subjects, self._changes, self._names = table, subjects, changes, names
        self._settings: dict[int, Settings] = {}
        self._in_full = np.zeros(table.size, np.bool_)
        self._of_settings: dict[int, list[int]] = defaultdict(list)
        for number, change in enumerate(changes):
            for subject in change.subjects:
                self._of_settings[subject].append(number)
                change.ended += self._ended_by(change, subject)
        self._versions = [0] * (len(changes) + names.count)
        self._done = [False] * (len(changes) + names.count)
        self._heap: list[_Key] = []
        self._runs: list[_Run] = []
        if not names.count:
            return
        #: where the pairs of names stand, name by name; those of subjects stand together as it is
        pairs = np.argsort(names.of, kind="stable")
        owners = table.subjects[names.pairs]
        self._of_subjects = np.searchsorted(owners, np.arange(len(subjects) + 1)).tolist()
        self._edits = np.bincount(names.of, minlength=names.count)
        bounds = np.append(0, np.cumsum(self._edits))
        first = pairs[bounds[:-1]]
        self._pairs: list[int] = pairs.tolist()
        self._bounds: list[int] = bounds.tolist()
        self._who, self._rank = owners[first], table.ranks[names.pairs[first]]
        self._ended = np.zeros(names.count, np.int64)
        np.add.at(self._ended, names.of, table.ended_by_writing[names.pairs])
        self._waits = np.bincount(names.of[names.waits], minlength=names.count)

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

    # ---- turns ---------------------------------------------------------------------------------

    def put(self, most: int) -> tuple[list[Change], list[Change], Change]:
        """Return the first changes in order, at most so many, and what is left.

        That are changes of settings, and one change for all names.
        """
        for number in range(len(self._changes)):
            self._push(number)
        if self._names.count:
            self._add_run(np.arange(self._names.count))
        out: list[Change] = []
        while self._heap and len(out) < most:
            *_, number, version, run = heapq.heappop(self._heap)
            if run != _ALONE:
                self._next_of(run)
            if self._done[number] or version != self._versions[number]:
                continue
            self._done[number] = True
            out.append(self._make(number))
        settings = [c for n, c in enumerate(self._changes) if not self._done[n]]
        left = ~np.array(self._done[len(self._changes) :], np.bool_)
        return out, settings, self._names.rest(left[self._names.of])

    def _push(self, number: int) -> None:
        """Let a change of settings wait for its turn."""
        change = self._changes[number]
        rate = (change.ended << RATE_BITS) // change.edits
        version = self._versions[number]
        key = -rate, change.edits, change.subjects[0], -1, number, version, _ALONE
        heapq.heappush(self._heap, key)

    def _add_run(self, names: Matrix) -> None:
        """Let those of some names that wait for no ndots wait for their turn."""
        names = names[self._waits[names] == 0]
        rates = (self._ended[names] << RATE_BITS) // self._edits[names]
        keys = self._rank[names], self._who[names], self._edits[names], -rates
        ordered = names[np.lexsort(keys)].tolist()
        before = len(self._changes)
        self._runs.append(_Run(ordered, [self._versions[before + n] for n in ordered]))
        self._next_of(len(self._runs) - 1)

    def _next_of(self, number: int) -> None:
        """Let the next name of a run, which nothing has changed since, wait for its turn."""
        run, before = self._runs[number], len(self._changes)
        while run.at < len(run.names):
            name, version = run.names[run.at], run.versions[run.at]
            run.at += 1
            if not self._done[before + name] and version == self._versions[before + name]:
                edits = self._edits.item(name)
                rate = (self._ended.item(name) << RATE_BITS) // edits
                who, rank = self._who.item(name), self._rank.item(name)
                heapq.heappush(
                    self._heap, (-rate, edits, who, rank, before + name, version, number)
                )
                return

    # ---- what a change does --------------------------------------------------------------------

    def _make(self, number: int) -> Change:
        """Make a change, and let those that it alters wait for another turn."""
        if number >= len(self._changes):
            return self._write(number - len(self._changes))
        change = self._changes[number]
        for subject in change.subjects:
            self._set(change, subject)
        others = {n for s in change.subjects for n in self._of_settings[s] if not self._done[n]}
        for other in others:
            self._versions[other] += 1
            self._push(other)
        if not self._names.count:
            return change
        names = np.unique(
            np.concatenate([self._names.of[slice(*self._of(s))] for s in change.subjects])
        )
        before = len(self._changes)
        altered = [n for n in names.tolist() if not self._done[before + n]]
        for name in altered:
            self._versions[before + name] += 1
        self._add_run(np.array(altered, np.int64))
        return change

    def _of(self, subject: int) -> tuple[int, int]:
        """Return where the names of a subject begin and end."""
        return self._of_subjects[subject], self._of_subjects[subject + 1]

    def _write(self, name: int) -> Change:
        """Write a name in full."""
        change = self._names.change(self._pairs[self._bounds[name] : self._bounds[name + 1]])
        touched: set[int] = set()
        for pair, subject in zip(change.pairs, change.subjects, strict=True):
            now = self._settings.get(subject, _IN_FORCE)
            self._in_full[pair] = True
            for number in self._of_settings[subject]:
                if not self._done[number]:
                    other = self._changes[number]
                    then = after_change(now, other)
                    other.ended -= self._wasted(pair, now) - self._wasted(pair, then)
                    touched.add(number)
        for number in touched:
            self._versions[number] += 1
            self._push(number)
        return change

    def _set(self, change: Change, subject: int) -> None:
        """Make a change of settings in one subject."""
        others = [self._changes[n] for n in self._of_settings[subject] if not self._done[n]]
        for other in others:
            other.ended -= self._ended_by(other, subject)
        now = self._settings.get(subject, _IN_FORCE)
        then = self._settings[subject] = after_change(now, change)
        begin, end = self._table.bounds[subject : subject + 2].tolist()
        for pair in change.pairs:
            if begin <= pair < end:
                self._in_full[pair] = True
        for other in others:
            other.ended += self._ended_by(other, subject)
        if not self._names.count:
            return
        here = slice(*self._of(subject))
        of, pairs = self._names.of[here], self._names.pairs[here]
        after, before = (self._table.at(n, shorter=s)[pairs, WASTED] for n, s in (then, now))
        np.add.at(self._ended, of, after - before)
        if change.ndots is not None:
            np.subtract.at(self._waits, of, self._names.waits[here])
