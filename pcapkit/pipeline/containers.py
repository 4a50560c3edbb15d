"""Containers that comments on packets name: which of them are clients of their own.

A comment may be about the server's process (see ``ingest/capture/comments``). A container has one
address of each family: one that is named at several is taken for a client only where comments on
the client's side say so, and at one address.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TypeVar

from pcapkit.addresses import address_text, packed
from pcapkit.cluster.pods import Cluster, Pod
from pcapkit.ingest.window import Interners, Owner
from pcapkit.model.clients import Client
from pcapkit.model.results import WhatIf

#: Where one container is named at an address, exchanges there without a comment are its own if they
#: are fewer than one in so many: ptcpdump misses some, as when a process has just begun.
_WITHOUT_COMMENT = 3
_SHORT_ID = 12  # characters, as container runtimes print it

Row = TypeVar("Row", Client, WhatIf)


@dataclass(frozen=True, slots=True)
class Containers:
    """What comments on packets make of the clients.

    ``joined`` maps ids of addresses and of containers to the client whose exchanges theirs are; a
    container that shares its address has a number of its own, behind those of all addresses. By
    such a number, ``at`` holds its address' id, and ``texts`` what it is called.
    """

    joined: dict[int, int] = field(default_factory=dict)
    at: dict[int, int] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    #: by what a client is called: its address, and its container
    named: dict[str, tuple[str, str]] = field(default_factory=dict)
    pods: dict[bytes, Pod] = field(default_factory=dict)  # by the same, packed
    #: by the same, of containers that share an address: the pod, or the address of one unknown
    pod_of: dict[str, str] = field(default_factory=dict)

    def told(self, rows: Sequence[Row]) -> tuple[Row, ...]:
        """Return rows of clients with their plain addresses and their containers."""
        if not self.named:
            return tuple(rows)
        out = []
        for row in rows:
            if row.client_addr in self.named:
                address, container = self.named[row.client_addr]
                row = replace(row, client_addr=address, container=container)
            out.append(row)
        return tuple(out)


def find_containers(
    interners: Interners, sizes: Mapping[int, int], families: Mapping[int, int], cluster: Cluster
) -> Containers:
    """Say who the clients are where comments name containers.

    ``sizes`` counts exchanges by client id; ``families`` maps IPv6 addresses to the IPv4 addresses
    of the same clients; ``cluster`` knows more of pods.
    """
    out = Containers(joined=dict(families))
    if not interners.owners:
        return out
    of_servers = _of_servers(interners)
    at: dict[int, list[int]] = defaultdict(list)
    for number, owner in sorted(interners.owners.items()):
        address = families.get(owner.client, owner.client)
        at[address].append(number)
    pods = {(p.namespace, p.name): p for known in cluster.pods.values() for p in known}
    next_number = len(interners.addresses)
    for address, numbers in sorted(at.items()):
        owners = {n: interners.owners[n] for n in numbers if n not in of_servers}
        groups = _groups(owners)
        labels = _labels([[owners[n] for n in group] for group in groups])
        rest = set(numbers).difference(*groups)
        addresses = [address, *(v6 for v6, v4 in families.items() if v4 == address)]
        text = address_text(interners.addresses[address])
        at_address = None
        if interners.addresses[address] not in cluster.nodes:
            at_address = cluster.pod_at(interners.addresses[address], None)
        without = sum(sizes.get(n, 0) for n in (*rest, *addresses))
        total = without + sum(sizes.get(n, 0) for group in groups for n in group)
        alone = len(groups) == 1 and without * _WITHOUT_COMMENT < total
        for number in rest:
            out.joined[number] = address
        for group, label in zip(groups, labels, strict=True):
            client, called = address, text
            if not alone:
                client, called = next_number, f"{text} ({label})"
                next_number += 1
                out.at[client], out.texts[client] = address, called
            out.joined.update(dict.fromkeys(group, client))
            out.named[called] = text, label
            pod = _pod([owners[n] for n in group], pods) or at_address
            if pod is not None:
                out.pods[packed(called)] = pod
            if not alone:
                out.pod_of[called] = text if pod is None else pod.title
        if not groups and (pod := _pod(list(owners.values()), pods)) is not None:
            out.pods[packed(text)] = pod
    return out


def _of_servers(interners: Interners) -> Set[int]:
    """Return the containers at addresses that are not shown to be theirs."""
    units: dict[object, list[int]] = defaultdict(list)
    for number, owner in interners.owners.items():
        address = interners.addresses[owner.client]
        key = owner.namespace, owner.pod, owner.container, owner.container_id
        if (owner.pod or owner.container_id) and not ip_address(address).is_loopback:
            units[key, len(address)].append(number)
    out: set[int] = set()
    for numbers in units.values():
        owners = [interners.owners[n] for n in numbers]
        if len({o.client for o in owners}) > 1:
            sure = {o.client for o in owners if o.sure}
            out.update(
                n
                for n, o in zip(numbers, owners, strict=True)
                if len(sure) != 1 or o.client not in sure
            )
    return out


def _groups(owners: Mapping[int, Owner]) -> list[list[int]]:
    """Return the ids that are of one container each, in the order of their first."""
    group_of: dict[object, list[int]] = {}
    groups: list[list[int]] = []
    for number, owner in owners.items():
        if not owner.container and not owner.container_id:
            continue
        keys: list[object] = []
        if owner.container_id:
            keys.append(owner.container_id)
        if owner.container and (owner.pod or not owner.container_id):
            keys.append((owner.namespace, owner.pod, owner.container))
        mine = [number]
        for known in [group_of[key] for key in keys if key in group_of]:
            if known is not mine:
                mine = sorted({*mine, *known})
                groups = [g for g in groups if g is not known]
                group_of = {k: (mine if g is known else g) for k, g in group_of.items()}
        group_of |= dict.fromkeys(keys, mine)
        groups = [g for g in groups if not set(g) <= set(mine)] + [mine]
    groups.sort()
    return _with_less_said(owners, groups)


def _with_less_said(owners: Mapping[int, Owner], groups: list[list[int]]) -> list[list[int]]:
    """Join what is said of a container's name, or of its pod alone, to the only one of that."""
    out = [list(g) for g in groups]
    for group in groups:
        only = [owners[n] for n in group]
        if any(o.pod or o.container_id for o in only):
            continue
        others = [
            g
            for g in out
            if g != group and any(owners[n].container == only[0].container for n in g)
        ]
        if len(others) == 1:
            others[0].extend(group)
            out.remove(group)
    for number, owner in owners.items():
        if not owner.container and not owner.container_id:
            pod = owner.namespace, owner.pod
            of_pod = [g for g in out if any((owners[n].namespace, owners[n].pod) == pod for n in g)]
            if len(of_pod) == 1:
                of_pod[0].append(number)
    return out


