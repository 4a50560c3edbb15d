"""The lines of one source with what is around them taken off, and what was passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pcapkit.ingest.inputs.formats import LINE_TOKENS, Format, form_of, may_hold
from pcapkit.ingest.inputs.wrappings import JsonDocuments, Line, heading_of, is_decoration, lines_of
from pcapkit.ingest.logs.blocks.blocks import LINE_BYTES

#: Of another program's lines so many are looked at for another form in a row, then one of so many.
_LOOKED_AT, _EVERY = 1 << 10, 16
#: What decoration may begin with ...
_MARKS = frozenset(bytes([mark]) for mark in b"`~-=#$>|+*\xe2\x1b") | {b""}
#: ... or hold near its start.
_PROMPTS = re.compile(rb"[$#] ")
#: Lines that may matter though they hold nothing of a form: decoration, a JSON document or a record
#: that is cut, and letters or blanks that are written in another way.
#: Each is looked for by itself, behind the end of a line: that is three times as fast as together.
_MATTERS = (
    re.compile(rb"\n[\x0b\x0c`~\-=#$>|+*\xe2\x1b]"),
    re.compile(rb"\n\r[^\n]"),
    re.compile(rb"\n[^\r\n]{1,3}\r?(?:\n|\Z)"),
    re.compile(rb"\n\{[^\n]*[^}\r\n]\r?(?:\n|\Z)"),
    re.compile(rb"[$#] "),
    re.compile(rb"[{\[]\r?(?:\n|\Z)"),
    re.compile(rb"[\x1b\xa0]"),
)
_BLANK = re.compile(rb"^[ \t\r\x0b\x0c]*$", re.M)
_BLANKS = re.compile(rb"(?:[ \t\r\x0b\x0c]*\n)+")
_SHOWS_BYTES = re.compile(rb"^[ \t]0x", re.M)
_NOT_INDENTED = re.compile(rb"^[^ \t\r\n]", re.M)
#: Other programs' lines are looked at in pieces of this many bytes.
_PIECE_BYTES = 1 << 16


class Passing:
    """Takes raw lines and gives those that may be of a form, what is around them taken off."""

    def __init__(self, form: Format | None) -> None:
        self.form = form
        self._tokens = _tokens_of(form)
        self._documents = JsonDocuments()
        self.stream = ""  # of the lines that follow
        self._waiting = 0
        self.number = 0
        self.foreign = 0
        #: lines beyond the limit of the packet before them, which are not foreign
        self.beyond = 0
        self.first_foreign = 0
        #: By the name of another form: the first line of it that was passed over.
        self.others: dict[str, int] = {}
        self._fruitless = 0
        # An indented line continues the one before; or shows its bytes; or is left out, as that is
        # as long as it may be.
        self._goes_on = self._has_bytes = self._full = False

    @property
    def is_open(self) -> bool:
        """May the next line be part of what has begun?"""
        return self._documents.is_open

    def raw_lines(self, raw: bytearray, at: int, stop: int) -> Iterator[bytes]:
        """Yield the lines in ``raw[at:stop]``; many that hold nothing of a form are passed over."""
        while at < stop:
            end = stop
            if stop - at > _PIECE_BYTES:
                end = 1 + raw.rfind(b"\n", at, at + _PIECE_BYTES) or 1 + raw.find(b"\n", at, stop)
                end = end or stop
            piece = bytes(memoryview(raw)[at:end])
            at = end
            if not self._passes(piece):
                for line in piece.removesuffix(b"\n").split(b"\n"):
                    yield line[:LINE_BYTES].removesuffix(b"\r")

    def _passes(self, piece: bytes) -> bool:
        """Pass over lines together, where each of them is another program's."""
        if self.is_open or not self._tokens or may_hold(piece, self._tokens):
            return False
        after_end = b"\n" + piece
        if any(matters.search(after_end) for matters in _MATTERS):
            return False
        text = piece.removesuffix(b"\n")
        blank = _BLANKS.match(text)
        begin = blank.end() if blank else 0
        if text[begin : begin + 1] in (b" ", b"\t") and (
            self._goes_on or (self._has_bytes and _SHOWS_BYTES.search(text))
        ):
            return False
        if filled := _filled(text):
            self._goes_on = self._has_bytes = False
        if filled and self._full:
            other = _NOT_INDENTED.search(text)
            self._full = other is None
            beyond = _filled(text[: other.start()].removesuffix(b"\n")) if other else filled
            self.beyond += beyond
            self._waiting += beyond
            filled -= beyond
            begin = other.start() if other else begin
        if filled and not self.first_foreign:
            self.first_foreign = self.number + 1 + text.count(b"\n", 0, begin)
        self._waiting += filled
        self.foreign += filled
        self.number += text.count(b"\n") + 1
        return True

    def leave_out(self) -> None:
        """Leave out the indented lines that follow: they belong to what is as long as it may be."""
        self._goes_on, self._full = False, True

    def push(self, raw: bytes) -> Iterator[Line]:
        """Yield what is whole with a line and may be of the form; count the rest."""
        for document in self._documents.push(raw):
            yield from self._whole(document)

    def end(self) -> Iterator[Line]:
        """Yield what is left at the end."""
        for document in self._documents.end():
            yield from self._whole(document)

    def went_by(self, lines: int, last: bytes) -> None:
        """Note that so many lines of the form were read elsewhere, and which was the last."""
        self.number += lines
        self._note(last)

    def taken(self) -> int:
        """Return how many lines were passed over since this was asked last."""
        waiting, self._waiting = self._waiting, 0
        return waiting

    def pass_over(self, raw: bytes, number: int) -> None:
        """Count a line as another program's, perhaps one of another form."""
        self.foreign += 1
        self.first_foreign = self.first_foreign or number
        if not may_hold(raw, LINE_TOKENS):
            return
        self._fruitless += 1
        if self.form is None or (self._fruitless > _LOOKED_AT and self._fruitless % _EVERY):
            return
        other = form_of(raw)
        if other is not None and other is not self.form and other.name not in self.others:
            self._fruitless = 0
            self.others[other.name] = number

    def _whole(self, raw: bytes) -> Iterator[Line]:
        self.number += 1
        if self.form is None:
            self.form = form_of(raw)
            self._tokens = _tokens_of(self.form)
        form = self.form
        if form is None:
            self._count(raw)
            return
        indented = form.joins and raw[:1] in (b" ", b"\t")
        tokens, reads = form.tokens, form.reads
        if (not tokens or may_hold(raw, tokens)) and (reads is None or reads(raw)):
            self._note(raw)
        elif indented and self._has_bytes and raw[1:3] == b"0x":
            return
        elif not (indented and self._goes_on) and not _is_cut(raw):
            self._count(raw)
            self._goes_on, self._has_bytes = self._goes_on and not raw, self._has_bytes and not raw
            return
        if raw[:1] in _MARKS and (not raw or self._is_decoration(raw)):
            return
        for line in lines_of(raw):
            if not line.stream:
                line.stream = self.stream
            if line.record is not None or line.text.strip():
                line.number = self.number
                yield line

    def _note(self, raw: bytes) -> None:
        """Note of a line of the form whether indented ones may continue it, or show its bytes."""
        self._full = False
        self._has_bytes = self.form is not None and self.form.joins
        self._goes_on = self._has_bytes and b".53: " not in raw and b".53 > " not in raw

    def _count(self, raw: bytes) -> None:
        if raw[:1] in _MARKS or len(raw) < 4 or _PROMPTS.search(raw, 0, 80) is not None:
            if raw and self._is_decoration(raw):
                return
        if not raw.strip():
            return
        self._waiting += 1
        self._full = self._full and raw[:1] in (b" ", b"\t")
        if self._full:
            self.beyond += 1
        else:
            self.pass_over(raw, self.number)

    def _is_decoration(self, raw: bytes) -> bool:
        if (name := heading_of(raw)) is not None:
            self.stream = name
            return True
        found = lines_of(raw)
        return not found or all(line.record is None and is_decoration(line.text) for line in found)


def _filled(text: bytes) -> int:
    """Count the lines of a text, the last one without its end, that are not blank."""
    return text.count(b"\n") + 1 - len(_BLANK.findall(text))


def _tokens_of(form: Format | None) -> Sequence[bytes]:
    """Return what a line that matters holds one of; nothing where every line may matter."""
    if form is None:
        return LINE_TOKENS
    return tuple(dict.fromkeys(form.tokens + LINE_TOKENS)) if form.tokens else ()


def _is_cut(raw: bytes) -> bool:
    """Is a line a record in JSON that is cut?"""
    return raw[:1] == b"{" and raw[-1:] != b"}"
