"""Read captures from their tallies, as if they were read from their packets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pcapkit.ingest.capture.decoder import Decoder
from pcapkit.ingest.capture.noted import add_noted
from pcapkit.ingest.tallies.chain import captures_of
from pcapkit.ingest.tallies.facts import IDENTITY
from pcapkit.ingest.tallies.file import Part, damage_named
from pcapkit.ingest.window import Capture, Ends, Interners, Owner, Unreachable, Window
from pcapkit.kernels.interning import Interner, new_seed
from pcapkit.kernels.jit import kernel
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.schema import ABSENT, QR, Ids, Rows


def open_captures(
    parts: Sequence[Part], interners: Interners, limits: Limits = DEFAULTS
) -> Iterator[Capture]:
    """Yield the captures that the parts make up, each to be read before the next.

    Raises InputError where parts are missing or damaged.
    """
    chains = captures_of(parts)
    seed = new_seed()  # one: connections that go on in the next capture are known by it
    for number, chain in enumerate(chains):
        capture = _open(chain, interners, seed, limits)
        if number + 1 < len(chains) and chains[number + 1][0].facts.of_packets:
            capture.followed_at = chains[number + 1][0].facts.begins
        yield capture


def _open(chain: Sequence[Part], interners: Interners, seed: int, limits: Limits) -> Capture:
    first = chain[0].facts
    capture = Capture(first.path, first.format, first.compression, iter(()), limits=limits)
    last = chain[-1].facts  # which was read knowing what stands before it
    capture.has_clock = last.has_clock
    with_packets = [p.facts for p in chain if p.facts.packets] or [last]
    capture.link_types = tuple(sorted({t for facts in with_packets for t in facts.link_types}))
    capture.snaplen = max((p.facts.snaplen or 0 for p in chain), default=0) or None
    capture.of_packets = first.of_packets
    capture.truncated_tail, capture.damage = last.truncated_tail, last.damage
    for part in chain:
        facts = part.facts
        capture.warnings += facts.warnings
        capture.left_out.update(facts.left_out)
        for address, pod in facts.pods.items():
            with damage_named(part.path):
                capture.pods.setdefault(bytes.fromhex(address), pod)
    capture.windows = _windows(chain, interners, capture, seed)
    return capture


def _windows(
    chain: Sequence[Part], interners: Interners, capture: Capture, seed: int
) -> Iterator[Window]:
    ports = frozenset(chain[0].facts.ports)
    numbering = _Numbering(interners, seed)
    own = numbering.own
    decoder = Decoder(own, capture, ports) if capture.of_packets else None
    unreachable = Unreachable()
    before = 0
    for part in chain:
        facts = part.facts
        with part:
            with damage_named(part.path):
                add_noted(capture.noted, facts.noted)
                names = part.intern("names", own.names)
                addresses = part.intern("addresses", own.addresses)
                _add_owners(part, addresses, own)
                for reason, client, server, packets in facts.unreachable:
                    ends = Ends(reason, bytes.fromhex(client), bytes.fromhex(server))
                    unreachable.count(ends, packets)
            for number in range(len(facts.windows)):
                with damage_named(part.path):
                    window = part.window(number)
                _renumber(window, before, names, addresses)
                window.unreachable = unreachable.take()
                capture.bytes_read = facts.bytes_read
                for whole in (window,) if decoder is None else decoder.go_on(window):
                    yield numbering.window(whole)
        capture.bytes_read = facts.bytes_read
        before += facts.packets
    for last in () if decoder is None else decoder.finish():
        yield numbering.window(last)
    numbering.end()


class _Numbering:
    """Gives names and addresses their ids in the order of the messages, as reading packets does.

    What parts hold, and what their kept packets are decoded to, has ids of its ``own``.
    """

    def __init__(self, interners: Interners, seed: int) -> None:
        self._interners = interners
        self.own = Interners(Interner(IDENTITY, seed), Interner(IDENTITY, seed))
        self._names, self._addresses = np.zeros(0, np.int32), np.zeros(0, np.int32)

    def window(self, window: Window) -> Window:
        """Return a window with ids of the analysis."""
        rows, own, shared = window.messages, self.own, self._interners
        self._names, may_be_new = _grown(self._names, own.names)
        if may_be_new:
            _know(rows["qname"], self._names, own.names, shared.names)
        self._addresses, may_be_new = _grown(self._addresses, own.addresses)
        if may_be_new:
            is_response = rows["flags"] & QR != 0
            ends = np.empty((rows.size, 2), np.int32)
            ends[:, 0] = np.where(is_response, rows["server"], rows["client"])
            ends[:, 1] = np.where(is_response, rows["client"], rows["server"])
            for ids in (ends.reshape(-1), rows["owner"]):
                _know(ids, self._addresses, own.addresses, shared.addresses)
        map_ids(rows, self._names, self._addresses)
        return window

    def end(self) -> None:
        """Say what is known of the containers that messages have."""
        for number, owner in self.own.owners.items():
            known_so_far = self._addresses
            if max(number, owner.client) >= known_so_far.size:
                continue
            if known_so_far[number] >= 0 and known_so_far[owner.client] >= 0:
                ids = self._addresses[[number, owner.client]].tolist()
                known = self._interners.owners.setdefault(ids[0], replace(owner, client=ids[1]))
                known.sure |= owner.sure


def _grown(ids: Ids, own: Interner) -> tuple[Ids, bool]:
    """Return ``ids``, the shared id of each own one, for all there are now; is one not known?"""
    if len(own) > ids.size:
        ids = np.concatenate([ids, np.full(len(own) - ids.size, ABSENT, np.int32)])
    return ids, bool((ids < 0).any())


def _know(column: Ids, ids: Ids, own: Interner, shared: Interner) -> None:
    """Let ``ids``, the shared id of each own one, have those in ``column``."""
    new = column[column >= 0]
    new = new[ids[new] < 0]
    if new.size:
        distinct, first = np.unique(new, return_index=True)
        in_order = distinct[np.argsort(first)]
        ids[in_order] = shared.add_all(*own.take(in_order))


def _add_owners(part: Part, addresses: Ids, interners: Interners) -> None:
    for o in part.facts.owners:
        if not (0 <= o.number < addresses.size and 0 <= o.client < addresses.size):
            raise ValueError("a container has no such address")
        client = int(addresses[o.client])
        known = Owner(client, o.namespace, o.pod, o.container, o.container_id)
        owner = interners.owners.setdefault(int(addresses[o.number]), known)
        owner.sure |= o.sure


def _renumber(window: Window, before: int, names: Ids, addresses: Ids) -> None:
    """Let a window follow so many packets, with the ids of this analysis."""
    rows = window.messages
    map_ids(rows, names, addresses)
    rows["packet_no"] += before
    first, last = window.numbers
    window.numbers = (first + before, last + before) if last else (before, before)
    if window.kept is not None:
        window.kept.records["number"] += before


@kernel
def map_ids(rows: Rows, names: Ids, addresses: Ids) -> None:
    """Replace the ids in ``rows`` (MESSAGE, in place) by those that stand at them.

    ``names`` and ``addresses`` (int32) are the new ids by the old ones. Those that are absent, or
    beyond the tables, stay as they are.
    """
    for i in range(rows.shape[0]):
        row = rows[i]
        if 0 <= row["qname"] < names.shape[0]:
            row["qname"] = names[row["qname"]]
        if 0 <= row["client"] < addresses.shape[0]:
            row["client"] = addresses[row["client"]]
        if 0 <= row["server"] < addresses.shape[0]:
            row["server"] = addresses[row["server"]]
        if 0 <= row["owner"] < addresses.shape[0]:
            row["owner"] = addresses[row["owner"]]
