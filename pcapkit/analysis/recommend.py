"""Advice, ranked by the queries it saves, with its safety and what it rests on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pcapkit.analysis.tally import Tally
from pcapkit.model import Coverage, Name, Recommendation, Safety, WhatIf

#: Below this share of waste a capture is healthy and needs no advice.
HEALTHY_SHARE = 0.05
_TOP_NAMES = 10
_TLS = (
    "a final dot can break TLS names, virtual hosts and certificates in some clients: "
    "try it in one workload first"
)


def ndots_patch(ndots: int) -> str:
    """Return the strategic-merge patch of a workload's pod template; the value is a string."""
    return (
        "spec:\n  template:\n    spec:\n      dnsConfig:\n        options:\n"
        f'          - name: ndots\n            value: "{ndots}"\n'
    )


def _set_ndots(
    settings: Sequence[WhatIf], tally: Tally, judged: int
) -> list[Recommendation]:
    by_client: dict[str, list[WhatIf]] = defaultdict(list)
    for row in settings:
        if row.client_addr is not None and row.ndots is not None:
            by_client[row.client_addr].append(row)
    out = []
    for client in tally.clients:
        value = client.ndots.value
        rows = {w.ndots: w for w in by_client[client.client_addr]}
        now = rows.get(min(value, 5))
        if now is None or not client.search:
            continue
        lower = [w for n, w in rows.items() if n is not None and n < value
                 and w.queries < now.queries and w.safety is not Safety.UNSAFE]  # fmt: skip
        if not lower:
            continue
        best = min(lower, key=lambda w: (w.queries, -(w.ndots or 0)))
        assert best.ndots is not None
        saved = now.queries - best.queries
        out.append(
            Recommendation(
                "set_ndots", client.client_addr, best.ndots,
                f"Set ndots to {best.ndots} for the workload behind {client.client_addr}.",
                saved, saved / judged if judged else 0.0, best.safety,
                best.reasons or ("every name seen still resolves, and to the same name",),
                tally.coverage(client.client_addr), ndots_patch(best.ndots),
            )
        )  # fmt: skip
    return out


def _use_names(names: Sequence[Name], coverage: Coverage, judged: int) -> list[Recommendation]:
    thin = coverage.lookups < 20
    out = []
    for name in [n for n in names if n.wasted_queries and n.fqdn is not None][:_TOP_NAMES]:
        cluster = name.kind == "cluster"
        reasons: tuple[str, ...] = (_TLS,) if not cluster else (
            "the full name needs its final dot, or ndots of 4 or less",)  # fmt: skip
        if thin:
            reasons += (f"thin capture: {coverage.lookups} lookups",)
        out.append(
            Recommendation(
                "full_service_name" if cluster else "use_fqdn", name.base_name, None,
                f"Write {name.fqdn} (with the final dot) instead of {name.base_name}.",
                name.wasted_queries, name.wasted_queries / judged if judged else 0.0,
                Safety.REVIEW, reasons, coverage, f"{name.base_name} -> {name.fqdn}\n",
            )
        )  # fmt: skip
    return out


def recommend(
    settings: Sequence[WhatIf], names: Sequence[Name], tally: Tally
) -> tuple[Recommendation, ...]:
    """Return the advice; none for a healthy capture."""
    waste = tally.waste
    if waste.share < HEALTHY_SHARE:
        return ()
    judged = waste.queries - waste.by_class["incomplete"]
    out = _set_ndots(settings, tally, judged)
    out += _use_names(names, tally.coverage(), judged)
    out.sort(key=lambda x: (-x.saves_queries, x.code, x.target))
    return tuple(out)
