"""Runs in files: written once, read back, whatever lies beside them."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcapkit.batch.history.runs import add_run, read_history
from pcapkit.batch.history.schema import COLUMNS
from pcapkit.errors import InputError, PcapkitError
from pcapkit.model.audits import Family
from pcapkit.text import shown_path
from tests.batch.history.nights import capture, failed, workload

ROWS = (
    capture(
        0,
        [workload("web", 100, 800, 600), workload(None, 5, 10, client_addr="10.0.0.7")],
        path="b.pcap",
        families=[Family("example.com", 100, 800, 600)],
    ),
    capture(1, [], path="a.pcap"),
    failed("c.pcap", "c.pcap: there are no bytes"),
)


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = add_run(tmp_path, ROWS)
    assert path is not None and re.fullmatch(
        r"history/v1/date=2026-05-28/[0-9a-f]{16}\.parquet", path
    )
    (run,) = read_history(tmp_path).runs
    assert run.day == "2026-05-28" and f"{run.name}.parquet" in path
    assert run.time == ROWS[1].last_time
    # reports and advice belong to the output folder
    b = replace(ROWS[0], report=None, advice=None, saves_queries=0)
    a = replace(ROWS[1], report=None, advice=None, saves_queries=0)
    assert run.rows == (a, b, ROWS[2])


def test_the_same_run_is_one_file(tmp_path: Path) -> None:
    path = add_run(tmp_path, ROWS)
    before = (tmp_path / str(path)).read_bytes()
    assert add_run(tmp_path, ROWS[::-1]) == path
    moved = [replace(row, report="elsewhere/report.html") for row in ROWS]
    assert add_run(tmp_path, moved) == path
    assert [p.read_bytes() for p in tmp_path.rglob("*.parquet")] == [before]
    assert add_run(tmp_path, ROWS[:1]) != path
    assert len(read_history(tmp_path).runs) == 2


def test_captures_without_a_clock_are_of_today(tmp_path: Path) -> None:
    rows = [capture(0, [workload("web", 10, 20)], clock=False)]
    path = add_run(tmp_path, rows)
    (tmp_path / "history/v1/date=2001-01-01").mkdir()
    moved = tmp_path / "history/v1/date=2001-01-01" / Path(str(path)).name
    (tmp_path / str(path)).rename(moved)
    assert add_run(tmp_path, rows) == moved.relative_to(tmp_path).as_posix()  # on any day


def test_captures_that_are_gone_are_left_to_earlier_runs(tmp_path: Path) -> None:
    assert add_run(tmp_path, [replace(row, gone=True) for row in ROWS]) is None
    assert add_run(tmp_path, []) is None
    assert not list(tmp_path.iterdir())


def test_bad_files_are_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / str(add_run(tmp_path, ROWS))
    whole = path.read_bytes()
    path.with_name("torn.parquet").write_bytes(whole[: len(whole) // 2])
    path.with_name("empty.parquet").write_bytes(b"")
    path.with_name("text.parquet").write_bytes(b"no\x1b[31m table")
    pq.write_table(pa.table({"x": [1]}), path.with_name("foreign.parquet"))
    pq.write_table(
        pa.table({"capture": [1], "complete_lookups": ["x"], "complete_queries": [1]}),
        path.with_name("types.parquet"),
    )
    (path.parent / ".half.parquet").write_bytes(b"PAR1")
    (path.parent / "note.txt").write_bytes(b"")
    (path.parent.parent / "date=never").mkdir()
    (path.parent.parent / "date=never" / "x.parquet").write_bytes(whole)
    os.mkfifo(path.with_name("pipe.parquet"))
    history = read_history(tmp_path)
    assert [run.name for run in history.runs] == [path.stem]
    said = {Path(w.split(": ")[0]).name: w for w in history.warnings}
    assert set(said) == {
        "torn.parquet",
        "empty.parquet",
        "text.parquet",
        "foreign.parquet",
        "types.parquet",
        "x.parquet",
    }
    assert "torn" in said["torn.parquet"] and "empty" in said["empty.parquet"]
    assert "capture" in said["foreign.parquet"]
    assert "complete_lookups" in said["types.parquet"]


def test_a_torn_run_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / str(add_run(tmp_path, ROWS))
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    add_run(tmp_path, ROWS)
    assert path.read_bytes() == whole


def test_older_files_have_fewer_columns(tmp_path: Path) -> None:
    folder = tmp_path / "history/v1/date=2026-01-02"
    folder.mkdir(parents=True)
    table = {
        "capture": ["n.pcap", "n.pcap", "m.pcap"],
        "workload": ["web", "api", "web"],
        "complete_lookups": [10, 20, 30],
        "complete_queries": [40, 50, 60],
        "of_tomorrow": [1.5, None, 2.5],
    }
    pq.write_table(pa.table(table), folder / "old.parquet")
    history = read_history(tmp_path)
    assert history.warnings == ()
    (run,) = history.runs
    assert run.name == "old" and run.day == "2026-01-02"
    assert [row.path for row in run.rows] == ["n.pcap", "m.pcap"]
    web, api = run.rows[0].workloads
    assert (web.workload, web.complete_lookups, web.complete_queries) == ("web", 10, 40)
    assert (api.namespace, api.p95_s, api.faults, api.wasted_queries) == (None, None, (), 0)


def test_every_column_is_described(tmp_path: Path) -> None:
    path = tmp_path / str(add_run(tmp_path, ROWS))
    schema = pq.read_schema(path)
    assert schema.names == [c.name for c in COLUMNS]
    assert schema.metadata[b"pcapkit_schema"] == b"pcapkit.history/1"
    assert all(field.metadata[b"description"] for field in schema)


def test_no_secret_is_kept(tmp_path: Path) -> None:
    url = "https://me:word@host/a.pcap?X-Amz-Signature=abc"
    rows = [failed(url, f"{url}: cannot be read"), capture(0, [], path=url)]
    data = (tmp_path / str(add_run(tmp_path, rows))).read_bytes()
    (run,) = read_history(tmp_path).runs
    shown = shown_path(url)
    assert {row.path for row in run.rows} == {shown}
    assert f"{shown}: cannot be read" in [row.error for row in run.rows]
    assert b"word" not in data and b"abc" not in data


def test_names_of_files_are_any_bytes(tmp_path: Path) -> None:
    rows = [capture(0, [], path="\udce9\n\x1b.pcap")]
    add_run(tmp_path, rows)
    (run,) = read_history(tmp_path).runs
    assert run.rows[0].path == "\\xe9\n\x1b.pcap"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "history").write_bytes(b"")
    with pytest.raises(InputError, match="history"):
        add_run(tmp_path, ROWS)


def test_an_unknown_kind_of_place_is_refused() -> None:
    with pytest.raises(PcapkitError, match="nowhere://") as refused:
        add_run("nowhere://me:secret@host/x", ROWS)
    assert "secret" not in str(refused.value)


def test_old_days_are_read_only_where_they_are_wanted(tmp_path: Path) -> None:
    for day in (0, 50, 200):
        add_run(tmp_path, [capture(day, [workload("web", 10, 20)])])
    assert [run.day for run in read_history(tmp_path).runs] == ["2026-12-13"]
    assert [run.day for run in read_history(tmp_path, days=151).runs] == [
        "2026-07-16",
        "2026-12-13",
    ]
    assert len(read_history(tmp_path, days=None).runs) == 3


def test_runs_over_the_same_captures_stand_in_the_order_in_which_they_were_made(
    tmp_path: Path,
) -> None:
    made = []
    for n in range(6):  # names are hashes: some order of them would not be this one
        rows = [replace(row, queries=row.queries + n) for row in ROWS]
        made.append(Path(str(add_run(tmp_path, rows))).stem)
    assert made != sorted(made)
    history = read_history(tmp_path)
    assert [run.name for run in history.runs] == made
    assert [run.number for run in history.runs] == [1, 2, 3, 4, 5, 6]


def test_a_run_of_an_older_version_has_no_number_and_comes_first(tmp_path: Path) -> None:
    newer = tmp_path / str(add_run(tmp_path, ROWS))
    table = pq.read_table(newer)
    named = table.set_column(0, "run", pa.array(["f" * 16] * len(table)))
    pq.write_table(named.drop_columns(["run_number"]), newer.with_name("ffffffffffffffff.parquet"))
    assert [(r.name, r.number) for r in read_history(tmp_path).runs] == [
        ("f" * 16, 0),
        (newer.stem, 1),
    ]
