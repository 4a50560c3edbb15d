"""Tables of long captures: made piece by piece, in the order of the whole."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pcapkit import spool
from pcapkit.analysis.exchanges import store
from pcapkit.pipeline.analyze import table_parts
from pcapkit.pipeline.collect import collect
from pcapkit.pipeline.options import Options
from pcapkit.pipeline.reading import Reading
from pcapkit.report.table_files import write_table
from pcapkit.spool import Runs, Spool
from tests.build import save, table_of

LAB = Path(__file__).resolve().parents[3] / "captures" / "lab"
CAPTURES = [str(LAB / n) for n in ("multi6_any_sll2.pcap", "no_filter_noise.pcap")]
ROW = [("time", np.int64), ("tie", np.int32), ("number", np.int32)]


def written(frames: Iterable[pd.DataFrame], form: str) -> bytes:
    out = io.BytesIO()
    write_table(frames, form, out)
    return out.getvalue()


def test_a_spool_gives_back_what_it_took() -> None:
    rows = np.arange(5_000_000, dtype=np.int64)  # more than is kept in memory
    kept = Spool(np.int64)
    for begin in range(0, rows.size, 1_234_567):
        kept.add(rows[begin : begin + 1_234_567])
    kept.add(rows[:0])
    assert kept.size == rows.size
    assert (kept.read(3, 4_999_999) == rows[3:4_999_999]).all()
    assert kept.read(7, 7).size == 0


@pytest.mark.parametrize("times", [1, 3, 1000, 10**9])
@pytest.mark.parametrize("size", [1, 5000])
def test_merged_runs_are_a_stable_sort_of_all_rows(times: int, size: int) -> None:
    chance = np.random.default_rng(times)
    runs, everything, count = Runs(ROW), [np.zeros(0, ROW)], 0
    for length in (700, 0, 3000, 1, 257, 256):
        rows = np.zeros(length, ROW)
        rows["time"], rows["tie"] = chance.integers(times, size=length), chance.integers(3)
        rows = rows[np.lexsort((rows["tie"], rows["time"]))]
        rows["number"] = np.arange(count, count + length)
        count += length
        runs.add(rows)
        everything.append(rows)
    whole = np.concatenate(everything)
    pieces = list(runs.merged(size))
    assert all(p.size for p in pieces) and len(pieces) > 1
    assert (np.concatenate(pieces) == whole[np.lexsort((whole["tie"], whole["time"]))]).all()


@pytest.mark.parametrize("table", ["lookups", "transactions", "messages"])
def test_pieces_follow_one_another_as_the_whole(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = table_of(CAPTURES, table)
    assert len(whole) > 40
    monkeypatch.setattr(store, "PART", 16)  # every client is read by itself
    monkeypatch.setattr(spool, "_LEAST", 2)
    collected = collect(CAPTURES, keep_messages=True)
    reading = Reading(collected, Options())
    assert len(list(collected.store.clients())) > 3
    for size in (13, 10_000, None):
        frames = list(reading.table_parts(table, size))
        assert (len(frames) > 1) == (size == 13)
        assert written(frames, "jsonl") == written([whole], "jsonl")


def test_a_column_has_one_type_whatever_its_first_rows_hold() -> None:
    frames = [pd.DataFrame({"suffix": [s], "aa": [a]}) for s, a in ((None, None), ("x.", True))]
    back = pd.read_parquet(io.BytesIO(written(frames, "parquet")))
    assert back["aa"].tolist() == [None, True] and back["suffix"].tolist()[1] == "x."
    assert back["suffix"].isna().tolist() == [True, False]
    assert written(frames, "csv") == b"suffix,aa\n,\nx.,true\n"


@pytest.mark.parametrize("table", ["lookups", "transactions", "messages"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_table_without_rows_has_its_columns(tmp_path: Path, table: str, form: str) -> None:
    empty = save(tmp_path, bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    frames, _ = table_parts([empty], table)
    content = written(frames, form)
    if form == "csv":
        assert content.startswith(b"capture,") and content.count(b"\n") == 1
    elif form == "parquet":
        frame = pd.read_parquet(io.BytesIO(content))
        assert not len(frame) and frame.columns[0] == "capture"
    else:
        assert content == b""
