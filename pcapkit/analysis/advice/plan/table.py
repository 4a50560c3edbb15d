"""What every name of every subject sends in each state: what all numbers of plans are sums of.

Lookups are independent of one another, and complete ones count by their first transmissions. So
under a plan each name of a client is in one state: asked as it is now, under one ndots, each with
the search list as it is or with a shorter one, or written in full; and the numbers of a plan are
sums over these states, none of them counted alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.advice.groups import Counted
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.analysis.whatif.replay import BROKEN, ELSEWHERE, LEAKED
from pcapkit.analysis.whatif.settings import MOST_NDOTS
from pcapkit.analysis.whatif.sums import NOW, REORDERED, SHORTER_STATES, STATES, WRITTEN
from pcapkit.analysis.whatif.verdicts import Planned
from pcapkit.names.table import Folded
from pcapkit.names.top_level import is_top_level_domain
from pcapkit.schema import ABSENT

Flags = npt.NDArray[np.bool_]
#: The values of ndots that a plan may set: at 0 even names of one label are asked as is first.
NDOTS = range(1, MOST_NDOTS + 1)
#: Columns of what is sent in a state.
QUERIES, WASTED, UPSTREAM, ASSUMED, TIME_NS = range(5)
COLUMNS = 5
_ID_BITS = 32
_SENT_FIELDS = 5
_FLAGS = 4  # the place of flags in SENT


class Table:
    """Sums of pairs of a subject and a base name, of names that some state changes.

    Pairs stand subject by subject; those of subject ``s`` from ``bounds[s]`` to ``bounds[s + 1]``.
    """

    def __init__(self, counted: Counted, subjects: Sequence[Subject]) -> None:
        result = counted.result
        planned = result.planned()
        self._names: Folded = result.names
        subject_of = np.full(len(result.clients), ABSENT)
        for s, subject in enumerate(subjects):
            subject_of[subject.members] = s
        owner = subject_of[planned.rows["client"]]
        base = planned.groups["base"][planned.rows["group"]]
        order = np.argsort((owner << _ID_BITS) | base, kind="stable")
        #: how many PLANNED rows there are, and those that belong to a pair, pair by pair
        self.planned_rows = planned.rows.size
        self.order = order = order[owner[order] >= 0]
        rows = planned.rows[order]
        owner, base, group = owner[order], base[order], rows["group"]
        new = np.ones(order.size, np.bool_)
        new[1:] = (owner[1:] != owner[:-1]) | (base[1:] != base[:-1])
        self._first = np.flatnonzero(new)
        self._row_bounds = np.searchsorted(owner, np.arange(len(subjects) + 1))
        #: the pair of each of them
        self.pair_of = np.cumsum(new) - 1
        self.subjects: Matrix = owner[self._first]
        self.bases: Matrix = base[self._first].astype(np.int64)
        self.bounds: Matrix = np.searchsorted(self.subjects, np.arange(len(subjects) + 1))
        of_groups = planned.states.view(np.int32).reshape(-1, STATES, _SENT_FIELDS)
        states = of_groups[group]
        self._queries = of_groups[planned.rows["group"], :, QUERIES].astype(np.int64)
        self._flags = states[:, :, _FLAGS]
        self._sent = np.empty((order.size, STATES, COLUMNS), np.int64)
        self._sent[:, :, :TIME_NS] = states[:, :, :TIME_NS] * rows["count"][:, None, None]
        self._sent[:, :, TIME_NS] = planned.times[order]
        self._reordered_at = planned.groups["reordered_at"][group]
        self._by_wildcard = counted.by_wildcard
        self._answered = planned.groups["answered_by"][group]
        self.now = self._summed(self._sent[:, NOW])
        self.written = self._summed(self._sent[:, WRITTEN])
        self._at: dict[tuple[int | None, bool], Matrix] = {(None, False): self.now}
        self._shorter = _Shorter(planned, order)

    @property
    def size(self) -> int:
        """How many pairs there are."""
        return int(self.bases.size)

    def _summed(self, sent: Matrix) -> Matrix:
        """Add up rows, pair by pair."""
        if not self._first.size:
            return np.zeros((0, COLUMNS), np.int64)
        out: Matrix = np.add.reduceat(sent, self._first)
        return out

    def rows_of(self, subject: int) -> tuple[int, int]:
        """Return the bounds of a subject's rows in ``order``."""
        begin, end = self._row_bounds[subject : subject + 2].tolist()
        return begin, end

    def queries_of_rows(self) -> Matrix:
        """Return the queries of one lookup of each PLANNED row, in each state.

        (rows, STATES and SHORTER_STATES)
        """
        out = np.concatenate([self._queries, self._queries[:, :SHORTER_STATES]], axis=1)
        rows = self._shorter.rows
        out[self.order[rows], STATES:] = self._shorter.queries
        return out

    def is_reordered(self, ndots: int) -> Flags:
        """Say of each row (in ``order``) if an ndots changes the order in which it is asked."""
        out: Flags = (self._reordered_at >> ndots) & 1 != 0
        return out

    def at(self, ndots: int | None, *, shorter: bool = False) -> Matrix:
        """Return what each pair sends under an ndots (None: in force), (pairs, COLUMNS).

        ``shorter``: and without the suffixes under which nothing is ever answered.
        """
        if (known := self._at.get((ndots, shorter))) is not None:
            return known
        if shorter:
            out = self.at(ndots).copy()
            rows = self._shorter.rows
            reordered = self._reordered(ndots)[rows]
            with_them = np.where(
                reordered[:, None], self._sent[rows, REORDERED], self._sent[rows, NOW]
            )
            np.add.at(out, self.pair_of[rows], self._shorter.sent(reordered) - with_them)
        else:
            reordered = self._reordered(ndots)[:, None]
            out = self._summed(np.where(reordered, self._sent[:, REORDERED], self._sent[:, NOW]))
        self._at[ndots, shorter] = out
        return out

    def _reordered(self, ndots: int | None) -> Flags:
        if ndots is None:
            return np.zeros(self.order.size, np.bool_)
        return self.is_reordered(ndots)

    @lru_cache(maxsize=2 * MOST_NDOTS + 3)  # noqa: B019 (lives as long as the table)
    def marks(self, ndots: int | None, *, shorter: bool = False) -> Matrix:
        """Return the marks that an ndots gives each pair, of ``whatif.replay``.

        With ``shorter`` those of a shorter list, too.
        """
        if not self._first.size:
            return np.zeros(0, np.int64)
        reordered = self._reordered(ndots)
        flags = np.where(reordered, self._flags[:, REORDERED], 0)
        if shorter:
            rows = self._shorter.rows
            flags[rows] |= self._shorter.flags(reordered[rows])
        out: Matrix = np.bitwise_or.reduceat(flags, self._first)
        return out

    @lru_cache(maxsize=2 * MOST_NDOTS + 3)  # noqa: B019
    def harmed(self, ndots: int | None, *, shorter: bool = False) -> Flags:
        """Say of each pair whether an ndots would break it or let another host answer.

        With ``shorter``: that ndots, or the same with a shorter list.
        """
        marks = self.marks(ndots, shorter=shorter)
        out: Flags = marks & (BROKEN | ELSEWHERE) != 0
        leaked = np.flatnonzero(marks & LEAKED)
        out[leaked] |= self._collides(self.bases[leaked])
        return out

    def _collides(self, bases: Matrix) -> Flags:
        """Say of names with a dot whether their last label is a real top-level domain."""
        once, at = np.unique(bases, return_inverse=True)
        domains = [t.rpartition(".")[2] if "." in t else "" for t in self._names.texts(once)]
        real = {d for d in set(domains) if d and is_top_level_domain(d)}
        return np.array([d in real for d in domains], np.bool_)[at]

    @lru_cache(maxsize=MOST_NDOTS + 1)  # noqa: B019
    def doubtful(self, ndots: int) -> Flags:
        """Say of each pair whether an ndots asks for a review: a mark, or an answer not seen."""
        out: Flags = (self.marks(ndots) != 0) | (self.at(ndots)[:, ASSUMED] > 0)
        return out

    @cached_property
    def full(self) -> Matrix:
        """Return the id of the one name that answered each pair; ABSENT where it is in no plan.

        That is a name that nothing answered, that several names answered, or that a wildcard did.
        """
        if not self._first.size:
            return np.zeros(0, np.int64)
        most = np.maximum.reduceat(self._answered, self._first).astype(np.int64)
        unknown = np.where(self._answered == ABSENT, most.max(), self._answered)
        least = np.minimum.reduceat(unknown, self._first)
        flags = np.bitwise_or.reduceat(self._flags[:, WRITTEN], self._first)
        out: Matrix = np.where((least == most) & (flags == 0), most, ABSENT)
        once, at = np.unique(out, return_inverse=True)
        found = [f == ABSENT or self._by_wildcard(f"{t}.") for f, t in self._with_texts(once)]
        out[np.array(found, np.bool_)[at]] = ABSENT
        return out

    def _with_texts(self, ids: Matrix) -> list[tuple[int, str]]:
        known = ids[ids != ABSENT]
        texts = dict(zip(known.tolist(), self._names.texts(known), strict=True))
        return [(i, texts.get(i, "")) for i in ids.tolist()]

    @cached_property
    def ranks(self) -> Matrix:
        """Return the rank of each pair's base name by its bytes."""
        once, at = np.unique(self.bases, return_inverse=True)
        texts = self._names.texts(once)
        rank = np.empty(once.size, np.int64)
        rank[sorted(range(once.size), key=texts.__getitem__)] = np.arange(once.size)
        out: Matrix = rank[at]
        return out

    def label_counts(self) -> Matrix:
        """Count the labels of each pair's base name."""
        out: Matrix = self._names.label_counts()[self.bases].astype(np.int64)
        return out

    def base_text(self, pair: int) -> str:
        """Return the base name of a pair."""
        return self._names.text(int(self.bases[pair]))

    def full_text(self, pair: int) -> str:
        """Return the name that answered a pair, without its final dot."""
        return self._names.text(int(self.full[pair]))

    def full_dots(self, pair: int) -> int:
        """Count the dots of the name that answered a pair."""
        return len(self._names.labels(int(self.full[pair]))) - 1

    def base_labels(self, pair: int) -> tuple[str, ...]:
        """Return the labels of a pair's base name."""
        return self._names.labels(int(self.bases[pair]))

    def full_labels(self, pair: int) -> tuple[str, ...]:
        """Return the labels of the name that answered a pair."""
        return self._names.labels(int(self.full[pair]))


