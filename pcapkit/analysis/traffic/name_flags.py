"""What a name is to the cluster: inside its domain, expanded once more, or a private reverse zone.

Found once a name, as names come.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.names.labels import Labels, join, name_start
from pcapkit.names.table import Folded
from pcapkit.names.text import CUT_LABEL, wire_from_text
from pcapkit.schema import Bytes, Int, Integers

#: Bits of a name.
IN_ZONE = 1  #: inside the cluster domain
PRIVATE = 2  #: inside the reverse zone of a private address (RFC 1918)
EXPANDED = 4  #: a name of the cluster with something behind it
_PRIVATE_ZONES = (
    "10.in-addr.arpa",
    "168.192.in-addr.arpa",
    *(f"{second}.172.in-addr.arpa" for second in range(16, 32)),
)


class _Suffixes(NamedTuple):
    """The wire names that are looked for at the ends of names, one behind the other."""

    wire: Bytes
    ends: Integers
    zones: int  # the first so many are where services are, the next as many cluster domains


@helper_kernel
def _ends_with(arena: Bytes, begin: Int, stop: Int, suffixes: Bytes, first: Int, last: Int) -> bool:
    """Does a wire name end with one of ``suffixes``, at a label?

    The name is in ``arena``, from ``begin`` up to ``stop``; the suffix goes from ``first`` up to
    ``last``.
    """
    size = last - first
    cut = stop - size
    if cut < begin:
        return False
    for k in range(size):
        if arena[cut + k] != suffixes[first + k]:
            return False
    at = begin
    while at < cut:
        at += np.int64(arena[at]) + 1
    return bool(at == cut)


@helper_kernel
def _is_cut_there(arena: Bytes, at: Int) -> bool:
    """Does CUT_LABEL stand at ``at`` of ``arena``: no label of the name, but where the capture cut?

    A name ends behind it.
    """
    if arena[at] != len(CUT_LABEL):
        return False
    for k in range(len(CUT_LABEL)):
        if arena[at + 1 + k] != CUT_LABEL[k]:
            return False
    return True


@helper_kernel
def _goes_on_behind(
    arena: Bytes, begin: Int, stop: Int, suffixes: Bytes, first: Int, last: Int
) -> bool:
    """Do the labels of one of ``suffixes``, its root left out, stand within a wire name?

    The name is in ``arena``, from ``begin`` up to ``stop``; the suffix goes from ``first`` up to
    ``last``.
    """
    size = last - first - 1
    at = begin
    while at + size + 1 < stop:
        same = True
        for k in range(size):
            if arena[at + k] != suffixes[first + k]:
                same = False
                break
        if same:
            return bool(arena[at + size] != 0) and not _is_cut_there(arena, at + size)
        at += np.int64(arena[at]) + 1
    return False


@kernel
def _flag_names(
    arena: Bytes, ends: Integers, known: Int, suffixes: _Suffixes, flags: Bytes
) -> None:
    """Set ``flags``, the bits of each name, of those from ``known`` on.

    Names are in ``arena``, each up to its one of ``ends``; ``suffixes`` are what is looked for.
    """
    zones = suffixes.zones
    for name in range(known, flags.shape[0]):
        begin, stop = name_start(ends, name), ends[name]
        for k in range(suffixes.ends.shape[0]):
            first, last = name_start(suffixes.ends, k), suffixes.ends[k]
            if k < zones:
                if _goes_on_behind(arena, begin, stop, suffixes.wire, first, last):
                    flags[name] |= EXPANDED
            elif _ends_with(arena, begin, stop, suffixes.wire, first, last):
                flags[name] |= IN_ZONE if k < 2 * zones else PRIVATE
                break


class NameFlags:
    """The bits of the names of one analysis, found once a name; threads may share it."""

    def __init__(self, names: Folded, zones: Sequence[Labels]) -> None:
        wanted = [join(("svc", *z)) for z in zones] + [join(z) for z in zones] + [*_PRIVATE_ZONES]
        wires = [wire_from_text(name) for name in wanted]
        self._names = names
        self._suffixes = _Suffixes(
            np.frombuffer(b"".join(wires), np.uint8),
            np.cumsum([len(w) for w in wires], dtype=np.int64),
            len(zones),
        )
        self._flags, self._known = np.zeros(0, np.uint8), 0
        self._lock = threading.Lock()

    def known(self) -> npt.NDArray[np.uint8]:
        """Return the bits of every name that is known by now."""
        with self._lock:
            size, before = len(self._names.names), self._known
            if size > self._flags.size:
                larger = np.zeros(max(size, 2 * self._flags.size), np.uint8)
                larger[:before] = self._flags[:before]
                self._flags = larger
            if size > before:
                names = self._names.names.arrays
                _flag_names(names.arena, names.ends, before, self._suffixes, self._flags[:size])
                self._known = size
            return self._flags[:size]
