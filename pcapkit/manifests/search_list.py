"""What a pod's spec needs for a shorter search list, and where nothing may be written.

dnsConfig.searches are appended to the list that dnsPolicy makes; only ``dnsPolicy: None`` takes
nothing from the cluster, and then nameservers, list and options must all be there (Kubernetes, "DNS
for Services and Pods"). Such a list is one namespace's, so that no manifest gets it that may be
deployed to several, as a chart's values are. A suffix that the manifest adds itself is simply taken
out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from yaml.nodes import Node

from pcapkit.cluster.conventions import namespace_of
from pcapkit.cluster.nameservers import Nameservers
from pcapkit.manifests.dns_config import Wanted, options_of
from pcapkit.manifests.documents import Unreadable, get, items, text_of
from pcapkit.model.clients import Client
from pcapkit.model.vocabulary import Source
from pcapkit.names.text import is_host_name

NONE = "None"
_CLUSTER_FIRST, _HOST_NET = "ClusterFirst", "ClusterFirstWithHostNet"
#: So many nameservers the API takes.
_MOST_SERVERS = 3


@dataclass(frozen=True, slots=True)
class PodsNow:
    """What pods have now, as the capture shows it; ``doubt`` says why nothing can be written."""

    search: tuple[str, ...] = ()
    ndots: int | None = None
    policy: str | None = None
    nameservers: tuple[str, ...] = ()
    doubt: str = ""


def pods_now(clients: Sequence[Client], known: Nameservers) -> PodsNow:
    """Return what the pods of these clients have: of one list, one ndots, known nameservers."""
    seen = [c for c in clients if c.search and c.search_source is not Source.ASSUMED]
    lists = {c.search for c in seen}
    policies = {c.dns_policy.value for c in seen if c.dns_policy.value is not None}
    if len(lists) != 1:
        return PodsNow(doubt="its pods have several search lists" if lists else "no list was seen")
    (search,) = lists
    ndots = {c.ndots.value for c in seen}
    now = PodsNow(
        search,
        next(iter(ndots)) if len(ndots) == 1 else None,
        next(iter(policies)) if len(policies) == 1 else None,
        known.addresses,
    )
    if len(policies) > 1:
        return replace(now, doubt="its pods have several values of dnsPolicy")
    if not all(is_host_name(s) for s in search):
        return replace(now, doubt="its list has a suffix that is no host name")
    return replace(now, doubt=known.doubt)


@dataclass(frozen=True, slots=True)
class Declared:
    """What manifests say of a pod's DNS."""

    policy: str | None = None
    on_host_network: bool = False
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def of(cls, specs: Sequence[Node | None]) -> Declared:
        """Return what the specs of a pod say, later ones on top of earlier ones."""
        out = cls()
        for spec in specs:
            servers, searches = (_texts(spec, key) for key in ("nameservers", "searches"))
            host = text_of(get(spec, "hostNetwork"))
            out = cls(
                text_of(get(spec, "dnsPolicy")) or out.policy,
                out.on_host_network if host is None else host.lower() == "true",
                servers if servers is not None else out.nameservers,
                searches if searches is not None else out.searches,
                tuple(options_of(spec)) or out.options,
            )
        return out

    @property
    def ndots(self) -> int | None:
        """The ndots of its options; None where there is none, or no number."""
        value = dict(self.options).get("ndots")
        return int(value) if value is not None and value.isdecimal() else None


def _texts(spec: Node | None, key: str) -> tuple[str, ...] | None:
    listed = get(spec, "dnsConfig", key)
    if listed is None:
        return None
    return tuple(text for item in items(listed) if (text := text_of(item)) is not None)


def shortened(
    declared: Declared,
    now: PodsNow,
    suffixes: Sequence[str],
    ndots: int | None,
    namespace: str | None,
) -> Wanted | None:
    """Return what makes the search list shorter; None where the manifest's own is already.

    ``ndots`` is what the pods get with it, None: what they have; ``namespace`` the one that the
    manifest is deployed to, None where it may be any. Raises Unreadable where the list is another
    one, or what must be written out is not known.
    """
    gone = {_folded(s) for s in suffixes}
    own = declared.searches
    left = tuple(s for s in own if _folded(s) not in gone)
    policy = declared.policy or _CLUSTER_FIRST
    if declared.on_host_network or policy == _HOST_NET:
        raise Unreadable("its pods are in the host's network, where the list is another")
    if policy == NONE:
        return Wanted(ndots, searches=left) if left != own else None
    if policy != _CLUSTER_FIRST:
        raise Unreadable(f"dnsPolicy {policy}: its list is the node's, not one of the manifest")
    if now.policy not in (None, _CLUSTER_FIRST):
        raise Unreadable(
            f"its pods were seen with dnsPolicy {now.policy}, the manifest says {policy}"
        )
    seen = [_folded(s) for s in now.search]
    added = [_folded(s) for s in own]
    if gone <= set(added) and seen[-len(added) :] == added:  # what the manifest adds stands last
        return Wanted(ndots, searches=left)
    behind = seen[max((seen.index(s) for s in added if s in seen), default=len(seen)) + 1 :]
    if gone <= set(behind):  # of the manifest as it was: the node's stand before what it adds
        return None
    if now.doubt:
        raise Unreadable(now.doubt)
    if (space := namespace_of(now.search)) not in (None, namespace):
        raise Unreadable(f"its list is that of namespace {space}, and it may be deployed to others")
    searches = [s for s in now.search if _folded(s) not in gone]
    searches += [s for s in left if _folded(s) not in seen]
    given = {_folded(s): s for s in own}
    servers = tuple(dict.fromkeys((*now.nameservers, *declared.nameservers)))
    if len(servers) > _MOST_SERVERS:
        raise Unreadable(f"with those of the cluster it has {len(servers)} nameservers, 3 are most")
    for value in (ndots, declared.ndots, now.ndots):
        if value is not None:
            return Wanted(value, NONE, servers, tuple(given.get(_folded(s), s) for s in searches))
    raise Unreadable("its pods have several values of ndots")


def _folded(suffix: str) -> str:
    return suffix.lower().rstrip(".")
