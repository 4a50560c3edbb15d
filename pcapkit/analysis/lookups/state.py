"""The rows in which grouping keeps walks of the search list, and what it reads from them.

Names are local names here: see ``base_names.py``. Walks, candidates and questions are rows that
link to one another by number:

    walk -> its first and last candidate -> the candidate after it
    candidate -> its first question -> the question after it
    question -> its first exchange -> the exchange after it (``next_exchange``)

A question also sums its exchanges up, so that the exchanges need not be read again: what is asked
of a walk is nearly always asked after its responses came. Walks that may still go on stand in
lists, the newest first: at the name that they ask, and at the base names that they may be about.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.analysis.timing import (
    LONGEST_TIMEOUT_NS,
    LONGEST_WALK_NS,
    SHORTEST_TIMER_NS,
    WHOLE_TIMER_NS,
)
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.kernels.jit import helper_kernel
from pcapkit.schema import EXCHANGE_REFUSED, NO_TIME, Exchanges, Ids, Int, Integers, Row, Rows

#: How a walk is read: the search list first, the name as is first, or still open: its one
#: candidate can be either.
LIST, AS_IS, OPEN = range(3)
#: No row: where a list of them ends, or nothing was found.
NO_ROW = -1
#: Position of a name that stands as is, under no suffix of the search list.
NO_SUFFIX = -1
#: No base: the name cannot be the first candidate of a walk of the search list.
NO_BASE = -1
#: No time yet; every other time is earlier.
NEVER = np.iinfo(np.int64).max
#: A response is awaited: see :func:`finished`.
PENDING = NO_TIME + 1
#: The type of a question that the capture cut, or that nobody can read: then it has no ``qname``.
CUT_QUESTION = 0
#: More dots than any name has.
MANY_DOTS = 1 << 16
#: Exchanges of one question that are looked through: who repeats one more often is no resolver, and
#: each of them would be looked at with every further one.
_MOST_REPEATED = 1024
WALK = np.dtype(
    [
        ("start", np.int64),  # time of the first exchange
        ("base", np.int32),  # local name of the base if it walks the list first, or NO_BASE
        ("first", np.int32),
        ("last", np.int32),
        ("candidates", np.int32),
        ("mode", np.uint8),
        ("cut_start", np.uint8),  # it began earlier, or what it asks is not all to be seen
        ("closed", np.uint8),  # the name as is has been asked after the list
        ("parallel", np.uint8),  # candidates were asked before others had answered (busybox)
        ("apart", np.uint8),  # each family goes on by itself (gRPC's C core)
        ("one_port", np.uint8),  # an earlier candidate may be asked for more, from the port of all
        ("captured", np.uint8),  # some query of it was
        ("crowded", np.uint8),  # a further type of a name began another walk: there were too many
    ],
    align=True,
)
CANDIDATE = np.dtype(
    [
        ("name", np.int32),  # its local name
        ("walk", np.int32),
        ("position", np.int32),  # index in the search list, or NO_SUFFIX
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
        ("several_ids", np.uint8),
        ("good", np.uint8),  # no response was truncated, or an error of the server's
        ("truncated", np.uint8),
        ("absent", np.uint8),  # some response is NXDOMAIN
        ("refused", np.uint8),  # an ICMP message may have come for the last exchange
    ],
    align=True,
)
NAME_NODE = np.dtype(
    [
        ("latest", np.int64),  # last query or response
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
#: One client of a part, or a piece of it (see ``reading.py``), while it is read.
CLIENT = np.dtype(
    [
        ("begin", np.int64),  # its exchanges, in the order of pieces
        ("end", np.int64),
        ("first_walk", np.int64),  # its walks
        ("last_walk", np.int64),
        ("list", np.int32),  # number of its search list
        ("low", np.int32),  # bounds of its ndots, and the value that is taken
        ("high", np.int32),
        ("value", np.int32),
        ("index", np.int32),  # among the clients that have lookups, ABSENT where it has none
        ("walks", np.uint8),  # some walk shows the list
        ("searches_after_as_is", np.uint8),
        ("stops_on_nodata", np.uint8),
        ("caches", np.uint8),
        ("fails_on_one", np.uint8),  # where one family fails, the answer of the other is no use
        ("known", np.uint8),  # its resolver is known
        ("logged", np.uint8),  # seen in a server's own log
        ("headless", np.uint8),  # its list lacks the suffix that Kubernetes writes first
        ("asks_both", np.uint8),  # A and AAAA of most names
        ("keeps_port", np.uint8),  # from name to name, mostly
        ("searched_dots", np.int32),  # of names that were searched first, at most; ABSENT: none
        ("as_is_dots", np.int32),  # of names asked as is first, then searched, at least; MANY_DOTS
        ("again", np.uint8),  # its walks are read as they cannot be, and must be read again
    ],
    align=True,
)


class Walks(NamedTuple):
    """The linked rows; ``used`` counts walks, candidates, questions, name nodes and base nodes."""

    walks: Rows  # WALK
    candidates: Rows  # CANDIDATE
    questions: Rows  # QUESTION
    next_exchange: Ids  # of the same question
    used: Integers
    at_name: Ids  # newest node by local name
    at_base: Ids
    name_nodes: Rows  # NAME_NODE
    base_nodes: Rows  # BASE_NODE


WALKS, CANDIDATES, QUESTIONS, NAME_NODES, BASE_NODES = range(5)


def new_walks(exchanges: int, local_names: int, next_exchange: Ids) -> Walks:
    """Return empty rows for the walks of so many exchanges, grouped twice at most.

    ``next_exchange`` is as long as the part, of which these may be a piece.
    """
    twice = 2 * exchanges  # memory that is never written is never used
    return Walks(
        np.empty(twice, WALK),
        np.empty(twice, CANDIDATE),
        np.empty(twice, QUESTION),
        next_exchange,
        np.zeros(5, np.int64),
        np.full(local_names, NO_ROW, np.int32),
        np.full(local_names, NO_ROW, np.int32),
        np.empty(twice, NAME_NODE),
        np.empty(2 * twice, BASE_NODE),
    )


@helper_kernel
def question_of(w: Walks, candidate: Int, qtype: Int) -> Int:
    """Return a candidate's question of a type, or NO_ROW."""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0 and w.questions[at]["qtype"] != qtype:
        at = np.int64(w.questions[at]["after"])
    return at


