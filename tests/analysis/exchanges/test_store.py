"""Exchanges past the bound of memory are read as those within it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcapkit.analysis.exchanges.store import Piece, Store
from pcapkit.pipeline.collect import collect
from pcapkit.pipeline.options import Options
from pcapkit.pipeline.reading import Reading
from pcapkit.spool import Spill

CAPTURES = Path(__file__).resolve().parents[3] / "captures"
MANY = [
    str(CAPTURES / "lab" / name)
    for name in (
        "multi6_any_sll2.pcap",
        "whatif_w1_glibc_ndots5.pcap",
        "fault_truncated_tcp.pcap",
        "whatif_w1_go_ndots5.pcap",
        "concurrent_one_pod.pcap",
        "dual_stack_v4_and_v6_servers.pcap",
        "fault_loss_queries.pcap",
    )
]


@pytest.mark.parametrize("in_memory", [65, 200, 500])
def test_spilling_changes_nothing(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a temporary file, cut anywhere, give the same bytes as memory does."""
    files: list[Spill] = []

    class Noted(Spill):
        def __init__(self) -> None:
            super().__init__()
            files.append(self)

    monkeypatch.setattr("pcapkit.analysis.exchanges.store.Spill", Noted)
    spilled, kept = Store(in_memory=in_memory, remembered=64), Store(remembered=64)
    collected = [collect(MANY, store=store) for store in (spilled, kept)]
    assert len(files) == 1 and files[0].size > 10 * spilled.count
    found = [Reading(each, Options()).analysis() for each in collected]
    assert found[0].to_json() == found[1].to_json()
    assert found[0].chains == found[1].chains
    assert found[0].timeline == found[1].timeline
    assert found[0].lookups.equals(found[1].lookups)
    assert found[0].transactions.equals(found[1].transactions)


@pytest.mark.parametrize(("part", "readers"), [(20, 1), (20, 3), (300, 2)])
def test_parts_and_readers_change_nothing(
    part: int, readers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However clients are split into parts, and however many threads read them: the same bytes."""
    whole = Reading(collect(MANY), Options()).analysis()
    monkeypatch.setattr("pcapkit.analysis.exchanges.store.PART", part)
    monkeypatch.setattr("pcapkit.concurrency.READERS", readers)
    split = Reading(collect(MANY), Options()).analysis()
    assert split.to_json() == whole.to_json()
    assert split.chains == whole.chains
    assert split.timeline == whole.timeline and split.latency == whole.latency
    assert split.lookups.equals(whole.lookups)
    assert split.transactions.equals(whole.transactions)


def test_any_part_of_the_clients_reads_the_same() -> None:
    """Together, alone, every other one, or cut in two: a client has the same exchanges."""
    spilled, kept = Store(in_memory=65, remembered=64), Store()
    for store in (spilled, kept):
        collect(MANY, store=store)
        addresses = [piece.client for piece in store.clients()]
        store.join({addresses[-1]: addresses[1], addresses[3]: addresses[1]})
    pieces = spilled.clients()
    assert pieces == kept.clients() and len(pieces) == len(addresses) - 2
    assert sum(piece.size for piece in pieces) == spilled.count == kept.count
    whole = kept.read(pieces)
    ends = np.cumsum([piece.size for piece in pieces])
    of_each = np.split(whole, ends[:-1])
    for store in (spilled, kept):
        assert store.read(pieces).tolist() == whole.tolist()
        for piece, mine in zip(pieces, of_each, strict=True):
            assert (np.diff(mine["query_time"]) >= 0).all()
            assert store.read([piece]).tolist() == mine.tolist()
            half = piece.size // 2
            parts = [Piece(piece.client, 0, half), Piece(piece.client, half, piece.size - half)]
            assert store.read(parts).tolist() == mine.tolist()
            assert store.read(parts[1:]).tolist() == mine[half:].tolist()
        assert store.read(pieces[::2]).tolist() == np.concatenate(of_each[::2]).tolist()


def test_a_snapshot_stands_still() -> None:
    """What is read while a capture comes in is not changed by what comes later."""
    seen = []

    def watch(collected, reading):
        copy = collected.snapshot(reading)
        seen.append((copy, Reading(copy, Options()).analysis().to_json()))

    whole = collect(MANY, watch=watch)
    assert [Reading(copy, Options()).analysis().to_json() for copy, _ in seen] == [
        text for _, text in seen
    ]
    packets = [copy.packets for copy, _ in seen]
    assert packets == sorted(packets) and packets[-1] == whole.packets
    last = Reading(seen[-1][0], Options()).analysis()
    assert last.to_json() == Reading(whole, Options()).analysis().to_json()
