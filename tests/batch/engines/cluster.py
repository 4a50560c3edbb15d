"""A Dask scheduler and its workers, each a process of this machine, as an operator starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)


class Cluster:
    """Processes of one cluster, which end with the block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers = 0
        self.processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self.scheduler = self._start(
            *("scheduler", "--host", "127.0.0.1", "--port", "0"),
            *("--no-dashboard", "--scheduler-file", str(file)),
            *("--idle-timeout", "300"),  # where the tests are killed
        )
        until(file.exists)
        until(lambda: file.read_text().endswith("}"))
        self.address: str = json.loads(file.read_text())["address"]

    def _start(self, *arguments: str, package: Path = ROOT) -> subprocess.Popen[bytes]:
        with Path(self.folder, f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                cwd=self.folder,
                env={**os.environ, **SETTINGS, "PYTHONPATH": f"{package}:{ROOT}"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def add_workers(self, count: int, *, package: Path = ROOT, name: str = "good") -> None:
        """Start workers, each below a nanny that starts it anew where it dies."""
        self._start(
            *("worker", self.address, "--nworkers", str(count), "--nthreads", "1"),
            *("--no-dashboard", "--memory-limit", "1GiB", "--name", name, "--host", "127.0.0.1"),
            *("--local-directory", str(self.folder), "--death-timeout", "30"),
            package=package,
        )
        # A nanny whose worker is killed while it starts gives up.
        self.workers += count
        until(lambda: self.log().count("Register worker addr") >= self.workers)
        time.sleep(0.3)

    def log(self) -> str:
        """Return what the scheduler has logged."""
        return Path(self.folder, "0.log").read_text()

    def close(self) -> None:
        for process in reversed(self.processes):
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    process.wait(5)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
            process.wait()


@contextmanager
def cluster(folder: Path, *, workers: int = 2) -> Iterator[Cluster]:
    out = Cluster(folder)
    try:
        if workers:
            out.add_workers(workers)
        yield out
    finally:
        out.close()
