"""Reads what was collected: surveys the clients, counts their lookups, builds row tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from pcapkit.addresses import address_text
from pcapkit.analysis.advice.plan.make import make_plans
from pcapkit.analysis.advice.recommend import recommend
from pcapkit.analysis.faults.findings import FaultTally
from pcapkit.analysis.lookups.reading import MOST_AT_ONCE, Readings, read_parts
from pcapkit.analysis.search_lists.survey import Client, survey
from pcapkit.analysis.summary.tally import Tally, zones_of
from pcapkit.analysis.tables.listing import PIECE, Listed, Listing
from pcapkit.analysis.traffic.name_flags import NameFlags
from pcapkit.analysis.traffic.part import Context, PartTraffic
from pcapkit.analysis.traffic.vantage import (
    FROM_SERVERS,
    Scene,
    mixture_warnings,
    outside_servers,
    vantage,
    with_policies,
)
from pcapkit.analysis.traffic.vantage_tally import VantageTally
from pcapkit.analysis.whatif.answers import Answers
from pcapkit.analysis.whatif.tally import WhatIfTally
from pcapkit.analysis.within import left_out_warnings, within_limits
from pcapkit.cluster.clients import name_pods, pod_warnings
from pcapkit.cluster.nameservers import asked_servers
from pcapkit.concurrency import at_once, in_order
from pcapkit.errors import UsageError
from pcapkit.ingest.skip_reasons import NOT_READ, TCP_REASONS
from pcapkit.memory import give_freed_memory_back
from pcapkit.model.clients import Client as Summed
from pcapkit.model.results import LookupCounts, Results, WhatIf
from pcapkit.model.vocabulary import TABLES
from pcapkit.names.labels import Labels, split
from pcapkit.names.table import Folded
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.clients import find_clients, given_facts, refusals
from pcapkit.pipeline.collect import Collected
from pcapkit.pipeline.options import Options
from pcapkit.version import __version__

if TYPE_CHECKING:
    import pandas as pd


#: So many addresses are kept as text.
_ADDRESSES = 1 << 16
#: With more names than so many, parts are read one at a time: memory goes before speed.
_MANY_NAMES = 1 << 19
#: With more addresses than so many, freed memory is given back.
_MANY_CLIENTS = 1 << 16
#: So many suffixes outside the cluster domain are looked at: do they ever answer anything?
_MOST_OUTSIDE = 8


class _Tallies(NamedTuple):
    """All that is counted of some parts."""

    lookups: Tally
    replays: WhatIfTally
    faults: FaultTally
    vantage: VantageTally
    holes: list[int]  # lookups of which a log lacks queries, by part
    crowded: list[int]  # lookups with more types of a name than the limit allows, by part


def _callers(collected: Collected, texts: Mapping[int, str]) -> Callable[[int], str]:
    """Return what gives a client's address as text, with its container where that shares it.

    It knows nothing of who asks: a cache that held its owner would keep a whole reading until the
    collector of cycles came by, which it does for many objects and not for large ones.
    """

    @lru_cache(maxsize=_ADDRESSES)
    def called(number: int) -> str:
        return texts.get(number) or collected.address(number)

    return called


class Reading:
    """Reads a collection: a survey of all clients, then their lookups, part by part."""

    def __init__(self, collected: Collected, options: Options) -> None:
        self._collected, self._options = collected, options
        self._containers = find_clients(collected, options)
        self._address = _callers(collected, self._containers.texts)
        self._names = Folded(collected.interners.names)
        self._answers = Answers()
        self._clients: list[Client] = []
        self._left_out = 0  # sequences of names from which no search list was inferred
        given = given_facts(collected, options, self._containers)
        #: threads that read parts; None for as many as there may be
        self._workers = 1 if len(self._names.names) > _MANY_NAMES else None
        self._spares = bool(self._workers) or len(collected.interners.addresses) > _MANY_CLIENTS
        if self._spares:
            give_freed_memory_back()
        clock = collected.has_clock
        for part in survey(
            collected.store,
            self._names,
            given,
            has_clock=clock,
            workers=self._workers,
            limits=options.limits,
        ):
            self._answers.note(part.rows)
            self._left_out += part.left_out
            self._clients += part.clients
            if self._spares:
                give_freed_memory_back()
        self._zones: list[Labels] = [split(d) for d in options.cluster_domains] or zones_of(
            self._clients
        )
        self._idle = self._answers.idle(self._outside_suffixes(), self._names)
        self._paths = [c.path for c in collected.captures]

    def _outside_suffixes(self) -> list[Labels]:
        """Return suffixes of search lists outside the cluster domain, those of most lists first."""
        lists = Counter(s for c in self._clients for s in c.assumed.suffixes)
        outside = [s for s in lists if s and not any(s[-len(z) :] == z for z in self._zones)]
        return sorted(outside, key=lambda s: (-lists[s], s))[:_MOST_OUTSIDE]

    def _who(self, number: int) -> tuple[str, str | None]:
        """Return a client's address as text, and its container where that is known."""
        called = self._address(number)
        return self._containers.named.get(called, (called, None))

    def _parts(self) -> Iterator[Callable[[], Readings]]:
        collected = self._collected
        return read_parts(
            collected.store,
            self._clients,
            self._names,
            has_clock=collected.has_clock,
            refusals=refusals(collected, self._containers),
            limits=self._options.limits,
        )

    def _tallies(self) -> _Tallies:
        """Return tallies that count nothing yet."""
        c = self._collected
        span = None
        if c.store.first_time is not None and c.store.last_time is not None:
            span = c.store.first_time, c.store.last_time
        return _Tallies(
            Tally(self._names, span=span, has_clock=c.has_clock, limits=self._options.limits),
            WhatIfTally(self._answers, self._zones, self._idle),
            FaultTally(),
            VantageTally(),
            [],
            [],
        )

    def _counted(self) -> _Tallies:
        """Count all parts: each where it is read, in any thread, and added up in their order."""
        address = self._address
        context = Context(address, self._paths, self._zones, self._options.resolv_confs)
        flags = NameFlags(self._names, self._zones)

        def run(read: Callable[[], Readings]) -> _Tallies:
            readings, tallies = read(), self._tallies()
            known = flags.known()

            def judge() -> None:
                part = PartTraffic(readings, context, known)
                tallies.faults.add(part)
                tallies.vantage.add(part)

            counts = partial(tallies.lookups.add, readings, address, self._paths)
            each: list[Callable[[], None]] = [judge, partial(tallies.replays.add, readings), counts]
            if self._spares:
                each = [step for do in each for step in (do, give_freed_memory_back)]
            is_long = self._workers is None and readings.rows.size > MOST_AT_ONCE
            at_once(each, is_long=is_long)
            tallies.holes.append(int(readings.lookups["holes"].sum()))
            tallies.crowded.append(int(readings.lookups["crowded"].sum()))
            return tallies

        whole = self._tallies()
        tasks = (partial(run, read) for read in self._parts())
        for counted in in_order(tasks, workers=self._workers):
            whole.lookups.merge(counted.lookups)
            whole.replays.merge(counted.replays)
            whole.faults.merge(counted.faults)
            whole.vantage.merge(counted.vantage)
            whole.holes.extend(counted.holes)
            whole.crowded.extend(counted.crowded)
        return whole

    def analysis(self, charted: Callable[[Results], None] | None = None) -> Analysis:
        """Count the lookups, ask what other settings would have sent, and give advice.

        ``charted`` is called on the way, see ``Hooks``.
        """
        collected, limits = self._collected, self._options.limits
        tally, replays, faults, vantage_tally, holes, crowded = self._counted()
        tcp = sum(n for reason, n in collected.skipped.items() if reason in TCP_REASONS)
        concerned = [
            (ends.reason, address_text(ends.client), address_text(ends.server), packets)
            for ends, packets in collected.unreachable.items()
        ]
        faults.note_packets(concerned, collected.message_counts.tcp + tcp)
        faults.leave_out_forwarders(vantage_tally.forwarders())
        (names, other_names), findings = tally.names(self._zones), faults.findings()
        other_clients = tally.others.rows(has_clock=collected.has_clock)
        scene = self._scene(vantage_tally)
        judged = replays.result(self._address, scene.all_mixtures)
        seen = partial(_as_seen, tally.lookups)
        clients = name_pods(
            tally.clients, self._options.pods, self._containers.pods | collected.pods
        )
        told = self._containers.told
        seen_from = vantage(scene, told(clients), other_clients.count)
        clients = with_policies(clients, scene, seen_from.servers)
        plans, without_plans = make_plans(
            judged,
            clients,
            names,
            tally.waste,
            self._zones,
            faults.wildcard_suffixes(),
            asked_servers(seen_from),
            outside_servers(seen_from),
            self._containers.pod_of,
            limits.plans,
        )
        results = Results(
            pcapkit_version=__version__,
            options=self._options.to_json(),
            captures=tuple(collected.captures),
            packets=collected.ledger,
            message_counts=collected.message_counts,
            transaction_counts=tally.transactions,
            lookup_counts=tally.lookups,
            waste=tally.waste,
            vantage=seen_from,
            client_rows=told(clients),
            workload_rows=tally.workloads(clients, told(clients), findings),
            name_rows=names,
            what_if_rows=seen(judged.overall),
            findings=findings,
            recommendations=(),
            plans=plans,
            warnings=(
                *warnings_of(collected),
                *pod_warnings(told(clients), self._options.pods),
                *mixture_warnings(scene),
                *_hole_warnings(sum(holes)),
            ),
            wasted_names=sum(n.wasted_queries > 0 for n in names),
            timeline=tally.timeline,
            latency=tally.latency,
            suffixes=tally.suffixes,
            chains=tally.chains(),
            other_clients=other_clients,
            other_names=other_names,
            limits=limits,
        )
        if charted is not None:
            charted(results)
        advice = recommend(
            judged,
            clients,
            names,
            tally.waste,
            self._zones,
            faults.wildcard_suffixes(),
            self._containers.pod_of,
        )
        kept = {c.client_addr for c in tally.clients} if other_clients.count else None
        rows = _in_order_of(results.client_rows, told(seen(judged.rows(kept))))
        results = replace(results, what_if_rows=rows, recommendations=advice)
        left_out = left_out_warnings(self._left_out, sum(crowded), without_plans, limits)
        return Analysis.of(within_limits(results, left_out), self)

    def _scene(self, tally: VantageTally) -> Scene:
        """Put together all that is known of who asked whom."""
        c = self._collected
        translated = {
            (self._address(before), self._address(after)): packets
            for (before, after), packets in c.translations.items()
        }
        from_server = bool(c.captures) and all(i.format in FROM_SERVERS for i in c.captures)
        return Scene(
            tally.counts,
            tally.mixtures(),
            tally.several_pods,
            tally.forwarders(),
            translated,
            c.moved,
            self._options.pods,
            from_server,
            c.message_counts,
        )

    def table_parts(self, name: str, size: int | None = PIECE) -> Iterator[pd.DataFrame]:
        """Give a row table as frames of about ``size`` rows, at least one; None: all in one."""
        if name == "messages":
            if not self._collected.keeps_messages:
                raise UsageError(
                    "no message was kept, to save memory: analyze(..., keep_messages=True) keeps "
                    "them; read_messages(path) gives them window by window"
                )
            return messages_parts(self._collected, size)
        if name not in ("lookups", "transactions"):
            raise UsageError(f"no table {name!r}: {', '.join(TABLES)}")
        listing = Listing(name, self._names, has_clock=self._collected.has_clock)
        for part in in_order(self._parts()):
            listing.add(part)
        return self._frames(name, listing.pieces(size))

    def _frames(self, name: str, pieces: Iterator[Listed]) -> Iterator[pd.DataFrame]:
        from pcapkit.analysis.tables.frames import lookups_table, transactions_table

        c = self._collected
        for piece in pieces:
            if name == "lookups":
                yield lookups_table(piece, self._paths, self._who, self._zones)
            else:
                yield transactions_table(piece, self._paths, self._who, c.address, c.name)


