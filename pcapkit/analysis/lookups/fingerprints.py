"""Recognise the stub resolver by ports, IDs, EDNS and the order in which it asks both families.

Signs as measured on the wire: glibc asks A and AAAA from one port with unrelated IDs; musl too, but
its IDs come from the clock and lie close together; Go gives every query its own port and EDNS 1232;
c-ares shows EDNS 1232 (and a cookie) on one port; BIND's tools ask AAAA only of the name that hit;
hickory draws its ports itself, asks what an alias points to, and three times after errors; dnsjava
shows EDNS 1280 and asks no searched name as is; gRPC's C core asks for its settings from c-ares'
port; JNDI waits 1, 2, 4 s.
"""

from __future__ import annotations

import numpy as np

from pcapkit.analysis.lookups.state import AS_IS, NO_ROW, Walks
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, SERVFAIL
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.model.clients import ResolverGuess
from pcapkit.schema import (
    ABSENT,
    EDNS_HIDDEN,
    NO_TIME,
    TCP,
    Bytes,
    Exchanges,
    Int,
    Integers,
    Row,
    Rows,
)

_A, _AAAA, _MX, _TXT, _SRV = 1, 28, 15, 16, 33
_EDNS_OF_GO_AND_CARES = 1232
_EDNS_OF_DNSJAVA = 1280  # SimpleResolver.java, DEFAULT_EDNS_PAYLOADSIZE
#: First labels of what gRPC asks SRV and TXT of by itself.
GRPC_PROBES = ("_grpclb", "_grpc_config")
#: Linux takes ports from here (ip_local_port_range); hickory from 1024 to 65535.
_KERNEL_PORTS = (32768, 60999)
#: An alias without an address, and what it points to asked next: hickory takes less than 1 ms.
_CHASED_NS = 5_000_000
_NEIGHBOURS = 8  # rows in which a question's companions stand
_SECOND_NS, _LATE_NS = 1_000_000_000, 100_000_000
_CLOSE_IDS = 1500
#: Gaps between the IDs of a pair of musl's run to this, measured in pods at their CPU limit.
_NEAR_IDS = 4096
_OWN_PAIRS = 5
_OWN_STEPS = 3  # of a walk, that chance does not explain
(
    PARALLEL,  # suffixes asked at once, without EDNS
    EDNS_ONE_PORT,
    EDNS_TWO_PORTS,
    ONE_PORT_IN_TURN,
    CLOSE_IDS,
    ONE_PORT,
    TWO_PORTS_IN_TURN,
    TWO_PORTS,
    SINGLE,  # A alone on a candidate of a longer walk
    EDNS_SINGLE,
    HOST,  # MX beside A
    COOKIE,
    NEAR_IDS,  # close for musl at its CPU limit, far for chance
    PORT_KEPT,  # the next candidate from the same port, without EDNS
    NODATA_ENDS,  # a walk of the list ends at a suffix that has no address
    NODATA_GOES_ON,
    BOTH_OF_ABSENT,  # A and AAAA, from two ports, of a name that does not exist
    EDNS_UNKNOWN,  # the source hides what tells those apart that ask both families at once
    PORT_HELD,  # from name to name, mostly: no libc does
    FAR_ENDS,  # NODATA_ENDS, at a pair with unrelated IDs
    CLOSE_GOES_ON,  # NODATA_GOES_ON, at a pair with close ones
    INSISTS,  # one family is answered, the other SERVFAIL again and again from the same port
    CONSECUTIVE,  # IDs that are counted up: no known resolver's
    FAR_IN_WALKS,  # pairs with unrelated IDs, of walks with several pairs
    NEAR_AMONG_FAR,  # pairs with close ones, of the same walks
    PLAIN_QUERIES,  # by UDP, without EDNS
    OWN_PORTS,  # ... from ports that the kernel does not give
    ALIAS_CHASED,  # one family of a name, right behind an alias that has no such address
    LIST_ALONE,  # with EDNS 1280: all of a list missed, and the name as is was not asked
    GRPC_ONE_PORT,  # gRPC's own questions, from the port of an A or AAAA question
    DOUBLED_TIMER,  # one question sent again after 1, 2 and 4 s, with one ID
    APART,  # each family walks the list by itself
    TRIPLED,  # sent three times at once after errors, each from a port of its own; then the next
) = range(33)
SIGNS = 33


