"""Why a change is safe or to be reviewed, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcapkit.analysis.advice.plan.changes import Change
from pcapkit.analysis.advice.plan.subjects import Subject
from pcapkit.analysis.advice.plan.table import ASSUMED, Table
from pcapkit.analysis.whatif.affected_names import DOUBTFUL, LEAKED
from pcapkit.analysis.whatif.settings import TLS
from pcapkit.model.plans import Coverage
from pcapkit.model.vocabulary import Safety
from pcapkit.words import seconds, some

#: Below this a capture shows too little of what happens in a day for a roll-out.
SHORT_S = 600
_NEW_TEXT = (
    "another text than now, and the capture does not show whether it is used with TLS or HTTP: "
    "server names (SNI), certificates, Host headers and mesh rules see it; try it in one workload "
    "first"
)
_OF_LIST = (
    "no name in the capture was answered under it; names that only it completes would no longer "
    "resolve",
    "dnsConfig adds to the list that ClusterFirst makes and takes nothing away: it needs dnsPolicy "
    "None with nameservers, list and ndots written out, or another resolv.conf on the node",
)
_SAID = (
    (LEAKED, "cluster names sent upstream first"),
    (DOUBTFUL, "at risk if they are written without their suffix"),
)


def reasons_of(change: Change, subjects: Sequence[Subject], table: Table) -> tuple[str, ...]:
    """Return what a change's safety rests on, and which form its names need and why."""
    if change.name is not None:
        return _of_name(change, subjects, table)
    if change.suffixes:
        return (*_OF_LIST, *_doubts(change.subjects, subjects))
    if change.safety is Safety.SAFE:
        return ("every name seen still resolves, and to the same name",)
    return (*_of_ndots(change, subjects, table), *_doubts(change.subjects, subjects))


def _of_name(change: Change, subjects: Sequence[Subject], table: Table) -> tuple[str, ...]:
    name, out = change.name, []
    assert name is not None
    if name.is_new_text:
        out.append(_NEW_TEXT)
    count = int(table.full_dots[change.pairs[0]])
    dots = f"{count} dot{'' if count == 1 else 's'}"
    if name.final_dot:
        unsure = [subjects[s] for s in change.subjects if not subjects[s].asks_dotted_as_is_first]
        out.append(
            "with its final dot: not every release of this resolver asks names with enough dots as "
            "is first"
            if unsure
            else f"with its final dot: it has {dots}, fewer than ndots"
        )
        out.append(TLS)
    else:
        out.append(f"no final dot: it has {dots}, enough for ndots")
    thin = _thin(change.subjects, subjects)
    return (*out, *([thin] if thin else []))


def _of_ndots(change: Change, subjects: Sequence[Subject], table: Table) -> list[str]:
    assert change.ndots is not None
    out = []
    pairs = np.concatenate([np.arange(*table.bounds[s : s + 2]) for s in change.subjects])
    pairs = pairs[~np.isin(pairs, change.pairs)]
    marks = table.marks(change.ndots)[pairs]
    if change.obliged:
        texts = [n.base for n in change.obliged]
        out.append(f"to be written in full with it: {some(texts)}")
        if any(n.is_new_text for n in change.obliged):
            out.append(_NEW_TEXT)
        if any(n.final_dot for n in change.obliged):
            out.append(TLS)
    for mark, said in _SAID:
        names = sorted({table.base_text(p) for p in pairs[marks & mark != 0].tolist()})
        if names:
            out.append(f"{said}: {some(names)}")
    assumed = int(table.at(change.ndots)[pairs, ASSUMED].sum())
    if assumed:
        out.append(f"{assumed} queries rest on answers that the capture does not show")
    return out


def _doubts(members: Sequence[int], subjects: Sequence[Subject]) -> list[str]:
    out = []
    if thin := _thin(members, subjects):
        out.append(thin)
    if unknown := [subjects[s].title for s in members if not subjects[s].is_known]:
        who = "the resolver is" if len(members) == 1 else f"resolvers of {some(unknown)} are"
        out.append(f"{who} not known; glibc's rules are assumed")
    return out


def _thin(members: Sequence[int], subjects: Sequence[Subject]) -> str | None:
    thin = [subjects[s] for s in members if subjects[s].thin is not None]
    if not thin:
        return None
    if len(members) == 1:
        return thin[0].thin
    return f"thin capture of {some([s.title for s in thin])}"


def wording_of_safe(coverage: Coverage) -> str | None:
    """Return what a safe plan's verdict is worth in a short capture; None in a long one."""
    if coverage.duration_s is None or coverage.duration_s >= SHORT_S:
        return None
    lasted = seconds(coverage.duration_s)
    return f"safe for what was seen in {lasted}: capture longer before a roll-out"
