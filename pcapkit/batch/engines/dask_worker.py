"""What runs on the workers of a Dask cluster: batches of jobs, and questions about them.

Only plain values travel back, which any version of this package can read.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pcapkit.batch.engines.alone import run_apart
from pcapkit.batch.engines.engine import Job
from pcapkit.text import encodable
from pcapkit.version import __version__

#: One answer of a job: its result, and its problem.
Answer = tuple[Any, str | None]

#: The least memory that a process for suspects gets, whatever is left of the worker's.
_LEAST_BYTES = 256 << 20
#: Batches at work in this process: key -> the number of the job that runs, and since when.
_AT_WORK: dict[str, tuple[int, float]] = {}


def versions() -> dict[str, str]:
    """Return what must be the same on all machines, so that they make the same bytes."""
    try:
        numba = version("numba")
    except PackageNotFoundError:
        numba = "missing"
    python = ".".join(map(str, sys.version_info[:2]))
    return {"pcapkit": __version__, "Python": python, "Numba": numba}


def at_work() -> dict[str, tuple[int, float]]:
    """Return the batches at work: key -> the number of the job that runs, and for how long (s)."""
    now = time.monotonic()
    return {key: (number, now - since) for key, (number, since) in list(_AT_WORK.items())}


def run_batch(key: str, expected: dict[str, str], folder: str, jobs: bytes) -> tuple[str, Any]:
    """Run jobs one after the other in this process, from the driver's working directory.

    Returns ``"done"`` and an answer for each, or ``"refused"`` with what this worker is called, its
    address and its versions.
    """

    def run(given: list[Job]) -> list[Answer]:
        answers = []
        for number, job in enumerate(given):
            _AT_WORK[key] = number, time.monotonic()
            answers.append(_missing(job) or _answer(job.work, job.argument))
        return answers

    return _checked(key, expected, folder, jobs, run)


def run_batch_apart(
    key: str, expected: dict[str, str], folder: str, jobs: bytes, seconds: float
) -> tuple[str, Any]:
    """Run jobs that may have killed their worker, in another process; see ``run_batch``."""

    def run(given: list[Job]) -> list[Answer]:
        answers = [_missing(job) for job in given]
        numbers = [number for number, answer in enumerate(answers) if answer is None]
        outcomes = run_apart(
            [given[number] for number in numbers], memory_bytes=_memory_left(), seconds=seconds
        )
        for number in numbers:
            _AT_WORK[key] = number, time.monotonic()
            outcome = next(outcomes)
            answers[number] = outcome.result, outcome.problem
        return [answer for answer in answers if answer is not None]

    return _checked(key, expected, folder, jobs, run)


def _checked(
    key: str,
    expected: dict[str, str],
    folder: str,
    jobs: bytes,
    run: Callable[[list[Job]], list[Answer]],
) -> tuple[str, Any]:
    """Run jobs where this worker is as the driver expects it."""
    if versions() != expected:
        return "refused", (_name(), _worker().address, versions())
    with suppress(OSError):  # where it is missing here, so is what relative paths name
        os.chdir(folder)
    try:
        return "done", run(pickle.loads(jobs))
    finally:
        _AT_WORK.pop(key, None)


def _worker() -> Any:
    from distributed import get_worker

    return get_worker()


def _name() -> str:
    """Return what messages call this worker."""
    worker = _worker()
    name, address = str(worker.name), str(worker.address)
    return encodable(address if name == address else f"{name} ({address})")


def _missing(job: Job) -> Answer | None:
    """Return the answer of a job that needs a file or folder which this machine does not have."""
    missing = next((path for path in job.needs if not os.path.exists(path)), None)
    if missing is None:
        return None
    return None, f"worker {_name()} has no {encodable(missing)}: all must see the same folders"


def _answer(work: Callable[[Any], Any], argument: Any) -> Answer:
    try:
        return work(argument), None
    except Exception as error:  # which is the job's, and not the batch's
        return None, f"{type(error).__name__}: {encodable(str(error))}"


def _memory_left() -> int:
    """Return what a process beside this worker may take, so that both stay below its limit."""
    import psutil

    worker = _worker()
    limit = worker.memory_manager.memory_limit
    used = psutil.Process().memory_info().rss
    left: int = limit - used if limit else psutil.virtual_memory().available // 2
    return max(_LEAST_BYTES, left // max(1, int(worker.state.nthreads)))
