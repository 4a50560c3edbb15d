"""Which nameservers the resolv.conf of pods has, as far as a capture shows it.

A capture shows who was asked: the address in resolv.conf, or the replica of the cluster's DNS that
a Service's address was translated to (in the pod's own socket with Cilium), which is gone after its
next roll-out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from pcapkit.addresses import ip_or_none, packed
from pcapkit.cluster.pods import Cluster
from pcapkit.model.clients import Client, Vantage
from pcapkit.words import some

#: What resolv.conf(5) takes.
_MOST = 3
#: Addresses of one network of pods have these first bytes in common, those of services have others.
_NETWORK_BYTES = {4: 2, 6: 6}


@dataclass(frozen=True, slots=True)
class Nameservers:
    """The nameservers that pods have; ``doubt`` says why they are not known for sure."""

    addresses: tuple[str, ...]
    doubt: str = ""


UNKNOWN = Nameservers((), "the capture does not show which nameservers its pods have")


def asked_servers(seen_from: Vantage) -> list[str]:
    """Return the cluster's servers as clients ask them, at most what resolv.conf(5) takes."""
    before = {t.after: t.before for t in seen_from.translations}
    asked = sorted(
        (s for s in seen_from.servers if s.role != "other"),
        key=lambda s: (-s.queries, s.server_addr),
    )
    return list(dict.fromkeys(before.get(s.server_addr, s.server_addr) for s in asked))[:_MOST]


def known_nameservers(
    seen_from: Vantage | None, clients: Sequence[Client], cluster: Cluster
) -> Nameservers:
    """Return the one nameserver of the cluster that all clients ask, and whether that is sure."""
    asked = asked_servers(seen_from) if seen_from is not None else []
    if seen_from is None or not asked:
        return UNKNOWN
    if len(asked) > 1:
        return Nameservers((), f"which of {some(asked)} its pods have is not known")
    (address,) = asked
    sure = (
        packed(address) in cluster.services
        or any(t.before == address for t in seen_from.translations)
        or any(s.server_addr == address and s.role == "node_cache" for s in seen_from.servers)
    )
    if sure:
        return Nameservers((address,))
    if packed(address) in cluster.pods:
        return Nameservers((), f"{address} is a pod's own address, and no nameserver of others")
    network = _network(address)
    beside = any(_network(c.client_addr) == network for c in clients)
    if seen_from.point not in ("pod", "node") or network is None or beside:
        return Nameservers(
            (),
            f"{address} answers, and may be one replica's own address: --pods with the services "
            "says whether pods have it as their nameserver",
        )
    return Nameservers((address,))


def _network(address: str) -> bytes | None:
    """Return the first bytes of an address; None where it is none."""
    ip: IPv4Address | IPv6Address | None = ip_or_none(address)
    return None if ip is None else ip.packed[: _NETWORK_BYTES[ip.version]]
