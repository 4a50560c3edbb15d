"""Rotated files that are one capture: known by their names and their packets, never by one alone.

What writes one capture as many files names them in a few ways (tcpdump(1) ``-C``, ``-G``, ``-W``;
dumpcap(1) ``-b``; logrotate(8); the kubelet): a counter behind the whole name, a counter and a
time, a time. Files whose names differ in nothing else belong together where they also begin with
the same header, and each begins when the one before has ended. Captures of several pods or of
several days are numbered too, but overlap in time, or lie further apart than their packets do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pcapkit.batch.finding.looks import Look, Looks, Span
from pcapkit.batch.finding.spans import measure
from pcapkit.model.audits import Identity

_PACKED = re.compile(r"\.(?:gz|zst|zstd|xz|bz2|lz4)\Z", re.IGNORECASE)
#: dumpcap: base_00001_20240101120000.pcapng, or the other way round.
_RING = re.compile(r"(?P<base>.*)_(?:(?P<n>\d{5,})_\d{14}|\d{14}_(?P<m>\d{5,}))(?P<end>\.\w+)?")
#: tcpdump -C: dns.pcap, dns.pcap1; with -W: dns.pcap00. logrotate: coredns.log, coredns.log.1.
_COUNTED = re.compile(r"(?P<base>.*\.(?:pcap|pcapng|cap|dmp|log|txt|jsonl|json))\.?(?P<n>\d*)")
#: tcpdump -G: a time of strftime(3), or seconds since 1970; logrotate dateext; the kubelet.
_STAMP = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d([-_.]?)\d\d\1\d\d(?:[-_.T ]?\d\d(?:[-_.:]?\d\d(?:[-_.:]?\d\d)?)?)?Z?"
    r"|1\d{9}|\d\d([-_.:]?)\d\d\2\d\d)(?!\d)"
)
#: What a packet may be late, ns: those of several queues are written one after the other.
_LATE_NS = 100_000_000
#: A gap between two files that is no gap: so much, or so many times the mean time between packets,
#: which come in bursts.
_GAP_NS, _GAPS = 2_000_000_000, 50


@dataclass(frozen=True, slots=True)
class Member:
    """A capture that may be one of a set. ``source`` is what is opened, ``path`` what is shown."""

    path: str
    source: str = field(repr=False)
    identity: Identity | None
    look: Look


@dataclass(frozen=True, slots=True)
class _Name:
    """What a name shares with those of its set, and where it stands among them."""

    family: tuple[str, ...]
    place: tuple[str, int]


def sets_of(members: Sequence[Member], looks: Looks) -> list[list[Member]]:
    """Return the members as sets, in the order of their first packets; most are of one member.

    Only files whose names would fit are looked into; ``looks`` keeps what is seen.
    """
    families: dict[tuple[str, ...], list[tuple[_Name, Member]]] = {}
    out: list[list[Member]] = []
    for member in members:
        name = _name_of(member)
        if name is None:
            out.append([member])
        else:
            families.setdefault(name.family, []).append((name, member))
    for family in families.values():
        if len(family) == 1:
            out.append([family[0][1]])
        else:
            out += _of_family(family, looks)
    return out


def _name_of(member: Member) -> _Name | None:
    folder, name = os.path.split(member.path)
    name = _PACKED.sub("", name)
    form = member.look.format or ""
    if (ring := _RING.fullmatch(name)) is not None:
        number = ring["n"] or ring["m"]
        return _Name((folder, form, "ring", ring["base"], ring["end"] or ""), ("", int(number)))
    count = -1
    if (counted := _COUNTED.fullmatch(name)) is not None and len(counted["n"]) <= 6:
        name, count = counted["base"], int(counted["n"] or -1)
    stamps = list(_STAMP.finditer(name))
    if stamps:
        stamp = stamps[-1]
        before, after = name[: stamp.start()], name[stamp.end() :]
        if not after and _COUNTED.fullmatch(before[:-1]):  # coredns.log-20240131
            return _Name((folder, form, "count", before[:-1]), (re.sub(r"\D", "", stamp[0]), count))
        name = f"{before}\0{after}"
        return _Name((folder, form, "stamp", name), (re.sub(r"\D", "", stamp[0]), count))
    if counted is None:
        return None
    return _Name((folder, form, "count", name), ("", count))


def _of_family(family: Sequence[tuple[_Name, Member]], looks: Looks) -> list[list[Member]]:
    """Return the sets among files whose names would fit."""
    alone: list[list[Member]] = []
    by_head: dict[str, list[tuple[_Name, Member, Span]]] = {}
    for name, member in family:
        span = _span_of(member, looks)
        if span is None:
            alone.append([member])
        else:
            by_head.setdefault(span.head, []).append((name, member, span))
    sets: list[list[Member]] = []
    for alike in by_head.values():
        alike.sort(key=lambda one: (one[2].first, one[2].last, one[0].place))
        run = [alike[0]]
        for one in alike[1:]:
            if not _follows(run[-1][2], one[2]):
                sets += _in_turn(run)
                run = []
            run.append(one)
        sets += _in_turn(run)
    return alone + sets


def _span_of(member: Member, looks: Looks) -> Span | None:
    if member.look.measured:
        return member.look.span
    span = measure(member.source, member.identity, member.look.format or "")
    looks.put(member.path, member.identity, replace(member.look, measured=True, span=span))
    return span


def _follows(before: Span, after: Span) -> bool:
    """Does a file begin when the one before it has ended?"""
    gap = after.first - before.last
    if gap < 0:
        shortest = min(before.last - before.first, after.last - after.first)
        return -gap <= min(_LATE_NS, shortest // 10)
    return gap <= max(_GAP_NS, _GAPS * max(before.usual_gap, after.usual_gap))


def _in_turn(run: Sequence[tuple[_Name, Member, Span]]) -> list[list[Member]]:
    """Return a run as one set where its names count up, or down, once round at most."""
    places = [name.place for name, _, _ in run]
    pairs = list(zip(places, [*places[1:], places[0]], strict=True))
    up, down = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    if len(run) > 1 and min(up, down) > 1:
        return [[member] for _, member, _ in run]
    return [[member for _, member, _ in run]]
