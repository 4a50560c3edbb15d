"""Exchanges whose clients are containers that comments on packets name."""

from __future__ import annotations

import numpy as np

from pcapkit.analysis.timing import JOIN_AT_PORT_NS
from pcapkit.schema import ABSENT, EXCHANGE, Exchanges, Ids, take_rows


def with_owners(ring: Exchanges, owners: Ids, first: int, size: int) -> Exchanges:
    """Return a ring of its own with ``size`` exchanges, whose clients are their containers.

    ``first`` is the number of the first in ``ring`` (EXCHANGE), a power of two long; ``owners``
    are those of :class:`~pcapkit.analysis.exchanges.pairing.Pairing`. Pairing goes on in ``ring``
    by address.
    """
    numbers = np.arange(first, first + size) & (ring.size - 1)
    out = np.empty(1 << (size - 1).bit_length(), EXCHANGE)
    rows = out[:size]
    rows[:] = take_rows(ring, numbers)
    owner = _of_sockets(rows, owners[numbers])
    rows["client"] = np.where(owner == ABSENT, rows["client"], owner >> 1)
    return out


def _of_sockets(rows: Exchanges, owners: Ids) -> Ids:
    """Return ``owners``, completed: what a socket sends just before and after is one process's."""
    order = np.lexsort((rows["query_time"], rows["transport"], rows["client_port"], rows["client"]))
    known = owners[order] != ABSENT
    if known.all():
        return owners
    time, at = rows["query_time"][order], np.arange(order.size)
    differs = np.zeros(order.size, np.bool_)
    for name in ("client", "client_port", "transport"):
        differs[1:] |= rows[name][order][1:] != rows[name][order][:-1]
    socket = np.cumsum(differs)
    before = np.maximum.accumulate(np.where(known, at, 0))
    after = np.minimum.accumulate(np.where(known, at, order.size - 1)[::-1])[::-1]
    nearest = np.where(np.abs(time - time[before]) <= np.abs(time[after] - time), before, after)
    for other in (before, after, nearest):
        near = known[other] & (socket[other] == socket)
        near &= np.abs(time[other] - time) <= JOIN_AT_PORT_NS
        owners[order[near]] = owners[order[other[near]]]
    return owners
