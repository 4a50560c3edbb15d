"""Play one lookup by a resolver's rules: what is sent, in which order, and how long it waits.

The rules are rows of ``models.py``; what each name would be answered comes from the caller. Only
timers are counted as time: round trips are the network's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, UNANSWERED
from pcapkit.names.text import fold
from pcapkit.resolver.models import (
    AFTER_AS_IS,
    AFTER_NEXT,
    AFTER_STOP,
    ResolverModel,
    gives_up_s,
    tries_of,
)
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.search import candidates

#: (name without final dot, query type) -> an outcome of ``pcapkit.codes``
Zone = Callable[[str, str], int]
FAMILIES = ("A", "AAAA")
_FIRST_RETRY_S = 0.3  # c-ares after one of a pair, measured


@dataclass(frozen=True, slots=True)
class Step:
    """One question of a walk: ``sent`` counts its packets, the first among them."""

    candidate: str
    qtype: str
    outcome: int
    sent: int


@dataclass(frozen=True, slots=True)
class Walk:
    """One lookup; ``answered_by`` is None where the application gets no address.

    ``wasted`` counts the questions that only the search list is the reason of, in vain.
    """

    steps: tuple[Step, ...]
    answered_by: str | None
    waited_s: float
    wasted: int

    @property
    def queries(self) -> int:
        """Questions, each counted once."""
        return len(self.steps)

    @property
    def packets(self) -> int:
        """Query packets, resends and copies to further nameservers among them."""
        return sum(s.sent for s in self.steps)


def walk(
    name: str,
    config: ResolverConfig,
    model: ResolverModel,
    zone: Zone,
    families: Sequence[str] = FAMILIES,
) -> Walk:
    """Look ``name`` up. Raises UsageError where it is no domain name."""
    names = candidates(name, config.search, ndots=config.ndots_in_force, model=model)
    base = fold(name)
    if "no-aaaa" in config.options and "no-aaaa" in model.options:
        families = [f for f in families if f != "AAAA"]
    steps: list[Step] = []
    waited, at = 0.0, 0
    hit: str | None = None
    while at < len(names):
        first = list(families[:1] if model.further_types_of_hit_only else families)
        asked, after, took = _ask(names[at], first, config, model, zone)
        waited = max(waited, took) if model.asks_all else waited + took
        steps += asked
        if after is None:
            rest = families[1:] if model.further_types_of_hit_only else ()
            steps += [Step(names[at], f, zone(names[at], f), 1) for f in rest]
            hit = hit or names[at]
            if not model.asks_all:
                break
        if after == AFTER_STOP:
            break
        if after == AFTER_AS_IS and names[at] != base:
            if base not in names[at:]:  # it has been asked, or never is
                break
            names = (*names[: at + 1], base)
        at += 1
    return Walk(tuple(steps), hit, waited, _wasted(steps, base, hit) if names != (base,) else 0)


def _wasted(steps: Sequence[Step], base: str, hit: str | None) -> int:
    """Count the misses that are waste, by the classes of ``analysis/lookups/waste.py``.

    All but those of the candidate that answered. Where none did, a miss of the name as is says that
    it does not exist, and NODATA of the first candidate that exists that it has no such type.
    """
    misses = [s for s in steps if s.outcome in (NODATA, NXDOMAIN)]
    if hit is not None:
        return sum(s.candidate != hit for s in misses)
    exists = next((s.candidate for s in misses if s.outcome == NODATA), None)
    return sum(
        s.candidate != base and not (s.outcome == NODATA and s.candidate == exists) for s in misses
    )


def _ask(
    name: str, families: Sequence[str], config: ResolverConfig, model: ResolverModel, zone: Zone
) -> tuple[list[Step], int | None, float]:
    """Ask one candidate; return its questions, AFTER_* or None for success, and the wait."""
    outcomes = [zone(name, f) for f in families]
    failed = [o for o in outcomes if o not in (ANSWER, NODATA, NXDOMAIN)]
    one_failed = bool(failed) and len(failed) < len(outcomes)
    steps, waited = [], 0.0
    for family, outcome in zip(families, outcomes, strict=True):
        sent = _sent(outcome, len(failed), one_failed, len(families), config, model)
        if UNANSWERED in outcomes and one_failed and model.both_again and outcome != UNANSWERED:
            sent = _sent(UNANSWERED, 0, False, 0, config, model)
        steps.append(Step(name, family, outcome, sent))
    if UNANSWERED in outcomes:
        waited = gives_up_s(model, config)
        if one_failed and model.gives_up_s is not None and not model.failure_of_one_is_failure:
            waited = _FIRST_RETRY_S
    elif failed and model.waits_on_errors:
        waited = gives_up_s(model, config)
    if ANSWER in outcomes:
        if model.nxdomain_of_one_is_absence and NXDOMAIN in outcomes:
            return steps, AFTER_NEXT, waited
        if failed and model.failure_of_one_is_failure:
            return steps, AFTER_STOP, waited
        return steps, None, waited
    return steps, model.after(outcomes), waited


def _sent(
    outcome: int,
    failed: int,
    one_failed: bool,
    asked: int,
    config: ResolverConfig,
    model: ResolverModel,
) -> int:
    """Return how many packets one question costs."""
    servers = max(1, len(config.nameservers))
    if outcome in (ANSWER, NODATA, NXDOMAIN):
        return servers if model.servers_at_once else 1
    attempts = tries_of(model, config)
    if outcome == UNANSWERED:
        if one_failed and model.gives_up_s is not None:
            return 1
        return attempts * servers
    if one_failed and not model.insists_on_both:
        return 1
    if outcome != REFUSED and model.servfail_resends:
        return attempts * servers * (1 + model.servfail_resends * asked // max(1, failed))
    tries = attempts if model.servfail_tries is None else model.servfail_tries
    return tries * servers
