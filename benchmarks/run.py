#!/usr/bin/env python3
"""Time pcapkit beside its peers on generated captures, interleaved, and write a table and a chart.

    python benchmarks/run.py                     # 2.5 million packets, 3 runs each
    python benchmarks/run.py --sizes 0.1 2.5 25  # millions of packets
    python benchmarks/run.py --only pcapkit tshark --shapes pod-like gzip

A run is a whole process: start, decode, analysis and, for pcapkit, the HTML and PNG report. Each
round runs every program once, so that a slow minute of the machine hits all of them. Programs that
are not installed are left out and named. Figures: wall and CPU seconds (median, spread), the
largest resident size, packets per second, and wall time relative to pcapkit. Captures and results
are kept in ``benchmarks/out/``, which is ignored by git.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
PACKETS_PER_LOOKUP = 11.442  # of the generator, at its defaults

PCAPKIT = str(Path(sys.executable).with_name("pcapkit"))

DPKT = """
import sys, dpkt, collections
names = collections.Counter()
for _, frame in dpkt.pcap.Reader(open(sys.argv[1], 'rb')):
    udp = dpkt.ethernet.Ethernet(frame).data.data
    if isinstance(udp, dpkt.udp.UDP):
        for q in dpkt.dns.DNS(udp.data).qd:
            names[q.name] += 1
"""
SCAPY = """
import sys, collections
from scapy.layers.dns import DNSQR
from scapy.layers.l2 import Ether
from scapy.utils import PcapReader
names = collections.Counter(p[DNSQR].qname for p in PcapReader(sys.argv[1]) if DNSQR in p)
"""


@dataclass(frozen=True)
class Program:
    """One program: its nearest job, its command (``{}`` is the capture), and what it can take."""

    name: str
    job: str
    command: tuple[str, ...]
    needs: str
    reads_gzip: bool = False
    most_packets: float = 1e12


PROGRAMS = (
    Program("pcapkit", "lookups, waste, what-if, HTML and PNG report",
            (PCAPKIT, "analyze", "{}", "-o", str(OUT / "reports"), "-q"), PCAPKIT, True),
    Program("dnstop", "count names", ("dnstop", "-l", "4", "{}"), "dnstop"),
    Program("dnscap", "print messages", ("dnscap", "-r", "{}", "-g"), "dnscap"),
    Program("tcpdump", "print lines", ("tcpdump", "-nr", "{}"), "tcpdump"),
    Program("tshark", "DNS statistics", ("tshark", "-q", "-z", "dns,tree", "-r", "{}"), "tshark",
            True),
    Program("dpkt", "count names", (sys.executable, "-c", DPKT, "{}"), "python:dpkt",
            most_packets=3e5),
    Program("Scapy", "count names", (sys.executable, "-c", SCAPY, "{}"), "python:scapy",
            most_packets=2e5),
)  # fmt: skip

#: shape -> options of the generator, for captures of the same number of packets
SHAPES: dict[str, tuple[str, ...]] = {
    "pod-like": (),
    "unique names": ("--unique-names",),
    "TCP-heavy": ("--tcp", "0.3"),
    "four copies": ("--copies", "4"),
    "99 % noise": ("--noise", "0.99"),
    "gzip": (),
}
#: How many of the packets a lookup makes there, relative to the plain shape.
_SCALE = {"four copies": 4.0, "99 % noise": 100.0, "TCP-heavy": 1.0}


def capture(shape: str, millions: float) -> tuple[Path, int]:
    """Generate a capture once; return its path and its number of packets."""
    lookups = max(1, round(millions * 1e6 / PACKETS_PER_LOOKUP / _SCALE.get(shape, 1.0)))
    stem = f"{shape.replace(' ', '-').replace('%', 'percent')}-{millions:g}m"
    path, told = OUT / f"{stem}.pcap", OUT / f"{stem}.json"
    if not told.exists():
        command = [sys.executable, str(HERE / "generate.py"), str(path), str(lookups)]
        truth = subprocess.run([*command, *SHAPES[shape]], stdout=subprocess.PIPE, check=True)
        if shape == "gzip":
            with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb", compresslevel=6) as packed:
                shutil.copyfileobj(plain, packed, 1 << 20)
            path.unlink()
        told.write_bytes(truth.stdout)
    packets = json.loads(told.read_text())["packets"]
    return (Path(f"{path}.gz") if shape == "gzip" else path), packets


@dataclass(frozen=True)
class Run:
    """One finished process."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(program: Program, path: Path) -> Run:
    """Run a program on a capture; its output is thrown away."""
    command = [part.replace("{}", str(path)) for part in program.command]
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{program.name} ended with {process.returncode}: {' '.join(command)}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def available(wanted: Sequence[str] | None) -> list[Program]:
    """Return the programs that are here; name the others."""
    out = []
    for program in PROGRAMS:
        if wanted and program.name not in wanted:
            continue
        if program.needs.startswith("python:"):
            module = program.needs.removeprefix("python:")
            found = not subprocess.run(
                [sys.executable, "-c", f"import {module}"], capture_output=True, check=False
            ).returncode
        else:
            found = shutil.which(program.needs) is not None
        if found:
            out.append(program)
        else:
            print(f"not installed, left out: {program.name}", file=sys.stderr)
    return out


