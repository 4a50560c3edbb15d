"""The numbers of a plan: what its changes leave, one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from pcapkit.analysis.advice.plan.changes import Change, InFull
from pcapkit.analysis.advice.plan.curves import Settings
from pcapkit.analysis.advice.plan.forms import Forms
from pcapkit.analysis.advice.plan.ordering import after_change
from pcapkit.analysis.advice.plan.reasons import reasons_of
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import COLUMNS, QUERIES, UPSTREAM, WASTED, Table
from pcapkit.analysis.advice.plan.timing import Timing
from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.model.plans import NameForm, Step
from pcapkit.names.labels import Labels

_IN_FORCE: Settings = (None, False)


class Account:
    """Adds up what changes leave, in their order."""

    def __init__(
        self,
        table: Table,
        subjects: Sequence[Subject],
        forms: Forms,
        zones: Sequence[Labels],
        before: Matrix,
    ) -> None:
        self._table, self._subjects, self._forms = table, subjects, forms
        self._inside = table.are_inside(zones)
        self._before = before

    def left(self, every: Sequence[Change]) -> Matrix:
        """Return what is left before any change, and after each.

        (1 + changes, columns of the table). The last one writes names in full.
        """
        t = self._table
        *changes, last = every
        left = np.zeros((len(changes) + 2, COLUMNS), np.int64)
        left[0] = self._before
        settings: dict[int, Settings] = {}
        in_full: dict[int, list[int]] = defaultdict(list)
        #: pairs written in full, each with the number of its change, by the settings till then
        written: dict[Settings, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for number, change in enumerate(changes, 1):
            if change.name is None:
                for s in change.subjects:
                    now = settings.get(s, _IN_FORCE)
                    then = settings[s] = after_change(now, change)
                    begin, end = t.bounds[s : s + 2].tolist()
                    before, after = (
                        t.at(n, shorter=shorter)[begin:end] for n, shorter in (now, then)
                    )
                    left[number] += after.sum(axis=0) - before.sum(axis=0)
                    if done := in_full.get(s):
                        here = np.array(done) - begin
                        left[number] -= (after[here] - before[here]).sum(axis=0)
            for pair in change.pairs:
                s = t.subject_of[pair]
                pairs, numbers = written[settings.get(s, _IN_FORCE)]
                pairs.append(pair)
                numbers.append(number)
                in_full[s].append(pair)
        for (ndots, shorter), (pairs, numbers) in written.items():
            more = t.written[pairs] - t.at(ndots, shorter=shorter)[pairs]
            np.add.at(left, numbers, more)
        pairs_left = np.array(last.pairs, np.int64)
        owners = t.subjects[pairs_left]
        for now in {settings.get(s, _IN_FORCE) for s in np.unique(owners).tolist()}:
            under = np.array([settings.get(s, _IN_FORCE) == now for s in range(t.bounds.size - 1)])
            mine = pairs_left[under[owners]]
            ndots, shorter = now
            left[-1] += (t.written[mine] - t.at(ndots, shorter=shorter)[mine]).sum(axis=0)
        return np.cumsum(left, axis=0)

    def step(
        self, number: int, change: Change, before: Matrix, after: Matrix, timing: Timing
    ) -> Step:
        """Return a change as a step; ``before`` and ``after`` are rows of ``left``."""
        name = change.name
        queries, wasted = int(after[QUERIES]), int(after[WASTED])
        # names that only these suffixes complete: none was seen, or they would stay
        forms = tuple(NameForm(f"name.{suffix}", 0) for suffix in change.suffixes)
        if change.ndots is not None:
            forms = self._forms.changed(change.ndots, change.subjects)
        return Step(
            number=number,
            code=self._code(change),
            subjects=tuple(self._subjects[s].title for s in change.subjects),
            ndots=change.ndots,
            suffixes=change.suffixes,
            name=None if name is None else name.base,
            fqdn=None if name is None else name.text,
            final_dot=name is not None and name.final_dot,
            names=_texts(change.obliged),
            edits=change.edits,
            saves_queries=int(before[QUERIES]) - queries,
            queries_after=queries,
            wasted_queries_after=wasted,
            upstream_queries_after=int(after[UPSTREAM]),
            waste_share_after=wasted / queries if queries else 0.0,
            lookup_p95_s_after=timing.p95_s,
            peak_queries_per_s_after=timing.peak_queries_per_s,
            peak_upstream_per_s_after=timing.peak_upstream_per_s,
            outside_after=timing.outside,
            safety=change.safety,
            reasons=reasons_of(change, self._subjects, self._table),
            forms=forms,
        )

    def _code(self, change: Change) -> str:
        if change.name is None:
            return "drop_suffix" if change.suffixes else "set_ndots"
        inside = self._inside[self._table.full[change.pairs[0]]]
        return "full_service_name" if inside else "use_fqdn"


def _texts(names: Sequence[InFull]) -> Mapping[str, str]:
    return {n.base: n.text for n in names}
