"""A plan's choices as changes: equal ones of several subjects as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pcapkit.analysis.advice.plan.curves import Choice
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import WASTED, Flags, Table
from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.model.vocabulary import Safety

#: Bits behind the point of wasted queries an edit.
RATE_BITS = 32
_ID_BITS = 32
#: An ndots that no plan sets: the one in force at each subject.
_OF_SUBJECT = -1


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
    ended: int = 0  # wasted queries, with what was done so far; of settings alone

    @property
    def edits(self) -> int:
        """How many edits it takes."""
        return len(self.subjects) * (self.name is None) + len(self.pairs)


class Writer:
    """Says how names are to be written."""

    def __init__(self, table: Table, subjects: Sequence[Subject]) -> None:
        self._table, self._subjects = table, subjects
        self._known: dict[tuple[int, int, bool], InFull] = {}
        self._most = np.array([s.most_ndots for s in subjects], np.int64)
        self._as_is_first = np.array([s.asks_dotted_as_is_first for s in subjects], np.bool_)

    def in_full(self, pair: int, ndots: int | None) -> InFull:
        """Return how a pair's name is written in full where a plan sets ``ndots`` (or none)."""
        most = np.array([_OF_SUBJECT if ndots is None else ndots])
        final_dot = bool(self.final_dots(np.array([pair]), most)[0])
        return self.written(pair, final_dot=final_dot)

    def written(self, pair: int, *, final_dot: bool) -> InFull:
        """Return how a pair's name is written in full, with its final dot or without it."""
        t = self._table
        key = t.bases.item(pair), t.full.item(pair), final_dot
        if (known := self._known.get(key)) is None:
            base, full = t.base_text(pair), t.full_text(pair)
            text = full + "." * final_dot
            known = self._known[key] = InFull(base, text, final_dot, base != full)
        return known

    def final_dots(self, pairs: Matrix, ndots: Matrix) -> Flags:
        """Say of pairs whether their names need a final dot under an ndots of a plan each.

        ``_OF_SUBJECT`` is the one in force.
        """
        owners, dots = self._table.subjects[pairs], self._table.full_dots[pairs]
        most = np.where(ndots == _OF_SUBJECT, self._most[owners], ndots)
        out: Flags = ~self._as_is_first[owners] | (dots < most)
        return out

    def wait(self, pairs: Matrix, final_dots: Flags, ndots: Matrix) -> Flags:
        """Say of names whether they would be searched before the plan's ndots is set."""
        most = self._most[self._table.subjects[pairs]]
        out: Flags = ~final_dots & (self._table.full_dots[pairs] < most) & (ndots != _OF_SUBJECT)
        return out

    def owners(self, pairs: Sequence[int]) -> list[int]:
        """Return the subjects of pairs."""
        subject_of = self._table.subject_of
        return [subject_of[pair] for pair in pairs]

    def idle(self, subject: int) -> tuple[str, ...]:
        """Return the suffixes that a subject can do without."""
        return self._subjects[subject].idle

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


@dataclass(frozen=True, slots=True)
class Names:
    """Names that a plan may write in full one by one: thousands, of which few become changes.

    ``pairs`` stand in the order of their subjects; ``of`` is the name of each, ``waits`` says that
    the ndots of its subject must come first. ``others`` are pairs of so many names more.
    """

    pairs: Matrix
    of: Matrix
    waits: Flags
    final_dots: Flags
    count: int
    others: list[int]
    others_count: int
    writer: Writer

    def change(self, at: Sequence[int]) -> Change:
        """Return the change of one name; its own pairs stand ``at`` these places."""
        pairs = [self.pairs.item(k) for k in at]
        name = self.writer.written(pairs[0], final_dot=self.final_dots.item(at[0]))
        return Change(None, (), name, (), Safety.REVIEW, self.writer.owners(pairs), pairs)

    def rest(self, is_in: Flags) -> Change:
        """Return one change for those pairs that ``is_in`` says, and all others."""
        left = [*self.pairs[is_in].tolist(), *self.others]
        return Change(None, (), _SEVERAL, (), Safety.REVIEW, pairs=left)


def merged(
    choices: Sequence[Choice], writer: Writer, table: Table, most: int
) -> tuple[list[Change], Names]:
    """Return the changes of a plan's settings, equal ones as one, and its names.

    Of names there are at most about ``most`` to be written one by one, those that end most an edit
    once all else is done.
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
    if not pairs.size:
        none = np.zeros(0, np.bool_)
        return list(found.values()), Names(pairs, pairs, none, none, 0, [], 0, writer)
    of = np.repeat(np.arange(len(choices)), [c.names.size for c in choices])
    kept, others, count = _costliest(pairs, of, choices, table, most)
    settings = np.array([_OF_SUBJECT if c.ndots is None else c.ndots for c in choices], np.int64)
    pairs, ndots = pairs[kept], settings[of[kept]]
    final_dots = writer.final_dots(pairs, ndots)
    key = np.stack([table.bases[pairs], (table.full[pairs] << 1) | final_dots])
    order = np.lexsort(key)
    is_new = np.ones(pairs.size, np.bool_)
    is_new[1:] = (np.diff(key[:, order], axis=1) != 0).any(axis=0)
    names = np.empty(pairs.size, np.int64)
    names[order] = np.cumsum(is_new) - 1
    waits = writer.wait(pairs, final_dots, ndots)
    return list(found.values()), Names(
        pairs, names, waits, final_dots, int(is_new.sum()), others, count, writer
    )


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
