"""What a name is to the cluster: inside its domain, expanded once more, or a private reverse zone.

Found once a name, as names come.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.names.labels import Labels, join, name_start
from pcapkit.names.table import Folded
from pcapkit.names.text import wire_from_text

#: Bits of a name.
IN_ZONE = 1  #: inside the cluster domain
PRIVATE = 2  #: inside the reverse zone of a private address (RFC 1918)
EXPANDED = 4  #: a name of the cluster with something behind it
_PRIVATE_ZONES = (
    "10.in-addr.arpa",
    "168.192.in-addr.arpa",
    *(f"{second}.172.in-addr.arpa" for second in range(16, 32)),
)


@helper_kernel
def _ends_with(arena: Any, begin: Any, stop: Any, tails: Any, first: Any, last: Any) -> Any:
    """Does a wire name end with the wire name ``tails[first:last]``, at a label?"""
    size = last - first
    cut = stop - size
    if cut < begin:
        return False
    for k in range(size):
        if arena[cut + k] != tails[first + k]:
            return False
    at = begin
    while at < cut:
        at += np.int64(arena[at]) + 1
    return bool(at == cut)


@helper_kernel
def _goes_on_behind(arena: Any, begin: Any, stop: Any, tails: Any, first: Any, last: Any) -> Any:
    """Do the labels of ``tails[first:last]``, its root left out, stand within a wire name?"""
    size = last - first - 1
    at = begin
    while at + size + 1 < stop:
        same = True
        for k in range(size):
            if arena[at + k] != tails[first + k]:
                same = False
                break
        if same:
            return bool(arena[at + size] != 0)
        at += np.int64(arena[at]) + 1
    return False


@kernel
def _flag_names(
    arena: Any, ends: Any, known: Any, tails: Any, tail_ends: Any, zones: Any, flags: Any
) -> None:
    """Set the bits of names from ``known`` on.

    The first ``zones`` tails are where services are, the next as many are the cluster domains.
    """
    for name in range(known, flags.shape[0]):
        begin, stop = name_start(ends, name), ends[name]
        for k in range(tail_ends.shape[0]):
            first = tail_ends[k - 1] if k > 0 else np.int64(0)
            if k < zones:
                if _goes_on_behind(arena, begin, stop, tails, first, tail_ends[k]):
                    flags[name] |= EXPANDED
            elif _ends_with(arena, begin, stop, tails, first, tail_ends[k]):
                flags[name] |= IN_ZONE if k < 2 * zones else PRIVATE
                break


class NameFlags:
    """The bits of the names of one analysis, found once a name; threads may share it."""

    def __init__(self, names: Folded, zones: Sequence[Labels]) -> None:
        wanted = [join(("svc", *z)) for z in zones] + [join(z) for z in zones] + [*_PRIVATE_ZONES]
        tails = [wire_from_text(name) for name in wanted]
        self._names, self._zones = names, len(zones)
        self._tails = np.frombuffer(b"".join(tails), np.uint8)
        self._ends = np.cumsum([len(t) for t in tails], dtype=np.int64)
        self._room, self._known = np.zeros(0, np.uint8), 0
        self._lock = threading.Lock()

    def known(self) -> npt.NDArray[np.uint8]:
        """Return the bits of every name that is known by now."""
        with self._lock:
            size, before = len(self._names.names), self._known
            if size > self._room.size:
                room = np.zeros(max(size, 2 * self._room.size), np.uint8)
                room[:before] = self._room[:before]
                self._room = room
            if size > before:
                arena, ends = self._names.names.arrays.arena, self._names.names.arrays.ends
                _flag_names(
                    arena, ends, before, self._tails, self._ends, self._zones, self._room[:size]
                )
                self._known = size
            return self._room[:size]
