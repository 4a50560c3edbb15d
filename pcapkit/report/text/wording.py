"""The sentences that every form of a report begins with: page, terminal, Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pcapkit.model.results import Recommendation, Results, WhatIf
from pcapkit.model.settings import Change, Setting
from pcapkit.model.vocabulary import Severity
from pcapkit.report.text.formatting import number, percent, printable, seconds

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


def client_texts(analysis: Results) -> dict[str, str]:
    """Return each client's address with its workload, or else its pod, where that is known."""
    out = {}
    for row in analysis.client_rows:
        name = row.workload or row.pod
        title = f"{row.namespace}/{name}" if name and row.namespace else name
        out[row.client_addr] = row.client_addr + (f" ({printable(title)})" if title else "")
    return out


def action_text(advice: Recommendation, clients: Mapping[str, str]) -> str:
    """Return the action, with the workload of the client it is about (see ``client_texts``)."""
    who = clients.get(advice.target)
    return printable(advice.action if who is None else advice.action.replace(advice.target, who))


def lookups_text(count: int) -> str:
    """Return a count of lookups in words."""
    return f"{number(count)} lookup{'' if count == 1 else 's'}"


def queries_text(count: int) -> str:
    """Return a count of queries in words."""
    return f"{number(count)} quer{'y' if count == 1 else 'ies'}"


#: What a warning advises where the capture has other packets only.
_FILTER = "the filter 'port 53'"
#: From this share on, waste is the news, with advice or without.
_MUCH = 0.05


def headline(analysis: Results) -> str:
    """Return the one sentence with the number that matters."""
    waste = analysis.waste
    if analysis.packets.total == 0:
        return "Nothing to judge: the capture holds no packets."
    if not analysis.name_rows:
        if not analysis.messages.total and not any(_FILTER in w for w in analysis.warnings):
            return "Nothing to judge: no DNS message could be read; the warnings say why."
        if analysis.messages.queries:
            return "Nothing to judge: no query in this capture has a question that can be read."
        return (
            "Nothing to judge: no DNS query in this capture. Capture with the filter 'port 53', in "
            "the pod or on its node."
        )
    judged = judged_queries(analysis)
    if judged == 0:
        return "Nothing to judge: no lookup is in the capture from its beginning to its end."
    share = f"{percent(waste.share)} of these DNS queries"
    counts = f"{number(waste.wasted_queries)} of {number(judged)}"
    text = f"{share} were search-path waste: {counts}."
    found = [f for f in analysis.findings if f.severity != Severity.INFO]
    if not analysis.recommendations and waste.share >= _MUCH:
        if found:
            return f"{text} First mend what stands in the way: {printable(found[0].title)}."
        return f"{text} No change was found that is safe to advise."
    if not analysis.recommendations:
        why = (
            "no query was search-path waste"
            if waste.wasted_queries == 0
            else f"only {share.replace('these DNS ', '')} were search-path waste: {counts}"
        )
        if found:
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            return f"A fault, not waste: {printable(found[0].title)}{more}; {why}."
        return f"Nothing to do: {why}."
    best = analysis.recommendations[0]
    return f"{text} {lead(analysis, best)} saves {number(best.saves_queries)} of them."


def lead(analysis: Results, advice: Recommendation) -> str:
    """Return advice as the beginning of a sentence."""
    target = client_texts(analysis).get(advice.target, printable(advice.target))
    return {
        "set_ndots": f"Setting ndots to {advice.ndots} for {target}",
        "drop_suffix": f"Dropping the suffix {target}",
        "no_aaaa": f"Asking no AAAA in {target}",
        "cache": "A cache on each node",
        "enable_autopath": "CoreDNS walking the search list",
    }.get(advice.code, f"Writing {target} in full")


def figures(analysis: Results) -> list[Figure]:
    """Return the large figures under the headline."""
    waste, lookups = analysis.waste, analysis.lookup_counts
    of = "complete lookups’ queries" if waste.by_class["incomplete"] else "them"
    resolved = lookups.by_outcome["resolved"]
    has_clock = lookups.p50_s is not None
    lost = seconds(waste.wasted_s / resolved) if has_clock and resolved else "–"
    return [
        Figure("queries", number(waste.queries), f"in {lookups_text(lookups.total)}"),
        Figure("wasted", number(waste.wasted_queries), f"{percent(waste.share)} of {of}"),
        Figure("lost per lookup", lost or "0", "before the right name was asked"),
        Figure(
            "unanswered",
            number(analysis.transaction_counts.by_outcome["unanswered"]),
            f"and {number(analysis.transaction_counts.retries)} retries",
        ),
    ]


def overall(analysis: Results) -> list[WhatIf]:
    """Return the what-if rows of all clients together."""
    return [row for row in analysis.what_if_rows if row.client_addr is None]


def setting_text(setting: Setting) -> str:
    """Return a setting as a reader would say it."""
    if setting.change is Change.FQDN and setting.names is not None:
        return f"costliest {setting.names} in full"
    return {
        Change.NOTHING: "in force",
        Change.NDOTS: f"ndots {setting.ndots}",
        Change.FQDN: "every name in full",
        Change.FQDN_NDOTS: f"ndots {setting.ndots}, harmed in full",
        Change.CLUSTER_FQDN: "cluster names in full",
        Change.NO_AAAA: "no AAAA",
        Change.AUTOPATH: "autopath",
        Change.CACHE: "cache on the node",
        Change.DROP: f"without {setting.suffix}",
    }[setting.change]


def evidence(analysis: Results) -> str:
    """Return what the report rests on, in a few words."""
    parts = [lookups_text(analysis.lookup_counts.complete)]
    spans = [c.duration_s for c in analysis.captures if c.duration_s is not None]
    if spans:
        parts.append(seconds(sum(spans)))
    models = sorted({c.resolver.model for c in analysis.client_rows})
    if 0 < len(models) <= 3:
        parts.append(", ".join("resolver unknown" if m == "unknown" else m for m in models))
    return " · ".join(parts)
