"""Group exchanges into walks: one walk of the search list each, with retries and both families.

One client's exchanges are read in time order, with the walks that may still go on. A query either
repeats a question of a walk's current candidate (a retry), asks that candidate for another type
(the other family), asks the next candidate of a walk whose current one has failed, or opens a walk.
Ports and IDs only break ties: Go changes both with every query, c-ares keeps one port.

Walks, candidates and questions are rows that link to one another by number:

    walk -> its first and last candidate -> the candidate after it
    candidate -> its first question -> the question after it
    question -> its first exchange -> the exchange after it (``next_exchange``)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.evidence import LONGEST_TIMEOUT_NS, NEAR_NS, NEAR_WITHOUT_CLOCK_NS
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.kernels import helper_kernel, kernel
from pcapkit.layout import NO_TIME, TCP

#: The other family of a candidate follows its first within this time of the last answer.
JOIN_NS = 8_000_000
#: The next candidate follows within this time (a busy pod may be kept from running).
NEXT_NS = 500_000_000
NEXT_WITHOUT_CLOCK_NS = 20_000
#: No resolver's retry timer is shorter (c-ares adapts down to a quarter of a second).
SHORTEST_TIMER_NS = 200_000_000

#: How a walk is read: the search list first, the name as is first, or still open: its one
#: candidate can be either.
LIST, AS_IS, OPEN = range(3)

#: Walks at one name, and at one base, that are looked through, the newest first.
_AT_NAME, _AT_BASE = 8, 16
_PENDING = NO_TIME + 1

WALK = np.dtype(
    [
        ("start", np.int64),  # time of the first exchange
        ("client", np.int32),
        ("base", np.int32),  # name id of the base if it walks the list first, -1 where it cannot
        ("first", np.int32),
        ("last", np.int32),
        ("candidates", np.int32),
        ("mode", np.uint8),
        ("cut_start", np.uint8),  # responses without queries show that it began earlier
        ("closed", np.uint8),  # the name as is has been asked after the list
        ("parallel", np.uint8),  # candidates were asked before others had answered (busybox)
        ("seen", np.uint8),  # some query of it was captured
    ],
    align=True,
)

CANDIDATE = np.dtype(
    [
        ("name", np.int32),
        ("walk", np.int32),
        ("position", np.int32),  # index in the search list; -1 as is
        ("question", np.int32),
        ("after", np.int32),
        ("node", np.int32),  # its entry in the list of walks at its name
    ],
    align=True,
)

QUESTION = np.dtype(
    [("qtype", np.int32), ("first", np.int32), ("last", np.int32), ("after", np.int32)], align=True
)

_NODE = np.dtype(
    [("walk", np.int32), ("candidate", np.int32), ("older", np.int32), ("alive", np.int32)],
    align=True,
)


class Walks(NamedTuple):
    """The linked rows; ``used`` counts walks, candidates, questions, name nodes and base nodes."""

    walks: npt.NDArray[Any]
    candidates: npt.NDArray[Any]
    questions: npt.NDArray[Any]
    next_exchange: npt.NDArray[np.int32]
    used: npt.NDArray[np.int64]
    at_name: npt.NDArray[np.int32]  # newest node by name id
    at_base: npt.NDArray[np.int32]
    name_nodes: npt.NDArray[Any]
    base_nodes: npt.NDArray[Any]


class Rules(NamedTuple):
    """What one group of clients has in common: its search list, and how it is walked."""

    bases: npt.NDArray[np.int32]  # (names, suffixes): the base of a name under a suffix, or -1
    by_size: npt.NDArray[np.int64]  # positions of the list, longest suffix first
    starts: npt.NDArray[np.uint8]  # may a walk begin with this suffix?
    join: int
    near: int
    next: int
    searches_after_as_is: bool


_WALKS, _CANDIDATES, _QUESTIONS, _NAME_NODES, _BASE_NODES = range(5)


@helper_kernel
def _question(w: Any, candidate: Any, qtype: Any) -> Any:
    """Return a candidate's question of a type, or -1."""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0 and w.questions[at]["qtype"] != qtype:
        at = np.int64(w.questions[at]["after"])
    return at


