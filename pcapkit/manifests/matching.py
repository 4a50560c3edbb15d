"""Which manifests a plan's subjects are: workloads by kind, name and namespace.

A client of which only the address or the namespace is known is looked for by the names that it
asked for: the one workload of its namespace that names most of them. That is a guess, and said.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from pcapkit.cluster.conventions import namespace_of
from pcapkit.manifests.helm import Chart, charts
from pcapkit.manifests.kustomize import Deployed, Kustomizations
from pcapkit.manifests.names import Text, find_names, texts_of_config_map, texts_of_workload
from pcapkit.manifests.objects import POD_TEMPLATE, Object
from pcapkit.manifests.tree import SourceFile, Tree
from pcapkit.model.clients import Client
from pcapkit.words import some

#: What generated names end in: letters and digits that Kubernetes' rand.SafeEncodeString leaves.
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
#: kind -> what its pods' names (or its own, where something else makes it) end in
_GENERATED: Mapping[str, str] = {
    "Deployment": rf"-{_RANDOM}{{6,10}}(?:-{_RANDOM}{{5}})?",
    "ReplicaSet": rf"-{_RANDOM}{{5}}",
    "ReplicationController": rf"-{_RANDOM}{{5}}",
    "DaemonSet": rf"-{_RANDOM}{{5}}",
    "StatefulSet": r"-\d+",
    "Job": rf"-{_RANDOM}{{5}}",
    "CronJob": rf"-\d{{8,10}}(?:-{_RANDOM}{{5}})?",
}


@dataclass(frozen=True, order=True)
class Use:
    """A workload as the capture knows it; ``kind`` None where nothing says it."""

    namespace: str
    name: str
    kind: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class ChartUse:
    """A chart that makes a workload, by these templates."""

    chart: Chart
    templates: tuple[SourceFile, ...]


Target = Deployed | ChartUse


@dataclass(frozen=True)
class Match:
    """What a subject was found to be; ``note`` says what was guessed, or not found.

    ``clients`` are those of the subject.
    """

    use: Use
    target: Target | None
    note: str = ""
    clients: tuple[Client, ...] = ()


class Matcher:
    """Finds subjects in a folder.

    ``clients`` are those that the plan was made for, ``known`` the same ones (in the same order)
    with all that is known of them now; ``asked`` are the names that each address asked for.
    """

    def __init__(
        self,
        tree: Tree,
        clients: Sequence[Client],
        asked: Mapping[str, frozenset[str]],
        known: Sequence[Client] | None = None,
    ) -> None:
        self._asked = asked
        known = clients if known is None else known
        self.uses = sorted({use for client in known if (use := _use(client)) is not None})
        self._clients: dict[str, list[Client]] = defaultdict(list)  # by subject and address
        for planned, now in zip(clients, known, strict=True):
            for subject in {_subject(planned), planned.client_addr}:
                self._clients[subject].append(now)
        self.kustomizations = Kustomizations(tree)
        deployed = list(self.kustomizations.deployed())
        self.workloads = [d for d in deployed if d.source.kind in POD_TEMPLATE]
        self._named: dict[str, list[Deployed]] = defaultdict(list)
        for workload in self.workloads:
            self._named[workload.name].append(workload)
        self.config_maps = [d for d in deployed if d.source.kind == "ConfigMap"]
        self._charts = list(charts(tree))
        names = frozenset(name for of in asked.values() for name in of)
        self._wanted = {name: name for name in names}
        self._mentions: dict[int, frozenset[str]] = {}
        self._maps: dict[int, list[Deployed]] = {}
        self._readers: dict[int, list[Deployed]] | None = None
        self._times = Counter(id(d.source.node) for d in (*self.workloads, *self.config_maps))

    # ---- subjects -------------------------------------------------------------------------------

    def subject(self, subject: str) -> Iterator[Match]:
        """Yield what a subject of a step is: a workload, or each client of a namespace."""
        found: dict[Use, Match] = {}
        for client in self._clients.get(subject, ()):
            match = self._client(client)
            match = found.setdefault(match.use, match)
            found[match.use] = replace(match, clients=(*match.clients, client))
        if found:
            yield from found.values()
            return
        namespace, slash, name = subject.partition("/")
        if slash:
            yield self.workload(Use(namespace, name))
        else:
            note = f"{subject}: the analysis has no client of that name"
            yield Match(Use(subject, "?"), None, note)

    def workload(self, use: Use) -> Match:
        """Find a workload by kind, name and namespace."""
        found = [w for w in self._named[use.name] if use.kind in (None, w.source.kind)]
        note = ""
        if not found:
            found = [w for w in self.workloads if _generated(w, use.name)]
            if found:
                note = f"{use} is taken for what {_who(found[0])} made: its name is generated"
        match = self._one(use, found)
        if match.target is not None:
            return Match(use, match.target, note or match.note)
        if any(w.namespace in (use.namespace, None) for w in found):
            return match
        chart = self._chart(use)
        return chart if chart.target is not None or not found else match

    def _client(self, client: Client) -> Match:
        """Find the workload of a client: by its name, by its pod's name, or by what it asked."""
        namespace = _namespace(client)
        if (known := _use(client)) is not None:
            return self.workload(known)
        if client.pod and namespace:
            use = Use(namespace, client.pod)
            found = [w for w in self.workloads if _generated(w, client.pod)]
            longest = max((len(w.name) for w in found), default=0)
            match = self._one(use, [w for w in found if len(w.name) == longest])
            if match.target is not None:
                return match
        return self._guess(client, namespace)

    # ---- the one of several ---------------------------------------------------------------------

    def _one(self, use: Use, found: Sequence[Deployed]) -> Match:
        """Choose by namespace: the one that names it, else one that leaves it open."""
        mine = [w for w in found if w.namespace == use.namespace]
        note = ""
        if not mine:
            mine = [w for w in found if w.namespace is None]
            if len(mine) > 1:
                inside = [w for w in mine if use.namespace in _folders(w)]
                if len(inside) == 1:
                    mine = inside
                    note = (
                        f"{use} is guessed to be {_who(mine[0])}: the manifest names no namespace, "
                        "its folder does"
                    )
        if len(mine) == 1:
            return Match(use, mine[0], note)
        kind = use.kind or "workload"
        if mine:
            where = some([w.where for w in mine])
            return Match(use, None, f"{use}: {len(mine)} manifests could be this {kind}: {where}")
        return Match(use, None, self._missing(use, found))

    def _missing(self, use: Use, elsewhere: Sequence[Deployed] = ()) -> str:
        sought = (
            f"{use}: not found: looked for a {use.kind or 'workload'} named {use.name!r} in "
            f"namespace {use.namespace!r}"
        )
        if elsewhere:
            spaces = some([f"{w.namespace} ({w.source.where})" for w in elsewhere])
            return f"{sought}; there is one in namespace {spaces}"
        if others := self._named[use.name]:
            return f"{sought}; there is a {others[0].source.kind} ({others[0].source.where})"
        return sought

    def _chart(self, use: Use) -> Match:
        found = []
        for chart in self._charts:
            if templates := chart.templates_of(use.name, use.kind):
                found.append(ChartUse(chart, templates))
        exact = [c for c in found if use.name in (c.chart.name, f"{use.namespace}-{c.chart.name}")]
        found = exact or found
        if len(found) > 1:
            longest = max(len(c.chart.name) for c in found)
            found = [c for c in found if len(c.chart.name) == longest]
        if len(found) == 1:
            where = found[0].templates[0].path
            return Match(use, found[0], f"{use} is guessed to come from the chart of {where}")
        if found:
            where = some([c.templates[0].path for c in found])
            return Match(use, None, f"{use}: several charts could make it: {where}")
        return Match(use, None, self._missing(use))

    # ---- guesses --------------------------------------------------------------------------------

    def _guess(self, client: Client, namespace: str | None) -> Match:
        address = client.client_addr
        use = Use(namespace or "?", client.pod or address)
        asked = self._asked.get(address, frozenset())
        who = f"{address} (namespace {namespace})" if namespace else address
        here = [w for w in self.workloads if namespace is None or w.namespace in (namespace, None)]
        scored = [(len(asked & self.mentions(w)), w) for w in here]
        most = max((score for score, _ in scored), default=0)
        best = [w for score, w in scored if score == most]
        if not most:
            return Match(
                use,
                None,
                f"{who}: not found: no workload of this namespace names any of the "
                f"{len(asked)} names that it asked for; --pods says who it is",
            )
        if len(best) > 1:
            where = some([_who(w) for w in best])
            return Match(
                use, None, f"{who}: not found: {where} name as many of its names; --pods says which"
            )
        name = f"{len(asked & self.mentions(best[0]))} of the names that it asked for"
        return Match(
            use,
            best[0],
            f"{who} is guessed to be {_who(best[0])}, which has {name}; --pods would say it",
        )

    def mentions(self, one: Deployed) -> frozenset[str]:
        """Return which of the names asked for a workload has in its settings."""
        found = self._mentions.get(id(one))
        if found is None:
            texts = [t for t, _ in self.texts(one)]
            found = frozenset(name for t in texts for name in _mentioned(t, self._wanted))
            self._mentions[id(one)] = found
        return found

    def texts(self, one: Deployed) -> Iterator[tuple[Text, Object]]:
        """Yield the values of a workload, and of its ConfigMaps, with what they are of.

        Those of an overlay's patches come first, and hide the variables that they set anew.
        """
        hidden: set[tuple[tuple[str, str] | None, str]] = set()
        for patch in self.kustomizations.patches_of(one) if one.overlay else ():
            for text in texts_of_workload(patch):
                hidden.add((text.container, text.key))
                yield text, patch
        for text in texts_of_workload(one.source):
            if text.container is None or (text.container, text.key) not in hidden:
                yield text, one.source
        for config_map in self._maps_of(one):
            for text in texts_of_config_map(config_map.source):
                yield text, config_map.source

    def _maps_of(self, one: Deployed) -> list[Deployed]:
        """Return the ConfigMaps that a workload reads, where it is clear which they are."""
        if (known := self._maps.get(id(one))) is not None:
            return known
        out: list[Deployed] = []
        self._maps[id(one)] = out
        for name in sorted(one.source.config_maps()):
            named = [
                m
                for m in self.config_maps
                if m.source.name == name and (m.namespace is None or m.namespace == one.namespace)
            ]
            for near in (
                [m for m in named if m.source.file.path == one.source.file.path],
                [m for m in named if m.source.file.folder == one.source.file.folder],
                named,
            ):
                sources = {id(m.source.node): m for m in near}
                if len(sources) == 1:
                    out += sources.values()
                    break
        return out

    def readers(self, config_map: Object) -> list[Deployed]:
        """Return the workloads that read a ConfigMap."""
        if self._readers is None:
            self._readers = defaultdict(list)
            for workload in self.workloads:
                for one in self._maps_of(workload):
                    self._readers[id(one.source.node)].append(workload)
        return self._readers.get(id(config_map.node), [])

    def times_deployed(self, one: Object) -> int:
        """Return how often the manifest of a workload or ConfigMap is deployed."""
        return self._times[id(one.node)]


