"""The order of a server's log: when each query came.

A server logs a query when it has answered it, so that a client's walk stands in the log in its
order, whatever the stamps say. A stamp of one second, or of one millisecond, says when a line was
written only within that; a container runtime that lags behind reads many lines in one go and stamps
them a few microseconds apart. Where a stamp less the duration would put a query before the response
of the candidate before it, and the stamp may be that much too early, the line is moved behind it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.ingest.logs.blocks.filled import Filled
from pcapkit.ingest.window import Interners
from pcapkit.kernels.hashing import SEED, find_slot, hash_ids
from pcapkit.kernels.interning import Interner, InternerArrays, intern
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.schema import NO_TIME, Array, Ids, Int, Integers, Rows

#: A runtime's stamp may be off by this much, however many digits it has.
LATE_NS = 5_000_000
#: Lines of one log that are stamped within this time of one another were read in one go ...
AT_ONCE_NS = 20_000
#: ... and what was read in one go may have waited this long.
WAITED_NS = 1_000_000_000
_KEPT = 1 << 16  # steps
#: So many types of one candidate are remembered; no client asks for more.
_TYPES = 8
_USED, _LINE = 0, 1  # in ``counts``: steps in use, lines so far

#: The candidate that a client asked last under one first label.
_STEP = np.dtype(
    [
        ("floor", np.int64),  # its queries came no earlier
        ("end", np.int64),  # its last response
        ("line", np.int64),
        ("stream", np.int32),
        ("client", np.int32),
        ("label", np.int32),
        ("name", np.int32),
        ("asked", np.int32),  # how many types
    ],
    align=True,
)


class Walks(NamedTuple):
    """What is remembered of the lines so far."""

    steps: Rows  # _STEP
    slots: Ids  # a hash table: the number of a step + 1
    asked: Array  # uint16, (steps, _TYPES, 2): the types that were asked for, and from which port
    last: Integers  # by stream: the stamp of its last line, or NO_TIME
    burst: Integers  # by stream: the line at which the burst began
    counts: Integers  # _USED, _LINE


@inline_kernel
def _is_step(entry: Int, key: tuple[Rows, Int, Int, Int]) -> bool:
    """Is the slot with ``entry`` free, or of the step in ``key``?

    The key is (steps, stream, client, label).
    """
    steps, stream, client, label = key
    if entry == 0:
        return True
    step = steps[entry - 1]
    return bool(step["client"] == client and step["label"] == label and step["stream"] == stream)


@helper_kernel
def _step_of(
    walks: Walks, stream: Int, client: Int, label: Int, seed: np.uint64
) -> tuple[Int, bool]:
    """Return (number of the step, whether it is new) of a client under a first label."""
    h = hash_ids(np.int64(client) << 32 | label, stream, seed)
    key = (walks.steps, stream, client, label)
    slot = find_slot(walks.slots, h, _is_step, key)
    if walks.slots[slot] != 0:
        return np.int64(walks.slots[slot]) - 1, False
    if walks.counts[_USED] >= walks.steps.shape[0]:
        walks.slots[:] = 0
        walks.counts[_USED] = 0
        slot = find_slot(walks.slots, h, _is_step, key)
    number = walks.counts[_USED]
    walks.counts[_USED] = number + 1
    walks.slots[slot] = number + 1
    step = walks.steps[number]
    step["stream"], step["client"], step["label"] = stream, client, label
    return np.int64(number), True


@inline_kernel
def _asked_at(walks: Walks, number: Int, qtype: Int) -> Int:
    """Return where in ``walks.asked[number]`` a type stands, -1 where it was not asked for."""
    for k in range(walks.steps[number]["asked"]):
        if walks.asked[number, k, 0] == qtype:
            return np.int64(k)
    return np.int64(-1)


@kernel
def place_lines(
    filled: Filled,
    order: Integers,
    joined: bool,
    folded: Ids,
    labels: Ids,
    walks: Walks,
    seed: np.uint64,
) -> None:
    """Move the lines of a log so that every walk keeps its order.

    Goes in: ``filled``, a query and its response a line; ``order`` (int64), the rows of the queries
    in the order in which they were logged; ``joined``: are all logs one; ``folded`` and ``labels``
    (int32), by name: its lower case, and its first label's number; ``seed``. ``walks`` is kept up.
    Comes out: the times in ``filled.rows``, each moved as far as its stamp allows.
    """
    for i in range(order.shape[0]):
        at = order[i]
        query, response = filled.rows[at], filled.rows[at + 1]
        stream = np.int64(0) if joined else np.int64(filled.streams[at])
        stamp = np.int64(response["time"])
        duration = stamp - query["time"]
        line = walks.counts[_LINE] + 1
        walks.counts[_LINE] = line
        before = walks.last[stream]
        if before == NO_TIME or stamp < before or stamp - before > AT_ONCE_NS:
            walks.burst[stream] = line
        walks.last[stream] = stamp
        name = folded[query["qname"]]
        number, fresh = _step_of(walks, stream, query["client"], labels[name], seed)
        step = walks.steps[number]
        resolution = filled.resolutions[at]
        known = np.int64(-1) if fresh else _asked_at(walks, number, query["qtype"])
        again = known >= 0 and walks.asked[number, known, 1] != query["client_port"]
        if fresh:
            step["name"], step["floor"], step["end"] = name, 0, 0
            step["line"], step["asked"] = line, 0
        elif name != step["name"] or (again and resolution > LATE_NS):
            step["name"], step["floor"], step["asked"] = name, step["end"], 0
            known = np.int64(-1)
        allowed = max(resolution, np.int64(LATE_NS))
        if step["line"] >= walks.burst[stream]:
            allowed = max(allowed, np.int64(WAITED_NS))
        floor = np.int64(step["floor"])
        if query["time"] < floor and floor + duration <= stamp + allowed:
            query["time"] = floor
            response["time"] = max(stamp, floor + duration)
        if known < 0 and step["asked"] < _TYPES:
            known = np.int64(step["asked"])
            step["asked"] = known + 1
            walks.asked[number, known, 0] = query["qtype"]
        if known >= 0:
            walks.asked[number, known, 1] = query["client_port"]
        end = np.int64(response["time"])
        step["end"] = max(step["end"], end) if floor != 0 else end
        step["line"] = line


@kernel
def first_labels(
    names: InternerArrays, start: Int, stop: Int, labels: InternerArrays, numbers: Ids
) -> None:
    """Write the number of the first label of names ``start`` to ``stop`` to ``numbers`` (int32).

    ``names`` are in wire form; ``labels``, which get what is new, have space for all of them.
    """
    for k in range(start, stop):
        begin = names.ends[k - 1] if k > 0 else np.int64(0)
        length = np.int64(names.arena[begin]) + 1
        numbers[k] = intern(labels, names.arena, begin, min(length, names.ends[k] - begin))


class WalkOrder:
    """Moves the lines of a log so that every walk keeps its order."""

    def __init__(self, interners: Interners) -> None:
        self._interners = interners
        self._walks = Walks(
            np.zeros(_KEPT, _STEP),
            np.zeros(4 * _KEPT, np.int32),
            np.zeros((_KEPT, _TYPES, 2), np.uint16),
            np.full(1, NO_TIME, np.int64),
            np.zeros(1, np.int64),
            np.zeros(2, np.int64),
        )
        self._labels = Interner()
        self._label_of = self._space = np.zeros(0, np.int32)

    def place(self, filled: Filled, order: Integers, streams: int, *, joined: bool) -> None:
        """Move lines behind the candidate before them, as far as their stamps allow.

        ``order`` has the rows of their queries; there are so many ``streams`` so far.
        """
        folded = self._interners.fold()
        self._know(len(folded))
        walks = self._walks
        if (more := streams - walks.last.size) > 0:
            last = np.concatenate([walks.last, np.full(more, NO_TIME, np.int64)])
            burst = np.concatenate([walks.burst, np.zeros(more, np.int64)])
            walks = self._walks = walks._replace(last=last, burst=burst)
        place_lines(filled, order, joined, folded, self._label_of, walks, SEED)

    def _know(self, count: int) -> None:
        known, names = self._label_of.size, self._interners.names
        if count == known:
            return
        begin = int(names.arrays.ends[known - 1]) if known else 0
        self._labels.reserve(count - known, int(names.arrays.ends[count - 1]) - begin)
        if count > self._space.size:
            self._space = np.concatenate([self._label_of, np.zeros(2 * count, np.int32)])
        self._label_of = self._space[:count]
        first_labels(names.arrays, known, count, self._labels.arrays, self._label_of)
