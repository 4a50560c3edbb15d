"""Analyse: collect all windows, then read them, then count, simulate and advise."""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pcapkit import __version__, codes
from pcapkit.analysis import tally
from pcapkit.analysis.evidence import LONGEST_TIMEOUT_NS
from pcapkit.analysis.reading import Given, Readings, read
from pcapkit.analysis.suffixes import Folded, split
from pcapkit.analysis.transactions import Exchanges, fold_names
from pcapkit.errors import UsageError
from pcapkit.ingest.formats import open_capture
from pcapkit.ingest.messages import DuplicateFilter, decode_window
from pcapkit.ingest.source import open_source
from pcapkit.ingest.tcpdump_text import CLOCKLESS_STEP_NS
from pcapkit.ingest.window import Capture, Interners, Window
from pcapkit.kernels import compiled_before
from pcapkit.layout import MESSAGE, QR, TC, TCP, Messages
from pcapkit.model import (
    Analysis,
    CaptureInfo,
    MessageCounts,
    PacketLedger,
    Source,
)
from pcapkit.names import fold, text_from_wire
from pcapkit.options import Options

if TYPE_CHECKING:
    import pandas as pd

#: Called with a capture's path, its bytes read so far, and the packets read so far in all.
Progress = Callable[[str, int, int], None]


class Wanted:
    """Leaves out what ``--client``, ``--from`` and ``--to`` exclude, and counts it."""

    def __init__(self, options: Options) -> None:
        self._clients = options.clients
        self._from, self._to = options.time_from, options.time_to
        self._known = np.zeros(0, np.bool_)

    @property
    def timed(self) -> bool:
        """Is there a bound on times?"""
        return self._from is not None or self._to is not None

    def keep(self, rows: Messages, out: Collected) -> Messages:
        """Return the rows that are wanted."""
        if self._clients and rows.size:
            addresses = out.interners.addresses
            for number in range(self._known.size, len(addresses)):
                address = ipaddress.ip_address(addresses[number])
                self._known = np.append(self._known, any(address in n for n in self._clients))
            rows = self._drop(rows, self._known[rows["client"]], "other_client", out)
        if self._from is not None:
            rows = self._drop(rows, rows["time"] >= self._from, "outside_time_range", out)
        if self._to is not None:
            rows = self._drop(rows, rows["time"] <= self._to, "outside_time_range", out)
        return rows

    def _drop(
        self, rows: Messages, mask: npt.NDArray[np.bool_], reason: str, out: Collected
    ) -> Messages:
        kept = rows[mask]
        lost = np.setdiff1d(rows["packet_no"], kept["packet_no"]).size
        if lost:
            out.skipped[reason] += lost
        return kept


@dataclass(slots=True)
class Collected:
    """All that collecting keeps: exchanges, counts, and, where asked for, the message rows."""

    interners: Interners = field(default_factory=Interners)
    exchanges: Exchanges = field(default_factory=Exchanges)
    captures: list[CaptureInfo] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    packets: int = 0
    with_messages: int = 0
    duplicates: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    rcodes: Counter[int] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    has_clock: bool = True
    clockless_ns: int = 0
    kept: list[tuple[int, Messages, np.ndarray[Any, Any]]] = field(default_factory=list)
    folded_of: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(0, np.int32))
    duplicate_filter: DuplicateFilter = field(default_factory=DuplicateFilter)
    wanted: Wanted = field(default_factory=lambda: Wanted(Options()))

    def name(self, number: int) -> str:
        """Return a name in presentation form."""
        return text_from_wire(self.interners.names[number])

    def address(self, number: int) -> str:
        """Return an address as text."""
        return str(ipaddress.ip_address(self.interners.addresses[number]))

    def fold_new_names(self) -> None:
        """Extend ``folded_of`` to the names added since."""
        known, names = self.folded_of.size, self.interners.names
        count = len(names)
        if count == known:
            return
        folded = np.zeros(names.byte_count + 1, np.uint8)
        arena, ends = names.arrays[0], names.arrays[1]
        size = int(fold_names(arena, ends, known, count, folded))
        begin = int(ends[known - 1]) if known else 0
        changed = folded[:size] != arena[begin : begin + size]
        more = np.arange(known, count, dtype=np.int32)
        if changed.any():
            lengths = np.diff(ends[known:count], prepend=begin)
            owner = np.repeat(np.arange(count - known), lengths)
            for k in np.unique(owner[changed]).tolist():
                start = int(ends[known + k - 1] - begin) if known + k else 0
                stop = int(ends[known + k] - begin)
                more[k] = names.add(folded[start:stop].tobytes())
        self.folded_of = np.concatenate([self.folded_of, more])
        if len(names) > self.folded_of.size:  # folded forms that were new; they fold to themselves
            self.fold_new_names()


