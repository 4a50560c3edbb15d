"""What so many edits of one subject end at most: a curve for each kind of plan.

Of one subject a plan may set one ndots, or leave what is in force; and it may take the suffixes
that never answer anything out of the search list. The names that this would harm must be written in
full with it. The other names are independent of one another: those that waste most come first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import NDOTS, QUERIES, WASTED, Table
from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.kernels.jit import kernel
from pcapkit.model.plans import PlanKind
from pcapkit.schema import ABSENT, Int, Integers

#: A point that no choice reaches.
UNREACHED = -(1 << 61)
#: What decides between choices of as many edits, in one integer: the queries that they end, then
#: fewer names, then the list as it is, then an ndots near to today's.
_WASTE_BITS, _NAME_BITS, _LIST_BITS = 33, 16, 8
#: Bits of where a pair stands, behind what writing its name in full ends.
_AT_BITS = 31
#: Settings of a subject: its ndots (None: the one in force), and is its search list shorter?
Settings = tuple[int | None, bool]


def waste_of(values: Matrix) -> Matrix:
    """Return the wasted queries that values of ``Curve.values`` end."""
    out: Matrix = -(-values >> _WASTE_BITS)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What is done in one subject; None of ndots leaves what is in force.

    ``shorter``: the suffixes that never answer anything are taken out of its search list.
    ``obliged`` and ``names`` are pairs of the table: names that the settings oblige to be written
    in full, and others.
    """

    subject: int
    ndots: int | None
    shorter: bool
    obliged: tuple[int, ...]
    names: Matrix

    @property
    def edits(self) -> int:
        """How many edits it takes."""
        return (self.ndots is not None) + self.shorter + len(self.obliged) + self.names.size


@dataclass(frozen=True, slots=True)
class _Option:
    """Settings, with all names that may be written in full beside them."""

    ndots: int | None
    shorter: bool
    obliged: Matrix
    names: Matrix  # those that waste most first
    first: int  # edits without any of the names
    values: Matrix  # by how many of the names are written in full, from 0 on
    queries: Matrix  # the same, saved


@kernel
def _hull(reached: Integers, ended_by: Integers, hull: Integers) -> Int:
    """Find the concave hull of what edits end; return how many points it has.

    ``reached`` are the numbers of edits that some choice has, 0 first, and ``ended_by`` what each
    number ends. ``hull``, as long as ``reached``, gets those on it.
    """
    size = np.int64(1)
    hull[0] = 0
    for n in range(1, reached.shape[0]):
        edits = reached[n]
        if ended_by[edits] <= ended_by[hull[size - 1]]:
            continue
        while size > 1:
            a, b = hull[size - 2], hull[size - 1]
            more = (ended_by[b] - ended_by[a]) * (edits - b)
            if more > (ended_by[edits] - ended_by[b]) * (b - a):
                break
            size -= 1
        hull[size] = edits
        size += 1
    return size


@dataclass(frozen=True)
class Curve:
    """The best choices of one subject, by their number of edits from 0 on."""

    subject: int
    values: Matrix  # see ``waste_of``; UNREACHED where no choice has so many edits
    queries: Matrix  # saved
    which: Matrix  # of the options
    options: tuple[_Option, ...]

    def choice(self, edits: int) -> Choice:
        """Return the best choice of so many edits."""
        option = self.options[int(self.which[edits])]
        return Choice(
            self.subject,
            option.ndots,
            option.shorter,
            tuple(option.obliged.tolist()),
            option.names[: edits - option.first],
        )

    @cached_property
    def is_concave(self) -> bool:
        """Does every edit end at most what the one before it ended?"""
        steps = np.diff(self.values)
        return bool((self.values > UNREACHED).all() and (steps[1:] <= steps[:-1]).all())

    @cached_property
    def sides(self) -> Matrix:
        """The sides of its concave hull, a row each, with what each adds.

        The columns: 0, edits before, more edits, wasted queries, value, saved queries.
        """
        if self.is_concave:
            values = np.diff(self.values)
            ended = np.diff(waste_of(self.values))
            edits = np.arange(values.size)
            keep = ended > 0
            one, saved = np.ones(values.size, np.int64), np.diff(self.queries)
            out: Matrix = np.stack([0 * one, edits, one, ended, values, saved], axis=1)[keep]
            return out
        ended_by = waste_of(self.values)
        reached = np.flatnonzero(self.values > UNREACHED)
        hull = np.zeros(reached.size, np.int64)
        hull = hull[: _hull(reached, ended_by, hull)]
        columns = hull, ended_by[hull], self.values[hull], self.queries[hull]
        more, ended, values, saved = (np.diff(c) for c in columns)
        out = np.stack([0 * more, hull[:-1], more, ended, values, saved], axis=1)
        return out


