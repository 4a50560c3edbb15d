"""The rows that readers of lines fill for one window, and what compiled ones say of a block."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from pcapkit.kernels.interning import Interner
from pcapkit.kernels.jit import inline_kernel
from pcapkit.schema import ABSENT, NO_SOA, Bytes, Ids, Integers, Messages, Row, new_messages


class Filled(NamedTuple):
    """Messages, and what is known of each beside its row."""

    rows: Messages
    streams: Ids  # numbers in Streams: which of several logs a message's line is from
    places: Ids  # where it was seen, ABSENT where the source shows each message once
    resolutions: Integers  # how far its time may be off, in ns


def new_filled(count: int) -> Filled:
    """Return space for so many messages."""
    rows, ids = new_messages(count), np.zeros((2, count), np.int32)
    return Filled(rows, ids[0], ids[1], np.zeros(count, np.int64))


@inline_kernel
def clear_row(row: Row) -> None:
    """Set what no line of the usual shape shows in ``row`` of MESSAGE."""
    row["link"] = 0
    row["server"] = ABSENT
    row["interface"] = 0
    row["min_ttl"] = ABSENT
    row["ip_id"] = ABSENT
    row["server_port"] = 0
    row["edns_options"] = 0
    row["hop_limit"] = 0
    row["soa"] = NO_SOA
    row["owner"] = ABSENT


class Taken(NamedTuple):
    """What a compiled reader says of a block."""

    at: int  # where the first line begins that it has not read
    lines: int  # how many it has read
    rows: int  # that it has filled
    passing: bool  # the line from which it began is not its own; at ``at`` is one that may be


class Span(NamedTuple):
    """What a compiled reader is to read, and what it is told of the lines before."""

    at: int
    stop: int
    used: int  # rows that are filled already
    number: int  # of the next line
    most: int  # lines that are wanted
    timed: bool
    stream: str  # of lines that name none


class BlockReader(Protocol):
    """Reads lines of the usual shape, many at a time."""

    @property
    def is_compiled(self) -> bool:
        """Is its kernel kept from an earlier run?"""
        ...

    def read(self, block: Bytes, span: Span, filled: Filled) -> Taken:
        """Fill rows from the lines of ``block``, up to one that is not of the usual shape.

        Where no lines are wanted, only say whether the first one is of it.
        """
        ...


class Streams:
    """The logs that lines name as theirs, numbered; number 0 is that of lines that name none."""

    def __init__(self) -> None:
        self.names = Interner()
        #: by number: the most digits of a second seen in it, zeros at their end left out
        self.digits = np.zeros(16, np.uint8)
        self.number("")

    def number(self, name: str) -> int:
        """Return the number of a log."""
        number = self.names.add(name.encode("utf-8", "surrogatepass"))
        if number >= self.digits.size:
            self.digits = np.concatenate([self.digits, np.zeros(number, np.uint8)])
        return number
