"""Walks that a resolver's rules play, with pauses, loss and reordering, are grouped as played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.resolver.models import resolver_model
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.simulate import Step, walk
from tests import build
from tests.analysis.talk import LIST, NAMESPACE, SERVICES, Talk
from tests.build import AAAA, A

TYPES = {"A": A, "AAAA": AAAA}
RCODES = {ANSWER: 0, NODATA: 0, NXDOMAIN: 3}
BASES = (
    "cart",
    "redis.data",
    "api.example.com",
    "pg.data.svc",
    "kms.eu-west-1.example.net",
    "gone",
)
ZONE = {
    f"{base}.{suffix}"
    for base, suffix in (
        ("cart", NAMESPACE),
        ("redis.data", SERVICES),
        ("pg.data", "svc." + LIST[2]),
    )
} | {"api.example.com", "kms.eu-west-1.example.net"}
#: What a lookup was: its candidates, and how many questions.
Played = tuple[tuple[str, ...], int]


def outcome(name: str, qtype: str) -> int:
    """Say how a question ends; no name has an AAAA record."""
    if not any(name == z or name == f"t{k}-{z}" for z in ZONE for k in range(9)):
        return NXDOMAIN
    return ANSWER if qtype == "A" else NODATA


@dataclass
class Player:
    """Plays the walks of one resolver, as several threads do."""

    model: str
    dice: Random
    loss: float = 0.03
    talk: Talk = field(default_factory=Talk)
    played: Counter[Played] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rules = resolver_model(self.model)
        self.edns = self.rules.edns_bytes > 0
        self.port = 33000  # of c-ares, for all that one process asks

    def pause(self, most: float = 100.0) -> float:
        """Return a pause in ms: now and then one at the limit of a pod's CPU."""
        return (
            self.dice.uniform(5, most) if self.dice.random() < 0.2 else self.dice.uniform(0.05, 1)
        )

    def new_port(self) -> int:
        """Return a port of its own for a socket."""
        self.port += 1
        return self.port

    def idents(self) -> Iterator[int]:
        """Yield message IDs: musl's lie close together."""
        ident = self.dice.randrange(1 << 16)
        while True:
            yield ident
            near = self.model == "musl"
            ident = (ident + 40) % (1 << 16) if near else self.dice.randrange(1 << 16)

    def candidate(self, at: float, steps: list[Step], port: int) -> float:
        """Ask one candidate; return when its last response came."""
        idents, end, sent = self.idents(), at, at
        for step in steps:
            if step.qtype == "AAAA":
                sent += 0.03 if self.dice.random() < 0.9 else self.pause()
            mine = self.new_port() if self.model == "go" else port
            end = max(end, self.question(sent, step, mine, next(idents)))
        return end

    def question(self, at: float, step: Step, port: int, ident: int) -> float:
        """Ask a question, again where a packet of it is lost; return when its response came."""
        how = {"rcode": RCODES[step.outcome], "edns": self.edns}
        if step.outcome == NODATA:
            how["answers"] = []
        while self.dice.random() < self.loss:
            self.talk.exchange(
                at,
                step.candidate,
                TYPES[step.qtype],
                took=None,
                port=port,
                ident=ident,
                edns=self.edns,
            )
            at += {"musl": 2500, "c-ares": 2000}.get(self.model, 5000)
            if self.model in ("go", "c-ares"):
                port = self.new_port()
            if self.model == "go":
                ident = self.dice.randrange(1 << 16)
        took = self.dice.uniform(0.1, 3)  # so that answers overtake one another
        self.talk.exchange(
            at, step.candidate, TYPES[step.qtype], took=took, port=port, ident=ident, **how
        )
        return at + took

    def lookup(self, at: float, name: str, ndots: int) -> float:
        """Play one lookup; return when it ended."""
        config = ResolverConfig((build.SERVER,), LIST, ndots, (), "resolv.conf")
        done = walk(name, config, self.rules, outcome)
        own = self.new_port()  # of one c-ares channel
        names = []
        for asked, steps in groupby(done.steps, key=lambda s: s.candidate):
            names.append(asked)
            port = own if self.model == "c-ares" else self.new_port()
            at = self.candidate(at, list(steps), port) + self.pause()
        self.played[tuple(names), len(done.steps)] += 1
        return at


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("model", ["glibc", "musl", "go", "c-ares"])
def test_played_walks_are_grouped(tmp_path: Path, model: str, seed: int) -> None:
    """Three threads, each with names of its own, under ndots 5 or 2."""
    player = Player(model, Random(seed))
    ndots = player.dice.choice((5, 2))
    for thread in range(3):
        at = player.dice.uniform(0, 50)
        for _ in range(12):
            base = f"t{thread}-{player.dice.choice(BASES)}"
            at = player.lookup(at, base, ndots) + player.dice.uniform(200, 600)
    found = player.talk.analyze(tmp_path)
    assert found.client_rows[0].search == LIST
    shown = Counter(
        (tuple(candidates), int(queries))
        for candidates, queries in zip(
            found.lookups["candidates"], found.lookups["queries"], strict=True
        )
    )
    assert shown == player.played


