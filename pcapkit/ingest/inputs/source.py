"""Bytes from a path, a URL or standard input, through whatever compressed them, in bounded pieces.

Compression is recognised by its magic bytes, never by a file name: gzip (RFC 1952), zstd (RFC
8878), xz, bzip2, lz4 frames. What was decompressed before some damage is kept: ``damage`` then says
what happened, and reading ends.
"""

from __future__ import annotations

import fcntl
import io
import os
import select
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pcapkit.errors import (
    ChangedInput,
    DamagedCapture,
    DeniedInput,
    EmptyInput,
    InputError,
    MissingInput,
    PcapkitError,
)
from pcapkit.ingest.inputs.compression import COMPRESSIONS
from pcapkit.limits import DEFAULTS, Limits, crossed
from pcapkit.text import is_url, shown_path
from pcapkit.words import counted

if TYPE_CHECKING:
    from pcapkit.ingest.window import Digest

#: The most that :meth:`Source.peek` returns.
PEEK_BYTES = 1 << 16
#: A capture's file header is no longer (pcap's 24 bytes; pcapng's first block has 28 or more).
_HEADER_BYTES = 24
#: A pipe that gives nothing for this long has paused: what came before is worth reading now.
_PAUSE_S = 0.05
#: What a pipe may hold; the most that Linux allows without privileges.
_PIPE_BYTES = 1 << 20
#: Bytes at the beginning of a file by which it is known again.
_HEAD_BYTES = 4096


class _Counted(io.RawIOBase):
    """The stored bytes, counted as they are read."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        got = cast(Any, self._raw).readinto(buffer) or 0
        self.count += got
        return int(got)


class _Prefixed(io.RawIOBase):
    """A stream with bytes put back in front of it."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = head
        self._read = rest.readinto
        self._read_once = getattr(rest, "readinto1", rest.readinto)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._put_back(buffer) or int(self._read(buffer) or 0)

    def readinto1(self, buffer: Any) -> int:
        """Return what is there, where the stream behind can tell."""
        return self._put_back(buffer) or int(self._read_once(buffer) or 0)

    def _put_back(self, buffer: Any) -> int:
        size = min(len(buffer), len(self._head))
        if size:
            buffer[:size] = self._head[:size]
            self._head = self._head[size:]
        return size


