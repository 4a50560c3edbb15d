"""Advice, ranked by the queries it saves, with its safety and what it rests on.

``RECOMMENDERS`` is the table: each takes what was counted and returns its advice. Clients of one
namespace (or workload) with the same settings get one piece of advice where the same ndots is best
for them. Savings are of one piece of advice alone: those of several do not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from pcapkit.analysis.advice import patches
from pcapkit.analysis.advice.groups import Counted, judge_groups
from pcapkit.analysis.lookups.reading import ClientReading
from pcapkit.analysis.whatif.settings import (
    AUTOPATH,
    CACHE,
    FQDN_NDOTS,
    IN_FORCE,
    MOST_NDOTS,
    NDOTS,
    NO_AAAA,
    TLS,
    Replayed,
)
from pcapkit.analysis.whatif.verdicts import WhatIfResult
from pcapkit.model.clients import Client
from pcapkit.model.results import Name, Recommendation, WasteCounts
from pcapkit.model.vocabulary import Safety
from pcapkit.names.labels import Labels, join
from pcapkit.resolver.models import resolver_model

#: Below this share of waste a capture is healthy and needs no advice.
HEALTHY_SHARE = 0.05
#: Advice that saves less than this share of the queries is not worth a change.
WORTH_SHARE = 0.01
_SAVES_ENOUGH = 0.5  # of what a setting to be reviewed saves, for a safe one to be preferred


def _set_ndots(counted: Counted) -> list[Recommendation]:
    """Advise the ndots that saves most and harms no name; else one with some names in full."""
    result = counted.result
    best: dict[int, Replayed] = {}
    sent = result.queries(IN_FORCE)
    sent_by_ndots = [result.queries(s) for s in NDOTS]
    in_part = [(s, result.queries(s)) for s in reversed(FQDN_NDOTS)]
    safe, unmarked = result.safe_ndots().tolist(), result.unmarked_ndots().tolist()
    for clients in counted.together():
        mates = [i for i in clients if _searches(result.clients[i])]
        if any(result.addresses[i] in result.mixtures for i in mates):
            continue  # one resolver's rules say nothing of what the others would send
        ndots = min((result.clients[i].ndots.value for i in mates), default=0)
        saves = {
            n: sum(sent[i] - sent_by_ndots[n][i] for i in mates)
            for n in range(1, min(ndots, MOST_NDOTS + 1))
            if all(safe[i][n] for i in mates)
        }
        chosen = _choose(saves, {n for n in saves if all(unmarked[i][n] for i in mates)})
        if chosen is not None:
            best |= dict.fromkeys(mates, NDOTS[chosen])
            continue
        fewest = sum(sent[i] for i in mates)
        for choice, by_client in in_part:
            queries = sum(by_client[i] for i in mates)
            if (choice.ndots or 0) < ndots and queries < fewest:
                fewest = queries
                best |= dict.fromkeys(mates, choice)
    out = []
    for choice, group, row in judge_groups(counted, best):
        assert choice.ndots is not None
        action = f"Set ndots to {choice.ndots} for {group.who}."
        if choice in FQDN_NDOTS:
            names = result.affected_by(group.members, choice)
            action = (
                f"Set ndots to {choice.ndots} for {group.who}, and write {len(names)} of its names "
                "in full."
            )
        kept = () if row.reasons else ("every name seen still resolves, and to the same name",)
        texts = patches.option_patches(group.namespace, (("ndots", str(choice.ndots)),))
        out.append(
            counted.advice(
                "set_ndots",
                group.target,
                action,
                row,
                members=group.members,
                reasons=kept,
                ndots=choice.ndots,
                texts=texts,
            )
        )
    return out


def _searches(reading: ClientReading) -> bool:
    """Does ndots decide what this client asks?"""
    model = resolver_model(reading.resolver.rules)
    return bool(reading.search.suffixes) and model.searches and model.searches_dotted


def _choose(saves: Mapping[int, int], safe: set[int]) -> int | None:
    """Return the ndots to advise: the largest saving, a safe one where it saves half as much."""
    most = max(saves.values(), default=0)
    if most <= 0:
        return None
    for allowed in (safe, set(saves)):
        top = max((saves[n] for n in allowed), default=0)
        if top > 0 and top >= _SAVES_ENOUGH * most:
            return max(n for n in allowed if saves[n] == top)
    return None


def _names_in_full(counted: Counted) -> list[Recommendation]:
    """Advise to write the names that cost most in full, with their final dots."""
    costly = counted.result.costly_names()
    known: dict[str, list[Name]] = {cost.name: [] for cost in costly}
    for name in counted.names:
        if name.base_name in known and name.fqdn is not None:
            known[name.base_name].append(name)
    members = counted.result.members
    coverage, thin = counted.result.coverage(members), counted.result.thin(members)
    out = []
    for cost in costly:
        rows = known[cost.name]
        if len(rows) != 1:  # another host in each namespace, or none at all
            continue
        name, full = rows[0], rows[0].fqdn or ""
        if counted.by_wildcard(full):
            continue
        cluster = name.kind == "cluster"
        reasons = [
            "the full name needs its final dot, or ndots of 4 or less" if cluster else TLS,
            "counted alone: with a lower ndots there is less to save",
        ]
        saved = cost.queries - cost.queries_in_full
        saved_s = cost.time_s - cost.time_in_full_s if coverage.duration_s is not None else None
        text = patches.replacements({cost.name: full})
        out.append(
            Recommendation(
                "full_service_name" if cluster else "use_fqdn",
                cost.name,
                None,
                f"Write {full} (with the final dot) instead of {cost.name}.",
                saved,
                counted.share(saved),
                Safety.REVIEW,
                (*reasons, *([thin] if thin else [])),
                coverage,
                text,
                (),
                max(0, cost.upstream - cost.upstream_in_full),
                None if saved_s is None else max(0.0, saved_s),
                {"list": text},
            )
        )
    return out


def _drop_suffix(counted: Counted) -> list[Recommendation]:
    """Advise to drop suffixes of the node's that answered nothing."""
    out = []
    members = counted.result.members
    for row in counted.result.dropped:
        suffix = row.setting.suffix or ""
        inside = any(suffix == join(z) or suffix.endswith("." + join(z)) for z in counted.zones)
        if row.safety is Safety.UNSAFE or inside:
            continue
        out.append(
            counted.advice(
                "drop_suffix",
                suffix,
                f"Take {suffix} out of the search list: nothing was ever answered under it.",
                row,
                members=members,
                texts={"kubelet": patches.kubelet_resolv_conf()},
            )
        )
    return out


