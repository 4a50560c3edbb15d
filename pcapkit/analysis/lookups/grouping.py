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
from pcapkit.analysis.lookups.cut_names import cut_question, follow_cut, repeats_unread
from pcapkit.analysis.lookups.one_port import (
    begins_again,
    follows_apart,
    goes_on_apart,
    in_batch,
    note_order,
    note_step,
    stays_open,
)
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
    is_absent,
    is_answered,
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
    NEAR_NS,
    SHORTEST_TIMER_NS,
)
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.kernels.interning import InternerArrays
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.schema import NO_TIME, TCP, Exchanges, Ids, Int, Row, Rows

#: Walks at one name, and at one base, that are compared, the newest first.
_AT_NAME, _AT_BASE = 8, 16
#: Ranks of walks that a query may continue: more than the places of a list.
_OTHER_PORT, _HALF = 1 << 10, 1 << 11
_A, _MX, _AAAA = 1, 15, 28
#: An exchange is not the next candidate of a walk.
_NOT_DUE = -1


@helper_kernel
def _joins(rows: Exchanges, w: Walks, walk: Int, candidate: Int, e: Row, rules: Rules) -> bool:
    """Is this the same candidate asked for another type?

    ``e`` (one of ``rows``) asks the name of ``candidate`` in ``walk`` of ``w``; ``rules`` are those
    of the client. Where it asks both families of most names, or a mail exchanger beside them
    (host), a pause may lie between them.
    """
    time = e["query_time"]
    join = rules.join
    if e["qtype"] == _MX or (rules.asks_both and (e["qtype"] == _A or e["qtype"] == _AAAA)):
        join = rules.near
    if time - w.walks[walk]["start"] > LONGEST_WALK_NS:
        return False
    c = w.candidates[candidate]
    if c["types"] >= rules.most_types:  # each is looked at with every further one
        if time - w.name_nodes[c["node"]]["latest"] <= join:
            w.walks[walk]["crowded"] = 1
        return False
    if w.walks[walk]["one_port"] and follows_apart(w, candidate, e, rules.near):
        return True
    if begins_again(w, walk, e):
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
def _was_turned_away(
    rows: Exchanges, w: Walks, candidate: Int, question: Int, e: Row, rules: Rules
) -> bool:
    """Is a question asked again at once, as nothing listened where it went?

    ``e`` (one of ``rows``) asks what ``question`` of ``candidate`` in ``w`` asks, before any timer
    ends; ``rules`` are those of the client. Who learns by ICMP that a server is not there asks the
    next one, or the only one once more. Two lookups at a time ask the same server; those of one
    name do not come from a resolver that keeps a port for each question (Go): it makes one of them.
    """
    q = w.questions[question]
    if q["done"] != NO_TIME or e["query_time"] - q["asked"] > rules.near:
        return False
    if e["server"] != rows[q["last"]]["server"]:
        return True
    several_ports = w.name_nodes[w.candidates[candidate]["node"]]["several_ports"]
    return bool(q["refused"] and (several_ports or not rules.asks_both))


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
        node = w.name_nodes[w.candidates[candidate]["node"]]
        if rules.keeps_port and time - rules.near > node["settled"]:
            return False  # HAProxy asks on under one ID after all was answered
        if q["done"] == NO_TIME or q["done"] > time or same_port:
            return True
        if other_server and waited <= rules.join:
            return True
        unsettled = node["several_ports"] or node["settled"] > time
        if not other_server and unsettled and last["transport"] != TCP:
            return True  # glibc, which sends on from new ports after a timeout
        same = other_server
    if q["earliest"] == NO_TIME or q["earliest"] > time:
        if (
            q["first"] != q["last"]
            and not q["several_ids"]
            and last["client_port"] != e["client_port"]
        ):
            return same  # who kept the ID when it asked again gives each lookup its own
        if same or waited >= SHORTEST_TIMER_NS:
            return True
        return _was_turned_away(rows, w, candidate, question, e, rules)
    if not q["good"] or q["newest"] > time:
        got = rows[newest_by(rows, w, question, time)]
        if got["tc"] or got["outcome"] not in (ANSWER, NODATA, NXDOMAIN):
            return bool(time - got["response_time"] <= rules.join and not got["tc"])
    return False


