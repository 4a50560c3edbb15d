"""Packets of one capture to windows of messages: the compiled path first, then what it set aside.

:func:`decode_window` takes every packet. Fragments, segments of streams that it cannot follow and
link layers for Scapy are resolved after it, in the order of the packets; each gives IP packets of
its own, which go through the same compiled path, and their rows take their place by packet number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.codes import linktype_text
from pcapkit.ingest.capture.decode import (
    CUT_MESSAGES,
    EARLIEST,
    FATES,
    GONE_BACK,
    LATEST,
    SUMS,
    decode_window,
    port_table,
    sum_up,
)
from pcapkit.ingest.capture.late_rows import LateRows, join_rows, merge_late
from pcapkit.ingest.capture.pcap import RECORD
from pcapkit.ingest.packet.encapsulation import unwrap
from pcapkit.ingest.packet.fields import (
    ADDRESS_BYTES,
    CAPTURED_END,
    ENCAPSULATED,
    FACTS,
    FRAGMENT,
    FRAGMENT_OFFSET,
    HOP_LIMIT,
    INTERFACE_INDEX,
    IP_ID,
    LINK,
    MALFORMED,
    NOT_DNS,
    NOT_IP,
    PAYLOAD,
    SOURCE,
    SOURCE_PORT,
    TCP_RETRANSMISSION,
    UNKNOWN_LINK_TYPE,
)
from pcapkit.ingest.packet.scapy_layers import KNOWN_LINK_TYPES, ip_packets
from pcapkit.ingest.reassembly.ip_fragments import WAIT_NS, Fragments, Made, Seen, ip_packet
from pcapkit.ingest.reassembly.tcp_segments import JOINED_BYTES, LONGEST_SEGMENT, STREAM
from pcapkit.ingest.reassembly.tcp_streams import Streams
from pcapkit.ingest.skip_reasons import SKIP_REASONS
from pcapkit.ingest.window import Capture, Interners, Unfinished, Window
from pcapkit.schema import MESSAGE, Messages

#: A fate beside 0 (a message) and the ledger's reasons: the packet is accounted for later.
_HELD = 1
_RAW = 101
_TCP_HEADER = bytes(8) + b"\x50\x10" + bytes(6)  # behind the ports
_ROUNDS = 4  # how often a packet made from others may need others itself
_MAX_DISSECTED = 1_000_000
_NO_STREAMS = np.zeros(0, STREAM)
_NEVER = 1 << 62
#: Messages in one packet: one over TCP has 14 bytes or more, with its length. A segment for offload
#: may be longer than any packet, and its first message begun before.
_MOST_IN_ONE = LONGEST_SEGMENT // 14 + 2
_NEW_ADDRESSES = 8192  # that one pass has room for
_MAX_QUEUED = 1 << 16  # packets
#: Fewer packets that look like DNS messages at a port may be anything.
_SOME = 2
#: Enough packets on the slow path to be felt.
_FELT = 20_000


class Decoder:
    """Decodes the packets of one capture, in order."""

    def __init__(self, interners: Interners, capture: Capture, ports: frozenset[int]) -> None:
        self._interners = interners
        self._capture = capture
        self._ports = port_table(ports)
        before, capture.unfinished = capture.unfinished, None
        self._streams: Streams = before.streams if before else Streams()
        self._fragments: Fragments = before.fragments if before else Fragments()
        self._last_time, self._last_number = -_NEVER, 0  # of the packets so far
        self._rare = np.zeros((0, FACTS + 1), np.int64)
        self._joined = np.zeros(JOINED_BYTES, np.uint8)
        self._unknown: Counter[int] = Counter()
        self._dissected: Counter[int] = Counter()
        self._queued: list[Window] = []
        self._slow = self._packets = self._messages = self._cut = self._gone_back = 0
        self._elsewhere = np.zeros(1 << 16, np.int64)

    def windows(
        self, buffer: npt.NDArray[np.uint8], records: npt.NDArray[np.void]
    ) -> Iterator[Window]:
        """Decode records, in more than one window where messages outnumber packets."""
        for part, rows, fates, rare in self._passes(buffer, records, self._streams.table):
            late = LateRows()
            unknown = bool((fates == UNKNOWN_LINK_TYPE).any())
            if rare.size or unknown or self._fragments.waiting:
                made, whole = self._assemble(buffer, part, fates, rare, hold=True)
                if unknown:
                    made += self._dissect(buffer, part, fates)
                self._resolve(made, whole, late)
                last = int(part["time"].max())
                self._resolve(self._fragments.settle(last), [], late)
                self._streams.give_back()
            yield from self._queue(self._window(part, rows, fates, late), part)

    def finish(self) -> Iterator[Window]:
        """Give what was still waiting, and say in the capture's warnings what is to be known.

        Where another capture goes on from here, what waits for its packets is left to it.
        """
        following = self._capture.followed_at
        if following is not None and 0 <= following - self._last_time <= WAIT_NS:
            held = self._fragments.leave(self._last_number)
            self._capture.unfinished = Unfinished(self._streams, held, self._last_number)
        self._queued.append(self._settled(_NEVER))
        window = join_rows(self._queued)
        if window.packets:
            yield window
        self._warn()

    def _queue(self, window: Window, records: npt.NDArray[np.void]) -> Iterator[Window]:
        """Yield ``window``, but not before the packets in it that are held are settled.

        So that rows stay in the order of packets; it waits no longer than fragments do.
        """
        earlier = self._queued
        self._queued = [*earlier, window]
        if self._fragments.holding:
            oldest = earlier[0].first_time if earlier else window.first_time
            waited = (window.last_time or 0) - (oldest or 0)
            if sum(w.packets for w in earlier) < _MAX_QUEUED and waited <= WAIT_NS:
                return
        if self._fragments.holding and earlier:
            earlier.append(self._settled(int(records["number"][0]) - 1))
            self._queued = [window]
            yield join_rows(earlier)
        if not self._fragments.holding:
            yield join_rows(self._queued)
            self._queued = []

    def _settled(self, number: int) -> Window:
        """Return what the packets up to ``number`` that are held show by themselves."""
        late = LateRows()
        self._resolve(self._fragments.settle(-_NEVER, number), [], late)
        return self._window(np.zeros(0, RECORD), np.zeros(0, MESSAGE), np.zeros(0, np.uint8), late)

    def _passes(
        self, buffer: npt.NDArray[np.uint8], records: npt.NDArray[np.void], streams: Any
    ) -> Iterator[
        tuple[npt.NDArray[np.void], Messages, npt.NDArray[np.uint8], npt.NDArray[np.int64]]
    ]:
        """Yield records, their rows, one fate a record, and what was set aside, until all are done.

        What was set aside is overwritten by the next pass.
        """
        if self._rare.shape[0] < records.size:
            self._rare = np.zeros((records.size, FACTS + 1), np.int64)
        done = 0
        while done < records.size:
            part, rows, fates, rare = self._pass(buffer, records[done:], streams)
            done += part.size
            inside = np.flatnonzero(fates == ENCAPSULATED)
            if inside.size:
                rows, rare = self._unwrap(buffer, part, inside, rows, fates, rare.copy(), streams)
            yield part, rows, fates, rare

    def _pass(
        self, buffer: npt.NDArray[np.uint8], records: npt.NDArray[np.void], streams: Any
    ) -> tuple[npt.NDArray[np.void], Messages, npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Return the records that fitted into one pass, and what became of them."""
        names, addresses = self._interners.names, self._interners.addresses
        rows = np.empty(records.size + _MOST_IN_ONE, MESSAGE)
        names.reserve(_MOST_IN_ONE, _MOST_IN_ONE * 255)
        addresses.reserve(_NEW_ADDRESSES, _NEW_ADDRESSES * 16)
        fates = np.zeros(records.size, np.uint8)
        filled, used, aside = decode_window(
            buffer,
            records,
            self._ports,
            streams,
            names.arrays,
            addresses.arrays,
            rows,
            fates,
            self._rare,
            np.zeros(FACTS, np.int64),
            np.zeros(256, np.uint8),
            self._joined,
            self._elsewhere,
        )
        return records[:used], rows[:filled], fates[:used], self._rare[:aside]

    def _unwrap(
        self,
        buffer: npt.NDArray[np.uint8],
        records: npt.NDArray[np.void],
        index: npt.NDArray[np.int64],
        rows: Messages,
        fates: npt.NDArray[np.uint8],
        rare: npt.NDArray[np.int64],
        streams: Any,
    ) -> tuple[Messages, npt.NDArray[np.int64]]:
        """Decode what the records at ``index`` have inside; return all rows, all set aside."""
        inner = records[index]
        links = np.zeros(index.size, np.int64)
        found = np.zeros(index.size, np.uint8)
        seed = self._interners.names.arrays[5][0]
        unwrap(
            buffer,
            inner,
            self._ports,
            seed,
            found,
            links,
            np.zeros(FACTS, np.int64),
            np.zeros(2, np.int64),
        )
        fates[index] = found
        goes_on = found == 0
        inner, index, links = inner[goes_on], index[goes_on], links[goes_on]
        all_rows, all_rare = [rows], [rare]
        while inner.size:
            part, rows, found, rare = self._pass(buffer, inner, streams)
            fates[index[: part.size]] = np.where(found == ENCAPSULATED, NOT_DNS, found)
            order = np.argsort(part["number"], kind="stable")
            place = np.searchsorted(part["number"][order], rows["packet_no"])
            rows["link"] = links[order[place]].view(np.uint64)
            rare = rare.copy()
            rare[:, 1 + LINK] = links[rare[:, 0]]
            rare[:, 0] = index[rare[:, 0]]
            all_rows.append(rows)
            all_rare.append(rare)
            inner, index, links = inner[part.size :], index[part.size :], links[part.size :]
        rare = np.concatenate(all_rare)
        return merge_late(all_rows), rare[np.argsort(rare[:, 0], kind="stable")]

    def _assemble(
        self,
        buffer: npt.NDArray[np.uint8],
        records: npt.NDArray[np.void],
        fates: npt.NDArray[np.uint8],
        rare: npt.NDArray[np.int64],
        *,
        hold: bool,
    ) -> tuple[list[Made], list[Made]]:
        """Return datagrams and, apart from them, TCP messages that the packets complete."""
        made: list[Made] = []
        whole: list[Made] = []
        self._slow += rare.shape[0]
        view = memoryview(buffer)  # type: ignore[arg-type]
        indexes = rare[:, 0]
        order = ("number", "time", "interface")
        columns = [records[name][indexes].tolist() for name in order]
        for row, number, time, interface in zip(rare.tolist(), *columns, strict=True):
            index, facts = row[0], row[1:]
            if facts[INTERFACE_INDEX] >= 0:
                interface = facts[INTERFACE_INDEX]
            seen = Seen(number, time, interface, facts[LINK])
            ends = bytes(view[facts[SOURCE] : facts[SOURCE] + 2 * facts[ADDRESS_BYTES]])
            data = bytes(view[facts[PAYLOAD] : facts[CAPTURED_END]])
            if fates[index] == FRAGMENT:
                datagram = self._fragments.add(seen, ends, facts, data, hold=hold)
                if datagram is not None:
                    made.append(datagram)
                elif hold and facts[FRAGMENT_OFFSET] == 0:
                    fates[index] = _HELD
                continue
            ports = facts[SOURCE_PORT] << 16 | facts[SOURCE_PORT + 1]
            messages, new = self._streams.add(time, ends, ports, facts, data)
            if not fates[index]:
                continue  # its messages have been decoded
            if messages:
                whole.append(_segment(seen, ends, ports, facts, messages))
            elif not new:
                fates[index] = TCP_RETRANSMISSION
        return made, whole

    def _dissect(
        self,
        buffer: npt.NDArray[np.uint8],
        records: npt.NDArray[np.void],
        fates: npt.NDArray[np.uint8],
    ) -> list[Made]:
        """Hand packets of link types that are not known here to Scapy."""
        made = []
        for index in np.flatnonzero(fates == UNKNOWN_LINK_TYPE).tolist():
            record = records[index]
            linktype, offset = int(record["linktype"]), int(record["offset"])
            if linktype not in KNOWN_LINK_TYPES or self._dissected.total() >= _MAX_DISSECTED:
                self._unknown[linktype] += 1
                continue
            self._dissected[linktype] += 1
            self._slow += 1
            found = ip_packets(linktype, buffer[offset : offset + record["captured"]].tobytes())
            fates[index] = MALFORMED if found is None else NOT_IP
            seen = Seen(int(record["number"]), int(record["time"]), int(record["interface"]), 0)
            made += [Made(seen, packet) for packet in found or []]
        return made

    def _resolve(self, made: list[Made], whole: list[Made], late: LateRows) -> None:
        """Decode packets that were made from others, and what those complete in turn."""
        for _ in range(_ROUNDS):
            if not made:
                break
            again: list[Made] = []
            buffer, records = _as_records(made)
            for part, rows, fates, rare in self._passes(buffer, records, self._streams.table):
                datagrams, segments = self._assemble(buffer, part, fates, rare, hold=False)
                again += datagrams
                whole = whole + segments
                late.add(made[: part.size], rows, fates)
                made = made[part.size :]
            made = again
        buffer, records = _as_records(whole)
        for part, rows, fates, _ in self._passes(buffer, records, _NO_STREAMS):
            late.add(whole[: part.size], rows, fates)
            whole = whole[part.size :]

    def _window(
        self,
        records: npt.NDArray[np.void],
        rows: Messages,
        fates: npt.NDArray[np.uint8],
        late: LateRows,
    ) -> Window:
        """Put together what the compiled path and the slow one found."""
        first = int(records["number"][0]) if records.size else 0
        earlier: Counter[str] = Counter()
        packets = records.size
        for number, fate in late.fates.items():
            if first <= number < first + records.size:
                fates[number - first] = fate
            else:  # held by an earlier window
                packets += 1
                earlier[SKIP_REASONS[fate]] += 1
        released = self._fragments.take_released()
        earlier[SKIP_REASONS[FRAGMENT]] += released
        rows = late.merge(rows)
        counted = np.zeros(SUMS, np.int64)
        sum_up(records, fates, rows, self._last_time, counted)
        sums = counted.tolist()
        packets += released - sums[FATES + _HELD]
        skipped = Counter(dict(zip(SKIP_REASONS, sums[FATES:], strict=True))) + earlier
        del skipped[""]
        self._packets += packets
        if records.size:
            self._last_time = max(self._last_time, sums[LATEST])
            self._last_number = int(records["number"][-1])
        self._messages += rows.size
        self._cut += sums[CUT_MESSAGES]
        self._gone_back += sums[GONE_BACK]
        times = (sums[EARLIEST], sums[LATEST]) if records.size else (None, None)
        return Window(rows, packets, dict(skipped), *times)

    def _warn(self) -> None:
        path, warnings = self._capture.path, self._capture.warnings
        for linktype, packets in sorted(self._unknown.items()):
            warnings.append(
                f"{path}: link type {linktype} ({linktype_text(linktype)}) is not known here: "
                f"{packets} packets skipped"
            )
        if self._gone_back:
            warnings.append(
                f"{path}: {self._gone_back} of {self._packets} packets are stamped more than a "
                "minute before packets that stand before them: the clock was set, or files were "
                "put together; durations across that are not known"
            )
        for port in np.flatnonzero(self._elsewhere).tolist():
            self._capture.left_out[port] = int(self._elsewhere[port])
        if left_out := sorted(self._capture.left_out.items(), key=lambda of: (-of[1], of[0])):
            port, messages = left_out[0]
            others = f" (and {len(left_out) - 1} other ports)" if len(left_out) > 1 else ""
            if messages >= _SOME:
                warnings.append(
                    f"{path}: {messages} packets at port {port}{others} look like DNS messages and "
                    f"were left out for their port: --port {port} reads them"
                )
        if self._cut:
            warnings.append(
                f"{path}: {self._cut} of {self._messages} messages were captured in part: their "
                "question and response code count, but answers, TTLs and EDNS may be missing "
                "(capture with tcpdump -s 0; a port filter also loses all but the first fragment)"
            )
        if self._slow >= _FELT and self._slow * 2 > self._packets:
            through = sum(self._dissected.values())
            warnings.append(
                f"{path}: {self._slow} of {self._packets} packets took the slow path "
                f"({through} through Scapy, the others as fragments or parts of TCP messages): "
                "reading takes about a minute per million of them"
            )


def _segment(seen: Seen, ends: bytes, ports: int, facts: list[int], messages: bytes) -> Made:
    """Return a packet with TCP messages that are whole."""
    payload = ports.to_bytes(4, "big") + _TCP_HEADER + messages
    ident = max(facts[IP_ID], 0)
    data = ip_packet(ends, 6, facts[HOP_LIMIT], ident, payload, length=len(payload))
    return Made(seen, data)


def _as_records(made: Sequence[Made]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.void]]:
    """Return packets in a buffer, with their records."""
    buffer = np.frombuffer(bytearray().join(p.data for p in made), np.uint8)
    records = np.zeros(len(made), RECORD)
    sizes = np.array([len(p.data) for p in made], np.int64)
    records["captured"] = records["original"] = sizes
    records["offset"] = np.cumsum(sizes) - sizes
    records["linktype"] = _RAW
    records["number"] = [p.seen.number for p in made]
    records["time"] = [p.seen.time for p in made]
    records["interface"] = [p.seen.interface for p in made]
    return buffer, records
