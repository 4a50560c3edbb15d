"""From where a capture looks: which servers it shows, whose side it is on, what stays unseen.

Sources: Kubernetes' "DNS for Services and Pods" (the lists that dnsPolicy writes) and "Using
NodeLocal DNSCache" (169.254.20.10; other set-ups use other link-local addresses).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_network

from pcapkit.addresses import ip_or_none, packed
from pcapkit.analysis.traffic.vantage_tally import QueryCounts
from pcapkit.cluster.conventions import CLUSTER_DOMAIN, SERVICES, namespace_of
from pcapkit.cluster.pods import Cluster
from pcapkit.model.captures import MessageCounts
from pcapkit.model.clients import Client, DnsPolicy, Server, Translation, Vantage
from pcapkit.model.vocabulary import Source

_LINK_LOCAL = ip_network("169.254.0.0/16")
_OF_THE_CLOUD = ("169.254.169.253", "169.254.169.254")  # resolvers of AWS and Google Cloud
#: Formats of sources that a DNS server writes of itself.
FROM_SERVERS = ("CoreDNS log", "dnsmasq log", "dnstap")
_SHOWN = 5


@dataclass(frozen=True)
class Scene:
    """All that is known of who asked whom."""

    asked: Mapping[tuple[str, str], QueryCounts]  # by client and server
    mixtures: Mapping[str, tuple[str, ...]]
    several_pods: Set[str]  # those of the mixtures that cannot be one pod
    forwarders: frozenset[str]  # addresses that ask and answer
    translations: Mapping[tuple[str, str], int]
    moved: int  # queries that were captured at two places of their way
    cluster: Cluster
    from_server: bool  # the source is the server's own log
    messages: MessageCounts

    @cached_property
    def all_mixtures(self) -> Mapping[str, tuple[str, ...]]:
        """Why addresses are not one resolver's, by address: traffic and facts together."""
        out = dict(self.mixtures)
        nodes = self.cluster.nodes
        for client in sorted({client for client, _ in self.asked}):
            if nodes and packed(client) in nodes:
                out[client] = (*out.get(client, ()), "is a node's address, which pods share")
            if client in self.forwarders:
                out[client] = (*out.get(client, ()), "answers DNS itself, and asks for others")
        return out


def outside_servers(seen_from: Vantage) -> frozenset[str]:
    """Return the servers that are out of the cluster.

    They are a cloud's and public ones, and all others that are asked beside the cluster's, or by
    the cluster's.
    """
    others = [s.server_addr for s in seen_from.servers if s.role == "other"]
    if seen_from.point == "upstream" or len(others) < len(seen_from.servers):
        return frozenset(others)
    return frozenset(
        a for a in others if a in _OF_THE_CLOUD or ((ip := ip_or_none(a)) and ip.is_global)
    )


def servers(scene: Scene) -> tuple[Server, ...]:
    """Return every address that was asked, the busiest first."""
    by_server: dict[str, list[QueryCounts]] = defaultdict(list)
    for (_, server), asked in scene.asked.items():
        by_server[server].append(asked)
    out = []
    for address, parts in by_server.items():
        at = packed(address)
        pods = scene.cluster.pods.get(at, ())
        name = scene.cluster.services.get(at) or (pods[-1].title if pods else None)
        role = "other"
        if at in scene.cluster.dns or any(n.cluster for n in parts):
            role = "cluster_dns"
        ip = ip_or_none(address)
        if ip is not None and ip in _LINK_LOCAL and address not in _OF_THE_CLOUD:
            role = "node_cache"
        out.append(
            Server(
                address,
                role,
                name,
                len(parts),
                sum(n.queries for n in parts),
                sum(n.tcp for n in parts),
            )
        )
    return tuple(sorted(out, key=lambda s: (-s.queries, s.server_addr)))


def vantage(scene: Scene, clients: Sequence[Client], others: int = 0) -> Vantage:
    """Say from where the capture looks; ``unknown`` rather than a guess.

    So many ``others`` are clients that have no row of their own.
    """
    shown = servers(scene)
    point, evidence = _point(scene, clients, others, shown)
    translations = tuple(
        Translation(*ends, packets) for ends, packets in sorted(scene.translations.items())
    )
    unseen = tuple(_unseen(scene, point, shown))
    return Vantage(point, tuple(evidence), unseen, shown, translations)


