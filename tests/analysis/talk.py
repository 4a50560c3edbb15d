"""Conversations between stub resolvers and nameservers, written to captures that show a fault.

Times are milliseconds from the beginning; what a test says of a conversation is all there is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pcapkit.model.results import Finding
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import make_options
from tests import build
from tests.build import AAAA, MS, A

NAMESPACE, SERVICES, ZONE = "default.svc.cluster.local", "svc.cluster.local", "cluster.local"
LIST = (NAMESPACE, SERVICES, ZONE)
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, REFUSED = 0, 1, 2, 3, 5
AUTHORITY, TRUNCATED, RECURSION = 0x0400, 0x0200, 0x0100


def cname(owner: str, target: str) -> bytes:
    """Return a CNAME record."""
    return build.record(build.wire(owner), build.CNAME, build.wire(target))


class Talk:
    """Packets of one capture, in any order of writing."""

    def __init__(self, client: str = build.CLIENT, server: str = build.SERVER) -> None:
        self.client, self.server = client, server
        self._packets: list[build.Packet] = []
        self._serial = 0

    def _send(
        self, at: float, dns: bytes, ends: tuple[str, str], ports: tuple[int, int], tcp: bool
    ) -> None:
        self._serial += 1
        segment = build.tcp(build.framed(dns), *ports) if tcp else build.udp(dns, *ports)
        packet = build.ipv4(segment, *ends, protocol=6 if tcp else 17, ident=self._serial)
        time = build.START_NS + int(at * MS)
        self._packets.append(build.Packet(build.ethernet(packet), time))

    def exchange(
        self,
        at: float,
        name: str,
        qtype: int = A,
        *,
        rcode: int = NOERROR,
        answers: Sequence[bytes] | None = None,
        flags: int = AUTHORITY,
        took: float | None = 0.3,
        port: int | None = None,
        ident: int | None = None,
        client: str | None = None,
        server: str | None = None,
        edns: bool | int = False,
        tcp: bool = False,
        ttl: int = 30,
        minimum: int | None = 5,
        zone: str | None = None,
        recursive: bool = True,
    ) -> None:
        """One query and, unless ``took`` is None, its response.

        Without ``answers``, NOERROR has one record of the asked type; negative responses have an
        SOA record, of ``zone`` or of the asked name itself, unless ``minimum`` is None. ``edns``
        may be the size that the query announces.
        """
        client, server = client or self.client, server or self.server
        self._serial += 1
        number = self._serial
        port = port or 30000 + number
        ident = number * 7919 % 65536 if ident is None else ident  # far apart: glibc, not musl
        extra = [build.opt_record(1232 if edns is True else edns)] if edns else []
        asked = build.query(
            name, qtype, ident=ident, flags=RECURSION if recursive else 0, additional=extra
        )
        self._send(at, asked, (client, server), (port, 53), tcp)
        if took is None:
            return
        records = [self._record(qtype, ttl)] if answers is None and rcode == NOERROR else answers
        authority = []
        if not records and minimum is not None:
            owner = build.ASKED if zone is None else build.wire(zone)
            authority.append(build.soa_record(minimum=minimum, owner=owner))
        reply = build.response(
            name,
            qtype,
            ident=ident,
            rcode=rcode,
            flags=flags,
            answers=records or [],
            authority=authority,
            additional=extra,
        )
        self._send(at + took, reply, (server, client), (53, port), tcp)

    def unread(
        self,
        at: float,
        name: str,
        qtype: int = A,
        *,
        ident: int,
        port: int,
        rcode: int = FORMERR,
        took: float | None = 0.3,
    ) -> None:
        """What musl asks with '.' in its list: the dot behind the name counts 46 bytes more."""
        asked = bytes([len(name)]) + name.encode() + b".\0" + bytes([qtype]) + b"\0\1\0"
        dns = build.message(ident, 0x0100, [asked])
        self._send(at, dns, (self.client, self.server), (port, 53), False)
        if took is not None:
            said = build.message(ident, 0x8100 | rcode)
            self._send(at + took, said, (self.server, self.client), (53, port), False)

    @staticmethod
    def _record(qtype: int, ttl: int) -> bytes:
        if qtype in (A, AAAA):
            return build.address_record("192.0.2.1" if qtype == A else "2001:db8::1", ttl=ttl)
        return build.record(build.ASKED, qtype, build.wire("host.example.com"), ttl=ttl)

    def pair(self, at: float, name: str, **how: Any) -> None:
        """A and AAAA from one port, as glibc and musl send them; ``how`` is of both."""
        self._serial += 1
        port = how.pop("port", 30000 + self._serial)
        self.exchange(at, name, A, port=port, **how)
        self.exchange(at + 0.02, name, AAAA, port=port, **how)

    def found(self, at: float, name: str, **how: Any) -> None:
        """A service with an A record and none for AAAA."""
        self._serial += 1
        port = how.pop("port", 30000 + self._serial)
        self.exchange(at, name, A, port=port, **how)
        self.exchange(at + 0.02, name, AAAA, port=port, answers=[], **how)

    def walk(
        self,
        at: float,
        base: str,
        search: Sequence[str] = LIST,
        *,
        ends_at: int | None = None,
        **how: Any,
    ) -> None:
        """A walk down the list: NXDOMAIN everywhere but at ``ends_at`` (the name as is: None)."""
        for position, suffix in enumerate(search):
            name = f"{base}.{suffix}"
            if position == ends_at:
                self.found(at, name, **how)
                return
            self.pair(at, name, rcode=NXDOMAIN, **how)
            at += 1
        self.pair(at, base, **how)

    def unreachable(self, at: float, quoted: bytes, ends: tuple[str, str]) -> None:
        """An ICMP message that says that a port is closed, and quotes the packet to it."""
        packet = build.ipv4(b"\x03\x03" + bytes(6) + quoted, *ends, protocol=1)
        time = build.START_NS + int(at * MS)
        self._packets.append(build.Packet(build.ethernet(packet), time))

    def snap(self, size: int) -> None:
        """Keep what ``tcpdump -s SIZE`` captures of each packet so far."""
        cut = (replace(p, data=p.data[:size], original=p.wire_length) for p in self._packets)
        self._packets = list(cut)

    @property
    def packets(self) -> list[build.Packet]:
        """The packets so far, in the order of time."""
        return sorted(self._packets, key=lambda p: p.time)

    def capture(self) -> bytes:
        """Return the capture file."""
        return build.pcap(self.packets)

    def analyze(self, folder: Path, name: str = "talk.pcap", **options: Any) -> Analysis:
        """Write the capture and analyse it."""
        path = build.save(folder, self.capture(), name)
        return analyze(path, options=make_options(**options) if options else None)

    def findings(self, folder: Path, **options: Any) -> dict[str, Finding]:
        """Return the findings by code."""
        return {f.code: f for f in self.analyze(folder, **options).findings}
