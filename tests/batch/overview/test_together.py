"""The plan for all captures: one edit for one change, no saving twice, none that was not seen."""

from __future__ import annotations

from pcapkit.batch.overview.together import together
from pcapkit.batch.rows import failed_row, row_of
from pcapkit.model.audits import AuditRow, AuditStep, Together
from pcapkit.model.vocabulary import Safety
from pcapkit.pipeline.analyze import analyze
from pcapkit.report.text.plans import best_plan, ended
from tests.batch.overview.rows import in_full, ndots, row, shorter, workload
from tests.end_to_end.test_lab import LAB


def capture(number: int, *steps: AuditStep, **more: object) -> AuditRow:
    """A capture in which shop/web and shop/api waste, with the steps of its plan."""
    return row(
        f"{number}.pcap",
        workload("shop/web", wasted=60),
        workload("shop/api", wasted=60),
        steps=steps,
        **more,  # type: ignore[arg-type]
    )


def plan(*rows: AuditRow) -> Together:
    found = together(rows)
    assert found is not None
    assert found.ends_queries == sum(s.ends_queries for s in found.steps)
    assert found.ends_queries + found.left_out_queries == sum(r.plan_ends for r in rows)
    assert together(rows[::-1]) == found
    return found


def test_the_same_change_is_one_edit_and_its_savings_add_up() -> None:
    found = plan(
        capture(1, ndots(2, "shop/web", ends=40)),
        capture(2, ndots(2, "shop/web", ends=30, safety=Safety.REVIEW)),
        capture(3, ndots(2, "shop/api", ends=50)),
        failed_row("4.pcap", "empty"),
    )
    assert [(s.subjects, s.edits, s.ends_queries, s.safety.value) for s in found.steps] == [
        (("shop/web",), 1, 70, "review"),
        (("shop/api",), 1, 50, "safe"),
    ]
    assert (found.edits, found.captures, found.safety) == (2, 3, Safety.REVIEW)
    assert (found.steps[0].captures, found.steps[0].captures_of_subjects) == (2, 3)
    assert found.steps[0].seen_s == 1200 and found.wasted_queries == 360
    assert not found.conflicts and not found.left_out_queries


def test_steps_for_several_subjects_overlap() -> None:
    found = plan(
        capture(1, ndots(2, "shop/api", "shop/web", ends=80)),
        capture(2, ndots(2, "shop/web", ends=30)),
    )
    (step,) = found.steps
    assert (step.subjects, step.edits, step.ends_queries) == (("shop/api", "shop/web"), 2, 110)


def test_names_that_a_setting_obliges_are_edits_once() -> None:
    found = plan(
        capture(1, ndots(1, "shop/web", ends=40, names=("a.shop", "b.shop"))),
        capture(2, ndots(1, "shop/web", ends=40, names=("b.shop", "c.shop"))),
        capture(3, in_full("c.shop", "c.shop.svc.cluster.local", "shop/web", ends=5)),
    )
    assert found.edits == 4  # ndots, and three names, of which one is a step, too
    assert found.steps[0].edits == 4 and found.steps[0].names == ("a.shop", "b.shop", "c.shop")
    several = plan(
        capture(1, ndots(1, "shop/api", "shop/web", ends=40, names=("a.shop",))),
        capture(2, ndots(1, "shop/api", "shop/web", ends=40, names=("a.shop",))),
    )
    assert several.edits == 4


def test_of_two_ndots_the_higher_is_taken_and_the_rest_left_out() -> None:
    found = plan(
        capture(1, ndots(2, "shop/web", ends=40)), capture(2, ndots(3, "shop/web", ends=30))
    )
    (step,) = found.steps
    assert (step.ndots, step.ends_queries, step.edits) == (3, 30, 1)
    assert (step.captures, step.captures_of_subjects) == (1, 2)
    assert found.left_out_queries == 40
    (said,) = found.conflicts
    assert "shop/web" in said and "2 and 3" in said and "3 is taken" in said


def test_a_step_that_one_of_its_subjects_forbids_counts_nowhere() -> None:
    found = plan(
        capture(1, ndots(2, "shop/api", "shop/web", ends=80)),
        capture(2, ndots(3, "shop/web", ends=30)),
    )
    assert [(s.subjects, s.ndots, s.ends_queries) for s in found.steps] == [(("shop/web",), 3, 30)]
    assert found.left_out_queries == 80


def test_a_list_loses_what_all_plans_take_out_of_it() -> None:
    found = plan(
        capture(1, shorter("a.example", "b.example", subject="shop/web", ends=40)),
        capture(2, shorter("a.example", subject="shop/web", ends=30)),
    )
    assert [(s.suffixes, s.ends_queries) for s in found.steps] == [(("a.example",), 30)]
    assert "only a.example" in found.conflicts[0]
    none = plan(
        capture(1, shorter("a.example", subject="shop/web", ends=40)),
        capture(2, shorter("b.example", subject="shop/web", ends=30)),
    )
    assert none.steps == () and none.left_out_queries == 70 and none.edits == 0
    assert "nothing is taken out" in none.conflicts[0]


def test_a_name_that_stands_for_two_things_is_left_alone() -> None:
    found = plan(
        capture(1, in_full("db", "db.a.svc.cluster.local", "shop/web", ends=40)),
        capture(2, in_full("db", "db.b.svc.cluster.local", "shop/web", ends=30)),
        capture(3, in_full("db", "db.b.svc.cluster.local", "shop/api", ends=20)),
    )
    assert [(s.subjects, s.fqdn) for s in found.steps] == [
        (("shop/api",), "db.b.svc.cluster.local")
    ]
    assert "the name db stands for" in found.conflicts[0]


def test_the_final_dot_is_no_conflict() -> None:
    found = plan(
        capture(1, in_full("x.io", "x.io", "shop/web", ends=40)),
        capture(2, in_full("x.io", "x.io.", "shop/web", ends=30)),
    )
    assert [(s.fqdn, s.ends_queries, s.edits) for s in found.steps] == [("x.io.", 70, 1)]


def test_steps_that_no_plan_lists_are_left_out() -> None:
    found = plan(capture(1, ndots(2, "shop/web", ends=40), plan_ends=55))
    assert (found.ends_queries, found.left_out_queries) == (40, 15)


def test_no_plan_at_all() -> None:
    assert together([]) is None
    assert together([capture(1), failed_row("2.pcap", "empty")]) is None


def test_without_a_clock_it_is_not_known_how_long_was_seen() -> None:
    found = plan(capture(1, ndots(2, "shop/web", ends=40), first_time=None))
    assert found.seen_s is None


def test_one_capture_gives_its_own_plan() -> None:
    analysis = analyze(LAB / "multi6_any_sll2.pcap")
    best = best_plan(analysis)
    assert best is not None
    found = plan(row_of("a.pcap", analysis, None))
    assert (found.edits, found.ends_queries, found.safety) == (best.edits, ended(best), best.safety)
    assert found.saves_queries == best.saves_queries
    assert {(s.code, s.subjects) for s in found.steps} == {(s.code, s.subjects) for s in best.steps}


def test_twice_the_same_capture_doubles_savings_and_no_edit() -> None:
    analysis = analyze(LAB / "multi6_any_sll2.pcap")
    one = plan(row_of("a.pcap", analysis, None))
    two = plan(row_of("a.pcap", analysis, None), row_of("b.pcap", analysis, None))
    assert (two.edits, two.ends_queries) == (one.edits, 2 * one.ends_queries)