@helper_kernel
def _pair_sign(a: Row, aaaa: Row, edns: Int) -> Int:
    """Return the sign that a pair of queries shows, the first with this EDNS size."""
    one_port = a["client_port"] == aaaa["client_port"]
    if edns == _EDNS_OF_GO_AND_CARES:
        return EDNS_ONE_PORT if one_port else EDNS_TWO_PORTS
    gap = (np.int64(aaaa["message_id"]) - np.int64(a["message_id"])) & 0xFFFF
    if one_port and edns != EDNS_HIDDEN and 0 < gap <= _NEAR_IDS:
        # in turn, too: a server beside it may answer before both are sent
        if gap == 1:
            return CONSECUTIVE
        return CLOSE_IDS if gap <= _CLOSE_IDS else NEAR_IDS
    in_turn = a["response_time"] != NO_TIME and a["response_time"] <= aaaa["query_time"]
    if edns == EDNS_HIDDEN and not in_turn:
        return EDNS_UNKNOWN
    if not one_port:
        return TWO_PORTS_IN_TURN if in_turn else TWO_PORTS
    return ONE_PORT_IN_TURN if in_turn else ONE_PORT


@helper_kernel
def _is_unread_pair(rows: Exchanges, w: Walks, first: Int) -> bool:
    """Are these two questions that nobody can read, with close IDs, both asked again under them?

    ``first`` is the first of the exchanges in ``rows``; ``w`` says which follow. All have one port.
    """
    second = np.int64(w.next_exchange[first])
    third = np.int64(w.next_exchange[second]) if second >= 0 else np.int64(NO_ROW)
    if third < 0 or rows[third]["message_id"] != rows[first]["message_id"]:
        return False
    gap = np.int64(rows[second]["message_id"]) - np.int64(rows[first]["message_id"])
    return bool(0 < gap & 0xFFFF <= _CLOSE_IDS)


@helper_kernel
def _insists(rows: Exchanges, w: Walks, failed: Int, answered: Int) -> bool:
    """Is a question sent again after SERVFAIL, twice or more, though the other family is answered?

    ``failed`` and ``answered`` are the first exchanges in ``rows`` of one candidate's questions in
    ``w``. musl does, with the same port and ID (``res_msend.c``); glibc takes the answer.
    """
    if rows[answered]["outcome"] != ANSWER or rows[answered]["edns_bytes"] >= 0:
        return False
    again = -1
    x = failed
    while x >= 0 and again < 2:
        e = rows[x]
        if e["outcome"] != SERVFAIL or e["client_port"] != rows[failed]["client_port"]:
            return False
        if e["message_id"] != rows[failed]["message_id"]:
            return False
        again += 1
        x = np.int64(w.next_exchange[x])
    return again == 2


@helper_kernel
def _is_tripled(rows: Exchanges, w: Walks, first: Int) -> bool:
    """Was a question sent three times at once, from a new port after each error of the server's?

    ``first`` is the first of its exchanges in ``rows``; ``w`` says which follow.
    """
    x, sent = first, np.int64(0)
    while x >= 0 and sent < 4:
        e = rows[x]
        if e["outcome"] != SERVFAIL and e["outcome"] != REFUSED:
            return False
        if e["edns_bytes"] >= 0:
            return False
        again = np.int64(w.next_exchange[x])
        if again >= 0 and rows[again]["client_port"] == e["client_port"]:
            return False
        if again >= 0 and rows[again]["query_time"] - e["query_time"] > _LATE_NS:
            return False
        sent += 1
        x = again
    return bool(sent == 3)


