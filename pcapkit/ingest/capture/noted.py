"""What a user is told of a packet capture once all of it is read."""

from __future__ import annotations

from collections import Counter

from pcapkit.codes import linktype_text
from pcapkit.ingest.capture.decode import OTHER_CLOCK_NS
from pcapkit.ingest.window import Capture, Noted

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
    into.unknown = dict(Counter(into.unknown) + Counter(after.unknown))
    into.elsewhere = dict(Counter(into.elsewhere) + Counter(after.elsewhere))


def warnings_of(capture: Capture, packets: int) -> list[str]:
    """Return the warnings of a capture of so many packets."""
    path, noted = capture.path, capture.noted
    warnings = []
    if capture.damage is not None:
        warnings.append(f"{path}: {capture.damage}; analysed up to there ({packets} packets)")
    warnings += [
        f"{path}: link type {linktype} ({linktype_text(linktype)}) is not known here: "
        f"{packets} packets skipped"
        for linktype, packets in sorted(noted.unknown.items())
    ]
    if noted.gone_back:
        places = "1 place" if noted.gone_back == 1 else f"{noted.gone_back} places"
        warnings.append(
            f"{path}: the clock goes back by more than a minute at {places}: it was set, or files "
            "were put together; durations across that are not known"
        )
    if left_out := sorted(noted.elsewhere.items(), key=lambda of: (-of[1], of[0])):
        port, messages = left_out[0]
        others = f" (and {len(left_out) - 1} other ports)" if len(left_out) > 1 else ""
        if messages >= _SOME:
            warnings.append(
                f"{path}: {messages} packets at port {port}{others} look like DNS messages and "
                f"were left out for their port: --port {port} reads them"
            )
    if noted.cut:
        warnings.append(
            f"{path}: {noted.cut} of {noted.messages} messages were captured in part: their "
            "question and response code count, but answers, TTLs and EDNS may be missing "
            "(capture with tcpdump -s 0; a port filter also loses all but the first fragment)"
        )
    if noted.slow >= _FELT and noted.slow * 2 > noted.packets:
        warnings.append(
            f"{path}: most of {noted.packets} packets took the slow path ({noted.dissected} "
            "through Scapy, the others as fragments or parts of TCP messages): reading takes about "
            "a minute per million of them"
        )
    return warnings
