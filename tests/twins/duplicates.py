"""Which messages repeat a packet, by the rules alone: no tables, no hashes, nothing forgotten.

A copy has the same client address and port, the same DNS bytes and the same place among the
messages of its packet as a message of the last second. Where either shows an IPv4 identification,
it is the same packet if both show the same one. Where neither does, it must be within 5 ms, and
either another hop shows it (hop limit, link addresses or interface differ), or it went to the same
server and, if it is a query, had no answer yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pcapkit.schema import QR

SECOND, CLOSE = 1_000_000_000, 5_000_000


def is_copy(message: Any, first: Any, answered: bool) -> bool:
    """Is a message the packet that ``first`` is, seen again?"""
    gap = abs(int(message["time"]) - int(first["time"]))
    if message["ip_id"] > 0 or first["ip_id"] > 0:
        return gap <= SECOND and bool(message["ip_id"] == first["ip_id"])
    moved = any(message[key] != first[key] for key in ("hop_limit", "link", "interface"))
    same_server = message["server"] == first["server"]
    return gap <= CLOSE and bool(moved or (same_server and not answered))


def repeats(messages: Iterable[Any]) -> list[int]:
    """Return, a message each, the number of the packet that it repeats, or 0."""
    firsts: dict[tuple[int, ...], Any] = {}  # the newest packet with these bytes
    answers: dict[tuple[int, ...], int] = {}  # the time of the newest answer
    out = []
    for m in messages:
        key = tuple(int(m[k]) for k in ("client", "client_port", "content", "message_no"))
        question = int(m["client"]), int(m["client_port"]), int(m["message_id"])
        response = bool(m["flags"] & QR)
        first = firsts.get(key)
        if first is not None:
            answered = not response and answers.get(question, first["time"]) > first["time"]
            if is_copy(m, first, answered):
                out.append(int(first["packet_no"]))
                continue
        firsts[key] = m
        if response:
            answers[question] = int(m["time"])
        out.append(0)
    return out