@kernel
def count_plain_signs(rows: Exchanges, clients: Rows, signs: Integers) -> None:
    """Count what the queries of every client show without their walks.

    Goes in: the exchanges of ``clients`` (CLIENT) in ``rows`` (EXCHANGE), in the order of time.
    Comes out: ``signs`` (int64, (clients, SIGNS)), to which they are added.
    """
    for c in range(clients.shape[0]):
        _count_plain(rows, clients[c], signs[c])


@kernel
def count_signs(
    rows: Exchanges, clients: Rows, whole: Rows, w: Walks, grpc: Bytes, signs: Integers
) -> None:
    """Count the signs that the walks of every client, or of a piece of it, show.

    Goes in: the walks ``w`` of ``rows`` (EXCHANGE) by ``clients`` (CLIENT); ``whole`` (CLIENT), the
    same with all of their exchanges; ``grpc`` (uint8), one a local name: begins it with one of
    GRPC_PROBES? Comes out: ``signs`` (int64, (clients, SIGNS), zeros at first).
    """
    for c in range(clients.shape[0]):
        _count_signs(rows, clients[c], whole[c], w, grpc, signs[c])


@helper_kernel
def _count_plain(rows: Exchanges, client: Row, signs: Integers) -> None:
    """Count what the queries of one ``client`` (CLIENT) show without their walks.

    They are in ``rows``, in the order of time; ``signs`` (int64) are the client's own.
    """
    alias = np.int64(NO_ROW)
    for number in range(client["begin"], client["end"]):
        e = rows[number]
        if e["query_packet"] < 0:
            continue
        edns = e["edns_bytes"]
        signs[COOKIE] += e["edns_options"] > 0 and edns == _EDNS_OF_GO_AND_CARES
        if edns == ABSENT and e["transport"] != TCP:
            signs[PLAIN_QUERIES] += 1
            port = e["client_port"]
            signs[OWN_PORTS] += port < _KERNEL_PORTS[0] or port > _KERNEL_PORTS[1]
            if alias >= 0 and _is_chase(rows, client, number, alias):
                signs[ALIAS_CHASED] += 1
        if e["outcome"] == NODATA and e["answers"] > 0:
            alias = np.int64(number)


@helper_kernel
def _is_chase(rows: Exchanges, client: Row, number: Int, alias: Int) -> bool:
    """Does a question of ``client`` ask, alone, what the ``alias`` before it has no address of?

    Both are numbers of ``rows``; the name that the alias points to is not kept.
    """
    e, before = rows[number], rows[alias]
    since = e["query_time"] - before["response_time"]
    if e["qtype"] != before["qtype"] or (e["qtype"] != _A and e["qtype"] != _AAAA):
        return False
    if since < 0 or since > _CHASED_NS or e["folded"] == before["folded"]:
        return False
    if e["client_port"] == before["client_port"]:
        return False
    first = max(client["begin"], number - _NEIGHBOURS)
    for other in range(first, min(client["end"], number + _NEIGHBOURS)):
        if other != number and rows[other]["folded"] == e["folded"]:
            return False
    return True


@helper_kernel
def _has_grpc_port(rows: Exchanges, client: Row, number: Int) -> bool:
    """Did an A or AAAA question leave the port of exchange ``number``, about the same time?

    It is one of ``client`` (CLIENT) in ``rows``.
    """
    first = max(client["begin"], number - _NEIGHBOURS)
    for other in range(first, min(client["end"], number + _NEIGHBOURS)):
        e = rows[other]
        if e["qtype"] == _A or e["qtype"] == _AAAA:
            if e["client_port"] == rows[number]["client_port"]:
                return True
    return False


@helper_kernel
def _has_doubled_timer(rows: Exchanges, w: Walks, first: Int) -> bool:
    """Was a question sent four times, after 1, 2 and 4 s, always with one ID, and no answer?

    ``first`` is the first of its exchanges in ``rows``; ``w`` says which follow.
    """
    x, wait = first, np.int64(_SECOND_NS)
    for _ in range(3):
        again = np.int64(w.next_exchange[x])
        if again < 0 or rows[x]["response_time"] != NO_TIME or rows[x]["edns_bytes"] >= 0:
            return False
        waited = rows[again]["query_time"] - rows[x]["query_time"]
        if waited < wait or waited > wait + _LATE_NS:
            return False
        if rows[again]["message_id"] != rows[first]["message_id"]:
            return False
        x, wait = again, 2 * wait
    return bool(w.next_exchange[x] < 0)


