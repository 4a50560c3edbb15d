"""Analyse: collect all windows, then read them, then count, simulate and advise."""

from __future__ import annotations

import ipaddress
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pcapkit import __version__
from pcapkit.ahead import close, in_order
from pcapkit.analysis.answers import Answers
from pcapkit.analysis.fault_notes import Facts, Part
from pcapkit.analysis.faults import FaultTally
from pcapkit.analysis.listing import PIECE, Listed, Listing
from pcapkit.analysis.name_flags import NameFlags
from pcapkit.analysis.reading import Readings, read_parts
from pcapkit.analysis.recommend import recommend
from pcapkit.analysis.store import Store
from pcapkit.analysis.suffixes import Folded, Labels, split
from pcapkit.analysis.survey import Client, Given, survey
from pcapkit.analysis.tally import Tally, zones_of
from pcapkit.analysis.vantage import VantageTally
from pcapkit.analysis.whatif import WhatIfTally
from pcapkit.collect import Collected, Progress, Wanted, collect
from pcapkit.context import name_pods, pod_families, pod_warnings
from pcapkit.errors import UsageError
from pcapkit.ingest.duplicates import DuplicateFilter
from pcapkit.ingest.formats import open_capture
from pcapkit.ingest.source import open_source
from pcapkit.model import Analysis, CaptureInfo, Source
from pcapkit.names import fold
from pcapkit.options import Options
from pcapkit.vantage import FROM_SERVERS, Scene, mixture_warnings, vantage, with_policies

if TYPE_CHECKING:
    import pandas as pd


