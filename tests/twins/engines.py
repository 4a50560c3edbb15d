"""Random workloads of one client, played by ``resolver/simulate`` and written as a capture.

Every question that any ndots could lead to is answered somewhere in the capture, so that a
prediction rests on what was seen and on nothing assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import strategies as st

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, SERVFAIL, UNANSWERED
from pcapkit.names.text import dots
from pcapkit.resolver.models import RESOLVERS, resolver_model
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.search import candidates
from pcapkit.resolver.simulate import FAMILIES, Walk, walk
from tests import build
from tests.analysis.talk import Talk

OTHERS = ("10.244.9.8", "10.244.9.9")
TYPES = {"A": build.A, "AAAA": build.AAAA}
SUFFIXES = ("shop.svc.z1", "svc.z1", "z1", "corp.z2", "z3", ".", "s" * 60 + ".l1.z4")
SUFFIXES += tuple("s" * 60 + f".l{n}.z4" for n in range(2, 6))
WORDS = ("web", "db", "api", "m" * 60)
RCODES = {ANSWER: 0, NODATA: 0, NXDOMAIN: 3, SERVFAIL: 2, REFUSED: 5}
Zone = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Work:
    """Names looked up in turn, each once; ``zone`` maps names to the outcomes of A and AAAA."""

    model: str
    search: tuple[str, ...]
    ndots: int
    names: tuple[str, ...]
    zone: Zone

    def outcome(self, name: str, qtype: str) -> int:
        """Say how one question ends."""
        return self.zone.get(name, (NXDOMAIN, NXDOMAIN))[qtype == "AAAA"]

    def walks(self, ndots: int) -> list[Walk]:
        """Play every lookup under one ndots."""
        config = ResolverConfig((build.SERVER,), self.search, ndots, (), "")
        model = resolver_model(self.model)
        return [walk(n, config, model, self.outcome) for n in self.names]

    def capture(self) -> bytes:
        """Return a capture of the client's walks under its ndots, and what others are told."""
        talk, at = Talk(), 0.0
        for done in self.walks(self.ndots):
            at = self._play(talk, done, at) + 60_000
        self._tell(talk, at)
        return talk.capture()

    def _play(self, talk: Talk, done: Walk, at: float) -> float:
        """Add one walk; return when it ended."""
        together = resolver_model(self.model).asks_all
        port, now, names = 20_000 + talk._serial, at, list[str]()
        for step in done.steps:
            if step.candidate not in names:
                names.append(step.candidate)
                port += 0 if together else 1
                now = at + 0.1
            else:
                now += 0.02
            self._ask(talk, now, step.candidate, step.qtype, port=port)
            took = 0.5 if step.outcome != UNANSWERED else 10_000
            at = max(at, now + (0 if together else took))
        return at + 10_000

    def _ask(self, talk: Talk, at: float, name: str, qtype: str, **how: object) -> None:
        outcome = self.outcome(name, qtype)
        silent = outcome == UNANSWERED
        talk.exchange(
            at,
            name,
            TYPES[qtype],
            rcode=RCODES.get(outcome, 0),
            answers=None if outcome == ANSWER else [],
            took=None if silent else 0.3,
            **how,  # type: ignore[arg-type]
        )

    def _tell(self, talk: Talk, at: float) -> None:
        """Show the end of every question that any ndots may lead to, in lookups of nobody.

        Responses without queries are of no lookup, and queries at the very end of none that is
        complete.
        """
        model = resolver_model(self.model)
        asked = {
            (candidate, qtype)
            for name in self.names
            for n in (0, 15)
            for candidate in candidates(name, self.search, ndots=n, model=model)
            for qtype in FAMILIES
        }
        seen = len(talk._packets)
        for number, (name, qtype) in enumerate(sorted(asked)):
            silent = self.outcome(name, qtype) == UNANSWERED
            self._ask(
                talk,
                at + (20_000 if silent else 0) + number / 100,
                name,
                qtype,
                client=OTHERS[silent],
            )
            if not silent:
                del talk._packets[-2]  # the query
        assert len(talk._packets) == seen + len(asked)


@st.composite
def works(draw: st.DrawFn, models: Sequence[str] = tuple(m.name for m in RESOLVERS)) -> Work:
    """Draw a workload of a resolver; the root may stand anywhere in its list."""
    model = draw(st.sampled_from(models))
    suffixes = [s for s in SUFFIXES if s != "." or resolver_model(model).as_is_after_list]
    search = tuple(draw(st.lists(st.sampled_from(suffixes), max_size=6, unique=True)))
    ndots = draw(st.integers(0, 6))
    never = resolver_model(model).never_asked
    names = []
    for number in range(draw(st.integers(1, 4))):
        words = draw(st.lists(st.sampled_from(WORDS), max_size=3))
        last = draw(st.sampled_from(["", "example", "onion"]))
        if last == never and len(words) + 1 >= ndots:
            last = ""  # searched at once, with so many dots: read as a name in full
        names.append(".".join([f"n{number}", *words, *([last] if last else [])]))
    rules = replace(resolver_model(model), searches_after_as_is=True)
    zone: dict[str, tuple[int, int]] = {}
    outcome = st.sampled_from([ANSWER, NODATA, NXDOMAIN, NXDOMAIN, SERVFAIL, REFUSED, UNANSWERED])
    for name in names:
        places = sorted({*candidates(name, search, ndots=1, model=rules), name})
        for place in draw(st.lists(st.sampled_from(places), max_size=3, unique=True)):
            ends = draw(st.tuples(outcome, outcome))
            if rules.nxdomain_of_one_is_absence and set(ends) == {ANSWER, NXDOMAIN}:
                ends = ANSWER, NODATA  # musl walks on: read as two lookups
            zone[place] = ends
    final = [f"{n}." if dots(n) < ndots and draw(st.integers(0, 4)) == 0 else n for n in names]
    return Work(model, search, ndots, tuple(final), zone)


def write(work: Work, folder: Path) -> str:
    """Write the capture of a workload."""
    return build.save(folder, work.capture(), "work.pcap")
