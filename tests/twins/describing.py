"""What a walk means, by the rules alone: its base name, outcome, whether it is whole, its waste."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, OTHER_RCODE, REFUSED, SERVFAIL, UNANSWERED
from pcapkit.resolver.models import AFTER_STOP, ResolverModel
from tests.twins.grouping import PAUSED, Candidate, Exchange, Walk

SECOND = 1_000_000_000
WAITS, GOES_ON = 5 * SECOND, SECOND // 20
OUTCOMES = {
    ANSWER: "resolved",
    UNANSWERED: "unanswered",
    SERVFAIL: "servfail",
    REFUSED: "refused",
    OTHER_RCODE: "other_rcode",
    NODATA: "nodata",
    NXDOMAIN: "nxdomain",
}


@dataclass(frozen=True)
class Question:
    """One transaction of a lookup."""

    name: tuple[str, ...]
    qtype: int
    sent: tuple[Exchange, ...]

    @property
    def outcome(self) -> int:
        """Return an answer if there is one, else what the last response said."""
        came = [e for e in self.sent if e.done is not None]
        if any(e.outcome == ANSWER for e in came):
            return ANSWER
        return max(came, key=lambda e: e.done or 0).outcome if came else UNANSWERED


@dataclass(frozen=True)
class Lookup:
    """A walk described."""

    base: tuple[str, ...]
    ambiguous: bool
    outcome: int
    answered_by: tuple[str, ...] | None
    complete: bool
    mode: str
    candidates: int
    questions: tuple[Question, ...]
    classes: tuple[str, ...]

    @property
    def wasted(self) -> int:
        """Count the queries that only the search list is the reason of."""
        return sum(c in ("search_miss", "absolute_miss") for c in self.classes)


def describe(
    w: Walk, search: Sequence[tuple[str, ...]], ndots: int, model: ResolverModel, end: int
) -> Lookup:
    """Describe a walk of a capture that ends at ``end``."""
    base, ambiguous = w.first, False
    if len(w.candidates) > 1 and w.mode == "list" and w.base:
        base = w.base
    elif len(w.candidates) == 1 and w.first[-len(search[0]) :] == search[0]:
        under = w.first[: -len(search[0])]
        if w.mode == "open" and 0 < len(under) <= ndots:
            base, ambiguous = under, True
    questions = tuple(
        Question(c.name, qtype, tuple(sent))
        for c in w.candidates
        for qtype, sent in c.questions.items()
    )
    hits = [q for q in questions if q.outcome == ANSWER]
    hit = min(hits, key=lambda q: q.sent[0].time).name if hits else None
    outcome = next(o for o in OUTCOMES if any(q.outcome == o for q in questions))
    cut = hit is None and _is_cut(w, questions, len(search), ambiguous, model, end)
    complete = not w.cut and not cut
    mode = w.mode if len(w.candidates) > 1 else "open" if ambiguous else "as is"
    exists = next((q.name for q in questions if q.outcome == NODATA), None)
    as_is = mode == "open" and not (model.name == "c-ares" and outcome == NXDOMAIN)
    classes = tuple(_class(q, complete, hit, exists, as_is or q.name == base) for q in questions)
    if model.failure_of_one_is_failure:  # musl's EAI_AGAIN, whatever the other family got
        if any(q.name == hit and q.outcome == SERVFAIL for q in questions):
            outcome = SERVFAIL
    size = len(w.candidates)
    return Lookup(base, ambiguous, outcome, hit, complete, mode, size, questions, classes)


def _class(
    q: Question,
    complete: bool,
    hit: tuple[str, ...] | None,
    exists: tuple[str, ...] | None,
    is_base: bool,
) -> str:
    if not complete:
        return "incomplete"
    if q.outcome == UNANSWERED:
        return "unanswered"
    if q.outcome == ANSWER:
        return "answer"
    if q.outcome not in (NODATA, NXDOMAIN):
        return "server_error"
    if q.name == hit:
        return "empty_family"
    if hit is None and q.outcome == NODATA and q.name == exists:
        return "no_such_type"
    if is_base:
        missing = "no_such_type" if q.outcome == NODATA else "nonexistent"
        return missing if hit is None else "absolute_miss"
    return "search_miss"


def _is_cut(
    w: Walk,
    questions: Sequence[Question],
    suffixes: int,
    ambiguous: bool,
    model: ResolverModel,
    end: int,
) -> bool:
    """Does the capture end while another query of the walk was due?"""
    last: Candidate = w.candidates[-1]
    mine = [q for q in questions if q.name == last.name or w.parallel]
    waiting = any(q.outcome == UNANSWERED for q in mine)
    newest = max(e.time if e.done is None else e.done for q in mine for e in q.sent)
    if end - newest > (WAITS if waiting else GOES_ON):
        return False
    if waiting:  # nothing was asked again so far
        return all(len(q.sent) == 1 for q in mine)
    failed = any(q.outcome not in (NODATA, NXDOMAIN) for q in mine)
    stops = any(q.outcome == NODATA for q in mine) and model.on_nodata == AFTER_STOP
    if w.parallel or failed or stops:
        return False
    if w.mode == "list":
        return not w.closed
    if len(w.candidates) > 1:
        return last.position < suffixes - 1
    return w.mode == "open" and ambiguous and model.name != "unknown"


def _is_rest(x: Lookup, looks: Sequence[Lookup], begin: int) -> bool:
    """Is it the end of a walk of which the suffixes were asked before the capture?"""
    last = [y for y in looks if y.base == x.base][-1]
    if last.mode != "list" or last.candidates == 1:
        return False
    alone = [y for y in looks if y.candidates == 1 and y.mode == "as is"]
    late = [y for y in alone if _start(y) - begin > PAUSED]
    if any(len(y.base) <= len(x.base) for y in late) or looks.index(x) >= 8:
        return False
    return x in alone and x not in late


def _start(x: Lookup) -> int:
    return min(q.sent[0].time for q in x.questions)


def without_rests(looks: Sequence[Lookup], begin: int) -> list[Lookup]:
    """Make the rests of walks incomplete; the capture begins at ``begin``."""
    return [
        replace(x, complete=False, classes=("incomplete",) * len(x.classes))
        if _is_rest(x, looks, begin)
        else x
        for x in looks
    ]


def absolute(looks: Sequence[Lookup], begin: int) -> list[bool | None]:
    """Say of the lookups of one client which of them only a final dot explains; None: unknown."""
    searched = {x.base for x in looks if x.mode == "list" and x.candidates > 1}
    low = max((len(base) for base in searched), default=0)
    out: list[bool | None] = []
    for _at, x in enumerate(looks):
        if x.candidates > 1:
            out.append(False)
        elif _is_rest(x, looks, begin):
            out.append(None)
        elif x.mode == "as is" and (len(x.base) - 1 < low or x.base in searched):
            out.append(True)
        else:
            out.append(None)
    return out
