"""Sources that are lines of text, read: the messages in them gathered into windows.

A line is the packet of such a source: each one that is not blank and no decoration is counted, and
carries messages or is skipped for a named reason. The form of the first line that has one is the
source's; what other programs printed is passed over and counted, and changes nothing for the lines
around it. Lines of a form's usual shape are read many at a time, by compiled code; the others, and
the first one, by a reader that knows every shape. Both give the same rows.

Where lines show no time, the messages of each client are counted instead, 1,000 ns apart: other
clients' lines between them do not tear its walks apart.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from importlib import import_module
from typing import cast

import numpy as np

from pcapkit.ingest.inputs.formats import LINE_CHARACTERS, Format, not_a_capture
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.inputs.wrappings import Line
from pcapkit.ingest.logs.blocks.blocks import BLOCK_BYTES, Block, blocks
from pcapkit.ingest.logs.blocks.filled import BlockReader, Span, Streams, Taken
from pcapkit.ingest.logs.blocks.talks import Talks
from pcapkit.ingest.logs.lines import LineMessage, LineReader, Shared
from pcapkit.ingest.logs.reading.passing import Passing
from pcapkit.ingest.logs.reading.rows import Gathered
from pcapkit.ingest.window import CLOCKLESS_STEP_NS, Capture, Ends, Interners, Window
from pcapkit.limits import crossed
from pcapkit.schema import QR, Ids, Integers

WINDOW_LINES = 1 << 15
_JOINED_LINES = 1 << 17  # of several logs behind one another, that are put in order together
_HINFO = 13
_PROBES = 1 << 16  # that are remembered
_HEAD_BYTES = 1 << 16
_WORTH_COMPILING = 1 << 17  # lines
_MOST_IN_LINE = 2  # messages that a compiled reader finds in a line
_SHORTEST_LINE = 40  # bytes


class _Probes:
    """Knows CoreDNS' question to itself: HINFO of two random numbers, asked by its plugin loop."""

    def __init__(self) -> None:
        self._asked: set[tuple[bytes, int, int | None]] = set()
        #: by message ID: may a response with it be one to such a question?
        self.ids = np.zeros(1 << 16, np.uint8)

    def holds(self, messages: Sequence[LineMessage]) -> bool:
        """Is this such a question, or the response to one?"""
        for m in messages:
            key = m.client, m.client_port, m.message_id
            if m.qname is None:
                if not (self._asked and m.flags & QR and key in self._asked):
                    return False
            elif m.qtype != _HINFO or not is_own_probe(m.qname):
                return False
            elif len(self._asked) < _PROBES:
                self._asked.add(key)
                self.ids[m.message_id or 0] = 1
        return True


def is_own_probe(wire: bytes) -> bool:
    """Is a name two labels of digits, as CoreDNS' plugin loop makes them?"""
    first = wire[0]
    second = wire[first + 1] if len(wire) > first + 1 else 0
    whole = len(wire) == first + second + 3
    labels = wire[1 : first + 1], wire[first + 2 : first + 2 + second]
    return whole and all(len(v) >= 5 and v.isdigit() for v in labels)


def read_text(
    source: Source,
    interners: Interners,
    *,
    ports: frozenset[int],
    form: Format | None,
    block_bytes: int = BLOCK_BYTES,
    compiled: bool | None = None,
) -> Capture:
    """Return the capture behind printed lines; ``form`` is theirs, None where it must be found.

    So many bytes are read at a time. Lines of the usual shape are read many at a time where that is
    ``compiled``; where it is not yet, once the source is long enough to be worth it. The rows are
    the same.
    """
    name = "text" if form is None else form.name
    capture = Capture(source.path, name, source.compression, iter(()))
    gatherer = _Gatherer(source, interners, capture, ports, compiled=compiled)
    capture.windows = gatherer.windows(form, block_bytes)
    return capture


