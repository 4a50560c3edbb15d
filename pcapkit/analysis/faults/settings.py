"""Detectors of settings: what resolv.conf says against what the traffic shows, and who differs.

Sources: resolv.conf(5); musl ``src/network/resolvconf.c`` (a line must fit 256 bytes); Kubernetes'
``DNSConfigForming`` limits (32 suffixes and 2,048 characters, 6 and 256 before 1.26).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.faults.notes import Note, Notes, note_lookups, show_walks
from pcapkit.analysis.lookups.reading import ClientReading
from pcapkit.analysis.search_lists.evidence import evidence_of
from pcapkit.analysis.search_lists.infer import SearchList, Seen, infer, suffix_texts
from pcapkit.analysis.traffic.part import Part
from pcapkit.cluster.conventions import namespace_of
from pcapkit.codes import OTHER_RCODE
from pcapkit.model.vocabulary import Source
from pcapkit.names.labels import Labels, join
from pcapkit.resolver.resolv_conf import ResolverConfig

_MUSL_LINE_BYTES = 255
_OLD_SUFFIXES, _NEW_SUFFIXES = 6, 32
_GIVEN = (Source.OPTION, Source.RESOLV_CONF)


def _contains(longer: Sequence[str], shorter: Sequence[str]) -> bool:
    """Are the suffixes of one list in the other, in the same order?"""
    left = iter(longer)
    return all(suffix in left for suffix in shorter)


def namespaces(part: Part) -> Notes:
    """The search list and ndots of every client that the traffic shows, by namespace or address."""
    notes: Notes = {}
    members: dict[str, list[int]] = {}
    whole = part.walked_to_the_end().tolist()
    for index, client in enumerate(part.readings.clients):
        search = suffix_texts(client.search.suffixes)
        namespace = namespace_of(search)
        if namespace is None or client.search_source != Source.OBSERVED:
            continue
        note = notes.get(subject := f"namespace {namespace}")
        if note is None:
            note = notes[subject] = Note()
        members.setdefault(subject, []).append(index)
        address = part.facts.address(client.client)
        note.clients[address] += 1
        note.facts[
            address,
            " ".join(search),
            "whole" if whole[index] else "",
            str(client.ndots.low),
            str(client.ndots.high),
        ] += 1
    show_walks(part, zip(notes.values(), members.values(), strict=True))
    for index in sorted({*part.two_namespaces_at_once, *part.two_ndots_at_once}):
        address = part.facts.address(part.readings.clients[index].client)
        mine = part.lookups_of_client(index)
        note = notes.setdefault(f"address {address}", note_lookups(part, mine))
        note.counts["at_once"] += 1
    return notes


def are_mixed(subject: str, note: Note) -> bool:
    """Do the clients of a namespace have lists, or ndots, that cannot be one and the same?"""
    return bool(note.counts["at_once"]) or _lists_differ(note) or _ndots_differ(note)


def _ndots_differ(note: Note) -> bool:
    lows, highs = ([int(fact[k]) for fact in note.facts] for k in (3, 4))
    return max(lows, default=0) > min(highs, default=0)


def _lists_differ(note: Note) -> bool:
    lists = {(tuple(fact[1].split()), bool(fact[2])) for fact in note.facts}
    for (left, left_whole), (right, right_whole) in combinations(sorted(lists), 2):
        left_fits = not right_whole and _contains(left, right)
        right_fits = not left_whole and _contains(right, left)
        if left != right and not left_fits and not right_fits:
            return True
    return False


def differences(note: Note) -> dict[str, object]:
    """Show the lists and ndots of which some differ."""
    shown: dict[str, object] = {}
    if _lists_differ(note):
        shown["search_lists"] = sorted({fact[1] for fact in note.facts})
    if _ndots_differ(note):
        shown["ndots"] = sorted({f"{fact[3]} to {fact[4]}" for fact in note.facts})
    return shown


def lint(config: ResolverConfig) -> Iterator[str]:
    """Say what is wrong with a resolv.conf's search list."""
    entries = config.search_line.split()[1:]
    size = len(config.search_line.encode())
    if size >= _MUSL_LINE_BYTES:
        yield f"its search line has {size} bytes: musl ignores it as a whole"
    if "." in entries:
        yield "'.' is no suffix: musl asks an empty question and fails every lookup"
    if twice := sorted(s for s, n in Counter(config.search).items() if n > 1):
        yield f"named twice: {' '.join(twice)}"
    yield from _too_many(len(config.search))


