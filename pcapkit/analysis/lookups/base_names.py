"""The names that one part of the clients asks, numbered afresh, and their bases.

Within a part a name has a *local name*, a number: one for each search list and name that a client
of that list asks for, so that tables by name are as long as the part needs, however many names the
analysis knows. Under its list a name may have a base for each suffix: what is left of it without
that suffix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pcapkit.analysis.lookups.state import NO_BASE
from pcapkit.analysis.search_lists.infer import SearchList
from pcapkit.analysis.timing import Gaps
from pcapkit.kernels.hashing import hash_bytes
from pcapkit.kernels.interning import InternerArrays, intern
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u64_little
from pcapkit.names.labels import join, name_start
from pcapkit.names.table import Folded
from pcapkit.names.text import wire_from_text
from pcapkit.schema import ABSENT, Array, Bytes, Exchanges, Ids, Int, Integers, Row, Rows

_LONGEST_NAME = 256  # bytes; a name has 255 at most (RFC 1035 section 3.1)


class Lists(NamedTuple):
    """The search lists of a part, the names under them, and how soon queries of a walk follow.

    The suffixes of list ``n`` are ``firsts[n]`` to ``firsts[n + 1]``.
    """

    local_names: Ids  # by exchange: its local name, ABSENT where it shows none
    name_ids: Ids  # by local name
    labels: Ids  # by local name: how many it has
    bases: Ids  # (local names that are asked, most suffixes): local names, NO_BASE for none
    firsts: Integers
    wire: Bytes  # the suffixes in wire form, one behind the other
    ends: Integers  # of each in ``wire``
    by_size: Integers  # positions in the list, longest suffix first
    starts: Bytes  # may a walk begin with this suffix?
    gaps: Gaps
    begin: int  # of the capture, in ns
    most_types: int  # of one name within one walk: the limit 'name_types'


class Rules(NamedTuple):
    """What is known of one client's list while its exchanges are read."""

    bases: Ids
    by_size: Integers
    starts: Bytes
    join: int
    near: int
    next: int
    begin: int  # of the capture, in ns
    most_types: int  # of one name within one walk
    labels: Ids  # by local name: how many it has
    searches_after_as_is: bool
    logged: bool  # seen in a server's own log, which may lack queries
    asks_both: bool  # A and AAAA of most names
    keeps_port: bool  # from name to name, mostly
    searched_dots: int  # of names that were searched first, at most; ABSENT where that is open


class Reading(NamedTuple):
    """What a walk's names are under one client's list."""

    bases: Ids
    starts: Bytes


@helper_kernel
def reading_of(lists: Lists, number: Int) -> Reading:
    """Return the names of list ``number`` of ``lists``."""
    return Reading(lists.bases, lists.starts[lists.firsts[number] : lists.firsts[number + 1]])


@helper_kernel
def rules_of(lists: Lists, client: Row) -> Rules:
    """Return the rules of a ``client`` (CLIENT), whose list is one of ``lists``.

    Where no walk of the list was seen, none is followed.
    """
    number = np.int64(client["list"])
    first, last = lists.firsts[number], lists.firsts[number + 1]
    return Rules(
        lists.bases,
        lists.by_size[first:last] if client["walks"] else lists.by_size[first:first],
        lists.starts[first:last],
        lists.gaps.join,
        lists.gaps.near,
        lists.gaps.next,
        lists.begin,
        lists.most_types,
        lists.labels,
        client["searches_after_as_is"] != 0,
        client["logged"] != 0,
        client["asks_both"] != 0,
        client["keeps_port"] != 0,
        client["searched_dots"],
    )


class _Suffixes(NamedTuple):
    """The suffixes of all lists of a part in wire form, list by list."""

    wire: Bytes
    ends: Integers  # of each in ``wire``
    firsts: Integers  # suffix at which each list begins, and the end


class _Numbering(NamedTuple):
    """The local names of a part, while they are numbered."""

    local_of: Ids  # by name id: 1 + its local name under the list in hand, else 0
    name_ids: Ids  # by local name
    begins: Integers  # local name at which those of each list begin, and the end
    bases: Ids
    """(local names, most suffixes): the bytes of each base, then its local name; or NO_BASE"""


