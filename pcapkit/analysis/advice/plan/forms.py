"""Forms of short names that an ndots changes, if there are such names.

A name with at least as many dots as ndots is asked as is first. Of names that the search list
completes, those with more dots than the new ndots allows change their order: all of their form, not
only those that were seen. Names of one label never do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import Table
from pcapkit.cluster.conventions import SERVICES
from pcapkit.model.plans import NameForm
from pcapkit.names.labels import Labels
from pcapkit.schema import ABSENT

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


def changed_forms(
    ndots: int,
    members: Sequence[int],
    subjects: Sequence[Subject],
    table: Table,
    zones: Sequence[Labels],
) -> tuple[NameForm, ...]:
    """Return the forms that an ndots of some subjects (``members``) would change, if they exist."""
    before = max(subjects[s].most_ndots for s in members)
    forms = [form for dots, form in _FORMS if ndots <= dots < before]
    if not forms:
        return ()
    seen: Counter[str | None] = Counter()
    known = set()
    for s in members:
        begin, end = table.bounds[s : s + 2].tolist()
        for pair in range(begin, end):
            base, full = int(table.bases[pair]), int(table.full[pair])
            if full != ABSENT and (base, full) not in known:
                known.add((base, full))
                seen[form_of(table.base_labels(pair), table.full_labels(pair), zones)] += 1
    return tuple(NameForm(form, seen[form]) for form in forms)
