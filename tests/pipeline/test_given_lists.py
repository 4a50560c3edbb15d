"""Lists that are given, with an entry ``.``: the name as is there (KEP-4427), or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import make_options
from tests import build
from tests.play import ONLY_A, Workload

FIRST, LAST = "shop.svc.cluster.local", "corp.example"
ZONE = {
    f"cart.{FIRST}": ONLY_A,
    f"db.{LAST}": ONLY_A,
    f"x.y.{LAST}": ONLY_A,
    "www.example.org": ONLY_A,
    "api.example.com": ONLY_A,
}
NAMES = ("cart", "db", "x.y", "www.example.org", "api.example.com", "missing", "gone.example.com")


@pytest.mark.parametrize("by", ["resolv_conf", "search"])
@pytest.mark.parametrize("is_given", [True, False])
@pytest.mark.parametrize("search", [(FIRST, ".", LAST), (".", LAST), (FIRST, LAST, ".")])
@pytest.mark.parametrize("model", ["glibc", "c-ares", "musl", "go"])
def test_a_dot_in_a_given_list(
    tmp_path: Path, model: str, search: tuple[str, ...], is_given: bool, by: str
) -> None:
    """glibc and c-ares ask the name as is there, and not again; musl and Go pass it over.

    Where the resolver is not given, the traffic shows which it does.
    """
    work = Workload(names=NAMES, zone=ZONE, model=model, search=search, rounds=2)
    text = f"search {' '.join(search)}\noptions ndots:5\n"
    resolv_conf = build.save(tmp_path, text.encode(), "resolv.conf")
    given: dict[str, Any] = {"search": search, "ndots": 5}
    if by == "resolv_conf":
        given = {"resolv_conf": [resolv_conf]}
    options = make_options(resolver=model if is_given else None, **given)
    analysis = analyze(work.write(tmp_path), options=options)
    played = [walk for _, walk in work.walks()]
    assert (analysis.lookup_counts.total, analysis.lookup_counts.complete) == (14, 14)
    assert analysis.lookup_counts.by_outcome["resolved"] == work.resolved
    assert analysis.waste.queries == work.queries
    assert analysis.waste.wasted_queries == sum(walk.wasted for walk in played)
    assert "given_contradicted" not in {f.code for f in analysis.findings}
    for row in analysis.what_if_rows:
        if row.client_addr is None and row.ndots is not None:
            assert row.queries == work.under(ndots=row.ndots).queries, row.setting
