"""One lookup played: what is asked comes from the resolver's rules, and becomes packets in time.

A query that is lost on the way is answered when it is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from itertools import groupby
from random import Random

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, UNANSWERED
from pcapkit.generating.exchanges import Ends, Exchanges, Sent
from pcapkit.generating.habits import LOOKUP, QUESTION, Habits, playable
from pcapkit.generating.scenario import Network, Pod, Request, Settings, Zones
from pcapkit.resolver.models import ResolverModel, gives_up_s, sendings
from pcapkit.resolver.simulate import FAMILIES, Step, Walk, walk

#: glibc's ``getaddrinfo`` begins with a buffer of so many bytes and doubles it; an address takes a
#: ``struct gaih_addrtuple`` in it.
_BUFFER_BYTES, _ADDRESS_BYTES = 1024, 40
_MOST_WALKS_KEPT = 1 << 14
_SECOND_US = 1_000_000
#: Between an ICMP message and what the resolver does next.
_REFUSED_US = 300


@dataclass(frozen=True, slots=True)
class Played:
    """One lookup: what was decided, and the packets that come of it; ``end_us`` since 1970."""

    pod: Pod
    request: Request
    walk: Walk
    packets: list[Sent]
    end_us: int


@dataclass(frozen=True, slots=True)
class _Client:
    """What a pod's lookups have in common. Times are in µs, nameservers places in its list."""

    model: ResolverModel
    habits: Habits
    rounds: tuple[tuple[int, tuple[int, ...]], ...]  # when, whom
    waits: tuple[int, ...]  # how long after each
    ends: tuple[Ends, ...]
    silent: frozenset[int]
    closed: frozenset[int]

    @property
    def asks_from_one_port(self) -> bool:
        return self.habits.port_of != QUESTION

    def learns_of(self, places: tuple[int, ...]) -> bool:
        """Does it learn by ICMP that no nameserver at these places of its list listens?"""
        return self.habits.hears_refusals and self.closed.issuperset(places)