@helper_kernel
def _has_port(rows: Any, w: Any, candidate: Any, port: Any) -> Any:
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        x = np.int64(w.questions[at]["first"])
        while x >= 0:
            if rows[x]["client_port"] == port:
                return True
            x = np.int64(w.next_exchange[x])
        at = np.int64(w.questions[at]["after"])
    return False


@helper_kernel
def _answered(rows: Any, w: Any, candidate: Any, time: Any) -> Any:
    """Does the candidate have an answer by ``time``?"""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        x = np.int64(w.questions[at]["first"])
        while x >= 0:
            e = rows[x]
            done = e["response_time"]
            if e["outcome"] == ANSWER and done != NO_TIME and done <= time and not e["tc"]:
                return True
            x = np.int64(w.next_exchange[x])
        at = np.int64(w.questions[at]["after"])
    return False


@helper_kernel
def _finished(rows: Any, w: Any, candidate: Any, time: Any) -> Any:
    """Return when its last answer came, or its last timer began; _PENDING while one is awaited."""
    latest = NO_TIME
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        q = w.questions[at]
        earliest = NO_TIME
        x = np.int64(q["first"])
        while x >= 0:
            done = rows[x]["response_time"]
            if done != NO_TIME and done <= time and (earliest == NO_TIME or done < earliest):
                earliest = done
            x = np.int64(w.next_exchange[x])
        asked = rows[q["last"]]["query_time"]
        if earliest != NO_TIME:
            latest = max(latest, earliest)
        elif time - asked >= SHORTEST_TIMER_NS:
            latest = max(latest, asked)
        else:
            return np.int64(_PENDING)
        at = np.int64(q["after"])
    return np.int64(latest)


@helper_kernel
def _silent(rows: Any, w: Any, candidate: Any) -> Any:
    """Did any question of it get no response at all?"""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        x = np.int64(w.questions[at]["first"])
        answered = False
        while x >= 0:
            answered = answered or rows[x]["response_time"] != NO_TIME
            x = np.int64(w.next_exchange[x])
        if not answered:
            return True
        at = np.int64(w.questions[at]["after"])
    return False


@helper_kernel
def _joins(rows: Any, w: Any, walk: Any, candidate: Any, e: Any, join: Any) -> Any:
    """Is this the same candidate asked for another type?"""
    time = e["query_time"]
    if time - w.walks[walk]["start"] > 2 * LONGEST_TIMEOUT_NS:
        return False
    latest = NO_TIME
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        pending = True
        x = np.int64(w.questions[at]["first"])
        while x >= 0:
            done = rows[x]["response_time"]
            if done != NO_TIME and done <= time:
                pending = False
                latest = max(latest, done)
            x = np.int64(w.next_exchange[x])
        if pending:
            return True
        at = np.int64(w.questions[at]["after"])
    gap = time - latest
    return gap <= join or (
        gap <= 1_000_000_000 and _has_port(rows, w, candidate, e["client_port"])
    )


@helper_kernel
def _repeats(rows: Any, w: Any, candidate: Any, question: Any, e: Any, rules: Any) -> Any:
    """Is this a question of a candidate asked again within the walk?"""
    q = w.questions[question]
    last = rows[q["last"]]
    time = e["query_time"]
    waited = time - last["query_time"]
    if waited > LONGEST_TIMEOUT_NS:
        return False
    same_port = last["client_port"] == e["client_port"]
    newest = np.int64(-1)  # of the responses so far
    x = np.int64(q["first"])
    while x >= 0:
        done = rows[x]["response_time"]
        if done != NO_TIME and done <= time:
            if newest < 0 or done > rows[newest]["response_time"]:
                newest = x
        x = np.int64(w.next_exchange[x])
    if e["transport"] == TCP and last["transport"] != TCP:
        return _was_truncated(rows, w, candidate, time)
    if e["message_id"] == last["message_id"] and (
        last["response_time"] == NO_TIME
        or same_port
        or (e["server"] != last["server"] and waited <= rules.join)
    ):
        return True
    if e["qtype"] == 0 and same_port and waited <= rules.near:
        return True  # a question that does not decode hides its type: these are two families
    if newest < 0:
        same = e["message_id"] == last["message_id"] and (
            same_port or e["server"] != last["server"]
        )
        return waited >= SHORTEST_TIMER_NS or same
    got = rows[newest]
    if got["tc"] or got["outcome"] not in (ANSWER, NODATA, NXDOMAIN):
        return bool(time - got["response_time"] <= rules.join or same_port)
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:  # glibc asks both families again where one was lost
        other = w.questions[at]
        if at != question:
            final = rows[other["last"]]
            lost = final["response_time"] == NO_TIME or final["response_time"] > time
            if lost and time - final["query_time"] >= SHORTEST_TIMER_NS:
                return True
        at = np.int64(other["after"])
    return False


