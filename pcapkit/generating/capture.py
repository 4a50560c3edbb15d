"""A scenario played from beginning to end: the records of a capture, in bounded memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from random import Random

from pcapkit.generating import wire
from pcapkit.generating.playing import Played, Player
from pcapkit.generating.scenario import Pod, Request, Scenario
from pcapkit.generating.truth import Truth
from pcapkit.resolver.simulate import Walk

_SECOND_US = 1_000_000
#: Between the first and the last lookup of a cut capture and all others.
_APART_US = 60 * _SECOND_US
#: What an application does between two lookups, at least and at most.
_PAUSE_US = (2_000, 20_000)
#: Rounds of so many requests are dealt like cards, longer ones are drawn by their weights.
_LONGEST_DECK = 1 << 16


class _Asker:
    """One pod: which names it asks for, and when."""

    def __init__(self, pod: Pod, lookups: int, seconds: float, dice: Random) -> None:
        self.pod, self.left, self._dice = pod, lookups, dice
        self._mean_us = seconds * _SECOND_US / max(1, lookups)
        self._times = [r.times for r in pod.requests]
        self._deck: list[int] = []
        self.next_us = 0.0

    def pause(self, end_us: int) -> int:
        """Return when the next lookup begins, where the one before ended at ``end_us``."""
        self.next_us += self._dice.expovariate(1 / self._mean_us)
        self.next_us = max(self.next_us, end_us + self._dice.randrange(*_PAUSE_US))
        return int(self.next_us)

    def request(self) -> Request:
        """Return what is asked for next: each as often as it should be, in any order."""
        requests = self.pod.requests
        if sum(self._times) > _LONGEST_DECK:
            return self._dice.choices(requests, self._times)[0]
        if not self._deck:
            self._deck = [n for n, times in enumerate(self._times) for _ in range(times)]
            self._dice.shuffle(self._deck)
        return requests[self._deck.pop()]


def play(scenario: Scenario, seed: int, truth: Truth) -> Iterator[bytes]:
    """Give a capture piece by piece, its file header first; ``truth`` grows with it."""
    yield wire.FILE_HEADER
    dice = Random(seed)
    player = Player(scenario.zones, scenario.network, dice, scenario.addresses)
    first_us, end_us = scenario.start_us, scenario.start_us
    lookups = scenario.lookups
    long = _long_walk(player, scenario) if scenario.is_cut and lookups >= 2 else None
    if long is not None:
        lookups -= 2
        yield from _records(_begun_before(player.play(*long, first_us)[0], truth))
        first_us += _APART_US
    waiting: list[tuple[int, int, bytes]] = []
    serial = 0
    for done in _lookups(scenario, lookups, first_us, player, dice):
        if isinstance(done, int):
            yield from _due(waiting, done)
            continue
        truth.add(done)
        end_us = max(end_us, done.end_us)
        for packet in done.packets:
            heapq.heappush(waiting, (packet.time_us, serial, packet.frame))
            serial += 1
    yield from _due(waiting, None)
    if long is not None:
        yield from _records(_ends_after(player.play(*long, end_us + _APART_US)[0], truth))


def _shares(scenario: Scenario, lookups: int) -> list[int]:
    """Return how many lookups each pod makes; they add up."""
    total, out, before = sum(p.share for p in scenario.pods), [], 0
    for pod in scenario.pods:
        out.append((before + pod.share) * lookups // total - before * lookups // total)
        before += pod.share
    return out


def _lookups(
    scenario: Scenario, lookups: int, first_us: int, player: Player, dice: Random
) -> Iterator[Played | int]:
    """Give every lookup in the order in which they begin, and between them when the next does."""
    askers: list[_Asker] = []
    starts: list[tuple[int, int]] = []
    for number, (pod, own) in enumerate(
        zip(scenario.pods, _shares(scenario, lookups), strict=True)
    ):
        asker = _Asker(pod, own, scenario.seconds, dice)
        askers.append(asker)
        if own:
            asker.next_us = first_us
            heapq.heappush(starts, (asker.pause(first_us), number))
    while starts:
        at, number = heapq.heappop(starts)
        yield at
        asker = askers[number]
        done = player.play(asker.pod, asker.request(), at)
        yield from done
        asker.left -= 1
        if asker.left:
            heapq.heappush(starts, (asker.pause(done[-1].end_us), number))


def _due(waiting: list[tuple[int, int, bytes]], until_us: int | None) -> Iterator[bytes]:
    """Give the records of packets that are due before ``until_us``, None for all."""
    while waiting and (until_us is None or waiting[0][0] < until_us):
        time_us, _, frame = heapq.heappop(waiting)
        yield wire.file_record(time_us, frame)


def _records(played: Played) -> Iterator[bytes]:
    for packet in sorted(played.packets, key=lambda p: p.time_us):
        yield wire.file_record(packet.time_us, packet.frame)


def _long_walk(player: Player, scenario: Scenario) -> tuple[Pod, Request] | None:
    """Return the first pod with a name that it asks for in three forms or more, if it has one."""
    pod = scenario.pods[0]
    found = (r for r in pod.requests if len(_candidates(player.decide(pod, r))) > 2)
    request = next(found, None)
    return None if request is None else (pod, request)


def _candidates(walk: Walk) -> list[str]:
    return list(dict.fromkeys(s.candidate for s in walk.steps))


def _begun_before(done: Played, truth: Truth) -> Played:
    """Leave a lookup's first queries out."""
    first = _candidates(done.walk)[0]
    begins = max(p.time_us for p in done.packets if p.asks is not None and p.asks[0] == first)
    done.packets[:] = [p for p in done.packets if p.time_us > begins]
    truth.add_part(done)
    return done


def _ends_after(done: Played, truth: Truth) -> Played:
    """Leave out what a lookup sends after the responses for its second candidate."""
    third = _candidates(done.walk)[2]
    ends = min(p.time_us for p in done.packets if p.asks is not None and p.asks[0] == third)
    done.packets[:] = [p for p in done.packets if p.time_us < ends]
    truth.add_part(done)
    return done
