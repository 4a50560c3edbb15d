#!/usr/bin/env python3
"""Audit the same captures by each engine, kill it on the way, and compare what comes out.

    engines.py [--count N] [--packets N] [--pods N] [--large GB] [--kills N] [--seed N]
               [--keep FOLDER]

Makes N captures (10,000) as ``audit.py`` does; some of them are packed, rotated into three files,
cut, damaged, empty, or none at all. --large GB: also one capture of so many gigabytes, audited by
itself. Both are audited on this machine without a kill; then by ``local``, by ``dask`` (a scheduler
and two workers, over loopback) and in three shares (``--shard``) whose tallies are audited, each
killed N times (6) and started again until it is done, and a few times more with nothing new.
SIGKILL goes to the whole process group, at moments that follow from the seed and from how long it
took without; of Dask it goes to the scheduler once, then to the audit, then to workers.

Then all files of the output folders are compared, history included, and a table is printed for
README.md. Ends with status 1 where bytes differ, or where a run ends as it should not, takes too
long, or leaves a process or a half-written file behind; what each printed stays with --keep. It
takes the pcapkit that Python imports: PYTHONPATH decides. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import gzip
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from audit import PCAPKIT, make

HERE = Path(__file__).resolve().parent
SHARES = 3
WORKERS = 2
#: A run that takes longer hangs, in seconds; so does what outlives one for so long.
LIMIT_S, LEFT_S = 1500, 10
#: Kills of runs that have nothing new to do.
IDLE_KILLS = 3
#: What an output folder keeps for its next run, which no reader sees.
KEPT = ("records", "tallies", "looks.json", "audit.lock")
HALF = re.compile(r"\..+\.[a-z0-9_]{8}")
#: Of ``generate.py``: bytes and seconds that a lookup takes on average, where captures begin.
BYTES_A_LOOKUP, SECONDS_A_LOOKUP, BEGIN = 1835.5, 4e-4, 1_700_000_000
PIECE_BYTES = 500_000_000
_SUBREAPER = 36  # prctl(2), PR_SET_CHILD_SUBREAPER


# -- captures ---------------------------------------------------------------------------------


def records(capture: bytes) -> Iterator[int]:
    """Yield where each record of a classic pcap begins, and where the last one ends."""
    at = 24
    while at < len(capture):
        yield at
        at += 16 + struct.unpack_from("<I", capture, at + 8)[0]
    yield at


def lay_out(made: Path, folder: Path) -> None:
    """Fill a folder with captures, a few of which are changed."""
    for number, path in enumerate(sorted(made.glob("*.pcap"))):
        place = folder / f"node-{number // 500}" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        kind = number % 200
        if kind > 7:
            if not place.exists():
                os.link(path, place)
            continue
        data = path.read_bytes()
        starts = list(records(data))
        middle = starts[len(starts) // 2]
        if kind == 0:
            place.write_bytes(data[: middle + 30])  # the writer was killed
        elif kind == 1:
            place.write_bytes(data[:middle] + b"\xff" * 64 + data[middle + 64 :])
        elif kind == 2:
            place.write_bytes(b"")
        elif kind == 3:
            place.write_bytes(b"no capture at all\n" * number)
        elif kind == 4:
            place.write_bytes(data[:20])  # less than a header
        elif kind == 5:
            place.with_suffix(".pcap.gz").write_bytes(gzip.compress(data, mtime=0))
        else:
            third = len(starts) // 3
            cuts = [24, starts[third], starts[2 * third], len(data)]
            for part, (first, stop) in enumerate(zip(cuts, cuts[1:], strict=False)):
                name = f"{path.name}{part or ''}"
                place.with_name(name).write_bytes(data[:24] + data[first:stop])


def make_large(path: Path, size: float) -> None:
    """Write one capture of so many bytes, where it is not there yet: pieces, one after the other in
    time, which are joined."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lookups = round(PIECE_BYTES / BYTES_A_LOOKUP)

    def piece(number: int) -> Path:
        out = path.with_name(f"piece{number}")
        start = BEGIN + number * (lookups * SECONDS_A_LOOKUP + 10)
        command = [sys.executable, HERE / "generate.py", out, lookups, "--start", start]
        command += ["--seed", number + 1]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        return out

    joined = path.with_name("joined")
    with ThreadPoolExecutor(os.cpu_count()) as pool, joined.open("wb") as out:
        for number, made in enumerate(pool.map(piece, range(round(size / PIECE_BYTES)))):
            with made.open("rb") as source:
                source.seek(24 if number else 0)
                shutil.copyfileobj(source, out, 1 << 20)
            made.unlink()
    joined.replace(path)


# -- runs -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """What one engine took; ``defects`` are what it should not have done."""

    name: str
    runs: int = 0
    kills: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0
    defects: list[str] = field(default_factory=list)


