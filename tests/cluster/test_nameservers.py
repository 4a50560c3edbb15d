"""The nameserver that pods have, as far as a capture shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from pcapkit.cluster.nameservers import UNKNOWN, known_nameservers
from pcapkit.cluster.pods import Cluster, parse_pods
from pcapkit.model.clients import Server, Translation, Vantage
from tests.manifests.plans import client

SERVICE, REPLICA, OTHER, CACHE = "10.96.0.10", "10.244.3.9", "10.244.4.9", "169.254.20.10"


def server(address: str, role: str = "cluster_dns") -> Server:
    return Server(address, role, None, 1, 10, 0)


def seen(point: str, *servers: Server, translated: Sequence[str] = ()) -> Vantage:
    pairs = tuple(Translation(SERVICE, after, 5) for after in translated)
    return Vantage(point, (), (), servers, pairs)


def cluster_of(kind: str, address: str) -> Cluster:
    one = {
        "kind": kind,
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"clusterIPs": [address]},
        "status": {"podIP": address},
    }
    return parse_pods(json.dumps(one), path="pods.json")


@pytest.mark.parametrize("point", ["pod", "node"])
def test_one_address_of_another_network_is_the_services(point: str) -> None:
    found = known_nameservers(
        seen(point, server(SERVICE), server("8.8.8.8", "other")),
        [client(address="10.244.1.17")],
        Cluster(),
    )
    assert (found.addresses, found.doubt) == ((SERVICE,), "")


@pytest.mark.parametrize(
    ("vantage", "address"),
    [
        (seen("node", server(REPLICA), translated=[REPLICA]), SERVICE),
        (seen("node", server(SERVICE), server(REPLICA), translated=[REPLICA]), SERVICE),
        (seen("unknown", server(CACHE, "node_cache")), CACHE),
    ],
)
def test_what_shows_it_for_sure(vantage: Vantage, address: str) -> None:
    found = known_nameservers(vantage, [client(address="10.244.1.17")], Cluster())
    assert (found.addresses, found.doubt) == ((address,), "")


@pytest.mark.parametrize(
    ("vantage", "doubt"),
    [
        (seen("pod"), UNKNOWN.doubt),
        (seen("pod", server("8.8.8.8", "other")), UNKNOWN.doubt),
        (seen("pod", server(REPLICA)), f"{REPLICA} answers, and may be one replica's own address"),
        (seen("cluster_dns", server(SERVICE)), "may be one replica's own address"),
        (seen("unknown", server(SERVICE)), "may be one replica's own address"),
        (seen("pod", server(REPLICA), server(OTHER)), f"which of {REPLICA}, {OTHER} its pods have"),
        (seen("node", server(CACHE, "node_cache"), server(SERVICE)), "its pods have is not known"),
    ],
)
def test_what_leaves_it_open(vantage: Vantage, doubt: str) -> None:
    found = known_nameservers(vantage, [client(address="10.244.1.17")], Cluster())
    assert not found.addresses and doubt in found.doubt


def test_the_cluster_says_what_an_address_is() -> None:
    clients = [client(address="10.244.1.17")]
    unsure = seen("unknown", server("10.244.0.10"))
    assert not known_nameservers(unsure, clients, Cluster()).addresses
    found = known_nameservers(unsure, clients, cluster_of("Service", "10.244.0.10"))
    assert (found.addresses, found.doubt) == (("10.244.0.10",), "")
    found = known_nameservers(
        seen("pod", server("10.9.0.3")), clients, cluster_of("Pod", "10.9.0.3")
    )
    assert not found.addresses and "10.9.0.3 is a pod's own address" in found.doubt
    assert known_nameservers(None, clients, Cluster()) == UNKNOWN