def _mentioned(text: Text, names: Mapping[str, str]) -> Iterator[str]:
    value = str(text.node.value).lower()
    if value in names:
        yield value
        return
    yield from (found.name for found in find_names(text, names))


def _namespace(client: Client) -> str | None:
    return client.namespace or namespace_of(client.search)


def _use(client: Client) -> Use | None:
    """Return the workload of a client, where it is known by name."""
    namespace = _namespace(client)
    if namespace is None or not client.workload:
        return None
    return Use(namespace, client.workload, client.workload_kind)


def _subject(client: Client) -> str:
    """Return what a plan calls a client: its workload, else its namespace, else its address."""
    use = _use(client)
    return str(use) if use is not None else _namespace(client) or client.client_addr


def _folders(one: Deployed) -> tuple[str, ...]:
    overlay = one.overlay.folder if one.overlay else one.source.file.folder
    return PurePosixPath(overlay).parts


def _who(one: Deployed) -> str:
    return f"{one.source.kind} {one.name} ({one.where})"


def _generated(one: Deployed, name: str) -> bool:
    """Could a workload have made a pod, or another workload, of this name?"""
    if one.name.endswith("-") and name.startswith(one.name):  # metadata.generateName
        return True
    if one.source.kind == "Pod" or not name.startswith(one.name):
        return one.name == name
    ending = _GENERATED[one.source.kind]
    return re.fullmatch(re.escape(one.name) + ending, name) is not None
