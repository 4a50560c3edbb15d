"""Judge what was replayed: one row per setting, with its verdict and what decides it.

A verdict rests on what was seen: ``unsafe`` where a lookup that resolved would fail, be answered by
another name, or be asked as is under a real top-level domain first; ``review`` where names leak
upstream first, answers are assumed, the capture is thin, or the setting has a caveat of its own;
else ``safe``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.reading import ClientReading
from pcapkit.analysis.replay import BROKEN, DOUBTFUL, ELSEWHERE, LEAKED
from pcapkit.analysis.replay_sums import SUM, Times
from pcapkit.analysis.settings import (
    FQDN,
    FQDN_TOP,
    IN_FORCE,
    MOST_NDOTS,
    SETTINGS,
    TIMED,
    TOP_NAMES,
    Setting,
)
from pcapkit.analysis.suffixes import Folded, join
from pcapkit.model import Coverage, Safety, WhatIf
from pcapkit.names import is_top_level_domain
from pcapkit.resolver import resolver_model

#: A capture with less than this proves nothing.
THIN_LOOKUPS, THIN_NAMES, THIN_S = 20, 5, 1.0
_SHOWN = 5
_MOST_SUFFIXES = 8
_FIELDS = {key: n for n, key in enumerate(SUM.names or ())}
_COLUMN = {s.name: n for n, s in enumerate(SETTINGS)}
_NDOTS = [_COLUMN[f"ndots:{n}"] for n in range(MOST_NDOTS + 1)]

Matrix = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """The sums of some clients."""

    clients: tuple[ClientReading, ...]
    sums: npt.NDArray[Any]  # SUM (clients, settings)
    names: npt.NDArray[Any]  # SUM (bases, 2): as they are, and in full
    bases: Matrix
    covered: npt.NDArray[Any]  # COVERED, by client
    pairs: npt.NDArray[np.int32]  # (n, 2): client, base; each once
    marked: npt.NDArray[Any]  # MARKED
    marks: npt.NDArray[np.uint8]  # (marked, settings)


@dataclass(frozen=True, slots=True)
class NameCost:
    """What one base name costs as it is written, and what it would cost in full."""

    name: str
    queries: int
    wasted: int
    queries_in_full: int
    upstream: int
    upstream_in_full: int
    time_s: float
    time_in_full_s: float


class WhatIfResult:
    """All clients' sums, in the order of their addresses' first appearance."""

    def __init__(
        self, parts: Sequence[Part], times: Times, names: Folded | None,
        address: Callable[[int], str], *, has_clock: bool, ipv6_answers: int,
        mixtures: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._parts, self._times, self._names, self._has_clock = parts, times, names, has_clock
        #: names that have an AAAA answer somewhere in the capture
        self.ipv6_answers = ipv6_answers
        #: addresses with several resolvers behind them, which no verdict takes for one
        self.mixtures = frozenset(mixtures)
        self._text: dict[int, str] = {}
        self._collides: dict[str, bool] = {}
        every = [c for p in parts for c in p.clients]
        order = np.argsort([c.client for c in every], kind="stable").astype(np.int64)
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        self.clients = [every[i] for i in order.tolist()]
        self.addresses = [address(c.client) for c in self.clients]
        self.members = np.zeros(0, np.int64)
        if not parts:
            return
        self._sums = np.concatenate([_matrix(p.sums) for p in parts])[order]
        self._covered = np.concatenate([p.covered for p in parts])[order]
        first = np.cumsum([0, *(len(p.clients) for p in parts)])
        owner = [place[f + p.marked["client"]] for f, p in zip(first, parts, strict=False)]
        self._marked, self._bounds, (self._marked_base, self._marks) = _by_client(
            owner, len(every), [p.marked["base"] for p in parts],
            [p.marks for p in parts],
        )  # fmt: skip
        pairs = [place[f + p.pairs[:, 0]] for f, p in zip(first, parts, strict=False)]
        _, self._pair_bounds, (self._pair_base,) = _by_client(
            pairs, len(every), [p.pairs[:, 1] for p in parts]
        )
        self.members = np.flatnonzero(self._covered["lookups"])
        self._covers: dict[bytes, Coverage] = {}
        lists = [c.search.suffixes for c in self.clients]
        numbers = {known: n for n, known in enumerate(dict.fromkeys(lists))}
        self._lists = [[join(s) for s in known] for known in numbers]
        self._list_of = np.array([numbers[known] for known in lists], np.int64)
        self._harmed = np.zeros((len(self.clients), len(SETTINGS)), np.bool_)
        np.logical_or.at(self._harmed, self._marked, self._marks != 0)
        self._dropping: list[WhatIf] | None = None

    def rows(self) -> tuple[WhatIf, ...]:
        """One row per setting for all clients together, then per client."""
        if not self._parts:
            return ()
        out = [self.row(self.members, s) for s in self._shown(self.members)]
        out += self.dropped()
        for i in self.members.tolist():
            mine = np.array([i])
            out += [
                self.row(mine, s, label=self.addresses[i]) for s in self._shown(mine) if s.each
            ]
        return tuple(out)

    def _shown(self, members: Matrix) -> list[Setting]:
        """Return the settings that say something of these clients."""
        readings = [self.clients[i] for i in members.tolist()]
        in_force = {r.ndots.value for r in readings}
        lowest = 0 if members.size == self.members.size else 1
        out = []
        for s in SETTINGS:
            if s is FQDN and len(in_force) == 1 and (now := min(in_force)) > MOST_NDOTS:
                out.append(replace(IN_FORCE, name=f"ndots:{now}", ndots=now, each=True))
            if s is IN_FORCE or s.drop >= 0:
                continue
            if s.ndots == 0 and s.name == "ndots:0" and lowest and 0 not in in_force:
                continue
            if s.no_aaaa and not any(
                "no-aaaa" in resolver_model(r.resolver.model).options for r in readings
            ):
                continue
            out.append(s)
            if s is FQDN:
                out.append(FQDN_TOP)
        return out

    def row(
        self, members: Matrix, setting: Setting, *, label: str | None = None,
        suffix: str | None = None,
    ) -> WhatIf:  # fmt: skip
        """Judge one setting over some clients; ``suffix`` is the one that ``drop`` leaves out."""
        columns = self._columns(members, setting, suffix)
        if members.size == 1:
            total = self._sums[members[0], columns[0]]
        else:
            total = self._sums[members, columns].sum(axis=0)
        if setting is FQDN_TOP:
            total = total - self._saved_by_top()
        marked = self._names_marked(members, columns)
        everyone = members.size == self.members.size
        same = columns[0] if columns.size and (columns == columns[0]).all() else -1
        exact = everyone and 0 <= same < TIMED and setting is not FQDN_TOP
        p50 = p95 = p99 = None
        if exact and self._has_clock:
            p50, p95, p99 = self._times.quantiles(same, (0.5, 0.95, 0.99))
        in_force = {self.clients[i].ndots.value for i in members.tolist()}
        hard, soft = self._reasons(members, setting, total, marked)
        plain = setting.name == f"ndots:{setting.ndots}"
        safety = Safety.UNSAFE if hard else Safety.REVIEW if soft else Safety.SAFE
        return WhatIf(
            client_addr=label,
            setting=setting.name if suffix is None else f"drop:{suffix}",
            ndots=setting.ndots if plain else None,
            queries=int(total[_FIELDS["queries"]]),
            wasted_queries=int(total[_FIELDS["wasted"]]),
            leaked_first=int(total[_FIELDS["leaked"]]),
            broken_lookups=int(total[_FIELDS["broken"]]),
            assumed_queries=int(total[_FIELDS["assumed"]]),
            observed=plain and in_force == {setting.ndots},
            safety=safety,
            reasons=tuple(hard + soft),
            upstream_queries=int(total[_FIELDS["upstream"]]),
            reordered_lookups=int(total[_FIELDS["reordered"]]),
            lookups_s=int(total[_FIELDS["time_ns"]]) / 1e9 if self._has_clock else None,
            p50_s=p50,
            p95_s=p95,
            p99_s=p99,
            peak_queries_per_s=self._times.peak(same) if exact else None,
        )

    def _columns(self, members: Matrix, setting: Setting, suffix: str | None) -> Matrix:
        if suffix is None:
            return np.full(members.size, _COLUMN.get(setting.name, _COLUMN[IN_FORCE.name]))
        at = [known.index(suffix) if suffix in known else -1 for known in self._lists]
        of_list = np.array([_COLUMN.get(f"drop:{p}", _COLUMN[IN_FORCE.name]) for p in at])
        out: Matrix = of_list[self._list_of[members]]
        return out

    def dropped(self) -> list[WhatIf]:
        """Return a row for each of the suffixes without which most queries would be saved."""
        if self._dropping is not None:
            return self._dropping
        dropping = next(s for s in SETTINGS if s.drop == 0)
        sent: list[tuple[int, str]] = []
        for suffix in sorted({s for known in self._lists for s in known}):
            columns = self._columns(self.members, dropping, suffix)
            queries = self._sums[self.members, columns, _FIELDS["queries"]]
            sent.append((int(queries.sum()), suffix))
        now = self.total(self.members, IN_FORCE)["queries"]
        best = [s for queries, s in sorted(sent) if queries < now][:_MOST_SUFFIXES]
        self._dropping = [self.row(self.members, dropping, suffix=s) for s in best]
        return self._dropping

    def total(self, members: Matrix, setting: Setting) -> dict[str, int]:
        """Return the sums of one setting over some clients."""
        total = self._sums[members, _COLUMN[setting.name]].sum(axis=0)
        return {key: int(total[n]) for key, n in _FIELDS.items()}

    def queries(self, client: int, ndots: int) -> int:
        """Return what one client would have sent under an ndots."""
        return int(self._sums[client, _NDOTS[ndots], _FIELDS["queries"]])

    def harmless(self) -> npt.NDArray[np.bool_]:
        """Return for every client and ndots whether no name is harmed: (clients, 0 to 5)."""
        flags = self._marks[:, _NDOTS]
        bases, which = np.unique(self._marked_base, return_inverse=True)
        collide = np.array([self.collides(self.text(b)) for b in bases.tolist()], np.bool_)[which]
        hard = (flags & (BROKEN | ELSEWHERE)) != 0
        hard |= ((flags & LEAKED) != 0) & collide[:, None]
        out = np.ones((len(self.clients), len(_NDOTS)), np.bool_)
        np.logical_and.at(out, self._marked, ~hard)
        return out

    def quiet(self) -> npt.NDArray[np.bool_]:
        """Return the same of names that are not even leaked, and of answers that were seen."""
        out: npt.NDArray[np.bool_] = self._sums[:, _NDOTS, _FIELDS["assumed"]] == 0
        np.logical_and.at(out, self._marked, self._marks[:, _NDOTS] == 0)
        return out

    def coverage(self, members: Matrix) -> Coverage:
        """Return what a verdict over some clients rests on."""
        if (known := self._covers.get(key := members.tobytes())) is not None:
            return known
        lookups = int(self._covered["lookups"][members].sum())
        if members.size == 1:
            names = int(self._covered["names"][members[0]])
        elif members.size == self.members.size:
            names = int(np.unique(self._pair_base).size)
        else:
            at = [self._pair_base[self._pair_bounds[i] : self._pair_bounds[i + 1]] for i in members]
            names = int(np.unique(np.concatenate(at)).size) if at else 0
        span = self._covered[members[self._covered["lookups"][members] > 0]]
        lasted = int(span["last"].max() - span["first"].min()) / 1e9 if span.size else 0.0
        out = Coverage(lookups, names, lasted if self._has_clock else None)
        self._covers[key] = out
        return out

    def thin(self, members: Matrix) -> str | None:
        """Say how thin the capture is for some clients; None where it is not."""
        c = self.coverage(members)
        short = c.duration_s is not None and c.duration_s < THIN_S
        if c.lookups >= THIN_LOOKUPS and c.names >= THIN_NAMES and not short:
            return None
        lasting = f" in {c.duration_s:.3g} s" if c.duration_s is not None else ""
        return f"thin capture: {c.lookups} lookups of {c.names} names{lasting}"

    def _reasons(
        self, members: Matrix, setting: Setting, total: Matrix, marked: dict[int, list[str]]
    ) -> tuple[list[str], list[str]]:
        """Return what makes a setting unsafe, and what asks for a review."""
        hard, soft = [], []
        full = setting.name.startswith("fqdn+")  # the marked names are written in full
        if names := marked[BROKEN]:
            hard.append(f"would no longer resolve: {_some(names)}")
        if names := marked[ELSEWHERE]:
            hard.append(f"would be answered by another name: {_some(names)}")
        leaked = marked[LEAKED]
        if names := [n for n in leaked if self.collides(n)]:
            hard.append(f"asked as is first, under a real top-level domain: {_some(names)}")
        if leaked:
            soft.append(f"cluster names asked upstream first: {_some(leaked)}")
        if names := marked[DOUBTFUL]:
            soft.append(f"at risk if they are written without their suffix: {_some(names)}")
        if full and (names := self.harmed_by(members, setting)):
            soft.append(f"to be written in full: {_some(names)}")
        if assumed := int(total[_FIELDS["assumed"]]):
            soft.append(f"{assumed} queries rest on answers that the capture does not show")
        if thin := self.thin(members):
            soft.append(thin)
        if mixed := sorted(self.mixtures & {self.addresses[i] for i in members.tolist()}):
            soft.append(f"several resolvers behind one address, judged as one: {_some(mixed)}")
        unknown = sum(self.clients[i].resolver.model == "unknown" for i in members.tolist())
        if unknown and setting.ndots is not None:
            which = "the resolver is" if members.size == 1 else f"{unknown} resolvers are"
            soft.append(f"{which} not known; glibc's rules are assumed")
        if setting.caveat is not None and setting.best is not Safety.SAFE:
            soft.append(setting.caveat)
        return hard, soft

    def harmed_by(self, members: Matrix, setting: Setting) -> list[str]:
        """Return the names that the same ndots harms where nothing is written in full."""
        plain = np.full(members.size, _COLUMN[f"ndots:{setting.ndots}"])
        marked = self._names_marked(members, plain)
        return sorted({n for names in marked.values() for n in names})

    def _names_marked(self, members: Matrix, columns: Matrix) -> dict[int, list[str]]:
        """Return the names that a setting marks, mark by mark."""
        out: dict[int, list[str]] = {m: [] for m in (BROKEN, LEAKED, ELSEWHERE, DOUBTFUL)}
        if not self._harmed[members, columns].any():
            return out
        if members.size == self.members.size:
            full = np.zeros(len(self.clients), np.int64)
            full[members] = columns
            flags = self._marks[np.arange(self._marked.size), full[self._marked]]
            bases = self._marked_base
        else:
            at = [slice(self._bounds[i], self._bounds[i + 1]) for i in members.tolist()]
            each = [self._marks[a, c] for a, c in zip(at, columns.tolist(), strict=True)]
            flags = np.concatenate(each)
            bases = np.concatenate([self._marked_base[a] for a in at])
        found = np.unique(bases[flags != 0] * 16 + flags[flags != 0]).tolist()
        for mark in out:
            out[mark] = sorted({self.text(f >> 4) for f in found if f & mark})
        return out

    def text(self, base: int) -> str:
        """Return a base name in presentation form."""
        if base not in self._text:
            assert self._names is not None
            self._text[base] = join(self._names.labels(base))
        return self._text[base]

    def collides(self, name: str) -> bool:
        """Is the last label of a name that would be asked as is a real top-level domain?"""
        if (known := self._collides.get(name)) is None:
            labels = name.split(".")
            known = len(labels) > 1 and is_top_level_domain(labels[-1])
            self._collides[name] = known
        return known

    def _costs(self) -> tuple[Matrix, Matrix]:
        """Return all base names, and their sums as they are and in full."""
        bases = np.concatenate([p.bases for p in self._parts])
        sums = np.concatenate([_matrix(p.names) for p in self._parts])
        used, at = np.unique(bases, return_inverse=True)
        together = np.zeros((used.size, *sums.shape[1:]), np.int64)
        np.add.at(together, at, sums)
        return used, together

    def _top(self) -> tuple[Matrix, Matrix]:
        bases, sums = self._costs()
        saved = sums[:, 0, 0] - sums[:, 1, 0]
        order = np.lexsort((bases, -saved))[:TOP_NAMES]
        order = order[saved[order] > 0]
        return bases[order], sums[order]

    def _saved_by_top(self) -> Matrix:
        _, sums = self._top()
        saved: Matrix = (sums[:, 0] - sums[:, 1]).sum(axis=0)
        return saved

    def costly_names(self) -> list[NameCost]:
        """Return the names that would save most if they were written in full."""
        out = []
        for base, (now, full) in zip(*(a.tolist() for a in self._top()), strict=True):
            f = _FIELDS
            out.append(
                NameCost(
                    self.text(base), now[f["queries"]], now[f["wasted"]], full[f["queries"]],
                    now[f["upstream"]], full[f["upstream"]], now[f["time_ns"]] / 1e9,
                    full[f["time_ns"]] / 1e9,
                )
            )  # fmt: skip
        return out


def _matrix(sums: Any) -> Matrix:
    """View SUM rows as integers, the fields in the last dimension."""
    out: Matrix = sums.view(np.int64).reshape(*sums.shape, len(_FIELDS))
    return out


def _by_client(
    owners: Sequence[Matrix], clients: int, *columns: Sequence[npt.NDArray[Any]]
) -> tuple[Matrix, Matrix, list[npt.NDArray[Any]]]:
    """Bring rows of several parts into the order of their clients, with bounds by client."""
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(clients + 1))
    return owner[order], bounds, [np.concatenate(c)[order] for c in columns]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
