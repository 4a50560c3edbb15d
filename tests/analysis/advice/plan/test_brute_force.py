"""Small plans against brute force: every ndots and list, every set of names written in full."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations, product
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcapkit.model.plans import Plan, PlanKind
from pcapkit.model.vocabulary import Safety
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import Options
from tests.play import BOTH, ONLY_A, SEARCH, Workload, write_together

_ZONE = {
    "cart.shop.svc.cluster.local": ONLY_A,
    "cart.bank.svc.cluster.local": ONLY_A,
    "auth.login.svc.cluster.local": ONLY_A,
    "ledger.finance.svc.cluster.local": ONLY_A,
    "web.dev.svc.cluster.local": ONLY_A,
    "zk-0.zk.data.svc.cluster.local": ONLY_A,
    "example.com": ONLY_A,
    "api.example.com": BOTH,
    "x.y.example.com": ONLY_A,
    "www.shop.example.com": ONLY_A,
    "wiki.corp.example": ONLY_A,
}
_NAMES = (
    "auth.login",
    "ledger.finance.svc",
    "web.dev",  # under a real top-level domain, as the next
    "zk-0.zk.data",
    "example.com",
    "api.example.com",
    "x.y.example.com",
    "gone.example.com",
    "cart",
    "www.shop.example.com",
    "auth.login.svc",
    "wiki",
)
#: Asked by everybody: nothing answers it, so that the walk shows the whole list.
_NOWHERE = "nowhere"
_BANK = ("bank.svc.cluster.local", *SEARCH[1:])
#: Behind a list: nothing, suffixes under which nothing answers, and one under which something does.
_NODES: tuple[tuple[str, ...], ...] = (
    (),
    (),
    ("ec2.internal",),
    ("c.project.internal", "google.internal"),
    ("corp.example", "ec2.internal"),
)


@st.composite
def workloads(draw: st.DrawFn) -> tuple[Workload, ...]:
    """Return one or two workloads in namespaces of their own, with names asked unequally often."""
    works = []
    count = draw(st.integers(1, 2))
    node = draw(st.sampled_from(_NODES))
    for search, client in ((SEARCH, "10.244.1.17"), (_BANK, "10.244.2.18"))[
        : draw(st.integers(1, 2))
    ]:
        names = draw(
            st.lists(st.sampled_from(_NAMES), min_size=2, max_size=8 // count, unique=True)
        )
        often = draw(st.lists(st.integers(1, 7), min_size=len(names), max_size=len(names)))
        works.append(
            Workload(
                (_NOWHERE, *(n for n, k in zip(names, often, strict=True) for _ in range(k))),
                _ZONE,
                model=draw(st.sampled_from(("glibc", "musl", "go"))),
                ndots=draw(st.sampled_from((5, 5, 3, 2))),
                search=(*search, *node),
                clients=(client,),
                rounds=4,
                gap_ns=40_000_000,
            )
        )
    first = works[0]  # one option says it for all
    return tuple(w.under(model=first.model, ndots=first.ndots) for w in works)


class _Brute:
    """All that may be done in one workload."""

    def __init__(self, work: Workload, others: frozenset[str]) -> None:
        self._work, self._others = work, others
        self._now = {n: self._asked(n, None, tuple(work.search)) for n in set(work.names)}

    def _lists(self, kind: PlanKind) -> Iterator[tuple[str, ...]]:
        """Yield the list, and the one without suffixes that answered nothing in the capture."""
        yield tuple(self._work.search)
        answered = {a for _, a, _ in self._now.values() if a} | self._others
        idle = [
            s
            for s in self._work.search
            if not s.endswith("cluster.local") and not any(a.endswith(f".{s}") for a in answered)
        ]
        if kind is PlanKind.BEST and idle:
            yield tuple(s for s in self._work.search if s not in idle)

    @cache  # noqa: B019
    def _asked(
        self, name: str, ndots: int | None, search: tuple[str, ...]
    ) -> tuple[int, str | None, bool]:
        """Return the waste of one lookup, who answers, and if it collides."""
        work = self._work.under(
            names=(name,), rounds=1, ndots=ndots or self._work.ndots, search=search
        )
        ((_, walk),) = work.walks()
        first = walk.steps[0].candidate
        collides = first == name and name.endswith((".dev", ".data"))
        return walk.wasted, walk.answered_by, collides

    def wastes(self, kind: PlanKind) -> Iterator[tuple[int, int]]:
        """Yield edits and what they leave wasted, of everything that harms no name."""
        distinct = sorted(self._now)
        every = [n for n in distinct if self._now[n][1] is not None]
        ways = product((None, 1, 2, 3, 4, 5), self._lists(kind))
        for ndots, search in ways:
            if ndots == self._work.ndots or (kind is PlanKind.NAMES and ndots):
                continue
            settings = (ndots is not None) + (search != tuple(self._work.search))
            for size in range(len(every) + 1 if kind is not PlanKind.SETTINGS else 1):
                for full in combinations(every, size):
                    left = 0
                    for name in distinct:
                        waste, answer, collides = self._asked(name, ndots, search)
                        if name in full:
                            continue
                        _, before, collided = self._now[name]
                        if answer != before or (collides and not collided):
                            break
                        left += waste * self._work.names.count(name) * self._work.rounds
                    else:
                        yield settings + size, left


def _fewest(works: tuple[Workload, ...], kind: PlanKind) -> dict[int, int]:
    """Return the least waste by number of edits."""
    least: dict[int, int] = {}
    answered = frozenset(w.answered_by or "" for work in works for _, w in work.walks())
    for choice in product(*(set(_Brute(w, answered).wastes(kind)) for w in works)):
        edits, left = sum(e for e, _ in choice), sum(w for _, w in choice)
        least[edits] = min(left, least.get(edits, left))
    return least


def _assert_best(plans: list[Plan], least: dict[int, int]) -> None:
    now = least[0]
    most = now - min(least.values())
    enough = {e: left for e, left in least.items() if 5 * (now - left) >= 4 * most}
    fewest = min(enough)
    last = plans[-1]
    assert last.before.wasted_queries == now
    assert last.edits_bound <= fewest
    if last.safety is Safety.REVIEW or not last.steps:
        assert (last.edits, last.after.wasted_queries) == (fewest, enough[fewest])
    for plan in plans:
        assert 5 * (now - plan.after.wasted_queries) >= 4 * most
        assert plan.edits >= fewest
        if plan.safety is Safety.SAFE:
            assert plan.edits <= 2 * fewest
        for point in plan.frontier:
            assert point.wasted_queries >= min(w for e, w in least.items() if e <= point.edits)
        best = {p.edits: p.wasted_queries for p in plan.frontier}
        assert min(best.values()) == min(least.values())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(works=workloads())
def test_plans_are_what_trying_everything_finds(
    works: tuple[Workload, ...], tmp_path: Path
) -> None:
    known = Options(resolver=works[0].model, ndots=works[0].ndots)
    analysis = analyze(write_together(works, tmp_path), options=known)
    whole = [p for p in analysis.plans if p.subject is None]
    lists = [tuple(c.search) for c in analysis.client_rows]
    if lists != [tuple(w.search) for w in works]:
        return  # too few names to show the whole list
    for kind in PlanKind if whole else ():
        _assert_best([p for p in whole if p.kind is kind], _fewest(works, kind))
