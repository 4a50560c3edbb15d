"""What ``fix`` takes of an analysis, saved or not: its plans, its clients, what they asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pcapkit.batch.sides import Side, load_saved
from pcapkit.cluster.clients import name_pods
from pcapkit.cluster.nameservers import Nameservers, known_nameservers
from pcapkit.errors import UsageError
from pcapkit.model.clients import Client
from pcapkit.model.comparison import is_saved
from pcapkit.model.plans import Plan, PlanKind
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.hooks import Hooks
from pcapkit.pipeline.options import Options


@dataclass(frozen=True, slots=True)
class Planned:
    """Plans, and the clients that they are for; ``asked`` are names by a client's address.

    ``known`` are the clients with what ``--pods`` says of them, in the same order.
    """

    plans: tuple[Plan, ...]
    clients: tuple[Client, ...]
    known: tuple[Client, ...]
    asked: dict[str, frozenset[str]]
    warnings: tuple[str, ...]
    nameservers: Nameservers

    def plan(self, kind: PlanKind) -> Plan | None:
        """Return the plan of the whole capture."""
        return next((p for p in self.plans if p.subject is None and p.kind is kind), None)


def load_planned(paths: Sequence[str], *, options: Options, hooks: Hooks | None = None) -> Planned:
    """Return the plans of captures read as one, or of one saved analysis.

    Raises InputError, and UsageError where a saved analysis is one of several inputs.
    """
    saved = [path for path in paths if is_saved(path)]
    if saved and len(paths) > 1:
        raise UsageError(f"{saved[0]} is a saved analysis: give it alone, or captures")
    if saved:
        side = load_saved(saved[0])
        known = name_pods(side.clients, options.pods, {})
        asked = _asked_in_plans(side)
        servers = known_nameservers(side.vantage, known, options.pods)
        return Planned(side.plans, side.clients, known, asked, side.warnings, servers)
    analysis = analyze(*paths, options=options, hooks=hooks)
    asked = names_asked(analysis) if analysis.plans else {}
    clients = analysis.client_rows
    servers = known_nameservers(analysis.vantage, clients, options.pods)
    return Planned(analysis.plans, clients, clients, asked, analysis.warnings, servers)


def names_asked(analysis: Analysis) -> dict[str, frozenset[str]]:
    """Return the base names that each client asked for, by its address."""
    asked: dict[str, set[str]] = defaultdict(set)
    for frame in analysis.table_parts("lookups"):
        seen = frame[["client_addr", "base_name"]].drop_duplicates()
        for address, name in seen.itertuples(index=False):
            asked[str(address)].add(str(name))
    return {address: frozenset(names) for address, names in asked.items()}


def _asked_in_plans(side: Side) -> dict[str, frozenset[str]]:
    """Return the names that the plans say of each client; all names where there is one client."""
    addresses = {c.client_addr for c in side.clients}
    if len(addresses) == 1:
        return {address: frozenset(n.base_name for n in side.names) for address in addresses}
    asked: dict[str, set[str]] = defaultdict(set)
    for plan in side.plans:
        for step in plan.steps:
            names = {*step.names, *([step.name] if step.name else [])}
            for client in side.clients:
                mine = {
                    client.client_addr,
                    client.namespace,
                    f"{client.namespace}/{client.workload}",
                }
                if mine & set(step.subjects):
                    asked[client.client_addr] |= names
    return {address: frozenset(names) for address, names in asked.items()}