class Player:
    """Plays lookups one by one; the same dice give the same packets."""

    def __init__(
        self, zones: Zones, network: Network, dice: Random, addresses: tuple[bytes, bytes]
    ) -> None:
        self._zones, self._network, self._dice = zones, network, dice
        self._net = Exchanges(zones, network, dice, addresses)
        self._clients: dict[str, _Client] = {}
        self._walks: dict[tuple[Settings, Request], Walk] = {}
        self._until: int | None = None  # when the lookup in hand ends, whatever it waits for
        self._given_up: set[Step] = set()  # questions of it that got no answer by then

    def play(self, pod: Pod, request: Request, at: int) -> list[Played]:
        """Play a lookup that begins at ``at`` (µs): once, or as often as the resolver walks."""
        client = self._client(pod)
        done = [self._once(pod, client, request, at)]
        if client.model.walks_again_when_large and done[0].walk.answered_by:
            held = self._zones.held.get(done[0].walk.answered_by)
            addresses = sum(held.records.get(t, 0) for t in request.qtypes) if held else 0
            while addresses * _ADDRESS_BYTES > _BUFFER_BYTES << (len(done) - 1):
                done.append(self._once(pod, client, request, done[-1].end_us + self._soon()))
        return done

    # ---- what is decided ------------------------------------------------------------------------

    def _client(self, pod: Pod) -> _Client:
        if (known := self._clients.get(pod.address)) is not None:
            return known
        settings = pod.settings
        model, habits = playable(settings.resolver)
        servers, config = settings.nameservers, settings.config
        rounds: tuple[tuple[float, tuple[int, ...]], ...]
        if timers := habits.timers_s:
            rounds = tuple((sum(timers[:n]), (n % len(servers),)) for n in range(len(timers)))
            last = sum(timers)
        else:
            rounds, last = sendings(model, config), gives_up_s(model, config)
        starts = [int(s * _SECOND_US) for s, _ in rounds] + [int(last * _SECOND_US)]
        address = IPv4Address(pod.address).packed
        known = self._clients[pod.address] = _Client(
            model,
            habits,
            tuple((s, places) for s, (_, places) in zip(starts, rounds, strict=False)),
            tuple(b - a for a, b in zip(starts, starts[1:], strict=False)),
            tuple(
                Ends(address, IPv4Address(s).packed, model.edns_bytes, model.tcp) for s in servers
            ),
            frozenset(n for n, s in enumerate(servers) if s in self._network.silent),
            frozenset(n for n, s in enumerate(servers) if s in self._network.closed),
        )
        return known

    def decide(self, pod: Pod, request: Request) -> Walk:
        """Decide what a lookup asks, and how each question ends."""
        key = (pod.settings, request)
        if (known := self._walks.get(key)) is not None:
            return known
        ends: dict[tuple[str, str], int] = {}

        def zone(name: str, qtype: str) -> int:
            question = (name, qtype)
            if question not in ends:
                ends[question] = self._zones.outcome(name, qtype, self._dice)
            return ends[question]

        client, types = self._client(pod), request.qtypes
        if client.habits.asks_one_type and types == FAMILIES:
            types = types[:1]
        done = walk(request.name, pod.settings.config, client.model, zone, types)
        if self._zones.is_fixed:
            if len(self._walks) >= _MOST_WALKS_KEPT:
                self._walks.clear()
            self._walks[key] = done
        return done

    # ---- in time --------------------------------------------------------------------------------

    def _once(self, pod: Pod, client: _Client, request: Request, at: int) -> Played:
        done = self.decide(pod, request)
        own, end = self._net.new_port(), at
        lifetime = client.habits.lifetime_s
        self._until = None if lifetime is None else at + int(lifetime * _SECOND_US)
        parts = [list(g) for _, g in groupby(done.steps, key=lambda s: s.candidate)]
        if client.model.asks_all:
            parts = [list(done.steps)]
        asked = []
        for steps in parts:
            if self._is_late(at):
                break
            asked += steps
            port = own if client.habits.port_of == LOOKUP else self._net.new_port()
            if client.model.further_types_of_hit_only:
                for step in steps:
                    end = self._side_by_side(client, [step], port, at)
                    at = end + self._soon()
            elif client.model.both_again and len(steps) == 2:
                end = self._pair(client, steps, port, at)
            else:
                end = self._side_by_side(client, steps, port, at)
            at = end + self._soon()
        packets, self._net.packets = self._net.packets, []
        if self._given_up or len(asked) < len(done.steps):
            done = self._cut_short(done, asked)
        return Played(pod, request, done, packets, end)

    def _is_late(self, at: int) -> bool:
        """Is the lifetime of the lookup in hand over?"""
        return self._until is not None and at >= self._until

    def _cut_short(self, done: Walk, asked: Sequence[Step]) -> Walk:
        """Return what becomes of a lookup that asks so much, until its lifetime is over."""
        steps = tuple(replace(s, outcome=UNANSWERED) if s in self._given_up else s for s in asked)
        self._given_up.clear()
        answered = any(s.outcome == ANSWER for s in steps)
        return replace(done, steps=steps, answered_by=done.answered_by if answered else None)

    def _soon(self) -> int:
        """Return how long a resolver takes to go on, in µs."""
        return self._dice.randrange(40, 150)

    def _lost(self, client: _Client, steps: Sequence[Step]) -> list[bool]:
        """Draw which of the questions get no response when they are first sent."""
        chance, network = self._dice.random, self._network
        out = [bool(network.lost) and chance() < network.lost for _ in steps]
        if network.raced and client.asks_from_one_port and len(steps) == 2 and not any(out):
            out[1] = chance() < network.raced
        return [o and s.outcome != UNANSWERED for o, s in zip(out, steps, strict=True)]

    def _idents(self, client: _Client, count: int) -> list[int]:
        if not client.habits.near_ids:
            return [self._net.new_ident() for _ in range(count)]
        first = self._net.new_ident()
        return [(first + 40 * n) % (1 << 16) for n in range(count)]

    def _side_by_side(self, client: _Client, steps: Sequence[Step], port: int, at: int) -> int:
        """Ask questions, each until it is answered or given up; return the end."""
        lost, idents = self._lost(client, steps), self._idents(client, len(steps))
        order = list(range(len(steps)))
        if client.habits.any_order and self._dice.random() < 0.5:
            order.reverse()
        end = at
        for n in order:
            own = port if client.asks_from_one_port else self._net.new_port()
            socket = [own, idents[n]]
            ask = self._failing if _fails(steps[n]) else self._ask
            end = max(end, ask(client, steps[n], socket, at, lost[n]))
            at += self._dice.randrange(15, 60)
        return end

    def _again(self, client: _Client, socket: list[int]) -> None:
        """Make ready to send a question again."""
        if client.habits.again_from_new_port:
            socket[0] = self._net.new_port()
        if client.habits.again_with_new_id:
            socket[1] = self._net.new_ident()

    def _ask(self, client: _Client, step: Step, socket: list[int], at: int, is_lost: bool) -> int:
        """Ask a question until it is answered, in as many rounds as the rules allow."""
        for number, (_, places) in enumerate(client.rounds):
            if number:
                self._again(client, socket)
            port, ident = socket
            answered = []
            for place in places:
                ends = client.ends[place]
                self._net.query(ends, step, port, ident, at)
                if place in client.closed:
                    self._net.refuse(at)
                elif step.outcome != UNANSWERED and place not in client.silent and not is_lost:
                    end, is_cut = self._net.respond(ends, step, port, ident, at)
                    if is_cut and ends.follows_over_tcp:
                        end = self._net.over_tcp(ends, [(step, ident)], end + self._soon())
                    answered.append(end)
            if answered:
                return min(answered)
            is_lost = False
            at += _REFUSED_US if client.learns_of(places) else client.waits[number]
            if self._is_late(at):
                self._given_up.add(step)
                return int(self._until or at)
        return at

    def _failing(self, client: _Client, step: Step, socket: list[int], at: int, _: bool) -> int:
        """Ask what a server fails at as often as the rules say: one time after the other, or in
        each round where the resolver waits for its timer all the same.
        """
        rounds = len(client.rounds) if client.model.waits_on_errors else 1
        begin, end = at, at
        for number in range(step.sent):
            turn, first = divmod(number, max(1, step.sent // rounds))
            if first == 0 and turn < rounds:
                at = begin + client.rounds[turn][0]
            if number:
                self._again(client, socket)
            ends = client.ends[number % len(client.ends)]
            self._net.query(ends, step, socket[0], socket[1], at)
            end, _cut = self._net.respond(ends, step, socket[0], socket[1], at)
            at = end + self._soon()
        return begin + sum(client.waits) if client.model.waits_on_errors else end

    def _pair(self, client: _Client, steps: Sequence[Step], port: int, at: int) -> int:
        """Ask A and AAAA as glibc does (``res_send.c`` send_dg, send_vc).

        Where one of the two is lost, both are asked again, one after the other; where one is
        truncated, both over TCP.
        """
        idents, lost = self._idents(client, 2), self._lost(client, steps)
        for number, (_, (place,)) in enumerate(client.rounds):
            ends, wait = client.ends[place], client.waits[number]
            heard, cut, end = [], False, at
            for n, step in enumerate(steps):
                sent = at + n * self._dice.randrange(15, 60)
                self._net.query(ends, step, port, idents[n], sent)
                if place in client.closed:
                    self._net.refuse(sent)
                mute = place in client.silent | client.closed or step.outcome == UNANSWERED
                heard.append(not mute and not lost[n])
                if heard[n]:
                    came, is_cut = self._net.respond(ends, step, port, idents[n], sent)
                    end, cut = max(end, came), cut or is_cut
            if cut and ends.follows_over_tcp and all(heard):
                both = list(zip(steps, idents, strict=True))
                return self._net.over_tcp(ends, both, end + self._soon())
            if all(heard) and not all(map(_fails, steps)):
                return end
            if any(lost) and any(heard):
                at += wait
                for step, ident in zip(steps, idents, strict=True):
                    self._net.query(ends, step, port, ident, at)
                    end, _cut = self._net.respond(ends, step, port, ident, at)
                    at = end + self._soon()
                return end
            if all(heard):
                at = end + self._soon()
            else:
                at += _REFUSED_US if client.learns_of((place,)) else wait
            lost = [False, False]
        return max(at, end)


def _fails(step: Step) -> bool:
    """Does the server respond with an error?"""
    return step.outcome not in (ANSWER, NODATA, NXDOMAIN, UNANSWERED)
