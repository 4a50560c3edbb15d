"""The rows in which grouping keeps walks of the search list, and what it reads from them.

Names are places here: see ``base_names.py``. Walks, candidates and questions are rows that link to
one another by number:

    walk -> its first and last candidate -> the candidate after it
    candidate -> its first question -> the question after it
    question -> its first exchange -> the exchange after it (``next_exchange``)

A question also sums its exchanges up, so that the exchanges need not be looked at again: what is
asked of a walk is nearly always asked after its responses came. Walks that may still go on stand in
lists, the newest first: at the name that they ask, and at the base names that they may be about.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.timing import LONGEST_TIMEOUT_NS, LONGEST_WALK_NS, SHORTEST_TIMER_NS
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.kernels.jit import helper_kernel
from pcapkit.schema import NO_TIME

#: How a walk is read: the search list first, the name as is first, or still open: its one
#: candidate can be either.
LIST, AS_IS, OPEN = range(3)
#: No time yet; every other time is earlier.
NEVER = np.iinfo(np.int64).max
PENDING = NO_TIME + 1
#: The type of a question that the capture cut.
CUT_QUESTION = 0
#: Exchanges of one question that are looked through: who repeats one more often is no resolver, and
#: each of them would be looked at with every further one.
_MOST_REPEATED = 1024
WALK = np.dtype(
    [
        ("start", np.int64),  # time of the first exchange
        ("base", np.int32),  # place of the base if it walks the list first, -1 where it cannot
        ("first", np.int32),
        ("last", np.int32),
        ("candidates", np.int32),
        ("mode", np.uint8),
        ("cut_start", np.uint8),  # it began earlier, or what it asks is not all to be seen
        ("closed", np.uint8),  # the name as is has been asked after the list
        ("parallel", np.uint8),  # candidates were asked before others had answered (busybox)
        ("seen", np.uint8),  # some query of it was captured
    ],
    align=True,
)
CANDIDATE = np.dtype(
    [
        ("name", np.int32),  # its place
        ("walk", np.int32),
        ("position", np.int32),  # index in the search list; -1 as is
        ("question", np.int32),
        ("after", np.int32),
        ("node", np.int32),  # its entry in the list of walks at its name
        ("types", np.int32),  # how many questions it has
    ],
    align=True,
)
#: NO_TIME stands for a response that never came.
QUESTION = np.dtype(
    [
        ("asked", np.int64),  # time of the last exchange
        ("done", np.int64),  # of its response
        ("earliest", np.int64),  # response to any of its exchanges
        ("newest", np.int64),
        ("answer", np.int64),  # the earliest response that is a whole answer
        ("first", np.int32),
        ("last", np.int32),
        ("after", np.int32),
        ("qtype", np.uint16),
        ("message_id", np.uint16),  # of the last exchange
        ("port", np.uint16),  # of the first exchange
        ("several_ports", np.uint8),
        ("good", np.uint8),  # no response was truncated, or an error of the server's
        ("truncated", np.uint8),
    ],
    align=True,
)
NAME_NODE = np.dtype(
    [
        ("settled", np.int64),  # when all was asked and well answered; NEVER where not
        ("until", np.int64),  # nothing can be added later
        ("walk", np.int32),
        ("candidate", np.int32),
        ("older", np.int32),
        ("port", np.uint16),
        ("several_ports", np.uint8),
        ("alive", np.uint8),
    ],
    align=True,
)
BASE_NODE = np.dtype([("walk", np.int32), ("older", np.int32)], align=True)
#: One client of a part, while it is read.
CLIENT = np.dtype(
    [
        ("begin", np.int64),  # its exchanges
        ("end", np.int64),
        ("first_walk", np.int64),  # its walks
        ("last_walk", np.int64),
        ("list", np.int32),  # number of its search list
        ("low", np.int32),  # bounds of its ndots, and the value that is taken
        ("high", np.int32),
        ("value", np.int32),
        ("index", np.int32),  # among the clients that have lookups, -1
        ("walks", np.uint8),  # some walk shows the list
        ("searches_after_as_is", np.uint8),
        ("stops_on_nodata", np.uint8),
        ("caches", np.uint8),
        ("known", np.uint8),  # its resolver is known
    ],
    align=True,
)


class Walks(NamedTuple):
    """The linked rows; ``used`` counts walks, candidates, questions, name nodes and base nodes."""

    walks: npt.NDArray[Any]
    candidates: npt.NDArray[Any]
    questions: npt.NDArray[Any]
    next_exchange: npt.NDArray[np.int32]
    used: npt.NDArray[np.int64]
    at_name: npt.NDArray[np.int32]  # newest node by place
    at_base: npt.NDArray[np.int32]
    name_nodes: npt.NDArray[Any]
    base_nodes: npt.NDArray[Any]


WALKS, CANDIDATES, QUESTIONS, NAME_NODES, BASE_NODES = range(5)


def room_for(exchanges: int, places: int) -> Walks:
    """Return empty rows with room for the walks of so many exchanges, read twice at most."""
    twice = 2 * exchanges  # memory that is never written is never used
    return Walks(
        np.empty(twice, WALK),
        np.empty(twice, CANDIDATE),
        np.empty(twice, QUESTION),
        np.empty(exchanges, np.int32),
        np.zeros(5, np.int64),
        np.full(places, -1, np.int32),
        np.full(places, -1, np.int32),
        np.empty(twice, NAME_NODE),
        np.empty(2 * twice, BASE_NODE),
    )


@helper_kernel
def question_of(w: Any, candidate: Any, qtype: Any) -> Any:
    """Return a candidate's question of a type, or -1."""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0 and w.questions[at]["qtype"] != qtype:
        at = np.int64(w.questions[at]["after"])
    return at


