"""Fragments of IP datagrams, put together (RFC 791 section 3.2, RFC 8200 section 4.5).

A whole datagram goes back to the compiled path as a packet of its own, with the number and time of
the fragment that completed it. A datagram that stays incomplete gives what its first fragment
shows: a capture filtered by port has no others. Memory is bounded by the number of datagrams, of
pieces and of bytes; the oldest gives way.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pcapkit.ingest.packet.fields import (
    FRAGMENT_ID,
    FRAGMENT_OFFSET,
    HOP_LIMIT,
    MORE_FRAGMENTS,
    PAYLOAD,
    PROTOCOL,
    WIRE_END,
)
from pcapkit.limits import DEFAULTS, Limits

#: How long a datagram's other fragments are waited for. Hosts wait 30 or 60 s, but fragments are
#: sent in one go, and the rows of a first fragment are not to come much later than its packet.
WAIT_NS = 1_000_000_000
#: And for how many packets: the rows of those behind a first fragment wait with it.
WAIT_PACKETS = 1 << 16
_MAX_PIECES = 256
_UDP = 17


@dataclass(frozen=True, slots=True)
class Seen:
    """Where and when a packet was seen: what a packet that is made from it inherits."""

    number: int
    time: int
    interface: int
    link: int


@dataclass(frozen=True, slots=True)
class Made:
    """An IP packet that was made from others, to be decoded as if it had been captured."""

    seen: Seen
    data: bytes


def ip_packet(
    addresses: bytes, protocol: int, hop_limit: int, ident: int, payload: bytes, *, length: int
) -> bytes:
    """Return an IP packet; ``addresses`` are both addresses, ``length`` the payload's on the wire.

    A length that the field cannot hold is written as 0, which says: up to the end.
    """
    if len(addresses) == 32:
        size = length if length < 65536 else 0
        return struct.pack(">IHBB", 6 << 28, size, protocol, hop_limit) + addresses + payload
    size = 20 + length if 20 + length < 65536 else 0
    head = struct.pack(">BBHHHBBH", 0x45, 0, size, ident, 0, hop_limit, protocol, 0)
    return head + addresses + payload


@dataclass(slots=True)
class _Datagram:
    addresses: bytes
    protocol: int
    ident: int
    hop_limit: int
    begun: int  # time of the fragment that came first
    since: int  # and the number of its packet
    pieces: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    total: int = -1  # bytes in all, once the last fragment says so
    covered: int = 0
    first: Seen | None = None  # of the fragment at offset 0, where its packet is held
    last: Seen | None = None  # of the latest fragment in the capture

    def is_late(self, time: int, number: int) -> bool:
        """Has it waited too long, at this time and packet?"""
        return time - self.begun > WAIT_NS or number - self.since > WAIT_PACKETS

    def add(self, offset: int, data: bytes, length: int) -> None:
        """Keep one fragment's data, ``length`` being its size on the wire."""
        known = self.pieces.get(offset)
        if known is None and len(self.pieces) < _MAX_PIECES:
            self.pieces[offset] = (data, length)
            self.covered += length

    def payload(self) -> bytes | None:
        """Return the whole payload, up to the first byte that was not captured; None: not yet."""
        if self.total < 0 or self.covered < self.total:
            return None
        out = bytearray()
        reached = 0
        for offset in sorted(self.pieces):
            data, length = self.pieces[offset]
            if offset > reached:
                return None
            if len(out) == reached:
                out += data[reached - offset :]
            reached = max(reached, offset + length)
        return bytes(out[: self.total]) if reached >= self.total else None

    def packet(self, payload: bytes, length: int) -> bytes:
        return ip_packet(
            self.addresses,
            self.protocol,
            self.hop_limit,
            self.ident & 0xFFFF,
            payload,
            length=length,
        )

    def beginning(self) -> Made | None:
        """Return what the first fragment alone shows; None where it shows nothing."""
        if self.first is None or self.protocol != _UDP or 0 not in self.pieces:
            return None
        data, _ = self.pieces[0]
        if len(data) < 8:
            return None
        length = max(int.from_bytes(data[4:6], "big"), len(data))
        return Made(self.first, self.packet(data, length))


