"""Group exchanges into walks: one walk of the search list each, with retries and both families.

One client's exchanges are read in time order, with the walks that may still go on. A query either
repeats a question of a walk's current candidate (a retry), asks that candidate for another type
(the other family), asks the next candidate of a walk whose current one has failed, or opens a walk.
Ports and IDs only break ties: Go changes both with every query, c-ares keeps one port.
``state.py`` has the rows in which walks are kept.
"""

from __future__ import annotations

import numpy as np

from pcapkit.analysis.lookups.base_names import Lists, Rules, rules_of
from pcapkit.analysis.lookups.state import (
    AS_IS,
    BASE_NODES,
    CUT_QUESTION,
    LIST,
    NAME_NODES,
    NEVER,
    NO_BASE,
    NO_ROW,
    NO_SUFFIX,
    OPEN,
    PENDING,
    WALKS,
    Walks,
    add_candidate,
    ask,
    finished,
    has_port,
    is_over,
    is_silent,
    keep_at_base,
    newest_by,
    question_of,
    unlink,
    was_asked,
    was_truncated,
)
from pcapkit.analysis.timing import (
    JOIN_AT_PORT_NS,
    LONGEST_TIMEOUT_NS,
    LONGEST_WALK_NS,
    SHORTEST_TIMER_NS,
)
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.kernels.interning import InternerArrays
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.names.labels import name_start
from pcapkit.names.text import CUT_LABEL
from pcapkit.schema import NO_TIME, TCP, Bytes, Exchanges, Ids, Int, Row, Rows

#: Walks at one name, and at one base, that are compared, the newest first.
_AT_NAME, _AT_BASE = 8, 16
#: An exchange is not the next candidate of a walk.
_NOT_DUE = -1
#: Types that a name may be asked for in one walk: all that are registered, and some. Who asks for
#: more is no resolver, and each of them is looked at with every further one.
_MOST_TYPES = 256


@helper_kernel
def _joins(rows: Exchanges, w: Walks, walk: Int, candidate: Int, e: Row, join: Int) -> bool:
    """Is this the same candidate asked for another type?

    ``e`` (one of ``rows``) asks the name of ``candidate`` in ``walk`` of ``w``; ``join`` is how
    soon the other family follows, in ns.
    """
    time = e["query_time"]
    if time - w.walks[walk]["start"] > LONGEST_WALK_NS:
        return False
    if w.candidates[candidate]["types"] >= _MOST_TYPES:
        return False
    latest = NO_TIME
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:
        q = w.questions[at]
        if q["earliest"] == NO_TIME or q["earliest"] > time:
            return True
        done = q["newest"]
        if done > time:
            done = rows[newest_by(rows, w, at, time)]["response_time"]
        latest = max(latest, done)
        at = np.int64(q["after"])
    gap = time - latest
    return bool(gap <= join) or (
        bool(gap <= JOIN_AT_PORT_NS) and has_port(rows, w, candidate, e["client_port"])
    )


@helper_kernel
def _repeats(
    rows: Exchanges, w: Walks, candidate: Int, question: Int, e: Row, rules: Rules
) -> bool:
    """Is this a question of a candidate asked again within the walk?

    ``e`` (one of ``rows``) asks what ``question`` of ``candidate`` in ``w`` asks; ``rules`` are
    those of the client.
    """
    q = w.questions[question]
    time = e["query_time"]
    waited = time - q["asked"]
    if waited > LONGEST_TIMEOUT_NS:
        return False
    last = rows[q["last"]]
    if e["transport"] == TCP and last["transport"] != TCP:
        return was_truncated(rows, w, candidate, time)
    same = False  # ID and sender
    if e["message_id"] == q["message_id"]:
        same_port = last["client_port"] == e["client_port"]
        other_server = e["server"] != last["server"]
        if q["done"] == NO_TIME or same_port or (other_server and waited <= rules.join):
            return True
        same = same_port or other_server
    if q["earliest"] == NO_TIME or q["earliest"] > time:
        return bool(same or waited >= SHORTEST_TIMER_NS)
    if not q["good"] or q["newest"] > time:
        got = rows[newest_by(rows, w, question, time)]
        if got["tc"] or got["outcome"] not in (ANSWER, NODATA, NXDOMAIN):
            at_once = time - got["response_time"] <= rules.join
            return bool(at_once or last["client_port"] == e["client_port"])
    at = np.int64(w.candidates[candidate]["question"])
    while at >= 0:  # glibc asks both families again where one was lost
        other = w.questions[at]
        if at != question and (other["done"] == NO_TIME or other["done"] > time):
            if time - other["asked"] >= SHORTEST_TIMER_NS:
                return True
        at = np.int64(other["after"])
    return False


