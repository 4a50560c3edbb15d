"""Jobs in processes of this machine: as many as it has cores, each for many jobs.

The processes are forked, once all that they need is imported and the kernels are linked, so that
each is ready at once; they are given jobs in batches and send one answer a job. The process that
leads them starts no threads. A job whose process died is run once more at the end, when nothing
else runs, by ``alone.py``; the jobs that waited behind it go to another process.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NoReturn, cast

from pcapkit.batch.engines.alone import run_alone
from pcapkit.batch.engines.engine import Job, More, Outcome
from pcapkit.concurrency import cores, die_with_parent, use_threads
from pcapkit.errors import UsageError
from pcapkit.memory import memory_limit, offer_to_be_killed
from pcapkit.text import encodable

#: A batch holds no more jobs, and no more bytes to read than these unless it is one job.
BATCH_JOBS = 16
BATCH_BYTES = 1 << 23
#: Of the machine's memory, what a job gets that is run once more, alone; and how long, in seconds.
ALONE_MEMORY = 0.75
ALONE_S = 3600.0
#: Minutes without any job done, after which this is said.
QUIET_MIN = 10
#: How often those who wait for jobs look up.
_LOOK_S = 0.5
#: How often processes look for what jobs leave in cycles: large arrays hang on few objects, so that
#: Python itself would look too late.
_COLLECT_S = 0.25


#: What is sent to a process: how many threads each job may use, and the jobs.
_Batch = tuple[int, list[tuple[Callable[[Any], Any], Any]]]


class _Worker:
    """One process, and what it was given."""

    def __init__(self, pid: int, pipe: Connection) -> None:
        self.pid, self.pipe = pid, pipe
        #: in the order in which it does them; of the first one it has not answered yet
        self.given: deque[Job] = deque()

    def give(self, batch: Sequence[Job], threads: int) -> bool:
        """Send jobs to a process that waits, each for so many threads; False where it is dead."""
        self.given.extend(batch)
        try:
            work = [(job.work, job.argument) for job in batch]
            self.pipe.send_bytes(pickle.dumps((threads, work)))
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End the process, and wait until it has ended."""
        self.pipe.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # whoever started this one may have it wait for none
            os.waitpid(self.pid, 0)


