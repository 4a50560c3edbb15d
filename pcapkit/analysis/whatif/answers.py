"""What every question was answered, anywhere in a capture: what a replay may rest on.

A question is a name (folded) and a type. Of what it was answered, the first of
``model.TRANSACTION_OUTCOMES`` counts: an answer beats a miss, a miss an error, an error silence.
So exchanges may be noted in any order. Times are means over the exchanges that were answered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.codes import ANSWER, UNANSWERED
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.schema import AA_HIDDEN, NO_TIME

KNOWN = np.dtype(
    [
        ("key", np.uint64),  # 0: a free slot
        ("time_ns", np.int64),  # of all responses together, from query to response
        ("responses", np.int32),
        ("outcome", np.uint8),
        ("aa", np.uint8),  # of the response that counts; AA_HIDDEN where none shows it
    ],
    align=True,
)
#: Indexes of ``Answers.typical_ns``: answered with AA, and without.
FORWARDED, AUTHORITATIVE = 0, 1


@inline_kernel
def question_key(name: Any, qtype: Any) -> Any:
    """Return the key of a question, never 0."""
    return ((np.uint64(name) << np.uint64(16)) | np.uint64(qtype)) + np.uint64(1)


@inline_kernel
def slot_of(known: Any, key: Any) -> Any:
    """Return the slot of a key, or the free one where it belongs."""
    mask = np.uint64(known.shape[0] - 1)
    h = key * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64((h ^ (h >> np.uint64(32))) & mask)
    while known[slot]["key"] != 0 and known[slot]["key"] != key:
        slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
    return slot


@kernel
def _note(rows: Any, begin: Any, known: Any, used: Any, totals: Any) -> Any:
    """Note exchanges from ``begin`` on; return where it stopped for want of room."""
    for k in range(begin, rows.shape[0]):
        if 2 * (used[0] + 1) > known.shape[0]:
            return k
        e = rows[k]
        key = question_key(e["folded"], e["qtype"])
        x = known[slot_of(known, key)]
        if x["key"] == 0:
            x["key"] = key
            x["outcome"] = UNANSWERED
            x["aa"] = AA_HIDDEN
            used[0] += 1
        if e["outcome"] == UNANSWERED:
            continue
        authoritative = 1 if e["aa"] == 1 else 0  # hidden flags say nothing
        if e["outcome"] < x["outcome"]:
            x["outcome"] = e["outcome"]
            x["aa"] = e["aa"]
        elif e["outcome"] == x["outcome"] and (x["aa"] == AA_HIDDEN or authoritative):
            x["aa"] = e["aa"]
        if e["query_packet"] >= 0 and e["response_time"] != NO_TIME:
            took = max(np.int64(0), e["response_time"] - e["query_time"])
            x["time_ns"] += took
            x["responses"] += 1
            totals[authoritative, 0] += took
            totals[authoritative, 1] += 1
    return rows.shape[0]


@kernel
def _move(old: Any, new: Any) -> None:
    for k in range(old.shape[0]):
        if old[k]["key"] != 0:
            new[slot_of(new, old[k]["key"])] = old[k]


class Answers:
    """The questions of a capture; note all of it before anything is replayed."""

    def __init__(self) -> None:
        self.known: npt.NDArray[Any] = np.zeros(1 << 10, KNOWN)
        self._used = np.zeros(1, np.int64)
        self._totals = np.zeros((2, 2), np.int64)

    def note(self, rows: npt.NDArray[Any]) -> None:
        """Note exchanges (EXCHANGE rows), those without a query among them."""
        at = 0
        while (at := int(_note(rows, at, self.known, self._used, self._totals))) < rows.size:
            larger = np.zeros(4 * self.known.size, KNOWN)
            _move(self.known, larger)
            self.known = larger

    def answered(self, qtype: int) -> int:
        """Count the names that have an answer of a type."""
        mine = (self.known["key"] - np.uint64(1)) & np.uint64(0xFFFF) == qtype
        taken = self.known["key"] != 0
        return int((mine & taken & (self.known["outcome"] == ANSWER)).sum())

    @property
    def typical_ns(self) -> npt.NDArray[np.int64]:
        """Mean response times of what was forwarded, and of what the server answered itself."""
        times, counts = self._totals[:, 0], self._totals[:, 1]
        overall = int(times.sum()) // max(1, int(counts.sum()))
        return np.where(counts > 0, times // np.maximum(1, counts), overall)
