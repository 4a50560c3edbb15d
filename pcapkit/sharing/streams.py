"""Messages that lie in several packets: TCP segments, and fragments of IP datagrams.

Their names keep their lengths, so that sequence numbers and offsets stay right: what is written
anew goes to where it was. A packet's record waits until its messages are whole.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pcapkit.ingest.packet.fields import PROTO_UDP
from pcapkit.ingest.reassembly.tcp_segments import SYN
from pcapkit.schema import Bytes
from pcapkit.sharing.headers import complete_segment
from pcapkit.sharing.packets import (
    D_AT,
    D_COMPLETE,
    D_FRAGMENT,
    D_HEADER,
    D_ID,
    D_IP,
    D_KIND,
    D_MORE,
    D_OFFSET,
    D_OUT,
    D_PROTOCOL,
    D_SIZE,
    D_TRANSPORT,
)

#: So much of a stream's past is kept for what is sent again, and so many segments wait.
_KEPT_BYTES, _MOST_WAITING = 1 << 18, 256
#: The past of all streams together; beyond it, that of the streams that began first is let go.
_ALL_KEPT_BYTES = 1 << 26
_MOST_STREAMS, _MOST_DATAGRAMS = 1 << 14, 1 << 10
_SEQUENCES = 1 << 32
Rewrite = Callable[[bytes, bool], bytes]


@dataclass(slots=True, eq=False)
class Chunk:
    """Records that are written, but for ``waiting`` payloads in them."""

    data: Bytes
    waiting: int = 0


@dataclass(slots=True)
class _Place:
    """Where a payload goes: in a chunk, at its place in the stream or the datagram."""

    chunk: Chunk
    at: int
    begin: int
    size: int
    ip: int
    segment: int
    complete: bool

    def fill(self, data: bytes) -> None:
        self.chunk.data[self.at : self.at + len(data)] = memoryview(data)
        if self.segment >= 0 and self.complete:
            complete_segment(self.chunk.data, self.ip, self.segment, self.at + self.size)
        self.chunk.waiting -= 1


@dataclass(slots=True)
class _Stream:
    start: int  # sequence number of the place 0
    raw: bytearray = field(default_factory=bytearray)  # in order, not written yet
    raw_at: int = 0
    done: bytearray = field(default_factory=bytearray)  # written, up to raw_at
    early: dict[int, bytes] = field(default_factory=dict)
    places: list[_Place] = field(default_factory=list)


class Reassembly:
    """Follows streams and datagrams; fills payloads in as soon as their messages are whole."""

    def __init__(self, rewrite: Rewrite, is_dns: Callable[[int, int], bool]) -> None:
        self._rewrite, self._is_dns = rewrite, is_dns
        self._streams: OrderedDict[bytes, _Stream] = OrderedDict()
        self._datagrams: OrderedDict[bytes, list[tuple[_Place, bytes, int]]] = OrderedDict()
        self._kept = 0  # bytes of ``done`` of all streams
        self.blanked = 0  # payloads whose messages never became whole

    def add(self, buffer: Bytes, row: Any, chunk: Chunk) -> None:
        """Take a row of ``deferred`` (D_COLUMNS) whose packet is in ``buffer``."""
        at, size, header = int(row[D_AT]), int(row[D_SIZE]), int(row[D_HEADER])
        payload = buffer[at : at + size].tobytes()
        four = int(buffer[header]) >> 4 == 4
        ends = buffer[header + 12 : header + 20] if four else buffer[header + 8 : header + 40]
        chunk.waiting += 1
        place = _Place(
            chunk,
            int(row[D_OUT]),
            int(row[D_OFFSET]),
            size,
            int(row[D_IP]),
            int(row[D_TRANSPORT]),
            bool(row[D_COMPLETE]),
        )
        if row[D_KIND] == D_FRAGMENT:
            number = int(row[D_ID]).to_bytes(8, "big") + bytes([int(row[D_PROTOCOL])])
            self._fragment(ends.tobytes() + number, place, payload, int(row[D_MORE]))
            return
        # The ports stand at the beginning of the header of TCP, which is in the output as it was.
        ports = chunk.data[place.segment : place.segment + 4].tobytes()
        self._segment(ends.tobytes() + ports, place, payload, int(row[D_ID]), int(row[D_MORE]))

    def finish(self, chunk: Chunk | None = None) -> None:
        """End what waits in ``chunk``, or everywhere: messages that are not whole are cut."""
        for key, stream in list(self._streams.items()):
            if chunk is None or any(p.chunk is chunk for p in stream.places):
                self._end(stream)
                if chunk is None:
                    del self._streams[key]
        for key, parts in list(self._datagrams.items()):
            if chunk is None or any(p.chunk is chunk for p, _, _ in parts):
                self._give_up(self._datagrams.pop(key))

    def _segment(self, key: bytes, place: _Place, data: bytes, sequence: int, flags: int) -> None:
        stream = self._streams.get(key)
        if flags & SYN:
            sequence += 1
        if stream is None or flags & SYN:
            if stream is not None:
                self._end(stream)
                self._kept -= len(stream.done)
            stream = self._streams[key] = _Stream(sequence)
            if len(self._streams) > _MOST_STREAMS:
                oldest = self._streams.popitem(last=False)[1]
                self._end(oldest)
                self._kept -= len(oldest.done)
        end = stream.raw_at + len(stream.raw)
        away = (sequence - stream.start - end + _SEQUENCES // 2) % _SEQUENCES - _SEQUENCES // 2
        place.begin = end + away
        stream.places.append(place)
        if away > 0:
            stream.early[place.begin] = max(stream.early.get(place.begin, b""), data, key=len)
        elif len(data) > -away:
            stream.raw += data[-away:]
            self._join(stream)
        self._write(stream)
        if len(stream.places) > _MOST_WAITING:
            self._end(stream)
        if self._kept > _ALL_KEPT_BYTES:
            self._let_go()

    @staticmethod
    def _join(stream: _Stream) -> None:
        for begin in sorted(stream.early):
            end = stream.raw_at + len(stream.raw)
            if begin > end:
                return
            stream.raw += stream.early.pop(begin)[end - begin :]

    def _write(self, stream: _Stream) -> None:
        raw = stream.raw
        while len(raw) >= 2:
            size = 2 + int.from_bytes(raw[:2], "big")
            if len(raw) < size:
                break
            self._take(stream, size, False)
        self._fill(stream)

    def _take(self, stream: _Stream, size: int, is_cut: bool) -> None:
        raw = stream.raw
        self._keep(stream, bytes(raw[:2]) + self._rewrite(bytes(raw[2:size]), is_cut))
        del raw[:size]
        stream.raw_at += size

    def _keep(self, stream: _Stream, written: bytes) -> None:
        """Keep what was written of a stream, for what is sent again."""
        stream.done += written
        self._kept += len(written)
        if (more := len(stream.done) - _KEPT_BYTES) > _KEPT_BYTES:
            del stream.done[:more]
            self._kept -= more

    def _let_go(self) -> None:
        """Keep no past of the streams that began first, until half of what may be kept is left.

        Those that wait for the rest of a message need theirs.
        """
        for stream in self._streams.values():
            if 2 * self._kept <= _ALL_KEPT_BYTES:
                return
            if not stream.places:
                self._kept -= len(stream.done)
                stream.done.clear()

    @staticmethod
    def _fill(stream: _Stream) -> None:
        first = stream.raw_at - len(stream.done)
        left = []
        for place in stream.places:
            if place.begin + place.size > stream.raw_at:
                left.append(place)
            elif place.begin < first:
                place.fill(b"")
            else:
                at = place.begin - first
                place.fill(bytes(stream.done[at : at + place.size]))
        stream.places = left

    def _end(self, stream: _Stream) -> None:
        """Write what is there of messages that are not whole, and go on behind what is missing."""
        while stream.raw or stream.early:
            if stream.raw:
                self._take(stream, len(stream.raw), True)
            if stream.early:
                gap = max(0, min(stream.early) - stream.raw_at)
                self._keep(stream, bytes(gap))
                stream.raw_at += gap
                self._join(stream)
                self._write(stream)
        self._fill(stream)
        for place in stream.places:
            self.blanked += 1
            place.fill(b"")
        stream.places = []

    def _fragment(self, key: bytes, place: _Place, data: bytes, more: int) -> None:
        parts = self._datagrams.setdefault(key, [])
        parts.append((place, data, more))
        whole = bytearray()
        last = False
        for part, piece, goes_on in sorted(parts, key=lambda p: p[0].begin):
            if part.begin > len(whole):
                break
            whole[part.begin :] = piece if part.begin == len(whole) else whole[part.begin :]
            last = not goes_on
        if not last:
            if len(self._datagrams) > _MOST_DATAGRAMS:
                self._give_up(self._datagrams.popitem(last=False)[1])
            return
        del self._datagrams[key]
        if (
            key[-1] != PROTO_UDP
            or len(whole) < 8
            or not self._is_dns(int.from_bytes(whole[:2], "big"), int.from_bytes(whole[2:4], "big"))
        ):
            self._give_up(parts, bytes(whole[:8]))
            return
        new = bytes(whole[:6]) + bytes(2) + self._rewrite(bytes(whole[8:]), False)
        for part, _, _ in parts:
            part.fill(new[part.begin : part.begin + part.size])

    def _give_up(self, parts: list[tuple[_Place, bytes, int]], head: bytes = b"") -> None:
        """Leave fragments blank but for the ports, which the first of them begins with."""
        for part, data, _ in parts:
            self.blanked += 1
            part.fill((data[:6] + bytes(2))[: len(data)] if part.begin == 0 else b"")