def collect(
    paths: Sequence[str], *, options: Options | None = None, keep_messages: bool = False,
    progress: Progress | None = None,
) -> Collected:  # fmt: skip
    """Read every capture, in the order of their first packets, into one collection."""
    options = options or Options()
    out = Collected(wanted=Wanted(options))
    opened = []
    for path in paths:
        source = open_source(path)
        capture = open_capture(source, out.interners, ports=options.ports | {53})
        first = next(capture.windows, None)
        opened.append((source, capture, first))
    opened.sort(key=lambda o: (o[2].first_time or 0) if o[2] and o[2].first_time else 0)
    for index, (source, capture, first) in enumerate(opened):
        with source:
            _collect_capture(out, capture, first, index, keep_messages, progress)
    return out


def _windows(first: Window | None, capture: Capture) -> Iterator[Window]:
    if first is not None:
        yield first
        yield from capture.windows


def _collect_capture(
    out: Collected, capture: Capture, first: Window | None, index: int, keep: bool,
    progress: Progress | None,
) -> None:  # fmt: skip
    packets = 0
    times: list[int] = []
    for window in _windows(first, capture):
        packets += window.packets
        if not capture.has_clock:  # such captures follow one another, in the order given
            window.messages["time"] += out.clockless_ns
        if window.first_time is not None and window.last_time is not None:
            times += [window.first_time, window.last_time]
        _collect_window(out, window, index, keep)
        if progress is not None:
            progress(capture.path, capture.bytes_read, out.packets + packets)
    if not capture.has_clock and out.wanted.timed:
        raise UsageError(f"{capture.path}: has no times: --from and --to say nothing about it")
    if not capture.has_clock:
        out.clockless_ns += packets * CLOCKLESS_STEP_NS + LONGEST_TIMEOUT_NS
    out.packets += packets
    out.has_clock &= capture.has_clock
    out.warnings += capture.warnings
    clock = capture.has_clock and bool(times)
    out.captures.append(
        CaptureInfo(
            capture.path, capture.format, capture.compression,
            tuple(codes.linktype_text(t) for t in capture.link_types), capture.snaplen, packets,
            capture.bytes_read, min(times) if clock else None, max(times) if clock else None,
            capture.truncated_tail,
        )
    )  # fmt: skip


def _collect_window(out: Collected, window: Window, index: int, keep: bool) -> None:
    rows = out.wanted.keep(window.messages, out)
    out.skipped.update(window.skipped)
    root = out.interners.names.add(b"\0")
    out.fold_new_names()
    original = out.duplicate_filter.mark(rows)
    out.exchanges.add(rows, original, out.folded_of, root=root, capture=index)
    fresh = original == 0
    carrying = _distinct(rows["packet_no"])
    counted = _distinct(rows["packet_no"][fresh])
    out.with_messages += counted
    out.duplicates += carrying - counted
    once = rows[fresh]
    response = (once["flags"] & QR) != 0
    out.messages["total"] += once.size
    out.messages["responses"] += int(response.sum())
    out.messages["tcp"] += int((once["transport"] == TCP).sum())
    out.messages["truncated"] += int((response & ((once["flags"] & TC) != 0)).sum())
    for rcode, n in zip(*np.unique(once["rcode"][response], return_counts=True), strict=True):
        out.rcodes[int(rcode)] += int(n)
    if keep:
        out.kept.append((index, rows.copy(), original))


def _distinct(ascending: npt.NDArray[np.int64]) -> int:
    """Count the distinct values of a sorted array."""
    return int(np.count_nonzero(np.diff(ascending))) + 1 if ascending.size else 0


def is_first_run() -> bool:
    """Will the kernels be compiled now, which takes some seconds?"""
    return not compiled_before(decode_window)


