"""What every question was answered, anywhere in a capture: what a replay may rest on.

A question is a name (folded) and a type. Of what it was answered, the first of
``model.TRANSACTION_OUTCOMES`` counts: an answer beats a miss, a miss an error, an error silence.
So exchanges may be noted in any order. Times are means over the exchanges that were answered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pcapkit.codes import ANSWER, NXDOMAIN, UNANSWERED
from pcapkit.kernels.hashing import SEED, find_slot, hash_ids
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded
from pcapkit.schema import AA_HIDDEN, ABSENT, NO_TIME, Bytes, Int, Integers, Row, Rows

#: What one question was answered.
QUESTION = np.dtype(
    [
        ("key", np.uint64),  # 0: a free slot
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
_LARGE = 1 << 18  # slots; a table of so many grows by less at a time


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
def _ends_search(question: Row, key: tuple[np.uint64]) -> bool:
    """Is ``question`` (QUESTION) a free slot, or that of ``key``, a tuple of it alone?"""
    return bool(question["key"] == 0 or question["key"] == key[0])


@inline_kernel
def question_slot(questions: Rows, key: np.uint64, seed: np.uint64) -> Int:
    """Return the slot of ``key`` in ``questions`` (QUESTION), or the free one where it belongs.

    ``seed`` (uint64) is SEED of the hash tables.
    """
    return find_slot(questions, hash_ids(key, 0, seed), _ends_search, (key,))


@kernel
def _note(
    exchanges: Rows, begin: Int, questions: Rows, used: Integers, totals: Integers, seed: np.uint64
) -> Int:
    """Note ``exchanges`` (EXCHANGE) from ``begin`` on; return where it stopped for want of slots.

    ``questions`` (QUESTION) is the hash table that is filled by ``seed``, ``used`` (1) how many of
    its slots are taken. ``totals`` (2, 2) gets response times and responses, a row each for
    FORWARDED and AUTHORITATIVE.
    """
    for k in range(begin, exchanges.shape[0]):
        if 2 * (used[0] + 1) > questions.shape[0]:
            return np.int64(k)
        exchange = exchanges[k]
        key = question_key(exchange["folded"], exchange["qtype"])
        question = questions[question_slot(questions, key, seed)]
        if question["key"] == 0:
            question["key"] = key
            question["outcome"] = UNANSWERED
            question["aa"] = AA_HIDDEN
            question["ttl"] = ABSENT
            used[0] += 1
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
def _move(old: Rows, new: Rows, seed: np.uint64) -> None:
    """Copy the questions of one hash table, ``old``, to a larger one, ``new`` (both QUESTION).

    ``seed`` is that of both.
    """
    for k in range(old.shape[0]):
        if old[k]["key"] != 0:
            new[question_slot(new, old[k]["key"], seed)] = old[k]


class Answers:
    """The questions of a capture; note all of it before anything is replayed."""

    def __init__(self) -> None:
        self.questions: Rows = np.zeros(1 << 10, QUESTION)
        self._used = np.zeros(1, np.int64)
        self._totals = np.zeros((2, 2), np.int64)

    def note(self, exchanges: Rows) -> None:
        """Note exchanges (EXCHANGE rows), those without a query among them."""
        at = 0
        while at < exchanges.size:
            at = int(_note(exchanges, at, self.questions, self._used, self._totals, SEED))
            if at < exchanges.size:
                growth = 4 if self.questions.size < _LARGE else 2
                larger: Rows = np.zeros(growth * self.questions.size, QUESTION)
                _move(self.questions, larger, SEED)
                self.questions = larger

    @property
    def count(self) -> int:
        """How many different questions there are, those that nobody can read as one."""
        return int(self._used[0])

    def answered(self, qtype: int) -> int:
        """Count the names that have an answer of a type."""
        keys = self.questions["key"]
        mine = (keys - np.uint64(1)) & np.uint64((1 << _TYPE_BITS) - 1) == qtype
        return int((mine & (keys != 0) & (self.questions["outcome"] == ANSWER)).sum())

    def idle(self, suffixes: Sequence[Labels], names: Folded) -> frozenset[Labels]:
        """Return those of some suffixes below which no name has an answer of any type."""
        questions = self.questions
        known = _names_of(questions[(questions["key"] != 0) & (questions["outcome"] == ANSWER)])
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
        asked = self.questions[self.questions["outcome"] == NXDOMAIN]
        asked = asked[(asked["key"] != 0) & (asked["ttl"] >= 0)]
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
