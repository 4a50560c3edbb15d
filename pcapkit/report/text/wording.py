"""Words and figures that every form of a report says alike: page, terminal, Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from pcapkit.model.results import Finding, Recommendation, Results, WhatIf
from pcapkit.model.settings import Change, Setting
from pcapkit.model.vocabulary import Certainty
from pcapkit.report.text.formatting import number, percent, printable
from pcapkit.words import counted, seconds

#: A distribution of fewer points says nothing, and is not drawn.
FEWEST = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """One large figure: what it is, its value, and a note below it."""

    label: str
    value: str
    note: str


def judged_queries(analysis: Results) -> int:
    """Return the queries of complete lookups, which every share is of."""
    return analysis.waste.queries - analysis.waste.by_class["incomplete"]


def client_names(analysis: Results) -> dict[tuple[str | None, str | None], str]:
    """Return what clients are called, by address and container: the one, or both where need be.

    So they are called in findings, advice and charts.
    """
    containers: dict[str, set[str | None]] = defaultdict(set)
    for row in analysis.client_rows:
        containers[row.client_addr].add(row.container)
    return {
        (address, container): f"{address} ({container})"
        if container is not None and len(there) > 1
        else address
        for address, there in containers.items()
        for container in there
    }


def client_texts(analysis: Results) -> dict[str, str]:
    """Return what clients are called with the workload, or else the pod, where that is known."""
    out, names = {}, client_names(analysis)
    for row in analysis.client_rows:
        name = row.workload or row.pod
        title = f"{row.namespace}/{name}" if name and row.namespace else name
        called = names[row.client_addr, row.container]
        out[called] = called + (f" ({printable(title)})" if title else "")
    return out


def action_text(advice: Recommendation, clients: Mapping[str, str]) -> str:
    """Return the action, with the workload of the client it is about (see ``client_texts``)."""
    who = clients.get(advice.target)
    return printable(advice.action if who is None else advice.action.replace(advice.target, who))


def lookups_text(count: int) -> str:
    """Return a count of lookups in words."""
    return counted(count, "lookup")


def queries_text(count: int) -> str:
    """Return a count of queries in words."""
    return f"{number(count)} quer{'y' if count == 1 else 'ies'}"


def certainty_text(finding: Finding) -> str:
    """Return how far a finding is proven, where something else may explain it; else nothing."""
    if finding.certainty is Certainty.SHOWN:
        return ""
    return "consistent with the traffic, not shown"


def figures(analysis: Results) -> list[Figure]:
    """Return the large figures under the headline."""
    waste, lookups = analysis.waste, analysis.lookup_counts
    of = "complete lookups’ queries" if waste.by_class["incomplete"] else "them"
    resolved = lookups.by_outcome["resolved"]
    has_clock = lookups.p50_s is not None
    lost, in_all = "–", "no search miss to time"
    if has_clock and waste.search_p50_s is not None:
        lost = seconds(waste.search_p50_s)
        in_all = f"half lost less; {seconds(waste.search_s)} in total"
    elif has_clock and resolved and not waste.wasted_queries:
        lost, in_all = "0 s", "no search miss"
    return [
        Figure("queries", number(waste.queries), f"in {lookups_text(lookups.total)}"),
        Figure("wasted", number(waste.wasted_queries), f"{percent(waste.share)} of {of}"),
        Figure("lost to search misses", lost, in_all),
        Figure(
            "unanswered",
            number(analysis.transaction_counts.by_outcome["unanswered"]),
            f"and {number(analysis.transaction_counts.retries)} retries",
        ),
    ]


def misses_text(search_s: float) -> str:
    """Return the time that search misses took; nothing where none of them could be timed alone."""
    return seconds(search_s) if search_s else ""


def is_assumed(value: float | None, row: WhatIf) -> bool:
    """Does a time under a setting rest on answers that nobody saw?"""
    return bool(value is not None and row.assumed_queries and not row.observed)


def predicted(value: float | None, row: WhatIf) -> str:
    """Return a time under a setting, with a mark where it rests on answers that nobody saw."""
    return seconds(value) + (" (assumed)" if is_assumed(value, row) else "")


def overall(analysis: Results) -> list[WhatIf]:
    """Return the what-if rows of all clients together."""
    return [row for row in analysis.what_if_rows if row.client_addr is None]


def setting_text(setting: Setting) -> str:
    """Return a setting as a reader would say it."""
    if setting.change is Change.FQDN and setting.names is not None:
        return f"final dot on the {setting.names} costliest names"
    return {
        Change.NOTHING: "now",
        Change.NDOTS: f"ndots {setting.ndots}",
        Change.FQDN: "final dot on every name",
        Change.FQDN_NDOTS: f"ndots {setting.ndots}, final dot where it would harm",
        Change.CLUSTER_FQDN: "cluster names written in full",
        Change.NO_AAAA: "no AAAA queries",
        Change.AUTOPATH: "autopath of CoreDNS",
        Change.CACHE: "cache on the node",
        Change.DROP: f"search list without {setting.suffix}",
    }[setting.change]


def evidence(analysis: Results) -> str:
    """Return what the report rests on, in a few words."""
    parts = [lookups_text(analysis.lookup_counts.complete)]
    spans = [c.duration_s for c in analysis.captures if c.duration_s is not None]
    if spans:
        parts.append(seconds(sum(spans)))
    models = sorted({c.resolver.rules for c in analysis.client_rows})
    if 0 < len(models) <= 3:
        parts.append(", ".join("resolver unknown" if m == "unknown" else m for m in models))
    return " · ".join(parts)
