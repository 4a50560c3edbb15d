"""Input formats, recognised by content, and the reader of packet captures.

To add a format: a recogniser, a reader that returns a :class:`Capture`, and a row in FORMATS.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pcapkit.ahead import ahead
from pcapkit.errors import DamagedCapture, NotACapture
from pcapkit.ingest import pcap
from pcapkit.ingest.coredns_log import looks_like_coredns, read_coredns_log
from pcapkit.ingest.decoder import Decoder
from pcapkit.ingest.dnstap import looks_like_frame_stream, read_dnstap
from pcapkit.ingest.hubble import looks_like_hubble, read_hubble
from pcapkit.ingest.records import Blocks, Walk, read_batches
from pcapkit.ingest.source import Source
from pcapkit.ingest.tcpdump_text import looks_like_tcpdump, read_tcpdump_text
from pcapkit.ingest.trace_dns import looks_like_trace_dns, read_trace_dns
from pcapkit.ingest.window import Capture, Interners, Window

HEAD_BYTES = 4096
_PCAP_HEADER_BYTES = 24
_INTERFACES = 1 << 12

#: magic number -> (big endian, bytes of a record header, nanoseconds)
_MAGICS: dict[bytes, tuple[bool, int, bool]] = {
    b"\xd4\xc3\xb2\xa1": (False, 16, False),
    b"\xa1\xb2\xc3\xd4": (True, 16, False),
    b"\x4d\x3c\xb2\xa1": (False, 16, True),
    b"\xa1\xb2\x3c\x4d": (True, 16, True),
    b"\x34\xcd\xb2\xa1": (False, 24, False),
    b"\xa1\xb2\xcd\x34": (True, 24, False),
}
_PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"


def _read_records(
    source: Source, interners: Interners, capture: Capture, walk: Walk, ports: frozenset[int]
) -> Iterator[Window]:
    """Yield windows of decoded messages until the stream ends or is damaged."""
    blocks = Blocks(source)
    decoder = Decoder(interners, capture, ports)
    with ahead(read_batches(source, blocks, capture, walk), depth=1) as batches:
        for batch in batches:
            yield from decoder.windows(batch.buffer, batch.records)
            capture.bytes_read = batch.bytes_read
            if batch.done:
                blocks.give_back(batch.buffer)
    yield from decoder.finish()


def _read_pcap(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    head = source.peek(_PCAP_HEADER_BYTES)
    big, header_bytes, nano = _MAGICS[head[:4]]
    if len(head) < _PCAP_HEADER_BYTES:
        raise DamagedCapture(
            source.path, f"the file header is cut at byte {len(head)} of {_PCAP_HEADER_BYTES}",
            hint="capture again; nothing after the header is there",
        )  # fmt: skip
    order = ">" if big else "<"
    snaplen, network = struct.unpack(order + "II", head[16:24])
    linktype = network & 0xFFFF  # the upper bits hold the frame check sequence's length
    capture = Capture(source.path, "pcap", source.compression, iter(()), snaplen=snaplen)
    capture.link_types = (linktype,)

    def walk(blocks: Blocks, records: npt.NDArray[np.void]) -> tuple[int, int, int]:
        if blocks.base == 0 and blocks.start == 0 and blocks.end == 0:
            blocks.read_on()
            blocks.start = min(_PCAP_HEADER_BYTES, blocks.end)
        count, stop, ended = pcap.walk_pcap(
            blocks.buffer, blocks.start, blocks.end, int(big), header_bytes, int(nano),
            linktype, records,
        )  # fmt: skip
        return count, stop, ended

    capture.windows = _read_records(source, interners, capture, walk, ports)
    return capture


def _read_pcapng(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    capture = Capture(source.path, "pcapng", source.compression, iter(()))
    state = np.zeros(8, np.int64)
    interfaces = np.zeros(16, pcap.INTERFACE)

    def walk(blocks: Blocks, records: npt.NDArray[np.void]) -> tuple[int, int, int]:
        nonlocal interfaces
        count, stop, ended = pcap.walk_pcapng(
            blocks.buffer, blocks.start, blocks.end, state, interfaces, records
        )
        if ended == pcap.INTERFACES_FULL:
            if interfaces.size >= _INTERFACES:
                return count, stop, pcap.DAMAGED
            interfaces = np.concatenate([interfaces, np.zeros(interfaces.size, pcap.INTERFACE)])
            ended = pcap.ROWS_FULL
        known = interfaces[: state[pcap.INTERFACES]]
        if known.size and capture.snaplen is None:
            capture.snaplen = int(known["snaplen"].max()) or None
            capture.link_types = tuple(sorted({int(t) for t in known["linktype"]}))
        if count and state[pcap.CLOCKLESS] and state[pcap.LAST_TIME] == 0:
            capture.has_clock = False
        return count, stop, ended

    capture.windows = _read_records(source, interners, capture, walk, ports)
    return capture


def _is_pcap(head: bytes) -> bool:
    return head[:4] in _MAGICS


def _is_pcapng(head: bytes) -> bool:
    return head[:4] == _PCAPNG_MAGIC and head[8:12] in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d")


@dataclass(frozen=True, slots=True)
class Format:
    """One input format: ``recognises`` looks at the first bytes, ``read`` opens it."""

    name: str
    recognises: Callable[[bytes], bool]
    read: Callable[..., Capture]


FORMATS: tuple[Format, ...] = (
    Format("pcap", _is_pcap, _read_pcap),
    Format("pcapng", _is_pcapng, _read_pcapng),
    Format("dnstap", looks_like_frame_stream, read_dnstap),
    Format("tcpdump text", looks_like_tcpdump, read_tcpdump_text),
    Format("CoreDNS log", looks_like_coredns, read_coredns_log),
    Format("Hubble flows", looks_like_hubble, read_hubble),
    Format("Inspektor Gadget", looks_like_trace_dns, read_trace_dns),
)


def recognise(head: bytes) -> Format | None:
    """Return the format whose content ``head`` begins, or None."""
    return next((f for f in FORMATS if f.recognises(head)), None)


def open_capture(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    """Recognise the format of ``source`` and return its capture, ready to be read.

    Raises NotACapture where the bytes are in no known format.
    """
    head = source.peek(HEAD_BYTES)
    found = recognise(head)
    if found is None:
        shown = head[:8].hex(" ")
        raise NotACapture(
            source.path,
            f"not a capture: it begins with the bytes {shown}" if head else "empty",
            hint="pcap, pcapng, dnstap, and the lines that tcpdump, CoreDNS, Hubble and Inspektor "
            "Gadget print are read, also compressed",
        )
    return found.read(source, interners, ports=ports)
