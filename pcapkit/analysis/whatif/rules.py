"""How the clients of a part walk, as rows that kernels read: search lists, and resolvers' rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.names.labels import Labels, join
from pcapkit.names.text import wire_from_text
from pcapkit.resolver.models import ABANDON, RESOLVERS, ResolverModel, gives_up_s, resolver_model
from pcapkit.resolver.resolv_conf import ResolverConfig

#: The rules of a resolver, under one ndots, with one search list.
RULES = np.dtype(
    [
        ("first", np.int64),  # its search list among all ``tails``
        ("last", np.int64),
        ("ndots", np.int64),
        ("never_asked", np.int64),  # where in ``wire`` the domain is that it sends no name of, -1
        ("never_asked_size", np.int64),
        ("silence_ns", np.int64),  # until a silent candidate is given up
        ("error_ns", np.int64),  # the same of SERVFAIL and REFUSED
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
                "asks_all",
                "further_types_of_hit_only",
                "abandons_too_long",
                "nxdomain_of_one_is_absence",
                "failure_of_one_is_failure",
                "honours_no_aaaa",
            )
        ),
    ],
    align=True,
)
#: One suffix of a search list.
TAIL = np.dtype(
    [
        ("begin", np.int64),
        ("size", np.int32),
        ("shared", np.int32),  # its number among suffixes that several lists have, -1
        ("in_zone", np.uint8),  # is a name under it inside the cluster domain?
        ("left_out", np.uint8),  # the resolver takes the list without it
    ],
    align=True,
)
#: So many suffixes are numbered as shared, those that most lists have.
MOST_SHARED = 8


class Walkers(NamedTuple):
    """How some clients walk, a row of ``rules`` for all that walk alike."""

    rules: npt.NDArray[Any]  # RULES
    tails: npt.NDArray[Any]  # TAIL, list behind list
    wire: npt.NDArray[np.uint8]  # the names of the suffixes


class Walker(NamedTuple):
    """One of them, as kernels take it: a row of RULES, and the suffixes of its list."""

    rules: Any
    tails: Any  # TAIL
    wire: Any


def walkers_of(
    alike: Iterable[tuple[tuple[Labels, ...], str, int]], zones: Sequence[Labels]
) -> Walkers:
    """Return how clients with these search lists, resolver models and ndots walk."""
    alike = list(alike)
    wire = bytearray()
    domains = {m.never_asked: 0 for m in RESOLVERS if m.never_asked}
    for domain in domains:
        domains[domain] = len(wire)
        wire += wire_from_text(domain)
    lists = Counter(suffix for suffixes, _, _ in alike for suffix in suffixes)
    shared = {s: n for n, (s, lists) in enumerate(lists.most_common(MOST_SHARED)) if lists > 1}
    known = dict[Labels, tuple[int, int, int, bool]]()
    tails: list[tuple[int, int, int, bool, bool]] = []
    rules = []
    for suffixes, name, ndots in alike:
        model = resolver_model(name)
        for suffix in suffixes:
            if suffix not in known:
                text = _wire(suffix)
                inside = any(suffix[-len(z) :] == z for z in zones)
                known[suffix] = len(wire), len(text), shared.get(suffix, -1), inside
                wire += text
        first = len(tails)
        left_out = _left_out(suffixes, model)
        tails += [(*known[s], left) for s, left in zip(suffixes, left_out, strict=True)]
        never = domains.get(model.never_asked, -1), len(model.never_asked) + 2
        rules.append((first, len(tails), ndots, *never, *_rules(name)))
    return Walkers(np.array(rules, RULES), np.array(tails, TAIL), np.frombuffer(wire, np.uint8))


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
def _rules(name: str) -> tuple[int, ...]:
    """Return the rules of a resolver model, in the order of RULES from ``silence_ns`` on."""
    model = resolver_model(name)
    silence = int(gives_up_s(model, ResolverConfig((), (), 1, (), "")) * 1e9)
    return (
        silence,
        silence if model.waits_on_errors else 0,
        model.on_nodata,
        model.on_servfail,
        model.on_refused,
        model.on_timeout,
        model.searches,
        model.searches_after_as_is,
        model.searches_dotted,
        model.tries_as_is,
        model.asks_all,
        model.further_types_of_hit_only,
        model.on_too_long == ABANDON,
        model.nxdomain_of_one_is_absence,
        model.failure_of_one_is_failure,
        "no-aaaa" in model.options,
    )
