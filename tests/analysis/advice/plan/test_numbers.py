"""The numbers of plans, held against the same workloads with the steps done."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcapkit.model.plans import Plan, PlanKind, Step
from pcapkit.model.vocabulary import Safety
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import Options, make_options
from tests import build
from tests.analysis.advice.plan.applied import applied, hosts, sent
from tests.analysis.talk import Talk
from tests.play import BOTH, ONLY_A, SEARCH, SHOP, Workload, write_together

LAB = Path(__file__).resolve().parents[4] / "captures" / "lab"

#: The world alone, and services of the own namespace.
OUTSIDE = SHOP.under(
    names=(
        "cart",
        "api.example.com",
        "www.example.org",
        "cdn.example.net",
        "example.com",
        "pay.api.example.com",
        "a.b.c.example.com",
    ),
    zone={**SHOP.zone, "example.com": ONLY_A, "a.b.c.example.com": BOTH},
    rounds=4,
)
#: Pods of StatefulSets, and services in every form.
FORMS = Workload(
    (
        "db-0.db",
        "db-1.db.shop",
        "mq-0.mq.queues",
        "mq-0.mq.queues.svc",
        "ledger.finance",
        "ledger.finance.svc",
        "ledger.finance.svc.cluster.local",
        "cart",
        "api.example.com",
    ),
    {
        "db-0.db.shop.svc.cluster.local": BOTH,
        "db-1.db.shop.svc.cluster.local": ONLY_A,
        "mq-0.mq.queues.svc.cluster.local": ONLY_A,
        "ledger.finance.svc.cluster.local": ONLY_A,
        "cart.shop.svc.cluster.local": ONLY_A,
        "api.example.com": ONLY_A,
    },
    rounds=4,
)
#: Short names that are names of the Internet, too.
COLLIDING = Workload(
    ("web.dev", "auth.app", "api.example.com", "www.example.org", "cart", "x.y.example.com"),
    {
        "web.dev.svc.cluster.local": ONLY_A,
        "auth.app.svc.cluster.local": ONLY_A,
        "api.example.com": ONLY_A,
        "www.example.org": BOTH,
        "cart.shop.svc.cluster.local": ONLY_A,
        "x.y.example.com": ONLY_A,
    },
    rounds=5,
)
#: Hosts under a suffix of the node's.
CORP = Workload(
    ("wiki", "git.tools", "api.example.com", "cart", "www.example.org", "auth.login"),
    {
        "wiki.corp.example": ONLY_A,
        "git.tools.corp.example": ONLY_A,
        "api.example.com": ONLY_A,
        "www.example.org": ONLY_A,
        "cart.shop.svc.cluster.local": ONLY_A,
        "auth.login.svc.cluster.local": ONLY_A,
    },
    search=(*SEARCH, "corp.example"),
    rounds=5,
)
#: Names that do not exist, and names of one family.
MISSES = Workload(
    ("gone", "gone.example.com", "v6.example.com", "cart", "api.example.com", "auth.login"),
    {
        "v6.example.com": (2, 1),
        "cart.shop.svc.cluster.local": ONLY_A,
        "api.example.com": BOTH,
        "auth.login.svc.cluster.local": ONLY_A,
    },
    rounds=5,
)
#: Suffixes of the node's under which nothing answers, and names that nothing answers.
NODE = Workload(
    ("gone", "gone", "nowhere", "gone.example.com", "cart", "api.example.com", "auth.login"),
    {
        "cart.shop.svc.cluster.local": ONLY_A,
        "api.example.com": BOTH,
        "auth.login.svc.cluster.local": ONLY_A,
    },
    search=(*SEARCH, "c.project.internal", "google.internal"),
    rounds=5,
)
WORKS = {
    "node": NODE,
    "shop": SHOP,
    "outside": OUTSIDE,
    "forms": FORMS,
    "colliding": COLLIDING,
    "corp": CORP,
    "misses": MISSES,
}


def read(work: Workload, folder: Path) -> Analysis:
    return analyze(work.write(folder), options=Options(resolver=work.model))


def plans(analysis: Analysis, kind: PlanKind, subject: str | None = None) -> list[Plan]:
    return [p for p in analysis.plans if p.kind is kind and p.subject == subject]


def assert_true(plan: Plan, *works: tuple[str, Workload]) -> None:
    """Hold every number of a plan against the workloads with its first steps done."""
    before = sent(*(w for _, w in works))
    assert (plan.before.queries, plan.before.wasted_queries, plan.before.upstream_queries) == before
    reached = hosts(*(w for _, w in works))
    left = plan.before.queries
    for number, step in enumerate(plan.steps, 1):
        assert step.number == number
        done = [applied(w, plan.steps[:number], subject) for subject, w in works]
        after = step.queries_after, step.wasted_queries_after, step.upstream_queries_after
        assert after == sent(*done), step
        assert left - step.saves_queries == step.queries_after
        left = step.queries_after
        assert hosts(*done) == reached, step
    assert sum(s.saves_queries for s in plan.steps) == plan.saves_queries
    assert sum(s.edits for s in plan.steps) == plan.edits
    assert plan.after.queries == left


@pytest.mark.parametrize("model", ["glibc", "musl", "go", "c-ares", "dnspython", "bind-nslookup"])
@pytest.mark.parametrize("name", WORKS)
def test_every_step_leaves_what_the_resolver_then_sends(
    name: str, model: str, tmp_path: Path
) -> None:
    for ndots in (5, 3, 2, 1):
        work = WORKS[name].under(model=model, ndots=ndots)
        analysis = read(work, tmp_path)
        seen = work.resolved == sum(o == "resolved" for o in analysis.lookups["outcome"])
        for plan in analysis.plans:
            if seen:
                assert_true(plan, ("shop", work))


def test_two_namespaces_get_names_of_their_own(tmp_path: Path) -> None:
    other = ("bank.svc.cluster.local", "svc.cluster.local", "cluster.local")
    names = ("db.data", "api.example.com", "www.example.org", "cart", "auth.login", "db-0.db")
    shop = Workload(
        names,
        {
            "db.data.shop.svc.cluster.local": ONLY_A,
            "db.data.bank.svc.cluster.local": ONLY_A,
            "db-0.db.shop.svc.cluster.local": ONLY_A,
            "db-0.db.bank.svc.cluster.local": ONLY_A,
            "api.example.com": ONLY_A,
            "www.example.org": ONLY_A,
            "cart.shop.svc.cluster.local": ONLY_A,
            "cart.bank.svc.cluster.local": ONLY_A,
            "auth.login.svc.cluster.local": ONLY_A,
        },
        rounds=5,
    )
    bank = shop.under(search=other, clients=("10.244.9.9",), rounds=4)
    path = write_together((shop, bank), tmp_path)
    analysis = analyze(path, options=Options(resolver="glibc"))
    for plan in analysis.plans:
        works = [("shop", shop), ("bank", bank)]
        assert_true(plan, *(w for w in works if plan.subject in (None, w[0])))
    (best,) = plans(analysis, PlanKind.BEST)
    assert best.steps[0].subjects == ("bank", "shop")  # the same change for both is one step
    assert best.steps[0].edits == 2
    (names_alone,) = plans(analysis, PlanKind.NAMES)
    shared = next(s for s in names_alone.steps if s.name == "api.example.com")
    assert shared.subjects == ("bank", "shop")


def test_times_and_peaks_are_those_of_the_workload_with_the_steps_done(tmp_path: Path) -> None:
    for work in (SHOP, FORMS, CORP, NODE):
        for plan in read(work, tmp_path).plans:
            for number, step in enumerate(plan.steps, 1):
                (now,) = [
                    w
                    for w in read(applied(work, plan.steps[:number]), tmp_path).what_if_rows
                    if w.client_addr is None and w.observed
                ]
                assert step.peak_queries_per_s_after == now.peak_queries_per_s
                assert step.lookup_p95_s_after == pytest.approx(now.p95_s, rel=0.2)


def test_plans_of_one_subject_are_timed_too(tmp_path: Path) -> None:
    """Hold them against a capture of that subject alone, where it is everyone."""
    bank = NODE.under(
        search=("bank.svc.cluster.local", *NODE.search[1:]),
        zone={**NODE.zone, "cart.bank.svc.cluster.local": ONLY_A},
        clients=("10.244.9.9", "10.244.9.10"),
        start_ns=SHOP.start_ns + 3 * build.SECOND,
    )
    known = Options(resolver="glibc")
    together = analyze(write_together((SHOP, bank), tmp_path), options=known)
    for subject, work in (("shop", SHOP), ("bank", bank)):
        mine = [p for p in together.plans if p.subject == subject]
        assert mine
        for plan in mine:
            for number, step in enumerate(plan.steps, 1):
                done = applied(work, plan.steps[:number], subject)
                alone = analyze(done.write(tmp_path), options=known)
                (now,) = [w for w in alone.what_if_rows if w.client_addr is None and w.observed]
                assert step.peak_queries_per_s_after == now.peak_queries_per_s
                assert step.lookup_p95_s_after == pytest.approx(now.p95_s, rel=0.2)
            assert plan.after.peak_queries_per_s == plan.steps[-1].peak_queries_per_s_after


def _upstream_by_second(work: Workload) -> dict[int, int]:
    """Count questions about names outside the cluster, by the second in which lookups began."""
    out: dict[int, int] = {}
    for number, (_, walk) in enumerate(work.walks()):
        second = (work.start_ns + number * work.gap_ns) // build.SECOND
        sent = sum(not s.candidate.endswith("cluster.local") for s in walk.steps)
        out[second] = out.get(second, 0) + sent
    return out


def test_what_the_cluster_dns_sends_to_outside_is_counted_a_second(tmp_path: Path) -> None:
    for work in (SHOP, CORP, NODE):
        (best,) = plans(read(work, tmp_path), PlanKind.BEST)
        for number, step in enumerate((None, *best.steps)):
            seen = _upstream_by_second(applied(work, best.steps[:number]))
            (outside,) = best.before.outside if step is None else step.outside_after
            assert outside.sender == build.SERVER
            assert outside.peak_packets_per_s == max(seen.values())
            state = best.before if step is None else best.after
            if number in (0, len(best.steps)):
                assert state.peak_upstream_per_s == max(seen.values())
            assert outside.packets_per_s is not None
            assert best.coverage.duration_s is not None
            sent = outside.packets_per_s * best.coverage.duration_s
            assert round(sent) == sum(seen.values())
        assert best.after.outside == best.steps[-1].outside_after


def test_clients_that_ask_servers_outside_are_senders_themselves(tmp_path: Path) -> None:
    """All that they ask leaves the cluster: also names of the cluster."""
    talk = Talk()
    for number in range(30):
        talk.walk(number * 100, f"www{number % 6}.example.com", flags=0)
        talk.exchange(number * 100 + 50, "cart.shop.svc.cluster.local")
        name = f"host{number % 3}.example.org"
        talk.exchange(number * 100 + 60, name, client="10.244.7.7", server="8.8.8.8")
    (best,) = plans(talk.analyze(tmp_path), PlanKind.BEST)
    senders = {o.sender for o in best.before.outside}
    assert senders == {build.SERVER, "10.244.7.7"}


def test_plans_do_not_depend_on_how_a_capture_is_split(tmp_path: Path) -> None:
    works = (
        SHOP,
        SHOP.under(clients=("10.244.9.9",), search=("bank.svc.cluster.local", *SEARCH[1:])),
    )
    packets = sorted((p for w in works for p in w.packets()), key=lambda p: p.time)
    whole = build.save(tmp_path, build.pcap(packets), "whole.pcap")
    known = Options(resolver="glibc")
    plans = analyze(whole, options=known).plans
    assert plans
    for at in (1, len(packets) // 3, len(packets) - 40):
        pieces = [
            build.save(tmp_path, build.pcap(part), f"{n}.pcap")
            for n, part in enumerate((packets[:at], packets[at:]))
        ]
        assert analyze(*pieces, options=known).plans == plans


def test_a_plan_of_very_many_steps_lists_some_and_counts_all(tmp_path: Path) -> None:
    """What is not listed is in all numbers of the plan, and it is said."""
    hosts = tuple(f"h{n}.example.com" for n in range(260))
    work = Workload(hosts, dict.fromkeys(hosts, BOTH), rounds=1, gap_ns=10 * build.MS)
    analysis = read(work, tmp_path)
    (names,) = plans(analysis, PlanKind.NAMES)
    assert len(names.steps) == 200
    assert names.steps_in_all == names.edits == names.edits_of["names"] == 208  # four fifths
    left = [f"{h}." for h in hosts[:208]] + list(hosts[208:])
    done = sent(work.under(names=tuple(left)))
    after = names.after
    assert (after.queries, after.wasted_queries, after.upstream_queries) == done
    assert names.before.queries - after.queries == names.saves_queries
    assert sum(s.saves_queries for s in names.steps) < names.saves_queries
    assert names.edits_bound == names.edits
    assert after.peak_queries_per_s is not None
    assert after.peak_queries_per_s <= (names.steps[-1].peak_queries_per_s_after or 0)
    for text in names.patches.values():
        assert "first 200 of the plan's 208 steps" in text.split("\n")[0]
    for plan in analysis.plans:
        if plan.steps_in_all == len(plan.steps):
            assert sum(s.edits for s in plan.steps) == plan.edits == sum(plan.edits_of.values())


def step_for(plan: Plan, name: str) -> Step:
    return next(s for s in plan.steps if s.name == name)


def test_a_name_with_enough_dots_needs_no_final_dot(tmp_path: Path) -> None:
    (best,) = plans(read(SHOP, tmp_path), PlanKind.BEST)
    step = step_for(best, "ledger.finance.svc")
    assert step.fqdn == "ledger.finance.svc.cluster.local"
    assert not step.final_dot
    assert step.safety is Safety.REVIEW  # TLS and HTTP see another text
    assert any("SNI" in r for r in step.reasons)
    assert best.steps[0].ndots == 2
    unknown = analyze(SHOP.write(tmp_path), options=Options(resolver="unknown"))
    (unsure,) = plans(unknown, PlanKind.BEST)
    kept = step_for(unsure, "ledger.finance.svc")
    assert kept.final_dot
    assert kept.fqdn == "ledger.finance.svc.cluster.local."


def test_names_alone_keep_their_final_dots(tmp_path: Path) -> None:
    (names,) = plans(read(SHOP, tmp_path), PlanKind.NAMES)
    assert {s.code for s in names.steps} == {"use_fqdn", "full_service_name"}
    assert all(s.final_dot and s.safety is Safety.REVIEW for s in names.steps)


def test_settings_touch_no_application(tmp_path: Path) -> None:
    for work in WORKS.values():
        for plan in plans(read(work, tmp_path), PlanKind.SETTINGS):
            assert all(s.code == "set_ndots" and not s.names for s in plan.steps)


def test_the_forms_that_an_ndots_would_change_are_named(tmp_path: Path) -> None:
    (best,) = plans(read(FORMS, tmp_path), PlanKind.SETTINGS)
    (step,) = best.steps
    forms = {f.form: f.seen for f in step.forms}
    assert step.ndots == 4 or set(forms) >= {"pod.service.namespace.svc"}
    one = Workload(
        ("auth.login", "metrics.monitoring", "cart", "api.example.com", "example.com"),
        {**OUTSIDE.zone},
        rounds=5,
    )
    full = [p for p in read(one, tmp_path).plans if p.kind is PlanKind.BEST and p.steps[0].ndots]
    step = full[0].steps[0]
    forms = {f.form: f.seen for f in step.forms}
    if step.ndots == 1:
        assert forms["service.namespace"] == 2
    assert forms["service.namespace.svc"] == 0


@pytest.mark.parametrize("model", ["glibc", "musl", "go"])
def test_a_thin_capture_is_never_safe(model: str, tmp_path: Path) -> None:
    for work in (OUTSIDE.under(rounds=2), OUTSIDE.under(names=OUTSIDE.names[:4], rounds=9)):
        found = read(work.under(model=model), tmp_path).plans
        assert found
        for plan in found:
            assert not plan.steps or plan.safety is Safety.REVIEW
            assert any("thin capture" in r for r in plan.reasons) == bool(plan.steps)


def test_a_short_capture_says_so_where_it_is_safe(tmp_path: Path) -> None:
    (settings,) = plans(read(OUTSIDE, tmp_path), PlanKind.SETTINGS)
    assert settings.safety is Safety.SAFE
    assert any(r.startswith("safe for what was seen in") for r in settings.reasons)


@pytest.mark.parametrize("model", ["glibc", "musl", "go", "c-ares"])
def test_suffixes_that_never_answer_are_taken_out_of_the_list(model: str, tmp_path: Path) -> None:
    found = read(NODE.under(model=model), tmp_path).plans
    drops = {(p.kind, s.suffixes) for p in found for s in p.steps if s.code == "drop_suffix"}
    assert drops == {(PlanKind.BEST, ("c.project.internal", "google.internal"))}
    for plan in found:
        for step in plan.steps:
            if step.code == "drop_suffix":
                assert (step.name, step.fqdn, step.ndots, step.edits) == (None, None, None, 1)
                assert step.safety is Safety.REVIEW
                assert any("dnsPolicy None" in r for r in step.reasons)
                assert step.saves_queries > 0


def test_a_suffix_that_answers_anything_stays(tmp_path: Path) -> None:
    asked = NODE.under(
        names=(*NODE.names, "metadata.google.internal"),
        zone={**NODE.zone, "metadata.google.internal": ONLY_A},
    )
    steps = [s for p in read(asked, tmp_path).plans for s in p.steps if s.suffixes]
    assert {s.suffixes for s in steps} == {("c.project.internal",)}


def test_where_nothing_is_wasted_there_is_no_plan(tmp_path: Path) -> None:
    assert read(SHOP.under(names=("cart", "db"), rounds=20), tmp_path).plans == ()
    assert read(SHOP.under(names=()), tmp_path).plans == ()


def test_names_that_nothing_answered_are_in_no_plan(tmp_path: Path) -> None:
    for plan in read(MISSES, tmp_path).plans:
        written = {s.name for s in plan.steps} | {n for s in plan.steps for n in s.names}
        assert not written & {"gone", "gone.example.com"}


def test_no_plan_writes_the_host_of_a_wildcard() -> None:
    for plan in analyze(LAB / "wildcard_suffix.pcap").plans:
        texts = [s.fqdn for s in plan.steps if s.fqdn] + [t for s in plan.steps for t in s.names]
        assert not [t for t in texts if "apps-shared" in t]


def test_plans_of_the_whole_capture_have_patches() -> None:
    """One for all workloads of equal steps, and none a client."""
    pods = LAB.parents[1] / "tests" / "data" / "kubernetes" / "pods-services.json"
    made = analyze(LAB / "multi6_any_sll2.pcap", options=make_options(pods=str(pods))).plans
    (settings,) = [p for p in made if p.subject is None and p.kind is PlanKind.SETTINGS]
    (best,) = [p for p in made if p.subject is None and p.kind is PlanKind.BEST]
    for step in settings.steps:
        for workload in step.subjects:
            assert workload.split("/")[1] in settings.patches["workload"]
    assert "kyverno" not in settings.patches  # nothing in it is safe
    assert all(s.name in best.patches["list"] for s in best.steps if s.name)
    assert not any(p.patches for p in made if p.subject is not None)
