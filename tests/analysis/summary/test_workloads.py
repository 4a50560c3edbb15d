"""Workloads: their counts are those of the whole capture, their percentiles those of lookups."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from pcapkit import analyze
from pcapkit.model.results import Results
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.options import make_options
from tests import build
from tests.analysis.talk import LIST, Talk
from tests.cli.test_cli import LAB, TRACE_1, analysed
from tests.pipeline import test_containers

PODS = str(Path(__file__).resolve().parents[2] / "data" / "kubernetes" / "pods-services.json")
SIX_PODS = str(LAB / "multi6_any_sll2.pcap")
CAPTURES = sorted(str(p) for p in LAB.iterdir())
#: By so much a percentile may differ: half a bin of its histogram.
BOUND = 1 / 128


def sums_agree(results: Results) -> None:
    """Hold the sums of all workloads against what is counted of the whole capture."""
    rows, waste = results.workload_rows, results.waste
    lookups = results.lookup_counts
    assert sum(r.queries for r in rows) == waste.queries
    assert sum(r.wasted_queries for r in rows) == waste.wasted_queries
    judged = waste.queries - waste.by_class["incomplete"]
    assert sum(r.complete_queries for r in rows) == judged
    assert sum(r.lookups for r in rows) == lookups.total
    assert sum(r.complete_lookups for r in rows) == lookups.complete
    nxdomain = results.transaction_counts.by_outcome["nxdomain"]
    assert sum(r.nxdomain_queries for r in rows) == nxdomain
    assert sum(r.wasted_s for r in rows) == pytest.approx(waste.wasted_s)
    clients = {(c.client_addr, c.container) for c in results.client_rows}
    assert sum(r.clients for r in rows) == len(clients)
    assert [r.wasted_queries for r in rows] == sorted(r.wasted_queries for r in rows)[::-1]
    assert len({(r.namespace, r.workload, r.client_addr) for r in rows}) == len(rows)
    assert all((r.workload is None) == (r.client_addr is not None) for r in rows)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda p: Path(p).name)
def test_workloads_sum_to_the_whole_capture(capture: str) -> None:
    results = analyze(capture)
    assert results.workload_rows
    sums_agree(results)


def test_pods_make_workloads_of_clients() -> None:
    results = analyze(SIX_PODS, options=make_options(pods=PODS))
    sums_agree(results)
    assert {(r.namespace, r.workload, r.client_addr) for r in results.workload_rows} == {
        ("default", "nginx", None),
        ("kube-system", "metrics", None),
        ("monitoring", "agent", None),
        ("web", "report", None),
        ("default", None, "10.244.3.5"),
        ("default", None, "172.41.10.201"),
    }


def lookups_of(analysis: Analysis, *addresses: str) -> pd.DataFrame:
    """Return the complete lookups of some clients."""
    rows = analysis.lookups
    return rows[rows["complete"] & rows["client_addr"].isin(addresses)]


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda p: Path(p).name)
def test_times_are_those_of_complete_lookups(capture: str) -> None:
    analysis = analyze(capture)
    for row in analysis.workload_rows:
        if row.lookups_s is None:
            assert row.p50_s is row.p95_s is None and row.wasted_s == 0
            continue
        assert row.client_addr is not None
        durations = sorted(lookups_of(analysis, row.client_addr)["duration_s"])
        assert len(durations) == row.complete_lookups
        assert row.lookups_s == pytest.approx(sum(durations))
        if not durations:
            assert row.p50_s is row.p95_s is None
            continue
        for share, found in ((0.5, row.p50_s), (0.95, row.p95_s)):
            exact = durations[min(len(durations) - 1, int(share * len(durations)))]
            assert found == pytest.approx(max(exact, 1024e-9), rel=BOUND)


def test_without_a_clock_no_time_is_known() -> None:
    (trace,) = (LAB.parent / "six-traces").glob("trace-1-*.txt")
    without, timed = analyze(trace), analyze(TRACE_1)
    (row,), (other,) = without.workload_rows, timed.workload_rows
    assert (row.lookups_s, row.p50_s, row.p95_s, row.wasted_s) == (None, None, None, 0.0)
    assert (row.queries, row.wasted_queries) == (other.queries, other.wasted_queries) == (9, 6)


def replicas(folder: Path) -> tuple[str, str]:
    """Write a capture of two pods of one Deployment and one of another, and the list of them."""
    talk = Talk()
    addresses = ("10.244.0.1", "10.244.0.2", "10.244.0.3")
    for number, client in enumerate(addresses):
        talk.client = client
        for k in range(4):
            talk.walk(number * 50 + k * 1000, f"api{k}.example.com")
    owners = [("web-7c5ddbdf54", "web"), ("web-7c5ddbdf54", "web"), ("db-6b8f7c9d5d", "db")]
    items: list[object] = []
    for n, (address, (replica_set, app)) in enumerate(zip(addresses, owners, strict=True)):
        owner = {"kind": "ReplicaSet", "name": replica_set, "controller": True}
        labels = {"pod-template-hash": replica_set.removeprefix(f"{app}-")}
        about = {
            "name": f"{replica_set}-{n}",
            "namespace": "shop",
            "labels": labels,
            "ownerReferences": [owner],
        }
        status = {"podIP": address}
        items.append({"kind": "Pod", "metadata": about, "spec": {}, "status": status})
    pods = json.dumps({"kind": "List", "items": items}).encode()
    return build.save(folder, talk.capture()), build.save(folder, pods, "pods.json")


def test_parts_that_are_merged_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture, pods = replicas(tmp_path)
    whole = analyze(capture, options=make_options(pods=pods))
    sums_agree(whole)
    assert [(r.workload, r.clients, r.lookups) for r in whole.workload_rows] == [
        ("web", 2, 8),
        ("db", 1, 4),
    ]
    monkeypatch.setattr("pcapkit.analysis.exchanges.store.PART", 16)
    assert analyze(capture, options=make_options(pods=pods)).workload_rows == whole.workload_rows


def test_faults_stand_at_the_workloads_that_have_them(tmp_path: Path) -> None:
    talk = Talk()
    for k in range(30):
        talk.client = "10.244.0.1"
        talk.walk(k * 1000, f"api{k}.example.com")
        talk.client = "10.244.0.2"
        for suffix in LIST:  # NODATA would let it go on; REFUSED ends the walk
            talk.pair(k * 1000 + 300, f"down{k}.example.com.{suffix}", rcode=5)
            break
    results = talk.analyze(tmp_path)
    faults = {r.client_addr: set(r.faults) for r in results.workload_rows}
    assert faults["10.244.0.2"] and not faults["10.244.0.1"] & faults["10.244.0.2"]
    for finding in results.findings:
        has = {a for a, codes in faults.items() if finding.code in codes}
        assert has == (set(finding.clients) if finding.certainty == "shown" else set())


def test_containers_at_one_address_are_one_row_of_several_clients(tmp_path: Path) -> None:
    containers = [(test_containers.GLIBC, test_containers.APP)]
    containers.append((test_containers.MUSL, test_containers.SIDECAR))
    results = analyze(test_containers.write(tmp_path, *containers))
    sums_agree(results)
    (row,) = results.workload_rows
    assert (row.namespace, row.client_addr, row.clients) == ("shop", build.CLIENT, 2)


def test_json_has_them(tmp_path: Path) -> None:
    capture, pods = replicas(tmp_path)
    shown = analysed(capture, "--pods", pods)["workloads"]
    rows = analyze(capture, options=make_options(pods=pods)).workload_rows
    assert shown == [asdict(r) | {"faults": list(r.faults)} for r in rows]