def _in_order_of(clients: Sequence[Summed], rows: Sequence[WhatIf]) -> tuple[WhatIf, ...]:
    """Return the rows of all clients together, then those of each client, as clients stand."""
    rank: dict[tuple[str | None, str | None], int] = {(None, None): -1}
    for client in clients:
        rank.setdefault((client.client_addr, client.container), len(rank))
    behind = len(rank)
    return tuple(sorted(rows, key=lambda r: rank.get((r.client_addr, r.container), behind)))


def _as_seen(lookups: LookupCounts, rows: Iterable[WhatIf]) -> tuple[WhatIf, ...]:
    """Give the setting in force the times of the lookups that were seen, where its own are kept."""
    p50, p95, p99 = lookups.p50_s, lookups.p95_s, lookups.p99_s
    return tuple(
        replace(row, p50_s=p50, p95_s=p95, p99_s=p99)
        if row.observed and row.p50_s is not None
        else row
        for row in rows
    )


def _hole_warnings(lookups: int) -> Iterator[str]:
    """Say that a log lacks queries of walks: then no share of waste is the whole one's."""
    if lookups:
        what = "1 lookup" if lookups == 1 else f"{lookups} lookups"
        yield (
            f"queries of {what} are missing, as in the log of one replica of several, or in one "
            "that begins late: they count as incomplete; log all replicas with "
            "'kubectl logs -l k8s-app=kube-dns --timestamps --prefix'"
        )


