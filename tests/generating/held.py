"""An analysis held against the truth of a generated capture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pcapkit.pipeline.analysis import Analysis


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {key: count for key, count in counts.items() if count}


def differences(truth: Mapping[str, Any], analysis: Analysis) -> list[str]:
    """Return what an analysis says otherwise; nothing where it is exact."""
    waste, lookups = analysis.waste, analysis.lookup_counts
    said: dict[str, Any] = {
        "packets": analysis.packets.total,
        "lookups": lookups.total,
        "complete_lookups": lookups.complete,
        "lookups_by_outcome": _some(lookups.complete_by_outcome),
        "queries": waste.queries,
        "retries": analysis.transaction_counts.retries,
        "wasted_queries": waste.wasted_queries,
        "by_class": _some(waste.by_class),
    }
    out = []
    for key, value in said.items():
        known = truth[key] if not isinstance(truth[key], dict) else _some(truth[key])
        if known != value:
            out.append(f"{key}: {known}, said {value}")
    shown = {f.code for f in analysis.findings if f.certainty == "shown"}
    shown -= {"repeated_lookups"} - set(truth["faults"] or ())  # as in most clusters
    if truth["faults"] is not None and shown != set(truth["faults"]):
        out.append(f"faults {truth['faults']}, said {sorted(shown)}")
    return out + _of_clients(truth, analysis)


def _of_clients(truth: Mapping[str, Any], analysis: Analysis) -> list[str]:
    out = []
    rows = {c.client_addr: c for c in analysis.client_rows}
    if len(rows) != len(analysis.client_rows):
        out.append("a client has several periods")
    known = {c["client_addr"]: c for c in truth["clients"]}
    if set(rows) != set(known):
        return [*out, f"clients: {sorted(known)}, said {sorted(rows)}"]
    for address, client in known.items():
        row = rows[address]
        if not row.ndots.low <= client["ndots"] <= row.ndots.high:
            out.append(f"{address}: ndots {client['ndots']}, said {row.ndots}")
        asked, said = len(client["search_asked"]), list(row.search)
        if said != client["search"][: len(said)] or len(said) < asked:
            out.append(f"{address}: list {client['search_asked']}, said {said}")
        for key in ("lookups", "queries", "wasted_queries"):
            if client[key] != getattr(row, key):
                out.append(f"{address}: {client[key]} {key}, said {getattr(row, key)}")
    return out


def lookups_of_names(analysis: Analysis) -> Counter[str]:
    """Return how many lookups each base name has, those left out that can be read several ways."""
    frame = analysis.lookups
    names: Counter[str] = Counter(frame["base_name"][~frame["ambiguous"] & frame["complete"]])
    return names
