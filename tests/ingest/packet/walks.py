"""One pod's lookups, as packets: what every other source of the same traffic must come to.

The samples in ``tests/data/sources`` are the same conversation. The pod (10.244.1.17) walks its
search list for an external name, finds a service of another namespace under the second suffix, and
one of its own at once; A and AAAA leave one port together, as glibc sends them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.build import (
    AAAA,
    START_NS,
    A,
    Packet,
    address_record,
    answer,
    ask,
    ethernet,
    query,
    response,
    soa_record,
)

LOCAL = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


@dataclass(frozen=True)
class Exchange:
    """One query and its response; times in microseconds from START_NS, ``took`` between them."""

    at: int
    took: int
    port: int
    ident: int
    name: str
    qtype: int
    rcode: int
    address: str | None  # None: no record of the asked type


#: name, (A address or None, AAAA address or None) or the response code, microseconds it takes
STEPS: tuple[tuple[str, tuple[str | None, str | None] | int, int], ...] = (
    *((f"api.example.com.{suffix}", 3, 300) for suffix in LOCAL),
    ("api.example.com", ("192.0.2.10", "2001:db8::10"), 18_000),
    ("db.prod.default.svc.cluster.local", 3, 250),
    ("db.prod.svc.cluster.local", ("10.96.7.7", None), 280),
    ("web.default.svc.cluster.local", ("10.96.8.8", None), 260),
)


def exchanges() -> Iterator[Exchange]:
    """Return the conversation in the order of its queries."""
    at = 0
    for number, (name, found, took) in enumerate(STEPS):
        for family, qtype in enumerate((A, AAAA)):
            rcode = found if isinstance(found, int) else 0
            address = None if isinstance(found, int) else found[family]
            ident = (0x1A57 + 0x3F2B * (2 * number + family)) & 0xFFFF  # unrelated, as glibc's are
            yield Exchange(
                at + 40 * family,
                took + 20 * family,
                40_001 + number,
                ident,
                name,
                qtype,
                rcode,
                address,
            )
        at += took + 1_000


def as_packets() -> list[Packet]:
    """Return the conversation as a capture on the pod's interface sees it."""
    out = []
    for number, e in enumerate(exchanges()):
        start = START_NS + e.at * 1_000
        dns = query(e.name, e.qtype, ident=e.ident)
        out.append(Packet(ethernet(ask(dns, ident=2 * number + 1, port=e.port)), start))
        records = [address_record(e.address)] if e.address else []
        dns = response(
            e.name,
            e.qtype,
            ident=e.ident,
            rcode=e.rcode,
            answers=records,
            authority=[] if records else [soa_record()],
        )
        packet = answer(dns, ident=2 * number + 2, port=e.port)
        out.append(Packet(ethernet(packet), start + e.took * 1_000))
    return sorted(out, key=lambda packet: packet.time)
