#!/usr/bin/env python3
"""Time first runs: with no kernels kept, with kernels of another CPU, and from a release wheel.

    python benchmarks/first.py [--wheel FOLDER] [--runs N] [--log] [CAPTURE]

FOLDER is what ``deploy/install.sh`` made; without it, first runs of a source install are timed
alone. ``--log`` times them on a log of CoreDNS, which needs other kernels. Prints a table: medians
of whole processes, and wall times relative to the second run of the same round.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SMALL = HERE.parent / "captures" / "lab" / "whatif_w1_glibc_ndots5.pcap"
SECOND = "second run"


def timed(command: list[str], cache: Path, **environment: str) -> tuple[float, float]:
    """Return the wall and CPU seconds of one analysis that keeps its kernels in a folder."""
    known = os.environ | environment | {"NUMBA_CACHE_DIR": str(cache)}
    with tempfile.TemporaryDirectory() as out:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run(
            [*command, "-o", out, "--quiet"], env=known, check=True, stdout=subprocess.DEVNULL
        )
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def measured(capture: Path, wheel: Path | None) -> dict[str, tuple[float, float]]:
    """Return a round: what ran, and its wall and CPU seconds."""
    source = [str(Path(sys.executable).with_name("pcapkit")), "analyze", str(capture)]
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        out["first run, source install"] = timed(source, cache / "own")
        out[SECOND] = timed(source, cache / "own")
        timed(source, cache / "generic", NUMBA_CPU_NAME="generic")
        out["first run, kernels of another CPU"] = timed(source, cache / "generic")
        if wheel:
            shipped = [str(wheel / "bin" / "pcapkit"), "analyze", str(capture)]
            out["first run, release wheel"] = timed(shipped, cache / "none")
            out["second run, release wheel"] = timed(shipped, cache / "none")
    return out


def main() -> None:
    """Measure what the command line asks for."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("capture", nargs="?", type=Path, default=SMALL)
    options.add_argument("--wheel", type=Path, metavar="FOLDER")
    options.add_argument("--log", action="store_true")
    options.add_argument("--runs", type=int, default=3)
    o = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if o.log:
            o.capture = Path(folder) / "coredns.log"
            make = [sys.executable, str(HERE / "generate_lines.py"), "plain", "2000"]
            subprocess.run([*make, str(o.capture)], check=True)
        rounds = [measured(o.capture, o.wheel) for _ in range(o.runs)]
    print("| run | wall, s | CPU, s | wall, of a second run's |\n|---|--:|--:|--:|")
    for what in rounds[0]:
        wall, cpu = (statistics.median(r[what][n] for r in rounds) for n in (0, 1))
        ratio = statistics.median(r[what][0] / r[SECOND][0] for r in rounds)
        print(f"| {what} | {wall:.2f} | {cpu:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