class Local:
    """Runs jobs in processes of this machine.

    ``prepare`` is called once, before the first process is forked: what it loads, all have.
    ``look`` is called about twice a second while jobs run; ``say`` gets a line where nothing was
    done for ``QUIET_MIN`` minutes. Processes must be forked before this one has other threads.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        prepare: Callable[[], None] = lambda: None,
        look: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._most = workers or cores()
        self._prepare, self._look, self._say = prepare, look, say
        self._is_prepared = False
        self._crew: list[_Worker] = []
        self._queue: deque[Job] = deque()
        self._suspects: deque[Job] = deque()

    def outcomes(self, jobs: Iterable[Job], more: More) -> Iterator[Outcome]:
        """Yield the outcomes of all jobs, see ``Engine``; the largest jobs are begun first.

        Whoever leaves early, Ctrl-C too, ends all processes.
        """
        self._queue = deque(sorted(jobs, key=lambda job: -job.weight))
        self._suspects = deque()
        try:
            while self._queue or any(w.given for w in self._crew) or self._suspects:
                for outcome in self._round():
                    yield outcome
                    # What ends something goes first.
                    self._queue.extendleft(reversed(tuple(more(outcome))))
        finally:
            while self._crew:
                self._crew.pop().kill()

    def _round(self) -> Iterator[Outcome]:
        """Give work to who has none, then yield what has come until somebody has none again."""
        if not self._queue and not any(w.given for w in self._crew):
            yield self._alone(self._suspects.popleft())
            return
        self._employ()
        began = said = time.monotonic()
        while not (ready := wait([w.pipe for w in self._crew], _LOOK_S)):
            self._look()
            if time.monotonic() - said > 60 * QUIET_MIN:
                said = time.monotonic()
                self._say_quiet(said - began)
        self._look()
        for worker in [w for w in self._crew if w.pipe in ready]:
            yield from self._answers(worker)

    def _employ(self) -> None:
        """Give a batch to each process that has none; start processes while there is work."""
        for worker in [w for w in self._crew if not w.given]:
            if self._queue and not self._give(worker):
                self._bury(worker)
        while self._queue and len(self._crew) < self._most:
            try:
                worker = self._fork()
            except OSError as problem:  # no more processes, or memory, than there are
                if not self._crew:
                    raise UsageError(
                        f"--workers: no process can be started: {problem.strerror}"
                    ) from None
                self._most = len(self._crew)
                return
            self._crew.append(worker)
            if not self._give(worker):
                self._bury(worker)

    def _give(self, worker: _Worker) -> bool:
        """Give a batch to a process; False where it is dead.

        Cores that nothing else is left for are its own.
        """
        busy = sum(bool(w.given) for w in self._crew)
        threads = cores() // max(1, min(self._most, busy + len(self._queue)))
        return worker.give(self._batch(), max(1, threads))

    def _batch(self) -> list[Job]:
        """Take jobs from the queue, fewer towards its end, so that all processes end together."""
        most = max(1, min(BATCH_JOBS, len(self._queue) // (4 * self._most)))
        out = [self._queue.popleft()]
        size = out[0].weight
        while self._queue and len(out) < most and size + self._queue[0].weight <= BATCH_BYTES:
            out.append(self._queue.popleft())
            size += out[-1].weight
        return out

    def _answers(self, worker: _Worker) -> Iterator[Outcome]:
        """Yield the outcomes that a process has sent; bury it where it is dead."""
        try:
            while worker.pipe.poll():
                result, problem = pickle.loads(worker.pipe.recv_bytes())
                yield Outcome(worker.given.popleft(), result, problem)
        except (EOFError, OSError):
            self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        """Take a dead process out: the job that it had begun is suspect, the others are not."""
        self._crew.remove(worker)
        worker.kill()
        if worker.given:
            self._suspects.append(worker.given.popleft())
            self._queue.extendleft(reversed(worker.given))

    def _alone(self, job: Job) -> Outcome:
        """Run a job that killed its process once more, while nothing else runs."""
        memory = int(ALONE_MEMORY * memory_limit())
        return run_alone(job, memory_bytes=memory, seconds=ALONE_S)

    def _say_quiet(self, seconds: float) -> None:
        at_work = sorted(w.given[0].name for w in self._crew if w.given)
        self._say(f"nothing was done for {seconds / 60:.0f} minutes; at work: {', '.join(at_work)}")

    def _fork(self) -> _Worker:
        if not self._is_prepared:
            self._prepare()
            self._is_prepared = True
        ours, theirs = Pipe()
        leader = os.getpid()
        gc.freeze()  # what is here now is here to stay: no process need look through it
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            try:
                for worker in self._crew:  # whose pipes nobody else may hold open
                    worker.pipe.close()
                ours.close()
                _serve(theirs, leader)
            finally:
                os._exit(1)
        theirs.close()
        return _Worker(pid, ours)


def _serve(pipe: Connection, leader: int) -> NoReturn:
    """Do the jobs that come through a pipe until nobody holds its other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the leader to understand
    die_with_parent(leader)
    offer_to_be_killed()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in {0, 1, 2} - {pipe.fileno()}:  # which it is where a stream was closed
        os.dup2(nothing, stream)
    collected = time.monotonic()
    while True:
        try:
            threads, batch = cast("_Batch", pickle.loads(pipe.recv_bytes()))
        except (EOFError, OSError):
            os._exit(0)
        use_threads(threads)
        for work, argument in batch:
            pipe.send_bytes(_answer(work, argument))
            if time.monotonic() - collected > _COLLECT_S:
                gc.collect()
                collected = time.monotonic()


def _answer(work: Callable[[Any], Any], argument: Any) -> bytes:
    """Return what comes of a job: its result, and what went wrong."""
    try:
        return pickle.dumps((work(argument), None))
    except Exception as error:
        return pickle.dumps((None, f"{type(error).__name__}: {encodable(str(error))}"))
