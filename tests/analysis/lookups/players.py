"""Resolvers as they are on the wire: a row each, played by the rules of ``RESOLVERS``.

Those rules say which names are asked and when a walk ends; a row here says from which ports, under
which IDs, in which order and after which timers (measured with the releases that ``RESOLVERS``
names). What a player sends is what a capture beside its pod shows, and every lookup is noted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, UNANSWERED
from pcapkit.resolver.models import AFTER_AS_IS, AFTER_STOP, resolver_model
from pcapkit.resolver.search import candidates
from tests.analysis.talk import LIST, NAMESPACE, SERVICES, Talk
from tests.build import AAAA, A

BOTH = (A, AAAA)
MX = 15
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
#: What a port belongs to: a question, a candidate, or all that a lookup asks.
QUESTION, CANDIDATE, LOOKUP = range(3)
#: How the questions of one candidate lie: all at once, one after the answer of the one before, each
#: family in a walk of its own, or those of all candidates in one batch.
AT_ONCE, IN_TURN, APART, BATCH, BATCH_BY_FAMILY = range(5)


class Wire(NamedTuple):
    """What the packets of one resolver look like."""

    model: str  #: its row in RESOLVERS
    port_of: int
    version: str = ""
    types: tuple[int, ...] = BOTH
    order: int = AT_ONCE
    any_order: bool = False  #: AAAA may go first
    later_ms: float = 0.0  #: the other family is sent up to so much later
    near_ids: bool = False
    edns: bool = False
    timers_ms: tuple[float, ...] = (5000, 5000)  #: after each try
    again_from_new_port: bool = False
    again_with_new_id: bool = False
    gives_up_beside_answer: bool = False  #: a lost question is not repeated where the other is good
    seldom: bool = False  #: lookups lie so far apart that what a cache holds has expired, in part


_BIND = Wire("", QUESTION, types=(A, AAAA), again_from_new_port=True)
WIRES = {
    "glibc": Wire("glibc", CANDIDATE),
    "glibc single-request": Wire("glibc", CANDIDATE, order=IN_TURN),
    "glibc single-request-reopen": Wire("glibc", QUESTION, order=IN_TURN),
    "glibc timeout:1": Wire("glibc", CANDIDATE, timers_ms=(1000, 1000)),
    "musl": Wire("musl", CANDIDATE, near_ids=True, timers_ms=(2500, 2500)),
    "go": Wire(
        "go", QUESTION, any_order=True, edns=True, again_from_new_port=True, again_with_new_id=True
    ),
    "c-ares": Wire(
        "c-ares",
        LOOKUP,
        edns=True,
        timers_ms=(2000, 3000, 6000),
        again_from_new_port=True,
        gives_up_beside_answer=True,
        seldom=True,
    ),
    "c-ares 1.31": Wire(
        "c-ares",
        LOOKUP,
        edns=True,
        timers_ms=(300, 700, 1400),
        again_from_new_port=True,
        gives_up_beside_answer=True,
    ),
    "c-ares 1.19": Wire("c-ares", LOOKUP, "1.19", timers_ms=(5000, 10000, 20000)),
    "dnspython": Wire(
        "dnspython",
        QUESTION,
        types=(A,),
        timers_ms=(2000, 2000, 900),
        again_from_new_port=True,
        again_with_new_id=True,
    ),
    "bind-nslookup": _BIND._replace(model="bind-nslookup"),
    "bind-host": _BIND._replace(model="bind-host", types=(A, AAAA, MX)),
    "bind-dig": _BIND._replace(model="bind-dig", types=(A,), edns=True),
    "busybox": Wire("busybox", LOOKUP, order=BATCH, timers_ms=(2500, 2500)),
    "busybox 1.38": Wire("busybox", LOOKUP, order=BATCH_BY_FAMILY, timers_ms=(2500, 2500)),
    "hickory": Wire(
        "hickory",
        QUESTION,
        later_ms=20,
        timers_ms=(5000, 5000, 5000),
        again_from_new_port=True,
        again_with_new_id=True,
        seldom=True,
    ),
    "dnsjava": Wire(
        "dnsjava",
        QUESTION,
        types=(A,),
        edns=True,
        timers_ms=(5000, 5000, 5000),
        again_from_new_port=True,
        seldom=True,
    ),
    "grpc": Wire("grpc", LOOKUP, order=APART, timers_ms=(5000, 10000, 20000, 40000)),
    "jndi": Wire(
        "jndi", QUESTION, types=(A,), timers_ms=(1000, 2000, 4000, 8000), again_from_new_port=True
    ),
}
#: What a lookup was: its candidates, and how many questions.
Played = tuple[tuple[str, ...], int]


def outcome(name: str, qtype: int) -> int:
    """Say how a question ends; no name has an AAAA or MX record."""
    if not any(name == z or name == f"t{k}-{z}" for z in ZONE for k in range(9)):
        return NXDOMAIN
    return ANSWER if qtype == A else NODATA


class Asked(NamedTuple):
    """How the questions of one candidate ended, and when the last of them did."""

    outcomes: Sequence[int]
    end: float


@dataclass
class Player:
    """Plays the lookups of one process, as several threads do."""

    wire: Wire
    dice: Random
    loss: float = 0.03
    talk: Talk = field(default_factory=Talk)
    played: Counter[Played] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        at = f"@{self.wire.version}" if self.wire.version else ""
        self.rules = resolver_model(self.wire.model + at)
        self.port = 33000
        self.order, self.port_of = self.wire.order, self.wire.port_of
        self.until: dict[tuple[str, int], float] = {}  # what a cache holds
        self.names: list[tuple[float, str]] = []  # of the lookup that is played
        self.questions = 0
        self.began = 0.0

    def pause(self, most: float = 100.0) -> float:
        """Return a pause in ms: now and then one at the limit of a pod's CPU."""
        return (
            self.dice.uniform(5, most) if self.dice.random() < 0.2 else self.dice.uniform(0.05, 1)
        )

    def new_port(self) -> int:
        """Return a port of its own for a socket."""
        self.port += 1
        return self.port

    def new_idents(self, count: int) -> list[int]:
        """Return message IDs: musl's lie close together."""
        first = self.dice.randrange(1 << 16)
        if self.wire.near_ids:
            return [(first + 40 * k) % (1 << 16) for k in range(count)]
        return [self.dice.randrange(1 << 16) for _ in range(count)]

    def send(self, at: float, name: str, qtype: int, port: int, ident: int) -> float | None:
        """Ask once; return when the response came, or None where a packet is lost."""
        took = self.dice.uniform(0.1, 3)  # so that answers overtake one another
        kind = outcome(name, qtype)
        answers = [] if kind == NODATA else None
        lost = self.dice.random() < self.loss
        self.talk.exchange(
            at,
            name,
            qtype,
            rcode=RCODES[kind],
            answers=answers,
            took=None if lost else took,
            port=port,
            ident=ident,
            edns=self.wire.edns,
        )
        return None if lost else at + took

    def ask(self, at: float, name: str, qtype: int, port: int, ident: int) -> tuple[int, float]:
        """Ask a question until it is answered; return its outcome, and when it ended."""
        self.note(at, name)
        for timer in self.wire.timers_ms:
            got = self.send(at, name, qtype, port, ident)
            if got is not None:
                kept = 30_000 if outcome(name, qtype) == ANSWER else 5_000
                self.until[name, qtype] = got + kept
                return outcome(name, qtype), got
            at += timer
            if self.wire.again_from_new_port:
                port = self.new_port()
            if self.wire.again_with_new_id:
                ident = self.dice.randrange(1 << 16)
        return UNANSWERED, at

    def forget_together(self) -> None:
        """Let a cache forget at one moment what the lookup found denied.

        A walk that begins behind a suffix which the cache had is not to be told from another name.
        """
        asked = {name for _, name in self.names}
        denied = [key for key in self.until if key[0] in asked and outcome(*key) != ANSWER]
        for key in denied:
            self.until[key] = min(self.until[k] for k in denied)

    def note(self, at: float, name: str) -> None:
        """Note a question of the lookup that is played."""
        self.names.append((at, name))
        self.questions += 1

    def candidate(self, at: float, name: str, types: Sequence[int], own: int) -> Asked:
        """Ask one candidate for some types, from the port of the lookup or others."""
        if self.rules.both_again:
            return self.pair(at, name, types)
        port = own if self.port_of == LOOKUP else self.new_port()
        order = list(types)
        if self.wire.any_order and self.dice.random() < 0.5:
            order.reverse()
        idents, end, outcomes, sent = self.new_idents(len(order)), at, [], at
        for k, qtype in enumerate(order):
            if self.rules.keeps_answers and self.until.get((name, qtype), 0) > self.began:
                outcomes.append(outcome(name, qtype))
                continue
            mine = self.new_port() if self.port_of == QUESTION else port
            kind, done = self.ask(sent, name, qtype, mine, idents[k])
            outcomes.append(kind)
            end = max(end, done)
            sent += self.dice.uniform(0.02, self.wire.later_ms or 0.05)
            if self.dice.random() < 0.1:
                sent += self.pause()
        return Asked(outcomes, end)

    def pair(self, at: float, name: str, types: Sequence[int]) -> Asked:
        """Ask a candidate as glibc does: both again where one was lost, from then on in turn.

        ``res_send.c`` send_dg: what goes unanswered beside an answered one turns on
        single-request, then single-request-reopen, for the rest of the process.
        """
        idents, ports = self.new_idents(2), [self.new_port()] * 2
        self.note(at, name)
        both = False
        tries = len(self.wire.timers_ms)
        while tries:
            timer = self.wire.timers_ms[0]
            if self.port_of == QUESTION:
                ports = [self.new_port(), self.new_port()]
            first = self.send(at, name, types[0], ports[0], idents[0])
            if self.order == AT_ONCE:
                sent = at + (0.03 if self.dice.random() < 0.9 else self.pause())
            elif first is None:
                tries, at = tries - 1, at + timer
                continue
            else:
                sent = first + self.pause()
            if not both:
                self.note(sent, name)
                both = True
            second = self.send(sent, name, types[1], ports[1], idents[1])
            if first is not None and second is not None:
                return Asked([outcome(name, t) for t in types], max(first, second))
            at = sent + timer
            if first is None and second is None:
                tries -= 1
            elif self.order == AT_ONCE:
                self.order = IN_TURN
            elif self.port_of != QUESTION:
                self.port_of = QUESTION
            else:
                return Asked([outcome(name, types[0]), UNANSWERED], at)
        return Asked([UNANSWERED, UNANSWERED], at)

    def batch(self, at: float, names: Sequence[str], types: Sequence[int]) -> float:
        """Ask all candidates from one port at once, as busybox does; return when all ended."""
        port, end, done = self.new_port(), at, at
        whole = [(n, t) for n in names for t in types]
        if self.order == BATCH_BY_FAMILY:
            whole.sort(key=lambda x: x[1])
        for (name, qtype), ident in zip(whole, self.new_idents(len(whole)), strict=True):
            if self.order == BATCH_BY_FAMILY and (name, qtype) == (names[0], AAAA) and done < at:
                self.note_lookup()  # the last was answered: the rest is a walk of its own
            done = self.ask(at, name, qtype, port, ident)[1]
            end = max(end, done)
            at += 0.03 if self.dice.random() < 0.9 else self.pause()
        return end

    def lookup(self, at: float, base: str, ndots: int) -> float:
        """Play one lookup; return when it ended."""
        names = candidates(base, LIST, ndots=ndots, model=self.rules)
        types, own = self.wire.types, self.new_port()
        self.names, self.questions, self.began = [], 0, at
        if self.rules.asks_all and len(names) > 1:
            end = self.batch(at, names, types)
        elif self.order == APART:
            end = max(
                self.walk(at, base, names, (types[1],), own),
                self.walk(at + 0.03, base, names, (types[0],), own),
            )
        else:
            end = self.walk(at, base, names, types, own)
        self.forget_together()
        self.note_lookup()
        return end

    def note_lookup(self) -> None:
        """Note what was asked since the last one."""
        asked = tuple(dict.fromkeys(name for _, name in sorted(self.names)))
        if asked:
            self.played[asked, self.questions] += 1
        self.names, self.questions = [], 0

    def walk(
        self, at: float, base: str, names: Sequence[str], types: Sequence[int], own: int
    ) -> float:
        """Ask the candidates in turn until one answers, or the rules end it."""
        first = types[:1] if self.rules.further_types_of_hit_only else types
        place = 0
        while place < len(names):
            name = names[place]
            outcomes, end = self.candidate(at, name, first, own)
            at = end + self.pause()
            if ANSWER in outcomes:
                is_absent = self.rules.nxdomain_of_one_is_absence and NXDOMAIN in outcomes
                if not is_absent:
                    for qtype in types[len(first) :]:
                        at = self.candidate(at, name, (qtype,), own).end + self.pause()
                    return at
            after = self.rules.after(outcomes) if ANSWER not in outcomes else None
            if after == AFTER_STOP:
                return at
            if after == AFTER_AS_IS and base in names[place + 1 :]:
                place = names.index(base)
            elif after == AFTER_AS_IS and name != base:
                return at
            else:
                place += 1
        return at
