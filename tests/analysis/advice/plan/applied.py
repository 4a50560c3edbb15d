"""A workload as it is after steps of a plan: what the plan's numbers are held against."""

from __future__ import annotations

from collections.abc import Sequence

from pcapkit.model.plans import Step
from tests.play import Workload


def applied(work: Workload, steps: Sequence[Step], subject: str = "shop") -> Workload:
    """Return a workload with what the steps change for one subject."""
    texts: dict[str, str] = {}
    ndots, search = work.ndots, work.search
    for step in steps:
        if subject not in step.subjects:
            continue
        search = [s for s in search if s not in step.suffixes]
        if step.suffixes:
            continue
        if step.ndots is not None:
            ndots = step.ndots
            texts |= step.names
        else:
            assert step.name is not None
            assert step.fqdn is not None
            texts[step.name] = step.fqdn
    names = tuple(texts.get(n, n) for n in work.names)
    return work.under(names=names, ndots=ndots, search=tuple(search))


def sent(*works: Workload) -> tuple[int, int, int]:
    """Return the queries, wasted queries and upstream queries of workloads."""
    walks = [w for work in works for _, w in work.walks()]
    upstream = sum(not s.candidate.endswith("cluster.local") for w in walks for s in w.steps)
    return sum(w.queries for w in walks), sum(w.wasted for w in walks), upstream


def hosts(*works: Workload) -> list[tuple[str, str | None]]:
    """Return who asked, and the name that answered, of all lookups in their order."""
    return [(client, w.answered_by) for work in works for client, w in work.walks()]