def measure(shape: str, millions: float, programs: Sequence[Program], runs: int) -> list[dict]:
    """Return a row for each program on one capture."""
    path, packets = capture(shape, millions)
    able = [p for p in programs
            if packets <= p.most_packets and (p.reads_gzip or path.suffix != ".gz")]  # fmt: skip
    finished: dict[str, list[Run]] = {p.name: [] for p in able}
    for round_ in range(runs + 1):  # the first round warms caches and is not counted
        for program in able:
            print(f"{shape} {millions:g} M, round {round_}: {program.name}", file=sys.stderr)
            done = run(program, path)
            if round_:
                finished[program.name].append(done)
    base = finished.get("pcapkit")
    rows = []
    for program in able:
        walls = sorted(r.wall_s for r in finished[program.name])
        ratios = [
            r.wall_s / b.wall_s for r, b in zip(finished[program.name], base or [], strict=False)
        ]
        rows.append(
            {
                "shape": shape, "packets": packets, "program": program.name, "job": program.job,
                "wall_s": statistics.median(walls), "wall_min_s": walls[0],
                "wall_max_s": walls[-1],
                "cpu_s": statistics.median(r.cpu_s for r in finished[program.name]),
                "peak_mb": max(r.peak_mb for r in finished[program.name]),
                "packets_per_s": packets / statistics.median(walls),
                "of_pcapkit": statistics.median(ratios) if ratios else None,
                "runs": [asdict(r) for r in finished[program.name]],
            }
        )  # fmt: skip
    return rows


def table(rows: Sequence[dict]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| capture | packets | program | job | wall, s (min to max) | CPU, s | peak, MB "
        "| packets/s | wall, of pcapkit's |",
        "|---|--:|---|---|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        ratio = "" if r["of_pcapkit"] is None else f"{r['of_pcapkit']:.2f}"
        lines.append(
            f"| {r['shape']} | {r['packets']:,} | {r['program']} | {r['job']} | {r['wall_s']:.2f} "
            f"({r['wall_min_s']:.2f} to {r['wall_max_s']:.2f}) | {r['cpu_s']:.2f} "
            f"| {r['peak_mb']:,.0f} | {r['packets_per_s']:,.0f} | {ratio} |"
        )
    return "\n".join(lines) + "\n"


def chart(rows: Sequence[dict], path: Path) -> None:
    """Draw packets per second, a bar for each row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.5 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    labels = [f"{r['program']}, {r['shape']}, {r['packets'] / 1e6:.1f} M" for r in rows]
    colours = ["#D55E00" if r["program"] == "pcapkit" else "#0072B2" for r in rows]
    axes.barh(labels, [r["packets_per_s"] / 1e6 for r in rows], color=colours)
    axes.invert_yaxis()
    axes.set_xlabel("million packets a second, whole process")
    figure.savefig(path)


def main() -> None:
    """Measure what the command line asks for."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--sizes", nargs="+", type=float, default=[2.5], metavar="MILLIONS")
    options.add_argument("--shapes", nargs="+", choices=SHAPES, default=["pod-like"])
    options.add_argument("--only", nargs="+", metavar="PROGRAM")
    options.add_argument("--runs", type=int, default=3)
    o = options.parse_args()
    OUT.mkdir(exist_ok=True)
    programs = available(o.only)
    rows = []
    for millions in o.sizes:
        for shape in o.shapes:
            rows += measure(shape, millions, programs, o.runs)
    print(table(rows), end="")
    (OUT / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    chart(rows, OUT / "results.png")


if __name__ == "__main__":
    main()
