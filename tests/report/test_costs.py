"""What faults and search misses cost: each second is booked once, to what it was waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcapkit.model.results import Finding, Results
from pcapkit.report.markdown import render_markdown
from pcapkit.report.text.verdict import headline
from tests.analysis.talk import LIST, NAMESPACE, NXDOMAIN, Talk
from tests.build import AAAA, A

DEAD, TIMER = "10.96.0.99", 5000.0
TITLE = "A nameserver of the list never answers"


def ask(talk: Talk, at: float, name: str, types: tuple[int, ...], **how: object) -> None:
    """Ask the dead nameserver and, when the timer has run out, the other one."""
    port = 20000 + int(at) // 100 % 40000
    for number, qtype in enumerate(types):
        same = {"port": port, "ident": int(at) // 50 % 60000 + 300 * number}
        talk.exchange(at + 0.02 * number, name, qtype, server=DEAD, took=None, **same)  # type: ignore[arg-type]
    for number, qtype in enumerate(types):
        same = {"port": port, "ident": int(at) // 50 % 60000 + 300 * number}
        talk.exchange(at + TIMER + 0.02 * number, name, qtype, **same, **how)  # type: ignore[arg-type]


def beside_a_dead_nameserver(types: tuple[int, ...], lookups: int) -> Talk:
    talk = Talk()
    for number in range(lookups):
        ask(talk, number * 6000.0, f"web-{number}.{NAMESPACE}", types)
    return talk


def found(analysis: Results) -> dict[str, Finding]:
    return {f.code: f for f in analysis.findings}


@pytest.mark.parametrize("types", [(A,), (A, AAAA)], ids=["one family", "both families"])
def test_a_dead_nameserver_is_the_headline_and_not_the_timers_it_leaves(
    types: tuple[int, ...], tmp_path: Path
) -> None:
    analysis = beside_a_dead_nameserver(types, 24).analyze(tmp_path)
    said = headline(analysis)
    assert said.startswith(f"A fault, not waste: {TITLE}; it cost 2.0 min in 24 lookups.")
    assert "timer" not in said


def test_both_families_of_a_candidate_wait_at_the_same_time(tmp_path: Path) -> None:
    analysis = beside_a_dead_nameserver((A, AAAA), 2).analyze(tmp_path)
    dead, stalls = (found(analysis)[code] for code in ("dead_nameserver", "resolver_stalls"))
    assert dead.evidence["lost_s"] == pytest.approx(10.0) == stalls.evidence["lost_s"]
    assert dead.evidence["lookups"] == 2 == stalls.evidence["lookups"]
    first, then = headline(analysis).split(". ", 1)
    assert first == "Too little to judge: 2 lookups from beginning to end"
    assert then.startswith(f"Still, a fault is plain: {TITLE}; it cost 10.00 s in 2 lookups.")


def test_timers_of_other_causes_stay_the_headline(tmp_path: Path) -> None:
    talk = beside_a_dead_nameserver((A, AAAA), 2)
    for number in range(20):  # ten times as many queries are lost on their way to the other one
        at, name = 20000 + number * 6000.0, f"db-{number}.{NAMESPACE}"
        talk.exchange(at, name, port=1024 + number, ident=7, took=None)
        talk.exchange(at + TIMER, name, port=1024 + number, ident=7)
    analysis = talk.analyze(tmp_path)
    assert "dead_nameserver" in found(analysis)
    assert headline(analysis).startswith("A fault, not waste: Lookups wait for a resolver's timer")


def test_a_timer_is_no_time_of_search_misses(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(21):
        talk.walk(number * 100.0, f"www{number}.example.com", ends_at=3)
    misses = talk.analyze(tmp_path).waste
    assert misses.search_s == pytest.approx(misses.wasted_s)
    assert misses.search_p50_s == pytest.approx(misses.search_s / 21, rel=0.1)

    ask(talk, 9000.0, f"api.example.org.{NAMESPACE}", (A, AAAA), rcode=NXDOMAIN)
    talk.walk(9000.0 + TIMER + 2, "api.example.org", LIST[1:], ends_at=2)
    analysis = talk.analyze(tmp_path)
    waste = analysis.waste
    assert waste.wasted_s - misses.wasted_s == pytest.approx(TIMER / 1000, abs=0.1)
    assert waste.search_s == pytest.approx(misses.search_s)
    assert waste.search_p50_s == pytest.approx(misses.search_p50_s)
    (row,) = (n for n in analysis.name_rows if n.base_name == "api.example.org")
    assert row.search_s == 0.0 < row.wasted_s


def test_markdown_says_faults_and_their_cost_before_the_plan(tmp_path: Path) -> None:
    talk = beside_a_dead_nameserver((A, AAAA), 2)
    for number in range(20):
        talk.walk(20000 + number * 100.0, f"www{number}.example.com", ends_at=3)
    text = render_markdown(talk.analyze(tmp_path))
    assert f"{TITLE}; it cost 10.00 s in 2 lookups" in text.partition("## Faults")[2]
    assert 0 < text.index("## Faults") < text.index("## The plan")


@pytest.mark.parametrize(("lookups", "said"), [(1, "1 lookup of 1 name in"), (2, "2 lookups of 2")])
def test_thin_is_said_in_words(lookups: int, said: str, tmp_path: Path) -> None:
    talk = Talk()
    for number in range(lookups):
        talk.walk(number * 10.0, f"www{number}.example.com", ends_at=3)
    reasons = " ".join(r for w in talk.analyze(tmp_path).what_if_rows for r in w.reasons)
    assert f"thin capture: {said}" in reasons
    assert " ms" in reasons and "0.0" not in reasons
