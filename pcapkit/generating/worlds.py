"""The cluster that scenarios take place in: namespaces, services, and the world outside.

All names are made up or reserved (RFC 2606), addresses private (RFC 1918).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from pcapkit.cluster.conventions import CLUSTER_DOMAIN, SERVICES, pod_search
from pcapkit.generating.scenario import Held, Pod, Request, Settings, Zones

CLUSTER_DNS, OTHER_DNS = "10.96.0.10", "10.96.0.11"
NAMESPACES = ("shop", "search", "billing", "media", "ingest", "batch")
#: Services that every namespace has, and those of others.
OWN = ("cart", "orders", "catalog", "redis")
OTHERS = ("postgres.data", "kafka.data", "prometheus.monitoring", "tokens.auth")
OUTSIDE = (
    "api.example.com",
    "www.example.org",
    "auth.example.net",
    "hooks.chat.example.org",
    "s3.eu-west-1.example.net",
    "registry.example.com",
    "telemetry.example.net",
    "mail.example.org",
)
_ADDRESS, _BOTH = Held({"A": 1}), Held({"A": 1, "AAAA": 1})
_FIRST_POD = IPv4Address("10.244.0.2")
_MOST_IN_NET = 250


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user may choose of every scenario."""

    lookups: int
    clients: int
    ndots: int
    resolver: str
    search: tuple[str, ...] | None
    seconds: float

    def search_of(self, namespace: str, *node: str) -> tuple[str, ...]:
        """Return the search list of a pod; ``node`` are suffixes that come from its node."""
        return self.search or (*pod_search(namespace), *node)


def pod_address(number: int) -> str:
    """Return the address of a pod: some hundreds on each node."""
    node, place = divmod(number, _MOST_IN_NET)
    return str(_FIRST_POD + (node << 8) + place)


def settings(choices: Choices, namespace: str = NAMESPACES[0], *node: str) -> Settings:
    """Return what the pods of a namespace have in their resolv.conf."""
    search = choices.search_of(namespace, *node)
    return Settings(choices.resolver, search, choices.ndots, (CLUSTER_DNS,))


def pods(
    choices: Choices, requests: Sequence[Request], own: Settings | None = None
) -> tuple[Pod, ...]:
    """Return pods that ask for the same."""
    own = own or settings(choices)
    return tuple(Pod(pod_address(n), own, tuple(requests)) for n in range(choices.clients))


def everyday(search: Sequence[str]) -> tuple[Request, ...]:
    """Return what an ordinary pod asks for: services near and far, more often the world outside.

    Services of other namespaces only where the list leads to them.
    """
    far = OTHERS if f"{SERVICES}.{CLUSTER_DOMAIN}" in search else ()
    near = OWN if search else ()
    outside = [Request(name, 2) for name in OUTSIDE[:4]] + [Request(n) for n in OUTSIDE[4:]]
    return (*(Request(n) for n in (*near, *far)), *outside)


def cluster(searches: Sequence[Sequence[str]], more: Mapping[str, Held] | None = None) -> Zones:
    """Return what exists: the services of every search list's first suffix, and the world."""
    held: dict[str, Held] = {}
    for search in searches:
        if search:
            held |= {f"{name}.{search[0]}": _ADDRESS for name in OWN}
    held |= {f"{name}.{SERVICES}.{CLUSTER_DOMAIN}": _ADDRESS for name in OTHERS}
    held |= {name: (_BOTH if n % 3 == 2 else _ADDRESS) for n, name in enumerate(OUTSIDE)}
    return Zones(held | dict(more or {}))


def with_resolvers(settings: Settings, resolvers: Sequence[str]) -> tuple[Settings, ...]:
    """Return the same settings for several resolvers."""
    return tuple(replace(settings, resolver=r) for r in resolvers)
