"""Whom a plan may change: workloads where they are known, else namespaces, else clients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pcapkit.analysis.advice.groups import Counted
from pcapkit.analysis.lookups.reading import ClientReading
from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.analysis.whatif.verdicts import WhatIfResult
from pcapkit.cluster.conventions import namespace_of
from pcapkit.model.clients import Client
from pcapkit.model.plans import Coverage
from pcapkit.names.labels import join
from pcapkit.resolver.models import resolver_model


@dataclass(frozen=True)
class Subject:
    """One dnsConfig, and the clients that have it: a workload, a namespace or one client.

    ``everyone`` are indexes of ``WhatIfResult.clients``; ``members`` those of them that search, and
    are not several resolvers at one address: a plan changes nothing for the others. ``today`` are
    the values of ndots that the members have now, in their last periods.
    """

    title: str
    everyone: Matrix
    members: Matrix
    addresses: tuple[str, ...]  # of the members
    today: frozenset[int]
    most_ndots: int  # in any of their periods
    is_known: bool  # are the rules of all its resolvers known?
    asks_dotted_as_is_first: bool
    #: suffixes of its members' search lists under which nothing is ever answered
    idle: tuple[str, ...]
    counted: Counted

    @cached_property
    def coverage(self) -> Coverage:
        """What a verdict over its members rests on."""
        return self.counted.result.coverage(self.members)

    @cached_property
    def thin(self) -> str | None:
        """How thin the capture is for its members; None where it is not."""
        return self.counted.result.thin(self.members)

    @property
    def ndots(self) -> int:
        """The largest ndots that its members have now."""
        return max(self.today, default=0)


def _title(space: str | None, client: Client | None, address: str) -> str:
    workload = client.workload if client else None
    if space is None:
        return address
    return f"{space}/{workload}" if workload else space


def subjects_of(counted: Counted) -> list[Subject]:
    """Return the subjects of all clients that have complete lookups, by their titles' bytes."""
    result = counted.result
    known: Mapping[str, Client] = {c.client_addr: c for c in counted.clients}
    together: dict[str, list[int]] = defaultdict(list)
    last: dict[str, int] = {}
    for i in result.members.tolist():
        address = result.addresses[i]
        client = known.get(address)
        space = client.namespace if client else None
        space = space or namespace_of([join(s) for s in result.clients[i].search.suffixes[:1]])
        together[_title(space, client, address)].append(i)
        last[address] = i
    out = []
    for title in sorted(together, key=lambda t: t.encode("utf-8", "surrogateescape")):
        everyone = together[title]
        members = [i for i in everyone if _can_change(counted, i)]
        readings = [result.clients[i] for i in members]
        models = [resolver_model(m) for m in {r.resolver.rules for r in readings}]
        addresses = tuple(dict.fromkeys(result.addresses[i] for i in members))
        now = (result.clients[i].ndots.value for i in (last[a] for a in addresses))
        out.append(
            Subject(
                title,
                np.array(everyone),
                np.array(members, np.int64),
                addresses,
                frozenset(now),
                max((r.ndots.value for r in readings), default=0),
                all(m.is_known for m in models),
                all(m.asks_dotted_as_is_first for m in models),
                _idle(result, readings),
                counted,
            )
        )
    return out


def _idle(result: WhatIfResult, readings: Sequence[ClientReading]) -> tuple[str, ...]:
    """Return the suffixes that these clients could do without, in the order of their lists."""
    lists = dict.fromkeys(r.search.suffixes for r in readings)
    return tuple(dict.fromkeys(join(s) for known in lists for s in known if s in result.idle))


def _can_change(counted: Counted, client: int) -> bool:
    reading = counted.result.clients[client]
    if counted.result.addresses[client] in counted.result.mixtures:
        return False  # one resolver's rules say nothing of what the others would send
    return bool(reading.search.suffixes) and resolver_model(reading.resolver.rules).searches