def _alone(option: _Option) -> _Option:
    """Return an option without names to be written in full."""
    if not option.names.size:
        return option
    values, queries = option.values[:1], option.queries[:1]
    return _Option(option.ndots, option.shorter, _NONE, _NONE, option.first, values, queries)


def _curve(subject: int, options: Sequence[_Option]) -> Curve:
    """Return the best of some options of one subject, by edits."""
    if len(options) == 1 and not options[0].first:  # nothing but names
        (only,) = options
        which = np.zeros(only.values.size, np.int64)
        return Curve(subject, only.values, only.queries, which, (only,))
    size = max(o.first + o.values.size for o in options)
    values = np.full(size, UNREACHED)
    queries, which = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for number, o in enumerate(options):
        here = slice(o.first, o.first + o.values.size)
        better = o.values > values[here]
        values[here][better] = o.values[better]
        queries[here][better] = o.queries[better]
        which[here][better] = number
    return Curve(subject, values, queries, which, tuple(options))


class Curves:
    """The curves of all subjects."""

    def __init__(self, table: Table, subjects: Sequence[Subject]) -> None:
        self._table, self._subjects = table, subjects
        self._order: dict[Settings, tuple[Matrix, list[int], Matrix]] = {}
        self._alone: dict[Settings, tuple[list[int], list[int]]] = {}
        self._harmed: dict[Settings, dict[int, Matrix]] = {}

    def _by_subject(self, pairs: Matrix) -> Matrix:
        """Add up a value of pairs, subject by subject."""
        sums = np.concatenate([[0], np.cumsum(pairs)])
        out: Matrix = sums[self._table.bounds[1:]] - sums[self._table.bounds[:-1]]
        return out

    @cached_property
    def _by_name(self) -> Matrix:
        """Pairs that may be written in full, by the ranks of their names."""
        pairs = np.flatnonzero(self._table.full != ABSENT)
        out: Matrix = pairs[np.argsort(self._table.ranks[pairs], kind="stable")]
        return out

    @cached_property
    def _owners(self) -> npt.NDArray[np.unsignedinteger[Any]]:
        """The subject of each pair, in the fewest bits: up to 16 are sorted much faster."""
        small = len(self._subjects) <= 1 << 16
        return self._table.subjects.astype(np.uint16 if small else np.uint32)

    def _names(self, settings: Settings) -> tuple[Matrix, list[int], Matrix]:
        """Return pairs that waste under settings and may be written in full; bounds by subject.

        They stand subject by subject, those that waste most first. The last are sums: of the waste
        that the first so many of them end, and of the queries that they save.
        """
        if (known := self._order.get(settings)) is None:
            t, names = self._table, self._by_name
            under = self._under(settings)
            gain = under[:, WASTED] - t.written[:, WASTED]
            mine = gain[names]
            at = np.flatnonzero(mine > 0)
            # One integer each, which sorts much faster than several keys do.
            key = ((int(mine.max(initial=0)) - mine[at]) << _AT_BITS) | at
            key.sort()
            pairs = names[key & ((1 << _AT_BITS) - 1)]
            pairs = pairs[np.argsort(self._owners[pairs], kind="stable")]
            bounds = np.searchsorted(t.subjects[pairs], np.arange(len(self._subjects) + 1))
            saved = under[pairs, QUERIES] - t.written[pairs, QUERIES]
            sums = np.zeros((2, pairs.size + 1), np.int64)
            np.cumsum([gain[pairs], saved], axis=1, out=sums[:, 1:])
            known = self._order[settings] = pairs, bounds.tolist(), sums
        return known

    def _under(self, settings: Settings) -> Matrix:
        ndots, shorter = settings
        return self._table.at(ndots, shorter=shorter)

    def _ends_alone(self, settings: Settings) -> tuple[list[int], list[int]]:
        """Return what settings alone end and save, by subject."""
        if (known := self._alone.get(settings)) is None:
            now, under = self._table.now, self._under(settings)
            known = self._alone[settings] = (
                self._by_subject(now[:, WASTED] - under[:, WASTED]).tolist(),
                self._by_subject(now[:, QUERIES] - under[:, QUERIES]).tolist(),
            )
        return known

    def harmed(self, subject: int, settings: Settings) -> Matrix:
        """Return the pairs of a subject that settings would harm."""
        if (known := self._harmed.get(settings)) is None:
            ndots, shorter = settings
            pairs = np.flatnonzero(self._table.harmed(ndots, shorter=shorter))
            owners = self._table.subjects[pairs]
            known = self._harmed[settings] = {
                int(s): pairs[owners == s] for s in np.unique(owners).tolist()
            }
        return known.get(subject, _NONE)

    def _candidates(self, subject: int) -> list[int]:
        """Return the values of ndots that would be a change."""
        return [n for n in NDOTS if self._subjects[subject].today != {n}]

    def _option(self, subject: int, settings: Settings) -> _Option | None:
        """Return what settings and names in full make possible; None where they would do harm."""
        t = self._table
        ndots, shorter = settings
        obliged, ended, saved, far = _NONE, 0, 0, 0
        if ndots is not None or shorter:
            obliged = self.harmed(subject, settings)
            if obliged.size and (ndots is None or (t.full[obliged] == ABSENT).any()):
                return None
            alone = self._ends_alone(settings)
            ended, saved = alone[0][subject], alone[1][subject]
        if shorter and self.harmed(subject, (None, True)).size:
            return None
        if ndots is not None:
            far = abs(self._subjects[subject].ndots - ndots)
        if obliged.size:
            more = (self._under(settings)[obliged] - t.written[obliged]).sum(axis=0)
            ended, saved = ended + int(more[WASTED]), saved + int(more[QUERIES])
        pairs, bounds, sums = self._names(settings)
        begin, end = bounds[subject : subject + 2]
        names, gained = pairs[begin:end], sums[:, begin : end + 1] - sums[:, begin : begin + 1]
        if obliged.size and (others := ~np.isin(names, obliged)).size:
            gained = np.diff(gained, axis=1)[:, others].cumsum(axis=1)
            gained = np.concatenate([np.zeros((2, 1), np.int64), gained], axis=1)
            names = names[others]
        written = obliged.size + np.arange(names.size + 1)
        values = ((ended + gained[0]) << _WASTE_BITS) - (written << _NAME_BITS)
        values -= (int(shorter) << _LIST_BITS) + far
        first = (ndots is not None) + int(shorter) + obliged.size
        return _Option(ndots, shorter, obliged, names, first, values, saved + gained[1])

    def of(self, subject: int) -> Mapping[PlanKind, Curve]:
        """Return the curves of one subject."""
        tried: list[Settings] = [(None, False)]
        tried += [(n, False) for n in self._candidates(subject)]
        if self._subjects[subject].idle:
            tried += [(ndots, True) for ndots, _ in tried]
        best = [o for n in tried if (o := self._option(subject, n)) is not None]
        alone = [_alone(o) for o in best if not o.shorter and not o.obliged.size]
        return {
            PlanKind.SETTINGS: _curve(subject, alone),
            PlanKind.NAMES: _curve(subject, best[:1]),  # under what is in force
            PlanKind.BEST: _curve(subject, best),
        }

    def safe_choice(self, subject: int) -> tuple[int, Choice] | None:
        """Return the best ndots that is safe as it is, and its value; None where there is none."""
        of = self._subjects[subject]
        if of.thin is not None or not of.is_known:
            return None
        best: tuple[int, Choice] | None = None
        for n in self._candidates(subject):
            if self._table.doubts(n)[subject]:
                continue
            ended = self._ends_alone((n, False))[0][subject]
            value = (ended << _WASTE_BITS) - abs(of.ndots - n)
            if ended > 0 and (best is None or value > best[0]):
                best = value, Choice(subject, n, False, (), _NONE)
        return best


_NONE: Matrix = np.zeros(0, np.int64)
