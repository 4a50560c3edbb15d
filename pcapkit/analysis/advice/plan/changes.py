"""A plan's choices as changes: equal ones of several subjects as one, in the order to make them.

After every change the state is no less safe than the plan: an ndots comes with the names that it
would harm, and a name that needs no final dot under the plan's ndots comes after it. Within that,
what ends most wasted queries an edit comes first, then fewer edits, then subject and name by bytes.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pcapkit.analysis.advice.plan.curves import Choice
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import WASTED, Table
from pcapkit.model.vocabulary import Safety
from pcapkit.schema import ABSENT

_RATE_BITS, _ID_BITS = 32, 32


@dataclass(frozen=True, slots=True)
class InFull:
    """A name as a plan writes it: ``text`` ends in a dot where the plan needs it to."""

    base: str
    text: str
    final_dot: bool
    is_new_text: bool  # beside the final dot


@dataclass(slots=True)
class Change:
    """One change for one or several subjects; ``pairs`` are the names written in full with it.

    ``name`` is what a change without ``ndots`` writes in full, ``obliged`` what one with it does.
    """

    ndots: int | None
    name: InFull | None
    obliged: tuple[InFull, ...]
    safety: Safety
    subjects: list[int] = field(default_factory=list)
    pairs: list[int] = field(default_factory=list)
    ended: int = 0  # wasted queries, with what was done so far
    waits_for: set[int] = field(default_factory=set)  # subjects whose ndots must come first
    version: int = 0

    @property
    def edits(self) -> int:
        """How many edits it takes."""
        return len(self.subjects) * (self.ndots is not None) + len(self.pairs)


class Writer:
    """Says how names are to be written."""

    def __init__(self, table: Table, subjects: Sequence[Subject]) -> None:
        self._table, self._subjects = table, subjects
        self._known: dict[tuple[int, int, bool], InFull] = {}

    def in_full(self, pair: int, ndots: int | None) -> InFull:
        """Return how a pair's name is written in full where a plan sets ``ndots`` (or none)."""
        t = self._table
        of = self._subjects[int(t.subjects[pair])]
        most = of.most_ndots if ndots is None else ndots
        final_dot = not of.asks_dotted_as_is_first or t.full_dots(pair) < most
        key = int(t.bases[pair]), int(t.full[pair]), final_dot
        if (known := self._known.get(key)) is None:
            base, full = t.base_text(pair), t.full_text(pair)
            text = full + "." * final_dot
            known = self._known[key] = InFull(base, text, final_dot, base != full)
        return known

    def needs(self, pair: int, name: InFull) -> bool:
        """Would a name written so be searched before the plan's ndots is set?"""
        of = self._subjects[int(self._table.subjects[pair])]
        return not name.final_dot and self._table.full_dots(pair) < of.most_ndots

    def safety(self, choice: Choice) -> Safety:
        """Judge the ndots of a choice, with the names that it obliges to be written in full."""
        of = self._subjects[choice.subject]
        if choice.ndots is None or choice.obliged or of.thin is not None or not of.is_known:
            return Safety.REVIEW
        begin, end = self._table.bounds[choice.subject : choice.subject + 2].tolist()
        doubtful = self._table.doubtful(choice.ndots)[begin:end].any()
        return Safety.REVIEW if doubtful else Safety.SAFE


def merged(
    choices: Sequence[Choice], writer: Writer, table: Table, most: int
) -> tuple[list[Change], int]:
    """Return the changes of a plan, equal ones as one, in no order of their own.

    Of those that write one name in full there are at most about ``most``, those that end most an
    edit once all else is done; with how many there would be in all.
    """
    found: dict[object, Change] = {}
    names: list[tuple[int, int | None]] = []
    for choice in choices:
        if choice.ndots is not None:
            obliged = {p: writer.in_full(p, choice.ndots) for p in choice.obliged}
            texts = tuple(sorted(obliged.values(), key=lambda n: n.base))
            safety = writer.safety(choice)
            change = found.setdefault(
                (choice.ndots, texts, safety), Change(choice.ndots, None, texts, safety)
            )
            change.subjects.append(choice.subject)
            change.pairs += obliged
        names += [(pair, choice.ndots) for pair in choice.names]
    settings = len(found)
    kept, every = _costliest(names, table, most)
    for pair, ndots in kept:
        name, subject = writer.in_full(pair, ndots), int(table.subjects[pair])
        change = found.setdefault(name, Change(None, name, (), Safety.REVIEW))
        change.subjects.append(subject)
        change.pairs.append(pair)
        if ndots is not None and writer.needs(pair, name):
            change.waits_for.add(subject)
    return list(found.values()), every + settings


