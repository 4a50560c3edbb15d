"""The order of a server's log, in plain Python: what ``logs/blocks`` has compiled.

A server logs a query when it has answered it, so that a client's walk stands in the log in its
order, whatever the stamps say. A stamp of one second, or of one millisecond, says when a line was
written only within that; a container runtime that lags behind reads many lines in one go and stamps
them a few microseconds apart. Where a stamp less the duration would put a query before the response
of the candidate before it, and the stamp may be that much too early, the line is moved behind it.

Replicas share a client's queries. Their logs, one after the other, are put into one another by
their times or, where there are none, by the order in which a walk asks the candidates of one name
under a Kubernetes list: ``<namespace>.svc.<zone>``, ``svc.<zone>``, ``<zone>``, the name as is.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pcapkit.ingest.logs.lines import LineMessage
from pcapkit.names.text import wire_labels

#: A runtime's stamp may be off by this much, however many digits it has.
LATE_NS = 5_000_000
#: Lines of one log that are stamped within this time of one another were read in one go ...
_AT_ONCE_NS = 20_000
#: ... and what was read in one go may have waited this long.
_WAITED_NS = 1_000_000_000
#: Clocks of two nodes differ by this much.
_SKEW_NS = 5_000_000
_KEPT = 1 << 16


@dataclass(slots=True)
class _Step:
    """The candidate that a client asked last under one first label."""

    name: bytes
    floor: int  # its queries came no earlier
    end: int  # its last response
    line: int
    asked: dict[int, int] = field(default_factory=dict)  # query type -> port


class WalkOrder:
    """Moves the lines of a log so that every walk keeps its order."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, bytes, bytes], _Step] = {}
        self._last: dict[str, int] = {}  # by stream: the stamp of its last line
        self._burst: dict[str, int] = {}  # by stream: the line at which the burst began
        self._line = 0

    def place(self, query: LineMessage, response: LineMessage, stream: str) -> None:
        """Move a line behind the candidate before it, as far as its stamp allows."""
        if query.time is None or response.time is None or query.qname is None:
            return
        stamp, duration = response.time, response.time - query.time
        self._line += 1
        before = self._last.get(stream)
        if before is None or not 0 <= stamp - before <= _AT_ONCE_NS:
            self._burst[stream] = self._line
        self._last[stream] = stamp
        wire = query.qname
        name = wire.lower()
        key = stream, query.client, name[: wire[0] + 1]
        step = self._steps.get(key)
        if step is None:
            if len(self._steps) >= _KEPT:
                self._steps.clear()
            self._steps[key] = step = _Step(name, 0, 0, self._line)
        elif name != step.name or self._again(query, step):
            step.name, step.floor, step.asked = name, step.end, {}
        allowed = max(query.resolution, LATE_NS)
        if step.line >= self._burst[stream]:
            allowed = max(allowed, _WAITED_NS)
        if query.time < step.floor <= stamp + allowed:
            if step.floor + duration <= stamp + allowed:
                query.time = step.floor
                response.time = max(stamp, query.time + duration)
        step.asked[query.qtype] = query.client_port
        step.end = max(step.end if step.floor else 0, response.time)
        step.line = self._line

    @staticmethod
    def _again(query: LineMessage, step: _Step) -> bool:
        port = step.asked.get(query.qtype)
        return port is not None and port != query.client_port and query.resolution > LATE_NS


def pairs_of(messages: Sequence[LineMessage]) -> list[int]:
    """Return where the lines begin that are a query and its response."""
    return list(range(0, len(messages) - 1, 2))


def in_order(messages: Sequence[LineMessage], pairs: list[int], *, timed: bool) -> list[int]:
    """Return the lines of several logs in the order of the walks.

    Logs that lie one behind the other are put into one another; what tails of several logs print
    together stands in its order already, unless the times say otherwise.
    """
    streams = [messages[at].stream for at in pairs]
    switches = sum(a != b for a, b in zip(streams, streams[1:], strict=False))
    if not timed and switches > len(set(streams)) - 1:
        return pairs
    by_client: defaultdict[bytes, list[int]] = defaultdict(list)
    for at in pairs:
        by_client[messages[at].client].append(at)
    out: list[int] = []
    for mine in by_client.values():
        if len({messages[at].stream for at in mine}) == 1:
            out += mine
            continue
        for base, group in _by_base(messages, mine).items():
            out += _joined(messages, group, base, timed=timed)
    return out


