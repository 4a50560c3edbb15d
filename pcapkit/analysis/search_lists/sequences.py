"""Names of one client that followed one another at once, as a walk of the search list makes them.

A stub resolver that walks its search list asks ``base + suffix`` again and again, each time at once
after the last one failed. A *visit* is one name with both families and all retries; a *sequence*
is visits of names that share their first labels, each asked because the one before it failed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.analysis.timing import LONGEST_TIMEOUT_NS
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.kernels.interning import hash_bytes
from pcapkit.kernels.jit import helper_kernel
from pcapkit.names.labels import common_labels, name_start
from pcapkit.schema import NO_TIME

PTR = 12
#: Types of one visit that are told apart.
TYPES = 4
#: Names of one sequence; a walk longer than this is cut. glibc and Kubernetes allow more, nobody
#: has them.
NAMES = 12
_OPEN = 16
VISIT = np.dtype(
    [
        ("start", np.int64),
        ("done", np.int64),
        ("name", np.int32),
        ("port", np.uint16),
        ("answered", np.uint8),  # it has an answer of an asked type
        ("silent", np.uint8),  # some question of it got no response
        ("types", np.uint8),
        ("ended", np.uint8),  # bits: types with a response that ends them
    ],
    align=True,
)
SEQUENCE = np.dtype(
    [
        ("older", np.int32),  # the sequence before it with the same first label
        ("first", np.int32),  # its first visit
        ("last", np.int32),  # its last visit
        ("base", np.int32),  # labels of the base name once it was asked as is, else 0
        ("size", np.int32),
        ("closed", np.uint8),
    ],
    align=True,
)


@helper_kernel
def find_visits(rows: Any, near: Any, latest: Any, visits: Any, types: Any, dones: Any) -> Any:
    """Merge the exchanges of one client into visits; return how many."""
    count = 0
    for k in range(rows.shape[0]):
        e = rows[k]
        if e["qtype"] == PTR or e["folded"] < 0 or e["qtype"] == 0:  # 0: the question was cut
            continue
        name = e["folded"]
        time, done = e["query_time"], e["response_time"]
        at = np.int64(latest[name])
        slot = np.int64(-1)
        fresh = True
        if at >= 0:
            v = visits[at]
            for j in range(v["types"]):
                if types[at, j] == e["qtype"]:
                    slot = np.int64(j)
            again = slot >= 0 and (v["ended"] >> slot) & 1 and v["done"] < time and not v["silent"]
            fresh = again or not (time <= v["done"] + near or v["silent"])
        if fresh:
            at = np.int64(count)
            count += 1
            latest[name] = at
            v = visits[at]
            v["start"] = time
            v["name"] = name
            v["port"] = e["client_port"]
            v["answered"] = 0
            v["types"] = 0
            v["ended"] = 0
            slot = np.int64(-1)
        v = visits[at]
        if slot < 0:
            slot = min(np.int64(v["types"]), np.int64(TYPES - 1))
            if v["types"] < TYPES:
                types[at, slot] = e["qtype"]
                dones[at, slot] = NO_TIME
                v["types"] += 1
        if dones[at, slot] == NO_TIME or (done != NO_TIME and done < dones[at, slot]):
            dones[at, slot] = done
        good = e["outcome"] in (ANSWER, NODATA, NXDOMAIN) and not e["tc"]
        if good:
            v["ended"] |= np.uint8(1 << slot)
        if e["outcome"] == ANSWER and not e["tc"]:
            v["answered"] = 1
        latest_done = NO_TIME
        silent = 0
        for j in range(v["types"]):
            if dones[at, j] == NO_TIME:
                silent = 1
                latest_done = max(latest_done, time)
            else:
                latest_done = max(latest_done, dones[at, j])
        v["silent"] = silent
        v["done"] = latest_done
    return count


@helper_kernel
def _follows(last: Any, item: Any, near: Any) -> Any:
    """Was ``item`` asked because ``last`` failed, or together with it, as busybox asks?"""
    if item["start"] < last["done"]:
        return bool(item["port"] == last["port"] and item["start"] - last["start"] <= near)
    return not _is_over(last, item, near)


@helper_kernel
def _is_over(last: Any, item: Any, near: Any) -> Any:
    """Can nothing follow ``last`` any more, from the time of ``item`` on?"""
    if item["start"] < last["done"]:
        return False
    limit = LONGEST_TIMEOUT_NS if last["silent"] else near
    return bool(last["answered"] or item["start"] - last["done"] > limit)


@helper_kernel
def _extend(arena: Any, ends: Any, labels: Any, s: Any, members: Any, new: Any) -> Any:
    """Add a name to a sequence where it can be its next candidate."""
    size = s["size"]
    if s["closed"] or size >= NAMES:
        return False
    for j in range(size):
        if members[j] == new:
            return False
    last = members[size - 1]
    shared = common_labels(arena, ends, last, new)
    if shared == 0:
        return False
    if s["base"] > 0:
        if common_labels(arena, ends, members[0], new) < s["base"] or labels[new] == s["base"]:
            return False
    elif shared == labels[new]:  # the base name as is, after the list
        for j in range(size):
            if common_labels(arena, ends, members[j], new) < labels[new]:
                return False
        s["base"] = labels[new]
        s["closed"] = 1
    elif shared == labels[last]:  # the base name came first
        if size > 1:
            return False
        s["base"] = labels[last]
    members[size] = new
    s["size"] = size + 1
    return True


@helper_kernel
def find_sequences(
    names: Any,
    labels: Any,
    near: Any,
    visits: Any,
    count: Any,
    heads: Any,
    sequences: Any,
    members: Any,
) -> Any:
    """Order the visits of one client into sequences; return how many. ``heads`` is all -1."""
    arena, ends, seed = names[0], names[1], names[5][0]
    found = 0
    mask = np.uint64(heads.shape[0] - 1)
    for i in range(count):
        v = visits[i]
        name = np.int64(v["name"])
        if labels[name] == 0:
            continue
        begin = name_start(ends, name)
        slot = np.int64(hash_bytes(arena, begin, np.int64(arena[begin]) + 1, seed) & mask)
        at, newer = np.int64(heads[slot]), np.int64(-1)
        joined = False
        looked = 0
        while at >= 0 and looked < _OPEN:
            s = sequences[at]
            if s["closed"] or _is_over(visits[s["last"]], v, near):  # it leaves the list
                if newer < 0:
                    heads[slot] = s["older"]
                else:
                    sequences[newer]["older"] = s["older"]
                at = np.int64(s["older"])
                continue
            looked += 1
            if _follows(visits[s["last"]], v, near) and _extend(
                arena, ends, labels, s, members[at], name
            ):
                s["last"] = i
                joined = True
                break
            newer, at = at, np.int64(s["older"])
        if not joined:
            s = sequences[found]
            s["older"] = heads[slot]
            s["first"] = i
            s["last"] = i
            s["base"] = 0
            s["size"] = 1
            s["closed"] = 0
            members[found, 0] = name
            heads[slot] = found
            found += 1
    return found
