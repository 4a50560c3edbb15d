"""Hash tables in kernels: the seed that nobody can guess, the hashes, and the search for a slot.

A table is an array a power of two long, never more than half full (:func:`slot_count`), whose
entries say by themselves whether they are free. Where two entries belong in one slot, the second
takes the next slot that is free (linear probing). Mostly a slot holds the number of a row plus 1,
and 0 where it is free, so that the rows themselves stand in the order of their first appearance::

    @inline_kernel
    def _ends_search(entry, key):
        rows, name, qtype = key
        return entry == 0 or (rows[entry - 1]["name"] == name and rows[entry - 1]["qtype"] == qtype)

    slot = find_slot(slots, hash_ids(name, qtype, seed), _ends_search, (rows, name, qtype))
    if slots[slot] == 0:
        ...  # fill in rows[used]
        used += 1
        slots[slot] = used
    row = rows[slots[slot] - 1]

A table that only remembers what was seen lately (:func:`find_way`) never grows: a key has a few
slots that lie together, and the oldest entry in them gives way.

No order of slots may ever show in a result: they lie differently in every run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.kernels.jit import inline_kernel
from pcapkit.kernels.words import mix, u8, u32_little, u64_little
from pcapkit.schema import Array, Bytes, Hashes, Int, Integers

#: Of the hash tables of this process: no capture can be made to fill their slots unevenly.
SEED = np.uint64(int.from_bytes(os.urandom(8), "little"))
#: Odd numbers whose bits are spread evenly: the golden ratio, and a prime of xxHash's.
GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
SECOND_FACTOR = np.uint64(0xC2B2AE3D27D4EB4F)
_LINE_BYTES = 64  # of a cache


def slot_count(entries: int) -> int:
    """Return how many slots a table of up to so many entries needs: a power of two, over twice."""
    return 1 << (2 * entries).bit_length()


def aligned(count: int, value: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array of so many times ``value`` that begins with a cache line.

    Entries that stand together within one line are then fetched together.
    """
    size = np.dtype(dtype).itemsize * count
    memory = np.empty(size + _LINE_BYTES, np.uint8)
    begin = -memory.ctypes.data % _LINE_BYTES
    out = memory[begin : begin + size].view(dtype)
    out[:] = value
    return out


@inline_kernel
def hash_ids(left: Int, right: Int, seed: np.uint64) -> np.uint64:
    """Return the hash of two integers, ``left`` and ``right``; all its bits are equally good.

    ``seed`` (uint64) is :data:`SEED`, handed on from kernel to kernel: a constant would be kept
    with the compiled code, the same in all later runs.
    """
    h = (np.uint64(left) ^ seed) * GOLDEN_RATIO
    h = (h ^ (h >> np.uint64(32)) ^ np.uint64(right)) * SECOND_FACTOR
    return h ^ (h >> np.uint64(32))


@inline_kernel
def hash_bytes(buffer: Bytes, start: Int, length: Int, seed: np.uint64) -> np.uint64:
    """Return the hash of ``length`` bytes of ``buffer`` (uint8) from ``start`` on, by ``seed``.

    The caller has checked that they are there. 16 bytes a step, after wyhash, two chains of steps
    side by side. Both factors of every product hold a secret: a factor that is known can be made
    zero, and then what else was hashed would not matter.
    """
    secret = seed * GOLDEN_RATIO
    h = seed ^ (np.uint64(length) * GOLDEN_RATIO)
    at = np.int64(start)
    stop = at + length
    if length > 16:
        if length > 32:
            other = h ^ secret
            while stop - at > 32:
                h = mix(u64_little(buffer, at) ^ secret, u64_little(buffer, at + 8) ^ h)
                other = mix(
                    u64_little(buffer, at + 16) ^ secret, u64_little(buffer, at + 24) ^ other
                )
                at += 32
            h ^= other
        if stop - at > 16:
            h = mix(u64_little(buffer, at) ^ secret, u64_little(buffer, at + 8) ^ h)
            at += 16
        low, high = u64_little(buffer, stop - 16), u64_little(buffer, stop - 8)
    elif length >= 8:
        low, high = u64_little(buffer, at), u64_little(buffer, stop - 8)
    elif length >= 4:
        low, high = np.uint64(u32_little(buffer, at)), np.uint64(u32_little(buffer, stop - 4))
    else:
        low, high = np.uint64(0), np.uint64(0)
        for k in range(length):
            low = (low << np.uint64(8)) | np.uint64(u8(buffer, at + k))
    return np.uint64(mix(low ^ secret, high ^ h))


@inline_kernel
def home_slot(slots: Array, h: np.uint64) -> Int:
    """Return the slot of ``slots`` (a power of two long) in which the search for ``h`` begins."""
    return np.int64(h & np.uint64(slots.shape[0] - 1))


@inline_kernel
def next_slot(slots: Array, slot: Int) -> Int:
    """Return the slot of ``slots`` (a power of two long) behind ``slot``; the first one follows."""
    return np.int64(slot + 1) & np.int64(slots.shape[0] - 1)


@inline_kernel
def find_slot(
    slots: Array, h: np.uint64, ends_search: Callable[[Any, Any], bool], key: tuple[Any, ...]
) -> Int:
    """Return the slot of ``slots`` in which the ``key`` of hash ``h`` is, or the free one for it.

    ``ends_search`` is an inline kernel: is this entry, ``slots[slot]``, the one of ``key`` (a tuple
    of whatever it needs to tell), or free? Some entry must be free.
    """
    slot = home_slot(slots, h)
    while not ends_search(slots[slot], key):
        slot = next_slot(slots, slot)
    return slot


@inline_kernel
def find_way(
    keys: Hashes, times: Integers, first: Int, ways: Int, key: np.uint64
) -> tuple[Int, bool]:
    """Return (slot, whether ``key`` is in it) in a table that never grows: the oldest gives way.

    A key may stand in any of the ``ways`` slots from ``first`` on. Where it is in none of them, the
    slot is the one to be overwritten. ``keys`` (uint64) and ``times`` (int64) are those of the
    entries, the earliest time of all where a slot is free.
    """
    for way in range(ways):
        if keys[first + way] == key:
            return first + way, True
    oldest = first
    time = times[first]
    for way in range(1, ways):
        if times[first + way] < time:
            oldest = first + way
            time = times[oldest]
    return oldest, False