@helper_kernel
def was_asked(w: Walks, candidate: Int, qtype: Int) -> bool:
    """Was the ``candidate`` of ``w`` asked for ``qtype``, or for one that the capture cut?"""
    if question_of(w, candidate, qtype) >= 0:
        return True
    return bool(question_of(w, candidate, CUT_QUESTION) >= 0)


@helper_kernel
def has_port(rows: Exchanges, w: Walks, candidate: Int, port: Int) -> bool:
    """Was the ``candidate`` of ``w`` asked from ``port``, by its exchanges in ``rows``?"""
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
def is_answered(w: Walks, candidate: Int, time: Int) -> bool:
    """Does the candidate have an answer by ``time``?"""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        q = w.questions[at]
        if q["answer"] != NO_TIME and q["answer"] <= time:
            return True
        at = np.int64(q["after"])
    return False


@helper_kernel
def is_absent(w: Walks, candidate: Int, time: Int) -> bool:
    """Is the candidate said not to exist, for some type, by ``time``?"""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        q = w.questions[at]
        if q["absent"] and q["earliest"] <= time:
            return True
        at = np.int64(q["after"])
    return False


@helper_kernel
def finished(w: Walks, candidate: Int, time: Int) -> Int:
    """Return when its last answer came, or its last timer began; PENDING while one is awaited.

    A timer of whole seconds may have begun with another question of the candidate; what is asked
    again after an answer, as glibc does where it lost the other family, ends anew. What an ICMP
    message refuses is not awaited.
    """
    latest = NO_TIME
    pending = False
    began = time
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        q = w.questions[at]
        began = min(began, q["asked"])
        if q["earliest"] != NO_TIME and q["earliest"] <= time:
            latest = max(latest, q["earliest"])
            if q["asked"] > q["earliest"]:
                came = q["done"] != NO_TIME and q["done"] <= time
                latest = max(latest, q["done"] if came else q["asked"])
        else:
            latest = max(latest, q["asked"])
            pending = pending or (not q["refused"] and time - q["asked"] < SHORTEST_TIMER_NS)
        at = np.int64(q["after"])
    if pending and time - began < WHOLE_TIMER_NS:
        return np.int64(PENDING)
    return np.int64(latest)


@helper_kernel
def is_silent(w: Walks, candidate: Int, time: Int) -> bool:
    """Was the last query of any question of it without response by ``time``?"""
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        q = w.questions[at]
        if q["done"] == NO_TIME or q["done"] > time:
            return True
        at = np.int64(q["after"])
    return False


@helper_kernel
def newest_by(rows: Exchanges, w: Walks, question: Int, time: Int) -> Int:
    """Return the exchange in ``rows`` of a ``question`` of ``w`` with the newest response.

    Those after ``time`` do not count; NO_ROW where there is none.
    """
    newest = np.int64(NO_ROW)
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
def was_truncated(rows: Exchanges, w: Walks, candidate: Int, time: Int) -> bool:
    """Was any response to the ``candidate`` of ``w`` truncated by ``time``?

    ``rows`` are the exchanges.
    """
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
def is_over(w: Walks, walk: Int, time: Int, paused: Int) -> bool:
    """Can no further candidate follow, whatever comes after ``time``?

    What is answered may still be one of a batch (busybox), until ``paused`` ns after the last one;
    or absent for another type, which makes musl go on.
    """
    x = w.walks[walk]
    if x["closed"]:
        return True
    last = np.int64(x["last"])
    node = w.name_nodes[w.candidates[last]["node"]]
    if time > node["until"]:
        return True
    return bool(
        time > node["latest"] + paused
        and is_answered(w, last, time)
        and not is_absent(w, last, time)
    )


