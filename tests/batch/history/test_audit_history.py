"""``audit --history`` adds a run to the output folder; later ones are added beside it."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

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


def later(capture: Path, days: int) -> bytes:
    """Return a classic pcap with all of its packets so many days later."""
    data = bytearray(capture.read_bytes())
    assert data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")
    at = 24
    while at < len(data):
        seconds, _, size = struct.unpack_from("<III", data, at)
        struct.pack_into("<I", data, at, seconds + 86_400 * days)
        at += 16 + size
    return bytes(data)


def test_a_gate_is_held_against_the_nights_before(tmp_path: Path) -> None:
    usual, more = LAB / "whatif_w1_glibc_ndots2.pcap", Path(GLIBC)
    captures, out = tmp_path / "captures", tmp_path / "out"
    captures.mkdir()
    audit = ("audit", str(captures), "-o", str(out), "--format", "json", "-q", "--history")
    rules = ("--fail-on", "queries>+5%, new_waste")
    for day in range(5):
        (captures / f"night{day}.pcap").write_bytes(later(usual, day))
        done = run(*audit, *rules)
        assert done.returncode == 0, done.stderr
    (captures / "night5.pcap").write_bytes(later(more, 5))
    for _ in range(2):  # asked again it says the same
        done = run(*audit, *rules)
        assert done.returncode == 1, done.stderr
        assert b"queries>+5%" in done.stderr
    days = [run.day for run in read_history(out).runs]
    assert days == sorted(days) and len(days) == 6
    done = run("compare", f"history:{out}@{days[0]}", f"history:{out}", "--json")
    queries = json.loads(done.stdout)["subjects"][0]["measures"][0]
    assert queries["before"]["value"] == pytest.approx(166 / 45)
    assert queries["after"]["value"] == pytest.approx(242 / 45)


def test_new_waste_is_not_judged_where_too_few_nights_came_before(tmp_path: Path) -> None:
    captures, out = tmp_path / "captures", tmp_path / "out"
    captures.mkdir()
    audit = ("audit", str(captures), "-o", str(out), "--format", "json", "-q", "--history")
    for day in range(5):
        (captures / f"night{day}.pcap").write_bytes(later(LAB / "whatif_w1_glibc_ndots2.pcap", day))
        found = tmp_path / f"junit{day}.xml"
        done = run(*audit, "--fail-on", "new_waste", "--junit", str(found))
        assert done.returncode == 0, done.stderr
        assert ("<skipped" in found.read_text()) == (day < 4), day
