"""Which candidates a replayed lookup asks, in which order, and how each ends (compiled).

Settings that come to one order share one walk; how a candidate ends is the same whatever asks it.
That is seen in the lookup itself where it asked the candidate, else anywhere in the capture; where
nothing was seen the name is taken not to exist, and its queries are counted as assumed. The time of
a candidate that was asked is its own; of others, what its question took elsewhere, or what such
questions take.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.analysis.whatif.answers import (
    AUTHORITATIVE,
    FORWARDED,
    QuestionTable,
    question_key,
    question_of,
)
from pcapkit.analysis.whatif.rules import Walker
from pcapkit.analysis.whatif.settings import ALL_IN_FULL, CLUSTER_IN_FULL
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, TYPE_A, TYPE_AAAA, TYPE_PTR, UNANSWERED
from pcapkit.kernels.interning import NOT_FOUND, InternerArrays, find
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.names.labels import name_start
from pcapkit.resolver.models import AFTER_NEXT, AFTER_STOP
from pcapkit.schema import AA_HIDDEN, ABSENT, Bytes, Ids, Int, Integers, Row, Rows

MAX_TYPES = 8
LONGEST = 255  #: bytes of a name without its root
#: Positions of a walk are those of the search list, and this one for the name as is; so the number
#: of a position among all of a walk is 1 more. TRANSACTION.suffix holds them, too.
NAME_AS_IS = -1
#: No candidate answered.
NOT_ANSWERED = -2
#: What follows a candidate, beside AFTER_... of a resolver: nothing, its answer is taken.
ANSWER_TAKEN = -1
#: The id of a candidate that was not looked for so far.
NOT_LOOKED_FOR = -2
#: No query of that name and type.
_NOT_SEEN = -1
_SECOND_NS = 1_000_000_000
_UNDERSCORE, _DASH, _ZERO, _NINE = 0x5F, 0x2D, 0x30, 0x39
_DASHES_OF_IPV4 = 3
#: The orders in which candidates are asked: with the name as is behind the list, before it, and
#: nothing but the name that answered.
LISTED, AS_IS_FIRST, WRITTEN_IN_FULL = range(3)
ORDERS = 3
#: What is left out where nothing ever answers under a suffix: all such suffixes.
IDLE = -2
#: Variants that leave out one and the same suffix.
VARIANTS_A_SUFFIX = 4 * ORDERS
#: What may be left out beside one suffix: nothing, or the idle ones.
WITHOUT_SUFFIX = 2
#: How one candidate of a lookup ends; the same whatever asks it, so it is found out once.
CANDIDATE = np.dtype(
    [
        ("replay", np.int64),  # number of the replay that this was found out for
        ("after", np.int32),  # AFTER_..., ANSWER_TAKEN
        ("assumed", np.int32),
        ("upstream", np.int32),
        ("missed", np.int32),  # questions that the name, or the type, does not exist for
        ("empty", np.int32),  # of these, NODATA
        ("other_ns", np.int64),  # what it would take, 0 where the lookup asked it
        ("name", np.int64),  # its id; of a name that nobody asked for, a number below 0
        ("kept_ns", np.int64, MAX_TYPES),  # how long each of its questions needs no repetition
        ("own", np.uint8),  # bits of the questions that the lookup itself sent
        ("assumed_of", np.uint8),  # the same of those that are assumed, and so on
        ("upstream_of", np.uint8),
        ("missed_of", np.uint8),
        ("empty_of", np.uint8),
    ],
    align=True,
)
#: Where the queries of one position are among those of a lookup: from ``first`` to before ``last``.
QUERY_RANGE = np.dtype(
    [
        ("replay", np.int64),  # number of the replay that this was set in
        ("first", np.int64),
        ("last", np.int64),
    ]
)


class Observations(NamedTuple):
    """What a capture shows of lookups, names and questions."""

    lookups: Rows  # LOOKUP
    transactions: Rows  # TRANSACTION
    exchanges: Rows  # EXCHANGE
    names: InternerArrays
    labels: Ids  # of each name, how many
    in_zone: Bytes  # of each name, is it inside the cluster domain?
    is_reverse: Bytes  # of each name, is it below arpa?
    questions: QuestionTable
    typical_ns: Integers  # (2), see ``Answers``
    denial_ttl: Integers  # (2), the same


class LookupReplay(NamedTuple):
    """One lookup that is replayed, and what it rests on."""

    observed: Observations
    walker: Walker
    lookup: Row  # LOOKUP
    transactions: Rows  # TRANSACTION, those of the lookup
    answered: Int  # the position that answered, or NOT_ANSWERED
    number: Int  # from 1 on; no other lookup is replayed with it
    client: Int  # index plus 1 of a client whose resolver keeps answers, 0: of any other
    candidate_ids: Ids  # (MOST_SHARED) of the base name under shared suffixes, NOT_LOOKED_FOR


class Questions(NamedTuple):
    """What a walk asks of every candidate."""

    types: Integers  # (MAX_TYPES), the first ``asked`` of them
    asked: Int
    further: Int  # how many more types are asked of the candidate that answers


class CandidateScratch(NamedTuple):
    """What finding out about candidates writes to."""

    name: Bytes  # (256), in wire form
    outcomes: Integers  # (MAX_TYPES)
    ranges: Rows  # QUERY_RANGE (positions)


@helper_kernel
def _candidate_id(replay: LookupReplay, position: Int, name: Bytes) -> Int:
    """Return the id of the base name under the suffix at ``position``, or NOT_FOUND.

    What is found under a shared suffix is kept in ``candidate_ids`` of the ``replay``. ``name``
    (256) is scratch.
    """
    walker, candidate_ids = replay.walker, replay.candidate_ids
    suffix = walker.suffixes[position]
    if suffix["shared"] >= 0 and candidate_ids[suffix["shared"]] != NOT_LOOKED_FOR:
        return np.int64(candidate_ids[suffix["shared"]])
    found = np.int64(NOT_FOUND)
    names, base = replay.observed.names, replay.lookup["base"]
    begin = name_start(names.ends, base)
    length = names.ends[base] - begin - 1
    if length >= 0 and length + suffix["size"] <= LONGEST:
        for k in range(length):
            name[k] = names.arena[begin + k]
        for k in range(suffix["size"]):
            name[length + k] = walker.wire[suffix["begin"] + k]
        found = np.int64(find(names, name, 0, length + suffix["size"]))
    if suffix["shared"] >= 0:
        candidate_ids[suffix["shared"]] = found
    return found


@helper_kernel
def what_follows(rules: Row, outcomes: Integers, count: Int) -> Int:
    """Return what a resolver does after a candidate: AFTER_..., or ANSWER_TAKEN.

    ``rules`` (RULES) are the resolver's. The first ``count`` of ``outcomes`` are those of the
    candidate's questions.
    """
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
        return ANSWER_TAKEN
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
def note_ranges(replay: LookupReplay, ranges: Rows) -> None:
    """Note in ``ranges`` (QUERY_RANGE) where the queries of each position of ``replay`` are."""
    for k in range(replay.lookup["queries"]):
        number = np.int64(replay.transactions[k]["suffix"]) - NAME_AS_IS
        if 0 <= number < ranges.shape[0]:
            of_position = ranges[number]
            if of_position["replay"] != replay.number:
                of_position["replay"] = replay.number
                of_position["first"] = k
            of_position["last"] = k + 1


@inline_kernel
def kept_ns(rules: Row, outcome: Int, ttl: Int, is_bare: bool) -> Int:
    """Return how long a resolver by ``rules`` (RULES) keeps a response of such an ``outcome``.

    ``ttl`` is that of its answers, or its negative TTL, ABSENT where it has none (without an SOA
    record nothing may be kept: RFC 2308 section 5); ``is_bare``: it holds no answer at all.
    """
    if outcome == NODATA and is_bare and rules["empty_ns"] > 0:
        return np.int64(rules["empty_ns"])
    if outcome > NXDOMAIN or ttl < 0:
        return np.int64(0)
    return np.int64(ttl) * np.int64(_SECOND_NS)


@inline_kernel
def _own_outcome(
    replay: LookupReplay, position: Int, qtype: Int, of_position: Row, is_authoritative: bool
) -> tuple[Int, bool, Int]:
    """Return how the lookup's own query for ``qtype`` at ``position`` ended, and if with AA.

    It is looked for in the transactions of ``replay`` that ``of_position`` (QUERY_RANGE) names. The
    outcome is _NOT_SEEN where there is none; ``is_authoritative`` is returned where AA is hidden.
    The third is how long (ns) the response is kept.
    """
    outcome = np.int64(_NOT_SEEN)
    kept: Int = np.int64(0)
    last = of_position["last"] if of_position["replay"] == replay.number else np.int64(0)
    for j in range(of_position["first"], last):
        t = replay.transactions[j]
        if t["suffix"] == position and t["qtype"] == qtype:
            outcome = np.int64(t["outcome"])
            if t["response"] >= 0:
                response = replay.observed.exchanges[t["response"]]
                aa = response["aa"]
                is_authoritative = is_authoritative if aa == AA_HIDDEN else aa == 1
                is_bare = response["answers"] == 0
                kept = kept_ns(replay.walker.rules, outcome, response["min_ttl"], is_bare)
    return outcome, is_authoritative, kept


@inline_kernel
def _outcome_elsewhere(
    replay: LookupReplay, name: Int, qtype: Int, is_authoritative: bool, took: Int
) -> tuple[Int, bool, Int, Int]:
    """Return how the question for ``qtype`` of ``name`` (an id) ended, if with AA, and its time.

    ``replay`` says what is known of all questions. The outcome is _NOT_SEEN where nobody asked
    this one; ``is_authoritative`` and ``took`` (ns) are returned where they are not known. The last
    is how long (ns) the response is kept.
    """
    observed = replay.observed
    key = question_key(name, qtype)
    question = question_of(key, observed.questions)
    if question["key"] != key:
        return np.int64(_NOT_SEEN), is_authoritative, took, np.int64(0)
    if question["aa"] != AA_HIDDEN:
        is_authoritative = question["aa"] == 1
    if question["responses"] > 0:
        took = question["time_ns"] // question["responses"]
    outcome = np.int64(question["outcome"])
    kept = kept_ns(replay.walker.rules, outcome, question["ttl"], question["bare"] != 0)
    return outcome, is_authoritative, took, kept


@helper_kernel
def is_made(arena: Bytes, begin: Int) -> bool:
    """Does the name in ``arena`` from ``begin`` on start as names do that programs make in full?

    These are services by port (``_http._tcp``) and pods by address (``10-244-1-7``); see
    Kubernetes' DNS specification, sections 2.3.2 and 2.4.
    """
    size = np.int64(arena[begin])
    if begin + size >= arena.shape[0]:
        return False
    if size > 0 and arena[begin + 1] == _UNDERSCORE:
        return True
    dashes = 0
    for k in range(begin + 1, begin + 1 + size):
        if arena[k] == _DASH:
            dashes += 1
        elif not _ZERO <= arena[k] <= _NINE:
            return False
    return dashes == _DASHES_OF_IPV4


@helper_kernel
def find_name(replay: LookupReplay, position: Int, name: Bytes) -> Int:
    """Return the id of the candidate at ``position``, or a number below 0 that only it has.

    ``replay`` is of its lookup; ``name`` (256) is scratch.
    """
    base = np.int64(replay.lookup["base"])
    if position == NAME_AS_IS:
        return base
    found: Int = _candidate_id(replay, position, name)
    if found == NOT_FOUND:
        found = -base * np.int64(replay.walker.suffixes.shape[0] + 1) - np.int64(position) - 2
    return found


@inline_kernel
def find_outcome(
    replay: LookupReplay, position: Int, questions: Questions, scratch: CandidateScratch, end: Row
) -> None:
    """Set ``end`` (CANDIDATE) to how the candidate at ``position`` ends in a ``replay``.

    It is asked all of ``questions``. ``scratch`` is written to, and holds the ranges that
    :func:`note_ranges` noted.
    """
    observed, walker, base = replay.observed, replay.walker, replay.lookup["base"]
    in_zone = observed.in_zone[base]
    if position != NAME_AS_IS:
        in_zone = walker.suffixes[position]["in_zone"]
    is_unseen, is_answered = False, False
    slowest: Int = np.int64(0)
    name: Int = np.int64(NOT_LOOKED_FOR)
    of_position = scratch.ranges[np.int64(position - NAME_AS_IS)]
    end["assumed"] = 0
    end["upstream"] = 0
    end["missed"] = 0
    end["empty"] = 0
    end["own"] = 0
    end["assumed_of"] = 0
    end["upstream_of"] = 0
    end["missed_of"] = 0
    end["empty_of"] = 0
    for k in range(questions.asked):
        qtype, bit = questions.types[k], np.uint8(1 << k)
        took: Int = np.int64(0)
        kept: Int
        outcome: Int
        outcome, is_authoritative, kept = _own_outcome(
            replay, position, qtype, of_position, in_zone != 0
        )
        if outcome != _NOT_SEEN:
            end["own"] |= bit
        else:
            is_unseen = True
            took = observed.typical_ns[AUTHORITATIVE if in_zone else FORWARDED]
            if name == NOT_LOOKED_FOR:
                name = np.int64(base)
                if position != NAME_AS_IS:
                    name = _candidate_id(replay, position, scratch.name)
            if name != NOT_FOUND:
                outcome, is_authoritative, took, kept = _outcome_elsewhere(
                    replay, name, qtype, is_authoritative, took
                )
        if outcome == _NOT_SEEN:
            outcome = np.int64(NXDOMAIN)
            kept = observed.denial_ttl[1 if in_zone else 0] * np.int64(_SECOND_NS)
            end["assumed"] += 1
            end["assumed_of"] |= bit
        if outcome == UNANSWERED:
            took = walker.rules["silence_ns"]
        elif outcome > NXDOMAIN:
            took = max(took, walker.rules["error_ns"])
        slowest = max(slowest, took)
        if not is_authoritative:
            end["upstream"] += 1
            end["upstream_of"] |= bit
        if qtype != TYPE_PTR and (outcome == NXDOMAIN or outcome == NODATA):
            end["missed"] += 1
            end["missed_of"] |= bit
            if outcome == NODATA:
                end["empty"] += 1
                end["empty_of"] |= bit
        end["kept_ns"][k] = kept
        scratch.outcomes[k] = outcome
        is_answered = is_answered or outcome == ANSWER
    end["other_ns"] = slowest if is_unseen else 0
    end["after"] = what_follows(walker.rules, scratch.outcomes, questions.asked)
    if not is_unseen and position == replay.answered and is_answered:
        end["after"] = ANSWER_TAKEN  # whatever the rules say


@helper_kernel
def has_final_dot(walker: Walker, lookup: Row, transactions: Rows, outcomes: Integers) -> bool:
    """Was a name that failed alone, as is, written with a final dot? Else the list had followed.

    ``walker`` would ask the list after the name of ``lookup`` (LOOKUP), whose ``transactions`` are
    TRANSACTION. ``outcomes`` (MAX_TYPES) is scratch.
    """
    rules = walker.rules
    if lookup["answered_by"] >= 0 or lookup["queries"] > MAX_TYPES:
        return False
    if walker.suffixes.shape[0] == 0:
        return False
    if not (rules["searches"] and rules["searches_dotted"] and rules["searches_after_as_is"]):
        return False
    for k in range(lookup["queries"]):
        outcomes[k] = transactions[k]["outcome"]
    return what_follows(rules, outcomes, lookup["queries"]) != AFTER_STOP


@helper_kernel
def write_types(
    lookup: Row, transactions: Rows, first_only: bool, no_aaaa: bool, types: Integers
) -> tuple[Int, Int]:
    """Write the types asked of every candidate; return how many, and how many more of the hit.

    They are those of ``lookup`` (LOOKUP), from its ``transactions`` (TRANSACTION): the first alone
    with ``first_only``, where the others follow once there is a hit (AAAA does after A, though none
    was seen), and not AAAA with ``no_aaaa``. ``types`` (MAX_TYPES) gets them.
    """
    count, distinct = 0, 0
    for k in range(lookup["queries"]):
        qtype = transactions[k]["qtype"]
        if no_aaaa and qtype == TYPE_AAAA:
            continue
        again = False
        for j in range(k - 1, -1, -1):
            if transactions[j]["qtype"] == qtype:
                again = True
                break
        if not again:
            distinct += 1
        if transactions[k]["name"] == transactions[0]["name"] and count < MAX_TYPES:
            types[count] = qtype
            count += 1
    if first_only:
        count = min(count, 1)
        if lookup["answered_by"] < 0 and distinct == 1 and types[0] == TYPE_A:
            distinct = 2
    return count, max(0, distinct - count)


@inline_kernel
def answered_position(lookup: Row, transactions: Rows) -> Int:
    """Return the position of the name that answered ``lookup`` (LOOKUP), or NOT_ANSWERED.

    ``transactions`` (TRANSACTION) are those of the lookup.
    """
    answered = np.int64(NOT_ANSWERED)
    if lookup["answered_by"] >= 0:
        for k in range(lookup["queries"]):
            if transactions[k]["name"] == lookup["answered_by"]:
                answered = np.int64(transactions[k]["suffix"])
    return answered


class Variant(NamedTuple):
    """One way to walk a lookup; it is the same under all settings that come to it."""

    order: Int
    without_aaaa: bool
    by_server: bool  # autopath: the server walks
    dropped: Int  # position of the suffix that is left out, ABSENT, IDLE


class Traits(NamedTuple):
    """What holds for a lookup under all settings."""

    order: Int  # in force
    base_bytes: Int  # of the base name, without its root
    dots: Int  # of the base name
    in_zone: bool  # is the name that answered inside the cluster domain?
    is_final: bool  # no setting makes it walk the list: it is taken for a full name
    is_never_listed: bool
    is_never_as_is: bool  # the resolver sends no such name as it is
    is_made: bool  # it is rather a full name that a program has made, than a short one
    takes_whole_list: bool  # suffixes that the resolver's caps leave out were asked all the same
    is_probe: bool
    questions: Questions
    without_aaaa: Questions


@inline_kernel
def variant_of(setting: Row, walker: Walker, dots: Int, in_zone: bool) -> Variant:
    """Return how ``walker`` walks a lookup of so many ``dots`` under a ``setting`` (SETTING).

    ``in_zone``: is the name that answered inside the cluster domain?
    """
    rules = walker.rules
    ndots = rules["ndots"]
    if setting["ndots"] >= 0:
        ndots = max(np.int64(setting["ndots"]), rules["least_ndots"])
    order = np.int64(AS_IS_FIRST if rules["tries_as_is"] and dots >= ndots else LISTED)
    if setting["in_full"] == ALL_IN_FULL or (setting["in_full"] == CLUSTER_IN_FULL and in_zone):
        order = np.int64(WRITTEN_IN_FULL)
    dropped = np.int64(ABSENT)
    if setting["drop"] < walker.suffixes.shape[0]:
        dropped = np.int64(setting["drop"])
    return Variant(
        order,
        setting["no_aaaa"] != 0 and rules["honours_no_aaaa"] != 0,
        setting["autopath"] != 0 and order == LISTED,
        dropped,
    )


@inline_kernel
def variant_number(variant: Variant) -> Int:
    """Return the index of a ``variant`` among all of a walk."""
    number = variant.dropped - IDLE
    number = 2 * number + (1 if variant.by_server else 0)
    number = 2 * number + (1 if variant.without_aaaa else 0)
    return ORDERS * number + variant.order


@helper_kernel
def write_order(
    walker: Walker, variant: Variant, traits: Traits, answered: Int, order: Integers
) -> Int:
    """Write to ``order`` the positions that ``walker`` asks one after the other; return how many.

    ``variant`` is how it walks, a lookup of such ``traits`` which the position ``answered``.
    """
    rules = walker.rules
    order[0] = NAME_AS_IS
    as_is = 0 if traits.is_never_as_is else 1
    if variant.order == WRITTEN_IN_FULL:
        if answered != NOT_ANSWERED:
            order[0] = answered
        return 1 if order[0] != NAME_AS_IS else as_is
    if traits.is_never_listed:
        return as_is
    at = 0
    if variant.order == AS_IS_FIRST:
        at = as_is
        if not rules["searches_after_as_is"]:
            return at
        as_is = 0
    for p in range(walker.suffixes.shape[0]):
        suffix = walker.suffixes[p]
        is_root = suffix["size"] == 1  # the name as is, where it has not been asked
        if is_root and not as_is:
            continue
        left_out = suffix["left_out"]
        if variant.dropped == IDLE:
            left_out = suffix["left_out_without_idle"]
        if p == variant.dropped or (variant.dropped == IDLE and suffix["idle"]):
            continue
        if left_out and not traits.takes_whole_list:
            continue
        if traits.base_bytes + suffix["size"] > LONGEST:
            if rules["abandons_too_long"]:
                break
            continue
        order[at] = NAME_AS_IS if is_root else p
        as_is = 0 if is_root else as_is
        at += 1
    follows = rules["as_is_after_list"] or at == 0
    if variant.order == LISTED and rules["tries_as_is"] and follows and as_is:
        order[at] = NAME_AS_IS
        at += 1
    return at


@helper_kernel
def is_never_asked(replay: LookupReplay) -> bool:
    """Does the base name of ``replay`` end in the domain that its resolver sends no name of?"""
    rules, names, base = replay.walker.rules, replay.observed.names, replay.lookup["base"]
    size, end = rules["never_asked_size"], names.ends[base]
    if rules["never_asked"] < 0 or end - name_start(names.ends, base) <= size:
        return False
    for k in range(size):
        if names.arena[end - size + k] != replay.walker.wire[rules["never_asked"] + k]:
            return False
    return True