def _too_many(count: int) -> Iterator[str]:
    if count > _NEW_SUFFIXES:
        yield f"{count} suffixes: Kubernetes allows {_NEW_SUFFIXES}"
    elif count > _OLD_SUFFIXES:
        yield f"{count} suffixes: glibc before 2.26 and Kubernetes before 1.26 use the first six"


def search_lists(part: Part) -> Notes:
    """What is wrong with the search lists that were given, and with those that traffic shows."""
    r = part.readings
    note = Note()
    for network, config in part.facts.resolv_confs:
        problems = list(lint(config))
        for client in r.clients:
            address = part.facts.address(client.client)
            if problems and (network is None or ip_address(address) in network):
                note.clients[address] += 1
        for problem in problems:
            note.facts["resolv.conf", config.path, problem] = 1
    for index, client in enumerate(r.clients):
        if client.search_source == Source.OBSERVED:
            for problem in _too_many(len(client.search.suffixes)):
                note.facts["traffic", "", problem] = 1
                note.clients[part.facts.address(client.client)] += 1
                show_walks(part, [(note, [index])])
    for asking, count in _empty_questions(r.rows):
        note.counts["empty_questions"] += count
        note.clients[part.facts.address(asking)] += count
        note.facts["traffic", "", "empty questions: '.' in the search list of a musl client"] = 1
    return {"": note} if note.facts else {}


def _empty_questions(rows: npt.NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield who asks without a question, again though the server said FORMERR, and how often."""
    empty = np.flatnonzero(rows["folded"] < 0)
    empty = empty[rows["query_packet"][empty] >= 0]
    empty = empty[rows["outcome"][empty] == OTHER_RCODE]
    asked = Counter(rows[["client", "client_port", "message_id"]][empty].tolist())
    counts: Counter[int] = Counter()
    for (client, _, _), times in asked.items():
        if times > 1:
            counts[client] += times
    yield from sorted(counts.items())


def problems_seen(note: Note) -> dict[str, object]:
    """Show what is wrong, with the file that says so."""
    return {
        "problems": [f"{path}: {text}" if path else text for _, path, text in sorted(note.facts)]
    }


def contradictions(part: Part) -> Notes:
    """Clients whose traffic cannot come from the settings that were given."""
    note = Note()
    for index, client in enumerate(part.readings.clients):
        n = client.ndots
        said: list[tuple[str, str]] = []
        if n.source in _GIVEN and not n.low <= n.value <= n.high:
            said.append((f"ndots:{n.value}", f"ndots between {n.low} and {n.high}"))
        if client.search_source in _GIVEN:
            given = [join(s) for s in client.search.suffixes]
            seen = [join(s) for s in _observed(part, client).suffixes]
            if not _contains(given, seen):
                said.append((f"search {' '.join(given)}", f"search {' '.join(seen)}"))
        for fact in said:
            address = part.facts.address(client.client)
            note.clients[address] += 1
            note.facts[address, *fact] += 1
            show_walks(part, [(note, [index])])
    return {"": note} if note.facts else {}


def _observed(part: Part, client: ClientReading) -> SearchList:
    """Return the list that a client's walks prove: those that asked the name as is, too."""
    r = part.readings
    mine = r.rows[r.rows["client"] == client.client]
    evidence, shown, _ = evidence_of(
        mine,
        np.array([0, mine.size], np.int64),
        r.names.names.arrays,
        r.names.label_counts(),
        has_clock=r.has_clock,
    )
    seen = [
        Seen(
            tuple(_labels(part, m) for m in members[: item["size"]]),
            int(item["base"]),
            int(item["count"]),
        )
        for item, members in zip(evidence, shown.tolist(), strict=True)
        if item["base"]
    ]
    return infer(seen)


def _labels(part: Part, name: Any) -> Labels:
    return part.readings.names.labels(int(name))


def contradictions_seen(note: Note) -> dict[str, object]:
    """Show what was given against what the traffic shows, by client."""
    return {
        "contradictions": [
            {"client_addr": client, "given": given, "seen": seen}
            for client, given, seen in sorted(note.facts)
        ]
    }