@inline_kernel
def _same_bytes(left: Bytes, a: Int, right: Bytes, b: Int, length: Int) -> bool:
    """Are ``length`` bytes of ``left`` from ``a`` on those of ``right`` from ``b`` on?

    From their ends, where most names that differ do so.
    """
    while length >= 8:
        length -= 8
        if u64_little(left, a + length) != u64_little(right, b + length):
            return False
    while length > 0:
        length -= 1
        if left[a + length] != right[b + length]:
            return False
    return True


@helper_kernel
def _measure_bases(
    names: InternerArrays, name: Int, suffixes: _Suffixes, first: Int, last: Int, sizes: Ids
) -> tuple[Int, Int]:
    """Set ``sizes`` to the bytes of a name before each suffix, where it has it and more before it.

    Goes in: ``name`` is an id of ``names``; the ``suffixes`` are those from ``first`` to before
    ``last``. Comes out: ``sizes`` (int32) by suffix, NO_BASE where there is none. Returns how many
    bases that is, and their bytes in all, each with the root label.
    """
    arena = names.arena
    count, total = np.int64(0), np.int64(0)
    begin, stop = name_start(names.ends, name), names.ends[name]
    for position in range(first, last):
        sizes[position - first] = NO_BASE
        suffix = suffixes.ends[position - 1] if position > 0 else np.int64(0)
        size = suffixes.ends[position] - suffix
        cut = stop - size
        if cut <= begin or not _same_bytes(arena, cut, suffixes.wire, suffix, size):
            continue
        at = begin  # the suffix must begin where a label does
        while at < cut:
            at += np.int64(arena[at]) + 1
        if at == cut:
            sizes[position - first] = cut - begin
            count += 1
            total += cut - begin + 1
    return count, total


@kernel
def _number_names(
    rows: Exchanges,
    clients: Rows,
    order: Integers,
    names: InternerArrays,
    suffixes: _Suffixes,
    local_names: Ids,
    numbering: _Numbering,
) -> tuple[Int, Int]:
    """Number the names that are asked, list by list, and measure their bases.

    Goes in: ``rows`` (EXCHANGE) of the ``clients`` (CLIENT); ``order`` (int64) is the clients list
    by list; all ``names``, and the ``suffixes`` of the lists. Comes out: ``local_names`` (int32) by
    exchange; ``numbering``, with the sizes of bases for the bases themselves. Returns the number of
    bases, and their bytes.
    """
    local_of, name_ids, bases = numbering.local_of, numbering.name_ids, numbering.bases
    used, count, total = np.int64(0), np.int64(0), np.int64(0)
    k = np.int64(0)
    for number in range(numbering.begins.shape[0] - 1):
        begin = used
        first, last = suffixes.firsts[number], suffixes.firsts[number + 1]
        while k < order.shape[0] and clients[order[k]]["list"] == number:
            client = clients[order[k]]
            k += 1
            for i in range(client["begin"], client["end"]):
                name = np.int64(rows[i]["folded"])
                if name < 0:
                    local_names[i] = ABSENT
                    continue
                if local_of[name] == 0:
                    name_ids[used] = name
                    n, size = _measure_bases(names, name, suffixes, first, last, bases[used])
                    count += n
                    total += size
                    used += 1
                    local_of[name] = used
                local_names[i] = local_of[name] - 1
        for local_name in range(begin, used):
            local_of[name_ids[local_name]] = 0
        numbering.begins[number + 1] = used
    return count, total


@kernel
def _number_bases(
    names: InternerArrays, suffixes: _Suffixes, scratch: Bytes, numbering: _Numbering
) -> Int:
    """Put the local names of bases where their sizes were measured; return how many there are.

    Their names are interned in ``names``; those that nobody asks have local names behind all
    others. ``suffixes`` are those of the lists; ``numbering`` is what :func:`_number_names` left,
    with ``name_ids`` for all bases too. ``scratch`` (uint8) is as long as a name.
    """
    local_of, name_ids, bases = numbering.local_of, numbering.name_ids, numbering.bases
    begins = numbering.begins
    used = begins[begins.shape[0] - 1]
    for number in range(begins.shape[0] - 1):
        more = used
        for local_name in range(begins[number], begins[number + 1]):
            local_of[name_ids[local_name]] = local_name + 1
        for local_name in range(begins[number], begins[number + 1]):
            start = name_start(names.ends, np.int64(name_ids[local_name]))
            for position in range(suffixes.firsts[number + 1] - suffixes.firsts[number]):
                length = np.int64(bases[local_name, position])
                if length < 0:
                    continue
                for j in range(length):
                    scratch[j] = names.arena[start + j]
                scratch[length] = 0
                base = intern(names, scratch, 0, length + 1)
                if local_of[base] == 0:
                    name_ids[used] = base
                    used += 1
                    local_of[base] = used
                bases[local_name, position] = local_of[base] - 1
        for local_name in range(begins[number], begins[number + 1]):
            local_of[name_ids[local_name]] = 0
        for local_name in range(more, used):
            local_of[name_ids[local_name]] = 0
    return np.int64(used)


