"""What every reader yields: one window of messages, with the packets it accounts for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from pcapkit.cluster.pods import Pod
from pcapkit.kernels.interning import Interner, fold_names
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.schema import Bytes, Ids, Integers, Messages, Rows

CLOCKLESS_STEP_NS = 1_000  #: between packets without times


@dataclass(slots=True)
class Owner:
    """A container at an address: a client of its own; what comments on packets say of it.

    ``client`` is the id of the address, ``sure`` whether some comment was written on the client's
    side.
    """

    client: int
    namespace: str | None
    pod: str | None
    container: str | None
    container_id: str | None
    sure: bool = False


@dataclass(slots=True)
class Interners:
    """The shared numbering of names and addresses within one analysis.

    Names are uncompressed wire form, case as seen, the root being 0; addresses 4 or 16
    network-order bytes, or names and containers that stand for one; ``owners`` are the containers
    among them, by id. ``folded[i]`` is the id of name ``i`` in lower case, for the names known when
    :meth:`fold` was last called.
    """

    names: Interner = field(default_factory=Interner)
    addresses: Interner = field(default_factory=Interner)
    folded: Ids = field(default_factory=lambda: np.zeros(0, np.int32))
    owners: dict[int, Owner] = field(default_factory=dict)
    #: ``folded`` and space behind it, so that many windows with new names copy it seldom
    _folded_space: Ids = field(init=False, default_factory=lambda: np.zeros(0, np.int32))

    def __post_init__(self) -> None:
        self.names.add(b"\0")

    def copy(self) -> Interners:
        """Return what is known now, to be added to while a reader goes on adding to this."""
        folded, owners = self.folded, self.owners.copy()
        return Interners(self.names.copy(), self.addresses.copy(), folded, owners)

    def fold(self) -> Ids:
        """Return ``folded``, extended to all names; earlier results stay as they are."""
        known, names = self.folded.size, self.names
        count = len(names)
        if count == known:
            return self.folded
        arena, ends = names.arrays.arena, names.arrays.ends
        begin = int(ends[known - 1]) if known else 0
        folded = np.zeros(names.byte_count - begin + 1, np.uint8)
        size = int(fold_names(arena, ends, known, count, folded))
        changed = folded[:size] != arena[begin : begin + size]
        more = np.arange(known, count, dtype=np.int32)
        if changed.any():
            lengths = np.diff(ends[known:count], prepend=begin)
            owner = np.repeat(np.arange(count - known), lengths)
            for k in np.unique(owner[changed]).tolist():
                start = int(ends[known + k - 1] - begin) if known + k else 0
                stop = int(ends[known + k] - begin)
                more[k] = names.add(folded[start:stop].tobytes())
        if count > self._folded_space.size:
            space = np.empty(2 * count, np.int32)
            space[:known] = self.folded
            self._folded_space = space
        self._folded_space[known:count] = more
        self.folded = self._folded_space[:count]
        if len(names) > self.folded.size:  # folded forms that were new; they fold to themselves
            return self.fold()
        return self.folded


class Ends(NamedTuple):
    """What an ICMP message about DNS says: its skip reason, and whom it concerns, packed."""

    reason: str
    client: bytes
    server: bytes


class Unreachable:
    """ICMP messages about DNS, counted by whom they concern."""

    _MOST = 1 << 12  # pairs of addresses that a capture may hold; of others nobody is named

    def __init__(self) -> None:
        self._known: set[Ends] = set()
        self._counts: Counter[Ends] = Counter()

    def note(self, reason: str, quoted: bytes) -> None:
        """Count one that quotes a packet from and to these addresses, one after the other."""
        half = len(quoted) // 2
        ends = Ends(reason, quoted[:half], quoted[half:])
        if reason == "answer_unreachable":
            ends = Ends(reason, quoted[half:], quoted[:half])
        self.count(ends)

    def count(self, ends: Ends, packets: int = 1) -> None:
        """Count one, or several."""
        if len(self._known) < self._MOST:
            self._known.add(ends)
        self._counts[ends if ends in self._known else Ends(ends.reason, b"", b"")] += packets

    def take(self) -> Counter[Ends]:
        """Return what was counted since the last time."""
        counts, self._counts = self._counts, Counter()
        return counts


class Kept(NamedTuple):
    """Packets of a window that can be decoded only with others: parts of streams and datagrams."""

    data: Bytes  # the packets, and options of those with comments, behind one another
    records: Rows  # pcap.RECORD, whose offsets are in ``data``
    options: Rows  # pcap.OPTIONS, as well
    latest: Integers  # the latest time of all packets of the capture, or its part, up to each


@dataclass(slots=True)
class Window:
    """Messages in the order of their packets; every packet is in ``messages`` or ``skipped``.

    A packet that carries a message is counted by its rows (``packet_no``); ``packets`` counts all.
    Of those skipped, ``unreachable`` are ICMP messages about DNS, by whom they concern.
    """

    messages: Messages
    packets: int
    skipped: Mapping[str, int]
    first_time: int | None
    last_time: int | None
    unreachable: Counter[Ends] = field(default_factory=Counter)
    kept: Kept | None = None  #: what is decoded elsewhere, and is counted neither here nor skipped
    numbers: tuple[int, int] = (0, 0)  #: of the first and the last packet, kept ones too


@dataclass(slots=True)
class Noted:
    """What a packet capture's warnings are made of; that of two neighbouring parts adds up."""

    packets: int = 0
    messages: int = 0
    cut: int = 0  # messages that were captured in part
    gone_back: int = 0  # places where the clock does
    slow: int = 0  # packets that took the slow path
    dissected: int = 0  # by Scapy, of those
    first_time: int | None = None  # of the first packet, which need not be the earliest
    last_time: int | None = None
    unknown: dict[int, int] = field(default_factory=dict)  # packets by link type
    beyond: dict[str, int] = field(default_factory=dict)  # what was given up, by limits' names
    elsewhere: dict[int, int] = field(default_factory=dict)  # what looks like DNS, by port


class Unfinished(NamedTuple):
    """What a packet capture leaves to the one that goes on where it ends, of so many packets."""

    streams: Any
    fragments: Any
    packets: int


class Digest(Protocol):
    """What takes bytes one after another, as the hashes of ``hashlib`` do."""

    def update(self, data: Any, /) -> None:
        """Take some more."""
        ...


@dataclass(slots=True)
class Span:
    """A part of an uncompressed packet capture: the records that begin in ``[first, stop)``.

    Offsets are in bytes, ``stop`` None means the end. Reading sets ``begin``, where the first
    record stands (behind ``first`` where that lies within one), and ``end``, where the record
    behind the last one does.
    """

    first: int
    stop: int | None
    exact: bool = False  #: a record is known to begin at ``first``
    begin: int = 0
    end: int = 0


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
    keeps: bool = False  # packets that need others are left to whoever has all of them
    span: Span | None = None  # the part that is read; None: all of it
    noted: Noted = field(default_factory=Noted)  # whole once all is read
    of_packets: bool = False  # a packet capture, whose connections and datagrams may go on
    followed_at: int | None = None  # when the packet capture that is read next begins
    unfinished: Unfinished | None = (
        None  # what the one before left to this one, then what this one leaves
    )
    damage: str | None = None  # what ended reading too early, in a packet capture
    limits: Limits = DEFAULTS
    digest: Digest | None = None  # gets every byte that is read, of the part
    left_out: dict[int, int] = field(default_factory=dict)  # what looks like DNS, by other ports
    warnings: list[str] = field(default_factory=list)
    pods: dict[bytes, Pod] = field(default_factory=dict)  # by packed address; the first name holds
