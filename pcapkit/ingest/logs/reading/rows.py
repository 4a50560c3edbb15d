"""Messages of one window, gathered from readers of lines, as rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from pcapkit.ingest.logs.blocks.filled import Filled, Streams, new_filled
from pcapkit.ingest.logs.lines import LineMessage
from pcapkit.ingest.window import Interners, Unreachable, Window
from pcapkit.kernels.hashing import hash_bytes
from pcapkit.kernels.interning import Interner
from pcapkit.kernels.jit import kernel
from pcapkit.schema import (
    ABSENT,
    MARK_FLAGS_HIDDEN,
    MARK_ID_HIDDEN,
    MARK_QUESTION_SHOWN,
    Bytes,
    Hashes,
    Integers,
)

_PLAIN = (
    "client_port",
    "server_port",
    "flags",
    "rcode",
    "qtype",
    "qclass",
    "answers",
    "typed_answers",
    "min_ttl",
    "soa",
    "edns_bytes",
    "message_bytes",
    "interface",
    "transport",
    "ip_id",
    "hop_limit",
    "link",
)
_FIRST_ROWS = 1 << 12


@kernel
def _hash_parts(text: Bytes, ends: Integers, seed: np.uint64, hashes: Hashes) -> None:
    """Write the hash of each part of ``text`` (uint8) to ``hashes`` (uint64), by ``seed``.

    ``ends`` (int64) says where each part ends; the next one begins there.
    """
    begin = np.int64(0)
    for k in range(ends.shape[0]):
        hashes[k] = hash_bytes(text, begin, ends[k] - begin, seed)
        begin = ends[k]


class Gathered:
    """The messages of one window; there is space for so many ``rows`` at first."""

    def __init__(
        self, interners: Interners, streams: Streams, places: dict[object, int], rows: int
    ) -> None:
        self._interners, self._streams, self._places = interners, streams, places
        self.filled = new_filled(max(rows, _FIRST_ROWS))
        self.used = 0  # of its rows
        self.lines = 0
        self.skipped: Counter[str] = Counter()
        self.unreachable = Unreachable()
        self._waiting: list[LineMessage] = []
        self._numbers: list[tuple[int, int]] = []  # of the line, and within it
        self._first: int | None = None
        self._last: int | None = None

    @property
    def is_empty(self) -> bool:
        """Has no message been added?"""
        return not self.used and not self._waiting

    @property
    def is_of_stream(self) -> bool:
        """Does the first message say which of several logs it is from?"""
        if self.used:
            return bool(self.filled.streams[0])
        return bool(self._waiting and self._waiting[0].stream)

    def span(self, time: int | None) -> None:
        """Let the window's span hold this time."""
        if time is not None:
            self._first = time if self._first is None else min(self._first, time)
            self._last = time if self._last is None else max(self._last, time)

    def add(self, messages: Sequence[LineMessage], number: int) -> None:
        """Add the messages of line ``number``."""
        self._waiting += messages
        self._numbers += [(number, k) for k in range(1, len(messages) + 1)]

    def space(self, rows: int) -> Filled:
        """Return what is filled so far, with space for so many rows more."""
        self._settle()
        need, have = self.used + rows, self.filled.rows.size
        if need > have:
            grown = new_filled(max(need, 2 * have))
            filled = self.messages()
            grown.rows[: self.used] = filled.rows
            grown.streams[: self.used] = filled.streams
            grown.places[: self.used] = filled.places
            grown.resolutions[: self.used] = filled.resolutions
            self.filled = grown
        return self.filled

    def messages(self) -> Filled:
        """Return all messages; what was added so far is in them."""
        self._settle()
        used, filled = self.used, self.filled
        return Filled(
            filled.rows[:used],
            filled.streams[:used],
            filled.places[:used],
            filled.resolutions[:used],
        )

    def window(self, *, has_clock: bool) -> Window:
        """Return the window; its messages have their times."""
        rows = self.messages().rows
        if has_clock and rows.size:
            self.span(int(rows["time"].min()))
            self.span(int(rows["time"].max()))
        times = (self._first, self._last) if has_clock else (None, None)
        return Window(rows, self.lines, self.skipped, *times, self.unreachable.take())

    def _settle(self) -> None:
        """Write the messages that wait to rows."""
        messages, self._waiting = self._waiting, []
        numbers, self._numbers = self._numbers, []
        if not messages:
            return
        filled = self.space(len(messages))
        begin, end = self.used, self.used + len(messages)
        self.used = end
        rows = filled.rows[begin:end]
        for column in _PLAIN:
            rows[column] = [getattr(m, column) for m in messages]
        rows["time"] = [m.time or 0 for m in messages]
        rows["packet_no"] = [line for line, _ in numbers]
        rows["message_no"] = [number for _, number in numbers]
        rows["marks"] = [
            (0 if m.qname is None else MARK_QUESTION_SHOWN)
            | (MARK_ID_HIDDEN if m.message_id is None else 0)
            | (0 if m.flags_shown else MARK_FLAGS_HIDDEN)
            for m in messages
        ]
        rows["message_id"] = [
            m.client_port if m.message_id is None else m.message_id for m in messages
        ]
        names, addresses = self._interners.names, self._interners.addresses
        rows["qname"] = _ids((m.qname for m in messages), names)
        rows["client"] = _ids((m.client for m in messages), addresses)
        rows["server"] = _ids((m.server for m in messages), addresses)
        rows["content"] = self._contents(messages, numbers)
        number = self._streams.number
        known = {stream: number(stream) for stream in {m.stream for m in messages}}
        filled.streams[begin:end] = [known[m.stream] for m in messages]
        filled.places[begin:end] = [self._place(m) for m in messages]
        filled.resolutions[begin:end] = [m.resolution for m in messages]

    def _contents(
        self, messages: Sequence[LineMessage], numbers: Sequence[tuple[int, int]]
    ) -> Sequence[int]:
        """Return what tells copies of a packet: equal for two sightings, else like no other's."""
        parts = [m.content or b"" for m in messages]
        hashes = np.zeros(len(parts), np.uint64)
        text = np.frombuffer(bytearray(b"".join(parts)) or bytearray(1), np.uint8)
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        _hash_parts(text, ends, self._interners.names.arrays.seed[1], hashes)
        return [
            line << 8 | number if m.content is None else h
            for m, h, (line, number) in zip(messages, hashes.tolist(), numbers, strict=True)
        ]

    def _place(self, message: LineMessage) -> int:
        if message.content is None:
            return ABSENT
        return self._places.setdefault(message.place, len(self._places))


def _ids(values: Iterable[bytes | None], interner: Interner) -> list[int]:
    """Return the ids of values, ABSENT for None."""
    known: dict[bytes | None, int] = {None: ABSENT}
    out = []
    for value in values:
        if value is not None and value not in known:
            known[value] = interner.add(value)
        out.append(known[value])
    return out
