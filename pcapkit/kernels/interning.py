"""Byte strings to small integers, each distinct string once: names and addresses.

Identity is decided by the bytes; the hash only finds what to compare with. It is seeded per process
so that no capture can be crafted to collide, and ids are given in order of first appearance, so the
seed never shows in a result.

Kernels take ``Interner.arrays`` and call :func:`intern`; the owner calls :meth:`Interner.reserve`
before, since kernels cannot grow arrays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pcapkit.kernels.hashing import find_slot, hash_bytes, home_slot, slot_count
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import prefetch, u8, u32_little, u64_little
from pcapkit.schema import Array, Bytes, Hashes, Ids, Int, Integers


class InternerArrays(NamedTuple):
    """What kernels read and extend of an interner."""

    arena: Bytes  # all strings, one behind the other
    ends: Integers  # ends[i] is where string i ends and i + 1 begins
    hashes: Hashes  # one a string
    slots: Hashes  # a hash table: the hash's upper half, and id + 1 below; 0 is free
    size: Integers  # one: how many strings
    seed: Hashes  # of the hashes here; and of those that say what messages are the same


#: The id of a string that is not known.
NOT_FOUND = -1
_HALF = np.uint64(32)
_ID_BITS = np.uint64(0xFFFFFFFF)


@inline_kernel
def equal_bytes(left: Bytes, a: Int, right: Bytes, b: Int, length: Int) -> bool:
    """Are ``length`` bytes of ``left`` from ``a`` on those of ``right`` from ``b`` on?"""
    if length >= 8:
        k = 0
        while k + 8 < length:
            if u64_little(left, a + k) != u64_little(right, b + k):
                return False
            k += 8
        return bool(u64_little(left, a + length - 8) == u64_little(right, b + length - 8))
    if length >= 4:
        first = u32_little(left, a) == u32_little(right, b)
        last = u32_little(left, a + length - 4) == u32_little(right, b + length - 4)
        return bool(first and last)
    for k in range(length):
        if u8(left, a + k) != u8(right, b + k):
            return False
    return True


@inline_kernel
def _start(ends: Integers, number: Int) -> Int:
    """Return where string ``number`` begins in the arena whose ``ends`` these are."""
    return np.int64(ends[number - 1]) if number > 0 else np.int64(0)


@inline_kernel
def _ends_search(entry: np.uint64, key: tuple[Bytes, Integers, Bytes, Int, Int, np.uint64]) -> bool:
    """Is the slot with ``entry`` free, or that of the string in ``key``?

    The key is (arena, ends, the buffer with the string, its start, its length, its hash).
    """
    arena, ends, buffer, start, length, h = key
    if entry == 0:
        return True
    if entry >> _HALF != h >> _HALF:
        return False
    known = np.int64(entry & _ID_BITS) - 1
    begin = _start(ends, known)
    return bool(ends[known] - begin == length) and equal_bytes(arena, begin, buffer, start, length)


@inline_kernel
def look_up(
    arrays: InternerArrays, buffer: Bytes, start: Int, length: Int, h: np.uint64
) -> tuple[Int, Int]:
    """Return (id, slot) of ``buffer[start:start + length]``, whose hash is ``h``.

    Where ``arrays`` do not have it, the id is NOT_FOUND, and the slot the free one for it.
    """
    key = (arrays.arena, arrays.ends, buffer, start, length, h)
    slot = find_slot(arrays.slots, h, _ends_search, key)
    return np.int64(arrays.slots[slot] & _ID_BITS) - 1, slot  # a free slot is 0


@inline_kernel
def prefetch_slot(arrays: InternerArrays, h: np.uint64) -> None:
    """Begin to fetch the slot in which the search for the hash ``h`` begins.

    What :func:`look_up` reads lies in three places, each of which says where the next one is: for a
    string that is looked up soon, this comes first, then :func:`prefetch_ends` and, last,
    :func:`prefetch_bytes`, with other work in between.
    """
    prefetch(arrays.slots, home_slot(arrays.slots, h))


@inline_kernel
def prefetch_ends(arrays: InternerArrays, h: np.uint64) -> None:
    """Begin to fetch where the string ends that the first slot for the hash ``h`` names."""
    entry = arrays.slots[home_slot(arrays.slots, h)]
    if entry != 0:
        prefetch(arrays.ends, np.int64(entry & _ID_BITS) - 1)


@inline_kernel
def prefetch_bytes(arrays: InternerArrays, h: np.uint64) -> None:
    """Begin to fetch the bytes of the string that the first slot for the hash ``h`` names."""
    entry = arrays.slots[home_slot(arrays.slots, h)]
    if entry != 0:
        number = np.int64(entry & _ID_BITS) - 1
        prefetch(arrays.arena, _start(arrays.ends, number))
        prefetch(arrays.arena, np.int64(arrays.ends[number]) - 1)


@helper_kernel
def append(
    arrays: InternerArrays, buffer: Bytes, start: Int, length: Int, h: np.uint64, slot: Int
) -> Int:
    """Add ``buffer[start:start + length]`` of hash ``h`` to ``arrays`` and return its id.

    ``slot`` is the free one that :func:`look_up` returned. There must be space: see
    :func:`has_space`.
    """
    new = arrays.size[0]
    begin = _start(arrays.ends, new)
    for k in range(length):
        arrays.arena[begin + k] = buffer[start + k]
    arrays.ends[new] = begin + length
    arrays.hashes[new] = h
    arrays.slots[slot] = _entry(h, new)
    arrays.size[0] = new + 1
    return np.int64(new)


@inline_kernel
def _entry(h: np.uint64, number: Int) -> np.uint64:
    """Return what a slot holds of string ``number``, whose hash is ``h``."""
    return (h & ~_ID_BITS) | np.uint64(number + 1)


@inline_kernel
def intern(arrays: InternerArrays, buffer: Bytes, start: Int, length: Int) -> Int:
    """Return the id of ``buffer[start:start + length]``, added to ``arrays`` where it is new.

    There must be space: see :func:`has_space` and :meth:`Interner.reserve`.
    """
    h = hash_bytes(buffer, start, length, arrays.seed[0])
    known, slot = look_up(arrays, buffer, start, length, h)
    if known == NOT_FOUND:
        known = append(arrays, buffer, start, length, h, slot)
    return known


@helper_kernel
def find(arrays: InternerArrays, buffer: Bytes, start: Int, length: Int) -> Int:
    """Return the id of ``buffer[start:start + length]`` in ``arrays``, or NOT_FOUND."""
    h = hash_bytes(buffer, start, length, arrays.seed[0])
    known, _slot = look_up(arrays, buffer, start, length, h)
    return known


@inline_kernel
def has_space(arrays: InternerArrays, strings: Int, longest: Int) -> bool:
    """Have ``arrays`` space for so many ``strings`` more, each of up to ``longest`` bytes?"""
    count = arrays.size[0]
    size = _start(arrays.ends, count)
    most = min(arrays.ends.shape[0], arrays.slots.shape[0] >> 1)
    return bool(most - count >= strings and arrays.arena.shape[0] - size >= strings * longest)


@kernel
def _intern_one(arrays: InternerArrays, buffer: Bytes) -> Int:
    """Return the id of all of ``buffer`` (uint8), added to ``arrays`` where it is new."""
    return intern(arrays, buffer, 0, buffer.shape[0])


@kernel
def _intern_all(arrays: InternerArrays, buffer: Bytes, ends: Integers, ids: Ids) -> None:
    """Add strings that stand behind one another in ``buffer`` (uint8) to ``arrays``.

    Goes in: their ``ends`` there (int64); ``arrays`` have space for them. Comes out: ``ids``
    (int32, one a string).
    """
    at = np.int64(0)
    for i in range(ends.shape[0]):
        ids[i] = intern(arrays, buffer, at, ends[i] - at)
        at = np.int64(ends[i])


@inline_kernel
def _is_free(entry: np.uint64, _key: tuple[()]) -> bool:
    return bool(entry == 0)


@kernel
def _fill_slots(hashes: Hashes, count: Int, slots: Hashes) -> None:
    """Enter the first ``count`` strings, by their ``hashes`` (uint64), into ``slots``.

    ``slots`` (uint64, zeros) are a power of two, twice as many as strings or more.
    """
    for i in range(count):
        slots[find_slot(slots, hashes[i], _is_free, ())] = _entry(hashes[i], i)


@kernel
def fold_names(arena: Bytes, ends: Integers, start: Int, stop: Int, folded: Bytes) -> Int:
    """Write names ``start`` to ``stop`` in lower case behind one another; return how many bytes.

    Goes in: the names, ``arena`` (uint8) with their ``ends`` (int64). Comes out: ``folded`` (uint8,
    as long as these names together). Length bytes are below 64 and so never letters (RFC 4343).
    """
    at = np.int64(0)
    for k in range(_start(ends, start), ends[stop - 1]):
        byte = arena[k]
        folded[at] = byte + 32 if 65 <= byte <= 90 else byte
        at += 1
    return at


def _longer(array: Array, used: int, need: int) -> Array:
    """Return the used part of an array with space for ``need`` or more, twice the size at least.

    What lies behind is not written, so that the system gives no memory for it yet.
    """
    out = np.empty(max(need, 2 * array.size), array.dtype)
    out[:used] = array[:used]
    return out


def new_seed() -> int:
    """Return a seed that nobody can guess."""
    return int.from_bytes(os.urandom(8), "little")


class Interner:
    """A growing set of byte strings, numbered from 0 in order of first appearance."""

    def __init__(self, identity: int | None = None, seed: int | None = None) -> None:
        """Begin one; ``identity`` is its second seed; None for seeds that nobody knows."""
        seed = new_seed() if seed is None else seed
        identity = new_seed() if identity is None else identity
        self.arrays = InternerArrays(
            np.zeros(1 << 12, np.uint8),
            np.zeros(1 << 8, np.int64),
            np.zeros(1 << 8, np.uint64),
            np.zeros(1 << 10, np.uint64),
            np.zeros(1, np.int64),
            np.array([seed, identity], np.uint64),
        )

    def __len__(self) -> int:
        return int(self.arrays.size[0])

    @property
    def byte_count(self) -> int:
        """Bytes held in the arena."""
        count = len(self)
        return int(self.arrays.ends[count - 1]) if count else 0

    def reserve(self, strings: int, total_bytes: int) -> None:
        """Make space for ``strings`` more of ``total_bytes`` together."""
        arena, ends, hashes, slots, used, seed = self.arrays
        count = len(self)
        if (need := self.byte_count + total_bytes) > arena.size:
            arena = _longer(arena, self.byte_count, need)
        if (need := count + strings) > ends.size:
            ends, hashes = _longer(ends, count, need), _longer(hashes, count, need)
        if (count + strings) * 2 > slots.size:  # never more than half full
            slots = np.zeros(slot_count(count + strings), np.uint64)
            _fill_slots(hashes, count, slots)
        self.arrays = InternerArrays(arena, ends, hashes, slots, used, seed)

    def add(self, value: bytes) -> int:
        """Return the id of ``value``, adding it where it is new."""
        self.reserve(1, len(value))
        # What may be written to is what all others hand over: no variant of the kernels for this.
        return int(_intern_one(self.arrays, np.frombuffer(bytearray(value), np.uint8)))

    def add_all(self, values: Bytes, ends: Integers) -> Ids:
        """Return the ids (int32) of strings, adding those that are new.

        They stand behind one another in ``values`` (uint8), each up to its of ``ends`` (int64),
        which ascend within it.
        """
        ids = np.zeros(ends.size, np.int32)
        self.reserve(ends.size, int(values.size))
        _intern_all(self.arrays, values, ends, ids)
        return ids

    def take(self, numbers: Ids) -> tuple[Bytes, Integers]:
        """Return strings by their ids, behind one another (uint8), and where each ends (int64)."""
        arena, ends = self.arrays.arena, self.arrays.ends
        stops = ends[numbers]
        begins = np.where(numbers > 0, ends[np.maximum(numbers - 1, 0)], 0)
        sizes = stops - begins
        behind = np.cumsum(sizes)
        index = np.arange(int(sizes.sum())) + np.repeat(begins - (behind - sizes), sizes)
        return arena[index], behind

    def copy(self) -> Interner:
        """Return what is known now; another thread may go on adding to this interner."""
        count = len(self)  # read first: the arrays of any later moment hold so many
        arena, ends, hashes, _slots, _count, seed = self.arrays
        size = int(ends[count - 1]) if count else 0
        slots = np.zeros(slot_count(count + 4), np.uint64)
        new = Interner()
        new.arrays = InternerArrays(
            arena[:size].copy(),
            ends[:count].copy(),
            hashes[:count].copy(),
            slots,
            np.array([count], np.int64),
            seed,
        )
        _fill_slots(new.arrays.hashes, count, slots)
        return new

    def __iter__(self) -> Iterator[bytes]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, number: int) -> bytes:
        if not 0 <= number < len(self):
            raise IndexError(number)
        arena, ends = self.arrays.arena, self.arrays.ends
        begin = int(ends[number - 1]) if number else 0
        return arena[begin : int(ends[number])].tobytes()
