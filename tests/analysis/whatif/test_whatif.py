"""Predictions held against the same workload played under the other setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcapkit.analysis.lookups.reading import read_parts
from pcapkit.analysis.search_lists.survey import Client, survey
from pcapkit.analysis.whatif.answers import Answers
from pcapkit.analysis.whatif.tally import WhatIfTally
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.model.results import WhatIf
from pcapkit.model.settings import Change
from pcapkit.model.vocabulary import Safety
from pcapkit.names.labels import split
from pcapkit.names.table import Folded
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.collect import collect
from pcapkit.pipeline.options import Options
from tests.analysis.talk import LIST, NAMESPACE, Talk
from tests.analysis.talk import NXDOMAIN as NAME_ERROR
from tests.play import BOTH, ONLY_A, SEARCH, SHOP, Workload


def read(work: Workload, folder: Path) -> Analysis:
    return analyze(work.write(folder), options=Options(resolver=work.model))


def row(analysis: Analysis, setting: str, client: str | None = None) -> WhatIf:
    return next(
        w for w in analysis.what_if_rows if w.client_addr == client and str(w.setting) == setting
    )


@pytest.mark.parametrize("model", ["glibc", "musl", "go", "c-ares", "bind-nslookup"])
@pytest.mark.parametrize("ndots", [0, 1, 2, 3, 4, 5])
def test_a_lower_ndots_is_what_the_resolver_then_sends(
    model: str, ndots: int, tmp_path: Path
) -> None:
    work = SHOP.under(model=model)
    before, after = read(work, tmp_path), work.under(ndots=ndots)
    predicted = row(before, f"ndots:{ndots}")
    assert abs(predicted.queries - after.queries) <= predicted.assumed_queries
    if predicted.assumed_queries == 0 or model in ("musl", "glibc"):
        assert predicted.queries == after.queries
        assert predicted.broken_lookups == max(0, work.resolved - after.resolved)


def test_the_setting_in_force_is_what_was_seen(tmp_path: Path) -> None:
    analysis = read(SHOP, tmp_path)
    now = row(analysis, "ndots:5")
    assert now.observed
    assert (now.queries, now.wasted_queries) == (SHOP.queries, analysis.waste.wasted_queries)
    assert now.lookups_s == pytest.approx(sum(analysis.lookups["duration_s"]), abs=1e-9)
    assert (now.assumed_queries, now.reordered_lookups, now.broken_lookups) == (0, 0, 0)


def test_names_in_full_are_asked_once(tmp_path: Path) -> None:
    analysis = read(SHOP, tmp_path)
    assert row(analysis, "fqdn").queries == 2 * len(SHOP.names) * SHOP.rounds
    assert row(analysis, "fqdn").safety is Safety.REVIEW


def test_the_ten_costliest_names_in_full(tmp_path: Path) -> None:
    analysis = read(SHOP, tmp_path)
    costs = sorted(
        (w.queries - 2 for _, w in SHOP.under(rounds=1).walks()), reverse=True
    )  # what the full name saves, name by name
    assert row(analysis, "fqdn:10").queries == SHOP.queries - SHOP.rounds * sum(costs[:10])


def test_full_names_for_those_that_a_low_ndots_harms(tmp_path: Path) -> None:
    harmed = frozenset({"auth.login", "metrics.monitoring", "ledger.finance.svc"})
    full = {n: f"{n.removesuffix('.svc')}.svc.cluster.local" for n in harmed}
    names = tuple(full.get(n, n) for n in SHOP.names)
    after = SHOP.under(names=names, final=frozenset(full.values()), ndots=1)
    predicted = row(read(SHOP, tmp_path), "fqdn+ndots:1")
    assert predicted.queries == after.queries
    assert predicted.broken_lookups == 0
    assert any("auth.login" in r for r in predicted.reasons)


def test_cluster_names_in_full(tmp_path: Path) -> None:
    inside = {"cart", "db", "auth.login", "metrics.monitoring", "ledger.finance.svc"}
    predicted = row(read(SHOP, tmp_path), "cluster-names-in-full")
    saved = sum(
        w.queries - 2
        for n, (_, w) in zip(SHOP.names, SHOP.under(rounds=1).walks(), strict=True)
        if n in inside
    )
    assert predicted.queries == SHOP.queries - SHOP.rounds * saved


def test_without_aaaa(tmp_path: Path) -> None:
    analysis = read(SHOP, tmp_path)
    assert row(analysis, "no-aaaa").queries == SHOP.under(options=("no-aaaa",)).queries
    only_v6 = SHOP.under(zone={**SHOP.zone, "api.example.com": (NODATA, ANSWER)})
    assert row(read(only_v6, tmp_path), "no-aaaa").safety is Safety.UNSAFE
    musl = read(SHOP.under(model="musl"), tmp_path)
    assert not [w for w in musl.what_if_rows if w.setting.change is Change.NO_AAAA]


def test_without_a_suffix_that_answers_nothing(tmp_path: Path) -> None:
    work = SHOP.under(search=(*SEARCH, "eu-west-1.compute.internal"))
    analysis = read(work, tmp_path)
    predicted = row(analysis, "drop:eu-west-1.compute.internal")
    assert predicted.queries == SHOP.queries
    assert predicted.broken_lookups == 0
    assert row(analysis, "drop:svc.cluster.local").safety is Safety.UNSAFE


def test_autopath_answers_the_first_question(tmp_path: Path) -> None:
    predicted = row(read(SHOP, tmp_path), "autopath")
    found = sum(w.answered_by is not None for _, w in SHOP.walks())
    lost = sum(w.queries for _, w in SHOP.walks() if w.answered_by is None)
    assert predicted.queries == 2 * found + lost
    assert predicted.safety is Safety.REVIEW


def test_a_cache_keeps_answers_for_their_ttl_and_misses_for_5_s(tmp_path: Path) -> None:
    work = Workload(("api.example.com",), {"api.example.com": ONLY_A}, rounds=8, ttl=9)
    work = work.under(gap_ns=2_000_000_000)
    predicted = row(read(work, tmp_path), "cache")
    # A lives 9 s, so it is asked at 0 and 10 s; every miss and the empty AAAA at 0, 6 and 12 s
    assert predicted.queries == 2 + 3 * 7


def test_what_is_forwarded_stands_apart(tmp_path: Path) -> None:
    work = SHOP.under(search=(*SEARCH, "corp.example"))
    analysis = read(work, tmp_path)
    upstream = sum(
        not s.candidate.endswith("cluster.local") for _, w in work.walks() for s in w.steps
    )
    assert row(analysis, "ndots:5").upstream_queries == upstream


def test_the_peak_is_of_one_second(tmp_path: Path) -> None:
    work = Workload(("cart",), {"cart.shop.svc.cluster.local": ONLY_A}, rounds=12)
    work = work.under(gap_ns=100_000_000)  # ten lookups a second, two queries each
    assert row(read(work, tmp_path), "ndots:5").peak_queries_per_s == 18  # starts at .123


def test_each_client_walks_by_its_own_list(tmp_path: Path) -> None:
    work = SHOP.under(clients=("10.244.1.17", "10.244.1.18"))
    analysis = read(work, tmp_path)
    for client in work.clients:
        assert row(analysis, "ndots:2", client).queries * 2 == row(analysis, "ndots:2").queries
        assert row(analysis, "ndots:2", client).p50_s is None


def test_a_name_under_a_real_top_level_domain_is_unsafe(tmp_path: Path) -> None:
    zone = {**SHOP.zone, "web.dev.svc.cluster.local": ONLY_A}
    work = SHOP.under(names=(*SHOP.names, "web.dev"), zone=zone)
    predicted = row(read(work, tmp_path), "ndots:1")
    assert predicted.safety is Safety.UNSAFE
    assert any("real top-level domain" in r and "web.dev" in r for r in predicted.reasons)


def test_musl_never_searches_a_name_with_enough_dots(tmp_path: Path) -> None:
    predicted = row(read(SHOP.under(model="musl"), tmp_path), "ndots:1")
    assert predicted.safety is Safety.UNSAFE
    assert predicted.broken_lookups == 3 * SHOP.rounds
    assert "auth.login" in predicted.reasons[0]


def test_a_full_name_of_the_own_namespace_may_be_meant_in_full(tmp_path: Path) -> None:
    """db-0.db and its full name (5 dots) give the same packets at ndots 5: a doubt, no breakage."""
    zone = {**SHOP.zone, "db-0.db.shop.svc.cluster.local": ONLY_A}
    work = SHOP.under(names=(*SHOP.names, "db-0.db"), zone=zone, model="musl")
    predicted = row(read(work, tmp_path), "ndots:1")
    assert predicted.broken_lookups == 3 * SHOP.rounds
    assert any("written without their suffix: db-0.db" in r for r in predicted.reasons)


def test_a_thin_capture_is_never_safe(tmp_path: Path) -> None:
    few = SHOP.under(names=SHOP.names[5:8], rounds=1)
    for w in read(few, tmp_path).what_if_rows:
        assert w.safety is not Safety.SAFE
        assert any("thin capture: 3 lookups of 3 names" in r for r in w.reasons)


def test_a_wildcard_captures_other_names(tmp_path: Path) -> None:
    zone = {**SHOP.zone, "api.example.com.cluster.local": BOTH}
    work = SHOP.under(zone=zone)
    predicted = row(read(work, tmp_path), "ndots:2")
    assert predicted.leaked_first > 0
    assert predicted.safety is not Safety.SAFE


def test_a_name_that_failed_as_is_was_written_with_its_dot(tmp_path: Path) -> None:
    work = SHOP.under(names=(*SHOP.names, "a.b.c.d.e.example"), final={"a.b.c.d.e.example"})
    now = row(read(work, tmp_path), "ndots:5")
    assert now.queries == work.queries


def test_of_an_empty_capture_nothing_is_said(tmp_path: Path) -> None:
    assert read(SHOP.under(names=()), tmp_path).what_if_rows == ()


def test_nothing_hangs_on_how_the_clients_are_cut_into_parts(tmp_path: Path) -> None:
    work = SHOP.under(clients=tuple(f"10.244.1.{n}" for n in range(20, 26)))
    collected = collect([work.write(tmp_path)])
    names, answers = Folded(collected.interners.names), Answers()
    (surveyed,) = survey(collected.store, names, {}, has_clock=True)
    answers.note(surveyed.rows)
    clients = surveyed.clients

    def counted(members: list[Client]) -> WhatIfTally:
        tally = WhatIfTally(answers, [split("cluster.local")])
        for task in read_parts(collected.store, members, names, has_clock=True):
            tally.add(task())
        return tally

    alone = counted(clients[5:])
    for n in (2, 0, 4, 1, 3):
        alone.merge(counted([clients[n]]))
    together = counted(clients).result(collected.address)
    assert alone.result(collected.address).rows() == together.rows()


def test_misses_are_as_they_were_seen_not_as_they_are_assumed(tmp_path: Path) -> None:
    """Raising ndots asks what the capture never asked; it says how much rests on that."""
    work = SHOP.under(ndots=1)
    predicted = row(read(work, tmp_path), "ndots:5")
    real = SHOP.queries
    assert predicted.assumed_queries > 0
    assert abs(predicted.queries - real) <= predicted.assumed_queries
    assert SHOP.outcome("api.example.com.svc.cluster.local", "A") == NXDOMAIN


def test_a_name_as_programs_make_them_that_nobody_answers_takes_no_time_from_nowhere(
    tmp_path: Path,
) -> None:
    talk = Talk()
    for k, suffix in enumerate(LIST):
        talk.exchange(k, f"api.{suffix}", rcode=NAME_ERROR)
    talk.exchange(len(LIST), "api")
    talk.exchange(10_000, f"10-0-0-1.{NAMESPACE}", took=None)
    talk.exchange(60_000, "api")
    analysis = talk.analyze(tmp_path, search=list(LIST), ndots=5)
    assert {w.p99_s is None or w.p99_s < 60 for w in analysis.what_if_rows} == {True}
