"""Packets of one capture to windows of messages: the compiled path first, then what it deferred.

:func:`decode_window` takes every packet. Fragments, segments of streams that it cannot follow and
link layers for Scapy are resolved after it, in the order of the packets; each gives IP packets of
its own, which go through the same compiled path, and their rows are put among the others by packet
number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from pcapkit.ingest.capture.comments import CommentReader
from pcapkit.ingest.capture.decode import (
    AHEAD,
    BY_REASON,
    CUT_MESSAGES,
    EARLIEST,
    GONE_BACK,
    LATEST,
    SUMS,
    Decoded,
    Scratch,
    Tables,
    decode_window,
    port_table,
    sum_up,
)
from pcapkit.ingest.capture.kept import cut_out
from pcapkit.ingest.capture.late_rows import LateRows, join_rows, merge_late, split_rows
from pcapkit.ingest.capture.pcap import RECORD
from pcapkit.ingest.packet.encapsulation import RAW, unwrap
from pcapkit.ingest.packet.fields import (
    ADDRESS_BYTES,
    CAPTURED_END,
    DEFERRED_COLUMNS,
    DEFERRED_FACTS,
    DEFERRED_INDEX,
    FRAGMENT_OFFSET,
    HOP_LIMIT,
    INTERFACE_INDEX,
    IP_ID,
    LINK,
    PAYLOAD,
    PROTO_TCP,
    SOURCE,
    SOURCE_PORT,
    new_facts,
)
from pcapkit.ingest.packet.scapy_layers import KNOWN_LINK_TYPES, ip_packets
from pcapkit.ingest.reassembly.ip_fragments import WAIT_NS, Fragments, Made, Seen, ip_packet
from pcapkit.ingest.reassembly.tcp_segments import (
    JOINED_BYTES,
    LONGEST_SEGMENT,
    SHORTEST_FRAMED,
    STREAM,
)
from pcapkit.ingest.reassembly.tcp_streams import Streams
from pcapkit.ingest.skip_reasons import (
    ANSWER_UNREACHABLE,
    ENCAPSULATED,
    FRAGMENT,
    HELD,
    MALFORMED,
    NO_REASON,
    NOT_DNS,
    NOT_IP,
    QUERY_UNREACHABLE,
    SKIP_REASONS,
    TCP_RETRANSMISSION,
    TOO_MANY_HEADERS,
    UNKNOWN_LINK_TYPE,
)
from pcapkit.ingest.window import Capture, Interners, Kept, Unfinished, Unreachable, Window
from pcapkit.schema import MESSAGE, Bytes, Integers, Messages, Rows

_TCP_HEADER = bytes(8) + b"\x50\x10" + bytes(6)  # behind the ports
_ROUNDS = 4  # how often a packet made from others may need others itself
_NO_STREAMS = np.zeros(0, STREAM)
_NEVER = 1 << 62
Key = TypeVar("Key")
#: Messages in one packet at most. A segment for offload may be longer than any packet, and its
#: first message begun before.
_MOST_IN_ONE = LONGEST_SEGMENT // SHORTEST_FRAMED + 2
_NEW_ADDRESSES = 8192  # that one pass has space for


class Decoder:
    """Decodes the packets of one capture, in order."""

    def __init__(self, interners: Interners, capture: Capture, ports: frozenset[int]) -> None:
        self._interners = interners
        self._capture = capture
        self._ports = port_table(ports)
        before, capture.unfinished = capture.unfinished, None
        self._streams: Streams = before.streams if before else Streams(capture.limits)
        self._fragments: Fragments = before.fragments if before else Fragments(capture.limits)
        self._keeps = capture.keeps
        self._noted = capture.noted
        self._last_time, self._last_number = -_NEVER, 0  # of the packets so far
        self._before = -_NEVER  # time of the packet before
        self._deferred = np.zeros((0, DEFERRED_COLUMNS), np.int64)
        self._joined = np.zeros(JOINED_BYTES, np.uint8)
        self._queued: list[Window] = []
        self._elsewhere = np.zeros(1 << 16, np.int64)
        self._comments = CommentReader(interners)
        self._unreachable = Unreachable()

    def windows(self, buffer: Bytes, records: Rows, options: Rows) -> Iterator[Window]:
        """Decode records, in more than one window where messages outnumber packets.

        ``options`` (pcap.OPTIONS) are those of the packets that have comments.
        """
        for part, rows, reasons, deferred in self._passes(buffer, records, self._streams.table):
            latest = np.maximum(np.maximum.accumulate(part["time"]), self._last_time)
            if self._keeps:
                self._note_unreachable(buffer, reasons, deferred)
                kept = self._keep(buffer, part, reasons, options, latest)
                window = self._window(part, rows, reasons, LateRows())
                window.kept = kept
            else:
                window = self._decoded(buffer, part, rows, reasons, deferred, latest)
            if options.size:
                self._comments.own(window.messages, buffer, part, options)
            yield from self._queue(window)

    def go_on(self, window: Window) -> Iterator[Window]:
        """Take a window of which all is decoded but what it kept, and decode that.

        So the windows of a capture that were decoded apart, in parts of it even, become what they
        are when they are decoded together.
        """
        noted = self._noted  # of all packets already, but for what decoding these adds
        seen = noted.first_time, noted.last_time, noted.gone_back
        last = self._last_time
        if window.last_time is not None:
            last = max(last, window.last_time)
        windows = [window]
        if (kept := window.kept) is not None:
            buffer, records, options, latest = kept
            latest = np.maximum(latest, self._last_time)
            passes = self._passes(buffer, records, self._streams.table)
            for part, rows, reasons, deferred in passes:
                times, latest = latest[: part.size], latest[part.size :]
                more = self._decoded(buffer, part, rows, reasons, deferred, times)
                if options.size:
                    self._comments.own(more.messages, buffer, part, options)
                windows.append(more)
        if self._fragments.waiting:
            windows.append(self._settled(last, window.numbers[1]))
        window.kept = None
        noted.first_time, noted.last_time, noted.gone_back = seen
        self._last_time = last
        self._last_number = window.numbers[1]
        yield from self._queue(join_rows(windows))

    def _decoded(
        self,
        buffer: Bytes,
        part: Rows,
        rows: Messages,
        reasons: Bytes,
        deferred: Integers,
        latest: Integers,
    ) -> Window:
        """Return the window of some packets, once all that was deferred is resolved.

        ``latest`` (int64, one a packet) is the latest time of all packets up to each.
        """
        late = LateRows()
        unknown = bool((reasons == UNKNOWN_LINK_TYPE).any())
        if deferred.size or unknown or self._fragments.waiting:
            self._note_unreachable(buffer, reasons, deferred)
            made, whole = self._assemble(buffer, part, reasons, deferred, latest, hold=True)
            if unknown:
                made += self._dissect(buffer, part, reasons)
            self._resolve(made, whole, late)
            number = int(part["number"][-1])
            self._resolve(self._fragments.settle(int(latest[-1]), number), [], late)
            self._streams.give_back()
        return self._window(part, rows, reasons, late)

    def _keep(
        self, buffer: Bytes, records: Rows, reasons: Bytes, options: Rows, latest: Integers
    ) -> Kept | None:
        """Return the packets that cannot be decoded alone; from now on they are held."""
        unknown = np.flatnonzero(reasons == UNKNOWN_LINK_TYPE)
        kept = (reasons == HELD) | (reasons == FRAGMENT)
        for index in unknown.tolist():
            linktype = int(records["linktype"][index])
            if linktype in KNOWN_LINK_TYPES and records["captured"][index]:
                kept[index] = True
            elif linktype in KNOWN_LINK_TYPES:
                reasons[index] = NOT_IP
            else:
                _count(self._noted.unknown, linktype, 1)
        if not kept.any():
            return None
        reasons[kept] = HELD
        return cut_out(buffer, records[kept], options, latest[kept])

    def finish(self) -> Iterator[Window]:
        """Give what was still waiting, and note what is to be known of the whole.

        Where another capture goes on from here, what waits for its packets is left to it.
        """
        following = self._capture.followed_at
        if following is not None and 0 <= following - self._last_time <= WAIT_NS:
            held = self._fragments.leave(self._last_number)
            self._capture.unfinished = Unfinished(self._streams, held, self._last_number)
        self._queued.append(self._settled(_NEVER, _NEVER))
        window = join_rows(self._queued)
        if window.packets:
            yield window
        for port in np.flatnonzero(self._elsewhere).tolist():
            _count(self._noted.elsewhere, port, int(self._elsewhere[port]))
        if not self._keeps:
            self._capture.left_out.update(self._noted.elsewhere)
            if (damage := self._capture.damage) is not None:
                read = f"analysed up to there ({self._last_number} packets)"
                self._capture.warnings.append(f"{self._capture.path}: {damage}; {read}")

    def _queue(self, window: Window) -> Iterator[Window]:
        """Yield ``window`` and those that wait, but no row behind a packet that is held.

        So that rows stay in the order of packets; they wait no longer than fragments do.
        """
        self._queued.append(window)
        held = self._fragments.held
        if held is None or held > self._queued[0].numbers[0]:
            whole = join_rows(self._queued)
            self._queued = []
            if held is not None and held <= whole.numbers[1]:
                whole, rest = split_rows(whole, held)
                self._queued = [rest]
            yield whole

    def _settled(self, time: int, number: int) -> Window:
        """Return what packets show by themselves that have waited too long.

        At ``time``, the latest up to packet ``number``.
        """
        late = LateRows()
        self._resolve(self._fragments.settle(time, number), [], late)
        return self._window(np.zeros(0, RECORD), np.zeros(0, MESSAGE), np.zeros(0, np.uint8), late)

    def _passes(
        self, buffer: Bytes, records: Rows, streams: Rows
    ) -> Iterator[tuple[Rows, Messages, Bytes, Integers]]:
        """Yield records, their rows, a reason for each, and what was deferred, until all are done.

        What was deferred is overwritten by the next pass.
        """
        if self._deferred.shape[0] < records.size:
            self._deferred = np.zeros((records.size, DEFERRED_COLUMNS), np.int64)
        done = 0
        while done < records.size:
            part, rows, reasons, deferred = self._pass(buffer, records[done:], streams)
            done += part.size
            inside = np.flatnonzero(reasons == ENCAPSULATED)
            if inside.size:
                rows, deferred = self._unwrap(
                    buffer, part, inside, rows, reasons, deferred.copy(), streams
                )
            yield part, rows, reasons, deferred

    def _pass(
        self, buffer: Bytes, records: Rows, streams: Rows
    ) -> tuple[Rows, Messages, Bytes, Integers]:
        """Return the records that fitted into one pass, and what became of them."""
        names, addresses = self._interners.names, self._interners.addresses
        rows = np.empty(records.size + _MOST_IN_ONE, MESSAGE)
        names.reserve(_MOST_IN_ONE, _MOST_IN_ONE * 255)
        addresses.reserve(_NEW_ADDRESSES, _NEW_ADDRESSES * 16)
        reasons = np.zeros(records.size, np.uint8)
        filled, used, deferred = decode_window(
            buffer,
            records,
            Tables(self._ports, streams, names.arrays, addresses.arrays, self._keeps),
            Decoded(rows, reasons, self._deferred, self._elsewhere),
            Scratch(
                new_facts(self._capture.limits.tunnel_layers),
                np.zeros(256, np.uint8),
                self._joined,
                np.zeros(AHEAD, np.uint64),
                np.zeros(AHEAD, np.int64),
            ),
        )
        return records[:used], rows[:filled], reasons[:used], self._deferred[:deferred]

    def _unwrap(
        self,
        buffer: Bytes,
        records: Rows,
        index: Integers,
        rows: Messages,
        reasons: Bytes,
        deferred: Integers,
        streams: Rows,
    ) -> tuple[Messages, Integers]:
        """Decode what the records at ``index`` have inside; return all rows, all deferred."""
        inner = records[index]
        links = np.zeros(index.size, np.int64)
        found = np.zeros(index.size, np.uint8)
        seed = self._interners.names.arrays.seed[1]
        unwrap(
            buffer,
            inner,
            self._ports,
            seed,
            found,
            links,
            new_facts(self._capture.limits.tunnel_layers),
            np.zeros(2, np.int64),
        )
        reasons[index] = found
        goes_on = found == NO_REASON
        inner, index, links = inner[goes_on], index[goes_on], links[goes_on]
        all_rows, all_deferred = [rows], [deferred]
        while inner.size:
            part, rows, found, deferred = self._pass(buffer, inner, streams)
            reasons[index[: part.size]] = np.where(found == ENCAPSULATED, NOT_DNS, found)
            order = np.argsort(part["number"], kind="stable")
            position = np.searchsorted(part["number"][order], rows["packet_no"])
            rows["link"] = links[order[position]].view(np.uint64)
            deferred = deferred.copy()
            deferred[:, DEFERRED_FACTS + LINK] = links[deferred[:, DEFERRED_INDEX]]
            deferred[:, DEFERRED_INDEX] = index[deferred[:, DEFERRED_INDEX]]
            all_rows.append(rows)
            all_deferred.append(deferred)
            inner, index, links = inner[part.size :], index[part.size :], links[part.size :]
        deferred = np.concatenate(all_deferred)
        return merge_late(all_rows), deferred[
            np.argsort(deferred[:, DEFERRED_INDEX], kind="stable")
        ]

    def _note_unreachable(self, buffer: Bytes, reasons: Bytes, deferred: Integers) -> None:
        """Count ICMP messages about DNS by the addresses that they quote."""
        index = deferred[:, DEFERRED_INDEX]
        of_icmp = (reasons[index] == QUERY_UNREACHABLE) | (reasons[index] == ANSWER_UNREACHABLE)
        for row in deferred[of_icmp].tolist():
            facts = row[DEFERRED_FACTS:]
            quoted = buffer[facts[SOURCE] : facts[SOURCE] + 2 * facts[ADDRESS_BYTES]].tobytes()
            self._unreachable.note(SKIP_REASONS[reasons[row[DEFERRED_INDEX]]], quoted)

    def _assemble(
        self,
        buffer: Bytes,
        records: Rows,
        reasons: Bytes,
        deferred: Integers,
        latest: Integers,
        *,
        hold: bool,
    ) -> tuple[list[Made], list[Made]]:
        """Return datagrams and, apart from them, TCP messages that the packets complete.

        ``latest`` (int64, one a record) is the latest time of all packets up to each.
        """
        made: list[Made] = []
        whole: list[Made] = []
        view = memoryview(buffer)  # type: ignore[arg-type]
        indexes = deferred[:, DEFERRED_INDEX]
        order = ("number", "time", "interface")
        columns = [records[name][indexes].tolist() for name in order]
        columns.append(latest[indexes].tolist())
        for row, number, time, interface, now in zip(deferred.tolist(), *columns, strict=True):
            index, facts = row[DEFERRED_INDEX], row[DEFERRED_FACTS:]
            if reasons[index] in (QUERY_UNREACHABLE, ANSWER_UNREACHABLE):
                continue
            self._noted.slow += 1
            if facts[INTERFACE_INDEX] >= 0:
                interface = facts[INTERFACE_INDEX]
            seen = Seen(number, time, interface, facts[LINK])
            addresses = bytes(view[facts[SOURCE] : facts[SOURCE] + 2 * facts[ADDRESS_BYTES]])
            data = bytes(view[facts[PAYLOAD] : facts[CAPTURED_END]])
            if reasons[index] == FRAGMENT:
                datagram = self._fragments.add(seen, addresses, facts, data, now, hold=hold)
                if datagram is not None:
                    made.append(datagram)
                elif hold and facts[FRAGMENT_OFFSET] == 0:
                    reasons[index] = HELD
                continue
            ports = facts[SOURCE_PORT] << 16 | facts[SOURCE_PORT + 1]
            messages, new = self._streams.add(time, addresses, ports, facts, data)
            if reasons[index] == NO_REASON:
                continue  # its messages have been decoded
            if messages:
                whole.append(_segment(seen, addresses, ports, facts, messages))
            elif not new:
                reasons[index] = TCP_RETRANSMISSION
        return made, whole

    def _dissect(self, buffer: Bytes, records: Rows, reasons: Bytes) -> list[Made]:
        """Hand packets of link types that are not known here to Scapy."""
        made = []
        for index in np.flatnonzero(reasons == UNKNOWN_LINK_TYPE).tolist():
            record = records[index]
            linktype, offset = int(record["linktype"]), int(record["offset"])
            if linktype in KNOWN_LINK_TYPES and not record["captured"]:
                reasons[index] = NOT_IP
                continue
            if linktype not in KNOWN_LINK_TYPES:
                _count(self._noted.unknown, linktype, 1)
                continue
            if self._noted.dissected >= self._capture.limits.dissected_packets:
                _count(self._noted.beyond, "dissected_packets", 1)
                continue
            self._noted.dissected += 1
            self._noted.slow += 1
            found = ip_packets(linktype, buffer[offset : offset + record["captured"]].tobytes())
            reasons[index] = MALFORMED if found is None else NOT_IP
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
            for part, rows, reasons, deferred in self._passes(buffer, records, self._streams.table):
                datagrams, segments = self._assemble(
                    buffer, part, reasons, deferred, part["time"], hold=False
                )
                again += datagrams
                whole = whole + segments
                late.add(made[: part.size], rows, reasons)
                made = made[part.size :]
            made = again
        buffer, records = _as_records(whole)
        for part, rows, reasons, _ in self._passes(buffer, records, _NO_STREAMS):
            late.add(whole[: part.size], rows, reasons)
            whole = whole[part.size :]

    def _note_limits(self, skipped: Mapping[str, int]) -> None:
        """Note what was given up since the last time, because there is more than limits allow."""
        beyond = self._noted.beyond
        if packets := skipped[SKIP_REASONS[TOO_MANY_HEADERS]]:
            _count(beyond, "tunnel_layers", packets)
        for given_up in (self._streams.given_up, self._fragments.given_up):
            for name, count in given_up.items():
                _count(beyond, name, count)
            given_up.clear()

    def _window(self, records: Rows, rows: Messages, reasons: Bytes, late: LateRows) -> Window:
        """Put together what the compiled path and the slow one found."""
        numbers = records["number"]
        earlier: Counter[str] = Counter()
        packets = records.size
        for number, reason in late.reasons.items():
            at = int(np.searchsorted(numbers, number))
            if at < numbers.size and numbers[at] == number:
                reasons[at] = reason
            else:  # held by an earlier window
                packets += 1
                earlier[SKIP_REASONS[reason]] += 1
        released = self._fragments.take_released()
        earlier[SKIP_REASONS[FRAGMENT]] += released
        rows = late.merge(rows)
        counted = np.zeros(SUMS, np.int64)
        sum_up(records, reasons, rows, self._before, counted)
        sums = counted.tolist()
        packets += released - sums[BY_REASON + HELD]
        skipped = Counter(dict(zip(SKIP_REASONS, sums[BY_REASON:], strict=True))) + earlier
        del skipped[""]
        noted, ends = self._noted, (0, 0)
        first_time, last_time = None, None
        if records.size:
            first_time, last_time = sums[EARLIEST], sums[LATEST]
            ends = int(numbers[0]), int(numbers[-1])
            if noted.first_time is None:
                noted.first_time = int(records["time"][0])
            self._before = noted.last_time = int(records["time"][-1])
            self._last_time = max(self._last_time, sums[LATEST])
            self._last_number = ends[1]
        noted.packets += packets
        noted.messages += rows.size
        noted.cut += sums[CUT_MESSAGES]
        noted.gone_back += sums[GONE_BACK]
        self._note_limits(skipped)
        unreachable = self._unreachable.take()
        return Window(
            rows, packets, dict(skipped), first_time, last_time, unreachable, numbers=ends
        )


def _count(counts: dict[Key, int], key: Key, more: int) -> None:
    counts[key] = counts.get(key, 0) + more


def _segment(seen: Seen, addresses: bytes, ports: int, facts: list[int], messages: bytes) -> Made:
    """Return a packet with TCP messages that are whole."""
    payload = ports.to_bytes(4, "big") + _TCP_HEADER + messages
    ident = max(facts[IP_ID], 0)
    data = ip_packet(addresses, PROTO_TCP, facts[HOP_LIMIT], ident, payload, length=len(payload))
    return Made(seen, data)


def _as_records(made: Sequence[Made]) -> tuple[Bytes, Rows]:
    """Return packets in a buffer, with their records."""
    buffer = np.frombuffer(bytearray().join(p.data for p in made), np.uint8)
    records = np.zeros(len(made), RECORD)
    sizes = np.array([len(p.data) for p in made], np.int64)
    records["captured"] = records["original"] = sizes
    records["offset"] = np.cumsum(sizes) - sizes
    records["linktype"] = RAW
    records["number"] = [p.seen.number for p in made]
    records["time"] = [p.seen.time for p in made]
    records["interface"] = [p.seen.interface for p in made]
    return buffer, records
