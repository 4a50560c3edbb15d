"""Records of pcap and pcapng files: where each packet lies, when, and on which interface.

Two compiled scans of a block of bytes. Each stops before the first record that is not whole, so
that the reader can move the rest to the front and read on.
Sources: pcap-savefile(5); draft-ietf-opsawg-pcap; draft-ietf-opsawg-pcapng; the "modified" format
(magic 0xa1b2cd34, 24-byte record headers) after Wireshark's wiretap/libpcap.c.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u8, u16_in, u32_in
from pcapkit.schema import Bytes, Int, Integers, Row, Rows

HEADER_BYTES = 24  #: of a pcap file
RECORD = np.dtype(
    [
        ("time", np.int64),  # ns since 1970
        ("number", np.int64),  # of the packet, from 1; the reader's, which counts across buffers
        ("offset", np.int64),  # of the packet's first byte, in the buffer
        ("captured", np.int32),
        ("original", np.int32),
        ("linktype", np.int32),
        ("interface", np.int32),
    ],
    align=True,
)
#: A packet longer than this is damage, not a packet: libpcap's MAXIMUM_SNAPLEN is 262,144, jumbo
#: USB captures go further; beyond 64 MiB no writer goes.
MAX_CAPTURED = 1 << 26
# How a scan ended.
NEED_MORE, ROWS_FULL, DAMAGED, INTERFACES_FULL = 0, 1, 2, 3
INTERFACE = np.dtype(
    [
        ("linktype", np.int64),
        ("snaplen", np.int64),
        ("units", np.int64),  # per second; 0: a power of two, see ``shift``
        ("shift", np.int64),
        ("offset_s", np.int64),
    ],
    align=True,
)
#: The options of a packet that has a comment.
OPTIONS = np.dtype(
    [
        ("packet", np.int64),  # offset of the packet's first byte, in the buffer
        ("begin", np.int64),  # of the options there
        ("end", np.int64),
        ("big", np.int64),  # their byte order
    ],
    align=True,
)
#: What scan_pcapng() carries from call to call, in the order of its array.
BIG, SECTION_BASE, INTERFACES, LAST_TIME, CLOCKLESS, COMMENTED = range(6)
STATE = 6
_SHB, _IDB, _PB, _SPB, _EPB = 0x0A0D0D0A, 1, 2, 3, 6
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_TIME_RESOLUTION, _TIME_OFFSET = 9, 14  # if_tsresol, if_tsoffset
#: Times are within 2**62 ns of 1970, which is until 2116; two seconds that sum up to nobody's time.
_MOST_SECONDS, _ANY_SECONDS = ((1 << 62) // 1_000_000_000) - 1, 1 << 61
#: Options that any block may have: opt_endofopt, opt_comment.
END_OF_OPTIONS, COMMENT = 0, 1
_LONGEST_PADDING = 3  # of a packet in its block
_MAX_BLOCK = MAX_CAPTURED + (1 << 20)


def block_bytes(head: bytes, big: bool) -> int:
    """Return the length of a pcapng block, given its first 12 bytes and the section's byte order.

    A section header block has the byte order in itself.
    """
    if int.from_bytes(head[:4], "little") == _SHB:
        big = int.from_bytes(head[8:12], "big") == _BYTE_ORDER_MAGIC
    return int.from_bytes(head[4:8], "big" if big else "little")


class PcapHeader(NamedTuple):
    """What the header of a pcap file says of its records."""

    big: bool  # byte order
    record_bytes: int  # of the header of each record
    time_unit_ns: int  # of the part of a second
    linktype: int


@kernel
def scan_pcap(
    buffer: Bytes, start: Int, end: Int, header: PcapHeader, records: Rows
) -> tuple[Int, Int, Int]:
    """Find the packets of a pcap file.

    Goes in: ``buffer[start:end]`` (uint8), which begins with a record; the file's ``header``. Comes
    out: ``records`` (RECORD). Returns (records filled, offset of the first byte not consumed, how
    it ended).
    """
    big = header.big
    count = 0
    at = start
    while count < records.shape[0]:
        if end - at < header.record_bytes:
            return count, at, NEED_MORE
        captured = u32_in(buffer, at + 8, big)
        original = u32_in(buffer, at + 12, big)
        if captured > MAX_CAPTURED:
            return count, at, DAMAGED
        if end - at - header.record_bytes < captured:
            return count, at, NEED_MORE
        record = records[count]
        seconds = u32_in(buffer, at, big)
        record["time"] = seconds * 1_000_000_000 + u32_in(buffer, at + 4, big) * header.time_unit_ns
        record["offset"] = at + header.record_bytes
        record["captured"] = captured
        record["original"] = min(max(original, captured), 0x7FFFFFFF)
        record["linktype"] = header.linktype
        record["interface"] = 0
        count += 1
        at += header.record_bytes + captured
    return count, at, ROWS_FULL


@helper_kernel
def _add_interface(buffer: Bytes, at: Int, end: Int, big: Int, row: Row) -> None:
    """Read the body of an interface description block into ``row`` (INTERFACE).

    It is ``buffer[at:end]`` (uint8); ``big`` is the section's byte order.
    """
    row["linktype"] = u16_in(buffer, at, big)
    row["snaplen"] = u32_in(buffer, at + 4, big)
    row["units"] = 1_000_000
    row["shift"] = 0
    row["offset_s"] = 0
    at += 8
    while end - at >= 4:
        code = u16_in(buffer, at, big)
        length = u16_in(buffer, at + 2, big)
        at += 4
        if code == END_OF_OPTIONS or end - at < length:
            return
        if code == _TIME_RESOLUTION and length >= 1:
            exponent = u8(buffer, at) & 0x7F
            if u8(buffer, at) & 0x80:
                row["units"] = 0
                row["shift"] = min(exponent, 63)
            else:
                units = np.int64(1)
                for _ in range(min(exponent, 18)):
                    units *= 10
                row["units"] = units
        elif code == _TIME_OFFSET and length >= 8:
            low = u32_in(buffer, at + (4 if big else 0), big)
            high = u32_in(buffer, at + (0 if big else 4), big)
            row["offset_s"] = (high << 32) | low
        at += (length + 3) & ~3


@inline_kernel
def _within_reach(seconds: np.uint64, offset: Int) -> Int:
    """Return ``seconds`` since ``offset``, both whole, as seconds since 1970, or what is nearest.

    So the difference of any two times fits in 64 bits of nanoseconds.
    """
    whole = np.int64(min(seconds, np.uint64(_ANY_SECONDS)))
    whole += min(max(np.int64(offset), np.int64(-_ANY_SECONDS)), np.int64(_ANY_SECONDS))
    return min(max(whole, np.int64(-_MOST_SECONDS)), np.int64(_MOST_SECONDS))


@helper_kernel
def _nanoseconds(high: Int, low: Int, row: Row) -> Int:
    """Turn a timestamp, 32 bits ``high`` and 32 ``low``, into ns since 1970.

    ``row`` (INTERFACE) has its resolution.
    """
    stamp = (np.uint64(high) << np.uint64(32)) | np.uint64(low)
    offset = np.int64(row["offset_s"])
    units = np.uint64(row["units"])
    if units == 0:
        shift = np.uint64(row["shift"])
        seconds = stamp >> shift
        fraction = stamp & ((np.uint64(1) << shift) - np.uint64(1))
        if shift > np.uint64(32):
            fraction >>= shift - np.uint64(32)
            shift = np.uint64(32)
        # 32 fraction bits times 1e9 fits in 64 bits
        part = (fraction * np.uint64(1_000_000_000)) >> shift
        return _within_reach(seconds, offset) * 1_000_000_000 + np.int64(part)
    seconds = stamp // units
    rest = stamp - seconds * units
    if units <= np.uint64(1_000_000_000):
        part = rest * (np.uint64(1_000_000_000) // units)
    else:
        part = rest // (units // np.uint64(1_000_000_000))
    return _within_reach(seconds, offset) * 1_000_000_000 + np.int64(part)


@helper_kernel
def _note_comment(buffer: Bytes, record: Row, stop: Int, state: Integers, options: Rows) -> None:
    """Add the options of a packet to ``options`` (OPTIONS), if one of them is a comment.

    The packet of ``record`` (RECORD) lies in ``buffer`` (uint8), its block's options behind it, up
    to ``stop``. ``state`` (int64) is that of the file, and counts those that are in ``options``.
    """
    used = state[COMMENTED]
    begin = np.int64(record["offset"]) + ((np.int64(record["captured"]) + 3) & ~3)
    at = begin
    while stop - at >= 4 and used < options.shape[0]:
        code = u16_in(buffer, at, state[BIG])
        if code == END_OF_OPTIONS:
            return
        if code == COMMENT:
            row = options[used]
            row["packet"] = record["offset"]
            row["begin"] = begin
            row["end"] = stop
            row["big"] = state[BIG]
            state[COMMENTED] = used + 1
            return
        at += 4 + ((u16_in(buffer, at + 2, state[BIG]) + 3) & ~3)


@kernel
def scan_pcapng(
    buffer: Bytes,
    start: Int,
    end: Int,
    state: Integers,
    interfaces: Rows,
    records: Rows,
    options: Rows,
) -> tuple[Int, Int, Int]:
    """Find the packets of a pcapng file.

    Goes in: ``buffer[start:end]`` (uint8), which begins with a block; ``state`` (int64, STATE long,
    zeros at first) and ``interfaces`` (INTERFACE), carried from call to call. Comes out:
    ``records`` (RECORD); ``options`` (OPTIONS) from its beginning, as long as ``records`` or
    longer, and how many in ``state[COMMENTED]``. Block types other than packets, sections and
    interfaces are passed over by their length. Returns what :func:`scan_pcap` does.
    """
    state[COMMENTED] = 0
    count = 0
    at = start
    while count < records.shape[0]:
        if end - at < 12:
            return count, at, NEED_MORE
        kind = u32_in(buffer, at, state[BIG])
        if kind == _SHB:  # the same in both byte orders
            if u32_in(buffer, at + 8, 0) == _BYTE_ORDER_MAGIC:
                state[BIG] = 0
            elif u32_in(buffer, at + 8, 1) == _BYTE_ORDER_MAGIC:
                state[BIG] = 1
            else:
                return count, at, DAMAGED
        big = state[BIG]
        length = u32_in(buffer, at + 4, big)
        if length < 12 or length % 4 or length > _MAX_BLOCK:
            return count, at, DAMAGED
        if end - at < length:
            return count, at, NEED_MORE
        if u32_in(buffer, at + length - 4, big) != length:
            return count, at, DAMAGED
        body = at + 8
        stop = at + length - 4
        if kind == _SHB:
            state[SECTION_BASE] = state[INTERFACES]
        elif kind == _IDB and stop - body >= 8:
            if state[INTERFACES] >= interfaces.shape[0]:
                return count, at, INTERFACES_FULL
            _add_interface(buffer, body, stop, big, interfaces[state[INTERFACES]])
            state[INTERFACES] += 1
        elif kind == _EPB or kind == _PB or kind == _SPB:
            done = _packet_block(buffer, body, stop, kind, state, interfaces, records[count])
            if not done:
                return count, at, DAMAGED
            if kind == _EPB and stop - body - 20 - records[count]["captured"] > _LONGEST_PADDING:
                _note_comment(buffer, records[count], stop, state, options)
            count += 1
        at += length
    return count, at, ROWS_FULL


@helper_kernel
def _packet_block(
    buffer: Bytes, body: Int, stop: Int, kind: Int, state: Integers, interfaces: Rows, record: Row
) -> bool:
    """Fill ``record`` (RECORD) from a packet block; False where that is damaged.

    Its body is ``buffer[body:stop]`` (uint8); ``kind`` is enhanced, simple or (obsolete) plain. Its
    interface is one of ``interfaces`` (INTERFACE); ``state`` (int64) is that of the file.
    """
    big = state[BIG]
    if kind == _SPB:
        if stop - body < 4:
            return False
        number: Int = np.int64(0)
        data = body + 4
        original = u32_in(buffer, body, big)
        captured = min(original, np.int64(stop - data))
    else:
        if stop - body < 20:
            return False
        number = u32_in(buffer, body, big) if kind == _EPB else u16_in(buffer, body, big)
        data = body + 20
        captured = u32_in(buffer, body + 12, big)
        original = u32_in(buffer, body + 16, big)
    index = state[SECTION_BASE] + number
    if index >= state[INTERFACES] or captured > stop - data:
        return False
    row = interfaces[index]
    if kind == _SPB:
        if row["snaplen"] > 0:
            captured = min(captured, np.int64(row["snaplen"]))
        state[CLOCKLESS] += 1  # simple packet blocks have no time: the last one known stands in
    else:
        state[LAST_TIME] = _nanoseconds(
            u32_in(buffer, body + 4, big), u32_in(buffer, body + 8, big), row
        )
    record["time"] = state[LAST_TIME]
    record["offset"] = data
    record["captured"] = captured
    record["original"] = min(max(original, captured), np.int64(0x7FFFFFFF))
    record["linktype"] = row["linktype"]
    record["interface"] = index
    return True
