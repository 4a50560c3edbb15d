"""Whole records of a packet capture with the bytes that they lie in, batch by batch.

A thread reads, decompresses and scans the records while the batches before are decoded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from pcapkit.ingest.capture import pcap
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.window import Capture
from pcapkit.schema import Bytes, Rows

_BUFFER_BYTES = 4 << 20
_PIECE_BYTES = 1 << 19  # scanned while they are in a near cache
#: In one batch, at most.
RECORDS = 1 << 15
#: How a scan ends besides: the records that follow belong to the next part of the capture.
PART_DONE = -1
NO_OPTIONS = np.zeros(0, pcap.OPTIONS)


class Blocks:
    """Bytes of a source, buffer by buffer; an unfinished record begins the next one.

    Buffers that are done with come back to be filled again.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._free: deque[Bytes] = deque()
        self.buffer = np.zeros(_BUFFER_BYTES, np.uint8)
        self.start = 0
        self.end = 0
        self.base = 0  # offset in the stream of buffer[0]
        self.at_end = False
        self.options = NO_OPTIONS  # of the records that were scanned since a batch was given
        self._flows = True  # did the last piece come whole?

    def give_back(self, buffer: Bytes) -> None:
        """Take a buffer that nobody reads any more, from any thread."""
        if buffer.size == _BUFFER_BYTES:
            self._free.append(buffer)

    def next_buffer(self) -> None:
        """Begin another buffer with what is left; a longer one where one record needs it."""
        left = self.end - self.start
        if left > _BUFFER_BYTES // 2:
            new = np.zeros(2 * left, np.uint8)
        else:
            new = self._free.popleft() if self._free else np.zeros(_BUFFER_BYTES, np.uint8)
        new[:left] = self.buffer[self.start : self.end]
        self.buffer = new
        self.base += self.start
        self.start, self.end = 0, left

    def read_on(self) -> bool:
        """Read one piece behind what is there; False where that cannot go on.

        Because the buffer is full, or because the stream has paused or is at its end.
        """
        piece = min(_PIECE_BYTES, self.buffer.size - self.end)
        if piece == 0 or not self._flows:
            self._flows = True
            return False
        view = memoryview(cast(Any, self.buffer))
        got = self._source.readinto(view[self.end : self.end + piece])
        self.end += got
        self.at_end = got == 0
        self._flows = got == piece
        return got > 0


#: Fills records from the buffer; returns as :func:`pcap.scan_pcap` does, or PART_DONE.
Scan = Callable[[Blocks, Rows], tuple[int, int, int]]


@dataclass(slots=True)
class Batch:
    """Records in a buffer; ``done`` where it holds no more of them."""

    buffer: Bytes
    records: Rows
    options: Rows  # pcap.OPTIONS, of those records that have comments
    bytes_read: int  # of the source as stored
    done: bool


def read_batches(source: Source, blocks: Blocks, capture: Capture, scan: Scan) -> Iterator[Batch]:
    """Yield batches until the stream ends or is damaged, which is noted in the capture."""
    packets = 0
    linktypes: set[int] = set()
    linktype = -1
    while True:
        records = np.empty(RECORDS, pcap.RECORD)
        count, stop, ended = scan(blocks, records)
        _pass(blocks, stop, capture)
        while ended == pcap.NEED_MORE and blocks.read_on():
            more, stop, ended = scan(blocks, records[count:])
            _pass(blocks, stop, capture)
            count += more
        buffer, batch = blocks.buffer, records[:count]
        if (batch["linktype"] != linktype).any():
            linktype = int(batch["linktype"][-1])
            linktypes.update(int(t) for t in np.unique(batch["linktype"]))
            capture.link_types = tuple(sorted(linktypes))
        batch["number"] = np.arange(packets + 1, packets + count + 1)
        packets += count
        if ended == pcap.DAMAGED:
            _stop_early(capture, f"damaged at byte {blocks.base + stop}")
        at_end = ended in (pcap.DAMAGED, PART_DONE) or (ended == pcap.NEED_MORE and blocks.at_end)
        if ended == pcap.NEED_MORE and not at_end:
            blocks.next_buffer()
        options, blocks.options = blocks.options, NO_OPTIONS
        done = buffer is not blocks.buffer
        # What lies behind damage was read in pieces, and says nothing.
        whole = ended == pcap.DAMAGED and source.compression is None
        read = blocks.base + stop if whole else source.stored_bytes_read
        yield Batch(buffer, batch, options, read, done)
        if at_end:
            break
    if source.damage:
        _stop_early(capture, source.damage)
    elif blocks.at_end and blocks.end > blocks.start and not capture.truncated_tail:
        left = blocks.end - blocks.start
        _stop_early(capture, f"the last record is cut, {left} bytes of it are there")


def _pass(blocks: Blocks, stop: int, capture: Capture) -> None:
    """Go on behind what is scanned: to ``stop``, in the buffer."""
    if capture.digest is not None and stop > blocks.start:
        capture.digest.update(blocks.buffer[blocks.start : stop])
    if capture.span is not None:
        capture.span.end = blocks.base + stop
    blocks.start = stop


def _stop_early(capture: Capture, problem: str) -> None:
    capture.truncated_tail = True
    capture.damage = problem
