"""Sources that are lines of text, read: the messages in them gathered into windows.

A line is the packet of such a source: each one that is not blank and no decoration is counted, and
carries messages or is skipped for a named reason. The form of the first line that has one is the
source's; what other programs printed is passed over and counted, and changes nothing for the lines
around it.

Where lines show no time, the messages of each client are counted instead, 1,000 ns apart: other
clients' lines between them do not tear its walks apart.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from typing import cast

from pcapkit.ingest.inputs.formats import (
    LINE_CHARACTERS,
    LINE_TOKENS,
    Format,
    form_of,
    may_hold,
    not_a_capture,
)
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.inputs.wrappings import (
    Line,
    heading_of,
    is_decoration,
    json_documents,
    lines_of,
    utf16_of,
)
from pcapkit.ingest.logs.lines import LineMessage, LineReader
from pcapkit.ingest.window import CLOCKLESS_STEP_NS, Capture, Ends, Interners, Unreachable, Window
from pcapkit.kernels.interning import Interner
from pcapkit.schema import (
    ABSENT,
    MARK_FLAGS_HIDDEN,
    MARK_ID_HIDDEN,
    MARK_QUESTION_SHOWN,
    QR,
    Messages,
    new_messages,
)

WINDOW_LINES = 1 << 15
_JOINED_LINES = 1 << 17  # of several logs behind one another, that are put in order together
_BLOCK_BYTES = 1 << 16
_LINE_BYTES = 1 << 20
_HINFO = 13
#: Of another program's lines so many are looked at for another form in a row, then one of so many.
_LOOKED_AT, _EVERY = 1 << 10, 16
_EXCHANGES = 1 << 16  # whose direction is remembered
_HEAD_BYTES = 1 << 16
#: What decoration may begin with ...
_MARKS = frozenset(bytes([mark]) for mark in b"`~-=#$>|+*\xe2\x1b") | {b""}
#: ... or hold near its start.
_PROMPTS = re.compile(rb"[$#] ")


def byte_lines(source: Source) -> Iterator[list[bytes]]:
    """Yield lines without their ends, many at a time, as UTF-8 or as they are.

    One that is endless is cut.
    """
    encoding = utf16_of(source.peek(512))
    decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    buffer = bytearray(_BLOCK_BYTES)
    left = b""
    first = True
    while got := source.readinto(memoryview(buffer)):
        block = bytes(buffer[:got])
        if decoder is not None:
            block = decoder.decode(block).encode("utf-8", "replace")
        if first:
            block = block.removeprefix(codecs.BOM_UTF8)
            first = False
        if b"\n" not in block:
            left = (left + block)[:_LINE_BYTES]
            continue
        *whole, left = (left + block).split(b"\n")
        yield whole
    if left:
        yield [left]


class _Lines:
    """The lines of one source with what is around them taken off, and what was passed over."""

    def __init__(self, source: Source) -> None:
        self._tokens: Sequence[bytes] = LINE_TOKENS
        self._form: Format | None = None
        self._raw = json_documents(self._sifted(source))
        self._stream = ""
        self._waiting = 0
        self.number = 0
        self.foreign = 0
        self.first_foreign = 0
        #: By the name of another form: the first line of it that was passed over.
        self.others: dict[str, int] = {}
        self._fruitless = 0

    def _sifted(self, source: Source) -> Iterator[bytes]:
        """Yield lines; many that hold nothing of a form are passed over together."""
        for lines in byte_lines(source):
            if self._tokens:
                block = b"\n".join(lines)
                if not may_hold(block, self._tokens) and not _has_more(block):
                    full = sum(1 for line in lines if line and not line.isspace())
                    if full:
                        self.first_foreign = self.first_foreign or self.number + 1
                    self.foreign += full
                    self._waiting += full
                    self.number += len(lines)
                    continue
            for line in lines:
                yield line[:_LINE_BYTES].removesuffix(b"\r")

    def pass_over(self, raw: bytes) -> None:
        """Count the line that was read last as another program's, perhaps one of another form."""
        self.foreign += 1
        self.first_foreign = self.first_foreign or self.number
        self._fruitless += 1
        if self._form is None or (self._fruitless > _LOOKED_AT and self._fruitless % _EVERY):
            return
        other = form_of(raw)
        if other is not None and other is not self._form and other.name not in self.others:
            self._fruitless = 0
            self.others[other.name] = self.number

    def form(self, form: Format | None) -> Format | None:
        """Return the form of the first line that has one, which stays to be read."""
        for raw in self._raw:
            self.number += 1
            if form is None:
                if (found := form_of(raw)) is None:
                    self._count(raw)
                    continue
                form = found
            self._raw = chain([raw], self._raw)
            self._form = form
            self._tokens = tuple(dict.fromkeys(form.tokens + LINE_TOKENS)) if form.tokens else ()
            self.number -= 1
            return form
        return None

    def taken(self) -> int:
        """Return how many lines were passed over since this was asked last."""
        waiting, self._waiting = self._waiting, 0
        return waiting

    def _count(self, raw: bytes) -> None:
        if raw[:1] in _MARKS or len(raw) < 4 or _PROMPTS.search(raw, 0, 80) is not None:
            if raw and self._is_decoration(raw):
                return
        if raw.strip():
            self._waiting += 1
            self.pass_over(raw)

    def _is_decoration(self, raw: bytes) -> bool:
        if (name := heading_of(raw)) is not None:
            self._stream = name
            return True
        found = lines_of(raw)
        return not found or all(line.record is None and is_decoration(line.text) for line in found)

    def of(self, form: Format) -> Iterator[Line]:
        """Yield the lines that may be of a form, and those that continue them; count others."""
        reads, tokens = form.reads, form.tokens
        goes_on = has_bytes = False  # an indented line continues the one before; or shows its bytes
        for raw in self._raw:
            self.number += 1
            indented = form.joins and raw[:1] in (b" ", b"\t")
            if reads is not None:
                is_read = reads(raw)
            else:
                is_read = not tokens or may_hold(raw, tokens)
            if is_read:
                has_bytes = form.joins
                goes_on = has_bytes and b".53: " not in raw and b".53 > " not in raw
            elif indented and has_bytes and raw[1:3] == b"0x":
                continue
            elif not (indented and goes_on) and not _is_cut(raw):
                self._count(raw)
                goes_on, has_bytes = goes_on and not raw, has_bytes and not raw
                continue
            if raw[:1] in _MARKS and (not raw or self._is_decoration(raw)):
                continue
            for line in lines_of(raw):
                if not line.stream:
                    line.stream = self._stream
                if line.record is not None or line.text.strip():
                    yield line


