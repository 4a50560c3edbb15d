"""The names that one part of the clients asks, numbered afresh, and their bases.

Within a part a name is a *place*: one for each search list and name that a client of that list asks
for, so that tables by name are as long as the part needs, however many names the analysis knows.
Under its list a name may have a base for each suffix: what is left of it without that suffix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.search_lists.infer import SearchList
from pcapkit.kernels.interning import intern
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import u64_little
from pcapkit.names.labels import join, name_start
from pcapkit.names.table import Folded
from pcapkit.names.text import wire_from_text


class Lists(NamedTuple):
    """The search lists of a part, the names under them, and how soon queries of a walk follow.

    The suffixes of list ``n`` are ``firsts[n]`` to ``firsts[n + 1]``; ``join``, ``near`` and
    ``next`` are how soon the other family, the same walk and the next candidate follow, in ns.
    """

    asked: npt.NDArray[np.int32]  # by exchange: place of its name, -1 where it shows none
    name_of: npt.NDArray[np.int32]  # by place: id of the name
    labels: npt.NDArray[np.int32]  # by place
    bases: npt.NDArray[np.int32]  # (places asked, most suffixes): places, -1 for none
    firsts: npt.NDArray[np.int64]
    tails: npt.NDArray[np.uint8]  # the suffixes in wire form, one behind the other
    tail_ends: npt.NDArray[np.int64]
    by_size: npt.NDArray[np.int64]  # positions in the list, longest suffix first
    starts: npt.NDArray[np.uint8]  # may a walk begin with this suffix?
    join: int
    near: int
    next: int


class Rules(NamedTuple):
    """What is known of one client's list while its exchanges are read."""

    bases: npt.NDArray[np.int32]
    by_size: npt.NDArray[np.int64]
    starts: npt.NDArray[np.uint8]
    join: int
    near: int
    next: int
    searches_after_as_is: bool


@helper_kernel
def rules_of(lists: Any, number: Any, walks: Any, searches_after_as_is: Any) -> Any:
    """Return the rules of a list; where no walk of it was seen (``walks``), none is followed."""
    first, last = lists.firsts[number], lists.firsts[number + 1]
    sizes = lists.by_size[first:last] if walks else lists.by_size[first:first]
    return Rules(
        lists.bases,
        sizes,
        lists.starts[first:last],
        lists.join,
        lists.near,
        lists.next,
        searches_after_as_is != 0,
    )


@inline_kernel
def _same_bytes(left: Any, a: Any, right: Any, b: Any, length: Any) -> Any:
    """Are ``length`` bytes the same? From their ends, where most names that differ do so."""
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
def _measure(
    arena: Any, ends: Any, name: Any, tails: Any, tail_ends: Any, first: Any, last: Any, bases: Any
) -> Any:
    """Set ``bases`` to the bytes of a name before each suffix, where it has it and more before it.

    Returns how many bases that is, and their bytes in all, each with the root label.
    """
    count, total = np.int64(0), np.int64(0)
    begin, stop = name_start(ends, name), ends[name]
    for position in range(first, last):
        bases[position - first] = -1
        tail = tail_ends[position - 1] if position > 0 else np.int64(0)
        size = tail_ends[position] - tail
        cut = stop - size
        if cut <= begin or not _same_bytes(arena, cut, tails, tail, size):
            continue
        at = begin  # the suffix must begin where a label does
        while at < cut:
            at += np.int64(arena[at]) + 1
        if at == cut:
            bases[position - first] = cut - begin
            count += 1
            total += cut - begin + 1
    return count, total