@helper_kernel
def _open(rows: Exchanges, w: Walks, rules: Rules, number: Int, name: Int) -> Int:
    """Open a walk in ``w`` with exchange ``number`` of ``rows``, which asks ``name``; return it.

    ``rules`` are those of the client.
    """
    e = rows[number]
    orphan = e["query_packet"] < 0
    start = np.int64(NO_SUFFIX)
    for k in range(rules.by_size.shape[0]):
        p = rules.by_size[k]
        if rules.bases[name, p] >= 0 and (orphan or rules.starts[p]):
            start = p
            break
    walk = w.used[WALKS]
    w.used[WALKS] = walk + 1
    x = w.walks[walk]
    x["start"] = e["query_time"]
    x["candidates"] = 0
    x["cut_start"] = 0
    x["closed"] = 0
    x["parallel"] = 0
    x["captured"] = 0
    if start < 0:
        x["base"] = NO_BASE
        x["mode"] = AS_IS
    else:
        base = np.int64(rules.bases[name, start])
        x["base"] = base
        x["mode"] = OPEN
        keep_at_base(w, base, walk)
    add_candidate(rows, w, walk, number, name, start if orphan else np.int64(NO_SUFFIX))
    keep_at_base(w, name, walk)
    return np.int64(walk)


@helper_kernel
def _fits_list(w: Walks, rules: Rules, walk: Int, position: Int, base: Int) -> bool:
    """Is a name of a ``base`` at this ``position`` of the list behind all candidates of a walk?

    ``walk`` is its number in ``w``, and ``rules`` are those of the client.
    """
    x = w.walks[walk]
    first_name = w.candidates[x["first"]]["name"]
    if position < 0:
        return bool(x["mode"] != AS_IS and x["base"] == base)
    if x["mode"] == AS_IS or (x["mode"] == OPEN and x["base"] != base):
        if first_name != base:
            return False
    elif x["base"] != base:
        return False
    if position <= w.candidates[x["last"]]["position"]:
        return False
    return bool(rules.searches_after_as_is or first_name != base)


@helper_kernel
def _due(
    rows: Exchanges, w: Walks, rules: Rules, walk: Int, position: Int, name: Int, base: Int, e: Row
) -> Int:
    """Return how long after the current candidate's end this is its successor, or _NOT_DUE.

    ``e`` (one of ``rows``) asks ``name``, which is ``base`` under the suffix at ``position`` of the
    list, or as is; ``walk`` is the number of the walk in ``w``, ``rules`` those of the client.
    """
    x = w.walks[walk]
    current = np.int64(x["last"])
    c = w.candidates[current]
    if x["closed"] or c["name"] == name:
        return np.int64(_NOT_DUE)
    if not rules.logged and not was_asked(w, current, e["qtype"]):
        return np.int64(_NOT_DUE)
    if not _fits_list(w, rules, walk, position, base):
        return np.int64(_NOT_DUE)
    first_name = w.candidates[x["first"]]["name"]
    time = e["query_time"]
    end = finished(w, current, time)
    if end == PENDING:
        together = time - x["start"] <= rules.join and position > 0
        if together and has_port(rows, w, current, e["client_port"]):
            return np.int64(0)
        return np.int64(_NOT_DUE)
    if is_silent(w, current):
        limit = LONGEST_TIMEOUT_NS
    elif position > c["position"] + 1 and c["position"] >= 0:
        limit = rules.near  # a suffix is passed over: only what follows at once is the same walk
    elif position > 0 and first_name == base:
        limit = rules.near
    else:
        limit = rules.next
    gap = time - end
    return gap if gap <= limit else np.int64(_NOT_DUE)


