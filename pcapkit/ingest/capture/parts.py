"""Where records begin in the middle of a pcap file: what cuts it into parts.

A pcap file has no marks between its records (pcap-savefile(5)), so where one begins is found by
what follows it: a chain of headers, each of which makes sense and lies where the one before says.
Packets may hold such a chain themselves. Whoever joins the parts sees it, as the part before ends
elsewhere.
"""

from __future__ import annotations

import numpy as np

from pcapkit.ingest.capture.pcap import PcapHeader
from pcapkit.ingest.inputs.source import Source
from pcapkit.kernels.jit import kernel
from pcapkit.kernels.words import u32_in
from pcapkit.schema import Bytes, Int

#: So many headers in a chain are enough.
_CHAIN = 32
#: Bytes that are looked at first, and at most in one go.
_LOOK_BYTES, _MOST_BYTES = 1 << 20, 1 << 28
#: libpcap captures no more of a packet (MAXIMUM_SNAPLEN in pcap-int.h).
_MOST_CAPTURED = 1 << 18
#: Packets are longer than what is captured of them by less than this.
_LONGEST_PACKET = 1 << 24
#: Between two records that follow one another, less time passes than this, either way.
_NEAR_S = 86_400
_NANOSECONDS = 1_000_000_000
#: No record begins here; one may, in bytes that are not there.
_NOWHERE = -1


@kernel
def _find_chain(buffer: Bytes, header: PcapHeader, at_end: bool, cut: bool) -> Int:
    """Return where in ``buffer`` (uint8) the first of a chain of records begins; -1: nowhere.

    Goes in: bytes of a pcap file, the file's ``header``, if the file ends with them (``at_end``),
    and if its last record may be ``cut``. A chain ends well after _CHAIN headers, or exactly at the
    end of the file; where it leads out of the buffer before, that depends on bytes that are not
    here, and nothing is found.
    """
    big, size = header.big, np.int64(header.record_bytes)
    end = np.int64(buffer.shape[0])
    parts = np.int64(_NANOSECONDS) // header.time_unit_ns
    for start in range(end):
        at, seconds = np.int64(start), np.int64(-1)
        links = np.int64(0)
        while links < _CHAIN:
            if at == end and at_end and links > 0:
                return np.int64(start)
            if end - at < size:
                break
            time = np.int64(u32_in(buffer, at, big))
            captured = np.int64(u32_in(buffer, at + 8, big))
            original = np.int64(u32_in(buffer, at + 12, big))
            near = seconds < 0 or abs(time - seconds) <= _NEAR_S
            if (
                not near
                or np.int64(u32_in(buffer, at + 4, big)) >= parts
                or captured > _MOST_CAPTURED
                or original < captured
                or original - captured > _LONGEST_PACKET
                or captured == 0
            ):
                links = np.int64(-1)
                break
            seconds = time
            links += 1
            at += size + captured
        if links >= _CHAIN or (cut and links > 0 and at >= end - size):
            return np.int64(start)
        if links > 0 and not at_end:
            return np.int64(_NOWHERE)
    return np.int64(_NOWHERE)


def find_record(source: Source, first: int, header: PcapHeader) -> int:
    """Return where the first record that begins at ``first`` or behind it stands in a pcap file.

    That is a guess by what follows; the end of the file where none seems to begin. ``source`` is a
    file, not compressed; it stands anywhere afterwards.
    """
    length, size = source.stored_size or 0, _LOOK_BYTES
    while first < length:
        source.seek(first)
        buffer = np.empty(size, np.uint8)
        buffer = buffer[: source.readinto(buffer.data)]
        at_end = first + buffer.size >= length
        found = int(_find_chain(buffer, header, at_end, False))
        if found == _NOWHERE and at_end:
            found = int(_find_chain(buffer, header, True, True))
        if found != _NOWHERE:
            return first + found
        if at_end or source.damage is not None or size >= _MOST_BYTES:
            break
        size *= 4
    return length
