"""Compressed input: how each kind is known, and what opens it, bounded in memory."""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Callable
from typing import Any, cast

#: Bytes that the decoder of xz may take; a file that asks for more is damaged, or hostile.
_XZ_MEMORY = 256 << 20


class _Xz(io.RawIOBase):
    """Streams of xz behind one another, with a bound on the decoder's memory."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._decoder = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._decoder.eof:
                self._left = self._decoder.unused_data.lstrip(b"\0") or self._raw.read(65536) or b""
                if not self._left:
                    return 0
                self._decoder = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
            if self._decoder.needs_input and not self._left:
                self._left = self._raw.read(65536) or b""
                if not self._left:
                    raise EOFError("the compressed stream ends early")
            out = self._decoder.decompress(self._left, max_length=len(buffer))
            self._left = b""
            if out:
                buffer[: len(out)] = out
                return len(out)


def _gzip(raw: io.RawIOBase) -> Any:
    from isal import igzip

    return cast(Any, igzip).GzipFile(fileobj=raw, mode="rb")


def _zstd(raw: io.RawIOBase) -> Any:
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    return decoder.stream_reader(cast(Any, raw), read_across_frames=True)


def _lz4(raw: io.RawIOBase) -> Any:
    import lz4.frame

    return lz4.frame.LZ4FrameFile(raw, mode="rb")


#: name, magic bytes, opener
COMPRESSIONS: tuple[tuple[str, bytes, Callable[[io.RawIOBase], Any]], ...] = (
    ("gzip", b"\x1f\x8b", _gzip),
    ("zstd", b"\x28\xb5\x2f\xfd", _zstd),
    ("xz", b"\xfd7zXZ\0", _Xz),
    ("bzip2", b"BZh", lambda raw: bz2.BZ2File(cast(Any, raw), "rb")),
    ("lz4", b"\x04\x22\x4d\x18", _lz4),
)