@helper_kernel
def _continue(rows: Exchanges, w: Walks, rules: Rules, number: Int, name: Int, oldest: Int) -> bool:
    """Add exchange ``number`` of ``rows`` to the walk whose next candidate it is, if there is one.

    It asks ``name``. The nodes of the client at bases in ``w`` are those from ``oldest`` on;
    ``rules`` are those of the client.
    """
    e = rows[number]
    suffixes = rules.by_size.shape[0]
    best_walk, best_position = np.int64(NO_ROW), np.int64(NO_SUFFIX)
    best_step = np.int64(0)
    best_gap: Int = np.int64(0)
    for k in range(suffixes + 1):
        position = np.int64(NO_SUFFIX)
        base = name
        if k < suffixes:
            position = np.int64(rules.by_size[k])
            base = np.int64(rules.bases[name, position])
            if base < 0:
                continue
        newer, node = np.int64(NO_ROW), np.int64(w.at_base[base])
        for _ in range(_AT_BASE):
            if node < oldest:
                break
            walk, older = np.int64(w.base_nodes[node]["walk"]), w.base_nodes[node]["older"]
            if is_over(w, walk, e["query_time"]):  # it leaves the list
                unlink(w.at_base, w.base_nodes, base, newer, older)
                node = np.int64(older)
                continue
            newer, node = node, np.int64(older)
            gap = _due(rows, w, rules, walk, position, name, base, e)
            if gap < 0:
                continue
            step = np.int64(suffixes)
            if position >= 0:
                step = position - w.candidates[w.walks[walk]["last"]]["position"]
            if best_walk < 0 or step < best_step or (step == best_step and gap <= best_gap):
                best_walk, best_position, best_step, best_gap = walk, position, step, gap
    if best_walk < 0:
        return False
    _step(rows, w, rules, best_walk, best_position, number, name)
    return True


@helper_kernel
def _is_begun(arena: Bytes, at: Int, end: Int, suffix: Bytes) -> bool:
    """Does a ``suffix`` begin as the rest of a name that was cut, ``arena[at:end]``, does?"""
    j = np.int64(0)
    while at < end and arena[at] != 0:
        size = np.int64(arena[at])
        shown = size
        if at + size + 2 == end and size >= len(CUT_LABEL):
            is_cut = True
            for k in range(len(CUT_LABEL)):
                is_cut = is_cut and arena[at + 1 + size - len(CUT_LABEL) + k] == CUT_LABEL[k]
            if is_cut:
                shown = size - len(CUT_LABEL)
        if shown == 0:
            return True
        if suffix[j] == 0 or suffix[j] < shown or (shown == size and suffix[j] != size):
            return False
        for k in range(1, shown + 1):
            if arena[at + k] != suffix[j + k]:
                return False
        if shown < size:
            return True
        at += size + 1
        j += size + 1
    return bool(suffix[j] == 0)


