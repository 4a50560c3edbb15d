"""Notes of all parts, added up, become findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Set

from pcapkit.analysis.faults import delivery, settings
from pcapkit.analysis.faults.catalogue import FAULTS
from pcapkit.analysis.faults.fault import Fault
from pcapkit.analysis.faults.name_faults import WILDCARD
from pcapkit.analysis.faults.notes import FAILED_LOOKUPS, LOOKUPS, Note, Notes, add_notes
from pcapkit.analysis.traffic.part import PartTraffic
from pcapkit.model.results import Finding
from pcapkit.model.vocabulary import Certainty, Severity

#: Subjects and names that a finding shows.
_MOST = 10


class FaultTally:
    """What every detector noted of the parts so far; parts may come in any order."""

    def __init__(self) -> None:
        self._noted: dict[Callable[[PartTraffic], Notes], Notes] = {}

    def add(self, part: PartTraffic) -> None:
        """Note what some clients' readings show."""
        if not part.readings.rows.size:
            return
        for note in dict.fromkeys(f.note for f in FAULTS):
            add_notes(self._noted.setdefault(note, {}), note(part))

    def merge(self, other: FaultTally) -> None:
        """Add what another tally of the same capture noted, of other clients."""
        for note, noted in other._noted.items():
            add_notes(self._noted.setdefault(note, {}), noted)

    def note_packets(self, unreachable: Iterable[tuple[str, str, str, int]], tcp: int) -> None:
        """Note packets without messages that show a fault.

        ``unreachable`` are ICMP messages: a skip reason, the client and the server that they
        concern ("" where that is not known), and their number; ``tcp`` is how many messages and
        other packets came over TCP.
        """
        for note in self._noted.get(delivery.truncated_without_tcp, {}).values():
            note.counts[delivery.TCP_PACKETS] = tcp
        by_reason = {f.skip_reason: f for f in FAULTS if f.skip_reason}
        for reason, client, server, packets in unreachable:
            note = Note(Counter(packets=packets))
            note.clients.update({client: packets} if client else {})
            note.servers.update({server: packets} if server else {})
            add_notes(self._noted.setdefault(by_reason[reason].note, {}), {"": note})

    def leave_out_forwarders(self, addresses: Set[str]) -> None:
        """Forget the settings of addresses that ask for others: they are those of many."""
        notes = self._noted.get(settings.namespaces, {})
        for subject in list(notes):
            if settings.of_address(subject) in addresses:
                del notes[subject]
            else:
                some = notes[subject].settings
                notes[subject].settings = {s for s in some if s.address not in addresses}

    def _guilty(self, fault: Fault) -> Notes:
        """Return the notes of the subjects in which a fault is found."""
        noted = self._noted.get(fault.note, {})
        return {s: note for s, note in noted.items() if fault.is_guilty(s, note)}

    def wildcard_suffixes(self) -> frozenset[str]:
        """Return the suffixes under which a wildcard record answers."""
        return frozenset(s for f in FAULTS if f.code == WILDCARD for s in self._guilty(f))

    def findings(self) -> tuple[Finding, ...]:
        """Judge: the worst first, those of one severity in the order of FAULTS."""
        order = list(Severity)
        found = []
        for fault in FAULTS:
            if guilty := self._guilty(fault):
                found.append(_finding(fault, guilty))
        return tuple(sorted(found, key=lambda f: order.index(f.severity)))


def _finding(fault: Fault, guilty: Notes) -> Finding:
    total = Note()
    for note in guilty.values():
        total.add(note)
    evidence: dict[str, object] = {}
    if fault.subjects:
        order = sorted(guilty, key=lambda s: (-sum(guilty[s].clients.values()), s))
        evidence[fault.subjects] = [
            {"subject": subject, **fault.show(guilty[subject])} for subject in order[:_MOST]
        ]
    else:
        evidence.update(fault.show(total))
    if total.counts[FAILED_LOOKUPS]:
        evidence[FAILED_LOOKUPS] = total.counts[FAILED_LOOKUPS]
    if total.lost_ns and total.counts[LOOKUPS]:
        evidence[LOOKUPS] = total.counts[LOOKUPS]
    if total.lost_ns:
        evidence["lost_s"] = total.lost_ns / 1e9
    if total.names:
        most = sorted(total.names.items(), key=lambda item: (-item[1], item[0]))
        evidence["names"] = [{"name": name, "count": n} for name, n in most[:_MOST]]
    if total.examples:
        evidence["examples"] = [
            {
                "capture": example.capture,
                "client_addr": example.client,
                "name": example.name,
                "packets": list(example.packets),
            }
            for example in total.examples
        ]
        evidence["display_filter"] = _display_filter(total)
    clients = sorted(total.clients, key=lambda c: (-total.clients[c], c))
    certainty = fault.certainty(total)
    shown = certainty is Certainty.SHOWN
    return Finding(
        fault.code,
        fault.severity if shown else Severity.INFO,
        certainty,
        fault.excluded(total),
        fault.title,
        fault.meaning,
        fault.action_for(total.models),
        tuple(clients),
        evidence,
    )


def _display_filter(note: Note) -> str:
    """Return a Wireshark filter for the examples of the first example's capture."""
    capture = note.examples[0].capture
    packets = {p for e in note.examples if e.capture == capture for p in e.packets}
    return "frame.number in {" + ", ".join(str(p) for p in sorted(packets)) + "}"
