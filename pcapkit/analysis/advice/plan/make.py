"""Makes the plans of a capture: for all of it, and for each subject."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pcapkit.analysis.advice.groups import Counted
from pcapkit.analysis.advice.plan.changes import Change, Writer, merged
from pcapkit.analysis.advice.plan.curves import Choice, Curve, Curves, waste_of
from pcapkit.analysis.advice.plan.forms import Forms
from pcapkit.analysis.advice.plan.ordering import Ordering
from pcapkit.analysis.advice.plan.reasons import wording_of_safe
from pcapkit.analysis.advice.plan.search import Search
from pcapkit.analysis.advice.plan.steps import Account
from pcapkit.analysis.advice.plan.subjects import subjects_of
from pcapkit.analysis.advice.plan.table import ASSUMED, QUERIES, TIME_NS, UPSTREAM, WASTED, Table
from pcapkit.analysis.advice.plan.timing import Steps, Timing, Timings
from pcapkit.analysis.advice.plan_patches import PodDns, plan_patches
from pcapkit.analysis.search_lists.infer import suffix_texts
from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.analysis.whatif.settings import IN_FORCE
from pcapkit.analysis.whatif.verdicts import WhatIfResult
from pcapkit.limits import DEFAULTS
from pcapkit.model.clients import Client
from pcapkit.model.plans import Coverage, FrontierPoint, Load, Plan, PlanKind
from pcapkit.model.results import Name, WasteCounts
from pcapkit.model.vocabulary import Safety
from pcapkit.names.labels import Labels

#: A plan ends this share of what the best one of its kind ends: so many of so many.
_ENOUGH, _OF = 4, 5
#: A safe plan is preferred where it takes at most so many times the edits.
_WORTH_EDITS = 2
#: The most steps that are listed of the plan of a whole capture, of all others of a kind together,
#: and the least of each of these. The numbers of a plan are of all its steps.
_MOST_STEPS, _MOST_STEPS_TOGETHER, _LEAST_STEPS = 200, 2000, 5


@dataclass(frozen=True, slots=True)
class _Scope:
    """Whom a plan is for: all subjects that waste, or one of them."""

    title: str | None
    subjects: tuple[int, ...]
    clients: tuple[str, ...]
    before: Matrix  # by column of the table, of everyone
    coverage: Coverage
    thin: str | None
    most_steps: int


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a plan does; no fewer edits than ``bound`` end as much."""

    choices: tuple[Choice, ...]
    bound: int
    is_greedy: bool = False  # fewer edits might do
    ends_most: bool = True  # of all that so many edits can do


def make_plans(
    result: WhatIfResult,
    clients: Sequence[Client],
    names: Sequence[Name],
    waste: WasteCounts,
    zones: Sequence[Labels],
    wildcards: Collection[str] = (),
    nameservers: Sequence[str] = (),
    outside: Collection[str] = (),
    pods: Mapping[str, str] | None = None,
    most: int = DEFAULTS.plans,
) -> tuple[tuple[Plan, ...], int]:
    """Return the plans: of the whole capture first, then of each subject in the order of titles.

    ``most`` subjects, those that waste most, have plans of their own; how many have none for that
    is returned with the plans. There are none where nothing is wasted, and of a subject only those
    that change something. A plan that is safe and takes more edits than one to be reviewed stands
    before that one.
    Those of the whole capture have patches. ``wildcards`` are suffixes under which a wildcard
    record answers, ``nameservers`` the cluster's, as clients ask them, ``outside`` servers out of
    the cluster that clients ask by themselves. ``pods`` maps containers to the pod whose dnsConfig
    they share.
    """
    if not waste.wasted_queries or not result.members.size:
        return (), 0
    counted = Counted(
        result, names, clients, zones, waste.queries, tuple(sorted(wildcards)), pods or {}
    )
    kinds = {f"{c.namespace}/{c.workload}": c.workload_kind for c in clients if c.workload}
    maker = _Maker(counted, outside)
    dns = maker.pod_dns(tuple(nameservers))
    alone = maker.costliest(most)
    plans = tuple(
        replace(plan, patches=plan_patches(plan, kinds, dns)) if plan.subject is None else plan
        for plan in maker.plans(alone)
    )
    return plans, len(maker.changed) - len(alone)


@dataclass(frozen=True, slots=True)
class _Laid:
    """A draft's changes in order: those listed, other settings, other names; ``count`` in all."""

    kind: PlanKind
    draft: _Draft
    search: Search
    listed: Sequence[Change]
    left_out: Sequence[Change]
    rest: Change
    count: int

    @property
    def last(self) -> list[Change]:
        """What is done behind the steps that are listed."""
        return [*self.left_out, *([self.rest] if self.rest.pairs else [])]

    def timed_steps(self) -> list[list[Change]]:
        """Return all that is done, as steps to be timed."""
        return [*([c] for c in self.listed), *([self.last] if self.last else [])]


