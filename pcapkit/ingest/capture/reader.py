"""The reader of packet captures, pcap and pcapng: all of one, or a part of it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from pcapkit.concurrency import ahead
from pcapkit.errors import DamagedCapture
from pcapkit.ingest.capture import pcap
from pcapkit.ingest.capture.batches import PART_DONE, RECORDS, Batch, Blocks, Scan, read_batches
from pcapkit.ingest.capture.decoder import Decoder
from pcapkit.ingest.capture.parts import find_record
from pcapkit.ingest.inputs.recognise import PCAP_MAGICS
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.window import Capture, Interners, Window
from pcapkit.schema import Rows

_INTERFACES = 1 << 12
_Ended = tuple[int, int, int]


def _read_records(
    source: Source, interners: Interners, capture: Capture, scan: Scan, ports: frozenset[int]
) -> Iterator[Window]:
    """Yield windows of decoded messages until the stream ends or is damaged."""
    blocks = Blocks(source)
    decoder = Decoder(interners, capture, ports)
    with ahead(read_batches(source, blocks, capture, scan), depth=1) as batches:
        for batch in batches:
            yield from decoder.windows(batch.buffer, batch.records, batch.options)
            capture.bytes_read = batch.bytes_read
            if batch.done:
                blocks.give_back(batch.buffer)
    yield from decoder.finish()


def _up_to(
    blocks: Blocks, stop: int, scan: Callable[[int, int], _Ended], size: Callable[[int], int]
) -> _Ended:
    """Scan the records that begin before ``stop``, an offset in the stream; PART_DONE behind them.

    ``scan`` takes where in the buffer it begins and ends, ``size`` gives the length of what begins
    at a place there, 0 where its header is not whole.
    """
    limit = stop - blocks.base
    if blocks.start >= limit:
        return 0, blocks.start, PART_DONE
    if blocks.end <= limit:
        return scan(blocks.start, blocks.end)
    count, at, ended = scan(blocks.start, limit)
    if ended == pcap.NEED_MORE and at < limit:
        if count:
            return count, at, pcap.ROWS_FULL
        if length := size(at):  # what begins before it ends behind it
            count, at, ended = scan(at, min(at + length, blocks.end))
    if ended == pcap.NEED_MORE and at >= limit:
        ended = PART_DONE
    return count, at, ended


def read_pcap(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    """Return the capture behind a pcap file. Raises DamagedCapture where its header is cut."""
    capture, scan = _open_pcap(source)
    capture.windows = _read_records(source, interners, capture, scan, ports)
    return capture


def open_records(source: Source) -> tuple[Capture, Iterator[Batch]]:
    """Return a packet capture, pcap or pcapng, and its records, batch by batch, not decoded."""
    is_pcap = source.peek(4) in PCAP_MAGICS
    capture, scan = _open_pcap(source) if is_pcap else _open_pcapng(source)
    return capture, read_batches(source, Blocks(source), capture, scan)


def _open_pcap(source: Source) -> tuple[Capture, Scan]:
    head = source.peek(pcap.HEADER_BYTES)
    big, header_bytes, nano = PCAP_MAGICS[head[:4]]
    if len(head) < pcap.HEADER_BYTES:
        raise DamagedCapture(
            source.path,
            f"the file header is cut at byte {len(head)} of {pcap.HEADER_BYTES}",
            hint="capture again; nothing after the header is there",
        )
    order = ">" if big else "<"
    snaplen, network = struct.unpack(order + "II", head[16:24])
    linktype = network & 0xFFFF  # the upper bits hold the frame check sequence's length
    capture = Capture(
        source.path, "pcap", source.compression, iter(()), snaplen=snaplen, limits=source.limits
    )
    capture.link_types = (linktype,)
    capture.of_packets, capture.followed_at = True, source.followed_at
    header = pcap.PcapHeader(big, header_bytes, 1 if nano else 1000, linktype)

    def begin(blocks: Blocks) -> None:
        span = capture.span
        if span is None or span.first <= pcap.HEADER_BYTES:
            blocks.read_on()
            blocks.start = min(pcap.HEADER_BYTES, blocks.end)
        else:
            exact, first = span.exact, span.first
            blocks.base = first if exact else find_record(source, first, header)
            source.seek(blocks.base)
        if span is not None:
            span.begin = span.end = blocks.base + blocks.start

    begun = False

    def scan(blocks: Blocks, records: Rows) -> _Ended:
        nonlocal begun
        if not begun:
            begin(blocks)
            begun = True

        def between(start: int, end: int) -> _Ended:
            count, at, ended = pcap.scan_pcap(blocks.buffer, start, end, header, records)
            return int(count), int(at), int(ended)

        if capture.span is None or capture.span.stop is None:
            return between(blocks.start, blocks.end)

        def size(at: int) -> int:
            if blocks.end - at < header_bytes:
                return 0
            (captured,) = struct.unpack(order + "I", blocks.buffer[at + 8 : at + 12].tobytes())
            return header_bytes + int(captured)

        return _up_to(blocks, capture.span.stop, between, size)

    return capture, scan


def read_pcapng(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    """Return the capture behind a pcapng file."""
    capture, scan = _open_pcapng(source)
    capture.windows = _read_records(source, interners, capture, scan, ports)
    return capture


def _open_pcapng(source: Source) -> tuple[Capture, Scan]:
    capture = Capture(source.path, "pcapng", source.compression, iter(()), limits=source.limits)
    capture.of_packets, capture.followed_at = True, source.followed_at
    state = np.zeros(pcap.STATE, np.int64)
    interfaces = np.zeros(16, pcap.INTERFACE)
    options = np.empty(RECORDS, pcap.OPTIONS)

    def between(blocks: Blocks, records: Rows, start: int, end: int) -> _Ended:
        nonlocal interfaces
        count, stop, ended = pcap.scan_pcapng(
            blocks.buffer, start, end, state, interfaces, records, options
        )
        if found := state[pcap.COMMENTED]:
            blocks.options = np.concatenate([blocks.options, options[:found]])
        if ended == pcap.INTERFACES_FULL:
            if interfaces.size >= _INTERFACES:
                return int(count), int(stop), pcap.DAMAGED
            interfaces = np.concatenate([interfaces, np.zeros(interfaces.size, pcap.INTERFACE)])
            ended = pcap.ROWS_FULL
        known = interfaces[: state[pcap.INTERFACES]]
        if known.size:
            capture.snaplen = int(known["snaplen"].max()) or None
        if known.size and not capture.link_types:
            capture.link_types = tuple(sorted({int(t) for t in known["linktype"]}))
        capture.has_clock = not (state[pcap.CLOCKLESS] and state[pcap.LAST_TIME] == 0)
        return int(count), int(stop), int(ended)

    def scan(blocks: Blocks, records: Rows) -> _Ended:
        span, here = capture.span, partial(between, blocks, records)
        if span is None:
            return here(blocks.start, blocks.end)

        def size(at: int) -> int:
            return _block_bytes(blocks, bool(state[pcap.BIG]), at)

        if blocks.base + blocks.start < span.first:
            # Interfaces and times of the blocks before are needed, their packets are not.
            _, stop, ended = _up_to(blocks, span.first, here, size)
            blocks.options = blocks.options[:0]
            span.begin = blocks.base + stop
            return 0, stop, pcap.ROWS_FULL if ended == PART_DONE else ended
        if span.stop is None:
            return here(blocks.start, blocks.end)
        return _up_to(blocks, span.stop, here, size)

    return capture, scan


def _block_bytes(blocks: Blocks, big: bool, at: int) -> int:
    """Return the length of the block at ``at`` of the buffer; 0 where that is not there."""
    if blocks.end - at < 12:
        return 0
    return pcap.block_bytes(blocks.buffer[at : at + 12].tobytes(), big)
