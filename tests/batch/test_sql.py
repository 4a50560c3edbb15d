"""SQL over the tables of captures and over a history, through the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pcapkit.batch.history.runs import add_run
from tests import build
from tests.batch.history.nights import capture, failed, workload

pytest.importorskip("duckdb")
ROOT = Path(__file__).resolve().parents[2]
W1 = str(ROOT / "captures/lab/whatif_w1_glibc_ndots5.pcap")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from pcapkit.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "sql", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


def rows(*arguments: str) -> list[dict[str, str]]:
    done = run(*arguments, "--format", "csv")
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def test_tables_of_a_capture() -> None:
    (row,) = rows(
        """select (select count(*) from messages) m, (select count(*) from transactions) t,
        (select sum(queries) from Lookups) q, (select sum(queries) from clients) c,
        (select sum(queries) from "names") n, (select count(*) from what_if where observed) w""",
        W1,
    )
    assert row["t"] == row["q"] == row["c"] == row["n"] == "242"
    assert row["m"] == "484" and row["w"] != "0"


def test_times_keep_their_nanoseconds_and_may_be_reckoned_with() -> None:
    query = "select start_time, epoch_ns(end_time) - epoch_ns(start_time) as ns, duration_s"
    (row,) = rows(f"{query} from lookups limit 1", W1)
    assert row["start_time"] == "2026-11-23T06:14:22.995770000Z"
    assert int(row["ns"]) == round(1e9 * float(row["duration_s"]))


def test_forms() -> None:
    query = "select [1, null] l, {'a': 'x'} s, 1.5::decimal(4, 2) d, true b, '=1' f, null z, 1 l"
    done = run(query, W1, "--format", "jsonl")
    assert json.loads(done.stdout) == {
        "l": [1, None],
        "s": {"a": "x"},
        "d": 1.5,
        "b": True,
        "f": "=1",
        "z": None,
        "l_2": 1,
    }
    (row,) = rows(query, W1)
    assert row["f"] == "'=1" and row["s"] == '{"a": "x"}' and row["z"] == ""
    done = run("select qname, count(*) as n from transactions group by all limit 2", W1)
    assert done.stdout.splitlines()[0].split() == ["qname", "n"]
    assert len(done.stdout.splitlines()) == 3


def test_names_from_the_wire_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(Path(W1).read_bytes())
    done = run("select chr(27) || '[31m' || base_name as x from lookups limit 1", str(path))
    assert "\x1b" not in done.stdout and "[31m" in done.stdout
    done = run("select chr(27) as x", str(path), "--format", "jsonl")
    assert "\x1b" not in done.stdout and json.loads(done.stdout) == {"x": "\x1b"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select *\nfrm lookups", "query, line 2, at 'lookups': Parser Error"),
        ("select nope from lookups", "query, line 1, at 'nope from lookups': Binder Error"),
        ("select * from lookup", "at 'lookup': Catalog Error"),
        ("select 1; select 2", "2 statements; give one"),
        ("", "0 statements"),
        ("create table x as select 1", "CREATE does more than read"),
        ("set threads = 1", "SET does more than read"),
        ("select * from read_csv('{file}')", "disabled by configuration"),
        ("select * from read_text('{file}')", "disabled by configuration"),
        ("select * from '{file}'", "disabled by configuration"),
        ("select * from glob('{file}')", "disabled by configuration"),
        ("copy lookups to '{file}.out'", "COPY does more than read"),
        ("attach '{file}.db'", "ATTACH does more than read"),
        ("install httpfs", "does more than read"),
        ("select * from tables", "Catalog Error"),  # a variable of the program
    ],
)
def test_what_a_query_may_not(tmp_path: Path, query: str, said: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a,b\n1,2\n")
    done = run(query.replace("{file}", str(file)), W1)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["secret.csv"]


def test_unsafe_queries_reach_files(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    done = run(f"copy (select count(*) as n from lookups) to '{out}'", W1, "--unsafe")
    assert done.returncode == 0 and out.read_text() == "n\n45\n"
    assert rows(f"select n from '{out}'", W1, "--unsafe") == [{"n": "45"}]


def test_only_tables_that_are_named_are_made(tmp_path: Path) -> None:
    """A capture that cannot be read shows that it was not."""
    damaged = tmp_path / "a.pcap"
    damaged.write_bytes(build.pcap([])[:10])
    assert rows("select 1 as one", W1) == [{"one": "1"}]
    done = run("select count(*) from lookups", str(damaged))
    assert done.returncode == 2 and "a.pcap" in done.stderr


def test_a_query_in_a_query_is_seen() -> None:
    assert rows("select count(*) as n from query('from messages')", W1) == [{"n": "484"}]
    (first, *_) = rows("pivot transactions on outcome using count(*) group by qtype", W1)
    assert first["qtype"] == "A"


def test_duckdb_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "duckdb.py").write_text("raise ImportError('no duckdb')")
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = run("select 1", W1, PYTHONPATH=path)
    assert done.returncode == 2 and "pcapkit-dns[sql]" in done.stderr


# ---- a history ----------------------------------------------------------------------------------


@pytest.fixture
def history(tmp_path: Path) -> str:
    for day in range(3):
        add_run(
            tmp_path,
            [
                capture(
                    day,
                    [
                        workload("web", 100, 400 + 40 * day, 200),
                        workload(None, 10, 20, client_addr="10.0.0.7"),
                    ],
                    path=f"night{day}.pcap",
                ),
                failed("broken.pcap", "broken.pcap: there are no bytes"),
            ],
        )
    return str(tmp_path)


def test_views_of_a_history(history: str) -> None:
    runs = rows("from runs", "--history", history)
    assert [r["run_time"][:10] for r in runs] == ["2026-05-27", "2026-05-28", "2026-05-29"]
    keys = ("captures", "failed", "workloads", "lookups", "queries", "wasted_queries")
    assert [runs[0][k] for k in keys] == ["2", "1", "1", "110", "420", "200"]
    assert float(runs[0]["share"]) == pytest.approx(200 / 420)
    captures = rows("select path, error_kind from captures limit 2", "--history", history)
    assert captures == [
        {"path": "broken.pcap", "error_kind": "empty"},
        {"path": "night0.pcap", "error_kind": ""},
    ]
    trend = rows("from trend where workload = 'web'", "--history", history)
    assert [r["queries_per_lookup"] for r in trend] == ["4.0", "4.4", "4.8"]
    assert [r["change"][:4] for r in trend] == ["", "0.10", "0.09"]
    assert float(trend[0]["share_low"]) < 0.5 < float(trend[0]["share_high"])
    count = rows("select count(*) n, count(client_addr) c from workloads", "--history", history)
    assert count == [{"n": "6", "c": "3"}]


def test_bad_files_of_a_history_are_said(history: str) -> None:
    bad = Path(history, "history/v1/date=2026-05-27/torn.parquet")
    bad.write_bytes(b"PAR1")
    done = run("select count(*) from runs", "--history", history)
    assert done.returncode == 0 and "torn.parquet" in done.stderr and "left out" in done.stderr


def test_a_folder_without_a_history_is_an_error(tmp_path: Path) -> None:
    done = run("from runs", "--history", str(tmp_path))
    assert done.returncode == 2 and "history/v1" in done.stderr
    assert run("select 1").returncode == 2
    assert run("select 1", W1, "--history", str(tmp_path)).returncode == 2


def test_an_old_file_beside_new_ones(history: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(history, "history/v1/date=2026-01-01")
    folder.mkdir()
    old = {"capture": ["o"], "workload": ["web"], "complete_lookups": [5], "complete_queries": [9]}
    pq.write_table(pa.table(old), folder / "old.parquet")
    first = rows("select run, run_time, lookups from runs", "--history", history)[0]
    assert first == {"run": "old", "run_time": "2026-01-01T00:00:00.000000000Z", "lookups": ""}
    assert rows("from trend", "--history", history)[0]["complete_queries"] == "9"
