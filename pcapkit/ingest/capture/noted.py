"""What a user is told of a packet capture once all of it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from pcapkit.codes import linktype_text
from pcapkit.ingest.capture.decode import OTHER_CLOCK_NS
from pcapkit.ingest.window import Noted
from pcapkit.limits import Limits, crossed
from pcapkit.text import file_names
from pcapkit.words import counted

#: What is beyond each limit of packets, and what became of it.
_STREAMS = "that waited for missing segments {} given up: messages may be missing"
_DATAGRAMS = (
    "that waited for other fragments {} given up: of a first fragment what it shows is kept"
)
_BEYOND = {
    "tcp_streams": ("TCP stream", _STREAMS),
    "tcp_bytes": ("TCP stream", _STREAMS),
    "fragmented_datagrams": ("incomplete datagram", _DATAGRAMS),
    "fragment_bytes": ("incomplete datagram", _DATAGRAMS),
    "dissected_packets": ("packet", "of rare link types {} skipped as 'unknown_link_type'"),
    "tunnel_layers": ("packet", "with too many headers {} skipped as 'too_many_headers'"),
}
#: Fewer packets that look like DNS messages at a port may be anything.
_SOME = 2
#: Enough packets on the slow path to be felt.
_FELT = 20_000


def add_noted(into: Noted, after: Noted) -> None:
    """Add what was noted of the part of the capture behind it."""
    if into.last_time is not None and after.first_time is not None:
        into.gone_back += into.last_time - after.first_time > OTHER_CLOCK_NS
    for name in ("packets", "messages", "cut", "gone_back", "slow", "dissected"):
        setattr(into, name, getattr(into, name) + getattr(after, name))
    into.first_time = after.first_time if into.first_time is None else into.first_time
    into.last_time = into.last_time if after.last_time is None else after.last_time
    into.beyond = dict(Counter(into.beyond) + Counter(after.beyond))
    into.unknown = dict(Counter(into.unknown) + Counter(after.unknown))
    into.elsewhere = dict(Counter(into.elsewhere) + Counter(after.elsewhere))


def _of_link_type(linktype: int, noted: Noted) -> int:
    return noted.unknown.get(linktype, 0)


def _beyond(limit: str, noted: Noted) -> int:
    return noted.beyond.get(limit, 0)


def warnings_of(captures: Sequence[tuple[str, Noted]], limits: Limits) -> list[str]:
    """Return the warnings of captures, by path, that were read as one: each is said once.

    They were read within ``limits``.
    """

    def of(what: Callable[[Noted], int]) -> tuple[str, int]:
        """Return the captures of which something was noted, and how often in all of them."""
        counts = {path: what(noted) for path, noted in captures}
        return file_names([path for path, n in counts.items() if n]), sum(counts.values())

    warnings = []
    for linktype in sorted({t for _, noted in captures for t in noted.unknown}):
        files, packets = of(partial(_of_link_type, linktype))
        warnings.append(
            f"{files}: link type {linktype} ({linktype_text(linktype)}) is not known here: "
            f"{packets} packets skipped"
        )
    files, back = of(lambda noted: noted.gone_back)
    if back:
        places = "1 place" if back == 1 else f"{back} places"
        warnings.append(
            f"{files}: the clock goes back by more than a minute at {places}: it was set, or files "
            "were put together; durations across that are not known"
        )
    elsewhere: Counter[int] = Counter()
    for _, noted in captures:
        elsewhere.update(noted.elsewhere)
    if left_out := sorted(elsewhere.items(), key=lambda port: (-port[1], port[0])):
        port, messages = left_out[0]
        others = f" (and {len(left_out) - 1} other ports)" if len(left_out) > 1 else ""
        if messages >= _SOME:
            files, _ = of(lambda noted: noted.elsewhere.get(port, 0))
            warnings.append(
                f"{files}: {messages} packets at port {port}{others} look like DNS messages and "
                f"were left out for their port: --port {port} reads them"
            )
    files, cut = of(lambda noted: noted.cut)
    if cut:
        messages = sum(noted.messages for _, noted in captures)
        warnings.append(
            f"{files}: {cut} of {messages} messages were captured in part: their "
            "question and response code count, but answers, TTLs and EDNS may be missing "
            "(capture with tcpdump -s 0; a port filter also loses all but the first fragment)"
        )
    files, slow = of(lambda noted: noted.slow)
    packets = sum(noted.packets for _, noted in captures)
    if slow >= _FELT and slow * 2 > packets:
        dissected = sum(noted.dissected for _, noted in captures)
        warnings.append(
            f"{files}: most of {packets} packets took the slow path ({dissected} "
            "through Scapy, the others as fragments or parts of TCP messages): reading takes about "
            "a minute per million of them, and per 200,000 of those through Scapy"
        )
    for limit, (thing, became) in _BEYOND.items():
        files, count = of(partial(_beyond, limit))
        if count:
            was = became.format("was" if count == 1 else "were")
            warnings.append(f"{files}: {counted(count, thing)} {was} ({crossed(limit, limits)})")
    return warnings