@helper_kernel
def _goes_on(
    names: InternerArrays, lists: Lists, number: Int, cut: Int, base: Int, position: Int
) -> bool:
    """Is a name that was cut a base name under a suffix before ``position``?

    ``cut`` and ``base`` are local names of ``lists``, ids of ``names`` stand behind them;
    ``number`` is that of the client's list. Before NO_SUFFIX, all of them are.
    """
    arena, ends = names.arena, names.ends
    cut_id, base_id = np.int64(lists.name_ids[cut]), np.int64(lists.name_ids[base])
    at, begin = name_start(ends, cut_id), name_start(ends, base_id)
    size = ends[base_id] - begin - 1  # without the root
    if size <= 0 or ends[cut_id] - at <= size:
        return False
    for k in range(size):
        if arena[at + k] != arena[begin + k]:
            return False
    first, last = lists.firsts[number], lists.firsts[number + 1]
    for q in range(first, last if position < 0 else first + position):
        suffix = lists.wire[lists.ends[q - 1] if q > 0 else 0 : lists.ends[q]]
        if _is_begun(arena, at + size, ends[cut_id], suffix):
            return True
    return False


@helper_kernel
def _follow_cut(
    rows: Exchanges,
    w: Walks,
    rules: Rules,
    names: InternerArrays,
    lists: Lists,
    which: Int,
    walk: Int,
    number: Int,
) -> bool:
    """Add exchange ``number`` of ``rows`` to a walk of which the first name was cut, if it follows.

    ``walk`` is the walk's number in ``w``. ``rules`` are those of the client, whose list is number
    ``which`` of ``lists``; ``names`` are those of the interner.
    """
    x, e = w.walks[walk], rows[number]
    c = w.candidates[x["last"]]
    name = np.int64(lists.local_names[number])
    if x["candidates"] != 1 or question_of(w, np.int64(x["last"]), CUT_QUESTION) < 0:
        return False
    end = finished(w, np.int64(x["last"]), e["query_time"])
    if end == PENDING:
        return False
    limit = LONGEST_TIMEOUT_NS if is_silent(w, np.int64(x["last"])) else rules.near
    if e["query_time"] - end > limit:
        return False
    for k in range(rules.by_size.shape[0] + 1):
        position, base = np.int64(NO_SUFFIX), name
        if k < rules.by_size.shape[0]:
            position = np.int64(rules.by_size[k])
            base = np.int64(rules.bases[name, position])
        if base >= 0 and _goes_on(names, lists, which, np.int64(c["name"]), base, position):
            x["base"] = base
            x["mode"] = LIST
            x["closed"] = 1 if position < 0 else 0
            keep_at_base(w, base, walk)
            w.name_nodes[c["node"]]["alive"] = 0
            add_candidate(rows, w, walk, number, name, position)
            return True
    return False


@helper_kernel
def _step(
    rows: Exchanges, w: Walks, rules: Rules, walk: Int, position: Int, number: Int, name: Int
) -> None:
    """Append the next candidate to a walk: ``name``, that of exchange ``number`` of ``rows``.

    ``walk`` is its number in ``w``, ``position`` that of the suffix, or NO_SUFFIX; ``rules`` are
    those of the client.
    """
    x = w.walks[walk]
    e = rows[number]
    if x["mode"] == OPEN:
        listed = position < 0 or rules.bases[name, position] == x["base"]
        x["mode"] = LIST if listed else AS_IS
    current = np.int64(x["last"])
    if finished(w, current, e["query_time"]) == PENDING:
        x["parallel"] = 1  # its earlier candidates may be asked for more types
    else:
        w.name_nodes[w.candidates[current]["node"]]["alive"] = 0
    add_candidate(rows, w, walk, number, name, position)
    if position < 0:
        x["closed"] = 1


@helper_kernel
def _cut_question(w: Walks, candidate: Int, e: Row, rules: Rules) -> Int:
    """Return the question that this one, of which the type is cut, asks again; NO_ROW: none yet.

    Two with different IDs, one soon after the other, are both families. ``e`` (EXCHANGE) asks the
    name of ``candidate`` in ``w``; ``rules`` are those of the client.
    """
    first = question_of(w, candidate, CUT_QUESTION)
    count, at = 0, first
    while at >= 0:
        q = w.questions[at]
        if q["qtype"] == CUT_QUESTION:
            count += 1
            if q["message_id"] == e["message_id"]:
                return at
        at = np.int64(q["after"])
    if count == 1 and e["query_time"] - w.questions[first]["asked"] <= rules.near:
        return np.int64(NO_ROW)
    return first


