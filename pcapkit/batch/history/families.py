"""Families of names: what the wasted queries of one capture were for, by domain."""

from __future__ import annotations

from collections import defaultdict

from pcapkit.model.audits import Family
from pcapkit.model.results import Name, Results
from pcapkit.names.labels import join, split
from pcapkit.names.top_level import registered_domain

#: How many of a capture are kept: those that waste most.
MOST_FAMILIES = 50


def families_of(analysis: Results) -> tuple[Family, ...]:
    """Return the families of names that waste most in an analysis, the worst first.

    Names that waste nothing count in none.
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for name in analysis.name_rows[: analysis.wasted_names]:
        total = counts[family_of(name)]
        for at, more in enumerate((name.lookups, name.queries, name.wasted_queries)):
            total[at] += more
    rows = (Family(family, *total) for family, total in counts.items())
    return tuple(sorted(rows, key=lambda f: (-f.wasted_queries, f.family))[:MOST_FAMILIES])


def family_of(name: Name) -> str:
    """Return the domain that a name is under: inside the cluster its namespace's zone."""
    full = (name.fqdn or name.base_name).removesuffix(".") or "."
    labels = split(full)
    if name.kind == "cluster" and len(labels) > 1:
        return join(labels[1:])
    return registered_domain(full)
