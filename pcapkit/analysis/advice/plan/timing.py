"""How long lookups take and how many queries a second they send, after each step of a plan.

A lookup changes its state at the steps that touch it: each change moves it from one bin of times to
another, and takes queries from the second in which it began. So one pass over the lookups that some
state changes gives all steps, each as a difference to the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.advice.plan.changes import Change
from pcapkit.analysis.advice.plan.steps import Timing
from pcapkit.analysis.advice.plan.table import Table
from pcapkit.analysis.whatif.settings import IN_FORCE
from pcapkit.analysis.whatif.sums import (
    NOW,
    REORDERED,
    SHORTER,
    SHORTER_REORDERED,
    TIME_BINS,
    WRITTEN,
    quantile,
)
from pcapkit.analysis.whatif.verdicts import WhatIfResult
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.schema import Ids, Int, Integers, Rows

_P95 = 0.95
#: Lookups that are read at once, and differences that are kept at once.
_PIECE, _CELLS = 1 << 16, 1 << 22


@inline_kernel
def _move(
    step: Int, bins: tuple[Int, Int], second: Int, queries: Int, times: Ids, seconds: Ids
) -> None:
    """Move a lookup that began in ``second`` from one of two ``bins`` to the other, at ``step``.

    It sends so many more ``queries``. ``times`` (steps, bins) and ``seconds`` (steps, seconds) are
    int32, and get the difference.
    """
    if 0 <= step < times.shape[0]:
        times[step, bins[0]] -= 1
        times[step, bins[1]] += 1
        if 0 <= second < seconds.shape[1]:
            seconds[step, second] += queries


@kernel
def _add_moves(
    lookups: Rows,
    steps: Integers,
    queries: Integers,
    begin: Int,
    first_second: Int,
    times: Ids,
    seconds: Ids,
) -> None:
    """Add what the steps from ``begin`` on change to ``times`` and ``seconds`` (see ``_move``).

    ``lookups`` are PLANNED_LOOKUP. ``steps`` (rows, 3) are those at which the lookups of a PLANNED
    row get another order, a shorter list, and are written in full; ``queries`` (rows, states) what
    one of them sends. ``first_second`` is the first of ``seconds``.
    """
    for k in range(lookups.shape[0]):
        lookup = lookups[k]
        row = lookup["row"]
        if row < 0 or row >= steps.shape[0]:
            continue
        second = lookup["second"] - first_second
        state: Int = np.int64(NOW)
        at: Int = np.int64(lookup["now"])
        first = 1 if 0 <= steps[row, 1] < steps[row, 0] or steps[row, 0] < 0 else 0
        for k in range(2):
            what = first if k == 0 else 1 - first
            if steps[row, what] < 0:
                continue
            is_last = k == 1 and steps[row, first] >= 0
            to: Int = np.int64(SHORTER_REORDERED)
            end: Int = np.int64(lookup["shorter_reordered"])
            if not is_last and what == 0:
                to, end = np.int64(REORDERED), np.int64(lookup["reordered"])
            elif not is_last:
                to, end = np.int64(SHORTER), np.int64(lookup["shorter"])
            more = queries[row, to] - queries[row, state]
            _move(steps[row, what] - begin, (at, end), second, more, times, seconds)
            state, at = to, end
        if steps[row, 2] >= 0:
            more = queries[row, WRITTEN] - queries[row, state]
            end = np.int64(lookup["written"])
            _move(steps[row, 2] - begin, (at, end), second, more, times, seconds)


def _steps_of(table: Table, changes: Sequence[Change], rows: int) -> npt.NDArray[np.int64]:
    """Return the steps of each PLANNED row: of its order, its list, its name in full; -1: none."""
    reordered, shorter = np.full((2, table.order.size), -1)
    written = np.full(table.size, -1)
    for number, change in enumerate(changes):
        written[change.pairs] = number
        if change.suffixes:
            for s in change.subjects:
                shorter[slice(*table.rows_of(s))] = number
        if change.ndots is None:
            continue
        is_reordered = table.is_reordered(change.ndots)
        for s in change.subjects:
            begin, end = table.rows_of(s)
            reordered[begin:end][is_reordered[begin:end]] = number
    in_full = written[table.pair_of]
    for steps in (reordered, shorter):
        steps[(in_full >= 0) & (in_full <= steps)] = -1
    out = np.full((rows, 3), -1)
    out[table.order] = np.stack([reordered, shorter, in_full], axis=1)
    return out


def timings(result: WhatIfResult, table: Table, changes: Sequence[Change]) -> Iterator[Timing]:
    """Yield what the times of all lookups say as it is, and after each change of a plan."""
    lasting = result.lasting(IN_FORCE)
    begun = result.by_second(IN_FORCE)
    first, queries = 0, np.zeros(0, np.int64)
    if begun is not None and begun[0].size:
        first = int(begun[0][0])
        queries = np.zeros(int(begun[0][-1]) - first + 1, np.int64)
        queries[begun[0] - first] = begun[1]

    def now() -> Timing:
        p95 = quantile(lasting, _P95) if result.has_clock else None
        return Timing(p95, None if begun is None else int(queries.max(initial=0)))

    yield now()
    if not changes:
        return
    if not result.has_clock:
        for _ in changes:
            yield Timing()
        return
    steps, sent = _steps_of(table, changes, table.planned_rows), table.queries_of_rows()
    at_once = max(1, min(len(changes), _CELLS // (TIME_BINS + queries.size)))
    for begin in range(0, len(changes), at_once):
        count = min(at_once, len(changes) - begin)
        times = np.zeros((count, TIME_BINS), np.int32)
        seconds = np.zeros((count, queries.size), np.int32)
        for at in range(0, result.planned_lookups.size, _PIECE):
            piece = result.planned_lookups.read(at, min(at + _PIECE, result.planned_lookups.size))
            _add_moves(piece, steps, sent, begin, first, times, seconds)
        for k in range(count):
            lasting += times[k]
            queries += seconds[k]
            yield now()
