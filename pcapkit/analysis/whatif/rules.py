"""How the clients of a part walk, as rows that kernels read: search lists, and resolvers' rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pcapkit.names.labels import Labels, join
from pcapkit.names.text import wire_from_text
from pcapkit.resolver.models import (
    ABANDON,
    AFTER_STOP,
    RESOLVERS,
    ResolverModel,
    gives_up_s,
    resolver_model,
)
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.schema import ABSENT, Bytes, Row, Rows

#: The rules of a resolver, under one ndots, with one search list.
RULES = np.dtype(
    [
        ("first", np.int64),  # its search list among all ``suffixes``
        ("last", np.int64),
        ("ndots", np.int64),
        ("least_ndots", np.int64),  # a lower one counts as this
        ("never_asked", np.int64),  # begin in ``wire`` of the domain it never sends, ABSENT
        ("never_asked_size", np.int64),
        ("idle", np.int64),  # how many suffixes of its list never answer anything
        ("silence_ns", np.int64),  # until a silent candidate is given up
        ("error_ns", np.int64),  # the same of SERVFAIL and REFUSED
        ("empty_ns", np.int64),  # how long NODATA without any record is kept, 0: as its SOA says
        ("on_nodata", np.int32),
        ("on_servfail", np.int32),
        ("on_refused", np.int32),
        ("on_timeout", np.int32),
        *(
            (flag, np.uint8)
            for flag in (
                "searches",
                "searches_after_as_is",
                "searches_dotted",
                "tries_as_is",
                "as_is_after_list",
                "asks_all",
                "further_types_of_hit_only",
                "abandons_too_long",
                "nxdomain_of_one_is_absence",
                "failure_of_one_is_failure",
                "honours_no_aaaa",
                "keeps_answers",
            )
        ),
    ],
    align=True,
)
#: One suffix of a search list.
SUFFIX = np.dtype(
    [
        ("begin", np.int64),  # of its name in ``wire``
        ("size", np.int32),
        ("shared", np.int32),  # its number among suffixes that several lists have, ABSENT
        ("in_zone", np.uint8),  # is a name under it inside the cluster domain?
        ("left_out", np.uint8),  # the resolver takes the list without it
        ("idle", np.uint8),  # nothing is ever answered under it
        ("left_out_without_idle", np.uint8),  # the same where the idle ones are taken out
    ],
    align=True,
)
#: So many suffixes are numbered as shared, those that most lists have.
MOST_SHARED = 8


class WalkSettings(NamedTuple):
    """What decides how a client walks: clients for which all of it is the same walk alike."""

    suffixes: tuple[Labels, ...]
    model: str  # of the resolver
    ndots: int
    stops_on_nodata: bool  # shown, whatever the rules of the model say


class Walkers(NamedTuple):
    """How some clients walk, a row of ``rules`` for all that walk alike."""

    rules: Rows  # RULES
    suffixes: Rows  # SUFFIX, list behind list
    wire: Bytes  # the names of the suffixes


class Walker(NamedTuple):
    """One of them, as kernels take it."""

    rules: Row  # RULES
    suffixes: Rows  # SUFFIX, those of its list
    wire: Bytes


def walkers_of(
    alike: Iterable[WalkSettings], zones: Sequence[Labels], idle: Set[Labels] = frozenset()
) -> Walkers:
    """Return how clients with these settings walk.

    ``zones`` are the cluster domains, ``idle`` suffixes under which nothing is ever answered.
    """
    alike = list(alike)
    lists = Counter(suffix for settings in alike for suffix in settings.suffixes)
    shared = {s: n for n, (s, lists) in enumerate(lists.most_common(MOST_SHARED)) if lists > 1}
    wire, known = bytearray(), dict[Labels, tuple[int, int, int, bool]]()
    domains = {model.never_asked: 0 for model in RESOLVERS if model.never_asked}
    for domain in domains:
        domains[domain] = len(wire)
        wire += wire_from_text(domain)
    rows: list[tuple[int, int, int, bool, bool, bool, bool]] = []
    rules = []
    for suffixes, model_name, ndots, stops_on_nodata in alike:
        model = resolver_model(model_name)
        for suffix in suffixes:
            if suffix not in known:
                name = _wire(suffix)
                inside = any(suffix[-len(z) :] == z for z in zones)
                known[suffix] = len(wire), len(name), shared.get(suffix, ABSENT), inside
                wire += name
        first = len(rows)
        left_out = _left_out(suffixes, model)
        shorter = iter(_left_out([s for s in suffixes if s not in idle], model))
        rows += [
            (*known[s], left, s in idle, False if s in idle else next(shorter))
            for s, left in zip(suffixes, left_out, strict=True)
        ]
        never_asked = (
            domains.get(model.never_asked, ABSENT),
            len(model.never_asked) + 2,
            sum(s in idle for s in suffixes),
        )
        used = model.effective_ndots(ndots), model.least_ndots
        rules.append((first, len(rows), *used, *never_asked, *_rules(model_name, stops_on_nodata)))
    return Walkers(np.array(rules, RULES), np.array(rows, SUFFIX), np.frombuffer(wire, np.uint8))


@lru_cache(maxsize=1 << 10)
def _wire(suffix: Labels) -> bytes:
    return wire_from_text(join(suffix))


def _left_out(suffixes: Sequence[Labels], model: ResolverModel) -> list[bool]:
    """Say of each suffix whether the resolver's caps keep it out of the list that it takes."""
    texts = [join(suffix) for suffix in suffixes]
    taken = list(model.effective_search(texts))
    out = []
    for text in texts:
        out.append(taken[:1] != [text])
        taken = taken[0 if out[-1] else 1 :]
    return out


@lru_cache
def _rules(name: str, stops_on_nodata: bool) -> tuple[int, ...]:
    """Return the rules of a resolver model, in the order of RULES from ``silence_ns`` on.

    ``stops_on_nodata``: its walks were seen to do so.
    """
    model = resolver_model(name)
    silence = int(gives_up_s(model, ResolverConfig((), (), 1, (), "")) * 1e9)
    return (
        silence,
        silence if model.waits_on_errors else 0,
        model.keeps_empty_s * 1_000_000_000,
        AFTER_STOP if stops_on_nodata else model.on_nodata,
        model.on_servfail,
        model.on_refused,
        model.on_timeout,
        model.searches,
        model.searches_after_as_is,
        model.searches_dotted,
        model.tries_as_is,
        model.as_is_after_list,
        model.asks_all,
        model.further_types_of_hit_only,
        model.on_too_long == ABANDON,
        model.nxdomain_of_one_is_absence,
        model.failure_of_one_is_failure,
        "no-aaaa" in model.options,
        model.keeps_answers,
    )
