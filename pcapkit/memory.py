"""Memory: how much there is, what stays with the process, who gives way where it runs out."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Parameters of mallopt() and what they are set to: glibc's malloc.h, mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT_BYTES, _LARGEST_BYTES = 1 << 30, 1 << 25  # the second is the most that all releases take
_GIVEN_BACK_BYTES = 1 << 20


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, for all of this process's life.

    The arrays of each part of an analysis are as large as those of the part before. glibc gives
    large ones back to the system as they are freed, and keeps the memory of threads apart; the
    system clears each page that it gives anew, which took a twentieth of the CPU time of a long
    capture. Other C libraries have no such parameters.
    """
    _set((_TRIM_THRESHOLD, _KEPT_BYTES), (_MMAP_THRESHOLD, _LARGEST_BYTES), (_ARENA_MAX, 1))


def give_freed_memory_back() -> None:
    """Give what is freed back to the system, now and from now on: memory goes before speed."""
    _set((_TRIM_THRESHOLD, _GIVEN_BACK_BYTES), (_MMAP_THRESHOLD, _GIVEN_BACK_BYTES))
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _set(*parameters: tuple[int, int]) -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter, value in parameters:
        mallopt(parameter, value)


@contextmanager
def without_collection() -> Iterator[None]:
    """Look for no garbage in cycles meanwhile: where much is made that stays, that takes long."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


#: Where a container's limit stands, in control groups of version 2 and of version 1.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_limit() -> int:
    """Return the bytes of memory that this machine has, or that its container may use."""
    least = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # no such limit, or none of that version
            least = min(least, int(Path(path).read_text()))
    return least


def offer_to_be_killed() -> None:
    """Let the system end this process before the one that started it, where memory runs out."""
    with suppress(OSError):  # no Linux
        Path("/proc/self/oom_score_adj").write_text("500")
