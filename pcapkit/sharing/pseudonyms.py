"""The map of all pseudonyms under a key, with what kernels need of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.addresses import address_text
from pcapkit.kernels.interning import Interner
from pcapkit.names.text import text_from_wire
from pcapkit.schema import Array, Bytes, Integers
from pcapkit.sharing.addresses import Addresses
from pcapkit.sharing.key import Key
from pcapkit.sharing.messages import Maps
from pcapkit.sharing.names import Names

_LINK_BYTES = 6


class _Arena(NamedTuple):
    data: Bytes
    ends: Integers


class Pseudonyms:
    """Pseudonyms of what was met so far."""

    def __init__(self, key: Key, ports: Bytes) -> None:
        self.addresses = Addresses(key)
        self.names = Names(key, self.addresses)
        self._ports = ports
        self._names, self._addresses = Interner(), Interner()
        self._mapped = _Arena(np.zeros(1 << 16, np.uint8), np.zeros(1 << 10, np.int64))
        self._fixed = _Arena(np.zeros(1 << 16, np.uint8), np.zeros(1 << 10, np.int64))
        self._stand_ins = np.zeros(1 << 14, np.uint8)
        self._known = np.zeros(2, np.int64)
        self.kept: set[bytes] = set()  #: addresses that are their own pseudonyms

    def reserve(self, names: int, longest: int) -> None:
        """Make space for so many names and addresses more."""
        self._names.reserve(names, names * longest)
        self._addresses.reserve(names, names * 16)

    def maps(self) -> Maps:
        """Return what kernels read."""
        return Maps(
            self._ports,
            self._names.arrays,
            *self._mapped,
            *self._fixed,
            self._addresses.arrays,
            self._stand_ins,
            self._known,
        )

    def learn(self) -> None:
        """Give all names and addresses that were met a pseudonym."""
        first, count = int(self._known[0]), len(self._names)
        pairs = [self.names.wire(self._names[k]) for k in range(first, count)]
        self._mapped = _longer(self._mapped, first, [p[0] for p in pairs])
        self._fixed = _longer(self._fixed, first, [p[1] for p in pairs])
        begin, end = int(self._known[1]), len(self._addresses)
        self._stand_ins = _room(self._stand_ins, begin * 16, end * 16)
        for k in range(begin, end):
            packed = self._addresses[k]
            if len(packed) == _LINK_BYTES:
                new = self.addresses.link(packed)
            else:
                new = self.addresses.ip(packed)
                if self.addresses.is_kept(packed):
                    self.kept.add(packed)
            self._stand_ins[k * 16 : k * 16 + len(new)] = memoryview(new)
        self._known[:] = (count, end)

    def kept_text(self) -> list[str]:
        """Return the addresses that stayed, in order."""
        return [address_text(packed) for packed in sorted(self.kept, key=lambda p: (len(p), p))]

    def name_text(self, wire: bytes) -> str:
        """Return the pseudonym of a wire name as text."""
        return text_from_wire(self.names.wire(wire)[0])


def _room(array: Array, used: int, need: int) -> Array:
    if need <= array.size:
        return array
    out = np.zeros(max(need, 2 * array.size), array.dtype)
    out[:used] = array[:used]
    return out


def _longer(arena: _Arena, count: int, strings: list[bytes]) -> _Arena:
    begin = int(arena.ends[count - 1]) if count else 0
    joined = b"".join(strings)
    data = _room(arena.data, begin, begin + len(joined))
    ends = _room(arena.ends, count, count + len(strings))
    data[begin : begin + len(joined)] = np.frombuffer(joined, np.uint8)
    ends[count : count + len(strings)] = begin + np.cumsum(
        [len(s) for s in strings], dtype=np.int64
    )
    return _Arena(data, ends)
