"""Exchanges are unpacked as they were packed."""

from __future__ import annotations

import numpy as np
import pytest

from pcapkit.analysis.exchanges.packing import (
    BATCH,
    PACKED_MOST,
    Filling,
    Found,
    Ordered,
    PackScratch,
    Stretches,
    find_stretches,
    pack,
    unpack,
)
from pcapkit.schema import EXCHANGE

#: What does not use all the values of its type.
TOP = {"transport": 1, "outcome": 6, "aa": 2, "tc": 1, "marks": 3, "soa": 31}
CLIENTS = 9
BLANK = np.zeros(1, EXCHANGE)


def some_rows(count: int, *, wild: bool) -> np.ndarray:
    """Exchanges with any values at all, or with a few near to one another."""
    random = np.random.default_rng(count)
    rows = np.zeros(count, EXCHANGE)
    for name in EXCHANGE.names:
        kind = np.iinfo(EXCHANGE[name])
        low, high = (kind.min, kind.max) if wild else (max(kind.min, -2), 300)
        high = min(high, kind.max, TOP.get(name, kind.max))
        rows[name] = random.integers(low, high, count, EXCHANGE[name], endpoint=True)
        ends = random.random(count) < 0.2
        rows[name][ends] = random.choice(np.array([max(low, kind.min), high]), int(ends.sum()))
    rows["client"] = random.integers(0, CLIENTS, count)
    return rows


def words(rows: np.ndarray) -> np.ndarray:
    return rows.view(np.uint64).reshape(rows.size, -1)


def packed(rows: np.ndarray, order: np.ndarray, first: int, size: int) -> tuple[Stretches, bytes]:
    """Pack all of the rows with a buffer of some bytes; return the stretches and the bytes."""
    stretches = Stretches(np.zeros(CLIENTS, np.int32), np.zeros(CLIENTS + 1, np.int64))
    out, done, used, whole = np.zeros(size, np.uint8), 0, 0, b""
    batch = np.ones(BATCH + 1, EXCHANGE)
    scratch = PackScratch(batch, words(batch))
    ordered = Ordered(words(rows), first, order)
    while done < order.size:
        done, got, used = pack(ordered, done, scratch, out, len(whole), stretches, used)
        assert got <= size
        whole += out[:got].tobytes()
    return Stretches(stretches.clients[:used], stretches.ends[: used + 1]), whole


@pytest.mark.parametrize("wild", [False, True])
@pytest.mark.parametrize(("size", "first"), [(BATCH * PACKED_MOST, 0), (4000, 77), (1 << 20, 100)])
def test_unpacked_is_what_was_packed(*, wild: bool, size: int, first: int) -> None:
    ring = some_rows(128, wild=wild)
    rows = np.roll(ring, -first)
    order = np.argsort(rows["client"], kind="stable").astype(np.int32)
    stretches, whole = packed(ring, order, first, size)
    assert stretches.clients.tolist() == sorted(set(rows["client"].tolist()))
    wanted = np.array([1, 4, 5, 8], np.int32)
    mine = [rows[rows["client"] == address] for address in wanted]
    bounds = np.append(0, np.cumsum([m.size for m in mine]))
    found = Found(*(np.zeros(4, kind) for kind in (np.int32, np.int32, np.int64, np.int64)))
    reads = np.zeros((4, 2), np.int64)
    count, pieces, total = find_stretches(
        stretches, wanted, np.arange(4, dtype=np.int32), found, reads
    )
    assert (count, pieces) == (4, 3)  # 4 and 5 are neighbours
    data = b"".join(whole[begin:stop] for begin, stop in reads[:pieces].tolist())
    assert len(data) == total
    out = np.zeros(int(bounds[-1]), EXCHANGE)
    spare = np.frombuffer(data + bytes(PACKED_MOST), np.uint8)
    filling = Filling(bounds, bounds[:-1].copy(), np.zeros(4, np.uint8))
    assert unpack(spare, found, count, filling, BLANK, out)
    assert filling.nexts.tolist() == bounds[1:].tolist()
    for field in EXCHANGE.names:
        assert out[field].tolist() == np.concatenate(mine)[field].tolist(), field
    assert filling.late.tolist() == [int((np.diff(m["query_time"]) < 0).any()) for m in mine]


def test_what_is_cut_short_is_seen() -> None:
    rows = some_rows(128, wild=True)
    order = np.argsort(rows["client"], kind="stable").astype(np.int32)
    stretches, whole = packed(rows, order, 0, 1 << 20)
    ends = stretches.ends
    found = Found(np.zeros(1, np.int32), np.zeros(1, np.int32), ends[:1], ends[1:2])

    def is_whole(data: bytes, rows: np.ndarray) -> bool:
        filling = Filling(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.uint8))
        spare = np.frombuffer(data + bytes(PACKED_MOST), np.uint8)
        return bool(unpack(spare, found, 1, filling, BLANK, rows))

    assert is_whole(whole, np.zeros(128, EXCHANGE))
    assert not is_whole(whole[: int(ends[1]) // 2], np.zeros(128, EXCHANGE))
    assert not is_whole(whole, np.zeros(1, EXCHANGE))  # more than there is space for