@helper_kernel
def _count_signs(
    rows: Exchanges, client: Row, whole: Row, w: Walks, grpc: Bytes, signs: Integers
) -> None:
    """Count the signs that the walks of one ``client`` (CLIENT) show: see :func:`count_signs`.

    They are in ``w``, the exchanges in ``rows``, where ``whole`` says which are the client's;
    ``grpc`` marks names, ``signs`` are its own.
    """
    signs[PORT_HELD] = client["keeps_port"]
    for number in range(client["first_walk"], client["last_walk"]):
        walk = w.walks[number]
        if not walk["captured"]:
            continue
        if walk["parallel"] and walk["candidates"] > 1:
            first = w.questions[w.candidates[walk["first"]]["question"]]["first"]
            if rows[first]["edns_bytes"] < 0:
                signs[PARALLEL] += 1
        elif walk["apart"]:
            signs[APART] += 1
        candidate = np.int64(walk["first"])
        signs[LIST_ALONE] += _is_list_alone(rows, w, walk)
        close, far = signs[CLOSE_IDS] + signs[NEAR_IDS], signs[ONE_PORT] + signs[ONE_PORT_IN_TURN]
        while candidate >= 0:
            a, aaaa, some, mx = np.int64(NO_ROW), np.int64(NO_ROW), np.int64(NO_ROW), False
            at = np.int64(w.candidates[candidate]["question"])
            while at >= 0:
                q = w.questions[at]
                x = np.int64(q["first"])
                if rows[x]["query_packet"] >= 0:
                    some = x if some < 0 else some
                    a = x if q["qtype"] == _A else a
                    aaaa = x if q["qtype"] == _AAAA else aaaa
                mx = mx or q["qtype"] == _MX
                if grpc[w.candidates[candidate]["name"]] and x >= 0:
                    if q["qtype"] == _SRV or q["qtype"] == _TXT:
                        signs[GRPC_ONE_PORT] += _has_grpc_port(rows, whole, x)
                at = np.int64(q["after"])
            step = _count_steps(rows, w, walk, candidate, signs)
            if some >= 0 and w.candidates[candidate]["after"] >= 0:
                signs[TRIPLED] += _is_tripled(rows, w, some)
            if a >= 0 and aaaa >= 0:
                two_ports = rows[a]["client_port"] != rows[aaaa]["client_port"]
                if two_ports and rows[a]["outcome"] == NXDOMAIN and rows[a]["edns_bytes"] < 0:
                    signs[BOTH_OF_ABSENT] += 1
                sign = _pair_sign(rows[a], rows[aaaa], rows[some]["edns_bytes"])
                signs[sign] += 1
                is_far = sign == ONE_PORT or sign == ONE_PORT_IN_TURN
                signs[FAR_ENDS] += is_far and step == NODATA_ENDS
                signs[CLOSE_GOES_ON] += sign == CLOSE_IDS and step == NODATA_GOES_ON
                signs[INSISTS] += _insists(rows, w, a, aaaa) or _insists(rows, w, aaaa, a)
            elif some >= 0 and some == a and walk["candidates"] > 1:
                signs[EDNS_SINGLE if rows[a]["edns_bytes"] >= 0 else SINGLE] += 1
            elif some >= 0 and _has_doubled_timer(rows, w, some):
                signs[DOUBLED_TIMER] += 1
            elif some >= 0 and rows[some]["qname"] < 0:
                signs[CLOSE_IDS] += _is_unread_pair(rows, w, some)
            if mx and a >= 0:
                signs[HOST] += 1
            candidate = np.int64(w.candidates[candidate]["after"])
        close = signs[CLOSE_IDS] + signs[NEAR_IDS] - close
        far = signs[ONE_PORT] + signs[ONE_PORT_IN_TURN] - far
        if far and close + far > 1:
            signs[FAR_IN_WALKS] += far
            signs[NEAR_AMONG_FAR] += close