def test_one_name_twice_at_once_by_the_port(tmp_path: Path) -> None:
    """Two processes of c-ares walk one name at the same time: each keeps its port."""
    player = Player("c-ares", Random(3), loss=0)
    for k in range(20):
        player.lookup(1000 * k, "api.example.com", 5)
        player.lookup(1000 * k + 0.4, "api.example.com", 5)
    lookups = player.talk.analyze(tmp_path).lookups
    assert lookups["queries"].tolist() == [8] * 40


@pytest.mark.parametrize("asked_again", [True, False])
def test_a_walk_that_began_before_the_capture(tmp_path: Path, *, asked_again: bool) -> None:
    """Its name as is stands alone at the beginning, but the same file shows the name searched."""
    talk = Talk()
    talk.pair(0, "api.example.com")
    for n in range(5):
        talk.walk(1000 * (n + 1), f"{'api' if asked_again else 'www'}.example.com")
    lookups = talk.analyze(tmp_path).lookups
    assert lookups["queries"].tolist() == [2, *[8] * 5]
    assert lookups["complete"].tolist() == [not asked_again, *[True] * 5]


def test_a_name_with_a_final_dot_later_is_whole(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, "api.example.com")
    talk.pair(1000, "api.example.com")
    lookups = talk.analyze(tmp_path).lookups
    assert lookups["complete"].all() and lookups["absolute"].tolist() == [False, True]


@pytest.mark.parametrize("answers_at_once", [True, False])
def test_the_other_family_from_the_same_port(tmp_path: Path, *, answers_at_once: bool) -> None:
    """busybox asks A of all suffixes, then AAAA; what is answered before is a walk of its own."""
    talk = Talk()
    for n in range(5):
        for half, qtype in enumerate((A, AAAA)):
            for k, suffix in enumerate(LIST):
                at = 500 * n + (0.1 * half + 0.03 * k if not answers_at_once else 2 * half + k / 2)
                name, port = f"db{n}.{suffix}", 40000 + n
                talk.exchange(at, name, qtype, rcode=3, took=0.3, port=port)
    lookups = talk.analyze(tmp_path).lookups
    assert lookups["queries"].tolist() == ([3] * 10 if answers_at_once else [6] * 5)
    walk_of = [None, *range(0, 10, 2)] if answers_at_once else []
    assert lookups["walk_of"].dropna().tolist() == walk_of[1:]


@pytest.mark.parametrize(("asked_as_is", "kind"), [(True, "nonexistent"), (False, "single_label")])
def test_a_name_that_was_never_asked_may_exist(
    tmp_path: Path, kind: str, *, asked_as_is: bool
) -> None:
    talk = Talk()
    for n in range(4):
        for k, suffix in enumerate((*LIST, "") if asked_as_is else LIST):
            talk.pair(1000 * n + k, f"gone{n}.{suffix}".rstrip("."), rcode=3)
    analysis = talk.analyze(tmp_path)
    assert {n.kind for n in analysis.name_rows} == set(analysis.lookups["kind"]) == {kind}
