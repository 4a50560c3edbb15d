"""Jobs in processes of this machine: outcomes, deaths, and that no process is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from pcapkit.batch.engines.engine import Job, Outcome
from pcapkit.batch.engines.local import Local
from pcapkit.concurrency import python_command
from tests.batch.engines import jobs


def run(
    wanted: Iterable[Job], workers: int = 2, more: Callable[[Outcome], Iterable[Job]] = lambda o: ()
) -> list[Outcome]:
    return list(Local(workers).outcomes(wanted, more))


def doubles(count: int, weight: int = 1) -> list[Job]:
    return [Job(f"job {n}", jobs.double, n, weight) for n in range(count)]


def children() -> list[str]:
    """Return the processes that this one has, by ID."""
    mine = Path(f"/proc/self/task/{os.getpid()}/children")
    if not mine.exists():
        pytest.skip("the system does not tell of children")
    return mine.read_text().split()


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("weight", [1, 1 << 30])
def test_each_job_has_one_outcome(workers: int, weight: int) -> None:
    wanted = doubles(100, weight)
    outcomes = run(wanted, workers)
    assert sorted(o.job.argument for o in outcomes) == list(range(100))
    assert all(o.result == 2 * o.job.argument and o.problem is None for o in outcomes)
    assert not children()


def test_no_jobs_need_no_process() -> None:
    prepared: list[int] = []
    engine = Local(2, prepare=lambda: prepared.append(1))
    assert list(engine.outcomes((), lambda o: ())) == [] and not prepared


def test_many_jobs_share_a_process() -> None:
    outcomes = run([Job(str(n), jobs.process, n, 1) for n in range(50)])
    assert 1 <= len({o.result for o in outcomes}) <= 2
    assert os.getpid() not in {o.result for o in outcomes}


def test_outcomes_make_more_jobs_possible() -> None:
    left = {1: {10, 11}, 2: {20, 21}}

    def more(outcome: Outcome) -> list[Job]:
        number = outcome.job.argument
        if number not in (10, 11, 20, 21):
            return []
        group = left[number // 10]
        group.remove(number)
        return [] if group else [Job("sum", jobs.double, 100 * (number // 10), 1)]

    first = [Job(str(n), jobs.double, n, 1) for n in (10, 11, 20, 21)]
    results = sorted(o.result for o in run(first, more=more))
    assert results == [20, 22, 40, 42, 200, 400]


def test_what_a_job_raises_is_its_problem() -> None:
    (outcome,) = run([Job("a job", jobs.fail, "a reason", 1)])
    assert outcome.problem == "ValueError: a reason" and outcome.result is None


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_kills_every_process_fails_alone(workers: int) -> None:
    wanted = doubles(40)
    wanted.insert(7, Job("killer", jobs.die, jobs.KILL, 1))
    wanted.insert(30, Job("leaver", jobs.leave, 3, 1))
    outcomes = run(wanted, workers)
    good = [o for o in outcomes if o.problem is None]
    assert sorted(o.result for o in good) == [2 * n for n in range(40)]
    problems = {o.job.name: o.problem for o in outcomes if o.problem is not None}
    assert set(problems) == {"killer", "leaver"}
    assert "SIGKILL" in problems["killer"] and "status 3" in problems["leaver"]
    assert not children()


def test_a_process_that_is_killed_costs_no_outcome(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    wanted = [*doubles(60), Job("noted", jobs.note_once, (str(noted), 0.2), 2)]
    killed = False

    def look() -> None:
        nonlocal killed
        if not killed and noted.exists() and (pid := noted.read_text()):
            killed = True
            os.kill(int(pid), signal.SIGKILL)

    engine = Local(2, look=look)
    outcomes = list(engine.outcomes(wanted, lambda o: ()))
    assert killed and len(outcomes) == 61
    assert all(o.problem is None for o in outcomes)


def test_who_leaves_early_leaves_no_process() -> None:
    wanted = Job("quick", jobs.double, 1, 1 << 30)
    running = Local(2).outcomes(
        [wanted, *(Job(str(n), jobs.wait, 30.0, 1) for n in range(4))], lambda o: ()
    )
    assert next(running).result == 2
    assert children()
    running.close()  # type: ignore[attr-defined]
    assert not children()


LEADER = """
from pcapkit.batch.engines.engine import Job
from pcapkit.batch.engines.local import Local
from tests.batch.engines import jobs
wanted = [Job(str(n), jobs.note, (f"{sys.argv[1]}/{n}", 60), 1) for n in range(2)]
for outcome in Local(2).outcomes(wanted, lambda o: ()):
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_the_one_that_leads(tmp_path: Path, number: int) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("only Linux ends them at once")
    leader = subprocess.Popen(
        [*python_command(LEADER), str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        workers = [int(_eventually(tmp_path / str(n))) for n in range(2)]
        leader.send_signal(number)
        leader.wait(30)
    finally:
        leader.kill()
    end = time.monotonic() + 30
    while any(_lives(pid) for pid in workers):
        assert time.monotonic() < end, "a process outlived the one that led it"
        time.sleep(0.02)


def _eventually(path: Path) -> str:
    end = time.monotonic() + 60
    while not (path.exists() and (text := path.read_text())):
        assert time.monotonic() < end
        time.sleep(0.02)
    return text


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_silence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcapkit.batch.engines.local.QUIET_MIN", 0.01)
    said: list[str] = []
    list(Local(1, say=said.append).outcomes([Job("slow", jobs.wait, 3.0, 1)], lambda o: ()))
    assert said and "slow" in said[0]


def test_large_arguments_and_results_pass() -> None:
    text = b"x" * (3 << 20)
    wanted: list[Any] = [Job(str(n), bytes, text, 1) for n in range(4)]
    assert [o.result for o in run(wanted)] == [text] * 4