def _is_cut(raw: bytes) -> bool:
    """Is a line a record in JSON that is cut?"""
    return raw[:1] == b"{" and raw[-1:] != b"}"


_DOCUMENT = re.compile(rb"[{\[]\r?(?:\n|$)|\n[ \t]|^[ \t]|==> ")


def _has_more(block: bytes) -> bool:
    """May lines without a token matter: a JSON document, a cut record, a continuation?"""
    ends = block.count(b"}\n") + block.count(b"}\r\n")
    return block.count(b"\n{") != ends or _DOCUMENT.search(block) is not None


@dataclass(slots=True)
class _Gathered:
    """The messages of one window."""

    messages: list[LineMessage] = field(default_factory=list)
    numbers: list[tuple[int, int]] = field(default_factory=list)  # of the line, and within it
    lines: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    first: int | None = None
    last: int | None = None
    unreachable: Unreachable = field(default_factory=Unreachable)

    def span(self, time: int | None) -> None:
        """Let the window's span hold this time."""
        if time is not None:
            self.first = time if self.first is None else min(self.first, time)
            self.last = time if self.last is None else max(self.last, time)

    def window(self, interners: Interners, times: list[int], *, has_clock: bool) -> Window:
        rows = _rows(self.messages, interners)
        rows["time"] = times
        rows["packet_no"] = [line for line, _ in self.numbers]
        rows["message_no"] = [number for _, number in self.numbers]
        rows["content"] = [
            _content(message, *numbers)
            for message, numbers in zip(self.messages, self.numbers, strict=True)
        ]
        if has_clock and times:
            self.span(min(times))
            self.span(max(times))
        return Window(
            rows,
            self.lines,
            self.skipped,
            self.first if has_clock else None,
            self.last if has_clock else None,
            self.unreachable.take(),
        )


