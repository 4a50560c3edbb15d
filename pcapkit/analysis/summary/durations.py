"""How long lookups take: how often each duration occurs, and the percentiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def _firsts(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where each distinct one of sorted values is first."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1])[: values.size])


class Spread:
    """Durations in ns, each distinct one once with its count: memory grows with their variety."""

    def __init__(self, durations: npt.NDArray[np.int64]) -> None:
        values = np.sort(durations)
        first = _firsts(values)
        self._values, self._counts = values[first], np.diff(first, append=values.size)
        self._added: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
        self._waiting = 0

    def add(self, other: Spread) -> None:
        """Add the durations of another part."""
        values, counts = other._together()
        self._added.append((values, counts))
        self._waiting += values.size
        if self._waiting > self._values.size:
            self._together()

    def _together(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if self._added:
            values = np.concatenate([self._values, *(v for v, _ in self._added)])
            counts = np.concatenate([self._counts, *(c for _, c in self._added)])
            order = np.argsort(values, kind="stable")
            values, counts = values[order], counts[order]
            first = _firsts(values)
            self._values, self._counts = values[first], np.add.reduceat(counts, first)
            self._added, self._waiting = [], 0
        return self._values, self._counts

    @property
    def size(self) -> int:
        """How many durations there are."""
        return int(self._together()[1].sum())

    def at(self, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the durations with these ranks, counted from 0; there must be so many."""
        values, counts = self._together()
        out: npt.NDArray[np.int64] = values[np.searchsorted(np.cumsum(counts), ranks, "right")]
        return out
