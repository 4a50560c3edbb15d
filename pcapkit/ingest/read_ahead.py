"""A stream that a thread reads ahead of whoever wants its bytes.

Decompressors release the interpreter's lock, so the next bytes are decompressed while the last ones
are decoded. Nothing is polled: the thread sleeps while all blocks are full, its reader while none
is.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

#: Blocks, and bytes of each: what is decompressed ahead at most.
BLOCKS = 4
BLOCK_BYTES = 1 << 20


class ReadAhead:
    """Reads ``readinto`` in a thread; the bytes, the end and errors come in their order.

    ``position`` tells how far the stream below has been read; see :attr:`position`.
    """

    def __init__(
        self, readinto: Callable[[memoryview], int | None], position: Callable[[], int]
    ) -> None:
        self._below, self._position_below = readinto, position
        #: Where the stream below stood after what was taken so far: it depends on no thread.
        self.position = position()
        self._changed = threading.Condition()
        self._free = deque(bytearray(BLOCK_BYTES) for _ in range(BLOCKS))
        self._ready: deque[tuple[bytearray, int, int]] = deque()  # block, its bytes, position
        self._taken = 0  # bytes of the first ready block that were given out
        self._ended = self._closed = False
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pcapkit-read-ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        problem: Exception | None = None
        try:
            while (block := self._next_free()) is not None:
                got = self._below(memoryview(block)) or 0
                if not got:
                    break
                with self._changed:
                    self._ready.append((block, got, self._position_below()))
                    self._changed.notify_all()
        except Exception as error:  # every decompressor has errors of its own; raised by readinto
            problem = error
        with self._changed:
            self._problem, self._ended = problem, True
            self._changed.notify_all()

    def _next_free(self) -> bytearray | None:
        """Wait for a block to fill; None once nobody reads any more."""
        with self._changed:
            while not self._free and not self._closed:
                self._changed.wait()
            return None if self._closed else self._free.popleft()

    def wait(self, seconds: float) -> bool:
        """Are there bytes, the end or an error, now or within a time?"""
        with self._changed:
            return self._changed.wait_for(self._something, seconds)

    def _something(self) -> bool:
        return bool(self._ready) or self._ended or self._closed

    def readinto(self, buffer: memoryview) -> int:
        """Fill a part of ``buffer``; return the bytes written, 0 at the end.

        Raises what reading the stream below raised, where the next bytes would have come.
        """
        with self._changed:
            self._changed.wait_for(self._something)
            if self._closed:
                return 0
            if not self._ready:
                self.position = self._position_below()
                if self._problem is not None:
                    raise self._problem
                return 0
            block, size, position = self._ready[0]
        got = min(len(buffer), size - self._taken)
        buffer[:got] = memoryview(block)[self._taken : self._taken + got]
        self._taken += got
        if self._taken == size:
            self.position, self._taken = position, 0
            with self._changed:
                self._ready.popleft()
                self._free.append(block)
                self._changed.notify_all()
        return got

    def close(self, seconds: float) -> None:
        """End the thread, and wait so long for the read that it is in; a reader gets the end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(seconds)
