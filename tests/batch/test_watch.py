"""Captures taken up as what writes them closes them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pcapkit.batch.finding.catalog import Item
from pcapkit.batch.watch import Closing
from pcapkit.model.audits import Identity
from tests.cli.test_cli import LAB

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


def item(path: str, written_s: float, size: int = 1) -> Item:
    identity = Identity(size, NOW + int(written_s * SECOND), 1, 1)
    return Item((path,), (path,), (identity,))


def closed(closing: Closing, items: list[Item], at_s: float) -> list[str]:
    return [i.path for i in closing.closed(items, at_s, NOW + int(at_s * SECOND))]


def test_a_younger_sibling_closes_a_file() -> None:
    closing = Closing()
    files = [item("/a/dns.pcap", 0), item("/a/dns.pcap1", 5), item("/a/dns.pcap2", 6)]
    assert closed(closing, files, 7) == ["/a/dns.pcap", "/a/dns.pcap1"]
    elsewhere = [item("/a/dns.pcap", 0), item("/b/dns.pcap1", 5), item("/a/web.pcap1", 6)]
    assert closed(Closing(), elsewhere, 7) == []


def test_a_file_that_does_not_change_is_closed() -> None:
    closing = Closing()
    assert closed(closing, [item("/a/x.pcap", 0)], 1) == []
    assert closed(closing, [item("/a/x.pcap", 5, 2)], 6) == []
    assert closed(closing, [item("/a/x.pcap", 5, 2)], 14) == []
    assert closed(closing, [item("/a/x.pcap", 5, 2)], 15) == ["/a/x.pcap"]
    # It goes on.
    assert closed(closing, [item("/a/x.pcap", 16, 3)], 17) == []


def test_another_clock_than_the_systems_closes_files_too() -> None:
    closing = Closing()
    assert closed(closing, [item("/a/x.pcap", 1000)], 1) == []
    assert closed(closing, [item("/a/x.pcap", 1000)], 11) == ["/a/x.pcap"]
    assert closed(Closing(), [item("/a/old.pcap", -100)], 0) == ["/a/old.pcap"]


@contextmanager
def watching(folder: Path, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    code = "from pcapkit.cli.main import main; main()"
    arguments = ["audit", "--watch", str(folder), "-o", str(output), "--format", "json"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(wanted: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not wanted():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def listed(output: Path) -> set[str]:
    if not (output / "audit.json").exists():
        return set()
    found = json.loads((output / "audit.json").read_text())["captures"]
    return {Path(row["path"]).name for row in found}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_rotating_capture_closes_is_taken_up(tmp_path: Path, number: int) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    with watching(folder, out) as process:
        until(lambda: (out / "audit.lock").exists(), process)
        shutil.copy(LAB / "busybox_nslookup.pcap", folder / "dns.pcap0")
        os.utime(folder / "dns.pcap0", ns=(NOW, NOW))
        until(lambda: listed(out) == {"dns.pcap0"}, process)
        shutil.copy(LAB / "wildcard_suffix.pcap", folder / "dns.pcap1")
        with open(folder / "dns.pcap2", "wb") as open_file:
            open_file.write((LAB / "wildcard_suffix.pcap").read_bytes()[:400])
        os.utime(folder / "dns.pcap1", ns=(NOW, NOW))
        until(lambda: listed(out) == {"dns.pcap0", "dns.pcap1"}, process)
        process.send_signal(number)
        printed, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert b"index.html" in printed and b"Traceback" not in said
    assert listed(out) == {"dns.pcap0", "dns.pcap1"} and (out / "index.html").exists()
