"""The truth of a capture, counted from what was decided to be sent: nothing here reads packets.

What a lookup's questions were good for is said here once more, in the words of the README's table
of waste classes, so that an analysis can be held against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from pcapkit.analysis.lookups.waste import PROBES
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, UNANSWERED
from pcapkit.generating.playing import Played
from pcapkit.generating.scenario import Pod, Scenario
from pcapkit.model.vocabulary import (
    LOOKUP_OUTCOMES,
    TRANSACTION_OUTCOMES,
    WASTE_CLASSES,
    WASTED_CLASSES,
)
from pcapkit.names.text import fold
from pcapkit.resolver.models import resolver_model
from pcapkit.resolver.simulate import Step

SCHEMA = "pcapkit.truth/1"


def classes_of(played: Played) -> list[str]:
    """Return the waste class of each question of a complete lookup."""
    steps, base = played.walk.steps, fold(played.request.name)
    answered = next((s.candidate for s in steps if s.outcome == ANSWER), None)
    exists = next((s.candidate for s in steps if s.outcome == NODATA), None)
    return [_class(s, base, answered, exists) for s in steps]


def _class(step: Step, base: str, answered: str | None, exists: str | None) -> str:
    if step.outcome == UNANSWERED:
        return "unanswered"
    if step.outcome == ANSWER:
        return "answer"
    if step.outcome not in (NODATA, NXDOMAIN):
        return "server_error"
    if step.qtype == "PTR":
        return "reverse_miss"
    if step.qtype in ("SRV", "TXT") and base.partition(".")[0] in PROBES:
        return "service_probe"
    if step.candidate == answered:
        return "empty_family"
    is_base = step.candidate == base
    if answered is None and step.outcome == NODATA and (is_base or step.candidate == exists):
        return "no_such_type"
    if is_base:
        return "absolute_miss" if answered is not None else "nonexistent"
    return "search_miss"


def outcome_of(played: Played) -> str:
    """Return how a lookup ended, as its resolver takes it."""
    ends = {s.outcome for s in played.walk.steps}
    model = resolver_model(played.pod.settings.resolver)
    failed = ends - {ANSWER, NODATA, NXDOMAIN, UNANSWERED}
    if ANSWER in ends and not (model.failure_of_one_is_failure and failed):
        return "resolved"
    texts = {TRANSACTION_OUTCOMES[e] for e in ends}
    return next(o for o in LOOKUP_OUTCOMES if o in texts)


class Truth:
    """Adds up what is written."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.packets = self.lookups = self.complete = self.queries = self.sent = 0
        self._classes: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._names: dict[tuple[str, bool], Counter[str]] = {}
        self._pods: dict[str, Counter[str]] = {}
        self._suffixes: dict[str, set[str]] = {}

    def add(self, played: Played) -> None:
        """Count a lookup of which every packet is in the capture."""
        if not played.walk.steps:
            return
        classes = Counter(classes_of(played))
        wasted = sum(classes[c] for c in WASTED_CLASSES)
        self._add(played, classes, len(played.walk.steps), wasted)
        self.complete += 1
        self._outcomes[outcome_of(played)] += 1

    def add_part(self, played: Played) -> None:
        """Count a lookup that the capture shows in part: the packets that are left in it."""
        asked = {p.asks for p in played.packets if p.asks is not None}
        self._add(played, Counter(incomplete=len(asked)), len(asked), 0)

    def _add(self, played: Played, classes: Counter[str], queries: int, wasted: int) -> None:
        sent = sum(p.asks is not None for p in played.packets)
        self.packets += len(played.packets)
        self.lookups += 1
        self.queries += queries
        self.sent += sent
        self._classes.update(classes)
        counts = {"lookups": 1, "queries": queries, "wasted_queries": wasted}
        name = played.request.name
        self._names.setdefault((fold(name), name.endswith(".")), Counter()).update(counts)
        self._pods.setdefault(played.pod.address, Counter()).update(counts)
        begin = f"{fold(name)}."
        self._suffixes.setdefault(played.pod.address, set()).update(
            s.candidate[len(begin) :] for s in played.walk.steps if s.candidate.startswith(begin)
        )

    def as_json(self, seed: int, capture: str, *, faults_show: bool) -> dict[str, Any]:
        """Return the truth as the file beside the capture says it."""
        whole = self._classes
        return {
            "schema": SCHEMA,
            "capture": capture,
            "scenario": self._scenario.name,
            "seed": seed,
            "packets": self.packets,
            "lookups": self.lookups,
            "complete_lookups": self.complete,
            "lookups_by_outcome": {o: self._outcomes[o] for o in LOOKUP_OUTCOMES},
            "queries": self.queries,
            "retries": self.sent - self.queries,
            "wasted_queries": sum(whole[c] for c in WASTED_CLASSES),
            "by_class": {c: whole[c] for c in WASTE_CLASSES},
            "faults": sorted(self._scenario.faults) if faults_show else None,
            "clients": [
                _client(p, self._suffixes[p.address], self._pods[p.address])
                for p in self._scenario.pods
                if p.address in self._pods
            ],
            "names": [
                {"base_name": base, "absolute": absolute, **counts}
                for (base, absolute), counts in sorted(self._names.items())
            ],
        }


def _client(pod: Pod, suffixes: Collection[str], counts: Counter[str]) -> dict[str, Any]:
    settings = pod.settings
    return {
        "client_addr": pod.address,
        "resolver": settings.resolver,
        "ndots": settings.ndots,
        "search": list(settings.search),
        "search_asked": [s for s in settings.search if s in suffixes],
        "nameservers": list(settings.nameservers),
        **counts,
    }
