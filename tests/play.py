"""Workloads played by a resolver's rules over a zone, written as captures.

The same workload played under another setting is what a prediction is held against.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, SERVFAIL, UNANSWERED
from pcapkit.resolver.models import resolver_model
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.simulate import Walk, walk

from . import build

SEARCH = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
_TYPES = {"A": build.A, "AAAA": build.AAAA}
_RCODES = {ANSWER: 0, NODATA: 0, NXDOMAIN: 3, SERVFAIL: 2}


@dataclass(frozen=True)
class Workload:
    """Names that clients look up, in turn, and what exists.

    ``zone`` maps a name to its outcome (of A, of AAAA); all others do not exist. Names under
    cluster.local are answered with AA, others are forwarded.
    """

    names: Sequence[str]
    zone: Mapping[str, tuple[int, int]]
    model: str = "glibc"
    ndots: int = 5
    search: Sequence[str] = SEARCH
    options: Sequence[str] = ()
    clients: Sequence[str] = (build.CLIENT,)
    rounds: int = 1
    gap_ns: int = 200 * build.MS
    ttl: int = 30
    final: frozenset[str] = field(default_factory=frozenset)  # written with a final dot
    first_port: int = 20000
    start_ns: int = build.START_NS

    def under(self, **changes: object) -> Workload:
        """Return the same workload under other settings."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def outcome(self, name: str, qtype: str) -> int:
        """Say how one question ends."""
        return self.zone.get(name, (NXDOMAIN, NXDOMAIN))[qtype == "AAAA"]

    def walks(self) -> list[tuple[str, Walk]]:
        """Play every lookup: (client, its walk)."""
        config = ResolverConfig(
            (build.SERVER,), tuple(self.search), self.ndots, tuple(self.options), "resolv.conf"
        )
        model = resolver_model(self.model)
        return [
            (client, walk(f"{n}." if n in self.final else n, config, model, self.outcome))
            for _ in range(self.rounds)
            for n in self.names
            for client in self.clients
        ]

    @property
    def queries(self) -> int:
        """Questions of all lookups together."""
        return sum(w.queries for _, w in self.walks())

    @property
    def resolved(self) -> int:
        """Lookups that gave an address."""
        return sum(w.answered_by is not None for _, w in self.walks())

    def write(self, folder: Path, name: str = "c.pcap") -> str:
        """Write what a capture of the workload would show."""
        return build.save(folder, build.pcap(self.packets()), name)

    def packets(self) -> list[build.Packet]:
        """Return what a capture of the workload would show."""
        dice = random.Random(7)
        packets: list[build.Packet] = []
        time, port = self.start_ns, self.first_port
        for client, done in self.walks():
            now, ended, candidate = time, time, ""
            for step in done.steps:
                if step.candidate != candidate:
                    first = self.first_port
                    candidate, port = step.candidate, first + (port + 1 - first) % 20000
                    now = ended + build.MS // 10
                    ident = dice.randrange(1 << 16)
                near = self.model == "musl"  # which takes its IDs from the clock
                ident = (ident + 40) % (1 << 16) if near else dice.randrange(1 << 16)
                packets += self._exchange(client, port, ident, now, step.candidate, step.qtype)
                now += build.MS // 20
                ended = max(ended, packets[-1].time)
            time += self.gap_ns
        packets.sort(key=lambda p: p.time)
        return packets

    def _exchange(
        self, client: str, port: int, ident: int, time: int, name: str, qtype: str
    ) -> list[build.Packet]:
        kind, outcome = _TYPES[qtype], self.outcome(name, qtype)
        out = [
            build.Packet(
                build.ethernet(
                    build.ipv4(build.udp(build.query(name, kind, ident=ident), port), client)
                ),
                time,
            )
        ]
        if outcome == UNANSWERED:
            return out
        inside = name.endswith("cluster.local")
        address = "10.96.7.7" if qtype == "A" else "fd00::7"
        records = [build.address_record(address, ttl=self.ttl)] if outcome == ANSWER else []
        reply = build.response(
            name,
            kind,
            ident=ident,
            rcode=_RCODES[outcome],
            flags=0x0400 if inside else 0,
            answers=records,
            authority=[] if records else [build.soa_record()],
        )
        packet = build.ipv4(build.udp(reply, 53, port), build.SERVER, client)
        took = build.MS // 2 if inside else 4 * build.MS
        return [*out, build.Packet(build.ethernet(packet), time + took)]


def write_together(works: Sequence[Workload], folder: Path) -> str:
    """Write a capture of several workloads that run at the same time."""
    packets = sorted((p for w in works for p in w.packets()), key=lambda p: p.time)
    return build.save(folder, build.pcap(packets), "together.pcap")


BOTH, ONLY_A = (ANSWER, ANSWER), (ANSWER, NODATA)

#: A shop: its own services, those of other namespaces, and the world.
SHOP = Workload(
    names=(
        "cart",
        "db",
        "auth.login",
        "metrics.monitoring",
        "ledger.finance.svc",
        "api.example.com",
        "www.example.org",
        "cdn.example.net",
        "pay.api.example.com",
        "queue.eu-west-1.amazonaws.com",
        "missing",
        "gone.example.com",
    ),
    zone={
        "cart.shop.svc.cluster.local": ONLY_A,
        "db.shop.svc.cluster.local": ONLY_A,
        "auth.login.svc.cluster.local": ONLY_A,
        "metrics.monitoring.svc.cluster.local": ONLY_A,
        "ledger.finance.svc.cluster.local": ONLY_A,
        "api.example.com": ONLY_A,
        "www.example.org": ONLY_A,
        "cdn.example.net": ONLY_A,
        "pay.api.example.com": ONLY_A,
        "queue.eu-west-1.amazonaws.com": ONLY_A,
    },
    rounds=3,
)