@helper_kernel
def _was_truncated(rows: Any, w: Any, candidate: Any, time: Any) -> Any:
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        x = np.int64(w.questions[at]["first"])
        while x >= 0:
            if rows[x]["tc"] and rows[x]["response_time"] <= time:
                return True
            x = np.int64(w.next_exchange[x])
        at = np.int64(w.questions[at]["after"])
    return False


@helper_kernel
def _ask(rows: Any, w: Any, candidate: Any, question: Any, number: Any) -> None:
    """Add an exchange to a candidate: to its question, or as a new one where ``question`` is -1."""
    w.next_exchange[number] = -1
    if question >= 0:
        q = w.questions[question]
        w.next_exchange[q["last"]] = number
        q["last"] = number
        return
    new = w.used[_QUESTIONS]
    w.used[_QUESTIONS] = new + 1
    q = w.questions[new]
    q["qtype"] = rows[number]["qtype"]
    q["first"] = number
    q["last"] = number
    q["after"] = -1
    c = w.candidates[candidate]
    at = np.int64(c["question"])
    if at < 0:
        c["question"] = new
        return
    while w.questions[at]["after"] >= 0:
        at = np.int64(w.questions[at]["after"])
    w.questions[at]["after"] = new


@helper_kernel
def _add_candidate(rows: Any, w: Any, walk: Any, number: Any, position: Any) -> Any:
    """Append the name of an exchange to a walk as its next candidate."""
    new = w.used[_CANDIDATES]
    w.used[_CANDIDATES] = new + 1
    node = w.used[_NAME_NODES]
    w.used[_NAME_NODES] = node + 1
    name = np.int64(rows[number]["folded"])
    c = w.candidates[new]
    c["name"] = name
    c["walk"] = walk
    c["position"] = position
    c["question"] = -1
    c["after"] = -1
    c["node"] = node
    n = w.name_nodes[node]
    n["walk"] = walk
    n["candidate"] = new
    n["older"] = w.at_name[name]
    n["alive"] = 1
    w.at_name[name] = node
    x = w.walks[walk]
    if x["candidates"] == 0:
        x["first"] = new
    else:
        w.candidates[x["last"]]["after"] = new
    x["last"] = new
    x["candidates"] += 1
    _ask(rows, w, new, np.int64(-1), number)
    return new


@helper_kernel
def _keep(w: Any, base: Any, walk: Any) -> None:
    """Note that a walk may be about this base name."""
    node = w.used[_BASE_NODES]
    w.used[_BASE_NODES] = node + 1
    n = w.base_nodes[node]
    n["walk"] = walk
    n["older"] = w.at_base[base]
    w.at_base[base] = node


@helper_kernel
def _open(rows: Any, w: Any, rules: Any, number: Any, client: Any) -> Any:
    """Open a walk with this exchange."""
    e = rows[number]
    name = np.int64(e["folded"])
    orphan = e["query_packet"] < 0
    start = np.int64(-1)
    for k in range(rules.by_size.shape[0]):
        p = rules.by_size[k]
        if rules.bases[name, p] >= 0 and (orphan or rules.starts[p]):
            start = p
            break
    walk = w.used[_WALKS]
    w.used[_WALKS] = walk + 1
    x = w.walks[walk]
    x["start"] = e["query_time"]
    x["client"] = client
    x["candidates"] = 0
    x["cut_start"] = 0
    x["closed"] = 0
    x["parallel"] = 0
    x["seen"] = 0
    if start < 0:
        x["base"] = -1
        x["mode"] = AS_IS
    else:
        base = np.int64(rules.bases[name, start])
        x["base"] = base
        x["mode"] = OPEN
        _keep(w, base, walk)
    _add_candidate(rows, w, walk, number, start if orphan else np.int64(-1))
    _keep(w, name, walk)
    return walk