class Runner:
    """Starts processes, each in a group of its own, and kills groups."""

    def __init__(self, name: str, log: Path, seed: str, kills: int) -> None:
        self.tally = Tally(name)
        self.random = random.Random(seed)
        self.kills = kills
        self._log = log
        self._mine: set[int] = set()
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # orphans come here, and are counted

    def start(self, *command: object) -> subprocess.Popen[bytes]:
        """Start a process that is not waited for."""
        out = self._log.open("ab")
        out.write(f"$ {' '.join(map(str, command[-12:]))}\n".encode())
        out.flush()
        process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        out.close()
        self._mine.add(process.pid)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process and its group."""
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._mine.discard(process.pid)

    def pcapkit(
        self,
        *arguments: object,
        kill_after: float | None = None,
        meanwhile: Callable[[], None] = lambda: None,
        ends: tuple[int, ...] = (0, 3),
    ) -> int | None:
        """Run pcapkit; return its status, None where it was killed."""
        began = time.monotonic()
        process = self.start("-c", PCAPKIT, *arguments)
        self.tally.runs += 1
        status: int | None = None
        while True:
            try:
                status = process.wait(0.05)
                self._mine.discard(process.pid)
                break
            except subprocess.TimeoutExpired:
                pass
            past = time.monotonic() - began
            if kill_after is not None and past > kill_after:
                self.kill(process)
                self.tally.kills += 1
                break
            if past > LIMIT_S:
                self.kill(process)
                self.tally.defects.append(f"not done after {LIMIT_S} s")
                break
            meanwhile()
        self.tally.wall += time.monotonic() - began
        if status is not None and status not in ends:
            last = self._log.read_bytes()[-500:].decode(errors="replace")
            self.tally.defects.append(f"ended with status {status}: ...{last}")
        self._look_for_others()
        return status

    def _look_for_others(self) -> None:
        """Find what a run has left behind: its children are this process's now."""
        for _ in range(LEFT_S * 10):
            if not (left := self._others()):
                return
            time.sleep(0.1)
        self.tally.defects.append(f"left behind: {', '.join(left.values())}")
        for pid in left:
            os.kill(pid, signal.SIGKILL)

    def _others(self) -> dict[int, str]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        found = {}
        for pid in map(int, children):
            if pid in self._mine:
                continue
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                text = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
                found[pid] = text.decode(errors="replace")[:200]
        return found

    def until_done(self, every: float, kills: int, *arguments: object) -> float:
        """Run, and kill, so many times; then to the end. Return how long the last run took."""
        for _ in range(kills):
            moment = self.random.uniform(0, every)
            if self.pcapkit(*arguments, kill_after=moment) is not None:
                break
        began = time.monotonic()
        self.pcapkit(*arguments)
        return time.monotonic() - began

    def finish(self, output: Path) -> Tally:
        """Take stock, once nothing is left of what was killed."""
        self._look_for_others()
        for path in output.parent.rglob(".*"):
            if path.is_file() and HALF.fullmatch(path.name):
                self.tally.defects.append(f"half-written: {path}")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.tally.cpu = used.ru_utime + used.ru_stime
        self.tally.peak = used.ru_maxrss / 1024
        return self.tally


def audit_of(paths: object, output: Path) -> tuple[object, ...]:
    """Return the arguments of an audit."""
    return "audit", paths, "-o", output, "--format", "json", "--history", "-q"


def undisturbed(runner: Runner, captures: Path, output: Path, every: float) -> None:
    """Audit on this machine, without a kill."""
    runner.pcapkit(*audit_of(captures, output))


def local(runner: Runner, captures: Path, output: Path, every: float) -> None:
    """Audit on this machine."""
    arguments = audit_of(captures, output)
    runner.until_done(every, runner.kills, *arguments)
    again = runner.until_done(1.0, 0, *arguments)
    runner.until_done(again, IDLE_KILLS, *arguments)