@helper_kernel
def _open(rows: Exchanges, w: Walks, rules: Rules, number: Int, name: Int) -> Int:
    """Open a walk in ``w`` with exchange ``number`` of ``rows``, which asks ``name``; return it.

    ``rules`` are those of the client.
    """
    e = rows[number]
    orphan = e["query_packet"] < 0
    early = e["query_time"] - rules.begin <= rules.near  # its walk may have begun before
    start = np.int64(NO_SUFFIX)
    for k in range(rules.by_size.shape[0]):
        p = rules.by_size[k]
        is_as_is = rules.bases[name, p] == name  # under '.'
        begun = (orphan or early) and not is_as_is
        if rules.bases[name, p] >= 0 and (begun or rules.starts[p]):
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
    x["apart"] = 0
    x["one_port"] = 0
    x["captured"] = 0
    x["crowded"] = 0
    if start < 0:
        x["base"] = NO_BASE
        x["mode"] = AS_IS
    else:
        base = np.int64(rules.bases[name, start])
        x["base"] = base
        x["mode"] = OPEN
        keep_at_base(w, base, walk)
    before = orphan or (start >= 0 and not rules.starts[start])
    add_candidate(rows, w, walk, number, name, start if before else np.int64(NO_SUFFIX))
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
def _is_half(w: Walks, rules: Rules, candidate: Int) -> bool:
    """Was a candidate of ``w`` asked for one type only, by a client that asks both families?"""
    question = np.int64(w.candidates[candidate]["question"])
    return rules.asks_both and w.questions[question]["after"] < 0


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
        if not has_port(rows, w, current, e["client_port"]):  # else a cache had this type of it
            return np.int64(_NOT_DUE)
    if not _fits_list(w, rules, walk, position, base):
        return np.int64(_NOT_DUE)
    time = e["query_time"]
    end = finished(w, current, time)
    if end == PENDING or (is_answered(w, current, time) and not is_absent(w, current, time)):
        if goes_on_apart(w, current, e, rules.near):
            return np.int64(0)
        return np.int64(0 if in_batch(rows, w, rules, walk, position, e) else _NOT_DUE)
    as_is_first = w.candidates[x["first"]]["name"] == base
    if as_is_first and rules.labels[base] - 1 <= rules.searched_dots:
        limit = min(np.int64(NEAR_NS), rules.near)  # names with as many dots are searched first
    elif is_silent(w, current, time):
        limit = LONGEST_TIMEOUT_NS
    elif position > c["position"] + 1 and c["position"] >= 0:
        limit = rules.near  # a suffix is passed over: only what follows at once is the same walk
    elif as_is_first or is_answered(w, current, time):
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
    best_rank = np.int64(0)
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
            if is_over(w, walk, e["query_time"], rules.near):  # it leaves the list
                unlink(w.at_base, w.base_nodes, base, newer, older)
                node = np.int64(older)
                continue
            newer, node = node, np.int64(older)
            gap = _due(rows, w, rules, walk, position, name, base, e)
            if gap < 0:
                continue
            last = np.int64(w.walks[walk]["last"])
            rank = (position if position >= 0 else suffixes) - w.candidates[last]["position"]
            if not has_port(rows, w, last, e["client_port"]):
                rank += _OTHER_PORT
            if _is_half(w, rules, last):
                rank += _HALF
            if best_walk < 0 or rank < best_rank or (rank == best_rank and gap <= best_gap):
                best_walk, best_position, best_rank, best_gap = walk, position, rank, gap
    if best_walk < 0:
        return False
    _step(rows, w, rules, best_walk, best_position, number, name)
    return True


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
    if x["candidates"] == 1 and x["mode"] == LIST and w.candidates[current]["position"] >= 0:
        x["cut_start"] = 1  # its first suffixes were asked before the capture
    note_step(rows, w, rules, walk, position, e)
    if not stays_open(rows, w, current, e):
        w.name_nodes[w.candidates[current]["node"]]["alive"] = 0
    add_candidate(rows, w, walk, number, name, position)
    suffixes = rules.starts.shape[0]
    if position < 0:
        x["closed"] = 1
    elif position == suffixes - 1 and x["mode"] == LIST:  # it is the end where '.' came before
        for p in range(suffixes - 1):
            if rules.bases[x["base"], p] == x["base"]:
                x["closed"] = 1


