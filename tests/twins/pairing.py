"""Which response belongs to which query, by the rules alone.

A response belongs to the newest query of the last minute that has none yet, of the same client,
port, transport, message ID and, where both show one, question; one to the same server comes first.
Where all such queries are answered it is one answer too many, and where there are none it is kept
without a query. Duplicates, and messages that are no standard query, take no part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pcapkit.schema import MARK_MALFORMED, MARK_QUESTION_SHOWN, QR

MINUTE = 60_000_000_000
OPCODE = 0x7800


def belongs(response: Any, query: Any) -> bool:
    """May a response be to this query?"""
    keys = ["client", "client_port", "transport", "message_id"]
    if response["marks"] & MARK_QUESTION_SHOWN and query["qtype"]:  # 0: it does not decode
        keys += ["qname", "qtype"]
    early = response["time"] - query["time"] <= MINUTE
    return bool(early and all(response[key] == query[key] for key in keys))


def pair(messages: Iterable[Any], copies: Iterable[int]) -> set[tuple[int, int]]:
    """Return the pairs of packet numbers (query, response), -1 where there is none."""
    asked: list[tuple[Any, list[int]]] = []  # the first message of an exchange, its response
    for m, copy in zip(messages, copies, strict=True):
        if copy or m["flags"] & OPCODE:
            continue
        if m["flags"] & QR:
            mine = [(q, got) for q, got in reversed(asked) if belongs(m, q)]
            free = [(q, got) for q, got in mine if not got]
            free.sort(key=lambda one: one[0]["server"] != m["server"])
            if free:
                free[0][1].append(int(m["packet_no"]))
            elif not mine:
                asked.append((m, [int(m["packet_no"])]))
        elif m["qname"] >= 0 or m["marks"] & MARK_MALFORMED:
            asked.append((m, []))
    return {
        (-1 if m["flags"] & QR else int(m["packet_no"]), got[0] if got else -1) for m, got in asked
    }
