"""Byte strings to small integers, each distinct string once: names and addresses.

Identity is decided by the bytes; the hash only finds the place to compare. It is seeded per process
so that no capture can be crafted to collide, and ids are given in order of first appearance, so the
seed never shows in a result.

Kernels take ``Interner.arrays`` and call :func:`intern`; the owner calls :meth:`Interner.reserve`
before, since kernels cannot grow arrays.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.kernels.hashing import hash_bytes
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u8, u32_little, u64_little

Arrays = tuple[
    npt.NDArray[np.uint8],  # arena: all strings, one behind the other
    npt.NDArray[np.int64],  # ends: ends[i] is where string i ends and i + 1 begins
    npt.NDArray[np.uint64],  # hashes, one a string
    npt.NDArray[np.uint64],  # slots, a power of two: hash's upper half, id + 1 below; 0 is free
    npt.NDArray[np.int64],  # used: [strings, spare]
    npt.NDArray[np.uint64],  # seed
]
_HALF = np.uint64(32)
_ID_BITS = np.uint64(0xFFFFFFFF)


@inline_kernel
def _equal(left: Any, a: Any, right: Any, b: Any, length: Any) -> Any:
    if length >= 8:
        k = 0
        while k + 8 < length:
            if u64_little(left, a + k) != u64_little(right, b + k):
                return False
            k += 8
        return u64_little(left, a + length - 8) == u64_little(right, b + length - 8)
    if length >= 4:
        return u32_little(left, a) == u32_little(right, b) and u32_little(
            left, a + length - 4
        ) == u32_little(right, b + length - 4)
    for k in range(length):
        if u8(left, a + k) != u8(right, b + k):
            return False
    return True


@inline_kernel
def look_up(arrays: Any, buffer: Any, start: Any, length: Any, h: Any) -> Any:
    """Return (id, slot) of the bytes whose hash is ``h``: id -1, and a free slot, where new."""
    arena, ends, _hashes, slots, _used, _seed = arrays
    mask = np.int64(slots.shape[0] - 1)
    slot = np.int64(h) & mask
    entry = slots[slot]
    while entry != 0:
        if entry >> _HALF == h >> _HALF:
            known = np.int64(entry & _ID_BITS) - 1
            begin = ends[known - 1] if known > 0 else np.int64(0)
            if ends[known] - begin == length and _equal(arena, begin, buffer, start, length):
                return known, slot
        slot = (slot + 1) & mask
        entry = slots[slot]
    return np.int64(-1), slot


@helper_kernel
def append(arrays: Any, buffer: Any, start: Any, length: Any, h: Any, slot: Any) -> Any:
    """Add what :func:`look_up` has not found; return its id. There must be room for it."""
    arena, ends, hashes, slots, used, _seed = arrays
    new = used[0]
    begin = ends[new - 1] if new > 0 else np.int64(0)
    for k in range(length):
        arena[begin + k] = buffer[start + k]
    ends[new] = begin + length
    hashes[new] = h
    slots[slot] = _entry(h, new)
    used[0] = new + 1
    return np.int64(new)


@inline_kernel
def _entry(h: Any, number: Any) -> Any:
    return (h & ~_ID_BITS) | np.uint64(number + 1)


@inline_kernel
def intern(arrays: Any, buffer: Any, start: Any, length: Any) -> Any:
    """Return the id of ``buffer[start:start + length]``, adding it where it is new.

    There must be room: see :func:`has_room` and :meth:`Interner.reserve`.
    """
    h = hash_bytes(buffer, start, length, arrays[5][0])
    known, slot = look_up(arrays, buffer, start, length, h)
    if known < 0:
        known = append(arrays, buffer, start, length, h, slot)
    return known


@helper_kernel
def find(arrays: Any, buffer: Any, start: Any, length: Any) -> Any:
    """Return the id of ``buffer[start:start + length]``, -1 where it is not there."""
    known, _slot = look_up(
        arrays, buffer, start, length, hash_bytes(buffer, start, length, arrays[5][0])
    )
    return known


@inline_kernel
def has_room(arrays: Any, strings: Any, longest: Any) -> Any:
    """Is there room for so many more, each of up to ``longest`` bytes?"""
    arena, ends, _hashes, slots, used, _seed = arrays
    count = used[0]
    size = ends[count - 1] if count > 0 else np.int64(0)
    return (
        min(ends.shape[0], slots.shape[0] >> 1) - count >= strings
        and arena.shape[0] - size >= strings * longest
    )


@kernel
def _intern_one(arrays: Any, buffer: Any) -> Any:
    return intern(arrays, buffer, 0, buffer.shape[0])


@kernel
def _fill_slots(hashes: Any, count: Any, slots: Any) -> None:
    mask = np.int64(slots.shape[0] - 1)
    for i in range(count):
        slot = np.int64(hashes[i] & np.uint64(mask))
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = _entry(hashes[i], i)


@kernel
def fold_names(arena: Any, ends: Any, start: Any, stop: Any, folded: Any) -> Any:
    """Write the lower-case forms of names ``start`` to ``stop`` behind one another; return bytes.

    Length bytes are below 64 and so never letters (RFC 4343).
    """
    at = np.int64(0)
    begin = ends[start - 1] if start > 0 else np.int64(0)
    for k in range(begin, ends[stop - 1]):
        byte = arena[k]
        folded[at] = byte + 32 if 65 <= byte <= 90 else byte
        at += 1
    return at


def _longer(array: npt.NDArray[Any], used: int, need: int) -> npt.NDArray[Any]:
    """Return the used part of an array in room for at least ``need``, twice the size or more.

    What lies behind is not written, so that the system gives no memory for it yet.
    """
    out = np.empty(max(need, 2 * array.size), array.dtype)
    out[:used] = array[:used]
    return out


class Interner:
    """A growing set of byte strings, numbered from 0 in order of first appearance."""

    def __init__(self) -> None:
        self.arrays: Arrays = (
            np.zeros(1 << 12, np.uint8),
            np.zeros(1 << 8, np.int64),
            np.zeros(1 << 8, np.uint64),
            np.zeros(1 << 10, np.uint64),
            np.zeros(2, np.int64),
            np.array([secrets.randbits(64)], np.uint64),
        )

    def __len__(self) -> int:
        return int(self.arrays[4][0])

    @property
    def byte_count(self) -> int:
        """Bytes held in the arena."""
        count = len(self)
        return int(self.arrays[1][count - 1]) if count else 0

    def reserve(self, strings: int, total_bytes: int) -> None:
        """Make room for ``strings`` more of ``total_bytes`` together."""
        arena, ends, hashes, slots, used, seed = self.arrays
        count = len(self)
        if (need := self.byte_count + total_bytes) > arena.size:
            arena = _longer(arena, self.byte_count, need)
        if (need := count + strings) > ends.size:
            ends, hashes = _longer(ends, count, need), _longer(hashes, count, need)
        if (count + strings) * 2 > slots.size:  # never more than half full
            slots = np.zeros(1 << ((count + strings) * 2).bit_length(), np.uint64)
            _fill_slots(hashes, count, slots)
        self.arrays = (arena, ends, hashes, slots, used, seed)

    def add(self, value: bytes) -> int:
        """Return the id of ``value``, adding it where it is new."""
        self.reserve(1, len(value))
        # What may be written to is what all others hand over: no variant of the kernels for this.
        return int(_intern_one(self.arrays, np.frombuffer(bytearray(value), np.uint8)))

    def copy(self) -> Interner:
        """Return what is known now; another thread may go on adding to this interner."""
        count = len(self)  # read first: the arrays of any later moment hold so many
        arena, ends, hashes, _slots, _used, seed = self.arrays
        size = int(ends[count - 1]) if count else 0
        slots = np.zeros(1 << (2 * count + 8).bit_length(), np.uint64)
        new = Interner()
        new.arrays = (
            arena[:size].copy(),
            ends[:count].copy(),
            hashes[:count].copy(),
            slots,
            np.array([count, 0], np.int64),
            seed,
        )
        _fill_slots(new.arrays[2], count, slots)
        return new

    def __iter__(self) -> Iterator[bytes]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, number: int) -> bytes:
        if not 0 <= number < len(self):
            raise IndexError(number)
        arena, ends = self.arrays[0], self.arrays[1]
        begin = int(ends[number - 1]) if number else 0
        return arena[begin : int(ends[number])].tobytes()
