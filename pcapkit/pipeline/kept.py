"""Messages that are kept for their table, in memory or past a bound in a temporary file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from pcapkit.schema import MESSAGE, Messages
from pcapkit.spool import Spool

#: The index of a capture, some of its rows, and what each repeats (0: nothing).
Kept = tuple[int, Messages, npt.NDArray[np.int64]]


class KeptMessages(Sequence[Kept]):
    """Message rows as they came, window by window; past a bound in a temporary file."""

    def __init__(self) -> None:
        self._rows, self._original = Spool(MESSAGE), Spool(np.int64)
        self._captures: list[int] = []
        self._bounds = [0]

    def add(self, capture: int, rows: Messages, original: npt.NDArray[np.int64]) -> None:
        """Keep a window's rows."""
        self._rows.add(rows)
        self._original.add(original)
        self._captures.append(capture)
        self._bounds.append(self._rows.size)

    def __len__(self) -> int:
        return len(self._captures)

    @overload
    def __getitem__(self, at: int) -> Kept: ...

    @overload
    def __getitem__(self, at: slice) -> list[Kept]: ...

    def __getitem__(self, at: int | slice) -> Kept | list[Kept]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        number = range(len(self))[at]
        return self._read(number, self._bounds[number], self._bounds[number + 1])

    def _read(self, number: int, begin: int, end: int) -> Kept:
        rows, original = self._rows.read(begin, end), self._original.read(begin, end)
        return self._captures[number], rows, original

    def pieces(self, size: int | None) -> Iterator[list[Kept]]:
        """Yield all rows, at most ``size`` at once; once, and empty, where there are none."""
        size = size or max(1, self._rows.size)
        number = 0
        for begin in range(0, max(1, self._rows.size), size):
            piece: list[Kept] = [(0, np.zeros(0, MESSAGE), np.zeros(0, np.int64))]
            end = min(begin + size, self._rows.size)
            while begin < end:
                while self._bounds[number + 1] <= begin:
                    number += 1
                upto = min(end, self._bounds[number + 1])
                piece.append(self._read(number, begin, upto))
                begin = upto
            yield piece