def _no_aaaa(counted: Counted) -> list[Recommendation]:
    """Advise glibc clients to ask no AAAA where none was ever answered."""
    result = counted.result
    if result.ipv6_answers:
        return []
    able = {
        i: NO_AAAA
        for i in result.members.tolist()
        if "no-aaaa" in resolver_model(result.clients[i].resolver.rules).options
    }
    out = []
    for _, group, row in judge_groups(counted, able):
        texts = patches.option_patches(group.namespace, (("no-aaaa", None),))
        texts["coredns"] = patches.coredns_no_aaaa()
        out.append(
            counted.advice(
                "no_aaaa",
                group.target,
                f"Ask no AAAA in {group.who}: none was answered.",
                row,
                members=group.members,
                texts=texts,
            )
        )
    return out


def _cache(counted: Counted) -> list[Recommendation]:
    """Advise a cache on each node where clients repeat what was just answered."""
    members = counted.result.members
    row = counted.result.row(members, CACHE)
    return [
        counted.advice(
            "cache",
            "cluster",
            "Keep answers on each node (NodeLocal DNSCache).",
            row,
            members=members,
            texts={"coredns": patches.coredns_cache()},
            reasons=("counted as a cache beside each client; one that clients share saves more",),
        )
    ]


def _autopath(counted: Counted) -> list[Recommendation]:
    """Advise that the cluster DNS walks the list itself, where no wildcard would stop it."""
    if counted.wildcards:
        return []
    members = counted.result.members
    zone = join(counted.zones[0])
    row = counted.result.row(members, AUTOPATH)
    return [
        counted.advice(
            "enable_autopath",
            "cluster",
            "Let CoreDNS walk the search list (plugin autopath).",
            row,
            members=members,
            texts={"coredns": patches.coredns_autopath(zone)},
        )
    ]


#: (what it advises, least share of the queries that it must save, rank among the others)
RECOMMENDERS: tuple[tuple[Callable[[Counted], list[Recommendation]], float, int], ...] = (
    (_set_ndots, 0.0, 0),
    (_names_in_full, 0.0, 0),
    (_drop_suffix, WORTH_SHARE, 1),
    (_no_aaaa, 5 * WORTH_SHARE, 1),
    (_cache, 10 * WORTH_SHARE, 2),
    (_autopath, 10 * WORTH_SHARE, 3),
)


def recommend(
    result: WhatIfResult,
    clients: Sequence[Client],
    names: Sequence[Name],
    waste: WasteCounts,
    zones: Sequence[Labels],
    wildcards: Collection[str] = (),
    pods: Mapping[str, str] | None = None,
) -> tuple[Recommendation, ...]:
    """Return the advice; none for a healthy capture, none that makes a fault permanent.

    ``wildcards`` are suffixes under which a wildcard record answers; ``pods`` says of clients that
    are containers of one pod which that is.
    """
    if waste.share < HEALTHY_SHARE or not result.members.size:
        return ()
    counted = Counted(
        result,
        names,
        clients,
        zones,
        waste.queries - waste.by_class["incomplete"],
        tuple(sorted(wildcards)),
        pods or {},
    )
    ranked = [
        (rank, -a.saves_queries, a.code, a.target, a)
        for recommender, least, rank in RECOMMENDERS
        for a in recommender(counted)
        if a.saves_queries > 0 and a.saves_share >= least and a.safety is not Safety.UNSAFE
    ]
    return tuple(a for *_, a in sorted(ranked, key=lambda r: r[:4]))
