"""Duplicates and pairs of random messages are those that the rules name."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from pcapkit.analysis.exchanges.store import Store
from pcapkit.ingest.duplicates import DuplicateFilter
from pcapkit.schema import Messages
from tests.twins.duplicates import repeats
from tests.twins.messages import NAMES, messages
from tests.twins.pairing import pair

SETTINGS = settings(max_examples=400, deadline=None, derandomize=True, database=None)


@SETTINGS
@given(rows=messages())
def test_duplicates(rows: Messages) -> None:
    whole = DuplicateFilter()
    assert whole.mark(rows).original.tolist() == repeats(rows)
    windows, half = DuplicateFilter(), rows.size // 2
    halves = windows.mark(rows[:half]), windows.mark(rows[half:])
    assert [*halves[0].original, *halves[1].original] == repeats(rows)
    assert (windows.counts == whole.counts).all()


@SETTINGS
@given(rows=messages())
def test_pairs(rows: Messages) -> None:
    copies = np.array(repeats(rows), np.int64)
    store = Store()
    store.add(rows, copies, np.arange(NAMES, dtype=np.int32), capture=0)
    store.seal()
    found = store.read(store.clients())[["query_packet", "response_packet"]].tolist()
    assert len(found) == len(set(found))
    assert set(found) == pair(rows, copies.tolist())
