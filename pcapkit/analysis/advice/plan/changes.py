"""A plan's choices as changes: equal ones of several subjects as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pcapkit.analysis.advice.plan.curves import Choice
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import WASTED, Table
from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.model.vocabulary import Safety

#: Bits behind the point of wasted queries an edit.
RATE_BITS = 32
_ID_BITS = 32


@dataclass(frozen=True, slots=True, eq=False)
class InFull:
    """A name as a plan writes it: ``text`` ends in a dot where the plan needs it to.

    ``Writer`` makes each but once.
    """

    base: str
    text: str
    final_dot: bool
    is_new_text: bool  # beside the final dot


@dataclass(slots=True)
class Change:
    """One change for one or several subjects; ``pairs`` are the names written in full with it.

    It sets an ndots, takes ``suffixes`` out of search lists, or writes a ``name`` in full.
    ``obliged`` are names that an ndots obliges to be written in full.
    """

    ndots: int | None
    suffixes: tuple[str, ...]
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
        return len(self.subjects) * (self.name is None) + len(self.pairs)


class Writer:
    """Says how names are to be written."""

    def __init__(self, table: Table, subjects: Sequence[Subject]) -> None:
        self._table, self._subjects = table, subjects
        self._known: dict[tuple[int, int, bool], InFull] = {}

    def in_full(self, pair: int, ndots: int | None) -> InFull:
        """Return how a pair's name is written in full where a plan sets ``ndots`` (or none)."""
        t = self._table
        of = self._subjects[t.subject_of[pair]]
        most = of.most_ndots if ndots is None else ndots
        final_dot = not of.asks_dotted_as_is_first or t.full_dots[pair] < most
        key = t.bases.item(pair), t.full.item(pair), final_dot
        if (known := self._known.get(key)) is None:
            base, full = t.base_text(pair), t.full_text(pair)
            text = full + "." * final_dot
            known = self._known[key] = InFull(base, text, final_dot, base != full)
        return known

    def idle(self, subject: int) -> tuple[str, ...]:
        """Return the suffixes that a subject can do without."""
        return self._subjects[subject].idle

    def needs(self, pair: int, name: InFull) -> bool:
        """Would a name written so be searched before the plan's ndots is set?"""
        of = self._subjects[self._table.subject_of[pair]]
        return not name.final_dot and self._table.full_dots[pair] < of.most_ndots

    def safety(self, choice: Choice) -> Safety:
        """Judge the ndots of a choice, with the names that it obliges to be written in full."""
        of = self._subjects[choice.subject]
        if choice.ndots is None or choice.obliged or of.thin is not None or not of.is_known:
            return Safety.REVIEW
        doubtful = self._table.doubts(choice.ndots)[choice.subject]
        return Safety.REVIEW if doubtful else Safety.SAFE


#: What stands for the names of all changes that are not made one by one.
_SEVERAL = InFull("", "", final_dot=False, is_new_text=False)
_NO_PAIRS: Matrix = np.zeros(0, np.int64)


def merged(
    choices: Sequence[Choice], writer: Writer, table: Table, most: int
) -> tuple[list[Change], Change, int]:
    """Return the changes of a plan, equal ones as one, in no order of their own.

    Of those that write one name in full there are at most about ``most``, those that end most an
    edit once all else is done. The second is one change for all others, which are so many.
    """
    found: dict[object, Change] = {}
    for choice in choices:
        if choice.ndots is not None:
            obliged = {p: writer.in_full(p, choice.ndots) for p in choice.obliged}
            texts = tuple(sorted(obliged.values(), key=lambda n: n.base))
            safety = writer.safety(choice)
            change = found.setdefault(
                (choice.ndots, texts, safety), Change(choice.ndots, (), None, texts, safety)
            )
            change.subjects.append(choice.subject)
            change.pairs += obliged
        if choice.shorter:
            idle = writer.idle(choice.subject)
            change = found.setdefault(idle, Change(None, idle, None, (), Safety.REVIEW))
            change.subjects.append(choice.subject)
    pairs = np.concatenate([_NO_PAIRS, *(c.names for c in choices)])
    of = np.repeat(np.arange(len(choices)), [c.names.size for c in choices])
    kept, others, count = _costliest(pairs, of, choices, table, most)
    for pair, number in zip(pairs[kept].tolist(), of[kept].tolist(), strict=True):
        choice = choices[number]
        name, subject = writer.in_full(pair, choice.ndots), choice.subject
        if (known := found.get(name)) is None:
            known = found[name] = Change(None, (), name, (), Safety.REVIEW)
        known.subjects.append(subject)
        known.pairs.append(pair)
        if choice.ndots is not None and writer.needs(pair, name):
            known.waits_for.add(subject)
    rest = Change(None, (), _SEVERAL, (), Safety.REVIEW, pairs=others)
    return list(found.values()), rest, count


def _costliest(
    pairs: Matrix, of: Matrix, choices: Sequence[Choice], table: Table, most: int
) -> tuple[Matrix, list[int], int]:
    """Return where those ``pairs`` stand whose names waste most a pair; the others, of so many.

    ``of`` are the numbers of their ``choices``. Names that waste as much as the last one are among
    the first, too.
    """
    if pairs.size <= most:
        return np.arange(pairs.size), [], 0
    gain = np.zeros(pairs.size, np.int64)
    settings = [(choice.ndots, choice.shorter) for choice in choices]
    numbers = {one: n for n, one in enumerate(dict.fromkeys(settings))}
    under = np.array([numbers[one] for one in settings])[of]
    for (ndots, shorter), number in numbers.items():
        here = np.flatnonzero(under == number)
        mine = pairs[here]
        left = table.at(ndots, shorter=shorter)[mine, WASTED]
        gain[here] = left - table.written[mine, WASTED]
    key = (table.bases[pairs] << _ID_BITS) | table.full[pairs]
    every, at, count = np.unique(key, return_inverse=True, return_counts=True)
    if every.size <= most:
        return np.arange(pairs.size), [], 0
    rate = np.zeros(every.size, np.int64)
    np.add.at(rate, at, gain)
    rate = (rate << RATE_BITS) // count
    least = np.partition(rate, -most)[-most]
    is_kept = rate[at] >= least
    return np.flatnonzero(is_kept), pairs[~is_kept].tolist(), int((rate < least).sum())
