"""What every reader yields: one window of messages, with the packets it accounts for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from pcapkit.interning import Interner
from pcapkit.layout import Messages


@dataclass(slots=True)
class Interners:
    """The shared numbering of names and addresses within one analysis.

    Names are uncompressed wire form, case as seen; addresses 4 or 16 network-order bytes.
    """

    names: Interner = field(default_factory=Interner)
    addresses: Interner = field(default_factory=Interner)


@dataclass(slots=True)
class Window:
    """Messages in the order of their packets; every packet is in ``messages`` or ``skipped``.

    A packet that carries a message is counted by its rows (``packet_no``); ``packets`` counts all.
    """

    messages: Messages
    packets: int
    skipped: Mapping[str, int]
    first_time: int | None
    last_time: int | None


@dataclass(slots=True)
class Capture:
    """One open capture: what is known of it, and its windows, to be read once.

    ``windows`` may append to ``warnings`` and set the fields below it while it is consumed.
    """

    path: str
    format: str
    compression: str | None
    windows: Iterator[Window]
    has_clock: bool = True
    link_types: tuple[int, ...] = ()
    snaplen: int | None = None
    bytes_read: int = 0
    truncated_tail: bool = False
    warnings: list[str] = field(default_factory=list)


#: Called with the number of bytes consumed so far (of the file as stored), for progress bars.
Progress = Callable[[int], None]
