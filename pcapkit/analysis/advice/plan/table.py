"""What every name of every subject sends in each state: what all numbers of plans are sums of.

Lookups are independent of one another, and complete ones count by their first transmissions. So
under a plan each name of a client is in one state: asked as it is now, under one ndots, each with
the search list as it is or with a shorter one, or written in full; and the numbers of a plan are
sums over these states, none of them counted alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.advice.groups import Counted
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.whatif.affected_names import BROKEN, ELSEWHERE, LEAKED, Matrix
from pcapkit.analysis.whatif.settings import MOST_NDOTS
from pcapkit.analysis.whatif.sums import NOW, REORDERED, SENT, SHORTER_STATES, STATES, WRITTEN
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded
from pcapkit.names.top_level import is_top_level_domain
from pcapkit.schema import ABSENT, Bytes, Ids, Int, Integers, Row, Rows

Flags = npt.NDArray[np.bool_]
#: The values of ndots that a plan may set: at 0 even names of one label are asked as is first.
NDOTS = range(1, MOST_NDOTS + 1)
#: Columns of what is sent in a state.
QUERIES, WASTED, UPSTREAM, ASSUMED, TIME_NS = range(5)
COLUMNS = 5
_ID_BITS = 32


class Lookups(NamedTuple):
    """Lookups of subjects, as kernels take them: rows of one client that are replayed alike."""

    rows: Rows  # PLANNED
    pairs: Ids  # by row: its pair, ABSENT
    groups: Rows  # PLANNED_GROUP
    states: Rows  # SENT (groups, STATES)
    times: Integers  # (rows, STATES): in ns
    shorter_states: Rows  # SENT (some groups, SHORTER_STATES)
    shorter_rows: Ids  # the rows of these
    shorter_times: Integers  # (the same, SHORTER_STATES): in ns


@inline_kernel
def _add(sent: Row, count: Int, time_ns: Int, total: Integers) -> None:
    """Add ``count`` lookups that send ``sent`` (SENT) each, and their time, to ``total``."""
    total[QUERIES] += count * sent["queries"]
    total[WASTED] += count * sent["wasted"]
    total[UPSTREAM] += count * sent["upstream"]
    total[ASSUMED] += count * sent["assumed"]
    total[TIME_NS] += time_ns


@kernel
def _sum_state(lookups: Lookups, ndots: Int, state: Int, sums: Integers, marks: Bytes) -> None:
    """Add up what pairs send under an ``ndots``, or in one ``state``, as ``lookups`` say.

    Below 0 neither is asked for: then it is the state in force. ``sums`` (pairs, COLUMNS) and
    ``marks`` (pairs), of ``whatif.replay``, get the result; the state in force has no marks.
    """
    for r in range(lookups.rows.shape[0]):
        pair, row = lookups.pairs[r], lookups.rows[r]
        if pair < 0:
            continue
        of = max(np.int64(NOW), np.int64(state))
        if ndots >= 0 and (lookups.groups[row["group"]]["reordered_at"] >> ndots) & 1:
            of = np.int64(REORDERED)
        sent = lookups.states[row["group"], of]
        _add(sent, row["count"], lookups.times[r, of], sums[pair])
        if of != NOW:
            marks[pair] |= sent["flags"]


@kernel
def _shorten(lookups: Lookups, ndots: Int, sums: Integers, marks: Bytes) -> None:
    """Turn what ``_sum_state`` gave for an ``ndots`` into what shorter lists leave of it."""
    for n in range(lookups.shorter_rows.shape[0]):
        r = lookups.shorter_rows[n]
        pair, row = lookups.pairs[r], lookups.rows[r]
        if pair < 0:
            continue
        group = lookups.groups[row["group"]]
        of = np.int64(NOW)
        if ndots >= 0 and (group["reordered_at"] >> ndots) & 1:
            of = np.int64(REORDERED)
        sent = lookups.states[row["group"], of]
        _add(sent, -np.int64(row["count"]), -lookups.times[r, of], sums[pair])
        sent = lookups.shorter_states[group["shorter"], of]
        _add(sent, row["count"], lookups.shorter_times[n, of], sums[pair])
        marks[pair] |= sent["flags"]


@kernel
def _find_answers(lookups: Lookups, least: Ids, most: Ids) -> None:
    """Set ``least`` and ``most`` (pairs) to the lowest and highest id of a name that answered.

    They hold ABSENT.
    """
    for r in range(lookups.rows.shape[0]):
        pair = lookups.pairs[r]
        name = lookups.groups[lookups.rows[r]["group"]]["answered_by"]
        if pair >= 0 and name >= 0:
            least[pair] = name if least[pair] < 0 else min(least[pair], name)
            most[pair] = max(most[pair], name)


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
        key = (owner << _ID_BITS) | planned.groups["base"][planned.rows["group"]]
        mine = np.flatnonzero(owner >= 0)
        every, pair = np.unique(key[mine], return_inverse=True)
        pairs = np.full(planned.rows.size, ABSENT, np.int32)
        pairs[mine] = pair
        self.subjects: Matrix = every >> _ID_BITS
        self.bases: Matrix = every & ((1 << _ID_BITS) - 1)
        self.bounds: Matrix = np.searchsorted(self.subjects, np.arange(len(subjects) + 1))
        self.lookups = Lookups(
            planned.rows,
            pairs,
            planned.groups,
            planned.states,
            planned.times,
            planned.shorter_states,
            planned.shorter_rows,
            planned.shorter_times,
        )
        self._counted = counted
        self._at: dict[tuple[int | None, bool], tuple[Matrix, npt.NDArray[np.uint8]]] = {}
        self._harmed: dict[tuple[int | None, bool], Flags] = {}
        self._doubts: dict[int, list[bool]] = {}
        self.now = self.at(None)
        self.written, self._written_marks = self._sums(ABSENT, WRITTEN)

    @property
    def size(self) -> int:
        """How many pairs there are."""
        return int(self.bases.size)

    def _sums(self, ndots: int, state: int) -> tuple[Matrix, npt.NDArray[np.uint8]]:
        sums, marks = np.zeros((self.size, COLUMNS), np.int64), np.zeros(self.size, np.uint8)
        _sum_state(self.lookups, ndots, state, sums, marks)
        return sums, marks

    def sent_by_groups(self) -> npt.NDArray[np.int32]:
        """Return what one lookup of each PLANNED_GROUP sends in each state.

        (groups, STATES and SHORTER_STATES, queries and upstream ones)
        """
        columns, fields = [QUERIES, UPSTREAM], len(SENT.names or ())
        one = self.lookups.states.view(np.int32).reshape(-1, STATES, fields)[:, :, columns]
        out = np.concatenate([one, one[:, :SHORTER_STATES]], axis=1)
        short = self.lookups.shorter_states.view(np.int32).reshape(-1, SHORTER_STATES, fields)
        out[self.lookups.groups["shorter"] >= 0, STATES:] = short[:, :, columns]
        return out

    def at(self, ndots: int | None, *, shorter: bool = False) -> Matrix:
        """Return what each pair sends under an ndots (None: in force), (pairs, COLUMNS).

        ``shorter``: and without the suffixes under which nothing is ever answered.
        """
        return self._under(ndots, shorter)[0]

    def marks(self, ndots: int | None, *, shorter: bool = False) -> npt.NDArray[np.uint8]:
        """Return the marks that an ndots gives each pair, of ``whatif.replay``.

        With ``shorter`` those of a shorter list, too.
        """
        return self._under(ndots, shorter)[1]

    def _under(self, ndots: int | None, shorter: bool) -> tuple[Matrix, npt.NDArray[np.uint8]]:
        if (known := self._at.get((ndots, shorter))) is None:
            value = ABSENT if ndots is None else ndots
            known = self._sums(value, ABSENT)
            if shorter:
                _shorten(self.lookups, value, *known)
            self._at[ndots, shorter] = known
        return known

    def harmed(self, ndots: int | None, *, shorter: bool = False) -> Flags:
        """Say of each pair whether an ndots would break it or let another host answer.

        With ``shorter``: that ndots, or the same with a shorter list.
        """
        if (known := self._harmed.get((ndots, shorter))) is None:
            marks = self.marks(ndots, shorter=shorter)
            known = marks & (BROKEN | ELSEWHERE) != 0
            leaked = np.flatnonzero(marks & LEAKED)
            known[leaked] |= self._collides(self.bases[leaked])
            self._harmed[ndots, shorter] = known
        return known

    def _collides(self, bases: Matrix) -> Flags:
        """Say of names with a dot whether their last label is a real top-level domain."""
        once, at = np.unique(bases, return_inverse=True)
        domains = [t.rpartition(".")[2] if "." in t else "" for t in self._names.texts(once)]
        real = {d for d in set(domains) if d and is_top_level_domain(d)}
        return np.array([d in real for d in domains], np.bool_)[at]

    def _doubtful(self, ndots: int) -> Flags:
        """Say of each pair whether an ndots asks for a review: a mark, or an answer not seen."""
        out: Flags = (self.marks(ndots) != 0) | (self.at(ndots)[:, ASSUMED] > 0)
        return out

    def doubts(self, ndots: int) -> list[bool]:
        """Say of each subject whether an ndots asks for a review of any of its pairs."""
        if (known := self._doubts.get(ndots)) is None:
            sums = np.append(0, np.cumsum(self._doubtful(ndots)))
            known = (sums[self.bounds[1:]] > sums[self.bounds[:-1]]).tolist()
            self._doubts[ndots] = known
        return known

    @cached_property
    def full(self) -> Matrix:
        """Return the id of the one name that answered each pair; ABSENT where it is in no plan.

        That is a name that nothing answered, that several names answered, or that a wildcard did.
        """
        least, most = np.full((2, self.size), ABSENT, np.int32)
        _find_answers(self.lookups, least, most)
        out: Matrix = np.where((least == most) & (self._written_marks == 0), most, ABSENT).astype(
            np.int64
        )
        if self._counted.wildcards:
            known = np.unique(out[out != ABSENT])
            texts = self._names.texts(known)
            found = [self._counted.by_wildcard(f"{text}.") for text in texts]
            out[np.isin(out, known[np.array(found, np.bool_)])] = ABSENT
        return out

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

    @cached_property
    def full_dots(self) -> Matrix:
        """The dots of the name that answered each pair."""
        counts = self._names.label_counts()[np.maximum(self.full, 0)]
        out: Matrix = counts.astype(np.int64) - 1
        return out

    @cached_property
    def ended_by_writing(self) -> Matrix:
        """The wasted queries that writing each pair in full ends, as it is asked now."""
        out: Matrix = self.now[:, WASTED] - self.written[:, WASTED]
        return out

    @cached_property
    def subject_of(self) -> list[int]:
        """The subject of each pair."""
        out: list[int] = self.subjects.tolist()
        return out

    def are_inside(self, zones: Sequence[Labels]) -> npt.NDArray[np.uint8]:
        """Return, for every name by its id, 1 where it lies in one of the zones."""
        return self._names.inside(zones)

    def base_labels(self, pair: int) -> tuple[str, ...]:
        """Return the labels of a pair's base name."""
        return self._names.labels(int(self.bases[pair]))

    def full_labels(self, pair: int) -> tuple[str, ...]:
        """Return the labels of the name that answered a pair."""
        return self._names.labels(int(self.full[pair]))