class _Shorter:
    """What rows of a table send where their search lists lose suffixes that never answer."""

    def __init__(self, planned: Planned, order: Matrix) -> None:
        place = np.full(planned.rows.size, ABSENT)
        place[order] = np.arange(order.size)
        at = place[planned.shorter_rows]
        kept = at >= 0
        #: places of the rows in ``Table.order``
        self.rows: Matrix = at[kept]
        rows = planned.rows[planned.shorter_rows[kept]]
        group = planned.groups["shorter"][rows["group"]]
        states = planned.shorter_states.view(np.int32).reshape(-1, SHORTER_STATES, _SENT_FIELDS)
        states = states[group]
        self.queries = states[:, :, QUERIES].astype(np.int64)
        self._flags = states[:, :, _FLAGS].astype(np.int64)
        self._sent = np.empty((group.size, SHORTER_STATES, COLUMNS), np.int64)
        self._sent[:, :, :TIME_NS] = states[:, :, :TIME_NS] * rows["count"][:, None, None]
        self._sent[:, :, TIME_NS] = planned.shorter_times[kept]

    def sent(self, reordered: Flags) -> Matrix:
        """Return what each of the rows sends, ``reordered`` or not."""
        out: Matrix = np.where(reordered[:, None], self._sent[:, REORDERED], self._sent[:, NOW])
        return out

    def flags(self, reordered: Flags) -> Matrix:
        """Return the marks of each of the rows, ``reordered`` or not."""
        out: Matrix = np.where(reordered, self._flags[:, REORDERED], self._flags[:, NOW])
        return out