@helper_kernel
def _at_same_name(
    rows: Exchanges, w: Walks, rules: Rules, number: Int, name: Int, oldest: Int, oldest_base: Int
) -> bool:
    """Add exchange ``number`` of ``rows`` to a walk that is at its ``name``, if there is one.

    Those of the same port come first. The nodes of the client at names in ``w`` are those from
    ``oldest`` on, those at bases from ``oldest_base`` on; ``rules`` are those of the client.
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
            question = cut_question(w, candidate, e, rules)
        else:
            question = question_of(w, candidate, e["qtype"])
        if question >= 0:
            fits = _repeats(rows, w, candidate, question, e, rules)
        else:
            fits = _joins(rows, w, np.int64(n["walk"]), candidate, e, rules)
        if not fits:
            continue
        if same_port:
            if question < 0 and w.walks[n["walk"]]["last"] != candidate:
                note_order(w, rules, candidate, e)
            ask(rows, w, candidate, question, number)
            return True
        other, other_question = candidate, question
    if other < 0:
        return False
    if other_question >= 0 and w.questions[other_question]["message_id"] != e["message_id"]:
        if _continue(rows, w, rules, number, name, oldest_base):
            return True  # which explains it better than a question asked anew
    ask(rows, w, other, other_question, number)
    return True


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
def _group(rows: Exchanges, order: Ids, names: Ids, rules: Rules, w: Walks, client: Row) -> None:
    """Read one client's exchanges into walks, appended to ``w``.

    ``names`` (int32) are the local names of ``rows``, ``order`` (int32) their numbers; the
    ``client`` (CLIENT) has ``rules``.
    """
    client["first_walk"] = w.used[WALKS]
    oldest_name = w.used[NAME_NODES]
    oldest_base = w.used[BASE_NODES]
    for k in range(client["begin"], client["end"]):
        number = np.int64(order[k])
        name = np.int64(names[number])
        if name < 0:
            continue  # a response that shows no name, to a query that was not captured
        if rows[number]["query_packet"] < 0:
            _add_orphan(rows, w, rules, number, name, oldest_name)
        elif not _at_same_name(rows, w, rules, number, name, oldest_name, oldest_base):
            if not _continue(rows, w, rules, number, name, oldest_base):
                _open(rows, w, rules, number, name)
    client["last_walk"] = w.used[WALKS]


@helper_kernel
def _group_cut(
    rows: Exchanges,
    order: Ids,
    names: InternerArrays,
    lists: Lists,
    rules: Rules,
    w: Walks,
    client: Row,
) -> None:
    """Do as :func:`_group` does, where names may be cut: a walk may begin with one.

    Goes in: ``rows`` (EXCHANGE), ``order`` (int32) their numbers; ``names`` of the interner;
    ``lists``, which know the local names; the ``rules`` of the ``client`` (CLIENT). Comes out:
    ``w``.
    """
    client["first_walk"] = w.used[WALKS]
    oldest_name = w.used[NAME_NODES]
    oldest_base = w.used[BASE_NODES]
    cut: Int = np.int64(NO_ROW)  # the latest walk that began with a name that is cut
    for k in range(client["begin"], client["end"]):
        number = np.int64(order[k])
        name = np.int64(lists.local_names[number])
        if name < 0:
            continue
        if rows[number]["query_packet"] < 0:
            _add_orphan(rows, w, rules, number, name, oldest_name)
        elif rows[number]["qname"] < 0:
            if not repeats_unread(rows, w, number, name, oldest_name):
                _open(rows, w, rules, number, name)
        elif not _at_same_name(rows, w, rules, number, name, oldest_name, oldest_base):
            if _continue(rows, w, rules, number, name, oldest_base):
                continue
            is_cut = rows[number]["qtype"] == CUT_QUESTION
            if cut >= 0 and not is_cut:
                if follow_cut(rows, w, rules, names, lists, client["list"], cut, number):
                    continue
            walk = _open(rows, w, rules, number, name)
            if is_cut:
                cut = walk
    client["last_walk"] = w.used[WALKS]


@helper_kernel
def _is_to_be_read(client: Row, w: Walks, again: bool) -> bool:
    """Is a ``client`` (CLIENT) read now? ``again``: where it is marked so, and ``w`` forgets it."""
    if not again:
        return True
    if not client["again"]:
        return False
    for number in range(client["first_walk"], client["last_walk"]):
        w.walks[number]["captured"] = 0
    return True


@kernel
def group_clients(
    rows: Exchanges, order: Ids, clients: Rows, lists: Lists, w: Walks, again: bool
) -> None:
    """Read the exchanges of every client into walks.

    Goes in: ``rows`` (EXCHANGE), and ``order`` (int32), their numbers, client by client and each in
    the order of time; their names, and the search lists, in ``lists``. Comes out: ``w``, and the
    walks of each of ``clients`` (CLIENT). ``again``: only of those that are marked so.
    """
    for c in range(clients.shape[0]):
        client = clients[c]
        if _is_to_be_read(client, w, again):
            rules = rules_of(lists, client)
            _group(rows, order, lists.local_names, rules, w, client)


@kernel
def group_cut_clients(
    rows: Exchanges,
    order: Ids,
    clients: Rows,
    names: InternerArrays,
    lists: Lists,
    w: Walks,
    again: bool,
) -> None:
    """Do as :func:`group_clients` does, where questions were cut; ``names`` is the interner's.

    Apart from it, since this rare work in the midst of it would make it take three times as long.
    ``rows`` (EXCHANGE), ``order``, ``clients`` (CLIENT), ``lists``, ``w`` and ``again`` are as
    there.
    """
    for c in range(clients.shape[0]):
        client = clients[c]
        if _is_to_be_read(client, w, again):
            rules = rules_of(lists, client)
            _group_cut(rows, order, names, lists, rules, w, client)
