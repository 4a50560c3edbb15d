"""Hash tables have seeds that nobody can guess, and nothing that is written depends on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from pcapkit.kernels.hashing import hash_bytes
from tests import build

_RUN = "import sys; from pcapkit.cli.main import main; sys.argv[0] = 'pcapkit'; main()"


def test_processes_with_other_seeds_write_the_same_bytes(tmp_path: Path) -> None:
    """Each process takes random seeds for its kernels; Python's own are given here."""
    names = [f"n{n}.example{n % 7}.com" for n in range(400)]
    frames = [
        build.ethernet(
            build.ipv4(build.udp(build.query(name, ident=n), 4000 + n), f"10.1.0.{n % 9}")
        )
        for n, name in enumerate(names)
    ]
    capture = build.save(tmp_path, build.pcap(build.packets(*frames)))
    written = []
    for seed in ("0", "1", "4711"):
        out = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", _RUN, "analyze", capture, "-q", "-o", str(out)]
            + ["--format", "html,json,csv,md"],
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
        )
        files = sorted(p for p in out.rglob("*") if p.is_file())
        assert {p.suffix for p in files} >= {".html", ".json", ".csv", ".md"}
        written.append({str(p.relative_to(out)): p.read_bytes() for p in files})
    assert written[0] == written[1] == written[2]


def test_names_that_collide_under_one_seed_do_not_under_another() -> None:
    """Who knows no seed cannot make names that all have one slot."""
    slots, wanted = 1 << 10, 64
    buffer = np.zeros(16, np.uint8)

    def slot(name: bytes, seed: int) -> int:
        buffer[: len(name)] = np.frombuffer(name, np.uint8)
        with np.errstate(over="ignore"):  # the products run over, as they are to
            return int(hash_bytes(buffer, 0, len(name), np.uint64(seed))) % slots

    made = (b"\x0c%012x\0" % n for n in range(1 << 20))
    crafted: list[bytes] = []
    for name in made:
        if slot(name, 0x14057B7EF767814F) == 0:
            crafted.append(name)
            if len(crafted) == wanted:
                break
    assert len(crafted) == wanted
    for seed in (0x5851F42D4C957F2D, 0xD1342543DE82EF95, 12345678901234567890):
        assert len({slot(name, seed) for name in crafted}) > wanted // 2
