#!/usr/bin/env python3
"""Time pcapkit beside its peers on generated captures, interleaved; write a table and a chart.

    python benchmarks/run.py                     # everything: 2.5 and 25 million packets, hours
    python benchmarks/run.py --sizes 0.1 --runs 1
    python benchmarks/run.py --sizes 2.5 --shapes pod-like gzip --peers dnstop tshark

A run is a whole process: start, decode, analysis and, for pcapkit, the HTML and PNG report. Each
round runs every program once on a capture, so that a slow minute of the machine hits all of them;
the first one is not counted, and the capture is read through before every run. Ratios are taken
within rounds. A program that would need longer than --limit for one run is left out there, and one
that needs twice that is ended; the table says so.

Captures, Python peers and results.json are kept in ``benchmarks/out/``, which git ignores.
``figures.py`` turns results.json, or several of them, into the table and the chart of README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from figures import text
from programs import JSON, PCAPKIT, PEERS, Program, available
from shapes import GZIP, OUT, PLAIN, SHAPES, Capture, capture

#: Sizes at which the plain shape is measured too, to show how cost grows.
GROWTH = (0.01, 0.1, 0.5, 2.5, 5.0, 25.0)
_PROBES = (0.001, 0.01, 0.1)
#: A probe that took this long says enough about longer captures.
_PROBE_S = 2.0


@dataclass(frozen=True)
class Job:
    """A program on a capture; ``of`` says which: plain, gzip, or one lookup."""

    program: Program
    path: Path
    packets: int
    of: str = "plain"


@dataclass(frozen=True)
class Run:
    """One finished process, and the figures that it printed."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    told: dict[str, float] | None = None


class Failed(Exception):
    """A program ended with an error."""


def run(program: Program, path: Path, patience_s: float | None = None) -> Run:
    """Run a program on a capture; its output is thrown away unless it tells figures.

    It is ended after ``patience_s``: some captures cost a program far more than others.
    """
    command = [part.replace("{}", str(path)) for part in program.command]
    out = subprocess.PIPE if program.tells else subprocess.DEVNULL
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL
    ) as process:
        end = threading.Timer(patience_s, process.kill) if patience_s else None
        if end is not None:
            end.start()
        printed = process.stdout.read() if process.stdout else b""
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if end is not None:
            end.cancel()
    if patience_s and wall >= patience_s:
        raise Failed(f"{program.name} was ended after {patience_s:g} s")
    if process.returncode != 0:
        raise Failed(f"{program.name} ended with {process.returncode}")
    told = json.loads(printed) if printed else None
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, told)


def warm(path: Path) -> None:
    """Read a file through, so that no program pays for a disk that the one before it has warmed."""
    block = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass


class Bench:
    """Measures group after group, and keeps ``results.json`` up to date."""

    def __init__(self, peers: Sequence[str], runs: int, limit_s: float, results: Path) -> None:
        self._path = results
        self._programs, versions, missing = available(peers)
        self._runs, self._limit_s = runs, limit_s
        self._per_packet: dict[str, float] = {}
        floor = run(Program("nothing", "", ("true",)), Path()).peak_mb
        self._left_out: list[str] = missing
        self._too_slow: list[dict[str, object]] = []
        self._rows: list[dict[str, object]] = []
        self.results: dict[str, object] = {
            "machine": _machine(),
            "versions": versions,
            "runs": runs,
            # A process counts the memory of the one that started it until it has its own.
            "least_peak_mb": floor,
            "left_out": self._left_out,
            "too_slow": self._too_slow,
            "rows": self._rows,
        }

    def probe(self) -> None:
        """Find out what a packet costs each peer, on captures that grow until it shows."""
        capture(PLAIN, 0)
        for program in list(self._programs):
            before = (0, 0.0)
            try:
                for millions in _PROBES if program.is_peer else _PROBES[:1]:
                    small = capture(PLAIN, millions)
                    print(f"probe, {small.packets:,} packets: {program.name}", file=sys.stderr)
                    wall = run(program, small.path).wall_s
                    cost = (wall - before[1]) / (small.packets - before[0])
                    self._per_packet[program.name] = max(cost, 0.0) if program.is_peer else 0.0
                    before = small.packets, wall
                    if wall > _PROBE_S:
                        break
            except Failed as problem:
                self._leave_out(program, str(problem))

    def _leave_out(self, program: Program, why: str) -> None:
        print(f"left out: {why}", file=sys.stderr)
        if program is PCAPKIT:
            raise SystemExit(why)
        self._left_out.append(why)
        self._programs = [p for p in self._programs if p is not program]

    def _jobs(self, shape: str, millions: float, c: Capture) -> list[Job]:
        out = []
        for program in self._programs:
            if program.shapes and shape not in program.shapes:
                continue
            if c.packed is not None and not program.reads_gzip:
                continue
            need = self._per_packet[program.name] * c.packets
            if need > self._limit_s:
                self._too_slow.append(
                    {
                        "program": program.name,
                        "packets": c.packets,
                        "need_s": need,
                        "limit_s": self._limit_s,
                    }
                )
                continue
            if c.packed is None or program is PCAPKIT:
                out.append(Job(program, c.path, c.packets))
            if c.packed is not None:
                out.append(Job(program, c.packed, c.packets, GZIP))
            if program is JSON:
                one = capture(PLAIN, 0)
                out.append(Job(program, one.path, one.packets, "one lookup"))
        return out

    def group(self, shape: str, millions: float, *, discard: bool) -> None:
        """Measure all programs on one capture, round by round."""
        c = capture(shape, millions)
        jobs = self._jobs(shape, millions, c)
        finished: list[list[Run]] = [[] for _ in jobs]
        failed: set[int] = set()
        for round_ in range(self._runs + 1):
            for number, job in enumerate(jobs):
                if number in failed:
                    continue
                where = f"{shape}, {millions:g} M, {job.of}: {job.program.name}"
                counted = f"round {round_} of {self._runs}" if round_ else "not counted"
                print(f"{time.strftime('%H:%M:%S')} {where}, {counted}", end="", file=sys.stderr)
                sys.stderr.flush()
                try:
                    warm(job.path)
                    patience_s = 2 * self._limit_s if job.program.is_peer else None
                    done = run(job.program, job.path, patience_s)
                except Failed as problem:
                    print(file=sys.stderr)
                    failed.add(number)
                    self._left_out.append(f"{where}: {problem}")
                    continue
                print(f": {done.wall_s:.2f} s", file=sys.stderr)
                if round_:
                    finished[number].append(done)
        for number, (job, runs) in enumerate(zip(jobs, finished, strict=True)):
            if number not in failed:
                row = {
                    "shape": shape,
                    "millions": millions,
                    "of": job.of,
                    "packets": job.packets,
                    "bytes": job.path.stat().st_size,
                    "program": job.program.name,
                    "job": job.program.job,
                    "runs": [asdict(r) for r in runs],
                }
                self._rows.append(row)
        self._path.write_text(json.dumps(self.results, indent=1) + "\n")
        if discard:
            c.discard()


def _machine() -> dict[str, object]:
    names = (
        [
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        if Path("/proc/cpuinfo").exists()
        else []
    )
    return {
        "cores": os.cpu_count(),
        "processor": names[0] if names else platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def main() -> None:
    """Measure what the command line asks for."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--sizes",
        nargs="+",
        type=float,
        default=[2.5, 25],
        metavar="MILLIONS",
        help="packets of each capture (default: 2.5 25)",
    )
    options.add_argument(
        "--shapes",
        nargs="+",
        choices=SHAPES,
        default=list(SHAPES),
        metavar="SHAPE",
        help=f"of: {'; '.join(SHAPES)} (default: all)".replace("%", "%%"),
    )
    options.add_argument(
        "--growth",
        nargs="*",
        type=float,
        metavar="MILLIONS",
        help=f"more sizes of {PLAIN}, to show how cost grows (default: of "
        f"{' '.join(f'{g:g}' for g in GROWTH)}, those below --sizes)",
    )
    options.add_argument(
        "--peers",
        nargs="*",
        choices=PEERS,
        default=list(PEERS),
        metavar="PEER",
        help=f"of: {', '.join(PEERS)} (default: all)",
    )
    options.add_argument("--runs", type=int, default=3, help="counted rounds (default: 3)")
    options.add_argument(
        "--limit",
        type=float,
        default=120,
        metavar="SECONDS",
        help="the longest run of a peer (default: 120)",
    )
    options.add_argument(
        "--results",
        type=Path,
        default=OUT / "results.json",
        metavar="FILE",
        help="where the results go (default: %(default)s)",
    )
    options.add_argument(
        "--discard", action="store_true", help="delete each capture once it is measured"
    )
    o = options.parse_args()
    growth = [g for g in GROWTH if g < max(o.sizes)] if o.growth is None else o.growth
    groups = [(s, m) for m in o.sizes for s in o.shapes]
    groups += [(PLAIN, m) for m in growth if PLAIN in o.shapes and (PLAIN, m) not in groups]
    bench = Bench(o.peers, max(1, o.runs), o.limit, o.results)
    bench.probe()
    # By shape and then size, so that what is discarded is not generated again.
    for shape, millions in sorted(groups, key=lambda g: (g[1], list(SHAPES).index(g[0]))):
        again = shape == PLAIN and (GZIP, millions) in groups
        bench.group(shape, millions, discard=o.discard and not again)
    print(text(bench.results), end="")


if __name__ == "__main__":
    main()
