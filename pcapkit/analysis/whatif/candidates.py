"""How one candidate of a replayed lookup ends, whatever asks it (compiled).

From the lookup itself where it asked the candidate, else from anywhere in the capture; where
nothing was seen the name is taken not to exist, and its queries are counted as assumed. The time of
a candidate that was asked is its own; of others, what its question took elsewhere, or what such
questions take.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.whatif.answers import AUTHORITATIVE, FORWARDED, question_key, slot_of
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, QTYPE_NUMBERS, REFUSED, UNANSWERED
from pcapkit.kernels.interning import find
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.names.labels import name_start
from pcapkit.resolver.models import AFTER_NEXT
from pcapkit.schema import AA_HIDDEN

MAX_TYPES = 8
LONGEST = 255  #: bytes of a name without its root
_PTR = QTYPE_NUMBERS["PTR"]
#: How one candidate of a lookup ends; the same whatever asks it, so it is found out once.
CANDIDATE = np.dtype(
    [
        ("turn", np.int64),  # of the lookup that this was found for
        ("after", np.int32),  # AFTER_..., -1: its answer is taken
        ("assumed", np.int32),
        ("upstream", np.int32),
        ("missed", np.int32),  # questions that the name, or the type, does not exist for
        ("empty", np.int32),  # of these, NODATA
        ("other_ns", np.int64),  # what it would take, 0 where the lookup asked it
    ],
    align=True,
)
#: Where the queries of one position are among those of a lookup: from ``first`` to before ``last``.
SEEN = np.dtype([("turn", np.int64), ("first", np.int64), ("last", np.int64)])


class Facts(NamedTuple):
    """What is known of names and questions; ``inside`` marks names in the cluster domain."""

    rows: npt.NDArray[Any]  # EXCHANGE
    names: Any
    labels: npt.NDArray[np.int32]
    inside: npt.NDArray[np.uint8]
    reverse: npt.NDArray[np.uint8]
    known: npt.NDArray[Any]
    typical_ns: npt.NDArray[np.int64]


@helper_kernel
def _candidate(names: Any, walker: Any, position: Any, base: Any, found: Any, scratch: Any) -> Any:
    """Return the id of base + suffix, -1 where no such name was seen.

    ``found`` holds what was found so far of this base, plus 2, for suffixes that lists share.
    """
    wire, tail = walker.wire, walker.tails[position]
    if tail["shared"] >= 0 and found[tail["shared"]] > 0:
        return np.int64(found[tail["shared"]]) - 2
    name = np.int64(-1)
    arena, ends = names.arena, names.ends
    begin = name_start(ends, base)
    length = ends[base] - begin - 1
    if length >= 0 and length + tail["size"] <= LONGEST:
        for k in range(length):
            scratch[k] = arena[begin + k]
        for k in range(tail["size"]):
            scratch[length + k] = wire[tail["begin"] + k]
        name = np.int64(find(names, scratch, 0, length + tail["size"]))
    if tail["shared"] >= 0:
        found[tail["shared"]] = name + 2
    return name


@helper_kernel
def what_follows(rules: Any, outcomes: Any, count: Any) -> Any:
    """What the resolver does after a candidate; -1 where its answer is taken."""
    answered, unanswered, refused, failed = False, False, False, False
    empty, absent = False, False
    for k in range(count):
        o = outcomes[k]
        answered = answered or o == ANSWER
        unanswered = unanswered or o == UNANSWERED
        refused = refused or o == REFUSED
        failed = failed or not (o == ANSWER or o == NODATA or o == NXDOMAIN)
        empty = empty or o == NODATA
        absent = absent or o == NXDOMAIN
    if answered and not (
        (absent and rules["nxdomain_of_one_is_absence"])
        or (failed and rules["failure_of_one_is_failure"])
    ):
        return -1
    if unanswered:
        return int(rules["on_timeout"])
    if refused:
        return int(rules["on_refused"])
    if failed:
        return int(rules["on_servfail"])
    if absent and rules["nxdomain_of_one_is_absence"]:
        return AFTER_NEXT
    return int(rules["on_nodata"]) if empty else AFTER_NEXT


@inline_kernel
def note_seen(seen: Any, position: Any, k: Any, turn: Any) -> None:
    """Note where the queries of a position are among those of the lookup."""
    if 0 <= position + 1 < seen.shape[0]:
        where = seen[position + 1]
        if where["turn"] != turn:
            where["turn"] = turn
            where["first"] = k
        where["last"] = k + 1


@inline_kernel
def ask(
    facts: Any,
    walker: Any,
    look: Any,
    mine: Any,
    answered: Any,
    position: Any,
    types: Any,
    kinds: Any,
    turn: Any,
    found: Any,
    work: Any,
    out: Any,
) -> None:
    """Find out how one candidate ends when it is asked for every type."""
    inside = walker.tails[position]["in_zone"] if position >= 0 else facts.inside[look["base"]]
    unseen, answer = False, False
    slowest = np.int64(0)
    name = np.int64(-2)  # not looked for
    where = work.seen[position + 1]
    first, last = where["first"], where["last"] if where["turn"] == turn else np.int64(0)
    out["assumed"] = 0
    out["upstream"] = 0
    out["missed"] = 0
    out["empty"] = 0
    for k in range(kinds):
        outcome, took = np.int64(-1), np.int64(0)
        authoritative = inside != 0
        for j in range(first, last):
            if mine[j]["suffix"] == position and mine[j]["qtype"] == types[k]:
                outcome = np.int64(mine[j]["outcome"])
                if mine[j]["response"] >= 0:
                    shown = facts.rows[mine[j]["response"]]["aa"]
                    authoritative = authoritative if shown == AA_HIDDEN else shown == 1
        if outcome < 0:
            unseen = True
            took = facts.typical_ns[AUTHORITATIVE if inside else FORWARDED]
            if name == -2:
                name = np.int64(look["base"])
                if position >= 0:
                    name = _candidate(facts.names, walker, position, name, found, work.scratch)
            if name >= 0:
                key = question_key(name, types[k])
                seen = facts.known[slot_of(facts.known, key)]
                if seen["key"] == key:
                    outcome = np.int64(seen["outcome"])
                    if seen["aa"] != AA_HIDDEN:
                        authoritative = seen["aa"] == 1
                    if seen["responses"] > 0:
                        took = seen["time_ns"] // seen["responses"]
        if outcome < 0:
            outcome = np.int64(NXDOMAIN)
            out["assumed"] += 1
        if outcome == UNANSWERED:
            took = walker.rules["silence_ns"]
        elif outcome > NXDOMAIN:
            took = max(took, walker.rules["error_ns"])
        slowest = max(slowest, took)
        out["upstream"] += 0 if authoritative else 1
        if types[k] != _PTR and (outcome == NXDOMAIN or outcome == NODATA):
            out["missed"] += 1
            out["empty"] += 1 if outcome == NODATA else 0
        work.events[k] = outcome
        answer = answer or outcome == ANSWER
    out["other_ns"] = slowest if unseen else 0
    out["after"] = what_follows(walker.rules, work.events, kinds)
    if not unseen and position == answered and answer:
        out["after"] = -1  # whatever the rules say, it was taken
