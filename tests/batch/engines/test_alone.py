"""One job alone in a process: what it returns, and how it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcapkit.batch.engines.alone import run_alone, run_apart
from pcapkit.batch.engines.engine import Job, Outcome
from pcapkit.concurrency import python_command
from tests.batch.engines import jobs

MIB = 1 << 20


def alone(
    work: Callable[[Any], Any], argument: object, *, memory: int = 256 * MIB, seconds: float = 60
) -> Outcome:
    job = Job("a job", work, argument, 1)
    outcome = run_alone(job, memory_bytes=memory, seconds=seconds)
    assert outcome.job is job
    return outcome


def test_a_job_gives_its_result() -> None:
    assert alone(jobs.double, 21) == Outcome(Job("a job", jobs.double, 21, 1), 42)


def test_large_arguments_and_results_pass() -> None:
    text = b"x" * (5 * MIB)
    assert alone(bytes, text).result == text


@pytest.mark.parametrize(
    ("work", "argument", "problem"),
    [
        (jobs.die, int(signal.SIGKILL), "SIGKILL"),
        (jobs.die, int(signal.SIGSEGV), "SIGSEGV"),
        (jobs.leave, 7, "status 7"),
        (jobs.fail, "a reason", "ValueError: a reason"),
        (sys.exit, 3, "SystemExit"),
        (jobs.fill, 512 * MIB, "more than 256 MiB of memory"),
    ],
)
def test_a_job_that_dies_says_how(work: Any, argument: object, problem: str) -> None:
    outcome = alone(work, argument)
    assert outcome.result is None
    assert outcome.problem is not None
    assert problem in outcome.problem


def test_memory_within_the_limit_is_to_be_had() -> None:
    assert alone(jobs.fill, 128 * MIB).result == 128 * MIB


def test_a_job_that_does_not_end_is_ended() -> None:
    began = time.monotonic()
    outcome = alone(jobs.wait, 300.0, seconds=2)
    assert outcome.problem == "not done after 2 s, alone in a process"
    assert time.monotonic() - began < 60


def test_jobs_beside_one_that_dies_are_done() -> None:
    given = [
        Job(str(number), work, argument, 1)
        for number, (work, argument) in enumerate(
            [
                (jobs.double, 1),
                (jobs.double, 2),
                (jobs.die, jobs.KILL),
                (jobs.double, 3),
                (jobs.wait, 300.0),
                (jobs.fill, 512 * MIB),
                (jobs.double, 4),
            ]
        )
    ]
    outcomes = list(run_apart(given, memory_bytes=256 * MIB, seconds=3))
    assert [outcome.job for outcome in outcomes] == given
    assert [outcome.result for outcome in outcomes] == [2, 4, None, 6, None, None, 8]
    problems = [outcome.problem or "" for outcome in outcomes]
    assert [p.split(",")[0] for p in problems] == [
        *("", "", "its process died of SIGKILL", "", "not done after 3 s"),
        *("needs more than 256 MiB of memory", ""),
    ]


def test_a_job_that_dies_behind_others_runs_once_more_as_the_first(tmp_path: Path) -> None:
    """What an earlier job left behind kills the next one, which is well where it is alone."""
    given = [
        Job("leaves", jobs.leave_behind, 200 * MIB, 1),
        Job("fills", jobs.fill, 200 * MIB, 1),
        Job("once", jobs.die_once, str(tmp_path / "died"), 1),
    ]
    outcomes = list(run_apart(given, memory_bytes=256 * MIB, seconds=60))
    assert [outcome.result for outcome in outcomes] == [None, 200 * MIB, "well"]


def test_nothing_is_imported_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert alone(jobs.double, 1).result == 2


def test_the_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    code = (
        "from pcapkit.batch.engines.alone import run_alone; "
        "from pcapkit.batch.engines.engine import Job; from tests.batch.engines import jobs; "
        f"run_alone(Job('', jobs.note, ({str(started)!r}, 300), 1), "
        "memory_bytes=1 << 28, seconds=300)"
    )
    with subprocess.Popen(python_command(code)) as caller:
        try:
            until(lambda: started.exists() and started.read_text() != "")
        finally:
            caller.kill()
    until(lambda: not is_alive(int(started.read_text())))


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"
