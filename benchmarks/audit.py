#!/usr/bin/env python3
"""Time audits of many captures, and of captures as large as those of nodes.

    audit.py [--count N] [--packets N] [--pods N] [--formats F ...] [--large N] [--keep FOLDER]

Makes N captures (2,000) of about so many packets (1,000) by ``generate.py``, of so many pods each
(3), and audits them in each list of forms (``json``, ``html,json``, ``html,json,png``), then once
more with nothing new. A run over few captures is timed as well, so that the start can be taken off.
--large N: also N captures of 500,000 packets, whose time is held against that of all of them one
after the other, each by one core. Prints a table for README.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
PCAPKIT = "from pcapkit.cli.main import main; main()"
#: Packets of a lookup of ``generate.py``, on average.
PACKETS_A_LOOKUP = 13.6
FEW = 20


def make(folder: Path, count: int, packets: int, pods: int) -> None:
    """Write captures, where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)

    def one(seed: int) -> None:
        path = folder / f"pod-{seed:05}.pcap"
        if not path.exists():
            lookups = str(round(packets / PACKETS_A_LOOKUP))
            command = [sys.executable, HERE / "generate.py", path, lookups]
            more = ["--seed", str(seed), "--pods", str(pods)]
            subprocess.run([*command, *more], check=True, stdout=subprocess.DEVNULL)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, range(1, count + 1)))


def run(*arguments: object) -> tuple[float, float, float]:
    """Run pcapkit; return seconds of wall time and of CPU, and the peak of a process in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [sys.executable, "-c", PCAPKIT, *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, after.ru_maxrss / 1024


def audit(paths: list[Path], folder: Path, formats: str) -> tuple[float, float, float]:
    """Audit into a folder."""
    listed = folder.parent / "paths.txt"
    listed.write_text("\n".join(map(str, paths)))
    return run("audit", "--from-file", listed, "-o", folder, "--format", formats, "-q", "--no-sets")


def small(captures: list[Path], work: Path, formats: str, what: str) -> None:
    """Print the rows of one list of forms."""
    start = min(audit(captures[:FEW], work / f"few{n}", formats)[0] for n in range(3))
    out = work / "out"
    wall, cpu, peak = audit(captures, out, formats)
    rate = (len(captures) - FEW) / (wall - start)
    print(f"| {what}, {formats} | {wall:.1f} | {cpu:.1f} | {peak:.0f} | {rate:.1f} |")
    wall, cpu, peak = audit(captures, out, formats)
    print(f"| the same again, nothing new | {wall:.2f} | {cpu:.2f} | {peak:.0f} | |", flush=True)
    for folder in work.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)


def large(captures: list[Path], work: Path) -> None:
    """Print how long large captures take together, and one after the other."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    alone = sum(
        run("analyze", path, "-o", work / "one", "--format", "json")[0] for path in captures
    )
    os.sched_setaffinity(0, cores)
    wall, cpu, peak = audit(captures, work / "out", "json")
    what = f"{len(captures)} captures of 500,000 packets, json"
    ratio = wall / (alone / len(cores))
    print(f"| {what} | {wall:.1f} | {cpu:.1f} | {peak:.0f} | {len(captures) / wall:.1f} |")
    print(
        f"| of the time on one core each, shared by {len(cores)} | {ratio:.2f} | | | |", flush=True
    )


def main() -> None:
    """Make, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--packets", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=3)
    parser.add_argument("--formats", nargs="*", default=["json", "html,json", "html,json,png"])
    parser.add_argument("--large", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    print("| audit | wall, s | CPU, s | peak, MB | captures/s after the start |")
    print("|---|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        base = options.keep or Path(temporary)
        name = f"{options.count}-of-{options.packets}-pods-{options.pods}"
        if options.count:
            make(base / name, options.count, options.packets, options.pods)
        captures = sorted((base / name).glob("*.pcap"))
        work = Path(temporary, "work")
        work.mkdir()
        what = (
            f"{len(captures):,} captures of {options.packets:,} packets, {options.pods} pods each"
        )
        for formats in options.formats if captures else ():
            small(captures, work, formats, what)
        if options.large:
            make(base / "large", options.large, 500_000, 600)
            large(sorted((base / "large").glob("*.pcap")), work)


if __name__ == "__main__":
    main()
