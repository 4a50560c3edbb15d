"""Collect: read captures window by window and keep what reading needs.

Decoding runs one or two windows ahead of pairing, in a thread of its own. What is kept is facts
only: exchanges (in ``exchanges/store.py``), counts, and, where asked for, the message rows.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit import codes
from pcapkit.addresses import address_text
from pcapkit.analysis.exchanges.store import Store
from pcapkit.analysis.timing import LONGEST_TIMEOUT_NS
from pcapkit.cluster.pods import Pod
from pcapkit.concurrency import ahead, close
from pcapkit.errors import DamagedCapture, UsageError
from pcapkit.ingest.capture.noted import warnings_of as noted_warnings
from pcapkit.ingest.duplicates import (
    COUNTS,
    MESSAGES,
    OVER_TCP,
    PACKETS_NOT_REPEATED,
    PACKETS_WITH_MESSAGES,
    RCODES,
    RESPONSES,
    TRUNCATED,
    DuplicateFilter,
    count_moved,
)
from pcapkit.ingest.hops import HopFilter
from pcapkit.ingest.inputs.formats import open_capture
from pcapkit.ingest.inputs.patterns import warn_of_files
from pcapkit.ingest.inputs.sequence import open_in_order
from pcapkit.ingest.window import (
    CLOCKLESS_STEP_NS,
    Capture,
    Ends,
    Interners,
    Noted,
    Unfinished,
    Window,
)
from pcapkit.model.captures import CaptureInfo, MessageCounts, PacketLedger
from pcapkit.names.text import text_from_wire
from pcapkit.pipeline.hooks import Progress
from pcapkit.pipeline.kept import KeptMessages
from pcapkit.pipeline.options import Options
from pcapkit.pipeline.selection import Wanted
from pcapkit.schema import Messages

#: Called after every window with what is collected so far, and what is known of the capture that
#: is being read; see :meth:`Collected.snapshot`.
Watch = Callable[["Collected", CaptureInfo], None]


@dataclass(slots=True)
class Collected:
    """All that collecting keeps of the captures of one analysis."""

    interners: Interners = field(default_factory=Interners)
    store: Store = field(default_factory=Store)
    captures: list[CaptureInfo] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    packets: int = 0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(COUNTS, np.int64))
    warnings: list[str] = field(default_factory=list)
    pods: dict[bytes, Pod] = field(default_factory=dict)  # by packed address
    has_clock: bool = True
    #: packets that look like DNS messages, by ports that are not read
    left_out: Counter[int] = field(default_factory=Counter)
    #: packets seen again with another server address, by the ids of both
    translations: Counter[tuple[int, int]] = field(default_factory=Counter)
    #: ICMP messages about DNS, by whom they concern
    unreachable: Counter[Ends] = field(default_factory=Counter)
    #: queries that a forwarder on the host passed on, by the ids of its address and of the next
    hops: Counter[tuple[int, int]] = field(default_factory=Counter)
    #: queries that were captured at two places of their way
    moved: int = 0
    #: message rows by capture with what they repeat, where they were asked for
    kept: KeptMessages = field(default_factory=lambda: KeptMessages())
    keeps_messages: bool = False

    def name(self, number: int) -> str:
        """Return a name in presentation form."""
        return text_from_wire(self.interners.names[number])

    def address(self, number: int) -> str:
        """Return an address, or the name that stands for one, as text."""
        return address_text(self.interners.addresses[number])

    def snapshot(self, reading: CaptureInfo) -> Collected:
        """Return a copy that can be read while collecting goes on; ``reading`` counts as done."""
        return replace(
            self,
            interners=self.interners.copy(),
            store=self.store.snapshot(),
            captures=[*self.captures, reading],
            skipped=self.skipped.copy(),
            unreachable=self.unreachable.copy(),
            counts=self.counts.copy(),
            warnings=list(self.warnings),
            translations=self.translations.copy(),
            hops=self.hops.copy(),
            has_clock=self.has_clock and reading.first_time is not None,
        )

    @property
    def with_messages(self) -> int:
        """Packets that carry a message seen for the first time."""
        return int(self.counts[PACKETS_NOT_REPEATED])

    @property
    def duplicates(self) -> int:
        """Packets whose messages were all captured before."""
        return int(self.counts[PACKETS_WITH_MESSAGES]) - self.with_messages

    @property
    def ledger(self) -> PacketLedger:
        """Every packet, counted once."""
        return PacketLedger(
            self.packets, self.with_messages, self.duplicates, dict(sorted(self.skipped.items()))
        )

    @property
    def message_counts(self) -> MessageCounts:
        """The messages, duplicates left out."""
        total, responses = int(self.counts[MESSAGES]), int(self.counts[RESPONSES])
        rcodes = np.flatnonzero(self.counts[RCODES:])
        return MessageCounts(
            total,
            total - responses,
            responses,
            int(self.counts[OVER_TCP]),
            int(self.counts[TRUNCATED]),
            {codes.rcode_text(int(r)): int(self.counts[RCODES + r]) for r in rcodes},
        )


def collect(
    paths: Sequence[str],
    *,
    options: Options | None = None,
    keep_messages: bool = False,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    watch: Watch | None = None,
    store: Store | None = None,
) -> Collected:
    """Read every capture, in the order of their first packets, into one collection.

    Once ``stop`` is set, what came until then is all that is read. ``watch`` is called after every
    window. ``store`` takes the exchanges. Raises InputError where a capture cannot be read.
    """
    options = options or Options()
    ports = options.ports | {53}
    out = Collected(store=store or Store())

    def captures() -> Iterator[Capture]:
        for source in open_in_order(
            paths, ports=ports, warnings=out.warnings, limits=options.limits
        ):
            with source:
                yield open_capture(source, out.interners, ports=ports)
                if (change := source.change()) is not None:
                    out.warnings.append(f"{source.path}: {change}")

    return collect_captures(
        captures(),
        out,
        options=options,
        keep_messages=keep_messages,
        progress=progress,
        stop=stop,
        watch=watch,
    )


def collect_captures(
    captures: Iterator[Capture],
    out: Collected,
    *,
    options: Options,
    keep_messages: bool = False,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    watch: Watch | None = None,
) -> Collected:
    """Read captures, each before the next is opened, into ``out``; see :func:`collect`."""
    out.keeps_messages = keep_messages
    collector = _Collector(out, options, progress, stop, watch)
    for index, capture in enumerate(captures):
        collector.read(capture, index)
        if stop is not None and stop.is_set():
            out.warnings.append(f"{capture.path}: interrupted; analysed up to there")
            break
    close(captures)
    if collector.unreadable and len(collector.unreadable) == len(out.captures):
        raise collector.unreadable[0]
    if len(out.captures) > 1:
        without_packets = [c.path for c in out.captures if not c.packets]
        warn_of_files(without_packets, "there is no packet in it", out.warnings)
    out.warnings += noted_warnings(collector.noted, options.limits)
    out.skipped.update(collector.wanted.skipped)
    out.warnings += collector.wanted.warnings()
    out.store.seal()
    return out


class _Collector:
    """Takes the windows of one capture after another."""

    def __init__(
        self,
        out: Collected,
        options: Options,
        progress: Progress | None,
        stop: threading.Event | None,
        watch: Watch | None,
    ) -> None:
        self._out, self._progress = out, progress
        self._stop, self._watch = stop, watch
        self.wanted = Wanted(options, out.interners)
        self._duplicates, self._hops = DuplicateFilter(), HopFilter()
        out.hops = self._hops.hops
        out.counts = self._duplicates.counts
        self._clockless_ns = 0
        #: what the capture before the one that is read left to it
        self._unfinished: Unfinished | None = None
        #: what is to be known of each packet capture, by its path
        self.noted: list[tuple[str, Noted]] = []
        #: captures so damaged that nothing of them could be read
        self.unreadable: list[DamagedCapture] = []

    def read(self, capture: Capture, index: int) -> None:
        """Read one capture to its end."""
        out, before = self._out, self._out.packets
        times: list[int] = []
        capture.unfinished = self._unfinished
        with ahead(_folded(capture, out.interners), stop=self._stop) as windows:
            for window, folded in windows:
                out.packets += window.packets
                if not capture.has_clock:  # such captures follow one another, in the order given
                    window.messages["time"] += self._clockless_ns
                if window.first_time is not None and window.last_time is not None:
                    times += [window.first_time, window.last_time]
                self._add(window, folded, index)
                if self._progress is not None:
                    self._progress(capture.path, capture.bytes_read, out.packets)
                if self._watch is not None:
                    self._watch(out, _info(capture, out.packets - before, times))
        packets = out.packets - before
        self._unfinished = capture.unfinished
        if not capture.has_clock and self.wanted.timed:
            raise UsageError(f"{capture.path}: has no times: --from and --to say nothing about it")
        if not capture.has_clock:
            self._clockless_ns += packets * CLOCKLESS_STEP_NS + LONGEST_TIMEOUT_NS
        if capture.damage and not packets:
            self.unreadable.append(
                DamagedCapture(capture.path, f"{capture.damage}; no packet could be read")
            )
        out.has_clock &= capture.has_clock
        out.warnings += capture.warnings
        if not capture.keeps:
            self.noted.append((capture.path, capture.noted))
        out.pods = capture.pods | out.pods
        out.left_out.update(capture.left_out)
        out.captures.append(_info(capture, packets, times))

    def _add(self, window: Window, folded: npt.NDArray[np.int32], index: int) -> None:
        out = self._out
        rows = self.wanted.keep(window.messages)
        out.skipped.update(window.skipped)
        for ends, packets in window.unreachable.items():
            if self.wanted.holds(ends.client):
                out.unreachable[ends] += packets
        if self._unfinished is not None:
            # Packets of the capture before that waited for this one have numbers below 1.
            early = int(np.searchsorted(rows["packet_no"], 1))
            rows["packet_no"][:early] += self._unfinished.packets
            if early:
                self._add_rows(rows[:early], folded, index - 1)
                rows = rows[early:]
        self._add_rows(rows, folded, index)

    def _add_rows(self, rows: Messages, folded: npt.NDArray[np.int32], index: int) -> None:
        out = self._out
        marked = self._duplicates.mark(rows)
        original, moved = marked.original, count_moved(rows, marked)
        out.translations.update(moved.translations)
        out.moved += moved.packets
        left_out = self._hops.mark(rows, original, folded, out.interners.addresses)
        out.store.add(rows, left_out, folded, capture=index)
        if out.keeps_messages:
            out.kept.add(index, rows, original)


def _info(capture: Capture, packets: int, times: Sequence[int]) -> CaptureInfo:
    clock = capture.has_clock and bool(times)
    return CaptureInfo(
        capture.path,
        capture.format,
        capture.compression,
        tuple(codes.linktype_text(t) for t in capture.link_types),
        capture.snaplen,
        packets,
        capture.bytes_read,
        min(times) if clock else None,
        max(times) if clock else None,
        capture.truncated_tail,
    )


def _folded(capture: Capture, interners: Interners) -> Iterator[tuple[Window, Any]]:
    """Give each window with the folded form of every name so far.

    Names are numbered here, where windows are decoded, and nowhere else while collecting.
    """
    try:
        for window in capture.windows:
            yield window, interners.fold()
    finally:
        close(capture.windows)
