"""metrics.prom: both parsers read it, labels are capped and escaped, a dashboard goes with it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from pcapkit import analyze
from pcapkit.model.audits import AuditRow, Workload
from pcapkit.report.openmetrics import MOST_WORKLOADS, render_audit_metrics, render_metrics
from tests.batch.gate.test_verdicts import HOSTILE, WEB, row
from tests.cli.test_cli import GLIBC, LAB, ROOT, run

DASHBOARD = ROOT / "deploy" / "grafana" / "pcapkit.json"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """Return the samples, which the parsers of both formats read alike."""
    read = []
    for of in (openmetrics, parser):
        found: Samples = {}
        for family in of.text_string_to_metric_families(text):
            assert family.type == "gauge" and family.documentation
            for sample in family.samples:
                assert sample.timestamp is None
                key = sample.name, tuple(sorted(sample.labels.items()))
                assert key not in found
                found[key] = sample.value
        read.append(found)
    assert read[0] == read[1] and read[0]
    return read[0]


def of_workloads(text: str, metric: str) -> dict[tuple[str, str], float]:
    """Return the samples of one metric by namespace and workload."""
    out = {}
    for (name, labels), value in samples(text).items():
        if name == f"pcapkit_{metric}":
            named = dict(labels)
            out[named["namespace"], named["workload"]] = value
    return out


def shown(*rows: AuditRow) -> str:
    return render_audit_metrics(rows, "1.2.3")


def test_an_analysis_has_its_counts() -> None:
    analysis = analyze(GLIBC)
    text = render_metrics(analysis)
    key = "default", "unknown"
    assert of_workloads(text, "queries") == {key: 242}
    assert of_workloads(text, "wasted_queries") == {key: 152}
    assert of_workloads(text, "waste_ratio")[key] == pytest.approx(analysis.waste.share)
    (workload,) = analysis.workload_rows
    assert of_workloads(text, "lookup_p95_seconds") == {key: workload.p95_s}
    found = samples(text)
    assert found["pcapkit_captures", ()] == 1
    assert found["pcapkit_plan_edits", ()] == 5
    assert found["pcapkit_fault_captures", (("code", "double_expansion"),)] == 1
    assert text.endswith("\n# EOF\n")


def test_captures_of_an_audit_add_up_whatever_their_order() -> None:
    db = replace(WEB, workload="db", p95_s=None, p50_s=None, lookups_s=None, wasted_s=0.1)
    rows = (
        row("a.pcap", WEB, db),
        row("b.pcap", replace(WEB, p95_s=0.2, wasted_s=0.1, faults=("cut_chain",))),
        row("c.pcap", replace(WEB, wasted_s=0.7)),
        row("d.pcap", error="unreadable"),
    )
    text = shown(*rows)
    assert text == shown(*reversed(rows))
    web = "shop", "web"
    assert of_workloads(text, "queries") == {web: 600, ("shop", "db"): 200}
    assert of_workloads(text, "lookup_p95_seconds") == {web: 0.2}
    assert of_workloads(text, "wasted_seconds")[web] == 1.8
    found = samples(text)
    assert found["pcapkit_captures", ()] == 3 and found["pcapkit_failed_captures", ()] == 1
    assert found["pcapkit_fault_captures", (("code", "cut_chain"),)] == 1


def test_workloads_beyond_the_cap_are_one_row() -> None:
    many = [
        replace(WEB, workload=f"w{n}", wasted_queries=n % 190, clients=1)
        for n in range(MOST_WORKLOADS + 50)
    ]
    queries = of_workloads(shown(row("a.pcap", *many)), "wasted_queries")
    assert len(queries) == MOST_WORKLOADS + 1
    assert sum(queries.values()) == sum(w.wasted_queries for w in many)
    kept = {key: value for key, value in queries.items() if key != ("other", "other")}
    assert min(kept.values()) >= max(
        w.wasted_queries for w in many if ("shop", str(w.workload)) not in kept
    )
    other = of_workloads(shown(row("a.pcap", *many)), "clients")["other", "other"]
    assert other == 50


def test_addresses_are_no_labels() -> None:
    unknown = [
        Workload("shop", None, f"10.0.0.{n}", 1, 9, 9, 9, 9, 1, 1, 0.1, 0.2, 0.1, 0.1 * n)
        for n in range(1, 9)
    ]
    text = shown(row("a.pcap", *unknown))
    assert "10.0.0." not in text
    assert of_workloads(text, "lookups") == {("shop", "unknown"): 72}
    assert of_workloads(text, "lookup_p95_seconds") == {("shop", "unknown"): pytest.approx(0.8)}


def test_a_run_without_anything_is_read_as_well() -> None:
    found = samples(shown())
    assert found["pcapkit_captures", ()] == 0


@given(st.text() | st.just(HOSTILE) | st.sampled_from(["\\", '"', "a\\n", 'x="', "\\\\n\n"]))
def test_any_name_is_a_label(name: str) -> None:
    text = shown(row("a.pcap", replace(WEB, namespace=name, workload=name), WEB))
    text.encode()
    assert sum(of_workloads(text, "queries").values()) == 400


def test_names_that_are_cut_alike_share_a_row() -> None:
    names = ["x" * 300 + "a", "x" * 300 + "b"]
    text = shown(row("a.pcap", *(replace(WEB, workload=name) for name in names)))
    assert list(of_workloads(text, "queries").values()) == [400]


def test_commands_write_it(tmp_path: Path) -> None:
    out = tmp_path / "one"
    done = run("analyze", GLIBC, "-o", str(out), "--format", "openmetrics", "-q")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.decode().strip())
    assert path == out / "whatif_w1_glibc_ndots5" / "metrics.prom"
    assert path.read_text() == render_metrics(analyze(GLIBC))
    captures = [GLIBC, str(LAB / "wildcard_suffix.pcap")]
    done = run("audit", *captures, "-o", str(tmp_path), "--format", "json,openmetrics", "-q")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "metrics.prom").read_text()
    found = samples(text)
    assert found["pcapkit_captures", ()] == 2
    total = sum(analyze(c).waste.queries for c in captures)
    assert sum(of_workloads(text, "queries").values()) == total
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_the_dashboard_asks_for_what_there_is() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    bad = replace(WEB, faults=("cut_chain",))
    text = shown(replace(row("a.pcap", bad), last_time=1_700_000_000_000_000_000))
    known: dict[str, set[str]] = {}
    for name, labels in samples(text):
        known[name] = {label for label, _ in labels}
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ] + [v["definition"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    assert len(expressions) > 10
    for expression in expressions:
        metrics = re.findall(r"pcapkit_\w+", expression)
        assert metrics and set(metrics) <= set(known), expression
        for metric, selected in re.findall(r"(pcapkit_\w+)\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)[=!]", selected)) <= known[metric], expression
    assert len({p["id"] for p in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["datasource"]["uid"] == "${datasource}"


def test_the_plan_of_an_audit_is_that_of_its_index(tmp_path: Path) -> None:
    captures = [str(LAB / f"whatif_w1_{name}_ndots5.pcap") for name in ("glibc", "go", "musl")]
    done = run("audit", *captures, "-o", str(tmp_path), "--format", "json,openmetrics", "-q")
    assert done.returncode == 0, done.stderr
    together = json.loads((tmp_path / "audit.json").read_text())["together"]
    metrics = (tmp_path / "metrics.prom").read_text()
    assert f"\npcapkit_plan_edits {together['edits']}\n" in metrics
    assert f"\npcapkit_plan_ends_queries {together['ends_queries']}\n" in metrics
