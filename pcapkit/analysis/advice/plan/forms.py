"""Forms of short names that an ndots changes, if there are such names.

A name with at least as many dots as ndots is asked as is first. Of names that the search list
completes, those with more dots than the new ndots allows change their order: all of their form, not
only those that were seen. Names of one label never do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import Table
from pcapkit.cluster.conventions import SERVICES
from pcapkit.model.plans import NameForm
from pcapkit.names.labels import Labels
from pcapkit.schema import ABSENT

_ID_BITS = 32
#: (dots, form), in the order in which they are shown.
_FORMS: tuple[tuple[int, str], ...] = (
    (1, "service.namespace"),
    (1, "pod.service"),
    (2, "service.namespace.svc"),
    (2, "pod.service.namespace"),
    (3, "pod.service.namespace.svc"),
)


def form_of(base: Labels, full: Labels, zones: Sequence[Labels]) -> str | None:
    """Return the form of a name that the search list made a ``full`` one; None for any other."""
    dots, suffix = len(base) - 1, full[len(base) :]
    zone = next((z for z in zones if suffix and full[-len(z) :] == z), None)
    if zone is None or full[: len(base)] != base:
        return None
    rest = suffix[: -len(zone)] if len(suffix) >= len(zone) else None
    if rest is None:
        return None
    if rest == () and base[-1] == SERVICES:
        return {2: "service.namespace.svc", 3: "pod.service.namespace.svc"}.get(dots)
    if rest == (SERVICES,):
        return {1: "service.namespace", 2: "pod.service.namespace"}.get(dots)
    if len(rest) == 2 and rest[1] == SERVICES and dots == 1:
        return "pod.service"
    return None


class Forms:
    """The forms of all names of a table."""

    def __init__(self, table: Table, subjects: Sequence[Subject], zones: Sequence[Labels]) -> None:
        self._table, self._subjects = table, subjects
        # names with a dot that the list completed, each once
        completed = (table.full != ABSENT) & (table.full != table.bases)
        pairs = np.flatnonzero(completed & (table.label_counts() > 1))
        key = (table.bases[pairs] << _ID_BITS) | table.full[pairs]
        _, first, at = np.unique(key, return_index=True, return_inverse=True)
        numbers = {form: n for n, (_, form) in enumerate(_FORMS)}
        found = [
            form_of(table.base_labels(p), table.full_labels(p), zones)
            for p in pairs[first].tolist()
        ]
        form = np.array([ABSENT if f is None else numbers[f] for f in found], np.int64)
        #: of each pair: which of _FORMS, and the number of its name among those of that form
        self._form = np.full(table.size, ABSENT)
        self._name = np.full(table.size, ABSENT)
        self._form[pairs] = form[at]
        self._name[pairs] = at

    def changed(self, ndots: int, members: Sequence[int]) -> tuple[NameForm, ...]:
        """Return the forms that an ndots of some subjects would change, if they exist."""
        before = max(self._subjects[s].most_ndots for s in members)
        shown = [(n, form) for n, (dots, form) in enumerate(_FORMS) if ndots <= dots < before]
        if not shown:
            return ()
        pairs = np.concatenate([np.arange(*self._table.bounds[s : s + 2]) for s in members])
        of = self._form[pairs]
        return tuple(
            NameForm(form, int(np.unique(self._name[pairs[of == n]]).size)) for n, form in shown
        )
