"""The reader of packet captures, pcap and pcapng."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from pcapkit.concurrency import ahead
from pcapkit.errors import DamagedCapture
from pcapkit.ingest.capture import pcap
from pcapkit.ingest.capture.batches import RECORDS, Blocks, Scan, read_batches
from pcapkit.ingest.capture.decoder import Decoder
from pcapkit.ingest.inputs.recognise import PCAP_MAGICS
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.window import Capture, Interners, Window
from pcapkit.schema import Rows

_PCAP_HEADER_BYTES = 24
_INTERFACES = 1 << 12


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


def read_pcap(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    """Return the capture behind a pcap file. Raises DamagedCapture where its header is cut."""
    head = source.peek(_PCAP_HEADER_BYTES)
    big, header_bytes, nano = PCAP_MAGICS[head[:4]]
    if len(head) < _PCAP_HEADER_BYTES:
        raise DamagedCapture(
            source.path,
            f"the file header is cut at byte {len(head)} of {_PCAP_HEADER_BYTES}",
            hint="capture again; nothing after the header is there",
        )
    order = ">" if big else "<"
    snaplen, network = struct.unpack(order + "II", head[16:24])
    linktype = network & 0xFFFF  # the upper bits hold the frame check sequence's length
    capture = Capture(source.path, "pcap", source.compression, iter(()), snaplen=snaplen)
    capture.link_types = (linktype,)
    capture.of_packets, capture.followed_at = True, source.followed_at
    header = pcap.PcapHeader(big, header_bytes, 1 if nano else 1000, linktype)

    def scan(blocks: Blocks, records: Rows) -> tuple[int, int, int]:
        if blocks.base == 0 and blocks.start == 0 and blocks.end == 0:
            blocks.read_on()
            blocks.start = min(_PCAP_HEADER_BYTES, blocks.end)
        count, stop, ended = pcap.scan_pcap(
            blocks.buffer, blocks.start, blocks.end, header, records
        )
        return int(count), int(stop), int(ended)

    capture.windows = _read_records(source, interners, capture, scan, ports)
    return capture


def read_pcapng(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    """Return the capture behind a pcapng file."""
    capture = Capture(source.path, "pcapng", source.compression, iter(()))
    capture.of_packets, capture.followed_at = True, source.followed_at
    state = np.zeros(pcap.STATE, np.int64)
    interfaces = np.zeros(16, pcap.INTERFACE)
    options = np.empty(RECORDS, pcap.OPTIONS)

    def scan(blocks: Blocks, records: Rows) -> tuple[int, int, int]:
        nonlocal interfaces
        count, stop, ended = pcap.scan_pcapng(
            blocks.buffer, blocks.start, blocks.end, state, interfaces, records, options
        )
        if found := state[pcap.COMMENTED]:
            blocks.options = np.concatenate([blocks.options, options[:found]])
        if ended == pcap.INTERFACES_FULL:
            if interfaces.size >= _INTERFACES:
                return int(count), int(stop), pcap.DAMAGED
            interfaces = np.concatenate([interfaces, np.zeros(interfaces.size, pcap.INTERFACE)])
            ended = pcap.ROWS_FULL
        known = interfaces[: state[pcap.INTERFACES]]
        if known.size and capture.snaplen is None:
            capture.snaplen = int(known["snaplen"].max()) or None
            capture.link_types = tuple(sorted({int(t) for t in known["linktype"]}))
        if count and state[pcap.CLOCKLESS] and state[pcap.LAST_TIME] == 0:
            capture.has_clock = False
        return int(count), int(stop), int(ended)

    capture.windows = _read_records(source, interners, capture, scan, ports)
    return capture
