"""Verdicts and their forms: what fails, what is too thin, and what no name may break out of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st

from pcapkit.batch.gate.github import MOST_BYTES, render_annotations, render_step_summary
from pcapkit.batch.gate.growth import Growth, growth_of_trends
from pcapkit.batch.gate.judge import State, Verdict, judge
from pcapkit.batch.gate.junit import render_junit
from pcapkit.batch.gate.rules import parse_rules
from pcapkit.batch.gate.subjects import subjects_of_rows
from pcapkit.model.audits import AuditRow, Workload
from pcapkit.model.comparison import Rate

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parent / "junit.xsd"))
WEB = Workload("shop", "web", None, 2, 40, 40, 200, 200, 120, 120, 1.0, 2.0, 0.02, 0.08)
THIN = replace(WEB, lookups=10, complete_lookups=10, queries=60, complete_queries=50)
HOSTILE = "a,b:c\n::error::x\r\x00\x1b[31m%0A</testcase>|`<b>\u202e\ud800\ufffe"


def row(path: str, *workloads: Workload, error: str | None = None) -> AuditRow:
    """Return the row of a capture of which these workloads are all there is."""

    def total(field: str) -> int:
        return int(sum(getattr(w, field) for w in workloads))

    return AuditRow(
        path,
        None,
        error,
        packets=0,
        lookups=total("lookups"),
        queries=total("queries"),
        wasted_queries=total("wasted_queries"),
        share=0.0,
        clients=0,
        advice=None,
        saves_queries=0,
        warnings=0,
        faults=tuple(sorted({f for w in workloads for f in w.faults})),
        complete_lookups=total("complete_lookups"),
        complete_queries=total("complete_queries"),
        nxdomain_queries=total("nxdomain_queries"),
        p95_s=max((w.p95_s for w in workloads if w.p95_s is not None), default=None),
        workloads=workloads,
    )


def verdicts(rule: str, *rows: AuditRow, growths: tuple[Growth, ...] = ()) -> list[Verdict]:
    return list(judge(parse_rules([rule]), subjects_of_rows(rows), growths))


def states(rule: str, *rows: AuditRow, growths: tuple[Growth, ...] = ()) -> dict[str, State]:
    return {v.subject: v.state for v in verdicts(rule, *rows, growths=growths)}


FAILED, PASSED, NOT_JUDGED = State.FAILED, State.PASSED, State.NOT_JUDGED


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("waste>50%", FAILED),
        ("waste>60%", PASSED),  # as much as the limit is not above it
        ("nxdomain>0.59", FAILED),
        ("nxdomain>0.6", PASSED),
        ("lookup_p95>79ms", FAILED),
        ("lookup_p95>80ms", PASSED),
        ("fault:any", PASSED),
        ("shop/web:waste>50%", FAILED),
        ("shop/db:waste>50%", NOT_JUDGED),
    ],
)
def test_one_capture(rule: str, state: State) -> None:
    (verdict,) = verdicts(rule, row("a.pcap", WEB))
    assert verdict.state is state


def test_a_reason_has_value_and_limit() -> None:
    (verdict,) = verdicts("waste>50%", row("a.pcap", WEB))
    assert verdict.reason == "waste is 60.0 % (120 of 200 queries), above 50.0 %"
    (verdict,) = verdicts("shop/*:lookup_p95>50ms", row("a.pcap", WEB), row("b.pcap", THIN))
    assert verdict.reason == "p95 of lookups is 80.0 ms in a.pcap, above 50.0 ms"


def test_captures_that_are_thin_fail_together_where_they_are_enough() -> None:
    first, second = row("a.pcap", THIN), row("b.pcap", THIN)
    assert states("waste>10%", first) == {"a.pcap": NOT_JUDGED}
    assert states("waste>10%", first, second) == {
        "all 2 captures": FAILED,
        "a.pcap": NOT_JUDGED,
        "b.pcap": NOT_JUDGED,
    }
    assert states("shop/web:waste>10%", first, second) == {"shop/web": FAILED}
    assert states("lookup_p95>1ms", first, second) == {"a.pcap": NOT_JUDGED, "b.pcap": NOT_JUDGED}
    assert states("shop/*:lookup_p95>1ms", first, second) == {"shop/web": NOT_JUDGED}


@pytest.mark.parametrize("rule", ["waste>0", "nxdomain>0", "lookup_p95>0us", "fault:any"])
def test_nothing_fails_an_idle_pod(rule: str) -> None:
    assert FAILED not in states(rule, row("idle.pcap")).values()
    assert FAILED not in states(f"*/*:{rule}", row("idle.pcap")).values()
    assert FAILED not in states(rule, row("gone.pcap", error="unreadable")).values()
    assert FAILED not in states(rule).values()


def test_what_is_gone_is_not_judged_again() -> None:
    gone = replace(row("gone.pcap", WEB), gone=True)
    assert FAILED not in states("waste>1%", gone).values()
    assert FAILED not in states("*/*:waste>1%", gone).values()


def test_without_a_clock_no_percentile_fails() -> None:
    clockless = replace(WEB, p50_s=None, p95_s=None, lookups_s=None)
    assert states("lookup_p95>0us", row("a.pcap", clockless)) == {"a.pcap": NOT_JUDGED}


def test_faults_fail_where_they_are_shown_however_little_was_seen() -> None:
    bad = replace(THIN, faults=("conntrack_race",))
    other = Workload("shop", None, "10.0.0.9", 1, 1, 1, 2, 2, 0, 0, 0.0, 0.1, 0.1, 0.1)
    rows = row("a.pcap", bad, other), row("b.pcap", WEB)
    assert states("fault:conntrack_race", *rows) == {"a.pcap": FAILED, "b.pcap": PASSED}
    assert states("fault:cut_chain", *rows) == {"a.pcap": PASSED, "b.pcap": PASSED}
    assert states("shop/*:fault:any", *rows) == {"shop/web": FAILED, "10.0.0.9": PASSED}


def growth(workload: str | None, change: float | None, *new: str, is_shown: bool = True) -> Growth:
    return Growth(workload or "all", workload, change, is_shown, new)


def test_rules_that_look_back() -> None:
    growths = (
        growth(None, 0.08),
        growth("shop/web", 0.3, "api.example.com"),
        growth("shop/db", 0.3, is_shown=False),
        growth("shop/new", None, is_shown=False),
    )
    assert states("queries>+5%", growths=growths) == {"all": FAILED}
    assert states("queries>+8%", growths=growths) == {"all": PASSED}
    assert states("shop/*:queries>+5%", growths=growths) == {
        "shop/web": FAILED,
        "shop/db": PASSED,
        "shop/new": NOT_JUDGED,
    }
    assert states("new_waste", growths=growths) == {"all": PASSED}
    (verdict,) = verdicts("shop/web:new_waste", growths=growths)
    assert verdict.state is FAILED and "api.example.com" in verdict.reason
    unknown = replace(growths[0], new_waste=None)
    assert states("new_waste", growths=(unknown,)) == {"all": NOT_JUDGED}


@dataclass(frozen=True)
class Trend:
    """What a history says of one subject."""

    kind: str
    workload: str | None = None
    change: Rate | None = None
    regressed: bool = False
    new_waste: bool = False
    namespace: str | None = "shop"
    client_addr: str | None = None
    can_be_new: bool = True

    @property
    def subject(self) -> str | None:
        return self.workload and f"{self.namespace}/{self.workload}"


def test_what_a_history_says_is_held_against_rules() -> None:
    worse = Rate(0.2, 0.1, 0.3)
    trends = [
        Trend("all", change=worse, regressed=True),
        Trend("workload", "web", worse, regressed=True),
        Trend("workload", "db", worse),  # no alarm: it allows for how many are looked at
        Trend("workload", "new", new_waste=True),
        Trend("workload", "short", can_be_new=False),
        Trend("family", "example.com", new_waste=True),
    ]
    growths = tuple(growth_of_trends(trends))
    assert states("queries>+5%", growths=growths) == {"all captures": FAILED}
    assert states("queries>+25%", growths=growths) == {"all captures": PASSED}
    assert states("*/*:queries>+5%", growths=growths) == {
        "shop/web": FAILED,
        "shop/db": PASSED,
        "shop/new": NOT_JUDGED,
        "shop/short": NOT_JUDGED,
    }
    (verdict,) = verdicts("new_waste", growths=growths)
    assert verdict.reason == "new waste: shop/example.com, shop/new; limit: none"
    assert states("shop/*:new_waste", growths=growths) == {
        "shop/web": PASSED,
        "shop/db": PASSED,
        "shop/new": FAILED,
        "shop/short": NOT_JUDGED,
    }
    short = tuple(growth_of_trends([Trend("all", can_be_new=False)]))
    (verdict,) = verdicts("new_waste", growths=short)
    assert (verdict.state, verdict.reason) == (
        NOT_JUDGED,
        "too few nights or lookups before to judge what is new",
    )
    (verdict,) = verdicts("new_waste", growths=tuple(growth_of_trends(())))
    assert (verdict.state, verdict.reason) == (NOT_JUDGED, "there is no earlier run to judge by")


# ---- forms ---------------------------------------------------------------------------------------


def of_each_state(name: str) -> list[Verdict]:
    rules = parse_rules(["waste>30%", "shop/*:fault:any"])
    return [Verdict(rule, name, state, f"because of {name}") for rule in rules for state in State]


def test_junit_is_valid_and_counts() -> None:
    text = render_junit(of_each_state("shop/web")).decode()
    SCHEMA.validate(text)
    root = ElementTree.fromstring(text)
    assert root.attrib == {"name": "pcapkit", "tests": "6", "failures": "2", "errors": "0"}
    suites = root.findall("testsuite")
    assert [s.get("name") for s in suites] == ["waste>30%", "shop/*:fault:any"]
    for suite in suites:
        assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
        assert len(suite.findall("testcase/failure")) == len(suite.findall(".//skipped")) == 1
    SCHEMA.validate(render_junit([]).decode())


@given(st.text() | st.just(HOSTILE))
def test_junit_holds_any_name(name: str) -> None:
    text = render_junit(of_each_state(name)).decode()
    SCHEMA.validate(text)
    assert len(ElementTree.fromstring(text).findall(".//testcase")) == 6


@given(st.text() | st.just(HOSTILE))
def test_no_name_ends_an_annotation(name: str) -> None:
    lines = list(render_annotations(of_each_state(name)))
    assert len(lines) == 2
    for line in lines:
        assert len(line.splitlines()) == 1
        begin, title, message = line.split("::", 2)
        assert begin == "" and title.startswith("error title=pcapkit%3A ")
        assert "," not in title and ":" not in title
        assert "%" not in message.replace("%25", "").replace("%0D", "").replace("%0A", "")
        line.encode()


def test_annotations_are_ten_at_most() -> None:
    (rule,) = parse_rules(["waste>30%"])
    failed = [Verdict(rule, f"w{n}", FAILED, "waste is 40.0 %, above 30.0 %") for n in range(12)]
    assert len(list(render_annotations(failed[:10]))) == 10
    lines = list(render_annotations(failed))
    assert len(lines) == 10
    assert lines[0] == "::error title=pcapkit%3A waste>30%25::w0: waste is 40.0 %25, above 30.0 %25"
    assert lines[-1].endswith("3 more checks failed: see the step's log")


def test_a_step_summary_shows_what_failed_first() -> None:
    text = render_step_summary(of_each_state("shop/web")).decode()
    assert text.startswith("### pcapkit: 2 of 6 checks failed\n")
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert [r.split(" | ")[0] for r in rows[1:]] == (
        ["| **failed**"] * 2 + ["| not judged"] * 2 + ["| passed"] * 2
    )


@given(st.text(max_size=200) | st.just(HOSTILE))
def test_no_name_breaks_out_of_a_table(name: str) -> None:
    text = render_step_summary(of_each_state(name)).decode()
    lines = text.split("\n")
    assert len(lines) == 3 + 1 + 6 + 2
    for line in lines[4:10]:
        cells = line.replace("\\\\", "").replace("\\|", "").strip("| ").split(" | ")
        assert len(cells) == 4, line
        assert "<" not in line


def test_a_step_summary_fits_and_says_what_it_leaves_out() -> None:
    (rule,) = parse_rules(["waste>30%"])
    many = [Verdict(rule, f"shop/{n:05}{'x' * 60}", FAILED, "y" * 60) for n in range(9000)]
    whole = render_step_summary(many)
    assert len(whole) <= MOST_BYTES < 1 << 20
    assert b"more, for which a step summary has no room" in whole
    assert whole.count(b"**failed**") > 4000
    cut = render_step_summary(many, 2000)
    assert len(cut) <= 2000
    shown = cut.count(b"**failed**")
    assert f"And {9000 - shown:,} more".encode() in cut
    assert render_step_summary(many, 10) == b""
