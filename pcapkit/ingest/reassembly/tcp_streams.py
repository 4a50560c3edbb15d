"""DNS over TCP, the slow way: segments put in order and cut into messages.

Takes streams that ``tcp_segments.py`` cannot follow (RFC 1035 section 4.2.2, RFC 9293). A stream
may begin in the middle, and segments may be missing from the capture for good. So bytes behind a
gap are read at once where a message plausibly begins with the segment; if the missing ones still
come, they are put before them. Memory is bounded, in one stream and in all of them; the longest
unused gives way.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pcapkit.ingest.dns import HEADER_BYTES
from pcapkit.ingest.packet.fields import (
    EXPECTED,
    PAYLOAD,
    SEQUENCE,
    STREAM_KEY,
    STREAM_SLOT,
    WIRE_END,
)
from pcapkit.ingest.reassembly.tcp_segments import (
    CONTINUES,
    IN_STEP,
    MAX_GAP,
    PATIENCE_NS,
    STREAM,
    STREAM_SLOTS,
    begins,
)
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.schema import NO_TIME

_MAX_HELD = 1 << 18  # bytes of one stream
_PIECE = 64  # bytes that keeping a piece costs, beside its own
_MAX_GAPS = 16
_SURE = 2 + HEADER_BYTES  # bytes that show whether a message begins


def _begins(data: bytes) -> bool:
    return bool(begins(np.frombuffer(bytearray(data), np.uint8)))


class _MessageCutter:
    """Cuts bytes that follow one another into messages."""

    __slots__ = ("in_step", "partial", "skip")

    def __init__(self, *, in_step: bool) -> None:
        self.in_step = in_step  # is it known where messages begin?
        self.partial = bytearray()  # the message that has begun, its length first
        self.skip = 0  # bytes that are known to belong to a message that was cut

    @property
    def settled(self) -> bool:
        """Does the next byte begin a message?"""
        return self.in_step and not self.partial and not self.skip

    def feed(self, data: bytes, length: int) -> list[tuple[int, bytes]]:
        """Take the next ``length`` bytes, ``data`` being captured of them.

        Returns messages, each behind its length and with how many bytes follow its end.
        """
        missing = length - len(data)
        if self.skip:
            passed = min(self.skip, length)
            self.skip -= passed
            data, length = data[passed:], length - passed
            missing = length - len(data)
        if not self.in_step:
            data = self._find_start(data)
        self.partial += data
        out: list[tuple[int, bytes]] = []
        while self.in_step and len(self.partial) >= 2:
            size = int.from_bytes(self.partial[:2], "big")
            if size < HEADER_BYTES:  # no message is so short: the step is lost
                self.lose()
            elif len(self.partial) < 2 + size:
                break
            else:
                message = bytes(self.partial[: 2 + size])
                del self.partial[: 2 + size]
                out.append((len(self.partial) + missing, message))
        if missing and (cut := self._cut(missing)):
            out.append((missing, cut))
        return out

    def lose(self) -> None:
        """Forget where messages begin."""
        self.in_step = False
        self.partial.clear()
        self.skip = 0

    def _find_start(self, data: bytes) -> bytes:
        """Look for a message where a segment begins; return the bytes from there on."""
        together = bytes(self.partial) + data
        self.partial.clear()
        for candidate in (together, data):
            if len(candidate) < _SURE:
                return candidate  # too short to tell: wait for more
            if _begins(candidate):
                self.in_step = True
                return candidate
        return b""

    def _cut(self, missing: int) -> bytes:
        """Give out what was captured of a message whose rest was not, and pass over the rest."""
        partial = bytes(self.partial)
        self.partial.clear()
        if not self.in_step or len(partial) < _SURE:
            self.lose()
            return b""
        rest = 2 + int.from_bytes(partial[:2], "big") - len(partial)
        if missing > rest:
            self.lose()
        else:
            self.skip = rest - missing
        return partial


class _Run:
    """Bytes without a gap, from ``start`` up to ``next``; kept, where there is a gap before."""

    __slots__ = ("cutter", "ends", "kept", "next", "size", "start")

    def __init__(self, start: int, *, in_step: bool) -> None:
        self.start = self.next = start
        self.cutter = _MessageCutter(in_step=in_step)
        self.kept: list[tuple[bytes, int]] = []
        self.ends: set[int] = set()  # where the messages ended that were found behind a gap
        self.size = 0

    def take(self, data: bytes, length: int, known: Collection[int] = ()) -> bytes:
        """Take the bytes that follow; return the messages that they complete.

        Those that end at a ``known`` sequence number are left out.
        """
        self.next = (self.next + length) & 0xFFFFFFFF
        found = [
            ((self.next - behind) & 0xFFFFFFFF, message)
            for behind, message in self.cutter.feed(data, length)
        ]
        if self.kept:
            self.ends.update(end for end, _ in found)
        return b"".join(message for end, message in found if end not in known)

    def take_and_keep(self, data: bytes, length: int) -> bytes:
        """Take the bytes that follow, and keep them for when the gap before closes."""
        self.kept.append((data, length))
        self.size += len(data) + _PIECE
        return self.take(data, length)

    def drop_kept(self) -> None:
        """Forget the bytes kept: nothing will come before them."""
        self.kept.clear()
        self.ends.clear()
        self.size = 0


class _Stream:
    """One direction of a connection: the bytes in order, and runs of bytes behind gaps."""

    __slots__ = ("later_runs", "main", "waits_since")

    def __init__(self, start: int, *, in_step: bool) -> None:
        self.main = _Run(start, in_step=in_step)
        self.later_runs: list[_Run] = []
        self.waits_since = 0  # when the first gap came up

    @property
    def in_step(self) -> bool:
        """Does the next byte begin a message, and none wait behind a gap?"""
        return self.main.cutter.settled and not self.later_runs

    @property
    def held(self) -> int:
        """Bytes kept."""
        return sum(len(r.cutter.partial) + r.size for r in (self.main, *self.later_runs))

    def add(self, time: int, sequence: int, data: bytes, length: int) -> tuple[bytes, int]:
        """Take one segment; return the messages it completes, and how many bytes were new."""
        if not self.later_runs:
            self.waits_since = time
        elif time - self.waits_since > PATIENCE_NS:
            self._skip_gap(time)
        behind = _gap(sequence, self.main.next)
        if abs(behind) > MAX_GAP:
            self.main = _Run(sequence, in_step=False)
            self.later_runs.clear()
            behind = 0
        if behind > 0:
            out, new = self._add_behind_gap(sequence, data, length)
            if self.held > _MAX_HELD or len(self.later_runs) > _MAX_GAPS:
                self._skip_gap(time)
            return out, new
        if behind + length <= 0:
            return b"", 0
        out = self.main.take(data[-behind:], length + behind)
        return out + self._close_gaps(), length + behind

    def _skip_gap(self, time: int) -> None:
        """Give up the bytes that are missing before the first run behind a gap."""
        self.main = self.later_runs.pop(0)
        self.main.drop_kept()
        self.waits_since = time

    def _add_behind_gap(self, sequence: int, data: bytes, length: int) -> tuple[bytes, int]:
        """Add a segment behind a gap to the run it continues, or begin another."""
        position = len(self.later_runs)
        for number, run in enumerate(self.later_runs):
            after = _gap(sequence, run.next)
            if after <= 0 and _gap(sequence, run.start) >= 0:
                if after + length <= 0:
                    return b"", 0
                return run.take_and_keep(data[-after:], length + after), length + after
            if _gap(sequence, run.start) < 0:
                length = min(length, _gap(run.start, sequence))
                data = data[:length]
                position = number
                break
        run = _Run(sequence, in_step=False)
        self.later_runs.insert(position, run)
        return run.take_and_keep(data, length), length

    def _close_gaps(self) -> bytes:
        """Close the gaps that the main run has reached."""
        out = b""
        while self.later_runs and _gap(self.later_runs[0].start, self.main.next) <= 0:
            run = self.later_runs.pop(0)
            main = self.main.cutter
            if run.cutter.in_step and (main.settled or not main.in_step):
                run.drop_kept()
                self.main = run  # its messages have been read already
                continue
            at = run.start
            for data, length in run.kept:
                before = -_gap(at, self.main.next)
                at = (at + length) & 0xFFFFFFFF
                if before < length:
                    begin = max(before, 0)
                    out += self.main.take(data[begin:], length - begin, run.ends)
        return out


def _gap(a: int, b: int) -> int:
    """Return a - b of two sequence numbers (RFC 9293 section 3.4)."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@dataclass(slots=True)