@helper_kernel
def _is_list_alone(rows: Exchanges, w: Walks, walk: Row) -> bool:
    """Did all of a list miss, with EDNS 1280, and the name as is was not asked?

    The ``walk`` (WALK) is in ``w``, its exchanges in ``rows``.
    """
    if walk["mode"] == AS_IS or walk["candidates"] < 2:
        return False
    candidate = np.int64(walk["first"])
    while candidate >= 0:
        c = w.candidates[candidate]
        e = rows[w.questions[c["question"]]["last"]]
        if c["name"] == walk["base"] or e["outcome"] != NXDOMAIN:
            return False
        if e["edns_bytes"] != _EDNS_OF_DNSJAVA:
            return False
        candidate = np.int64(c["after"])
    return True


@helper_kernel
def _count_steps(rows: Exchanges, w: Walks, walk: Row, candidate: Int, signs: Integers) -> Int:
    """Count what a candidate shows by what follows it; return NODATA_ENDS, NODATA_GOES_ON, NO_ROW.

    It is one of ``walk`` (WALK) in ``w``; ``rows`` are the exchanges, ``signs`` (int64) those of
    the client.
    """
    c = w.candidates[candidate]
    question = np.int64(c["question"])
    first = rows[w.questions[question]["first"]]
    if c["after"] >= 0 and not walk["parallel"] and first["edns_bytes"] == ABSENT:
        if first["transport"] != TCP:
            following = w.questions[w.candidates[c["after"]]["question"]]
            signs[PORT_KEPT] += following["port"] == first["client_port"]
    if walk["mode"] == AS_IS or walk["base"] < 0 or c["name"] == walk["base"]:
        return np.int64(NO_ROW)
    at = question
    while at >= 0:
        if rows[w.questions[at]["last"]]["outcome"] != NODATA:
            return np.int64(NO_ROW)
        at = np.int64(w.questions[at]["after"])
    step = np.int64(NODATA_GOES_ON if c["after"] >= 0 else NODATA_ENDS)
    signs[step] += 1
    return step


def models_at_once(signs: Integers) -> tuple[str, ...]:
    """Return the models that each have enough signs of their own; more than one is a mixture.

    One resolver shows some of another's signs by chance, as unrelated IDs may lie close together;
    a fifth of the pairs is more than chance. IDs of musl's lie far apart, too, where its process is
    kept from running between the two: a walk that ends there at a NODATA is musl's all the same,
    and so is one of whose pairs others lie close. Two containers take turns by walks, not by pairs.
    """
    counts = {
        "c-ares": int(signs[EDNS_ONE_PORT]),
        "glibc": int(signs[ONE_PORT] + signs[ONE_PORT_IN_TURN]),
        "go": int(signs[EDNS_TWO_PORTS]),
        "musl": int(signs[CLOSE_IDS]),
        "a tool that counts its IDs up": int(signs[CONSECUTIVE]),
    }
    if (signs[FAR_ENDS] > 1 and not signs[NODATA_GOES_ON]) or _is_held_up(signs):
        counts["glibc"] = 0
    if signs[CLOSE_GOES_ON] > 1 and not signs[NODATA_ENDS]:
        counts["musl"] = 0
    least = max(_OWN_PAIRS, sum(counts.values()) / 5)
    return tuple(model for model, count in counts.items() if count >= least)


def _is_held_up(signs: Integers) -> bool:
    """Are the unrelated IDs those of a musl that is kept from running between two queries?

    In walks with unrelated ones, more than a third of the IDs are close: by chance one in eight is.
    """
    near = signs[NEAR_AMONG_FAR]
    return bool(near >= _OWN_PAIRS and 2 * near > signs[FAR_IN_WALKS])


