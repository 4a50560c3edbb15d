"""Packets that are kept for whoever sees those before and behind them, too."""

from __future__ import annotations

import numpy as np

from pcapkit.ingest.window import Kept
from pcapkit.kernels.jit import kernel
from pcapkit.schema import Bytes, Integers, Rows


@kernel
def _copy_pieces(buffer: Bytes, begins: Integers, sizes: Integers, out: Bytes) -> None:
    """Write pieces of a buffer behind one another.

    Goes in: ``buffer`` (uint8), and where in it the pieces begin, ``begins``, with their ``sizes``
    (int64, both).
    Comes out: ``out`` (uint8, as long as all of them).
    """
    at = np.int64(0)
    for i in range(begins.shape[0]):
        for k in range(sizes[i]):
            out[at + k] = buffer[begins[i] + k]
        at += sizes[i]


def cut_out(buffer: Bytes, records: Rows, options: Rows, latest: Integers) -> Kept:
    """Return some packets of ``buffer`` by their ``records`` (RECORD), with their options.

    ``options`` (OPTIONS) are those of all packets that have comments, in their order; ``latest``
    is a time for each of the packets.
    """
    at = np.searchsorted(options["packet"], records["offset"])
    has = at < options.size
    has[has] = options["packet"][at[has]] == records["offset"][has]
    options = options[at[has]]
    begins = np.concatenate([records["offset"], options["begin"]])
    sizes = np.concatenate(
        [records["captured"].astype(np.int64), options["end"] - options["begin"]]
    )
    data = np.empty(int(sizes.sum()), np.uint8)
    _copy_pieces(buffer, begins, sizes, data)
    places = np.cumsum(sizes) - sizes
    records, count = records.copy(), records.size
    records["offset"] = places[:count]
    options["packet"] = places[:count][has]
    options["begin"], options["end"] = places[count:], places[count:] + sizes[count:]
    return Kept(data, records, options, latest)