def _costliest(
    names: Sequence[tuple[int, int | None]], table: Table, most: int
) -> tuple[Sequence[tuple[int, int | None]], int]:
    """Return the pairs of the names that waste most a pair, and how many names there are in all.

    ``names`` are pairs, each with the ndots of its plan. Names that waste as much as the last one
    are returned, too.
    """
    if len(names) <= most:
        return names, len(names)
    pairs = np.array([pair for pair, _ in names])
    gain = np.zeros(pairs.size, np.int64)
    under = np.array([ABSENT if ndots is None else ndots for _, ndots in names])
    for ndots in np.unique(under).tolist():
        mine = pairs[under == ndots]
        left = table.at(None if ndots == ABSENT else ndots)[mine, WASTED]
        gain[under == ndots] = left - table.written[mine, WASTED]
    key = (table.bases[pairs] << _ID_BITS) | table.full[pairs]
    every, at, count = np.unique(key, return_inverse=True, return_counts=True)
    if every.size <= most:
        return names, int(every.size)
    rate = np.zeros(every.size, np.int64)
    np.add.at(rate, at, gain)
    rate = (rate << _RATE_BITS) // count
    least = np.partition(rate, -most)[-most]
    kept = np.flatnonzero(rate[at] >= least)
    return [names[n] for n in kept.tolist()], int(every.size)


class Ordering:
    """Puts changes in order."""

    def __init__(
        self,
        table: Table,
        subjects: Sequence[Subject],
        choices: Sequence[Choice],
        changes: Sequence[Change],
    ) -> None:
        self._table, self._subjects, self._changes = table, subjects, changes
        self._ndots = {c.subject: c.ndots for c in choices if c.ndots is not None}
        self._is_set: set[int] = set()
        #: by subject: the changes of names that its ndots alters the worth of, and its own
        self._of_names: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._of_ndots: dict[int, int] = {}
        for number, change in enumerate(changes):
            if change.ndots is not None:
                self._of_ndots |= dict.fromkeys(change.subjects, number)
                change.ended = self._ended_by_ndots(change)
                continue
            for pair in change.pairs:
                change.ended += self._wasted(pair, None) - self._in_full(pair)
                self._of_names[int(table.subjects[pair])].append((number, pair))

    def _wasted(self, pair: int, ndots: int | None) -> int:
        return int(self._table.at(ndots)[pair, WASTED])

    def _in_full(self, pair: int) -> int:
        return int(self._table.written[pair, WASTED])

    def _ended_by_ndots(self, change: Change) -> int:
        ended = 0
        for subject in change.subjects:
            begin, end = self._table.bounds[subject : subject + 2].tolist()
            now = self._table.now[begin:end, WASTED].sum()
            ended += int(now - self._table.at(change.ndots)[begin:end, WASTED].sum())
        for pair in change.pairs:
            ended += self._wasted(pair, change.ndots) - self._in_full(pair)
        return ended

    def _key(self, number: int) -> tuple[int, int, bytes, bytes, int, int]:
        change = self._changes[number]
        who = self._subjects[change.subjects[0]].title.encode("utf-8", "surrogateescape")
        name = change.name.base.encode() if change.name else b""
        rate = (change.ended << _RATE_BITS) // change.edits
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
            touched = self._after_ndots(change) if change.ndots is not None else self._after(change)
            for other in touched:
                if not done[other]:
                    self._changes[other].version += 1
                    if not self._changes[other].waits_for:
                        heapq.heappush(heap, self._key(other))
        return out

    def _after_ndots(self, change: Change) -> set[int]:
        """Note that the ndots of some subjects is set; return the changes that it alters."""
        touched = set()
        for subject in change.subjects:
            self._is_set.add(subject)
            for number, pair in self._of_names[subject]:
                other = self._changes[number]
                other.ended += self._wasted(pair, change.ndots) - self._wasted(pair, None)
                other.waits_for.discard(subject)
                touched.add(number)
        return touched

    def _after(self, change: Change) -> set[int]:
        """Note that a name is written in full; return the changes that it alters."""
        touched = set()
        for pair in change.pairs:
            subject = int(self._table.subjects[pair])
            if subject in self._is_set or subject not in self._of_ndots:
                continue
            number = self._of_ndots[subject]
            other = self._changes[number]
            other.ended -= self._wasted(pair, None) - self._wasted(pair, other.ndots)
            touched.add(number)
        return touched