def stops_on_nodata(signs: Integers) -> bool:
    """Do the walks of one client end where a suffix has no such type, as musl's and dnspython's?

    glibc, Go and c-ares go on. One walk that did so speaks against it.
    """
    return bool(signs[NODATA_ENDS] > 0 and signs[NODATA_GOES_ON] == 0)


def guess_resolver(signs: Integers) -> ResolverGuess:
    """Weigh the signs of one client; ``unknown`` rather than a guess."""
    n = [int(v) for v in signs]
    close, near = n[CLOSE_IDS], n[CLOSE_IDS] + n[NEAR_IDS]
    pairs, in_turn = near + n[ONE_PORT], n[ONE_PORT_IN_TURN]
    if n[PARALLEL]:
        return ResolverGuess("busybox", 0.8, ("every suffix asked at once on one port",))
    if n[LIST_ALONE] > 1:
        return ResolverGuess("dnsjava", 0.8, ("EDNS 1280, searched names never asked as is",))
    if n[GRPC_ONE_PORT]:
        return ResolverGuess("grpc", 0.7, ("_grpclb and _grpc_config from c-ares' port",))
    if n[COOKIE] or n[EDNS_ONE_PORT] > n[EDNS_TWO_PORTS]:
        return ResolverGuess("c-ares", 0.8, ("EDNS 1232, one port for both families",))
    if n[EDNS_TWO_PORTS]:
        return ResolverGuess("go", 0.9, ("EDNS 1232, a port of its own for every query",))
    if n[APART] >= _OWN_STEPS:
        return ResolverGuess("grpc", 0.7, ("each family walks the list by itself, on one port",))
    if n[PORT_KEPT] >= _OWN_STEPS and 4 * n[PORT_KEPT] >= pairs:
        return ResolverGuess("c-ares", 0.6, ("one port for all of a walk, no EDNS",))
    if n[PORT_HELD]:
        close = near = pairs = in_turn = 0  # no libc keeps its port
    if n[INSISTS]:
        return ResolverGuess("musl", 0.8, ("asks again after SERVFAIL though A is answered",))
    if pairs + in_turn >= 2 and n[NODATA_ENDS] >= _OWN_STEPS and not n[NODATA_GOES_ON]:
        return ResolverGuess("musl", 0.8, ("walks end at a suffix that has no address",))
    if n[NODATA_GOES_ON] <= n[NODATA_ENDS]:
        together = ("A and AAAA on one port with IDs close together",)
        if close >= 2 and close > 0.7 * (pairs + in_turn):
            return ResolverGuess("musl", 0.9, together)
        if near >= _OWN_PAIRS and near > 0.7 * (pairs + in_turn):
            return ResolverGuess("musl", 0.7, together)
        if near and _is_held_up(signs):
            return ResolverGuess("musl", 0.6, (f"{together[0]} in its walks",))
    if pairs >= 2:
        return ResolverGuess("glibc", 0.9, ("A and AAAA on one port with unrelated IDs, no EDNS",))
    if in_turn >= 2:
        return ResolverGuess("glibc", 0.6, ("A, answer, AAAA on one port (single-request)",))
    if n[ALIAS_CHASED] and n[BOTH_OF_ABSENT] and 4 * n[OWN_PORTS] > n[PLAIN_QUERIES]:
        if n[TRIPLED]:  # else it may be a forwarder that follows aliases itself
            chased = "a port of its own choice for every query, three after errors, aliases asked"
            return ResolverGuess("hickory", 0.8, (chased,))
    if n[DOUBLED_TIMER]:
        return ResolverGuess("jndi", 0.7, ("one question sent again after 1, 2 and 4 s",))
    if n[HOST]:
        return ResolverGuess("bind-host", 0.7, ("A, AAAA and MX for one name",))
    if n[TWO_PORTS_IN_TURN] and n[SINGLE] and not pairs and not n[BOTH_OF_ABSENT]:
        return ResolverGuess("bind-nslookup", 0.7, ("A until a name answers, then its AAAA",))
    return ResolverGuess("unknown", 0.0, ())