@helper_kernel
def _due(
    rows: Any, w: Any, rules: Any, walk: Any, position: Any, base: Any, e: Any
) -> Any:
    """Return how long after the current candidate's end this is its successor, or -1."""
    x = w.walks[walk]
    current = np.int64(x["last"])
    c = w.candidates[current]
    if x["closed"] or c["name"] == e["folded"] or _question(w, current, e["qtype"]) < 0:
        return np.int64(-1)
    first_name = w.candidates[x["first"]]["name"]
    if position < 0:
        if x["mode"] == AS_IS or x["base"] != base:
            return np.int64(-1)
    else:
        if x["mode"] == AS_IS or (x["mode"] == OPEN and x["base"] != base):
            if first_name != base:
                return np.int64(-1)
        elif x["base"] != base:
            return np.int64(-1)
        if position <= c["position"]:
            return np.int64(-1)
        if not rules.searches_after_as_is and first_name == base:
            return np.int64(-1)
    time = e["query_time"]
    if _answered(rows, w, current, time):
        return np.int64(-1)
    end = _finished(rows, w, current, time)
    if end == _PENDING:
        together = time - x["start"] <= rules.join and position > 0
        if together and _has_port(rows, w, current, e["client_port"]):
            return np.int64(0)
        return np.int64(-1)
    if _silent(rows, w, current):
        limit = LONGEST_TIMEOUT_NS
    elif position > c["position"] + 1 and c["position"] >= 0:
        limit = rules.near  # a suffix is passed over: only what follows at once is the same walk
    elif position > 0 and first_name == base:
        limit = rules.near
    else:
        limit = rules.next
    gap = time - end
    return gap if gap <= limit else np.int64(-1)


@helper_kernel
def _continue(rows: Any, w: Any, rules: Any, number: Any, oldest: Any) -> Any:
    """Add the exchange to the walk whose next candidate it is, if there is one."""
    e = rows[number]
    name = np.int64(e["folded"])
    suffixes = rules.by_size.shape[0]
    best_walk, best_position = np.int64(-1), np.int64(-1)
    best_step, best_gap = np.int64(0), np.int64(0)
    for k in range(suffixes + 1):
        position = np.int64(-1)
        base = name
        if k < suffixes:
            position = np.int64(rules.by_size[k])
            base = np.int64(rules.bases[name, position])
            if base < 0:
                continue
        node = np.int64(w.at_base[base])
        for _ in range(_AT_BASE):
            if node < oldest:
                break
            walk = np.int64(w.base_nodes[node]["walk"])
            node = np.int64(w.base_nodes[node]["older"])
            gap = _due(rows, w, rules, walk, position, base, e)
            if gap < 0:
                continue
            step = np.int64(suffixes)
            if position >= 0:
                step = position - w.candidates[w.walks[walk]["last"]]["position"]
            if best_walk < 0 or step < best_step or (step == best_step and gap <= best_gap):
                best_walk, best_position, best_step, best_gap = walk, position, step, gap
    if best_walk < 0:
        return False
    _step(rows, w, rules, best_walk, best_position, number)
    return True


@helper_kernel
def _step(rows: Any, w: Any, rules: Any, walk: Any, position: Any, number: Any) -> None:
    x = w.walks[walk]
    e = rows[number]
    if x["mode"] == OPEN:
        listed = position < 0 or rules.bases[np.int64(e["folded"]), position] == x["base"]
        x["mode"] = LIST if listed else AS_IS
    current = np.int64(x["last"])
    if _finished(rows, w, current, e["query_time"]) == _PENDING:
        x["parallel"] = 1  # its earlier candidates may be asked for more types
    else:
        w.name_nodes[w.candidates[current]["node"]]["alive"] = 0
    _add_candidate(rows, w, walk, number, position)
    if position < 0:
        x["closed"] = 1


