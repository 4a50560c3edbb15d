"""What a stub resolver would send for one name, with no capture at all."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from pcapkit.codes import ANSWER, NXDOMAIN, UNANSWERED
from pcapkit.errors import UsageError
from pcapkit.names.text import dots, fold, presentation
from pcapkit.resolver.models import RESOLVERS, ResolverModel, gives_up_s, resolver_model
from pcapkit.resolver.resolv_conf import MAX_NDOTS, ResolverConfig
from pcapkit.resolver.search import candidates
from pcapkit.resolver.simulate import Walk, walk

_NDOTS = range(6)
_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Cost:
    """What asking for a name costs under one ndots, where it exists under one candidate only.

    ``found`` is that candidate without its final dot. ``resolves`` is whether the resolver gets
    there at all.
    """

    ndots: int
    found: str
    queries: int
    wasted_queries: int
    resolves: bool


@dataclass(frozen=True, slots=True)
class ModelWalk:
    """The same name by another resolver, same list and ndots."""

    resolver: str
    candidates: tuple[str, ...]
    queries: int  #: where nothing answers
    gives_up_s: float  #: for one candidate that no nameserver answers


@dataclass(frozen=True, slots=True)
class Expansion:
    """The walk for one name; ``candidates`` are without final dots, in the order sent.

    ``costs`` hold a row for each ndots and each name under which it may exist; ``models`` the
    walks of all resolvers; ``lost_s`` is how long the lookup waits where no server answers at all.
    """

    name: str
    absolute: bool
    dots: int
    ndots: int
    search: tuple[str, ...]
    resolver: str
    candidates: tuple[str, ...]
    costs: tuple[Cost, ...]
    models: tuple[ModelWalk, ...]
    lost_s: float


def expand(
    name: str,
    *,
    search: Sequence[str],
    ndots: int,
    resolver: str,
    nameservers: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Expansion:
    """Return the walk of ``name``; ``resolver`` may name a release: ``glibc@2.25``.

    Raises UsageError for a bad name, an unknown resolver or a bad release.
    """
    model = resolver_model(resolver)
    try:
        name = presentation(name)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    suffixes = tuple(fold(s) if s != "." else s for s in search)
    config = ResolverConfig(tuple(nameservers), suffixes, ndots, tuple(options), "")
    absolute = name.endswith(".") and name != "."
    owners = [fold(name)]
    if not absolute:
        owners += [f"{fold(name)}.{s}" for s in suffixes if s != "."]
    costs = [
        _cost(name, replace(config, ndots=n), model, owner)
        for n in sorted({*_NDOTS, min(ndots, MAX_NDOTS)})
        for owner in owners
    ]
    return Expansion(
        fold(name),
        absolute,
        dots(name),
        ndots,
        suffixes,
        resolver,
        candidates(name, suffixes, ndots=ndots, model=model),
        tuple(costs),
        tuple(_by(m, name, config) for m in RESOLVERS if m.name != "unknown"),
        walk(name, config, model, lambda *_: UNANSWERED).waited_s,
    )


def _played(name: str, config: ResolverConfig, model: ResolverModel, owner: str | None) -> Walk:
    return walk(name, config, model, lambda n, _: ANSWER if n == owner else NXDOMAIN)


def _cost(name: str, config: ResolverConfig, model: ResolverModel, owner: str) -> Cost:
    done = _played(name, config, model, owner)
    found = done.answered_by is not None
    return Cost(
        config.ndots_in_force, owner, done.queries, done.wasted if found else done.queries, found
    )


def _by(model: ResolverModel, name: str, config: ResolverConfig) -> ModelWalk:
    names = candidates(name, config.search, ndots=config.ndots_in_force, model=model)
    done = _played(name, config, model, None)
    return ModelWalk(model.name, names, done.queries, gives_up_s(model, config))


def _only_searched(e: Expansion) -> bool:
    domain = resolver_model(e.resolver).never_asked
    return bool(domain) and e.name.endswith(f".{domain}")


def _why(e: Expansion) -> str:
    kind = e.resolver.partition("@")[0]
    if not e.candidates:
        return f"{kind} never sends such names."
    if _only_searched(e):
        return f"{kind} sends no such name as it is: it asks the search list alone."
    if e.absolute:
        return "The name ends in a dot: it is asked as is, and nothing else."
    if kind == "busybox":
        return "busybox nslookup searches names without a dot only, and asks every suffix at once."
    if e.candidates == (e.name,) and e.dots < e.ndots:
        return f"{e.resolver} does not walk this list: the name is asked as is."
    ndots = resolver_model(e.resolver).effective_ndots(e.ndots)
    if e.dots >= ndots:
        rest = (
            " and the search list only if it fails"
            if len(e.candidates) > 1
            else f" and {e.resolver} does not search after it"
        )
        return f"{e.dots} dots >= ndots {ndots}: the name as is goes first{rest}."
    below = f"{e.dots} dots < ndots {ndots}"
    if e.name not in e.candidates:
        return f"{below}: the search list is asked alone, and never the name as is."
    if e.candidates[-1] != e.name:
        return f"{below}: the search list goes first; its entry '.' is the name as is."
    return f"{below}: the search list goes first, the name as is last."


def _walk_lines(e: Expansion) -> list[str]:
    lines = []
    for number, candidate in enumerate(e.candidates, 1):
        note = "as is" if candidate == e.name else f"+ {candidate[len(e.name) + 1 :]}"
        lines.append(f"{number:>3}  {candidate}.")
        lines.append(f"     {note}")
    return lines


def _places(e: Expansion) -> dict[str, str]:
    """Return what each name is called that may be asked: its place in the search list."""
    suffixes = [(n, s) for n, s in enumerate(e.search, 1) if s != "."]
    named = {f"{e.name}.{s}": f"suffix {n}" for n, s in reversed(suffixes)}  # the first of two
    return {e.name: "as is"} | named


def _cost_lines(e: Expansion) -> list[str]:
    """Return a table: a row for each ndots, a column for each name under which it may exist.

    Columns that have no room stand in further tables, one below the other.
    """
    owners = list(dict.fromkeys(c.found for c in e.costs))
    cells = {(c.ndots, c.found): c for c in e.costs}
    heads, now = _places(e), "  <- now"
    most = (_WIDTH - 7 - len(now)) // 10
    lines = []
    for first in range(0, len(owners), most):
        shown = owners[first : first + most]
        lines += [""] * bool(first)
        lines.append("  ndots" + "".join(f"{heads[p]:>10}" for p in shown))
        for ndots in sorted({c.ndots for c in e.costs}):
            row = [cells[ndots, p] for p in shown]
            text = "".join(f"{c.queries if c.resolves else 'fails':>10}" for c in row)
            lines.append(f"  {ndots:>5}{text}" + (now if ndots == e.ndots else ""))
    return lines


def _model_lines(e: Expansion) -> list[str]:
    """Return the resolvers' orders, those that walk alike on one line."""
    owners = _places(e)
    alike: dict[tuple[str, ...], list[str]] = {}
    for m in e.models:
        alike.setdefault(m.candidates, []).append(m.resolver)
    lines = []
    for names, models in alike.items():
        order = ", ".join(owners.get(n, n) for n in names) or "nothing is sent"
        lines += textwrap.wrap(
            f"{', '.join(models)}: {order}",
            _WIDTH - 2,
            initial_indent="  ",
            subsequent_indent="      ",
            break_long_words=False,
        )
    return lines


def render_expansion(e: Expansion) -> str:
    """Return the walk as text for a terminal of 80 columns."""
    lines = [f"{e.name}{'.' if e.absolute else ''}   resolver {e.resolver}"]
    lines += [*textwrap.wrap(_why(e), _WIDTH), "", *_walk_lines(e)]
    if e.candidates:
        lines += ["", "Queries where the name exists only ...", ""]
        lines += _cost_lines(e)
    if not e.absolute and e.candidates and not _only_searched(e):
        lines += ["", f"With a final dot ({e.name}.) it is asked as is alone, at any ndots."]
        lines += ["", "The same list and ndots by each resolver:", *_model_lines(e)]
    if e.lost_s:
        lines += ["", f"Where no server answers, {e.resolver} fails after {e.lost_s:g} s."]
    return "\n".join(lines) + "\n"


def expansion_json(e: Expansion) -> str:
    """Return the walk as JSON text."""
    return json.dumps(asdict(e), indent=2) + "\n"
