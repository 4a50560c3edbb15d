"""Walks that a resolver's rules play, with pauses, loss and reordering, are grouped as played."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from pcapkit.pipeline.analysis import Analysis
from pcapkit.resolver.models import RESOLVERS
from tests.analysis.lookups.players import BASES, WIRES, Played, Player
from tests.analysis.talk import LIST, Talk
from tests.build import AAAA, A

SEEDS = range(12)


def play(player: Player, lookups: int = 12) -> Player:
    """Three threads, each with names of its own, under ndots 5 or 2."""
    ndots = player.dice.choice((5, 2))
    for thread in range(3):
        at = player.dice.uniform(0, 50)
        for _ in range(lookups):
            base = f"t{thread}-{player.dice.choice(BASES)}"
            gap = player.dice.uniform(2000, 6000) if player.wire.seldom else None
            at = player.lookup(at, base, ndots) + (gap or player.dice.uniform(200, 600))
    return player


def grouped(analysis: Analysis) -> Counter[Played]:
    """Return what lookups were found."""
    lookups = analysis.lookups
    return Counter(
        (tuple(candidates), int(queries))
        for candidates, queries in zip(lookups["candidates"], lookups["queries"], strict=True)
    )


def test_every_resolver_is_played() -> None:
    """Those that are known; what nobody knows has no rules."""
    assert {w.model for w in WIRES.values()} == {m.name for m in RESOLVERS if m.is_known}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("resolver", WIRES)
def test_played_walks_are_grouped(tmp_path: Path, resolver: str, seed: int) -> None:
    """With pauses within walks, loss, and answers that overtake one another."""
    player = play(Player(WIRES[resolver], Random(seed)))
    found = player.talk.analyze(tmp_path)
    assert grouped(found) == player.played
    if player.rules.searches:
        assert found.client_rows[0].search == LIST


@pytest.mark.parametrize("seed", SEEDS)
def test_families_that_walk_apart_are_one_lookup(tmp_path: Path, seed: int) -> None:
    """gRPC's C core: one walk lies far behind the other where it waits for a lost response."""
    player = play(Player(WIRES["grpc"], Random(seed), loss=0.15), 6)
    found = player.talk.analyze(tmp_path)
    assert grouped(found) == player.played
    assert found.client_rows[0].resolver.model == "grpc"


def test_one_name_twice_at_once_by_the_port(tmp_path: Path) -> None:
    """Two processes of c-ares walk one name at the same time: each keeps its port."""
    player = Player(WIRES["c-ares 1.19"], Random(3), loss=0)
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
