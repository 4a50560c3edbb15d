"""``audit --history`` adds a run to the output folder; later ones are added beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from pcapkit.batch.history.runs import read_history
from tests.cli.test_cli import GLIBC, LAB, run


def test_audits_add_their_runs(tmp_path: Path) -> None:
    captures, out = tmp_path / "captures", tmp_path / "out"
    captures.mkdir()
    shutil.copy(GLIBC, captures / "one.pcap")
    (captures / "two.pcap").write_bytes(b"")
    audit = ("audit", str(captures), "-o", str(out), "--format", "json", "-q")
    assert run(*audit).returncode == 3
    assert not (out / "history").exists()
    for _ in range(2):
        assert run(*audit, "--history").returncode == 3
    shutil.copy(LAB / "whatif_w1_glibc_ndots2.pcap", captures / "three.pcap")
    assert run(*audit, "--history").returncode == 3
    runs = read_history(out, days=None).runs
    assert sorted(len(run.rows) for run in runs) == [2, 3]
    rows = {Path(row.path).name: row for run in runs for row in run.rows}
    assert rows["one.pcap"].wasted_queries == 152 and rows["two.pcap"].error is not None
    assert {f.family: f.wasted_queries for f in rows["one.pcap"].families}["github.com"] == 18
    assert sum(f.wasted_queries for f in rows["one.pcap"].families) == 152
