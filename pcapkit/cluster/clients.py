"""Who the clients are: what ``--pods`` and the sources themselves say, placed on the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pcapkit.addresses import packed
from pcapkit.cluster.pods import Cluster, Pod
from pcapkit.model.clients import Client
from pcapkit.words import some


def pod_families(cluster: Cluster, addresses: Iterable[bytes]) -> dict[int, int]:
    """Map the number of each pod's IPv6 address to that of its IPv4 address, where both occur."""
    numbers = {address: number for number, address in enumerate(addresses)}
    return {
        numbers[v6]: numbers[v4]
        for v6, v4 in cluster.families.items()
        if v6 in numbers and v4 in numbers
    }


def name_pods(
    rows: Sequence[Client], cluster: Cluster, from_source: Mapping[bytes, Pod]
) -> tuple[Client, ...]:
    """Add to each client what is known of its pod.

    The given file beats what the source says, and both beat the namespace that the names say. An
    address that pods share with their node is no pod's.
    """
    out = []
    for row in rows:
        address = packed(row.client_addr)
        pod = cluster.pod_at(address, row.last_time) or from_source.get(address)
        if pod is not None and address not in cluster.nodes:
            row = replace(
                row,
                pod=pod.name,
                namespace=pod.namespace or row.namespace,
                workload=pod.workload,
                workload_kind=pod.kind,
            )
        out.append(row)
    return tuple(out)


def pod_warnings(rows: Sequence[Client], cluster: Cluster) -> Iterator[str]:
    """Say where an address is not one pod's, or has not always been."""
    if not cluster.path or not rows:
        return
    seen = {packed(r.client_addr): r.client_addr for r in rows}
    if not any(address in cluster.pods or address in cluster.nodes for address in seen):
        yield (
            f"{cluster.path}: names none of the {len(seen)} clients: it must be of the same "
            "cluster, and of the time of the capture"
        )
    for address, text in seen.items():
        if (sharing := cluster.nodes.get(address)) is not None:
            who = f": {_titles(sharing)} run there with hostNetwork" if sharing else ""
            yield f"{cluster.path}: {text} is a node's{who}; it is not judged as one pod"
            continue
        mine = [r for r in rows if r.client_addr == text]
        last = max((r.last_time for r in mine if r.last_time is not None), default=None)
        first = min((r.first_time for r in mine if r.first_time is not None), default=None)
        pod = cluster.pod_at(address, last)
        if pod is None:
            continue
        if len(cluster.pods[address]) > 1:
            yield (
                f"{cluster.path}: {text} is the address of {_titles(cluster.pods[address])}; it is "
                f"taken for {pod.title}"
            )
        if first is not None and pod.started is not None and pod.started > first:
            yield (
                f"{cluster.path}: {pod.title} started at {_clock(pod.started)}, after the first "
                f"query of {text}: what came before is another pod's"
            )


def _titles(pods: Sequence[Pod]) -> str:
    return some([p.title + (" (ended)" if p.ended else "") for p in pods])


def _clock(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