def _by_base(
    messages: Sequence[LineMessage], mine: Sequence[int]
) -> dict[tuple[bytes, ...], list[int]]:
    """Group one client's lines by the base name that a Kubernetes list explains them with.

    A name that none explains is of the longest base that it begins with: such lists often end with
    suffixes of the node's (``ec2.internal``).
    """
    names = {messages[at].qname or b"\0": () for at in mine}
    labels = {wire: _labels(wire) for wire in names}
    known = set(labels.values())
    found = {wire: _base(parts, known) for wire, parts in labels.items()}
    explained = {base for base in found.values() if base is not None}
    groups: dict[tuple[bytes, ...], list[int]] = {}
    for at in mine:
        wire = messages[at].qname or b"\0"
        base, parts = found[wire], labels[wire]
        if base is None:
            begun = (parts[:n] for n in range(len(parts) - 1, 0, -1))
            base = next((b for b in begun if b in explained), parts)
        groups.setdefault(base, []).append(at)
    return groups


def _labels(wire: bytes) -> tuple[bytes, ...]:
    return tuple(label.lower() for label in wire_labels(wire))


def _base(name: tuple[bytes, ...], known: set[tuple[bytes, ...]]) -> tuple[bytes, ...] | None:
    """Return what is left of a name without the suffix of a Kubernetes list, the likeliest.

    None where no such list explains it.
    """
    best, most = None, 1
    for zone in _zones(known):
        for base in _bases(name, zone):
            under = sum((*base, *rest) in known for rest in ((b"svc", *zone), zone, ())) + any(
                n[: len(base)] == base and n[len(base) + 1 :] == (b"svc", *zone)
                for n in known
                if len(n) == len(base) + 2 + len(zone)
            )
            if under > most:
                best, most = base, under
    return best


def _zones(known: set[tuple[bytes, ...]]) -> Iterator[tuple[bytes, ...]]:
    seen = set()
    for name in sorted(known):
        for at in range(1, len(name) - 1):
            if name[at] == b"svc" and (zone := name[at + 1 :]) not in seen:
                seen.add(zone)
                yield zone


def _bases(name: tuple[bytes, ...], zone: tuple[bytes, ...]) -> Iterator[tuple[bytes, ...]]:
    under = name[: len(name) - len(zone)] if name[len(name) - len(zone) :] == zone else None
    if under:
        if under[-1] == b"svc":
            yield under[:-2]
            yield under[:-1]
        else:
            yield under
    yield name


def _joined(
    messages: Sequence[LineMessage], group: list[int], base: tuple[bytes, ...], *, timed: bool
) -> Iterator[int]:
    """Yield the lines of one base name in the order of its walks; each log keeps its own order."""
    heads: dict[str, deque[int]] = {}
    for at in group:
        heads.setdefault(messages[at].stream, deque()).append(at)
    names = {_labels(messages[at].qname or b"\0") for at in group}
    walk = _Walk(len(base), set(_zones(names)))
    while heads:
        near = list(heads)
        if timed:
            stamps = {s: messages[heads[s][0] + 1].time or 0 for s in near}
            first = min(stamps.values())
            off = max(messages[heads[s][0]].resolution for s in near)
            near = [s for s in near if stamps[s] - first <= max(off, _SKEW_NS)]
        stream = max(near, key=lambda s: walk.rank(messages[heads[s][0]]))
        at = heads[stream].popleft()
        walk.take(messages[at], messages[at + 1])
        if not heads[stream]:
            del heads[stream]
        yield at


class _Walk:
    """How far one walk down the list has come."""

    def __init__(self, base_labels: int, zones: set[tuple[bytes, ...]]) -> None:
        self._base_labels = base_labels
        self._zones = zones
        self._name = b""
        self._place = _LAST + 1  # no candidate goes on from here
        self._asked: set[int] = set()
        self._answered = False

    def rank(self, query: LineMessage) -> tuple[int, int]:
        """Say how well a query goes on: another type of the candidate, the next one, a new walk."""
        name = (query.qname or b"\0").lower()
        place = self._place_of(name)
        if name == self._name and query.qtype not in self._asked:
            return 2, 0
        if not self._answered and name != self._name and place >= self._place:
            return 1, -place
        return 0, -place

    def take(self, query: LineMessage, response: LineMessage) -> None:
        """Go on with a query."""
        kind, _ = self.rank(query)
        name = (query.qname or b"\0").lower()
        if kind < 2:
            self._answered = self._answered and kind > 0
            self._asked = set()
        self._name, self._place = name, self._place_of(name)
        self._asked.add(query.qtype)
        self._answered = self._answered or response.typed_answers > 0

    def _place_of(self, name: bytes) -> int:
        """Return where a candidate stands in a Kubernetes list, the name as is behind it."""
        suffix = _labels(name)[self._base_labels :]
        if not suffix:
            return _LAST
        if b"svc" in suffix[:2]:
            return 1 - suffix.index(b"svc")
        return 2 if suffix in self._zones else 3


_LAST = 4  # behind <namespace>.svc.<zone>, svc.<zone>, <zone>, and what the node's own list adds
