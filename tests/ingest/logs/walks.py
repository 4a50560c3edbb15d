"""Walks of a search list as programs print them, from which tests build what people have."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

MS = 1_000_000
SECOND = 1_000_000_000
START = 1_772_359_200_000_000_000  # 2026-03-01T10:00:00Z


@dataclass(frozen=True)
class Query:
    """One query and its response; times in ns."""

    client: str
    port: int
    number: int
    name: str
    qtype: str
    rcode: str
    answered: bool
    asked: int
    done: int


def walk(
    base: str,
    search: Sequence[str],
    *,
    client: str = "10.9.0.18",
    start: int = START,
    step: int = 150_000,
    seed: int = 1,
    stop: int | None = None,
) -> list[Query]:
    """Return the queries of one lookup, both families together, in the order of their responses.

    The suffix number ``stop`` answers; else the name as is does.
    """
    chance = random.Random(seed)
    names = [f"{base}.{suffix}" for suffix in search] + [base]
    out, now = [], start
    for position, name in enumerate(names):
        good = position == (len(search) if stop is None else stop)
        port = chance.randrange(32_768, 60_999)
        pair = []
        for qtype in ("A", "AAAA"):
            pair.append(
                Query(
                    client,
                    port,
                    chance.randrange(65_536),
                    name,
                    qtype,
                    "NOERROR" if good else "NXDOMAIN",
                    good and qtype == "A",
                    now + chance.randrange(5_000),
                    now + chance.randrange(step // 3, step),
                )
            )
        out += sorted(pair, key=lambda q: q.done)
        now = max(q.done for q in pair) + chance.randrange(20_000, 60_000)
        if good:
            break
    return out


def iso(time: int, digits: int = 9) -> str:
    """Return a time as RFC 3339 writes it, cut to so many digits."""
    moment = datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return moment + (f".{time % SECOND:09d}"[: digits + 1] if digits else "") + "Z"


def coredns(q: Query) -> str:
    """Return CoreDNS' line, without a time."""
    length = 17 + len(q.name) + 1
    size = length + (16 + len(q.name) + 1 if q.answered else 93 if q.name.endswith("local") else 75)
    flags = "qr,aa,rd" if q.name.endswith("local") else "qr,rd,ra"
    if q.answered:
        size = length + len(q.name) + 2 + 14
    return (
        f'[INFO] {q.client}:{q.port} - {q.number} "{q.qtype} IN {q.name}. udp {length} false 512" '
        f"{q.rcode} {flags} {size} {(q.done - q.asked) / SECOND:.9f}s"
    )


def tcpdump(queries: Sequence[Query], server: str = "10.96.0.10") -> list[str]:
    """Return tcpdump's lines, with times of the day."""
    lines = []
    for q in queries:
        ask = f"IP {q.client}.{q.port} > {server}.53: {q.number}+ {q.qtype}? {q.name}. (45)"
        got = "1/0/0 A 192.0.2.7 (61)" if q.answered else "0/1/0 (110)"
        code = " NXDomain*-" if q.rcode == "NXDOMAIN" else "*-"
        back = f"IP {server}.53 > {q.client}.{q.port}: {q.number}{code} {got}"
        lines += [(q.asked, ask), (q.done, back)]
    return [f"{clock(time)} {line}" for time, line in sorted(lines)]


def clock(time: int) -> str:
    """Return a time of the day with six digits."""
    moment = datetime.fromtimestamp(time // SECOND, UTC).strftime("%H:%M:%S")
    return f"{moment}.{time % SECOND // 1000:06d}"


def wrapped(line: str, time: int, text_key: str, time_key: str | None, stamp: object) -> str:
    """Return a shipper's record of a line."""
    record: dict[str, object] = {"stream": "stdout", text_key: line + "\n", "n": 1}
    if time_key is not None:
        record[time_key] = iso(time) if stamp is None else stamp
    return json.dumps(record)


def lines_of(queries: Sequence[Query], stamp: Callable[[Query], str]) -> bytes:
    """Return a CoreDNS log whose lines begin with what ``stamp`` gives."""
    return "".join(f"{stamp(q)}{coredns(q)}\n" for q in queries).encode()


def of(queries: Sequence[Query], **changes: object) -> list[Query]:
    """Return queries with some fields changed."""
    return [replace(q, **changes) for q in queries]  # type: ignore[arg-type]
