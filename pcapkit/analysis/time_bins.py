"""How long lookups take, by bin: small histograms whose quantiles are right within 1 %."""

from __future__ import annotations

import numpy as np

from pcapkit.kernels.jit import inline_kernel
from pcapkit.schema import Int, Integers

#: Bins of lookup times: 64 an octave from 1024 ns up, so a quantile is right within 1 %.
_BINS_AN_OCTAVE, _OCTAVES, _SHORTEST_NS = 64, 32, 1024
TIME_BINS = _BINS_AN_OCTAVE * _OCTAVES


@inline_kernel
def time_bin(nanoseconds: Int) -> Int:
    """Return the bin of a duration in ``nanoseconds``; see ``TIME_BINS`` and ``time_of_bin``."""
    value = max(np.int64(_SHORTEST_NS), nanoseconds) >> 10
    octave = np.int64(0)
    for step in (16, 8, 4, 2, 1):
        if value >> step:
            value >>= step
            octave += step
    octave = min(octave, np.int64(_OCTAVES - 1))
    base = np.int64(_SHORTEST_NS) << octave
    above = max(base, min(nanoseconds, 2 * base - 1)) - base
    within = (above * _BINS_AN_OCTAVE) >> (10 + octave)  # divided by base
    return octave * _BINS_AN_OCTAVE + within


def time_of_bin(number: int) -> int:
    """Return the middle of a bin, in nanoseconds."""
    octave, within = divmod(number, _BINS_AN_OCTAVE)
    base = _SHORTEST_NS << octave
    return base * (2 * _BINS_AN_OCTAVE + 2 * within + 1) // (2 * _BINS_AN_OCTAVE)


def quantile(lasting: Integers, share: float) -> float | None:
    """Return a quantile, in seconds, of times of which so many are in each bin; None of none."""
    counts = np.cumsum(lasting)
    if not counts[-1]:
        return None
    rank = min(int(share * counts[-1]), int(counts[-1]) - 1)
    return time_of_bin(int(np.searchsorted(counts, rank, side="right"))) / 1e9
