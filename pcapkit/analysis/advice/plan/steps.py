"""The numbers of a plan: what its changes leave, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pcapkit.analysis.advice.plan.changes import Change, InFull
from pcapkit.analysis.advice.plan.curves import Settings
from pcapkit.analysis.advice.plan.forms import Forms
from pcapkit.analysis.advice.plan.ordering import after_change
from pcapkit.analysis.advice.plan.reasons import reasons_of
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import QUERIES, UPSTREAM, WASTED, Table
from pcapkit.analysis.advice.plan.timing import Timing
from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.model.plans import NameForm, Step
from pcapkit.names.labels import Labels


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
        self._table, self._subjects, self._forms, self._zones = table, subjects, forms, zones
        #: by column of the table
        self.left = before.copy()
        self._settings: dict[int, Settings] = {}
        self._in_full: dict[int, set[int]] = {}

    def apply(self, change: Change) -> None:
        """Make one change."""
        t = self._table
        if change.name is None:
            for s in change.subjects:
                begin, end = t.bounds[s : s + 2].tolist()
                pairs = np.arange(begin, end)
                if done := self._in_full.get(s):
                    pairs = pairs[~np.isin(pairs, list(done))]
                before = self._under(s)
                self._settings[s] = after_change(self._settings.get(s, (None, False)), change)
                self.left += (self._under(s)[pairs] - before[pairs]).sum(axis=0)
        for pair in change.pairs:
            s = int(t.subjects[pair])
            self.left += t.written[pair] - self._under(s)[pair]
            self._in_full.setdefault(s, set()).add(pair)

    def finish(self, change: Change) -> None:
        """Write all pairs of a last change in full, at once."""
        pairs = np.array(change.pairs, np.int64)
        subjects = self._table.subjects[pairs]
        for s in np.unique(subjects).tolist():
            mine = pairs[subjects == s]
            self.left += (self._table.written[mine] - self._under(s)[mine]).sum(axis=0)

    def _under(self, subject: int) -> Matrix:
        """Return what each pair sends under the settings that a subject has by now."""
        ndots, shorter = self._settings.get(subject, (None, False))
        return self._table.at(ndots, shorter=shorter)

    def step(self, number: int, change: Change, saved: int, timing: Timing) -> Step:
        """Return a change that was just made, as a step."""
        name = change.name
        queries, wasted = int(self.left[QUERIES]), int(self.left[WASTED])
        forms: tuple[NameForm, ...] = ()
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
            saves_queries=saved,
            queries_after=queries,
            wasted_queries_after=wasted,
            upstream_queries_after=int(self.left[UPSTREAM]),
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
        full = self._table.full_labels(change.pairs[0])
        inside = any(full[-len(z) :] == z for z in self._zones)
        return "full_service_name" if inside else "use_fqdn"


def _texts(names: Sequence[InFull]) -> Mapping[str, str]:
    return {n.base: n.text for n in names}