_PLAIN = (
    "client_port",
    "server_port",
    "flags",
    "rcode",
    "qtype",
    "qclass",
    "answers",
    "typed_answers",
    "min_ttl",
    "soa",
    "edns_bytes",
    "message_bytes",
    "interface",
    "transport",
    "ip_id",
    "hop_limit",
    "link",
)


def _rows(messages: Sequence[LineMessage], interners: Interners) -> Messages:
    rows = new_messages(len(messages))
    for column in _PLAIN:
        rows[column] = [getattr(m, column) for m in messages]
    rows["marks"] = [
        (0 if m.qname is None else MARK_QUESTION_SHOWN)
        | (MARK_ID_HIDDEN if m.message_id is None else 0)
        | (0 if m.flags_shown else MARK_FLAGS_HIDDEN)
        for m in messages
    ]
    rows["message_id"] = [m.client_port if m.message_id is None else m.message_id for m in messages]
    rows["qname"] = _ids((m.qname for m in messages), interners.names)
    rows["client"] = _ids((m.client for m in messages), interners.addresses)
    rows["server"] = _ids((m.server for m in messages), interners.addresses)
    return rows


def _ids(values: Iterable[bytes | None], interner: Interner) -> list[int]:
    """Return the ids of values, ABSENT for None."""
    known: dict[bytes | None, int] = {None: ABSENT}
    out = []
    for value in values:
        if value is not None and value not in known:
            known[value] = interner.add(value)
        out.append(known[value])
    return out


def _content(message: LineMessage, line: int, number: int) -> int:
    """Return what tells copies of a packet: equal for two sightings, else like no other's."""
    if message.content is None:
        return line << 8 | number
    digest = hashlib.blake2b(message.content, digest_size=8).digest()
    return int.from_bytes(digest, "little")


class _Talks:
    """Tells a copy of a packet from a resend, by the messages of the other direction between them.

    Text shows no identification: what is asked again after its response is no copy.
    """

    def __init__(self) -> None:
        self._turns: dict[object, tuple[int, int]] = {}

    def mark(self, message: LineMessage) -> None:
        """Add to the content how often the direction has changed until now."""
        if message.content is None or message.ip_id >= 0:
            return
        key = (
            message.client,
            message.client_port,
            message.message_id,
            message.transport,
            message.place,
        )
        way = message.flags & QR
        before, turn = self._turns.get(key, (way, 0))
        turn += before != way
        if len(self._turns) >= _EXCHANGES:
            self._turns.clear()
        self._turns[key] = way, turn
        message.content += turn.to_bytes(4, "little")


class _Probes:
    """Knows CoreDNS' question to itself: HINFO of two random numbers, asked by its plugin loop."""

    def __init__(self) -> None:
        self._asked: set[tuple[bytes, int, int | None]] = set()

    def holds(self, messages: Sequence[LineMessage]) -> bool:
        """Is this such a question, or the response to one?"""
        for m in messages:
            key = m.client, m.client_port, m.message_id
            if m.qname is None:
                if not (self._asked and m.flags & QR and key in self._asked):
                    return False
            elif m.qtype != _HINFO or not is_own_probe(m.qname):
                return False
            elif len(self._asked) < _EXCHANGES:
                self._asked.add(key)
        return True


def is_own_probe(wire: bytes) -> bool:
    """Is a name two labels of digits, as CoreDNS' plugin loop makes them?"""
    first = wire[0]
    second = wire[first + 1] if len(wire) > first + 1 else 0
    whole = len(wire) == first + second + 3
    labels = wire[1 : first + 1], wire[first + 2 : first + 2 + second]
    return whole and all(len(v) >= 5 and v.isdigit() for v in labels)


def read_text(
    source: Source, interners: Interners, *, ports: frozenset[int], form: Format | None
) -> Capture:
    """Return the capture behind printed lines; ``form`` is theirs, None where it must be found."""
    name = "text" if form is None else form.name
    capture = Capture(source.path, name, source.compression, iter(()))
    capture.windows = _windows(source, interners, capture, ports, form)
    return capture


