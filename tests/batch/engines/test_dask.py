"""The Dask engine on real clusters: workers and schedulers that die, that differ, that are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pcapkit.batch.engines.dask import BATCH_JOBS, DaskEngine
from pcapkit.batch.engines.engine import Job, Outcome
from pcapkit.errors import InputError, UsageError
from tests.batch.engines import jobs
from tests.batch.engines.cluster import ROOT, Cluster, cluster, until

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give a cluster of two workers."""
    with cluster(tmp_path_factory.mktemp("two")) as out:
        yield out


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Cluster]:
    """Give a scheduler without workers."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    with cluster(folder, workers=0) as out:
        yield out


def job(work: Callable[[Any], Any], argument: object, name: str = "", **values: Any) -> Job:
    return Job(
        name or f"{work.__name__} {argument}", work, argument, values.pop("weight", 1), **values
    )


def doubles(count: int) -> list[Job]:
    return [job(jobs.double, number) for number in range(count)]


def run(
    on: Cluster,
    given: Iterable[Job],
    more: Callable[[Outcome], Iterable[Job]] = lambda outcome: (),
    **values: Any,
) -> dict[str, Outcome]:
    """Run jobs; return the outcomes by name, of which there must be one each."""
    out: dict[str, Outcome] = {}
    for outcome in DaskEngine(on.address, **values).outcomes(given, more):
        assert outcome.job.name not in out
        out[outcome.job.name] = outcome
    return out


# -- what goes well ------------------------------------------------------------------------------


def test_jobs_and_those_that_they_make_possible_are_done(two: Cluster) -> None:
    """A tree: whenever two sums are there, a job adds them."""
    ready: list[int] = []

    def more(outcome: Outcome) -> Iterator[Job]:
        ready.append(outcome.result)
        if len(ready) > 1:
            pair = ready.pop(), ready.pop()
            yield job(jobs.total, pair, f"{outcome.job.name} +")

    outcomes = run(two, doubles(500), more)
    assert len(outcomes) == 999
    assert ready == [sum(2 * number for number in range(500))]
    assert not any(outcome.problem for outcome in outcomes.values())


def test_analyses_are_the_same_on_the_cluster_as_here(two: Cluster) -> None:
    paths = sorted(str(path) for path in (ROOT / "captures" / "six-traces").glob("*.pcap"))
    assert len(paths) >= 2
    outcomes = run(two, [job(jobs.analyse, path, path) for path in paths])
    assert {name: o.result for name, o in outcomes.items()} == {p: jobs.analyse(p) for p in paths}


def test_no_more_jobs_are_drawn_than_the_cluster_needs(two: Cluster) -> None:
    drawn = 0

    def source() -> Iterator[Job]:
        nonlocal drawn
        for each in doubles(10 * BATCH_JOBS):
            drawn += 1
            yield each

    outcomes = DaskEngine(two.address).outcomes(source(), lambda outcome: ())
    next(outcomes)
    assert BATCH_JOBS < drawn <= 8 * BATCH_JOBS
    assert len(list(outcomes)) == 10 * BATCH_JOBS - 1


def test_large_jobs_travel_alone(two: Cluster, tmp_path: Path) -> None:
    """They meet, which two of one batch could not."""
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    large = [
        job(jobs.meet, (one, other), "one", weight=1 << 30),
        job(jobs.meet, (other, one), "other", weight=1 << 30),
    ]
    assert [outcome.result for outcome in run(two, large).values()] == [True, True]


def test_a_job_that_raises_is_an_outcome_with_a_problem(two: Cluster) -> None:
    outcomes = run(two, [*doubles(3), job(jobs.fail, "a reason", "bad")])
    assert outcomes.pop("bad").problem == "ValueError: a reason"
    assert sorted(outcome.result for outcome in outcomes.values()) == [0, 2, 4]


# -- workers that die ----------------------------------------------------------------------------


def test_a_job_that_kills_every_worker_fails_alone(
    two: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    given = doubles(60)
    given[20] = job(jobs.die, jobs.KILL, "killer")
    given[40] = job(jobs.die, int(signal.SIGSEGV), "other")
    outcomes = run(two, given)
    assert "SIGKILL" in (outcomes.pop("killer").problem or "")
    assert "SIGSEGV" in (outcomes.pop("other").problem or "")
    assert [o.problem for o in outcomes.values()] == [None] * 58
    assert capfd.readouterr() == ("", "")  # Dask's own warnings are not for the user


def test_a_job_that_dies_for_lack_of_memory_says_so(two: Cluster) -> None:
    """The nanny ends a worker that takes more than its limit of 1 GiB."""
    outcomes = run(two, [*doubles(10), job(jobs.fill_slowly, 3 << 30, "large")])
    assert "MiB of memory" in (outcomes.pop("large").problem or "")
    assert not any(outcome.problem for outcome in outcomes.values())


def test_a_worker_that_is_killed_is_replaced_and_jobs_may_run_twice(
    two: Cluster, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    given = [job(jobs.add, (str(log), number), str(number)) for number in range(150)]

    def kill() -> None:
        until(lambda: log.exists() and len(log.read_text().splitlines()) > 20)
        os.kill(int(log.read_text().split()[0]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = run(two, given)
    killer.join()
    assert {name: o.result for name, o in outcomes.items()} == {str(n): n for n in range(150)}
    assert len(log.read_text().splitlines()) > 150  # some ran twice, which nobody notices


def test_a_job_that_does_not_end_is_given_up(two: Cluster) -> None:
    said: list[str] = []
    given = [*doubles(5), job(jobs.wait, 600.0, "endless"), *[job(jobs.double, 7, "after")]]
    outcomes = run(two, given, job_limit_s=2, say=said.append)
    problem = outcomes.pop("endless").problem or ""
    assert problem.startswith("not done after ")
    assert "on worker tcp://127.0.0.1:" in problem
    assert len(outcomes) == 6
    assert not any(outcome.problem for outcome in outcomes.values())


# -- workers that differ -------------------------------------------------------------------------


def test_a_file_that_a_worker_does_not_have_is_a_failure_that_names_the_worker(
    two: Cluster, tmp_path: Path
) -> None:
    here = str(tmp_path)
    given = [
        job(jobs.double, 1, "there", needs=(here,)),
        job(jobs.double, 2, "gone", needs=(here, f"{here}/elsewhere.pcap")),
    ]
    outcomes = run(two, given)
    assert outcomes["there"].result == 2
    problem = outcomes["gone"].problem or ""
    assert problem.startswith("worker good-")
    assert f" has no {here}/elsewhere.pcap" in problem


def test_relative_paths_are_from_where_the_driver_is(
    two: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").write_text("")
    monkeypatch.chdir(tmp_path)
    outcomes = run(two, [job(os.path.abspath, "here", "path", needs=("here",))])
    assert outcomes["path"].result == str(tmp_path / "here")


def other_package(folder: Path, kind: str) -> Path:
    """Return a folder from which a worker imports another version."""
    if kind == "Numba":
        info = folder / "numba-0.0.7.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numba\nVersion: 0.0.7\n")
        return folder
    package = folder / "pcapkit"
    package.mkdir(parents=True)
    for entry in (ROOT / "pcapkit").iterdir():
        if entry.name not in ("version.py", "__pycache__"):
            (package / entry.name).symlink_to(entry)
    (package / "version.py").write_text('"""."""\n__version__ = "0.0.7"\n')
    return folder


@pytest.mark.parametrize("kind", ["pcapkit", "Numba"])
def test_workers_of_another_version_are_refused_by_name(
    bare: Cluster, tmp_path: Path, kind: str
) -> None:
    bare.add_workers(1, package=other_package(tmp_path / "other", kind), name="other")
    with pytest.raises(UsageError, match=rf"worker tcp://\S+ has {kind} 0\.0\.7; all must have"):
        run(bare, doubles(3))


def test_a_worker_without_pcapkit_is_refused_by_name(bare: Cluster, tmp_path: Path) -> None:
    package = tmp_path / "none" / "pcapkit"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('none here')")
    bare.add_workers(1, package=package.parent, name="none")
    with pytest.raises(UsageError, match=r"worker tcp://\S+ cannot import this pcapkit"):
        run(bare, doubles(3))


def test_a_worker_of_another_version_that_comes_later_is_refused(
    bare: Cluster, tmp_path: Path
) -> None:
    bare.add_workers(1)
    said: list[str] = []
    given = [job(jobs.wait, 0.05, str(number)) for number in range(100)]

    def join() -> None:
        bare.add_workers(1, package=other_package(tmp_path / "other", "pcapkit"), name="other")

    def more(outcome: Outcome) -> Iterator[Job]:
        """Go on until the other one has come, and has been refused."""
        if not said:
            yield job(jobs.wait, 0.05, f"{outcome.job.name} and on")

    joining = threading.Thread(target=join)
    joining.start()
    outcomes = run(bare, given, more, say=said.append)
    joining.join()
    assert not any(outcome.problem for outcome in outcomes.values())
    (text,) = said
    assert text.startswith("refused: worker other")
    assert "has pcapkit 0.0.7; all must have pcapkit " in text


# -- schedulers ----------------------------------------------------------------------------------


def test_a_cluster_without_workers_is_an_error_after_the_time_limit(bare: Cluster) -> None:
    with pytest.raises(UsageError, match=r"has had no workers for 1 s"):
        run(bare, doubles(3), time_limit_s=1)


def test_workers_that_all_go_are_an_error_after_the_time_limit(bare: Cluster) -> None:
    bare.add_workers(1)

    def stop() -> None:
        time.sleep(1)
        os.killpg(bare.processes[1].pid, signal.SIGKILL)

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(UsageError, match=r"has had no workers for 2 s"):
        run(bare, [job(jobs.wait, 0.2, str(number)) for number in range(100)], time_limit_s=2)
    stopping.join()


def test_a_scheduler_that_is_killed_is_an_error_and_what_came_before_is_kept(
    bare: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    bare.add_workers(1)
    came = 0
    with pytest.raises(InputError, match="Dask scheduler has gone .what is done is kept: run the"):
        for _ in DaskEngine(bare.address).outcomes(
            [job(jobs.wait, 0.02, str(number)) for number in range(300)], lambda outcome: ()
        ):
            came += 1
            if came == 1:
                bare.scheduler.kill()
    assert came > 0
    assert capfd.readouterr() == ("", "")


def test_a_scheduler_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(
        UsageError, match=r"--scheduler tcp:\S+ no Dask scheduler answers within 1 s"
    ):
        list(DaskEngine("tcp://127.0.0.1:9", time_limit_s=1).outcomes([], lambda outcome: ()))


def test_certificates_that_are_not_set_are_named() -> None:
    with pytest.raises(
        UsageError, match=r"set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, .*CLIENT__KEY"
    ):
        list(DaskEngine("tls://127.0.0.1:9").outcomes([], lambda outcome: ()))


@pytest.mark.parametrize("address", ["nonsense://x", "", "::", "host:port", "host"])
def test_an_address_that_makes_no_sense_is_an_error(address: str) -> None:
    with pytest.raises(UsageError, match=r"--scheduler .*: write it as tcp://host:8786"):
        list(DaskEngine(address).outcomes(doubles(1), lambda outcome: ()))


# -- what is imported ----------------------------------------------------------------------------


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout


def test_dask_is_imported_only_when_jobs_are_run() -> None:
    code = "import sys, pcapkit.batch.engines.dask as d; d.DaskEngine('tcp://127.0.0.1:9')\n"
    assert (
        python(code + "print([m for m in sys.modules if m in ('dask', 'distributed')])") == "[]\n"
    )


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from pcapkit.batch.engines.dask import DaskEngine\n"
        "try: list(DaskEngine('tcp://127.0.0.1:9').outcomes([], lambda outcome: ()))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    said = python(code)
    assert said.startswith("UsageError --engine dask needs the extra")
    assert "pip install 'pcapkit-dns[distributed]'" in said