@helper_kernel
def was_asked(w: Any, candidate: Any, qtype: Any) -> Any:
    """Was a candidate asked for a type, or for one that the capture cut?"""
    return question_of(w, candidate, qtype) >= 0 or question_of(w, candidate, CUT_QUESTION) >= 0


@helper_kernel
def has_port(rows: Any, w: Any, candidate: Any, port: Any) -> Any:
    """Was the candidate asked from this port?"""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        q = w.questions[at]
        if q["port"] == port:
            return True
        if q["several_ports"]:
            x = np.int64(q["first"])
            for _ in range(_MOST_REPEATED):
                if x < 0:
                    break
                if rows[x]["client_port"] == port:
                    return True
                x = np.int64(w.next_exchange[x])
        at = np.int64(q["after"])
    return False


@helper_kernel
def is_answered(w: Any, candidate: Any, time: Any) -> Any:
    """Does the candidate have an answer by ``time``?"""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        q = w.questions[at]
        if q["answer"] != NO_TIME and q["answer"] <= time:
            return True
        at = np.int64(q["after"])
    return False


@helper_kernel
def finished(w: Any, candidate: Any, time: Any) -> Any:
    """Return when its last answer came, or its last timer began; PENDING while one is awaited."""
    latest = NO_TIME
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        q = w.questions[at]
        if q["earliest"] != NO_TIME and q["earliest"] <= time:
            latest = max(latest, q["earliest"])
        elif time - q["asked"] >= SHORTEST_TIMER_NS:
            latest = max(latest, q["asked"])
        else:
            return np.int64(PENDING)
        at = np.int64(q["after"])
    return np.int64(latest)


@helper_kernel
def is_silent(w: Any, candidate: Any) -> Any:
    """Did any question of it get no response at all?"""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        if w.questions[at]["earliest"] == NO_TIME:
            return True
        at = np.int64(w.questions[at]["after"])
    return False


@helper_kernel
def newest_by(rows: Any, w: Any, question: Any, time: Any) -> Any:
    """Return the exchange of a question whose response is the newest by ``time``, or -1."""
    newest = np.int64(-1)
    last = np.int64(w.questions[question]["last"])
    done = rows[last]["response_time"]
    if done != NO_TIME and done <= time:
        newest = last
    x = np.int64(w.questions[question]["first"])
    looked = 0
    while x >= 0 and (newest < 0 or looked < _MOST_REPEATED):
        looked += 1
        done = rows[x]["response_time"]
        if done != NO_TIME and done <= time:
            if newest < 0 or done > rows[newest]["response_time"]:
                newest = x
        x = np.int64(w.next_exchange[x])
    return newest


@helper_kernel
def was_truncated(rows: Any, w: Any, candidate: Any, time: Any) -> Any:
    """Was any response to the candidate truncated by ``time``?"""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        q = w.questions[at]
        if q["truncated"]:
            x = np.int64(q["first"])
            for _ in range(_MOST_REPEATED):
                if x < 0:
                    break
                if rows[x]["tc"] and rows[x]["response_time"] <= time:
                    return True
                x = np.int64(w.next_exchange[x])
        at = np.int64(q["after"])
    return False


