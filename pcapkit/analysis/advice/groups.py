"""Clients whose verdicts and changes are alike, brought together to be advised as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.analysis.whatif.settings import IN_FORCE, Replayed
from pcapkit.analysis.whatif.verdicts import WhatIfResult
from pcapkit.cluster.conventions import namespace_of
from pcapkit.model.clients import Client
from pcapkit.model.results import Name, Recommendation, WhatIf
from pcapkit.names.labels import Labels, join


@dataclass(frozen=True, slots=True)
class Counted:
    """What advice is drawn from."""

    result: WhatIfResult
    names: Sequence[Name]
    clients: Sequence[Client]
    zones: Sequence[Labels]
    queries: int  # of complete lookups
    wildcards: tuple[str, ...] = ()  #: suffixes under which a wildcard record answers
    #: by what a client is called: the pod whose dnsConfig it shares with other containers
    pods: Mapping[str, str] = field(default_factory=dict)

    def by_wildcard(self, fqdn: str) -> bool:
        """Is this the name under which a wildcard answered: the host that nobody meant?"""
        return any(fqdn.endswith(f".{suffix}.") for suffix in self.wildcards)

    def together(self) -> Iterator[list[int]]:
        """Yield clients that have one dnsConfig: mostly each by itself."""
        if not self.pods:
            yield from ([i] for i in self.result.members.tolist())
            return
        of_pod: dict[object, list[int]] = defaultdict(list)
        for i in self.result.members.tolist():
            of_pod[self.pods.get(self.result.addresses[i], i)].append(i)
        yield from of_pod.values()

    def advice(
        self,
        code: str,
        target: str,
        action: str,
        row: WhatIf,
        *,
        members: Matrix,
        reasons: Sequence[str] = (),
        ndots: int | None = None,
        texts: Mapping[str, str],
    ) -> Recommendation:
        """Return advice that changes the settings of some clients to those of ``row``."""
        now = self.result.total(members, IN_FORCE)
        saved_s = None
        if row.lookups_s is not None:
            saved_s = max(0.0, now["time_ns"] / 1e9 - row.lookups_s)
        saved = max(0, now["queries"] - row.queries)
        return Recommendation(
            code,
            target,
            ndots,
            action,
            saved,
            self.share(saved),
            row.safety,
            (*reasons, *row.reasons),
            self.result.coverage(members),
            next(iter(texts.values())),
            tuple(sorted({self.result.addresses[i] for i in members.tolist()})),
            max(0, now["upstream"] - row.upstream_queries),
            saved_s,
            dict(texts),
        )

    def share(self, saved: int) -> float:
        """Return saved queries over the queries of complete lookups."""
        return min(1.0, saved / self.queries) if self.queries else 0.0


@dataclass(frozen=True, slots=True)
class _Group:
    """Clients that one piece of advice is for."""

    target: str
    owner: str  # the namespace, or workload
    namespace: str | None
    members: Matrix
    alone: bool  # the target is the address of its one client
    ndots: int | None  # in force, where it tells the group from others of its namespace

    @property
    def who(self) -> str:
        """The clients in words."""
        if self.alone:
            return f"the workload behind {self.target}"
        count = self.members.size
        who = f"{count} client{'s' if count > 1 else ''} of {self.owner}"
        return who if self.ndots is None else f"{who} whose ndots is {self.ndots}"


def _groups(counted: Counted, choice: Mapping[int, Replayed]) -> list[tuple[Replayed, _Group]]:
    """Group clients of one workload or namespace whose settings, and best choice, are the same."""
    result = counted.result
    workloads = {c.client_addr: c for c in counted.clients}
    together: dict[tuple[str | None, str | None, int, int, Replayed], list[int]] = defaultdict(list)
    for i, best in choice.items():
        reading, client = result.clients[i], workloads.get(result.addresses[i])
        space = client.namespace if client else None
        space = space or namespace_of([join(s) for s in reading.search.suffixes[:1]])
        workload = client.workload if client else None
        own = i if space is None else -1
        together[space, workload, own, reading.ndots.value, best].append(i)
    several: dict[tuple[str | None, str | None], int] = defaultdict(int)
    for space, workload, *_ in together:
        several[space, workload] += 1
    out = []
    for (space, workload, _, ndots, best), members in together.items():
        target = f"{space}/{workload}" if workload else space
        owner = target or ""
        alone = target is None or (len(members) == 1 and not workload)
        one_of = not alone and several[space, workload] > 1
        if alone:
            target = result.addresses[members[0]]
        elif one_of:
            target = f"{owner} (ndots {ndots} now)"
        out.append(
            (
                best,
                _Group(
                    target or "", owner, space, np.array(members), alone, ndots if one_of else None
                ),
            )
        )
    return out


def judge_groups(
    counted: Counted, choice: Mapping[int, Replayed]
) -> Iterator[tuple[Replayed, _Group, WhatIf]]:
    """Yield groups of clients, what was chosen for each, and what comes of it."""
    groups = _groups(counted, choice)
    rows: dict[int, WhatIf] = {}
    for chosen in dict.fromkeys(choice.values()):
        mine = [n for n, (its, _) in enumerate(groups) if its is chosen]
        members = [groups[n][1].members for n in mine]
        rows |= zip(mine, counted.result.judged(members, chosen), strict=True)
    for n, (chosen, group) in enumerate(groups):
        yield chosen, group, rows[n]