class _Maker:
    """Makes the plans of one capture."""

    def __init__(self, counted: Counted, outside: Collection[str]) -> None:
        self._counted = counted
        self._subjects = subjects_of(counted)
        self._table = Table(counted, self._subjects)
        self._curves = Curves(self._table, self._subjects)
        self._writer = Writer(self._table, self._subjects)
        self._forms = Forms(self._table, self._subjects, counted.zones)
        self._timings = Timings(counted.result, self._table, self._subjects, outside)
        self.changed: list[int] = np.flatnonzero(np.diff(self._table.bounds)).tolist()
        self._of: Mapping[int, Mapping[PlanKind, Curve]] = {
            s: self._curves.of(s) for s in self.changed
        }

    def costliest(self, most: int) -> list[int]:
        """Return so many subjects at most, those that waste most, in the order of titles."""
        if len(self.changed) <= most:
            return self.changed
        wasted = {s: int(self._sums(self._subjects[s].everyone)[WASTED]) for s in self.changed}
        return sorted(sorted(self.changed, key=lambda s: (-wasted[s], s))[:most])

    def plans(self, alone: Sequence[int]) -> Iterator[Plan]:
        """Yield the plans of the whole capture, then those of each subject in ``alone``."""
        most = max(_LEAST_STEPS, _MOST_STEPS_TOGETHER // max(1, len(alone)))
        for scope in (self._whole(), *(self._one(s, min(most, _MOST_STEPS)) for s in alone)):
            laid = []
            for kind in PlanKind:
                curves = [self._of[s][kind] for s in scope.subjects]
                search = Search(curves)
                if search.most or scope.title is None:
                    drafts = self._drafts(kind, curves, search)
                    laid += [self._laid(scope, kind, draft, search) for draft in drafts]
            timed = self._timed(scope, [one.timed_steps() for one in laid])
            for one, timings in zip(laid, timed, strict=True):
                yield self._plan(scope, one, timings)

    def pod_dns(self, nameservers: tuple[str, ...]) -> dict[str, PodDns]:
        """Return what the pods of subjects have now, where their lists can be shorter.

        Those whose clients have several lists are left out.
        """
        clients, out = self._counted.result.clients, {}
        for of in self._subjects:
            lists = {clients[i].search.suffixes for i in of.members.tolist()}
            if of.idle and len(lists) == 1:
                out[of.title] = PodDns(nameservers, suffix_texts(lists.pop()), of.ndots)
        return out

    def _whole(self) -> _Scope:
        result = self._counted.result
        return _Scope(
            None,
            tuple(self.changed),
            tuple(dict.fromkeys(result.addresses[i] for i in result.members.tolist())),
            self._sums(result.members),
            result.coverage(result.members),
            result.thin(result.members),
            _MOST_STEPS,
        )

    def _one(self, subject: int, most_steps: int) -> _Scope:
        of = self._subjects[subject]
        return _Scope(
            of.title,
            (subject,),
            of.addresses,
            self._sums(of.everyone),
            of.coverage,
            of.thin,
            most_steps,
        )

    def _sums(self, clients: Matrix) -> Matrix:
        now = self._counted.result.total(clients, IN_FORCE)
        columns = ("queries", "wasted", "upstream", "assumed", "time_ns")
        return np.array([now[c] for c in columns], np.int64)

    def _drafts(self, kind: PlanKind, curves: Sequence[Curve], search: Search) -> Iterator[_Draft]:
        """Yield what is planned: the safe one first where there are two."""
        wanted = -(-search.most * _ENOUGH // _OF)
        found = search.fewest(wanted)
        chosen = [c.choice(edits) for c, edits in zip(curves, found.edits, strict=True) if edits]
        is_greedy = found.bound < sum(found.edits)
        draft = _Draft(tuple(chosen), found.bound, is_greedy)
        if self._is_safe(draft):
            yield draft
            return
        safe = self._safe(curves, wanted, found.bound) if kind is not PlanKind.NAMES else None
        edits = sum(found.edits)
        if safe is None or len(safe.choices) > _WORTH_EDITS * edits:
            yield draft
        elif len(safe.choices) <= edits:
            yield safe
        elif kind is PlanKind.BEST:
            yield safe
            yield draft
        else:
            yield draft

    def _is_safe(self, draft: _Draft) -> bool:
        return all(
            not c.names.size and not c.shorter and self._writer.safety(c) is Safety.SAFE
            for c in draft.choices
        )

    def _safe(self, curves: Sequence[Curve], wanted: int, bound: int) -> _Draft | None:
        """Return the fewest edits that end so much and are safe; None where there are none."""
        found = [self._curves.safe_choice(c.subject) for c in curves]
        each = sorted((f for f in found if f is not None), key=lambda f: (-f[0], f[1].subject))
        ended = np.cumsum(waste_of(np.array([value for value, _ in each], np.int64)))
        enough = np.flatnonzero(ended >= wanted)
        if not wanted or not enough.size:
            return None
        chosen = [choice for _, choice in each[: int(enough[0]) + 1]]
        return _Draft(tuple(sorted(chosen, key=lambda c: c.subject)), bound, ends_most=False)

    def _laid(self, scope: _Scope, kind: PlanKind, draft: _Draft, search: Search) -> _Laid:
        """Put what a plan does in order."""
        settings, names = merged(draft.choices, self._writer, self._table, scope.most_steps)
        ordering = Ordering(self._table, self._subjects, settings, names)
        listed, left_out, rest = ordering.put(scope.most_steps)
        count = len(settings) + names.count + names.others_count
        return _Laid(kind, draft, search, listed, left_out, rest, count)

    def _plan(self, scope: _Scope, laid: _Laid, timed: Sequence[Timing]) -> Plan:
        draft, search, listed = laid.draft, laid.search, laid.listed
        account = Account(
            self._table, self._subjects, self._forms, self._counted.zones, scope.before
        )
        every = [*listed, *laid.left_out, laid.rest]
        left = account.left(every)
        steps = [
            account.step(number, change, left[number - 1], left[number], timed[number])
            for number, change in enumerate(listed, 1)
        ]
        before, after = self._load(scope.before, timed[0]), self._load(left[-1], timed[-1])
        edits = sum(c.edits for c in every)
        ndots = sum(len(c.subjects) for c in every if c.ndots is not None)
        lists = sum(len(c.subjects) for c in every if c.suffixes)
        ended = before.wasted_queries - after.wasted_queries
        saved = before.queries - after.queries
        safety = Safety.SAFE
        if laid.last or any(s.safety is Safety.REVIEW for s in steps) or (scope.thin and steps):
            safety = Safety.REVIEW
        return Plan(
            subject=scope.title,
            kind=laid.kind,
            clients=scope.clients,
            before=before,
            after=after,
            edits=edits,
            edits_bound=draft.bound,
            edits_of={"ndots": ndots, "lists": lists, "names": edits - ndots - lists},
            saves_queries=saved,
            saves_share=saved / before.queries if before.queries else 0.0,
            ends_share=ended / before.wasted_queries if before.wasted_queries else 0.0,
            safety=safety,
            reasons=self._reasons(scope, safety, draft, edits, search),
            assumed_queries=int(left[-1, ASSUMED]),
            coverage=scope.coverage,
            steps=tuple(steps),
            steps_in_all=laid.count,
            frontier=search.frontier(
                before.queries,
                before.wasted_queries,
                FrontierPoint(edits, after.queries, after.wasted_queries)
                if draft.ends_most and not draft.is_greedy
                else None,
            ),
        )

    def _timed(self, scope: _Scope, plans: Sequence[Steps]) -> list[list[Timing]]:
        if scope.title is None:
            return self._timings.whole(plans, scope.coverage.duration_s)
        return self._timings.of(scope.subjects[0], plans)

    def _load(self, left: Matrix, timing: Timing) -> Load:
        has_clock = self._counted.result.has_clock
        return Load(
            int(left[QUERIES]),
            int(left[WASTED]),
            int(left[UPSTREAM]),
            int(left[TIME_NS]) / 1e9 if has_clock else None,
            timing.peak_queries_per_s,
            timing.peak_upstream_per_s,
            timing.p95_s,
            timing.outside,
        )

    def _reasons(
        self, scope: _Scope, safety: Safety, draft: _Draft, edits: int, search: Search
    ) -> tuple[str, ...]:
        out = []
        if not search.most:
            out.append("no change of this kind that is safe, or to be reviewed, ends any waste")
        elif safety is Safety.SAFE and (wording := wording_of_safe(scope.coverage)):
            out.append(wording)
        if scope.thin and edits:
            out.append(scope.thin)
        if draft.is_greedy:
            out.append(
                f"found by a greedy search: no plan of fewer than {draft.bound} edits ends as much"
            )
        return tuple(out)