@helper_kernel
def _at_same_name(
    rows: Exchanges, w: Walks, rules: Rules, number: Int, name: Int, oldest: Int
) -> bool:
    """Add exchange ``number`` of ``rows`` to a walk that is at its ``name``, if there is one.

    Those of the same port come first. The nodes of the client at names in ``w`` are those from
    ``oldest`` on; ``rules`` are those of the client.
    """
    e = rows[number]
    time, port = e["query_time"], e["client_port"]
    other: Int = np.int64(NO_ROW)  # the newest fitting one of another port
    other_question: Int = np.int64(NO_ROW)
    newer, node = np.int64(NO_ROW), np.int64(w.at_name[name])
    compared = 0
    while node >= oldest and compared < _AT_NAME:
        n = w.name_nodes[node]
        older = n["older"]
        if not n["alive"] or time > n["until"]:  # it leaves the list
            unlink(w.at_name, w.name_nodes, name, newer, older)
            node = np.int64(older)
            continue
        newer, node = node, np.int64(older)
        compared += 1
        candidate = np.int64(n["candidate"])
        same_port = n["port"] == port
        if not same_port and n["several_ports"]:
            same_port = has_port(rows, w, candidate, port)
        if not same_port:
            long_ago = n["settled"] != NEVER and time - n["settled"] > JOIN_AT_PORT_NS
            if other >= 0 or long_ago:
                continue
        if e["qtype"] == CUT_QUESTION:
            question = _cut_question(w, candidate, e, rules)
        else:
            question = question_of(w, candidate, e["qtype"])
        if question >= 0:
            fits = _repeats(rows, w, candidate, question, e, rules)
        else:
            fits = _joins(rows, w, np.int64(n["walk"]), candidate, e, rules.join)
        if not fits:
            continue
        if same_port:
            ask(rows, w, candidate, question, number)
            return True
        other, other_question = candidate, question
    if other >= 0:
        ask(rows, w, other, other_question, number)
    return bool(other >= 0)


@helper_kernel
def _add_orphan(
    rows: Exchanges, w: Walks, rules: Rules, number: Int, name: Int, oldest: Int
) -> None:
    """Take a response without a query: the lookup began before the capture.

    It is exchange ``number`` of ``rows``, to ``name``. The nodes of the client at names in ``w``
    are those from ``oldest`` on; ``rules`` are those of the client.
    """
    e = rows[number]
    node = np.int64(w.at_name[name])
    for _ in range(_AT_NAME):
        if node < oldest:
            break
        n = w.name_nodes[node]
        node = np.int64(n["older"])
        walk, candidate = np.int64(n["walk"]), np.int64(n["candidate"])
        near = e["query_time"] - w.walks[walk]["start"] < SHORTEST_TIMER_NS
        if n["alive"] and near and question_of(w, candidate, e["qtype"]) < 0:
            w.walks[walk]["cut_start"] = 1
            ask(rows, w, candidate, np.int64(NO_ROW), number)
            return
    opened = _open(rows, w, rules, number, name)
    w.walks[opened]["cut_start"] = 1


@helper_kernel
def _group(rows: Exchanges, names: Ids, rules: Rules, w: Walks, client: Row) -> None:
    """Read one client's exchanges into walks, appended to ``w``.

    ``names`` (int32) are the local names of ``rows``; the ``client`` (CLIENT)
    has ``rules``.
    """
    client["first_walk"] = w.used[WALKS]
    oldest_name = w.used[NAME_NODES]
    oldest_base = w.used[BASE_NODES]
    for number in range(client["begin"], client["end"]):
        name = np.int64(names[number])
        if name < 0:
            continue  # a response that shows no name, to a query that was not captured
        if rows[number]["query_packet"] < 0:
            _add_orphan(rows, w, rules, number, name, oldest_name)
        elif not _at_same_name(rows, w, rules, number, name, oldest_name):
            if not _continue(rows, w, rules, number, name, oldest_base):
                _open(rows, w, rules, number, name)
    client["last_walk"] = w.used[WALKS]


