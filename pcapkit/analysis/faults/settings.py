"""Detectors of settings: what resolv.conf says against what the traffic shows, and who differs.

Sources: resolv.conf(5); musl ``src/network/resolvconf.c`` (a line must fit 256 bytes); Kubernetes'
``DNSConfigForming`` limits (32 suffixes and 2,048 characters, 6 and 256 before 1.26).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np

from pcapkit.addresses import ip_or_none
from pcapkit.analysis.faults.notes import (
    ClientSettings,
    Contradiction,
    ListProblem,
    Note,
    Notes,
    note_lookups,
    show_walks,
)
from pcapkit.analysis.search_lists.infer import suffix_texts
from pcapkit.analysis.traffic.part import PartTraffic
from pcapkit.cluster.conventions import namespace_of
from pcapkit.codes import OTHER_RCODE
from pcapkit.model.vocabulary import Certainty, Source
from pcapkit.names.labels import join
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.schema import Exchanges

_MUSL_LINE_BYTES = 255
_OLD_SUFFIXES, _NEW_SUFFIXES = 6, 32
_GIVEN = (Source.OPTION, Source.RESOLV_CONF)


def _contains(longer: Sequence[str], shorter: Sequence[str]) -> bool:
    """Are the suffixes of one list in the other, in the same order?"""
    left = iter(longer)
    return all(suffix in left for suffix in shorter)


def namespaces(part: PartTraffic) -> Notes:
    """The search list and ndots of every client that the traffic shows, by namespace or address."""
    notes: Notes = {}
    members: dict[str, list[int]] = {}
    whole = part.walked_to_the_end().tolist()
    for index, client in enumerate(part.readings.clients):
        search = suffix_texts(client.search.suffixes)
        namespace = namespace_of(search)
        if namespace is None or client.search_source != Source.OBSERVED:
            continue
        if index in part.two_namespaces_at_once or part.forwards(index):
            continue
        note = notes.get(subject := f"namespace {namespace}")
        if note is None:
            note = notes[subject] = Note()
        members.setdefault(subject, []).append(index)
        address = part.context.address(client.client)
        note.clients[address] += 1
        low, high = client.ndots.low, client.ndots.high
        note.settings.add(ClientSettings(address, search, whole[index], low, high))
    show_walks(part, zip(notes.values(), members.values(), strict=True))
    for key, clients in (
        ("at_once", {*part.two_namespaces_at_once, *part.two_ndots_at_once}),
        ("both_ways", {*part.searched_and_as_is_at_once}),
    ):
        for index in sorted(clients):
            if part.forwards(index):
                continue
            address = part.context.address(part.readings.clients[index].client)
            mine = part.lookups_of_client(index)
            note = notes.setdefault(f"address {address}", note_lookups(part, mine))
            note.counts[key] += 1
    return notes


def of_address(subject: str) -> str | None:
    """Return the address that a note of :func:`namespaces` is about; None for a namespace."""
    kind, _, address = subject.partition(" ")
    return address if kind == "address" else None


def mix_certainty(note: Note) -> Certainty:
    """Do settings differ beyond doubt, or may final dots explain why names are asked both ways?"""
    proven = note.counts["at_once"] or _lists_differ(note) or _ndots_differ(note)
    return Certainty.SHOWN if proven else Certainty.CONSISTENT_WITH


def are_mixed(subject: str, note: Note) -> bool:
    """Do the clients of a namespace have lists, or ndots, that cannot be one and the same?"""
    at_once = note.counts["at_once"] + note.counts["both_ways"]
    return bool(at_once) or _lists_differ(note) or _ndots_differ(note)


def _ndots_differ(note: Note) -> bool:
    """Do two addresses have ndots that do not meet? Those of one address change by a restart."""
    least = _extremes((-s.ndots_high, s.address) for s in note.settings)
    most = _extremes((s.ndots_low, s.address) for s in note.settings)
    return any(low > -high and one != other for low, one in most for high, other in least)


def _extremes(values: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the largest value, and the largest of any other address."""
    ranked = sorted(values, reverse=True)
    return [*ranked[:1], *[v for v in ranked if v[1] != ranked[0][1]][:1]]


def _lists_differ(note: Note) -> bool:
    """Do two addresses have lists of which neither holds the other?"""
    owners: dict[tuple[tuple[str, ...], bool], set[str]] = {}
    for s in note.settings:
        owners.setdefault((s.search, s.is_whole), set()).add(s.address)
    for (left, left_whole), (right, right_whole) in combinations(sorted(owners), 2):
        left_fits = not right_whole and _contains(left, right)
        right_fits = not left_whole and _contains(right, left)
        if left != right and not left_fits and not right_fits:
            if len(owners[left, left_whole] | owners[right, right_whole]) > 1:
                return True
    return False


