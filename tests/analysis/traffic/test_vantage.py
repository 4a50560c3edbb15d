"""From where a capture looks, what each client's dnsPolicy is, and addresses that are mixtures."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcapkit.model.clients import Client
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import make_options
from tests import build
from tests.analysis.talk import LIST, NXDOMAIN, Talk
from tests.build import AAAA, A
from tests.cli.test_cli import GLIBC, LAB, run
from tests.cluster.test_pods import PODS, SIX_PODS

WEB = ("web.svc.cluster.local", "svc.cluster.local", "cluster.local")
CORP = ("corp.example", "lab.example")
OTHER = "10.244.2.8"


def only(analysis: Analysis) -> Client:
    (row,) = {c.client_addr: c for c in analysis.client_rows}.values()
    return row


def busy(talk: Talk, search: Any = LIST, *, at: float = 0, **how: Any) -> None:
    """Twenty-five lookups of five names, each found as is."""
    for number in range(25):
        talk.walk(at + 9_000 * number, f"www{number % 5}.example.com", search, **how)


# ---- where ---------------------------------------------------------------------------------------


def test_one_client_that_walks_its_list_is_a_pod() -> None:
    seen = analyze(GLIBC).vantage
    assert seen.point == "pod"
    assert [(s.server_addr, s.role, s.clients) for s in seen.servers] == [
        ("10.96.0.10", "cluster_dns", 1)
    ]
    assert not seen.translations


def test_packets_before_and_after_translation_show_a_node() -> None:
    seen = analyze(SIX_PODS).vantage
    assert seen.point == "node"
    (translation,) = seen.translations
    assert (translation.before, translation.after) == ("10.96.0.10", "10.244.0.2")
    assert translation.packets > 100


def doubled(talk: Talk, folder: Path, *, server: str = build.SERVER) -> Analysis:
    """Show every query a second time, behind a bridge or what translates its server's address."""
    packets = []
    for packet in talk.packets:
        packets.append(packet)
        source, target = packet.data[26:30], packet.data[30:34]
        if target == socket.inet_aton(build.SERVER):
            moved = bytearray(packet.data)
            moved[0:12] = b"\2\0\0\0\0\7\2\0\0\0\0\x08"  # other link addresses
            moved[30:34] = socket.inet_aton(server)
            assert source != target
            packets.append(replace(packet, data=bytes(moved), time=packet.time + 20_000))
    packets.sort(key=lambda p: p.time)
    return analyze(build.save(folder, build.pcap(packets)))


@pytest.mark.parametrize("server", [build.SERVER, "10.244.0.2"])
def test_one_packet_at_several_interfaces_shows_a_node(tmp_path: Path, server: str) -> None:
    """With one client, too: a pod sees its own interface only."""
    talk = Talk()
    busy(talk)
    seen = doubled(talk, tmp_path, server=server)
    assert len(seen.client_rows) == 1 and seen.packets.duplicates
    assert seen.vantage.point == "node"
    assert seen.vantage.evidence == (
        "200 queries captured at more than one interface"
        if server == build.SERVER
        else "packets before and after address translation: 10.96.0.10 becomes 10.244.0.2",
    )


@pytest.mark.parametrize(("search", "point"), [(LIST, "pod"), (("lan",), "unknown")])
def test_a_workstation_is_no_pod(tmp_path: Path, search: tuple[str, ...], point: str) -> None:
    """It walks a list, too, but none that Kubernetes writes."""
    talk = Talk()
    busy(talk, search)
    seen = talk.analyze(tmp_path)
    assert seen.client_rows[0].search == search
    assert seen.vantage.point == point


def test_several_clients_alone_do_not_say_where(tmp_path: Path) -> None:
    talk = Talk()
    busy(talk)
    busy(talk, client=OTHER, at=500)
    assert talk.analyze(tmp_path).vantage.point == "unknown"