def _windows(
    source: Source,
    interners: Interners,
    capture: Capture,
    ports: frozenset[int],
    form: Format | None,
) -> Iterator[Window]:
    """Yield the windows, and set ``capture`` accordingly.

    The first message decides whether there is a clock: later lines without a time are then skipped.
    """
    head = source.peek(_HEAD_BYTES)
    lines = _Lines(source)
    found = lines.form(form)
    if found is None:
        raise not_a_capture(source.path, head)
    capture.format = found.name
    module = import_module(f"pcapkit.ingest.{found.module}")
    reader = cast(LineReader, getattr(module, found.reader)(ports, capture.pods))
    yield from _Gatherer(source, interners, capture, reader, lines).windows(found)


class _Gatherer:
    """Gathers what a reader says of the lines of one source."""

    def __init__(
        self,
        source: Source,
        interners: Interners,
        capture: Capture,
        reader: LineReader,
        lines: _Lines,
    ) -> None:
        self._source, self._interners, self._capture = source, interners, capture
        self._reader, self._lines = reader, lines
        self._talks, self._probes = _Talks(), _Probes()
        self._counted: defaultdict[bytes, int] = defaultdict(int)
        self._timed: bool | None = None
        self._not_understood = self._first_not_understood = 0
        self._gathered = _Gathered()
        self._done = 0

    def windows(self, form: Format) -> Iterator[Window]:
        """Yield windows; what the whole rests on is added to the capture's warnings at the end."""
        for line in self._reader.units(self._lines.of(form)):
            self._pass_over()
            self._gathered.lines += 1
            self._add(line)
            if self._is_full():
                yield self._window()
        last = self._window()
        self._close(self._done)
        if last.packets:
            yield last

    def _is_full(self) -> bool:
        messages = self._gathered.messages
        most = _JOINED_LINES if messages and messages[0].stream else WINDOW_LINES
        return self._gathered.lines >= most

    def _add(self, line: Line) -> None:
        try:
            long = len(line.text) > LINE_CHARACTERS
            found = "text_not_understood" if long else self._reader.read(line)
        except (ValueError, OverflowError):
            found = "text_not_understood"
        gathered = self._gathered
        gathered.span(self._reader.time)
        if isinstance(found, Ends):
            gathered.unreachable.count(found)
            found = found.reason
        if found is None:
            self._lines.pass_over(line.text.encode("utf-8", "replace"))
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
                self._first_not_understood = self._first_not_understood or self._lines.number
            gathered.skipped[found] += 1
            return
        for number, message in enumerate(found, 1):
            if self._timed:
                self._talks.mark(message)
            else:
                message.content = None  # without a clock nothing tells a copy from a resend
            gathered.numbers.append((self._done + gathered.lines, number))
        gathered.messages += found

    def _pass_over(self) -> None:
        if passed := self._lines.taken():
            self._gathered.lines += passed
            self._gathered.skipped["other_event"] += passed

    def _window(self) -> Window:
        self._pass_over()
        self._capture.bytes_read = self._source.stored_bytes_read
        gathered, self._gathered = self._gathered, _Gathered()
        self._done += gathered.lines
        timed = bool(self._timed)
        order = self._reader.settle(gathered.messages, timed=timed)
        times = [message.time or 0 for message in gathered.messages]
        if not timed:
            for at in order or range(len(times)):
                client = gathered.messages[at].client
                self._counted[client] += CLOCKLESS_STEP_NS
                times[at] = self._counted[client]
        return gathered.window(self._interners, times, has_clock=timed)

    def _close(self, lines: int) -> None:
        """Say what the messages rest on and what the end of the stream looked like."""
        path, warnings = self._source.path, self._capture.warnings
        if self._timed is False:
            warnings.append(f"{path}: {self._reader.clockless}: nothing is said about durations")
        warnings += [f"{path}: {text}" for text in self._reader.warnings()]
        if n := self._not_understood:
            what = "1 line is" if n == 1 else f"{n} lines are"
            warnings.append(
                f"{path}: {what} not understood, cut or damaged, the first near line "
                f"{self._first_not_understood}: left out"
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