@helper_kernel
def _at_same_name(rows: Any, w: Any, rules: Any, number: Any, oldest: Any) -> Any:
    """Add the exchange to a walk that is at this name; those of the same port come first."""
    e = rows[number]
    for same_port in (True, False):
        node = np.int64(w.at_name[e["folded"]])
        looked = 0
        for _ in range(4 * _AT_NAME):
            if node < oldest or looked == _AT_NAME:
                break
            n = w.name_nodes[node]
            node = np.int64(n["older"])
            if not n["alive"]:
                continue
            looked += 1
            candidate = np.int64(n["candidate"])
            if _has_port(rows, w, candidate, e["client_port"]) != same_port:
                continue
            question = _question(w, candidate, e["qtype"])
            if question >= 0:
                fits = _repeats(rows, w, candidate, question, e, rules)
            else:
                fits = _joins(rows, w, np.int64(n["walk"]), candidate, e, rules.join)
            if fits:
                _ask(rows, w, candidate, question, number)
                return True
    return False


@helper_kernel
def _add_orphan(rows: Any, w: Any, rules: Any, number: Any, client: Any, oldest: Any) -> None:
    """Take a response without a query: the lookup began before the capture."""
    e = rows[number]
    node = np.int64(w.at_name[e["folded"]])
    for _ in range(_AT_NAME):
        if node < oldest:
            break
        n = w.name_nodes[node]
        node = np.int64(n["older"])
        walk, candidate = np.int64(n["walk"]), np.int64(n["candidate"])
        near = e["query_time"] - w.walks[walk]["start"] < SHORTEST_TIMER_NS
        if n["alive"] and near and _question(w, candidate, e["qtype"]) < 0:
            w.walks[walk]["cut_start"] = 1
            _ask(rows, w, candidate, np.int64(-1), number)
            return
    walk = _open(rows, w, rules, number, client)
    w.walks[walk]["cut_start"] = 1


@kernel
def group_exchanges(rows: Any, begin: Any, end: Any, client: Any, rules: Any, w: Any) -> None:
    """Read one client's exchanges (``rows[begin:end]``) into walks, appended to ``w``."""
    oldest_name = w.used[_NAME_NODES]
    oldest_base = w.used[_BASE_NODES]
    first_walk = w.used[_WALKS]
    for number in range(begin, end):
        if rows[number]["folded"] < 0:
            continue  # a response that shows no name, to a query that was not captured
        if rows[number]["query_packet"] < 0:
            _add_orphan(rows, w, rules, number, client, oldest_name)
        elif not _at_same_name(rows, w, rules, number, oldest_name):
            if not _continue(rows, w, rules, number, oldest_base):
                _open(rows, w, rules, number, client)
    for walk in range(first_walk, w.used[_WALKS]):
        candidate = np.int64(w.walks[walk]["first"])
        while candidate >= 0:
            at = np.int64(w.candidates[candidate]["question"])
            while at >= 0:
                x = np.int64(w.questions[at]["first"])
                while x >= 0:
                    if rows[x]["query_packet"] >= 0:
                        w.walks[walk]["seen"] = 1
                    x = np.int64(w.next_exchange[x])
                at = np.int64(w.questions[at]["after"])
            candidate = np.int64(w.candidates[candidate]["after"])


def room_for(exchanges: int, names: int) -> Walks:
    """Return empty rows with room for the walks of so many exchanges, read twice at most."""
    twice = 2 * exchanges  # memory that is never written is never used
    return Walks(
        np.zeros(twice, WALK), np.zeros(twice, CANDIDATE), np.zeros(twice, QUESTION),
        np.full(exchanges, -1, np.int32), np.zeros(5, np.int64), np.full(names, -1, np.int32),
        np.full(names, -1, np.int32), np.zeros(twice, _NODE), np.zeros(2 * twice, _NODE),
    )  # fmt: skip


def timing(*, has_clock: bool) -> tuple[int, int, int]:
    """Return how soon the other family, the same walk and the next candidate follow, in ns."""
    if has_clock:
        return JOIN_NS, NEAR_NS, NEXT_NS
    return NEAR_WITHOUT_CLOCK_NS, NEAR_WITHOUT_CLOCK_NS, NEXT_WITHOUT_CLOCK_NS