class Fragments:
    """The datagrams of one capture that are not whole yet.

    The packet of a first fragment is not accounted for until it is known whether the datagram
    becomes whole: then it is a ``released`` fragment; else :meth:`settle` makes a packet of it.
    """

    def __init__(self, limits: Limits = DEFAULTS) -> None:
        self._limits = limits
        self._open: OrderedDict[tuple[bytes, int, int], _Datagram] = OrderedDict()
        self._held = 0
        self.released = 0  # first fragments whose datagram needs them no more
        self._shown: list[Made] = []  # what datagrams show that were given up
        #: how many datagrams were given up, by the name of the limit that they crossed
        self.given_up: Counter[str] = Counter()

    def add(
        self,
        seen: Seen,
        addresses: bytes,
        facts: Sequence[int],
        data: bytes,
        now: int,
        *,
        hold: bool,
    ) -> Made | None:
        """Take one fragment, ``data`` being its captured bytes; return the datagram it completes.

        ``now`` is the latest time of all packets so far: a datagram that waits too long by then is
        given up, whether :meth:`settle` was called in between or not.

        Where it is the first of an incomplete datagram and ``hold`` is set, its packet is held:
        see :attr:`released`.
        """
        protocol, ident = facts[PROTOCOL], facts[FRAGMENT_ID]
        key = (addresses, protocol, ident)
        datagram = self._open.get(key)
        if datagram is not None and datagram.is_late(now, seen.number):
            self._close(key)
            datagram = None
        if datagram is None:
            datagram = _Datagram(
                addresses, protocol, ident, facts[HOP_LIMIT], seen.time, seen.number
            )
            self._open[key] = datagram
        if datagram.last is None or seen.number > datagram.last.number:
            datagram.last = seen
        offset = facts[FRAGMENT_OFFSET]
        length = facts[WIRE_END] - facts[PAYLOAD]
        self._held -= datagram.covered
        datagram.add(offset, data, length)
        self._held += datagram.covered
        if not facts[MORE_FRAGMENTS] and datagram.total < 0:
            datagram.total = offset + length
        payload = datagram.payload()
        if payload is None:
            if offset == 0 and hold:
                if datagram.first is None:
                    datagram.first = seen
                else:
                    self.released += 1  # a copy
            self._keep_limits(now, seen.number)
            return None
        del self._open[key]
        self._held -= datagram.covered
        self.released += datagram.first is not None
        return Made(datagram.last, datagram.packet(payload, datagram.total))

    def _keep_limits(self, now: int, number: int) -> None:
        """Give up the datagrams that have waited longest, where more wait than may.

        Those that have waited too long anyway are no longer here but for how windows were cut.
        """
        limits = self._limits
        while (
            most := len(self._open) > limits.fragmented_datagrams
        ) or self._held > limits.fragment_bytes:
            key = next(iter(self._open))
            if not self._open[key].is_late(now, number):
                self.given_up["fragmented_datagrams" if most else "fragment_bytes"] += 1
            self._close(key)

    def _close(self, key: tuple[bytes, int, int]) -> None:
        """Give up a datagram."""
        datagram = self._open.pop(key)
        self._held -= datagram.covered
        made = datagram.beginning()
        if made is not None:
            self._shown.append(made)
        elif datagram.first is not None:
            self.released += 1

    def settle(self, time: int, number: int) -> list[Made]:
        """Give up what has waited too long at ``time``, the latest up to packet ``number``.

        Returns the packets that show what is known of it.
        """
        for key, datagram in list(self._open.items()):
            if datagram.is_late(time, number):
                self._close(key)
        made, self._shown = self._shown, []
        return made

    def leave(self, packets: int) -> Fragments:
        """Take out what is incomplete, for the capture that goes on behind ``packets`` packets.

        There, the packets of this one have numbers below 1.
        """
        left = Fragments(self._limits)
        left._open, self._open = self._open, left._open
        left._held, self._held = self._held, 0
        for datagram in left._open.values():
            datagram.since -= packets
            for name in ("first", "last"):
                if (seen := getattr(datagram, name)) is not None:
                    setattr(datagram, name, replace(seen, number=seen.number - packets))
        return left

    @property
    def waiting(self) -> bool:
        """Is any datagram incomplete?"""
        return bool(self._open)

    @property
    def held(self) -> int | None:
        """The number of the first packet that is held; None where none is."""
        held = (d.first.number for d in self._open.values() if d.first is not None)
        return min(held, default=None)

    def take_released(self) -> int:
        """Return how many first fragments were released since the last call."""
        count, self.released = self.released, 0
        return count
