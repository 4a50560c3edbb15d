"""Rotated files of one capture are read as one; captures that only look alike stay apart."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from pcapkit.batch.finding.catalog import find_items
from pcapkit.batch.finding.looks import Looks
from tests.build import (
    SECOND,
    START_NS,
    Packet,
    answer,
    ask,
    ethernet,
    pcap,
    pcapng,
    query,
    response,
    save,
)
from tests.cli.test_cli import run

DAY = 86_400 * SECOND


def talk(start: int, seconds: int, *, host: int = 1, step: int = SECOND // 5) -> list[Packet]:
    """Return exchanges of a pod, from ``start`` (ns) on, for a while."""
    out = []
    for k, time in enumerate(range(start, start + seconds * SECOND, step)):
        name = f"host-{k % 7}.pod-{host}.example.com"
        frame = ethernet(ask(query(name, ident=k + 1), ident=k + 1))
        reply = ethernet(answer(response(name, ident=k + 1, rcode=3), ident=k + 9))
        out += [Packet(frame, time), Packet(reply, time + SECOND // 100)]
    return out


def sets_in(folder: Path, **options: bool) -> list[tuple[str, ...]]:
    found = find_items([str(folder)], **options)
    return [tuple(os.path.basename(path) for path in item.paths) for item in found]


def rotate(folder: Path, names: Sequence[str], *, form: str = "pcap", order: int = 1) -> None:
    """Write one talk as files, the first of them in time under the first name."""
    for k, name in enumerate(names):
        packets = talk(START_NS + 60 * k * SECOND, 60)
        save(folder, pcap(packets) if form == "pcap" else pcapng(packets), name)


ROTATED = {
    "tcpdump -C": ["dns.pcap", "dns.pcap1", "dns.pcap2"],
    "tcpdump -C -W, once round": ["dns.pcap08", "dns.pcap09", "dns.pcap00", "dns.pcap01"],
    "many files": [f"dns.pcap{k}" for k in range(8, 13)],
    "tcpdump -G": [f"dns-2026-01-31_23:{minute}:00.pcap" for minute in (57, 58, 59)],
    "tcpdump -G, seconds": [f"web_{1_700_000_000 + 60 * k}.pcap" for k in range(3)],
    "tcpdump -G -C": ["d_20260131-2300.pcap", "d_20260131-2300.pcap1", "d_20260131-2301.pcap"],
    "dumpcap -b": [f"ring_0000{k}_2026013123{k}000.pcapng" for k in (1, 2, 3)],
    "dumpcap -b nametimenum": [f"ring_2026013123{k}000_0000{k}.pcap" for k in (1, 2, 3)],
    "logrotate": ["dns.pcap.3", "dns.pcap.2", "dns.pcap.1"],
}


@pytest.mark.parametrize("names", ROTATED.values(), ids=ROTATED)
@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_rotated_files_are_one_capture(tmp_path: Path, names: list[str], form: str) -> None:
    """In the order of their packets, whatever that of their names; said; not with --no-sets."""
    rotate(tmp_path, names, form=form)
    said: list[str] = []
    (item,) = find_items([str(tmp_path)], say=said.append)
    assert [os.path.basename(path) for path in item.paths] == names
    assert [identity.size for identity in item.identities if identity] == [
        os.path.getsize(path) for path in item.sources
    ]
    assert len(said) == 1 and f"{len(names)} files read as one capture" in said[0]
    assert "--no-sets" in said[0]
    assert len(sets_in(tmp_path, sets=False)) == len(names)


def test_two_sets_and_others_in_one_folder(tmp_path: Path) -> None:
    """Each set for itself."""
    rotate(tmp_path, ["a.pcap0", "a.pcap1"])
    rotate(tmp_path, ["b.pcap0", "b.pcap1"])
    rotate(tmp_path, ["other.pcap"])
    assert sorted(sets_in(tmp_path)) == [
        ("a.pcap0", "a.pcap1"),
        ("b.pcap0", "b.pcap1"),
        ("other.pcap",),
    ]


def test_compressed_and_unfinished_members(tmp_path: Path) -> None:
    """Older files are compressed (tcpdump -z); the newest ends within a record."""
    for k in range(3):
        content = pcap(talk(START_NS + 600 * k * SECOND, 600))
        packed = gzip.compress(content) if k < 2 else content[:-30]
        save(tmp_path, packed, f"dns.pcap{k}" + (".gz" if k < 2 else ""))
    assert sets_in(tmp_path) == [("dns.pcap0.gz", "dns.pcap1.gz", "dns.pcap2")]


def test_long_files_are_known_by_their_ends(tmp_path: Path) -> None:
    """Only the beginning and the end are looked at; payloads full of headers mislead nobody."""
    fake = struct.pack("<IIII", START_NS // SECOND + 9999, 1, 0, 0) * 60
    for k in range(3):
        frames = [
            Packet(ethernet(ask(fake, ident=n + 1)), START_NS + (600 * k + n // 2) * SECOND)
            for n in range(1200)
        ]
        save(tmp_path, pcap(frames), f"dns.pcap{k}")
        assert os.path.getsize(tmp_path / f"dns.pcap{k}") > 1 << 20
    assert sets_in(tmp_path) == [("dns.pcap0", "dns.pcap1", "dns.pcap2")]


@pytest.mark.parametrize("shape", ["pod-{}.pcap", "pod.pcap{}", "pod_0000{}_20260131120000.pcap"])
def test_pods_captured_at_the_same_time_stay_apart(tmp_path: Path, shape: str) -> None:
    """Numbers in names say nothing where the packets overlap."""
    for k in (1, 2, 3):
        save(tmp_path, pcap(talk(START_NS + k * SECOND, 60, host=k)), shape.format(k))
    assert all(len(names) == 1 for names in sets_in(tmp_path))


@pytest.mark.parametrize("pause", [DAY, 3600 * SECOND, 300 * SECOND])
def test_captures_of_several_days_stay_apart(tmp_path: Path, pause: int) -> None:
    """A minute every night, every hour, every five minutes: nobody captured between."""
    for k in range(4):
        packets = pcap(talk(START_NS + k * pause, 60))
        save(tmp_path, packets, f"dns-2026013{k}.pcap")
        save(tmp_path, packets, f"web.pcap{k}")
    assert all(len(names) == 1 for names in sets_in(tmp_path))


def test_consecutive_captures_by_other_names_stay_apart(tmp_path: Path) -> None:
    """No tool numbers rotated files before the suffix, nor in two folders."""
    rotate(tmp_path, ["pod-1.pcap", "pod-2.pcap", "web.pcap", "api.pcap"])
    for k in (1, 2):
        (tmp_path / f"node{k}").mkdir()
        save(tmp_path / f"node{k}", pcap(talk(START_NS + 60 * k * SECOND, 60)), f"dns.pcap{k}")
    assert all(len(names) == 1 for names in sets_in(tmp_path))


def test_other_headers_stay_apart(tmp_path: Path) -> None:
    """One capture has one link type, one snapshot length, one unit of time, one format."""
    packets = [talk(START_NS + 60 * k * SECOND, 60) for k in range(5)]
    save(tmp_path, pcap(packets[0]), "dns.pcap0")
    save(tmp_path, pcap(packets[1], magic=0xA1B23C4D), "dns.pcap1")
    save(tmp_path, pcap(packets[2], big=True), "dns.pcap2")
    save(tmp_path, pcapng(packets[3]), "dns.pcap3")
    save(tmp_path, pcap(packets[4], linktype=113), "dns.pcap4")
    assert len(sets_in(tmp_path)) == 5


def test_names_out_of_turn_stay_apart(tmp_path: Path) -> None:
    """Whatever wrote these in this order, it did not rotate."""
    rotate(tmp_path, [f"dns.pcap{k}" for k in (3, 1, 5, 2, 4)])
    assert len(sets_in(tmp_path)) == 5


@pytest.mark.parametrize(
    "names", [["c.log.2.gz", "c.log.1", "c.log"], ["0.log.20260105-110000", "0.log"]]
)
def test_rotated_logs(tmp_path: Path, names: list[str]) -> None:
    """Lines with times, as the kubelet and logrotate leave them."""
    for k, name in enumerate(names):
        lines = "".join(
            f"2026-01-05T1{k}:{n // 60:02}:{n % 60:02}.123456789Z stdout F [INFO] 10.0.0.7:4{n:04}"
            f' - {n} "A IN host{n}.example.com. udp 50 false 512" NXDOMAIN qr,rd 143 0.0001s\n'
            for n in range(3600)
        ).encode()
        save(tmp_path, gzip.compress(lines) if name.endswith("gz") else lines, name)
    assert sets_in(tmp_path) == [tuple(names)]
    for name in names:
        os.rename(tmp_path / name, tmp_path / f"{name}.old")
    assert all(len(found) == 1 for found in sets_in(tmp_path))


def test_members_that_are_known_are_not_measured_again(tmp_path: Path) -> None:
    """What was seen of a set is kept with the looks; a new member joins it."""
    rotate(tmp_path, ["dns.pcap0", "dns.pcap1"])
    looks = Looks()
    (before,) = find_items([str(tmp_path)], looks=looks)
    assert all(look.measured for _, look in looks.known.values())
    os.chmod(tmp_path / "dns.pcap0", 0o600)  # neither size nor time
    looks.changed = False
    assert find_items([str(tmp_path)], looks=looks) == [before] and not looks.changed
    save(tmp_path, pcap(talk(START_NS + 120 * SECOND, 60)), "dns.pcap2")
    (after,) = find_items([str(tmp_path)], looks=looks)
    assert after.paths[:2] == before.paths and len(after.paths) == 3


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
def test_what_tcpdump_rotates_is_analysed_as_one(tmp_path: Path) -> None:
    """The audit of a set says what the analysis of the whole capture says."""
    whole = save(tmp_path, pcap(talk(START_NS, 3600, step=SECOND // 2)), "whole.pcap")
    ring = tmp_path / "ring"
    ring.mkdir(mode=0o777)
    user = ["-Z", "root"] if os.geteuid() == 0 else []
    command = ["tcpdump", *user, "-r", whole, "-C", "1", "-W", "3", "-w", str(ring / "dns.pcap")]
    subprocess.run(command, check=True, capture_output=True)
    assert len(os.listdir(ring)) == 2
    done = run("audit", str(ring), "-o", str(tmp_path / "out"), "--format", "json")
    assert done.returncode == 0 and b"2 files read as one capture" in done.stderr
    one = json.loads(next((tmp_path / "out").rglob("analysis.json")).read_text())
    plain = json.loads(run("analyze", whole, "--json").stdout)
    assert one["waste"] == plain["waste"] and one["lookups"] == plain["lookups"]
    done = run("audit", str(ring), "-o", str(tmp_path / "two"), "--format", "json", "--no-sets")
    assert len(json.loads((tmp_path / "two" / "audit.json").read_text())["captures"]) == 2
