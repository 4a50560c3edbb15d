"""Advice: every promised saving is counted again in the same workload under the new setting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pcapkit.codes import ANSWER
from pcapkit.model.results import Recommendation
from pcapkit.model.vocabulary import Safety
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import Options
from pcapkit.report.text.verdict import headline
from tests.play import BOTH, ONLY_A, SEARCH, SHOP, Workload

OUTSIDE = SHOP.under(
    names=(
        "cart",
        "api.example.com",
        "www.example.org",
        "cdn.example.net",
        "mail.example.com",
        "auth.login",
    ),
    zone={**SHOP.zone, "mail.example.com": ONLY_A},
    rounds=5,
)

CAPTURES = Path(__file__).resolve().parents[3] / "captures"


def read(work: Workload, folder: Path, *, resolver: str | None = None) -> Analysis:
    return analyze(work.write(folder), options=Options(resolver=resolver or work.model))


def advice(analysis: Analysis, code: str, target: str | None = None) -> Recommendation:
    return next(
        r for r in analysis.recommendations if r.code == code and target in (None, r.target)
    )


def codes(analysis: Analysis) -> Sequence[str]:
    return [r.code for r in analysis.recommendations]


@pytest.mark.parametrize("model", ["glibc", "musl", "go", "c-ares"])
def test_a_lower_ndots_saves_what_it_promises(model: str, tmp_path: Path) -> None:
    work = OUTSIDE.under(model=model)
    found = advice(read(work, tmp_path), "set_ndots")
    assert found.ndots is not None
    after = work.under(ndots=found.ndots)
    assert found.saves_queries == work.queries - after.queries > 0
    assert found.saves_share == pytest.approx(found.saves_queries / work.queries)
    assert after.resolved == work.resolved
    assert found.safety is Safety.SAFE
    assert found.ndots == 2


def test_the_promised_time_is_that_of_the_queries_that_go(tmp_path: Path) -> None:
    before = read(OUTSIDE, tmp_path)
    found = advice(before, "set_ndots")
    after = read(OUTSIDE.under(ndots=found.ndots), tmp_path)
    real = before.lookups["duration_s"].sum() - after.lookups["duration_s"].sum()
    assert found.saves_s == pytest.approx(real, rel=0.01)


def test_upstream_savings_stand_apart(tmp_path: Path) -> None:
    work = OUTSIDE.under(search=(*SEARCH, "corp.example"))
    found = advice(read(work, tmp_path), "set_ndots")

    def upstream(w: Workload) -> int:
        return sum(not s.candidate.endswith("cluster.local") for _, x in w.walks() for s in x.steps)

    assert found.saves_upstream == upstream(work) - upstream(work.under(ndots=found.ndots))


@pytest.mark.parametrize("name", ["api.example.com", "www.example.org"])
def test_a_final_dot_saves_what_it_promises(name: str, tmp_path: Path) -> None:
    found = advice(read(OUTSIDE, tmp_path), "use_fqdn", name)
    assert found.saves_queries == OUTSIDE.queries - OUTSIDE.under(final={name}).queries
    assert found.safety is Safety.REVIEW
    assert any("TLS" in r for r in found.reasons)
    assert found.patch == f"{name} -> {name}.\n"


def test_a_full_service_name_saves_what_it_promises(tmp_path: Path) -> None:
    found = advice(read(OUTSIDE, tmp_path), "full_service_name", "auth.login")
    full = "auth.login.svc.cluster.local"
    names = tuple(full if n == "auth.login" else n for n in OUTSIDE.names)
    after = OUTSIDE.under(names=names, final={full})
    assert found.saves_queries == OUTSIDE.queries - after.queries
    assert full + "." in found.action


def test_a_suffix_that_answers_nothing(tmp_path: Path) -> None:
    work = OUTSIDE.under(search=(*SEARCH, "corp.example"))
    found = advice(read(work, tmp_path), "drop_suffix")
    assert found.target == "corp.example"
    assert found.saves_queries == work.queries - OUTSIDE.queries
    used = work.under(zone={**work.zone, "cart.corp.example": ONLY_A}, names=(*work.names,))
    assert "drop_suffix" in codes(read(used, tmp_path))  # cart is answered before it
    needed = work.under(
        zone={**work.zone, "wiki.corp.example": ONLY_A}, names=(*work.names, "wiki")
    )
    assert "drop_suffix" not in codes(read(needed, tmp_path))


def test_no_aaaa_where_none_is_answered(tmp_path: Path) -> None:
    found = advice(read(OUTSIDE, tmp_path), "no_aaaa")
    assert found.saves_queries == OUTSIDE.queries - OUTSIDE.under(options=("no-aaaa",)).queries
    assert "NOERROR" in found.patches["coredns"]
    assert "no_aaaa" not in codes(read(OUTSIDE.under(model="musl"), tmp_path))
    dual = OUTSIDE.under(zone={**OUTSIDE.zone, "www.example.org": BOTH})
    assert "no_aaaa" not in codes(read(dual, tmp_path))


def test_a_healthy_capture_needs_nothing(tmp_path: Path) -> None:
    assert read(SHOP.under(names=("cart", "db"), rounds=20), tmp_path).recommendations == ()
    assert read(OUTSIDE.under(names=()), tmp_path).recommendations == ()


def test_a_thin_capture_promises_nothing_safe(tmp_path: Path) -> None:
    for work in (OUTSIDE.under(rounds=1), OUTSIDE.under(names=OUTSIDE.names[:4], rounds=9)):
        found = read(work, tmp_path).recommendations
        assert found
        for r in found:
            assert r.safety is not Safety.SAFE
            assert any("thin capture" in reason for reason in r.reasons)
            assert (r.coverage.lookups, r.coverage.names) == (
                len(work.names) * work.rounds,
                len(work.names),
            )


def test_musl_is_never_told_what_breaks_it(tmp_path: Path) -> None:
    work = OUTSIDE.under(model="musl", names=(*OUTSIDE.names, "ledger.finance.svc"))
    found = advice(read(work, tmp_path), "set_ndots")
    assert work.under(ndots=2).resolved < work.resolved  # ledger.finance.svc has two dots
    assert found.safety is Safety.REVIEW
    full = {
        n: f"{n.removesuffix('.svc')}.svc.cluster.local"
        for n in work.names
        if n in ("auth.login", "ledger.finance.svc")
    }
    assert any(n in r for n in full for r in found.reasons)
    after = work.under(
        names=tuple(full.get(n, n) for n in work.names),
        final=frozenset(full.values()),
        ndots=found.ndots,
    )
    assert after.resolved == work.resolved
    assert found.saves_queries == work.queries - after.queries


def test_where_every_lower_ndots_does_harm_some_names_are_written_in_full(tmp_path: Path) -> None:
    names = ("web.dev", "api.example", "a.b.dev", "x.example.com", "c.d.e.dev", "y.z.example.com")
    zone = {f"{n}.svc.cluster.local": ONLY_A for n in names if n.endswith("dev")}
    zone |= {n: ONLY_A for n in names if not n.endswith("dev")}
    work = Workload(names, {**zone, "f.g.h.i.dev.svc.cluster.local": ONLY_A}, rounds=5)
    work = work.under(names=(*names, "f.g.h.i.dev"))
    found = advice(read(work, tmp_path), "set_ndots")
    assert found.safety is Safety.REVIEW
    assert "in full" in found.action
    kept = {n: f"{n}.svc.cluster.local" for n in work.names if n.endswith("dev")}
    after = work.under(
        names=tuple(kept.get(n, n) for n in work.names),
        final=frozenset(kept.values()),
        ndots=found.ndots,
    )
    assert found.saves_queries <= work.queries - after.queries


def test_clients_that_agree_get_one_advice(tmp_path: Path) -> None:
    pods = tuple(f"10.244.1.{n}" for n in range(20, 32))
    found = [
        r
        for r in read(OUTSIDE.under(clients=pods, rounds=4), tmp_path).recommendations
        if r.code == "set_ndots"
    ]
    assert len(found) == 1
    assert found[0].target == "shop"
    assert found[0].clients == pods
    assert found[0].coverage.lookups == 12 * 4 * len(OUTSIDE.names)
    assert "shop" in found[0].patches["kyverno"]
    one = advice(read(OUTSIDE.under(rounds=4), tmp_path), "set_ndots")
    assert found[0].saves_queries == 12 * one.saves_queries
    assert one.target == OUTSIDE.clients[0]


def test_an_unknown_resolver_is_reviewed(tmp_path: Path) -> None:
    found = advice(read(OUTSIDE, tmp_path, resolver="unknown"), "set_ndots")
    assert found.safety is Safety.REVIEW
    assert any("not known" in r for r in found.reasons)


def test_repeats_within_the_ttl_would_come_from_a_cache(tmp_path: Path) -> None:
    found = advice(read(OUTSIDE, tmp_path), "cache")
    assert found.safety is Safety.REVIEW
    distinct = {(s.candidate, s.qtype) for _, w in OUTSIDE.walks() for s in w.steps}
    # misses live 5 s, answers 30 s: the five rounds take 6 s
    assert 0 < found.saves_queries <= OUTSIDE.queries - len(distinct)


def test_savings_rank_the_advice(tmp_path: Path) -> None:
    found = read(OUTSIDE, tmp_path).recommendations
    main = [r.saves_queries for r in found if r.code in ("set_ndots", "use_fqdn")]
    assert main == sorted(main, reverse=True)
    assert OUTSIDE.outcome("cart.shop.svc.cluster.local", "A") == ANSWER


def test_no_advice_makes_a_wildcard_permanent() -> None:
    """The host that a wildcard record names is the one that nobody meant."""
    analysis = analyze(CAPTURES / "lab" / "wildcard_suffix.pcap")
    assert [f.code for f in analysis.findings] == ["wildcard_suffix"]
    assert any((n.fqdn or "").endswith(".apps-shared.example.") for n in analysis.name_rows)
    assert not {"use_fqdn", "enable_autopath"} & set(codes(analysis))
    assert headline(analysis) == (
        "Too little to judge: 5 lookups from beginning to end. 64.3 % of these DNS queries were "
        "search-path waste: 18 of 28. First mend what stands in the way: A wildcard record answers "
        "for names that do not belong there."
    )