@pytest.mark.parametrize(
    ("item", "point", "name"),
    [
        (
            {
                "kind": "Service",
                "metadata": {"name": "kube-dns", "namespace": "kube-system"},
                "spec": {"clusterIP": build.SERVER},
            },
            "node",
            "kube-system/kube-dns",
        ),
        (
            {
                "kind": "Pod",
                "metadata": {"name": "coredns-0", "namespace": "kube-system"},
                "status": {"podIP": build.SERVER},
            },
            "cluster_dns",
            "kube-system/coredns-0",
        ),
    ],
)
def test_what_was_asked_tells_a_node_from_the_server(
    item: dict[str, Any], point: str, name: str, tmp_path: Path
) -> None:
    talk = Talk()
    busy(talk)
    busy(talk, client=OTHER, at=500)
    pods = build.save(tmp_path, json.dumps(item).encode(), "pods.json")
    seen = talk.analyze(tmp_path, pods=pods).vantage
    assert seen.point == point
    assert [s.name for s in seen.servers] == [name]


def test_the_cluster_dns_as_the_only_client_is_the_upstream_leg(tmp_path: Path) -> None:
    talk = Talk(client="10.244.0.2", server="192.0.2.53")
    talk.pair(0, "www.example.com")
    pod = {
        "kind": "Pod",
        "status": {"podIP": "10.244.0.2"},
        "metadata": {"name": "coredns-0", "labels": {"k8s-app": "kube-dns"}},
    }
    pods = build.save(tmp_path, json.dumps(pod).encode(), "pods.json")
    seen = talk.analyze(tmp_path, pods=pods).vantage
    assert seen.point == "upstream"
    assert any("which pod asked" in text for text in seen.unseen)


def test_a_cache_on_the_node_is_recognised_and_hides_what_it_passes_on(tmp_path: Path) -> None:
    talk = Talk(server="169.254.20.10")
    busy(talk)
    seen = talk.analyze(tmp_path).vantage
    assert [s.role for s in seen.servers] == ["node_cache"]
    assert any("169.254.20.10" in text for text in seen.unseen)
    cloud = Talk(server="169.254.169.253")
    busy(cloud)
    assert [s.role for s in cloud.analyze(tmp_path).vantage.servers] == ["other"]


def test_a_servers_own_log_looks_from_the_server() -> None:
    log = Path(__file__).resolve().parents[2] / "data" / "sources" / "coredns.log"
    assert analyze(log).vantage.point == "cluster_dns"


def test_one_direction_only_is_said(tmp_path: Path) -> None:
    talk = Talk()
    talk.exchange(0, "www.example.com", took=None)
    assert any("one direction only" in text for text in talk.analyze(tmp_path).vantage.unseen)


# ---- dnsPolicy -----------------------------------------------------------------------------------


def cluster_name(talk: Talk) -> None:
    """Show that the server knows the cluster's names."""
    talk.found(900_000, "web.shop.svc.cluster.local")


@pytest.mark.parametrize(
    ("search", "asks_cluster_dns", "value"),
    [(LIST, True, "ClusterFirst"), (CORP, False, "Default"), (CORP, True, "None")],
)
def test_the_list_and_the_server_show_the_policy(
    search: tuple[str, ...], asks_cluster_dns: bool, value: str, tmp_path: Path
) -> None:
    talk = Talk()
    busy(talk, search)
    if asks_cluster_dns:
        cluster_name(talk)
    policy = only(talk.analyze(tmp_path)).dns_policy
    assert policy.value == value and policy.evidence


def test_without_a_list_there_is_no_policy(tmp_path: Path) -> None:
    talk = Talk()
    talk.pair(0, "www.example.com")
    assert only(talk.analyze(tmp_path)).dns_policy.value is None


def test_the_pods_spec_beats_what_the_traffic_shows(tmp_path: Path) -> None:
    pod = {
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"dnsPolicy": "None"},
        "status": {"podIP": build.CLIENT},
    }
    pods = build.save(tmp_path, json.dumps(pod).encode(), "pods.json")
    talk = Talk()
    busy(talk)
    assert only(talk.analyze(tmp_path, pods=pods)).dns_policy.value == "None"


def test_a_node_with_the_clusters_list_is_cluster_first_with_host_net() -> None:
    rows = analyze(SIX_PODS, options=make_options(pods=PODS)).client_rows
    (node,) = [c for c in rows if c.client_addr == "172.41.10.201"]
    assert node.dns_policy.value == "ClusterFirstWithHostNet"


