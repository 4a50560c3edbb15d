"""Plans in reports: what the verdict says of them, their steps on page, terminal and Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pcapkit.batch.overview.index import make_index
from pcapkit.batch.rows import row_of
from pcapkit.model.plans import Outside, Plan, PlanKind
from pcapkit.model.results import Results
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import Options
from pcapkit.report.html.index import render_index
from pcapkit.report.html.page import render_page
from pcapkit.report.html.pictures import draw
from pcapkit.report.markdown import plain, render_markdown
from pcapkit.report.terminal import render_terminal
from pcapkit.report.text.plans import best_plan, ended, plan_of, side_by_side
from pcapkit.report.text.verdict import headline
from tests.analysis.advice.plan.test_numbers import NODE
from tests.analysis.talk import NAMESPACE, SERVFAIL, Talk

LAB = Path(__file__).resolve().parents[2] / "captures" / "lab"
ADVICE = "capture longer before a roll-out"
EVIL = "<script>alert(1)</script>`|\x1b[31m*x*.example.com"


@pytest.fixture(scope="module")
def lab() -> Analysis:
    return analyze(LAB / "whatif_w1_glibc_ndots5.pcap")


def terminal(analysis: Results, width: int = 80) -> str:
    console = Console(file=StringIO(), width=width)
    render_terminal(analysis, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def page_text(analysis: Results) -> str:
    """Return what a reader of the page reads, spaces as one."""
    page = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", render_page(analysis), flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]*>", "", page.replace("<wbr>", ""))).split())


def walks(names: int, *, apart: float, lookups: int = 40) -> Talk:
    """External names that walk the whole list first, so many milliseconds apart."""
    talk = Talk()
    for number in range(lookups):
        talk.walk(number * apart, f"www{number % names}.example{number % 3}.com")
    return talk


def with_plan(analysis: Results, plan: Plan) -> Results:
    """Return the analysis with this one as the best plan of the whole capture."""
    others = [p for p in analysis.plans if p.subject is not None or p.kind is not PlanKind.BEST]
    return replace(analysis, plans=(replace(plan, kind=PlanKind.BEST), *others))


# ---- the verdict -----------------------------------------------------------------------------


def test_the_verdict_says_waste_plan_safety_and_what_names_alone_end(lab: Analysis) -> None:
    best, names = best_plan(lab), plan_of(lab, PlanKind.NAMES)
    assert best is not None and names is not None
    wasted = lab.waste.wasted_queries
    found = re.fullmatch(
        rf"62\.8 % of these DNS queries were search-path waste: {wasted} of 242\. "
        r"(\d+) edits end (\d+) of them \(([\d.]+) %\): 1 dnsConfig and (\d+) names written "
        r"in full\. "
        r"Review every step first\. Full names \(FQDNs\) alone: (\d+) edits end (\d+)\.",
        headline(lab),
    )
    assert found is not None, headline(lab)
    edits, ends, share, in_full, names_edits, names_end = map(float, found.groups())
    assert (edits, ends, in_full) == (best.edits, ended(best), best.edits - 1)
    assert ends <= wasted and share == round(100 * ends / wasted, 1)
    assert (names_edits, names_end) == (names.edits, ended(names))


@pytest.mark.parametrize(
    ("apart", "said"),
    [
        (1_000.0, rf"Safe for what was seen in 39\.\d+ s: {ADVICE}\."),
        (30_000.0, r"Safe for what was seen in 19\.5 min\. "),
    ],
)
def test_safe_says_what_it_rests_on(apart: float, said: str, tmp_path: Path) -> None:
    analysis = walks(8, apart=apart).analyze(tmp_path)
    best = best_plan(analysis)
    assert best is not None and best.safety.value == "safe"
    assert "1 edit ends 240 of them (100.0 %): ndots 2 for namespace default." in headline(analysis)
    short = apart < 10_000
    for text in (terminal(analysis, 400), page_text(analysis), render_markdown(analysis)):
        assert re.search(said, text.replace("\xa0", " ").replace("\\", "")), text
        assert (ADVICE in text.replace("\\", "")) == short
    assert ("safe (39" in terminal(analysis)) == short


def test_too_few_lookups_are_said_before_the_plan(tmp_path: Path) -> None:
    analysis = walks(5, apart=1_000, lookups=6).analyze(tmp_path)
    first, then = headline(analysis).split(". ", 1)
    assert first == "Too little to judge: 6 lookups from beginning to end"
    assert "1 edit ends 36 of them" in then and "Review it first" in then
    assert "Safe for" not in then


def test_failed_lookups_are_said_before_the_plan(tmp_path: Path) -> None:
    talk = walks(8, apart=1_000)
    for number in range(5):
        talk.pair(50_000 + number * 1_000, f"broken{number}.{NAMESPACE}", rcode=SERVFAIL)
    said = headline(talk.analyze(tmp_path))
    assert said.index("of the lookups resolved") < said.index("were search-path waste")
    assert said.index("were search-path waste") < said.index("edit ends")


def test_without_a_plan_none_is_promised(lab: Analysis) -> None:
    bare = replace(lab, plans=(), findings=())
    assert headline(bare).endswith(": 152 of 242. No change was found that is safe to advise.")
    page = render_page(bare)
    assert 'id="plan"' not in page and "edits" not in terminal(bare)
    assert "plan" not in {d.name for d in draw(bare, png=False)}


def test_no_more_is_ended_than_was_wasted(lab: Analysis) -> None:
    """A replay may count more than was seen; the sentence is about what was seen."""
    best = best_plan(lab)
    assert best is not None
    more = replace(best, before=replace(best.before, wasted_queries=1000))
    assert "end 152 of them" in headline(with_plan(lab, more))


def test_a_healthy_capture_has_no_plan(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(25):
        talk.found(number * 1000, f"svc-{number}.{NAMESPACE}")
    analysis = talk.analyze(tmp_path)
    assert headline(analysis).startswith("Nothing to do")
    assert "the plan" not in terminal(analysis)
    assert "## The plan" not in render_markdown(analysis)


# ---- its steps -------------------------------------------------------------------------------


def test_page_terminal_and_markdown_show_the_same_steps(lab: Analysis) -> None:
    best = best_plan(lab)
    assert best is not None and 1 < len(best.steps) <= 6
    on_terminal = " ".join(terminal(lab, 400).split())
    on_page, markdown = page_text(lab), render_markdown(lab)
    for step in best.steps:
        texts = [step.name, step.fqdn, *step.names, *step.names.values()]
        what = [f"Set ndots to {step.ndots}"] if step.ndots is not None else []
        for text in [*what, *(t for t in texts if t)]:
            assert text in on_terminal and text in on_page and text in markdown
        for reason in step.reasons:
            assert reason in on_page and plain(reason) in markdown
        for shown in (on_page, markdown):
            assert str(step.queries_after) in shown
    forms = {form.form for step in best.steps for form in step.forms}
    assert forms and all(form in on_page for form in forms)
    for title, plan in side_by_side(lab):
        assert f"{title} {plan.edits} {ended(plan)}" in " ".join(on_terminal.split())
        assert plain(title) in markdown and title in on_page
    assert all(len(line) <= 80 for line in terminal(lab).splitlines())


def test_the_curve_ends_where_the_plan_does(lab: Analysis) -> None:
    best = best_plan(lab)
    assert best is not None
    (curve,) = [d for d in draw(lab, png=True) if d.name == "plan"]
    assert f"now {best.before.queries}" in curve.alt
    assert f"after {best.edits} edits {best.after.queries}" in curve.alt
    assert f"leave {best.after.queries} of {best.before.queries}" in curve.svg
    assert curve.png is not None


def test_many_steps_are_cut_with_a_word(lab: Analysis) -> None:
    best, names = best_plan(lab), plan_of(lab, PlanKind.NAMES)
    assert best is not None and names is not None and len(names.steps) > 10
    many = with_plan(lab, names)
    shown = terminal(many)
    assert f"and {len(names.steps) - 6} more in the report" in shown
    assert f"show all {len(names.steps)} steps" in page_text(many)
    assert str(names.steps[-1].fqdn) in render_markdown(many)
    assert "Full names (FQDNs) alone" not in headline(many)


def test_advice_that_is_a_step_stands_in_no_other_list(lab: Analysis) -> None:
    codes = {a.code for a in lab.recommendations}
    assert {"set_ndots", "use_fqdn"} <= codes
    beside = page_text(lab).partition("Beside the plan")[2]
    assert "CoreDNS walk the search list" in beside
    for advice in lab.recommendations:
        if advice.code in ("set_ndots", "use_fqdn", "full_service_name"):
            assert advice.action not in page_text(lab)


def test_names_of_a_plan_stay_text(lab: Analysis) -> None:
    best = best_plan(lab)
    assert best is not None
    step = replace(
        best.steps[0],
        names={EVIL: f"{EVIL}."},
        subjects=(EVIL, f"{EVIL}/x"),
        reasons=(f"at risk: {EVIL}",),
    )
    name = replace(best.steps[1], name=EVIL, fqdn=f"{EVIL}.", subjects=(EVIL,))
    hostile = with_plan(lab, replace(best, steps=(step, name), subject=None))
    page = render_page(hostile)
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    for text in (page, terminal(hostile), render_markdown(hostile)):
        assert "\x1b" not in text
    for line in render_markdown(hostile).splitlines():
        outside = re.sub(r"(`+).*?\1", "", line)
        assert "<script" not in outside and "*x*" not in outside.replace("\\*", "")
    assert all(len(line) <= 80 for line in terminal(hostile).splitlines())


# ---- audit -----------------------------------------------------------------------------------


def test_the_index_of_an_audit_says_each_plan(lab: Analysis, tmp_path: Path) -> None:
    best = best_plan(lab)
    assert best is not None
    talk = Talk()
    talk.found(0, f"web.{NAMESPACE}")
    healthy = talk.analyze(tmp_path)
    rows = [row_of("a.pcap", lab, None), row_of("b.pcap", healthy, None)]
    assert (rows[0].plan_edits, rows[0].plan_ends) == (best.edits, ended(best))
    assert (rows[0].plan_safety, rows[1].plan_safety) == ("review", None)
    index = render_index(make_index(rows), "1")
    assert f"{best.edits} edits end {ended(best)} (64.5\N{NO-BREAK SPACE}%), review" in index
    assert "nothing to do" in index


def test_a_plan_that_is_not_listed_whole_says_so_everywhere(lab: Analysis) -> None:
    best = best_plan(lab)
    assert best is not None
    more = replace(best, steps_in_all=len(best.steps) + 525)
    cut = with_plan(lab, more)
    said = f"only the first {len(best.steps)} of its {len(best.steps) + 525} steps are listed"
    assert said in page_text(cut)
    assert said in " ".join(terminal(cut).split())
    assert said in " ".join(render_markdown(cut).replace("\\", "").split())
    for text in (page_text(lab), terminal(lab), render_markdown(lab)):
        assert "only the first" not in text


def test_packets_out_of_the_cluster_are_shown_by_sender(lab: Analysis) -> None:
    best = best_plan(lab)
    assert best is not None
    assert "Packets out of the cluster" not in page_text(lab)  # the server answers all itself
    before, after = Outside("10.96.0.10", 1_500.0, 2_000), Outside("10.96.0.10", 40.5, 90)
    loud = replace(
        best,
        before=replace(best.before, outside=(before,)),
        after=replace(best.after, outside=(after,)),
        steps=tuple(replace(s, outside_after=(after,)) for s in best.steps),
    )
    shown = with_plan(lab, loud)
    assert "Packets out of the cluster" in page_text(shown)
    assert "10.96.0.101,5002,00040.590" in page_text(shown)
    assert "40.5 (90)" in page_text(shown)
    said = "up to 2,000 packets a second out of the cluster, 90 after the plan"
    for text in (terminal(shown), render_markdown(shown).replace("\\", "")):
        assert said in " ".join(text.split())
    assert "clouds let through" not in terminal(lab)


def test_no_suffix_is_said_to_be_taken_out_where_none_is(lab: Analysis) -> None:
    page = page_text(lab)
    assert "These forms of names are asked as is first then, also where" in page
    assert "taken out" not in page


def test_a_shorter_list_is_shown_as_a_step_and_not_beside_the_plan(tmp_path: Path) -> None:
    analysis = analyze(NODE.write(tmp_path), options=Options(resolver="glibc"))
    best = best_plan(analysis)
    assert best is not None
    (step,) = [s for s in best.steps if s.code == "drop_suffix"]
    action = "Take c.project.internal and google.internal out of the search list"
    page = page_text(analysis)
    assert action in page
    assert "1 shorter search list" in page
    assert "those of a suffix that is taken out, not found any more" in page
    assert "dnsPolicy None with nameservers, list and ndots written out" in page
    for text in (terminal(analysis, 200), render_markdown(analysis).replace("`", "")):
        assert action in " ".join(text.split())
        assert "Take c.project.internal out of" not in text
    assert {s.value for s in (step.safety, best.safety)} == {"review"}
    dropped = [w for w in analysis.what_if_rows if w.setting.suffix]
    assert dropped
    assert {w.safety.value for w in dropped} <= {"review", "unsafe"}
