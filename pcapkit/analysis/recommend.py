"""Advice, ranked by the queries it saves, with its safety and what it rests on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.reading import Readings
from pcapkit.model import (
    Coverage,
    Name,
    Recommendation,
    Safety,
    WasteCounts,
    WhatIf,
)

#: Below this share of waste a capture is healthy and needs no advice.
HEALTHY_SHARE = 0.05
_TOP_NAMES = 10
_TLS = (
    "a final dot can break TLS names, virtual hosts and certificates in some clients: "
    "try it in one workload first"
)


def _coverage(r: Readings, lookups: npt.NDArray[Any]) -> Coverage:
    """Say how much of a capture a verdict rests on."""
    whole = lookups[lookups["complete"] != 0]
    span = int(whole["end"].max() - whole["start"].min()) / 1e9 if whole.size else 0.0
    names = int(np.unique(whole["base"]).size)
    return Coverage(whole.size, names, span if r.has_clock else None)


def ndots_patch(ndots: int) -> str:
    """Return the strategic-merge patch of a workload's pod template; the value is a string."""
    return (
        "spec:\n  template:\n    spec:\n      dnsConfig:\n        options:\n"
        f'          - name: ndots\n            value: "{ndots}"\n'
    )


def _set_ndots(
    r: Readings, settings: Sequence[WhatIf], address: Callable[[int], str], judged: int
) -> list[Recommendation]:
    by_client: dict[str, list[WhatIf]] = defaultdict(list)
    for row in settings:
        if row.client_addr is not None and row.ndots is not None:
            by_client[row.client_addr].append(row)
    out = []
    by_number = np.argsort(r.lookups["client"], kind="stable")
    bounds = np.searchsorted(r.lookups["client"][by_number], np.arange(len(r.clients) + 1))
    for number, reading in enumerate(r.clients):
        client = address(reading.client)
        rows = {w.ndots: w for w in by_client[client]}
        now = rows.get(min(reading.ndots.value, 5))
        if now is None or not reading.search.suffixes:
            continue
        lower = [w for n, w in rows.items() if n is not None and n < reading.ndots.value
                 and w.queries < now.queries and w.safety is not Safety.UNSAFE]  # fmt: skip
        if not lower:
            continue
        best = min(lower, key=lambda w: (w.queries, -(w.ndots or 0)))
        assert best.ndots is not None
        saved = now.queries - best.queries
        out.append(
            Recommendation(
                "set_ndots", client, best.ndots,
                f"Set ndots to {best.ndots} for the workload behind {client}.",
                saved, saved / judged if judged else 0.0, best.safety,
                best.reasons or ("every name seen still resolves, and to the same name",),
                _coverage(r, r.lookups[by_number[bounds[number] : bounds[number + 1]]]),
                ndots_patch(best.ndots),
            )
        )  # fmt: skip
    return out


def _use_names(r: Readings, names: Sequence[Name], judged: int) -> list[Recommendation]:
    coverage = _coverage(r, r.lookups)
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
    r: Readings, settings: Sequence[WhatIf], names: Sequence[Name], waste: WasteCounts,
    address: Callable[[int], str],
) -> tuple[Recommendation, ...]:  # fmt: skip
    """Return the advice; none for a healthy capture."""
    if waste.share < HEALTHY_SHARE:
        return ()
    judged = waste.queries - waste.by_class["incomplete"]
    out = _set_ndots(r, settings, address, judged)
    out += _use_names(r, names, judged)
    out.sort(key=lambda x: (-x.saves_queries, x.code, x.target))
    return tuple(out)
