"""What a stub resolver would send for one name, with no capture at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pcapkit.names import dots, fold
from pcapkit.resolver import MAX_NDOTS, ResolverModel, candidates, resolver_model

#: The list of a pod in the namespace ``default``, where none is given.
KUBERNETES_SEARCH = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")
_FAMILIES = 2  # A and AAAA


@dataclass(frozen=True, slots=True)
class Cost:
    """What asking for a name that exists only as is costs under one ndots."""

    ndots: int
    queries: int
    wasted_queries: int
    asked: bool  #: the resolver gets to the name as is at all


@dataclass(frozen=True, slots=True)
class Expansion:
    """The walk for one name; ``candidates`` are without final dots, in the order sent."""

    name: str
    absolute: bool
    dots: int
    ndots: int
    search: tuple[str, ...]
    resolver: str
    candidates: tuple[str, ...]
    costs: tuple[Cost, ...]


def _cost(name: str, search: Sequence[str], ndots: int, model: ResolverModel) -> Cost:
    names = candidates(name, search, ndots=ndots, model=model)
    base = fold(name)
    before = names.index(base) if base in names else len(names)
    asked = base in names
    return Cost(ndots, _FAMILIES * (before + asked), _FAMILIES * before, asked)


def expand(name: str, *, search: Sequence[str], ndots: int, resolver: str) -> Expansion:
    """Return the walk of ``name``; raises UsageError for a bad name or an unknown resolver."""
    model = resolver_model(resolver)
    suffixes = tuple(fold(s) for s in search)
    walk = candidates(name, suffixes, ndots=ndots, model=model)
    shown = sorted({*range(1, 6), ndots})
    return Expansion(
        fold(name), name.endswith(".") and name != ".", dots(name), ndots, suffixes, resolver, walk,
        tuple(_cost(name, suffixes, n, model) for n in shown),
    )  # fmt: skip


def _why(e: Expansion) -> str:
    if e.absolute:
        return "The name ends in a dot: it is asked as is, and nothing else."
    if e.resolver == "busybox":
        return "busybox nslookup searches names without a dot only, and asks every suffix at once."
    if e.dots >= e.ndots:
        rest = (
            " and the search list only if it fails" if len(e.candidates) > 1
            else f" and {e.resolver} does not search after it"
        )  # fmt: skip
        return f"{e.dots} dots >= ndots {e.ndots}: the name as is goes first{rest}."
    return f"{e.dots} dots < ndots {e.ndots}: the search list goes first, the name as is last."


def render_expansion(e: Expansion) -> str:
    """Return the walk as text for a terminal."""
    lines = [f"{e.name}{'.' if e.absolute else ''}   resolver {e.resolver}", _why(e), ""]
    for number, candidate in enumerate(e.candidates, 1):
        note = "as is" if candidate == e.name else f"+ {candidate[len(e.name) + 1 :]}"
        lines.append(f"{number:>3}  {candidate}.")
        lines.append(f"     {note}")
    lines += ["", "If the name exists only as is (A and AAAA for each candidate):", ""]
    lines.append("  ndots  queries  wasted")
    for cost in e.costs:
        mark = "  <- in force" if cost.ndots == e.ndots else ""
        never = "" if cost.asked else "  never asked as is"
        lines.append(f"  {cost.ndots:>5}  {cost.queries:>7}  {cost.wasted_queries:>6}{never}{mark}")
    if not e.absolute:
        lines += ["", f"With a final dot ({e.name}.): 2 queries, 0 wasted, at any ndots."]
    return "\n".join(lines) + "\n"


def expansion_json(e: Expansion) -> str:
    """Return the walk as JSON text."""
    return json.dumps(asdict(e), indent=2) + "\n"


__all__ = ["KUBERNETES_SEARCH", "MAX_NDOTS", "expand", "expansion_json", "render_expansion"]