class _Gatherer:
    """Gathers what a reader says of the lines of one source."""

    def __init__(
        self,
        source: Source,
        interners: Interners,
        capture: Capture,
        ports: frozenset[int],
        *,
        compiled: bool | None,
    ) -> None:
        self._source, self._interners, self._capture = source, interners, capture
        self._ports, self._compiled = ports, compiled
        self._lines = Passing(None)
        self._reader: LineReader | None = None
        self._talks, self._probes = Talks(), _Probes()
        self._streams = Streams()
        self._places: dict[object, int] = {None: 0}
        self._counted = np.zeros(0, np.int64)  # by client: its last time, where there is no clock
        self._timed: bool | None = None
        self._not_understood = self._first_not_understood = 0
        self._gathered = self._fresh(0)
        self._done = 0

    def windows(self, form: Format | None, block_bytes: int) -> Iterator[Window]:
        """Yield windows, and set the capture's fields accordingly.

        The first message decides whether there is a clock: later lines without a time are then
        skipped. What the whole rests on is added to the capture's warnings at the end.
        """
        head = self._source.peek(_HEAD_BYTES)
        self._lines = Passing(form)
        for block in blocks(self._source, block_bytes):
            yield from self._block(block)
        for line in self._lines.end():
            yield from self._line(line)
        if self._lines.form is None:
            raise not_a_capture(self._source.path, head)
        reader = self._of_form()
        for line in reader.rest():
            yield from self._unit(reader, line)
        self._pass_over(self._lines.taken())
        last = self._window(reader)
        self._close(reader, self._done)
        if last.packets:
            yield last

    def _block(self, block: Block) -> Iterator[Window]:
        at = 0
        while at < block.size:
            stop = block.size
            if self._compiled is False:
                pass
            elif self._timed is not None and not self._lines.is_open:
                reader = self._of_form()
                if reader.blocks is not None and self._pays(reader.blocks):
                    at, stop = yield from self._many(reader, reader.blocks, block, at)
            else:
                stop = block.raw.find(b"\n", at, block.size) + 1 or block.size
            for raw in self._lines.raw_lines(block.raw, at, stop):
                for line in self._lines.push(raw):
                    yield from self._line(line)
            at = stop

    def _pays(self, many: BlockReader) -> bool:
        """Do lines of the usual shape take longer one by one than to compile their reader?"""
        if self._compiled is None:
            lines = self._done + self._gathered.lines
            self._compiled = True if many.is_compiled or lines >= _WORTH_COMPILING else None
        return bool(self._compiled)

    def _many(
        self, reader: LineReader, many: BlockReader, block: Block, at: int
    ) -> Generator[Window, None, tuple[int, int]]:
        """Read lines of the usual shape; return from where to where there are none."""
        if reader.held is not None:
            looked_at = self._take(many, block, at, 0)
            if looked_at.passing:
                return at, looked_at.at
            for line in reader.rest():
                yield from self._unit(reader, line)
        self._pass_over(self._lines.taken())
        # What the first message of a window says decides how long it may be.
        gathered = self._gathered
        most = 1 if gathered.is_empty else max(self._most_lines() - gathered.lines, 1)
        taken = self._take(many, block, at, most)
        if taken.passing:
            return at, taken.at
        if taken.lines:
            gathered.lines += taken.lines
            gathered.used += taken.rows
            last = max(block.raw.rfind(b"\n", at, taken.at - 1) + 1, at)
            self._lines.went_by(taken.lines, bytes(memoryview(block.raw)[last : taken.at]))
            reader.went_by()
            if self._is_full():
                yield self._window(reader)
        return taken.at, taken.at

    def _take(self, many: BlockReader, block: Block, at: int, most: int) -> Taken:
        gathered = self._gathered
        rows = _MOST_IN_LINE * min(most, (block.size - at) // _SHORTEST_LINE + 1)
        filled = gathered.space(rows)
        number = self._done + gathered.lines + 1
        timed, stream = bool(self._timed), self._lines.stream
        span = Span(at, block.size, gathered.used, number, most, timed, stream)
        return many.read(block.array, span, filled)

    def _line(self, line: Line) -> Iterator[Window]:
        reader = self._of_form()
        whole = reader.units(line)
        if reader.is_full:
            self._lines.leave_out()
        if line is reader.held or any(unit is line for unit in whole):
            line.passed = self._lines.taken()
        for unit in whole:
            yield from self._unit(reader, unit)

    def _unit(self, reader: LineReader, line: Line) -> Iterator[Window]:
        self._pass_over(line.passed)
        self._gathered.lines += 1
        self._add(reader, line)
        if self._is_full():
            yield self._window(reader)

    def _of_form(self) -> LineReader:
        """Return the reader of the form that was found."""
        if self._reader is None:
            form = cast(Format, self._lines.form)
            self._capture.format = form.name
            module = import_module(f"pcapkit.ingest.{form.module}")
            reader = getattr(module, form.reader)(self._ports, self._capture.pods)
            self._reader = cast(LineReader, reader)
            self._reader.share(
                Shared(
                    self._interners,
                    self._streams,
                    self._places,
                    self._probes.ids,
                    self._source.limits,
                )
            )
        return self._reader

    def _fresh(self, rows: int) -> Gathered:
        return Gathered(self._interners, self._streams, self._places, rows)

    def _most_lines(self) -> int:
        return _JOINED_LINES if self._gathered.is_of_stream else WINDOW_LINES

    def _is_full(self) -> bool:
        return self._gathered.lines >= WINDOW_LINES and (self._gathered.lines >= self._most_lines())

    def _add(self, reader: LineReader, line: Line) -> None:
        gathered = self._gathered
        try:
            if len(line.text) > max(LINE_CHARACTERS, self._source.limits.continuation_characters):
                found: Sequence[LineMessage] | Ends | str | None = "text_not_understood"
            else:
                found = reader.read(line)
                gathered.span(reader.time)
        except (ValueError, OverflowError):
            found = "text_not_understood"
            gathered.span(reader.time)
        if isinstance(found, Ends):
            gathered.unreachable.count(found)
            found = found.reason
        if found is None:
            self._lines.pass_over(line.text.encode("utf-8", "replace"), line.number)
            found = "other_event"
        if not isinstance(found, str):
            if self._probes.holds(found):
                found = "own_probe"
            else:
                if self._timed is None:
                    self._timed = self._capture.has_clock = found[0].time is not None
                if self._timed and any(m.time is None for m in found):
                    found = "text_not_understood"
        if isinstance(found, str):
            if found == "text_not_understood":
                self._not_understood += 1
                self._first_not_understood = self._first_not_understood or line.number
            gathered.skipped[found] += 1
            return
        if not self._timed:
            for message in found:
                message.content = None  # without a clock nothing tells a copy from a resend
        gathered.add(found, self._done + gathered.lines)

    def _pass_over(self, passed: int) -> None:
        if passed:
            self._gathered.lines += passed
            self._gathered.skipped["other_event"] += passed

    def _window(self, reader: LineReader) -> Window:
        self._capture.bytes_read = self._source.stored_bytes_read
        gathered = self._gathered
        self._gathered = self._fresh(gathered.used)
        self._done += gathered.lines
        timed = bool(self._timed)
        filled = gathered.messages()
        if timed:
            self._talks.mark(filled)
        order = reader.settle(filled, timed=timed)
        if not timed:
            self._count_times(filled.rows["time"], filled.rows["client"], order)
        return gathered.window(has_clock=timed)

    def _count_times(self, times: Integers, clients: Ids, order: Integers | None) -> None:
        """Set the times of messages to how many their client has had, in their order."""
        count = len(self._interners.addresses)
        if count > self._counted.size:
            self._counted = np.concatenate(
                [self._counted, np.zeros(count - self._counted.size, np.int64)]
            )
        order = np.arange(times.size) if order is None else order
        order = order[np.argsort(clients[order], kind="stable")]
        of = clients[order]
        begins = np.flatnonzero(np.diff(of, prepend=-1))
        counts = np.diff(begins, append=of.size)
        rank = np.arange(1, of.size + 1) - np.repeat(begins, counts)
        times[order] = self._counted[of] + rank * CLOCKLESS_STEP_NS
        self._counted[of[begins]] += counts * CLOCKLESS_STEP_NS

    def _close(self, reader: LineReader, lines: int) -> None:
        """Say what the messages rest on and what the end of the stream looked like."""
        path, warnings = self._source.path, self._capture.warnings
        if self._timed is False:
            warnings.append(f"{path}: {reader.clockless}: nothing is said about durations")
        warnings += [f"{path}: {text}" for text in reader.warnings()]
        if n := self._not_understood:
            what = "1 line is" if n == 1 else f"{n} lines are"
            warnings.append(
                f"{path}: {what} not understood, cut or damaged, the first near line "
                f"{self._first_not_understood}: left out"
            )
        if n := self._lines.beyond:
            what = "1 line is" if n == 1 else f"{n:,} lines are"
            limit = crossed("continuation_characters", self._source.limits)
            warnings.append(
                f"{path}: {what} left out that continue packets as long as they may be ({limit})"
            )
        for name, first in self._lines.others.items():
            warnings.append(
                f"{path}: there are lines of another form ({name}) than the first "
                f"({self._capture.format}), from near line {first} on: not read; write them to a "
                f"file of their own, as with 'tail -n +{first}', and analyse it"
            )
        if n := self._lines.foreign:
            what = "1 line is" if n == 1 else f"{n} lines are"
            warnings.append(
                f"{path}: {what} not of this form ({self._capture.format}), the first near line "
                f"{self._lines.first_foreign}: passed over"
            )
        if self._source.damage:
            self._capture.truncated_tail = True
            warnings.append(f"{path}: {self._source.damage}; analysed up to there ({lines} lines)")
