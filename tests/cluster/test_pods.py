"""--pods: owners become workloads, addresses pods; what is not one pod's is said, not guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pcapkit.cluster.pods import parse_pods
from pcapkit.errors import InputError, PcapkitError
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import make_options
from tests import build
from tests.analysis.talk import Talk
from tests.cli.test_cli import GLIBC, LAB, analysed, run

PODS = str(Path(__file__).resolve().parents[1] / "data" / "kubernetes" / "pods-services.json")
ALL_FORMATS = ("--format", "html,json,csv,parquet,md")
SIX_PODS = str(LAB / "multi6_any_sll2.pcap")


@pytest.fixture(scope="module")
def six_pods() -> Analysis:
    return analyze(SIX_PODS, options=make_options(pods=PODS))


def test_owners_become_workloads(six_pods: Analysis) -> None:
    found = {
        c.client_addr: (c.pod, c.namespace, c.workload_kind, c.workload)
        for c in six_pods.client_rows
    }
    assert found == {
        "172.41.10.200": ("nginx-7c5ddbdf54-x2k4q", "default", "Deployment", "nginx"),
        "10.244.0.9": ("metrics-0", "kube-system", "StatefulSet", "metrics"),
        "10.244.1.17": ("agent-9k2lm", "monitoring", "DaemonSet", "agent"),
        "10.244.2.33": ("report-29400120-8zv7d", "web", "CronJob", "report"),
        "10.244.3.5": ("debug", "default", None, None),
        "172.41.10.201": (None, "default", None, None),  # a node's address is no pod's
    }


def test_addresses_that_are_not_one_pods_are_warned_about(six_pods: Analysis) -> None:
    said = [w.removeprefix(f"{PODS}: ") for w in six_pods.warnings]
    assert [w for w in said if w.startswith("172.41.10.201")] == [
        "172.41.10.201 is a node's: kube-system/kube-proxy-4xg9s, monitoring/node-exporter-b7c8n "
        "run there with hostNetwork; it is not judged as one pod"
    ]
    assert [w for w in said if w.startswith("10.244.3.5")] == [
        "10.244.3.5 is the address of default/migrate-5fkq2 (ended), default/debug; it is taken "
        "for default/debug"
    ]


def test_queries_of_the_time_before_a_pod_are_warned_about(tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, "www.example.com")
    talk.walk(9_000, "api.example.com")
    started = datetime.fromtimestamp(build.START_NS // 10**9 + 5, UTC).isoformat()
    pod = {
        "kind": "Pod",
        "metadata": {"name": "late", "namespace": "default"},
        "spec": {},
        "status": {"podIP": build.CLIENT, "startTime": started},
    }
    path = build.save(tmp_path, json.dumps(pod).encode(), "pods.json")
    (warning,) = talk.analyze(tmp_path, pods=path).warnings
    assert f"after the first query of {build.CLIENT}: what came before is another pod's" in warning


def test_a_pod_of_another_time_is_not_taken_for_one_of_the_capture(tmp_path: Path) -> None:
    listed = json.loads(Path(PODS).read_text())
    for item in listed["items"]:
        if item["metadata"]["name"] == "debug":
            item["status"]["startTime"] = "2027-01-01T00:00:00Z"
    path = build.save(tmp_path, json.dumps(listed).encode(), "pods.json")
    (row,) = [
        c
        for c in analyze(SIX_PODS, options=make_options(pods=path)).client_rows
        if c.client_addr == "10.244.3.5"
    ]
    assert (row.pod, row.workload_kind, row.workload) == ("migrate-5fkq2", "Job", "migrate")


def test_the_file_beats_the_source(tmp_path: Path) -> None:
    flows = Path(__file__).resolve().parents[1] / "data" / "sources" / "hubble.jsonl"
    alone = analysed(str(flows))["clients"][0]
    pod = {
        "kind": "Pod",
        "metadata": {"name": "other-0", "namespace": "space"},
        "spec": {},
        "status": {"podIP": alone["client_addr"]},
    }
    path = build.save(tmp_path, json.dumps(pod).encode(), "pods.json")
    given = analysed(str(flows), "--pods", path)["clients"][0]
    assert alone["pod"] != "other-0"
    assert (given["pod"], given["namespace"], given["workload"]) == ("other-0", "space", None)


def test_both_addresses_of_a_dual_stack_pod_are_one_client(tmp_path: Path) -> None:
    """Routed packets, whose link addresses prove nothing: only the file knows."""
    talk = Talk()
    talk.walk(0, "www.example.com")
    frames = talk.capture()
    v6 = build.udp(build.query("api.example.com"), 40000, 53)
    later = build.Packet(
        build.ethernet(build.ipv6(v6, "fd00:41::200", "fd00:96::a"), source=b"\2\0\0\0\0\x09"),
        build.START_NS + 60 * 10**9,
    )
    path = build.save(tmp_path, frames + build.pcap([later])[24:])
    listed = json.loads(Path(PODS).read_text())
    listed["items"] = listed["items"][:1]
    listed["items"][0]["status"]["podIP"] = build.CLIENT
    listed["items"][0]["status"]["podIPs"] = [{"ip": "fd00:41::200"}, {"ip": build.CLIENT}]
    pods = build.save(tmp_path, json.dumps(listed).encode(), "pods.json")
    assert len(analyze(path).client_rows) == 2
    (row,) = analyze(path, options=make_options(pods=pods)).client_rows
    assert (row.client_addr, row.workload) == (build.CLIENT, "nginx")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"NAME  READY\n", "line 1, column 1: no JSON"),
        (b'{"kind": "ConfigMap"}', 'line 1: neither a List nor a Pod or Service but "ConfigMap"'),
        (b'{"kind": "List", "items": [3]}', "items[0]: no object but 3"),
        (b'{"kind": "PodList", "items": [{"metadata": {}}]}', "items[0].metadata.name: no name"),
        (
            b'{"kind": "Pod", "metadata": {"name": "a"}, "status": {"podIP": "10.0.0"}}',
            "Pod.status.podIP: '10.0.0' does not appear to be an IPv4 or IPv6 address",
        ),
        (
            b'{"kind": "Pod", "metadata": {"name": "a"}, "status": {"startTime": "now"}}',
            'Pod.status.startTime: no time: "now"',
        ),
        (b"[" * 100_000, "line 1: nested too deeply"),
        (b'{"kind": "Pod", "metadata": {"name": "a", "labels": 1}}', "Pod.metadata.labels: is 1"),
    ],
)
def test_a_bad_file_is_named_with_the_place(content: bytes, place: str, tmp_path: Path) -> None:
    path = build.save(tmp_path, content, "pods.json")
    with pytest.raises(PcapkitError) as caught:
        make_options(pods=path)
    assert str(caught.value).startswith(f"{path}: {place}")
    assert "kubectl get pods,services -A -o json" in str(caught.value)


def test_a_file_of_another_cluster_is_noticed(tmp_path: Path) -> None:
    path = build.save(tmp_path, b'{"kind": "PodList", "items": []}', "pods.json")
    (warning,) = analyze(GLIBC, options=make_options(pods=path)).warnings
    assert "names none of the 1 clients" in warning


@pytest.mark.parametrize("command", ["analyze", "export", "audit"])
def test_every_command_that_reads_captures_takes_it(command: str, tmp_path: Path) -> None:
    more = {"analyze": ["--json"], "export": ["-t", "clients"], "audit": ["-o", str(tmp_path)]}
    done = run(command, SIX_PODS, "--pods", PODS, *more[command])
    assert done.returncode == 0, done.stderr
    page = next(tmp_path.rglob("report.html")).read_bytes() if command == "audit" else done.stdout
    assert b"nginx" in page


def test_standard_input_is_one_thing_only() -> None:
    content = Path(PODS).read_bytes()
    named = analysed(SIX_PODS, "--pods", "-", stdin=content)
    assert named["options"]["pods"] == "stdin"
    assert {c["workload"] for c in named["clients"]} >= {"nginx", "metrics"}
    done = run("analyze", "-", "--pods", "-", stdin=content)
    assert done.returncode == 2 and b"standard input" in done.stderr


def test_reports_name_the_workload(tmp_path: Path) -> None:
    listed: dict[str, Any] = json.loads(Path(PODS).read_text())
    listed["items"][0]["metadata"]["namespace"] = "<b>shop</b>"
    pods = build.save(tmp_path, json.dumps(listed).encode(), "pods.json")
    done = run("analyze", GLIBC, "--pods", pods, "-o", str(tmp_path), "--format", "html,md")
    assert done.returncode == 0, done.stderr
    assert "for workload <b>shop</b>/nginx" in " ".join(done.stdout.decode().split())
    folder = tmp_path / "whatif_w1_glibc_ndots5"
    page = (folder / "report.html").read_text()
    text = re.sub(r"<[^>]+>", "", page)
    assert "172.41.10.200 (&lt;b&gt;shop&lt;/b&gt;/nginx)" in text and "<b>shop" not in page
    assert "/nginx" in next(folder.glob("*.md")).read_text()


WRONG: list[Any] = [
    5,
    -1,
    True,
    1e400,
    "x",
    "",
    None,
    [],
    {},
    [5],
    [{"ip": 5}],
    {"ip": []},
    "\ud800",
]


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inside:
        yield (*way, key)
        if isinstance(part, (dict, list)):
            yield from _places(part, (*way, key))


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_whatever_stands_in_a_field_the_message_says_where(wrong: Any) -> None:
    text = Path(PODS).read_text()
    refused = 0
    for way in _places(json.loads(text)):
        listed = json.loads(text)
        place = listed
        for key in way[:-1]:
            place = place[key]
        place[way[-1]] = wrong
        try:
            cluster = parse_pods(json.dumps(listed), path="pods.json")
        except InputError as problem:
            refused += 1
            item, _, field = str(problem).removeprefix("pods.json: ").partition(": ")
            named = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in way)
            assert item == "line 1" or named.startswith(f".{item}") or item.startswith(named[1:])
            assert field
        else:
            pods = [pod for found in cluster.pods.values() for pod in found]
            json.dumps([asdict(pod) for pod in pods], ensure_ascii=False).encode()
            json.dumps(list(cluster.services.values()), ensure_ascii=False).encode()
    assert refused or wrong is None


def test_a_number_of_ten_thousand_digits_is_no_traceback(tmp_path: Path) -> None:
    path = build.save(tmp_path, b"9" * 10_000, "pods.json")
    done = run("analyze", SIX_PODS, "--pods", path, "-o", str(tmp_path / "out"))
    assert done.returncode == 2 and done.stderr.decode().startswith(f"error: {path}: ")


def test_a_name_that_is_no_text_is_escaped_everywhere(tmp_path: Path) -> None:
    listed = json.loads(Path(PODS).read_text())
    listed["items"][0]["metadata"]["name"] = "\ud800x"
    listed["items"][0]["metadata"]["namespace"] = "\udc80y"
    path = build.save(tmp_path, json.dumps(listed).encode(), "pods.json")
    done = run("analyze", SIX_PODS, "--pods", path, "-o", str(tmp_path / "out"), *ALL_FORMATS)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    saved = json.loads((folder / "analysis.json").read_text())
    assert "\\ud800x" in [c["pod"] for c in saved["clients"]]
    assert "\\x80y" in [c["namespace"] for c in saved["clients"]]
    assert "\\ud800x" in (folder / "clients.csv").read_text()
    assert (folder / "report.html").read_text()