def differences(note: Note) -> dict[str, object]:
    """Show the lists and ndots of which some differ."""
    shown: dict[str, object] = {}
    if note.counts["both_ways"]:
        shown["names_both_ways"] = "searched, and asked as is in between"
    if _lists_differ(note):
        shown["search_lists"] = sorted({" ".join(s.search) for s in note.settings})
    if _ndots_differ(note):
        shown["ndots"] = sorted({f"{s.ndots_low} to {s.ndots_high}" for s in note.settings})
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


def search_lists(part: PartTraffic) -> Notes:
    """What is wrong with the search lists that were given, and with those that traffic shows."""
    r = part.readings
    note = Note()
    for network, config in part.context.resolv_confs:
        problems = list(lint(config))
        for client in r.clients:
            address = part.context.address(client.client)
            ip = ip_or_none(address)
            if problems and (network is None or (ip is not None and ip in network)):
                note.clients[address] += 1
        for problem in problems:
            note.problems.add(ListProblem(config.path, problem))
    for index, client in enumerate(r.clients):
        if client.search_source == Source.OBSERVED:
            for problem in _too_many(len(client.search.suffixes)):
                note.problems.add(ListProblem("", problem))
                note.counts["walked"] += 1
                note.clients[part.context.address(client.client)] += 1
                show_walks(part, [(note, [index])])
    for asking, count in _empty_questions(r.rows, r.names.unknown):
        note.counts["empty_questions"] += count
        note.clients[part.context.address(asking)] += count
        problem = "empty questions: '.' in the search list of a musl client"
        note.problems.add(ListProblem("", problem))
    return {"": note} if note.problems else {}


def _empty_questions(rows: Exchanges, unknown: int) -> Iterator[tuple[int, int]]:
    """Yield who asks what nobody can read, again though the server said FORMERR, and how often.

    They ask the name ``unknown``.
    """
    if unknown < 0:
        return
    empty = np.flatnonzero(rows["folded"] == unknown)
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
    problems = sorted(note.problems, key=lambda p: (not p.path, p))  # of files first
    return {"problems": [f"{path}: {text}" if path else text for path, text in problems]}


def list_rivals(note: Note) -> tuple[str, ...]:
    """Say what shows that the list is one, and is used."""
    said = []
    if empty := note.counts["empty_questions"]:
        said.append(f"stray questions: {empty:,} empty questions were sent again")
    if files := {p.path for p in note.problems if p.path}:
        said.append(f"guesses: {len(files):,} files say so themselves")
    if note.counts["walked"]:
        said.append("names that only look alike: walks show the suffixes in one order")
    return tuple(said)


def contradictions(part: PartTraffic) -> Notes:
    """Clients whose traffic cannot come from the settings that were given."""
    note = Note()
    for index, client in enumerate(part.readings.clients):
        n = client.ndots
        said: list[tuple[str, str]] = []
        if n.source in _GIVEN and not n.low <= n.value <= n.high:
            said.append((f"ndots:{n.value}", f"ndots between {n.low} and {n.high}"))
        if client.search_source in _GIVEN:
            given = [join(s) for s in client.search.suffixes]
            seen = [join(s) for s in client.proven.suffixes]
            if not _contains(given, seen):
                said.append((f"search {' '.join(given)}", f"search {' '.join(seen)}"))
        for fact in said:
            address = part.context.address(client.client)
            note.clients[address] += 1
            note.contradictions.add(Contradiction(address, *fact))
            show_walks(part, [(note, [index])])
    return {"": note} if note.contradictions else {}


def contradictions_seen(note: Note) -> dict[str, object]:
    """Show what was given against what the traffic shows, by client."""
    return {
        "contradictions": [
            {"client_addr": client, "given": given, "seen": seen}
            for client, given, seen in sorted(note.contradictions)
        ]
    }


def contradiction_rivals(note: Note) -> tuple[str, ...]:
    """Say why neither final dots nor walks that are cut explain what the clients sent."""
    said = []
    if any(c.given.startswith("ndots:") for c in note.contradictions):
        said.append("final dots: the names that speak against the given ndots were searched")
    if any(not c.given.startswith("ndots:") for c in note.contradictions):
        said.append("walks that were cut: a suffix was asked that the given list lacks, or before")
    return tuple(said)
