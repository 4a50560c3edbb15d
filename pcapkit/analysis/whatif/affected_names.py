"""Names that settings mark, client by client, and what verdicts say of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.whatif.candidates import NAME_AS_IS, NOT_ANSWERED, LookupReplay
from pcapkit.kernels.jit import inline_kernel
from pcapkit.names.table import Folded
from pcapkit.names.top_level import is_top_level_domain
from pcapkit.schema import Int
from pcapkit.words import SHOWN, some

#: Marks of a replayed lookup. DOUBTFUL: unsafe if the application wrote the short form of a name
#: that answered at once, safe if it wrote it in full.
BROKEN, LEAKED, ELSEWHERE, DOUBTFUL = 1, 2, 4, 8
Matrix = npt.NDArray[np.int64]
#: Asked upstream first under a real top-level domain: another mark of names that are LEAKED.
_COLLIDING = LEAKED << 3
_UNSAFE = BROKEN | ELSEWHERE | _COLLIDING
#: (mark, what is said of the names that have it), in this order.
_SAID: tuple[tuple[int, str], ...] = (
    (BROKEN, "would no longer resolve"),
    (ELSEWHERE, "would be answered by another name"),
    (_COLLIDING, "asked as is first, under a real top-level domain"),
    (LEAKED, "cluster names sent upstream first"),
    (DOUBTFUL, "at risk if they are written without their suffix"),
)


class NameReasons(NamedTuple):
    """Reasons that marked names give: why a setting is unsafe, and why to review it."""

    unsafe: list[str]
    review: list[str]


class MarkedNames:
    """The names that settings mark, a row for each name of a client; a column for each setting.

    Client ``i`` has the rows from ``bounds[i]`` to ``bounds[i + 1]``.
    """

    def __init__(
        self, bounds: Matrix, bases: Matrix, marks: npt.NDArray[np.uint8], names: Folded
    ) -> None:
        self._bounds = bounds
        once, number = np.unique(bases, return_inverse=True)
        texts = names.texts(once)
        self._texts = sorted(set(texts))
        ranks = {text: n for n, text in enumerate(self._texts)}
        self._rank = np.array([ranks[t] for t in texts], np.int64)[number]
        domains = {text.rpartition(".")[2] for text in self._texts if "." in text}
        real = {d for d in domains if is_top_level_domain(d)}
        collide = ["." in text and text.rpartition(".")[2] in real for text in self._texts]
        leaked = marks & np.where(collide, LEAKED, 0).astype(np.uint8)[self._rank][:, None]
        self._marks = marks | leaked * (_COLLIDING // LEAKED)
        self._marked = self._any(marks)

    def _any(self, marks: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """Return which clients have a row that is not 0, column by column."""
        out = np.zeros((self._bounds.size - 1, marks.shape[1]), np.bool_)
        clients = np.flatnonzero(np.diff(self._bounds))
        if clients.size:
            out[clients] = np.logical_or.reduceat(marks != 0, self._bounds[clients])
        return out

    def _found(
        self, clients: Matrix, columns: Matrix
    ) -> tuple[Matrix, Matrix, npt.NDArray[np.uint8]]:
        """Return the marked names of clients, each under its setting: whose, rank, marks."""
        first = self._bounds[clients]
        sizes = self._bounds[clients + 1] - first
        whose = np.repeat(np.arange(clients.size), sizes)
        rows = np.arange(whose.size) + np.repeat(first - np.cumsum(sizes) + sizes, sizes)
        marks = self._marks[rows, columns[whose]]
        at = np.flatnonzero(marks)
        return whose[at], self._rank[rows[at]], marks[at]

    def reasons(self, groups: Matrix, clients: Matrix, columns: Matrix) -> dict[int, NameReasons]:
        """Return the reasons that names give, by group of clients; a group may have none.

        Client ``clients[i]`` belongs to ``groups[i]`` and is judged under column ``columns[i]``.
        """
        out: dict[int, NameReasons] = {}
        marked = np.flatnonzero(self._marked[clients, columns])
        if not marked.size:
            return out
        whose, rank, marks = self._found(clients[marked], columns[marked])
        texts = len(self._texts)
        found, size = groups[marked][whose] * texts + rank, (int(groups[-1]) + 1) * texts
        for mark, said in _SAID:
            group, names = np.divmod(distinct(found[marks & mark != 0], size), texts)
            each = np.unique(group, return_index=True, return_counts=True)
            for g, first, count in zip(*(a.tolist() for a in each), strict=True):
                shown = [self._texts[r] for r in names[first : first + count][:SHOWN].tolist()]
                found_of = out.setdefault(g, NameReasons([], []))
                reasons = found_of.unsafe if mark & _UNSAFE else found_of.review
                reasons.append(f"{said}: {some(shown, count)}")
        return out

    def names(self, clients: Matrix, columns: Matrix) -> list[str]:
        """Return the names that settings mark for some clients, in the order of their text."""
        ranks = distinct(self._found(clients, columns)[1], len(self._texts))
        return [self._texts[r] for r in ranks.tolist()]

    def safe(self, columns: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Return where no name makes a setting unsafe: (clients, columns)."""
        return ~self._any(self._marks[:, columns] & _UNSAFE)

    def unmarked(self, columns: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Return where no name is marked: (clients, columns)."""
        return ~self._marked[:, columns]


def distinct(values: Matrix, size: int) -> Matrix:
    """Return values below ``size`` once each, ascending."""
    if size > 8 * values.size:
        return np.unique(values)
    there = np.zeros(size, np.bool_)  # which is much faster where they are dense
    there[values] = True
    return np.flatnonzero(there)


@inline_kernel
def marks_of(replay: LookupReplay, first: Int, hit: Int) -> Int:
    """Return the marks of a ``replay`` that asks position ``first`` first and ends at ``hit``."""
    observed, lookup = replay.observed, replay.lookup
    if replay.answered == NOT_ANSWERED:
        return 0
    marks = 0
    if hit == NOT_ANSWERED:
        marks |= BROKEN
    elif hit != replay.answered:
        marks |= ELSEWHERE
    in_zone = observed.in_zone[lookup["base"]]
    if first != NAME_AS_IS:
        in_zone = replay.walker.suffixes[first]["in_zone"]
    if in_zone == 0 and observed.in_zone[lookup["answered_by"]]:
        marks |= LEAKED
    if marks and lookup["ambiguous"]:
        if np.int64(observed.labels[lookup["answered_by"]]) - 1 >= replay.walker.rules["ndots"]:
            return DOUBTFUL
    return marks