@pytest.mark.skipif("PCAPKIT_EXTRA_CAPTURES" not in os.environ, reason="needs extra captures")
def test_a_real_pod_with_the_nodes_resolv_conf() -> None:
    found = Path(os.environ["PCAPKIT_EXTRA_CAPTURES"])
    path = next(found.rglob("hostnetwork_default_dns.pcap"), None)
    if path is None:
        pytest.skip("that capture is not there")
    assert only(analyze(path)).dns_policy.value == "Default"


# ---- mixtures ------------------------------------------------------------------------------------


def assert_not_judged_as_one(analysis: Analysis, reason: str) -> None:
    row = only(analysis)
    assert row.mixture
    assert any(reason in r for r in row.mixture_reasons)
    assert "set_ndots" not in {r.code for r in analysis.recommendations}
    mine = [w for w in analysis.what_if_rows if w.client_addr == row.client_addr]
    assert mine and all(w.safety.value != "safe" for w in mine)
    assert any("several resolvers behind one address" in r for w in mine for r in w.reasons)
    assert any(row.client_addr in w and "no ndots is advised" in w for w in analysis.warnings)


def test_two_namespaces_in_turns_are_two_pods(tmp_path: Path) -> None:
    talk = Talk()
    busy(talk)
    busy(talk, WEB, at=500)
    analysis = talk.analyze(tmp_path)
    assert_not_judged_as_one(analysis, "two namespaces in turns")
    assert analysis.vantage.point == "unknown"


def test_two_resolvers_in_one_pod_are_a_mixture_on_real_packets() -> None:
    """glibc and musl asked from this pod at the same time."""
    analysis = analyze(LAB / "concurrent_one_pod.pcap")
    assert_not_judged_as_one(analysis, "glibc and musl")
    assert analysis.vantage.point == "pod"  # its containers share one list
    assert only(analysis).dns_policy.value == "ClusterFirst"


@pytest.mark.parametrize(
    "name",
    [
        "whatif_w1_glibc_ndots5",
        "whatif_w1_go_ndots5",
        "whatif_w1_musl_ndots5",
        "dual_stack_v4_and_v6_servers",
    ],
)
def test_one_resolver_is_no_mixture(name: str) -> None:
    assert not only(analyze(LAB / f"{name}.pcap")).mixture


def test_one_namespace_after_the_other_is_no_mixture(tmp_path: Path) -> None:
    """An address that another pod gets later."""
    talk = Talk()
    busy(talk)
    busy(talk, WEB, at=25 * 9_000)
    assert not any(c.mixture for c in talk.analyze(tmp_path).client_rows)


def test_what_asks_and_answers_asks_for_others(tmp_path: Path) -> None:
    talk = Talk()
    busy(talk)
    for name in ("www0.example.com", "www1.example.com"):
        for qtype in (A, AAAA):
            talk.exchange(
                500, name, qtype, client=build.SERVER, server="192.0.2.53", rcode=NXDOMAIN
            )
    rows = {c.client_addr: c for c in talk.analyze(tmp_path).client_rows}
    assert rows[build.SERVER].mixture and not rows[build.CLIENT].mixture
    assert rows[build.SERVER].mixture_reasons == ("answers DNS itself, and asks for others",)


def test_a_program_that_asks_its_own_host_asks_for_itself(tmp_path: Path) -> None:
    talk = Talk(client="127.0.0.1", server="127.0.0.1")
    busy(talk)
    assert not only(talk.analyze(tmp_path)).mixture


def test_the_report_says_from_where_it_looks(tmp_path: Path) -> None:
    done = run("analyze", SIX_PODS, "--pods", PODS, "-o", str(tmp_path), "--format", "html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "multi6_any_sll2" / "report.html").read_text()
    assert "Captured on a node: packets before and after address translation" in page
    assert "what pods on other nodes ask" in page
    assert "kube-system/kube-dns" in page and "ClusterFirstWithHostNet" in page


def test_mixtures_of_one_kind_are_told_of_together(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(8):
        client = f"10.244.1.{20 + number}"
        busy(talk, client=client, at=number)
        busy(talk, WEB, client=client, at=500 + number)
    analysis = talk.analyze(tmp_path)
    assert {c.mixture for c in analysis.client_rows} == {True}
    (warning,) = [w for w in analysis.warnings if "several resolvers" in w]
    assert "10.244.1.24 and 3 more" in warning
