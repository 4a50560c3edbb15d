"""Jobs on a Dask cluster, whose workers see the same folders as this machine.

Jobs go in batches, of which twice as many are on their way as there are threads: the cluster holds
no more than it needs, and the last batches are small. Where a worker dies under a batch, Dask runs
that elsewhere; one that has lost its workers too often (``allowed-failures`` of the scheduler) runs
apart, in a process of limited memory beside a worker, which finds the job that kills. Jobs that
were only beside it are done.
"""

from __future__ import annotations

import logging
import os
import pickle
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pcapkit.batch.engines import dask_worker
from pcapkit.batch.engines.engine import Job, More, Outcome
from pcapkit.errors import InputError, UsageError
from pcapkit.text import encodable
from pcapkit.words import some

if TYPE_CHECKING:
    from distributed import Client, Future, Security

#: A batch holds no more jobs, and no more bytes to read than these unless it is one job.
BATCH_JOBS = 200
BATCH_BYTES = 1 << 26
#: Batches on their way for each thread of a worker: one at work, one beside it.
_AHEAD = 2
#: How long workers and a scheduler are waited for, and one job, in seconds.
TIME_LIMIT_S = 60.0
JOB_LIMIT_S = 3600.0
#: How often it is looked who works, how long an answer may take, and when a job is said to be long.
_LOOK_S, _ANSWER_S, _LONG_S = 2.0, 10.0, 60.0
#: Loggers of Dask and of what it stands on: what matters to the user is said here.
_LOGGERS = ("distributed", "tornado", "asyncio")


@dataclass(slots=True, eq=False)
class _Batch:
    """Jobs that travel together; ``apart`` where they may have killed their worker."""

    jobs: list[Job]
    apart: bool = False
    future: Future[Any] | None = None


class DaskEngine:
    """Runs jobs on the workers of a Dask scheduler; see ``Engine``.

    ``time_limit_s`` is how long the scheduler, and then a first worker, are waited for, also where
    all workers have gone; ``job_limit_s`` is how long one job may take. ``say`` gets a line where a
    worker is refused, or a job takes long.
    """

    def __init__(
        self,
        scheduler_address: str,
        *,
        time_limit_s: float = TIME_LIMIT_S,
        job_limit_s: float = JOB_LIMIT_S,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._address = scheduler_address
        self._time_limit_s, self._job_limit_s = time_limit_s, job_limit_s
        self._say = say

    def outcomes(self, jobs: Iterable[Job], more: More) -> Iterator[Outcome]:
        """Yield the outcomes of all jobs, see ``Engine``.

        Raises UsageError where the scheduler does not answer, has no workers, or has one of another
        version, and InputError where it is lost meanwhile.
        """
        with _connected(self._address, self._time_limit_s) as client:
            run = _Run(client, self._address, self._time_limit_s, self._job_limit_s, self._say)
            run.await_workers()
            yield from run.outcomes(iter(jobs), more)


@contextmanager
def _connected(address: str, time_limit_s: float) -> Iterator[Client]:
    """Give a client of the scheduler; raises UsageError where there is none."""
    try:
        import distributed
        from distributed.comm.addressing import get_address_host_port
    except ImportError as problem:
        raise UsageError(
            f"--engine dask needs the extra: pip install 'pcapkit-dns[distributed]' ({problem})"
        ) from None
    with _silence():
        try:
            # A client of an address that makes no sense could not be closed.
            get_address_host_port(address, strict=True)
        except ValueError:
            raise UsageError(f"--scheduler {address}: write it as tcp://host:8786") from None
        try:
            client = distributed.Client(
                address,
                timeout=time_limit_s,
                security=_security(address),
                set_as_default=False,
                direct_to_workers=False,
                name="pcapkit",
            )
        except OSError as problem:
            text = encodable(str(problem)).partition("\n")[0]
            raise UsageError(
                f"--scheduler {address}: no Dask scheduler answers within {time_limit_s:g} s"
                f" ({text})"
            ) from None
        try:
            yield client
        finally:
            with suppress(Exception):  # a scheduler that has gone is left behind
                client.close(timeout=_LOOK_S)


def _security(address: str) -> Security:
    """Return the certificates that Dask's settings name; raises UsageError where there are none."""
    from distributed import Security

    out = Security()
    try:
        certificates = out.get_connection_args("client").get("ssl_context")
    except OSError as problem:
        raise UsageError(
            f"--scheduler {address}: its certificates cannot be read: {problem}"
        ) from None
    if address.startswith("tls:") and not certificates:
        names = [f"DASK_DISTRIBUTED__COMM__TLS__{n}" for n in ("CA_FILE", "CLIENT__CERT")]
        raise UsageError(
            f"--scheduler {address}: needs certificates; set {', '.join(names)}"
            f" and {names[1].replace('CERT', 'KEY')}"
        )
    return out


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what Dask logs and warns of from the terminal: each thing that matters is said here."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    names = [n for n in logging.root.manager.loggerDict if n.partition(".")[0] in _LOGGERS]
    loggers += [logging.getLogger(name) for name in names]
    before = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"distributed\.")
            yield
    finally:
        for logger, level in before:
            logger.setLevel(level)