@kernel
def _place_names(
    rows: Any,
    clients: Any,
    order: Any,
    names: Any,
    tails: Any,
    tail_ends: Any,
    firsts: Any,
    place: Any,
    asked: Any,
    name_of: Any,
    places: Any,
    bases: Any,
) -> Any:
    """Number the names that are asked, list by list, and measure their bases.

    ``order`` is the clients list by list; ``place`` holds a zero for every name, and does so again
    afterwards. ``places`` gets where those of each list begin. Returns the number of bases, and
    their bytes.
    """
    arena, ends = names[0], names[1]
    used, count, total = np.int64(0), np.int64(0), np.int64(0)
    k = np.int64(0)
    for number in range(places.shape[0] - 1):
        begin = used
        while k < order.shape[0] and clients[order[k]]["list"] == number:
            client = clients[order[k]]
            k += 1
            for i in range(client["begin"], client["end"]):
                name = np.int64(rows[i]["folded"])
                if name < 0:
                    asked[i] = -1
                    continue
                at = np.int64(place[name])
                if at == 0:
                    name_of[used] = name
                    n, size = _measure(
                        arena,
                        ends,
                        name,
                        tails,
                        tail_ends,
                        firsts[number],
                        firsts[number + 1],
                        bases[used],
                    )
                    count += n
                    total += size
                    used += 1
                    at = used
                    place[name] = at
                asked[i] = at - 1
        for p in range(begin, used):
            place[name_of[p]] = 0
        places[number + 1] = used
    return count, total


@kernel
def _place_bases(
    names: Any, firsts: Any, scratch: Any, place: Any, name_of: Any, places: Any, bases: Any
) -> Any:
    """Put the places of bases where their sizes were measured; return how many places there are.

    Their names are interned; those that nobody asks have places behind all others.
    """
    arena, ends = names[0], names[1]
    used = places[places.shape[0] - 1]
    for number in range(places.shape[0] - 1):
        begin, more = places[number], used
        for p in range(begin, places[number + 1]):
            place[name_of[p]] = p + 1
        for p in range(begin, places[number + 1]):
            start = name_start(ends, np.int64(name_of[p]))
            for position in range(firsts[number + 1] - firsts[number]):
                length = np.int64(bases[p, position])
                if length < 0:
                    continue
                for j in range(length):
                    scratch[j] = arena[start + j]
                scratch[length] = 0
                base = intern(names, scratch, 0, length + 1)
                if place[base] == 0:
                    name_of[used] = base
                    used += 1
                    place[base] = used
                bases[p, position] = place[base] - 1
        for p in range(begin, places[number + 1]):
            place[name_of[p]] = 0
        for p in range(more, used):
            place[name_of[p]] = 0
    return used


def place_names(
    rows: npt.NDArray[Any],
    clients: npt.NDArray[Any],
    lists: Sequence[SearchList],
    names: Folded,
    timing: tuple[int, int, int],
) -> Lists:
    """Number the names of a part whose ``clients`` (CLIENT rows) name one of ``lists`` each."""
    suffixes = [s for search in lists for s in search.suffixes]
    tails = [wire_from_text(join(s)) for s in suffixes]
    wires = np.frombuffer(b"".join(tails), np.uint8)
    tail_ends = np.cumsum([len(t) for t in tails], dtype=np.int64)
    firsts = np.cumsum([0, *(len(search.suffixes) for search in lists)], dtype=np.int64)
    widest = int(np.diff(firsts).max(initial=0))
    places = np.zeros(len(lists) + 1, np.int64)
    asked, name_of = np.empty(rows.size, np.int32), np.empty(rows.size, np.int32)
    bases = np.empty((rows.size, widest), np.int32)  # pages that are not written cost nothing
    count, size = _place_names(
        rows,
        clients,
        np.argsort(clients["list"], kind="stable"),
        names.names.arrays,
        wires,
        tail_ends,
        firsts,
        np.zeros(len(names.names), np.int32),
        asked,
        name_of,
        places,
        bases,
    )
    names.names.reserve(count, size)
    used = int(places[-1])
    name_of = np.concatenate([name_of[:used], np.empty(count, np.int32)])
    used = int(
        _place_bases(
            names.names.arrays,
            firsts,
            np.zeros(256, np.uint8),
            np.zeros(len(names.names) + count, np.int32),
            name_of,
            places,
            bases,
        )
    )
    name_of = name_of[:used]
    return Lists(
        asked,
        name_of,
        names.label_counts()[name_of],
        bases,
        firsts,
        wires,
        tail_ends,
        np.array([p for search in lists for p in _by_size(search)], np.int64),
        np.array([s in x.starts for x in lists for s in x.suffixes], np.uint8),
        *timing,
    )


def _by_size(search: SearchList) -> list[int]:
    return sorted(range(len(search.suffixes)), key=lambda p: -len(search.suffixes[p]))
