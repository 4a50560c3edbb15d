"""Predictions for resolvers that keep answers, and for those of which only the traffic is known."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.model.results import WhatIf
from pcapkit.model.settings import Change
from pcapkit.pipeline.analysis import Analysis
from pcapkit.resolver.models import resolver_model
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.simulate import walk
from tests import build
from tests.analysis.talk import LIST, NAMESPACE, SERVICES, Talk
from tests.keeping import Keeping

ONLY_A, BOTH = (ANSWER, NODATA), (ANSWER, ANSWER)
#: What exists; the others do not, "gone" among them.
WORLD = {
    f"web.{NAMESPACE}": ONLY_A,
    f"db.other.{SERVICES}": ONLY_A,
    f"pg.data.{SERVICES}": ONLY_A,
    "api.example.com": BOTH,
    "cdn.example.com": ONLY_A,
    "a.b.c.example.com": BOTH,
    "kms.eu-west-1.vendor.com": ONLY_A,
}
NAMES = (
    "web",
    f"web.{NAMESPACE}",
    "db.other",
    "pg.data.svc",
    "api.example.com",
    "cdn.example.com",
    "a.b.c.example.com",
    "kms.eu-west-1.vendor.com",
    "gone",
)


def rows(analysis: Analysis) -> dict[int | None, WhatIf]:
    return {
        w.ndots: w
        for w in analysis.what_if_rows
        if w.client_addr is None and w.setting.change is Change.NDOTS
    }


@pytest.mark.parametrize(("ttl", "minimum"), [(30, 30), (5, 30), (5, 5), (30, 5), (60, 10)])
def test_what_c_ares_keeps_is_not_asked_again(ttl: int, minimum: int, tmp_path: Path) -> None:
    """Answers and denials of every TTL expire in other walks than those that were seen."""
    for seed in range(4):
        dice, at, calls = random.Random(seed), 0.0, list[tuple[float, str]]()
        for _ in range(60):
            at += dice.choice([300, 900, 2500, 7000])
            calls.append((at, dice.choice(NAMES)))
        calls.append((at + 90_000, "web"))  # the walk before it has ended
        work = Keeping(calls, WORLD, ttl=ttl, minimum=minimum)
        told = rows(work.analyze(tmp_path, 5, search=list(LIST), ndots=5, resolver="c-ares"))
        for ndots in (1, 2, 3, 4, 5):
            assert told[ndots].queries == sum(map(len, work.sent(ndots))), (seed, ndots)


def test_what_was_asked_again_shows_that_nothing_is_kept(tmp_path: Path) -> None:
    """c-ares before 1.31, or told to keep nothing: every call counts under any ndots."""
    talk = Talk()
    for number in range(6):
        talk.walk(1000 * number, "api.example.com", port=20_000 + number, edns=True)
    told = rows(talk.analyze(tmp_path, search=list(LIST), ndots=5, resolver="c-ares"))
    assert (told[5].queries, told[1].queries) == (6 * 8, 6 * 2)


def test_c_ares_keeps_an_empty_answer_for_an_hour(tmp_path: Path) -> None:
    """ares_qcache.c takes no TTL from an SOA record, unless the name does not exist."""
    calls = [(40_000.0 * n, "cdn.example.com") for n in range(20)]
    work = Keeping(calls, WORLD)
    assert (
        sum(
            qtype == "AAAA" and name == "cdn.example.com"
            for asked in work.sent(1)
            for _, name, qtype, _ in asked
        )
        == 1
    )
    told = rows(work.analyze(tmp_path, 5, search=list(LIST), ndots=5, resolver="c-ares"))
    assert told[1].queries == sum(map(len, work.sent(1))) == 21


def test_one_name_is_kept_whatever_it_was_asked_as(tmp_path: Path) -> None:
    """The short name's answer is the full name's, so that a low ndots sends nothing for that."""
    calls = [(1000.0 * n, ("web", f"web.{NAMESPACE}")[n % 2]) for n in range(8)]
    work = Keeping([*calls, (60_000, "gone")], WORLD)
    told = rows(work.analyze(tmp_path, 5, search=list(LIST), ndots=5, resolver="c-ares"))
    assert told[5].queries == sum(map(len, work.sent(5))) == 2 + 6 + 8
    assert told[2].queries == sum(map(len, work.sent(2))) == 2 + 8


def play(
    talk: Talk, at: float, name: str, qtype: str, model: str, zone: dict[tuple[str, str], int]
) -> None:
    """One call for one type."""
    config = ResolverConfig((build.SERVER,), LIST, 5, (), "")
    kind = {"A": build.A, "AAAA": build.AAAA, "SRV": 33}[qtype]
    done = walk(
        name, config, resolver_model(model), lambda n, t: zone.get((n, t), NXDOMAIN), [qtype]
    )
    for step in done.steps:
        empty = [] if step.outcome == NODATA else None
        rcode = 3 if step.outcome == NXDOMAIN else 0
        talk.exchange(at, step.candidate, kind, rcode=rcode, answers=empty)
        at += 1


def test_an_unknown_resolver_that_was_seen_to_stop_stops(tmp_path: Path) -> None:
    """dnspython asks one type a call, and ends where the name has none: no list after that."""
    names = ["web", "db.other", "api.example.com", "cdn.example.com"]
    zone = {
        (n, t): o for n, ends in WORLD.items() for t, o in zip(("A", "AAAA"), ends, strict=True)
    }
    talk = Talk()
    for number, name in enumerate(names):
        for k, qtype in enumerate(("A", "AAAA")):
            play(talk, 20_000 * number + 10_000 * k, name, qtype, "dnspython", zone)
    analysis = talk.analyze(tmp_path)
    assert analysis.client_rows[0].resolver.model == "unknown"
    told = rows(analysis)
    config = ResolverConfig((build.SERVER,), LIST, None, (), "")
    for ndots in (1, 2, 5):
        by = ResolverConfig(config.nameservers, LIST, ndots, (), "")
        sent = sum(
            walk(
                n, by, resolver_model("dnspython"), lambda n, t: zone.get((n, t), NXDOMAIN), [t]
            ).queries
            for n in names
            for t in ("A", "AAAA")
        )
        assert told[ndots].queries == sent


def test_full_names_that_programs_make_stay_one_query(tmp_path: Path) -> None:
    """_http._tcp.web and its full name (6 dots) look alike at ndots 5; nobody writes the first."""
    full = f"_http._tcp.web.{NAMESPACE}"
    talk = Talk()
    play(talk, 0, full, "SRV", "glibc", {(full, "SRV"): ANSWER})
    for number, name in enumerate(("api.example.com", "db.other", "x.y.example.com")):
        talk.walk(20_000 * (number + 1), name)
    told = rows(talk.analyze(tmp_path, resolver="glibc"))
    assert told[5].queries == 1 + 3 * 8
    assert told[2].queries == 1 + 2 + 8 + 2
    assert (told[1].queries, told[1].assumed_queries) == (1 + 2 + 2 + 2, 0)
