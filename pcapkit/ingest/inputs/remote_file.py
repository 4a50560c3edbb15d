"""One object that lies elsewhere, read from its beginning to its end in bounded pieces."""

from __future__ import annotations

import io
import time
from typing import Any

from pcapkit.errors import ChangedInput, InputError, PcapkitError, UnreachableInput
from pcapkit.ingest.inputs.remote import Version, look_up
from pcapkit.ingest.inputs.remote_calls import STORES, Call, asked, forget, scheme_of, system_of

#: Bytes asked for at once: few for who looks at the beginning only, more for who reads on.
_FIRST_PIECE, _MOST_PIECE = 1 << 16, 8 << 20
_TRIES = 3
#: Bytes at the beginning by which a file is known again.
_HEAD = 4096


class RemoteFile(io.RawIOBase):
    """An object that is read from its beginning to its end, in pieces.

    While a piece is worked on, the next one comes. Where a server gives no pieces, one request
    brings all, of which no more is in memory than a piece.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        found = look_up(url)
        if found.is_folder:
            raise InputError(url, "is a folder", hint="use 'pcapkit audit' for folders")
        self.version = found.version
        self._file: Any = None
        self._streams = self.version.size is None
        self._at = 0  # of the next piece to be asked for
        self._size = _FIRST_PIECE
        self._coming: Call[bytes] | None = None
        self._piece = memoryview(b"")
        self._head: bytes | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece:
            self._piece = memoryview(self._next())
            if self._head is None:
                self._head = bytes(self._piece[:_HEAD])
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size

    def _next(self) -> bytes:
        first = self._head is None
        left = self._left()
        if self._coming is None and left == 0:
            return b""
        call = self._coming or self._ask()
        for attempt in range(_TRIES):
            try:
                piece = call.result(self._url)
                break
            except UnreachableInput:
                if attempt + 1 == _TRIES or self._streams or call.is_alive():
                    raise
                time.sleep(0.2 * 4**attempt)
                self._file = None
                forget(self._url)
                call = self._ask()
        self._coming = None
        if self.version.size is not None and len(piece) < min(self._size, left or 0):
            raise ChangedInput(self._url, "became shorter while it was read")
        self._at += len(piece)
        if not first and piece:
            self._size = min(8 * self._size, _MOST_PIECE)
            if self._left() != 0:
                self._coming = self._ask()
        return piece

    def _left(self) -> int | None:
        return None if self.version.size is None else self.version.size - self._at

    def _ask(self) -> Call[bytes]:
        start, size, left = self._at, self._size, self._left()
        return Call(lambda: self._fetch(start, size if left is None else min(size, left)))

    def _fetch(self, start: int, size: int) -> bytes:
        if not self._streams:
            try:
                if self._file is None:
                    self._file = _opened(self._url)
                self._file.seek(start)
                return bytes(self._file.read(size))
            except ValueError as problem:
                if "range" not in str(problem):
                    raise
                self._file, self._streams = None, True
        if self._file is None:
            system, path = system_of(self._url)
            self._file = system.open(path, "rb", block_size=0)
            for skipped in range(0, start, _MOST_PIECE):
                _read_all(self._file, min(_MOST_PIECE, start - skipped))
        return _read_all(self._file, size)

    def change(self) -> str | None:
        """Return what has changed at the far end since this was opened; None: nothing.

        Raises ChangedInput where what was read may be of two versions, and InputError where the
        far end does not answer any more.
        """
        now = look_up(self._url).version
        if now == self.version:
            return None
        grown = (now.size or 0) >= (self.version.size or 0) and scheme_of(self._url) not in STORES
        if grown and RemoteFile(self._url).head() == self._head:
            return "was still being written while it was read; analysed up to what was there"
        raise ChangedInput(self._url, "was written over while it was read", hint="read it again")

    def head(self) -> bytes:
        """Return its first bytes."""
        out = bytearray(_HEAD)
        got = self.readinto(out)
        self.close()
        return bytes(out[:got])

    def close(self) -> None:
        """Close it at both ends."""
        if not self.closed and self._file is not None:
            file, self._file = self._file, None
            Call(file.close)
        super().close()


def _opened(url: str) -> Any:
    system, path = system_of(url)
    if scheme_of(url) in ("sftp", "ssh"):
        return system.open(path, "rb")
    return system.open(path, "rb", block_size=_MOST_PIECE, cache_type="none")


def _read_all(file: Any, size: int) -> bytes:
    """Read ``size`` bytes, or what is left."""
    out = bytearray()
    while len(out) < size and (part := file.read(size - len(out))):
        out += part
    return bytes(out)


def tail_of(url: str, version: Version, size: int) -> bytes | None:
    """Return the last bytes of an object, None where its server gives no pieces."""
    if version.size is None:
        return None
    start = max(version.size - size, 0)

    def read() -> bytes:
        file = _opened(url)
        try:
            file.seek(start)
            return bytes(file.read(size))
        finally:
            file.close()

    try:
        return asked(url, read)
    except PcapkitError:
        return None
