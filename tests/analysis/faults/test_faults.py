"""The table of faults: its manual, its order, and that parts give what the whole gives."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from importlib.resources import files
from io import StringIO
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from rich.console import Console

from pcapkit.analysis.faults.catalogue import FAULTS
from pcapkit.analysis.faults.findings import FaultTally
from pcapkit.analysis.lookups.reading import Readings, read_parts
from pcapkit.analysis.search_lists.survey import survey
from pcapkit.analysis.traffic.name_flags import NameFlags
from pcapkit.analysis.traffic.part import Context, PartTraffic
from pcapkit.cli.manual import explain, render_all, render_entry
from pcapkit.model.vocabulary import Severity
from pcapkit.names.table import Folded
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.collect import collect
from pcapkit.report.html.page import render_page
from pcapkit.report.markdown import render_markdown
from pcapkit.report.terminal import render_terminal
from pcapkit.report.text.verdict import headline
from tests import build
from tests.analysis.faults.test_delivery import raced, races
from tests.analysis.talk import NXDOMAIN, TRUNCATED, Talk

LAB = Path(__file__).resolve().parents[3] / "captures" / "lab"
EXTRA = os.environ.get("PCAPKIT_EXTRA_CAPTURES")

#: The codes that are part of the contract with whoever reads findings.
CODES = {
    "conntrack_race",
    "truncated_without_tcp",
    "wildcard_suffix",
    "cut_chain",
    "double_expansion",
    "autopath",
    "repeated_lookups",
    "dead_nameserver",
    "large_answer_walks",
    "upstream_leak",
    "mixed_settings",
    "failed_family",
    "failed_lookups",
}

#: What real captures show; every capture of the folder that is not named shows nothing.
SHOWN = {
    "fault_loss_queries.pcap": {"conntrack_race", "resolver_stalls"},
    "fault_truncated_tcp.pcap": {"large_answer_walks"},
    "multi6_any_sll2.pcap": {"mixed_settings"},
    "whatif_w1_glibc_ndots5.pcap": {"double_expansion"},
    "whatif_w1_go_ndots5.pcap": {"double_expansion"},
    "whatif_w1_musl_ndots5.pcap": {"double_expansion"},
    "wildcard_suffix.pcap": {"wildcard_suffix"},
}

#: The same of captures that are too many to be kept here.
SHOWN_OUTSIDE = {
    "edge_eight_suffixes_glibc.pcap": {"search_list"},
    "edge_search_dot_musl.pcap": {"search_list", "failed_lookups"},
    "edge_search_dot_glibc.pcap": set(),
    "fault_dead_first_nameserver.pcap": {"dead_nameserver", "resolver_stalls"},
    "fault_silent_first_nameserver.pcap": {"dead_nameserver", "resolver_stalls"},
    "fault_slow_server.pcap": {"slow_nameserver"},
    "ip_reuse.pcap": set(),
    "ndots_rollout.pcap": set(),
    "opt_musl_options.pcap": set(),
    "opt_rotate_two_servers.pcap": {"large_answer_walks"},
    "opt_use_vc.pcap": {"large_answer_walks"},
    "polling_app.pcap": {"repeated_lookups"},
    "probe_s_aresgai_b_servfail_suffix.pcap": {"cut_chain", "failed_lookups"},
    "probe_s_glibc_b_servfail_suffix.pcap": set(),
    "probe_s_go_b_servfail_suffix.pcap": set(),
    "probe_s_musl_a.pcap": {"cut_chain", "truncated_without_tcp", "failed_lookups"},
    "probe_s_musl_b_servfail_suffix.pcap": {"cut_chain", "failed_lookups"},
    "thin_only_hits.pcap": set(),
}


def codes(path: Path) -> set[str]:
    return {finding.code for finding in analyze(path).findings}


@pytest.mark.parametrize("name", sorted(p.name for p in LAB.iterdir()))
def test_what_real_captures_show(name: str) -> None:
    assert codes(LAB / name) == SHOWN.get(name, set())


@pytest.mark.skipif(not EXTRA, reason="PCAPKIT_EXTRA_CAPTURES names no folder of captures")
@pytest.mark.parametrize("name", SHOWN_OUTSIDE)
def test_what_captures_from_outside_show(name: str) -> None:
    paths = sorted(Path(str(EXTRA)).rglob(name))
    if not paths:
        pytest.skip(f"no {name} in PCAPKIT_EXTRA_CAPTURES")
    assert codes(paths[0]) == SHOWN_OUTSIDE[name]


def test_every_code_is_there_once_with_its_manual() -> None:
    known = [fault.code for fault in FAULTS]
    assert len(known) == len(set(known))
    assert set(known) >= CODES
    for fault in FAULTS:
        assert explain(fault.code)[-1].kind == "fault"
        for text in (fault.meaning, fault.signature, fault.action, fault.rivals):
            assert text.endswith((".", ")."))
            assert len(text) > 40, fault.code
        assert " ".join(render_entry(explain(fault.code)[-1]).split()).count(fault.rivals) == 1


def test_the_manual_of_a_fault_fits_80_columns() -> None:
    for fault in FAULTS:
        text = render_entry(explain(fault.code)[-1])
        assert all(len(line) <= 80 for line in text.splitlines()), fault.code
        assert fault.code in render_all()


def several_faults() -> Talk:
    """Two clients: one with a race, the other with a truncated answer and denied AAAA."""
    talk = raced(5005)
    for number in range(4):
        name = f"r{number}.example.com"
        talk.exchange(7000 + number * 10, name, port=42000, flags=TRUNCATED, client="10.244.9.9")
        talk.exchange(
            7000 + number * 10, name, build.AAAA, port=42000, rcode=NXDOMAIN, client="10.244.9.9"
        )
    talk.walk(9000, "www.example.com", client="10.244.9.9")
    return talk


def test_findings_come_worst_first_and_fit_the_schema(tmp_path: Path) -> None:
    analysis = several_faults().analyze(tmp_path)
    severities = [list(Severity).index(f.severity) for f in analysis.findings]
    assert len(severities) >= 4
    assert severities == sorted(severities)
    schema = json.loads((files("pcapkit.report") / "analysis.schema.json").read_text())
    jsonschema.validate(json.loads(analysis.to_json()), schema)


def test_a_healthy_capture_has_no_findings(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(5):
        talk.found(number * 1000, f"svc-{number}.default.svc.cluster.local")
        talk.walk(number * 1000 + 500, f"www{number}.example.com")
    assert talk.analyze(tmp_path).findings == ()


def only(r: Readings, client: int) -> Readings:
    """Return what was read of one client; the exchanges stay those of all."""
    numbers = np.flatnonzero(r.lookups["client"] == client)
    lookups = r.lookups[numbers]
    chosen = [np.arange(x["first"], x["first"] + x["queries"]) for x in lookups]
    transactions = r.transactions[np.concatenate(chosen)]
    transactions["lookup"] = np.searchsorted(numbers, transactions["lookup"])
    lookups["first"] = np.cumsum(lookups["queries"]) - lookups["queries"]
    lookups["client"] = 0
    return replace(r, clients=(r.clients[client],), lookups=lookups, transactions=transactions)


def test_parts_add_up_to_the_whole(tmp_path: Path) -> None:
    path = build.save(tmp_path, several_faults().capture())
    collected = collect([path])
    names = Folded(collected.interners.names)
    (surveyed,) = survey(collected.store, names, {}, has_clock=True)
    (read,) = read_parts(collected.store, surveyed.clients, names, has_clock=True)
    readings = read()
    context = Context(collected.address, [path], [("cluster", "local")])
    flags = NameFlags(names, context.zones)
    whole = FaultTally()
    whole.add(PartTraffic(readings, context, flags.known()))
    assert len(whole.findings()) >= 4
    for order in ([0, 1], [1, 0]):
        pieces = FaultTally()
        for client in order:
            one = FaultTally()
            one.add(PartTraffic(only(readings, client), context, flags.known()))
            pieces.merge(one)
        assert pieces.findings() == whole.findings()


def test_examples_are_the_first_and_bounded(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(9, -1, -1):
        talk.exchange(number * 100, f"r{number}.example.com", flags=TRUNCATED)
    (finding,) = talk.analyze(tmp_path).findings
    examples = finding.evidence["examples"]
    assert isinstance(examples, list)
    assert [e["name"] for e in examples] == [f"r{n}.example.com" for n in range(5)]
    assert finding.evidence["responses"] == 10


def test_the_page_shows_faults_and_escapes_their_names(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, "<script>alert(1)</script>.example.com", flags=TRUNCATED)
    analysis = talk.analyze(tmp_path)
    analysis.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "Truncated answers are not asked again over TCP" in page
    assert "frame.number in {1, 2}" in page


def test_terminal_and_markdown_name_the_faults(tmp_path: Path) -> None:
    analysis = races(10, elsewhere=0).analyze(tmp_path)
    shown = Console(file=StringIO(), width=80)
    render_terminal(analysis, shown, verbose=True)
    assert isinstance(shown.file, StringIO)
    text = shown.file.getvalue()
    lines = " ".join(text.split())
    said = r"error: Queries are lost in a race in conntrack; it cost [\d.]+ s.* \(conntrack_race\)"
    assert re.search(said, lines)
    assert "plain loss: 10 of 80 queries in pairs from one port were lost, 0 of 80" in lines
    assert "pcapkit explain CODE" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    markdown = render_markdown(analysis)
    assert "(`conntrack_race`). Run NodeLocal DNSCache" in markdown
    assert "  - plain loss: 10 of 80 queries" in markdown
    assert headline(analysis).startswith("A fault, not waste: ")
    assert "plain loss: 10 of 80" in render_page(analysis, [])


def test_what_is_not_shown_says_so_everywhere(tmp_path: Path) -> None:
    analysis = raced(5005).analyze(tmp_path)
    race = next(f for f in analysis.findings if f.code == "conntrack_race")
    row = next(f for f in json.loads(analysis.to_json())["findings"] if f["code"] == race.code)
    assert row["certainty"] == "consistent_with"
    assert row["excludes"] == list(race.excludes)
    shown = Console(file=StringIO(), width=120)
    render_terminal(analysis, shown, verbose=True)
    assert isinstance(shown.file, StringIO)
    for text in (shown.file.getvalue(), render_markdown(analysis), render_page(analysis, [])):
        assert "consistent with the traffic, not shown" in " ".join(text.split())
        assert "as with plain loss" in text
    assert "race" not in headline(analysis)


def test_without_a_clock_nothing_is_said_of_time(tmp_path: Path) -> None:
    lines = [
        "IP 10.244.1.17.40001 > 10.96.0.10.53: 1+ A? web.default.svc.cluster.local. (47)",
        "IP 10.244.1.17.40001 > 10.96.0.10.53: 2+ AAAA? web.default.svc.cluster.local. (47)",
        "IP 10.96.0.10.53 > 10.244.1.17.40001: 1* 1/0/0 A 192.0.2.1 (80)",
        "IP 10.244.1.17.40001 > 10.96.0.10.53: 2+ AAAA? web.default.svc.cluster.local. (47)",
        "IP 10.96.0.10.53 > 10.244.1.17.40001: 2* 0/1/0 (120)",
    ]
    path = build.save(tmp_path, ("\n".join(lines) + "\n").encode(), "printed.txt")
    analysis = analyze(path)
    assert analysis.waste.queries == 2
    assert analysis.findings == ()
