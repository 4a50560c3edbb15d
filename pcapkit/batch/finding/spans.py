"""When a capture begins and ends, from its first bytes and its last ones.

Of packet captures the headers of the first and the last records are read here; what stands in the
middle is not. Compressed ones are unpacked for that. Of printed lines, their readers are asked.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
from dataclasses import dataclass
from typing import BinaryIO, cast

from pcapkit.batch.finding.looks import Span
from pcapkit.concurrency import close
from pcapkit.errors import PcapkitError
from pcapkit.ingest.inputs.source import PEEK_BYTES, Source, open_source
from pcapkit.model.audits import Identity
from pcapkit.text import is_url

#: Bytes at the end that are looked at: several of the longest packets that Ethernet has.
_TAIL = 1 << 18
#: A compressed object is brought here as a whole to see its end, up to this size.
_MOST_UNPACKED = 16 << 20
_PCAP = {b"\xa1\xb2\xc3\xd4": 1000, b"\xa1\xb2\x3c\x4d": 1, b"\xa1\xb2\xcd\x34": 1000}
_MODIFIED = b"\xa1\xb2\xcd\x34"
_FILE_HEADER, _RECORD_HEADER, _MODIFIED_HEADER = 24, 16, 24
_MOST_CAPTURED = 1 << 18
#: Records of one capture lie within this time of its first one, s.
_LONGEST_S = 400 * 86400
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_LEAST_BLOCK, _MOST_BLOCK = 12, 1 << 24


@dataclass(frozen=True, slots=True)
class _Ends:
    """The first bytes of a capture, its last ones, and where those begin."""

    head: bytes
    tail: bytes
    tail_at: int
    size: int


def measure(source: str, identity: Identity | None, form: str) -> Span | None:
    """Return when a capture begins and ends; None where it does not show it, or cannot be read."""
    try:
        ends = _ends_of(source, identity)
        if ends is None:
            return None
        if form == "pcap":
            return _of_pcap(ends)
        if form == "pcapng":
            return _of_pcapng(ends)
        return _of_lines(ends, form)
    except (PcapkitError, OSError, struct.error):
        return None


def _ends_of(path: str, identity: Identity | None) -> _Ends | None:
    with open_source(path) as source:
        head = source.peek(PEEK_BYTES)
        if len(head) < PEEK_BYTES:
            return _Ends(head, head, 0, len(head))
        if source.compression is None and source.stored_size is not None:
            size = source.stored_size
            tail = _tail_of(path, size, identity)
            return None if tail is None else _Ends(head, tail, max(size - _TAIL, 0), size)
        if is_url(path) and (source.stored_size or _MOST_UNPACKED + 1) > _MOST_UNPACKED:
            return None
        size, tail, piece = 0, b"", memoryview(bytearray(1 << 20))
        while got := source.readinto(piece):
            size += got
            tail = (tail + bytes(piece[:got]))[-_TAIL:]
        return _Ends(head, tail, size - len(tail), size)


def _tail_of(path: str, size: int, identity: Identity | None) -> bytes | None:
    start = max(size - _TAIL, 0)
    if is_url(path):
        from pcapkit.ingest.inputs.remote import Version
        from pcapkit.ingest.inputs.remote_file import tail_of

        return tail_of(path, Version(size, identity.tag if identity else None), _TAIL)
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), size - start, start)


def _of_pcap(ends: _Ends) -> Span | None:
    head = ends.head
    magic, order = head[:4], ">"
    if magic not in _PCAP:
        magic, order = magic[::-1], "<"
    unit = _PCAP[magic]
    length = _MODIFIED_HEADER if magic == _MODIFIED else _RECORD_HEADER
    snaplen = max(struct.unpack_from(f"{order}I", head, 16)[0], 64)
    most = min(snaplen, _MOST_CAPTURED) if snaplen < _MOST_CAPTURED else _MOST_CAPTURED
    record = struct.Struct(f"{order}IIII")

    def chain(data: bytes, at: int, since: int | None) -> tuple[list[int], bool]:
        """Return the times of the records from an offset on, and if they lead to the end."""
        times: list[int] = []
        while len(data) - at >= length:
            seconds, part, captured, original = record.unpack_from(data, at)
            if captured > most or original > 1 << 26 or part * unit >= 2_000_000_000:
                return times, False
            if since is not None and abs(seconds - since) > _LONGEST_S:
                return times, False
            if len(data) - at - length < captured:
                break
            times.append(seconds * 1_000_000_000 + part * unit)
            at += length + captured
        return times, True

    first, _ = chain(head, _FILE_HEADER, None)
    if not first:
        return None
    if ends.tail_at == 0:
        last, _ = chain(ends.tail, _FILE_HEADER, None)
    else:
        since = first[0] // 1_000_000_000
        last = []
        for at in range(min(len(ends.tail), most + length)):
            last, whole = chain(ends.tail, at, since)
            if whole and len(last) > 1:
                break
        else:
            return None
    digest = _digest(head[:4] + head[8:_FILE_HEADER])
    return _span(f"pcap {digest}", first, last, len(head) / len(first), ends.size)


def _of_pcapng(ends: _Ends) -> Span | None:
    head = ends.head
    order = "<" if head[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
    block = struct.Struct(f"{order}II")
    interfaces: list[bytes] = []

    def time_at(data: bytes, at: int) -> int | None:
        number, high, low = struct.unpack_from(f"{order}III", data, at + 8)
        if number >= len(interfaces):
            return None
        return _ticks_to_ns(high << 32 | low, interfaces[number], order)

    def chain(data: bytes, at: int) -> tuple[list[int], bool]:
        times: list[int] = []
        while len(data) - at >= _LEAST_BLOCK:
            kind, length = block.unpack_from(data, at)
            if length < _LEAST_BLOCK or length % 4 or length > _MOST_BLOCK:
                return times, False
            if len(data) - at < length:
                break
            if struct.unpack_from(f"{order}I", data, at + length - 4)[0] != length:
                return times, False
            if kind == _INTERFACE and not tail:
                interfaces.append(data[at + 8 : at + length - 4])
            if kind == _PACKET and length >= 32:
                if (time := time_at(data, at)) is None:
                    return times, False
                times.append(time)
            at += length
        return times, True

    tail = False
    first, _ = chain(head, 0)
    if not first:
        return None
    tail = True
    last: list[int] = []
    if ends.tail_at == 0:
        last, _ = chain(ends.tail, 0)
    else:
        for at in range(-ends.tail_at % 4, len(ends.tail), 4):
            last, whole = chain(ends.tail, at)
            if whole and last:
                break
        else:
            return None
    (length,) = struct.unpack_from(f"{order}I", head, 4)
    digest = _digest(head[8:16] + head[24:length] + b"".join(interfaces))
    return _span(f"pcapng {digest}", first, last, len(head) / len(first), ends.size)


def _ticks_to_ns(ticks: int, interface: bytes, order: str) -> int:
    """Return a timestamp in ns since 1970, by the options of its interface."""
    resolution, offset, at = 6, 0, 8
    while len(interface) - at >= 4:
        code, length = struct.unpack_from(f"{order}HH", interface, at)
        at += 4
        if code == 0 or len(interface) - at < length:
            break
        if code == 9 and length >= 1:  # if_tsresol
            resolution = interface[at]
        elif code == 14 and length >= 8:  # if_tsoffset
            (offset,) = struct.unpack_from(f"{order}q", interface, at)
        at += (length + 3) & ~3
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10 ** (resolution & 0x7F)
    return int(ticks * 1_000_000_000 // units) + offset * 1_000_000_000


def _of_lines(ends: _Ends, form: str) -> Span | None:
    first = _times_of(ends.head[: ends.head.rfind(b"\n") + 1] or ends.head)
    tail = ends.tail if ends.tail_at == 0 else ends.tail[ends.tail.find(b"\n") + 1 :]
    last = first if ends.size == len(ends.head) else _times_of(tail)
    if not first or not last:
        return None
    return _span(form, first, last, len(ends.head) / max(len(first), 2), ends.size)


def _times_of(lines: bytes) -> list[int]:
    """Return the first and the last time that lines show, as their readers read them."""
    from pcapkit.ingest.inputs.formats import open_capture
    from pcapkit.ingest.window import Interners

    source = Source("lines", cast(BinaryIO, io.BytesIO(lines)), len(lines))
    capture = open_capture(source, Interners(), ports=frozenset({53}))
    times: list[int] = []
    try:
        for window in capture.windows:
            rows = window.messages["time"]
            times += [int(time) for time in rows]
    finally:
        close(capture.windows)
    return sorted(times) if capture.has_clock else []


def _span(head: str, first: list[int], last: list[int], each: float, size: int) -> Span:
    # What looks like records within a payload leads on to true ones: the last of all is true.
    begin, end = min(first), max(*first, last[-1])
    records = max(size / max(each, 1), len(first), 2)
    return Span(head, begin, end, int((end - begin) / records))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
