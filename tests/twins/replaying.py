"""What lookups would have sent under another ndots, by the rules alone.

Each is walked again by ``resolver/simulate``: a question ends as it did in the lookup itself, else
as anywhere in the capture (an answer beats a miss, a miss an error, an error silence), else it is
assumed that the name does not exist. Where the order of candidates is the one in force, what was
seen counts; and the candidate that answered is one that answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, qtype_text
from pcapkit.names.labels import join
from pcapkit.resolver.models import AFTER_STOP, ResolverModel
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.simulate import walk
from tests.twins.describing import Lookup

Ends = Mapping[tuple[str, str], int]


def is_fixed(x: Lookup, absolute: bool | None, model: ResolverModel, ndots: int) -> bool:
    """Was it written with a final dot?"""
    if x.mode != "as is" or x.candidates > 1:
        return False
    if absolute or len(x.base) - 1 < ndots or not model.tries_as_is:
        return True
    searches = model.searches and model.searches_dotted and model.searches_after_as_is
    return (
        x.answered_by is None
        and searches
        and model.after([q.outcome for q in x.questions]) != (AFTER_STOP)
    )


def predict(
    x: Lookup,
    absolute: bool | None,
    ends: Ends,
    model: ResolverModel,
    search: tuple[str, ...],
    in_force: int,
    ndots: int,
) -> tuple[int, int, int]:
    """Return the queries of one lookup, those that are wasted, and those that are assumed."""
    dots = len(x.base) - 1
    ndots, in_force = model.effective_ndots(ndots), model.effective_ndots(in_force)
    fixed = is_fixed(x, absolute, model, in_force)
    searched = model.searches and (model.searches_dotted or dots == 0) and model.tries_as_is
    if fixed or not searched or (dots >= ndots) == (dots >= in_force):
        return len(x.questions), x.wasted, 0
    mine = {(join(q.name), qtype_text(q.qtype)): q.outcome for q in x.questions}
    first = x.questions[0].name
    families = [qtype_text(q.qtype) for q in x.questions if q.name == first]
    more = list(dict.fromkeys(qtype_text(q.qtype) for q in x.questions))
    if model.further_types_of_hit_only:
        families = ["A", "AAAA"] if more == ["A"] and not x.answered_by else more
    hit = x.answered_by and join(x.answered_by)
    assumed = set()

    def end(name: str, qtype: str) -> int:
        outcome = mine.get((name, qtype), ends.get((name, qtype)))
        taken = name == hit and all((name, t) in mine for t in families)
        if outcome is None:
            assumed.add((name, qtype))
            return NXDOMAIN
        return NODATA if taken and outcome != ANSWER else outcome

    config = ResolverConfig((), search, ndots, (), "")
    done = walk(join(x.base), config, model, end, families)
    if model.further_types_of_hit_only:
        assumed = {a for a in assumed if a[1] == families[0]}
        return done.queries, done.wasted, len(assumed)
    further = len(more) - len(families) if done.answered_by else 0  # not asked of the first name
    return done.queries + further, done.wasted, len(assumed)