def messages_parts(collected: Collected, size: int | None) -> Iterator[pd.DataFrame]:
    """Give the messages that were kept as frames of at most ``size`` rows, at least one."""
    from pcapkit.analysis.tables.frames import messages_table

    paths = [c.path for c in collected.captures]
    for parts in collected.kept.pieces(size):
        yield messages_table(
            parts, paths, collected.address, collected.name, has_clock=collected.has_clock
        )


def warnings_of(collected: Collected) -> list[str]:
    """Return what collecting warns of."""
    warnings = list(collected.warnings)
    passed_on = sorted(
        (collected.address(host), collected.address(server), queries)
        for (host, server), queries in collected.hops.items()
    )
    for host, server, queries in passed_on:
        what = "1 query" if queries == 1 else f"{queries:,} queries"
        warnings.append(
            f"{host} passed {what} on to {server}: that hop is left out, so that each lookup is "
            "counted once, where its client asks"
        )
    # where all messages are other clients', a warning says which client sent none
    if collected.message_counts.total == 0 and not collected.skipped.get("other_client"):
        paths = ", ".join(c.path for c in collected.captures)
        if any(c.truncated_tail for c in collected.captures):
            why = "in what could be read of it"
        elif collected.packets and set(collected.skipped) <= NOT_READ:
            kinds = sorted({kind for c in collected.captures for kind in c.link_types})
            why = f"in it, and no packet that can be read as IP (link type {', '.join(kinds)})"
        elif collected.left_out:
            why = "in it at the ports that are read"
        else:
            why = "in it: capture with the filter 'port 53', in the pod or on its node"
        warnings.append(f"{paths}: no DNS message {why}")
    return warnings