class _SlowStream:
    stream: _Stream
    slot: int
    key: int


class Streams:
    """The connections of one capture: the table of :func:`follow_segment`, and the slow streams.

    Only streams that wait for something count for the limits; those in step again are given back
    at the end of the window, so that windows of any size give up the same ones.
    """

    def __init__(self, limits: Limits = DEFAULTS) -> None:
        self._limits = limits
        self.table = np.zeros(STREAM_SLOTS, STREAM)
        self.table["time"] = NO_TIME  # of slots that are free
        self._slow: OrderedDict[tuple[bytes, int], _SlowStream] = OrderedDict()
        self._in_step: dict[tuple[bytes, int], _SlowStream] = {}
        self._held = 0
        #: how many streams were given up, by the name of the limit that they crossed
        self.given_up: Counter[str] = Counter()

    def add(
        self, time: int, addresses: bytes, ports: int, facts: Sequence[int], data: bytes
    ) -> tuple[bytes, bool]:
        """Take a segment that was handed over, ``data`` being its captured bytes.

        ``addresses`` are both, ``ports`` both ports. Returns the messages that it completes,
        each behind its length, and whether it brought any new byte.
        """
        sequence, expected = facts[SEQUENCE], facts[EXPECTED]
        key = addresses, ports
        slow = self._slow.pop(key, None)
        if slow is not None:
            self._held -= slow.stream.held
        else:
            slow = self._in_step.pop(key, None)
        if slow is None or expected != CONTINUES:
            known = expected >= 0
            stream = _Stream(expected if known else sequence, in_step=known)
            slow = _SlowStream(stream, facts[STREAM_SLOT], facts[STREAM_KEY])
        out, new = slow.stream.add(time, sequence, data, facts[WIRE_END] - facts[PAYLOAD])
        if slow.stream.in_step:
            self._in_step[key] = slow
            return out, new > 0
        self._slow[key] = slow
        self._held += slow.stream.held
        limits = self._limits
        while (most := len(self._slow) > limits.tcp_streams) or self._held > limits.tcp_bytes:
            _, given_up = self._slow.popitem(last=False)
            self._held -= given_up.stream.held
            self.given_up["tcp_streams" if most else "tcp_bytes"] += 1
        return out, new > 0

    def give_back(self) -> None:
        """Return the streams that are in step again to the compiled path."""
        for slow in self._in_step.values():
            entry = self.table[slow.slot]
            if int(entry["key"].view(np.int64)) == slow.key:  # not overtaken since
                entry["next"] = slow.stream.main.next
                entry["state"] = IN_STEP
        self._in_step.clear()
