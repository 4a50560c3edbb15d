"""Kernels called from Python: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from pcapkit.kernels.calls import split
from pcapkit.kernels.interning import Interner, fold_names
from pcapkit.names.table import count_labels


def _labels(names: list[bytes]) -> list[int]:
    arena = np.frombuffer(b"".join(names), np.uint8)
    ends = np.cumsum([len(n) for n in names])
    labels = np.zeros(len(names), np.int32)
    count_labels(arena, ends, 0, labels)
    return labels.tolist()


NAMES = [b"\1a\0", b"\3www\7example\3com\0", b"\0"]


def test_arrays_are_filled() -> None:
    assert _labels(NAMES) == [1, 3, 0]


def test_each_kind_of_argument_has_a_form() -> None:
    """Memory that cannot be written, and rows that do not follow one another, are other types."""
    arena = np.frombuffer(NAMES[1].upper(), np.uint8)
    for given in (arena, arena.copy(), np.repeat(arena, 2)[::2]):
        folded = np.zeros(arena.size, np.uint8)
        assert fold_names(given, np.array([arena.size]), 0, 1, folded) == arena.size
        assert folded.tobytes() == NAMES[1]


def test_an_array_is_told_by_its_address() -> None:
    rows = np.zeros((4, 3), [("a", np.int32), ("b", np.uint8)])
    for array in (rows, rows[1:, ::2], rows["b"], rows[2:2], np.frombuffer(b"read only", np.uint8)):
        _, words = split((array,))
        assert words[2:] == [
            array.size,
            array.itemsize,
            array.ctypes.data,
            *array.shape,
            *array.strides,
        ]


def test_an_array_of_one_row_is_no_kind_of_its_own() -> None:
    """It is contiguous in two ways; a form of its own would be compiled on some later run."""
    many, one = np.zeros((3, 3), np.int64), np.zeros((1, 3), np.int64)
    assert split((many,))[0] == split((one,))[0] != split((many.T,))[0]


@pytest.mark.parametrize(
    ("number", "problem"), [(1 << 63, OverflowError), (0.5, TypeError), (None, TypeError)]
)
def test_what_a_kernel_does_not_take_is_refused(number: object, problem: type[Exception]) -> None:
    arena, ends = np.zeros(0, np.uint8), np.zeros(0, np.int64)
    with pytest.raises(problem):
        fold_names(arena, ends, number, 0, arena)  # type: ignore[arg-type]


def test_threads_may_call_a_kernel_at_once() -> None:
    many, out = NAMES * 2000, []
    threads = [threading.Thread(target=lambda: out.append(_labels(many))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert out == [[1, 3, 0] * 2000] * 8


def test_an_index_out_of_bounds_is_an_error_where_they_are_checked() -> None:
    code = (
        "import numpy as np; from pcapkit.names.table import count_labels as c\n"
        "try: c(np.ones(1, np.uint8), np.array([4]), 0, np.zeros(1, np.int32))\n"
        "except IndexError as problem: print(problem)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_BOUNDSCHECK": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "out of bounds" in done.stdout


def test_what_is_interned_comes_out_again() -> None:
    names = Interner()
    assert [names.add(n) for n in [*NAMES, *NAMES]] == [0, 1, 2, 0, 1, 2]
    assert list(names) == NAMES
