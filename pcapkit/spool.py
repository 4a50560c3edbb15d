"""Rows past a bound in a temporary file; and sorted runs of them, merged piece by piece.

What tables show of a long capture is written here while it is read and merged from here, so that
memory does not grow with its length.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast
from weakref import finalize

import numpy as np
import numpy.typing as npt

from pcapkit.errors import InputError
from pcapkit.schema import take_rows

#: Bytes that are kept in memory before a file is made.
_IN_MEMORY = 1 << 24
#: The fewest rows that are read of one run at once.
_LEAST = 256


@contextmanager
def _written() -> Iterator[None]:
    """Raise InputError, with what to do, where the block finds no room for temporary files."""
    try:
        yield
    except OSError as problem:
        folder = tempfile.tempdir or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
        raise InputError(
            folder,
            f"no temporary file can be written there: {problem.strerror}",
            hint="the variable TMPDIR names another folder",
        ) from None


class Spool:
    """Rows of one dtype, in the order in which they came; the file has no name."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0
        self._file: Any = tempfile.SpooledTemporaryFile(_IN_MEMORY, prefix="pcapkit-")  # noqa: SIM115
        finalize(self, self._file.close)

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Append rows."""
        with _written():
            self._file.seek(self.size * self.dtype.itemsize)
            self._file.write(memoryview(cast(Any, np.ascontiguousarray(rows).view(np.uint8))))
        self.size += rows.size

    def read(self, begin: int, end: int) -> npt.NDArray[Any]:
        """Return rows by their numbers."""
        rows = np.empty(end - begin, self.dtype)
        view = memoryview(cast(Any, rows.view(np.uint8)))
        with _written():  # what waits to be is, before anything else is read
            self._file.seek(begin * self.dtype.itemsize)
        while view:
            got = self._file.readinto(view)
            if not got:
                raise OSError("a temporary file is cut short")
            view = view[got:]
        return rows


class Runs:
    """Runs of rows, each in the order of (``time``, ``tie``), two integer fields of the dtype."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._spool = Spool(dtype)
        self._bounds = [0]

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self._spool.size

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Append a run."""
        self._spool.add(rows)
        self._bounds.append(self._spool.size)

    def merged(self, size: int | None) -> Iterator[npt.NDArray[Any]]:
        """Yield all rows in the order of (time, tie, run, place in the run).

        Pieces have about ``size`` rows, or all of them for None; none is empty.
        """
        runs = len(self._bounds) - 1
        next_ = list(self._bounds[:-1])
        held = [np.zeros(0, self._spool.dtype)] * runs
        each = self.size if size is None else max(_LEAST, size // max(1, runs))
        while True:
            for run, end in enumerate(self._bounds[1:]):
                if not held[run].size and next_[run] < end:
                    upto = min(end, next_[run] + each)
                    held[run], next_[run] = self._spool.read(next_[run], upto), upto
            # What is not read yet comes behind the last row that is held of its run.
            lasts = [
                (int(held[run]["time"][-1]), int(held[run]["tie"][-1]), run)
                for run, end in enumerate(self._bounds[1:])
                if next_[run] < end
            ]
            taken = []
            for run, rows in enumerate(held):
                count = _count_upto(rows, run, min(lasts)) if lasts else rows.size
                taken.append(rows[:count])
                held[run] = rows[count:]
            piece = np.concatenate([np.zeros(0, self._spool.dtype), *taken])
            if piece.size:
                yield take_rows(piece, np.lexsort((piece["tie"], piece["time"])))
            if not lasts:
                return


def _count_upto(rows: npt.NDArray[Any], run: int, bound: tuple[int, int, int]) -> int:
    """Count the rows of a run up to a bound (time, tie, run)."""
    time, tie, bounding = bound
    begin = int(np.searchsorted(rows["time"], time, "left"))
    end = int(np.searchsorted(rows["time"], time, "right"))
    ties = rows["tie"][begin:end]
    if run <= bounding:
        return begin + int(np.searchsorted(ties, tie, "right"))
    return begin + int(np.searchsorted(ties, tie, "left"))


class Spill:
    """A temporary file; it has no name, and goes with the last that reads it."""

    def __init__(self) -> None:
        with _written():
            self.file = cast(BinaryIO, tempfile.TemporaryFile(prefix="pcapkit-"))  # noqa: SIM115
        finalize(self, self.file.close)
        self.size = 0

    def write(self, data: npt.NDArray[np.uint8]) -> None:
        """Write behind what is there."""
        with _written():
            self.file.write(memoryview(cast(Any, data)))
            self.file.flush()
        self.size += data.size

    def read(self, into: npt.NDArray[np.uint8], at: int) -> None:
        """Fill an array from a place in the file."""
        view = memoryview(cast(Any, into))
        while view:
            got = os.preadv(self.file.fileno(), [view], at)
            if not got:
                raise cut_short()
            view, at = view[got:], at + got


def cut_short() -> OSError:
    """Return the error of a temporary file that ends before its rows do."""
    return OSError("the temporary file of the analysis is cut short")