def _point(
    scene: Scene, clients: Sequence[Client], others: int, shown: Sequence[Server]
) -> tuple[str, list[str]]:
    addresses = sorted({c.client_addr for c in clients})
    count = len(addresses) + others
    cluster = scene.cluster
    if not addresses:
        return "unknown", []
    if scene.from_server:
        return "cluster_dns", ["the source is the DNS server's own log"]
    asking = [a for a in addresses if packed(a) in cluster.dns]
    if asking and len(asking) == count:
        return "upstream", [f"only the cluster DNS asks: {_some(asking)}"]
    if scene.translations:
        pairs = [f"{before} becomes {after}" for before, after in sorted(scene.translations)]
        return "node", [f"packets before and after address translation: {_some(pairs)}"]
    if scene.moved:
        queries = f"{scene.moved:,} {'query' if scene.moved == 1 else 'queries'}"
        return "node", [f"{queries} captured at more than one interface"]
    of_pods = [s for s in shown if packed(s.server_addr) in cluster.pods]
    if count > 1:
        if any(s.name and packed(s.server_addr) in cluster.services for s in shown):
            return "node", [f"{count} clients ask a service's address, not yet translated"]
        if of_pods:
            names = [s.name or s.server_addr for s in of_pods]
            return "cluster_dns", [f"{count} clients ask a pod itself: {_some(names)}"]
        if any(s.role == "node_cache" for s in shown):
            return "node", [f"{count} clients ask a cache of their node"]
        return "unknown", [f"{count} clients: at a node, or at the DNS server"]
    (address,) = addresses
    at = packed(address)
    pods = {(c.namespace, c.pod) for c in clients if c.pod is not None}
    several = {address} & (scene.several_pods | scene.forwarders) or len(pods) > 1
    if several or at in cluster.nodes:
        return "unknown", [f"{address} is not one pod's"]
    if at in cluster.pods:
        return "pod", [f"{address} is the only client, and a pod's"]
    walking = [c for c in clients if c.search_source is Source.OBSERVED]
    if any(_is_of_cluster(c.search) for c in walking):
        return "pod", [f"{address} is the only client, and walks a cluster's search list"]
    which = "a search list that is no cluster's" if walking else "no search list"
    return "unknown", [f"{address} is the only client, and walks {which}"]


def _unseen(scene: Scene, point: str, shown: Sequence[Server]) -> Iterator[str]:
    caches = [s.server_addr for s in shown if s.role == "node_cache"]
    if point == "pod":
        yield "what other pods ask, and what the DNS server asks upstream"
    elif point == "node":
        yield "what pods on other nodes ask"
    elif point == "cluster_dns":
        yield "lookups that a cache on the node or in the pod answered"
    elif point == "upstream":
        yield "which pod asked, and all that the cluster DNS answered itself"
    if caches:
        yield f"which queries the cache of the node ({_some(caches)}) passed on to the cluster DNS"
    for reasons, addresses in _by_reasons(scene.all_mixtures):
        yield f"which of the resolvers behind {addresses} asked: it {reasons}"
    if scene.messages.queries and not scene.messages.responses:
        yield "any response: the capture shows one direction only"


def mixture_warnings(scene: Scene) -> Iterator[str]:
    """Say which addresses are not judged as one resolver, for what their traffic shows."""
    nodes = scene.cluster.nodes  # pod_warnings() names those
    mixtures = scene.all_mixtures.items()
    others = {a: reasons for a, reasons in mixtures if packed(a) not in nodes}
    for reasons, addresses in _by_reasons(others):
        yield (
            f"{addresses}: several resolvers behind one address, for it {reasons}: no ndots is "
            "advised for it"
        )


def _by_reasons(mixtures: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """Yield reasons as text, and the addresses that share them: a node may have hundreds."""
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for address, reasons in mixtures.items():
        together[reasons].append(address)
    for reasons, addresses in together.items():
        yield "; it ".join(reasons), _some(addresses)


def with_policies(
    clients: Sequence[Client], scene: Scene, shown: Sequence[Server]
) -> tuple[Client, ...]:
    """Add to each client its dnsPolicy, and whether its address is a mixture."""
    roles = {s.server_addr: s.role for s in shown}
    mixtures = scene.all_mixtures
    asked: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for client, server in sorted(scene.asked):
        asked[client].append((server, roles[server]))
    out = []
    for row in clients:
        reasons = mixtures.get(row.client_addr, ())
        several = row.client_addr in scene.several_pods
        policy = _policy(row, asked[row.client_addr], scene.cluster, is_mixed=several)
        out.append(replace(row, dns_policy=policy, mixture=bool(reasons), mixture_reasons=reasons))
    return tuple(out)


def _policy(
    row: Client, asks: Sequence[tuple[str, str]], cluster: Cluster, *, is_mixed: bool
) -> DnsPolicy:
    """Return what the pod's spec says; else what the list and the servers show."""
    at = packed(row.client_addr)
    on_node = at in cluster.nodes
    pod = None if on_node else cluster.pod_at(at, row.last_time)
    if pod is not None and pod.dns_policy is not None:
        return DnsPolicy(pod.dns_policy, ("the pod's spec",))
    if is_mixed or not row.search or row.search_source is Source.ASSUMED:
        return DnsPolicy(None, ())
    of_cluster = [server for server, role in asks if role != "other"]
    answering = (f"asks {_some(of_cluster)}, which answers for the cluster",) if of_cluster else ()
    first = f"the list begins with {row.search[0]}"
    if namespace_of(row.search) is not None:
        if on_node:
            return DnsPolicy("ClusterFirstWithHostNet", (first, "a node's address", *answering))
        return DnsPolicy("ClusterFirst", (first, *answering))
    if _is_of_cluster(row.search):
        return DnsPolicy(None, ())  # of the cluster, cut by the capture or not a policy's own
    outside = f"no suffix of the cluster in the list: {_some(row.search)}"
    if of_cluster:
        return DnsPolicy("None", (outside, *answering))
    return DnsPolicy("Default", (outside, "no server that it asks answers for the cluster"))


def _is_of_cluster(search: Sequence[str]) -> bool:
    """Does a search list have a suffix as Kubernetes writes them?"""
    return any(s == CLUSTER_DOMAIN or SERVICES in s.split(".")[:2] for s in search)


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