def shares(runner: Runner, captures: Path, output: Path, every: float) -> None:
    """Write the tallies of three shares, and audit them."""
    folders = [output.with_name(f"share{n}") for n in range(SHARES)]
    kills = [runner.kills // (SHARES + 1)] * SHARES
    for number, folder in enumerate(folders):
        share = f"{number}/{SHARES}"
        more = "audit", captures, "-o", folder, "--shard", share, "-q"
        runner.until_done(every / SHARES, kills[number], *more)
    arguments = ("audit", *folders, *audit_of(None, output)[2:])
    runner.until_done(every, runner.kills - sum(kills), *arguments)
    again = runner.until_done(1.0, 0, *arguments)
    runner.until_done(again, IDLE_KILLS, *arguments)


class Cluster:
    """A Dask scheduler and its workers."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        self._runner, self._folder = runner, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.start()

    def start(self) -> None:
        """Start all of it."""
        where = "--host", "127.0.0.1", "--port", self._port, "--no-dashboard"
        self.processes = [self._runner.start("-m", "dask", "scheduler", *where)]
        self.processes += [self._worker() for _ in range(WORKERS)]

    def _worker(self) -> subprocess.Popen[bytes]:
        one = "--nworkers", "1", "--nthreads", "1", "--no-dashboard"
        place = "--local-directory", self._folder
        return self._runner.start("-m", "dask", "worker", self.address, *one, *place)

    def replace_worker(self, number: int) -> None:
        """Kill a worker, and start another in its place."""
        self._runner.kill(self.processes[1 + number])
        self.processes[1 + number] = self._worker()

    def stop(self) -> None:
        """Kill all of it."""
        for process in self.processes:
            self._runner.kill(process)


def dask(runner: Runner, captures: Path, output: Path, every: float) -> None:
    """Audit on a cluster: workers, the audit itself and the scheduler are killed."""
    cluster = Cluster(runner, output.with_name("dask"))
    arguments = (*audit_of(captures, output), "--engine", "dask", "--scheduler", cluster.address)

    def one_of(kills: list[Callable[[], None]]) -> Callable[[], None]:
        waiting = sorted(time.monotonic() + runner.random.uniform(0, every) for _ in kills)

        def look() -> None:
            if waiting and time.monotonic() > waiting[0]:
                waiting.pop(0)
                runner.tally.kills += 1
                kills.pop()()

        return look

    def worker() -> None:
        cluster.replace_worker(runner.random.randrange(WORKERS))

    def scheduler() -> None:
        runner.kill(cluster.processes[0])

    try:
        runner.pcapkit(*arguments, meanwhile=one_of([scheduler]), ends=(0, 2, 3))
        cluster.stop()
        cluster.start()
        others = runner.kills - 1
        for _ in range(others // 2):
            moment = runner.random.uniform(0, every)
            runner.pcapkit(*arguments, kill_after=moment)
        runner.pcapkit(*arguments, meanwhile=one_of([worker] * (others - others // 2)))
        runner.pcapkit(*arguments)
    finally:
        cluster.stop()


ENGINES = {
    "local, not killed": undisturbed,
    "local": local,
    "dask": dask,
    f"--shard, {SHARES} shares": shares,
}


def measure(name: str, captures: Path, folder: Path, seed: str, kills: int, every: float) -> Tally:
    """Audit by one engine, in a process of its own."""
    folder.mkdir(parents=True)
    queue = multiprocessing.get_context("fork").Queue()

    def work() -> None:
        runner = Runner(name, folder / "log.txt", f"{seed} {name}", kills)
        try:
            ENGINES[name](runner, captures, folder / "out", every)
        except Exception as problem:  # said with the rest
            runner.tally.defects.append(f"{type(problem).__name__}: {problem}")
        queue.put(runner.finish(folder / "out"))

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    tally: Tally = queue.get()
    process.join()
    return tally


# -- what comes out ---------------------------------------------------------------------------


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of an output folder that somebody reads, by name."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {
        name: path
        for path in found
        if (name := str(path.relative_to(folder))).partition(os.sep)[0] not in KEPT
    }


def differences(folder: Path, other: Path) -> list[str]:
    """Return the names of files that two folders do not have alike."""
    mine, theirs = files_of(folder), files_of(other)
    out = sorted(mine.keys() ^ theirs.keys())
    for name in sorted(mine.keys() & theirs.keys()):
        if mine[name].read_bytes() != theirs[name].read_bytes():
            out.append(name)
    return out


def rows(what: str, captures: Path, work: Path, options: argparse.Namespace) -> bool:
    """Print a row for each engine; return whether all is as it should be."""
    base, every, right = work / "0" / "out", 0.0, True
    for number, name in enumerate(ENGINES):
        folder = work / str(number)
        tally = measure(name, captures, folder, str(options.seed), options.kills, every)
        if not number:
            every = 2 * tally.wall / options.kills  # so that about all come before the end
            same = "-"
        else:
            found = differences(base, folder / "out")
            same = f"no: {len(found)} files" if found else f"yes, {len(files_of(base)):,} files"
            if found:
                tally.defects.append(f"differ: {', '.join(found[:9])}")
        print(
            f"| {what} | {name} | {tally.runs} | {tally.kills} | {tally.wall:.1f} | {tally.cpu:.1f}"
            f" | {tally.peak:.0f} | {same} |",
            flush=True,
        )
        for defect in tally.defects:
            right = False
            print(f"{name}: {defect}", file=sys.stderr, flush=True)
        if number and not tally.defects and options.keep is None:
            shutil.rmtree(folder)
    return right


def main() -> None:
    """Make, run, kill, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--packets", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=3)
    parser.add_argument("--large", type=float, default=0, metavar="GB")
    parser.add_argument("--kills", type=int, default=6, help="1 or more")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    right = True
    with tempfile.TemporaryDirectory() as temporary:
        base, work = options.keep or Path(temporary), Path(temporary, "work")
        if options.keep is not None:
            work = options.keep / "work"
            shutil.rmtree(work, ignore_errors=True)
        inputs = []
        if options.count:
            make(base / "made", options.count, options.packets, options.pods)
            lay_out(base / "made", base / "captures")
            inputs.append((f"{options.count:,} captures", base / "captures"))
        if options.large:
            make_large(base / "large" / "large.pcap", options.large * 1e9)
            inputs.append((f"one of {options.large:g} GB", base / "large"))
        print("| captures | engine | runs | kills | wall, s | CPU, s | peak, MB | same bytes |")
        print("|---|---|--:|--:|--:|--:|--:|---|", flush=True)
        for number, (what, captures) in enumerate(inputs):
            right &= rows(what, captures, work / str(number), options)
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
