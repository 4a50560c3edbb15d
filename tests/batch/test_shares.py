"""Shares of an audit: what is missing is noticed, and what is of an earlier run does not count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import LAB, run

NAMES = ("busybox_nslookup.pcap", "multi6_any_sll2.pcap", "no_filter_noise.pcap")


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes((LAB / name).read_bytes())
    return folder


def share(captures: Path, tmp_path: Path, which: str) -> Path:
    out = tmp_path / f"share{which[0]}"
    assert run("audit", str(captures), "-o", str(out), "--shard", which).returncode == 0
    return out


def audited(out: Path, *folders: Path) -> tuple[int, str, list[dict[str, Any]]]:
    done = run("audit", *map(str, folders), "-o", str(out), "--format", "json", "-q")
    rows = json.loads((out / "audit.json").read_text())["captures"]
    return done.returncode, done.stderr.decode(), rows


def test_a_share_that_is_not_there_is_a_failure(captures: Path, tmp_path: Path) -> None:
    first, third = share(captures, tmp_path, "0/3"), share(captures, tmp_path, "2/3")
    status, said, rows = audited(tmp_path / "out", first, third)
    assert status == 3 and "share 1/3: not there; make it with --shard 1/3" in said
    assert [(r["path"], r["error_kind"]) for r in rows if r["error"]] == [("share 1/3", "missing")]
    second = share(captures, tmp_path, "1/3")
    status, _, rows = audited(tmp_path / "all", first, second, third)
    assert status == 0 and len(rows) == 3


def test_a_tally_that_was_lost_is_a_failure(captures: Path, tmp_path: Path) -> None:
    only = share(captures, tmp_path, "0/1")
    lost = sorted((only / "tallies").glob("*.tally"))[0]
    lost.unlink()
    status, said, rows = audited(tmp_path / "out", only)
    assert status == 3 and f"{lost.name}: this tally of a share is not there" in said
    assert len([r for r in rows if r["error"] is None]) == 2


def test_what_vanished_since_counts_no_more(captures: Path, tmp_path: Path) -> None:
    share(captures, tmp_path, "0/1")
    (captures / NAMES[0]).unlink()
    again = share(captures, tmp_path, "0/1")
    assert len(list((again / "tallies").glob("*.tally"))) == 3
    status, said, rows = audited(tmp_path / "out", again)
    assert status == 0 and "left out, as no share has them now: " in said and NAMES[0][:-5] in said
    assert [Path(r["path"]).name for r in rows] == list(NAMES[1:])


def test_another_number_of_shares_takes_the_place_of_the_first(
    captures: Path, tmp_path: Path
) -> None:
    share(captures, tmp_path, "0/2")
    only = share(captures, tmp_path, "0/1")
    status, _, rows = audited(tmp_path / "out", only)
    assert status == 0 and len(rows) == 3


def test_a_damaged_list_is_said(captures: Path, tmp_path: Path) -> None:
    only = share(captures, tmp_path, "0/1")
    (only / "tallies" / "share-0-of-1.json").write_bytes(b'{"number": 0')
    status, said, _ = audited(tmp_path / "out", only)
    assert status == 3 and "share-0-of-1.json: damaged; make that share again" in said
