"""Queries and responses as packets: over UDP, over TCP where a response was truncated."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, OTHER_RCODE, REFUSED, SERVFAIL
from pcapkit.generating import wire
from pcapkit.generating.scenario import Network, Zones
from pcapkit.resolver.simulate import Step

_RCODES = {ANSWER: 0, NODATA: 0, NXDOMAIN: 3, SERVFAIL: 2, REFUSED: 5, OTHER_RCODE: 4}
_PORTS = (32768, 60999)  # Linux' ip_local_port_range
_SEGMENT_BYTES = 1400
_LEAST_DELAY_US, _SECOND_US = 100, 1_000_000


class Sent(NamedTuple):
    """One packet; ``asks`` is the question that it asks, None where it is no query."""

    time_us: int
    frame: bytes
    asks: tuple[str, str] | None


class Ends(NamedTuple):
    """A client and a nameserver, and what the client's resolver does."""

    client: bytes
    server: bytes
    edns_bytes: int
    follows_over_tcp: bool


class Exchanges:
    """Makes packets; ``packets`` are those since somebody took them away."""

    def __init__(
        self, zones: Zones, network: Network, dice: Random, addresses: tuple[bytes, bytes]
    ) -> None:
        self._zones, self._network, self._dice = zones, network, dice
        self._addresses = addresses
        self._serial = 0
        self.packets: list[Sent] = []

    def new_port(self) -> int:
        """Return a port of the client's own."""
        return self._dice.randrange(*_PORTS)

    def new_ident(self) -> int:
        """Return a message ID."""
        return self._dice.randrange(1 << 16)

    def query(self, ends: Ends, step: Step, port: int, ident: int, at: int) -> None:
        """Send a question over UDP at ``at`` (µs)."""
        dns = wire.query(ident, step.candidate, step.qtype, ends.edns_bytes)
        frame = wire.udp(dns, ends[:2], (port, wire.DNS_PORT), self._number())
        self.packets.append(Sent(at, frame, (step.candidate, step.qtype)))

    def refuse(self, at: int) -> None:
        """Send the ICMP message that nothing listens where the last query went."""
        frame = wire.port_unreachable(self.packets[-1].frame, self._number())
        self.packets.append(Sent(at + _LEAST_DELAY_US, frame, None))

    def respond(self, ends: Ends, step: Step, port: int, ident: int, at: int) -> tuple[int, bool]:
        """Answer a query that was sent at ``at``; return when, and whether it is truncated."""
        end = at + self._delay(self._zones.is_own(step.candidate))
        message = self._message(step, ident, ends.edns_bytes, most=None)
        limit = ends.edns_bytes or wire.PLAIN_UDP_BYTES
        is_truncated = self._network.truncates and len(message) > limit
        if is_truncated:
            message = self._message(step, ident, ends.edns_bytes, most=limit)
        frame = wire.udp(message, (ends.server, ends.client), (wire.DNS_PORT, port), self._number())
        self.packets.append(Sent(end, frame, None))
        return end, is_truncated

    def over_tcp(self, ends: Ends, asked: Sequence[tuple[Step, int]], at: int) -> int:
        """Ask questions, each with its ID, again over one connection; return the end."""
        port, took = self.new_port(), self._delay(True)
        numbers = [self.new_ident() << 8, self.new_ident() << 8]  # the next of client and server

        def send(
            at: int, flags: int, payload: bytes = b"", *, back: bool = False, asks: Step | None
        ) -> None:
            pair = (ends.server, ends.client) if back else (ends.client, ends.server)
            frame = wire.tcp(
                payload,
                pair,
                (wire.DNS_PORT, port) if back else (port, wire.DNS_PORT),
                self._number(),
                flags=flags,
                sequence=numbers[back],
                acknowledges=numbers[not back] if flags & wire.ACK else 0,
            )
            numbers[back] += len(payload) + bool(flags & (wire.SYN | wire.FIN))
            question = None if asks is None else (asks.candidate, asks.qtype)
            self.packets.append(Sent(at, frame, question))

        send(at, wire.SYN, asks=None)
        send(at + took, wire.SYN | wire.ACK, back=True, asks=None)
        at += took + 20
        send(at, wire.ACK, asks=None)
        for step, ident in asked:
            at += 10
            dns = wire.query(ident, step.candidate, step.qtype, ends.edns_bytes)
            send(at, wire.PUSH | wire.ACK, _framed(dns), asks=step)
        at += took
        for step, ident in asked:
            data = _framed(self._message(step, ident, ends.edns_bytes, most=None))
            for begin in range(0, len(data), _SEGMENT_BYTES):
                at += 10
                part = data[begin : begin + _SEGMENT_BYTES]
                send(at, wire.PUSH | wire.ACK, part, back=True, asks=None)
        send(at + 20, wire.FIN | wire.ACK, asks=None)
        send(at + 20 + took, wire.FIN | wire.ACK, back=True, asks=None)
        send(at + 40 + took, wire.ACK, asks=None)
        return at

    def _number(self) -> int:
        """Return an IPv4 identification: each packet has its own."""
        self._serial = self._serial % 0xFFFF + 1
        return self._serial

    def _delay(self, is_own: bool) -> int:
        delays = self._network.own_delays if is_own else self._network.other_delays
        return max(_LEAST_DELAY_US, int(delays.draw(self._dice) * _SECOND_US))

    def _message(self, step: Step, ident: int, edns_bytes: int, most: int | None) -> bytes:
        """Return a response; one that is cut to ``most`` bytes says so."""
        zones, name = self._zones, step.candidate
        held = zones.held.get(name)
        target = (held.alias if held else None) or ""
        records = [wire.alias(target)] if target and step.outcome in (ANSWER, NODATA) else []
        if step.outcome == ANSWER:
            count = held.records.get(step.qtype, 1) if held else 1
            first = len(records)
            records += [
                wire.record(step.qtype, n, self._addresses, target) for n in range(max(1, count))
            ]
            if most is not None:
                room = most - 12 - 2 - len(name) - 4 - (11 if edns_bytes else 0)
                records = records[: first + room // len(records[-1])]
        return wire.response(
            ident,
            name,
            step.qtype,
            rcode=_RCODES[step.outcome],
            records=records,
            is_authoritative=zones.is_authoritative and zones.is_own(name),
            is_truncated=most is not None,
            zone=zones.zone_of(name) if step.outcome in (NODATA, NXDOMAIN) else None,
            edns_bytes=edns_bytes,
        )


def _framed(message: bytes) -> bytes:
    """Return a message as TCP carries it, behind its length (RFC 1035 section 4.2.2)."""
    return len(message).to_bytes(2, "big") + message