@helper_kernel
def _group_cut(
    rows: Exchanges, names: InternerArrays, lists: Lists, rules: Rules, w: Walks, client: Row
) -> None:
    """Do as :func:`_group` does, where names may be cut: a walk may begin with one.

    Goes in: ``rows`` (EXCHANGE); ``names`` of the interner; ``lists``, which know the local names;
    the ``rules`` of the ``client`` (CLIENT). Comes out: ``w``.
    """
    client["first_walk"] = w.used[WALKS]
    oldest_name = w.used[NAME_NODES]
    oldest_base = w.used[BASE_NODES]
    cut: Int = np.int64(NO_ROW)  # the latest walk that began with a name that is cut
    for number in range(client["begin"], client["end"]):
        name = np.int64(lists.local_names[number])
        if name < 0:
            continue
        if rows[number]["query_packet"] < 0:
            _add_orphan(rows, w, rules, number, name, oldest_name)
        elif not _at_same_name(rows, w, rules, number, name, oldest_name):
            if _continue(rows, w, rules, number, name, oldest_base):
                continue
            is_cut = rows[number]["qtype"] == CUT_QUESTION
            if cut >= 0 and not is_cut:
                if _follow_cut(rows, w, rules, names, lists, client["list"], cut, number):
                    continue
            walk = _open(rows, w, rules, number, name)
            if is_cut:
                cut = walk
    client["last_walk"] = w.used[WALKS]


@helper_kernel
def _searches_after_as_is(w: Walks, client: Row) -> bool:
    """Does some walk go on with the list after the name as is?"""
    for number in range(client["first_walk"], client["last_walk"]):
        if w.walks[number]["mode"] == AS_IS and w.walks[number]["candidates"] > 1:
            return True
    return False


@helper_kernel
def _is_to_be_read(w: Walks, client: Row, again: bool) -> bool:
    """Is a ``client`` (CLIENT) read now? ``again``: only where ``w`` reads it as it cannot be."""
    if not again:
        return True
    if client["searches_after_as_is"] or not _searches_after_as_is(w, client):
        return False
    for number in range(client["first_walk"], client["last_walk"]):
        w.walks[number]["captured"] = 0
    return True


@kernel
def group_clients(rows: Exchanges, clients: Rows, lists: Lists, w: Walks, again: bool) -> None:
    """Read the exchanges of every client into walks.

    Goes in: ``rows`` (EXCHANGE), client by client and each in the order of time; their names, and
    the search lists, in ``lists``. Comes out: ``w``, and the walks of each of ``clients`` (CLIENT).
    ``again``: only where the resolver is known to ask nothing after the name as is, and what looks
    like such a walk is two lookups.
    """
    for c in range(clients.shape[0]):
        client = clients[c]
        if _is_to_be_read(w, client, again):
            rules = rules_of(lists, client)
            _group(rows, lists.local_names, rules, w, client)


@kernel
def group_cut_clients(
    rows: Exchanges, clients: Rows, names: InternerArrays, lists: Lists, w: Walks, again: bool
) -> None:
    """Do as :func:`group_clients` does, where questions were cut; ``names`` is the interner's.

    Apart from it, since this rare work in the midst of it would make it take three times as long.
    ``rows`` (EXCHANGE), ``clients`` (CLIENT), ``lists``, ``w`` and ``again`` are as there.
    """
    for c in range(clients.shape[0]):
        client = clients[c]
        if _is_to_be_read(w, client, again):
            rules = rules_of(lists, client)
            _group_cut(rows, names, lists, rules, w, client)
