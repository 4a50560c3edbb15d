"""Read captures from their tallies, as if they were read from their packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pcapkit.ingest.capture.decoder import Decoder
from pcapkit.ingest.capture.noted import add_noted
from pcapkit.ingest.tallies.chain import captures_of
from pcapkit.ingest.tallies.file import Part, damage_named
from pcapkit.ingest.window import Capture, Ends, Interners, Owner, Unreachable, Window
from pcapkit.schema import Ids, Messages


def open_captures(
    parts: Sequence[Part], interners: Interners, path_of: Callable[[Part], str] | None = None
) -> Iterator[Capture]:
    """Yield the captures that the parts make up, each to be read before the next.

    ``interners`` must give messages the identity of tallies (facts.IDENTITY). ``path_of`` says
    what a capture is called, where that is not what its tally says. Raises InputError where parts
    are missing or damaged.
    """
    chains = captures_of(parts)
    for number, chain in enumerate(chains):
        capture = _open(chain, interners, path_of(chain[0]) if path_of else chain[0].facts.path)
        if number + 1 < len(chains) and chains[number + 1][0].facts.of_packets:
            capture.followed_at = chains[number + 1][0].facts.begins
        yield capture


def _open(chain: Sequence[Part], interners: Interners, path: str) -> Capture:
    first = chain[0].facts
    capture = Capture(path, first.format, first.compression, iter(()))
    capture.has_clock = all(part.facts.has_clock for part in chain)
    capture.link_types = tuple(sorted({t for part in chain for t in part.facts.link_types}))
    capture.snaplen = next((p.facts.snaplen for p in chain if p.facts.snaplen), first.snaplen)
    capture.of_packets = first.of_packets
    last = chain[-1].facts
    capture.truncated_tail, capture.damage = last.truncated_tail, last.damage
    for part in chain:
        facts = part.facts
        for warning in facts.warnings:
            said = warning.removeprefix(f"{facts.path}: ")
            capture.warnings.append(warning if said == warning else f"{path}: {said}")
        capture.left_out.update(facts.left_out)
        for address, pod in facts.pods.items():
            with damage_named(part.path):
                capture.pods.setdefault(bytes.fromhex(address), pod)
    capture.windows = _windows(chain, interners, capture)
    return capture


def _windows(chain: Sequence[Part], interners: Interners, capture: Capture) -> Iterator[Window]:
    ports = frozenset(chain[0].facts.ports)
    decoder = Decoder(interners, capture, ports) if capture.of_packets else None
    unreachable = Unreachable()
    before = 0
    for part in chain:
        facts = part.facts
        with damage_named(part.path):
            add_noted(capture.noted, facts.noted)
            names = part.intern("names", interners.names)
            addresses = part.intern("addresses", interners.addresses)
            _add_owners(part, addresses, interners)
            for reason, client, server, packets in facts.unreachable:
                ends = Ends(reason, bytes.fromhex(client), bytes.fromhex(server))
                unreachable.count(ends, packets)
        for number in range(len(facts.windows)):
            with damage_named(part.path):
                window = part.window(number)
            _renumber(window, before, names, addresses)
            window.unreachable = unreachable.take()
            capture.bytes_read = facts.bytes_read
            if decoder is None:
                yield window
            else:
                yield from decoder.go_on(window)
        capture.bytes_read = facts.bytes_read
        before += facts.packets
    if decoder is not None:
        yield from decoder.finish()


def _add_owners(part: Part, addresses: Ids, interners: Interners) -> None:
    for o in part.facts.owners:
        if not (0 <= o.number < addresses.size and 0 <= o.client < addresses.size):
            raise ValueError("a container has no such address")
        known = Owner(int(addresses[o.client]), o.namespace, o.pod, o.container, o.container_id)
        owner = interners.owners.setdefault(int(addresses[o.number]), known)
        owner.sure |= o.sure


def _renumber(window: Window, before: int, names: Ids, addresses: Ids) -> None:
    """Let a window follow so many packets, with the ids of this analysis."""
    rows = window.messages
    _map(rows, "qname", names)
    for field in ("client", "server", "owner"):
        _map(rows, field, addresses)
    rows["packet_no"] += before
    first, last = window.numbers
    window.numbers = (first + before, last + before) if last else (before, before)
    if window.kept is not None:
        window.kept.records["number"] += before


def _map(rows: Messages, field: str, ids: Ids) -> None:
    column = rows[field]
    if ids.size and column.size:
        rows[field] = np.where(column >= 0, ids[np.maximum(column, 0)], column)
