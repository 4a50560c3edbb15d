"""Random traffic of clients that look a few names up, again and again and at once.

Packets are lost, late and asked again, or refused by a closed port; walks are those of
``resolver/simulate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, SERVFAIL, UNANSWERED
from pcapkit.pipeline.options import Options
from pcapkit.resolver.models import RESOLVERS, resolver_model
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.simulate import Step, walk
from tests import build
from tests.analysis.talk import Talk

CLIENTS = (build.CLIENT, "10.244.1.18")
CLOSED = "10.96.0.11"
LIST = ("shop.svc.z", "svc.z", "z")
NAMES = ("web", "db", "web.shop", "api.example", "web.shop.svc", "a.b.example.org", "web.")
RCODES = {ANSWER: 0, NODATA: 0, NXDOMAIN: 3, SERVFAIL: 2, REFUSED: 5}
GAPS_MS = (0, 0.01, 0.3, 2, 6, 30, 300, 700, 1500, 6000, 30_000, 100_000)
TYPES = {"A": build.A, "AAAA": build.AAAA}


@dataclass(frozen=True)
class Traffic:
    """A capture, and the settings that all its clients have."""

    model: str
    search: tuple[str, ...]
    ndots: int
    content: bytes
    begin: int  # the time of the first packet
    end: int  # ... of the last

    def write(self, folder: str) -> str:
        """Write the capture and return its path."""
        return build.save(Path(folder), self.content, "traffic.pcap")

    @property
    def options(self) -> Options:
        """What a user says who knows the settings."""
        return Options(search=self.search, ndots=self.ndots, resolver=self.model)


@st.composite
def traffic(draw: st.DrawFn, models: Sequence[str] = tuple(m.name for m in RESOLVERS)) -> Traffic:
    """Draw the traffic of one or two clients with one resolver."""
    model, ndots = draw(st.sampled_from(models)), draw(st.integers(1, 5))
    search = LIST[: draw(st.integers(1, 3))]
    outcome = st.sampled_from([ANSWER, ANSWER, NODATA, NXDOMAIN, SERVFAIL, REFUSED, UNANSWERED])
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    places = [f"{n.rstrip('.')}{s}" for n in names for s in ("", *(f".{s}" for s in search))]
    places = draw(st.lists(st.sampled_from(places), max_size=5, unique=True))
    zone = {p: draw(st.tuples(outcome, outcome)) for p in places}
    config = ResolverConfig((build.SERVER,), search, ndots, (), "")
    talk, at = Talk(), 0.0
    closed = draw(st.sampled_from([None, None, CLOSED, build.SERVER]))
    for _ in range(draw(st.integers(1, 6))):
        name, client = draw(st.sampled_from(names)), draw(st.sampled_from([CLIENTS[0], *CLIENTS]))
        done = walk(
            name,
            config,
            resolver_model(model),
            lambda n, t: zone.get(n, (NXDOMAIN, NXDOMAIN))[t == "AAAA"],
        )
        _play(draw, talk, done.steps, model, (client, closed), at)
        at += draw(st.sampled_from(GAPS_MS))
    times = [packet.time for packet in talk._packets]
    return Traffic(model, search, ndots, talk.capture(), min(times), max(times))


def _play(
    draw: st.DrawFn,
    talk: Talk,
    steps: Sequence[Step],
    model: str,
    ends: tuple[str, str | None],
    at: float,
) -> None:
    """Send a walk: both families together, lost packets again after 5 s, failed ones at once.

    ``ends`` are the client and, if there is one, a server that is asked first and does not listen.
    """
    client, closed = ends
    own_ports, begin, candidate, port = model == "go", at, "", 0
    together = resolver_model(model).asks_all
    for step in steps:
        if step.candidate != candidate:
            candidate, begin = step.candidate, at if together else max(at, begin + 0.1)
            port = 20_000 + talk._serial if not (together and port) else port
        sent, tries = begin, min(step.sent, 2)
        if step.outcome != UNANSWERED and tries == 1 and draw(st.integers(0, 9)) == 0:
            tries = -2  # the first is lost
        for number in range(abs(tries)):
            if closed:
                _refuse(talk, sent, step, (client, closed), port, own_ports)
                sent += 0.4
            lost = step.outcome == UNANSWERED or (tries < 0 and number == 0)
            took = None if lost else draw(st.sampled_from([0.3, 0.3, 0.3, 7, 300]))
            talk.exchange(
                sent,
                step.candidate,
                TYPES[step.qtype],
                rcode=RCODES.get(step.outcome, 0),
                answers=None if step.outcome == ANSWER else [],
                took=took,
                client=client,
                port=port + (talk._serial if own_ports else 0),
                ident=None if own_ports else (7919 * port + TYPES[step.qtype]) % 65536,
            )
            sent += 5000 if took is None else took + 0.05
        at = max(at, sent)
        begin += 0.02


def _refuse(
    talk: Talk, at: float, step: Step, ends: tuple[str, str], port: int, own_ports: bool
) -> None:
    """Ask a server that does not listen, as an ICMP message says."""
    port += talk._serial if own_ports else 0
    ident = None if own_ports else (7919 * port + TYPES[step.qtype]) % 65536
    client, server = ends
    talk.exchange(
        at,
        step.candidate,
        TYPES[step.qtype],
        took=None,
        client=client,
        server=server,
        port=port,
        ident=ident,
    )
    quoted = build.ipv4(build.udp(b"", port, 53), client, server)[:28]
    talk.unreachable(at + 0.1, quoted, (server, client))