def read_messages(
    path: str | Path, *, options: Options | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the messages of a capture, duplicates among them, window by window.

    Each frame has the columns of the ``messages`` table. Raises InputError where the capture cannot
    be read.
    """
    from pcapkit.analysis.tables import messages_table

    out = Collected(wanted=Wanted(options := options or Options()))
    with open_source(str(path)) as source:
        capture = open_capture(source, out.interners, ports=options.ports | {53})
        for window in capture.windows:
            rows = out.wanted.keep(window.messages, out)
            original = out.duplicate_filter.mark(rows)
            yield messages_table(
                [(0, rows, original)], [capture.path], out.address, out.name,
                has_clock=capture.has_clock,
            )  # fmt: skip


def analyze(
    *paths: str | Path, options: Options | None = None, progress: Progress | None = None
) -> Analysis:
    """Analyse one capture, or several read as one.

    Raises InputError where a capture cannot be read and UsageError where an option makes no sense.
    """
    options = options or Options()
    texts = [str(p) for p in paths]
    if not texts:
        raise UsageError("no capture given")
    collected = collect(texts, options=options, progress=progress)
    readings = read_clients(collected, options)
    return count(collected, readings, options)


def table_of(
    paths: Sequence[str | Path], table: str, *, options: Options | None = None,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return one table of a capture, and the warnings that reading it gave."""
    options = options or Options()
    collected = collect(
        [str(p) for p in paths], options=options, keep_messages=table == "messages",
        progress=progress,
    )  # fmt: skip
    if table == "messages":
        return build_table(table, collected, None, []), tuple(collected.warnings)
    analysis = count(collected, read_clients(collected, options), options)
    if table in ("clients", "names", "what_if"):
        from pcapkit.report.export import small_table

        return small_table(analysis, table), analysis.warnings
    return analysis.table(table), analysis.warnings


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


def read_clients(collected: Collected, options: Options) -> Readings:
    """Read what was collected into lookups per client."""
    rows = collected.exchanges.rows
    if rows.size:
        rows = join_families(rows, [len(a) == 4 for a in collected.interners.addresses])
    return read(
        rows, Folded(collected.interners.names), given_facts(collected, options),
        has_clock=collected.has_clock,
    )  # fmt: skip


def join_families(rows: npt.NDArray[Any], is_v4: Sequence[bool]) -> npt.NDArray[Any]:
    """Give one client to the IPv4 and the IPv6 address that share their link-layer addresses.

    A pod that asks nameservers of both families has two addresses, and its walks change between
    them. Link addresses that more than one client of a family uses belong to a router and prove
    nothing.
    """
    if all(is_v4[c] for c in np.flatnonzero(np.bincount(rows["client"])).tolist()):
        return rows
    asked = rows[(rows["query_packet"] >= 0) & (rows["link"] != 0)]
    users: dict[int, set[int]] = defaultdict(set)
    order = np.lexsort((asked["client"], asked["link"]))
    link, client = asked["link"][order], asked["client"][order]
    new = np.append(True, (link[1:] != link[:-1]) | (client[1:] != client[:-1]))[: link.size]
    for k, c in zip(link[new].tolist(), client[new].tolist(), strict=True):
        users[k].add(c)
    pairs: dict[int, set[int]] = defaultdict(set)
    for clients in users.values():
        families = [[c for c in clients if is_v4[c] == v4] for v4 in (True, False)]
        if len(families[0]) == len(families[1]) == 1:
            pairs[families[1][0]].add(families[0][0])
    joined = {v6: v4.pop() for v6, v4 in pairs.items() if len(v4) == 1}
    if not joined:
        return rows
    rows = rows.copy()
    for v6, v4 in joined.items():
        rows["client"][rows["client"] == v6] = v4
    return rows


def count(collected: Collected, readings: Readings, options: Options) -> Analysis:
    """Count the lookups, ask what other settings would have sent, and give advice."""
    from pcapkit.analysis.recommend import recommend
    from pcapkit.analysis.whatif import what_if

    zones = [split(d) for d in options.cluster_domains] or tally.zones_of(readings.clients)
    waste = tally.waste_counts(readings)
    names = tally.name_rows(readings, zones)
    settings = what_if(readings, zones, collected.address)
    total = collected.messages["total"]
    responses = collected.messages["responses"]
    path_of = [c.path for c in collected.captures]
    return Analysis(
        pcapkit_version=__version__,
        options=options.to_json(),
        captures=tuple(collected.captures),
        packets=PacketLedger(
            collected.packets, collected.with_messages, collected.duplicates,
            dict(sorted(collected.skipped.items())),
        ),
        messages=MessageCounts(
            total, total - responses, responses, collected.messages["tcp"],
            collected.messages["truncated"],
            {codes.rcode_text(r): n for r, n in sorted(collected.rcodes.items())},
        ),
        transaction_counts=tally.transaction_counts(readings),
        lookup_counts=tally.lookup_counts(readings),
        waste=waste,
        client_rows=tally.client_rows(readings, collected.address),
        name_rows=names,
        what_if_rows=settings,
        findings=(),
        recommendations=recommend(readings, settings, names, waste, collected.address),
        warnings=_warnings(collected),
        timeline=tally.timeline(readings),
        latency=tally.latency_curve(readings),
        suffixes=tally.suffix_rows(readings),
        chains=tally.worst_chains(readings, collected.address, path_of),
        table=lambda name: build_table(name, collected, readings, zones),
    )  # fmt: skip


def _warnings(collected: Collected) -> tuple[str, ...]:
    warnings = list(collected.warnings)
    if collected.messages["total"] == 0:
        warnings.append(
            "no DNS message in the capture: capture with the filter 'port 53', in the pod or on "
            "its node"
        )
    return tuple(warnings)


def build_table(
    name: str, collected: Collected, readings: Readings | None, zones: list[tuple[str, ...]]
) -> pd.DataFrame:
    """Build a row table: ``lookups``, ``transactions`` or ``messages``."""
    from pcapkit.analysis.tables import lookups_table, messages_table, transactions_table

    path_of = [c.path for c in collected.captures]
    if name == "lookups" and readings is not None:
        return lookups_table(readings, path_of, collected.address, zones)
    if name == "transactions" and readings is not None:
        return transactions_table(readings, path_of, collected.address, collected.name)
    if name == "messages":
        parts = collected.kept or [(0, np.zeros(0, MESSAGE), np.zeros(0, np.int64))]
        return messages_table(
            parts, path_of, collected.address, collected.name, has_clock=collected.has_clock
        )
    raise UsageError(f"no table {name!r}: lookups, transactions, messages, clients, names, what_if")