class Source:
    """One open input; see :func:`open_source`. Its ``path`` is text to be shown."""

    def __init__(
        self,
        path: str,
        raw: BinaryIO,
        stored_size: int | None,
        *,
        reopens: bool | None = None,
        change: Callable[[], str | None] | None = None,
        limits: Limits = DEFAULTS,
    ) -> None:
        self.path = shown_path(path)
        self.stored_size = stored_size
        #: Can it be closed and opened again, as a file can and a pipe cannot?
        self.reopens = stored_size is not None if reopens is None else reopens
        self.compression: str | None = None
        self.damage: str | None = None
        self.limits = limits
        #: When the packet capture that is read next begins, where several are read as one.
        self.followed_at: int | None = None
        #: Gets all that is read, decompressed, where somebody wants to know.
        self.digest: Digest | None = None
        self._file = raw
        self._change = change
        self._counted = _Counted(raw)
        self._expanded = 0
        self._hint = "copy the file again"
        stream = self._unpacked(self._counted)
        self._stream = stream
        self._peeked = b""
        self._waits_on = None if self.reopens else _descriptor(raw)
        # A buffered reader fills all of a buffer before it returns; what comes slowly cannot wait.
        partly = getattr(stream, "readinto1", None) if self._waits_on is not None else None
        self._readinto: Callable[[Any], int | None] = partly or stream.readinto

    @property
    def stored_bytes_read(self) -> int:
        """Bytes of the file as stored that hold what was read so far."""
        return self._counted.count

    def seek(self, offset: int) -> None:
        """Go on at ``offset`` of an uncompressed file."""
        self._file.seek(offset)
        self._peeked, self._stream = b"", self._counted
        self._readinto = self._counted.readinto
        self._counted.count = offset

    def _unpacked(self, stored: Any) -> Any:
        """Return the stream behind what compressed it; refuse one with too many layers."""
        stream = stored
        for layer in range(self.limits.compression_layers + 1):
            try:
                head = self._read(stream, 8)
            except Exception as problem:  # every decompressor has errors of its own
                if layer == 0:
                    raise
                self._note(problem)
                return io.BytesIO()
            stream = _Prefixed(head, stream)
            found = next((c for c in COMPRESSIONS if head.startswith(c[1])), None)
            if found is None:
                break
            name, _, opener = found
            if layer == self.limits.compression_layers:
                how = crossed("compression_layers", self.limits)
                self.damage = f"compressed more than {counted(layer, 'time')} ({how})"
                self._hint = "unpack it before"
                break
            self.compression = self.compression or name
            stream = opener(stream)
        return stream

    def _note(self, problem: Exception) -> None:
        """Say how the stream is damaged. Raises ``problem`` where that is not its fault."""
        if isinstance(problem, PcapkitError):  # a host that has gone
            raise problem
        if isinstance(problem, OSError) and problem.errno:
            self.damage = f"cannot be read on: {problem.strerror}"
        elif self.compression is None:
            raise problem
        else:
            self.damage = f"the {self.compression} stream is damaged or ends early"

    def _read(self, stream: Any, size: int) -> bytes:
        out = bytearray(size)
        view = memoryview(out)
        got = 0
        while got < size and (n := stream.readinto(view[got:])):
            got += n
        return bytes(out[:got])

    def peek(self, size: int) -> bytes:
        """Return up to ``size`` (at most 65,536) first bytes of the decompressed stream.

        Of a pipe that pauses, as many as have come, but not fewer than a file header has.
        """
        size = min(size, PEEK_BYTES)
        while (want := size - len(self._peeked)) > 0:
            part = bytearray(want)
            got = self._fill(memoryview(part))
            self._peeked += bytes(part[:got])
            if not got or len(self._peeked) >= _HEADER_BYTES:
                break
        if self.damage and not self._peeked:
            raise DamagedCapture(self.path, self.damage, hint=self._hint)
        return self._peeked[:size]

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` as far as the stream goes; return the bytes written, 0 at its end.

        Of a pipe that pauses, what has come so far is returned.
        """
        size = self._read_on(buffer)
        if self.digest is not None and size:
            self.digest.update(buffer[:size])
        return size

    def _read_on(self, buffer: memoryview) -> int:
        if self._peeked:
            size = min(len(buffer), len(self._peeked))
            buffer[:size] = self._peeked[:size]
            self._peeked = self._peeked[size:]
            if size == len(buffer) or self._pauses():
                return size
            return size + self._fill(buffer[size:])
        return self._fill(buffer)

    def _fill(self, buffer: memoryview) -> int:
        got = 0
        while got < len(buffer) and self.damage is None and not (got and self._pauses()):
            try:
                n = self._readinto(buffer[got:])
            except Exception as problem:  # every decompressor has errors of its own
                self._note(problem)
                break
            if not n:
                break
            got += n
            if self.compression is not None:
                self._expanded += n
                self.damage = self._expansion()
        return got

    def _expansion(self) -> str | None:
        """Say which limit a compressed input has crossed, None where it has crossed none."""
        limits, size = self.limits, self._expanded
        if size > limits.expanded_bytes:
            name, what = "expanded_bytes", f"becomes longer than {limits.expanded_bytes:,} bytes"
        elif size > limits.expansion_floor and (
            size > limits.expansion_ratio * self.stored_bytes_read
        ):
            name = "expansion_ratio"
            what = f"becomes more than {limits.expansion_ratio:,} times as long as it is stored"
        else:
            return None
        return f"the {self.compression} stream {what} ({crossed(name, limits)})"

    def _pauses(self) -> bool:
        """Is this a pipe in which nothing has come for a moment?"""
        if self._waits_on is None:
            return False
        return not select.select([self._waits_on], [], [], _PAUSE_S)[0]

    def change(self) -> str | None:
        """Return how the input has changed since it was opened, where that does no harm.

        A capture that still grows is read up to where it was. None: it has not changed, or is a
        pipe. Raises ChangedInput where it was written over: what was read may be of two captures.
        """
        return None if self._change is None else self._change()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._file is not _standard_input():
            self._file.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _descriptor(raw: BinaryIO) -> int | None:
    """Return the file descriptor to wait on, None where there is none; let its pipe hold more."""
    try:
        descriptor = raw.fileno()
    except (OSError, AttributeError):
        return None
    with suppress(OSError, AttributeError):  # no pipe, or a system that cannot
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return descriptor


def _standard_input() -> BinaryIO:
    """Return standard input without its buffer.

    A thread that waits for a silent pipe would hold the buffer's lock, and Python aborts where it
    cannot take that lock on its way out.
    """
    return cast(BinaryIO, getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))


def open_source(path: str, limits: Limits = DEFAULTS) -> Source:
    """Open a file, an object by its URL, a named pipe, or standard input (``-``).

    Raises InputError where it cannot be opened, EmptyInput where it is empty.
    """
    if path == "-":
        source = Source("stdin", _standard_input(), None, limits=limits)
    elif is_url(path):
        source = _open_remote(path, limits)
    else:
        source = _open_file(path, limits)
    try:
        if not source.peek(1):
            raise EmptyInput(
                source.path, "empty: there is no capture in it", hint="did tcpdump run?"
            )
    except InputError:
        source.close()
        raise
    return source


def _open_remote(url: str, limits: Limits) -> Source:
    from pcapkit.ingest.inputs.remote_file import RemoteFile

    file = RemoteFile(url)
    raw = cast(BinaryIO, file)
    return Source(url, raw, file.version.size, reopens=True, change=file.change, limits=limits)


def _open_file(path: str, limits: Limits) -> Source:
    try:
        kind = os.stat(path)
        if stat.S_ISDIR(kind.st_mode):
            raise InputError(path, "is a directory", hint="use 'pcapkit audit' for folders")
        raw = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by Source.close
        if not stat.S_ISREG(kind.st_mode):
            return Source(path, cast(BinaryIO, raw), None, limits=limits)
        change = _change_of(path, raw.fileno())
    except FileNotFoundError:
        raise MissingInput(path, "no such file", hint="check the path") from None
    except PermissionError:
        raise DeniedInput(
            path, "no permission to read it", hint="tcpdump writes as root: chown or sudo"
        ) from None
    except OSError as problem:
        raise InputError(path, f"cannot be opened: {problem.strerror}") from None
    return Source(path, cast(BinaryIO, raw), kind.st_size, change=change, limits=limits)


def _change_of(path: str, descriptor: int) -> Callable[[], str | None]:
    """Return what tells how an open file has changed since now."""
    before, head = os.fstat(descriptor), os.pread(descriptor, _HEAD_BYTES, 0)

    def change() -> str | None:
        now = os.fstat(descriptor)
        if (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
            return None
        same = os.pread(descriptor, len(head), 0) == head
        if now.st_size < before.st_size or not same:
            problem = "was written over while it was read"
            raise ChangedInput(path, problem, hint="read it again when it is done")
        if now.st_size == before.st_size:
            return None
        return "was still being written while it was read; analysed up to what was there"

    return change
