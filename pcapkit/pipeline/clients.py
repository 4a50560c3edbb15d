"""What options say of each client, and which two addresses are one client."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set

from pcapkit.addresses import ip_or_none
from pcapkit.analysis.exchanges.store import Store
from pcapkit.analysis.search_lists.survey import Given
from pcapkit.cluster.clients import pod_families
from pcapkit.model.vocabulary import Source
from pcapkit.names.labels import Labels, split
from pcapkit.names.text import fold
from pcapkit.pipeline.collect import Collected
from pcapkit.pipeline.containers import Containers, find_containers
from pcapkit.pipeline.options import Options


def given_facts(collected: Collected, options: Options, containers: Containers) -> dict[int, Given]:
    """Turn options into facts per client; an option beats a file, a bound file a general one.

    An entry ``.`` is left out at the end of a list, where Kubernetes puts it, behind the suffixes
    of the cluster and of the node (KEP-4427): the name as is stands at the end of every walk.
    """
    out: dict[int, Given] = {}
    named = _listed(options.search) or None
    bound = any(network is not None for network, _ in options.resolv_confs)
    for number, packed in enumerate(collected.interners.addresses):
        address = ip_or_none(packed) if bound else None  # there may be very many
        files = [c for n, c in options.resolv_confs if n is not None and address and address in n]
        files += [c for n, c in options.resolv_confs if n is None]
        search, ndots, source = named, options.ndots, Source.OPTION
        if files:
            if search is None and ndots is None:
                source = Source.RESOLV_CONF
            search = search or _listed(files[0].search)
            ndots = files[0].ndots_in_force if ndots is None else ndots
        given = Given(search, ndots, options.resolver, source)
        if given != Given():
            out[number] = given
    return out | {n: out[at] for n, at in containers.at.items() if at in out}


def _listed(suffixes: Sequence[str]) -> tuple[Labels, ...]:
    """Return a list as it is walked: an entry ``.`` at its end changes nothing."""
    out = [split(fold(s)) for s in suffixes]
    while out and not out[-1]:
        out.pop()
    return tuple(out)


def find_clients(collected: Collected, options: Options) -> Containers:
    """Bring exchanges of one client together: of two addresses, and of what comments name.

    Returns what comments on packets say of the clients.
    """
    interners, store = collected.interners, collected.store
    owners = interners.owners
    sizes = {piece.client: piece.size for piece in store.clients()}
    clients = {owners[n].client if n in owners else n for n in sizes}
    is_v4 = [len(a) == 4 for a in interners.addresses]
    pods = pod_families(options.pods, interners.addresses)
    families = _families(store, clients, is_v4, pods)
    found = find_containers(interners, sizes, families, options.pods)
    store.join(dict(sorted(found.joined.items())))
    return found


def refusals(collected: Collected, containers: Containers) -> dict[int, frozenset[int]]:
    """Return the servers that ICMP messages say queries did not reach, by client; ids all."""
    out: dict[int, set[int]] = defaultdict(set)
    if not collected.unreachable:
        return {}
    ids = {packed: n for n, packed in enumerate(collected.interners.addresses)}
    sharing: dict[int, list[int]] = defaultdict(list)
    for container, at in containers.at.items():
        sharing[at].append(container)
    for ends in collected.unreachable:
        if ends.reason == "query_unreachable" and ends.client in ids and ends.server in ids:
            at = containers.joined.get(ids[ends.client], ids[ends.client])
            for client in (at, *sharing[at]):
                out[client].add(ids[ends.server])
    return {client: frozenset(servers) for client, servers in out.items()}


def _families(
    store: Store, clients: Set[int], is_v4: Sequence[bool], known: Mapping[int, int]
) -> dict[int, int]:
    """Map IPv6 to IPv4 addresses that share their link-layer addresses.

    A pod that asks nameservers of both families has two addresses, and its walks change between
    them. ``known`` maps IPv6 to IPv4 addresses of one pod; those need no proof. Link addresses that
    more than one client of a family uses belong to a router and prove nothing.
    """
    if all(is_v4[client] for client in clients):
        return {}
    users: dict[int, set[int]] = defaultdict(set)
    for link, client in store.links:
        users[link].add(client)
    pairs: dict[int, set[int]] = defaultdict(set)
    for members in users.values():
        families = [[c for c in members if is_v4[c] == v4] for v4 in (True, False)]
        if len(families[0]) == len(families[1]) == 1:
            pairs[families[1][0]].add(families[0][0])
    joined = {v6: v4.pop() for v6, v4 in pairs.items() if len(v4) == 1}
    return joined | {v6: v4 for v6, v4 in known.items() if {v6, v4} <= clients}