def read_messages(
    path: str | Path, *, options: Options | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the messages of a capture, duplicates among them, window by window.

    Each frame has the columns of the ``messages`` table. Raises InputError where the capture cannot
    be read.
    """
    from pcapkit.analysis.tables import messages_table

    options = options or Options()
    named = Collected()
    wanted, duplicates = Wanted(options, named.interners), DuplicateFilter()
    with open_source(str(path)) as source:
        capture = open_capture(source, named.interners, ports=options.ports | {53})
        try:
            for window in capture.windows:
                rows = wanted.keep(window.messages)
                yield messages_table(
                    [(0, rows, duplicates.mark(rows))], [capture.path], named.address, named.name,
                    has_clock=capture.has_clock,
                )  # fmt: skip
        finally:
            close(capture.windows)


def analyze(
    *paths: str | Path, options: Options | None = None, progress: Progress | None = None,
    stop: threading.Event | None = None,
    watch: Callable[[Callable[[], Analysis]], None] | None = None,
    collected: Callable[[], None] | None = None,
    charted: Callable[[Analysis], None] | None = None,
) -> Analysis:  # fmt: skip
    """Analyse one capture, or several read as one.

    Once ``stop`` is set, what was read until then is analysed. ``watch`` is called whenever more
    was read, with a function that analyses what is there so far; ``collected`` once, when all is
    read; ``charted`` once, with an analysis that has all that charts show, but no advice and no
    settings of single clients.

    Raises InputError where a capture cannot be read and UsageError where an option makes no sense.
    """
    options = options or Options()
    texts = [str(p) for p in paths]
    if not texts:
        raise UsageError("no capture given")
    settings = options

    def look(collected: Collected, reading: CaptureInfo) -> None:
        if watch is not None:
            watch(lambda: Reading(collected.snapshot(reading), settings).analysis())

    whole = collect(
        texts, options=options, progress=progress, stop=stop,
        watch=None if watch is None else look,
    )  # fmt: skip
    if collected is not None:
        collected()
    return Reading(whole, options).analysis(charted)


def table_parts(
    paths: Sequence[str | Path], table: str, *, options: Options | None = None,
    progress: Progress | None = None, size: int | None = PIECE,
) -> tuple[Iterator[pd.DataFrame], tuple[str, ...]]:
    """Return one table of a capture, as frames that follow one another, and warnings.

    All is read when this returns; a frame of about ``size`` rows is made when it is asked for.
    There is at least one, and with None only one.
    """
    options = options or Options()
    collected = collect(
        [str(p) for p in paths], options=options, keep_messages=table == "messages",
        progress=progress,
    )  # fmt: skip
    if table in ("clients", "names", "what_if"):
        from pcapkit.report.export import small_table

        analysis = Reading(collected, options).analysis()
        return iter([small_table(analysis, table)]), analysis.warnings
    if table == "messages":
        return _messages(collected, size), tuple(_warnings(collected))
    return Reading(collected, options).table_parts(table, size), tuple(_warnings(collected))


def table_of(
    paths: Sequence[str | Path], table: str, *, options: Options | None = None,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return one table of a capture, whole, and the warnings that reading it gave."""
    frames, warnings = table_parts(paths, table, options=options, progress=progress, size=None)
    return next(frames), warnings


def given_facts(collected: Collected, options: Options) -> dict[int, Given]:
    """Turn options into facts per client; an option beats a file, a bound file a general one."""
    out: dict[int, Given] = {}
    named = tuple(split(fold(s)) for s in options.search if split(fold(s))) or None
    for number, packed in enumerate(collected.interners.addresses):
        address = ipaddress.ip_address(packed)
        files = [c for n, c in options.resolv_confs if n is not None and address in n]
        files += [c for n, c in options.resolv_confs if n is None]
        search, ndots, source = named, options.ndots, Source.OPTION
        if files:
            if search is None and ndots is None:
                source = Source.RESOLV_CONF
            search = search or tuple(split(s) for s in files[0].search if split(s))
            ndots = files[0].ndots_in_force if ndots is None else ndots
        given = Given(search, ndots, options.resolver, source)
        if given != Given():
            out[number] = given
    return out


def join_families(store: Store, is_v4: Sequence[bool], known: Mapping[int, int]) -> None:
    """Give one client to the IPv4 and the IPv6 address that share their link-layer addresses.

    A pod that asks nameservers of both families has two addresses, and its walks change between
    them. ``known`` maps IPv6 to IPv4 addresses of one pod; those need no proof. Link addresses that
    more than one client of a family uses belong to a router and prove nothing.
    """
    clients = {piece.client for piece in store.clients()}
    if all(is_v4[client] for client in clients):
        return
    users: dict[int, set[int]] = defaultdict(set)
    for link, client in store.links:
        users[link].add(client)
    pairs: dict[int, set[int]] = defaultdict(set)
    for members in users.values():
        families = [[c for c in members if is_v4[c] == v4] for v4 in (True, False)]
        if len(families[0]) == len(families[1]) == 1:
            pairs[families[1][0]].add(families[0][0])
    joined = {v6: v4.pop() for v6, v4 in pairs.items() if len(v4) == 1}
    joined |= {v6: v4 for v6, v4 in known.items() if {v6, v4} <= clients}
    store.join(dict(sorted(joined.items())))


#: So many addresses are kept as text.
_ADDRESSES = 1 << 16


class _Tallies(NamedTuple):
    """All that is counted of some parts."""

    lookups: Tally
    replays: WhatIfTally
    faults: FaultTally
    asked: VantageTally


class Reading:
    """Reads what was collected: a survey of all clients, then their lookups, part by part."""

    def __init__(self, collected: Collected, options: Options) -> None:
        self._collected, self._options = collected, options
        self._address = lru_cache(maxsize=_ADDRESSES)(collected.address)
        self._names = Folded(collected.interners.names)
        self._answers = Answers()
        addresses = collected.interners.addresses
        join_families(
            collected.store, [len(a) == 4 for a in addresses], pod_families(options.pods, addresses)
        )
        self._clients: list[Client] = survey(
            collected.store, self._names, given_facts(collected, options),
            has_clock=collected.has_clock, note=self._answers.note,
        )  # fmt: skip
        self._zones: list[Labels] = [
            split(d) for d in options.cluster_domains
        ] or zones_of(self._clients)
        self._paths = [c.path for c in collected.captures]

    def _parts(self) -> Iterator[Callable[[], Readings]]:
        collected = self._collected
        return read_parts(
            collected.store, self._clients, self._names, has_clock=collected.has_clock
        )

    def _tallies(self) -> _Tallies:
        """Return tallies that count nothing yet."""
        c = self._collected
        span = None
        if c.store.first_time is not None and c.store.last_time is not None:
            span = c.store.first_time, c.store.last_time
        return _Tallies(
            Tally(self._names, span=span, has_clock=c.has_clock),
            WhatIfTally(self._answers, self._zones), FaultTally(), VantageTally(),
        )  # fmt: skip

    def _counted(self) -> _Tallies:
        """Count all parts: each where it is read, in any thread, and added up in their order."""
        address = self._address
        facts = Facts(address, self._paths, self._zones, self._options.resolv_confs)
        flags = NameFlags(self._names, self._zones)

        def run(read: Callable[[], Readings]) -> _Tallies:
            readings, tallies = read(), self._tallies()
            tallies.lookups.add(readings, address, self._paths)
            tallies.replays.add(readings)
            part = Part(readings, facts, flags.known())
            tallies.faults.add(part)
            tallies.asked.add(part)
            return tallies

        whole = self._tallies()
        for counted in in_order(partial(run, read) for read in self._parts()):
            whole.lookups.merge(counted.lookups)
            whole.replays.merge(counted.replays)
            whole.faults.merge(counted.faults)
            whole.asked.merge(counted.asked)
        return whole

    def analysis(self, charted: Callable[[Analysis], None] | None = None) -> Analysis:
        """Count the lookups, ask what other settings would have sent, and give advice.

        ``charted`` is called on the way, see ``analyze``.
        """
        collected = self._collected
        tally, replays, faults, asked = self._counted()
        names, findings = tally.names(self._zones), faults.findings()
        scene = self._scene(asked)
        judged = replays.result(self._address, scene.all_mixtures)
        clients = name_pods(tally.clients, self._options.pods, collected.pods)
        seen_from = vantage(scene, clients)
        clients = with_policies(clients, scene, seen_from.servers)
        analysis = Analysis(
            pcapkit_version=__version__,
            options=self._options.to_json(),
            captures=tuple(collected.captures),
            packets=collected.ledger,
            messages=collected.message_counts,
            transaction_counts=tally.transactions,
            lookup_counts=tally.lookups,
            waste=tally.waste,
            vantage=seen_from,
            client_rows=clients,
            name_rows=names,
            what_if_rows=judged.overall,
            findings=findings,
            recommendations=(),
            warnings=(
                *_warnings(collected), *pod_warnings(clients, self._options.pods),
                *mixture_warnings(scene),
            ),
            wasted_names=sum(n.wasted_queries > 0 for n in names),
            timeline=tally.timeline,
            latency=tally.latency,
            suffixes=tally.suffixes,
            chains=tally.chains(),
            table=self.table,
            table_parts=self.table_parts,
        )
        if charted is not None:
            charted(analysis)
        advice = recommend(judged, clients, names, tally.waste, self._zones, findings)
        return replace(analysis, what_if_rows=judged.rows(), recommendations=advice)

    def _scene(self, asked: VantageTally) -> Scene:
        """Put together all that is known of who asked whom."""
        c = self._collected
        translated = {
            (self._address(before), self._address(after)): packets
            for (before, after), packets in c.translations.items()
        }
        from_server = bool(c.captures) and all(i.format in FROM_SERVERS for i in c.captures)
        return Scene(
            asked.asked, asked.mixtures(), asked.several_pods, asked.forwarders(), translated,
            self._options.pods, from_server, c.message_counts,
        )  # fmt: skip

    def table(self, name: str) -> pd.DataFrame:
        """Build a row table: ``lookups``, ``transactions`` or, where kept, ``messages``."""
        return next(self.table_parts(name, None))

    def table_parts(self, name: str, size: int | None = PIECE) -> Iterator[pd.DataFrame]:
        """Give a row table as frames of about ``size`` rows, at least one; None: all in one."""
        if name == "messages":
            return _messages(self._collected, size)
        if name not in ("lookups", "transactions"):
            raise UsageError(
                f"no table {name!r}: lookups, transactions, messages, clients, names, what_if"
            )
        listing = Listing(name, self._names, has_clock=self._collected.has_clock)
        for part in in_order(self._parts()):
            listing.add(part)
        return self._frames(name, listing.pieces(size))

    def _frames(self, name: str, pieces: Iterator[Listed]) -> Iterator[pd.DataFrame]:
        from pcapkit.analysis.tables import lookups_table, transactions_table

        c = self._collected
        for piece in pieces:
            if name == "lookups":
                yield lookups_table(piece, self._paths, self._address, self._zones)
            else:
                yield transactions_table(piece, self._paths, self._address, c.name)


def _messages(collected: Collected, size: int | None) -> Iterator[pd.DataFrame]:
    from pcapkit.analysis.tables import messages_table

    paths = [c.path for c in collected.captures]
    for parts in collected.kept.pieces(size):
        yield messages_table(
            parts, paths, collected.address, collected.name, has_clock=collected.has_clock
        )


def _warnings(collected: Collected) -> list[str]:
    warnings = list(collected.warnings)
    if collected.message_counts.total == 0:
        warnings.append(
            f"{', '.join(c.path for c in collected.captures)}: no DNS message in it: capture with "
            "the filter 'port 53', in the pod or on its node"
        )
    return warnings
