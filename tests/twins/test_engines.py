"""What ``resolver/simulate`` sends under an ndots is what the what-if predicts for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, SERVFAIL
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import Options
from pcapkit.resolver.models import RESOLVERS, resolver_model
from pcapkit.resolver.simulate import Walk
from tests import build
from tests.analysis.talk import Talk
from tests.twins.engines import SUFFIXES, Work, works, write

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def differences(work: Work) -> list[object]:
    """Play a workload and compare every prediction with what would be sent."""
    with tempfile.TemporaryDirectory() as folder:
        analysis = analyze(
            write(work, Path(folder)),
            options=Options(search=work.search, ndots=work.ndots, resolver=work.model),
        )
    rows = {
        w.ndots: w
        for w in analysis.what_if_rows
        if w.client_addr is None and w.ndots is not None and w.setting.is_ndots
    }
    out: list[object] = []
    sent = {n: work.walks(n) for n in range(7)}
    if not any(w.queries for w in sent[work.ndots]):
        return list(rows)
    assert rows.keys() >= set(range(6))
    played = [i for i, w in enumerate(sent[work.ndots]) if w.queries]
    for n, row in rows.items():
        mine = [sent[n][i] for i in played]
        told = row.queries, row.wasted_queries, row.assumed_queries
        wasted = sum(_wasted(work, sent[n][i], sent[work.ndots][i]) for i in played)
        true = sum(w.queries for w in mine), wasted, 0
        if told != true:
            out.append((n, told, true))
    return out


def _wasted(work: Work, done: Walk, seen: Walk) -> int:
    """Count waste; none was seen where the walk that was played stops at its first candidate.

    Unless the resolver keeps answers: then such a walk has holes.
    """
    stopped = seen.answered_by is None and len({s.candidate for s in seen.steps}) == 1
    if resolver_model(work.model).keeps_answers and _misses(seen):
        stopped = False
    return 0 if stopped and done.steps == seen.steps else done.wasted


def _misses(done: Walk) -> bool:
    return all(s.outcome == NXDOMAIN for s in done.steps)


@pytest.mark.parametrize("model", [m.name for m in RESOLVERS])
def test_predictions_are_what_is_sent(model: str) -> None:
    """Queries and wasted queries under every ndots, where no answer is assumed."""

    @SETTINGS
    @given(work=works((model,)))
    def holds(work: Work) -> None:
        assert differences(work) == []

    holds()


LONG = tuple(s for s in SUFFIXES if s.startswith("sss"))
ONLY_A, BOTH = (ANSWER, NODATA), (ANSWER, ANSWER)

#: Workloads of which simulation and prediction once said different things.
SETTLED = {
    "musl drops a list of 255 characters": Work("musl", LONG, 2, ("web", "a.b.c"), {"web": BOTH}),
    "others take it": Work("glibc", LONG, 2, ("web", "a.b.c"), {f"a.b.c.{LONG[-1]}": BOTH}),
    "busybox searches at ndots 0, too": Work("busybox", ("z1", "z3"), 1, ("web", "a.b"), {}),
    "one suffix of busybox": Work("busybox", ("z1",), 1, ("web",), {}),
    "nslookup asks AAAA of a hit that is new": Work(
        "bind-nslookup", ("z1",), 0, ("web",), {"web.z1": ONLY_A}
    ),
    "what misses beside a failure is wasted": Work(
        "c-ares", ("z1",), 0, ("web",), {"web.z1": (NXDOMAIN, SERVFAIL), "web": BOTH}
    ),
    "the first name that exists has no such type": Work(
        "glibc", ("z1", "z3"), 0, ("web",), {"web.z3": (NODATA, NODATA)}
    ),
    "Go never sends .onion as is": Work("go", ("z1", "z3"), 5, ("web.onion", "web.onion.z3"), {}),
    "musl drops an A beside NXDOMAIN and walks on": Work(
        "musl",
        ("shop.svc.z1", "svc.z1", "z1"),
        5,
        ("web.db",),
        {"web.db.shop.svc.z1": (ANSWER, NXDOMAIN), "web.db.svc.z1": ONLY_A},
    ),
    "c-ares does not search it either": Work("c-ares", ("z1",), 5, ("web", "web.onion"), {}),
}


@pytest.mark.parametrize("about", SETTLED)
def test_what_once_differed(about: str) -> None:
    assert differences(SETTLED[about]) == []


def test_a_final_dot_makes_every_ndots_the_same(tmp_path: Path) -> None:
    """What was seen counts, though the types came in an order in which nslookup asks none."""
    talk = Talk()
    talk.exchange(0, "a.b.z", build.AAAA, answers=[], port=4000)
    talk.exchange(1, "a.b.z", build.A, port=4000)
    analysis = talk.analyze(tmp_path, search=["z1"], ndots=3, resolver="bind-nslookup")
    rows = [w for w in analysis.what_if_rows if w.setting.is_ndots]
    assert {(w.queries, w.broken_lookups) for w in rows} == {(2, 0)}


def test_what_never_is_sent() -> None:
    """.onion names: Go asks the list alone, at any ndots, and c-ares nothing."""
    work = SETTLED["Go never sends .onion as is"]
    for ndots in (1, 5):
        assert [s.candidate for s in work.walks(ndots)[0].steps[::2]] == [
            "web.onion.z1",
            "web.onion.z3",
        ]
    assert SETTLED["c-ares does not search it either"].walks(1)[1].steps == ()