@dataclass(slots=True)
class _Run:
    """One run of jobs, and what is on its way."""

    client: Client
    address: str
    time_limit_s: float
    job_limit_s: float
    say: Callable[[str], None]
    versions: dict[str, str] = field(default_factory=dask_worker.versions)
    folder: str = field(default_factory=os.getcwd)
    waiting: deque[Job] = field(default_factory=deque)
    #: batches that nobody works on yet, for a second time
    again: deque[_Batch] = field(default_factory=deque)
    flying: dict[str, _Batch] = field(default_factory=dict)
    done: SimpleQueue[str] = field(default_factory=SimpleQueue)
    threads: int = 0
    given: int = 0
    #: workers that were refused, as they are called
    refused: list[str] = field(default_factory=list)
    had_workers: float = 0.0
    had_progress: float = 0.0
    next_look: float = 0.0
    seen: dict[str, int] = field(default_factory=dict)
    #: how long a job had run when that was last said: (batch, number) -> s
    said: dict[tuple[str, int], float] = field(default_factory=dict)

    # -- workers ------------------------------------------------------------------------------

    def await_workers(self) -> None:
        """Wait for a first worker, and refuse the whole cluster where one is of another version."""
        self.had_workers = self.had_progress = time.monotonic()
        while not self._count_threads():
            time.sleep(0.1)
        if others := self._others():
            raise UsageError(f"--scheduler {self.address}: {some(others)}; {self._ours()}")

    def _ours(self) -> str:
        return f"all must have {_shown(self.versions)}, as here"

    def _count_threads(self) -> int:
        """Return how many threads there are; raises where there have been none for too long."""
        now = time.monotonic()
        if self.client.status not in ("running", "connecting"):
            raise self._lost()
        counts: Mapping[str, int] = {}
        with suppress(Exception):  # no answer this time; where it is lost, the batches say so
            counts = self._ask(self.client.scheduler.ncores)
        self.threads = sum(counts.values())
        if self.threads:
            self.had_workers = now
        elif now - self.had_workers > self.time_limit_s:
            refused = f"; refused: {some(self.refused)}" if self.refused else ""
            raise UsageError(
                f"--scheduler {self.address}: has had no workers for {self.time_limit_s:g} s"
                f"{refused}; what is done is kept"
            )
        return self.threads

    def _others(self) -> list[str]:
        """Return the workers of other versions, each with what it has."""
        answers = self._ask(self.client._run, dask_worker.versions, on_error="return")
        out = []
        for worker, answer in sorted(answers.items()):
            if isinstance(answer, BaseException):
                text = f"{type(answer).__name__}: {encodable(str(answer))}"
                out.append(f"worker {worker} cannot import this pcapkit ({text})")
            elif answer != self.versions:
                out.append(f"worker {worker} has {self._differences(answer)}")
        return out

    def _differences(self, theirs: Mapping[str, str]) -> str:
        return _shown({k: v for k, v in theirs.items() if v != self.versions.get(k)})

    def _refuse(self, name: str, address: str, theirs: Mapping[str, str]) -> None:
        """Send away a worker that came later and is of another version."""
        text = f"worker {name} has {self._differences(theirs)}"
        if text not in self.refused:
            self.refused.append(text)
            self.say(f"refused: {text}; {self._ours()}")
        with suppress(Exception):  # it may have gone by itself
            self._ask(self.client.scheduler.retire_workers, workers=[address], close_workers=True)

    def _ask(self, question: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Return the scheduler's answer; raises where there is none in time."""
        return self.client.sync(question, *arguments, callback_timeout=_ANSWER_S, **named)

    # -- batches ------------------------------------------------------------------------------

    def outcomes(self, source: Iterator[Job], more: More) -> Iterator[Outcome]:
        """Yield the outcomes of all jobs."""
        while True:
            self._fill(source)
            if not self.flying:
                return
            with suppress(Empty):
                key = self.done.get(timeout=_LOOK_S / 4)
                for outcome in self._landed(key):
                    self.had_progress = time.monotonic()
                    yield outcome
                    # What ends something goes first.
                    self.waiting.extendleft(reversed(tuple(more(outcome))))
            for outcome in self._look():
                yield outcome
                self.waiting.extendleft(reversed(tuple(more(outcome))))

    def _fill(self, source: Iterator[Job]) -> None:
        """Keep a few batches on their way for each thread."""
        slots = _AHEAD * max(1, self.threads)
        while len(self.flying) < slots:
            if self.again:
                self._submit(self.again.popleft())
                continue
            while len(self.waiting) < slots * BATCH_JOBS and (job := next(source, None)):
                self.waiting.append(job)
            if not self.waiting:
                return
            self._submit(_Batch(self._take(slots)))

    def _take(self, slots: int) -> list[Job]:
        """Take jobs for one batch, fewer towards the end, so that all threads end together."""
        most = min(BATCH_JOBS, -(-len(self.waiting) // slots))
        out = [self.waiting.popleft()]
        size = out[0].weight
        while self.waiting and len(out) < most and size + self.waiting[0].weight <= BATCH_BYTES:
            out.append(self.waiting.popleft())
            size += out[-1].weight
        return out

    def _submit(self, batch: _Batch) -> None:
        self.given += 1
        key = f"pcapkit-{self.client.id}-{self.given}"
        work: Callable[..., Any] = dask_worker.run_batch
        jobs = pickle.dumps(batch.jobs)
        arguments: tuple[Any, ...] = key, self.versions, self.folder, jobs
        if batch.apart:
            work, arguments = dask_worker.run_batch_apart, (*arguments, self.job_limit_s)
        batch.future = self.client.submit(work, *arguments, key=key, pure=False, retries=0)
        self.flying[key] = batch
        self._await(key, batch.future)

    def _await(self, key: str, future: Future[Any]) -> None:
        future.add_done_callback(lambda _: self.done.put(key))

    def _landed(self, key: str) -> Iterator[Outcome]:
        """Yield the outcomes of a batch that has come back, or send it again."""
        batch = self.flying.pop(key, None)
        if batch is None or batch.future is None:  # given up meanwhile
            return
        problem: BaseException | None = None
        try:
            kind, answers = batch.future.result(timeout=_ANSWER_S)
        except Exception as error:
            if batch.future.status == "cancelled":
                raise self._lost() from None
            if batch.future.status != "error":  # the result went with its worker: it is made again
                self.flying[key] = batch
                self._await(key, batch.future)
                return
            problem = error
        if problem is not None:
            yield from self._failed(batch, problem)
        elif kind == "refused":
            self._refuse(*answers)
            self.again.append(batch)
        else:
            for job, (result, text) in zip(batch.jobs, answers, strict=True):
                yield Outcome(job, result, text)

    def _failed(self, batch: _Batch, problem: BaseException) -> Iterator[Outcome]:
        """Send a batch whose workers died once more, apart, or in halves: the job alone fails."""
        if not batch.apart:
            self.again.append(_Batch(batch.jobs, apart=True))
        elif len(batch.jobs) > 1:
            middle = len(batch.jobs) // 2
            self.again.append(_Batch(batch.jobs[:middle], apart=True))
            self.again.append(_Batch(batch.jobs[middle:], apart=True))
        else:
            from distributed.scheduler import KilledWorker

            text = f"{type(problem).__name__}: {encodable(str(problem))}"
            if isinstance(problem, KilledWorker):
                text = "each worker that ran it died, also where it ran alone"
            yield Outcome(batch.jobs[0], None, text)

    def _lost(self) -> InputError:
        return InputError(
            self.address,
            "the Dask scheduler has gone",
            hint="what is done is kept: run the same command again",
        )

    # -- the watchdog -------------------------------------------------------------------------

    def _look(self) -> Iterator[Outcome]:
        """Look now and then who works at what; give up jobs that take too long."""
        now = time.monotonic()
        if now < self.next_look:
            return
        self._count_threads()
        places = self._places()
        numbers = {key: number for key, (_, number, _) in places.items()}
        if numbers != self.seen:
            self.seen, self.had_progress = numbers, now
        for key, (worker, number, seconds) in sorted(places.items()):
            job = self.flying[key].jobs[min(number, len(self.flying[key].jobs) - 1)]
            if seconds > self.job_limit_s * (2 if self.flying[key].apart else 1):
                yield self._give_up(key, job, worker, seconds)
            elif seconds > max(_LONG_S, 2 * self.said.get((key, number), 0.0)):
                self.said[key, number] = seconds
                self.say(f"{job.name}: at work for {seconds:.0f} s on worker {worker}")
        if not places and now - self.had_progress > self.job_limit_s:
            names = [b.jobs[0].name for b in self.flying.values()]
            raise UsageError(
                f"--scheduler {self.address}: nothing was done for {self.job_limit_s:g} s, though "
                f"it has workers; waiting: {some(names)}; what is done is kept"
            )
        self.next_look = time.monotonic() + min(_LOOK_S, self.job_limit_s / 4)

    def _places(self) -> dict[str, tuple[str, int, float]]:
        """Return where batches are at work: key -> worker, the number of the job, for how long."""
        try:
            answers = self.client.sync(
                self.client._run, dask_worker.at_work, on_error="ignore", callback_timeout=_ANSWER_S
            )
        except Exception:  # one that does not answer keeps all from it
            return {}
        return {
            key: (worker, number, seconds)
            for worker, batches in answers.items()
            for key, (number, seconds) in batches.items()
            if key in self.flying
        }

    def _give_up(self, key: str, job: Job, worker: str, seconds: float) -> Outcome:
        """Take a job out that does not end, restart its worker, and send the others again."""
        batch = self.flying.pop(key)
        if batch.future is not None:
            batch.future.release()
        with suppress(Exception):  # a worker without a nanny stays as it is
            # on a busy machine it takes longer than an answer, and one that stays holds up others
            self.client.restart_workers([worker], timeout=_LONG_S, raise_for_error=False)
        if rest := [other for other in batch.jobs if other is not job]:
            self.again.append(_Batch(rest, batch.apart))
        return Outcome(job, None, f"not done after {seconds:.0f} s on worker {worker}")


def _shown(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {encodable(str(text))}" for name, text in versions.items())