def number_names(
    rows: Exchanges,
    clients: Rows,
    lists: Sequence[SearchList],
    names: Folded,
    gaps: Gaps,
    begin: int,
    most_types: int,
) -> Lists:
    """Number the names of a part whose ``clients`` (CLIENT rows) name one of ``lists`` each.

    ``begin`` is when the capture begins, in ns; ``most_types`` the limit of types of one name
    within one walk.
    """
    wires = [wire_from_text(join(s)) for search in lists for s in search.suffixes]
    suffixes = _Suffixes(
        np.frombuffer(b"".join(wires), np.uint8),
        np.cumsum([len(wire) for wire in wires], dtype=np.int64),
        np.cumsum([0, *(len(search.suffixes) for search in lists)], dtype=np.int64),
    )
    widest = int(np.diff(suffixes.firsts).max(initial=0))
    local_names = np.empty(rows.size, np.int32)
    numbering = _Numbering(
        np.zeros(len(names.names), np.int32),
        np.empty(rows.size, np.int32),
        np.zeros(len(lists) + 1, np.int64),
        np.empty((rows.size, widest), np.int32),  # pages that are not written cost nothing
    )
    order = np.argsort(clients["list"], kind="stable")
    count, size = map(
        int,
        _number_names(rows, clients, order, names.names.arrays, suffixes, local_names, numbering),
    )
    names.names.reserve(count, size)
    asked = int(numbering.begins[-1])
    numbering = numbering._replace(
        local_of=np.zeros(len(names.names) + count, np.int32),
        name_ids=np.concatenate([numbering.name_ids[:asked], np.empty(count, np.int32)]),
    )
    scratch = np.zeros(_LONGEST_NAME, np.uint8)
    used = int(_number_bases(names.names.arrays, suffixes, scratch, numbering))
    name_ids = numbering.name_ids[:used]
    return Lists(
        local_names,
        name_ids,
        names.label_counts()[name_ids],
        numbering.bases,
        suffixes.firsts,
        suffixes.wire,
        suffixes.ends,
        np.array([p for search in lists for p in _by_size(search)], np.int64),
        np.array([s in x.starts for x in lists for s in x.suffixes], np.uint8),
        gaps,
        begin,
        most_types,
    )


def _by_size(search: SearchList) -> list[int]:
    return sorted(range(len(search.suffixes)), key=lambda p: -len(search.suffixes[p]))


def divide(lists: Lists, names: InternerArrays, pieces: int) -> tuple[Ids, Integers]:
    """Divide the exchanges of one client into pieces by the first label of the names they ask.

    All candidates of a lookup begin with the labels of its base name, so none goes across. Returns
    the numbers of the exchanges, piece by piece and each in their order, and where each begins, and
    the end. Those that show no name are in the first.
    """
    piece_of = np.zeros(lists.name_ids.size + 1, np.uint8 if pieces <= 1 << 8 else np.uint16)
    _divide_names(lists.name_ids, names, pieces, piece_of)
    mine = piece_of[lists.local_names]  # ABSENT is the last one
    order = np.argsort(mine, kind="stable").astype(np.int32)
    bounds = np.zeros(pieces + 1, np.int64)
    np.cumsum(np.bincount(mine, minlength=pieces), out=bounds[1:])
    return order, bounds


@kernel
def _divide_names(name_ids: Ids, names: InternerArrays, pieces: Int, piece_of: Array) -> None:
    """Give each local name the piece of its first label in ``piece_of`` (uint8 or uint16).

    Goes in: ``name_ids`` (int32) of the local names among ``names``; how many ``pieces`` there are.
    """
    for i in range(name_ids.shape[0]):
        at = name_start(names.ends, np.int64(name_ids[i]))
        h = hash_bytes(names.arena, at, np.int64(names.arena[at]) + 1, names.seed[0])
        piece_of[i] = (h >> np.uint64(32)) % np.uint64(pieces)