@helper_kernel
def is_over(w: Any, walk: Any, time: Any) -> Any:
    """Can no further candidate follow, whatever comes after ``time``?"""
    x = w.walks[walk]
    if x["closed"]:
        return True
    node = w.name_nodes[w.candidates[x["last"]]["node"]]
    return bool(time > node["until"]) or is_answered(w, np.int64(x["last"]), time)


@helper_kernel
def ask(rows: Any, w: Any, candidate: Any, question: Any, number: Any) -> None:
    """Add an exchange to a candidate: to its question, or as a new one where ``question`` is -1."""
    e = rows[number]
    c = w.candidates[candidate]
    if e["query_packet"] >= 0:
        w.walks[c["walk"]]["seen"] = 1
    if e["qtype"] == CUT_QUESTION:
        w.walks[c["walk"]]["cut_start"] = 1
    w.next_exchange[number] = -1
    done = e["response_time"]
    outcome = e["outcome"]
    came = done != NO_TIME
    bad = came and (
        e["tc"] != 0 or not (outcome == ANSWER or outcome == NODATA or outcome == NXDOMAIN)
    )
    if question >= 0:
        q = w.questions[question]
        w.next_exchange[q["last"]] = number
        if q["port"] != e["client_port"]:
            q["several_ports"] = 1
    else:
        new = w.used[QUESTIONS]
        w.used[QUESTIONS] = new + 1
        c["types"] += 1
        q = w.questions[new]
        q["qtype"] = e["qtype"]
        q["first"] = number
        q["after"] = -1
        q["port"] = e["client_port"]
        q["earliest"] = NO_TIME
        q["newest"] = NO_TIME
        q["answer"] = NO_TIME
        q["several_ports"] = 0
        q["good"] = 1
        q["truncated"] = 0
        at = np.int64(c["question"])
        if at < 0:
            c["question"] = new
        else:
            while w.questions[at]["after"] >= 0:
                at = np.int64(w.questions[at]["after"])
            w.questions[at]["after"] = new
    q["last"] = number
    q["asked"] = e["query_time"]
    q["done"] = done
    q["message_id"] = e["message_id"]
    if came:
        if q["earliest"] == NO_TIME or done < q["earliest"]:
            q["earliest"] = done
        q["newest"] = max(q["newest"], done)
        if outcome == ANSWER and not e["tc"] and (q["answer"] == NO_TIME or done < q["answer"]):
            q["answer"] = done
        if bad:
            q["good"] = 0
        if e["tc"]:
            q["truncated"] = 1
    _sum_up(w, c)


@helper_kernel
def _sum_up(w: Any, c: Any) -> None:
    """Note at a candidate's name what all its questions say."""
    node = w.name_nodes[c["node"]]
    latest = NO_TIME
    settled = True
    at = np.int64(c["question"])
    node["port"] = w.questions[at]["port"]
    node["several_ports"] = 0
    while at >= 0:
        q = w.questions[at]
        latest = max(latest, q["asked"], q["newest"])
        settled = settled and q["good"] != 0 and q["done"] != NO_TIME
        if q["several_ports"] or q["port"] != node["port"]:
            node["several_ports"] = 1
        at = np.int64(q["after"])
    node["settled"] = latest if settled else NEVER
    start = w.walks[c["walk"]]["start"]
    node["until"] = max(start + LONGEST_WALK_NS, latest + LONGEST_TIMEOUT_NS)


@helper_kernel
def add_candidate(rows: Any, w: Any, walk: Any, number: Any, name: Any, position: Any) -> None:
    """Append the name of an exchange to a walk as its next candidate."""
    new = w.used[CANDIDATES]
    w.used[CANDIDATES] = new + 1
    node = w.used[NAME_NODES]
    w.used[NAME_NODES] = node + 1
    c = w.candidates[new]
    c["name"] = name
    c["walk"] = walk
    c["position"] = position
    c["question"] = -1
    c["types"] = 0
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
    ask(rows, w, new, np.int64(-1), number)


@helper_kernel
def unlink(heads: Any, nodes: Any, place: Any, newer: Any, older: Any) -> None:
    """Take the node between ``newer`` (-1: it is the newest) and ``older`` out of a list."""
    if newer < 0:
        heads[place] = older
    else:
        nodes[newer]["older"] = older


@helper_kernel
def keep_at_base(w: Any, base: Any, walk: Any) -> None:
    """Note that a walk may be about this base name."""
    node = w.used[BASE_NODES]
    w.used[BASE_NODES] = node + 1
    n = w.base_nodes[node]
    n["walk"] = walk
    n["older"] = w.at_base[base]
    w.at_base[base] = node