@helper_kernel
def ask(rows: Exchanges, w: Walks, candidate: Int, question: Int, number: Int) -> None:
    """Add exchange ``number`` of ``rows`` to a ``candidate`` of ``w``.

    To its ``question``, or as a new one where that is NO_ROW.
    """
    e = rows[number]
    c = w.candidates[candidate]
    if e["query_packet"] >= 0:
        w.walks[c["walk"]]["captured"] = 1
    if e["qtype"] == CUT_QUESTION and e["qname"] >= 0:
        w.walks[c["walk"]]["cut_start"] = 1
    w.next_exchange[number] = NO_ROW
    if question >= 0:
        q = w.questions[question]
        w.next_exchange[q["last"]] = number
        if q["port"] != e["client_port"]:
            q["several_ports"] = 1
        if q["message_id"] != e["message_id"]:
            q["several_ids"] = 1
        if q["earliest"] > e["query_time"] and rows[q["last"]]["client_port"] != e["client_port"]:
            q["earliest"] = NO_TIME  # it will meet a closed socket
            q["answer"] = NO_TIME
    else:
        q = _new_question(w, c, number, e)
    q["last"] = number
    q["asked"] = e["query_time"]
    q["message_id"] = e["message_id"]
    q["refused"] = (e["marks"] & EXCHANGE_REFUSED) // EXCHANGE_REFUSED
    _note_response(q, e)
    _sum_up(w, c)


@helper_kernel
def _new_question(w: Walks, c: Row, number: Int, e: Row) -> Row:
    """Append a question to a candidate of ``w``, ``c`` (CANDIDATE), and return it.

    Its first exchange is ``number``, which is ``e`` (EXCHANGE).
    """
    new = w.used[QUESTIONS]
    w.used[QUESTIONS] = new + 1
    c["types"] += 1
    q: Row = w.questions[new]
    q["qtype"] = e["qtype"]
    q["first"] = number
    q["after"] = NO_ROW
    q["port"] = e["client_port"]
    q["earliest"] = NO_TIME
    q["newest"] = NO_TIME
    q["answer"] = NO_TIME
    q["several_ports"] = 0
    q["several_ids"] = 0
    q["good"] = 1
    q["truncated"] = 0
    q["absent"] = 0
    at = np.int64(c["question"])
    if at < 0:
        c["question"] = new
    else:
        while w.questions[at]["after"] >= 0:
            at = np.int64(w.questions[at]["after"])
        w.questions[at]["after"] = new
    return q


@helper_kernel
def _note_response(q: Row, e: Row) -> None:
    """Note the response of an exchange, if there is one, at its question."""
    done, outcome = e["response_time"], e["outcome"]
    q["done"] = done
    if done == NO_TIME:
        return
    if q["earliest"] == NO_TIME or done < q["earliest"]:
        q["earliest"] = done
    q["newest"] = max(q["newest"], done)
    if outcome == ANSWER and not e["tc"] and (q["answer"] == NO_TIME or done < q["answer"]):
        q["answer"] = done
    if e["tc"] != 0 or not (outcome == ANSWER or outcome == NODATA or outcome == NXDOMAIN):
        q["good"] = 0
    if e["tc"]:
        q["truncated"] = 1
    if outcome == NXDOMAIN:
        q["absent"] = 1


@helper_kernel
def _sum_up(w: Walks, c: Row) -> None:
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
    node["latest"] = latest
    node["settled"] = latest if settled else NEVER
    start = w.walks[c["walk"]]["start"]
    node["until"] = max(start + LONGEST_WALK_NS, latest + LONGEST_TIMEOUT_NS)


@helper_kernel
def add_candidate(
    rows: Exchanges, w: Walks, walk: Int, number: Int, name: Int, position: Int
) -> None:
    """Append the ``name`` of exchange ``number`` of ``rows`` to a walk as its next candidate.

    ``walk`` is the number of the walk in ``w``, ``position`` that of the suffix, or NO_SUFFIX.
    """
    new = w.used[CANDIDATES]
    w.used[CANDIDATES] = new + 1
    node = w.used[NAME_NODES]
    w.used[NAME_NODES] = node + 1
    c = w.candidates[new]
    c["name"] = name
    c["walk"] = walk
    c["position"] = position
    c["question"] = NO_ROW
    c["types"] = 0
    c["after"] = NO_ROW
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
    ask(rows, w, new, np.int64(NO_ROW), number)


@helper_kernel
def unlink(newest: Ids, nodes: Rows, name: Int, newer: Int, older: Int) -> None:
    """Take the node between ``newer`` (NO_ROW: it is the newest) and ``older`` out of a list.

    The list is that of local name ``name`` in ``newest`` (int32), its ``nodes`` NAME_NODE or
    BASE_NODE.
    """
    if newer < 0:
        newest[name] = older
    else:
        nodes[newer]["older"] = older


@helper_kernel
def keep_at_base(w: Walks, base: Int, walk: Int) -> None:
    """Note that a walk may be about this base name."""
    node = w.used[BASE_NODES]
    w.used[BASE_NODES] = node + 1
    n = w.base_nodes[node]
    n["walk"] = walk
    n["older"] = w.at_base[base]
    w.at_base[base] = node