def _first(owners: Sequence[Owner], what: str) -> str | None:
    return next((value for o in owners if (value := getattr(o, what))), None)


def _labels(groups: Sequence[Sequence[Owner]]) -> list[str]:
    """Return what each container at one address is called there, as short as tells them apart."""
    labels: list[str] = []
    for words in (("container",), ("pod", "container"), ("namespace", "pod", "container")):
        labels = []
        for owners in groups:
            number = (_first(owners, "container_id") or "")[:_SHORT_ID]
            said = [_first(owners, word) for word in words[:-1]]
            said.append(_first(owners, "container") or number)
            labels.append("/".join(word for word in said if word))
        if len(set(labels)) == len(labels):
            return labels
    return [
        f"{label} {(_first(owners, 'container_id') or str(n))[:_SHORT_ID]}"
        for n, (label, owners) in enumerate(zip(labels, groups, strict=True), 1)
    ]


def _pod(owners: Sequence[Owner], known: Mapping[tuple[str | None, str], Pod]) -> Pod | None:
    """Return the pod that some comments name, if they name one."""
    names = {(o.namespace, o.pod) for o in owners if o.pod is not None}
    whole = {n for n in names if n[0] is not None} or names
    if len(whole) != 1:
        return None
    namespace, name = whole.pop()
    assert name is not None
    return known.get((namespace, name)) or Pod(name, namespace, None)
