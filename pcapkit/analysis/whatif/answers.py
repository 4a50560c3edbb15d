"""What every question was answered, anywhere in a capture: what a replay may rest on.

A question is a name (folded) and a type. Of what it was answered, the first of
``model.TRANSACTION_OUTCOMES`` counts: an answer beats a miss, a miss an error, an error silence.
So exchanges may be noted in any order. Times are means over the exchanges that were answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.exchanges.runs import row_words
from pcapkit.codes import ANSWER, NXDOMAIN, UNANSWERED
from pcapkit.kernels.hashing import SEED, find_slot, hash_ids, slot_count
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded
from pcapkit.schema import AA_HIDDEN, ABSENT, NO_TIME, Bytes, Ids, Int, Integers, Row, Rows

#: What one question was answered.
QUESTION = np.dtype(
    [
        ("key", np.uint64),  # 0: no question
        ("time_ns", np.int64),  # of all responses together, from query to response
        ("responses", np.int32),
        ("ttl", np.int32),  # the longest of such responses, or negative TTL; ABSENT
        ("bare", np.uint8),  # one of them has no record in its answer section
        ("outcome", np.uint8),
        ("aa", np.uint8),  # of the response that counts; AA_HIDDEN where none shows it
    ],
    align=True,
)
#: Indexes of ``Answers.typical_ns``: answered without AA, and with it.
FORWARDED, AUTHORITATIVE = 0, 1
#: Columns of the totals from which the typical times come.
_TIME_NS, _RESPONSES = 0, 1
_TYPE_BITS = 16
_FEWEST = (1 << 9) - 1  # rows to begin with: so many fill half of the slots


class QuestionTable(NamedTuple):
    """Questions by their keys; rows stand in the order in which they were first noted."""

    slots: Ids  # the row of a question; 0: free
    rows: Rows  # QUESTION; the first one is no question's, with the key 0
    used: Integers  # (1): rows that are used
    seed: np.uint64


@inline_kernel
def question_key(name: Int, qtype: Int) -> np.uint64:
    """Return the key of the question for ``qtype`` of ``name`` (a name id, or ABSENT), never 0."""
    number = np.uint64(np.int64(name) + 1)  # 0 is no name
    return ((number << np.uint64(_TYPE_BITS)) | np.uint64(qtype)) + np.uint64(1)


def _names_of(questions: Rows) -> npt.NDArray[np.int64]:
    """Return the name ids of questions (QUESTION), ABSENT where nobody can read the name."""
    keys = questions["key"] - np.uint64(1)
    names: npt.NDArray[np.int64] = (keys >> np.uint64(_TYPE_BITS)).astype(np.int64) - 1
    return names


@inline_kernel
def _ends_search(entry: Int, key: tuple[Rows, np.uint64]) -> bool:
    """Is ``entry`` of the slots free, or that of ``key``, the rows (QUESTION) and a key?"""
    rows, wanted = key
    return bool(entry == 0 or rows[entry]["key"] == wanted)


@inline_kernel
def _slot_of(key: np.uint64, table: QuestionTable) -> Int:
    """Return the slot of ``key`` in ``table``, or the free one where it belongs."""
    return find_slot(table.slots, hash_ids(key, 0, table.seed), _ends_search, (table.rows, key))


@inline_kernel
def question_of(key: np.uint64, table: QuestionTable) -> Row:
    """Return the row (QUESTION) of ``key`` in ``table``; where nobody asked, one with the key 0."""
    row: Row = table.rows[table.slots[_slot_of(key, table)]]
    return row


@kernel
def _note(exchanges: Rows, begin: Int, table: QuestionTable, totals: Integers) -> Int:
    """Note ``exchanges`` (EXCHANGE) from ``begin`` on; return where it stopped for want of rows.

    ``table`` is filled. ``totals`` (2, 2) gets response times and responses, a row each for
    FORWARDED and AUTHORITATIVE.
    """
    for k in range(begin, exchanges.shape[0]):
        if table.used[0] == table.rows.shape[0]:
            return np.int64(k)
        exchange = exchanges[k]
        key = question_key(exchange["folded"], exchange["qtype"])
        slot = _slot_of(key, table)
        is_new = table.slots[slot] == 0
        if is_new:
            table.slots[slot] = table.used[0]
            table.used[0] += 1
        question = table.rows[table.slots[slot]]
        if is_new:
            question["key"] = key
            question["time_ns"] = 0
            question["responses"] = 0
            question["bare"] = 0
            question["outcome"] = UNANSWERED
            question["aa"] = AA_HIDDEN
            question["ttl"] = ABSENT
        if exchange["outcome"] == UNANSWERED:
            continue
        source = AUTHORITATIVE if exchange["aa"] == 1 else FORWARDED  # hidden flags say nothing
        if exchange["outcome"] < question["outcome"]:
            question["outcome"] = exchange["outcome"]
            question["aa"] = exchange["aa"]
            question["ttl"] = ABSENT
            question["bare"] = 0
        elif exchange["outcome"] == question["outcome"] and (
            question["aa"] == AA_HIDDEN or source == AUTHORITATIVE
        ):
            question["aa"] = exchange["aa"]
        if exchange["outcome"] == question["outcome"]:
            question["ttl"] = max(question["ttl"], exchange["min_ttl"])
            question["bare"] = question["bare"] | (exchange["answers"] == 0)
        if exchange["query_packet"] >= 0 and exchange["response_time"] != NO_TIME:
            took = max(np.int64(0), exchange["response_time"] - exchange["query_time"])
            question["time_ns"] += took
            question["responses"] += 1
            totals[source, _TIME_NS] += took
            totals[source, _RESPONSES] += 1
    return np.int64(exchanges.shape[0])


@kernel
def _fill_slots(table: QuestionTable) -> None:
    """Put the rows of ``table`` that are used into its slots, which are all free."""
    for row in range(1, table.used[0]):
        table.slots[_slot_of(table.rows[row]["key"], table)] = row


class Answers:
    """The questions of a capture; note all of it before anything is replayed."""

    def __init__(self) -> None:
        self.questions = _new_table(_FEWEST)
        self.questions.rows[0] = 0
        self.questions.used[0] = 1
        self._totals = np.zeros((2, 2), np.int64)

    def note(self, exchanges: Rows) -> None:
        """Note exchanges (EXCHANGE rows), those without a query among them."""
        at = 0
        while at < exchanges.size:
            at = int(_note(exchanges, at, self.questions, self._totals))
            if at < exchanges.size:
                self._grow()

    def _grow(self) -> None:
        """Make room for twice as many questions.

        Rows that are not used so far are not written, so that the system gives no memory for them.
        """
        old = self.questions
        used = int(old.used[0])
        self.questions = new = _new_table(2 * old.rows.size + 1)
        row_words(new.rows)[:used] = row_words(old.rows)[:used]
        new.used[0] = used
        _fill_slots(new)

    @property
    def _noted(self) -> Rows:
        """One QUESTION row for each question."""
        return self.questions.rows[1 : self.questions.used[0]]

    @property
    def count(self) -> int:
        """How many different questions there are, those that nobody can read as one."""
        return self._noted.size

    def answered(self, qtype: int) -> int:
        """Count the names that have an answer of a type."""
        keys = self._noted["key"] - np.uint64(1)
        mine = keys & np.uint64((1 << _TYPE_BITS) - 1) == qtype
        return int((mine & (self._noted["outcome"] == ANSWER)).sum())

    def idle(self, suffixes: Sequence[Labels], names: Folded) -> frozenset[Labels]:
        """Return those of some suffixes below which no name has an answer of any type."""
        known = _names_of(self._noted[self._noted["outcome"] == ANSWER])
        known = known[known != ABSENT]
        labels = names.label_counts()[known]
        return frozenset(
            suffix
            for suffix in suffixes
            if not ((names.inside([suffix])[known] != 0) & (labels > len(suffix))).any()
        )

    def denial_ttl(self, in_zone: Bytes) -> npt.NDArray[np.int64]:
        """Return the mean negative TTL of names outside and inside the cluster domain, in seconds.

        ``in_zone`` says of each name id which it is. 0 where no name is known not to exist.
        """
        asked = self._noted[(self._noted["outcome"] == NXDOMAIN) & (self._noted["ttl"] >= 0)]
        asked = asked[_names_of(asked) != ABSENT]
        inside = in_zone[_names_of(asked)] != 0
        sums = [int(asked["ttl"][inside == side].sum()) for side in (False, True)]
        counts = [int((inside == side).sum()) for side in (False, True)]
        return np.array(sums, np.int64) // np.maximum(1, counts)

    @property
    def typical_ns(self) -> npt.NDArray[np.int64]:
        """Mean response times of what was forwarded, and of what the server answered itself."""
        times, counts = self._totals[:, _TIME_NS], self._totals[:, _RESPONSES]
        overall = int(times.sum()) // max(1, int(counts.sum()))
        return np.where(counts > 0, times // np.maximum(1, counts), overall)


def _new_table(rows: int) -> QuestionTable:
    """Return a table with room for so many rows, none of them used."""
    return QuestionTable(
        np.zeros(slot_count(rows), np.int32), np.empty(rows, QUESTION), np.zeros(1, np.int64), SEED
    )
