"""Memory that is freed and soon needed again stays with the process; none is looked for in vain."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: Parameters of mallopt() and what they are set to: glibc's malloc.h, mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT_BYTES, _LARGEST_BYTES = 1 << 30, 1 << 25  # the second is the most that all releases take


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, for all of this process's life.

    The arrays of each part of an analysis are as large as those of the part before. glibc gives
    large ones back to the system as they are freed, and keeps the memory of threads apart; the
    system clears each page that it gives anew, which took a twentieth of the CPU time of a long
    capture. Other C libraries have no such parameters.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter, value in (
        (_TRIM_THRESHOLD, _KEPT_BYTES),
        (_MMAP_THRESHOLD, _LARGEST_BYTES),
        (_ARENA_MAX, 1),
    ):
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
